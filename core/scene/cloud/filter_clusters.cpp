// Groups of points that hang together.
#include <algorithm>
#include <map>

#include "filter_parts.h"

namespace orrery::scene {
namespace {

// DBSCAN: a core point has `minimum` points within the radius, itself among them. Clusters are numbered in the order of their first core point; a point on
// the border of two belongs to the first.
std::vector<float> labels(const PointCloud& cloud, double radius, std::size_t minimum, jobs::Context& context)
{
    const KdTree tree(cloud.positions);
    std::vector<std::uint8_t> isCore(cloud.size());
    forPoints(context, cloud.size(), "neighbours", [&](std::size_t begin, std::size_t end) {
        std::vector<Neighbour> found;
        for (std::size_t i = begin; i < end; ++i) {
            tree.nearest(&cloud.positions[3 * i], minimum, found);
            isCore[i] = found.size() == minimum && found.back().squared <= radius * radius;
        }
    });
    std::vector<float> label(cloud.size(), -1);
    std::vector<Neighbour> found;
    std::vector<std::uint32_t> front;
    float next = 0;
    std::size_t done = 0;
    for (std::size_t start = 0; start < cloud.size(); ++start) {
        if (!isCore[start] || label[start] >= 0)
            continue;
        label[start] = next;
        front.assign(1, std::uint32_t(start));
        while (!front.empty()) {
            const auto point = front.back();
            front.pop_back();
            if (++done % 4096 == 0) {
                context.pausePoint();
                context.progress(double(done), double(cloud.size()), "points", "clusters");
            }
            tree.within(&cloud.positions[3 * std::size_t(point)], radius, found);
            for (const auto& each : found) {
                if (label[each.point] >= 0)
                    continue;
                label[each.point] = next;
                if (isCore[each.point])
                    front.push_back(each.point);
            }
        }
        ++next;
    }
    return label;
}

FilterResult clusters(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t, jobs::Context& context)
{
    const auto label = labels(mesh.points, parameters.at("radius").get<double>(), parameters.at("minimum").get<std::size_t>(), context);
    std::map<float, std::size_t> sizes;
    for (const float each : label)
        ++sizes[each];
    const std::size_t noise = sizes.contains(-1) ? sizes[-1] : 0;
    sizes.erase(-1);
    std::vector<std::size_t> largest;
    for (const auto& [id, size] : sizes)
        largest.push_back(size);
    std::sort(largest.rbegin(), largest.rend());
    largest.resize(std::min<std::size_t>(largest.size(), 20));
    FilterResult result{{}, {{"clusters", sizes.size()}, {"noise", noise}, {"largest", largest}}};
    result.mesh = mesh;
    setField(result.mesh.points, "cluster") = label;
    if (parameters.at("keep") == "all")
        return result;
    std::vector<std::uint8_t> stays(label.size());
    const auto top = std::max_element(sizes.begin(), sizes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    for (std::size_t i = 0; i < label.size(); ++i)
        stays[i] = parameters.at("keep") == "clustered" ? label[i] >= 0 : top != sizes.end() && label[i] == top->first;
    result.mesh = select(result.mesh, indicesOf(stays));
    return result;
}

}  // namespace

void addClusters(FilterRegistry& registry)
{
    core::Component component{
        "clusters",
        "Clusters (DBSCAN)",
        "Groups points that are densely connected: the field cluster, from 0; -1 for noise.",
        "Ester, Kriegel, Sander & Xu (1996), \"A density-based algorithm for discovering clusters\", KDD-96",
        {core::required(core::real("radius", 0, "Within which points are neighbours, in the unit of the coordinates.").above(0)),
         core::integer("minimum", 10, "How many points, itself among them, make a point a core.").range(1, 10000),
         core::choice("keep", {"all", "clustered", "largest"}, "all", "All points, those in a cluster, or those of the largest one.")}};
    registry.add(std::move(component), clusters);
}

}  // namespace orrery::scene
