#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <core/graph/model.h>

/// Models as files: our own, TorchScript, and weights alone.
namespace orrery::models {

/// Version of our own file, in its metadata as `orrery.version`. Version 0 had neither card nor named outputs; it is still read.
inline constexpr int kModelFileVersion = 1;

/// One `.safetensors` file: tensors under their parameters' names, aliases once; the metadata holds `orrery.version`, `orrery.graph` (JSON, see graph::toJson) and
/// `orrery.card` (JSON). Written atomically; same model, same bytes.
/// @throws core::ShapeError if the weights do not fit the graph; core::InputError for tensors a file cannot hold (quantised, sparse); core::StorageError.
void saveModel(const std::filesystem::path& file, const graph::Model& model);

/// Reads what `saveModel` wrote. The tensors lie in a private mapping of the file (nothing is copied; writing into one does not change the file), which lives as
/// long as any of them. `origin` becomes the file's name. The file must not be cut short while it is mapped.
/// @throws core::FormatError naming the file and what is wrong: no graph inside, a newer version, tensors missing or of other shapes.
graph::Model loadModel(const std::filesystem::path& file);

/// True if these are the bytes of a safetensors file with a graph inside. Never throws.
bool holdsGraph(std::string_view bytes);

/// Weights of a graph out of a file of tensors.
struct LoadedWeights {
    graph::Weights weights;
    std::vector<std::string> missing;  ///< parameters of the graph that the file does not hold
    std::vector<std::string> extra;    ///< tensors of the file that the graph does not know
    std::string prefix;                ///< taken off every name of the file ("module."), if any
};

/// Finds the weights of a graph among tensors. Tied names may be there once or several times. Where no name fits, a prefix that all names share (`module.`,
/// `model.`, `_orig_mod.`) is taken off. The tensors are aliased and keep their dtypes.
/// @param origin  Where the tensors come from, for messages.
/// @throws core::ShapeError naming the tensor, expected and found shape.
LoadedWeights fitWeights(const graph::Graph& graph, const graph::Weights& tensors, const std::string& origin);

/// The same out of a file of weights (see weights/weight_file.h). @throws core::FormatError, core::StorageError as well.
LoadedWeights loadWeights(const graph::Graph& graph, const std::filesystem::path& file);

/// All tensors of a file of weights by name, mapped where possible. @throws core::InputError, core::FormatError, core::StorageError as `readWeightFile`.
graph::Weights loadTensors(const std::filesystem::path& file);

/// A plain state dictionary: `runs export`. @throws as `saveModel`.
void saveWeights(const std::filesystem::path& file, const graph::Weights& weights);

}  // namespace orrery::models
