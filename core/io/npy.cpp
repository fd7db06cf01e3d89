#include "npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include <core/base/error.h>
#include <core/base/files.h>

#include "byte_order.h"
#include "zip.h"

namespace orrery::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct NpyType {
    char kind;
    std::size_t size;
    ElementType type;
};
constexpr NpyType kTypes[] = {{'b', 1, ElementType::Bool},      {'i', 1, ElementType::Int8},       {'i', 2, ElementType::Int16},
                              {'i', 4, ElementType::Int32},     {'i', 8, ElementType::Int64},      {'u', 1, ElementType::UInt8},
                              {'u', 2, ElementType::UInt16},    {'u', 4, ElementType::UInt32},     {'u', 8, ElementType::UInt64},
                              {'f', 2, ElementType::Float16},   {'f', 4, ElementType::Float32},    {'f', 8, ElementType::Float64},
                              {'c', 8, ElementType::Complex64}, {'c', 16, ElementType::Complex128}};

struct NpyHeader {
    std::optional<ElementType> type;
    bool bigEndian = false;
    std::optional<bool> fortranOrder;
    std::optional<std::vector<std::int64_t>> shape;
};

/// Reads the Python dictionary literal of a header: only what NumPy writes, no general Python.
class HeaderParser {
public:
    HeaderParser(std::string_view text, std::string_view name) : m_text(text), m_name(name) {}

