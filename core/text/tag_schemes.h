#pragma once
#include <string>
#include <vector>

namespace orrery::text {

/// A stretch [begin, end) of tokens with a type: "PER".
struct TaggedSpan {
    std::size_t begin = 0, end = 0;
    std::string type;
    bool operator==(const TaggedSpan&) const = default;
};

/// Ways to write spans as one tag a token. Bio: B-X begins a span and I-X goes on. Bioes: E-X ends one and S-X is a span of one token, too.
/// Io: I-X alone, so that spans of one type side by side are one. Source: Ratinov & Roth (2009), "Design Challenges and Misconceptions in Named Entity Recognition", section 3.
enum class TagScheme { Io, Bio, Bioes };

/// Spans that tags mean. A span that goes on without a beginning begins there, one that another type follows ends there: no tag sequence is refused.
/// @throws core::FormatError for a tag that is neither "O" nor a letter of the scheme, "-" and a type.
std::vector<TaggedSpan> spansOfTags(const std::vector<std::string>& tags, TagScheme scheme);
/// @throws core::InputError for spans that overlap, are empty, or leave the tokens.
std::vector<std::string> tagsOfSpans(const std::vector<TaggedSpan>& spans, std::size_t tokens, TagScheme scheme);
/// One scheme to another.
std::vector<std::string> convertTags(const std::vector<std::string>& tags, TagScheme from, TagScheme to);

}  // namespace orrery::text
