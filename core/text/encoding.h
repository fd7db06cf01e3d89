#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "aligned_text.h"

namespace orrery::text {

/// A text as tokens; all lists have one entry a token.
struct Encoding {
    std::vector<std::int64_t> ids;
    std::vector<std::string> tokens;       ///< as the vocabulary writes them: "##ing", "Ġthe"
    std::vector<Span> offsets;             ///< bytes of the text that was given (of the second text for its tokens); {0, 0} for added ones
    std::vector<std::int64_t> typeIds;     ///< 0 or 1: first or second text
    std::vector<std::int64_t> wordIds;     ///< number of the word inside its text; -1: none
    std::vector<std::int8_t> special;      ///< 1: put there by the tokenizer, not found in the text
    std::vector<std::int8_t> attention;    ///< 0: filled up
    std::vector<std::int8_t> sequenceIds;  ///< 0 or 1: which text; -1: neither

    std::size_t size() const { return ids.size(); }
    /// One token that stands for no text.
    void addSpecial(std::int64_t id, std::string token, std::int64_t typeId);
    void append(const Encoding& other);
    void setTypeIds(std::int64_t typeId);
    /// Keeps so many tokens of the beginning, or of the end.
    void truncate(std::size_t length, bool fromLeft);
    /// Fills up to `length` with a token.
    void pad(std::size_t length, std::int64_t id, const std::string& token, std::int64_t typeId, bool onLeft);
};

}  // namespace orrery::text
