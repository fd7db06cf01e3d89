#include "fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "fit_parts.h"
#include "solver.h"

namespace orrery::scaling {
namespace {

constexpr double kSameOptimum = 1e-6;
constexpr std::size_t kPolished = 8;

std::vector<std::vector<double>> startCoordinates(const Law& law, const Rows& rows, std::span<const double> loss, const StartOptions& options)
{
    std::vector<std::vector<double>> starts;
    if (options.random) {
        for (int i = 0; i < options.count; ++i)
            starts.push_back(randomStart(law, rows, loss, core::deriveSeed(options.seed, std::uint64_t(i), "scaling start")));
        return starts;
    }
    for (const auto& parameters : law.grid(rows, loss))
        starts.push_back(law.coordinatesOf(parameters, rows.centre));
    return starts;
}

std::vector<Optimum> descendAll(const Problem& problem, const std::vector<std::vector<double>>& starts, jobs::Context& context)
{
    std::vector<Optimum> optima(starts.size());
    forEachOnCores(context, starts.size(), "starts", "fitting", [&](std::size_t i) { optima[i] = Solver(problem).solve(starts[i], {}); });
    return optima;
}

// Objectives below are those of residuals that are rounding: equal whatever they are.
double negligible(const Objective& objective, std::size_t rows)
{
    return objective.rho(1e-9) * double(rows);
}

bool isAsGood(double objective, double best, double floor)
{
    return objective <= best + kSameOptimum * best + floor;
}

Optimum polishBest(const Problem& problem, const std::vector<Optimum>& optima)
{
    std::vector<const Optimum*> ranked;
    for (const auto& optimum : optima)
        if (std::isfinite(optimum.objective))
            ranked.push_back(&optimum);
    const std::size_t count = std::min(ranked.size(), kPolished);
    std::partial_sort(ranked.begin(), ranked.begin() + std::ptrdiff_t(count), ranked.end(),
                      [](const Optimum* a, const Optimum* b) { return a->objective < b->objective; });
    Solver solver(problem);
    Optimum best;
    for (std::size_t i = 0; i < count; ++i) {
        auto polished = solver.solve(ranked[i]->coordinates, kFinest);
        if (polished.objective < best.objective)
            best = std::move(polished);
    }
    return best;
}

/// How far parameter k of another start lies from the best one: relative to itself or, where that is less, in what it makes of the losses. A parameter that the rows let vanish
/// (a floor of 1e-30) differs by much and means nothing.
double distanceOf(const Problem& problem, const std::vector<double>& best, std::size_t k, double other, const std::vector<double>& losses)
{
    constexpr double kNoDifference = 1e-9;
    const double relative = best[k] == other ? 0 : std::abs(other - best[k]) / std::max(std::abs(best[k]), std::numeric_limits<double>::min());
    if (relative < kNoDifference)
        return relative;
    std::vector<double> changed = best, moved(problem.rows.count);
    changed[k] = other;
    const auto coordinates = problem.law.coordinatesOf(changed, problem.rows.centre);
    problem.law.evaluate(problem.rows, coordinates.data(), moved.data(), nullptr);
    double effect = 0;
    for (std::size_t row = 0; row < moved.size(); ++row) {
        const double change = std::abs(moved[row] - losses[row]) / std::abs(losses[row]);
        effect = std::isfinite(change) ? std::max(effect, change) : std::numeric_limits<double>::infinity();
    }
    return std::min(relative, effect);
}

Certificate certificateOf(const Problem& problem, const std::vector<Optimum>& optima, const Optimum& best)
{
    Certificate certificate;
    certificate.starts = optima.size();
    certificate.gradient = best.gradient;
    const double floor = negligible(problem.objective, problem.rows.count);
    const auto parameters = problem.law.parametersOf(best.coordinates, problem.rows.centre);
    std::vector<double> objectives, losses(problem.rows.count);
    problem.law.evaluate(problem.rows, best.coordinates.data(), losses.data(), nullptr);
    for (const auto& optimum : optima) {
        certificate.converged += optimum.converged;
        if (std::isfinite(optimum.objective))
            objectives.push_back(optimum.objective);
        if (!isAsGood(optimum.objective, best.objective, floor))
            continue;
        ++certificate.reachedBest;
        const auto other = problem.law.parametersOf(optimum.coordinates, problem.rows.centre);
        for (std::size_t k = 0; k < other.size(); ++k)
            certificate.spread = std::max(certificate.spread, distanceOf(problem, parameters, k, other[k], losses));
    }
    std::sort(objectives.begin(), objectives.end());
    for (const double objective : objectives) {
        if (!certificate.optima.empty() && isAsGood(objective, certificate.optima.back().objective, floor))
            ++certificate.optima.back().count;
        else if (certificate.optima.size() < 5)
            certificate.optima.push_back({objective, 1});
        else
            break;
    }
    return certificate;
}

double shareExplained(const Points& points, const Objective& objective, const std::vector<double>& residuals)
{
    double mean = 0, total = 0, left = 0;
    const auto scaled = [&](double loss) { return objective.space == Space::Log ? std::log(loss) : loss; };
    for (const double loss : points.loss)
        mean += scaled(loss) / double(points.rows());
    for (std::size_t i = 0; i < points.rows(); ++i) {
        total += std::pow(scaled(points.loss[i]) - mean, 2);
        left += residuals[i] * residuals[i];
    }
    return total > 0 ? 1 - left / total : std::nan("");
}

void checkRows(const Law& law, const Points& points)
{
    const auto wanted = law.parameters().size();
    if (points.rows() < wanted)
        throw core::InputError(fmt::format("{}: expected at least {} rows to fit {} parameters of {}, got {}", points.name, wanted, wanted,
                                           law.formula(), points.rows()));
    // Repetitions of one place say how loud the noise is, but nothing about a further parameter.
    std::set<std::vector<double>> places;
    for (std::size_t row = 0; row < points.rows() && places.size() < wanted; ++row) {
        std::vector<double> place;
        for (const auto& input : points.inputs)
            place.push_back(input[row]);
        places.insert(std::move(place));
    }
    if (places.size() < wanted)
        throw core::InputError(fmt::format("{}: expected rows at {} or more different places ({}) to fit {} parameters of {}, got {}", points.name,
                                           wanted, core::join(points.inputNames, ", "), wanted, law.formula(), places.size()));
}

}  // namespace

double Objective::rho(double residual) const
{
    const double size = std::abs(residual);
    switch (kind) {
    case Kind::LeastSquares: return size * size;
    case Kind::Absolute: return size;
    case Kind::Huber: break;
    }
    return size <= delta ? 0.5 * size * size : delta * (size - 0.5 * delta);
}

double Objective::residual(double predicted, double loss) const
{
    return space == Space::Log ? std::log(predicted) - std::log(loss) : predicted - loss;
}

std::string objectiveName(Objective::Kind kind)
{
    return kind == Objective::Kind::LeastSquares ? "least_squares" : kind == Objective::Kind::Absolute ? "absolute" : "huber";
}

std::vector<double> randomStart(const Law& law, const Rows& rows, std::span<const double> loss, std::uint64_t seed)
{
    core::SplitMix64 random(seed);
    std::vector<double> start;
    for (const auto& [low, high] : law.coordinateRanges(rows, loss))
        start.push_back(low + (high - low) * random.uniform());
    return start;
}

std::vector<double> logsOf(std::span<const double> values)
{
    std::vector<double> logs;
    logs.reserve(values.size());
    for (const double value : values)
        logs.push_back(std::log(value));
    return logs;
}

void completeFit(const Law& law, const Points& points, const Objective& objective, FitResult& fit)
{
    fit.predicted = law.predict(fit.parameters, points.inputs);
    fit.residuals.clear();
    for (std::size_t i = 0; i < points.rows(); ++i)
        fit.residuals.push_back(objective.residual(fit.predicted[i], points.loss[i]));
    fit.r2 = shareExplained(points, objective, fit.residuals);
}

void addErrors(const Law& law, const Points& points, HeldOut& held)
{
    const Points rows = points.subset(held.rows);
    held.predicted = law.predict(held.fit.parameters, rows.inputs);
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        held.errors.push_back(held.predicted[i] / rows.loss[i] - 1);
        held.meanError += std::abs(held.errors[i]) / double(rows.rows());
        held.largestError = std::max(held.largestError, std::abs(held.errors[i]));
    }
}

