#include "points.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace orrery::scene {
namespace {

constexpr std::uint32_t kGone = std::numeric_limits<std::uint32_t>::max();

// The corners `width` at a time whose points all stay, renumbered.
std::vector<std::uint32_t> renumbered(const std::vector<std::uint32_t>& corners, std::size_t width, const std::vector<std::uint32_t>& newIndex)
{
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i + width <= corners.size(); i += width) {
        bool stays = true;
        for (std::size_t k = 0; k < width; ++k)
            stays &= newIndex[corners[i + k]] != kGone;
        for (std::size_t k = 0; stays && k < width; ++k)
            out.push_back(newIndex[corners[i + k]]);
    }
    return out;
}

template <class Value>
std::vector<Value> gathered(const std::vector<Value>& values, std::size_t width, std::span<const std::uint32_t> points)
{
    std::vector<Value> out;
    if (values.empty())
        return out;
    out.resize(points.size() * width);
    for (std::size_t i = 0; i < points.size(); ++i)
        for (std::size_t k = 0; k < width; ++k)
            out[i * width + k] = values[points[i] * width + k];
    return out;
}

std::pair<double, double> finiteRange(std::span<const double> values, std::size_t first, std::size_t step)
{
    std::pair<double, double> range = {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    for (std::size_t i = first; i < values.size(); i += step)
        if (std::isfinite(values[i]))
            range = {std::min(range.first, values[i]), std::max(range.second, values[i])};
    return range;
}

std::array<double, 3> chooseOrigin(std::span<const double> coordinates)
{
    std::array<double, 3> centre{};
    double extent = 0, largest = 0;
    for (std::size_t k = 0; k < 3; ++k) {
        const auto [low, high] = finiteRange(coordinates, k, 3);
        if (!(low <= high))
            return {};
        centre[k] = std::round(low / 2 + high / 2);
        extent = std::max(extent, high - low);
        largest = std::max({largest, std::abs(low), std::abs(high)});
    }
    // Float has 24 bits: with 16 times the extent, 20 are left for it.
    return largest > 16 * extent ? centre : std::array<double, 3>{};
}

}  // namespace

double Bounds::diagonal() const
{
    return std::hypot(extent(0), extent(1), extent(2));
}

std::optional<Bounds> bounds(const PointCloud& cloud)
{
    if (cloud.size() == 0)
        return {};
    std::array<float, 3> low, high;
    low.fill(std::numeric_limits<float>::infinity());
    high.fill(-std::numeric_limits<float>::infinity());
    for (std::size_t i = 0; i + 2 < cloud.positions.size(); i += 3)
        for (std::size_t k = 0; k < 3; ++k) {
            low[k] = std::min(low[k], cloud.positions[i + k]);
            high[k] = std::max(high[k], cloud.positions[i + k]);
        }
    Bounds out;
    for (std::size_t k = 0; k < 3; ++k) {
        out.low[k] = cloud.origin[k] + double(low[k]);
        out.high[k] = cloud.origin[k] + double(high[k]);
    }
    return out;
}

PointCloud select(const PointCloud& cloud, std::span<const std::uint32_t> points)
{
    PointCloud out;
    out.origin = cloud.origin;
    out.positions = gathered(cloud.positions, 3, points);
    out.normals = gathered(cloud.normals, 3, points);
    out.colours = gathered(cloud.colours, 3, points);
    for (const auto& field : cloud.fields)
        out.fields.push_back({field.name, gathered(field.values, 1, points), field.offset});
    return out;
}

TriangleMesh select(const TriangleMesh& mesh, std::span<const std::uint32_t> points)
{
    TriangleMesh out;
    out.points = select(mesh.points, points);
    if (mesh.triangles.empty() && mesh.edges.empty())
        return out;
    std::vector<std::uint32_t> newIndex(mesh.points.size(), kGone);
    for (std::size_t i = 0; i < points.size(); ++i)
        newIndex[points[i]] = std::uint32_t(i);
    out.triangles = renumbered(mesh.triangles, 3, newIndex);
    out.edges = renumbered(mesh.edges, 2, newIndex);
    return out;
}

std::size_t dropNonFinite(TriangleMesh& mesh)
{
    const auto& positions = mesh.points.positions;
    const auto isFinite = [&](std::size_t i) {
        return std::isfinite(positions[3 * i]) && std::isfinite(positions[3 * i + 1]) && std::isfinite(positions[3 * i + 2]);
    };
    const std::size_t count = mesh.points.size();
    std::size_t first = 0;
    while (first < count && isFinite(first))
        ++first;
    if (first == count)
        return 0;
    std::vector<std::uint32_t> kept;
    for (std::size_t i = 0; i < count; ++i)
        if (isFinite(i))
            kept.push_back(std::uint32_t(i));
    mesh = select(mesh, kept);
    return count - kept.size();
}

std::size_t bytesOf(const TriangleMesh& mesh)
{
    const auto& points = mesh.points;
    std::size_t bytes = points.colours.size() + sizeof(float) * (points.positions.size() + points.normals.size());
    for (const auto& field : points.fields)
        bytes += sizeof(float) * field.values.size();
    return bytes + sizeof(std::uint32_t) * (mesh.triangles.size() + mesh.edges.size());
}

const PointField* findField(const PointCloud& cloud, std::string_view name)
{
    const auto at = std::find_if(cloud.fields.begin(), cloud.fields.end(), [&](const PointField& field) { return field.name == name; });
    return at == cloud.fields.end() ? nullptr : &*at;
}

PointField* findField(PointCloud& cloud, std::string_view name)
{
    return const_cast<PointField*>(findField(std::as_const(cloud), name));
}

std::vector<float>& setField(PointCloud& cloud, std::string_view name)
{
    auto* field = findField(cloud, name);
    if (!field)
        field = &cloud.fields.emplace_back(PointField{std::string(name), {}, 0});
    field->offset = 0;
    field->values.assign(cloud.size(), 0);
    return field->values;
}

void setPositions(PointCloud& cloud, std::span<const double> coordinates, const std::optional<std::array<double, 3>>& origin)
{
    cloud.origin = origin ? *origin : chooseOrigin(coordinates);
    cloud.positions.resize(coordinates.size());
    for (std::size_t i = 0; i < coordinates.size(); ++i)
        cloud.positions[i] = float(coordinates[i] - cloud.origin[i % 3]);
}

PointField makeField(std::string name, std::span<const double> values, const std::optional<double>& offset)
{
    PointField field{std::move(name), std::vector<float>(values.size()), 0};
    const auto [low, high] = finiteRange(values, 0, 1);
    constexpr double kLarge = 1 << 20;
    if (offset)
        field.offset = *offset;
    else if (low <= high && std::max(std::abs(low), std::abs(high)) > kLarge)
        field.offset = std::floor(low);
    for (std::size_t i = 0; i < values.size(); ++i)
        field.values[i] = float(values[i] - field.offset);
    return field;
}

void tidyNormals(PointCloud& cloud)
{
    auto& normals = cloud.normals;
    for (std::size_t i = 0; i + 2 < normals.size(); i += 3) {
        const double length = std::hypot(double(normals[i]), double(normals[i + 1]), double(normals[i + 2]));
        if (std::abs(length - 1) <= 1e-3 || length == 0)
            continue;
        const double scale = std::isfinite(length) ? 1 / length : 0;
        for (std::size_t k = 0; k < 3; ++k)
            normals[i + k] = scale > 0 ? float(normals[i + k] * scale) : 0;
    }
}

}  // namespace orrery::scene
