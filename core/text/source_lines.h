#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer.h"

namespace orrery::text {

/// What stands between the tokens of a text of several lines (source code): for each token the blanks and line breaks in front of it. Vocabularies of words drop them, and a
/// viewer needs them to show the text as it was written. Empty for a token that holds its blanks itself, that stands for no text, or behind what the tokenizer left out.
/// Empty: the texts have one line each.
/// @throws as Tokenizer::encode.
std::vector<std::string> blanksOfLines(const Tokenizer& tokenizer, std::string_view text, std::optional<std::string_view> pair = {});

}  // namespace orrery::text
