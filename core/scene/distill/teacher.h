#pragma once
#include <core/graph/executor.h>
#include <core/jobs/job.h>
#include <core/scene/field/views.h>

/// Internal to core/scene/distill: what a trained field says of itself, asked once and kept.
namespace orrery::scene {

/// Uniform numbers in [0, 1), from (seed, name).
at::Tensor drawnUniform(at::IntArrayRef sizes, std::uint64_t seed, const char* name);

/// Largest density among random places of each cell, [edge, edge, edge]. @param perEdge  perEdge^3 places a cell, one in each part of it.
/// @throws core::InputError if a density is not finite.
at::Tensor measuredOccupancy(const FieldView& teacher, std::int64_t edge, std::int64_t perEdge, std::uint64_t seed, jobs::Context& context);

/// What the teacher says at places in occupied cells.
struct Lesson {
    at::Tensor positions;   ///< [n, 3] in the cube [-0.5, 0.5]^3
    at::Tensor directions;  ///< [n, 3] of length 1 / size of the cube, as rows of rays have them
    at::Tensor density, radiance;
};
/// @throws core::InputError if no cell is denser than `threshold`: the message gives the highest density.
Lesson lessonOf(const FieldView& teacher, const at::Tensor& occupancy, double threshold, std::int64_t points, std::uint64_t seed,
                jobs::Context& context);

/// Rays in the cube's coordinates and their colours.
struct RayLesson {
    at::Tensor rays;     ///< [n, 6]
    at::Tensor colours;  ///< [n, 3]
};
/// Rays from a sphere around the scene through random places in it, in the teacher's colours.
RayLesson raysOfTeacher(const FieldView& teacher, std::int64_t count, std::uint64_t seed, jobs::Context& context);

}  // namespace orrery::scene
