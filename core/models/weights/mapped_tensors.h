#pragma once
#include <memory>
#include <vector>

#include <core/base/files.h>
#include <core/graph/weights.h>
#include <core/io/array.h>
#include <core/io/safetensors.h>

/// Tensors that lie in a mapped file: nothing is copied, and the mapping lives as long as any of them.
namespace orrery::models {

using Mapping = std::shared_ptr<core::MappedFile>;

/// The row-major elements from byte `begin` to byte `end` of the file, which the caller has checked against shape and file. What libtorch cannot use in place is
/// copied: elements at an address that is no multiple of their size, and unsigned 16, 32 and 64 bit integers.
/// @throws core::FormatError for element types that this libtorch does not have.
at::Tensor mappedTensor(const Mapping& file, io::ElementType type, const std::vector<std::int64_t>& shape, std::uint64_t begin, std::uint64_t end);

/// All tensors of a `.safetensors` file.
graph::Weights mappedTensors(const Mapping& file, const io::SafetensorsHeader& header);

}  // namespace orrery::models
