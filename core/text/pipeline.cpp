#include "pipeline.h"

#include <algorithm>

#include <core/base/error.h>

#include "unicode.h"

namespace orrery::text {
namespace {

/// The pieces of words that came before in the same text: most words of a text are not new.
class WordCache {
public:
    explicit WordCache(const SubwordModel& model) : m_model(model) {}
    /// @param made  The word as the model takes it, made of `word` where it is new.
    template <class Made>
    std::span<const Piece> pieces(std::string_view word, const Made& made)
    {
        if (word.size() > kLongest) {
            m_single.clear();
            m_model.tokenize(made(word), m_single);
            return m_single;
        }
        if (const auto found = m_words.find(word); found != m_words.end())
            return found->second;
        if (m_words.size() >= kMost)
            m_words.clear();
        std::vector<Piece> pieces;
        m_model.tokenize(made(word), pieces);
        return m_words.emplace(word, std::move(pieces)).first->second;
    }

private:
    static constexpr std::size_t kLongest = 256, kMost = 1 << 16;
    const SubwordModel& m_model;
    TextMap<std::vector<Piece>> m_words;
    std::vector<Piece> m_single;
};

/// Lengths of two texts that together have at most `most` tokens: the longer one loses first. Source: the "longest_first" of the `tokenizers` library.
std::pair<std::size_t, std::size_t> longestFirst(std::size_t first, std::size_t second, std::size_t most)
{
    if (first + second <= most)
        return {first, second};
    const bool swapped = first > second;
    if (swapped)
        std::swap(first, second);
    second = first > most ? first : std::max(first, most - first);
    if (first + second > most) {
        first = most / 2;
        second = first + most % 2;
    }
    return swapped ? std::pair(second, first) : std::pair(first, second);
}

}  // namespace

Pipeline::Pipeline(PipelineParts parts) : m_parts(std::move(parts))
{
    m_size = m_parts.model->pieces().size();
    for (const auto& token : m_parts.added.list())
        m_size = std::max(m_size, token.id + 1);
    m_takesBytes = (m_parts.preTokenizer && m_parts.preTokenizer->takesBytes()) || (m_parts.normaliser && m_parts.normaliser->takesBytes());
    if (!m_takesBytes && m_parts.decoder) {
        // What the decoder makes a blank of inside a text.
        std::vector<std::string> probe = {"a", "\u2581"};
        m_parts.decoder->apply(probe);
        std::string joined;
        for (const auto& piece : probe)
            joined += piece;
        if (joined == "a ")
            m_spaceMark = "\u2581";
    }
}

void Pipeline::eachWord(std::string_view text, const Sink& sink) const
{
    auto aligned = AlignedText::ofBytes(text, invalid());
    WordCache cache(*m_parts.model);
    std::vector<AlignedText> words;
    for (auto& stretch : m_parts.added.extract(std::move(aligned), m_parts.normaliser.get())) {
        if (stretch.token >= 0) {
            sink(stretch.text, {}, stretch.token);
            continue;
        }
        words.clear();
        if (m_parts.preTokenizer)
            m_parts.preTokenizer->split(std::move(stretch.text), words);
        else
            words.push_back(std::move(stretch.text));
        for (const auto& word : words)
            if (!word.empty())
                sink(word, cache.pieces(word.text(), [](std::string_view same) { return same; }), -1);
    }
}

Encoding Pipeline::oneText(std::string_view text, std::int8_t sequence) const
{
    Encoding encoding;
    std::int64_t number = 0;
    const auto put = [&](std::int64_t id, std::string token, Span span) {
        encoding.ids.push_back(id);
        encoding.tokens.push_back(std::move(token));
        encoding.offsets.push_back(span);
        encoding.wordIds.push_back(number);
    };
    eachWord(text, [&](const AlignedText& word, std::span<const Piece> pieces, std::int64_t token) {
        if (token >= 0)
            put(token, word.text(), word.spanOf(0, word.text().size()));
        for (const Piece& piece : pieces)
            put(piece.id, piece.literal ? word.text().substr(piece.begin, piece.end - piece.begin) : *m_parts.model->pieces().pieceOf(piece.id),
                word.spanOf(piece.begin, piece.end));
        ++number;
    });
    encoding.typeIds.assign(encoding.size(), sequence);
    encoding.special.assign(encoding.size(), 0);
    encoding.attention.assign(encoding.size(), 1);
    encoding.sequenceIds.assign(encoding.size(), sequence);
    return encoding;
}

void Pipeline::truncate(std::vector<Encoding>& parts, bool addSpecial) const
{
    using Strategy = PipelineParts::Truncation::Strategy;
    const auto& limits = *m_parts.truncation;
    const auto added = addSpecial && m_parts.postProcessor ? m_parts.postProcessor->added(parts.size() == 2) : 0;
    if (added > limits.length)
        throw core::InputError("the tokenizer's own limit of " + std::to_string(limits.length) + " tokens leaves no room for its special tokens");
    const auto most = limits.length - added;
    if (parts.size() == 1) {
        parts[0].truncate(most, limits.fromLeft);
        return;
    }
    auto [first, second] = longestFirst(parts[0].size(), parts[1].size(), most);
    const auto total = parts[0].size() + parts[1].size();
    if (limits.strategy != Strategy::LongestFirst && total > most) {
        const bool ofFirst = limits.strategy == Strategy::OnlyFirst;
        const auto length = parts[ofFirst ? 0 : 1].size(), excess = total - most;
        if (length <= excess)
            throw core::InputError("the tokenizer's own limit of " + std::to_string(limits.length) +
                                   " tokens cuts one text only, and the other is longer than it");
        first = ofFirst ? length - excess : parts[0].size();
        second = ofFirst ? parts[1].size() : length - excess;
    }
    parts[0].truncate(first, limits.fromLeft);
    parts[1].truncate(second, limits.fromLeft);
}

Encoding Pipeline::encode(std::string_view text, const EncodeOptions& options) const
{
    Encodings encodings;
    encodings.parts.push_back(oneText(text, 0));
    encodings.originals.push_back(text);
    if (options.pair) {
        encodings.parts.push_back(oneText(*options.pair, 1));
        encodings.originals.push_back(*options.pair);
    }
    if (options.ownLimits && m_parts.truncation)
        truncate(encodings.parts, options.addSpecialTokens);
    if (m_parts.postProcessor)
        m_parts.postProcessor->apply(encodings, options.addSpecialTokens);
    Encoding encoding;
    for (const auto& part : encodings.parts)
        encoding.append(part);
    if (options.ownLimits && m_parts.padding) {
        const auto& padding = *m_parts.padding;
        auto length = padding.fixed > 0 ? padding.fixed : encoding.size();
        if (padding.multiple > 0)
            length = (length + padding.multiple - 1) / padding.multiple * padding.multiple;
        encoding.pad(length, padding.id, padding.token, padding.typeId, padding.onLeft);
    }
    return encoding;
}

std::vector<std::int64_t> Pipeline::ids(std::string_view text, bool addSpecialTokens) const
{
    if (addSpecialTokens)
        return Tokenizer::ids(text, true);
    std::vector<std::int64_t> ids;
    if (m_parts.preTokenizer && m_parts.preTokenizer->streams()) {
        WordCache cache(*m_parts.model);
        const auto wordOf = [&](std::string_view word) { return m_parts.preTokenizer->wordOf(word); };
        for (const auto& stretch : m_parts.added.extract(AlignedText::ofBytes(text, invalid()), m_parts.normaliser.get())) {
            if (stretch.token >= 0)
                ids.push_back(stretch.token);
            else
                m_parts.preTokenizer->eachWord(stretch.text.text(), [&](std::string_view word) {
                    for (const Piece& piece : cache.pieces(word, wordOf))
                        ids.push_back(piece.id);
                });
        }
        return ids;
    }
    eachWord(text, [&](const AlignedText&, std::span<const Piece> pieces, std::int64_t token) {
        if (token >= 0)
            ids.push_back(token);
        for (const Piece& piece : pieces)
            ids.push_back(piece.id);
    });
    return ids;
}

std::string Pipeline::decode(std::span<const std::int64_t> ids, bool skipSpecial) const
{
    checkIds(ids);
    std::vector<std::string> tokens;
    for (const auto id : ids)
        if (const auto* token = m_parts.added.find(id); token && token->surface)
            tokens.push_back(*token->surface);
        else if (auto piece = pieceOf(id); piece && !(skipSpecial && isSpecial(id)))
            tokens.push_back(std::move(*piece));
    std::string text;
    if (m_parts.decoder)
        m_parts.decoder->apply(tokens);
    for (std::size_t i = 0; i < tokens.size(); ++i)
        text += (i > 0 && !m_parts.decoder ? " " : "") + tokens[i];
    return text;
}

std::optional<std::string> Pipeline::pieceOf(std::int64_t id) const
{
    if (const auto* token = m_parts.added.find(id))
        return token->content;
    if (const auto* piece = m_parts.model->pieces().pieceOf(id))
        return *piece;
    return {};
}

std::optional<std::int64_t> Pipeline::idOf(std::string_view piece) const
{
    if (const auto* token = m_parts.added.find(piece))
        return token->id;
    const auto id = m_parts.model->pieces().find(piece);
    return id >= 0 ? std::optional<std::int64_t>(id) : std::nullopt;
}

std::optional<std::int64_t> Pipeline::unknownId() const
{
    const auto id = m_parts.model->unknownId();
    return id >= 0 ? std::optional<std::int64_t>(id) : std::nullopt;
}

bool Pipeline::isSpecial(std::int64_t id) const
{
    const auto* token = m_parts.added.find(id);
    return token && token->special;
}

std::vector<std::int64_t> Pipeline::specialIds() const
{
    std::vector<std::int64_t> ids;
    for (const auto& token : m_parts.added.list())
        if (token.special)
            ids.push_back(token.id);
    std::sort(ids.begin(), ids.end());
    return ids;
}

core::Json Pipeline::toJson() const
{
    return {{"kind", "tokenizer_json"}, {"json", m_parts.document}};
}

std::string Pipeline::textOf(std::int64_t id) const
{
    std::string piece = *pieceOf(id);
    if (m_parts.added.find(id))
        return piece;
    if (m_takesBytes && m_parts.decoder && m_parts.decoder->givesBytes()) {
        std::vector<std::string> one = {piece};
        byteLevelDecoder()->apply(one);
        return one[0];
    }
    return m_spaceMark.empty() ? piece : replaced(piece, m_spaceMark, " ");
}

}  // namespace orrery::text
