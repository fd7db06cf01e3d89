#pragma once
#include <ATen/core/Tensor.h>

#include "graph.h"

namespace orrery::graph {

/// True if the graph convolves pictures and no operator in it depends on how a tensor lies in memory (view, as_strided, operators of other libraries): then
/// its inputs may be given with channels last and every value is the same to rounding.
bool allowsChannelsLast(const Graph& graph);

/// A picture batch [batch, channel, height, width] of floats on the CPU with channels last, anything else as it is: oneDNN convolves that layout without
/// reordering it before and after. The shape stays; differentiable.
at::Tensor withChannelsLast(const at::Tensor& x);

}  // namespace orrery::graph
