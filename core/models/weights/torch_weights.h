#pragma once
#include "mapped_tensors.h"
#include "weight_file.h"

namespace orrery::models {

/// The state dictionary of a file of `torch.save` (see io/torch_checkpoint.h). Tensors of one storage share it as they did; storages are mapped, unless they lie at an address that is no multiple of
/// their element size (as in files before PyTorch 1.6), have the other byte order, or hold unsigned integers that this libtorch lacks.
/// @throws core::FormatError as the readers do. Any thread.
WeightFile readTorchWeights(const Mapping& file, const std::string& name);

}  // namespace orrery::models
