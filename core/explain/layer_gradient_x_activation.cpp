#include "methods.h"

namespace orrery::explain {

void addLayerGradientXActivation(AttributionRegistry& registry)
{
    core::Component component{
        "layer_gradient_x_activation",
        "Layer gradient x activation",
        "Gradient of the explained output at a layer, multiplied by what the layer holds.",
        "Shrikumar, Greenside, Shcherbina & Kundaje (2016), \"Not Just a Black Box\", arXiv:1605.01713, section 2.3, at a layer as in Captum",
        {core::boolean("multiply_by_inputs", true, "Off: the gradient alone.")}};
    registry.add(std::move(component), [](const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control) {
        control.report(0, 1, "gradients");
        AttributionResult result;
        result.attribution = function.withGradient(function.value(), 1).second;
        if (parameters.at("multiply_by_inputs").get<bool>())
            result.attribution = result.attribution * function.value();
        control.report(1, 1, "gradients");
        return result;
    });
}

}  // namespace orrery::explain
