#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer.h"

namespace orrery::text {

/// How many pieces a tokenizer makes of a text. Words are what stands between white space, whatever the tokenizer takes for words, so that tokenizers can be compared;
/// a piece belongs to the word it ends in, white space to the word behind it.
struct PieceCounts {
    std::size_t words = 0, characters = 0, pieces = 0;
    std::size_t unknown = 0;     ///< pieces that stand for what the vocabulary does not know
    std::size_t dropped = 0;     ///< characters other than white space that no piece stands for: the tokenizer leaves them out without a word
    std::size_t splitWords = 0;  ///< words of more than one piece
    double perWord() const { return words > 0 ? double(pieces) / double(words) : 0; }
    double perCharacter() const { return characters > 0 ? double(pieces) / double(characters) : 0; }
    void add(const PieceCounts& other);
};

struct ScriptCounts {
    std::string script;  ///< "Latin"; "Common" for words of digits, punctuation and symbols alone
    PieceCounts counts;
};

struct TextCounts {
    PieceCounts all;
    std::vector<ScriptCounts> scripts;  ///< most words first
    bool comesBack = false;             ///< decoding the pieces gives the text, byte by byte
};

/// Parts of the text that no piece stands for, white space apart: neighbours together, in order.
std::vector<Span> droppedParts(const Encoding& encoding, std::string_view text);

/// Without special tokens. @throws as `Tokenizer::encode`.
TextCounts countPieces(const Tokenizer& tokenizer, std::string_view text);

}  // namespace orrery::text
