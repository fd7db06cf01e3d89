#include <fmt/format.h>

#include <limits>

#include <core/base/error.h>

#include "lzf.h"
#include "pcd.h"
#include "scan.h"

namespace orrery::scene {
namespace {

struct Column {
    std::string name;
    char type;
    int size;
    std::function<double(std::size_t point)> value;
};

std::vector<Column> columnsOf(const PointCloud& cloud)
{
    std::vector<Column> columns;
    for (std::size_t k = 0; k < 3; ++k)
        columns.push_back({std::string(1, char('x' + k)), 'F', hasOrigin(cloud) ? 8 : 4,
                           [&cloud, k](std::size_t i) { return cloud.origin[k] + double(cloud.positions[3 * i + k]); }});
    for (std::size_t k = 0; cloud.hasNormals() && k < 3; ++k)
        columns.push_back({fmt::format("normal_{}", char('x' + k)), 'F', 4, [&cloud, k](std::size_t i) { return double(cloud.normals[3 * i + k]); }});
    if (cloud.hasColours())
        columns.push_back({"rgb", 'U', 4, [&cloud](std::size_t i) {
                               const auto* colour = cloud.colours.data() + 3 * i;
                               return double(std::uint32_t(colour[0]) << 16 | std::uint32_t(colour[1]) << 8 | colour[2]);
                           }});
    for (const auto& field : cloud.fields)
        columns.push_back(
            {plainName(field.name), 'F', field.offset == 0 ? 4 : 8, [&field](std::size_t i) { return field.offset + double(field.values[i]); }});
    return columns;
}

template <class Each>
std::string line(const char* keyword, const std::vector<Column>& columns, const Each& each)
{
    std::string out = keyword;
    for (const auto& column : columns)
        out += fmt::format(" {}", each(column));
    return out + '\n';
}

std::string header(const PointCloud& cloud, const std::vector<Column>& columns, PcdEncoding encoding)
{
    std::string out = "# .PCD v0.7 - Point Cloud Data file format\n";
    for (const auto& comment : frameComments(cloud))
        out += fmt::format("# {}\n", comment);
    out += "VERSION 0.7\n";
    out += line("FIELDS", columns, [](const Column& column) { return column.name; });
    out += line("SIZE", columns, [](const Column& column) { return column.size; });
    out += line("TYPE", columns, [](const Column& column) { return column.type; });
    out += line("COUNT", columns, [](const Column&) { return 1; });
    return out + fmt::format("WIDTH {0}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {0}\nDATA {1}\n", cloud.size(), pcdEncodingName(encoding));
}

void appendValue(std::string& out, const Column& column, double value)
{
    if (column.type == 'U')
        appendBytes(out, std::uint32_t(value));
    else if (column.size == 8)
        appendBytes(out, value);
    else
        appendBytes(out, float(value));
}

void appendText(std::string& out, const Column& column, double value)
{
    if (column.type == 'U' || column.size == 8)
        appendNumber(out, value);
    else
        appendNumber(out, float(value));
}

void writePoints(const std::vector<Column>& columns, std::size_t points, bool isText, const Append& append)
{
    Pieces<Append> pieces(append);
    for (std::size_t i = 0; i < points; ++i) {
        for (const auto& column : columns)
            if (isText) {
                appendText(pieces.text, column, column.value(i));
                pieces.text += &column == &columns.back() ? '\n' : ' ';
            } else
                appendValue(pieces.text, column, column.value(i));
        pieces.passOn();
    }
    pieces.passOn(true);
}

void writeCompressed(const std::vector<Column>& columns, std::size_t points, const Append& append)
{
    std::string planes;
    for (const auto& column : columns)
        for (std::size_t i = 0; i < points; ++i)
            appendValue(planes, column, column.value(i));
    const std::string packed = lzfCompress(planes);
    if (planes.size() > std::numeric_limits<std::uint32_t>::max() || packed.size() > std::numeric_limits<std::uint32_t>::max())
        throw core::InputError(fmt::format("binary_compressed holds at most 4 GiB, these points take {} bytes; write binary instead", planes.size()));
    std::string sizes;
    appendBytes(sizes, std::uint32_t(packed.size()));
    appendBytes(sizes, std::uint32_t(planes.size()));
    append(sizes);
    append(packed);
}

}  // namespace

void writePcd(const TriangleMesh& mesh, PcdEncoding encoding, const Append& append)
{
    const auto columns = columnsOf(mesh.points);
    append(header(mesh.points, columns, encoding));
    if (encoding == PcdEncoding::BinaryCompressed)
        writeCompressed(columns, mesh.points.size(), append);
    else
        writePoints(columns, mesh.points.size(), encoding == PcdEncoding::Ascii, append);
}

}  // namespace orrery::scene
