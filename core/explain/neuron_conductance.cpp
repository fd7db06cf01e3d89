#include "methods.h"
#include "neuron.h"
#include "path.h"

namespace orrery::explain {
namespace {

struct PathSums {
    at::Tensor conductance;  // of dF/dneuron * dneuron/dx
    at::Tensor neuron;       // of dneuron/dx: integrates the neuron's own change
};

at::Tensor rowsTimes(const at::Tensor& rows, const at::Tensor& factors)
{
    std::vector<std::int64_t> shape(std::size_t(rows.dim()), 1);
    shape[0] = rows.size(0);
    return rows * factors.reshape(shape);
}

PathSums conductance(const ScalarFunction& function, const Neuron& neuron, const Path& path, const Quadrature& rule, std::int64_t perBatch,
                     const Control& control)
{
    at::Tensor outer;  // dF/dneuron of the pass in progress
    PassRequest request;
    request.values = {neuron.layer};
    request.objective = [&](const at::Tensor& outputs, const std::map<std::string, at::Tensor>& values) {
        const auto& layer = neuron.layerIn(values);
        const auto gradient = torch::autograd::grad({outputs}, {layer}, {at::ones_like(outputs)}, /*retain_graph=*/true, /*create_graph=*/false,
                                                    /*allow_unused=*/true)[0];
        outer = neuron.of(gradient.defined() ? gradient : at::zeros_like(layer)).detach();
        return neuron.of(layer);
    };
    const auto difference = path.difference().to(at::kDouble);
    PathSums sums{at::zeros_like(difference), at::zeros_like(difference)};
    walk(path, rule, perBatch, control, [&](const PathPoints& points, double share) {
        const auto inner = function.pass(path.value, points.points, points.count, request).gradient;
        sums.neuron += points.weighted(inner).sum(0) * difference;
        sums.conductance += points.weighted(rowsTimes(inner, outer)).sum(0) * difference;
        showPartial(control, sums.conductance, share, path.stop.scalar_type());
    });
    return sums;
}

AttributionResult neuronConductance(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const auto neuron = neuronOf(function, parameters, "neuron_conductance");
    const auto path = sitePath(function, parameters);
    PassRequest request;
    request.values = {neuron.layer};
    const auto before = neuron.of(function.forward(path.value, path.start, 1, request).values.at(neuron.layer)).to(at::kDouble);
    const auto change = neuron.value.to(at::kDouble) - before;
    const auto rule = parameters.at("method").get<std::string>();
    return refinedSteps(parameters, [&](int steps) {
        AttributionResult result;
        const auto sums = conductance(function, neuron, path, quadrature(rule, steps), copiesPerBatch(function, parameters), control);
        result.attribution = sums.conductance.to(path.stop.scalar_type());
        // The neuron's share of the output has no closed form to compare with; its own change along the same points has.
        result.completenessError = sums.neuron.flatten(1).sum(1) - change;
        result.details = {{"neuron_values", listOf(neuron.value)}, {"neuron_baseline_values", listOf(before)}};
        return result;
    });
}

}  // namespace

void addNeuronConductance(AttributionRegistry& registry)
{
    core::Component component{
        "neuron_conductance", "Neuron conductance",
        "How much of the output's change flows from each input feature through one neuron. The completeness error is that of the same points for the "
        "neuron's own change.",
        "Dhamdhere, Sundararajan & Yan (2018), \"How Important Is a Neuron?\", arXiv:1805.12233", pathSchema(neuronParameters())};
    registry.add(std::move(component), neuronConductance);
}

}  // namespace orrery::explain
