#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <core/graph/model.h>

namespace orrery::models {

struct OpenOptions {
    std::string architecture;          ///< `NAME?key=value&...` of the zoo, for files that hold weights alone (`--arch`)
    std::uint64_t seed = 0;            ///< weights of `zoo:` models
    std::set<std::string> keepInputs;  ///< see TorchScriptOptions
    std::string method = "forward";    ///< of a TorchScript module that has several
    /// TorchScript can bring a process down: it is read in one of its own where `orrery-cli` is at hand (see isolated_reading.h).
    enum class ForeignFiles { OwnProcess, ThisProcess } foreignFiles = ForeignFiles::OwnProcess;
    /// Matrices of a GGUF file in Q8_0 or Q4_0: unpacked to float32 at once, or kept as they are behind nodes that unpack them where they are used (see weights/packed_weights.h).
    enum class Quantised { Unpack, Keep } quantised = Quantised::Unpack;
    /// Opens `run:ID[@STEP]`; gets what stands behind `run:`. Given by who has a workspace.
    std::function<graph::Model(const std::string& reference)> openRun;
    /// Gets one sentence about everything that was changed, bound or left out while opening; may be null.
    std::function<void(const std::string& note)> note;
};

/// Opens a MODEL argument: `zoo:NAME?key=value&...`, `run:ID[@STEP]`, a checkpoint folder, or a file, which is recognised by its content (`orrery-cli list importer` shows the
/// formats). Weights alone (see weights/weight_file.h) are put into `architecture`, or else open as tensors to look at. `resource:` names work as everywhere.
/// @throws core::InputError: no such file, a format that no importer knows (the message says what was found and which are known), weights that lack parameters, `run:` where there
///         is no workspace; core::FormatError, core::StorageError as the readers do. Any thread.
graph::Model openModel(const std::string& argument, const OpenOptions& options = {});

}  // namespace orrery::models
