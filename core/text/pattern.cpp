#include "pattern.h"

#include <fmt/format.h>
#include <unicode/regex.h>

#include <algorithm>

#include <core/base/error.h>

#include "gpt_words.h"
#include "unicode.h"

namespace orrery::text {
namespace {

/// Of ICU's matching engine for one match, each about a millisecond.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr std::int32_t kMostSteps = 20;
#else
constexpr std::int32_t kMostSteps = 2000;
#endif

/// A text in UTF-16 with the byte at which each unit's code point begins.
struct Utf16 {
    std::u16string units;
    std::vector<std::uint32_t> bytes;  ///< one more than units: the end
    explicit Utf16(std::string_view text)
    {
        units.reserve(text.size());
        bytes.reserve(text.size() + 1);
        for (std::size_t at = 0; at < text.size();) {
            const Point point = pointAt(text, at);
            const auto put = [&](char32_t unit) {
                units += char16_t(unit);
                bytes.push_back(std::uint32_t(at));
            };
            if (point.value < 0x10000) {
                put(point.value);
            } else {
                put(0xd7c0 + (point.value >> 10));
                put(0xdc00 + (point.value & 0x3ff));
            }
            at += point.bytes;
        }
        bytes.push_back(std::uint32_t(text.size()));
    }
};

/// Adds what lies between the matches.
class Matches {
public:
    void add(std::size_t begin, std::size_t end)
    {
        if (begin > m_end)
            m_list.push_back({m_end, begin, false});
        m_list.push_back({begin, end, true});
        m_end = end;
    }
    std::vector<Match> finished(std::size_t size)
    {
        if (size > m_end)
            m_list.push_back({m_end, size, false});
        return std::move(m_list);
    }

private:
    std::vector<Match> m_list;
    std::size_t m_end = 0;
};

class RegularExpression final : public Pattern {
public:
    RegularExpression(std::string_view expression, const std::string& place) : m_source(expression)
    {
        UErrorCode status = U_ZERO_ERROR;
        UParseError where{};
        const auto units = icu::UnicodeString::fromUTF8(icu::StringPiece(expression.data(), std::int32_t(expression.size())));
        m_pattern.reset(icu::RegexPattern::compile(units, UREGEX_MULTILINE | UREGEX_UNIX_LINES, where, status));
        if (U_FAILURE(status) || !m_pattern)
            throw core::FormatError(fmt::format("{}: expected a regular expression, got \"{}\" (character {}: {})", place, expression.substr(0, 200),
                                                where.offset, u_errorName(status)));
    }

