#pragma once
#include <optional>
#include <string>
#include <vector>

#include "attribution.h"

namespace orrery::explain {

/// Texts of several lengths in one batch, the shorter ones filled up on the right: what fills a row up is no part of the text. Methods that leave features out
/// would take it for features, and methods that draw would draw them; so each row is explained by itself, without its padding.

/// How many tokens each row has, where the model's attention_mask [row, position] is ones followed by zeros and hides the end of at least one row.
/// Nothing: no row holds padding, or it lies elsewhere (it then stays in the batch).
std::optional<std::vector<std::int64_t>> tokensOfRows(const graph::Graph& graph, const std::vector<c10::IValue>& inputs);

/// A request for each row alone, cut to its tokens: inputs, position, and arrays among the method's parameters (`baseline`, `feature_mask`) that are as long as the batch.
/// @throws core::InputError for positions that are neither one nor one a row.
std::vector<AttributionRequest> rowsAlone(const graph::Executor& executor, const graph::Weights& weights, const AttributionRequest& request,
                                          const std::vector<std::int64_t>& tokens);

/// The rows' results as one of the whole batch; whatever stands for padding is exactly 0. `value` is that of the batch.
AttributionResult stacked(std::vector<AttributionResult> rows, const at::Tensor& value);

/// What the rows' details say as one: equal ones once, lists of one number for each row as one list, others as a list of one entry a row.
core::Json mergedDetails(const std::vector<core::Json>& rows);

/// Runs `work(row)` and says of its mistakes which row they are about. @throws core::InputError
void ofRow(std::size_t row, std::int64_t tokens, const std::function<void()>& work);

/// Progress and stop of row `row` out of `count` as a part of the whole; the rows' pictures are not handed on.
Control controlOfRow(const Control& control, std::size_t row, std::size_t count);

}  // namespace orrery::explain
