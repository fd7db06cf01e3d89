#include "methods.h"
#include "surrogate.h"

namespace orrery::explain {

void addDeconvolution(AttributionRegistry& registry)
{
    core::Component component{"deconvolution",
                              "Deconvolution",
                              "Gradient that passes a relu where it is positive, whatever the relu's input was.",
                              "Zeiler & Fergus (2014), \"Visualizing and Understanding Convolutional Networks\", arXiv:1311.2901, section 2.1",
                              {}};
    registry.add(std::move(component), [](const ScalarFunction& function, const core::Json&, std::uint64_t, const Control& control) {
        control.report(0, 1, "gradients");
        const auto rectified = rectifiedGradient(function, function.site(), function.value(), Rectifier::Deconvolution, "deconvolution");
        AttributionResult result;
        result.attribution = rectified.gradient;
        result.details = {{"rectifiers", rectified.rectifiers}};
        control.report(1, 1, "gradients");
        return result;
    });
}

}  // namespace orrery::explain
