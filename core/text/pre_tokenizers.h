#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "aligned_text.h"
#include "json_place.h"

namespace orrery::text {

/// A stretch of a text on its way to tokens: a word, or a token that was recognised before the words.
struct Stretch {
    AlignedText text;
    std::int64_t token = -1;  ///< number of an added token; -1: words
};

/// Splits texts into words. Immutable, any thread.
class PreTokenizer {
public:
    virtual ~PreTokenizer() = default;
    /// The words of a text, appended to `out`.
    virtual void split(AlignedText text, std::vector<AlignedText>& out) const = 0;
    /// True if `eachWord` can be called.
    virtual bool streams() const { return false; }
    /// The same words one after the other, without their places, and before bytes become characters: `wordOf` does that. Faster, and takes no memory for them.
    virtual void eachWord(std::string_view text, const std::function<void(std::string_view)>& found) const {}
    virtual std::string wordOf(std::string_view found) const { return std::string(found); }
    /// True if it makes characters of bytes, so that bytes that are no UTF-8 pass.
    virtual bool takesBytes() const { return false; }
};
using PreTokenizerPtr = std::shared_ptr<const PreTokenizer>;

/// "pre_tokenizer" of a file: ByteLevel, BertPreTokenizer, Whitespace, WhitespaceSplit, Metaspace, Punctuation, Digits, Split, CharDelimiterSplit,
/// UnicodeScripts, FixedLength, Sequence. Null for null. @throws core::FormatError naming the place.
PreTokenizerPtr preTokenizerOf(const JsonPlace& json, int depth = 0);

}  // namespace orrery::text
