#pragma once
#include "assembly.h"

/// Biases on attention scores by the distance of query and key, in buckets.
/// Source: Raffel et al. (2019), "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", arXiv:1910.10683, section 2.1; the formula is that of the released code.
namespace orrery::models::families {

struct RelativePositions {
    std::int64_t buckets;   ///< a multiple of 4: half of them exact, and half for each direction
    std::int64_t distance;  ///< from here on all share the last bucket
    std::int64_t heads;
    bool bidirectional;  ///< buckets of their own for later keys
};
/// Declares `weight` [bucket, head] in the current module and gives [1, head, query, key].
Var relativeBias(Builder& builder, Var positions, const RelativePositions& settings);

}  // namespace orrery::models::families
