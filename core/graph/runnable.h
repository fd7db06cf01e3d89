#pragma once
#include "graph.h"
#include "weights.h"

namespace orrery::graph {

/// True for a graph that is weights and nothing else: no inputs, no nodes, no outputs.
bool isWeightsAlone(const Graph& graph);

/// @throws core::InputError for a graph of weights alone, with a sentence that says how to give an architecture.
void requireProgram(const Graph& graph);

/// Weights read from a file lie in a mapping of it. @throws core::StorageError if somebody has written to the file since it was opened: what was computed with them means nothing.
/// Cheap, so that it is asked after every run.
void requireAsOpened(const Weights& weights);
void requireAsOpened(const at::Tensor& tensor);

}  // namespace orrery::graph
