#include <csetjmp>
#include <cstdio>
#include <fmt/format.h>
#include <jpeglib.h>

#include <core/base/error.h>

#include "image_decoders.h"

namespace orrery::io {
namespace {

/// libjpeg's error object with a way back. Its own handlers would print and end the program.
struct JpegErrors {
    jpeg_error_mgr base;
    std::jmp_buf back;
    char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void onError(j_common_ptr common)
{
    auto* const errors = reinterpret_cast<JpegErrors*>(common->err);
    common->err->format_message(common, errors->message);
    std::longjmp(errors->back, 1);
}

/// Damaged entropy-coded data and early ends are only warnings to libjpeg; to us they are errors. Level -1 is a warning, higher ones are traces.
void onMessage(j_common_ptr common, int level)
{
    if (level < 0)
        onError(common);
}

void onOutput(j_common_ptr)
{
}

struct JpegReader {
    jpeg_decompress_struct info{};
    JpegErrors errors{};
    bool created = false;
    JpegReader()
    {
        info.err = jpeg_std_error(&errors.base);
        errors.base.error_exit = onError;
        errors.base.emit_message = onMessage;
        errors.base.output_message = onOutput;
    }
    JpegReader(const JpegReader&) = delete;
    JpegReader& operator=(const JpegReader&) = delete;
    ~JpegReader()
    {
        if (created)
            jpeg_destroy_decompress(&info);
    }
};

// The functions that call setjmp hold no object with a destructor.

bool readHeader(JpegReader* reader, const unsigned char* bytes, unsigned long size)
{
    if (setjmp(reader->errors.back))
        return false;
    jpeg_create_decompress(&reader->info);
    reader->created = true;
    reader->info.mem->max_memory_to_use = 1L << 30;
    jpeg_mem_src(&reader->info, bytes, size);
    jpeg_read_header(&reader->info, TRUE);
    return true;
}

bool readPixels(JpegReader* reader, unsigned char* pixels, std::size_t stride)
{
    if (setjmp(reader->errors.back))
        return false;
    while (reader->info.output_scanline < reader->info.output_height) {
        unsigned char* row = pixels + reader->info.output_scanline * stride;
        jpeg_read_scanlines(&reader->info, &row, 1);
    }
    jpeg_finish_decompress(&reader->info);
    return true;
}

bool start(JpegReader* reader)
{
    if (setjmp(reader->errors.back))
        return false;
    jpeg_start_decompress(&reader->info);
    return true;
}

J_COLOR_SPACE wantedSpace(const jpeg_decompress_struct& info)
{
    if (info.jpeg_color_space == JCS_GRAYSCALE)
        return JCS_GRAYSCALE;
    return info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK ? JCS_CMYK : JCS_RGB;
}

/// A progressive file can hold thousands of scans over the same pixels: a few kilobytes that decode for minutes.
void checkScans(std::string_view bytes, std::string_view name)
{
    constexpr int kMaxScans = 200;
    int scans = 0;
    for (std::size_t at = bytes.find("\xff\xda"); at != std::string_view::npos; at = bytes.find("\xff\xda", at + 2))
        if (++scans > kMaxScans)
            throw core::FormatError(fmt::format("{}: broken JPEG picture: expected at most {} scans, got more", name, kMaxScans));
}

/// Print colours to RGB without a profile. Adobe programs store them inverted and leave a marker.
Image fromCmyk(const Image& cmyk, bool inverted)
{
    Image image{cmyk.width, cmyk.height, 3, {}};
    image.pixels.reserve(cmyk.pixels.size() / 4 * 3);
    for (std::size_t i = 0; i + 3 < cmyk.pixels.size(); i += 4)
        for (std::size_t c = 0; c < 3; ++c) {
            const int ink = inverted ? cmyk.pixels[i + c] : 255 - cmyk.pixels[i + c],
                      black = inverted ? cmyk.pixels[i + 3] : 255 - cmyk.pixels[i + 3];
            image.pixels.push_back(std::uint8_t((ink * black + 127) / 255));
        }
    return image;
}

}  // namespace

Image decodeJpeg(std::string_view bytes, std::string_view name, const ImageLimits& limits)
{
    checkScans(bytes, name);
    JpegReader reader;
    const auto fail = [&] { throw core::FormatError(fmt::format("{}: broken JPEG picture: {}", name, reader.errors.message)); };
    if (!readHeader(&reader, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size())))
        fail();
    checkImageSize(reader.info.image_width, reader.info.image_height, name, limits);
    // A block of 64 samples takes a bit at least, and those of two components may cover half of the pixels each. Arithmetic coding has no such bound.
    constexpr std::uint64_t kMostPixelsAByte = 8 * 64 * 2;
    if (!reader.info.arith_code && std::uint64_t(reader.info.image_width) * reader.info.image_height / kMostPixelsAByte > bytes.size())
        throw core::FormatError(fmt::format("{}: broken JPEG picture: {} x {} pixels cannot lie in {} bytes", name, reader.info.image_width,
                                            reader.info.image_height, bytes.size()));
    reader.info.out_color_space = wantedSpace(reader.info);
    if (!start(&reader))
        fail();
    Image image{int(reader.info.output_width), int(reader.info.output_height), int(reader.info.output_components), {}};
    const std::size_t stride = std::size_t(image.width) * std::size_t(image.channels);
    image.pixels.resize(stride * std::size_t(image.height));
    if (!readPixels(&reader, image.pixels.data(), stride))
        fail();
    return image.channels == 4 ? fromCmyk(image, reader.info.saw_Adobe_marker) : image;
}

}  // namespace orrery::io
