#include "cloud_picture.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

#include <core/base/error.h>
#include <core/report/colour_map.h>
#include <core/scene/cloud/levels.h>

namespace orrery::viewers {
namespace {

constexpr report::Rgb kPlain{86, 142, 196};

std::vector<std::uint32_t> renumbered(const std::vector<std::uint32_t>& indices, const std::vector<std::uint32_t>& place)
{
    std::vector<std::uint32_t> result(indices.size());
    std::transform(indices.begin(), indices.end(), result.begin(), [&](std::uint32_t point) { return place[point]; });
    return result;
}

scene::Bounds localBounds(const std::vector<float>& positions)
{
    scene::Bounds bounds;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        bounds.low[axis] = bounds.high[axis] = positions[axis];
        for (std::size_t i = axis; i < positions.size(); i += 3) {
            bounds.low[axis] = std::min(bounds.low[axis], double(positions[i]));
            bounds.high[axis] = std::max(bounds.high[axis], double(positions[i]));
        }
    }
    return bounds;
}

void put(std::vector<std::uint8_t>& rgb, std::size_t i, const report::Rgb& colour)
{
    rgb[3 * i] = colour.r;
    rgb[3 * i + 1] = colour.g;
    rgb[3 * i + 2] = colour.b;
}

// Each value through the colour map, on the style's range or on that of the finite values.
void paintValues(CloudColours& colours, const CloudPicture& picture, const std::function<double(std::size_t point)>& valueOf)
{
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (std::size_t i = 0; i < picture.order.size(); ++i)
        if (const double value = valueOf(i); std::isfinite(value)) {
            low = std::min(low, value);
            high = std::max(high, value);
        }
    if (low > high)
        low = high = 0;
    if (colours.style.range)
        std::tie(low, high) = *colours.style.range;
    colours.low = low;
    colours.high = high;
    const auto& map = report::colourMap(colours.style.map);
    for (std::size_t i = 0; i < picture.order.size(); ++i)
        put(colours.rgb, i, map.atScaled(valueOf(picture.order[i]), low, high));
}

void paintNormals(CloudColours& colours, const CloudPicture& picture)
{
    const auto& normals = picture.mesh->points.normals;
    for (std::size_t i = 0; i < picture.order.size(); ++i)
        for (std::size_t axis = 0; axis < 3; ++axis)
            colours.rgb[3 * i + axis] = std::uint8_t(std::lround(127.5 * (1 + std::clamp(normals[3 * picture.order[i] + axis], -1.f, 1.f))));
}

void paintColours(CloudColours& colours, const CloudPicture& picture)
{
    const auto& source = picture.mesh->points.colours;
    for (std::size_t i = 0; i < picture.order.size(); ++i)
        std::copy_n(source.begin() + std::ptrdiff_t(3 * picture.order[i]), 3, colours.rgb.begin() + std::ptrdiff_t(3 * i));
}

}  // namespace

CloudStyle defaultStyle(const scene::PointCloud& cloud)
{
    CloudStyle style;
    style.by = cloud.hasColours() ? ColourBy::Colours : ColourBy::Height;
    return style;
}

std::shared_ptr<const CloudPicture> cloudPicture(std::shared_ptr<const scene::TriangleMesh> mesh, std::stop_token stop)
{
    const auto& source = mesh->points.positions;
    if (source.empty())
        throw core::InputError("the cloud has no points: there is nothing to draw");
    auto picture = std::make_shared<CloudPicture>();
    picture->order = scene::makeLevels(source, stop).order;
    picture->positions.resize(source.size());
    std::vector<std::uint32_t> place(picture->order.size());
    for (std::size_t i = 0; i < picture->order.size(); ++i) {
        std::copy_n(source.begin() + std::ptrdiff_t(3 * picture->order[i]), 3, picture->positions.begin() + std::ptrdiff_t(3 * i));
        place[picture->order[i]] = std::uint32_t(i);
    }
    picture->triangles = renumbered(mesh->triangles, place);
    picture->edges = renumbered(mesh->edges, place);
    picture->bounds = localBounds(source);
    picture->mesh = std::move(mesh);
    return picture;
}

std::shared_ptr<const CloudColours> cloudColours(const CloudPicture& picture, const CloudStyle& style)
{
    const auto& cloud = picture.mesh->points;
    auto colours = std::make_shared<CloudColours>();
    colours->style = style;
    colours->rgb.resize(picture.positions.size());
    switch (style.by) {
    case ColourBy::Plain:
        for (std::size_t i = 0; i < picture.order.size(); ++i)
            put(colours->rgb, i, kPlain);
        break;
    case ColourBy::Colours:
        if (!cloud.hasColours())
            throw core::InputError("the cloud has no colours");
        paintColours(*colours, picture);
        break;
    case ColourBy::Normals:
        if (!cloud.hasNormals())
            throw core::InputError("the cloud has no normals; the filter \"normals\" estimates them");
        paintNormals(*colours, picture);
        break;
    case ColourBy::Height: {
        const auto axis = std::size_t(std::clamp(style.upAxis, 0, 2));
        paintValues(*colours, picture, [&](std::size_t point) { return cloud.origin[axis] + double(cloud.positions[3 * point + axis]); });
        break;
    }
    case ColourBy::Field: {
        const auto* field = scene::findField(cloud, style.field);
        if (!field)
            throw core::InputError("the cloud has no field \"" + style.field + "\"");
        paintValues(*colours, picture, [&](std::size_t point) { return field->offset + double(field->values[point]); });
        break;
    }
    }
    return colours;
}

std::size_t pictureBytes(std::size_t points, std::size_t triangles, std::size_t edges)
{
    // Order, positions, colours; vertices and indices in VTK and again on the graphics side.
    return points * (4 + 12 + 3 + 24 + 36) + triangles * 48 + edges * 32;
}

}  // namespace orrery::viewers
