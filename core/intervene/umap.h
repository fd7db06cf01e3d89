#pragma once
#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include <core/base/schema.h>

#include "neighbours.h"
#include "projection.h"

namespace orrery::intervene {

/// UMAP in its own steps, each as in McInnes, Healy & Melville (2018), arXiv:1802.03426.

/// `n_neighbors` (the row itself counts as one of them), `min_dist`, `spread`, `n_components`, `n_epochs`, `metric`, `init`, `learning_rate`,
/// `negative_sample_rate`: names and defaults of the authors' umap-learn.
const core::Schema& umapSchema();

/// The curve 1 / (1 + a d^(2b)) that comes nearest (least squares over 300 distances from 0 to 3 * spread) to 1 up to min_dist and exp(-(d - min_dist) / spread)
/// beyond. min_dist 0.1 and spread 1 give a = 1.577, b = 0.895. Section 3.2.
std::pair<double, double> umapCurve(double minDist, double spread);

/// Distance to the nearest row, rho, and the width sigma, for which the sum over the neighbours of exp(-max(0, d - rho) / sigma) is log2(k). Algorithm 3.
struct SmoothDistances {
    std::vector<double> rho, sigma;  ///< one a row
};
/// @param k  Number of neighbours with the row itself: `neighbours` holds k - 1.
SmoothDistances smoothDistances(const Neighbours& neighbours, std::int64_t k);

/// One side of the fuzzy graph, both directions listed, in the order of (from, to).
struct FuzzyEdge {
    std::int32_t from = 0, to = 0;
    float weight = 0;
    bool operator==(const FuzzyEdge&) const = default;
};
/// Union of the two directions: p + q - p q. Algorithm 1.
std::vector<FuzzyEdge> fuzzyUnion(const Neighbours& neighbours, const SmoothDistances& smooth);

/// The whole method. Repeatable for a seed: one thread moves the points. `control.partial` gets [row, axis] about ten times a second.
/// @throws core::InputError if there are not more rows than n_neighbors, or fewer dimensions than the layout starts from; core::Cancelled.
Projection umap(const at::Tensor& features, const core::Json& parameters, std::uint64_t seed, const Control& control = {});

}  // namespace orrery::intervene
