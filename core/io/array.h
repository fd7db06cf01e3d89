#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Readers and writers of file formats: bytes in, plain structs out (and back). Nothing here knows libtorch except `tensors.h`.
/// Every parser takes the bytes and the name to be used in messages, may be called from any thread, checks sizes before it takes memory, and throws
/// `core::FormatError` for a broken file.
namespace orrery::io {

/// What one element of an array is.
enum class ElementType {
    Bool,
    UInt8,
    Int8,
    UInt16,
    Int16,
    UInt32,
    Int32,
    UInt64,
    Int64,
    Float16,
    BFloat16,
    Float8E4M3,
    Float8E5M2,
    Float32,
    Float64,
    Complex64,
    Complex128
};

/// Bytes of one element: 1, 2, 4, 8 or 16.
std::size_t elementSize(ElementType type);
/// "float32", "int64", "bool", ...
std::string_view elementName(ElementType type);

/// A dense array in row-major order and in this machine's byte order (little-endian). A scalar has an empty shape and one element.
struct Array {
    ElementType type = ElementType::Float32;
    std::vector<std::int64_t> shape;
    std::string bytes;  ///< exactly elementCount(shape) * elementSize(type)
};

/// Product of the sizes. @throws core::FormatError, naming `name`, if a size is negative or the product times `elementBytes` does not fit into 63 bits.
std::uint64_t checkedByteSize(std::span<const std::int64_t> shape, std::size_t elementBytes, std::string_view name);

}  // namespace orrery::io
