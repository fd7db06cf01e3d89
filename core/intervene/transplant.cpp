#include "transplant.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include <core/graph/sequence_limit.h>

#include "layout.h"

namespace orrery::intervene {
namespace {

constexpr std::int64_t kMostRows = 256, kMostSequences = 16;
constexpr std::int64_t kLogitBytes = 128 << 20;  ///< that the logits of one run may take

/// How many of `most` fit when each has logits for so many positions.
std::int64_t fitting(const graph::Model& model, std::int64_t positions, std::int64_t most)
{
    const std::int64_t each = positions * vocabularySize(model).value_or(1) * std::int64_t(sizeof(float));
    return std::clamp<std::int64_t>(kLogitBytes / std::max<std::int64_t>(1, each), 1, most);
}

at::Tensor checkedContext(const LensSubject& subject, const at::Tensor& context, std::int64_t offset)
{
    if (offset < 1)
        throw core::InputError(fmt::format("offset {}: expected one of at least 1", offset));
    const at::Tensor numbers = checkedTokens(subject.model, context);
    if (numbers.size(0) != 1)
        throw core::ShapeError(fmt::format("the context is one sequence, got {}", numbers.size(0)));
    // The last token is read off, not read in.
    const auto longest = graph::longestSequence(*subject.model.graph, subject.model.card);
    if (longest && numbers.size(1) + offset - 1 > *longest)
        throw core::InputError(fmt::format("offset {} behind a context of {} tokens: the model reads at most {} tokens; expected an offset up to {}",
                                           offset, numbers.size(1), *longest, *longest - numbers.size(1) + 1));
    return numbers;
}

/// Tokens written on from states [row, feature] of one place.
struct Written {
    at::Tensor logits;                 ///< [row, token] of the last token
    at::Tensor tokens, probabilities;  ///< [row, offset]
};

/// A place with the context's prompt for it.
struct Ground {
    const StreamPlace& place;
    at::Tensor prompt;  ///< or undefined
    bool isLast;        ///< behind it there is nothing but the model's own head
    const at::Tensor& context;
};

Ground groundAt(const std::vector<StreamPlace>& places, std::size_t i, const TransplantContext& context, const at::Tensor& tokens)
{
    return {places[i], context.prompts.empty() ? at::Tensor() : context.prompts.at(i), i + 1 == places.size(), tokens};
}

/// @param first  Logits [row, token] of the first token where they are known; else undefined.
Written writeOn(const LensSubject& subject, const Ground& ground, const at::Tensor& states, const at::Tensor& first, std::int64_t offset,
                const Control& control)
{
    const at::Tensor& context = ground.context;
    const std::int64_t at = context.size(1) - 1;
    at::Tensor text = context.expand({states.size(0), -1});
    std::vector<at::Tensor> tokens, probabilities;
    Written result;
    for (std::int64_t step = 0; step < offset; ++step) {
        result.logits = step == 0 && first.defined() ? first : transplantedLogits(subject, ground.place, ground.prompt, states, at, text, control);
        const auto [logP, best] = result.logits.to(at::kCPU, at::kDouble).log_softmax(-1).max(-1, true);
        tokens.push_back(best);
        probabilities.push_back(logP.exp());
        text = at::cat({text, best.to(text.device())}, 1);
    }
    result.tokens = at::cat(tokens, 1);
    result.probabilities = at::cat(probabilities, 1);
    return result;
}

/// All states [sequence, position, feature] of a place, in batches of rows. Behind the last place there is nothing but the model's own head, which looks at one
/// position at a time: the first token is read off the states as they lie, so that it is the model's own to the last bit.
Written writeOnAll(const LensSubject& subject, const Ground& ground, const at::Tensor& states, std::int64_t offset, const Control& control)
{
    const at::Tensor rows = states.flatten(0, 1), first = ground.isLast ? ownHead(subject, states, control).flatten(0, 1) : at::Tensor();
    std::vector<at::Tensor> logits, tokens, probabilities;
    const std::int64_t batch = fitting(subject.model, ground.context.size(1) + offset - 1, kMostRows);
    for (std::int64_t from = 0; from < rows.size(0); from += batch) {
        const std::int64_t to = std::min(rows.size(0), from + batch);
        const Written part = writeOn(subject, ground, rows.slice(0, from, to), ground.isLast ? first.slice(0, from, to) : first, offset, control);
        logits.push_back(part.logits);
        tokens.push_back(part.tokens);
        probabilities.push_back(part.probabilities);
    }
    return {at::cat(logits, 0), at::cat(tokens, 0), at::cat(probabilities, 0)};
}

}  // namespace

at::Tensor transplantedLogits(const LensSubject& subject, const StreamPlace& place, const at::Tensor& prompt, const at::Tensor& states,
                              std::int64_t at, const at::Tensor& written, const Control& control)
{
    const StreamPlace first = residualPlaces(subject.model.card).front();
    const auto withPrompt = [&](const at::Tensor& value) {
        return at::cat({prompt.to(value.options()).unsqueeze(0).expand({value.size(0), -1, -1}), value.slice(1, prompt.size(0))}, 1);
    };
    const auto withStates = [&](const at::Tensor& value) {
        return at::cat({value.slice(1, 0, at), states.to(value.options()).unsqueeze(1), value.slice(1, at + 1)}, 1);
    };
    const bool isFirst = place.value == first.value;
    graph::RunRequest request;
    request.inputs = {written};
    request.stop = control.stop;
    request.targets = {canonicalValue(subject.model.card, "logits", "a lens")};
    request.gradients = prompt.defined() && prompt.requires_grad() ? graph::Gradients::Parameters : graph::Gradients::None;
    if (prompt.defined() && !isFirst)
        request.probes.push_back(graph::Probe::replacing(
            first.value, [&](const std::string&, const c10::IValue& value) -> c10::IValue { return withPrompt(value.toTensor()); }));
    request.probes.push_back(graph::Probe::replacing(place.value, [&](const std::string&, const c10::IValue& value) -> c10::IValue {
        return withStates(prompt.defined() && isFirst ? withPrompt(value.toTensor()) : value.toTensor());
    }));
    return subject.executor.run(subject.model.weights, request).tensor().select(1, written.size(1) - 1);
}

Transplant transplant(const LensSubject& subject, const at::Tensor& tokens, const TransplantContext& context, const TransplantSettings& settings,
                      const Control& control)
{
    const auto places = residualPlaces(subject.model.card);
    const at::Tensor numbers = checkedTokens(subject.model, tokens), around = checkedContext(subject, context.tokens, settings.offset);
    if (numbers.size(0) != 1)
        throw core::ShapeError(fmt::format("the transplant lens looks at one sequence, got {}", numbers.size(0)));
    const StreamRun run = runStream(subject, numbers, places, control);
    Transplant made;
    made.grid = emptyGrid(places, numbers, settings.offset, std::min(settings.top, run.logits.size(2)));
    made.context = around[0].to(at::kCPU).contiguous();
    const std::int64_t length = numbers.size(1), shift = std::min(settings.offset - 1, length);
    const at::Tensor own = run.logits[0].slice(0, shift, length);
    std::vector<at::Tensor> written, probabilities;
    for (std::size_t row = 0; row < places.size(); ++row) {
        control.report(double(row), double(places.size()), "layers");
        const Written read = writeOnAll(subject, groundAt(places, row, context, around), run.states[row], settings.offset, control);
        fillRow(made.grid, row, read.logits, own);
        written.push_back(read.tokens);
        probabilities.push_back(read.probabilities);
        if (row + 1 == places.size() && own.size(0) > 0)
            made.grid.finalDifference = (read.logits.slice(0, 0, own.size(0)) - own).abs().max().item<double>();
    }
    made.tokens = at::stack(written);
    made.probabilities = at::stack(probabilities);
    control.report(double(places.size()), double(places.size()), "layers");
    return made;
}

FutureLensScore scoreTransplant(const LensSubject& subject, const at::Tensor& sequences, const TransplantContext& context, std::int64_t offset,
                                const Control& control)
{
    const auto places = residualPlaces(subject.model.card);
    const at::Tensor tokens = checkedTokens(subject.model, sequences), around = checkedContext(subject, context.tokens, offset);
    const std::int64_t length = tokens.size(1), known = length - offset, count = tokens.size(0);
    if (known < 1)
        throw core::InputError(fmt::format("offset {}: expected one from 1 to {} for sequences of {} tokens", offset, length - 1, length));
    FutureLensScore score;
    score.accuracy.assign(places.size(), 0);
    score.surprisal.assign(places.size(), 0);
    const std::int64_t each = fitting(subject.model, length, kMostSequences);
    for (std::int64_t from = 0; from < count; from += each) {
        control.report(double(from), double(count), "sequences");
        const at::Tensor batch = tokens.slice(0, from, std::min(count, from + each)), truth = batch.slice(1, offset, length).to(at::kCPU);
        const StreamRun run = runStream(subject, batch, places, control);
        const at::Tensor flat = truth.reshape({-1, 1});
        for (std::size_t i = 0; i < places.size(); ++i) {
            const at::Tensor logits =
                writeOnAll(subject, groundAt(places, i, context, around), run.states[i].slice(1, 0, known), offset, control).logits;
            const at::Tensor logP = logits.to(at::kCPU, at::kDouble).log_softmax(-1);
            score.accuracy[i] += double(logP.argmax(-1, true).eq(flat).sum().item<std::int64_t>());
            score.surprisal[i] -= logP.gather(1, flat).sum().item<double>();
        }
        score.modelAccuracy += double(run.logits.slice(1, offset - 1, length - 1).argmax(-1).to(at::kCPU).eq(truth).sum().item<std::int64_t>());
        score.predictions += truth.numel();
    }
    for (auto* list : {&score.accuracy, &score.surprisal})
        for (double& value : *list)
            value /= double(score.predictions);
    score.modelAccuracy /= double(score.predictions);
    score.bigramAccuracy = std::numeric_limits<double>::quiet_NaN();
    control.report(double(count), double(count), "sequences");
    return score;
}

}  // namespace orrery::intervene
