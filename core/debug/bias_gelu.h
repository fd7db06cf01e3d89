#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include <core/graph/graph.h>

namespace orrery::debug {

/// gelu(x + bias) in one pass over the memory: rows are taken in blocks that stay in the cache, so x is read once and the result written once. Records its own
/// backward pass, which adds the bias again instead of keeping the sum. In graphs: `orrery::bias_gelu(x, bias, approximate)`. Any thread.
/// @param bias  One axis, as long as the last of x; the same floating dtype.
/// @param approximate  "none" or "tanh", as `aten::gelu`.
/// @throws c10::Error for shapes or dtypes that do not fit.
/// Source of the fusion: Ivanov et al. (2021), "Data Movement Is All You Need", arXiv:2007.00072, section 4.
at::Tensor biasGelu(const at::Tensor& x, const at::Tensor& bias, c10::string_view approximate);

/// A graph with fused nodes in place of pairs.
struct FusedGraph {
    graph::GraphPtr graph;
    std::vector<std::string> fused;  ///< the nodes that now do both: each has the name of the GELU
};

/// Every `add` of a parameter with one axis whose only reader is a `gelu` becomes one `orrery::bias_gelu`; the value between them is gone. A bias inside a `linear`
/// stays there: it costs no pass of its own.
FusedGraph fuseBiasGelu(const graph::GraphPtr& graph);

}  // namespace orrery::debug
