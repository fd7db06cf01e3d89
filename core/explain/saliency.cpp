#include "methods.h"

namespace orrery::explain {

void addSaliency(AttributionRegistry& registry)
{
    core::Component component{"saliency",
                              "Saliency",
                              "Gradient of the explained output with respect to the input.",
                              "Simonyan, Vedaldi & Zisserman (2013), \"Deep Inside Convolutional Networks\", arXiv:1312.6034, section 3",
                              {core::boolean("abs", true, "Absolute value of the gradient, as in the paper; off keeps the sign.")}};
    registry.add(std::move(component), [](const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control) {
        control.report(0, 1, "gradients");
        AttributionResult result;
        result.attribution = function.withGradient(function.value(), 1).second;
        if (parameters.at("abs").get<bool>())
            result.attribution = result.attribution.abs();
        control.report(1, 1, "gradients");
        return result;
    });
}

}  // namespace orrery::explain
