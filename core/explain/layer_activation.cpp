#include "methods.h"

namespace orrery::explain {

void addLayerActivation(AttributionRegistry& registry)
{
    core::Component component{
        "layer_activation",
        "Layer activation",
        "What a layer holds: the value at the chosen place of the graph, as it is.",
        "Kokhlikyan et al. (2020), \"Captum: A unified and generic model interpretability library for PyTorch\", arXiv:2009.07896",
        {}};
    registry.add(std::move(component), [](const ScalarFunction& function, const core::Json&, std::uint64_t, const Control& control) {
        control.report(0, 1, "runs");
        AttributionResult result;
        result.attribution = function.value();
        control.report(1, 1, "runs");
        return result;
    });
}

}  // namespace orrery::explain
