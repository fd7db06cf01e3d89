#include "zbuffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <core/scene/camera/vector.h>

namespace orrery::scene {
namespace {

constexpr int kMaxSide = 16384;

using Colour = std::array<double, 3>;

/// A corner in the camera's frame (OpenCV axes).
struct Corner {
    Vector3 position{};
    Colour colour{};
};

/// A corner in the picture: x, y in pixels, w = 1 / z, and the colour times w, which is linear in the picture.
struct ScreenCorner {
    double x = 0, y = 0, w = 0;
    Colour colour{};
};

void check(const Camera& camera, const ZBufferOptions& options)
{
    if (camera.width < 1 || camera.height < 1 || camera.width > kMaxSide || camera.height > kMaxSide)
        throw core::InputError(
            fmt::format("camera: expected a picture of 1 to {} pixels a side, got {} x {}", kMaxSide, camera.width, camera.height));
    if (!(camera.focalX > 0) || !(camera.focalY > 0))
        throw core::InputError(fmt::format("camera: expected focal lengths above 0, got {} and {}", camera.focalX, camera.focalY));
    if (!camera.distortion.isZero())
        throw core::InputError("camera: expected a pinhole camera, got one with lens distortion: undistort the pictures first");
    if (!(options.nearPlane > 0))
        throw core::InputError(fmt::format("near plane: expected a distance above 0, got {}", options.nearPlane));
}

double shadeOf(const Vector3& a, const Vector3& b, const Vector3& c, const ZBufferOptions& options)
{
    if (options.shading == Shading::Flat)
        return 1;
    const Vector3 normal = normalised(cross(b - a, c - a));
    return options.ambient + (1 - options.ambient) * std::abs(dot(normal, normalised(options.light)));
}

class Painter {
public:
    Painter(const TriangleMesh& mesh, const Camera& camera, const ZBufferOptions& options)
        : m_mesh(mesh), m_camera(camera), m_options(options), m_view(worldToView(camera))
    {
        const auto pixels = std::size_t(camera.width) * std::size_t(camera.height);
        m_image.width = camera.width;
        m_image.height = camera.height;
        m_image.rgb.resize(3 * pixels);
        for (std::size_t i = 0; i < 3 * pixels; ++i)
            m_image.rgb[i] = options.background[i % 3];
        m_image.depth.assign(pixels, 0);
        m_image.mask.assign(pixels, 0);
        m_image.ids.assign(pixels, -1);
    }

    void triangle(std::size_t index)
    {
        const auto* corners = m_mesh.triangles.data() + 3 * index;
        const Vector3 a = world(corners[0]), b = world(corners[1]), c = world(corners[2]);
        const double shade = shadeOf(a, b, c, m_options);
        const Vector3 points[3] = {a, b, c};
        std::vector<Corner> polygon;
        for (std::size_t k = 0; k < 3; ++k)
            polygon.push_back({transform(m_view, points[k]), colourOf(corners[k], shade)});
        polygon = clippedByNearPlane(polygon);
        for (std::size_t k = 2; k < polygon.size(); ++k)
            fill({onScreen(polygon[0]), onScreen(polygon[k - 1]), onScreen(polygon[k])}, std::int64_t(index));
    }

    void point(std::size_t index)
    {
        const Corner corner{transform(m_view, world(std::uint32_t(index))), colourOf(std::uint32_t(index), 1)};
        if (!(corner.position[2] >= m_options.nearPlane))
            return;
        const ScreenCorner s = onScreen(corner);
        const double radius = std::max(0.0, m_options.pointRadius);
        const auto [left, right] = pixelRange(s.x - radius - 1, s.x + radius + 1, m_image.width);
        const auto [top, bottom] = pixelRange(s.y - radius - 1, s.y + radius + 1, m_image.height);
        for (int row = top; row <= bottom; ++row)
            for (int column = left; column <= right; ++column) {
                const bool own = std::floor(s.x) == column && std::floor(s.y) == row;
                if (own || std::hypot(column + 0.5 - s.x, row + 0.5 - s.y) <= radius)
                    put(row, column, corner.position[2], corner.colour, std::int64_t(index));
            }
    }

    ZBufferImage take() { return std::move(m_image); }

private:
    Vector3 world(std::uint32_t index) const
    {
        const auto& cloud = m_mesh.points;
        const float* p = cloud.positions.data() + 3 * std::size_t(index);
        return {double(p[0]) + cloud.origin[0], double(p[1]) + cloud.origin[1], double(p[2]) + cloud.origin[2]};
    }

    Colour colourOf(std::uint32_t index, double shade) const
    {
        Colour colour;
        for (std::size_t k = 0; k < 3; ++k)
            colour[k] =
                shade * (m_mesh.points.hasColours() ? m_mesh.points.colours[3 * std::size_t(index) + k] / 255.0 : double(m_options.colour[k]));
        return colour;
    }

