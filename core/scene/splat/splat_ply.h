#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "splats.h"

/// The PLY files of 3D Gaussian splatting. Parsers take bytes and know neither files nor libtorch.
namespace orrery::scene {

/// What a file held, so that writing it again gives the same bytes.
struct SplatFile {
    Splats splats;
    std::string header;               ///< as it stands in the file; the number of Gaussians is written anew
    std::vector<std::string> extras;  ///< further properties (normals as a rule), in the file's order
    std::vector<float> extraValues;   ///< [gaussian, extra]
};

/// True if the bytes are a PLY whose header has the properties of Gaussians (f_dc_0, opacity, scale_0, rot_0).
bool isSplatPly(std::string_view bytes);

/// Binary little-endian, one element `vertex` of floats: x, y, z, f_dc_0..2, f_rest_* (0, 9, 24 or 45: degree 0 to 3, channel by channel), opacity (logit),
/// scale_0..2 (logarithm), rot_0..3 (w, x, y, z). Any other float property is kept.
/// @throws core::FormatError that names the place, what was expected and found: other formats and elements, missing properties, a length that does not fit the
///         count, values that are not finite, quaternions of length 0. Memory is taken after the length is checked.
SplatFile parseSplatPly(std::string_view bytes, std::string_view name);

/// The file's bytes; splats.size() Gaussians of the degree of the header (an empty header: the order of the original program, normals 0).
/// @throws core::InputError if header and arrays do not fit.
std::string splatPlyBytes(const SplatFile& file);

/// @throws core::StorageError as well.
SplatFile readSplatPly(const std::filesystem::path& file);
void writeSplatPly(const std::filesystem::path& file, const SplatFile& content);

}  // namespace orrery::scene
