#include "class_activation.h"
#include "methods.h"
#include "surrogate.h"

namespace orrery::explain {
namespace {

AttributionResult guidedGradCam(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    control.report(0, 2, "gradients");
    const auto layer = pictureLayer(function, "guided_grad_cam");
    const auto activation = layer == function.site() ? function.value() : function.valueOf(layer);
    AttributionResult result;
    result.site = function.origin();
    result.value = result.site == function.site() ? function.value() : function.valueOf(result.site);
    const auto mode = parameters.at("interpolate_mode") == "nearest" ? Interpolation::Nearest : Interpolation::Bilinear;
    const auto map = upsampled(classActivationMap(function, layer, activation, true), result.value, mode, "guided_grad_cam");
    control.report(1, 2, "gradients");
    const auto guided = rectifiedGradient(function, result.site, result.value, Rectifier::Guided, "guided_grad_cam");
    result.attribution = guided.gradient * map;
    result.details = {{"layer", layer}, {"layer_shape", activation.sizes().vec()}, {"rectifiers", guided.rectifiers}};
    control.report(2, 2, "gradients");
    return result;
}

}  // namespace

void addGuidedGradCam(AttributionRegistry& registry)
{
    core::Component component{"guided_grad_cam",
                              "Guided Grad-CAM",
                              "Guided backpropagation at the input, multiplied by the Grad-CAM map: fine detail where the class is.",
                              "Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra (2016), \"Grad-CAM: Visual Explanations from Deep Networks via "
                              "Gradient-based Localization\", "
                              "arXiv:1610.02391",
                              {core::choice("interpolate_mode", {"nearest", "bilinear"}, "nearest", "How the map is brought to the input's size.")}};
    registry.add(std::move(component), guidedGradCam);
}

}  // namespace orrery::explain
