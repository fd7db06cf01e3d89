#include "obj.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include <core/base/error.h>
#include <core/base/text.h>

#include "points.h"
#include "scan.h"

namespace orrery::scene {
namespace {

class ObjParser {
public:
    ObjParser(std::string_view bytes, std::string_view name, std::stop_token stop) : m_lines(bytes, name, 0, std::move(stop)), m_name(name) {}

    CloudFile parse()
    {
        while (!m_lines.isAtEnd()) {
            const auto line = m_lines.line();
            ++m_lineNumber;
            if (const auto comment = core::trim(line); comment.starts_with('#'))
                m_file.comments.emplace_back(core::trim(comment.substr(1)));
            else
                readLine(line);
        }
        m_file.format = "obj";
        m_file.encoding = "text";
        auto& cloud = m_file.mesh.points;
        setPositions(cloud, m_coordinates, frameOf(m_file.comments).origin);
        if (m_coloured == cloud.size() && m_coloured > 0)
            takeColours();
        takeNormals();
        for (const auto& [keyword, count] : m_skipped)
            m_file.leftOut.push_back(fmt::format("{} lines \"{}\"", count, printable(keyword)));
        finish(m_file, m_name);
        return std::move(m_file);
    }

private:
    struct Corner {
        std::uint32_t point = 0;
        std::int64_t normal = -1;
    };

    [[noreturn]] void fail(const std::string& what) const { throw core::FormatError(fmt::format("{}: line {}: {}", m_name, m_lineNumber, what)); }
    void readLine(std::string_view line)
    {
        Scanner words(line, m_name);
        const auto keyword = words.word();
        if (keyword == "v")
            readPoint(words);
        else if (keyword == "vn")
            readNormal(words);
        else if (keyword == "f")
            readFace(words);
        else if (keyword == "l")
            readLineStrip(words);
        else if (!keyword.empty() && keyword != "p" && m_skipped.size() < 20)
            ++m_skipped[std::string(keyword.substr(0, 20))];
    }
    double number(Scanner& words, const char* what) const
    {
        double value = 0;
        if (!words.number(value))
            fail(fmt::format("expected {}, got \"{}\"", what, printable(words.word().substr(0, 40))));
        return value;
    }
    void readPoint(Scanner& words)
    {
        for (int k = 0; k < 3; ++k)
            m_coordinates.push_back(number(words, "three coordinates"));
        std::array<double, 3> rest{};
        std::size_t count = 0;
        while (count < 3 && words.number(rest[count]))
            ++count;
        if (count == 3) {  // one more number alone would be a weight
            m_colours.insert(m_colours.end(), rest.begin(), rest.end());
            ++m_coloured;
        }
    }
    void readNormal(Scanner& words)
    {
        for (int k = 0; k < 3; ++k)
            m_normals.push_back(float(number(words, "three numbers of a normal")));
    }
    // From 1, or from -1 backwards, to from 0.
    std::uint32_t index(std::string_view word, std::size_t count, const char* what) const
    {
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        const std::int64_t known = std::int64_t(count);
        if (error != std::errc() || end != word.data() + word.size() || value == 0 || value > known || value < -known)
            fail(fmt::format("expected the number of one of the {} {} so far, got \"{}\"", count, what, printable(word.substr(0, 40))));
        return std::uint32_t(value > 0 ? value - 1 : known + value);
    }
    Corner corner(std::string_view word) const
    {
        const auto parts = word.find('/');
        Corner out;
        out.point = index(word.substr(0, parts), m_coordinates.size() / 3, "points");
        if (parts == std::string_view::npos)
            return out;
        if (const auto second = word.find('/', parts + 1); second != std::string_view::npos)
            out.normal = index(word.substr(second + 1), m_normals.size() / 3, "normals");
        return out;
    }
    void readFace(Scanner& words)
    {
        std::vector<Corner> corners;
        for (auto word = words.word(); !word.empty(); word = words.word()) {
            if (corners.size() == kMaxCorners)
                fail(fmt::format("expected a face of at most {} corners, got more", kMaxCorners));
            corners.push_back(corner(word));
        }
        if (corners.size() < 3)
            fail(fmt::format("expected at least three corners of a face, got {}", corners.size()));
        for (std::size_t i = 2; i < corners.size(); ++i)
            for (const auto& each : {corners[0], corners[i - 1], corners[i]})
                m_file.mesh.triangles.push_back(each.point);
        for (const auto& each : corners)
            if (each.normal >= 0) {
                m_inOrder &= each.normal == std::int64_t(each.point);
                m_normalOf.resize(std::max<std::size_t>(m_normalOf.size(), each.point + 1), -1);
                m_normalOf[each.point] = m_normalOf[each.point] < 0 ? each.normal : m_normalOf[each.point];
            }
    }
    void readLineStrip(Scanner& words)
    {
        std::vector<std::uint32_t> points;
        for (auto word = words.word(); !word.empty(); word = words.word())
            points.push_back(corner(word).point);
        if (points.size() < 2)
            fail(fmt::format("expected at least two points of a line, got {}", points.size()));
        for (std::size_t i = 1; i < points.size(); ++i)
            m_file.mesh.edges.insert(m_file.mesh.edges.end(), {points[i - 1], points[i]});
    }
    void takeColours()
    {
        const bool areBytes = std::any_of(m_colours.begin(), m_colours.end(), [](double value) { return value > 1; });
        for (const double value : m_colours)
            m_file.mesh.points.colours.push_back(std::uint8_t(std::clamp(value >= 0 ? value * (areBytes ? 1 : 255) + 0.5 : 0.0, 0.0, 255.0)));
    }
    // One a point in order, if the faces do not say otherwise.
    void takeNormals()
    {
        auto& cloud = m_file.mesh.points;
        if (m_inOrder && m_normals.size() == cloud.positions.size()) {
            cloud.normals = m_normals;
            return;
        }
        if (m_normalOf.empty())
            return;
        cloud.normals.resize(3 * cloud.size());
        for (std::size_t i = 0; i < m_normalOf.size(); ++i)
            for (std::size_t k = 0; m_normalOf[i] >= 0 && k < 3; ++k)
                cloud.normals[3 * i + k] = m_normals[3 * std::size_t(m_normalOf[i]) + k];
    }

