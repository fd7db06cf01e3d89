#pragma once
#include <ATen/core/Tensor.h>

namespace orrery::explain {

/// Gaussian blur of images [rows, channel, height, width]; the edge is repeated outwards, so a constant image stays as it is. sigma in pixels; 0: unchanged.
/// Differentiable. Cost O(pixels * sigma).
at::Tensor gaussianBlur(const at::Tensor& images, double sigma);

/// A blur that leaves of an image only its rough colours: 20 px where the larger side has 224, as TorchRay's, in proportion elsewhere.
/// Source of the figure: Fong, Patrick & Vedaldi (2019), arXiv:1910.08485, and its reference implementation.
double strongBlur(std::int64_t height, std::int64_t width);

}  // namespace orrery::explain
