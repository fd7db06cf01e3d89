#include "methods.h"
#include "path.h"

namespace orrery::explain {
namespace {

// Sum over the path's points of gradient at point k times the layer's change from point k to point k + 1. Batches meet at their ends.
at::Tensor conductance(const ScalarFunction& function, const Path& path, const Quadrature& rule, std::int64_t perBatch, const Control& control)
{
    PassRequest request;
    request.values = {function.site()};
    auto sum = at::zeros_like(function.value(), function.value().options().dtype(at::kDouble));
    at::Tensor lastValue, lastGradient;
    walk(path, rule, perBatch, control, [&](const PathPoints& points, double share) {
        const auto pass = function.pass(path.value, points.points, points.count, request);
        const auto values = stacked(pass.values.at(function.site()), points.count),
                   gradients = stacked(pass.gradients.at(function.site()), points.count);
        if (lastValue.defined())
            sum += lastGradient * (values[0] - lastValue);
        const auto inner = points.count - 1;
        sum += (gradients.narrow(0, 0, inner) * (values.narrow(0, 1, inner) - values.narrow(0, 0, inner))).sum(0);
        lastValue = values[inner];
        lastGradient = gradients[inner];
        showPartial(control, sum, share, function.value().scalar_type());
    });
    return sum;
}

AttributionResult layerConductance(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const auto path = originPath(function, parameters);
    const auto baselineOutput = function.forward(path.value, path.start, 1, {}).outputs.to(at::kDouble);
    const auto rest = function.outputs().to(at::kDouble) - baselineOutput;
    const auto rule = parameters.at("method").get<std::string>();
    return refinedSteps(parameters, [&](int steps) {
        AttributionResult result;
        // As Captum: n_steps differences need n_steps + 1 points.
        const auto sum = conductance(function, path, quadrature(rule, steps + 1), copiesPerBatch(function, parameters), control);
        result.attribution = sum.to(function.value().scalar_type());
        if (sum.dim() && sum.size(0) == rest.size(0))
            result.completenessError = sum.flatten(1).sum(1) - rest;
        result.details = {{"baseline_outputs", listOf(baselineOutput)}, {"path", path.value}};
        return result;
    });
}

}  // namespace

void addLayerConductance(AttributionRegistry& registry)
{
    core::Component component{
        "layer_conductance", "Layer conductance",
        "How much of the output's change flows through each unit of a layer while the input moves from a baseline; for a layer that everything "
        "passes "
        "through, the sum is the change of the output.",
        "Dhamdhere, Sundararajan & Yan (2018), \"How Important Is a Neuron?\", arXiv:1805.12233; differences along the path as in Captum",
        pathSchema()};
    registry.add(std::move(component), layerConductance);
}

}  // namespace orrery::explain
