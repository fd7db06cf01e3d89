#include "special_tokens.h"

#include <core/data/dataset.h>
#include <core/text/card_tokenizer.h>
#include <core/text/mask_token.h>

namespace orrery::generation {
namespace {

std::vector<std::int64_t> numbersIn(const core::Json& json, const char* key)
{
    const auto found = json.is_object() ? json.find(key) : json.end();
    if (!json.is_object() || found == json.end())
        return {};
    if (found->is_number_integer())
        return {found->get<std::int64_t>()};
    std::vector<std::int64_t> numbers;
    for (const auto& each : *found)
        if (each.is_number_integer())
            numbers.push_back(each.get<std::int64_t>());
    return numbers;
}

std::optional<std::int64_t> firstNumber(const core::Json& json, const char* key)
{
    const auto numbers = numbersIn(json, key);
    return numbers.empty() ? std::nullopt : std::optional(numbers[0]);
}

std::optional<std::int64_t> maskByName(const graph::ModelCard& card)
{
    const auto tokenizer = text::tokenizerOf(card);
    return tokenizer ? text::maskId(*tokenizer) : std::nullopt;
}

}  // namespace

SpecialTokens specialTokens(const graph::ModelCard& card)
{
    SpecialTokens tokens;
    for (const auto& input : card.inputs)
        if (input.kind == "tokens" && input.preprocessing.is_object()) {
            tokens.begin = firstNumber(input.preprocessing, "begin");
            tokens.padding = firstNumber(input.preprocessing, "padding");
            tokens.mask = firstNumber(input.preprocessing, "mask");
            tokens.decoderBegin = firstNumber(input.preprocessing, "decoder_begin");
            tokens.end = numbersIn(input.preprocessing, "end");
            break;
        }
    if (!tokens.mask)
        tokens.mask = maskByName(card);
    const bool ownPairs = card.task == "sequence_to_sequence" && !tokens.decoderBegin;
    if (ownPairs) {  // models trained here on paired texts
        tokens.decoderBegin = data::kBeginToken;
        tokens.padding = data::kPaddingToken;
        tokens.end = {data::kEndToken};
    }
    return tokens;
}

}  // namespace orrery::generation
