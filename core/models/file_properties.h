#pragma once
#include <string>
#include <vector>

namespace orrery::models {

/// What a model's file says of itself beside its graph and weights.
struct FileProperty {
    std::string name;   ///< "format", "size", "producer", "operator set ai.onnx", "metadata license", "config model_type"
    std::string value;  ///< at most `kMostPropertyText` bytes and a note of how many there are
};

inline constexpr std::size_t kMostPropertyText = 300;
inline constexpr std::size_t kMostProperties = 200;

/// Format and size of a MODEL argument's file or folder, then: producer, IR version, operator sets, functions and metadata of ONNX; the `__metadata__` of safetensors; the keys
/// of GGUF; the single values of a checkpoint folder's `config.json` and its files. Empty for zoo: and run:. What cannot be read is left out: a file that opened may be gone or
/// changed by now. Reads headers, no weights. Any thread.
std::vector<FileProperty> fileProperties(const std::string& argument);

}  // namespace orrery::models
