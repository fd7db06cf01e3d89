// Fewer points: one for each voxel, a random choice, a box.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include <core/base/error.h>
#include <core/base/rng.h>

#include "filter_parts.h"

namespace orrery::scene {
namespace {

struct Keyed {
    std::uint64_t cell;
    std::uint32_t point;
    bool operator<(const Keyed& other) const { return cell != other.cell ? cell < other.cell : point < other.point; }
};

// The voxel of each point; 21 bits an axis.
std::vector<Keyed> cellsOf(const PointCloud& cloud, double size)
{
    const auto box = *bounds(cloud);
    std::array<double, 3> low{};
    for (std::size_t k = 0; k < 3; ++k) {
        double lowest = std::numeric_limits<double>::infinity();  // of the positions themselves: through the origin it would be rounded
        for (std::size_t i = k; i < cloud.positions.size(); i += 3)
            lowest = std::min(lowest, double(cloud.positions[i]));
        low[k] = std::floor(lowest / size);
        if (!(box.extent(k) / size < 2e6))
            throw core::InputError(
                fmt::format("voxel: size {} is too small for an extent of {}: expected at least {}", size, box.extent(k), box.extent(k) / 2e6));
    }
    std::vector<Keyed> cells(cloud.size());
    for (std::size_t i = 0; i < cloud.size(); ++i) {
        std::uint64_t cell = 0;
        for (std::size_t k = 0; k < 3; ++k)
            cell = cell << 21 | std::uint64_t(std::floor(double(cloud.positions[3 * i + k]) / size) - low[k]);
        cells[i] = {cell, std::uint32_t(i)};
    }
    return cells;
}

// Means over groups of points: group g is members[starts[g]] to members[starts[g + 1]].
struct Groups {
    std::vector<Keyed> members;
    std::vector<std::size_t> starts;
    std::size_t count() const { return starts.size() - 1; }
};

template <class Value>
std::vector<Value> meansOf(const Groups& groups, const std::vector<Value>& values, std::size_t width, double rounding)
{
    std::vector<Value> out(values.empty() ? 0 : groups.count() * width);
    for (std::size_t g = 0; g < groups.count() && !values.empty(); ++g)
        for (std::size_t k = 0; k < width; ++k) {
            double sum = 0;
            for (std::size_t i = groups.starts[g]; i < groups.starts[g + 1]; ++i)
                sum += double(values[width * groups.members[i].point + k]);
            out[g * width + k] = Value(sum / double(groups.starts[g + 1] - groups.starts[g]) + rounding);
        }
    return out;
}

PointCloud meanCloud(const PointCloud& cloud, const Groups& groups)
{
    PointCloud out;
    out.origin = cloud.origin;
    out.positions = meansOf(groups, cloud.positions, 3, 0);
    out.normals = meansOf(groups, cloud.normals, 3, 0);
    tidyNormals(out);
    out.colours = meansOf(groups, cloud.colours, 3, 0.5);
    for (const auto& field : cloud.fields)
        out.fields.push_back({field.name, meansOf(groups, field.values, 1, 0), field.offset});
    return out;
}

// Triangles and edges between voxels; those that fall into fewer than `width` of them go.
std::vector<std::uint32_t> clustered(const std::vector<std::uint32_t>& corners, std::size_t width, const std::vector<std::uint32_t>& groupOf)
{
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i + width <= corners.size(); i += width) {
        bool isFlat = false;
        for (std::size_t k = 0; k < width; ++k)
            isFlat |= groupOf[corners[i + k]] == groupOf[corners[i + (k + 1) % width]];
        for (std::size_t k = 0; !isFlat && k < width; ++k)
            out.push_back(groupOf[corners[i + k]]);
    }
    return out;
}

FilterResult voxel(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t, jobs::Context& context)
{
    context.progress(0, 2, "steps", "voxels");
    Groups groups;
    groups.members = cellsOf(mesh.points, parameters.at("size").get<double>());
    std::sort(groups.members.begin(), groups.members.end());
    context.pausePoint();
    context.progress(1, 2, "steps", "voxels");
    std::vector<std::uint32_t> groupOf(mesh.points.size()), firsts;
    for (std::size_t i = 0; i < groups.members.size(); ++i) {
        if (i == 0 || groups.members[i].cell != groups.members[i - 1].cell) {
            groups.starts.push_back(i);
            firsts.push_back(groups.members[i].point);
        }
        groupOf[groups.members[i].point] = std::uint32_t(groups.starts.size() - 1);
    }
    groups.starts.push_back(groups.members.size());
    FilterResult result;
    result.mesh.points = parameters.at("take") == "mean" ? meanCloud(mesh.points, groups) : select(mesh.points, firsts);
    result.mesh.triangles = clustered(mesh.triangles, 3, groupOf);
    result.mesh.edges = clustered(mesh.edges, 2, groupOf);
    result.details = {{"voxels", groups.count()}};
    return result;
}

FilterResult randomChoice(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t seed, jobs::Context& context)
{
    const std::size_t points = mesh.points.size();
    const auto& given = parameters.at("count");
    const std::size_t count = given.is_null() ? std::size_t(std::llround(parameters.at("fraction").get<double>() * double(points)))
                                              : std::min<std::size_t>(points, given.get<std::size_t>());
    // The first `count` places of a shuffle, then in the order of the file.
    std::vector<std::uint32_t> order(points);
    std::iota(order.begin(), order.end(), 0u);
    core::SplitMix64 random(seed);
    for (std::size_t i = 0; i < count; ++i)
        std::swap(order[i], order[i + random.below(points - i)]);
    order.resize(count);
    context.pausePoint();
    std::sort(order.begin(), order.end());
    return {select(mesh, order), core::Json::object()};
}

std::array<double, 3> corner(const core::Json& parameters, const char* name, double missing)
{
    const auto& given = parameters.at(name);
    if (given.is_null())
        return {missing, missing, missing};
    if (given.size() != 3)
        throw core::InputError(fmt::format("crop: expected three coordinates of {}, got {}", name, given.size()));
    return {given[0].get<double>(), given[1].get<double>(), given[2].get<double>()};
}

FilterResult crop(const TriangleMesh& mesh, const core::Json& parameters, std::uint64_t, jobs::Context& context)
{
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const auto low = corner(parameters, "low", -kInfinity), high = corner(parameters, "high", kInfinity);
    for (std::size_t k = 0; k < 3; ++k)
        if (low[k] > high[k])
            throw core::InputError(fmt::format("crop: expected low <= high, got {} > {} of axis {}", low[k], high[k], "xyz"[k]));
    const bool outside = parameters.at("outside").get<bool>();
    const auto& cloud = mesh.points;
    std::vector<std::uint8_t> stays(cloud.size());
    forPoints(context, cloud.size(), "cropping", [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) {
            bool isIn = true;
            for (std::size_t k = 0; k < 3; ++k) {
                const double coordinate = cloud.origin[k] + double(cloud.positions[3 * i + k]);
                isIn &= coordinate >= low[k] && coordinate <= high[k];
            }
            stays[i] = isIn != outside;
        }
    });
    return {select(mesh, indicesOf(stays)), core::Json::object()};
}

}  // namespace

