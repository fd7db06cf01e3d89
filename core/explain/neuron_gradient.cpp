#include "methods.h"
#include "neuron.h"
#include "path.h"

namespace orrery::explain {
namespace {

AttributionResult neuronGradient(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const auto neuron = neuronOf(function, parameters, "neuron_gradient");
    control.report(0, 1, "gradients");
    PassRequest request;
    request.values = {neuron.layer};
    request.objective = [&](const at::Tensor&, const std::map<std::string, at::Tensor>& values) { return neuron.of(neuron.layerIn(values)); };
    AttributionResult result;
    result.attribution = function.pass(function.site(), function.value(), 1, request).gradient;
    result.details = {{"neuron_values", listOf(neuron.value)}};
    control.report(1, 1, "gradients");
    return result;
}

}  // namespace

void addNeuronGradient(AttributionRegistry& registry)
{
    core::Component component{
        "neuron_gradient",
        "Neuron gradient",
        "Gradient of one neuron inside the model with respect to the input.",
        "Simonyan, Vedaldi & Zisserman (2013), \"Deep Inside Convolutional Networks\", arXiv:1312.6034, section 3, for an inner unit",
        {}};
    for (auto& parameter : neuronParameters())
        component.schema.add(std::move(parameter));
    registry.add(std::move(component), neuronGradient);
}

}  // namespace orrery::explain
