#pragma once
#include <memory>
#include <string_view>

#include "pattern.h"

namespace orrery::text {

/// The word pattern of GPT-2, which the byte-level pre-tokenizer uses.
inline constexpr std::string_view kGptWords = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// A scanner for patterns that most byte-level vocabularies were made with, which finds the same matches as the regular expression many times faster.
/// Null for any other expression.
PatternPtr knownWordPattern(std::string_view expression);

/// The same expression without the short cut, for comparison.
PatternPtr plainRegularExpression(std::string_view expression, const std::string& place);

}  // namespace orrery::text
