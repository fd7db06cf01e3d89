#include "ply_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <core/base/error.h>
#include <core/base/text.h>

#include "scan.h"

namespace orrery::scene {
namespace {

constexpr std::array<std::pair<std::string_view, PlyType>, 16> kTypes = {{{"char", PlyType::Int8},
                                                                          {"int8", PlyType::Int8},
                                                                          {"uchar", PlyType::UInt8},
                                                                          {"uint8", PlyType::UInt8},
                                                                          {"short", PlyType::Int16},
                                                                          {"int16", PlyType::Int16},
                                                                          {"ushort", PlyType::UInt16},
                                                                          {"uint16", PlyType::UInt16},
                                                                          {"int", PlyType::Int32},
                                                                          {"int32", PlyType::Int32},
                                                                          {"uint", PlyType::UInt32},
                                                                          {"uint32", PlyType::UInt32},
                                                                          {"float", PlyType::Float32},
                                                                          {"float32", PlyType::Float32},
                                                                          {"double", PlyType::Float64},
                                                                          {"float64", PlyType::Float64}}};
constexpr std::array<std::string_view, 3> kEncodings = {"ascii", "binary_little_endian", "binary_big_endian"};

class HeaderParser {
public:
    HeaderParser(std::string_view bytes, std::string_view name) : m_lines(bytes, name), m_name(name) {}

    PlyHeader parse()
    {
        m_lines.line();  // the magic
        m_lineNumber = 1;
        bool hasFormat = false;
        for (;;) {
            if (m_lines.isAtEnd())
                throw core::FormatError(fmt::format("{}: expected a line end_header, but the file ends", m_name));
            const auto line = m_lines.line();
            ++m_lineNumber;
            Scanner words(line, m_name);
            const auto keyword = words.word();
            if (keyword == "end_header")
                break;
            if (keyword == "comment" || keyword == "obj_info")
                m_header.comments.emplace_back(core::trim(line.substr(words.at())));
            else if (keyword == "format")
                hasFormat = readFormat(words);
            else if (keyword == "element")
                readElement(words);
            else if (keyword == "property")
                readProperty(words);
            else if (!keyword.empty())
                fail("format, comment, element, property or end_header", keyword);
        }
        if (!hasFormat)
            throw core::FormatError(fmt::format("{}: expected a line such as \"format ascii 1.0\" in the header, got none", m_name));
        m_header.dataOffset = m_lines.at();
        return std::move(m_header);
    }

private:
    [[noreturn]] void fail(std::string_view expected, std::string_view found) const
    {
        throw core::FormatError(fmt::format("{}: line {}: expected {}, got {}", m_name, m_lineNumber, expected,
                                            found.empty() ? "the end of the line" : fmt::format("\"{}\"", printable(found.substr(0, 40)))));
    }
    bool readFormat(Scanner& words)
    {
        const auto encoding = words.word();
        const auto at = std::find(kEncodings.begin(), kEncodings.end(), encoding);
        if (at == kEncodings.end())
            fail("ascii, binary_little_endian or binary_big_endian", encoding);
        m_header.encoding = PlyEncoding(at - kEncodings.begin());
        if (const auto version = words.word(); version != "1.0")
            fail("version 1.0", version);
        return true;
    }
    void readElement(Scanner& words)
    {
        PlyElement element;
        element.name = words.word();
        if (element.name.empty())
            fail("the name of an element", {});
        if (m_header.find(element.name))
            fail("each element once", element.name);
        const auto count = words.word();
        if (!parseCount(count, element.count))
            fail(fmt::format("how many entries element {} has", printable(element.name)), count);
        m_header.elements.push_back(std::move(element));
    }
    PlyType readType(Scanner& words) const
    {
        const auto type = words.word();
        const auto at = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& known) { return known.first == type; });
        if (at == kTypes.end())
            fail("a type (char, uchar, short, ushort, int, uint, float, double)", type);
        return at->second;
    }
    void readProperty(Scanner& words)
    {
        if (m_header.elements.empty())
            fail("an element before its properties", "property");
        auto& element = m_header.elements.back();
        PlyProperty property;
        Scanner ahead = words;
        if (ahead.word() == "list") {
            words = ahead;
            property.isList = true;
            property.countType = readType(words);
            if (property.countType == PlyType::Float32 || property.countType == PlyType::Float64)
                fail("an integer type for the length of a list", "float");
        }
        property.type = readType(words);
        property.name = words.word();
        if (property.name.empty())
            fail("the name of a property", {});
        if (element.find(property.name) >= 0)
            fail(fmt::format("each property of element {} once", printable(element.name)), property.name);
        element.properties.push_back(std::move(property));
    }

    Scanner m_lines;
    std::string_view m_name;
    std::size_t m_lineNumber = 0;
    PlyHeader m_header;
};

}  // namespace

std::size_t sizeOf(PlyType type)
{
    constexpr std::array<std::size_t, 8> kSizes = {1, 1, 2, 2, 4, 4, 4, 8};
    return kSizes[std::size_t(type)];
}

bool PlyElement::hasList() const
{
    return std::any_of(properties.begin(), properties.end(), [](const PlyProperty& property) { return property.isList; });
}

std::size_t PlyElement::bytes() const
{
    std::size_t sum = 0;
    for (const auto& property : properties)
        sum += sizeOf(property.isList ? property.countType : property.type);
    return sum;
}

int PlyElement::find(std::string_view property) const
{
    for (std::size_t i = 0; i < properties.size(); ++i)
        if (properties[i].name == property)
            return int(i);
    return -1;
}

std::string_view plyEncodingName(PlyEncoding encoding)
{
    return kEncodings[std::size_t(encoding)];
}

const PlyElement* PlyHeader::find(std::string_view element) const
{
    const auto at = std::find_if(elements.begin(), elements.end(), [&](const PlyElement& each) { return each.name == element; });
    return at == elements.end() ? nullptr : &*at;
}

bool isPly(std::string_view bytes)
{
    return bytes.starts_with("ply\n") || bytes.starts_with("ply\r\n");
}

PlyHeader parsePlyHeader(std::string_view bytes, std::string_view name)
{
    if (!isPly(bytes))
        throw core::FormatError(fmt::format("{}: expected a PLY file (its first line is \"ply\")", name));
    return HeaderParser(bytes, name).parse();
}

void checkPlyCount(const PlyElement& element, PlyEncoding encoding, std::size_t available, std::string_view name)
{
    // In text each value takes a digit and a blank; the last one of the file may lack the blank.
    const bool isText = encoding == PlyEncoding::Ascii;
    const std::size_t each = isText ? 2 * element.properties.size() : element.bytes();
    if (each > 0 && element.count > (available + isText) / each)
        throw core::FormatError(fmt::format("{}: element {} announces {} entries of at least {} bytes, but {} bytes are left in the file", name,
                                            printable(element.name), element.count, each, available));
    if (element.count > std::numeric_limits<std::uint32_t>::max() && each > 0)
        throw core::FormatError(
            fmt::format("{}: element {} announces {} entries; at most 4294967295 can be read", name, printable(element.name), element.count));
}

}  // namespace orrery::scene
