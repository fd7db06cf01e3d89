#pragma once
#include <array>
#include <cstdint>
#include <span>

#include <core/scene/cloud/cloud.h>

namespace orrery::scene {

/// The surface where a field crosses `level`: larger values are inside, triangles are counter-clockwise seen from outside, corners are shared.
/// Closed unless it meets the grid's border. Where opposite corners of a face are inside, they are kept apart, on both sides alike: there are no cracks.
/// @param values  [edge, edge, edge], z fastest; NaN counts as outside.
/// @param low, spacing  Place of the first value and distance between two.
/// Source: Lorensen & Cline (1987), "Marching cubes", doi:10.1145/37401.37422; the 256 cases are derived at start instead of being tabulated.
/// @throws core::ShapeError unless there are edge^3 values with edge in 2..1024.
TriangleMesh marchingCubes(std::span<const float> values, int edge, float level, const std::array<double, 3>& low, double spacing);

}  // namespace orrery::scene
