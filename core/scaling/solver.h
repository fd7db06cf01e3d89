#pragma once
#include <span>
#include <vector>

#include "fit.h"

/// Internal to core/scaling: one descent from one start.
namespace orrery::scaling {

/// What is minimised: the sum over rows of weight * rho(residual).
struct Problem {
    const Law& law;
    const Rows& rows;
    std::span<const double> loss;     ///< [row]
    std::span<const double> logLoss;  ///< [row]
    std::span<const double> weights;  ///< [row]; empty: 1 each
    Objective objective;
};

struct SolverOptions {
    int maxIterations = 100;
    double tolerance = 1e-9;    ///< ends where no step promises to lower the objective by a larger share
    double finestDelta = 1e-3;  ///< objective "absolute": down to this share of the typical residual its kink is rounded off
};

struct Optimum {
    std::vector<double> coordinates;
    double objective = INFINITY;  ///< infinite if the start has none
    double gradient = INFINITY;   ///< largest entry, in coordinates
    bool converged = false;
};

/// A damped Gauss-Newton descent. Huber's function bends only near 0: far from the optimum rows beyond it count with the weights of iterated least squares, which lead there
/// from afar; near it with none, as in Newton's method; and delta falls to its own value from that of the residuals. |r| is approached by Huber functions of falling delta.
/// Source: Nocedal & Wright (2006), "Numerical Optimization", 2nd ed., section 10.3 (Levenberg-Marquardt), doi:10.1007/978-0-387-40065-5; the damping rule of Nielsen (1999),
/// "Damping parameter in Marquardt's method", IMM-REP-1999-05, Technical University of Denmark.
class Solver {
public:
    explicit Solver(Problem problem);
    Optimum solve(std::span<const double> start, const SolverOptions& options);

private:
    /// Residuals at a place; false if one is not finite.
    bool residualsAt(const std::vector<double>& coordinates, bool withGradient);
    double weight(std::size_t row) const { return m_problem.weights.empty() ? 1 : m_problem.weights[row]; }
    double smoothed(double delta) const;
    double objectiveValue() const;
    double typicalResidual() const;
    bool descend(std::vector<double>& coordinates, double delta, const SolverOptions& options);
    void approach(std::vector<double>& coordinates, double delta);
    void accumulate(double delta, bool newton);
    double exactGradient(double delta) const;

    Problem m_problem;
    std::size_t m_count;
    std::vector<double> m_values, m_residuals, m_slopes;
    std::vector<double> m_matrix, m_gradient, m_scale;
};

}  // namespace orrery::scaling
