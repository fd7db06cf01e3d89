#include "surface.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include <core/scene/camera/vector.h>

#include "marching_cubes.h"

namespace orrery::scene {
namespace {

Vector3 pointOf(const PointCloud& cloud, std::uint32_t i)
{
    return {cloud.positions[3 * i], cloud.positions[3 * i + 1], cloud.positions[3 * i + 2]};
}

/// Mean of the faces' normals, weighted by their areas.
std::vector<float> vertexNormals(const TriangleMesh& mesh)
{
    std::vector<Vector3> sums(mesh.points.size());
    for (std::size_t t = 0; t < mesh.triangles.size(); t += 3) {
        const Vector3 a = pointOf(mesh.points, mesh.triangles[t]), b = pointOf(mesh.points, mesh.triangles[t + 1]),
                      c = pointOf(mesh.points, mesh.triangles[t + 2]);
        const Vector3 normal = cross(b - a, c - a);
        for (std::size_t k = 0; k < 3; ++k)
            sums[mesh.triangles[t + k]] = sums[mesh.triangles[t + k]] + normal;
    }
    std::vector<float> out;
    for (const Vector3& sum : sums) {
        const Vector3 n = length(sum) > 0 ? normalised(sum) : Vector3{0, 0, 1};
        out.insert(out.end(), {float(n[0]), float(n[1]), float(n[2])});
    }
    return out;
}

void colour(TriangleMesh& mesh, const FieldView& field, const std::stop_token& stop)
{
    auto& points = mesh.points;
    const auto count = std::int64_t(points.size());
    const at::Tensor places = at::from_blob(points.positions.data(), {count, 3}), towards = -at::from_blob(points.normals.data(), {count, 3});
    const at::Tensor bytes = (field.sample(places, towards, stop).radiance * 255).round().clamp(0, 255).to(at::kByte).contiguous();
    points.colours.assign(bytes.data_ptr<std::uint8_t>(), bytes.data_ptr<std::uint8_t>() + bytes.numel());
}

/// Densities at the places of a grid, one slice of x after another.
std::vector<float> densities(const FieldView& field, int edge, const std::stop_token& stop, const std::function<void(double)>& onProgress)
{
    const at::Tensor line = (at::arange(edge, at::kDouble) / double(edge - 1) - 0.5) * field.size();
    const auto grid = at::meshgrid({line, line}, "ij");
    const at::Tensor y = grid[0].reshape({-1}) + field.middle()[1], z = grid[1].reshape({-1}) + field.middle()[2];
    const at::Tensor up = at::zeros({y.numel(), 3});
    up.select(1, 2).fill_(1);
    std::vector<float> out;
    for (int x = 0; x < edge; ++x) {
        const at::Tensor places = at::stack({at::full_like(y, line[x].item<double>() + field.middle()[0]), y, z}, 1);
        const at::Tensor density = field.sample(places, up, stop).density.contiguous();
        out.insert(out.end(), density.data_ptr<float>(), density.data_ptr<float>() + density.numel());
        if (onProgress)
            onProgress(double(x + 1) / edge);
    }
    return out;
}

}  // namespace

TriangleMesh fieldSurface(const FieldView& field, const SurfaceOptions& options, const std::stop_token& stop,
                          const std::function<void(double)>& onProgress)
{
    if (options.resolution < 2 || options.resolution > 512 || !(options.density > 0))
        throw core::InputError(
            fmt::format("expected a resolution of 2 to 512 and a density above 0, got {} and {}", options.resolution, options.density));
    const std::vector<float> values = densities(field, options.resolution, stop, onProgress);
    const double spacing = field.size() / (options.resolution - 1);
    TriangleMesh mesh = marchingCubes(
        values, options.resolution, float(options.density),
        {field.middle()[0] - 0.5 * field.size(), field.middle()[1] - 0.5 * field.size(), field.middle()[2] - 0.5 * field.size()}, spacing);
    if (mesh.points.size() == 0)
        throw core::InputError(
            fmt::format("expected a field that gets denser than {}, its highest density is {:.4g}: train it longer, or ask for a lower density",
                        options.density, *std::max_element(values.begin(), values.end())));
    mesh.points.normals = vertexNormals(mesh);
    colour(mesh, field, stop);
    if (!options.triangles)
        mesh.triangles.clear();
    return mesh;
}

}  // namespace orrery::scene
