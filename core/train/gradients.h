#pragma once
#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

namespace orrery::train {

/// Euclidean norm over all gradients together (undefined ones count 0), summed in double block by block in a fixed order: the same for any number of threads.
/// NaN or infinite exactly if an element is (float32 and smaller types).
double globalNorm(std::span<const at::Tensor> gradients);

/// What gradients are to be multiplied by so that their norm is at most `maxNorm`: min(1, maxNorm / (norm + 1e-6)).
/// Source: torch.nn.utils.clip_grad_norm_; Pascanu et al. (2013), arXiv:1211.5063, algorithm 1.
double clipFactor(double norm, double maxNorm);

/// total[i] += add[i]; an undefined total takes over the tensor.
void accumulate(std::vector<at::Tensor>& total, std::vector<at::Tensor> add);

}  // namespace orrery::train
