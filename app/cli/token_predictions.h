#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include <core/base/json.h>
#include <core/graph/model.h>

namespace orrery::cli {

/// Answers of models that say something about single tokens, one entry each: {"sample", "position", "token", "classes": [{"class", "name", "probability"}]}. Masked language models: what belongs
/// at each mask of the text; token taggers: the class of each token. Nothing for other models.
/// @param tokens  [sample, position], what the model read; below 0: padding. @param output  [sample, position, class].
/// @throws core::InputError if there is no mask in the text; the message says how the model writes it.
std::optional<core::Json> tokenPredictions(const graph::Model& model, const at::Tensor& tokens, const at::Tensor& output, std::size_t top);

/// The entries as text: "position 3 [MASK]" and the classes below.
void printTokenPredictions(const core::Json& predictions);

}  // namespace orrery::cli
