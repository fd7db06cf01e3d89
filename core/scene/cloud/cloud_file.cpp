#include "cloud_file.h"

#include <fmt/format.h>

#include <cmath>

#include <core/base/error.h>

#include "points.h"
#include "scan.h"

namespace orrery::scene {
namespace {

std::optional<std::array<double, 3>> finiteTriple(Scanner& words)
{
    std::array<double, 3> out{};
    for (double& value : out)
        if (!words.number(value) || !std::isfinite(value))
            return {};
    return out;
}

void checkCorners(const std::vector<std::uint32_t>& corners, std::size_t width, std::size_t points, std::string_view name, const char* what)
{
    for (std::size_t i = 0; i < corners.size(); ++i)
        if (corners[i] >= points)
            throw core::FormatError(
                fmt::format("{}: {} {} uses point {}; there are {} points, counted from 0", name, what, i / width, corners[i], points));
}

}  // namespace

std::optional<double> Frame::offset(const std::string& field) const
{
    const auto at = offsets.find(field);
    return at == offsets.end() ? std::nullopt : std::optional(at->second);
}

Frame frameOf(const std::vector<std::string>& comments)
{
    Frame frame;
    for (const auto& comment : comments) {
        Scanner words(comment, "comment");
        if (words.word() != "orrery")
            continue;
        const auto kind = words.word();
        if (kind == "origin")
            frame.origin = finiteTriple(words);
        double value = 0;
        if (const auto field = words.word(); kind == "offset" && words.number(value) && std::isfinite(value))
            frame.offsets[std::string(field)] = value;
    }
    return frame;
}

std::vector<std::string> frameComments(const PointCloud& cloud)
{
    std::vector<std::string> comments;
    if (hasOrigin(cloud))
        comments.push_back(fmt::format("orrery origin {} {} {}", cloud.origin[0], cloud.origin[1], cloud.origin[2]));
    for (const auto& field : cloud.fields)
        if (field.offset != 0)
            comments.push_back(fmt::format("orrery offset {} {}", plainName(field.name), field.offset));
    return comments;
}

bool hasOrigin(const PointCloud& cloud)
{
    return cloud.origin != std::array<double, 3>{};
}

void checkIndices(const TriangleMesh& mesh, std::string_view name)
{
    checkCorners(mesh.triangles, 3, mesh.points.size(), name, "triangle");
    checkCorners(mesh.edges, 2, mesh.points.size(), name, "edge");
}

void finish(CloudFile& file, std::string_view name)
{
    checkIndices(file.mesh, name);
    if (file.mesh.points.size() == 0)
        throw core::FormatError(fmt::format("{}: expected at least one point, got none", name));
    file.dropped = dropNonFinite(file.mesh);
    if (file.mesh.points.size() == 0)
        throw core::FormatError(
            fmt::format("{}: expected at least one point with finite coordinates; all {} are NaN or infinite", name, file.dropped));
    tidyNormals(file.mesh.points);
}

}  // namespace orrery::scene
