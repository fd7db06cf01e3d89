#include <core/base/error.h>

#include "coalitions.h"
#include "methods.h"

namespace orrery::explain {
namespace {

constexpr std::int64_t kLargestCount = 20;  // 2^20 evaluations

// |S|! (n - |S| - 1)! / n! for |S| = 0..n-1: what a coalition's gain counts in the average over all orders.
std::vector<double> coalitionWeights(std::int64_t count)
{
    std::vector<double> weights(std::size_t(count), 1.0 / double(count));
    for (std::size_t size = 1; size < weights.size(); ++size)
        weights[size] = weights[size - 1] * double(size) / double(weights.size() - size);
    return weights;
}

// Rows begin..begin+rows of all subsets: bit i of the row's number says whether feature i is present.
at::Tensor subsets(std::int64_t begin, std::int64_t rows, std::int64_t count)
{
    const auto numbers = at::arange(begin, begin + rows, at::kLong).unsqueeze(1);
    return at::bitwise_right_shift(numbers, at::arange(count, at::kLong)).bitwise_and(1).to(at::kBool);
}

AttributionResult shapleyValues(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    FeatureGame game(function, parameters, "shapley_values");
    const auto count = game.count();
    if (count > kLargestCount)
        throw core::InputError(
            fmt::format("shapley_values: {} features make 2^{} coalitions; expected at most {} features. Give a feature_mask with fewer "
                        "groups (a larger patch size), or use shapley_value_sampling or kernel_shap",
                        count, count, kLargestCount));
    const auto weights = at::tensor(coalitionWeights(count), at::kDouble);
    auto sum = at::zeros({game.batch(), count}, at::kDouble);
    const auto total = std::int64_t(1) << count;
    for (std::int64_t begin = 0; begin < total; begin += game.perBatch()) {
        control.report(double(begin), double(total), "coalitions");
        const auto on = subsets(begin, std::min(game.perBatch(), total - begin), count);
        const auto size = on.sum(1, /*keepdim=*/true);
        // v(S) counts for its members as the coalition they joined, and against the others as the one they would join.
        const auto gain = at::where(on, weights.index({(size - 1).clamp_min(0)}), -weights.index({size.clamp_max(count - 1)}));
        sum += game.values(on).t().matmul(gain);
    }
    control.report(double(total), double(total), "coalitions");
    return game.completeResult(sum);
}

}  // namespace

void addShapleyValues(AttributionRegistry& registry)
{
    registry.add({"shapley_values",
                  "Shapley values",
                  "Each feature's average contribution over all orders in which features could be added, exactly: all coalitions are evaluated.",
                  "Shapley (1953), \"A Value for n-Person Games\", Contributions to the Theory of Games II; for models: Lundberg & Lee (2017), "
                  "arXiv:1705.07874, equation 8",
                  {baselineParameter(), featureMaskParameter(), perturbationsParameter()}},
                 shapleyValues);
}

}  // namespace orrery::explain
