#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

/// Level of detail and picking of point clouds: what an interactive view needs besides the points themselves.
namespace orrery::scene {

/// A progressive order of points: every prefix is a spatially even subset, so that a view with a budget of n points draws the first n.
///
/// The levels are those of an octree over the bounding cube: level l adds one point for each cell of edge 1/2^l that has none yet, l at most 16; what is
/// left comes last. Within a level the
/// points stand in a bit-reversed order along the Morton curve, so that a prefix that ends inside a level is even, too.
struct Levels {
    std::vector<std::uint32_t> order;  ///< index of a point, coarse first: a permutation of all points
    std::vector<std::size_t> ends;     ///< ends[l]: number of points in levels 0 to l; the last one is the number of points
};

/// Cost O(n log n); memory 24 bytes a point while it runs. Points must be finite.
/// @param positions  x, y, z a point; at most 2^32 - 1 points.
/// @throws core::Cancelled
Levels makeLevels(std::span<const float> positions, std::stop_token stop = {});

struct PickedPoint {
    std::uint32_t point = 0;
    double depth = 0;     ///< along the ray
    double distance = 0;  ///< from the ray
};

/// What a pick accepts: points within `radius + slope * depth` of the ray. A perspective view gives a slope (tangent of the angle of a few pixels), a parallel
/// one a radius.
struct PickCone {
    std::array<double, 3> origin{}, direction{};  ///< in the frame of `positions`; the direction has length 1
    double radius = 0, slope = 0;
    /// Points outside (a clip box) are not seen: smallest and largest corner.
    std::optional<std::array<std::array<double, 3>, 2>> box;
};

/// The point a person means who points along the ray: in the cone, in front; of those the one with the smallest sum of depth and distance from the ray.
/// Nothing if there is none. O(n).
std::optional<PickedPoint> pickPoint(std::span<const float> positions, const PickCone& cone);

}  // namespace orrery::scene
