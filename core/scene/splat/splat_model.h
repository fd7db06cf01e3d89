#pragma once
#include <ATen/core/Tensor.h>

#include <core/graph/model.h>

#include "rasterizer.h"

/// Gaussians as models: the graph of `zoo:splats` draws a camera's picture by one operator, and its weights are the arrays of Splats:
/// means [n, 3], scales [n, 3], rotations [n, 4], opacities [n], harmonics [n, coefficient, 3].
namespace orrery::scene {

/// Pictures of rows of cameras (see camera_row.h) [batch, 18], all of one size.
struct RenderedSplats {
    at::Tensor colour;  ///< [batch, height, width, 3], background included; not cut off at 1. Differentiable in the five arrays
    at::Tensor alpha;   ///< [batch, height, width]
    at::Tensor depth;   ///< [batch, height, width]: expected depth, 0 where alpha is 0
};
/// The operator `orrery::render_splats`. Alpha and depth carry gradients, too. Threads: those of libtorch. The backward pass draws once more instead of keeping.
/// @throws core::ShapeError, core::InputError for cameras that are none.
RenderedSplats renderSplats(const at::Tensor& cameras, const at::Tensor& means, const at::Tensor& scales, const at::Tensor& rotations,
                            const at::Tensor& opacities, const at::Tensor& harmonics, const std::vector<double>& background, bool antialias);

/// True if the graph draws Gaussians.
bool isSplatModel(const graph::Model& model);
/// @throws core::ShapeError naming the array; core::InputError for weights that hold no Gaussians.
Splats splatsOf(const graph::Weights& weights);
/// The arrays as tensors of their own.
graph::Weights weightsOf(const Splats& splats);

/// The model with other Gaussians, as many as `weights` hold: the graph is made anew where their number or degree differs.
graph::Model splatModelWith(const graph::Model& model, graph::Weights weights);
/// How a model of Gaussians draws: background and anti-aliasing; the rest as by default. @throws core::InputError for another model.
SplatRenderOptions splatOptionsOf(const graph::Model& model);

}  // namespace orrery::scene
