#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include <core/io/image.h>
#include <core/jobs/job.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/cloud/cloud.h>

/// Posed images with exact cameras and depth, made instead of taken. Free of libtorch's tensors.
namespace orrery::scene {

/// One rendered view: colours with alpha, and the distance along the camera's forward axis (infinity where nothing is).
struct RenderedView {
    io::Image image;  ///< RGBA
    std::vector<float> depth;
};
using ViewRenderer = std::function<RenderedView(const Camera&)>;

/// Where the first surface on a ray is, what normal and colour it has. Nothing: the ray leaves the scene.
struct Surface {
    double distance = 0;
    Vector3 normal{}, colour{};  ///< colour: 0..1 without light
};
/// The built-in scene: a ball, a box, a ring and a checkered plate inside [-1, 1]^3, each a signed distance function, found by sphere tracing to 1e-7.
/// Source: Hart (1996), "Sphere tracing", doi:10.1007/s003710050084.
std::optional<Surface> shapesSurface(const Ray& ray);
/// Its box.
std::array<double, 6> shapesBox();
/// A view of it: Lambert's light from one direction and from all around, `samples` x `samples` rays a pixel (depth: of the pixel's middle). Any thread.
RenderedView renderShapes(const Camera& camera, int samples = 2);

/// Points of its surfaces, as rays from all around find them: lit colours, normals, and a field "shape" (0 ball, 1 box, 2 ring, 3 plate). The same count, the same points.
TriangleMesh shapesCloud(std::size_t count);
/// What documents, `scene` commands and panels call the built-in scene.
inline constexpr const char* kShapesName = "synthetic:shapes";

/// `count` cameras on a sphere around the box, evenly by the golden angle, from `low` to `high` (sine of the elevation); they look at the middle.
/// @param turn  Added to all angles, radians: sets with different turns share no camera.
std::vector<Camera> camerasAround(const std::array<double, 6>& box, int count, int width, int height, double low, double high, double turn = 0);

struct SynthesisOptions {
    int train = 60, val = 4, test = 8;
    int width = 128, height = 128;
    double lowest = -0.1, highest = 0.95;  ///< sine of the elevation
    bool depth = true;
};
/// The cameras of a set, with names and parts, before anything is drawn. @throws core::InputError for numbers that make no set.
PosedSet plannedViews(const std::array<double, 6>& box, const SynthesisOptions& options);
/// Writes DIR/transforms.json, images/NAME.png and depth/NAME.npy; the document comes last, so that a folder with one is complete. The same options, the same bytes.
/// @throws core::InputError as plannedViews, core::StorageError, core::Cancelled.
PosedSet synthesize(const std::filesystem::path& folder, const std::array<double, 6>& box, const ViewRenderer& render,
                    const SynthesisOptions& options, jobs::Context& context);

}  // namespace orrery::scene
