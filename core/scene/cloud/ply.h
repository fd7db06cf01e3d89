#pragma once
#include <stop_token>
#include <string_view>

#include "cloud_file.h"
#include "ply_header.h"

/// PLY: points with any properties, faces, edges; text or binary of either byte order.
namespace orrery::scene {

/// `vertex`: x, y, z; nx, ny, nz; red, green, blue (also r, g, b, and with `diffuse_`); every other number becomes a field. `face`: polygons are cut into fans.
/// `edge`: vertex1, vertex2. Other elements and lists are skipped and named in `leftOut`. Any thread.
/// @throws core::FormatError that names the file, the place, what was expected and found. Memory is taken after counts are checked against the length.
CloudFile parsePly(std::string_view bytes, std::string_view name, std::stop_token stop = {});

/// What we read of these bytes is the same mesh to the last bit, and written again gives the same bytes.
void writePly(const TriangleMesh& mesh, PlyEncoding encoding, const Append& append);

}  // namespace orrery::scene
