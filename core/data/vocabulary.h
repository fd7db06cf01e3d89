#pragma once
#include <cstdint>
#include <memory>
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
    /// As stored in a model card: {"kind": "bytes"} or {"kind": "characters", "characters": "..."}. @throws core::FormatError.
    static Vocabulary fromJson(const core::Json& json);
    core::Json toJson() const;

    std::int64_t size() const;
    /// @throws core::InputError for a character that is not in the vocabulary.
    std::vector<std::int64_t> encode(std::string_view text) const;
    /// @throws core::InputError for a number outside [0, size).
    std::string decode(std::span<const std::int64_t> tokens) const;
    /// One token to be shown: "a", "\n", "\xe2".
    std::string tokenText(std::int64_t token) const;

private:
    std::shared_ptr<const text::Tokenizer> m_tokenizer;  ///< null: bytes or characters
    std::vector<char32_t> m_characters;                  ///< empty: bytes
    std::unordered_map<char32_t, std::int64_t> m_numbers;
};

}  // namespace orrery::data
