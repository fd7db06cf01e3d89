#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aligned_text.h"

namespace orrery::text {

/// SentencePiece's precompiled table of character replacements: a double-array trie in the layout of darts-clone over the replaced texts, whose values are
/// places in a block of replacement texts. Any bytes may be given: a look-up never leaves the tables.
class Charsmap {
public:
    /// @throws core::FormatError if sizes do not fit.
    Charsmap(std::string_view bytes, const std::string& place);
    /// What takes the place of the shortest replaced text that `text` begins with.
    std::optional<std::string_view> replacement(std::string_view text) const;
    /// Replaces grapheme clusters of fewer than six bytes as a whole where their beginning is known, else each character, as the `tokenizers` library does.
    void apply(AlignedText& text) const;

private:
    std::vector<std::uint32_t> m_units;
    std::string m_replacements;
};

/// Bytes of standard Base64 (RFC 4648, section 4). @throws core::FormatError.
std::string decodeBase64(std::string_view text, const std::string& place);
/// The same the other way round.
std::string encodeBase64(std::string_view bytes);

}  // namespace orrery::text
