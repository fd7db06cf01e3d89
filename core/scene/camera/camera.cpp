#include "camera.h"

#include <fmt/format.h>

#include <cmath>

#include <core/base/error.h>

#include "vector.h"

namespace orrery::scene {
namespace {

using Point = std::array<double, 2>;

/// OpenCV's model, with k4 as a fourth radial term: normalised coordinates without distortion to those with it.
Point distort(const Distortion& d, const Point& p)
{
    const double x = p[0], y = p[1], r2 = x * x + y * y;
    const double radial = 1 + r2 * (d.k1 + r2 * (d.k2 + r2 * (d.k3 + r2 * d.k4)));
    return {x * radial + 2 * d.p1 * x * y + d.p2 * (r2 + 2 * x * x), y * radial + d.p1 * (r2 + 2 * y * y) + 2 * d.p2 * x * y};
}

/// Fixed point of p = target - (distort(p) - p). A contraction for lenses as they are; beyond the range of the model it stops after a hundred steps.
Point undistort(const Distortion& d, const Point& target)
{
    Point p = target;
    for (int step = 0; step < 100; ++step) {
        const auto q = distort(d, p);
        const Point change{target[0] - q[0], target[1] - q[1]};
        p = {p[0] + change[0], p[1] + change[1]};
        if (std::abs(change[0]) + std::abs(change[1]) < 1e-14)
            break;
    }
    return p;
}

}  // namespace

Matrix4 worldToView(const Camera& camera)
{
    const auto& m = camera.cameraToWorld;
    const auto eye = translation(m);
    // The inverse of a rotation is its transpose; OpenCV's y and z are those of OpenGL with the sign turned.
    const auto x = axis(m, 0), y = -1.0 * axis(m, 1), z = -1.0 * axis(m, 2);
    return {x[0], x[1], x[2], -dot(x, eye), y[0], y[1], y[2], -dot(y, eye), z[0], z[1], z[2], -dot(z, eye), 0, 0, 0, 1};
}

Ray rayThrough(const Camera& camera, double x, double y)
{
    Point p{(x - camera.centreX) / camera.focalX, (y - camera.centreY) / camera.focalY};
    if (!camera.distortion.isZero())
        p = undistort(camera.distortion, p);
    return {translation(camera.cameraToWorld), normalised(rotate(camera.cameraToWorld, {p[0], -p[1], -1}))};
}

Vector3 project(const Camera& camera, const Vector3& point)
{
    const auto v = transform(worldToView(camera), point);
    Point p{v[0] / v[2], v[1] / v[2]};
    if (!camera.distortion.isZero())
        p = distort(camera.distortion, p);
    return {camera.focalX * p[0] + camera.centreX, camera.focalY * p[1] + camera.centreY, v[2]};
}

Camera scaled(Camera camera, int width, int height)
{
    const double x = double(width) / camera.width, y = double(height) / camera.height;
    camera.focalX *= x;
    camera.centreX *= x;
    camera.focalY *= y;
    camera.centreY *= y;
    camera.width = width;
    camera.height = height;
    return camera;
}

Camera lookAt(const Vector3& eye, const Vector3& target, const Vector3& up, double verticalFov, int width, int height)
{
    const auto back = eye - target;
    if (!(length(back) > 0))
        throw core::InputError(fmt::format("a camera at ({}, {}, {}) looks at its own place: give it another target", eye[0], eye[1], eye[2]));
    const auto z = normalised(back);
    const auto side = cross(normalised(up), z);
    if (!(length(side) > 1e-9))
        throw core::InputError("a camera looks along its upward direction: give it another one");
    if (!(verticalFov > 0 && verticalFov < 3.14159265) || width < 1 || height < 1)
        throw core::InputError(
            fmt::format("expected a field of view in (0, pi) and a picture of at least 1x1, got {} and {}x{}", verticalFov, width, height));
    const auto x = normalised(side);
    Camera camera;
    camera.width = width;
    camera.height = height;
    camera.focalX = camera.focalY = 0.5 * height / std::tan(0.5 * verticalFov);
    camera.centreX = 0.5 * width;
    camera.centreY = 0.5 * height;
    camera.cameraToWorld = poseOf(x, cross(z, x), z, eye);
    return camera;
}

}  // namespace orrery::scene
