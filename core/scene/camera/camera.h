#pragma once
#include <array>
#include <string>

/// Cameras of posed images, as nerfstudio and instant-ngp write them. Free of libtorch.
namespace orrery::scene {

using Vector3 = std::array<double, 3>;
/// 3x3, row-major.
using Matrix3 = std::array<double, 9>;
/// 4x4, row-major, acts on column vectors.
using Matrix4 = std::array<double, 16>;

/// A ray: origin + t * direction, t >= 0; the direction has length 1.
struct Ray {
    Vector3 origin{}, direction{};
};

/// Lens distortion of OpenCV's model: radial k1..k3 (and k4 where a file has it), tangential p1, p2. All zero: a pinhole.
struct Distortion {
    double k1 = 0, k2 = 0, k3 = 0, k4 = 0, p1 = 0, p2 = 0;
    bool isZero() const { return k1 == 0 && k2 == 0 && k3 == 0 && k4 == 0 && p1 == 0 && p2 == 0; }
};

/// One posed camera.
///
/// Pose: `cameraToWorld` in nerfstudio's convention, OpenGL axes (x right, y up, the camera looks along -z). Image: x right, y down, the centre of
/// the pixel in column i and row j is (i + 0.5, j + 0.5). Lengths of the image are pixels; lengths of the world are the scene's own unit.
struct Camera {
    int width = 0, height = 0;
    double focalX = 0, focalY = 0;    ///< fl_x, fl_y, pixels
    double centreX = 0, centreY = 0;  ///< cx, cy, pixels
    Distortion distortion;
    Matrix4 cameraToWorld{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    std::string image;  ///< the picture's file, as the cameras' file names it; empty: none
};

/// World to camera in OpenCV axes (x right, y down, z forward: depth is z): what rasterisers use. The pose must be rigid (rotation and translation).
Matrix4 worldToView(const Camera& camera);
/// The ray through the image point (x, y) in pixels; distortion is undone by fixed-point iteration.
Ray rayThrough(const Camera& camera, double x, double y);
/// The image point of a point in the world, with distortion, and its depth z (> 0 in front of the camera) in the third place.
Vector3 project(const Camera& camera, const Vector3& point);
/// The same view in another size.
Camera scaled(Camera camera, int width, int height);
/// A camera at `eye` that looks at `target`, `up` upwards, with the given vertical field of view in radians.
/// @throws core::Error if eye and target coincide, or the direction is parallel to up.
Camera lookAt(const Vector3& eye, const Vector3& target, const Vector3& up, double verticalFov, int width, int height);

}  // namespace orrery::scene