    Scanner m_lines;
    std::string_view m_name;
    std::size_t m_lineNumber = 0, m_coloured = 0;
    std::vector<double> m_coordinates, m_colours;
    std::vector<float> m_normals;
    std::vector<std::int64_t> m_normalOf;  ///< by point; -1: none
    bool m_inOrder = true;                 ///< each corner's normal has the number of its point
    std::map<std::string, std::size_t> m_skipped;
    CloudFile m_file;
};

}  // namespace

CloudFile parseObj(std::string_view bytes, std::string_view name, std::stop_token stop)
{
    return ObjParser(bytes, name, std::move(stop)).parse();
}

void writeObj(const TriangleMesh& mesh, const Append& append)
{
    const auto& cloud = mesh.points;
    Pieces<Append> out(append);
    for (const auto& comment : frameComments(cloud))
        if (comment.starts_with("orrery origin"))  // fields are not kept, so neither are their offsets
            out.text += fmt::format("# {}\n", comment);
    const auto put = [&](auto number) {
        out.text += ' ';
        appendNumber(out.text, number);
    };
    for (std::size_t i = 0; i < cloud.size(); ++i) {
        out.text += 'v';
        for (std::size_t k = 0; k < 3; ++k)
            hasOrigin(cloud) ? put(cloud.origin[k] + double(cloud.positions[3 * i + k])) : put(cloud.positions[3 * i + k]);
        for (std::size_t k = 0; cloud.hasColours() && k < 3; ++k)
            put(float(cloud.colours[3 * i + k]) / 255);
        out.text += '\n';
        out.passOn();
    }
    for (std::size_t i = 0; i < cloud.normals.size(); ++i) {
        out.text += i % 3 == 0 ? "vn" : "";
        put(cloud.normals[i]);
        out.text += i % 3 == 2 ? "\n" : "";
    }
    for (std::size_t i = 0; i < mesh.triangles.size(); ++i) {
        out.text += i % 3 == 0 ? "f" : "";
        const std::size_t corner = std::size_t(mesh.triangles[i]) + 1;
        out.text += cloud.hasNormals() ? fmt::format(" {0}//{0}", corner) : fmt::format(" {}", corner);
        out.text += i % 3 == 2 ? "\n" : "";
        out.passOn();
    }
    for (std::size_t i = 0; i + 1 < mesh.edges.size(); i += 2)
        out.text += fmt::format("l {} {}\n", mesh.edges[i] + 1, mesh.edges[i + 1] + 1);
    out.passOn(true);
}

}  // namespace orrery::scene
