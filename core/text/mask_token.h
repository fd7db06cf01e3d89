#pragma once
#include "tokenizer.h"

namespace orrery::text {

/// The token that stands for a hidden one, by the names that masked language models give it: "[MASK]" or "<mask>". Nothing: the tokenizer has none.
std::optional<std::int64_t> maskId(const Tokenizer& tokenizer);

}  // namespace orrery::text
