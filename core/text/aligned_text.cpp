#include "aligned_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

#include <core/base/error.h>
#include <core/io/utf8.h>

#include "unicode.h"

namespace orrery::text {
namespace {

constexpr char32_t kEscapedByte = 0xdc00;

struct ByteTable {
    std::array<char32_t, 256> characters{};
    std::array<std::string, 256> texts;
    std::unordered_map<char32_t, int> bytes;
    ByteTable()
    {
        char32_t next = 0x100;
        for (unsigned byte = 0; byte < 256; ++byte) {
            const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
            characters[byte] = printable ? char32_t(byte) : next++;
            texts[byte] = utf8Of(characters[byte]);
            bytes[characters[byte]] = int(byte);
        }
    }
};

const ByteTable& byteTable()
{
    static const ByteTable kTable;
    return kTable;
}

/// Calls `found(character, at)` for each byte; `at` is where the code point begins that the byte is of.
template <class Found>
void eachByteText(std::string_view text, const Found& found)
{
    const auto& texts = byteTable().texts;
    for (std::size_t at = 0; at < text.size();) {
        const Point point = pointAt(text, at);
        if (point.value > kEscapedByte && point.value <= kEscapedByte + 0xff)
            found(texts[point.value & 0xff], at);
        else
            for (std::uint32_t i = 0; i < point.bytes; ++i)
                found(texts[static_cast<unsigned char>(text[at + i])], at);
        at += point.bytes;
    }
}

bool isWellFormed(std::string_view bytes)
{
    for (std::size_t at = 0; at < bytes.size();) {
        const auto [length, whole] = sequenceAt(bytes, at);
        if (!whole)
            return false;
        at += length;
    }
    return true;
}

}  // namespace

char32_t byteCharacter(unsigned char byte)
{
    return byteTable().characters[byte];
}

int characterByte(char32_t point)
{
    const auto found = byteTable().bytes.find(point);
    return found == byteTable().bytes.end() ? -1 : found->second;
}

AlignedText AlignedText::ofBytes(std::string_view bytes, Invalid invalid)
{
    if (bytes.size() >= std::numeric_limits<std::uint32_t>::max() / 4)
        throw core::InputError("text: expected less than 1 GiB at once, got " + std::to_string(bytes.size()) + " bytes");
    AlignedText out;
    if (isWellFormed(bytes)) {
        out.m_text = std::string(bytes);
        return out;
    }
    for (std::size_t at = 0; at < bytes.size();) {
        auto [length, whole] = sequenceAt(bytes, at);
        if (!whole && invalid == Invalid::Escape)
            length = 1;
        if (whole)
            out.m_text += bytes.substr(at, length);
        else
            io::appendUtf8(out.m_text, invalid == Invalid::Escape ? kEscapedByte + static_cast<unsigned char>(bytes[at]) : char32_t(0xfffd));
        out.m_spans.resize(out.m_text.size(), {std::uint32_t(at), std::uint32_t(at + length)});
        at += length;
    }
    return out;
}

Span AlignedText::spanOfByte(std::size_t at) const
{
    if (!m_spans.empty())
        return m_spans[at];
    std::size_t first = at;
    while (first > 0 && (static_cast<unsigned char>(m_text[first]) & 0xc0) == 0x80)
        --first;
    const auto begin = std::uint32_t(m_begin + first);
    return {begin, begin + pointAt(m_text, first).bytes};
}

Span AlignedText::spanOf(std::size_t first, std::size_t last) const
{
    if (first >= last || last > m_text.size()) {
        const auto at = m_text.empty() || first >= m_text.size() ? m_begin : spanOfByte(first).begin;
        return {at, at};
    }
    return {spanOfByte(first).begin, spanOfByte(last - 1).end};
}

AlignedText AlignedText::slice(std::size_t first, std::size_t last) const
{
    AlignedText out;
    out.m_text = m_text.substr(first, last - first);
    if (m_spans.empty()) {
        out.m_begin = m_begin + std::uint32_t(first);
    } else {
        out.m_spans.assign(m_spans.begin() + std::ptrdiff_t(first), m_spans.begin() + std::ptrdiff_t(last));
        out.m_begin = out.m_spans.empty() ? m_begin : out.m_spans.front().begin;
    }
    return out;
}

void AlignedText::transform(const std::vector<Change>& changes, std::size_t dropped)
{
    std::string text;
    std::vector<Span> spans;
    text.reserve(m_text.size());
    spans.reserve(m_text.size());
    std::size_t at = 0;
    const auto skip = [&] { at = std::min(m_text.size(), at < m_text.size() ? at + pointAt(m_text, at).bytes : at); };
    for (; dropped > 0; --dropped)
        skip();
    for (const Change& change : changes) {
        const bool inserted = change.shift > 0 || at >= m_text.size();
        const Span span = !inserted ? spanOfByte(at) : at > 0 ? spanOfByte(at - 1) : Span{m_begin, m_begin};
        if (change.shift <= 0)
            for (int i = 0; i <= -change.shift; ++i)
                skip();
        io::appendUtf8(text, change.point);
        spans.resize(text.size(), span);
    }
    m_text = std::move(text);
    m_spans = std::move(spans);
}

void AlignedText::filter(const std::function<bool(char32_t)>& keeps)
{
    std::vector<Change> changes;
    std::size_t dropped = 0;
    bool all = true;
    for (const char32_t point : pointsOf(m_text)) {
        if (keeps(point)) {
            changes.push_back({point, 0});
            continue;
        }
        all = false;
        if (changes.empty())
            ++dropped;
        else
            --changes.back().shift;
    }
    if (!all)
        transform(changes, dropped);
}

/// Steps of a hostile file that each double a text would soon take all memory.
void AlignedText::checkGrowth(std::size_t wanted) const
{
    constexpr std::size_t kAlways = std::size_t(16) << 20, kTimes = 64;
    const std::size_t given = m_text.empty() ? 0 : spanOfByte(m_text.size() - 1).end - std::min(m_begin, spanOfByte(m_text.size() - 1).end);
    if (wanted > kAlways + kTimes * given)
        throw core::InputError(fmt::format("the tokenizer's steps make {} bytes and more of a text of {}: expected at most {}", wanted, given,
                                           kAlways + kTimes * given));
}

void AlignedText::replace(const std::vector<Match>& matches, std::string_view content)
{
    const auto found = std::size_t(std::count_if(matches.begin(), matches.end(), [](const Match& match) { return match.isMatch; }));
    checkGrowth(m_text.size() + found * content.size());
    std::string text;
    std::vector<Span> spans;
    bool any = false;
    for (const Match& match : matches) {
        const Span span = match.end > 0 ? spanOfByte(match.end - 1) : Span{m_begin, m_begin};
        if (match.isMatch) {
            any = true;
            text += content;
            spans.resize(text.size(), span);
            continue;
        }
        text.append(m_text, match.begin, match.end - match.begin);
        for (auto at = match.begin; at < match.end; ++at)
            spans.push_back(spanOfByte(at));
    }
    if (!any)
        return;
    m_text = std::move(text);
    m_spans = std::move(spans);
}

void AlignedText::prepend(std::string_view prefix)
{
    if (m_text.empty() || prefix.empty())
        return;
    checkGrowth(m_text.size() + prefix.size());
    const Span first = spanOfByte(0);
    std::vector<Span> spans(prefix.size(), first);
    spans.reserve(prefix.size() + m_text.size());
    for (std::size_t at = 0; at < m_text.size(); ++at)
        spans.push_back(spanOfByte(at));
    m_spans = std::move(spans);
    m_text.insert(0, prefix);
}

void AlignedText::mapBytes()
{
    std::string text;
    std::vector<Span> spans;
    text.reserve(m_text.size() * 2);
    spans.reserve(m_text.size() * 2);
    eachByteText(m_text, [&](const std::string& character, std::size_t at) {
        text += character;
        spans.resize(text.size(), spanOfByte(at));
    });
    m_text = std::move(text);
    m_spans = std::move(spans);
}

std::string mappedBytes(std::string_view text)
{
    std::string out;
    eachByteText(text, [&](const std::string& character, std::size_t) { out += character; });
    return out;
}

}  // namespace orrery::text
