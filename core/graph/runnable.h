#pragma once
#include "graph.h"

namespace orrery::graph {

/// True for a graph that is weights and nothing else: no inputs, no nodes, no outputs.
bool isWeightsAlone(const Graph& graph);

/// @throws core::InputError for a graph of weights alone, with a sentence that says how to give an architecture.
void requireProgram(const Graph& graph);

}  // namespace orrery::graph
