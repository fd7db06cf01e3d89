#include "methods.h"
#include "path.h"
#include "rescale.h"

namespace orrery::explain {
namespace {

// What enters and leaves the nodes at the baseline, and F there.
struct Reference {
    std::map<const graph::Node*, std::pair<at::Tensor, at::Tensor>> calls;
    at::Tensor outputs;
};

Reference referenceRun(const ScalarFunction& function, const at::Tensor& baseline, const std::vector<const graph::Node*>& nodes)
{
    Reference reference;
    PassRequest request;
    request.probes = callProbes(*function.executor().graph(), nodes, [&](const NodeCall& call) {
        reference.calls[call.node] = {call.x.detach(), call.y.detach()};
    });
    reference.outputs = function.forward(function.site(), baseline, 1, request).outputs;
    return reference;
}

AttributionResult deepLift(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const RescaleRule rule{parameters.at("eps").get<double>(),
                           parameters.at("softmax") == "normalized" ? SoftmaxRule::Normalised : SoftmaxRule::Decomposed};
    const auto nodes = dependentNodes(function.executor(), function.site(), rescaledOperators(), "deep_lift");
    control.report(0, 2, "passes");
    const auto baseline = siteBaseline(function, parameters);
    const auto reference = referenceRun(function, baseline, nodes);
    control.report(1, 2, "passes");
    PassRequest request;
    request.probes = surrogateProbes(*function.executor().graph(), nodes, [&](const NodeCall& call) {
        const auto& [x, y] = reference.calls.at(call.node);
        return rescaled(rule, call, x, y);
    });
    const auto multipliers = function.pass(function.site(), function.value(), 1, request).gradient.to(at::kDouble);
    control.report(2, 2, "passes");
    const auto attribution = multipliers * (function.value() - baseline).to(at::kDouble);
    AttributionResult result;
    result.attribution = attribution.to(function.value().scalar_type());
    result.completenessError = attribution.flatten(1).sum(1) - (function.outputs().to(at::kDouble) - reference.outputs.to(at::kDouble));
    result.details = {{"rescaled_nodes", nodes.size()}, {"baseline_outputs", listOf(reference.outputs)}};
    return result;
}

}  // namespace

void addDeepLift(AttributionRegistry& registry)
{
    core::Component component{
        "deep_lift",
        "DeepLIFT",
        "Changes from a baseline, carried back by multipliers (rescale rule) instead of derivatives; the attributions add up to the change of the "
        "output "
        "where every nonlinear node has one changing input.",
        "Shrikumar, Greenside & Kundaje (2017), \"Learning Important Features Through Propagating Activation Differences\", arXiv:1704.02685, "
        "section 3.5",
        {core::real("baseline", 0, "Reference value of every feature."), baselineAtParameter(),
         core::real("eps", 1e-10, "Inputs of a node that change by less pass the ordinary derivative.").atLeast(0),
         core::choice("softmax", {"normalized", "decomposed"}, "normalized",
                      "Softmax: element by element less the mean, as Captum; or through exp, sum and log, which keeps the sum exact.")}};
    registry.add(std::move(component), deepLift);
}

}  // namespace orrery::explain
