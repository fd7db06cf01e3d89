#include "pcd.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include <core/base/error.h>
#include <core/base/text.h>

#include "lzf.h"
#include "points.h"
#include "scan.h"

namespace orrery::scene {
namespace {

/// Fields of a point: a header line of millions of words is no description of anything.
constexpr std::size_t kMaxWords = 10'000;

constexpr std::array<std::string_view, 3> kPcdEncodings = {"ascii", "binary", "binary_compressed"};

struct PcdField {
    std::string name;
    char type = 'F';         ///< I, U, F
    std::uint64_t size = 4;  ///< bytes of one number
    std::uint64_t count = 1;
    std::size_t offset = 0;  ///< of its first byte in a point
};

struct PcdHeader {
    std::vector<PcdField> fields;
    std::vector<std::string> comments;
    PcdEncoding encoding = PcdEncoding::Ascii;
    std::uint64_t points = 0;
    std::size_t stride = 0, numbers = 0;  ///< bytes and numbers of a point
    std::size_t dataOffset = 0;
    bool hasViewpoint = false;
};

class PcdHeaderParser {
public:
    PcdHeaderParser(std::string_view bytes, std::string_view name) : m_lines(bytes, name), m_name(name) {}

    PcdHeader parse()
    {
        while (!m_hasData) {
            if (m_lines.isAtEnd())
                throw core::FormatError(fmt::format("{}: expected a line DATA ascii, binary or binary_compressed, but the file ends", m_name));
            const auto line = m_lines.line();
            ++m_lineNumber;
            if (line.starts_with('#'))
                m_header.comments.emplace_back(core::trim(line.substr(1)));
            else
                readLine(line);
        }
        m_header.dataOffset = m_lines.at();
        checkFields();
        return std::move(m_header);
    }

private:
    [[noreturn]] void fail(const std::string& what) const { throw core::FormatError(fmt::format("{}: line {}: {}", m_name, m_lineNumber, what)); }
    std::uint64_t count(std::string_view word, const char* what) const
    {
        std::uint64_t value = 0;
        if (!parseCount(word, value))
            fail(fmt::format("expected {}, got \"{}\"", what, printable(word.substr(0, 40))));
        return value;
    }
    void readLine(std::string_view line)
    {
        Scanner words(line, m_name);
        const auto keyword = words.word();
        std::vector<std::string_view> values;
        for (auto word = words.word(); !word.empty(); word = words.word()) {
            if (values.size() == kMaxWords)
                fail(fmt::format("expected at most {} words behind {}, got more", kMaxWords, printable(keyword.substr(0, 40))));
            values.push_back(word);
        }
        if (keyword == "FIELDS" || keyword == "COLUMNS")
            for (const auto word : values)
                m_header.fields.push_back({std::string(word), 'F', 4, 1, 0});
        else if (keyword == "SIZE" || keyword == "TYPE" || keyword == "COUNT")
            readOfEachField(keyword, values);
        else if (keyword == "WIDTH" && !values.empty())
            m_width = count(values[0], "a width");
        else if (keyword == "HEIGHT" && !values.empty())
            m_height = count(values[0], "a height");
        else if (keyword == "POINTS" && !values.empty())
            m_points = count(values[0], "a number of points");
        else if (keyword == "VIEWPOINT")
            m_header.hasViewpoint = core::trim(line.substr(9)) != "0 0 0 1 0 0 0";
        else if (keyword == "DATA")
            readEncoding(values.empty() ? std::string_view() : values[0]);
        else if (!keyword.empty() && keyword != "VERSION")
            fail(fmt::format("expected VERSION, FIELDS, SIZE, TYPE, COUNT, WIDTH, HEIGHT, VIEWPOINT, POINTS or DATA, got \"{}\"",
                             printable(keyword.substr(0, 40))));
    }
    void readOfEachField(std::string_view keyword, const std::vector<std::string_view>& values)
    {
        if (values.size() != m_header.fields.size())
            fail(fmt::format("expected {} values behind {}, one a field, got {}", m_header.fields.size(), keyword, values.size()));
        for (std::size_t i = 0; i < values.size(); ++i) {
            auto& field = m_header.fields[i];
            if (keyword == "SIZE")
                field.size = count(values[i], "a size in bytes");
            else if (keyword == "COUNT")
                field.count = count(values[i], "how many numbers a field has");
            else if (values[i] == "I" || values[i] == "U" || values[i] == "F")
                field.type = values[i][0];
            else
                fail(fmt::format("expected a type I, U or F, got \"{}\"", printable(values[i].substr(0, 40))));
        }
    }
    void readEncoding(std::string_view word)
    {
        const auto at = std::find(kPcdEncodings.begin(), kPcdEncodings.end(), word);
        if (at == kPcdEncodings.end())
            fail(fmt::format("expected DATA ascii, binary or binary_compressed, got \"{}\"", printable(word.substr(0, 40))));
        m_header.encoding = PcdEncoding(at - kPcdEncodings.begin());
        m_hasData = true;
    }
    void checkFields()
    {
        for (auto& field : m_header.fields) {
            const bool isKnown = field.size == 4 || field.size == 8 || (field.type != 'F' && (field.size == 1 || field.size == 2));
            if (!isKnown)
                throw core::FormatError(
                    fmt::format("{}: field {}: expected 1, 2, 4 or 8 bytes (4 or 8 for type F), got {}", m_name, printable(field.name), field.size));
            if (field.count > 100'000)
                throw core::FormatError(
                    fmt::format("{}: field {}: expected at most 100000 numbers a point, got {}", m_name, printable(field.name), field.count));
            field.offset = m_header.stride;
            m_header.stride += field.size * field.count;
            m_header.numbers += field.count;
        }
        const bool hasSize =
            m_width && m_height && *m_height <= std::numeric_limits<std::uint32_t>::max() && *m_width <= std::numeric_limits<std::uint32_t>::max();
        if (!m_points && !hasSize)
            throw core::FormatError(fmt::format("{}: expected POINTS, or WIDTH and HEIGHT, in the header", m_name));
        m_header.points = m_points ? *m_points : *m_width * *m_height;
        if (hasSize && *m_width * *m_height != m_header.points)
            throw core::FormatError(fmt::format("{}: WIDTH {} times HEIGHT {} is not POINTS {}", m_name, *m_width, *m_height, m_header.points));
        if (m_header.points > std::numeric_limits<std::uint32_t>::max())
            throw core::FormatError(fmt::format("{}: the header announces {} points; at most 4294967295 can be read", m_name, m_header.points));
    }

    Scanner m_lines;
    std::string_view m_name;
    std::size_t m_lineNumber = 0;
    PcdHeader m_header;
    std::optional<std::uint64_t> m_width, m_height, m_points;
    bool m_hasData = false;
};

/// The numbers of all points, whatever the encoding.
class PcdData {
public:
    PcdData(std::string_view bytes, const PcdHeader& header, std::string_view name, const std::stop_token& stop) : m_header(header)
    {
        auto data = bytes.substr(header.dataOffset);
        if (header.encoding == PcdEncoding::Ascii)
            readText(bytes, name, stop);
        else if (header.encoding == PcdEncoding::Binary)
            m_bytes = checked(data, data.size(), name);
        else
            decompress(data, name);
    }

