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
    registry.add(std::move(component), rectifierMethod(Rectifier::Guided, "guided_backprop"));
}

}  // namespace orrery::explain
