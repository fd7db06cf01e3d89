#pragma once
#include <ATen/core/ivalue.h>

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/graph/model.h>

namespace orrery::train {

/// A text, or two that belong together: question and passage, premise and hypothesis.
struct GivenText {
    std::string text;
    std::optional<std::string> pair = {};
    bool operator==(const GivenText&) const = default;
};

/// Texts as a stored result keeps them: `text` and `pair`, lists where there are several; an empty object for none.
core::Json textDocument(std::span<const GivenText> texts);
/// The other way round; whatever else is in the document.
std::vector<GivenText> textsOfDocument(const core::Json& document);
/// What somebody typed as one of several kinds of input: "text:TEXT", or `pair:["FIRST", "SECOND"]`. Nothing: neither. @throws core::InputError for a pair that is no list of two texts.
std::optional<GivenText> typedText(std::string_view given);
/// The other way round.
std::string typedForm(const GivenText& text);

/// Texts of any lengths as one batch, in the order of the model's inputs: token numbers with the special tokens around each text, filled up on the right with padding; `attention_mask` (1 for tokens,
/// 0 for padding) and `token_type_ids` (1 for the second text) where the model has these inputs (see models::OpenOptions::keepInputs). An encoder-decoder
/// gets the beginning of its answer, so that it says the first token of it.
/// @throws core::InputError if the model has no tokenizer, or other inputs; if texts differ in length and it has no attention_mask; if it tells two texts apart by types and was opened
///         without its token_type_ids; if a text is empty or longer than the model reads.
std::vector<c10::IValue> textInputs(const graph::Model& model, std::span<const GivenText> texts);
/// One row of them; a single text also for models whose card does not say which input is tokens.
std::vector<c10::IValue> textInputs(const graph::Model& model, const GivenText& text);
/// Whether a model takes texts: its input is tokens of a tokenizer, and all its other inputs can be made of a text, too.
bool readsText(const graph::Model& model);
/// Whether two texts that belong together mean something to it: not to a model that goes on writing, nor where the tokenizer would only put them one behind the other.
bool readsPairs(const graph::Model& model);
/// Where a model answers, for each row of its token input [row, position]: one that fills masks at the first mask, others at the last token that its attention_mask does not hide.
/// Empty: the first input is no such rows of tokens.
std::vector<std::int64_t> answerPositions(const graph::Graph& graph, const graph::ModelCard& card, std::span<const c10::IValue> inputs);
/// The inputs with which a model is to be opened (models::OpenOptions::keepInputs) so that it can read these texts: for several, or for pairs, attention_mask and token_type_ids.
std::set<std::string> neededInputs(std::span<const GivenText> texts);

}  // namespace orrery::train
