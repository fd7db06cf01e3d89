#pragma once
#include <stop_token>
#include <string_view>

#include "cloud_file.h"

/// PCD, the format of the Point Cloud Library, version 0.7 (and what of 0.5 and 0.6 is the same).
/// Source: Point Cloud Library, "The PCD (Point Cloud Data) file format".
namespace orrery::scene {

enum class PcdEncoding { Ascii, Binary, BinaryCompressed };
/// "ascii", "binary", "binary_compressed".
std::string_view pcdEncodingName(PcdEncoding encoding);

bool isPcd(std::string_view bytes);
/// x, y, z; normal_x, normal_y, normal_z; rgb or rgba packed into 32 bits; every other number becomes a field (`name_0`, `name_1`, ... where COUNT is more
/// than 1). Any thread. @throws core::FormatError; memory is taken after sizes are checked against the length.
CloudFile parsePcd(std::string_view bytes, std::string_view name, std::stop_token stop = {});
/// Triangles and edges have no place in PCD. What we read of these bytes, written again, gives the same bytes.
void writePcd(const TriangleMesh& mesh, PcdEncoding encoding, const Append& append);

}  // namespace orrery::scene
