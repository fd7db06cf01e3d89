#include "methods.h"
#include "surrogate.h"

namespace orrery::explain {

void addGuidedBackprop(AttributionRegistry& registry)
{
    core::Component component{"guided_backprop",
                              "Guided backpropagation",
                              "Gradient that passes a relu only where its input and the gradient are positive.",
                              "Springenberg, Dosovitskiy, Brox & Riedmiller (2014), \"Striving for Simplicity: The All Convolutional Net\", "
                              "arXiv:1412.6806",
                              {}};
    registry.add(std::move(component), [](const ScalarFunction& function, const core::Json&, std::uint64_t, const Control& control) {
        control.report(0, 1, "gradients");
        const auto rectified = rectifiedGradient(function, function.site(), function.value(), Rectifier::Guided, "guided_backprop");
        AttributionResult result;
        result.attribution = rectified.gradient;
        result.details = {{"rectifiers", rectified.rectifiers}};
        control.report(1, 1, "gradients");
        return result;
    });
}

}  // namespace orrery::explain
