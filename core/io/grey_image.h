#pragma once
#include "image.h"

namespace orrery::io {

/// One grey value a pixel with all its bits, rows from top to bottom.
struct GreyImage {
    int width = 0, height = 0;
    std::uint32_t maximum = 255;  ///< what the file's white is: 255, or 65535 for 16 bits
    std::vector<std::uint16_t> values;
};

/// Decodes what `decodeImage` decodes, but keeps the 16 bits of a grey PNG without transparency; everything else becomes 8-bit grey (ITU-R BT.601 luma).
/// @throws core::FormatError, naming `name`. Any thread.
GreyImage decodeGrey(std::string_view bytes, std::string_view name, const ImageLimits& limits = {});

}  // namespace orrery::io
