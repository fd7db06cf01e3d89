#pragma once
#include <cstdint>
#include <optional>

#include <core/jobs/job.h>

#include "points.h"

namespace orrery::scaling {

enum class Space {
    Log,    ///< residual = ln(predicted) - ln(loss)
    Linear  ///< residual = predicted - loss
};

/// What is minimised: the sum over rows of rho(residual).
struct Objective {
    enum class Kind {
        LeastSquares,  ///< r^2
        Absolute,      ///< |r|
        Huber          ///< r^2 / 2 up to |r| = delta, delta (|r| - delta / 2) beyond. Huber (1964), doi:10.1214/aoms/1177703732
    };
    Kind kind = Kind::Huber;
    double delta = 1e-3;
    Space space = Space::Log;

    double rho(double residual) const;
    double residual(double predicted, double loss) const;
};
/// "least_squares", "absolute", "huber".
std::string objectiveName(Objective::Kind kind);

struct StartOptions {
    bool random = false;  ///< else the law's grid
    int count = 256;      ///< of random starts
    std::uint64_t seed = 0;
};

/// How far the best fit can be trusted to be the best there is.
struct Certificate {
    std::size_t starts = 0;
    std::size_t converged = 0;    ///< starts that ended where the gradient vanishes
    std::size_t reachedBest = 0;  ///< starts that ended with the best objective, to a relative 1e-6
    double spread = 0;    ///< largest difference between parameters of those: relative to the parameter, or to the losses where it makes less of them
    double gradient = 0;  ///< largest entry of the objective's gradient at the end, in coordinates
    struct Optimum {
        double objective = 0;
        std::size_t count = 0;
    };
    std::vector<Optimum> optima;  ///< different objectives that starts ended with, best first; at most 5
    /// Whether the rows settle the parameters: starts that fit as well differ by less than a tenth.
    bool determines() const { return !(spread > 0.1); }
};

struct FitResult {
    std::vector<double> parameters;  ///< in the law's order
    double objective = 0;
    double r2 = 0;  ///< 1 - sum of squared residuals / sum of squares about the mean, in the objective's space; NaN if the loss does not vary
    std::vector<double> predicted, residuals;  ///< [row]
    Certificate certificate;
};

/// Fits a law by many starts, each followed to its optimum by a damped Gauss-Newton method with analytic gradients (solver.h). The result does not depend on the number
/// of threads. Uses `context.threads()` cores.
/// @throws core::InputError for fewer rows than parameters, or if no start leads to a finite objective; core::Cancelled.
FitResult fitLaw(const Law& law, const Points& points, const Objective& objective, const StartOptions& starts, jobs::Context& context);

/// Rows below a cut-off are fitted, the others predicted.
struct HeldOut {
    std::string column;
    double below = 0;
    FitResult fit;                           ///< to the rows below
    std::vector<std::size_t> rows;           ///< numbers of the rows that were predicted
    std::vector<double> predicted, errors;   ///< of these; error = predicted / loss - 1
    double meanError = 0, largestError = 0;  ///< of the absolute errors
};
/// @param column  An input of the law. @throws core::InputError if it is none, or if no row lies on one of the sides; as fitLaw.
HeldOut fitBelow(const Law& law, const Points& points, const Objective& objective, const StartOptions& starts, const std::string& column,
                 double below, jobs::Context& context);

struct BootstrapOptions {
    int resamples = 1000;
    double level = 0.9;  ///< of the intervals
    int restarts = 2;    ///< beside the fit itself, from which each resample starts
    std::uint64_t seed = 0;
};

struct Interval {
    double low = 0, high = 0;
};

/// Parameters of laws fitted to rows that were drawn with replacement.
struct Bootstrap {
    BootstrapOptions options;
    std::vector<std::vector<double>> parameters;  ///< [resample][parameter]
    std::size_t failed = 0;                       ///< resamples without a fit (too few different rows)
    std::vector<Interval> intervals;              ///< [parameter], by percentiles
};
/// Source: Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13 (percentile intervals). Same seed, same result, whatever the threads.
/// @throws core::InputError for fewer than two resamples or a level outside (0, 1); core::Cancelled.
Bootstrap bootstrapFit(const Law& law, const Points& points, const Objective& objective, const FitResult& fit, const BootstrapOptions& options,
                       jobs::Context& context);
/// Percentile interval of the numbers, in any order. NaN for none.
Interval percentiles(std::vector<double> values, double level);
/// The band of the law's value at inputs [input][row].
std::vector<Interval> bandOf(const Law& law, const Bootstrap& bootstrap, const std::vector<std::vector<double>>& inputs);

}  // namespace orrery::scaling
