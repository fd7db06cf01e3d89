#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Text as tokens: tokenizers of checkpoints (read from the files of the `tokenizers` library), their training, and what is said about them.
namespace orrery::text {

/// A code point of a text and the bytes it takes there.
struct Point {
    char32_t value = 0;
    std::uint32_t bytes = 1;
};
/// The code point that begins at a byte of well-formed text (lone surrogates in three bytes are taken as code points, see `AlignedText::ofBytes`).
Point pointAt(std::string_view text, std::size_t at);
/// The code point that ends before a byte; `at` > 0.
Point pointBefore(std::string_view text, std::size_t at);
std::size_t countPoints(std::string_view text);
/// All code points, one after the other.
std::vector<char32_t> pointsOf(std::string_view text);
std::string utf8Of(char32_t point);
/// The well-formed sequence at a byte (RFC 3629): its length and true; else the length of what begins one and breaks off (at least 1) and false.
std::pair<std::uint32_t, bool> sequenceAt(std::string_view bytes, std::size_t at);
/// The same bytes with U+FFFD for each maximal stretch that is no UTF-8, as Python's "replace" does it.
std::string withReplacements(std::string_view bytes);

// Properties of code points by the Unicode character database. Any thread.
bool isWhiteSpace(char32_t point);
/// Letters, marks, decimal digits, connecting punctuation and joiners: \w of UTS 18.
bool isWordPoint(char32_t point);
/// Category L.
bool isLetter(char32_t point);
/// Any punctuation category, or an ASCII character that is neither letter, digit, space nor control.
bool isPunctuation(char32_t point);
/// Categories Nd, Nl, No.
bool isNumeric(char32_t point);
/// Categories Cc, Cf, Co, Cs: what is neither written nor space.
bool isOther(char32_t point);
bool isMark(char32_t point);
bool isNonSpacingMark(char32_t point);
/// Chinese ideographs as BERT's tokenizer counts them: the blocks of CJK unified ideographs and their compatibility forms.
bool isChineseIdeograph(char32_t point);
/// Lower case without context; one code point but for U+0130.
std::u32string lowerCase(char32_t point);
/// Number of the script (ISO 15924 order of ICU); 0 Common, 1 Inherited.
int scriptOf(char32_t point);
/// True for unassigned and private code points.
bool isUnknownScript(int script);
/// "Latin", "Devanagari"; "Common" for digits, punctuation and emoji.
std::string scriptName(int script);
/// Script of a text: that of the most code points other than Common and Inherited; Common if there are none.
int mainScript(std::string_view text);

/// Bytes at which user-perceived characters (extended grapheme clusters, UAX 29) begin, and the end.
std::vector<std::size_t> graphemeBoundaries(std::string_view text);

}  // namespace orrery::text
