#include "charsmap.h"

#include <fmt/format.h>

#include <core/base/error.h>

#include "unicode.h"

namespace orrery::text {
namespace {

constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// A unit of the double array: label in the low byte, bit 8 says that a value stands below, bits 9 and up are the offset (scaled by 256 where bit 9 is set).
std::uint32_t unitLabel(std::uint32_t unit)
{
    return unit & (1u << 31 | 0xff);
}

std::uint32_t unitOffset(std::uint32_t unit)
{
    return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

bool unitHasLeaf(std::uint32_t unit)
{
    return (unit >> 8) & 1;
}

std::uint32_t littleEndian(std::string_view bytes, std::size_t at)
{
    std::uint32_t value = 0;
    for (int i = 3; i >= 0; --i)
        value = value << 8 | static_cast<unsigned char>(bytes[at + std::size_t(i)]);
    return value;
}

/// The new characters replace as many old ones; more are inserted, fewer take the rest of the old ones with the last.
void addReplacement(std::vector<Change>& changes, std::string_view before, std::string_view after)
{
    const auto points = pointsOf(after);
    const auto old = std::ptrdiff_t(countPoints(before));
    for (std::size_t i = 0; i < points.size(); ++i)
        changes.push_back({points[i], std::ptrdiff_t(i) < old ? 0 : 1});
    if (std::ptrdiff_t(points.size()) < old && !changes.empty())
        changes.back().shift -= int(old - std::ptrdiff_t(points.size()));
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const std::string& place)
{
    const auto size = bytes.size() >= 4 ? littleEndian(bytes, 0) : 0;
    if (bytes.size() < 8 || size % 4 != 0 || size == 0 || size > bytes.size() - 4)
        throw core::FormatError(
            fmt::format("{}: expected a table of characters that fits into its {} bytes, got one of {}", place, bytes.size(), size));
    m_units.resize(size / 4);
    for (std::size_t i = 0; i < m_units.size(); ++i)
        m_units[i] = littleEndian(bytes, 4 + 4 * i);
    m_replacements = bytes.substr(4 + size);
}

std::optional<std::string_view> Charsmap::replacement(std::string_view text) const
{
    std::size_t node = unitOffset(m_units[0]);
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        node ^= byte;
        if (byte == 0 || node >= m_units.size() || unitLabel(m_units[node]) != byte)
            return {};
        const auto unit = m_units[node];
        node ^= unitOffset(unit);
        if (!unitHasLeaf(unit))
            continue;
        const std::size_t at = node < m_units.size() ? m_units[node] & 0x7fffffff : m_replacements.size();
        if (at >= m_replacements.size())
            return {};
        return std::string_view(m_replacements).substr(at, m_replacements.find('\0', at) - at);
    }
    return {};
}

void Charsmap::apply(AlignedText& text) const
{
    std::vector<Change> changes;
    std::size_t made = 0;
    const auto replace = [&](std::string_view before, std::string_view after) {
        made += after.size();
        text.checkGrowth(made);
        addReplacement(changes, before, after);
    };
    bool changed = false;
    const auto boundaries = graphemeBoundaries(text.text());
    const std::string_view all = text.text();
    for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
        const auto cluster = all.substr(boundaries[i], boundaries[i + 1] - boundaries[i]);
        const auto whole = cluster.size() < 6 ? replacement(cluster) : std::nullopt;
        if (whole) {
            replace(cluster, *whole);
            changed = true;
            continue;
        }
        for (std::size_t at = 0; at < cluster.size();) {
            const Point point = pointAt(cluster, at);
            const auto part = cluster.substr(at, point.bytes);
            at += point.bytes;
            if (const auto single = replacement(part)) {
                replace(part, *single);
                changed = true;
            } else {
                changes.push_back({point.value, 0});
            }
        }
    }
    if (changed)
        text.transform(changes);
}

std::string decodeBase64(std::string_view text, const std::string& place)
{
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    while (text.ends_with('='))
        text.remove_suffix(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto value = kBase64Digits.find(text[i]);
        if (value == kBase64Digits.npos)
            throw core::FormatError(
                fmt::format("{}: expected Base64, got the byte 0x{:02x} at position {}", place, static_cast<unsigned char>(text[i]), i));
        bits = bits << 6 | std::uint32_t(value);
        if (++count == 4) {
            out += {char(bits >> 16 & 0xff), char(bits >> 8 & 0xff), char(bits & 0xff)};
            bits = 0;
            count = 0;
        }
    }
    if (count == 1)
        throw core::FormatError(place + ": expected Base64, got a text that ends in the middle");
    if (count == 2)
        out += char(bits >> 4 & 0xff);
    if (count == 3)
        out += {char(bits >> 10 & 0xff), char(bits >> 2 & 0xff)};
    return out;
}

std::string encodeBase64(std::string_view bytes)
{
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j)
            group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
        for (std::size_t j = 0; j < 4; ++j)
            out += i + j <= bytes.size() ? kBase64Digits[group >> (18 - 6 * j) & 63] : '=';
    }
    return out;
}

}  // namespace orrery::text
