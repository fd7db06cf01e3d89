#include "image.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include <core/base/error.h>
#include <core/base/files.h>

#include "image_decoders.h"

namespace orrery::io {
namespace {

void checkBuffer(const Image& image)
{
    const bool fits = image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3 || image.channels == 4) &&
                      image.pixels.size() == std::size_t(image.width) * std::size_t(image.height) * std::size_t(image.channels);
    if (!fits)
        throw core::InputError(fmt::format("expected a picture of width x height x 1, 3 or 4 bytes, got {} x {} x {} with {} bytes", image.width,
                                           image.height, image.channels, image.pixels.size()));
}

void appendBig(std::string& out, std::uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        out += char(value >> shift & 0xff);
}

void appendChunk(std::string& out, std::string_view type, std::string_view data)
{
    appendBig(out, std::uint32_t(data.size()));
    const std::size_t start = out.size();
    out.append(type).append(data);
    appendBig(out, std::uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(out.data() + start), out.size() - start)));
}

/// One filtered row, its filter number first. Source: PNG specification, section 9.2.
std::string filteredRow(int filter, const std::uint8_t* row, const std::uint8_t* above, std::size_t length, std::size_t channels)
{
    std::string out(length + 1, char(filter));
    for (std::size_t i = 0; i < length; ++i) {
        const int left = i >= channels ? row[i - channels] : 0, up = above ? above[i] : 0;
        out[i + 1] = char(row[i] - (filter == 1 ? left : filter == 2 ? up : 0));
    }
    return out;
}

/// None, Sub or Up, whichever gives the smallest sum of absolute (signed) values: the heuristic of the PNG specification, section 12.7.
std::string bestFilteredRow(const std::uint8_t* row, const std::uint8_t* above, std::size_t length, std::size_t channels)
{
    std::string best;
    std::uint64_t bestSum = UINT64_MAX;
    for (const int filter : {0, 1, 2}) {
        std::string candidate = filteredRow(filter, row, above, length, channels);
        std::uint64_t sum = 0;
        for (std::size_t i = 1; i < candidate.size(); ++i)
            sum += std::uint64_t(std::abs(int(static_cast<signed char>(candidate[i]))));
        if (sum < bestSum) {
            bestSum = sum;
            best = std::move(candidate);
        }
    }
    return best;
}

/// How much source pixel `first + i` counts for one result pixel; the weights sum to 1.
struct Taps {
    int first = 0;
    std::vector<float> weights;
};

Taps areaTaps(int target, double scale, int sourceSize)
{
    const double begin = target * scale, end = std::min(double(sourceSize), (target + 1) * scale);
    Taps taps{int(begin), {}};
    for (int source = taps.first; source < sourceSize && source < end; ++source)
        taps.weights.push_back(float((std::min(end, source + 1.0) - std::max(begin, double(source))) / (end - begin)));
    return taps;
}

Taps linearTaps(int target, double scale, int sourceSize)
{
    const double centre = std::clamp((target + 0.5) * scale - 0.5, 0.0, double(sourceSize - 1));
    const int first = std::min(int(centre), std::max(0, sourceSize - 2));
    if (sourceSize == 1)
        return {0, {1.0f}};
    const auto second = float(centre - first);
    return {first, {1.0f - second, second}};
}

std::vector<Taps> tapsFor(int sourceSize, int targetSize)
{
    std::vector<Taps> taps;
    const double scale = double(sourceSize) / targetSize;
    for (int target = 0; target < targetSize; ++target)
        taps.push_back(scale > 1 ? areaTaps(target, scale, sourceSize) : linearTaps(target, scale, sourceSize));
    return taps;
}

std::vector<float> resizeRows(const Image& image, const std::vector<Taps>& taps)
{
    const auto channels = std::size_t(image.channels);
    std::vector<float> out(taps.size() * std::size_t(image.height) * channels);
    float* target = out.data();
    for (int y = 0; y < image.height; ++y) {
        const std::uint8_t* row = image.pixels.data() + std::size_t(y) * std::size_t(image.width) * channels;
        for (const Taps& tap : taps)
            for (std::size_t c = 0; c < channels; ++c) {
                float sum = 0;
                for (std::size_t i = 0; i < tap.weights.size(); ++i)
                    sum += tap.weights[i] * row[(std::size_t(tap.first) + i) * channels + c];
                *target++ = sum;
            }
    }
    return out;
}

}  // namespace

void checkImageSize(std::uint64_t width, std::uint64_t height, std::string_view name, const ImageLimits& limits)
{
    if (width == 0 || height == 0)
        throw core::FormatError(fmt::format("{}: expected a picture with pixels, got {} x {}", name, width, height));
    if (width > std::uint64_t(limits.maxSide) || height > std::uint64_t(limits.maxSide) || width * height > limits.maxPixels)
        throw core::FormatError(fmt::format("{}: expected a picture of at most {} pixels a side and {} in all, got {} x {}", name, limits.maxSide,
                                            limits.maxPixels, width, height));
}

