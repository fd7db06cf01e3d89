#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloud.h"

/// Files of point clouds and meshes: what a reader gives. Each format has one file with its reader and one with its writer; formats.h lists them.
namespace orrery::scene {

/// What a file held. Every index is in range, every array has its full length, every position is finite.
struct CloudFile {
    TriangleMesh mesh;
    std::string format;                 ///< id of the format: "ply"
    std::string encoding;               ///< "binary_little_endian", "LAS 1.2, point format 3"
    std::vector<std::string> comments;  ///< as they stand in the file, without their mark
    std::size_t dropped = 0;            ///< points whose position was NaN or infinite: they are left out
    std::vector<std::string> leftOut;   ///< what else was not taken over, in words: "element camera (3 entries)"
};

/// Appends bytes to a file that is being written.
using Append = std::function<void(std::string_view)>;

/// The frame of coordinates, which our writers keep in comments: `orrery origin X Y Z`, `orrery offset FIELD V`.
struct Frame {
    std::optional<std::array<double, 3>> origin;
    std::map<std::string, double> offsets;  ///< by field
    std::optional<double> offset(const std::string& field) const;
};
Frame frameOf(const std::vector<std::string>& comments);
std::vector<std::string> frameComments(const PointCloud& cloud);

/// Any coordinates that need double: a writer stores them as such.
bool hasOrigin(const PointCloud& cloud);

/// @throws core::FormatError if a triangle or an edge names a point that is not there: `m.obj: triangle 3 uses point 9; there are 8 points`.
void checkIndices(const TriangleMesh& mesh, std::string_view name);
/// The end of every reader: normals tidied, indices checked, points without a finite position dropped.
/// @throws core::FormatError if no point is left.
void finish(CloudFile& file, std::string_view name);

}  // namespace orrery::scene
