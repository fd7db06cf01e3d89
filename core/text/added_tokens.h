#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>

#include "normalisers.h"
#include "pre_tokenizers.h"
#include "subword_model.h"

namespace orrery::text {

/// A token that is found in a text before it is split into words.
struct AddedToken {
    std::string content;
    std::int64_t id = 0;
    bool special = false;                        ///< left out when decoding says so
    bool singleWord = false;                     ///< only where no letter or digit touches it
    bool leftStrip = false, rightStrip = false;  ///< takes the blanks on that side with it
    bool normalised = true;                      ///< looked for in the normalised text
    std::optional<std::string>
        surface;  ///< what a decoded text has in its place, also where special tokens are left out: the unknown piece of SentencePiece
};

/// Finds added tokens: at each place the longest, from the left. Immutable, any thread.
class AddedTokens {
public:
    AddedTokens() = default;
    /// "added_tokens" of a file; a token that the model's vocabulary has, too, has that number.
    /// @throws core::FormatError naming the place.
    AddedTokens(const JsonPlace& list, const SubwordModel& model, const Normaliser* normaliser);

    const std::vector<AddedToken>& list() const { return m_tokens; }
    /// Null: none of that number.
    const AddedToken* find(std::int64_t id) const;
    const AddedToken* find(std::string_view content) const;
    /// Tokens and what lies between them; texts outside tokens are normalised.
    std::vector<Stretch> extract(AlignedText text, const Normaliser* normaliser) const;

private:
    /// Contents in a map, found longest first; the first bytes say where one may begin.
    struct Finder {
        std::map<std::string, std::size_t, std::less<>> contents;
        std::array<std::size_t, 256> longest{};  ///< bytes of the longest that begins with the byte
        void add(std::string content, std::size_t token);
        /// The longest content at a place, as its number of bytes and token. 0 bytes: none.
        std::pair<std::size_t, std::size_t> at(std::string_view text, std::size_t place) const;
    };
    void extractWith(const Finder& finder, AlignedText text, std::vector<Stretch>& out) const;
    std::vector<AddedToken> m_tokens;
    std::map<std::int64_t, std::size_t> m_byId;
    TextMap<std::size_t> m_byContent;
    Finder m_plain, m_normalised;
};

}  // namespace orrery::text
