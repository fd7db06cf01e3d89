#pragma once
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include <core/base/json.h>

#include "camera.h"

/// Pictures with the cameras that took them: the data of radiance fields and splats. Parsers take bytes and know neither files nor libtorch.
namespace orrery::scene {

enum class Part { Train, Val, Test };

struct PosedView {
    Camera camera;      ///< its `image` is the picture's path as the file has it; width and height are 0 where only the picture knows them
    std::string depth;  ///< path of a depth picture (.npy: float32 [height, width], distance along the camera's forward axis); empty: none
    double angleX = 0;  ///< horizontal field of view in radians where the file gives it instead of a focal length; else 0
    Part part = Part::Train;
    bool hasPart = false;  ///< the file itself says which part the view belongs to
};

struct ScenePoint {
    Vector3 position{};
    std::array<std::uint8_t, 3> colour{};
};

/// What a set of posed images says of itself. World: as the file has it; COLMAP's axes are turned so that z points up where COLMAP's -y did.
struct PosedSet {
    std::string format;                        ///< "transforms", "colmap text", "colmap binary"
    std::filesystem::path folder;              ///< what the paths are relative to
    std::vector<PosedView> views;              ///< in the file's order (COLMAP: by name)
    std::vector<ScenePoint> points;            ///< COLMAP's sparse points
    std::optional<std::array<double, 6>> box;  ///< x0, y0, z0, x1, y1, z1 of the scene, where the file has it ("scene_box")
};

/// nerfstudio, instant-ngp and Blender: intrinsics for all frames or for each, distortion k1..k4, p1, p2, `depth_file_path`, `train_filenames` and so on.
/// @throws core::FormatError naming the frame and the key: no frames, a matrix that is no pose, numbers that are not finite, a camera model that is not
///         a perspective one.
/// Source: nerfstudio documentation, "Data conventions"; Mueller et al. (2022), "Instant Neural Graphics Primitives", arXiv:2201.05989, its data format.
PosedSet parseTransforms(std::string_view bytes, std::string_view name);
/// The document that `parseTransforms` reads back as the same cameras.
core::Json transformsDocument(const PosedSet& set);

/// The three files of a COLMAP model. Empty bytes for the points: none. Camera models SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, RADIAL, OPENCV.
/// @throws core::FormatError with file, line or byte, expected and found. Source: COLMAP documentation, "Output format".
struct ColmapFiles {
    std::string_view cameras, images, points;
};
PosedSet parseColmapText(const ColmapFiles& files, std::string_view name);
PosedSet parseColmapBinary(const ColmapFiles& files, std::string_view name);
PosedSet parseColmapBytes(std::string_view bytes);  ///< for fuzzing: three parts with a length before each

/// Opens a transforms.json, a folder that holds one (or Blender's three, or a COLMAP model in it, in sparse/0 or colmap/sparse/0). Picture sizes that the
/// file leaves open are taken from the pictures; a path without ending gets `.png`.
/// @throws core::StorageError naming the pictures that are missing (the first three and how many), core::FormatError, core::InputError.
PosedSet readPosedImages(const std::filesystem::path& path);

/// The cube a field is trained in: the file's box, else the points' (the middle 98 % of each axis), else around the place all cameras look at, with half the
/// mean distance of the cameras in each direction. @throws core::InputError if there are no views.
std::array<double, 6> sceneBox(const PosedSet& set);

/// Views without a part of their own are shared out: every `every`-th view from the first is for testing, the one after it for validation.
void assignParts(PosedSet& set, int every = 8);

}  // namespace orrery::scene
