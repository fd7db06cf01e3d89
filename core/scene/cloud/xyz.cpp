#include "xyz.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>

#include "points.h"
#include "scan.h"

namespace orrery::scene {
namespace {

bool isSeparator(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == ';';
}

// The general reader of tables keeps each field as a text first; tens of millions of numbers want a shorter way.
std::string_view nextField(std::string_view& line)
{
    while (!line.empty() && isSeparator(line.front()))
        line.remove_prefix(1);
    std::size_t length = 0;
    while (length < line.size() && !isSeparator(line[length]))
        ++length;
    const auto field = line.substr(0, length);
    line.remove_prefix(length);
    return field;
}

std::vector<std::string> namesIn(std::string_view line)
{
    std::vector<std::string> names;
    for (auto field = nextField(line); !field.empty(); field = nextField(line))
        names.push_back(
            core::lower(core::trim(field.size() > 1 && field.front() == '"' && field.back() == '"' ? field.substr(1, field.size() - 2) : field)));
    return names;
}

bool hasAll(const std::vector<std::string>& names, const std::array<const char*, 3>& wanted)
{
    return std::all_of(wanted.begin(), wanted.end(), [&](const char* name) { return std::count(names.begin(), names.end(), name) == 1; });
}

std::optional<std::string_view> commentIn(std::string_view line)
{
    if (line.starts_with("//"))
        return core::trim(line.substr(2));
    return line.starts_with('#') ? std::optional(core::trim(line.substr(1))) : std::nullopt;
}

class XyzParser {
public:
    XyzParser(std::string_view bytes, std::string_view name, std::stop_token stop) : m_lines(bytes, name), m_name(name)
    {
        m_lines = Scanner(bytes, name, bytes.starts_with("\xef\xbb\xbf") ? 3 : 0, std::move(stop));
    }

    CloudFile parse()
    {
        while (!m_lines.isAtEnd()) {
            const auto line = core::trim(m_lines.line());
            ++m_lineNumber;
            if (const auto comment = commentIn(line))
                readComment(*comment);
            else if (!line.empty())
                readRow(line);
        }
        if (m_values.empty())
            throw core::FormatError(fmt::format("{}: expected lines of at least three numbers, got none", m_name));
        nameColumns();
        build();
        finish(m_file, m_name);
        return std::move(m_file);
    }

private:
    [[noreturn]] void fail(const std::string& what) const { throw core::FormatError(fmt::format("{}: line {}: {}", m_name, m_lineNumber, what)); }
    void readComment(std::string_view comment)
    {
        m_file.comments.emplace_back(comment);
        auto names = namesIn(comment);
        if (m_names.empty() && m_values.empty() && hasAll(names, {"x", "y", "z"}))
            m_names = std::move(names);
    }
    void readRow(std::string_view line)
    {
        const std::size_t before = m_values.size();
        auto rest = line;
        for (auto field = nextField(rest); !field.empty(); field = nextField(rest)) {
            double value = 0;
            if (!parseNumber(field, value)) {
                if (before == 0 && m_values.empty() && m_names.empty()) {
                    m_names = namesIn(line);
                    return checkHeader();
                }
                fail(fmt::format("expected a number, got \"{}\"", printable(field.substr(0, 40))));
            }
            m_values.push_back(value);
        }
        const std::size_t count = m_values.size() - before;
        if (before == 0 && count == 1 && m_columns == 0 && m_values[0] >= 0 && m_values[0] == std::floor(m_values[0])) {
            m_values.clear();  // the number of points, as in .pts
            return;
        }
        if (m_columns == 0)
            m_columns = count;
        if (count < 3)
            fail(fmt::format("expected at least three numbers, got {}", count));
        if (count != m_columns)
            fail(fmt::format("expected {} numbers as in the lines before, got {}", m_columns, count));
    }
    void checkHeader() const
    {
        if (!hasAll(m_names, {"x", "y", "z"}))
            fail(fmt::format("expected numbers, or a header with the names x, y and z, got \"{}\"",
                             printable(core::join(m_names, ", ").substr(0, 80))));
    }
    void nameColumns()
    {
        if (!m_names.empty() && m_names.size() != m_columns)
            throw core::FormatError(fmt::format("{}: the header names {} columns, the lines have {} numbers", m_name, m_names.size(), m_columns));
        if (!m_names.empty())
            return;
        m_names = {"x", "y", "z"};
        const auto add = [&](std::initializer_list<const char*> names) { m_names.insert(m_names.end(), names.begin(), names.end()); };
        if (m_columns == 4)
            add({"intensity"});
        else if (m_columns == 6 && isColour(3))
            add({"red", "green", "blue"});
        else if (m_columns == 6 && isDirection(3))
            add({"nx", "ny", "nz"});
        else if (m_columns == 7 && isColour(4))
            add({"intensity", "red", "green", "blue"});
        while (m_names.size() < m_columns)
            m_names.push_back(fmt::format("field_{}", m_names.size() + 1));
    }
    std::size_t rows() const { return m_values.size() / m_columns; }
    double value(std::size_t row, std::size_t column) const { return m_values[row * m_columns + column]; }
    bool isColour(std::size_t first) const
    {
        for (std::size_t i = 0; i < rows(); ++i)
            for (std::size_t k = first; k < first + 3; ++k)
                if (!(value(i, k) >= 0 && value(i, k) <= 255 && value(i, k) == std::floor(value(i, k))))
                    return false;
        return true;
    }
    bool isDirection(std::size_t first) const
    {
        for (std::size_t i = 0; i < rows(); ++i)
            if (std::abs(std::hypot(value(i, first), value(i, first + 1), value(i, first + 2)) - 1) > 0.01)
                return false;
        return true;
    }

