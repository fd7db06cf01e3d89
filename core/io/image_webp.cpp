#include <fmt/format.h>
#include <webp/decode.h>

#include <core/base/error.h>

#include "image_decoders.h"

namespace orrery::io {

Image decodeWebp(std::string_view bytes, std::string_view name, const ImageLimits& limits)
{
    const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK)
        throw core::FormatError(fmt::format("{}: broken WebP picture: the header is damaged or cut off", name));
    if (features.has_animation)
        throw core::FormatError(fmt::format("{}: expected a still WebP picture, got an animation", name));
    checkImageSize(std::uint64_t(features.width), std::uint64_t(features.height), name, limits);
    Image image{features.width, features.height, features.has_alpha ? 4 : 3, {}};
    const int stride = image.width * image.channels;
    image.pixels.resize(std::size_t(stride) * std::size_t(image.height));
    const auto decode = features.has_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
    if (!decode(data, bytes.size(), image.pixels.data(), image.pixels.size(), stride))
        throw core::FormatError(fmt::format("{}: broken WebP picture: the data are damaged or cut off", name));
    return image;
}

}  // namespace orrery::io
