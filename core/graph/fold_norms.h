#pragma once
#include "graph.h"
#include "weights.h"

namespace orrery::graph {

/// A graph for inference and the weights it runs with.
struct FoldedModel {
    GraphPtr graph;
    Weights weights;  ///< the given ones (aliased) and those of the folded convolutions
    int folded = 0;   ///< batch norms that are gone
};

/// The same function in evaluation mode with every batch norm folded into the convolution before it: W' = W g / sqrt(var + eps),
/// b' = (b - mean) g / sqrt(var + eps) + beta. Folded are `aten::batch_norm` nodes of the graph's body whose input is a `conv2d` that nobody else reads; the
/// convolution's output then has the batch norm's name, and the value between them is gone. Inputs, outputs and all other values keep their names.
/// Source: Jacob et al. (2018), "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", arXiv:1712.05877, section 3.2.
FoldedModel foldNorms(const GraphPtr& graph, const Weights& weights);

}  // namespace orrery::graph
