#include <fmt/format.h>
#include <png.h>

#include <cstdio>
#include <cstring>

#include <core/base/error.h>

#include "grey_image.h"
#include "image_decoders.h"

namespace orrery::io {
namespace {

/// What libpng's callbacks see. Plain data only: libpng reports errors by longjmp, which runs no destructors.
struct PngSource {
    const char* bytes;
    std::size_t size, at;
    char message[200];
};

void onError(png_structp png, png_const_charp message)
{
    auto* const source = static_cast<PngSource*>(png_get_error_ptr(png));
    std::snprintf(source->message, sizeof source->message, "%s", message);
    png_longjmp(png, 1);
}

void onWarning(png_structp, png_const_charp)
{
}

void onRead(png_structp png, png_bytep target, png_size_t length)
{
    auto* const source = static_cast<PngSource*>(png_get_io_ptr(png));
    if (length > source->size - source->at)
        png_error(png, "the file is cut off");
    std::memcpy(target, source->bytes + source->at, length);
    source->at += length;
}

/// libpng's two structures, freed at the end of their scope.
struct PngReader {
    png_structp png = nullptr;
    png_infop info = nullptr;
    explicit PngReader(PngSource& source)
    {
        png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, onError, onWarning);
        info = png ? png_create_info_struct(png) : nullptr;
    }
    PngReader(const PngReader&) = delete;
    PngReader& operator=(const PngReader&) = delete;
    ~PngReader()
    {
        if (png)
            png_destroy_read_struct(&png, info ? &info : nullptr, nullptr);
    }
};

// The functions that call setjmp hold no object with a destructor.

/// Everything up to the pixels; false after an error.
bool readHeader(png_structp png, png_infop info, PngSource* source, const ImageLimits* limits)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_read_fn(png, source, onRead);
    png_set_user_limits(png, png_uint_32(limits->maxSide), png_uint_32(limits->maxSide));
    png_set_chunk_malloc_max(png, 8u << 20);
    png_set_chunk_cache_max(png, 64);
    // Texts, profiles and palettes to choose from: nothing here uses them, and a hundred that unpack to 8 MiB each are a few hundred kilobytes of file.
    static const png_byte kUnused[] = "tEXt\0zTXt\0iTXt\0iCCP\0sPLT\0eXIf\0hIST\0sCAL\0pCAL";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, kUnused, 9);
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    // A fuzzer cannot guess checksums; without this it would never get behind them.
    png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
#endif
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
    png_read_info(png, info);
    return true;
}

/// What the pixels become: bytes of grey, RGB or RGBA, or grey values of 16 bits as they are stored.
enum class PngPixels { Bytes, Grey16 };

/// Sets the conversion; false after an error.
bool setTransforms(png_structp png, png_infop info, PngPixels pixels)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    if (pixels == PngPixels::Grey16) {
        png_set_swap(png);  // the file is big-endian
        png_set_interlace_handling(png);
        png_read_update_info(png, info);
        return true;
    }
    const int colour = png_get_color_type(png, info);
    const bool transparent = png_get_valid(png, info, PNG_INFO_tRNS) != 0;
    png_set_scale_16(png);
    png_set_expand(png);
    if (!(colour & PNG_COLOR_MASK_COLOR) && (transparent || (colour & PNG_COLOR_MASK_ALPHA)))
        png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
}

bool readPixels(png_structp png, png_bytepp rows)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_read_image(png, rows);
    png_read_end(png, nullptr);
    return true;
}

