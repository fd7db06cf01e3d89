#pragma once
#include <ATen/core/Tensor.h>

#include "array.h"

namespace orrery::io {

/// Between element types and libtorch's. @throws core::FormatError for a type that this libtorch does not have (uint16/32/64 before 2.3, float8).
at::ScalarType toScalarType(ElementType type);
/// @throws core::InputError for quantised and other types that have no counterpart.
ElementType toElementType(at::ScalarType type);

/// A CPU tensor with its own memory. Unsigned 16, 32 and 64 bit integers become int32 and int64 where libtorch lacks them.
/// @throws core::FormatError for a uint64 value that does not fit into int64.
at::Tensor toTensor(const Array& array);
/// Copies; any device, any strides.
Array toArray(const at::Tensor& tensor);

}  // namespace orrery::io