    std::optional<std::array<std::size_t, 3>> take(const std::array<const char*, 3>& names)
    {
        if (!hasAll(m_names, names))
            return {};
        std::array<std::size_t, 3> columns{};
        for (std::size_t k = 0; k < 3; ++k) {
            columns[k] = std::size_t(std::find(m_names.begin(), m_names.end(), names[k]) - m_names.begin());
            m_taken[columns[k]] = true;
        }
        return columns;
    }
    std::vector<double> gathered(const std::array<std::size_t, 3>& columns) const
    {
        std::vector<double> out(3 * rows());
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = value(i / 3, columns[i % 3]);
        return out;
    }
    void build()
    {
        auto& cloud = m_file.mesh.points;
        const auto frame = frameOf(m_file.comments);
        m_taken.resize(m_columns);
        setPositions(cloud, gathered(*take({"x", "y", "z"})), frame.origin);
        if (const auto columns = take({"nx", "ny", "nz"})) {
            const auto normals = gathered(*columns);
            cloud.normals.assign(normals.begin(), normals.end());
        }
        auto colours = take({"red", "green", "blue"});
        if (!colours)
            colours = take({"r", "g", "b"});
        if (colours)
            readColours(gathered(*colours));
        std::vector<double> values(rows());
        for (std::size_t k = 0; k < m_columns; ++k) {
            if (m_taken[k])
                continue;
            for (std::size_t i = 0; i < rows(); ++i)
                values[i] = value(i, k);
            cloud.fields.push_back(makeField(m_names[k], values, frame.offset(m_names[k])));
        }
    }
    // Whole numbers to 255, or fractions where none is larger than 1 and some are between.
    void readColours(const std::vector<double>& values)
    {
        const bool areFractions = std::all_of(values.begin(), values.end(), [](double v) { return v <= 1; }) &&
                                  std::any_of(values.begin(), values.end(), [](double v) { return v != std::floor(v); });
        for (const double value : values)
            m_file.mesh.points.colours.push_back(std::uint8_t(std::clamp(value >= 0 ? value * (areFractions ? 255 : 1) + 0.5 : 0.0, 0.0, 255.0)));
    }

    Scanner m_lines;
    std::string_view m_name;
    std::size_t m_lineNumber = 0, m_columns = 0;
    std::vector<double> m_values;
    std::vector<std::string> m_names;
    std::vector<bool> m_taken;
    CloudFile m_file;
};

}  // namespace

CloudFile parseXyz(std::string_view bytes, std::string_view name, std::stop_token stop)
{
    auto file = XyzParser(bytes, name, std::move(stop)).parse();
    file.format = "xyz";
    file.encoding = "text";
    return file;
}

void writeXyz(const TriangleMesh& mesh, char separator, const Append& append)
{
    const auto& cloud = mesh.points;
    std::vector<std::string> names = {"x", "y", "z"};
    if (cloud.hasNormals())
        names.insert(names.end(), {"nx", "ny", "nz"});
    if (cloud.hasColours())
        names.insert(names.end(), {"red", "green", "blue"});
    for (const auto& field : cloud.fields)
        names.push_back(plainName(field.name));
    Pieces<Append> out(append);
    for (const auto& comment : frameComments(cloud))
        out.text += fmt::format("# {}\n", comment);
    out.text += (separator == ' ' ? "# " : "") + core::join(names, std::string(1, separator)) + '\n';
    const auto put = [&](auto number) {
        appendNumber(out.text, number);
        out.text += separator;
    };
    const auto putWide = [&](double offset, float number) { offset == 0 ? put(number) : put(offset + double(number)); };
    for (std::size_t i = 0; i < cloud.size(); ++i) {
        for (std::size_t k = 0; k < 3; ++k)
            hasOrigin(cloud) ? put(cloud.origin[k] + double(cloud.positions[3 * i + k])) : put(cloud.positions[3 * i + k]);
        for (std::size_t k = 0; cloud.hasNormals() && k < 3; ++k)
            put(cloud.normals[3 * i + k]);
        for (std::size_t k = 0; cloud.hasColours() && k < 3; ++k)
            put(cloud.colours[3 * i + k]);
        for (const auto& field : cloud.fields)
            putWide(field.offset, field.values[i]);
        out.text.back() = '\n';  // in place of the last separator
        out.passOn();
    }
    out.passOn(true);
}

}  // namespace orrery::scene
