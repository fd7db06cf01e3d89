#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include <core/explain/attribution.h>
#include <core/graph/executor.h>
#include <core/graph/model.h>

/// What lenses share: a transformer's residual stream by its canonical names, its tokens, and the model's own head.
namespace orrery::intervene {

using explain::Control;

/// A model to be looked into. Both outlive the call.
struct LensSubject {
    const graph::Executor& executor;
    const graph::Model& model;
    std::vector<c10::IValue> more = {};  ///< its inputs behind the tokens, for one sequence: attention_mask, token_type_ids of a pair of texts
    /// All its inputs.
    std::vector<c10::IValue> inputsFor(const at::Tensor& tokens) const;
};

/// A place where the residual stream can be read.
struct StreamPlace {
    std::string canonical;  ///< "blocks.0.resid_pre", "blocks.3.resid_post"
    std::string value;      ///< the graph's own name
    int block = -1;         ///< block it stands behind; -1: before the first
    std::string label() const;
};

/// resid_pre of block 0, then resid_post of each block; with `middle` also resid_mid where there is one. In order.
/// @throws core::InputError for a model whose card names no transformer blocks.
std::vector<StreamPlace> residualPlaces(const graph::ModelCard& card, bool middle = false);

/// Number of rows of the token embedding; nothing where the model has no such table.
std::optional<std::int64_t> vocabularySize(const graph::Model& model);

/// Checks that tokens are [sequence, position], whole numbers of the vocabulary, at least one and no more than the model takes.
/// @return  The same as int64 on the weights' device. @throws core::ShapeError, core::InputError.
at::Tensor checkedTokens(const graph::Model& model, const at::Tensor& tokens);

/// Residual stream at the places and the model's logits [sequence, position, token] for tokens [sequence, position].
struct StreamRun {
    std::vector<at::Tensor> states;  ///< one a place, [sequence, position, feature], the model's dtype
    at::Tensor logits;
};
/// @throws core::InputError if the logits hold NaN: weights or input are broken.
StreamRun runStream(const LensSubject& subject, const at::Tensor& tokens, const std::vector<StreamPlace>& places, const Control& control);

/// The model's own final layer norm and head on a state that takes the place of the last residual stream: everything after it is run as it is.
/// @param state  [sequence, position, feature].  @return  [sequence, position, token].
at::Tensor ownHead(const LensSubject& subject, const at::Tensor& state, const Control& control);

/// Text of a token by the card's tokenizer ("a", "\n"), or its number.
std::vector<std::string> tokenNames(const graph::ModelCard& card, const at::Tensor& tokens);
std::string tokenName(const graph::ModelCard& card, std::int64_t token);
/// The number of one token given as text or number. @throws core::InputError if it is neither or is several tokens.
std::int64_t tokenNumber(const graph::ModelCard& card, const std::string& text);

}  // namespace orrery::intervene
