#include "coalitions.h"
#include "methods.h"

namespace orrery::explain {
namespace {

AttributionResult featureAblation(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    FeatureGame game(function, parameters, "feature_ablation");
    const auto count = game.count();
    auto drop = at::zeros({game.batch(), count}, at::kDouble);
    for (std::int64_t begin = 0; begin < count; begin += game.perBatch()) {
        control.report(double(begin), double(count), "features");
        const auto rows = std::min(game.perBatch(), count - begin);
        const auto on = at::arange(begin, begin + rows, at::kLong).unsqueeze(1).ne(at::arange(count, at::kLong));
        drop.narrow(1, begin, rows).copy_((game.full().unsqueeze(0) - game.values(on)).t());
        if (control.partial)
            control.partial(game.features().spread(drop));
    }
    control.report(double(count), double(count), "features");
    return game.result(drop);
}

}  // namespace

void addFeatureAblation(AttributionRegistry& registry)
{
    registry.add(
        {"feature_ablation",
         "Feature ablation",
         "How much the output drops when one feature at a time is replaced by the baseline.",
         "Li, Monroe & Jurafsky (2016), \"Understanding Neural Networks through Representation Erasure\", arXiv:1612.08220; features as in Captum",
         {baselineParameter(), featureMaskParameter(), perturbationsParameter()}},
        featureAblation);
}

}  // namespace orrery::explain
