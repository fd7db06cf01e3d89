#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/json.h>

#include "encoding.h"

namespace orrery::text {

struct EncodeOptions {
    bool addSpecialTokens = true;
    std::optional<std::string_view> pair;  ///< a second text
    /// The truncation and padding that the tokenizer's own file asks for; models here take texts as long as they are.
    bool ownLimits = false;
};

/// Text to tokens and back. Immutable; any thread, several at once.
class Tokenizer {
public:
    virtual ~Tokenizer() = default;
    /// Bytes that are no UTF-8 become U+FFFD (offsets stay those of the given bytes), except where the vocabulary is of bytes: those keep them.
    /// @throws core::InputError for a text that the vocabulary cannot say (a character it lacks, and no unknown token).
    virtual Encoding encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
    /// The numbers alone, faster. The same as `encode(text, {addSpecialTokens}).ids`.
    virtual std::vector<std::int64_t> ids(std::string_view text, bool addSpecialTokens = false) const;
    /// Text of the tokens. A byte-level vocabulary gives the bytes as they are, which need be no UTF-8 for tokens cut out of the middle.
    /// @throws core::InputError for a number outside [0, size).
    virtual std::string decode(std::span<const std::int64_t> ids, bool skipSpecial = false) const = 0;
    /// Largest number + 1.
    virtual std::int64_t size() const = 0;
    /// As the vocabulary writes it; nothing: no token of that number.
    virtual std::optional<std::string> pieceOf(std::int64_t id) const = 0;
    virtual std::optional<std::int64_t> idOf(std::string_view piece) const = 0;
    /// The number of the token for what the vocabulary does not know; nothing: there is none.
    virtual std::optional<std::int64_t> unknownId() const { return {}; }
    virtual bool isSpecial(std::int64_t id) const { return false; }
    /// Numbers of the special tokens, ascending.
    virtual std::vector<std::int64_t> specialIds() const { return {}; }
    /// "BPE", "WordPiece", "Unigram", "WordLevel", "dictionary", "bytes", "characters".
    virtual std::string kind() const = 0;
    /// What a model card keeps; `tokenizerFromCard` makes the same of it.
    virtual core::Json toJson() const = 0;

    /// One token to be shown: the text that it stands for, with control characters and broken bytes escaped ("\n", "\xe2"). Pieces inside a word keep their mark ("##ing").
    /// A number without a token: the number.
    std::string tokenText(std::int64_t id) const;

protected:
    /// The text that a piece stands for, before escaping.
    virtual std::string textOf(std::int64_t id) const = 0;
    void checkIds(std::span<const std::int64_t> ids) const;
};
using TokenizerPtr = std::shared_ptr<const Tokenizer>;

/// A text on one line: line feed and tab as \n and \t, other control characters and bytes that are no UTF-8 as \xNN.
std::string escaped(std::string_view bytes);

/// The bytes [0, 256), or the characters of a card: {"kind": "bytes"}, {"kind": "characters", "characters": "..."}. @throws core::FormatError.
TokenizerPtr vocabularyTokenizer(const core::Json& card);

/// A `tokenizer.json` of the `tokenizers` library. What is not there (a list of added tokens, a normaliser) is taken as none.
/// @param name  For messages.  @throws core::FormatError naming the place in the document.
TokenizerPtr tokenizerFromJson(std::string_view document, const std::string& name);

/// What `ModelCard::tokenizer` holds: {"kind": "bytes"}, {"kind": "characters", ...}, {"kind": "tokenizer_json", "json": "the document as text"},
/// {"kind": "dictionary", "words": [...]}. Kept for the next call with the same content: reading a vocabulary takes longer than using it.
/// @throws core::FormatError.
TokenizerPtr tokenizerFromCard(const core::Json& card);

/// The tokenizer of a card as a `tokenizer.json` that gives the same numbers (bytes and characters as pieces without merges); nothing: that format has no such kind.
/// A character that is not in the vocabulary is an error here, and left out there. @throws core::FormatError for a broken card.
std::optional<std::string> tokenizerDocument(const core::Json& card);

}  // namespace orrery::text
