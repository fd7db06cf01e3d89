#include "neuron.h"

#include <core/base/text.h>

namespace orrery::explain {
namespace {

bool depends(const ScalarFunction& function, const std::string& layer)
{
    const auto& graph = *function.executor().graph();
    const auto* node = graph.producer(*graph.findValue(layer));
    const auto cone = function.executor().dependencyCone({function.site()});
    return layer == function.site() || (node && std::find(cone.begin(), cone.end(), node->name) != cone.end());
}

}  // namespace

std::vector<core::Parameter> neuronParameters()
{
    return {core::required(core::text("layer", "", "The value that holds the neuron: a path or a pattern of one value, such as conv1 or fc1.")),
            core::required(core::list("neuron", core::integer("", 0, "").atLeast(0), core::Json::array({0}),
                                      "Index of the neuron in one sample's value: [unit], or [channel, row, column]."))};
}

at::Tensor Neuron::of(const at::Tensor& layerValue) const
{
    auto result = layerValue;
    for (const auto i : index)
        result = result.select(1, i);
    return result;
}

const at::Tensor& Neuron::layerIn(const std::map<std::string, at::Tensor>& values) const
{
    const auto& value = values.at(layer);
    if (!value.requires_grad())
        throw core::InputError(fmt::format("layer: {} does not depend on the input in a differentiable way", layer));
    return value;
}

Neuron neuronOf(const ScalarFunction& function, const core::Json& parameters, const char* method)
{
    Neuron neuron;
    neuron.layer = function.nameOf(parameters.at("layer").get<std::string>());
    neuron.index = parameters.at("neuron").get<std::vector<std::int64_t>>();
    const auto value = function.valueOf(neuron.layer);
    const auto batch = std::int64_t(function.targets().size());
    if (value.dim() == 0 || value.size(0) != batch)
        throw core::InputError(fmt::format("{}.layer: {} is {}; expected a first axis of {} (the batch)", method, neuron.layer,
                                           core::formatShape(value.sizes()), batch));
    if (!depends(function, neuron.layer))
        throw core::InputError(fmt::format("{}.layer: {} does not depend on {}", method, neuron.layer, function.site()));
    const auto shape = value.sizes().slice(1);
    if (neuron.index.size() != shape.size())
        throw core::InputError(fmt::format("{}.neuron: expected {} indices (a sample of {} is {}), got {}", method, shape.size(), neuron.layer,
                                           core::formatShape(shape), neuron.index.size()));
    for (std::size_t i = 0; i < shape.size(); ++i)
        if (neuron.index[i] < 0 || neuron.index[i] >= shape[i])
            throw core::InputError(fmt::format("{}.neuron[{}]: expected 0..{} (a sample of {} is {}), got {}", method, i, shape[i] - 1, neuron.layer,
                                               core::formatShape(shape), neuron.index[i]));
    neuron.value = neuron.of(value);
    return neuron;
}

}  // namespace orrery::explain
