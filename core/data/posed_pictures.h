#pragma once
#include <core/scene/camera/posed_images.h>

#include <core/base/hash.h>
#include <core/base/schema.h>

#include "dataset.h"

namespace orrery::data {

/// Posed images opened as data: what the sets `rays` and `views` share. The pictures of all views are one block of bytes, three a pixel.
struct PosedPictures {
    std::vector<scene::Camera> cameras;     ///< of the size of their pictures
    std::vector<scene::Part> parts;         ///< of each view
    std::vector<std::int64_t> begins{0};    ///< first pixel of each view, and the end
    std::vector<std::uint8_t> pixels;       ///< transparency laid on the background
    std::array<double, 6> box{};            ///< the scene's place: x0, y0, z0, x1, y1, z1
    std::vector<scene::ScenePoint> points;  ///< where the file has some
};

/// The parameters `path`, `box`, `holdout`, `shrink`, the set's own `limit`, and `background`.
core::Schema posedSchema(core::Parameter limit);

/// Opens what resolved parameters of `posedSchema` name; `id` begins the messages.
/// @throws core::InputError, core::FormatError, core::StorageError: places that make no sense, pictures that are missing or not of their camera's size, no view
///         to train on, more than 2^28 pixels.
PosedPictures readPosedPictures(const std::string& id, const core::Json& parameters, const std::filesystem::path& base);

/// Adds to a hash what decides the samples: cameras, the scene's place as the set writes it, pixels.
void addToHash(core::Hasher& hasher, const PosedPictures& pictures, std::string_view place);
/// And the parts.
void addToHash(core::Hasher& hasher, const DataSet& set);

}  // namespace orrery::data
