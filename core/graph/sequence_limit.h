#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/ivalue.h>

#include "graph.h"
#include "model.h"

namespace orrery::graph {

/// The longest sequence of tokens a model reads: the length of its table of positions (canonical `pos_embed`; where the card names none, a table looked up by 0, 1, ... up to the length of
/// an input); nothing if it has none.
std::optional<std::int64_t> longestSequence(const Graph& graph, const ModelCard& card);

/// @throws core::InputError if so many tokens are more than the model reads: `expected at most 64 tokens (the model's longest sequence), got 80`.
void checkSequenceLength(const Graph& graph, const ModelCard& card, std::int64_t length);

/// Rows of the table in which the tokens of an input are looked up: one more than the largest token; nothing if the graph does not show it.
std::optional<std::int64_t> vocabularySize(const Graph& graph, const ModelCard& card, std::size_t input = 0);

/// Every input that the card calls tokens, [..., position]: one at least, not more than the model reads, and each token a row of its table.
/// @param inputs  In the order of the model's inputs. @throws core::InputError as above, or `expected tokens from 0 to 11, got 77`.
void checkTokenInputs(const Model& model, const std::vector<c10::IValue>& inputs);

}  // namespace orrery::graph
