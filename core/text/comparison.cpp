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

}  // namespace

void PieceCounts::add(const PieceCounts& other)
{
    words += other.words;
    characters += other.characters;
    pieces += other.pieces;
    unknown += other.unknown;
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
        const auto word =
            std::size_t(std::upper_bound(words.begin(), words.end(), at, [](std::uint32_t place, const Span& other) { return place < other.end; }) -
                        words.begin());
        ++counts[word].pieces;
        counts[word].unknown += tokenizer.unknownId() == encoding.ids[i];
    }
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
