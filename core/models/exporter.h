#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include <core/base/registry.h>
#include <core/graph/model.h>

/// Models written as files for others.
namespace orrery::models {

/// What a writer is told.
struct ExportOptions {
    core::Json parameters;  ///< of the exporter's schema; `exportModel` hands it on resolved, defaults filled in
    /// Gets one sentence about everything that the format cannot hold and that was changed or left out; may be null.
    std::function<void(const std::string& note)> note;
    std::stop_token stop;
    /// Inputs of a run that shows dimensions and types to formats that need them; empty: zeros as the model card says.
    std::vector<c10::IValue> example;
};

/// How one format is written. `write` gets a path that is a file or, for `isFolder`, a folder that does not exist yet; it throws core::InputError for a model that the format cannot hold
/// (naming the operator or tensor) before it writes anything.
struct Exporter {
    std::function<void(const std::filesystem::path& path, const graph::Model& model, const ExportOptions& options)> write;
    bool isFolder = false;
    std::string ending;      ///< what its files are called: ".onnx"; empty for folders
    bool opensAgain = true;  ///< `openModel` reads what was written
};

using ExporterRegistry = core::Registry<Exporter>;

/// Family "exporter": the formats that can be written. A new one is one file with a `register...` function and one line in exporters.cpp.
const ExporterRegistry& exporterRegistry();

/// Writes a model: resolves the parameters, checks that the weights are there and fit, and has the exporter write under a temporary name that becomes `path` in the end, so
/// that a failure leaves what was there before. A folder must not exist, or be empty; a file is replaced. @return Bytes written.
/// @throws core::InputError: unknown exporter, wrong parameters, a folder in the way; what the exporter throws. Any thread.
std::uint64_t exportModel(const std::filesystem::path& path, const graph::Model& model, const std::string& exporter, ExportOptions options = {});

/// @throws core::InputError if `path` is the file or folder that the MODEL argument `source` names: it would be lost.
void checkNotSource(const std::filesystem::path& path, const std::string& source);

/// The schema of a format that holds a graph, with `low_rank_energy` and `low_rank`: weights are written as products of thin matrices (graph::lowRank), which `exportModel` sees to.
core::Schema withLowRank(core::Schema schema);

void registerModelFileExporter(ExporterRegistry& registry);
void registerWeightExporters(ExporterRegistry& registry);
void registerTorchScriptExporter(ExporterRegistry& registry);
void registerOnnxExporter(ExporterRegistry& registry);
void registerCExporter(ExporterRegistry& registry);
void registerCheckpointExporter(ExporterRegistry& registry);

}  // namespace orrery::models
