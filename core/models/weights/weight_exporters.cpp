// Our own file, and tensors alone.
#include <core/base/files.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/models/exporter.h>
#include <core/models/model_file.h>

namespace orrery::models {
namespace {

/// The weights of the graph in the order of its parameters. Tied names are written once, unless the reader knows nothing of aliases.
std::vector<std::pair<std::string, at::Tensor>> namedWeights(const graph::Model& model, bool tiedTwice)
{
    std::vector<std::pair<std::string, at::Tensor>> named;
    for (const auto& parameter : model.graph->data().parameters)
        named.emplace_back(parameter.name, model.weights.at(parameter.name));
    if (tiedTwice)
        for (const auto& [alias, name] : model.graph->data().aliases)
            named.emplace_back(alias, model.weights.at(name));
    return named;
}

void writeModelFile(const std::filesystem::path& file, const graph::Model& model, const ExportOptions&)
{
    saveModel(file, model);
}

void noteLostGraph(const ExportOptions& options)
{
    if (options.note)
        options.note("weights alone were written: to open them again, give their architecture (--arch NAME?key=value)");
}

void writeSafetensorsWeights(const std::filesystem::path& file, const graph::Model& model, const ExportOptions& options)
{
    graph::Weights weights;
    for (const auto& [name, tensor] : namedWeights(model, options.parameters.at("tied_twice").get<bool>()))
        weights.set(name, tensor);
    saveWeights(file, weights);
    noteLostGraph(options);
}

void writeNpzWeights(const std::filesystem::path& file, const graph::Model& model, const ExportOptions& options)
{
    std::vector<std::pair<std::string, io::Array>> arrays;
    bool isWidened = false;
    for (const auto& [name, tensor] : namedWeights(model, options.parameters.at("tied_twice").get<bool>())) {
        const bool isBrain = tensor.scalar_type() == at::kBFloat16;
        isWidened |= isBrain;
        arrays.emplace_back(name, io::toArray(isBrain ? tensor.to(at::kFloat) : tensor));
    }
    core::writeFileAtomically(file, io::npzBytes(arrays));
    if (isWidened && options.note)
        options.note("NumPy has no bfloat16: those tensors were written as float32");
    noteLostGraph(options);
}

core::Schema weightSchema()
{
    return {core::boolean("tied_twice", false, "Write a tied tensor under each of its names instead of once.")};
}

}  // namespace

void registerModelFileExporter(ExporterRegistry& registry)
{
    registry.add({"orrery",
                  "Orrery model (.safetensors with the graph inside)",
                  "Weights, graph and model card in one file, which opens without anything else.",
                  "safetensors format description, version 0.4",
                  withLowRank({}),
                  {},
                  {}},
                 {writeModelFile, false, ".safetensors"});
}

void registerWeightExporters(ExporterRegistry& registry)
{
    registry.add({"safetensors",
                  "weights alone (.safetensors)",
                  "The state dictionary, one tensor a parameter under its own name.",
                  "safetensors format description, version 0.4",
                  weightSchema(),
                  {},
                  {}},
                 {writeSafetensorsWeights, false, ".safetensors"});
    registry.add({"npz",
                  "weights alone (.npz)",
                  "The state dictionary as an archive of NumPy arrays, one a parameter under its own name.",
                  "NEP 1, \"A simple file format for NumPy arrays\"",
                  weightSchema(),
                  {},
                  {}},
                 {writeNpzWeights, false, ".npz"});
}

}  // namespace orrery::models
