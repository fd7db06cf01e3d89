#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <core/graph/weights.h>
#include <core/models/weights/mapped_tensors.h>

/// Internal to core/models/pt2: files of torch.save that are entries of an archive. `bytes` lies inside the mapping; tensors are mapped, too.
namespace orrery::models {

/// The tensors of a state dictionary by name. @throws core::FormatError.
graph::Weights nestedStateDict(const Mapping& file, std::string_view bytes, const std::string& name);

/// The tensors among nested tuples, lists and dictionaries, in their order. @throws core::FormatError, also if they hold themselves.
std::vector<at::Tensor> nestedTensors(const Mapping& file, std::string_view bytes, const std::string& name);

}  // namespace orrery::models
