#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace orrery::io {

/// One field of a message as it stands in the bytes.
struct ProtobufField {
    enum class Wire { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };
    std::uint32_t number = 0;
    Wire wire = Wire::Varint;
    std::uint64_t value = 0;   ///< of the three kinds of numbers
    std::string_view bytes;    ///< of Wire::Bytes: a text, a message or packed numbers
    std::uint64_t offset = 0;  ///< where the field begins, counted from the start of the file
    std::int64_t asInt() const { return std::int64_t(value); }
    float asFloat() const { return std::bit_cast<float>(std::uint32_t(value)); }
};

/// Walks the fields of one message of the protocol buffer wire format. Takes no memory; lengths are checked before they are followed.
/// Source: Protocol Buffers documentation, "Encoding".
class ProtobufReader {
public:
    /// @param file  The whole file, which `message` lies in: places in messages count from its start. @param name  The file's name for messages.
    ProtobufReader(std::string_view message, std::string_view file, std::string_view name) : m_message(message), m_file(file), m_name(name) {}
    /// False at the end. @throws core::FormatError with the place: cut off, a length past the end, a number of more than 64 bits, a field without a number or of an unknown kind.
    bool next(ProtobufField& field);
    /// A number that stands alone (packed lists). False at the end. @throws as `next`.
    bool nextVarint(std::uint64_t& value);
    /// The same for four and eight bytes.
    bool nextFixed(std::uint64_t& value, std::size_t size);
    [[noreturn]] void fail(std::string_view expected) const;

private:
    std::uint64_t varint(std::string_view what);
    std::uint64_t fixed(std::size_t size);
    std::string_view m_message, m_file, m_name;
    std::size_t m_at = 0;
};

/// Writes messages: fields one after another into a string.
class ProtobufWriter {
public:
    void number(std::uint32_t field, std::int64_t value);
    void real(std::uint32_t field, float value);
    void bytes(std::uint32_t field, std::string_view value);
    const std::string& text() const { return m_text; }

private:
    void varint(std::uint64_t value);
    std::string m_text;
};

}  // namespace orrery::io