    /// Number `part` of a field of all points: `take(point, value)`.
    template <class Take>
    void each(const PcdField& field, std::size_t part, const Take& take) const
    {
        forPlaces(field, part, [&](std::size_t i, const char* at) { take(i, numberAt(field, at)); });
    }
    /// The 32 bits of a field that packs a colour.
    template <class Take>
    void eachBits(const PcdField& field, const Take& take) const
    {
        forPlaces(field, 0, [&](std::size_t i, const char* at) { take(i, load<std::uint32_t>(at)); });
    }

private:
    template <class Visit>
    void forPlaces(const PcdField& field, std::size_t part, const Visit& visit) const
    {
        const bool isPlanar = m_header.encoding == PcdEncoding::BinaryCompressed;
        const char* first = m_bytes.data() + (isPlanar ? field.offset * m_header.points : field.offset) + part * field.size;
        const std::size_t step = isPlanar ? field.size * field.count : m_header.stride;
        for (std::size_t i = 0; i < m_header.points; ++i)
            visit(i, first + i * step);
    }
    static double numberAt(const PcdField& field, const char* at)
    {
        switch (field.size) {
        case 1: return field.type == 'I' ? double(load<std::int8_t>(at)) : double(load<std::uint8_t>(at));
        case 2: return field.type == 'I' ? double(load<std::int16_t>(at)) : double(load<std::uint16_t>(at));
        case 4:
            return field.type == 'F' ? double(load<float>(at)) : field.type == 'I' ? double(load<std::int32_t>(at)) : double(load<std::uint32_t>(at));
        default: return field.type == 'F' ? load<double>(at) : field.type == 'I' ? double(load<std::int64_t>(at)) : double(load<std::uint64_t>(at));
        }
    }
    std::string_view checked(std::string_view data, std::size_t available, std::string_view name) const
    {
        if (m_header.stride == 0 || m_header.points > available / m_header.stride)
            throw core::FormatError(fmt::format("{}: the header announces {} points of {} bytes, but {} bytes follow it", name, m_header.points,
                                                m_header.stride, available));
        return data;
    }
    void decompress(std::string_view data, std::string_view name)
    {
        if (data.size() < 8)
            throw core::FormatError(fmt::format("{}: expected the sizes of the compressed data, but the file ends", name));
        const std::size_t packed = load<std::uint32_t>(data.data()), size = load<std::uint32_t>(data.data() + 4);
        data.remove_prefix(8);
        if (packed > data.size() || size > lzfMostBytes(packed))
            throw core::FormatError(
                fmt::format("{}: {} compressed bytes that stand for {} are announced, but {} bytes follow", name, packed, size, data.size()));
        checked(data, size, name);
        m_owned = lzfDecompress(data.substr(0, packed), size, name);
        m_bytes = m_owned;
    }
    // Text becomes bytes of the same layout.
    void readText(std::string_view bytes, std::string_view name, const std::stop_token& stop)
    {
        const std::size_t available = bytes.size() - m_header.dataOffset;
        if (m_header.numbers == 0 || m_header.points > (available + 1) / (2 * m_header.numbers))
            throw core::FormatError(fmt::format("{}: the header announces {} points of {} numbers, but {} bytes follow it", name, m_header.points,
                                                m_header.numbers, available));
        Scanner words(bytes, name, m_header.dataOffset, stop);
        m_owned.reserve(m_header.points * m_header.stride);
        double value = 0;
        for (std::size_t i = 0; i < m_header.points; ++i)
            for (const auto& field : m_header.fields)
                for (std::size_t part = 0; part < field.count; ++part) {
                    if (!words.number(value))
                        words.fail(fmt::format("{} of point {}", printable(field.name), i + 1));
                    appendAs(field, value);
                }
        m_bytes = m_owned;
    }
    void appendAs(const PcdField& field, double value)
    {
        if (field.type == 'F' && field.size == 4)
            return appendBytes(m_owned, float(value));
        if (field.type == 'F')
            return appendBytes(m_owned, value);
        const bool isIn = field.type == 'I' ? value >= -9.2e18 && value <= 9.2e18 : value >= 0 && value <= 1.8e19;
        const std::uint64_t bits = !isIn ? 0 : value < 0 ? std::uint64_t(std::int64_t(value)) : std::uint64_t(value);
        for (std::size_t k = 0; k < field.size; ++k)
            m_owned += char(bits >> 8 * k);
    }

