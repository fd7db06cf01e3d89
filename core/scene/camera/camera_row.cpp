#include "camera_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/error.h>

namespace orrery::scene {
namespace {

constexpr int kLargestSide = 16384;

int sideOf(float value, const char* name)
{
    if (!(value >= 1 && value <= kLargestSide) || value != std::floor(value))
        throw core::InputError(fmt::format("camera: {}: expected a whole number of pixels from 1 to {}, got {}", name, kLargestSide, value));
    return int(value);
}

}  // namespace

std::vector<std::string> cameraRowNames()
{
    std::vector<std::string> names{"width", "height", "focal_x", "focal_y", "centre_x", "centre_y"};
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 4; ++column)
            names.push_back(fmt::format("pose_{}{}", row, column));
    return names;
}

std::array<float, kCameraNumbers> cameraRow(const Camera& camera)
{
    std::array<float, kCameraNumbers> row{float(camera.width),  float(camera.height),  float(camera.focalX),
                                          float(camera.focalY), float(camera.centreX), float(camera.centreY)};
    std::transform(camera.cameraToWorld.begin(), camera.cameraToWorld.begin() + 12, row.begin() + 6, [](double value) { return float(value); });
    return row;
}

Camera cameraOfRow(const float* row)
{
    if (!std::all_of(row, row + kCameraNumbers, [](float value) { return std::isfinite(value); }))
        throw core::InputError("camera: expected finite numbers, got NaN or infinity");
    Camera camera;
    camera.width = sideOf(row[0], "width");
    camera.height = sideOf(row[1], "height");
    if (!(row[2] > 0 && row[3] > 0))
        throw core::InputError(fmt::format("camera: expected focal lengths above 0, got {} and {}", row[2], row[3]));
    camera.focalX = row[2];
    camera.focalY = row[3];
    camera.centreX = row[4];
    camera.centreY = row[5];
    std::copy_n(row + 6, 12, camera.cameraToWorld.begin());
    return camera;
}

}  // namespace orrery::scene
