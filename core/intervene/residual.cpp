#include "residual.h"

#include <ATen/ATen.h>

#include <charconv>

#include <core/base/text.h>
#include <core/graph/sequence_limit.h>
#include <core/text/card_tokenizer.h>

#include "layout.h"

namespace orrery::intervene {
namespace {

constexpr std::string_view kNeededOfResidual = "a lens";

c10::Device deviceOf(const graph::Model& model)
{
    return model.weights.empty() ? c10::Device(c10::kCPU) : model.weights.tensors().begin()->second.device();
}

}  // namespace

std::string StreamPlace::label() const
{
    if (block < 0)
        return "embedding";
    return canonical.ends_with("resid_mid") ? fmt::format("block {} middle", block) : fmt::format("block {}", block);
}

std::vector<StreamPlace> residualPlaces(const graph::ModelCard& card, bool middle)
{
    std::vector<StreamPlace> places;
    const auto add = [&](const std::string& canonical, int block) {
        places.push_back({canonical, canonicalValue(card, canonical, kNeededOfResidual), block});
    };
    add("blocks.0.resid_pre", -1);
    for (int block = 0; block < blockCount(card); ++block) {
        const auto prefix = fmt::format("blocks.{}.", block);
        if (middle && card.canonicalNames.contains(prefix + "resid_mid"))
            add(prefix + "resid_mid", block);
        add(prefix + "resid_post", block);
    }
    canonicalValue(card, "logits", kNeededOfResidual);
    return places;
}

std::optional<std::int64_t> vocabularySize(const graph::Model& model)
{
    return graph::vocabularySize(*model.graph, model.card);
}

at::Tensor checkedTokens(const graph::Model& model, const at::Tensor& tokens)
{
    if (tokens.dim() != 2 || tokens.numel() == 0)
        throw core::ShapeError(
            fmt::format("expected tokens [sequence, position] with at least one of each, got {}", core::formatShape(tokens.sizes())));
    if (!at::isIntegralType(tokens.scalar_type(), false))
        throw core::InputError(
            fmt::format("expected tokens as whole numbers (a model with token input), got {}", graph::dtypeName(tokens.scalar_type())));
    graph::checkSequenceLength(*model.graph, model.card, tokens.size(1));
    const at::Tensor numbers = tokens.to(deviceOf(model), at::kLong);
    const std::int64_t low = numbers.min().item<std::int64_t>(), high = numbers.max().item<std::int64_t>();
    if (const auto size = vocabularySize(model); low < 0 || (size && high >= *size))
        throw core::InputError(
            fmt::format("expected tokens from 0 to {}, got {}", size ? std::to_string(*size - 1) : "the vocabulary's end", low < 0 ? low : high));
    return numbers;
}

std::vector<c10::IValue> LensSubject::inputsFor(const at::Tensor& tokens) const
{
    std::vector<c10::IValue> inputs{tokens};
    inputs.insert(inputs.end(), more.begin(), more.end());
    return inputs;
}

StreamRun runStream(const LensSubject& subject, const at::Tensor& tokens, const std::vector<StreamPlace>& places, const Control& control)
{
    graph::RunRequest request;
    request.inputs = subject.inputsFor(tokens);
    request.stop = control.stop;
    request.targets = {canonicalValue(subject.model.card, "logits", kNeededOfResidual)};
    for (const auto& place : places)
        request.keep.push_back(place.value);
    const auto result = subject.executor.run(subject.model.weights, request);
    StreamRun run;
    run.logits = result.tensor();
    for (const auto& place : places)
        run.states.push_back(result.value(place.value));
    if (run.logits.dim() != 3)
        throw core::ShapeError(fmt::format("expected logits [sequence, position, token], got {}", core::formatShape(run.logits.sizes())));
    if (run.logits.isnan().any().item<bool>())
        throw core::InputError("the model's logits hold NaN: its weights are broken (a training that diverged?)");
    return run;
}

at::Tensor ownHead(const LensSubject& subject, const at::Tensor& state, const Control& control)
{
    graph::RunRequest request;
    request.stop = control.stop;
    request.targets = {canonicalValue(subject.model.card, "logits", kNeededOfResidual)};
    request.changed[residualPlaces(subject.model.card).back().value] = state;
    return subject.executor.run(subject.model.weights, request).tensor();
}

std::string tokenName(const graph::ModelCard& card, std::int64_t token)
{
    const auto tokenizer = text::tokenizerOf(card);
    return tokenizer ? tokenizer->tokenText(token) : std::to_string(token);
}

std::vector<std::string> tokenNames(const graph::ModelCard& card, const at::Tensor& tokens)
{
    const auto tokenizer = text::tokenizerOf(card);
    const at::Tensor flat = tokens.to(at::kCPU, at::kLong).reshape(-1).contiguous();
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
        const std::int64_t token = flat.data_ptr<std::int64_t>()[i];
        names.push_back(tokenizer ? tokenizer->tokenText(token) : std::to_string(token));
    }
    return names;
}

std::int64_t tokenNumber(const graph::ModelCard& card, const std::string& text)
{
    std::int64_t number = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool isNumber = end.ec == std::errc() && end.ptr == text.data() + text.size();
    if (const auto tokenizer = text::tokenizerOf(card)) {
        const auto tokens = tokenizer->ids(text);
        if (tokens.size() == 1 && !isNumber)
            return tokens[0];
    }
    if (!isNumber)
        throw core::InputError(fmt::format("expected one token, as its number or its text, got \"{}\"", text));
    return number;
}

}  // namespace orrery::intervene
