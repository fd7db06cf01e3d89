#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "camera.h"

/// A pinhole camera as a row of numbers: how cameras enter graphs and data sets. Free of libtorch.
namespace orrery::scene {

/// width, height, focal lengths x and y, centre x and y, then the upper three rows of `cameraToWorld`.
inline constexpr std::int64_t kCameraNumbers = 18;

/// The names of the numbers: "width", ..., "pose_23".
std::vector<std::string> cameraRowNames();
std::array<float, kCameraNumbers> cameraRow(const Camera& camera);
/// @throws core::InputError for a size that is no whole number from 1 to 16384, focal lengths that are not positive and numbers that are not finite.
Camera cameraOfRow(const float* row);

}  // namespace orrery::scene
