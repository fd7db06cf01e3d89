#pragma once
#include <optional>
#include <vector>

#include <core/graph/model.h>

namespace orrery::generation {

/// Tokens that mean something to a model beside text, as its card keeps them in `preprocessing` of its token input.
struct SpecialTokens {
    std::optional<std::int64_t> begin, padding, mask;
    std::optional<std::int64_t> decoderBegin;  ///< what an encoder-decoder's answer begins with
    std::vector<std::int64_t> end;             ///< any of them ends a text
};

/// What the card says; the mask also by the tokenizer's own name for it ("[MASK]", "<mask>").
SpecialTokens specialTokens(const graph::ModelCard& card);

}  // namespace orrery::generation
