#pragma once
#include "explain_bench.h"

/// A small lenet with relu and max pooling, and its backward pass written out.
namespace orrery::test {

inline const core::Json kLenet = {{"image_size", 8},  {"maps", {3, 4}}, {"kernel", 3},         {"padding", 1},
                                  {"pooling", "max"}, {"hidden", {6}},  {"activation", "relu"}};

/// How a relu passes a gradient in the backward pass by hand.
using Relu = at::Tensor (*)(const at::Tensor& gradient, const at::Tensor& input);
inline at::Tensor guided(const at::Tensor& gradient, const at::Tensor& input)
{
    return gradient * (gradient > 0) * (input > 0);
}
inline at::Tensor deconvolved(const at::Tensor& gradient, const at::Tensor&)
{
    return gradient * (gradient > 0);
}

/// The lenet above, forward and backward, one tensor operation a line.
inline at::Tensor backwardByHand(const graph::Model& model, const at::Tensor& x, std::int64_t target, Relu relu)
{
    const auto w = [&](const char* name) { return model.weights.at(name); };
    const auto a1 = at::conv2d(x, w("conv1.weight"), w("conv1.bias"), 1, 1);
    const auto [p1, i1] = at::max_pool2d_with_indices(a1.relu(), 2);
    const auto a2 = at::conv2d(p1, w("conv2.weight"), w("conv2.bias"), 1, 1);
    const auto [p2, i2] = at::max_pool2d_with_indices(a2.relu(), 2);
    const auto a3 = at::linear(p2.flatten(1), w("fc1.weight"), w("fc1.bias"));
    auto g = w("fc2.weight")[target].expand({x.size(0), 6});
    g = at::matmul(relu(g, a3), w("fc1.weight")).reshape(p2.sizes());
    g = at::zeros({x.size(0), 4, 16}, at::kDouble).scatter_add(2, i2.flatten(2), g.flatten(2)).reshape(a2.sizes());
    g = at::conv_transpose2d(relu(g, a2), w("conv2.weight"), {}, 1, 1);
    g = at::zeros({x.size(0), 3, 64}, at::kDouble).scatter_add(2, i1.flatten(2), g.flatten(2)).reshape(a1.sizes());
    return at::conv_transpose2d(relu(g, a1), w("conv1.weight"), {}, 1, 1);
}

}  // namespace orrery::test
