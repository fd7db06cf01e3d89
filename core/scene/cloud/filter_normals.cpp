// Normals from neighbours, and on which side they stand.
#include <fmt/format.h>

#include <queue>

#include <core/base/error.h>

#include "filter_parts.h"

namespace orrery::scene {
namespace {

Vector normalAt(const PointCloud& cloud, std::size_t i)
{
    return {cloud.normals[3 * i], cloud.normals[3 * i + 1], cloud.normals[3 * i + 2]};
}

void flip(PointCloud& cloud, std::size_t i)
{
    for (std::size_t k = 0; k < 3; ++k)
        cloud.normals[3 * i + k] = -cloud.normals[3 * i + k];
}

void estimate(PointCloud& cloud, const KdTree& tree, std::size_t neighbours, jobs::Context& context)
{
    cloud.normals.assign(cloud.positions.size(), 0);
    auto& curvature = setField(cloud, "curvature");
    forPoints(context, cloud.size(), "normals", [&](std::size_t begin, std::size_t end) {
        std::vector<Neighbour> found;
        std::vector<std::uint32_t> points;
        for (std::size_t i = begin; i < end; ++i) {
            tree.nearest(&cloud.positions[3 * i], neighbours, found);
            points.clear();
            for (const auto& each : found)
                points.push_back(each.point);
            const auto axes = shapeOf(cloud, points).axes;
            for (std::size_t k = 0; k < 3; ++k)
                cloud.normals[3 * i + k] = float(axes.vectors[0][k]);
            const double sum = axes.values[0] + axes.values[1] + axes.values[2];
            curvature[i] = sum > 0 ? float(std::max(axes.values[0], 0.0) / sum) : 0;
        }
    });
}

// Along a minimum spanning tree of the neighbours' graph, where an edge costs the more the more its normals differ; each piece starts at its highest point,
// whose normal looks up.
void orientConsistently(PointCloud& cloud, const KdTree& tree, std::size_t neighbours, jobs::Context& context)
{
    struct Step {
        double cost;
        std::uint32_t from, to;
        bool operator<(const Step& other) const { return cost > other.cost; }  // the cheapest on top
    };
    std::vector<std::uint32_t> byHeight(cloud.size());
    for (std::size_t i = 0; i < byHeight.size(); ++i)
        byHeight[i] = std::uint32_t(i);
    std::sort(byHeight.begin(), byHeight.end(), [&](std::uint32_t a, std::uint32_t b) {
        const float za = cloud.positions[3 * std::size_t(a) + 2], zb = cloud.positions[3 * std::size_t(b) + 2];
        return za != zb ? za > zb : a < b;
    });
    std::vector<std::uint8_t> isDone(cloud.size());
    std::vector<Neighbour> found;
    std::priority_queue<Step> steps;
    std::size_t done = 0;
    const auto reach = [&](std::uint32_t point) {
        isDone[point] = 1;
        if (++done % 65536 == 0) {
            context.pausePoint();
            context.progress(double(done), double(cloud.size()), "points", "orientation");
        }
        tree.nearest(&cloud.positions[3 * std::size_t(point)], neighbours, found);
        for (const auto& each : found)
            if (!isDone[each.point])
                steps.push({1 - std::abs(dot(normalAt(cloud, point), normalAt(cloud, each.point))), point, each.point});
    };
    for (const auto start : byHeight) {
        if (isDone[start])
            continue;
        if (cloud.normals[3 * std::size_t(start) + 2] < 0)
            flip(cloud, start);
        reach(start);
        while (!steps.empty()) {
            const Step step = steps.top();
            steps.pop();
            if (isDone[step.to])
                continue;
            if (dot(normalAt(cloud, step.from), normalAt(cloud, step.to)) < 0)
                flip(cloud, step.to);
            reach(step.to);
        }
    }
}

void orientTowards(PointCloud& cloud, const Vector& viewpoint)
{
    for (std::size_t i = 0; i < cloud.size(); ++i) {
        Vector towards = viewpoint;
        for (std::size_t k = 0; k < 3; ++k)
            towards[k] -= cloud.origin[k] + double(cloud.positions[3 * i + k]);
        if (dot(towards, normalAt(cloud, i)) < 0)
            flip(cloud, i);
    }
}

Vector viewpointOf(const core::Json& parameters)
{
    const auto& given = parameters.at("viewpoint");
    if (given.size() != 3)
        throw core::InputError(fmt::format("normals: expected three coordinates of viewpoint, got {}", given.size()));
    return {given[0].get<double>(), given[1].get<double>(), given[2].get<double>()};
}

FilterResult normals(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t, jobs::Context& context)
{
    FilterResult result{mesh, core::Json::object()};
    auto& cloud = result.mesh.points;
    if (cloud.size() < 3)
        throw core::InputError(fmt::format("normals: expected at least three points, got {}", cloud.size()));
    const auto neighbours = parameters.at("neighbours").get<std::size_t>();
    const KdTree tree(cloud.positions);
    estimate(cloud, tree, neighbours, context);
    const auto orient = parameters.at("orient").get<std::string>();
    if (orient == "consistent")
        orientConsistently(cloud, tree, neighbours, context);
    else if (orient == "viewpoint")
        orientTowards(cloud, viewpointOf(parameters));
    else if (orient == "up")
        for (std::size_t i = 0; i < cloud.size(); ++i)
            if (cloud.normals[3 * i + 2] < 0)
                flip(cloud, i);
    return result;
}

}  // namespace

void addNormals(FilterRegistry& registry)
{
    core::Component component{
        "normals",
        "Normals",
        "The direction in which a point's neighbours spread least, and the field curvature: that part of their variance.",
        "Hoppe et al. (1992), \"Surface reconstruction from unorganized points\", sections 3.2 and 3.3, doi:10.1145/133994.134011",
        {core::integer("neighbours", 16, "How many nearest points, itself among them, a normal is taken from.").range(3, 1000),
         core::choice("orient", {"consistent", "viewpoint", "up", "none"}, "consistent",
                      "Which side: neighbours alike and the highest point upwards, towards the viewpoint, upwards, or as it comes."),
         core::list("viewpoint", core::real("", 0, ""), core::Json::array({0, 0, 0}), "Where the scanner stood.").when("orient", {"viewpoint"})}};
    registry.add(std::move(component), normals);
}

}  // namespace orrery::scene
