#pragma once
#include "assembly.h"

namespace orrery::models::families {

/// Rotary position embedding: pairs of features of queries and keys are turned by position * frequency.
/// Source: Su et al. (2021), "RoFormer: Enhanced Transformer with Rotary Position Embedding", arXiv:2104.09864, eq. 34, in the layout of GPT-NeoX or, with `pairs`, of GPT-J.
struct RotarySettings {
    std::int64_t size = 0;            ///< features that are turned, the first of each head; even
    std::vector<double> frequencies;  ///< size/2, radians a position
    double factor = 1;                ///< on cosines and sines
    bool pairs = false;               ///< features (2i, 2i + 1) are turned together, as in eq. 34, instead of (i, i + size/2)
};

/// From `rope_theta`/`rotary_emb_base`, `partial_rotary_factor`/`rotary_pct` and `rope_scaling` (none, linear, llama3, yarn; dynamic, which changes nothing within the
/// length that the model was trained for), or the same inside `rope_parameters`.
/// @throws core::FormatError for other scalings.
RotarySettings rotarySettings(const Config& config, std::int64_t headSize, double defaultTheta, double defaultPart = 1);

struct RotaryTables {
    Var cos, sin;  ///< [position, size]
};
/// In module rotary_emb, in the dtype of `like`.
RotaryTables rotaryTables(Builder& builder, Var like, Var positions, const RotarySettings& settings);
/// x [batch, head, position, feature of head]; the value is called `name`.
Var rotated(Builder& builder, const std::string& name, Var x, const RotaryTables& tables, const RotarySettings& settings, std::int64_t headSize);

}  // namespace orrery::models::families
