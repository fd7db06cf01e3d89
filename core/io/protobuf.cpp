#include "protobuf.h"

#include <fmt/format.h>

#include <core/base/error.h>

namespace orrery::io {
namespace {

constexpr int kMaxVarintBytes = 10;

}  // namespace

void ProtobufReader::fail(std::string_view expected) const
{
    const auto at = std::size_t(m_message.data() - m_file.data()) + m_at;
    throw core::FormatError(fmt::format("{}: at byte {}: expected {}", m_name, at, expected));
}

std::uint64_t ProtobufReader::varint(std::string_view what)
{
    std::uint64_t value = 0;
    for (int i = 0; i < kMaxVarintBytes; ++i) {
        if (m_at >= m_message.size())
            fail(fmt::format("{}, found the end", what));
        const auto byte = std::uint8_t(m_message[m_at++]);
        value |= std::uint64_t(byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return value;
    }
    fail(fmt::format("{} of at most 64 bits, found a longer number", what));
}

std::uint64_t ProtobufReader::fixed(std::size_t size)
{
    if (m_message.size() - m_at < size)
        fail(fmt::format("{} bytes of a number, found {} before the end (the file is cut off or damaged)", size, m_message.size() - m_at));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
        value |= std::uint64_t(std::uint8_t(m_message[m_at++])) << (8 * i);
    return value;
}

bool ProtobufReader::nextVarint(std::uint64_t& value)
{
    if (m_at >= m_message.size())
        return false;
    value = varint("a number");
    return true;
}

bool ProtobufReader::nextFixed(std::uint64_t& value, std::size_t size)
{
    if (m_at >= m_message.size())
        return false;
    value = fixed(size);
    return true;
}

bool ProtobufReader::next(ProtobufField& field)
{
    if (m_at >= m_message.size())
        return false;
    field = ProtobufField();
    field.offset = std::uint64_t(m_message.data() - m_file.data()) + m_at;
    const auto tag = varint("a field");
    field.number = std::uint32_t(tag >> 3);
    if (field.number == 0 || tag >> 32)
        fail(fmt::format("a field with a number, found tag {}", tag));
    switch (tag & 7) {
    case 0: field.value = varint("a number"); break;
    case 1: field.value = fixed(8); break;
    case 5: field.value = fixed(4); break;
    case 2: {
        const auto length = varint("a length");
        if (length > m_message.size() - m_at)
            fail(fmt::format("field {} of {} bytes, found {} before the end (the file is cut off or damaged)", field.number, length,
                             m_message.size() - m_at));
        field.bytes = m_message.substr(m_at, std::size_t(length));
        m_at += std::size_t(length);
        break;
    }
    default: fail(fmt::format("a number or bytes in field {}, found wire type {}", field.number, tag & 7));
    }
    field.wire = ProtobufField::Wire(tag & 7);
    return true;
}

void ProtobufWriter::varint(std::uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        m_text += char(value | 0x80);
    m_text += char(value);
}

void ProtobufWriter::number(std::uint32_t field, std::int64_t value)
{
    varint(std::uint64_t(field) << 3);
    varint(std::uint64_t(value));
}

void ProtobufWriter::real(std::uint32_t field, float value)
{
    varint(std::uint64_t(field) << 3 | 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int i = 0; i < 4; ++i)
        m_text += char(bits >> (8 * i));
}

void ProtobufWriter::bytes(std::uint32_t field, std::string_view value)
{
    varint(std::uint64_t(field) << 3 | 2);
    varint(value.size());
    m_text += value;
}

}  // namespace orrery::io
