#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <core/base/json.h>

namespace orrery::text {
class Tokenizer;
}

namespace orrery::data {

/// Text as token numbers: bytes (256 tokens), characters (the distinct Unicode code points of a text, ascending), or the pieces of a tokenizer.
class Vocabulary {
public:
    static Vocabulary bytes();
    /// @throws core::FormatError if the text is no UTF-8 or has more than 65,536 distinct characters.
    static Vocabulary charactersOf(std::string_view text, std::string_view name);
    /// The pieces of a tokenizer, without special tokens around a text.
    static Vocabulary ofTokenizer(std::shared_ptr<const text::Tokenizer> tokenizer);
    /// The same bytes or characters and a mask behind them, for models that fill masks: "[MASK]" in a text is that token. A tokenizer stays as it is.
    Vocabulary withMask() const;
    /// As stored in a model card: {"kind": "bytes"} or {"kind": "characters", "characters": "..."}, both with "mask": true if they have one. @throws core::FormatError.
    static Vocabulary fromJson(const core::Json& json);
    core::Json toJson() const;

    std::int64_t size() const;
    /// The token that hides another: the one of `withMask`, or the tokenizer's own; nothing: there is none.
    std::optional<std::int64_t> mask() const;
    /// Tokens that stand for no text, ascending: the mask and the tokenizer's special tokens.
    std::vector<std::int64_t> special() const;
    /// The tokenizer, or null for bytes and characters.
    const text::Tokenizer* tokenizer() const { return m_tokenizer.get(); }
    /// @throws core::InputError for a character that is not in the vocabulary.
    std::vector<std::int64_t> encode(std::string_view text) const;
    /// @throws core::InputError for a number outside [0, size).
    std::string decode(std::span<const std::int64_t> tokens) const;
    /// One token to be shown: "a", "\n", "\xe2".
    std::string tokenText(std::int64_t token) const;

private:
    void encodePlain(std::string_view text, std::vector<std::int64_t>& tokens) const;
    std::int64_t plainSize() const { return m_characters.empty() ? 256 : std::int64_t(m_characters.size()); }

    std::shared_ptr<const text::Tokenizer> m_tokenizer;  ///< null: bytes or characters
    std::vector<char32_t> m_characters;                  ///< empty: bytes
    std::unordered_map<char32_t, std::int64_t> m_numbers;
    bool m_hasMask = false;
};

}  // namespace orrery::data