    std::vector<Match> find(std::string_view text) const override
    {
        const Utf16 utf16(text);
        const icu::UnicodeString units(false, utf16.units.data(), std::int32_t(utf16.units.size()));  // aliases, not copied
        UErrorCode status = U_ZERO_ERROR;
        const std::unique_ptr<icu::RegexMatcher> matcher(m_pattern->matcher(units, status));
        if (!matcher)
            throw core::Error(fmt::format("regular expression \"{}\": {}", m_source, u_errorName(status)));
        matcher->setTimeLimit(kMostSteps, status);  // expressions that try everything end
        Matches matches;
        std::int32_t from = 0, lastEnd = -1;
        const std::int32_t size = units.length();
        while (from <= size && matcher->find(from, status)) {
            const auto begin = matcher->start(status), end = matcher->end(status);
            if (begin == end && end == lastEnd) {  // an empty match right behind the last one is none
                from = from < size ? units.moveIndex32(from, 1) : size + 1;
                continue;
            }
            matches.add(utf16.bytes[std::size_t(begin)], utf16.bytes[std::size_t(end)]);
            from = lastEnd = end;
        }
        if (U_FAILURE(status))
            throw core::InputError(
                fmt::format("regular expression \"{}\": gives up on a text of {} bytes ({})", m_source, text.size(), u_errorName(status)));
        return matches.finished(text.size());
    }

private:
    std::string m_source;
    std::unique_ptr<icu::RegexPattern> m_pattern;
};

class LiteralText final : public Pattern {
public:
    explicit LiteralText(std::string text) : m_text(std::move(text)) {}
    std::vector<Match> find(std::string_view text) const override
    {
        Matches matches;
        for (std::size_t at = m_text.empty() ? text.npos : text.find(m_text); at != text.npos; at = text.find(m_text, at + m_text.size()))
            matches.add(at, at + m_text.size());
        return matches.finished(text.size());
    }

private:
    std::string m_text;
};

template <class Wanted>
class Characters final : public Pattern {
public:
    explicit Characters(Wanted wanted) : m_wanted(wanted) {}
    std::vector<Match> find(std::string_view text) const override
    {
        Matches matches;
        for (std::size_t at = 0; at < text.size();) {
            const Point point = pointAt(text, at);
            if (m_wanted(point.value))
                matches.add(at, at + point.bytes);
            at += point.bytes;
        }
        return matches.finished(text.size());
    }

private:
    Wanted m_wanted;
};

using Ranges = std::vector<std::pair<std::size_t, std::size_t>>;

/// A match joins the part before it, unless that part ends with a match itself.
Ranges mergedWithPrevious(const std::vector<Match>& matches)
{
    Ranges parts;
    bool previous = false;
    for (const Match& match : matches) {
        if (match.isMatch && !previous && !parts.empty())
            parts.back().second = match.end;
        else
            parts.emplace_back(match.begin, match.end);
        previous = match.isMatch;
    }
    return parts;
}

Ranges mergedWithNext(const std::vector<Match>& matches)
{
    Ranges parts;
    bool previous = false;
    for (auto match = matches.rbegin(); match != matches.rend(); ++match) {
        if (match->isMatch && !previous && !parts.empty())
            parts.back().first = match->begin;
        else
            parts.emplace_back(match->begin, match->end);
        previous = match->isMatch;
    }
    std::reverse(parts.begin(), parts.end());
    return parts;
}

Ranges contiguous(const std::vector<Match>& matches)
{
    Ranges parts;
    bool previous = false;
    for (const Match& match : matches) {
        if (match.isMatch == previous && !parts.empty())
            parts.back().second = match.end;
        else
            parts.emplace_back(match.begin, match.end);
        previous = match.isMatch;
    }
    return parts;
}

}  // namespace

PatternPtr regularExpression(std::string_view expression, const std::string& place)
{
    if (auto known = knownWordPattern(expression))
        return known;
    return plainRegularExpression(expression, place);
}

PatternPtr plainRegularExpression(std::string_view expression, const std::string& place)
{
    return std::make_shared<RegularExpression>(expression, place);
}

PatternPtr literalText(std::string text)
{
    return std::make_shared<LiteralText>(std::move(text));
}

PatternPtr characters(bool (*isWanted)(char32_t))
{
    return std::make_shared<Characters<bool (*)(char32_t)>>(isWanted);
}

PatternPtr character(char32_t point)
{
    const auto isPoint = [point](char32_t other) { return other == point; };
    return std::make_shared<Characters<decltype(isPoint)>>(isPoint);
}

std::vector<std::pair<std::size_t, std::size_t>> splitAt(const std::vector<Match>& matches, SplitBehaviour behaviour)
{
    Ranges parts;
    switch (behaviour) {
    case SplitBehaviour::MergedWithPrevious: parts = mergedWithPrevious(matches); break;
    case SplitBehaviour::MergedWithNext: parts = mergedWithNext(matches); break;
    case SplitBehaviour::Contiguous: parts = contiguous(matches); break;
    case SplitBehaviour::Removed:
    case SplitBehaviour::Isolated:
        for (const Match& match : matches)
            if (!match.isMatch || behaviour == SplitBehaviour::Isolated)
                parts.emplace_back(match.begin, match.end);
        break;
    }
    std::erase_if(parts, [](const auto& part) { return part.first == part.second; });
    return parts;
}

}  // namespace orrery::text
