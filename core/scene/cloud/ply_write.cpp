#include <fmt/format.h>

#include <set>

#include "ply.h"
#include "scan.h"

namespace orrery::scene {
namespace {

/// Values one after another, as text or as bytes.
class PlyValues {
public:
    PlyValues(PlyEncoding encoding, const Append& append) : m_pieces(append), m_encoding(encoding) {}

    void text(std::string_view words) { m_pieces.text += words; }
    template <class Number>
    void value(Number number)
    {
        if (m_encoding == PlyEncoding::Ascii) {
            appendNumber(m_pieces.text, number);
            m_pieces.text += ' ';
        } else
            appendBytes(m_pieces.text, number, m_encoding == PlyEncoding::BinaryLittleEndian ? std::endian::little : std::endian::big);
    }
    void endEntry()
    {
        if (m_encoding == PlyEncoding::Ascii)
            m_pieces.text.back() = '\n';  // in place of the last blank
        m_pieces.passOn();
    }
    void end() { m_pieces.passOn(true); }

private:
    Pieces<Append> m_pieces;
    PlyEncoding m_encoding;
};

// Names of properties are words that differ.
std::vector<std::string> fieldNames(const PointCloud& cloud)
{
    std::set<std::string> used = {"x", "y", "z"};
    if (cloud.hasNormals())
        used.insert({"nx", "ny", "nz"});
    if (cloud.hasColours())
        used.insert({"red", "green", "blue"});
    std::vector<std::string> names;
    for (const auto& field : cloud.fields) {
        std::string name = plainName(field.name);
        while (!used.insert(name).second)
            name += '_';
        names.push_back(std::move(name));
    }
    return names;
}

std::string header(const TriangleMesh& mesh, PlyEncoding encoding)
{
    const auto& cloud = mesh.points;
    std::string out = fmt::format("ply\nformat {} 1.0\n", plyEncodingName(encoding));
    for (const auto& comment : frameComments(cloud))
        out += fmt::format("comment {}\n", comment);
    out += fmt::format("element vertex {}\n", cloud.size());
    for (const char* axis : {"x", "y", "z"})
        out += fmt::format("property {} {}\n", hasOrigin(cloud) ? "double" : "float", axis);
    if (cloud.hasNormals())
        out += "property float nx\nproperty float ny\nproperty float nz\n";
    if (cloud.hasColours())
        out += "property uchar red\nproperty uchar green\nproperty uchar blue\n";
    const auto names = fieldNames(cloud);
    for (std::size_t i = 0; i < names.size(); ++i)
        out += fmt::format("property {} {}\n", cloud.fields[i].offset == 0 ? "float" : "double", names[i]);
    if (!mesh.triangles.empty())
        out += fmt::format("element face {}\nproperty list uchar int vertex_indices\n", mesh.triangleCount());
    if (!mesh.edges.empty())
        out += fmt::format("element edge {}\nproperty int vertex1\nproperty int vertex2\n", mesh.edgeCount());
    return out + "end_header\n";
}

void writePoint(const PointCloud& cloud, std::size_t i, bool isWide, PlyValues& out)
{
    for (std::size_t k = 0; k < 3; ++k)
        if (isWide)
            out.value(cloud.origin[k] + double(cloud.positions[3 * i + k]));
        else
            out.value(cloud.positions[3 * i + k]);
    for (std::size_t k = 0; cloud.hasNormals() && k < 3; ++k)
        out.value(cloud.normals[3 * i + k]);
    for (std::size_t k = 0; cloud.hasColours() && k < 3; ++k)
        out.value(cloud.colours[3 * i + k]);
    for (const auto& field : cloud.fields)
        if (field.offset == 0)
            out.value(field.values[i]);
        else
            out.value(field.offset + double(field.values[i]));
    out.endEntry();
}

}  // namespace

void writePly(const TriangleMesh& mesh, PlyEncoding encoding, const Append& append)
{
    PlyValues out(encoding, append);
    out.text(header(mesh, encoding));
    const bool isWide = hasOrigin(mesh.points);
    for (std::size_t i = 0; i < mesh.points.size(); ++i)
        writePoint(mesh.points, i, isWide, out);
    for (std::size_t i = 0; i < mesh.triangles.size(); ++i) {
        if (i % 3 == 0)
            out.value(std::uint8_t(3));
        out.value(std::int32_t(mesh.triangles[i]));
        if (i % 3 == 2)
            out.endEntry();
    }
    for (std::size_t i = 0; i + 1 < mesh.edges.size(); i += 2) {
        out.value(std::int32_t(mesh.edges[i]));
        out.value(std::int32_t(mesh.edges[i + 1]));
        out.endEntry();
    }
    out.end();
}

}  // namespace orrery::scene
