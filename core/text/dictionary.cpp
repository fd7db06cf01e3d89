#include "dictionary.h"

#include <algorithm>

#include <core/base/error.h>

#include "unicode.h"

namespace orrery::text {
namespace {

class DictionaryTokenizer final : public Tokenizer {
public:
    explicit DictionaryTokenizer(Lexicon lexicon) : m_lexicon(std::move(lexicon)) {}

    Encoding encode(std::string_view text, const EncodeOptions& options) const override
    {
        Encoding encoding = oneText(text, 0);
        if (options.pair)
            encoding.append(oneText(*options.pair, 1));
        return encoding;
    }
    std::string decode(std::span<const std::int64_t> ids, bool) const override
    {
        checkIds(ids);
        std::string text;
        for (const auto id : ids)
            text += textOf(id);
        return text;
    }
    std::int64_t size() const override { return words() + 256; }
    std::optional<std::string> pieceOf(std::int64_t id) const override { return id >= 0 && id < size() ? std::optional(textOf(id)) : std::nullopt; }
    std::optional<std::int64_t> idOf(std::string_view piece) const override
    {
        const auto& all = m_lexicon.words();
        const auto found = std::lower_bound(all.begin(), all.end(), piece);
        if (found != all.end() && *found == piece)
            return found - all.begin();
        return piece.size() == 1 ? std::optional(words() + static_cast<unsigned char>(piece[0])) : std::nullopt;
    }
    std::string kind() const override { return "dictionary"; }
    core::Json toJson() const override { return {{"kind", "dictionary"}, {"words", m_lexicon.words()}}; }

protected:
    std::string textOf(std::int64_t id) const override
    {
        return id < words() ? m_lexicon.words()[std::size_t(id)] : std::string(1, char(static_cast<unsigned char>(id - words())));
    }

private:
    std::int64_t words() const { return std::int64_t(m_lexicon.words().size()); }

    Encoding oneText(std::string_view text, std::int8_t sequence) const
    {
        Encoding encoding;
        std::int64_t number = 0;
        const auto put = [&](std::int64_t id, std::size_t begin, std::size_t end) {
            encoding.ids.push_back(id);
            encoding.tokens.push_back(textOf(id));
            encoding.offsets.push_back({std::uint32_t(begin), std::uint32_t(end)});
            encoding.wordIds.push_back(number);
        };
        for (const auto& part : m_lexicon.cut(text)) {
            if (part.word >= 0)
                put(part.word, part.begin, part.end);
            for (auto byte = part.begin; part.word < 0 && byte < part.end; ++byte)
                put(words() + static_cast<unsigned char>(text[byte]), byte, byte + 1);
            ++number;
        }
        encoding.typeIds.assign(encoding.size(), sequence);
        encoding.special.assign(encoding.size(), 0);
        encoding.attention.assign(encoding.size(), 1);
        encoding.sequenceIds.assign(encoding.size(), sequence);
        return encoding;
    }

    Lexicon m_lexicon;
};

}  // namespace

Lexicon::Lexicon(std::vector<std::string> words) : m_words(std::move(words))
{
    std::erase(m_words, "");
    std::sort(m_words.begin(), m_words.end());
    m_words.erase(std::unique(m_words.begin(), m_words.end()), m_words.end());
    if (m_words.empty())
        throw core::InputError("lexicon: expected at least one word, got none");
    for (std::size_t i = 0; i < m_words.size(); ++i) {
        m_numbers.emplace(m_words[i], std::int64_t(i));
        m_longest = std::max(m_longest, m_words[i].size());
    }
}

std::vector<Lexicon::Part> Lexicon::cut(std::string_view text) const
{
    std::vector<std::size_t> starts;  // of characters, and the end
    for (std::size_t at = 0; at < text.size(); at += sequenceAt(text, at).first)
        starts.push_back(at);
    const std::size_t count = starts.size();
    starts.push_back(text.size());

    /// The best way to cut the rest from a character on.
    struct Rest {
        std::uint32_t unknown = 0, parts = 0;
        std::size_t end = 0;  ///< character behind the first part
        std::int64_t word = -1;
        bool isBetter(const Rest& other) const { return unknown != other.unknown ? unknown < other.unknown : parts < other.parts; }
    };
    std::vector<Rest> cuts(count + 1), runs(count + 1);  // a part begins here; an unknown part goes on here
    const auto startsPart = [&](std::size_t i) {
        return i == count || !sequenceAt(text, starts[i]).second || !isMark(pointAt(text, starts[i]).value);
    };
    for (std::size_t i = count; i-- > 0;) {
        // An unknown part ends behind this character, or goes on.
        Rest run = runs[i + 1];
        if (i + 1 == count || (startsPart(i + 1) && cuts[i + 1].isBetter(run))) {
            run = cuts[i + 1];
            run.end = i + 1;
        }
        ++run.unknown;
        run.word = -1;
        runs[i] = run;
        cuts[i] = run;
        ++cuts[i].parts;
        // The longest word comes last and wins where several are as good.
        for (std::size_t end = i + 1; end <= count && starts[end] - starts[i] <= m_longest; ++end) {
            const auto found = startsPart(end) ? m_numbers.find(text.substr(starts[i], starts[end] - starts[i])) : m_numbers.end();
            if (found == m_numbers.end())
                continue;
            const Rest rest = {cuts[end].unknown, cuts[end].parts + 1, end, found->second};
            if (!cuts[i].isBetter(rest))
                cuts[i] = rest;
        }
    }
    std::vector<Part> parts;
    for (std::size_t i = 0; i < count; i = cuts[i].end)
        parts.push_back({starts[i], starts[cuts[i].end], cuts[i].word});
    return parts;
}

TokenizerPtr dictionaryTokenizer(const core::Json& card)
{
    if (!card.is_object() || !card.contains("words") || !card["words"].is_array())
        throw core::FormatError("tokenizer: expected {\"kind\": \"dictionary\", \"words\": [...]}");
    std::vector<std::string> words;
    for (const auto& word : card["words"]) {
        if (!word.is_string())
            throw core::FormatError("tokenizer: expected words that are texts, got " + word.dump());
        words.push_back(word.get<std::string>());
    }
    return std::make_shared<DictionaryTokenizer>(Lexicon(std::move(words)));
}

}  // namespace orrery::text
