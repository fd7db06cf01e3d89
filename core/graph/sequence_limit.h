#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/ivalue.h>

#include "graph.h"
#include "model.h"

namespace orrery::graph {

/// The longest sequence of tokens a model reads: the length of its table of positions (canonical `pos_embed`); nothing if it has none.
std::optional<std::int64_t> longestSequence(const Graph& graph, const ModelCard& card);

/// @throws core::InputError if so many tokens are more than the model reads: `expected at most 64 tokens (the model's longest sequence), got 80`.
void checkSequenceLength(const Graph& graph, const ModelCard& card, std::int64_t length);
/// The same for every input that the card calls tokens, [..., position]. @param inputs  In the order of the model's inputs.
void checkSequenceLengths(const Model& model, const std::vector<c10::IValue>& inputs);

}  // namespace orrery::graph
