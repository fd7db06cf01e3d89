#pragma once
#include "image.h"

namespace orrery::io {

/// The wrapped decoders behind `decodeImage`. @throws core::FormatError.
Image decodePng(std::string_view bytes, std::string_view name, const ImageLimits& limits);
Image decodeJpeg(std::string_view bytes, std::string_view name, const ImageLimits& limits);
Image decodeWebp(std::string_view bytes, std::string_view name, const ImageLimits& limits);

/// @throws core::FormatError if a side is zero or over the limits.
void checkImageSize(std::uint64_t width, std::uint64_t height, std::string_view name, const ImageLimits& limits);

}  // namespace orrery::io
