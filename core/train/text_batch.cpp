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

bool hasInput(const graph::Graph& graph, std::string_view name)
{
    const auto& inputs = graph.data().inputs;
    return std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) { return input.name == name; });
}

/// What an encoder-decoder's answer begins with: its second input of tokens, where nothing is written yet.
std::optional<std::int64_t> answerBegin(const graph::ModelCard& card)
{
    return card.task == "sequence_to_sequence" ? generation::specialTokens(card).decoderBegin : std::nullopt;
}

bool isTokens(const graph::ModelCard& card, std::size_t input)
{
    return input < card.inputs.size() && card.inputs[input].kind == "tokens";
}

/// A model that tells texts apart by types has a vector for each of them, whether or not it was opened with the input that says which.
bool hasTypes(const graph::Model& model)
{
    if (hasInput(*model.graph, "token_type_ids"))
        return true;
    for (const auto& [name, tensor] : model.weights.tensors())
        if (name.ends_with("token_type_embeddings.weight") && tensor.dim() == 2 && tensor.size(0) > 1)
            return true;
    return false;
}

/// 1 for tokens, 0 for what only fills a row up; undefined: the model has no such input, all are tokens.
at::Tensor attentionOf(const graph::Graph& graph, std::span<const c10::IValue> inputs)
{
    for (std::size_t i = 0; i < inputs.size() && i < graph.data().inputs.size(); ++i)
        if (graph.data().inputs[i].name == "attention_mask" && inputs[i].isTensor())
            return inputs[i].toTensor().to(at::kCPU);
    return {};
}

}  // namespace

core::Json textDocument(std::span<const GivenText> texts)
{
    core::Json document = core::Json::object();
    if (texts.empty())
        return document;
    const bool pairs = std::any_of(texts.begin(), texts.end(), [](const auto& each) { return each.pair.has_value(); });
    auto first = core::Json::array(), second = core::Json::array();
    for (const auto& each : texts) {
        first.push_back(each.text);
        second.push_back(each.pair.value_or(""));
    }
    document["text"] = texts.size() == 1 ? first[0] : first;
    if (pairs)
        document["pair"] = texts.size() == 1 ? second[0] : second;
    return document;
}

std::vector<GivenText> textsOfDocument(const core::Json& document)
{
    const auto listed = [&](const char* key) {
        std::vector<std::string> words;
        const auto found = document.is_object() && document.contains(key) ? document[key] : core::Json();
        for (const auto& each : found.is_array() ? found : core::Json::array({found}))
            words.push_back(each.is_string() ? each.get<std::string>() : std::string());
        return words;
    };
    const auto first = listed("text"), second = listed("pair");
    std::vector<GivenText> texts;
    for (std::size_t i = 0; i < first.size(); ++i) {
        const auto& pair = second.size() == 1 ? second[0] : i < second.size() ? second[i] : std::string();
        if (!first[i].empty())
            texts.push_back({first[i], pair.empty() ? std::nullopt : std::optional(pair)});
    }
    return texts;
}

std::optional<GivenText> typedText(std::string_view given)
{
    if (given.starts_with("text:"))
        return GivenText{std::string(given.substr(5))};
    if (!given.starts_with("pair:"))
        return std::nullopt;
    const auto list = core::Json::parse(given.substr(5), nullptr, false);
    if (!list.is_array() || list.size() != 2 || !list[0].is_string() || !list[1].is_string())
        throw core::InputError(fmt::format("expected two texts in brackets such as pair:[\"first\", \"second\"], got {}", given));
    return GivenText{list[0].get<std::string>(), list[1].get<std::string>()};
}

