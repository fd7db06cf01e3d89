#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <core/base/registry.h>

namespace orrery::train {

/// A loss over a batch, written in ATen calls so that autograd follows it.
struct Loss {
    /// Mean over all targets, a scalar. @throws core::ShapeError naming both shapes. Any thread.
    std::function<at::Tensor(const at::Tensor& output, const at::Tensor& target)> mean;
    /// What one mean averages over: the weight of a batch in the mean over a split.
    std::function<std::int64_t(const at::Tensor& output, const at::Tensor& target)> count;
    /// What a training step reports besides its loss, from the mean: {"psnr", 31.2} becomes `train/psnr`. May be empty.
    std::function<std::vector<std::pair<std::string, double>>(double mean)> report = {};
};

using LossFactory = std::function<Loss(const core::Json& settings)>;
using LossRegistry = core::Registry<LossFactory>;

void addCrossEntropy(LossRegistry& registry);
void addMse(LossRegistry& registry);
void addBinaryCrossEntropy(LossRegistry& registry);
void addMaskedBinaryCrossEntropy(LossRegistry& registry);
void addPhotometric(LossRegistry& registry);
void addL1Ssim(LossRegistry& registry);

}  // namespace orrery::train
