#pragma once
#include <core/base/json.h>
#include <core/scene/cloud/cloud_file.h>

/// What the commands on point clouds print alike.
namespace orrery::cli {

/// Points, faces, edges, bounds, what is known of a point, memory.
core::Json cloudJson(const scene::TriangleMesh& mesh);
void printCloud(const scene::TriangleMesh& mesh);
/// On standard error: points that were dropped, and what was not taken over.
void printNotices(const scene::CloudFile& file);
/// Writes the file as `parameters` (key=value) of its format say, and tells on standard error what the format has no place for.
/// @return that, in words.
std::vector<std::string> writeWithNotices(const std::string& file, const scene::TriangleMesh& mesh, const std::vector<std::string>& parameters);

}  // namespace orrery::cli
