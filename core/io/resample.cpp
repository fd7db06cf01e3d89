#include "resample.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <core/base/error.h>

namespace orrery::io {
namespace {

constexpr std::array<std::string_view, 6> kFilterNames = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};
// Weights are whole numbers of 22 bits behind the point: 8 bits of a pixel and 2 of overshoot then fit into 32.
constexpr int kBits = 22;

double sinc(double x)
{
    return x == 0 ? 1 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x);
}

double bicubic(double x)
{
    constexpr double a = -0.5;
    x = std::abs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

double weight(Filter filter, double x)
{
    switch (filter) {
    case Filter::Lanczos: return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    case Filter::Bilinear: return std::max(0.0, 1 - std::abs(x));
    case Filter::Bicubic: return bicubic(x);
    case Filter::Hamming: return std::abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * std::cos(std::numbers::pi * x)) : 0;
    default: return -0.5 < x && x <= 0.5 ? 1 : 0;
    }
}

double supportOf(Filter filter)
{
    switch (filter) {
    case Filter::Lanczos: return 3;
    case Filter::Bicubic: return 2;
    case Filter::Bilinear:
    case Filter::Hamming: return 1;
    default: return 0.5;
    }
}

/// The source pixels that one result pixel is made of, and how much each counts.
struct Window {
    int first = 0;
    std::vector<std::int32_t> weights;
};

Window windowAt(int target, double scale, int sourceSize, Filter filter)
{
    const double spread = std::max(scale, 1.0), support = supportOf(filter) * spread, centre = (target + 0.5) * scale;
    const int first = std::max(int(centre - support + 0.5), 0), end = std::min(int(centre + support + 0.5), sourceSize);
    std::vector<double> weights;
    double sum = 0;
    for (int source = first; source < end; ++source) {
        weights.push_back(weight(filter, (source - centre + 0.5) * (1 / spread)));
        sum += weights.back();
    }
    Window window{first, {}};
    for (double each : weights) {
        each = sum != 0 ? each * (1 / sum) : each;
        window.weights.push_back(std::int32_t((each < 0 ? -0.5 : 0.5) + each * (1 << kBits)));
    }
    return window;
}

std::vector<Window> windows(int sourceSize, int targetSize, Filter filter)
{
    std::vector<Window> all;
    for (int target = 0; target < targetSize; ++target)
        all.push_back(windowAt(target, double(sourceSize) / targetSize, sourceSize, filter));
    return all;
}

/// @param stride  From one source pixel to the next.
std::uint8_t filtered(const Window& window, const std::uint8_t* source, std::size_t stride)
{
    std::int32_t sum = 1 << (kBits - 1);
    for (std::size_t i = 0; i < window.weights.size(); ++i)
        sum += window.weights[i] * source[(std::size_t(window.first) + i) * stride];
    return std::uint8_t(std::clamp(sum >> kBits, 0, 255));
}

Image blank(int width, int height, int channels)
{
    return {width, height, channels, std::vector<std::uint8_t>(std::size_t(width) * std::size_t(height) * std::size_t(channels))};
}

Image across(const Image& image, int width, Filter filter)
{
    const auto all = windows(image.width, width, filter);
    const auto channels = std::size_t(image.channels);
    Image out = blank(width, image.height, image.channels);
    std::uint8_t* to = out.pixels.data();
    for (int y = 0; y < image.height; ++y) {
        const std::uint8_t* row = image.pixels.data() + std::size_t(y) * std::size_t(image.width) * channels;
        for (const Window& window : all)
            for (std::size_t c = 0; c < channels; ++c)
                *to++ = filtered(window, row + c, channels);
    }
    return out;
}

Image down(const Image& image, int height, Filter filter)
{
    const std::size_t length = std::size_t(image.width) * std::size_t(image.channels);
    Image out = blank(image.width, height, image.channels);
    std::uint8_t* to = out.pixels.data();
    for (const Window& window : windows(image.height, height, filter))
        for (std::size_t x = 0; x < length; ++x)
            *to++ = filtered(window, image.pixels.data() + x, length);
    return out;
}

/// Pillow adds the step up, which decides where the middle of a pixel falls on a border.
std::vector<std::size_t> nearestPixels(int sourceSize, int targetSize)
{
    const double step = double(sourceSize) / targetSize;
    std::vector<std::size_t> sources;
    for (double at = step * 0.5; sources.size() < std::size_t(targetSize); at += step)
        sources.push_back(std::min(std::size_t(at), std::size_t(sourceSize - 1)));
    return sources;
}

Image nearest(const Image& image, int width, int height)
{
    const auto channels = std::size_t(image.channels);
    const auto columns = nearestPixels(image.width, width), rows = nearestPixels(image.height, height);
    Image out = blank(width, height, image.channels);
    std::uint8_t* to = out.pixels.data();
    for (const std::size_t row : rows)
        for (const std::size_t column : columns)
            to = std::copy_n(image.pixels.data() + (row * std::size_t(image.width) + column) * channels, channels, to);
    return out;
}

}  // namespace

std::string_view filterName(Filter filter)
{
    return kFilterNames.at(std::size_t(filter));
}

std::optional<Filter> filterFromName(std::string_view name)
{
    const auto found = std::find(kFilterNames.begin(), kFilterNames.end(), name);
    return filterFromNumber(found - kFilterNames.begin());
}

std::optional<Filter> filterFromNumber(std::int64_t number)
{
    return number >= 0 && number < std::int64_t(kFilterNames.size()) ? std::optional(Filter(number)) : std::nullopt;
}

Image resample(const Image& image, int width, int height, Filter filter, const ImageLimits& limits)
{
    const auto pixels = [](int across, int down) { return std::uint64_t(std::max(across, 0)) * std::uint64_t(std::max(down, 0)); };
    if (width < 1 || height < 1 || std::max(pixels(width, height), pixels(width, image.height)) > limits.maxPixels)
        throw core::InputError(fmt::format("expected a size of at least 1 x 1 and at most {} pixels, got {} x {} (of a picture of {} x {})",
                                           limits.maxPixels, width, height, image.width, image.height));
    if (filter == Filter::Nearest)
        return nearest(image, width, height);
    const Image rows = width == image.width ? image : across(image, width, filter);
    return height == rows.height ? rows : down(rows, height, filter);
}

Image centreCrop(const Image& image, int width, int height)
{
    if (width < 1 || height < 1)
        throw core::InputError(fmt::format("expected a part of at least 1 x 1, got {} x {}", width, height));
    // A smaller picture is put into the middle of a larger black one first, and there the larger margin is the one before it.
    const auto begin = [](int size, int part) { return part > size ? -((part - size + 1) / 2) : (size - part) / 2; };
    const int left = begin(image.width, width), top = begin(image.height, height);
    const auto channels = std::size_t(image.channels);
    Image out = blank(width, height, image.channels);
    const int first = std::max(left, 0), count = std::min(left + width, image.width) - first;
    for (int y = std::max(top, 0); y < std::min(top + height, image.height); ++y)
        std::copy_n(image.pixels.data() + (std::size_t(y) * std::size_t(image.width) + std::size_t(first)) * channels, std::size_t(count) * channels,
                    out.pixels.data() + (std::size_t(y - top) * std::size_t(width) + std::size_t(first - left)) * channels);
    return out;
}

}  // namespace orrery::io
