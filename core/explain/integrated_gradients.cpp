#include "methods.h"
#include "path.h"

namespace orrery::explain {
namespace {

// Sum over the rule's nodes of weight * gradient on the path.
at::Tensor pathGradient(const ScalarFunction& function, const Path& path, const Quadrature& rule, std::int64_t perBatch, const Control& control)
{
    const auto difference = path.difference().to(at::kDouble);
    auto sum = at::zeros_like(difference);
    walk(path, rule, perBatch, control, [&](const PathPoints& points, double share) {
        sum += points.weighted(function.withGradient(points.points, points.count).second).sum(0);
        showPartial(control, sum * difference, share, function.value().scalar_type());
    });
    return sum;
}

AttributionResult integratedGradients(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const auto path = sitePath(function, parameters);
    const auto baselineOutput = function.at(path.start, 1).to(at::kDouble);
    const auto rest = function.outputs().to(at::kDouble) - baselineOutput;
    const auto rule = parameters.at("method").get<std::string>();
    return refinedSteps(parameters, [&](int steps) {
        AttributionResult result;
        const auto gradient = pathGradient(function, path, quadrature(rule, steps), copiesPerBatch(function, parameters), control);
        const auto attribution = gradient * path.difference().to(at::kDouble);
        result.attribution = attribution.to(function.value().scalar_type());
        result.completenessError = attribution.flatten(1).sum(1) - rest;
        result.details = {{"baseline_outputs", listOf(baselineOutput)}};
        return result;
    });
}

}  // namespace

void addIntegratedGradients(AttributionRegistry& registry)
{
    core::Component component{
        "integrated_gradients", "Integrated gradients",
        "Gradients summed along the straight path from a baseline; the attributions add up to the change of the output.",
        "Sundararajan, Taly & Yan (2017), \"Axiomatic Attribution for Deep Networks\", arXiv:1703.01365, equation 1; rules as in Captum",
        pathSchema()};
    component.schema.add(baselineAtParameter());
    registry.add(std::move(component), integratedGradients);
}

}  // namespace orrery::explain
