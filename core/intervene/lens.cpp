#include "lens.h"

#include <ATen/ATen.h>

#include <limits>

namespace orrery::intervene {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor logProbabilities(const at::Tensor& logits)
{
    return logits.detach().to(at::kCPU, at::kDouble).log_softmax(-1);
}

/// A probability of zero counts nothing: 0 * log 0 = 0.
at::Tensor expected(const at::Tensor& logP, const at::Tensor& what)
{
    const at::Tensor p = logP.exp();
    return at::where(p > 0, p * what, at::zeros({}, p.options())).sum(-1);
}

}  // namespace

LensGrid emptyGrid(std::vector<StreamPlace> places, const at::Tensor& tokens, std::int64_t offset, std::int64_t top)
{
    const std::int64_t length = tokens.size(1), count = std::int64_t(places.size());
    LensGrid grid;
    grid.places = std::move(places);
    grid.offset = offset;
    grid.tokens = tokens[0].to(at::kCPU, at::kLong).contiguous();
    grid.targets = at::full({length}, -1, at::kLong);
    if (offset < length)
        grid.targets.slice(0, 0, length - offset).copy_(grid.tokens.slice(0, offset, length));
    grid.topTokens = at::full({count, length, top}, -1, at::kLong);
    grid.topProbabilities = at::full({count, length, top}, kNan, at::kDouble);
    grid.entropy = at::full({count, length}, kNan, at::kDouble);
    grid.targetRank = at::zeros({count, length}, at::kLong);
    grid.targetProbability = at::full({count, length}, kNan, at::kDouble);
    grid.divergence = at::full({count, length}, kNan, at::kDouble);
    return grid;
}

void fillRow(LensGrid& grid, std::size_t row, const at::Tensor& logits, const at::Tensor& own)
{
    const auto at = std::int64_t(row);
    const at::Tensor logP = logProbabilities(logits);
    const auto [values, tokens] = logP.topk(grid.topTokens.size(2), -1);
    grid.topTokens[at].copy_(tokens);
    grid.topProbabilities[at].copy_(values.exp());
    grid.entropy[at].copy_(-expected(logP, logP));
    const std::int64_t known = std::max<std::int64_t>(0, logP.size(0) - grid.offset);
    if (known > 0) {
        const at::Tensor some = logP.slice(0, 0, known), target = some.gather(1, grid.targets.slice(0, 0, known).unsqueeze(1));
        grid.targetProbability[at].slice(0, 0, known).copy_(target.squeeze(1).exp());
        grid.targetRank[at].slice(0, 0, known).copy_((some > target).sum(-1) + 1);
    }
    const std::int64_t compared = own.size(0);
    if (compared > 0) {
        const at::Tensor ownP = logProbabilities(own);
        grid.divergence[at].slice(0, 0, compared).copy_(expected(ownP, ownP - logP.slice(0, 0, compared)).clamp_min(0));
    }
}

LensGrid logitLens(const LensSubject& subject, const at::Tensor& tokens, const LogitLensSettings& settings, const Control& control)
{
    const auto places = residualPlaces(subject.model.card, settings.middle);
    const at::Tensor numbers = checkedTokens(subject.model, tokens);
    if (numbers.size(0) != 1)
        throw core::ShapeError(fmt::format("the logit lens looks at one sequence, got {}", numbers.size(0)));
    control.report(0, double(places.size()), "layers");
    const StreamRun run = runStream(subject, numbers, places, control);
    LensGrid grid = emptyGrid(places, numbers, 1, std::min(settings.top, run.logits.size(2)));
    for (std::size_t row = 0; row < places.size(); ++row) {
        const at::Tensor logits = ownHead(subject, run.states[row], control);
        fillRow(grid, row, logits[0], run.logits[0]);
        if (row + 1 == places.size())
            grid.finalDifference = (logits - run.logits).abs().max().item<double>();
        control.report(double(row + 1), double(places.size()), "layers");
    }
    return grid;
}

}  // namespace orrery::intervene
