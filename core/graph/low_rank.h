#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "graph.h"
#include "weights.h"

/// Weights as products of two thin matrices. Sources: Eckart & Young (1936), "The approximation of one matrix by another of lower rank", doi:10.1007/BF02288367; convolutions as windows to
/// few channels and a matrix behind them: Zhang et al. (2016), "Accelerating Very Deep Convolutional Networks for Classification and Detection", arXiv:1505.06798, section 2.1.
namespace orrery::graph {

/// How much of a matrix is kept. With both, the smaller rank counts.
struct LowRankSettings {
    double energy = 1;      ///< the least share of the sum of its squared singular values, above 0 and at most 1
    std::int64_t rank = 0;  ///< the largest rank; 0: whatever `energy` needs
};

/// A weight that was taken apart, as a matrix.
struct LowRankWeight {
    std::string name;
    std::int64_t rows = 0, columns = 0, rank = 0;
    double norm = 0;     ///< root of the sum of all squared singular values
    double dropped = 0;  ///< of those that are left out: the Frobenius norm of what is missing; no matrix of this rank is nearer
};

struct LowRankModel {
    GraphPtr graph;
    Weights weights;
    std::vector<LowRankWeight> factors;  ///< in the order of the parameters; those that are not here are as they were
};

/// x W^T + b becomes (x V^T) U^T + b, with W ~ U V its truncated singular value decomposition, found in float64; a convolution [out, in, ...] one with the same windows to `rank` channels and one of
/// single places behind it. The factors are parameters `NAME_in` and `NAME_out`. Weights stay that would need as many multiplications (rank (rows + columns) >= rows columns), that other
/// operators read as well, that have a second name, and those of grouped convolutions.
/// @param progress  Called with the weights done and all of them.
/// @throws core::InputError for settings out of range and a weight that holds NaN or infinity, core::Cancelled. Any thread.
LowRankModel lowRank(const GraphPtr& graph, const Weights& weights, const LowRankSettings& settings, std::stop_token stop = {},
                     const std::function<void(double done, double total)>& progress = {});

}  // namespace orrery::graph
