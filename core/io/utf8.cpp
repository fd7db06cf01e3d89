#include "utf8.h"

#include <fmt/format.h>

#include <core/base/error.h>

namespace orrery::io {
namespace {

struct Sequence {
    int length = 0;  ///< 0: no valid first byte
    char32_t bits = 0;
    char32_t minimum = 0;  ///< smaller values would be overlong
};

Sequence sequenceFor(unsigned char first)
{
    if (first < 0x80)
        return {1, first, 0};
    if (first >= 0xc2 && first < 0xe0)
        return {2, char32_t(first & 0x1f), 0x80};
    if (first >= 0xe0 && first < 0xf0)
        return {3, char32_t(first & 0x0f), 0x800};
    if (first >= 0xf0 && first < 0xf5)
        return {4, char32_t(first & 0x07), 0x10000};
    return {};
}

}  // namespace

std::vector<char32_t> decodeUtf8(std::string_view bytes, std::string_view name)
{
    std::vector<char32_t> out;
    out.reserve(bytes.size());
    const auto fail = [&](std::size_t at) {
        throw core::FormatError(
            fmt::format("{}: expected UTF-8 text, got the byte 0x{:02x} at position {}", name, static_cast<unsigned char>(bytes[at]), at));
    };
    for (std::size_t at = bytes.starts_with("\xef\xbb\xbf") ? 3 : 0; at < bytes.size();) {
        Sequence sequence = sequenceFor(static_cast<unsigned char>(bytes[at]));
        if (sequence.length == 0 || std::size_t(sequence.length) > bytes.size() - at)
            fail(at);
        for (int i = 1; i < sequence.length; ++i) {
            const auto next = static_cast<unsigned char>(bytes[at + std::size_t(i)]);
            if ((next & 0xc0) != 0x80)
                fail(at + std::size_t(i));
            sequence.bits = sequence.bits << 6 | (next & 0x3f);
        }
        if (sequence.bits < sequence.minimum || sequence.bits > 0x10ffff || (sequence.bits >= 0xd800 && sequence.bits < 0xe000))
            fail(at);
        out.push_back(sequence.bits);
        at += std::size_t(sequence.length);
    }
    return out;
}

void appendUtf8(std::string& out, char32_t codePoint)
{
    const auto put = [&](char32_t byte) { out += char(static_cast<unsigned char>(byte)); };
    if (codePoint < 0x80) {
        put(codePoint);
    } else if (codePoint < 0x800) {
        put(0xc0 | codePoint >> 6);
        put(0x80 | (codePoint & 0x3f));
    } else if (codePoint < 0x10000) {
        put(0xe0 | codePoint >> 12);
        put(0x80 | (codePoint >> 6 & 0x3f));
        put(0x80 | (codePoint & 0x3f));
    } else {
        put(0xf0 | codePoint >> 18);
        put(0x80 | (codePoint >> 12 & 0x3f));
        put(0x80 | (codePoint >> 6 & 0x3f));
        put(0x80 | (codePoint & 0x3f));
    }
}

}  // namespace orrery::io
