// Points that stand apart.
#include "filter_parts.h"

namespace orrery::scene {
namespace {

FilterResult statisticalOutlier(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t, jobs::Context& context)
{
    const auto& cloud = mesh.points;
    const auto neighbours = parameters.at("neighbours").get<std::size_t>();
    const KdTree tree(cloud.positions);
    std::vector<double> mean(cloud.size());
    forPoints(context, cloud.size(), "distances", [&](std::size_t begin, std::size_t end) {
        std::vector<Neighbour> found;
        for (std::size_t i = begin; i < end; ++i) {
            tree.nearest(&cloud.positions[3 * i], neighbours + 1, found);  // itself, or its double, at distance 0
            double sum = 0;
            for (const auto& each : found)
                sum += std::sqrt(each.squared);
            mean[i] = found.size() > 1 ? sum / double(found.size() - 1) : 0;
        }
    });
    double sum = 0, squares = 0;
    for (const double each : mean)
        sum += each;
    const double average = sum / double(mean.size());
    for (const double each : mean)
        squares += (each - average) * (each - average);
    const double deviation = mean.size() > 1 ? std::sqrt(squares / double(mean.size() - 1)) : 0;
    const double limit = average + parameters.at("deviations").get<double>() * deviation;
    std::vector<std::uint8_t> stays(cloud.size());
    for (std::size_t i = 0; i < mean.size(); ++i)
        stays[i] = mean[i] <= limit;
    return {select(mesh, indicesOf(stays)), {{"mean_distance", average}, {"deviation", deviation}, {"limit", limit}}};
}

FilterResult radiusOutlier(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t, jobs::Context& context)
{
    const auto& cloud = mesh.points;
    const auto wanted = parameters.at("neighbours").get<std::size_t>();
    const auto radius = parameters.at("radius").get<double>();
    const KdTree tree(cloud.positions);
    std::vector<std::uint8_t> stays(cloud.size());
    forPoints(context, cloud.size(), "neighbours", [&](std::size_t begin, std::size_t end) {
        std::vector<Neighbour> found;
        for (std::size_t i = begin; i < end; ++i) {
            // The nearest ones suffice: the last of them is within the radius or not.
            tree.nearest(&cloud.positions[3 * i], wanted + 1, found);
            stays[i] = found.size() == wanted + 1 && found.back().squared <= radius * radius;
        }
    });
    return {select(mesh, indicesOf(stays)), core::Json::object()};
}

}  // namespace

void addStatisticalOutlier(FilterRegistry& registry)
{
    core::Component component{"statistical_outlier",
                              "Statistical outliers",
                              "Leaves out points whose mean distance to their neighbours is far above the average.",
                              "Rusu et al. (2008), \"Towards 3D Point cloud based object maps for household environments\", section 4.1",
                              {core::integer("neighbours", 20, "How many nearest neighbours are looked at.").range(1, 1000),
                               core::real("deviations", 2, "How many standard deviations above the average are allowed.").atLeast(0)}};
    registry.add(std::move(component), statisticalOutlier);
}

void addRadiusOutlier(FilterRegistry& registry)
{
    core::Component component{"radius_outlier",
                              "Radius outliers",
                              "Leaves out points with too few neighbours within a radius.",
                              "Rusu & Cousins (2011), \"3D is here: Point Cloud Library (PCL)\", doi:10.1109/ICRA.2011.5980567",
                              {core::required(core::real("radius", 0, "Within which neighbours count, in the unit of the coordinates.").above(0)),
                               core::integer("neighbours", 5, "How many neighbours a point needs, itself not counted.").range(1, 1000)}};
    registry.add(std::move(component), radiusOutlier);
}

}  // namespace orrery::scene
