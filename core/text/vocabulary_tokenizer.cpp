#include <fmt/format.h>

#include <core/base/error.h>
#include <core/data/vocabulary.h>

#include "aligned_text.h"
#include "tokenizer.h"
#include "unicode.h"

namespace orrery::text {
namespace {

/// Bytes or characters, one token each: what the data sets here are made of.
class VocabularyTokenizer final : public Tokenizer {
public:
    explicit VocabularyTokenizer(const core::Json& card) : m_vocabulary(data::Vocabulary::fromJson(card)), m_bytes(card["kind"] == "bytes") {}

    Encoding encode(std::string_view text, const EncodeOptions& options) const override
    {
        Encoding encoding = oneText(text, 0);
        if (options.pair)
            encoding.append(oneText(*options.pair, 1));
        return encoding;
    }
    std::vector<std::int64_t> ids(std::string_view text, bool) const override { return m_vocabulary.encode(text); }
    std::string decode(std::span<const std::int64_t> ids, bool skipSpecial) const override
    {
        std::vector<std::int64_t> kept(ids.begin(), ids.end());
        if (skipSpecial)
            std::erase_if(kept, [this](std::int64_t id) { return isSpecial(id); });
        return m_vocabulary.decode(kept);
    }
    std::int64_t size() const override { return m_vocabulary.size(); }
    std::optional<std::string> pieceOf(std::int64_t id) const override
    {
        return id >= 0 && id < size() ? std::optional(m_vocabulary.decode({&id, 1})) : std::nullopt;
    }
    std::optional<std::int64_t> idOf(std::string_view piece) const override
    {
        for (std::int64_t id = 0; id < size(); ++id)
            if (pieceOf(id) == piece)
                return id;
        return {};
    }
    bool isSpecial(std::int64_t id) const override { return m_vocabulary.mask() == id; }
    std::vector<std::int64_t> specialIds() const override { return m_vocabulary.special(); }
    std::string kind() const override { return m_bytes ? "bytes" : "characters"; }
    core::Json toJson() const override { return m_vocabulary.toJson(); }

protected:
    std::string textOf(std::int64_t id) const override { return m_vocabulary.decode({&id, 1}); }

private:
    Encoding oneText(std::string_view text, std::int64_t typeId) const
    {
        Encoding encoding;
        encoding.ids = m_vocabulary.encode(text);
        // A byte order mark stands for no character.
        auto at = std::uint32_t(!m_bytes && text.starts_with("\xef\xbb\xbf") ? 3 : 0);
        for (const auto id : encoding.ids) {
            encoding.tokens.push_back(m_vocabulary.decode({&id, 1}));
            const auto bytes = std::uint32_t(encoding.tokens.back().size());
            encoding.offsets.push_back({at, at + bytes});
            encoding.special.push_back(isSpecial(id));
            at += bytes;
        }
        const auto count = encoding.ids.size();
        encoding.typeIds.assign(count, typeId);
        encoding.wordIds.assign(count, 0);
        encoding.attention.assign(count, 1);
        encoding.sequenceIds.assign(count, std::int8_t(typeId));
        return encoding;
    }

    data::Vocabulary m_vocabulary;
    bool m_bytes;
};

}  // namespace

TokenizerPtr vocabularyTokenizer(const core::Json& card)
{
    return std::make_shared<VocabularyTokenizer>(card);
}

std::optional<std::string> tokenizerDocument(const core::Json& card)
{
    const auto kind = card.is_object() ? card.value("kind", "") : "";
    if (kind == "tokenizer_json" && card.contains("json") && card["json"].is_string())
        return card["json"].get<std::string>();
    if (kind != "bytes" && kind != "characters")
        return {};
    const VocabularyTokenizer tokenizer(card);
    core::Json pieces = core::Json::object(), added = core::Json::array(), decoder = {{"type", "Fuse"}}, words;
    for (std::int64_t id = 0; id < tokenizer.size(); ++id)
        if (tokenizer.isSpecial(id))
            added.push_back({{"id", id},
                             {"content", *tokenizer.pieceOf(id)},
                             {"single_word", false},
                             {"lstrip", false},
                             {"rstrip", false},
                             {"normalized", false},
                             {"special", true}});
        else
            pieces[kind == "bytes" ? utf8Of(byteCharacter(std::uint8_t(id))) : *tokenizer.pieceOf(id)] = id;
    if (kind == "bytes") {
        words = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
        decoder = words;
    }
    const core::Json model = {{"type", "BPE"},
                              {"dropout", nullptr},
                              {"unk_token", nullptr},
                              {"continuing_subword_prefix", nullptr},
                              {"end_of_word_suffix", nullptr},
                              {"fuse_unk", false},
                              {"vocab", pieces},
                              {"merges", core::Json::array()}};
    return core::Json{{"version", "1.0"},       {"truncation", nullptr},     {"padding", nullptr}, {"added_tokens", added}, {"normalizer", nullptr},
                      {"pre_tokenizer", words}, {"post_processor", nullptr}, {"decoder", decoder}, {"model", model}}
        .dump(1);
}

}  // namespace orrery::text