FitResult fitLaw(const Law& law, const Points& points, const Objective& objective, const StartOptions& starts, jobs::Context& context)
{
    checkRows(law, points);
    const Rows rows = makeRows(points.inputs);
    const auto logs = logsOf(points.loss);
    const Problem problem{law, rows, points.loss, logs, {}, objective};
    const auto optima = descendAll(problem, startCoordinates(law, rows, points.loss, starts), context);
    const auto best = polishBest(problem, optima);
    if (!std::isfinite(best.objective))
        throw core::InputError(fmt::format("{}: none of {} starts of {} gives finite losses at all rows: give other ranges or another law",
                                           points.name, optima.size(), law.formula()));
    FitResult fit;
    fit.parameters = law.parametersOf(best.coordinates, rows.centre);
    fit.objective = best.objective;
    fit.certificate = certificateOf(problem, optima, best);
    completeFit(law, points, objective, fit);
    return fit;
}

HeldOut fitBelow(const Law& law, const Points& points, const Objective& objective, const StartOptions& starts, const std::string& column,
                 double below, jobs::Context& context)
{
    const auto found = std::find(points.inputNames.begin(), points.inputNames.end(), column);
    if (found == points.inputNames.end())
        throw core::InputError(fmt::format("hold out: expected an input of the law ({}), got \"{}\"{}", core::join(points.inputNames, ", "), column,
                                           core::didYouMean(column, points.inputNames)));
    const auto& values = points.inputs[std::size_t(found - points.inputNames.begin())];
    HeldOut result;
    result.column = column;
    result.below = below;
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < values.size(); ++i)
        (values[i] < below ? kept : result.rows).push_back(i);
    if (kept.empty() || result.rows.empty()) {
        const auto [low, high] = std::minmax_element(values.begin(), values.end());
        throw core::InputError(fmt::format("hold out: expected rows on both sides of {} = {}, all {} lie {} ({} to {})", column,
                                           core::formatNumber(below), values.size(), kept.empty() ? "at or above" : "below", core::formatNumber(*low),
                                           core::formatNumber(*high)));
    }
    result.fit = fitLaw(law, points.subset(kept), objective, starts, context);
    addErrors(law, points, result);
    return result;
}

}  // namespace orrery::scaling
