#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cloud.h"

/// What readers, filters and views do with whole clouds.
namespace orrery::scene {

/// Smallest and largest coordinates, in the file's frame (origin included).
struct Bounds {
    std::array<double, 3> low{}, high{};
    double extent(std::size_t axis) const { return high[axis] - low[axis]; }
    double diagonal() const;
};
/// Nothing for a cloud without points.
std::optional<Bounds> bounds(const PointCloud& cloud);

/// The points at these indices, in their order, with everything that is known of them.
PointCloud select(const PointCloud& cloud, std::span<const std::uint32_t> points);
/// The same; triangles and edges stay where all of their points do.
TriangleMesh select(const TriangleMesh& mesh, std::span<const std::uint32_t> points);

/// Points with a NaN or infinite coordinate are left out. @return how many those were.
std::size_t dropNonFinite(TriangleMesh& mesh);

/// Bytes that the arrays take.
std::size_t bytesOf(const TriangleMesh& mesh);
/// Nothing if there is none of that name.
const PointField* findField(const PointCloud& cloud, std::string_view name);
PointField* findField(PointCloud& cloud, std::string_view name);
/// The field of that name, replaced or added, with one value a point.
std::vector<float>& setField(PointCloud& cloud, std::string_view name);

/// Positions of coordinates that a file holds in double. Where float would lose more than a millionth of the extent, an origin is taken off: the centre,
/// rounded to whole units. NaN and infinite coordinates stay what they are.
void setPositions(PointCloud& cloud, std::span<const double> coordinates, const std::optional<std::array<double, 3>>& origin = {});
/// The same for a field: numbers beyond 2^20 are kept relative to the smallest, rounded down.
PointField makeField(std::string name, std::span<const double> values, const std::optional<double>& offset = {});
/// Normals are given length 1 where they are off by more than a thousandth; NaN becomes 0, 0, 0: not known.
void tidyNormals(PointCloud& cloud);

}  // namespace orrery::scene
