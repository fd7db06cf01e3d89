#pragma once
#include <cstdint>
#include <span>

#include "graph.h"

namespace orrery::graph {

/// Floating-point operations of one node, from the shapes of its inputs and outputs; multiply-add counts as 2. Matrix products, convolutions, attention and LSTM layers
/// are counted by their formula, pools by their windows, reductions by what they read, normalisations and softmax by 5 an element, other arithmetic by 1 an output element, views and list work by 0.
std::int64_t flopsOf(const Node& node, std::span<const c10::IValue> inputs, std::span<const c10::IValue> outputs);

}  // namespace orrery::graph
