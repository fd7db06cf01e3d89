#include "solver.h"

#include <Eigen/Cholesky>

#include <algorithm>
#include <cmath>

namespace orrery::scaling {
namespace {

constexpr int kMostCoordinates = 16;
using SmallMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor, kMostCoordinates, kMostCoordinates>;
using SmallVector = Eigen::Matrix<double, Eigen::Dynamic, 1, Eigen::ColMajor, kMostCoordinates, 1>;

/// The relative change of a sum over rows that is surely no rounding.
constexpr double kShown = 1e-13;

/// r^2 / 2 near 0, a line beyond; delta infinite: r^2 / 2 everywhere.
double huber(double residual, double delta)
{
    const double size = std::abs(residual);
    return size <= delta ? 0.5 * size * size : delta * (size - 0.5 * delta);
}

}  // namespace

Solver::Solver(Problem problem)
    : m_problem(problem), m_count(problem.law.parameters().size()), m_values(problem.rows.count), m_residuals(problem.rows.count),
      m_slopes(problem.rows.count * m_count), m_matrix(m_count * m_count), m_gradient(m_count), m_scale(m_count)
{
}

bool Solver::residualsAt(const std::vector<double>& coordinates, bool withGradient)
{
    m_problem.law.evaluate(m_problem.rows, coordinates.data(), m_values.data(), withGradient ? m_slopes.data() : nullptr);
    const bool log = m_problem.objective.space == Space::Log;
    for (std::size_t i = 0; i < m_values.size(); ++i) {
        const double value = m_values[i];
        if (!std::isfinite(value) || (log && !(value > 0)))
            return false;
        m_residuals[i] = log ? std::log(value) - m_problem.logLoss[i] : value - m_problem.loss[i];
        for (std::size_t k = 0; withGradient && log && k < m_count; ++k)
            m_slopes[i * m_count + k] /= value;
    }
    return true;
}

double Solver::smoothed(double delta) const
{
    double sum = 0;
    for (std::size_t i = 0; i < m_residuals.size(); ++i)
        sum += weight(i) * huber(m_residuals[i], delta);
    return sum;
}

double Solver::objectiveValue() const
{
    double sum = 0;
    for (std::size_t i = 0; i < m_residuals.size(); ++i)
        sum += weight(i) * m_problem.objective.rho(m_residuals[i]);
    return sum;
}

double Solver::typicalResidual() const
{
    std::vector<double> sizes;
    sizes.reserve(m_residuals.size());
    for (const double residual : m_residuals)
        sizes.push_back(std::abs(residual));
    const auto middle = sizes.begin() + std::ptrdiff_t(sizes.size() / 2);
    std::nth_element(sizes.begin(), middle, sizes.end());
    return *middle;
}

// The gradient, the curvature and, for the damping, the diagonal of iterated least squares.
void Solver::accumulate(double delta, bool newton)
{
    std::fill(m_matrix.begin(), m_matrix.end(), 0);
    std::fill(m_gradient.begin(), m_gradient.end(), 0);
    std::fill(m_scale.begin(), m_scale.end(), 0);
    for (std::size_t i = 0; i < m_residuals.size(); ++i) {
        const double residual = m_residuals[i], size = std::abs(residual), times = weight(i);
        const bool beyond = size > delta;
        const double pull = times * (beyond ? std::copysign(delta, residual) : residual), iterated = times * (beyond ? delta / size : 1);
        const double curvature = beyond && newton ? 0 : iterated;
        const double* slope = &m_slopes[i * m_count];
        for (std::size_t a = 0; a < m_count; ++a) {
            m_gradient[a] += pull * slope[a];
            m_scale[a] += iterated * slope[a] * slope[a];
            const double scaled = curvature * slope[a];
            for (std::size_t b = 0; b <= a; ++b)
                m_matrix[a * m_count + b] += scaled * slope[b];
        }
    }
    // What the rows do not depend on (an exponential that has gone to 0) keeps a share of the largest scale.
    const double floor = 1e-10 * *std::max_element(m_scale.begin(), m_scale.end());
    for (double& scale : m_scale)
        scale = std::max(scale, std::max(floor, 1e-300));
}

bool Solver::descend(std::vector<double>& coordinates, double delta, const SolverOptions& options)
{
    const auto count = Eigen::Index(m_count);
    std::vector<double> trial(m_count);
    double value = residualsAt(coordinates, true) ? smoothed(delta) : INFINITY;
    if (!std::isfinite(value))
        return false;
    double total = 0;
    for (std::size_t i = 0; i < m_residuals.size(); ++i)
        total += weight(i);
    const double rounding = 0.5e-30 * total;  // residuals of 1e-15: all that doubles can tell
    double damping = 1e-3, growth = 2;
    bool newton = false, fresh = true;
    for (int iteration = 0; iteration < options.maxIterations; ++iteration) {
        if (fresh)
            accumulate(delta, newton);
        const Eigen::Map<const SmallMatrix> curvature(m_matrix.data(), count, count);
        const Eigen::Map<const SmallVector> gradient(m_gradient.data(), count), scale(m_scale.data(), count);
        SmallMatrix damped = curvature;
        damped.diagonal() += damping * scale;
        const SmallVector step = -damped.selfadjointView<Eigen::Lower>().ldlt().solve(gradient);
        const double promised = -gradient.dot(step) - 0.5 * step.dot(SmallVector(curvature.selfadjointView<Eigen::Lower>() * step));
        if (value <= rounding || !(promised > options.tolerance * value))
            return true;
        for (std::size_t k = 0; k < m_count; ++k)
            trial[k] = coordinates[k] + step[Eigen::Index(k)];
        const auto kept = m_residuals;
        const double reached = residualsAt(trial, false) ? smoothed(delta) : INFINITY;
        // Near the end the objective falls by less than a double shows: the step is then taken on the gradient's word.
        const bool below = promised < kShown * value;
        const double gain = below ? double(reached <= value * (1 + kShown)) : (value - reached) / promised;
        fresh = gain > 1e-4;
        if (!fresh) {
            m_residuals = kept;
            damping *= growth;
            growth *= 2;
            if (damping > 1e12)
                return promised < 1e-6 * value;
            continue;
        }
        newton = newton || (value - reached) < 1e-2 * value;
        damping = std::max(1e-14, damping * std::max(1.0 / 3, 1 - std::pow(2 * gain - 1, 3)));
        growth = 2;
        coordinates = trial;
        value = reached;
        residualsAt(coordinates, true);
    }
    return false;
}

double Solver::exactGradient(double delta) const
{
    double largest = 0;
    for (std::size_t k = 0; k < m_count; ++k) {
        double sum = 0;
        for (std::size_t i = 0; i < m_residuals.size(); ++i)
            sum += weight(i) * std::clamp(m_residuals[i], -delta, delta) * m_slopes[i * m_count + k];
        largest = std::max(largest, std::abs(sum));
    }
    return largest;
}

// From afar nearly all rows lie beyond a small delta, and the descent is as slow as that of |r|: so coarsely first with a delta as large as the residuals.
void Solver::approach(std::vector<double>& coordinates, double delta)
{
    constexpr SolverOptions kCoarse{40, 1e-3, 1};
    if (!residualsAt(coordinates, false))
        return;
    for (double coarse = typicalResidual(); coarse > 2 * delta; coarse = std::min(typicalResidual(), coarse / 10)) {
        descend(coordinates, coarse, kCoarse);
        if (!residualsAt(coordinates, false))
            return;
    }
}

Optimum Solver::solve(std::span<const double> start, const SolverOptions& options)
{
    using Kind = Objective::Kind;
    Optimum result;
    result.coordinates.assign(start.begin(), start.end());
    const Kind kind = m_problem.objective.kind;
    double delta = kind == Kind::Huber ? m_problem.objective.delta : INFINITY, factor = kind == Kind::LeastSquares ? 2 : 1;
    if (kind == Kind::Huber)
        approach(result.coordinates, delta);
    result.converged = descend(result.coordinates, delta, options);
    if (kind == Kind::Absolute && residualsAt(result.coordinates, true)) {
        const double typical = std::max(typicalResidual(), 1e-15);
        for (double share = 1; share >= options.finestDelta * 0.5; share /= 10) {
            delta = share * typical;
            result.converged = descend(result.coordinates, delta, options);
        }
        factor = 1 / delta;
    }
    if (residualsAt(result.coordinates, true)) {
        result.objective = objectiveValue();
        result.gradient = factor * exactGradient(delta);
    }
    return result;
}

}  // namespace orrery::scaling
