#pragma once
#include "graph.h"

namespace orrery::graph {

/// The same graph with its matrix products and convolutions (linear, mm, addmm, conv1d to conv3d) computed in a narrower type: their tensors are cast
/// before, their result is cast back to float32 behind them and keeps the value's name. Everything else (norms, softmax, sums over the residual stream,
/// loss) and all weights stay float32; gradients flow through the casts, so the products of the backward pass are computed in that type, too. Products of
/// attention patterns (matmul, bmm) stay float32: they are too small to gain. bfloat16 has float32's exponent and needs no scaled loss.
/// @param dtype  bfloat16. @throws core::InputError for another type.
/// Source: Micikevicius et al. (2018), "Mixed Precision Training", arXiv:1710.03740, section 3.1; Kalamkar et al. (2019), "A Study of BFLOAT16 for Deep
/// Learning Training", arXiv:1905.12322.
GraphPtr autocast(const GraphPtr& graph, at::ScalarType dtype);

/// The same graph for the processor with the literals and weights of one floating dtype in another; the rest stays as it is.
GraphPtr withDtype(const GraphPtr& graph, at::ScalarType from, at::ScalarType to);

}  // namespace orrery::graph
