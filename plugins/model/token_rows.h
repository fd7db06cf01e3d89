#pragma once
#include <core/graph/model.h>
#include <core/text/tokenizer.h>

namespace orrery::plugins {

/// Has a weight one row a token of the model's vocabulary? The table of an embedding that looks up the model's first input, or the matrix whose product with the
/// last state is an output of the model.
bool hasRowsOfTokens(const graph::Graph& graph, const graph::Parameter& parameter);

/// The tokenizer whose pieces name the rows of a weight; null: they have no names. Reading a large vocabulary takes a while: not for the UI thread.
text::TokenizerPtr tokensOfRows(const graph::Model& model, const graph::Parameter& parameter);

}  // namespace orrery::plugins
