#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include <core/scene/camera/camera.h>
#include <core/scene/cloud/cloud.h>

/// Pictures of triangles and points by a z-buffer, without a display. Exact rather than pretty: what posed images are synthesised from. Free of libtorch.
namespace orrery::scene {

enum class Shading {
    Flat,     ///< the colours as they are
    Lambert,  ///< colour * (ambient + (1 - ambient) * |cos| of the angle between the face's normal and the light's direction)
};

struct ZBufferOptions {
    std::array<float, 3> background{0, 0, 0};       ///< 0..1
    std::array<float, 3> colour{0.8f, 0.8f, 0.8f};  ///< where the cloud has none
    Shading shading = Shading::Flat;
    Vector3 light{0.3, 0.5, 0.8};  ///< direction to the light in the world, any length but 0
    float ambient = 0.4f;
    double pointRadius = 1;  ///< pixels; a point covers the pixels whose centre is at most this far from its own, and always the one it falls in
    double nearPlane = 1e-3;
    bool drawPoints = true;  ///< the points of a cloud without triangles; a mesh's corners are never drawn as points
};

/// Rows from top to bottom.
struct ZBufferImage {
    int width = 0, height = 0;
    std::vector<float> rgb;          ///< [row, column, channel] 0..1
    std::vector<double> depth;       ///< [row, column]: along the camera's forward axis, exact at the pixel's centre; 0 where nothing is
    std::vector<std::uint8_t> mask;  ///< [row, column]: 1 where something is
    std::vector<std::int64_t> ids;   ///< [row, column]: the triangle, or the point; -1 where nothing is
};

/// Draws triangles (both sides), or the points if there are none. A pixel shows the nearest surface through its centre; colours are interpolated over a triangle
/// with perspective. A shared edge belongs to one of its triangles (top-left rule). Ties of depth go to the lower index.
/// @throws core::InputError for a picture's size outside 1..16384, a focal length that is not positive, lens distortion.
/// Any thread. Cost O(pixels covered).
ZBufferImage rasterize(const TriangleMesh& mesh, const Camera& camera, const ZBufferOptions& options);

}  // namespace orrery::scene
