#pragma once
#include <map>
#include <optional>
#include <string>

#include "parts.h"

/// The transformer block that vit and gpt share, with every step of attention a value of its own.
namespace orrery::zoo {

struct TransformerSettings {
    std::int64_t features = 0, heads = 0, hidden = 0;
    bool bias = true;
    std::string gelu = "none";      ///< "none" (exact) or "tanh"
    double epsilon = 1e-5;          ///< of layer norm
    double attentionDropout = 0.0;  ///< on the attention pattern
    double hiddenDropout = 0.0;     ///< after GELU
    double residualDropout = 0.0;   ///< on what each branch adds to the residual stream
    double attentionFactor = 1.0;   ///< on the scores, beside 1/sqrt(feature of head)
    bool mlp = true;                ///< without: blocks of attention alone
    bool norm = true;               ///< layer norm before each branch
};

/// Sizes of a run's input as values, so that nothing is specialised to them.
struct TransformerSizes {
    Var batch, position;
};

/// Canonical names with the values they stand for; `writeCanonicalNames` puts them into the card after the graph is finished.
using CanonicalValues = std::map<std::string, Var>;

/// blocks.N: x + attention(layer norm(x)), then x + MLP(layer norm(x)). Without MLP there is no resid_mid: the block ends after attention.
/// Values: blocks.N.attn.q, .k, .v [batch, head, position, feature of head]; .scores [batch, head, query, key], scaled by
/// 1/sqrt(feature of head) and with the mask added; .softmax the pattern, rows sum to 1; .z the output of each head
/// [batch, head, position, feature]; blocks.N.mlp.gelu.
/// @param x     [batch, position, feature].
/// @param mask  [position, position], added to the scores; without it every position attends to every other.
/// @throws core::InputError if the heads do not divide the features.
Var transformerBlock(Builder& builder, std::int64_t number, Var x, const TransformerSizes& sizes, std::optional<Var> mask,
                     const TransformerSettings& settings, CanonicalValues& canonical);

/// A matrix of zeros with -inf above the diagonal, [positions, positions], in the dtype and on the device of `like`.
Var causalMask(Builder& builder, Var like, Var positions);

void writeCanonicalNames(graph::Model& model, const CanonicalValues& canonical);

}  // namespace orrery::zoo
