#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/json.h>
#include <core/graph/graph.h>
#include <core/graph/weights.h>

/// Files that hold tensors by name and no program.
namespace orrery::models {

/// Entries of `WeightFile::about` that are kept: a file can hold hundreds of thousands, and nobody reads them.
inline constexpr std::size_t kMaxAbout = 2000;

struct WeightFile {
    graph::Weights tensors;              ///< under the file's names; mapped wherever the file keeps elements as they are used
    std::string format;                  ///< "safetensors", "npz", "torch.save", "GGUF", "checkpoint folder"
    core::Json about;                    ///< what else the file says of itself, an object; null: nothing
    std::vector<graph::Module> modules;  ///< where the file names the classes of modules; mostly empty
    std::set<std::string> buffers;       ///< names that the file says are state and not optimised; mostly empty
    std::vector<std::string> notes;      ///< one sentence about everything that was entered, left out or converted
};

/// True if `readWeightFile` knows the format, by the first bytes (and the names in a ZIP archive). Never throws, cheap.
bool isWeightFile(std::string_view bytes);

/// Reads any file of weights. It must not be cut short while one of its tensors lives.
/// @throws core::InputError for a file of another format; core::FormatError naming file and place if it is broken; core::StorageError. Any thread.
WeightFile readWeightFile(const std::filesystem::path& file);

}  // namespace orrery::models