    std::vector<Corner> clippedByNearPlane(const std::vector<Corner>& polygon) const
    {
        const double plane = m_options.nearPlane;
        std::vector<Corner> result;
        for (std::size_t k = 0; k < polygon.size(); ++k) {
            const Corner &from = polygon[k], &to = polygon[(k + 1) % polygon.size()];
            const bool fromIn = from.position[2] >= plane, toIn = to.position[2] >= plane;
            if (fromIn)
                result.push_back(from);
            if (fromIn != toIn) {
                const double t = (plane - from.position[2]) / (to.position[2] - from.position[2]);
                Corner cut{from.position + t * (to.position - from.position), from.colour + t * (to.colour - from.colour)};
                cut.position[2] = plane;
                result.push_back(cut);
            }
        }
        return result;
    }

    ScreenCorner onScreen(const Corner& corner) const
    {
        const double w = 1 / corner.position[2];
        return {m_camera.focalX * corner.position[0] * w + m_camera.centreX, m_camera.focalY * corner.position[1] * w + m_camera.centreY, w,
                w * corner.colour};
    }

    /// Pixels whose centre lies in [low, high], inside the picture; empty ranges have first > second.
    static std::pair<int, int> pixelRange(double low, double high, int size)
    {
        const double first = std::ceil(std::clamp(low, -1.0, size + 1.0) - 0.5), last = std::floor(std::clamp(high, -1.0, size + 1.0) - 0.5);
        return {std::max(0, int(first)), std::min(size - 1, int(last))};
    }

    /// Twice the signed area of a, b and the point. Both triangles at an edge get the same number with opposite signs: the ends are taken in one order.
    static double side(const ScreenCorner& a, const ScreenCorner& b, double x, double y)
    {
        const bool inOrder = a.x < b.x || (a.x == b.x && a.y < b.y);
        const ScreenCorner &p = inOrder ? a : b, &q = inOrder ? b : a;
        const double area = (q.x - p.x) * (y - p.y) - (q.y - p.y) * (x - p.x);
        return inOrder ? area : -area;
    }

    static bool isTopLeft(const ScreenCorner& a, const ScreenCorner& b) { return b.y < a.y || (b.y == a.y && b.x > a.x); }

    void fill(std::array<ScreenCorner, 3> t, std::int64_t index)
    {
        const double area = side(t[0], t[1], t[2].x, t[2].y);
        if (!(area != 0) || !std::isfinite(area))
            return;
        if (area < 0)
            std::swap(t[1], t[2]);
        const auto [left, right] = pixelRange(std::min({t[0].x, t[1].x, t[2].x}), std::max({t[0].x, t[1].x, t[2].x}), m_image.width);
        const auto [top, bottom] = pixelRange(std::min({t[0].y, t[1].y, t[2].y}), std::max({t[0].y, t[1].y, t[2].y}), m_image.height);
        for (int row = top; row <= bottom; ++row)
            for (int column = left; column <= right; ++column)
                cover(t, row, column, index);
    }

    void cover(const std::array<ScreenCorner, 3>& t, int row, int column, std::int64_t index)
    {
        double weights[3], sum = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            const ScreenCorner &a = t[(k + 1) % 3], &b = t[(k + 2) % 3];
            weights[k] = side(a, b, column + 0.5, row + 0.5);
            if (weights[k] < 0 || (weights[k] == 0 && !isTopLeft(a, b)))
                return;
            sum += weights[k];
        }
        double w = 0;
        Colour colour{};
        for (std::size_t k = 0; k < 3; ++k) {
            w += weights[k] / sum * t[k].w;
            colour = colour + (weights[k] / sum) * t[k].colour;
        }
        put(row, column, 1 / w, (1 / w) * colour, index);
    }

    void put(int row, int column, double depth, const Colour& colour, std::int64_t index)
    {
        const std::size_t pixel = std::size_t(row) * std::size_t(m_image.width) + std::size_t(column);
        if (m_image.mask[pixel] && m_image.depth[pixel] <= depth)
            return;
        m_image.mask[pixel] = 1;
        m_image.depth[pixel] = depth;
        m_image.ids[pixel] = index;
        for (std::size_t k = 0; k < 3; ++k)
            m_image.rgb[3 * pixel + k] = float(colour[k]);
    }

    const TriangleMesh& m_mesh;
    const Camera& m_camera;
    const ZBufferOptions& m_options;
    const Matrix4 m_view;
    ZBufferImage m_image;
};

}  // namespace

ZBufferImage rasterize(const TriangleMesh& mesh, const Camera& camera, const ZBufferOptions& options)
{
    check(camera, options);
    Painter painter(mesh, camera, options);
    for (std::size_t i = 0; i < mesh.triangleCount(); ++i)
        painter.triangle(i);
    if (mesh.triangles.empty() && options.drawPoints)
        for (std::size_t i = 0; i < mesh.points.size(); ++i)
            painter.point(i);
    return painter.take();
}

}  // namespace orrery::scene
