#include "methods.h"

namespace orrery::explain {

void addInputXGradient(AttributionRegistry& registry)
{
    core::Component component{"input_x_gradient",
                              "Input x gradient",
                              "Gradient multiplied by the input: the first-order share of each feature.",
                              "Shrikumar, Greenside, Shcherbina & Kundaje (2016), \"Not Just a Black Box\", arXiv:1605.01713, section 2.3",
                              {}};
    registry.add(std::move(component), [](const ScalarFunction& function, const core::Json&, std::uint64_t, const Control& control) {
        control.report(0, 1, "gradients");
        AttributionResult result;
        result.attribution = function.withGradient(function.value(), 1).second * function.value();
        control.report(1, 1, "gradients");
        return result;
    });
}

}  // namespace orrery::explain
