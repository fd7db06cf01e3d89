#pragma once
#include <ATen/core/Tensor.h>

namespace orrery::explain {

/// Ranks 1..n of a flat tensor's elements, double; equal elements share the mean of their ranks.
at::Tensor ranks(const at::Tensor& values);

/// Spearman's rank correlation of two tensors with as many elements, flattened: Pearson's of their ranks. 1 for equal rankings, constant ones too;
/// 0 where only one of the two is constant.
double rankCorrelation(const at::Tensor& a, const at::Tensor& b);

}  // namespace orrery::explain
