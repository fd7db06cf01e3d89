#pragma once
#include "residual.h"

namespace orrery::intervene {

/// One addend of a logit.
struct Contribution {
    std::string label;  ///< "embedding", "head 1.3", "MLP 0", "final norm bias"
    std::string kind;   ///< "embed", "pos_embed", "head", "attn_bias", "attn", "mlp", "norm_bias", "head_bias"
    int block = -1, head = -1;
    double value = 0;
};

struct DirectLogitAttribution {
    std::int64_t position = 0, target = 0;
    std::optional<std::int64_t> contrast;
    double logit = 0;                 ///< the model's own: logit of `target`, less that of `contrast` if there is one
    std::vector<Contribution> parts;  ///< in the order of the model
    double sum = 0;                   ///< of the parts
    double error = 0;                 ///< sum - logit: rounding alone
    at::Tensor heads;                 ///< [block, head] float64 of the heads' parts; undefined if attention could not be split
    double normScale = 1;             ///< what the final layer norm divides by at that position; 1 without one
};

struct DirectLogitSettings {
    std::optional<std::int64_t> position;  ///< from 0; negative counts from the end; empty: the last
    std::optional<std::int64_t> target;    ///< token; empty: the model's most probable one
    std::optional<std::int64_t> contrast;  ///< the logit difference to this token is taken apart
};

/// Takes a logit apart into what each component writes into the residual stream: embedding, positions, each head (its z through its slice of the output
/// projection; the projection's bias apart) and each MLP. The final layer norm's scale is held at its value, centring is linear and belongs to each part; the
/// norm's bias and the head's bias are parts of their own. The parts add up to the logit.
/// @param tokens  [1, position].
/// @throws core::InputError for a model whose final norm is neither a layer norm nor a root-mean-square norm, or whose head is not linear, for a position or token that is not there.
/// Source: Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits" (direct path terms); nostalgebraist (2020), "interpreting GPT: the logit lens".
/// Any thread. Sums are in float64, the run in the model's own type.
DirectLogitAttribution directLogitAttribution(const LensSubject& subject, const at::Tensor& tokens, const DirectLogitSettings& settings,
                                              const Control& control = {});

}  // namespace orrery::intervene
