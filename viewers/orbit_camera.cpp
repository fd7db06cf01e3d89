#include "orbit_camera.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <sstream>

#include <core/scene/camera/vector.h>

namespace orrery::viewers {
namespace {

using scene::Vector3;
using scene::operator+, scene::operator-, scene::operator*;

constexpr double kDegree = std::numbers::pi / 180;
constexpr double kSteepest = 89.9 * kDegree;

bool isFinite(const Vector3& v)
{
    return std::isfinite(v[0]) && std::isfinite(v[1]) && std::isfinite(v[2]);
}

// The frame that angles are counted in: azimuth from `front` towards `side`, elevation towards `up`.
struct Frame {
    Vector3 side, front, up;
};

Frame frameOf(UpAxis axis)
{
    switch (axis) {
    case UpAxis::Y: return {{1, 0, 0}, {0, 0, 1}, {0, 1, 0}};
    case UpAxis::MinusY: return {{1, 0, 0}, {0, 0, -1}, {0, -1, 0}};
    case UpAxis::Z: break;
    }
    return {{1, 0, 0}, {0, -1, 0}, {0, 0, 1}};
}

struct Angles {
    double azimuth, elevation;
};

Angles anglesOf(const Vector3& direction, const Frame& frame)
{
    const double side = scene::dot(direction, frame.side), front = scene::dot(direction, frame.front), up = scene::dot(direction, frame.up);
    return {std::atan2(side, front), std::atan2(up, std::hypot(side, front))};
}

Vector3 directionOf(const Angles& angles, const Frame& frame)
{
    const double flat = std::cos(angles.elevation);
    return flat * std::sin(angles.azimuth) * frame.side + flat * std::cos(angles.azimuth) * frame.front + std::sin(angles.elevation) * frame.up;
}

const char* nameOf(UpAxis axis)
{
    return axis == UpAxis::Z ? "z" : axis == UpAxis::Y ? "y" : "-y";
}

}  // namespace

Vector3 OrbitCamera::worldUp() const
{
    return frameOf(m_up).up;
}
double OrbitCamera::distance() const
{
    return scene::length(m_target - m_position);
}
Vector3 OrbitCamera::forward() const
{
    return scene::normalised(m_target - m_position);
}
Vector3 OrbitCamera::right() const
{
    return scene::normalised(scene::cross(forward(), worldUp()));
}
Vector3 OrbitCamera::up() const
{
    return scene::cross(right(), forward());
}

bool OrbitCamera::set(const Vector3& position, const Vector3& target, double fov)
{
    const double gap = scene::length(target - position);
    if (!isFinite(position) || !isFinite(target) || !(fov >= 1 && fov <= 150) || !std::isfinite(gap) || !(gap > 0))
        return false;
    m_position = position;
    m_target = target;
    m_fov = fov;
    const auto frame = frameOf(m_up);
    const auto angles = anglesOf(scene::normalised(position - target), frame);
    if (std::abs(angles.elevation) > kSteepest)
        place(angles.azimuth, angles.elevation, gap);
    return true;
}

void OrbitCamera::setUpAxis(UpAxis axis)
{
    const auto angles = anglesOf(scene::normalised(m_position - m_target), frameOf(m_up));
    const double gap = distance();
    m_up = axis;
    place(angles.azimuth, angles.elevation, gap);
}

void OrbitCamera::place(double azimuth, double elevation, double distance)
{
    const Angles angles{azimuth, std::clamp(elevation, -kSteepest, kSteepest)};
    m_position = m_target + distance * directionOf(angles, frameOf(m_up));
}

void OrbitCamera::orbit(double horizontal, double vertical)
{
    const auto angles = anglesOf(scene::normalised(m_position - m_target), frameOf(m_up));
    place(angles.azimuth + horizontal, angles.elevation + vertical, distance());
}

void OrbitCamera::pan(double toRight, double upwards)
{
    const double height = 2 * distance() * std::tan(m_fov * kDegree / 2);
    const Vector3 step = toRight * height * right() + upwards * height * up();
    m_position = m_position + step;
    m_target = m_target + step;
}

void OrbitCamera::dolly(double factor)
{
    const double wanted = distance() * factor;
    if (std::isfinite(wanted) && wanted > 1e-9 && wanted < 1e12)
        m_position = m_target - wanted * forward();
}

void OrbitCamera::fly(double toRight, double upwards, double ahead)
{
    const Vector3 step = toRight * right() + upwards * worldUp() + ahead * forward();
    m_position = m_position + step;
    m_target = m_target + step;
}

void OrbitCamera::look(double horizontal, double vertical)
{
    const auto frame = frameOf(m_up);
    auto angles = anglesOf(forward(), frame);
    angles.azimuth += horizontal;
    angles.elevation = std::clamp(angles.elevation + vertical, -kSteepest, kSteepest);
    m_target = m_position + distance() * directionOf(angles, frame);
}

void OrbitCamera::fit(const Vector3& centre, double radius, double aspect)
{
    const Vector3 direction = forward();
    const double half = std::atan(std::tan(m_fov * kDegree / 2) * std::min(1.0, aspect));
    m_target = centre;
    m_position = centre - std::max(radius, 1e-6) / std::sin(half) * direction;
}

void OrbitCamera::look(StandardView view)
{
    constexpr double kRight = std::numbers::pi / 2;
    const double gap = distance();
    switch (view) {
    case StandardView::Front: return place(0, 0, gap);
    case StandardView::Back: return place(2 * kRight, 0, gap);
    case StandardView::Left: return place(-kRight, 0, gap);
    case StandardView::Right: return place(kRight, 0, gap);
    case StandardView::Top: return place(0, kRight, gap);
    case StandardView::Bottom: return place(0, -kRight, gap);
    case StandardView::Oblique: return place(kRight / 2, kRight / 3, gap);
    }
}

scene::Camera OrbitCamera::camera(int width, int height) const
{
    return scene::lookAt(m_position, m_target, worldUp(), m_fov * kDegree, width, height);
}

std::string OrbitCamera::text() const
{
    return fmt::format("position {} {} {} target {} {} {} fov {} up {}", m_position[0], m_position[1], m_position[2], m_target[0], m_target[1],
                       m_target[2], m_fov, nameOf(m_up));
}

std::optional<OrbitCamera> OrbitCamera::fromText(std::string_view text)
{
    std::istringstream in{std::string(text)};
    std::string position, target, fov, up, axis;
    Vector3 p{}, t{};
    double angle = 0;
    in >> position >> p[0] >> p[1] >> p[2] >> target >> t[0] >> t[1] >> t[2] >> fov >> angle >> up >> axis;
    if (!in || position != "position" || target != "target" || fov != "fov" || up != "up")
        return std::nullopt;
    OrbitCamera camera;
    for (const auto known : {UpAxis::Z, UpAxis::Y, UpAxis::MinusY})
        if (axis == nameOf(known))
            camera.m_up = known;
    if (axis != nameOf(camera.m_up) || !camera.set(p, t, angle))
        return std::nullopt;
    return camera;
}

}  // namespace orrery::viewers
