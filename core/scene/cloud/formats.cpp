#include "formats.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/scene/field/synthesis.h>

#include "las.h"
#include "obj.h"
#include "pcd.h"
#include "ply.h"
#include "xyz.h"

namespace orrery::scene {
namespace {

constexpr std::size_t kShapesPoints = 200000;

using FormatRegistry = core::Registry<CloudFormat>;

void addPly(FormatRegistry& registry)
{
    core::Component component{"ply",
                              "PLY",
                              "Points, faces and edges with any properties, text or binary.",
                              "Turk (1994), \"The PLY Polygon File Format\"",
                              {core::choice("encoding", {"ascii", "binary_little_endian", "binary_big_endian"}, "binary_little_endian",
                                            "Text, or binary with the least or the most significant byte first.")}};
    const auto write = [](const TriangleMesh& mesh, const core::Json& parameters, const Append& append) {
        const auto encoding = parameters.at("encoding").get<std::string>();
        writePly(mesh,
                 encoding == "ascii"               ? PlyEncoding::Ascii
                 : encoding == "binary_big_endian" ? PlyEncoding::BinaryBigEndian
                                                   : PlyEncoding::BinaryLittleEndian,
                 append);
    };
    registry.add(std::move(component), {{".ply"}, isPly, parsePly, write, true, true, true, true, true});
}

void addPcd(FormatRegistry& registry)
{
    core::Component component{
        "pcd",
        "PCD",
        "Points of the Point Cloud Library: text, binary or compressed with LZF.",
        "Point Cloud Library, \"The PCD (Point Cloud Data) file format\", version 0.7",
        {core::choice("encoding", {"ascii", "binary", "binary_compressed"}, "binary", "Text, binary, or binary compressed with LZF.")}};
    const auto write = [](const TriangleMesh& mesh, const core::Json& parameters, const Append& append) {
        const auto encoding = parameters.at("encoding").get<std::string>();
        writePcd(mesh, encoding == "ascii" ? PcdEncoding::Ascii : encoding == "binary" ? PcdEncoding::Binary : PcdEncoding::BinaryCompressed, append);
    };
    registry.add(std::move(component), {{".pcd"}, isPcd, parsePcd, write, true, true, true, false, false});
}

void addLas(FormatRegistry& registry)
{
    core::Component component{"las",
                              "LAS",
                              "Laser scans, uncompressed: intensity, classification, returns, GPS time, colour.",
                              "ASPRS (2019), \"LAS Specification 1.4 - R15\"",
                              {}};
    const auto write = [](const TriangleMesh& mesh, const core::Json&, const Append& append) { writeLas(mesh, append); };
    registry.add(std::move(component), {{".las"}, isLas, parseLas, write, false, true, true, false, false});
}

void addXyz(FormatRegistry& registry)
{
    core::Component component{
        "xyz", "XYZ", "A text line of numbers a point, apart by blanks; names in a comment.", "No standard; as CloudCompare and MeshLab read it", {}};
    const auto write = [](const TriangleMesh& mesh, const core::Json&, const Append& append) { writeXyz(mesh, ' ', append); };
    registry.add(std::move(component), {{".xyz", ".txt", ".pts", ".asc"}, {}, parseXyz, write, true, true, true, false, false});
}

void addCsv(FormatRegistry& registry)
{
    core::Component component{"csv",
                              "CSV",
                              "A table of points with a header: x, y, z and what else is known.",
                              "RFC 4180, numbers without quotes",
                              {core::choice("separator", {"comma", "semicolon", "tab"}, "comma", "What stands between two numbers.")}};
    const auto write = [](const TriangleMesh& mesh, const core::Json& parameters, const Append& append) {
        const auto separator = parameters.at("separator").get<std::string>();
        writeXyz(mesh, separator == "comma" ? ',' : separator == "tab" ? '\t' : ';', append);
    };
    const auto parse = [](std::string_view bytes, std::string_view name, std::stop_token stop) {
        auto file = parseXyz(bytes, name, std::move(stop));
        file.format = "csv";
        return file;
    };
    registry.add(std::move(component), {{".csv", ".tsv"}, {}, parse, write, true, true, true, false, false});
}

void addObj(FormatRegistry& registry)
{
    core::Component component{
        "obj", "OBJ", "Points, faces and lines as text, with normals and colours.", "Wavefront Technologies, \"Object Files (.obj)\"", {}};
    const auto write = [](const TriangleMesh& mesh, const core::Json&, const Append& append) { writeObj(mesh, append); };
    registry.add(std::move(component), {{".obj"}, {}, parseObj, write, true, true, false, true, true});
}

// The one list of formats.
FormatRegistry makeFormats()
{
    FormatRegistry registry("cloud_format", "Files of point clouds and meshes");
    addPly(registry);
    addPcd(registry);
    addLas(registry);
    addXyz(registry);
    addCsv(registry);
    addObj(registry);
    return registry;
}

std::string findByExtension(const std::filesystem::path& file)
{
    const std::string extension = core::lower(file.extension().string());
    for (const auto& id : cloudFormats().ids()) {
        const auto& known = cloudFormats().factory(id).extensions;
        if (std::find(known.begin(), known.end(), extension) != known.end())
            return id;
    }
    return {};
}

std::string allExtensions()
{
    std::vector<std::string> all;
    for (const auto& id : cloudFormats().ids())
        for (const auto& extension : cloudFormats().factory(id).extensions)
            all.push_back(extension);
    return core::join(all, " ");
}

}  // namespace

const FormatRegistry& cloudFormats()
{
    static const FormatRegistry registry = makeFormats();
    return registry;
}

CloudFile readCloud(const std::filesystem::path& path, std::stop_token stop)
{
    if (path == kShapesName)
        return {shapesCloud(kShapesPoints), "built-in", "made, not read", {}, 0, {}};
    std::error_code error;
    if (!std::filesystem::exists(path, error) && !error)
        throw core::InputError(fmt::format("{}: no such file", path.string()));
    const core::MappedFile file(path);
    if (file.text().empty())
        throw core::FormatError(fmt::format("{}: expected points, but the file is empty", path.string()));
    for (const auto& id : cloudFormats().ids())
        if (const auto& format = cloudFormats().factory(id); format.recognises && format.recognises(file.text()))
            return format.parse(file.text(), path.string(), stop);
    const auto id = findByExtension(path);
    if (id.empty())
        throw core::InputError(fmt::format("{}: not a known file of points; known extensions: {}", path.string(), allExtensions()));
    return cloudFormats().factory(id).parse(file.text(), path.string(), stop);
}

std::string formatForWriting(const std::filesystem::path& file)
{
    const auto id = findByExtension(file);
    if (id.empty())
        throw core::InputError(fmt::format("{}: the extension does not name a format of points; expected one of {}", file.string(), allExtensions()));
    return id;
}

void writeCloud(const std::filesystem::path& file, const TriangleMesh& mesh, const core::Json& parameters)
{
    const auto id = formatForWriting(file);
    const auto resolved = cloudFormats().at(id).schema.resolve(parameters, id);
    core::writeFileAtomically(file, [&](const Append& append) { cloudFormats().factory(id).write(mesh, resolved, append); });
}

std::vector<std::string> lostWhenWritten(const TriangleMesh& mesh, std::string_view id)
{
    const auto& format = cloudFormats().factory(id);
    std::vector<std::string> lost;
    if (mesh.points.hasNormals() && !format.keepsNormals)
        lost.push_back("normals");
    if (mesh.points.hasColours() && !format.keepsColours)
        lost.push_back("colours");
    for (const auto& field : mesh.points.fields)
        if (!format.keepsFields || (id == "las" && !isLasField(field.name)))
            lost.push_back("field " + field.name);
    if (mesh.triangleCount() > 0 && !format.keepsTriangles)
        lost.push_back(fmt::format("{} triangles", mesh.triangleCount()));
    if (mesh.edgeCount() > 0 && !format.keepsEdges)
        lost.push_back(fmt::format("{} edges", mesh.edgeCount()));
    return lost;
}

}  // namespace orrery::scene
