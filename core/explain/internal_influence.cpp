#include "methods.h"
#include "path.h"

namespace orrery::explain {
namespace {

struct Influence {
    at::Tensor layer, path;  // sums of weighted gradients at the layer and at the path's value
};

Influence influence(const ScalarFunction& function, const Path& path, const Quadrature& rule, std::int64_t perBatch, const Control& control)
{
    PassRequest request;
    request.values = {function.site()};
    const auto zeros = [](const at::Tensor& like) { return at::zeros_like(like, like.options().dtype(at::kDouble)); };
    Influence sum{zeros(function.value()), zeros(path.start)};
    walk(path, rule, perBatch, control, [&](const PathPoints& points, double share) {
        const auto pass = function.pass(path.value, points.points, points.count, request);
        sum.layer += points.weighted(pass.gradients.at(function.site())).sum(0);
        sum.path += points.weighted(pass.gradient).sum(0);
        showPartial(control, sum.layer, share, function.value().scalar_type());
    });
    return sum;
}

AttributionResult internalInfluence(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const auto path = originPath(function, parameters);
    const auto baselineOutput = function.forward(path.value, path.start, 1, {}).outputs.to(at::kDouble);
    const auto rest = function.outputs().to(at::kDouble) - baselineOutput;
    const auto rule = parameters.at("method").get<std::string>();
    return refinedSteps(parameters, [&](int steps) {
        AttributionResult result;
        const auto sum = influence(function, path, quadrature(rule, steps), copiesPerBatch(function, parameters), control);
        result.attribution = sum.layer.to(function.value().scalar_type());
        // Influences themselves add up to nothing; the same points integrate the output's change, and that says how good they are.
        result.completenessError = (sum.path * path.difference().to(at::kDouble)).flatten(1).sum(1) - rest;
        result.details = {{"baseline_outputs", listOf(baselineOutput)}, {"path", path.value}};
        return result;
    });
}

}  // namespace

void addInternalInfluence(AttributionRegistry& registry)
{
    core::Component component{
        "internal_influence", "Internal influence",
        "Gradient at a layer, averaged while the input moves along the straight path from a baseline. The completeness error is that of the same "
        "points "
        "for the change of the output.",
        "Leino, Sen, Datta, Fredrikson & Li (2018), \"Influence-Directed Explanations for Deep Convolutional Networks\", arXiv:1802.03788",
        pathSchema()};
    registry.add(std::move(component), internalInfluence);
}

}  // namespace orrery::explain