void addVoxel(FilterRegistry& registry)
{
    core::Component component{
        "voxel",
        "Voxel grid",
        "One point for each occupied cell of a grid; triangles and edges are drawn between cells.",
        "Rossignac & Borrel (1993), \"Multi-resolution 3D approximations for rendering complex scenes\", section 3 (vertex clustering)",
        {core::required(core::real("size", 0, "Edge of a cell, in the unit of the coordinates.").above(0)),
         core::choice("take", {"mean", "first"}, "mean", "Mean of the cell's points in every respect, or its first point as it is.")}};
    registry.add(std::move(component), voxel);
}

void addRandom(FilterRegistry& registry)
{
    core::Component component{"random",
                              "Random choice",
                              "Some points, each with the same probability; the order of the file stays.",
                              "Knuth (1997), \"Seminumerical Algorithms\", algorithm 3.4.2P, stopped early",
                              {core::real("fraction", 0.1, "Which part of the points stays, where no count is given.").range(0, 1),
                               core::integer("count", 0, "How many points stay; more than there are: all.").atLeast(1).noneByDefault()}};
    registry.add(std::move(component), randomChoice);
}

void addCrop(FilterRegistry& registry)
{
    const auto coordinate = core::real("", 0, "");
    core::Component component{"crop",
                              "Crop box",
                              "The points inside a box, or those outside.",
                              "Elementary",
                              {core::list("low", coordinate, nullptr, "Smallest x, y, z that stay, in the file's coordinates.").noneByDefault(),
                               core::list("high", coordinate, nullptr, "Largest x, y, z that stay.").noneByDefault(),
                               core::boolean("outside", false, "Keep what is outside the box instead.")}};
    registry.add(std::move(component), crop);
}

}  // namespace orrery::scene
