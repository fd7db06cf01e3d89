#pragma once
#include "plan.h"

namespace orrery::scaling {

/// Trainings of one budget, with the parabola through their losses over ln N.
struct IsoflopProfile {
    double budget = 0;
    std::vector<std::size_t> rows;  ///< numbers in the table
    double curvature = 0;           ///< second coefficient of loss over ln N: > 0 for a minimum
    double offset = 0, slope = 0;   ///< loss = offset + slope u + curvature u^2, u = ln(N / N of the middle)
    double middle = 0;              ///< geometric mean of N
    double N = 0, D = 0, loss = 0;  ///< at the minimum; NaN if there is none
    bool inside = false;            ///< the minimum lies between the smallest and the largest N of the profile
    double at(double N) const;
};

/// y = factor * C^exponent.
struct BudgetLaw {
    double factor = 0, exponent = 0;
    double at(double budget) const;
};

struct Isoflop {
    std::vector<IsoflopProfile> profiles;          ///< by rising budget
    BudgetLaw N, D;                                ///< optimal size and data over the budget
    std::size_t used = 0;                          ///< profiles with a minimum inside: the others do not enter the laws
    std::optional<Interval> exponentN, exponentD;  ///< by the bootstrap
};

struct IsoflopOptions {
    double tolerance = 0.1;  ///< budgets that differ by less than this share are one
    double k = kFlopsPerParameterToken;
    int resamples = 0;  ///< bootstrap: rows drawn with replacement within their profile
    double level = 0.9;
    std::uint64_t seed = 0;
};

/// Approach 2 of Hoffmann et al. (2022), "Training Compute-Optimal Large Language Models", arXiv:2203.15556, section 3.2: a parabola for each budget, then power laws through the minima.
/// @param points  Inputs N and C (compute), or N and D (C = k N D).
/// @throws core::InputError for a profile with fewer than three different N, and for fewer than two profiles with a minimum inside: the message names the budgets.
Isoflop fitIsoflop(const Points& points, const IsoflopOptions& options, jobs::Context& context);

}  // namespace orrery::scaling
