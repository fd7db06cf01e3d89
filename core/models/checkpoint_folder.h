#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/graph/weights.h>

#include "weights/weight_file.h"

/// Checkpoints as folders: `config.json` beside the weights, in one file or in shards.
namespace orrery::models {

/// What a checkpoint folder holds, without its weights.
struct CheckpointFolder {
    std::filesystem::path folder;
    core::Json config;  ///< content of `config.json`, an object; null if the folder has none
    /// The files with tensors, by name. One kind alone, the first that is there: `model.safetensors`, the shards of `model.safetensors.index.json`,
    /// `pytorch_model.bin`, the shards of `pytorch_model.bin.index.json`, then the only `*.safetensors`, `*.bin`, `*.pt`, `*.pth` or `*.gguf` of the folder.
    std::vector<std::filesystem::path> weightFiles;
    std::filesystem::path indexFile;  ///< the index that named the shards; empty if there is none
    /// `model_type` of the config ("llama"), or empty.
    std::string modelType() const;
    /// Name for messages: the folder's path.
    std::string name() const { return folder.string(); }
};

/// True if the folder has a `config.json` or a file of weights as `CheckpointFolder::weightFiles` names them. Never throws; reads the folder's list of names alone.
bool isCheckpointFolder(const std::filesystem::path& folder);

/// `model_type` of the folder's `config.json`; empty if there is none or it cannot be read. Never throws: for `Importer::recognises`.
std::string checkpointModelType(const std::filesystem::path& folder);

/// Reads `config.json` and the index. Neither may be longer than 64 MiB, names of shards are plain file names inside the folder, at most 10,000 of them.
/// @throws core::InputError if the folder is none or holds neither config nor weights; core::FormatError naming file and place for JSON that is broken or of another
///         form, for an index whose shard is missing or lies outside the folder; core::StorageError. Any thread.
CheckpointFolder readCheckpointFolder(const std::filesystem::path& folder);

/// All tensors under the names of the files, mapped privately and not copied (a pickle's tensors, too, where the file keeps them unpacked); the files must not be cut short
/// while one of the tensors lives. The files' dtypes are kept. Nested checkpoints are entered, as `readWeightFile` does it.
/// @throws core::InputError if there are no weights; core::FormatError if a file is broken, two shards hold the same name, or a tensor is not in the shard that the index names;
///         core::StorageError. Any thread.
graph::Weights loadFolderTensors(const CheckpointFolder& folder);

/// The same with everything else that the files and the config say.
WeightFile readFolderWeights(const CheckpointFolder& folder);

}  // namespace orrery::models