std::vector<c10::IValue> textInputs(const graph::Model& model, std::span<const GivenText> texts)
{
    const auto tokenizer = text::requiredTokenizer(model.card);
    const EncodedTexts encoded = encodedTexts(*tokenizer, texts);
    const auto begin = answerBegin(model.card);
    std::vector<c10::IValue> out;
    bool hasTokens = false, hasMask = false, hasTypeInput = false;
    for (std::size_t i = 0; i < model.graph->data().inputs.size(); ++i) {
        const auto& name = model.graph->data().inputs[i].name;
        const bool tokens = !hasTokens && isTokens(model.card, i);
        if (name == "attention_mask")
            out.emplace_back(filledRows(encoded.attention, encoded.longest, 0));
        else if (name == "token_type_ids")
            out.emplace_back(filledRows(encoded.types, encoded.longest, 0));
        else if (tokens)
            out.emplace_back(filledRows(encoded.ids, encoded.longest, paddingOf(model.card, *tokenizer)));
        else if (begin && isTokens(model.card, i))
            out.emplace_back(at::full({std::int64_t(texts.size()), 1}, *begin, at::kLong));
        else
            throw core::InputError(fmt::format("the model's input \"{}\" cannot be made of a text", name));
        hasTokens = hasTokens || tokens;
        hasMask = hasMask || name == "attention_mask";
        hasTypeInput = hasTypeInput || name == "token_type_ids";
    }
    if (!hasTokens)
        throw core::InputError("the model takes no text: none of its inputs are tokens");
    if (encoded.longest != encoded.shortest && !hasMask)
        throw core::InputError(
            fmt::format("texts of {} to {} tokens: expected a model with the input attention_mask, which hides the padding, or texts of one length",
                        encoded.shortest, encoded.longest));
    if (encoded.hasTypes && !hasTypeInput && hasTypes(model))
        throw core::InputError("a pair of texts: the model tells the two apart by types; expected its input token_type_ids");
    graph::checkSequenceLength(*model.graph, model.card, encoded.longest);
    return out;
}

std::vector<c10::IValue> textInputs(const graph::Model& model, const GivenText& text)
{
    if (!text.pair && model.graph->data().inputs.size() == 1)
        return {textInput(model, text.text)};
    return textInputs(model, std::span(&text, 1));
}

bool readsText(const graph::Model& model)
{
    const auto& inputs = model.graph->data().inputs;
    if (!model.card.tokenizer.is_object() || inputs.empty() || !isTokens(model.card, 0))
        return false;
    for (std::size_t i = 1; i < inputs.size(); ++i)
        if (inputs[i].name != "attention_mask" && inputs[i].name != "token_type_ids" && !(isTokens(model.card, i) && answerBegin(model.card)))
            return false;
    return true;
}

bool readsPairs(const graph::Model& model)
{
    if (!readsText(model) || model.card.task == "language_model")
        return false;
    const auto tokenizer = text::requiredTokenizer(model.card);
    text::EncodeOptions pair;
    pair.pair = "";
    return hasTypes(model) || tokenizer->encode("", pair).size() > tokenizer->encode("").size();
}

std::vector<std::int64_t> answerPositions(const graph::Graph& graph, const graph::ModelCard& card, std::span<const c10::IValue> inputs)
{
    if (inputs.empty() || !inputs[0].isTensor() || !isTokens(card, 0))
        return {};
    const auto tokens = inputs[0].toTensor().to(at::kCPU);
    if (tokens.dim() != 2 || tokens.scalar_type() != at::kLong || tokens.numel() == 0)
        return {};
    const auto mask = card.task == "masked_language_model" ? generation::specialTokens(card).mask : std::nullopt;
    const auto attention = attentionOf(graph, inputs);
    std::vector<std::int64_t> positions;
    for (std::int64_t row = 0; row < tokens.size(0); ++row) {
        const auto masked = mask ? tokens[row].eq(*mask).nonzero() : at::Tensor();
        const auto read = attention.defined() && attention.sizes() == tokens.sizes() ? attention[row].nonzero() : at::Tensor();
        if (masked.defined() && masked.size(0) > 0)
            positions.push_back(masked[0].item<std::int64_t>());
        else
            positions.push_back(read.defined() && read.size(0) > 0 ? read[-1].item<std::int64_t>() : tokens.size(1) - 1);
    }
    return positions;
}

std::set<std::string> neededInputs(std::span<const GivenText> texts)
{
    const bool pairs = std::any_of(texts.begin(), texts.end(), [](const GivenText& text) { return text.pair.has_value(); });
    return texts.size() > 1 || pairs ? std::set<std::string>{"attention_mask", "token_type_ids"} : std::set<std::string>{};
}

std::string typedForm(const GivenText& text)
{
    return text.pair ? "pair:" + core::Json::array({text.text, *text.pair}).dump() : "text:" + text.text;
}

}  // namespace orrery::train
