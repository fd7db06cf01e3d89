#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include <core/jobs/job.h>
#include <core/scene/workers.h>

#include "filters.h"
#include "kd_tree.h"
#include "points.h"

/// What filters share. Internal to core/scene/cloud.
namespace orrery::scene {

using Vector = std::array<double, 3>;

inline double dot(const Vector& a, const Vector& b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
inline Vector at(const PointCloud& cloud, std::size_t point)
{
    return {cloud.positions[3 * point], cloud.positions[3 * point + 1], cloud.positions[3 * point + 2]};
}

/// work(begin, end) over all points on the context's cores, in stretches between which the job can be stopped. `work` must not throw.
template <class Work>
void forPoints(jobs::Context& context, std::size_t count, const char* phase, const Work& work)
{
    constexpr std::size_t kStretch = 1 << 16, kGrain = 1 << 10;
    for (std::size_t begin = 0; begin < count; begin += kStretch) {
        context.pausePoint();
        context.progress(double(begin), double(count), "points", phase);
        const std::size_t length = std::min(kStretch, count - begin);
        shareOut(workerCount(context.threads()), length, kGrain, [&](std::size_t from, std::size_t to) { work(begin + from, begin + to); });
    }
    context.progress(double(count), double(count), "points", phase);
}

/// The points for which `stays` is not 0, in their order.
std::vector<std::uint32_t> indicesOf(const std::vector<std::uint8_t>& stays);

/// A symmetric 3x3 matrix taken apart by Jacobi rotations: values rising, vectors one a row. Source: Golub & Van Loan (2013), section 8.5.
struct Eigen3 {
    Vector values{};
    std::array<Vector, 3> vectors{};
};
Eigen3 eigenOf(std::array<Vector, 3> matrix);
/// Mean and covariance of some points, and what follows: the direction in which they spread least.
struct LocalShape {
    Vector mean{};
    Eigen3 axes;
};
LocalShape shapeOf(const PointCloud& cloud, std::span<const std::uint32_t> points);

}  // namespace orrery::scene
