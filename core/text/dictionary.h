#pragma once
#include <memory>
#include <string>
#include <vector>

#include "string_map.h"
#include "tokenizer.h"

namespace orrery::text {

/// Words of a text without blanks between them, by a lexicon: of all ways to cut it one that leaves the fewest characters unknown, and of those one with the fewest
/// parts, where unknown characters side by side are one part. Parts joined give the text back. A part never begins with a mark (a vowel sign above or below belongs
/// to its consonant). Cost O(characters * longest word).
class Lexicon {
public:
    /// Empty words and repeats are left out. @throws core::InputError if none is left.
    explicit Lexicon(std::vector<std::string> words);
    const std::vector<std::string>& words() const { return m_words; }  ///< sorted
    struct Part {
        std::size_t begin = 0, end = 0;  ///< bytes
        std::int64_t word = -1;          ///< number of the word; -1: unknown
    };
    /// Ties go to the cut whose first parts are longer.
    std::vector<Part> cut(std::string_view text) const;

private:
    std::vector<std::string> m_words;
    TextMap<std::int64_t> m_numbers;
    std::size_t m_longest = 0;
};

/// {"kind": "dictionary", "words": [...]}: one token a word of the lexicon, then one for each byte, of which unknown stretches are made: nothing is lost.
/// @throws core::FormatError.
TokenizerPtr dictionaryTokenizer(const core::Json& card);

}  // namespace orrery::text