std::optional<ImageFormat> recogniseImage(std::string_view bytes)
{
    if (bytes.starts_with("\x89PNG\r\n\x1a\n"))
        return ImageFormat::Png;
    if (bytes.starts_with("\xff\xd8\xff"))
        return ImageFormat::Jpeg;
    if (bytes.size() >= 12 && bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP")
        return ImageFormat::Webp;
    return {};
}

std::string_view formatName(ImageFormat format)
{
    return format == ImageFormat::Png ? "PNG" : format == ImageFormat::Jpeg ? "JPEG" : "WebP";
}

Image decodeImage(std::string_view bytes, std::string_view name, const ImageLimits& limits)
{
    const std::optional<ImageFormat> format = recogniseImage(bytes);
    if (!format)
        throw core::FormatError(fmt::format("{}: expected a PNG, JPEG or WebP picture, got something else", name));
    switch (*format) {
    case ImageFormat::Png: return decodePng(bytes, name, limits);
    case ImageFormat::Jpeg: return decodeJpeg(bytes, name, limits);
    default: return decodeWebp(bytes, name, limits);
    }
}

std::string encodePng(const Image& image)
{
    checkBuffer(image);
    const auto channels = std::size_t(image.channels), length = std::size_t(image.width) * channels;
    std::string raw;
    raw.reserve((length + 1) * std::size_t(image.height));
    for (int y = 0; y < image.height; ++y) {
        const std::uint8_t* row = image.pixels.data() + std::size_t(y) * length;
        raw += bestFilteredRow(row, y > 0 ? row - length : nullptr, length, channels);
    }
    uLongf packedSize = compressBound(uLong(raw.size()));
    std::string packed(packedSize, '\0');
    if (compress2(reinterpret_cast<Bytef*>(packed.data()), &packedSize, reinterpret_cast<const Bytef*>(raw.data()), uLong(raw.size()), 6) != Z_OK)
        throw core::Error("zlib cannot compress a picture: out of memory");
    packed.resize(packedSize);
    std::string header, out = "\x89PNG\r\n\x1a\n";
    appendBig(header, std::uint32_t(image.width));
    appendBig(header, std::uint32_t(image.height));
    const char colour = image.channels == 1 ? 0 : image.channels == 3 ? 2 : 6;
    header.append({char(8), colour, char(0), char(0), char(0)});
    appendChunk(out, "IHDR", header);
    constexpr std::size_t kPiece = std::size_t(1) << 30;
    for (std::size_t at = 0; at < packed.size(); at += kPiece)
        appendChunk(out, "IDAT", std::string_view(packed).substr(at, kPiece));
    appendChunk(out, "IEND", "");
    return out;
}

Image resize(const Image& image, int width, int height)
{
    checkBuffer(image);
    if (width < 1 || height < 1)
        throw core::InputError(fmt::format("expected a size of at least 1 x 1, got {} x {}", width, height));
    if (width == image.width && height == image.height)
        return image;
    const std::vector<float> rows = resizeRows(image, tapsFor(image.width, width));
    const std::vector<Taps> taps = tapsFor(image.height, height);
    const std::size_t length = std::size_t(width) * std::size_t(image.channels);
    Image out{width, height, image.channels, std::vector<std::uint8_t>(length * std::size_t(height))};
    std::uint8_t* target = out.pixels.data();
    for (const Taps& tap : taps)
        for (std::size_t x = 0; x < length; ++x) {
            float sum = 0;
            for (std::size_t i = 0; i < tap.weights.size(); ++i)
                sum += tap.weights[i] * rows[(std::size_t(tap.first) + i) * length + x];
            *target++ = std::uint8_t(std::clamp(std::lround(sum), 0L, 255L));
        }
    return out;
}

Image toChannels(const Image& image, int channels)
{
    checkBuffer(image);
    if (channels != 1 && channels != 3 && channels != 4)
        throw core::InputError(fmt::format("expected 1, 3 or 4 channels, got {}", channels));
    if (channels == image.channels)
        return image;
    const std::size_t count = std::size_t(image.width) * std::size_t(image.height), from = std::size_t(image.channels);
    Image out{image.width, image.height, channels, {}};
    out.pixels.reserve(count * std::size_t(channels));
    for (const std::uint8_t* pixel = image.pixels.data(); pixel != image.pixels.data() + count * from; pixel += from) {
        const std::array<std::uint8_t, 3> rgb{pixel[0], pixel[from > 1 ? 1 : 0], pixel[from > 1 ? 2 : 0]};
        if (channels == 1)
            out.pixels.push_back(std::uint8_t((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000));
        else
            out.pixels.insert(out.pixels.end(), rgb.begin(), rgb.end());
        if (channels == 4)
            out.pixels.push_back(255);
    }
    return out;
}

Image readImage(const std::filesystem::path& file, const ImageLimits& limits)
{
    return decodeImage(core::readFile(file), file.string(), limits);
}

void writePng(const std::filesystem::path& file, const Image& image)
{
    core::writeFileAtomically(file, encodePng(image));
}

}  // namespace orrery::io
