#include "filters.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>

#include "filter_parts.h"

namespace orrery::scene {
namespace {

// The one list of filters.
FilterRegistry makeFilters()
{
    FilterRegistry registry("cloud_filter", "Filters of point clouds");
    addVoxel(registry);
    addRandom(registry);
    addCrop(registry);
    addStatisticalOutlier(registry);
    addRadiusOutlier(registry);
    addNormals(registry);
    addPlane(registry);
    addClusters(registry);
    return registry;
}

void rotate(std::array<Vector, 3>& a, std::array<Vector, 3>& v, std::size_t p, std::size_t q)
{
    if (a[p][q] == 0)
        return;
    const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
    const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
    const double c = 1 / std::sqrt(t * t + 1), s = t * c;
    for (std::size_t k = 0; k < 3; ++k) {
        const double kp = a[k][p], kq = a[k][q];
        a[k][p] = c * kp - s * kq;
        a[k][q] = s * kp + c * kq;
    }
    for (std::size_t k = 0; k < 3; ++k) {
        const double pk = a[p][k], qk = a[q][k];
        a[p][k] = c * pk - s * qk;
        a[q][k] = s * pk + c * qk;
        const double vp = v[p][k], vq = v[q][k];
        v[p][k] = c * vp - s * vq;
        v[q][k] = s * vp + c * vq;
    }
}

}  // namespace

const FilterRegistry& cloudFilters()
{
    static const FilterRegistry registry = makeFilters();
    return registry;
}

FilterResult applyFilter(const TriangleMesh& mesh, std::string_view id, const core::Json& parameters, std::uint64_t seed, jobs::Context& context)
{
    const auto resolved = cloudFilters().at(id).schema.resolve(parameters, std::string(id));
    if (mesh.points.size() == 0)
        throw core::InputError(fmt::format("{}: expected at least one point, got none", id));
    auto result = cloudFilters().factory(id)(mesh, resolved, seed, context);
    if (result.mesh.points.size() == 0)
        throw core::InputError(fmt::format("{}: none of the {} points would be left; nothing was changed", id, mesh.points.size()));
    return result;
}

std::vector<std::uint32_t> indicesOf(const std::vector<std::uint8_t>& stays)
{
    std::vector<std::uint32_t> points;
    for (std::size_t i = 0; i < stays.size(); ++i)
        if (stays[i])
            points.push_back(std::uint32_t(i));
    return points;
}

Eigen3 eigenOf(std::array<Vector, 3> matrix)
{
    std::array<Vector, 3> vectors = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    for (int sweep = 0; sweep < 12; ++sweep)
        for (const auto& [p, q] : {std::pair<std::size_t, std::size_t>{0, 1}, {0, 2}, {1, 2}})
            rotate(matrix, vectors, p, q);
    std::array<std::size_t, 3> order = {0, 1, 2};
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return matrix[a][a] < matrix[b][b]; });
    Eigen3 out;
    for (std::size_t k = 0; k < 3; ++k) {
        out.values[k] = matrix[order[k]][order[k]];
        out.vectors[k] = vectors[order[k]];
    }
    return out;
}

LocalShape shapeOf(const PointCloud& cloud, std::span<const std::uint32_t> points)
{
    LocalShape shape;
    for (const auto point : points)
        for (std::size_t k = 0; k < 3; ++k)
            shape.mean[k] += double(cloud.positions[3 * std::size_t(point) + k]) / double(points.size());
    std::array<Vector, 3> covariance{};
    for (const auto point : points) {
        Vector d = at(cloud, point);
        for (std::size_t k = 0; k < 3; ++k)
            d[k] -= shape.mean[k];
        for (std::size_t i = 0; i < 3; ++i)
            for (std::size_t j = 0; j < 3; ++j)
                covariance[i][j] += d[i] * d[j] / double(points.size());
    }
    shape.axes = eigenOf(covariance);
    return shape;
}

}  // namespace orrery::scene
