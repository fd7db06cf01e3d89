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
    registry.add(std::move(component), rectifierMethod(Rectifier::Deconvolution, "deconvolution"));
}

}  // namespace orrery::explain
