#pragma once
#include <ATen/core/ivalue.h>

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <core/graph/model.h>

namespace orrery::train {

/// A text, or two that belong together: question and passage, premise and hypothesis.
struct GivenText {
    std::string text;
    std::optional<std::string> pair = {};
};

/// Texts of any lengths as one batch, in the order of the model's inputs: token numbers with the special tokens around each text, filled up on the right with padding; `attention_mask` (1 for tokens,
/// 0 for padding) and `token_type_ids` (1 for the second text) where the model has these inputs (see models::OpenOptions::keepInputs).
/// @throws core::InputError if the model has no tokenizer, or other inputs; if texts differ in length and it has no attention_mask; if the tokenizer tells two texts apart by types and it has no
///         token_type_ids; if a text is empty or longer than the model reads.
std::vector<c10::IValue> textInputs(const graph::Model& model, std::span<const GivenText> texts);
/// One row of them; a single text also for models whose card does not say which input is tokens.
std::vector<c10::IValue> textInputs(const graph::Model& model, const GivenText& text);
/// The inputs with which a model is to be opened (models::OpenOptions::keepInputs) so that it can read these texts: for several, or for pairs, attention_mask and token_type_ids.
std::set<std::string> neededInputs(std::span<const GivenText> texts);

}  // namespace orrery::train
