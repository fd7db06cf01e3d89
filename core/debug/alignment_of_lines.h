#pragma once
#include <string>
#include <vector>

#include "comparable_lines.h"

namespace orrery::debug {

/// Why two lines are taken to compute the same.
enum class MatchedBy {
    Name,
    Weights,   ///< maps of the same weight and bias, in one node or in pieces
    Inputs,    ///< the same operator on what belongs together
    Readers,   ///< partners read them in the same place
    Operator,  ///< operator, shape and order alone
};
const char* matchedByName(MatchedBy by);

/// Two lines of two programs that are taken to compute the same.
struct LinePair {
    int a = 0, b = 0;
    MatchedBy by = MatchedBy::Name;
};

/// Pairs of lines in the order of `a`; each line stands in one pair at most. Found in turn:
/// 1. Maps (`AffineUnit`) of one name or of the same weights, then lines of equal names. Within a pair of maps the lines of the same weight and bias in effect belong
///    together: a convolution with a batch norm folded into it and the other's batch norm, a `linear` and the sum of a product and a bias.
/// 2. Lines of equal operator and shape that read what belongs together: partners, the graph's inputs in their order, parameters of one name (of equal
///    numbers or shape, where neither graph knows the other's name).
/// 3. Values of one shape that partners of equal operator read in the same place, or that both graphs give in the same place: what one computes in one node and the other in many.
/// 4. What lies between two pairs that are in the same order in both: by operator and shape, as the longest common subsequence; of these, pairs that read values
///    which have other partners, and pairs next to no other pair, are given up.
/// Dropout and copies are looked through.
std::vector<LinePair> alignLines(const ComparableLines& a, const ComparableLines& b);

}  // namespace orrery::debug
