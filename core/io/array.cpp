#include "array.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <core/base/error.h>

namespace orrery::io {
namespace {

struct ElementInfo {
    std::size_t size;
    std::string_view name;
};

const ElementInfo& info(ElementType type)
{
    static constexpr ElementInfo kInfo[] = {{1, "bool"},      {1, "uint8"},       {1, "int8"},        {2, "uint16"},  {2, "int16"},
                                            {4, "uint32"},    {4, "int32"},       {8, "uint64"},      {8, "int64"},   {2, "float16"},
                                            {2, "bfloat16"},  {1, "float8_e4m3"}, {1, "float8_e5m2"}, {4, "float32"}, {8, "float64"},
                                            {8, "complex64"}, {16, "complex128"}};
    return kInfo[std::size_t(type)];
}

}  // namespace

std::size_t elementSize(ElementType type)
{
    return info(type).size;
}

std::string_view elementName(ElementType type)
{
    return info(type).name;
}

std::uint64_t checkedByteSize(std::span<const std::int64_t> shape, std::size_t elementBytes, std::string_view name)
{
    std::uint64_t total = elementBytes;
    bool empty = false;
    for (const std::int64_t size : shape) {
        if (size < 0)
            throw core::FormatError(fmt::format("{}: expected sizes of at least 0, got the shape [{}]", name, fmt::join(shape, ", ")));
        empty |= size == 0;
    }
    if (empty)
        return 0;
    for (const std::int64_t size : shape)
        if (__builtin_mul_overflow(total, std::uint64_t(size), &total) || total >> 63)
            throw core::FormatError(fmt::format("{}: the shape [{}] is too large", name, fmt::join(shape, ", ")));
    return total;
}

}  // namespace orrery::io
