#include "class_activation.h"
#include "methods.h"

namespace orrery::explain {
namespace {

AttributionResult gradCam(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    control.report(0, 1, "gradients");
    const auto layer = pictureLayer(function, "grad_cam");
    AttributionResult result;
    result.site = layer;
    result.value = layer == function.site() ? function.value() : function.valueOf(layer);
    result.attribution = classActivationMap(function, layer, result.value, parameters.at("relu").get<bool>());
    result.details = {{"layer", layer}, {"layer_shape", result.value.sizes().vec()}};
    if (parameters.at("upsample").get<bool>()) {
        result.site = function.origin();
        result.value = result.site == function.site() ? function.value() : function.valueOf(result.site);
        result.attribution = upsampled(result.attribution, result.value, Interpolation::Bilinear, "grad_cam (upsample)");
    }
    control.report(1, 1, "gradients");
    return result;
}

}  // namespace

void addGradCam(AttributionRegistry& registry)
{
    core::Component component{
        "grad_cam",
        "Grad-CAM",
        "Where in the picture a convolutional layer speaks for the output: its channels summed with their mean gradients as weights. One channel; at "
        "the "
        "place chosen, else at the last layer with more than one pixel.",
        "Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra (2016), \"Grad-CAM: Visual Explanations from Deep Networks via Gradient-based "
        "Localization\", "
        "arXiv:1610.02391, equations 1 and 2",
        {core::boolean("relu", false, "Only what speaks for the output, as in the paper; off keeps the sign, as Captum by default."),
         core::boolean("upsample", true, "Bilinear, to the height and width of the model's input; off: the layer's own size (layer Grad-CAM).")}};
    registry.add(std::move(component), gradCam);
}

}  // namespace orrery::explain
