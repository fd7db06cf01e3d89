// The built-in scene, by signed distances.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <random>

#include <core/scene/camera/vector.h>

#include "synthesis.h"

namespace orrery::scene {
namespace {

constexpr double kTouch = 1e-7, kFarthest = 100;

double planarLength(double x, double y)
{
    return std::sqrt(x * x + y * y);
}

double ball(const Vector3& p)
{
    return length(p - Vector3{-0.42, 0.3, -0.05}) - 0.38;
}

double box(const Vector3& p)
{
    // Turned about the vertical, edges rounded.
    constexpr double kCos = 0.877582561890373, kSin = 0.479425538604203, kRound = 0.03;
    const Vector3 c = p - Vector3{0.42, 0.38, -0.13}, q{kCos * c[0] + kSin * c[1], -kSin * c[0] + kCos * c[1], c[2]};
    const Vector3 d{std::abs(q[0]) - 0.26 + kRound, std::abs(q[1]) - 0.26 + kRound, std::abs(q[2]) - 0.3 + kRound};
    const Vector3 outside{std::max(d[0], 0.0), std::max(d[1], 0.0), std::max(d[2], 0.0)};
    return length(outside) + std::min(std::max({d[0], d[1], d[2]}), 0.0) - kRound;
}

double ring(const Vector3& p)
{
    const Vector3 q = p - Vector3{0.05, -0.42, -0.2};
    return planarLength(planarLength(q[0], q[2]) - 0.3, q[1]) - 0.1;
}

double plate(const Vector3& p)
{
    const double side = planarLength(p[0], p[1]) - 0.9, up = std::abs(p[2] + 0.48) - 0.05;
    return planarLength(std::max(side, 0.0), std::max(up, 0.0)) + std::min(std::max(side, up), 0.0);
}

using Distance = double (*)(const Vector3&);
constexpr Distance kShapes[] = {ball, box, ring, plate};

double nearest(const Vector3& p)
{
    double least = kFarthest;
    for (const Distance shape : kShapes)
        least = std::min(least, shape(p));
    return least;
}

Vector3 normalAt(const Vector3& p)
{
    constexpr double kStep = 1e-5;
    Vector3 gradient{};
    for (std::size_t a = 0; a < 3; ++a) {
        Vector3 ahead = p, behind = p;
        ahead[a] += kStep;
        behind[a] -= kStep;
        gradient[a] = nearest(ahead) - nearest(behind);
    }
    return normalised(gradient);
}

std::ptrdiff_t shapeAt(const Vector3& p)
{
    return std::min_element(std::begin(kShapes), std::end(kShapes), [&](Distance a, Distance b) { return a(p) < b(p); }) - std::begin(kShapes);
}

Vector3 colourAt(const Vector3& p)
{
    switch (shapeAt(p)) {
    case 0: return std::sin(14 * p[2]) > 0 ? Vector3{0.85, 0.25, 0.2} : Vector3{0.95, 0.75, 0.3};
    case 1: return {0.25 + 0.5 * std::clamp(p[2] + 0.4, 0.0, 1.0), 0.45, 0.8};
    case 2: return {0.3, 0.7, 0.35};
    default: return (int(std::floor(4 * p[0])) + int(std::floor(4 * p[1]))) % 2 == 0 ? Vector3{0.85, 0.85, 0.82} : Vector3{0.35, 0.35, 0.4};
    }
}

Vector3 lit(const Surface& surface)
{
    const Vector3 light = normalised({0.4, -0.5, 0.8});
    const double strength = 0.35 + 0.65 * std::max(0.0, dot(surface.normal, light));
    return strength * surface.colour;
}

std::uint8_t byteOf(double value)
{
    return std::uint8_t(std::lround(255 * std::clamp(value, 0.0, 1.0)));
}

/// Mean colour (not premultiplied) and coverage of a pixel.
void renderPixel(const Camera& camera, int column, int row, int samples, std::uint8_t* out)
{
    Vector3 sum{};
    int hits = 0;
    for (int i = 0; i < samples * samples; ++i) {
        const double x = column + (i % samples + 0.5) / samples, y = row + (i / samples + 0.5) / samples;
        if (const auto surface = shapesSurface(rayThrough(camera, x, y))) {
            sum = sum + lit(*surface);
            ++hits;
        }
    }
    for (std::size_t c = 0; c < 3; ++c)
        out[c] = hits ? byteOf(sum[c] / hits) : 0;
    out[3] = byteOf(double(hits) / (samples * samples));
}

}  // namespace

std::optional<Surface> shapesSurface(const Ray& ray)
{
    double t = 0;
    for (int step = 0; step < 2000 && t < kFarthest; ++step) {
        const Vector3 p = ray.origin + t * ray.direction;
        const double distance = nearest(p);
        if (distance < kTouch)
            return Surface{t, normalAt(p), colourAt(p)};
        t += distance;
    }
    return {};
}

TriangleMesh shapesCloud(std::size_t count)
{
    TriangleMesh mesh;
    auto& cloud = mesh.points;
    cloud.fields.push_back({"shape", {}, 0});
    std::mt19937_64 random(0);
    // Not by std's distributions: their numbers differ between libraries.
    const auto uniform = [&] { return double(random() >> 11) * 0x1.0p-53; };
    while (cloud.size() < count) {
        const double up = 2 * uniform() - 1, angle = 2 * std::numbers::pi * uniform(), flat = std::sqrt(1 - up * up);
        const Vector3 from = 3.0 * Vector3{flat * std::cos(angle), flat * std::sin(angle), up};
        const Vector3 to{2 * uniform() - 1, 2 * uniform() - 1, 2 * uniform() - 1};
        const Ray ray{from, normalised(to - from)};
        const auto surface = shapesSurface(ray);
        if (!surface)
            continue;
        const Vector3 p = ray.origin + surface->distance * ray.direction, colour = lit(*surface);
        for (std::size_t a = 0; a < 3; ++a) {
            cloud.positions.push_back(float(p[a]));
            cloud.normals.push_back(float(surface->normal[a]));
            cloud.colours.push_back(byteOf(colour[a]));
        }
        cloud.fields[0].values.push_back(float(shapeAt(p)));
    }
    return mesh;
}

std::array<double, 6> shapesBox()
{
    return {-1, -1, -1, 1, 1, 1};
}

RenderedView renderShapes(const Camera& camera, int samples)
{
    RenderedView view;
    const std::size_t pixels = std::size_t(camera.width) * std::size_t(camera.height);
    view.image = {camera.width, camera.height, 4, std::vector<std::uint8_t>(4 * pixels)};
    view.depth.assign(pixels, std::numeric_limits<float>::infinity());
    const Vector3 forward = -1.0 * axis(camera.cameraToWorld, 2);
    for (int row = 0; row < camera.height; ++row)
        for (int column = 0; column < camera.width; ++column) {
            const std::size_t i = std::size_t(row) * std::size_t(camera.width) + std::size_t(column);
            renderPixel(camera, column, row, samples, view.image.pixels.data() + 4 * i);
            const Ray ray = rayThrough(camera, column + 0.5, row + 0.5);
            if (const auto surface = shapesSurface(ray))
                view.depth[i] = float(surface->distance * dot(ray.direction, forward));
        }
    return view;
}

}  // namespace orrery::scene