std::uint64_t pngSize(std::string_view bytes)
{
    std::uint64_t value = 0;
    for (const char c : bytes)
        value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

/// That no chunk claims more bytes than the file has: libpng takes the memory of some (eXIf) before it reads them, whatever its limits say.
/// Source: PNG specification, section 5.3.
void checkChunks(std::string_view bytes, std::string_view name)
{
    constexpr std::size_t kSignature = 8, kAround = 12;  // length, type and checksum stand around the data
    for (std::size_t at = kSignature;;) {
        if (bytes.size() < at + kAround)
            throw core::FormatError(fmt::format("{}: broken PNG picture: the file is cut off", name));
        const std::uint64_t length = pngSize(bytes.substr(at, 4)), left = bytes.size() - at - kAround;
        if (length > left)
            throw core::FormatError(fmt::format("{}: broken PNG picture: the chunk at byte {} says {} bytes, {} are left", name, at, length, left));
        if (bytes.substr(at + 4, 4) == "IEND")
            return;
        at += kAround + std::size_t(length);
    }
}

/// A picture as libpng gave it. @param target  Takes the rows' memory: (width, height, channels, bytes a row) -> first byte.
template <class Target>
void readPng(std::string_view bytes, std::string_view name, const ImageLimits& limits, PngPixels pixels, Target&& target)
{
    // The size stands at the same place in every file; checked here, the message is the same for all formats.
    if (bytes.size() >= 24 && bytes.substr(12, 4) == "IHDR")
        checkImageSize(pngSize(bytes.substr(16, 4)), pngSize(bytes.substr(20, 4)), name, limits);
    checkChunks(bytes, name);
    PngSource source{bytes.data(), bytes.size(), 0, {}};
    const PngReader reader(source);
    if (!reader.info)
        throw core::Error("libpng cannot start: out of memory");
    const auto fail = [&] { throw core::FormatError(fmt::format("{}: broken PNG picture: {}", name, source.message)); };
    if (!readHeader(reader.png, reader.info, &source, &limits))
        fail();
    const png_uint_32 width = png_get_image_width(reader.png, reader.info), height = png_get_image_height(reader.png, reader.info);
    checkImageSize(width, height, name, limits);
    // Deflate packs at most 1,032 to 1: what promises more is cut off, and its pixels would only take memory.
    if (std::uint64_t(png_get_rowbytes(reader.png, reader.info)) * height / 1032 > bytes.size())
        throw core::FormatError(fmt::format("{}: broken PNG picture: {} x {} pixels cannot lie in {} bytes", name, width, height, bytes.size()));
    if (!setTransforms(reader.png, reader.info, pixels))
        fail();
    const std::size_t stride = png_get_rowbytes(reader.png, reader.info), channels = png_get_channels(reader.png, reader.info);
    if (stride != std::size_t(width) * channels * (pixels == PngPixels::Grey16 ? 2 : 1) || channels == 2)
        throw core::FormatError(fmt::format("{}: broken PNG picture: unexpected row size {}", name, stride));
    png_bytep const first = target(int(width), int(height), int(channels), stride);
    std::vector<png_bytep> rows(height);
    for (std::size_t y = 0; y < height; ++y)
        rows[y] = first + y * stride;
    if (!readPixels(reader.png, rows.data()))
        fail();
}

/// Bit depth and colour type follow the size. Source: PNG specification, section 11.2.2.
bool holdsGrey16(std::string_view bytes)
{
    return bytes.size() >= 26 && bytes.substr(12, 4) == "IHDR" && bytes[24] == 16 && bytes[25] == 0;
}

}  // namespace

Image decodePng(std::string_view bytes, std::string_view name, const ImageLimits& limits)
{
    Image image;
    readPng(bytes, name, limits, PngPixels::Bytes, [&image](int width, int height, int channels, std::size_t stride) {
        image = {width, height, channels, {}};
        image.pixels.resize(stride * std::size_t(height));
        return image.pixels.data();
    });
    return image;
}

GreyImage decodeGrey(std::string_view bytes, std::string_view name, const ImageLimits& limits)
{
    GreyImage grey;
    if (recogniseImage(bytes) == ImageFormat::Png && holdsGrey16(bytes)) {
        grey.maximum = 65535;
        readPng(bytes, name, limits, PngPixels::Grey16, [&grey](int width, int height, int, std::size_t) {
            grey.width = width;
            grey.height = height;
            grey.values.resize(std::size_t(width) * std::size_t(height));
            return reinterpret_cast<png_bytep>(grey.values.data());
        });
        return grey;
    }
    const Image image = toChannels(decodeImage(bytes, name, limits), 1);
    grey.width = image.width;
    grey.height = image.height;
    grey.values.assign(image.pixels.begin(), image.pixels.end());
    return grey;
}

}  // namespace orrery::io
