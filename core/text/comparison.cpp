#include "comparison.h"

#include <algorithm>
#include <map>

#include "unicode.h"

namespace orrery::text {
namespace {

std::vector<Span> wordsBetweenBlanks(std::string_view text)
{
    std::vector<Span> words;
    bool inside = false;
    for (std::size_t at = 0; at < text.size();) {
        const auto [length, whole] = sequenceAt(text, at);
        const bool blank = whole && isWhiteSpace(pointAt(text, at).value);
        if (!blank && !inside)
            words.push_back({std::uint32_t(at), 0});
        at += length;
        if (!blank)
            words.back().end = std::uint32_t(at);
        inside = !blank;
    }
    return words;
}

/// The word that a place of the text belongs to; `words.size()` behind all.
std::size_t wordAt(const std::vector<Span>& words, std::uint32_t at)
{
    return std::size_t(std::upper_bound(words.begin(), words.end(), at, [](std::uint32_t place, const Span& other) { return place < other.end; }) -
                       words.begin());
}

}  // namespace

std::vector<Span> droppedParts(const Encoding& encoding, std::string_view text)
{
    std::vector<bool> stoodFor(text.size(), false);
    for (std::size_t i = 0; i < encoding.size(); ++i)
        if (encoding.sequenceIds[i] == 0 && !encoding.special[i])
            for (std::size_t at = encoding.offsets[i].begin; at < std::min<std::size_t>(encoding.offsets[i].end, text.size()); ++at)
                stoodFor[at] = true;
    std::vector<Span> parts;
    for (std::size_t at = 0; at < text.size();) {
        const auto [length, whole] = sequenceAt(text, at);
        const auto end = std::min(text.size(), at + length);
        const bool blank = whole && isWhiteSpace(pointAt(text, at).value);
        const bool known = std::any_of(stoodFor.begin() + std::ptrdiff_t(at), stoodFor.begin() + std::ptrdiff_t(end), [](bool each) { return each; });
        if (!blank && !known) {
            if (parts.empty() || parts.back().end != at)
                parts.push_back({std::uint32_t(at), 0});
            parts.back().end = std::uint32_t(end);
        }
        at = end;
    }
    return parts;
}

void PieceCounts::add(const PieceCounts& other)
{
    words += other.words;
    characters += other.characters;
    pieces += other.pieces;
    unknown += other.unknown;
    dropped += other.dropped;
    splitWords += other.splitWords;
}

TextCounts countPieces(const Tokenizer& tokenizer, std::string_view text)
{
    EncodeOptions options;
    options.addSpecialTokens = false;
    const Encoding encoding = tokenizer.encode(text, options);
    const auto words = wordsBetweenBlanks(text);
    std::vector<PieceCounts> counts(words.size() + 1);  // the last: blanks behind all words
    for (std::size_t i = 0; i < words.size(); ++i) {
        counts[i].words = 1;
        counts[i].characters = countPoints(text.substr(words[i].begin, words[i].end - words[i].begin));
    }
    for (std::size_t i = 0; i < encoding.size(); ++i) {
        const auto& span = encoding.offsets[i];
        const auto at = span.end > span.begin ? span.end - 1 : span.begin;
        const auto word = wordAt(words, at);
        ++counts[word].pieces;
        counts[word].unknown += tokenizer.unknownId() == encoding.ids[i];
    }
    for (const auto& part : droppedParts(encoding, text))
        counts[wordAt(words, part.begin)].dropped += countPoints(text.substr(part.begin, part.end - part.begin));
    TextCounts out;
    std::map<std::string, PieceCounts> scripts;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        counts[i].splitWords = counts[i].words > 0 && counts[i].pieces > 1;
        out.all.add(counts[i]);
        if (i < words.size())
            scripts[scriptName(mainScript(withReplacements(text.substr(words[i].begin, words[i].end - words[i].begin))))].add(counts[i]);
    }
    for (auto& [script, sum] : scripts)
        out.scripts.push_back({script, sum});
    std::stable_sort(out.scripts.begin(), out.scripts.end(), [](const auto& a, const auto& b) { return a.counts.words > b.counts.words; });
    out.comesBack = tokenizer.decode(encoding.ids) == text;
    return out;
}

}  // namespace orrery::text