    NpyHeader parse()
    {
        NpyHeader header;
        expect('{');
        while (!accept('}')) {
            const std::string_view key = quoted();
            expect(':');
            if (key == "descr")
                readType(header);
            else if (key == "fortran_order")
                header.fortranOrder = boolean();
            else if (key == "shape")
                header.shape = tuple();
            else
                fail(fmt::format("unknown key \"{}\"", key));
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        skipSpace();
        if (m_at != m_text.size())
            fail(fmt::format("text behind the dictionary at position {}", m_at));
        if (!header.type || !header.fortranOrder || !header.shape)
            fail("expected the keys descr, fortran_order and shape");
        return header;
    }

private:
    [[noreturn]] void fail(std::string_view what) const { throw core::FormatError(fmt::format("{}: broken NPY header: {}", m_name, what)); }
    void skipSpace()
    {
        while (m_at < m_text.size() && (m_text[m_at] == ' ' || m_text[m_at] == '\n' || m_text[m_at] == '\t' || m_text[m_at] == '\r'))
            ++m_at;
    }
    bool accept(char wanted)
    {
        skipSpace();
        if (m_at >= m_text.size() || m_text[m_at] != wanted)
            return false;
        ++m_at;
        return true;
    }
    void expect(char wanted)
    {
        if (!accept(wanted))
            fail(fmt::format("expected '{}' at position {}", wanted, m_at));
    }
    std::string_view quoted()
    {
        const bool isDouble = accept('"');
        if (!isDouble && !accept('\''))
            fail(fmt::format("expected a quoted text at position {}", m_at));
        const std::size_t close = m_text.find(isDouble ? '"' : '\'', m_at);
        if (close == std::string_view::npos)
            fail("a quote is not closed");
        const std::string_view text = m_text.substr(m_at, close - m_at);
        m_at = close + 1;
        return text;
    }
    bool boolean()
    {
        skipSpace();
        for (const bool value : {true, false}) {
            const std::string_view word = value ? "True" : "False";
            if (m_text.substr(m_at).starts_with(word)) {
                m_at += word.size();
                return value;
            }
        }
        fail(fmt::format("expected True or False at position {}", m_at));
    }
    std::vector<std::int64_t> tuple()
    {
        std::vector<std::int64_t> sizes;
        expect('(');
        while (!accept(')')) {
            skipSpace();
            std::int64_t size = 0;
            const char* const begin = m_text.data() + m_at;
            const auto [end, error] = std::from_chars(begin, m_text.data() + m_text.size(), size);
            if (error != std::errc() || size < 0)
                fail(fmt::format("expected a size at position {}", m_at));
            m_at += std::size_t(end - begin);
            accept('L');  // Python 2 wrote long integers like this.
            sizes.push_back(size);
            if (!accept(',')) {
                expect(')');
                break;
            }
        }
        if (sizes.size() > 64)
            fail(fmt::format("expected at most 64 axes, got {}", sizes.size()));
        return sizes;
    }
    void readType(NpyHeader& header)
    {
        skipSpace();
        if (m_at < m_text.size() && m_text[m_at] == '[')
            throw core::FormatError(fmt::format("{}: expected a numeric dtype, got a structured one", m_name));
        const std::string_view text = quoted();
        std::size_t size = 0;
        const bool wellFormed = text.size() >= 3 && std::string_view("<>|=").find(text[0]) != std::string_view::npos &&
                                std::from_chars(text.data() + 2, text.data() + text.size(), size).ptr == text.data() + text.size();
        for (const NpyType& known : kTypes)
            if (wellFormed && known.kind == text[1] && known.size == size)
                header.type = known.type;
        if (!header.type)
            throw core::FormatError(fmt::format("{}: expected a bool, integer, float or complex dtype, got \"{}\"", m_name, text));
        header.bigEndian = text[0] == '>';
    }

    std::string_view m_text, m_name;
    std::size_t m_at = 0;
};

/// First axis fastest -> last axis fastest: counts through the result and follows the source with strides.
std::string fromFortranOrder(std::string_view bytes, std::span<const std::int64_t> shape, std::size_t element)
{
    std::string out(bytes.size(), '\0');
    std::vector<std::int64_t> index(shape.size(), 0);
    std::vector<std::uint64_t> stride;
    for (std::uint64_t below = element; const auto size : shape) {
        stride.push_back(below);
        below *= std::uint64_t(size);
    }
    std::uint64_t source = 0;
    for (std::size_t at = 0; at < out.size(); at += element) {
        std::memcpy(out.data() + at, bytes.data() + source, element);
        for (std::size_t axis = shape.size(); axis-- > 0;) {
            source += stride[axis];
            if (++index[axis] < shape[axis])
                break;
            source -= stride[axis] * std::uint64_t(shape[axis]);
            index[axis] = 0;
        }
    }
    return out;
}

/// Length of the header text and where it starts. `size` is that of the whole file where `bytes` are its first ones.
std::pair<std::size_t, std::size_t> locateHeader(std::string_view bytes, std::string_view name, std::uint64_t size)
{
    if (!bytes.starts_with(kMagic) || bytes.size() < 10)
        throw core::FormatError(fmt::format("{}: expected an NPY file (it starts with \\x93NUMPY), got something else", name));
    const int version = static_cast<unsigned char>(bytes[6]);
    if (version < 1 || version > 3)
        throw core::FormatError(fmt::format("{}: expected NPY version 1, 2 or 3, got {}", name, version));
    const std::size_t lengthBytes = version == 1 ? 2 : 4, start = 8 + lengthBytes;
    std::uint32_t length = 0;
    if (bytes.size() >= start)
        std::memcpy(&length, bytes.data() + 8, lengthBytes);
    if (bytes.size() < start || length > size - start)
        throw core::FormatError(fmt::format("{}: the NPY header is cut off: expected {} bytes, got {}", name, start + length, size));
    return {length, start};
}

std::string_view npyKind(ElementType type)
{
    static constexpr std::string_view kNames[] = {"|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8",
                                                  "<f2", "",    "",    "",    "<f4", "<f8", "<c8", "<c16"};
    const std::string_view kind = kNames[std::size_t(type)];
    if (kind.empty())
        throw core::InputError(fmt::format("NumPy has no dtype {}", elementName(type)));
    return kind;
}

}  // namespace

Array parseNpy(std::string_view bytes, std::string_view name)
{
    const auto [length, start] = locateHeader(bytes, name, bytes.size());
    const NpyHeader header = HeaderParser(bytes.substr(start, length), name).parse();
    const std::string_view data = bytes.substr(start + length);
    const std::uint64_t wanted = checkedByteSize(*header.shape, elementSize(*header.type), name);
    if (wanted != data.size())
        throw core::FormatError(fmt::format("{}: expected {} bytes of data, got {}", name, wanted, data.size()));
    Array array{*header.type, *header.shape, {}};
    array.bytes = *header.fortranOrder && array.shape.size() > 1 ? fromFortranOrder(data, array.shape, elementSize(array.type)) : std::string(data);
    if (header.bigEndian)
        swapBytes(array.bytes, array.type);
    return array;
}

