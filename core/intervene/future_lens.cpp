#include "future_lens.h"

#include <ATen/ATen.h>

#include <limits>

#include <core/base/text.h>

namespace orrery::intervene {
namespace {

constexpr std::int64_t kFutureBatch = 16, kMostBigrams = 4096;

/// States of a place at positions that have a partner `shift` further, as rows.
at::Tensor rowsBefore(const at::Tensor& states, std::int64_t shift)
{
    return states.slice(1, 0, states.size(1) - shift).reshape({-1, states.size(2)}).to(at::kCPU, at::kDouble);
}
at::Tensor rowsAfter(const at::Tensor& states, std::int64_t shift)
{
    return states.slice(1, shift, states.size(1)).reshape({-1, states.size(2)}).to(at::kCPU, at::kDouble);
}

/// What the normal equations of one place need.
struct Moments {
    at::Tensor xx, xr, x, r;
    void add(const at::Tensor& rows, const at::Tensor& rest)
    {
        const at::Tensor t = rows.t();
        xx = xx.defined() ? xx.addmm_(t, rows) : t.mm(rows);
        xr = xr.defined() ? xr.addmm_(t, rest) : t.mm(rest);
        x = x.defined() ? x.add_(rows.sum(0)) : rows.sum(0);
        r = r.defined() ? r.add_(rest.sum(0)) : rest.sum(0);
    }
    /// Weight and bias of the ridge solution over `count` rows.
    std::pair<at::Tensor, at::Tensor> solve(double count, double ridge) const
    {
        const at::Tensor meanX = x / count, meanR = r / count;
        at::Tensor variance = xx / count - at::outer(meanX, meanX), covariance = xr / count - at::outer(meanX, meanR);
        const double strength = ridge * variance.diagonal().mean().item<double>() + std::numeric_limits<double>::min();
        variance.diagonal().add_(strength);
        try {
            const at::Tensor weight = at::linalg_solve(variance, covariance);
            return {weight, meanR - at::matmul(meanX, weight)};
        } catch (const c10::Error&) {
            throw core::InputError(
                fmt::format("ridge {}: the states do not determine a linear map; expected a larger ridge or more texts", core::formatNumber(ridge)));
        }
    }
};

void checkSettings(const FutureLensSettings& settings, const at::Tensor& sequences)
{
    if (settings.offset < 1 || settings.offset >= sequences.size(1))
        throw core::InputError(fmt::format("offset {}: expected one from 1 to {} for sequences of {} tokens", settings.offset, sequences.size(1) - 1,
                                           sequences.size(1)));
    if (!(settings.ridge >= 0))
        throw core::InputError(fmt::format("ridge: expected a number of at least 0, got {}", core::formatNumber(settings.ridge)));
}

at::Tensor bigramsOf(const at::Tensor& sequences, std::int64_t vocabulary)
{
    if (vocabulary > kMostBigrams)
        return {};
    const at::Tensor tokens = sequences.to(at::kCPU);
    const at::Tensor pairs = (tokens.slice(1, 0, tokens.size(1) - 1) * vocabulary + tokens.slice(1, 1, tokens.size(1))).reshape(-1);
    at::Tensor counts = pairs.bincount({}, vocabulary * vocabulary).to(at::kDouble).reshape({vocabulary, vocabulary});
    // A token that is followed by nothing: as if by any, in the proportion of the text.
    const at::Tensor any = counts.sum(0, true), rows = counts.sum(1, true);
    counts = at::where(rows > 0, counts, any);
    return counts / counts.sum(1, true).clamp_min(1);
}

/// Visits the sequences batch by batch with states and logits.
template <class Visit>
void forBatches(const LensSubject& subject, const at::Tensor& sequences, const std::vector<StreamPlace>& places, const Control& control, Visit visit)
{
    const std::int64_t count = sequences.size(0);
    for (std::int64_t from = 0; from < count; from += kFutureBatch) {
        control.report(double(from), double(count), "sequences");
        const at::Tensor tokens = sequences.slice(0, from, std::min(count, from + kFutureBatch));
        visit(tokens, runStream(subject, tokens, places, control));
    }
    control.report(double(count), double(count), "sequences");
}

}  // namespace

FutureLens fitFutureLens(const LensSubject& subject, const at::Tensor& sequences, const FutureLensSettings& settings, const Control& control)
{
    FutureLens lens;
    lens.settings = settings;
    lens.places = residualPlaces(subject.model.card);
    const at::Tensor tokens = checkedTokens(subject.model, sequences);
    checkSettings(settings, tokens);
    const std::int64_t shift = settings.offset - 1;
    std::vector<Moments> moments(lens.places.size());
    std::int64_t features = 0, vocabulary = 0;
    forBatches(subject, tokens, lens.places, control, [&](const at::Tensor& batch, const StreamRun& run) {
        const at::Tensor after = rowsAfter(run.states.back(), shift);
        for (std::size_t i = 0; i < moments.size(); ++i) {
            const at::Tensor before = rowsBefore(run.states[i], shift);
            moments[i].add(before, after - before);
        }
        lens.pairs += batch.size(0) * (batch.size(1) - shift);
        features = after.size(1);
        vocabulary = run.logits.size(2);
    });
    if (lens.pairs < 2 * features)
        throw core::InputError(
            fmt::format("expected at least {} states to fit on (twice the width), got {}: give more or longer texts", 2 * features, lens.pairs));
    for (const Moments& each : moments) {
        auto [weight, bias] = each.solve(double(lens.pairs), settings.ridge);
        lens.weights.push_back(std::move(weight));
        lens.biases.push_back(std::move(bias));
    }
    lens.bigrams = bigramsOf(tokens, vocabulary);
    return lens;
}

at::Tensor carried(const FutureLens& lens, std::size_t place, const at::Tensor& states)
{
    const at::Tensor x = states.to(at::kCPU, at::kDouble);
    return (x + at::matmul(x, lens.weights[place]) + lens.biases[place]).to(states.options());
}

LensGrid futureLensGrid(const LensSubject& subject, const FutureLens& lens, const at::Tensor& tokens, std::int64_t top, const Control& control)
{
    const at::Tensor numbers = checkedTokens(subject.model, tokens);
    if (numbers.size(0) != 1)
        throw core::ShapeError(fmt::format("the future lens looks at one sequence, got {}", numbers.size(0)));
    const StreamRun run = runStream(subject, numbers, lens.places, control);
    LensGrid grid = emptyGrid(lens.places, numbers, lens.settings.offset, std::min(top, run.logits.size(2)));
    const std::int64_t shift = std::min(lens.settings.offset - 1, numbers.size(1));
    const at::Tensor own = run.logits[0].slice(0, shift, numbers.size(1));
    for (std::size_t row = 0; row < lens.places.size(); ++row) {
        control.report(double(row), double(lens.places.size()), "layers");
        const at::Tensor logits = ownHead(subject, carried(lens, row, run.states[row]), control);
        fillRow(grid, row, logits[0], own);
        if (row + 1 == lens.places.size() && own.size(0) > 0)
            grid.finalDifference = (logits[0].slice(0, 0, own.size(0)) - own).abs().max().item<double>();
    }
    return grid;
}

FutureLensScore scoreFutureLens(const LensSubject& subject, const FutureLens& lens, const at::Tensor& sequences, const Control& control)
{
    const at::Tensor tokens = checkedTokens(subject.model, sequences);
    checkSettings(lens.settings, tokens);
    const std::int64_t offset = lens.settings.offset, length = tokens.size(1), known = length - offset;
    FutureLensScore score;
    score.accuracy.assign(lens.places.size(), 0);
    score.surprisal.assign(lens.places.size(), 0);
    at::Tensor guesses;
    if (lens.bigrams.defined())
        guesses = at::linalg_matrix_power(lens.bigrams, offset).argmax(1);
    forBatches(subject, tokens, lens.places, control, [&](const at::Tensor& batch, const StreamRun& run) {
        const at::Tensor truth = batch.slice(1, offset, length).to(at::kCPU);
        const auto right = [&](const at::Tensor& predicted) { return double(predicted.to(at::kCPU).eq(truth).sum().template item<std::int64_t>()); };
        for (std::size_t i = 0; i < lens.places.size(); ++i) {
            const at::Tensor states = carried(lens, i, run.states[i].slice(1, 0, known));
            const at::Tensor logP = ownHead(subject, states, control).to(at::kCPU, at::kDouble).log_softmax(-1);
            score.accuracy[i] += right(logP.argmax(-1));
            score.surprisal[i] -= logP.gather(2, truth.unsqueeze(2)).sum().item<double>();
        }
        score.modelAccuracy += right(run.logits.slice(1, offset - 1, length - 1).argmax(-1));
        if (guesses.defined())
            score.bigramAccuracy += right(guesses.index_select(0, batch.slice(1, 0, known).to(at::kCPU).reshape(-1)).reshape(truth.sizes()));
        score.predictions += truth.numel();
    });
    const double count = double(score.predictions);
    for (auto* list : {&score.accuracy, &score.surprisal})
        for (double& value : *list)
            value /= count;
    score.modelAccuracy /= count;
    score.bigramAccuracy = guesses.defined() ? score.bigramAccuracy / count : std::numeric_limits<double>::quiet_NaN();
    return score;
}

}  // namespace orrery::intervene
