#include "unicode.h"

#include <unicode/brkiter.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utext.h>

#include <map>
#include <memory>

#include <core/base/error.h>
#include <core/io/utf8.h>

namespace orrery::text {
namespace {

std::uint32_t lead(std::string_view text, std::size_t at)
{
    return static_cast<unsigned char>(text[at]);
}

bool isContinuation(std::string_view text, std::size_t at)
{
    return at < text.size() && (lead(text, at) & 0xc0) == 0x80;
}

/// Smallest and largest second byte after a first byte, and the length; length 0: no first byte.
struct Lead {
    std::uint32_t length = 0, low = 0x80, high = 0xbf;
};

Lead leadOf(std::uint32_t first)
{
    if (first < 0x80)
        return {1};
    if (first >= 0xc2 && first < 0xe0)
        return {2};
    if (first >= 0xe0 && first < 0xf0)
        return {3, first == 0xe0 ? 0xa0u : 0x80u, first == 0xed ? 0x9fu : 0xbfu};
    if (first >= 0xf0 && first < 0xf5)
        return {4, first == 0xf0 ? 0x90u : 0x80u, first == 0xf4 ? 0x8fu : 0xbfu};
    return {};
}

}  // namespace

Point pointAt(std::string_view text, std::size_t at)
{
    const auto first = lead(text, at);
    if (first < 0x80)
        return {first, 1};
    const std::uint32_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    char32_t value = first & (0x7f >> length);
    for (std::uint32_t i = 1; i < length; ++i)
        value = value << 6 | (at + i < text.size() ? lead(text, at + i) & 0x3f : 0);
    return {value, length};
}

Point pointBefore(std::string_view text, std::size_t at)
{
    --at;
    while (at > 0 && isContinuation(text, at))
        --at;
    return pointAt(text, at);
}

std::size_t countPoints(std::string_view text)
{
    std::size_t count = 0;
    for (std::size_t i = 0; i < text.size(); ++i)
        count += !isContinuation(text, i);
    return count;
}

std::vector<char32_t> pointsOf(std::string_view text)
{
    std::vector<char32_t> points;
    points.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Point point = pointAt(text, at);
        points.push_back(point.value);
        at += point.bytes;
    }
    return points;
}

std::string utf8Of(char32_t point)
{
    std::string out;
    io::appendUtf8(out, point);
    return out;
}

std::pair<std::uint32_t, bool> sequenceAt(std::string_view bytes, std::size_t at)
{
    const Lead expected = leadOf(lead(bytes, at));
    if (expected.length == 0)
        return {1, false};
    for (std::uint32_t i = 1; i < expected.length; ++i) {
        const bool there = at + i < bytes.size();
        const auto byte = there ? lead(bytes, at + i) : 0;
        if (!there || byte < (i == 1 ? expected.low : 0x80) || byte > (i == 1 ? expected.high : 0xbf))
            return {i, false};
    }
    return {expected.length, true};
}

std::string withReplacements(std::string_view bytes)
{
    std::string out;
    out.reserve(bytes.size());
    for (std::size_t at = 0; at < bytes.size();) {
        const auto [length, whole] = sequenceAt(bytes, at);
        if (whole)
            out += bytes.substr(at, length);
        else
            out += "\xef\xbf\xbd";
        at += length;
    }
    return out;
}

bool isWhiteSpace(char32_t point)
{
    return u_hasBinaryProperty(UChar32(point), UCHAR_WHITE_SPACE);
}

bool isWordPoint(char32_t point)
{
    const auto mask = U_GET_GC_MASK(UChar32(point));
    return (mask & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) || u_hasBinaryProperty(UChar32(point), UCHAR_ALPHABETIC) || point == 0x200c ||
           point == 0x200d;
}

bool isLetter(char32_t point)
{
    return U_GET_GC_MASK(UChar32(point)) & U_GC_L_MASK;
}

bool isPunctuation(char32_t point)
{
    const bool ascii = point > 0x20 && point < 0x7f && !(point >= '0' && point <= '9') && !((point | 0x20) >= 'a' && (point | 0x20) <= 'z');
    return ascii || (U_GET_GC_MASK(UChar32(point)) & U_GC_P_MASK);
}

bool isNumeric(char32_t point)
{
    return U_GET_GC_MASK(UChar32(point)) & U_GC_N_MASK;
}

bool isOther(char32_t point)
{
    return U_GET_GC_MASK(UChar32(point)) & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK | U_GC_CS_MASK);
}

bool isMark(char32_t point)
{
    return U_GET_GC_MASK(UChar32(point)) & U_GC_M_MASK;
}

bool isNonSpacingMark(char32_t point)
{
    return U_GET_GC_MASK(UChar32(point)) & U_GC_MN_MASK;
}

bool isChineseIdeograph(char32_t point)
{
    const auto within = [&](char32_t first, char32_t last) { return point >= first && point <= last; };
    return within(0x4e00, 0x9fff) || within(0x3400, 0x4dbf) || within(0x20000, 0x2a6df) || within(0x2a700, 0x2b73f) || within(0x2b740, 0x2b81f) ||
           within(0x2b920, 0x2ceaf) || within(0xf900, 0xfaff) || within(0x2f800, 0x2fa1f);
}

std::u32string lowerCase(char32_t point)
{
    if (point == 0x130)
        return {U'i', char32_t(0x307)};
    return {char32_t(u_tolower(UChar32(point)))};
}

int scriptOf(char32_t point)
{
    UErrorCode status = U_ZERO_ERROR;
    const auto script = uscript_getScript(UChar32(point), &status);
    return U_SUCCESS(status) ? int(script) : int(USCRIPT_UNKNOWN);
}

bool isUnknownScript(int script)
{
    return script == USCRIPT_UNKNOWN;
}

std::string scriptName(int script)
{
    const char* name = uscript_getName(UScriptCode(script));
    return name ? name : "Unknown";
}

int mainScript(std::string_view text)
{
    std::map<int, std::size_t> counts;
    for (std::size_t at = 0; at < text.size();) {
        const Point point = pointAt(text, at);
        at += point.bytes;
        if (const int script = scriptOf(point.value); script > USCRIPT_INHERITED && !isUnknownScript(script))
            ++counts[script];
    }
    int best = USCRIPT_COMMON;
    std::size_t most = 0;
    for (const auto& [script, count] : counts)
        if (count > most) {
            best = script;
            most = count;
        }
    return best;
}

std::vector<std::size_t> graphemeBoundaries(std::string_view text)
{
    UErrorCode status = U_ZERO_ERROR;
    // Making an iterator reads its rules; a copy of a finished one does not.
    static const std::unique_ptr<icu::BreakIterator> kPrototype(icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
    if (!kPrototype)
        throw core::Error("expected ICU's rules for grapheme clusters, found none: its data is missing");
    const std::unique_ptr<icu::BreakIterator> iterator(kPrototype->clone());
    status = U_ZERO_ERROR;
    UText bytes = UTEXT_INITIALIZER;
    utext_openUTF8(&bytes, text.data(), std::int64_t(text.size()), &status);
    iterator->setText(&bytes, status);
    std::vector<std::size_t> boundaries;
    for (auto at = iterator->first(); at != icu::BreakIterator::DONE; at = iterator->next())
        boundaries.push_back(std::size_t(at));
    utext_close(&bytes);
    if (boundaries.empty() || boundaries.back() != text.size())
        boundaries.push_back(text.size());
    return boundaries;
}

}  // namespace orrery::text
