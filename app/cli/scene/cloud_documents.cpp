#include "cloud_documents.h"

#include <fmt/format.h>

#include <iostream>

#include <core/base/schema.h>
#include <core/base/text.h>
#include <core/scene/cloud/formats.h>
#include <core/scene/cloud/points.h>

namespace orrery::cli {

core::Json cloudJson(const scene::TriangleMesh& mesh)
{
    core::Json document = {{"points", mesh.points.size()}, {"triangles", mesh.triangleCount()}, {"edges", mesh.edgeCount()}, {"bounds", nullptr}};
    if (const auto box = scene::bounds(mesh.points))
        document["bounds"] = {{"low", box->low}, {"high", box->high}};
    document["origin"] = mesh.points.origin;
    document["normals"] = mesh.points.hasNormals();
    document["colours"] = mesh.points.hasColours();
    document["bytes"] = scene::bytesOf(mesh);
    return document;
}

void printCloud(const scene::TriangleMesh& mesh)
{
    std::cout << fmt::format("  {} points, {} triangles, {} edges; {}{}{} in memory\n", mesh.points.size(), mesh.triangleCount(), mesh.edgeCount(),
                             mesh.points.hasColours() ? "colours; " : "", mesh.points.hasNormals() ? "normals; " : "",
                             core::formatBytes(scene::bytesOf(mesh)));
    // Coordinates without an origin are float: their shortest text says all of them.
    const auto text = [&](double value) { return scene::hasOrigin(mesh.points) ? core::formatNumber(value) : fmt::format("{}", float(value)); };
    if (const auto box = scene::bounds(mesh.points))
        for (std::size_t k = 0; k < 3; ++k)
            std::cout << fmt::format("  {} from {} to {}\n", "xyz"[k], text(box->low[k]), text(box->high[k]));
}

void printNotices(const scene::CloudFile& file)
{
    if (file.dropped > 0)
        std::cerr << fmt::format("left out: {} points whose coordinates are NaN or infinite\n", file.dropped);
    for (const auto& each : file.leftOut)
        std::cerr << "left out: " << each << "\n";
}

std::vector<std::string> writeWithNotices(const std::string& file, const scene::TriangleMesh& mesh, const std::vector<std::string>& parameters)
{
    core::Json settings = core::Json::object();
    for (const auto& assignment : parameters)
        core::setByPath(settings, assignment);
    const auto lost = scene::lostWhenWritten(mesh, scene::formatForWriting(file));
    scene::writeCloud(file, mesh, settings);
    for (const auto& each : lost)
        std::cerr << fmt::format("{} has no place for: {}\n", scene::formatForWriting(file), each);
    return lost;
}

}  // namespace orrery::cli
