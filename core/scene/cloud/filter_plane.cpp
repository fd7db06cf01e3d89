// The largest plane.
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/rng.h>

#include "filter_parts.h"

namespace orrery::scene {
namespace {

/// normal . x + offset = 0, in the frame of `positions`.
struct Plane {
    Vector normal{};
    double offset = 0;
    double distance(const Vector& point) const { return std::abs(dot(normal, point) + offset); }
};

std::optional<Plane> through(const Vector& a, const Vector& b, const Vector& c)
{
    const Vector u = {b[0] - a[0], b[1] - a[1], b[2] - a[2]}, v = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
    Vector n = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]};
    const double length = std::sqrt(dot(n, n));
    if (!(length > 1e-9 * std::sqrt(dot(u, u) * dot(v, v))))
        return {};
    for (double& each : n)
        each /= length;
    return Plane{n, -dot(n, a)};
}

std::vector<std::uint32_t> inliers(const PointCloud& cloud, const Plane& plane, double distance)
{
    std::vector<std::uint32_t> points;
    for (std::size_t i = 0; i < cloud.size(); ++i)
        if (plane.distance(at(cloud, i)) <= distance)
            points.push_back(std::uint32_t(i));
    return points;
}

std::size_t countInliers(const PointCloud& cloud, const Plane& plane, double distance)
{
    const float n[3] = {float(plane.normal[0]), float(plane.normal[1]), float(plane.normal[2])}, offset = float(plane.offset),
                limit = float(distance);
    std::size_t count = 0;
    for (std::size_t i = 0; i < cloud.positions.size(); i += 3)
        count += std::abs(n[0] * cloud.positions[i] + n[1] * cloud.positions[i + 1] + n[2] * cloud.positions[i + 2] + offset) <= limit;
    return count;
}

// How many draws find three points of the plane with 99.99 % certainty, if that part of the points is on it.
double drawsNeeded(double part)
{
    const double allThree = part * part * part;
    return allThree >= 1 ? 1 : allThree > 0 ? std::log(1e-4) / std::log1p(-allThree) : 1e300;
}

Plane bestOfDraws(const PointCloud& cloud, double distance, std::size_t draws, std::uint64_t seed, jobs::Context& context)
{
    core::SplitMix64 random(seed);
    Plane best;
    std::size_t most = 0;
    for (std::size_t draw = 0; draw < draws && double(draw) < drawsNeeded(double(most) / double(cloud.size())); ++draw) {
        context.pausePoint();
        context.progress(double(draw), double(draws), "draws", "plane");
        std::array<std::size_t, 3> points{};
        for (auto& point : points)
            point = random.below(cloud.size());
        const auto plane = through(at(cloud, points[0]), at(cloud, points[1]), at(cloud, points[2]));
        const std::size_t count = plane ? countInliers(cloud, *plane, distance) : 0;
        if (count > most) {
            most = count;
            best = *plane;
        }
    }
    if (most == 0)
        throw core::InputError("plane: no three points span a plane; all lie on a line, or the draws were too few");
    return best;
}

// The least-squares plane of the inliers, twice: the first fit may take in more.
Plane refined(const PointCloud& cloud, Plane plane, double distance)
{
    for (int i = 0; i < 2; ++i) {
        const auto points = inliers(cloud, plane, distance);
        if (points.size() < 3)
            return plane;
        const auto shape = shapeOf(cloud, points);
        plane = {shape.axes.vectors[0], -dot(shape.axes.vectors[0], shape.mean)};
    }
    return plane;
}

core::Json describe(const PointCloud& cloud, const Plane& plane, std::size_t count)
{
    Vector normal = plane.normal;
    double offset = plane.offset - dot(normal, cloud.origin);
    // One of the two ways to write it: the largest part of the normal is positive.
    const auto largest = std::max_element(normal.begin(), normal.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
    if (*largest < 0) {
        offset = -offset;
        for (double& each : normal)
            each = -each;
    }
    return {{"plane", {normal[0], normal[1], normal[2], offset}}, {"inliers", count}};
}

FilterResult plane(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t seed, jobs::Context& context)
{
    const auto& cloud = mesh.points;
    if (cloud.size() < 3)
        throw core::InputError(fmt::format("plane: expected at least three points, got {}", cloud.size()));
    const auto distance = parameters.at("distance").get<double>();
    const auto found = refined(cloud, bestOfDraws(cloud, distance, parameters.at("draws").get<std::size_t>(), seed, context), distance);
    const auto on = inliers(cloud, found, distance);
    FilterResult result{{}, describe(cloud, found, on.size())};
    const auto keep = parameters.at("keep").get<std::string>();
    std::vector<std::uint8_t> isOn(cloud.size());
    for (const auto point : on)
        isOn[point] = 1;
    if (keep == "all") {
        result.mesh = mesh;
        setField(result.mesh.points, "plane").assign(isOn.begin(), isOn.end());
        return result;
    }
    for (auto& each : isOn)
        each = each == (keep == "plane");
    result.mesh = select(mesh, indicesOf(isOn));
    return result;
}

}  // namespace

void addPlane(FilterRegistry& registry)
{
    core::Component component{
        "plane",
        "Plane (RANSAC)",
        "Finds the plane that most points lie on; marks it, keeps it, or takes it away.",
        "Fischler & Bolles (1981), \"Random sample consensus\", doi:10.1145/358669.358692; refined by least squares",
        {core::required(core::real("distance", 0, "How far from the plane a point may lie, in the unit of the coordinates.").above(0)),
         core::integer("draws", 1000, "Draws of three points at most; fewer where the plane is found with 99.99 % certainty before.")
             .range(1, 1000000),
         core::choice("keep", {"all", "plane", "rest"}, "all", "All points with a field plane (1 on it), those on it, or the others.")}};
    registry.add(std::move(component), plane);
}

}  // namespace orrery::scene
