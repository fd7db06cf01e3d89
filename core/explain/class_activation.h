#pragma once
#include "attribution.h"

/// Class activation maps weighted by gradients: what grad_cam and guided_grad_cam share.
namespace orrery::explain {

/// Where a picture lies inside the model: the request's site if one is given, else the last value [batch, channel, height, width] with more than one pixel
/// that is still laid out as the input is (computed from it through such values only; so not an attention pattern).
/// @throws core::InputError if there is none, or the given site has not four axes.
std::string pictureLayer(const ScalarFunction& function, const char* method);

/// sum over channels of (mean over pixels of the gradient) * activation: [batch, 1, height, width] of the layer.
/// Source: Selvaraju et al. (2016), "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", arXiv:1610.02391, equations 1 and 2.
at::Tensor classActivationMap(const ScalarFunction& function, const std::string& layer, const at::Tensor& activation, bool relu);

/// How a map is brought to a picture's size.
enum class Interpolation { Bilinear, Nearest };
/// @param like  [batch, channel, height, width] whose height and width the map takes. @throws core::InputError if it has not four axes.
at::Tensor upsampled(const at::Tensor& map, const at::Tensor& like, Interpolation mode, const char* method);

}  // namespace orrery::explain
