#include "tensorboard.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include <core/base/error.h>

#include "memory_budget.h"

namespace orrery::io {
namespace {

static_assert(std::endian::native == std::endian::little, "event files are little-endian");

constexpr std::size_t kRecordHeader = 12, kRecordFooter = 4;
constexpr std::string_view kEventVersion = "brain.Event:2";

std::array<std::uint32_t, 256> makeCrcTable()
{
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit)
            value = value & 1 ? (value >> 1) ^ 0x82f63b78u : value >> 1;
        table[i] = value;
    }
    return table;
}

template <class T>
T littleEndian(std::string_view bytes)
{
    T value{};
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

template <class T>
void appendLittleEndian(std::string& out, T value)
{
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out.append(bytes, sizeof value);
}

// --- Protocol Buffers ---

enum class Wire : unsigned { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

struct Field {
    std::uint32_t number = 0;
    Wire wire = Wire::Varint;
    std::uint64_t varint = 0;
    std::string_view bytes;  ///< of Fixed32, Fixed64 and Bytes
};

/// The fields of one message, in order. Nothing is copied; lengths are checked before they are followed.
class MessageReader {
public:
    /// @param offset  Of the message in the file.
    MessageReader(std::string_view bytes, std::size_t offset, const std::string& name) : m_bytes(bytes), m_offset(offset), m_name(name) {}

    bool next(Field& field)
    {
        if (m_at == m_bytes.size())
            return false;
        const std::uint64_t key = varint();
        field.number = std::uint32_t(key >> 3);
        field.wire = Wire(key & 7);
        if (field.number == 0 || key >> 32 != 0)
            fail("expected a field of a message, found the key " + std::to_string(key));
        switch (field.wire) {
        case Wire::Varint: field.varint = varint(); return true;
        case Wire::Fixed64: field.bytes = take(8); return true;
        case Wire::Fixed32: field.bytes = take(4); return true;
        case Wire::Bytes: field.bytes = take(varint()); return true;
        }
        fail(fmt::format("expected wire type 0, 1, 2 or 5, found {}", key & 7));
    }

    /// A message inside the field just read.
    MessageReader inside(const Field& field) const { return {field.bytes, m_offset + std::size_t(field.bytes.data() - m_bytes.data()), m_name}; }
    bool isEnd() const { return m_at == m_bytes.size(); }

    std::uint64_t varint()
    {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const auto byte = std::uint64_t(static_cast<unsigned char>(take(1)[0]));
            // The tenth byte has room for one bit.
            if (shift == 63 && byte > 1)
                break;
            value |= (byte & 0x7f) << shift;
            if (byte < 0x80)
                return value;
        }
        fail("expected a number of at most 64 bits, found a longer one");
    }

    std::string_view take(std::uint64_t count)
    {
        if (count > m_bytes.size() - m_at)
            fail(fmt::format("expected {} bytes more of a message, found {}", count, m_bytes.size() - m_at));
        m_at += std::size_t(count);
        return m_bytes.substr(m_at - std::size_t(count), std::size_t(count));
    }

    [[noreturn]] void fail(const std::string& what) const { throw core::FormatError(fmt::format("{}, byte {}: {}", m_name, m_offset + m_at, what)); }

private:
    const std::string_view m_bytes;
    const std::size_t m_offset;
    const std::string& m_name;
    std::size_t m_at = 0;
};

double halfValue(std::uint16_t bits)
{
    const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction ? std::nan("") : sign * INFINITY;
    return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

double bfloatValue(std::uint16_t bits)
{
    return double(std::bit_cast<float>(std::uint32_t(bits) << 16));
}

/// Types of TensorProto that hold a number (types.proto), and how many bytes of `tensor_content` one takes.
enum TensorType : std::uint64_t { kFloat = 1, kDouble = 2, kInt32 = 3, kInt64 = 9, kBfloat16 = 14, kHalf = 19 };

std::size_t widthOf(std::uint64_t type)
{
    switch (type) {
    case kFloat:
    case kInt32: return 4;
    case kDouble:
    case kInt64: return 8;
    case kBfloat16:
    case kHalf: return 2;
    default: return 0;
    }
}

double valueOf(std::uint64_t type, std::string_view bytes)
{
    switch (type) {
    case kFloat: return double(littleEndian<float>(bytes));
    case kDouble: return littleEndian<double>(bytes);
    case kInt32: return littleEndian<std::int32_t>(bytes);
    case kInt64: return double(littleEndian<std::int64_t>(bytes));
    case kBfloat16: return bfloatValue(littleEndian<std::uint16_t>(bytes));
    default: return halfValue(littleEndian<std::uint16_t>(bytes));
    }
}

/// What a TensorProto holds, as far as one number needs it.
struct TensorReader {
    std::uint64_t type = 0;
    std::string_view content;
    std::vector<double> values;
    std::size_t count = 0;

    void read(MessageReader message)
    {
        Field field;
        while (message.next(field))
            switch (field.number) {
            case 1: type = field.varint; break;
            case 4: content = field.bytes; break;
            case 5: addFixed(message, field, kFloat); break;
            case 6: addFixed(message, field, kDouble); break;
            case 7:
            case 10:
            case 13: addVarints(message, field); break;
            default: break;
            }
    }

    /// The number, if it is one.
    std::optional<double> number() const
    {
        const std::size_t width = widthOf(type);
        if (width == 0 || count > 1)
            return {};
        if (content.size() == width && count == 0)
            return valueOf(type, content);
        return content.empty() && count == 1 ? std::optional(values[0]) : std::nullopt;
    }

private:
    void add(double value)
    {
        // Only whether there is one, and which, matters.
        if (count++ == 0)
            values.push_back(value);
    }
    void addFixed(const MessageReader& message, const Field& field, std::uint64_t as)
    {
        const std::size_t width = widthOf(as);
        if (field.wire == Wire::Varint || field.bytes.size() % width != 0)
            message.fail("expected floating-point numbers in a tensor, found something else");
        for (std::size_t i = 0; i < field.bytes.size(); i += width)
            add(valueOf(as, field.bytes.substr(i, width)));
    }
    void addVarints(const MessageReader& message, const Field& field)
    {
        if (field.wire == Wire::Varint)
            return add(fromVarint(field.varint));
        MessageReader packed = message.inside(field);
        while (!packed.isEnd())
            add(fromVarint(packed.varint()));
    }
    double fromVarint(std::uint64_t bits) const
    {
        if (type == kHalf)
            return halfValue(std::uint16_t(bits));
        return type == kBfloat16 ? bfloatValue(std::uint16_t(bits)) : double(std::int64_t(bits));
    }
};

class EventReader {
public:
    EventReader(EventFile& file, const std::string& name, std::size_t bytes) : m_file(file), m_name(name), m_budget(fileMemory(bytes)) {}

    void read(std::string_view data, std::size_t offset)
    {
        // The fields may come in any order: the summary needs step and time of its event.
        ScalarEvent event;
        MessageReader message(data, offset, m_name);
        Field field;
        while (message.next(field))
            if (field.number == 1 && field.wire == Wire::Fixed64)
                event.time = littleEndian<double>(field.bytes);
            else if (field.number == 2 && field.wire == Wire::Varint)
                event.step = std::int64_t(field.varint);
        MessageReader again(data, offset, m_name);
        while (again.next(field))
            if (field.number == 5 && field.wire == Wire::Bytes)
                readSummary(again.inside(field), event);
    }

private:
    void readSummary(MessageReader summary, const ScalarEvent& event)
    {
        Field field;
        while (summary.next(field))
            if (field.number == 1 && field.wire == Wire::Bytes)
                readValue(summary.inside(field), event);
    }

    void readValue(MessageReader message, ScalarEvent event)
    {
        std::optional<double> value;
        Field field;
        while (message.next(field))
            if (field.number == 1 && field.wire == Wire::Bytes)
                event.tag = field.bytes;
            else if (field.number == 2 && field.wire == Wire::Fixed32)
                value = double(littleEndian<float>(field.bytes));
            else if (field.number == 8 && field.wire == Wire::Bytes) {
                TensorReader tensor;
                tensor.read(message.inside(field));
                value = tensor.number();
            }
        if (!value || event.tag.empty()) {
            ++m_file.others;
            return;
        }
        event.value = *value;
        // A list keeps room for as many again while it grows.
        if (!m_budget.take(3 * sizeof event + event.tag.size()))
            throw core::FormatError(fmt::format("{}: {}", m_name, m_budget.refusal()));
        m_file.scalars.push_back(std::move(event));
    }

    EventFile& m_file;
    const std::string& m_name;
    MemoryBudget m_budget;
};

void requireChecksum(std::string_view bytes, std::uint32_t stored, std::size_t offset, const std::string& name, std::string_view what)
{
    if (const std::uint32_t found = maskedCrc32c(bytes); found != stored)
        throw core::FormatError(fmt::format("{}, byte {}: the checksum of {} is wrong: expected {:#010x}, found {:#010x}; the file is damaged", name,
                                            offset, what, stored, found));
}

// --- Writing ---

void appendVarint(std::string& out, std::uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        out += char(value | 0x80);
    out += char(value);
}

void appendKey(std::string& out, std::uint32_t number, Wire wire)
{
    appendVarint(out, std::uint64_t(number) << 3 | unsigned(wire));
}

void appendBytes(std::string& out, std::uint32_t number, std::string_view bytes)
{
    appendKey(out, number, Wire::Bytes);
    appendVarint(out, bytes.size());
    out += bytes;
}

void appendRecord(std::string& out, std::string_view data)
{
    std::string length;
    appendLittleEndian(length, std::uint64_t(data.size()));
    out += length;
    appendLittleEndian(out, maskedCrc32c(length));
    out += data;
    appendLittleEndian(out, maskedCrc32c(data));
}

std::string timeField(double time)
{
    std::string out;
    appendKey(out, 1, Wire::Fixed64);
    appendLittleEndian(out, time);
    return out;
}

/// A TensorProto of one double without dimensions.
std::string doubleTensor(double number)
{
    std::string tensor, values;
    appendKey(tensor, 1, Wire::Varint);
    appendVarint(tensor, kDouble);
    appendBytes(tensor, 2, {});
    appendLittleEndian(values, number);
    appendBytes(tensor, 6, values);
    return tensor;
}

/// Says that a tensor is for the page of scalars: TensorBoard shows tensors nowhere else.
std::string scalarMetadata()
{
    std::string plugin, metadata;
    appendBytes(plugin, 1, "scalars");
    appendBytes(metadata, 1, plugin);
    appendKey(metadata, 4, Wire::Varint);
    appendVarint(metadata, 1);  // DATA_CLASS_SCALAR
    return metadata;
}

std::string scalarMessage(const ScalarEvent& scalar)
{
    std::string value, summary, event = timeField(scalar.time);
    appendBytes(value, 1, scalar.tag);
    if (const auto single = float(scalar.value); double(single) == scalar.value || std::isnan(scalar.value)) {
        appendKey(value, 2, Wire::Fixed32);
        appendLittleEndian(value, single);
    } else {
        appendBytes(value, 8, doubleTensor(scalar.value));
        appendBytes(value, 9, scalarMetadata());
    }
    appendBytes(summary, 1, value);
    if (scalar.step != 0) {
        appendKey(event, 2, Wire::Varint);
        appendVarint(event, std::uint64_t(scalar.step));
    }
    appendBytes(event, 5, summary);
    return event;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes)
{
    static const std::array<std::uint32_t, 256> table = makeCrcTable();
    std::uint32_t crc = 0xffffffffu;
    for (const char c : bytes)
        crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
    return crc ^ 0xffffffffu;
}

std::uint32_t maskedCrc32c(std::string_view bytes)
{
    return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

EventFile parseEventFile(std::string_view bytes, const std::string& name)
{
    EventFile file;
    EventReader reader(file, name, bytes.size());
    for (std::size_t at = 0; at < bytes.size();) {
        if (bytes.size() - at < kRecordHeader) {
            if (file.records == 0)
                throw core::FormatError(
                    fmt::format("{}: expected a TensorBoard event file, found {} bytes, too few for one record", name, bytes.size()));
            file.brokenAt = at;
            break;
        }
        requireChecksum(bytes.substr(at, 8), littleEndian<std::uint32_t>(bytes.substr(at + 8)), at, name,
                        file.records == 0 ? "the first record's length (is this a TensorBoard event file?)" : "a record's length");
        const auto length = littleEndian<std::uint64_t>(bytes.substr(at));
        const std::size_t left = bytes.size() - at - kRecordHeader;
        if (left < kRecordFooter || length > left - kRecordFooter) {
            file.brokenAt = at;
            break;
        }
        const std::string_view data = bytes.substr(at + kRecordHeader, std::size_t(length));
        requireChecksum(data, littleEndian<std::uint32_t>(bytes.substr(at + kRecordHeader + data.size())), at + kRecordHeader, name, "a record");
        reader.read(data, at + kRecordHeader);
        ++file.records;
        at += kRecordHeader + data.size() + kRecordFooter;
    }
    return file;
}

std::string eventFileBytes(std::span<const ScalarEvent> scalars, double startTime)
{
    std::string first = timeField(startTime), out;
    appendBytes(first, 3, kEventVersion);
    appendRecord(out, first);
    for (const ScalarEvent& scalar : scalars)
        appendRecord(out, scalarMessage(scalar));
    return out;
}

}  // namespace orrery::io
