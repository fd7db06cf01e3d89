#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

/// CPU kernels of libtorch 1.13 that cost a training step more than they must, written anew. They take the place of libtorch's own under the same operator
/// names when the library is loaded, so that everything in the process (the executor, autograd, `torch::nn`) computes with the same kernel. What a kernel
/// here does not cover (other dtypes, layouts) goes on to libtorch's. Any thread; results do not depend on the number of threads.
namespace orrery::kernels {

/// The names of the operators that have been replaced, "bmm", "gelu", ...: for `orrery-cli devices` and tests.
const std::vector<std::string>& replacedOperators();

/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) = x sigmoid(2 u), float, any contiguous shape; within 4 units in the last place.
/// Source: Hendrycks & Gimpel (2016), "Gaussian Error Linear Units", arXiv:1606.08415, section 2.
at::Tensor geluTanh(const at::Tensor& x);
/// The gradient of `geluTanh` at x times `gradient`; both of one shape.
at::Tensor geluTanhBackward(const at::Tensor& gradient, const at::Tensor& x);

/// Softmax over the last axis of a contiguous float tensor. A row of -inf gives NaN, as libtorch's does.
at::Tensor softmaxLastAxis(const at::Tensor& x);
/// (gradient - sum(gradient * y)) * y over the last axis; y is the softmax.
at::Tensor softmaxLastAxisBackward(const at::Tensor& gradient, const at::Tensor& y);

/// True where `bmm` and `baddbmm` below take these: float, three axes that fit, in each matrix one axis with stride 1.
bool takesBatchedProduct(const at::Tensor& a, const at::Tensor& b);
/// [batch, m, k] x [batch, k, n] -> [batch, m, n], one matrix product a batch member, members shared out among the threads.
/// libtorch's own does one `addmm` on tensor views after another where it has no MKL.
at::Tensor batchedProduct(const at::Tensor& a, const at::Tensor& b);
/// beta * addend + alpha * a x b; the addend broadcasts. beta = 0: the addend is not read.
at::Tensor batchedProductAdd(const at::Tensor& addend, const at::Tensor& a, const at::Tensor& b, float beta, float alpha);

}  // namespace orrery::kernels
