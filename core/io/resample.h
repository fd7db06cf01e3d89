#pragma once
#include <optional>
#include <string_view>

#include "image.h"

namespace orrery::io {

/// Filters that a picture is resized with, as Pillow numbers them.
enum class Filter { Nearest, Lanczos, Bilinear, Bicubic, Box, Hamming };
/// "nearest", "lanczos", "bilinear", "bicubic", "box", "hamming".
std::string_view filterName(Filter filter);
std::optional<Filter> filterFromName(std::string_view name);
/// Pillow's numbers 0 to 5, which preprocessor_config.json holds as `resample`.
std::optional<Filter> filterFromNumber(std::int64_t number);

/// Resizes as Pillow's `Image.resize` does, to the last bit: a filter that grows with the reduction (so nothing is left out), across first, then down, each
/// rounded to 8 bits. The channels are resized apart. Bicubic has a = -0.5. Source: Pillow, src/libImaging/Resample.c.
/// @throws core::InputError for sizes below 1 or a result that the limits refuse, before memory is taken. Any thread.
Image resample(const Image& image, int width, int height, Filter filter, const ImageLimits& limits = {});

/// The middle of a picture; what lies outside of it is black. Source: transformers, image_transforms.center_crop.
Image centreCrop(const Image& image, int width, int height);

}  // namespace orrery::io
