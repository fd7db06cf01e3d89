#include "idx.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include <core/base/error.h>
#include <core/base/files.h>

namespace orrery::io {
namespace {

std::optional<ElementType> typeFromCode(unsigned char code)
{
    switch (code) {
    case 0x08: return ElementType::UInt8;
    case 0x09: return ElementType::Int8;
    case 0x0b: return ElementType::Int16;
    case 0x0c: return ElementType::Int32;
    case 0x0d: return ElementType::Float32;
    case 0x0e: return ElementType::Float64;
    default: return {};
    }
}

std::int64_t bigEndian32(std::string_view bytes)
{
    std::uint32_t value = 0;
    for (const char c : bytes.substr(0, 4))
        value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

Array parsePlain(std::string_view bytes, std::string_view name)
{
    const auto type = bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0 ? typeFromCode(static_cast<unsigned char>(bytes[2])) : std::nullopt;
    if (!type)
        throw core::FormatError(fmt::format("{}: expected an IDX file (two zero bytes, a type, the number of axes), got something else", name));
    const std::size_t axes = static_cast<unsigned char>(bytes[3]), start = 4 + 4 * axes;
    if (bytes.size() < start)
        throw core::FormatError(fmt::format("{}: the IDX header is cut off: expected {} bytes, got {}", name, start, bytes.size()));
    Array array{*type, {}, {}};
    for (std::size_t axis = 0; axis < axes; ++axis)
        array.shape.push_back(bigEndian32(bytes.substr(4 + 4 * axis)));
    const std::uint64_t wanted = checkedByteSize(array.shape, elementSize(*type), name);
    if (wanted != bytes.size() - start)
        throw core::FormatError(fmt::format("{}: expected {} bytes of data, got {}", name, wanted, bytes.size() - start));
    array.bytes = bytes.substr(start);
    const std::size_t size = elementSize(*type);
    for (std::size_t at = 0; size > 1 && at < array.bytes.size(); at += size)
        std::reverse(array.bytes.data() + at, array.bytes.data() + at + size);
    return array;
}

}  // namespace

Array parseIdx(std::string_view bytes, std::string_view name)
{
    if (!bytes.starts_with("\x1f\x8b"))
        return parsePlain(bytes, name);
    return parsePlain(core::inflateIfGzip(bytes, name), name);
}

}  // namespace orrery::io
