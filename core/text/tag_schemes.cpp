#include "tag_schemes.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>

namespace orrery::text {
namespace {

std::string_view lettersOf(TagScheme scheme)
{
    return scheme == TagScheme::Io ? "I" : scheme == TagScheme::Bio ? "BI" : "BIES";
}

char letterAt(std::size_t place, std::size_t length, TagScheme scheme)
{
    if (scheme == TagScheme::Io)
        return 'I';
    if (scheme == TagScheme::Bioes && length == 1)
        return 'S';
    if (scheme == TagScheme::Bioes && place + 1 == length)
        return 'E';
    return place == 0 ? 'B' : 'I';
}

}  // namespace

std::vector<TaggedSpan> spansOfTags(const std::vector<std::string>& tags, TagScheme scheme)
{
    std::vector<TaggedSpan> spans;
    bool open = false;  // the last span may go on
    for (std::size_t i = 0; i < tags.size(); ++i) {
        const auto& tag = tags[i];
        if (tag == "O") {
            open = false;
            continue;
        }
        if (tag.size() < 3 || tag[1] != '-' || lettersOf(scheme).find(tag[0]) == std::string_view::npos)
            throw core::FormatError(fmt::format("tag {}: expected O, or one of {} with - and a type, got \"{}\"", i, lettersOf(scheme), tag));
        const auto type = tag.substr(2);
        const bool begins = tag[0] == 'B' || tag[0] == 'S' || !open || spans.back().type != type;
        if (begins)
            spans.push_back({i, i + 1, type});
        else
            spans.back().end = i + 1;
        open = tag[0] != 'E' && tag[0] != 'S';
    }
    return spans;
}

std::vector<std::string> tagsOfSpans(const std::vector<TaggedSpan>& spans, std::size_t tokens, TagScheme scheme)
{
    std::vector<std::string> tags(tokens, "O");
    for (const auto& span : spans) {
        if (span.begin >= span.end || span.end > tokens)
            throw core::InputError(fmt::format("span {}-{}: expected a stretch of the {} tokens", span.begin, span.end, tokens));
        for (auto i = span.begin; i < span.end; ++i) {
            if (tags[i] != "O")
                throw core::InputError(
                    fmt::format("span {}-{}: expected spans that do not overlap, token {} has \"{}\"", span.begin, span.end, i, tags[i]));
            tags[i] = fmt::format("{}-{}", letterAt(i - span.begin, span.end - span.begin, scheme), span.type);
        }
    }
    return tags;
}

std::vector<std::string> convertTags(const std::vector<std::string>& tags, TagScheme from, TagScheme to)
{
    return tagsOfSpans(spansOfTags(tags, from), tags.size(), to);
}

}  // namespace orrery::text