    const PcdHeader& m_header;
    std::string m_owned;
    std::string_view m_bytes;
};

/// Which fields are what.
class PcdReader {
public:
    PcdReader(const PcdHeader& header, const PcdData& data, CloudFile& file)
        : m_header(header), m_data(data), m_file(file), m_taken(header.fields.size())
    {
    }

    bool read(const Frame& frame)
    {
        auto& cloud = m_file.mesh.points;
        const std::size_t points = m_header.points;
        const auto positions = triple({"x", "y", "z"});
        if (!positions)
            return false;
        const bool isPlain = std::all_of(positions->begin(), positions->end(),
                                         [](const PcdField* field) { return field->size < 4 || (field->size == 4 && field->type == 'F'); });
        if (isPlain)
            cloud.positions = gather<float>(*positions, points);
        else
            setPositions(cloud, gather<double>(*positions, points), frame.origin);
        auto normals = triple({"normal_x", "normal_y", "normal_z"});
        if (!normals)
            normals = triple({"nx", "ny", "nz"});
        if (normals)
            cloud.normals = gather<float>(*normals, points);
        readColours();
        readFields(frame);
        return true;
    }

private:
    using Triple = std::array<const PcdField*, 3>;

    int find(std::string_view name) const
    {
        for (std::size_t i = 0; i < m_header.fields.size(); ++i)
            if (m_header.fields[i].name == name && m_header.fields[i].count == 1)
                return int(i);
        return -1;
    }
    std::optional<Triple> triple(const std::array<const char*, 3>& names)
    {
        Triple out{};
        for (std::size_t k = 0; k < 3; ++k)
            if (find(names[k]) < 0)
                return {};
        for (std::size_t k = 0; k < 3; ++k) {
            out[k] = &m_header.fields[std::size_t(find(names[k]))];
            m_taken[std::size_t(find(names[k]))] = true;
        }
        return out;
    }
    template <class Value>
    std::vector<Value> gather(const Triple& fields, std::size_t points) const
    {
        std::vector<Value> out(3 * points);
        for (std::size_t k = 0; k < 3; ++k)
            m_data.each(*fields[k], 0, [&](std::size_t i, double value) { out[3 * i + k] = Value(value); });
        return out;
    }
    void readColours()
    {
        const int at = find("rgb") >= 0 ? find("rgb") : find("rgba");
        if (at < 0 || m_header.fields[std::size_t(at)].size != 4)
            return;
        m_taken[std::size_t(at)] = true;
        auto& colours = m_file.mesh.points.colours;
        colours.resize(3 * m_header.points);
        m_data.eachBits(m_header.fields[std::size_t(at)], [&](std::size_t i, std::uint32_t bits) {
            for (std::size_t k = 0; k < 3; ++k)
                colours[3 * i + k] = std::uint8_t(bits >> (16 - 8 * k));
        });
    }
    void readFields(const Frame& frame)
    {
        std::vector<double> values(m_header.points);
        for (std::size_t f = 0; f < m_header.fields.size(); ++f) {
            const auto& field = m_header.fields[f];
            if (m_taken[f] || field.name == "_")  // `_` is padding
                continue;
            for (std::size_t part = 0; part < field.count; ++part) {
                m_data.each(field, part, [&](std::size_t i, double value) { values[i] = value; });
                const std::string name = field.count == 1 ? field.name : fmt::format("{}_{}", field.name, part);
                const bool isFloat = field.size < 4 || (field.size == 4 && field.type == 'F');
                m_file.mesh.points.fields.push_back(makeField(name, values, isFloat ? std::optional(0.0) : frame.offset(name)));
            }
        }
    }

    const PcdHeader& m_header;
    const PcdData& m_data;
    CloudFile& m_file;
    std::vector<bool> m_taken;
};

}  // namespace

std::string_view pcdEncodingName(PcdEncoding encoding)
{
    return kPcdEncodings[std::size_t(encoding)];
}

bool isPcd(std::string_view bytes)
{
    return bytes.starts_with("# .PCD") || bytes.starts_with("VERSION ");
}

CloudFile parsePcd(std::string_view bytes, std::string_view name, std::stop_token stop)
{
    if (!isPcd(bytes))
        throw core::FormatError(fmt::format("{}: expected a PCD file (its first line is \"# .PCD ...\" or \"VERSION ...\")", name));
    const auto header = PcdHeaderParser(bytes, name).parse();
    CloudFile file;
    file.format = "pcd";
    file.encoding = pcdEncodingName(header.encoding);
    file.comments = header.comments;
    if (header.hasViewpoint)
        file.leftOut.push_back("the viewpoint");
    const PcdData data(bytes, header, name, stop);
    if (!PcdReader(header, data, file).read(frameOf(file.comments)))
        throw core::FormatError(fmt::format("{}: expected the fields x, y and z, one number each", name));
    finish(file, name);
    return file;
}

}  // namespace orrery::scene
