#include "colmap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include <core/base/error.h>

#include "vector.h"

namespace orrery::scene {
namespace {

constexpr ColmapModel kModels[] = {{0, "SIMPLE_PINHOLE", 3}, {1, "PINHOLE", 4}, {2, "SIMPLE_RADIAL", 4}, {3, "RADIAL", 5}, {4, "OPENCV", 8}};

}  // namespace

const ColmapModel* colmapModel(int id)
{
    for (const ColmapModel& model : kModels)
        if (model.id == id)
            return &model;
    return nullptr;
}

const ColmapModel* colmapModel(std::string_view name)
{
    for (const ColmapModel& model : kModels)
        if (model.name == name)
            return &model;
    return nullptr;
}

std::string colmapModelNames()
{
    return "SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, RADIAL or OPENCV";
}

Camera colmapCamera(const ColmapModel& model, double width, double height, const std::vector<double>& p, std::string_view place)
{
    if (!(width >= 1 && width <= 65536 && height >= 1 && height <= 65536))
        throw core::FormatError(fmt::format("{}: expected a picture of 1 to 65536 pixels a side, got {} x {}", place, width, height));
    for (const double value : p)
        if (!std::isfinite(value))
            throw core::FormatError(fmt::format("{}: expected finite parameters of the camera, got {}", place, value));
    const bool two = model.id == 1 || model.id == 4;  // focal lengths of both axes
    Camera camera;
    camera.width = int(width);
    camera.height = int(height);
    camera.focalX = p[0];
    camera.focalY = two ? p[1] : p[0];
    camera.centreX = p[two ? 2 : 1];
    camera.centreY = p[two ? 3 : 2];
    if (!(camera.focalX > 0 && camera.focalY > 0))
        throw core::FormatError(fmt::format("{}: expected focal lengths above 0, got {} and {}", place, camera.focalX, camera.focalY));
    if (model.id == 2 || model.id == 3)
        camera.distortion.k1 = p[3];
    if (model.id == 3)
        camera.distortion.k2 = p[4];
    if (model.id == 4)
        camera.distortion = {p[4], p[5], 0, 0, p[6], p[7]};
    return camera;
}

Vector3 fromColmapWorld(const Vector3& p)
{
    return {p[0], p[2], -p[1]};
}

void addColmapImage(PosedSet& set, const ColmapImage& image, const std::map<std::int64_t, Camera>& cameras, std::string_view place)
{
    const auto found = cameras.find(image.camera);
    if (found == cameras.end())
        throw core::FormatError(fmt::format("{}: expected one of the {} cameras, got camera {}", place, cameras.size(), image.camera));
    auto [w, x, y, z] = image.rotation;
    const double norm = std::sqrt(w * w + x * x + y * y + z * z);
    if (!(norm > 1e-9) || !std::isfinite(norm) || !std::isfinite(length(image.translation)))
        throw core::FormatError(fmt::format("{}: expected a rotation and a translation, got a quaternion of length {}", place, norm));
    w /= norm, x /= norm, y /= norm, z /= norm;
    // Rows of the rotation from world to camera: the camera's axes in the world.
    const Vector3 right{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)};
    const Vector3 down{2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)};
    const Vector3 ahead{2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)};
    const auto& t = image.translation;
    const Vector3 eye = -1.0 * (t[0] * right + t[1] * down + t[2] * ahead);
    PosedView view;
    view.camera = found->second;
    view.camera.image = image.name;
    view.camera.cameraToWorld = poseOf(fromColmapWorld(right), fromColmapWorld(-1.0 * down), fromColmapWorld(-1.0 * ahead), fromColmapWorld(eye));
    set.views.push_back(std::move(view));
}

void finishColmap(PosedSet& set, std::string_view name)
{
    if (set.views.empty())
        throw core::FormatError(fmt::format("{}: expected images in the COLMAP model, got none", name));
    std::stable_sort(set.views.begin(), set.views.end(), [](const PosedView& a, const PosedView& b) { return a.camera.image < b.camera.image; });
}

PosedSet parseColmapBytes(std::string_view bytes)
{
    std::string_view parts[3];
    for (auto& part : parts) {
        std::uint32_t size = 0;
        if (bytes.size() < sizeof size)
            break;
        std::memcpy(&size, bytes.data(), sizeof size);
        bytes.remove_prefix(sizeof size);
        part = bytes.substr(0, size);
        bytes.remove_prefix(part.size());
    }
    return parts[0].starts_with('#') ? parseColmapText({parts[0], parts[1], parts[2]}, "model")
                                     : parseColmapBinary({parts[0], parts[1], parts[2]}, "model");
}

}  // namespace orrery::scene
