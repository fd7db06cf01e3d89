#pragma once
#include <core/base/json.h>

#include "torch_file.h"

namespace orrery::io {

/// What a file of `torch.save` means: tensors by name, and the rest in words.
struct TorchCheckpoint {
    struct Entry {
        std::string name;          ///< "layers.0.weight"
        std::uint32_t tensor = 0;  ///< index into `TorchFile::tensors`
        bool isBuffer = false;     ///< known not to be optimised
    };
    struct Module {
        std::string path, type;  ///< "layers.0", "Linear"
    };
    std::vector<Entry> tensors;
    std::vector<Module> modules;     ///< of a whole pickled module, from the root ("") down
    core::Json about;                ///< what stands beside the state dictionary, cut short: {"epoch": 12, "optimizer": "40 tensors"}; null: nothing
    std::vector<std::string> notes;  ///< one sentence about everything that was entered or left out
};

/// Finds the state dictionary: the file's dictionary of tensors itself, or the one inside under a usual name (`state_dict`, `model_state_dict`, `model`, ...); dictionaries in it are entered, their
/// keys joined by dots. Of a whole pickled module (any object with `_parameters` and `_modules`) the tree is walked. A lone tensor is called "tensor", those of a list by their numbers.
/// @throws core::FormatError naming `name` if there is no tensor, a name is there twice, or the values hold themselves or one another too often. Any thread.
TorchCheckpoint findCheckpoint(const TorchFile& file, std::string_view name);

}  // namespace orrery::io