std::string npyBytes(const Array& array)
{
    const std::uint64_t wanted = checkedByteSize(array.shape, elementSize(array.type), "NPY");
    if (wanted != array.bytes.size())
        throw core::InputError(fmt::format("an NPY array of this shape takes {} bytes, got {}", wanted, array.bytes.size()));
    std::string shape;
    for (const std::int64_t size : array.shape)
        shape += fmt::format("{}{}", size, array.shape.size() == 1 ? "," : ", ");
    if (array.shape.size() > 1)
        shape.resize(shape.size() - 2);
    std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", npyKind(array.type), shape);
    const bool isLong = header.size() + 64 > 65535;
    const std::size_t start = isLong ? 12 : 10;
    header.append(63 - (start + header.size()) % 64, ' ');
    header += '\n';
    std::string out(kMagic);
    out += isLong ? '\x02' : '\x01';
    out += '\0';
    const auto length = std::uint32_t(header.size());
    out.append(reinterpret_cast<const char*>(&length), isLong ? 4 : 2);
    return out + header + array.bytes;
}

std::uint64_t npzLimit(std::uint64_t fileBytes)
{
    constexpr std::uint64_t kAlways = std::uint64_t(256) << 20, kRatio = 100;
    return std::max(kAlways, kRatio * fileBytes);
}

void checkNpyMember(const ZipMember& member, std::string_view place)
{
    constexpr std::size_t kUsualHeader = 4096;
    const std::string begin = zipMemberStart(member, place, kUsualHeader);
    if (begin.size() < kUsualHeader && begin.size() < member.size)
        return;  // it ends early, and says so when it is unpacked
    const auto [length, start] = locateHeader(begin, place, member.size);
    if (start + length > begin.size())
        return;  // seldom: it is looked at with the data
    const NpyHeader header = HeaderParser(std::string_view(begin).substr(start, length), place).parse();
    const std::uint64_t wanted = checkedByteSize(*header.shape, elementSize(*header.type), place);
    if (wanted != member.size - start - length)
        throw core::FormatError(fmt::format("{}: expected {} bytes of data, got {}", place, wanted, member.size - start - length));
}

std::vector<std::pair<std::string, Array>> parseNpz(std::string_view bytes, std::string_view name, std::optional<std::uint64_t> maxBytes)
{
    std::vector<std::pair<std::string, Array>> arrays;
    for (const ZipMember& member : zipMembers(bytes, name, maxBytes.value_or(npzLimit(bytes.size())))) {
        const std::string place = fmt::format("{}: {}", name, member.name);
        if (member.isStored)
            checkStoredZipMember(member, name);
        else
            checkNpyMember(member, place);
        const std::string unpacked = member.isStored ? std::string() : unpackZipMember(member, name);
        const bool named = member.name.ends_with(".npy");
        arrays.emplace_back(member.name.substr(0, member.name.size() - (named ? 4 : 0)), parseNpy(member.isStored ? member.packed : unpacked, place));
    }
    return arrays;
}

std::string npzBytes(const std::vector<std::pair<std::string, Array>>& arrays)
{
    std::vector<ZipEntry> entries;
    for (const auto& [name, array] : arrays)
        entries.push_back({name + ".npy", npyBytes(array)});
    return zipBytes(entries);
}

Array readNpy(const std::filesystem::path& file)
{
    return parseNpy(core::readFile(file, std::uint64_t(1) << 40), file.string());
}

Array readNamedNpy(const std::filesystem::path& file, std::string_view place, std::string_view expected)
{
    std::error_code error;
    if (!std::filesystem::exists(file, error) && !error)
        throw core::InputError(fmt::format("{}: expected {}; there is no file \"{}\"", place, expected, file.string()));
    return readNpy(file);
}

void writeNpy(const std::filesystem::path& file, const Array& array)
{
    core::writeFileAtomically(file, npyBytes(array));
}

std::vector<std::pair<std::string, Array>> readNpz(const std::filesystem::path& file)
{
    return parseNpz(core::readFile(file, std::uint64_t(1) << 40), file.string());
}

}  // namespace orrery::io
