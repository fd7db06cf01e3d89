#pragma once
#include <cstdint>

#include <core/scene/camera/camera.h>

#include "splat_ply.h"

/// Scenes of Gaussians made by a rule: for tests, measurements and examples.
namespace orrery::scene {

/// A room, 6 x 6 x 3 units, z up: flat Gaussians on floor, walls and ceiling (70 %), on a dozen balls (25 %), and a few in the air. Standard deviations are
/// log-normal (sigma 0.6) around `size`, a tenth of that across the surface; opacities are log-normal in odds; colours follow the surface, with harmonics to degree 3.
/// Same count, seed and size, same Gaussians.
Splats syntheticRoom(std::size_t count, std::uint64_t seed, double size = 0.03);

/// What commands and panels call the room of 20,000 of them.
inline constexpr const char* kRoomName = "synthetic:room";
/// True for a PLY file of Gaussians and for that name; false for anything else, also for what cannot be read. Any thread.
bool holdsSplats(const std::filesystem::path& file);
/// The Gaussians of a PLY file, or that room by its name. @throws core::InputError for a file that is not there, and as readSplatPly.
SplatFile openSplats(const std::filesystem::path& file);

/// A camera in the room at eye height, 60 degrees wide; `turn` in 0..1 goes once around.
Camera roomCamera(double turn, int width, int height);

}  // namespace orrery::scene
