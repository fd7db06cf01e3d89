#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::io {

/// Eight bits a channel, rows from top to bottom, channels interleaved, no padding. Channels: 1 grey, 3 RGB, 4 RGBA (not premultiplied).
struct Image {
    int width = 0, height = 0, channels = 3;
    std::vector<std::uint8_t> pixels;  ///< width * height * channels
};

enum class ImageFormat { Png, Jpeg, Webp };
/// By the first bytes; nothing if it is none of the three.
std::optional<ImageFormat> recogniseImage(std::string_view bytes);
std::string_view formatName(ImageFormat format);

/// Larger pictures are refused before memory is taken.
struct ImageLimits {
    int maxSide = 16384;
    std::uint64_t maxPixels = std::uint64_t(1) << 27;
};

/// Decodes a PNG (any bit depth, palettes, interlacing; 16 bits are rounded to 8; gamma chunks are ignored), JPEG (grey, YCbCr, RGB, CMYK; the
/// EXIF orientation is ignored) or still WebP picture. Grey with alpha becomes RGBA.
/// @throws core::FormatError, naming `name`, if it is none of these, damaged, cut off or over the limits.
/// Any thread.
Image decodeImage(std::string_view bytes, std::string_view name, const ImageLimits& limits = {});

/// PNG bytes of a picture with 1, 3 or 4 channels. Same picture, same bytes (for one version of zlib). @throws core::InputError if sizes do not fit.
std::string encodePng(const Image& image);

/// Area average when shrinking, bilinear when growing, per axis; the result has the same channels. Sizes are at least 1.
Image resize(const Image& image, int width, int height);
/// Grey (ITU-R BT.601 luma), RGB or RGBA (opaque); alpha is dropped, not blended.
Image toChannels(const Image& image, int channels);

/// @throws core::StorageError as well.
Image readImage(const std::filesystem::path& file, const ImageLimits& limits = {});
void writePng(const std::filesystem::path& file, const Image& image);

}  // namespace orrery::io
