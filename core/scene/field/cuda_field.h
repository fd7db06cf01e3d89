#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "field.h"
#include "hash_levels.h"

/// Internal to core/scene/field: its kernels for tensors on a CUDA device. Arguments have been checked and lie on one device; contracts as in field.h.
/// Sums over samples that go into one entry of a hash table come in no fixed order; everything else repeats to the last bit.
namespace orrery::scene::cuda_field {

at::Tensor hashForward(const at::Tensor& positions, const at::Tensor& table, const std::vector<HashLevel>& levels);
/// @return  By the table.
at::Tensor hashBackward(const at::Tensor& positions, const at::Tensor& gradient, const std::vector<HashLevel>& levels, std::int64_t entries,
                        std::int64_t features);
/// True if the networks are small enough for the fused kernels; larger ones are better off with libtorch's products.
bool fits(const at::Tensor& x, const std::vector<at::Tensor>& weights);
at::Tensor mlpForward(const at::Tensor& x, const std::vector<at::Tensor>& weights);
/// @return  By x (undefined unless wanted) and by each matrix.
std::vector<at::Tensor> mlpBackward(const at::Tensor& x, const std::vector<at::Tensor>& weights, const at::Tensor& gradient, bool wantsInput);
Composited compositeForward(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const std::vector<double>& background);
struct CompositedGradient {
    at::Tensor density, colour;
};
/// @param gradients  By colour, opacity, depth, weights; undefined: zeros.
CompositedGradient compositeBackward(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const at::Tensor& weights,
                                     const std::vector<at::Tensor>& gradients, const std::vector<double>& background);
RaySamples march(const at::Tensor& rays, const at::Tensor& occupancy, const at::Tensor& jitter, bool training, std::int64_t steps, float threshold);
at::Tensor directionEncode(const at::Tensor& rays);

}  // namespace orrery::scene::cuda_field
