#include "text_batch.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/generate/special_tokens.h>
#include <core/graph/sequence_limit.h>
#include <core/text/card_tokenizer.h>

#include "card_inputs.h"

namespace orrery::train {
namespace {

/// Rows of numbers, filled up to one length: [row, position].
at::Tensor filledRows(const std::vector<std::vector<std::int64_t>>& rows, std::int64_t longest, std::int64_t filling)
{
    at::Tensor out = at::full({std::int64_t(rows.size()), longest}, filling, at::kLong);
    for (std::size_t row = 0; row < rows.size(); ++row)
        std::copy(rows[row].begin(), rows[row].end(), out.data_ptr<std::int64_t>() + std::int64_t(row) * longest);
    return out;
}

struct EncodedTexts {
    std::vector<std::vector<std::int64_t>> ids, types, attention;
    std::int64_t longest = 0, shortest = std::int64_t(1) << 40;
    bool hasTypes = false;
};

EncodedTexts encodedTexts(const text::Tokenizer& tokenizer, std::span<const GivenText> texts)
{
    EncodedTexts out;
    for (const auto& given : texts) {
        text::EncodeOptions options;
        if (given.pair)
            options.pair = *given.pair;
        const text::Encoding encoding = tokenizer.encode(given.text, options);
        const auto length = std::int64_t(encoding.size());
        if (length == 0)
            throw core::InputError("the text is empty; expected at least one character");
        out.longest = std::max(out.longest, length);
        out.shortest = std::min(out.shortest, length);
        out.ids.push_back(encoding.ids);
        out.types.push_back(encoding.typeIds);
        out.attention.emplace_back(encoding.size(), 1);
        out.hasTypes = out.hasTypes || std::any_of(encoding.typeIds.begin(), encoding.typeIds.end(), [](std::int64_t type) { return type != 0; });
    }
    return out;
}

std::int64_t paddingOf(const graph::ModelCard& card, const text::Tokenizer& tokenizer)
{
    if (const auto padding = generation::specialTokens(card).padding)
        return *padding;
    for (const char* name : {"[PAD]", "<pad>"})
        if (const auto id = tokenizer.idOf(name))
            return *id;
    return 0;  // no matter which: the mask hides it
}

}  // namespace

std::vector<c10::IValue> textInputs(const graph::Model& model, std::span<const GivenText> texts)
{
    const auto tokenizer = text::requiredTokenizer(model.card);
    const EncodedTexts encoded = encodedTexts(*tokenizer, texts);
    std::vector<c10::IValue> out;
    bool hasTokens = false, hasMask = false, hasTypes = false;
    for (std::size_t i = 0; i < model.graph->data().inputs.size(); ++i) {
        const auto& name = model.graph->data().inputs[i].name;
        const bool tokens = !hasTokens && i < model.card.inputs.size() && model.card.inputs[i].kind == "tokens";
        if (name == "attention_mask")
            out.emplace_back(filledRows(encoded.attention, encoded.longest, 0));
        else if (name == "token_type_ids")
            out.emplace_back(filledRows(encoded.types, encoded.longest, 0));
        else if (tokens)
            out.emplace_back(filledRows(encoded.ids, encoded.longest, paddingOf(model.card, *tokenizer)));
        else
            throw core::InputError(fmt::format("the model's input \"{}\" cannot be made of a text", name));
        hasTokens = hasTokens || tokens;
        hasMask = hasMask || name == "attention_mask";
        hasTypes = hasTypes || name == "token_type_ids";
    }
    if (!hasTokens)
        throw core::InputError("the model takes no text: none of its inputs are tokens");
    if (encoded.longest != encoded.shortest && !hasMask)
        throw core::InputError(
            fmt::format("texts of {} to {} tokens: expected a model with the input attention_mask, which hides the padding, or texts of one length",
                        encoded.shortest, encoded.longest));
    if (encoded.hasTypes && !hasTypes)
        throw core::InputError("a pair of texts: expected a model with the input token_type_ids, by which its tokenizer tells the two apart");
    graph::checkSequenceLength(*model.graph, model.card, encoded.longest);
    return out;
}

std::vector<c10::IValue> textInputs(const graph::Model& model, const GivenText& text)
{
    if (!text.pair && model.graph->data().inputs.size() == 1)
        return {textInput(model, text.text)};
    return textInputs(model, std::span(&text, 1));
}

std::set<std::string> neededInputs(std::span<const GivenText> texts)
{
    const bool pairs = std::any_of(texts.begin(), texts.end(), [](const GivenText& text) { return text.pair.has_value(); });
    return texts.size() > 1 || pairs ? std::set<std::string>{"attention_mask", "token_type_ids"} : std::set<std::string>{};
}

}  // namespace orrery::train
