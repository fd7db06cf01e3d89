#pragma once
#include <ATen/core/Tensor.h>

#include <array>

#include "rasterizer.h"

/// Internal to core/scene/splat: the rasteriser for Gaussians on a CUDA device. The formulas are those of SplatRasterizer, from the same sources but for
/// blending; gradients are summed in a fixed order and repeat to the last bit.
namespace orrery::scene::cuda_splats {

/// One picture, with what its backward pass starts from. Tensors on the Gaussians' device.
struct Picture {
    at::Tensor rgb, alpha, depth;                   ///< [height, width, 3], [height, width] twice
    at::Tensor transmittance, weightedDepth, last;  ///< [height, width]
    at::Tensor footprints;                          ///< [gaussian * bytes]
    at::Tensor ends, owners, order, starts;         ///< of the pairs of Gaussians and tiles
};

/// @param splats  Pointers to the device's memory. @param like  Any tensor of the device.
/// @throws as SplatRasterizer::render, core::InputError without CUDA kernels.
Picture render(const SplatsView& splats, const Camera& camera, const SplatRenderOptions& options, const at::Tensor& like);

/// Gradients of the picture by colour, alpha and depth (undefined: zeros) to means, scales, rotations, opacities, harmonics.
std::array<at::Tensor, 5> backward(const SplatsView& splats, const Camera& camera, const SplatRenderOptions& options, const Picture& picture,
                                   const std::array<at::Tensor, 3>& gradients);

}  // namespace orrery::scene::cuda_splats
