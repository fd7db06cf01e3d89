#pragma once
#include <stop_token>
#include <string_view>

#include "cloud_file.h"

/// Wavefront OBJ: points, edges and meshes as text.
namespace orrery::scene {

/// `v` (with colours behind the coordinates where they stand), `vn` as far as faces give a point one normal, `f` (polygons are cut into fans), `l` as edges;
/// indices count from 1, or backwards from the last. Texture coordinates, groups, materials and free forms are left out. Any thread.
/// @throws core::FormatError with the line.
CloudFile parseObj(std::string_view bytes, std::string_view name, std::stop_token stop = {});
/// Fields have no place in OBJ. What we read of these bytes, written again, gives the same bytes.
void writeObj(const TriangleMesh& mesh, const Append& append);

}  // namespace orrery::scene
