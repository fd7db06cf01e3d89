#pragma once
#include <functional>

#include "added_tokens.h"
#include "decoders.h"
#include "post_processors.h"
#include "tokenizer.h"

namespace orrery::text {

/// The steps of a `tokenizer.json`.
struct PipelineParts {
    struct Truncation {
        std::size_t length = 512;
        bool fromLeft = false;
        enum class Strategy { LongestFirst, OnlyFirst, OnlySecond } strategy = Strategy::LongestFirst;
    };
    struct Padding {
        std::size_t fixed = 0;  ///< 0: no filling of a single text
        std::size_t multiple = 0;
        bool onLeft = false;
        std::int64_t id = 0, typeId = 0;
        std::string token;
    };
    NormaliserPtr normaliser;  ///< null: none; so for the next three
    PreTokenizerPtr preTokenizer;
    PostProcessorPtr postProcessor;
    DecoderPtr decoder;
    SubwordModelPtr model;
    AddedTokens added;
    std::optional<Truncation> truncation;
    std::optional<Padding> padding;
    std::string document;  ///< as it was read
};

/// A tokenizer of steps: added tokens are found, the rest is normalised, split into words and these into pieces; then special tokens come to it.
class Pipeline final : public Tokenizer {
public:
    explicit Pipeline(PipelineParts parts);

    Encoding encode(std::string_view text, const EncodeOptions& options) const override;
    std::vector<std::int64_t> ids(std::string_view text, bool addSpecialTokens) const override;
    std::string decode(std::span<const std::int64_t> ids, bool skipSpecial) const override;
    std::int64_t size() const override { return m_size; }
    std::optional<std::string> pieceOf(std::int64_t id) const override;
    std::optional<std::int64_t> idOf(std::string_view piece) const override;
    std::optional<std::int64_t> unknownId() const override;
    bool isSpecial(std::int64_t id) const override;
    std::vector<std::int64_t> specialIds() const override;
    std::string kind() const override { return m_parts.model->name(); }
    core::Json toJson() const override;

protected:
    std::string textOf(std::int64_t id) const override;

private:
    /// What a word or an added token became.
    using Sink = std::function<void(const AlignedText& word, std::span<const Piece> pieces, std::int64_t token)>;
    void eachWord(std::string_view text, const Sink& sink) const;
    AlignedText::Invalid invalid() const { return m_takesBytes ? AlignedText::Invalid::Escape : AlignedText::Invalid::Replace; }
    Encoding oneText(std::string_view text, std::int8_t sequence) const;
    void truncate(std::vector<Encoding>& parts, bool addSpecial) const;

    PipelineParts m_parts;
    std::int64_t m_size = 0;
    bool m_takesBytes = false;
    std::string m_spaceMark;  ///< what stands for a blank in the pieces; empty: nothing
};

}  // namespace orrery::text
