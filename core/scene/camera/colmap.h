#pragma once
#include <map>

#include "posed_images.h"

/// Internal to core/scene/camera: what both of COLMAP's encodings give.
namespace orrery::scene {

struct ColmapModel {
    int id;
    const char* name;
    std::size_t parameters;
};
/// Null for a model we do not take.
const ColmapModel* colmapModel(int id);
const ColmapModel* colmapModel(std::string_view name);
std::string colmapModelNames();

/// Intrinsics in a Camera without pose. @throws core::FormatError for sizes and focal lengths that are none.
Camera colmapCamera(const ColmapModel& model, double width, double height, const std::vector<double>& parameters, std::string_view place);

/// World to camera, OpenCV axes: rotation as a quaternion w, x, y, z and a translation.
struct ColmapImage {
    std::array<double, 4> rotation{};
    Vector3 translation{};
    std::int64_t camera = 0;
    std::string name;
};
/// Adds a view. @throws core::FormatError for an unknown camera or a rotation of length 0.
void addColmapImage(PosedSet& set, const ColmapImage& image, const std::map<std::int64_t, Camera>& cameras, std::string_view place);
/// COLMAP's world (y down, z forward of the first camera as a rule) to ours with z up: (x, z, -y).
Vector3 fromColmapWorld(const Vector3& p);
/// Views by name. @throws core::FormatError if there are none.
void finishColmap(PosedSet& set, std::string_view name);

}  // namespace orrery::scene
