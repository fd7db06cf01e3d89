#pragma once
#include "fit.h"

namespace orrery::scaling {

/// Compute of a training, C = k N D FLOPs. Source of k = 6: Kaplan et al. (2020), "Scaling Laws for Neural Language Models", arXiv:2001.08361, section 2.1.
inline constexpr double kFlopsPerParameterToken = 6;

/// The best split of a budget.
struct Plan {
    double budget = 0;  ///< FLOPs
    double N = 0, D = 0, loss = 0;
    bool closedForm = false;
};
/// N and D of the smallest loss with k N D = budget. Chinchilla: in closed form (Hoffmann et al. 2022, equation 4); others: by golden section in ln N over 1 <= N <= budget / k,
/// after a scan of 400 places.
/// @throws core::InputError unless the law's inputs are N and D and budget and k are positive, or if the best N lies on the edge of the search.
Plan planCompute(const Law& law, std::span<const double> parameters, double budget, double k = kFlopsPerParameterToken);

/// Where two laws of one input meet.
struct Crossing {
    double x = 0, loss = 0;
};
/// All crossings between low and high, ascending: sign changes on 2,000 places even in ln x, narrowed by bisection.
/// @throws core::InputError unless both take one input and 0 < low < high.
std::vector<Crossing> crossings(const Law& first, std::span<const double> firstParameters, const Law& second,
                                std::span<const double> secondParameters, double low, double high);

}  // namespace orrery::scaling
