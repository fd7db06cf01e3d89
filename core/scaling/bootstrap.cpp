#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "fit_parts.h"

namespace orrery::scaling {
namespace {

/// How often each row is drawn.
std::vector<double> drawnWeights(std::size_t rows, std::uint64_t seed)
{
    core::SplitMix64 random(seed);
    std::vector<double> weights(rows);
    for (std::size_t i = 0; i < rows; ++i)
        weights[random.below(rows)] += 1;
    return weights;
}

/// Parameters of one resample; empty if it holds too few different rows.
std::vector<double> resample(const Law& law, const Rows& rows, const Points& points, std::span<const double> logs, const Objective& objective,
                             std::span<const double> start, const BootstrapOptions& options, std::size_t number)
{
    const auto seed = core::deriveSeed(options.seed, number, "scaling bootstrap");
    const auto weights = drawnWeights(rows.count, seed);
    if (std::size_t(std::count_if(weights.begin(), weights.end(), [](double weight) { return weight > 0; })) < law.parameters().size())
        return {};
    Solver solver({law, rows, points.loss, logs, weights, objective});
    SolverOptions settings;
    settings.maxIterations = 200;
    Optimum best = solver.solve(start, settings);
    for (int i = 0; i < options.restarts; ++i) {
        auto other = solver.solve(randomStart(law, rows, points.loss, core::deriveSeed(seed, std::uint64_t(i), "restart")), settings);
        if (other.objective < best.objective)
            best = std::move(other);
    }
    return std::isfinite(best.objective) ? law.parametersOf(best.coordinates, rows.centre) : std::vector<double>();
}

void checkBootstrap(const BootstrapOptions& options)
{
    if (options.resamples < 2)
        throw core::InputError(fmt::format("bootstrap: expected at least 2 resamples, got {}", options.resamples));
    if (!(options.level > 0 && options.level < 1))
        throw core::InputError(fmt::format("bootstrap: expected a level between 0 and 1, got {}", core::formatNumber(options.level)));
}

}  // namespace

Interval percentiles(std::vector<double> values, double level)
{
    if (values.empty())
        return {std::nan(""), std::nan("")};
    std::sort(values.begin(), values.end());
    // Between the two nearest ranks, linearly.
    const auto quantile = [&](double share) {
        const double rank = share * double(values.size() - 1);
        const auto below = std::size_t(rank), above = std::min(below + 1, values.size() - 1);
        return values[below] + (rank - double(below)) * (values[above] - values[below]);
    };
    return {quantile((1 - level) / 2), quantile((1 + level) / 2)};
}

Bootstrap bootstrapFit(const Law& law, const Points& points, const Objective& objective, const FitResult& fit, const BootstrapOptions& options,
                       jobs::Context& context)
{
    checkBootstrap(options);
    Bootstrap result;
    result.options = options;
    const Rows rows = makeRows(points.inputs);
    const auto logs = logsOf(points.loss);
    const auto start = law.coordinatesOf(fit.parameters, rows.centre);
    std::vector<std::vector<double>> all(std::size_t(options.resamples));
    forEachOnCores(context, all.size(), "resamples", "bootstrap",
                   [&](std::size_t i) { all[i] = resample(law, rows, points, logs, objective, start, options, i); });
    for (auto& parameters : all)
        if (!parameters.empty())
            result.parameters.push_back(std::move(parameters));
    result.failed = all.size() - result.parameters.size();
    for (std::size_t k = 0; k < law.parameters().size(); ++k) {
        std::vector<double> values;
        for (const auto& parameters : result.parameters)
            values.push_back(parameters[k]);
        result.intervals.push_back(percentiles(std::move(values), options.level));
    }
    return result;
}

std::vector<Interval> bandOf(const Law& law, const Bootstrap& bootstrap, const std::vector<std::vector<double>>& inputs)
{
    const std::size_t rows = inputs.empty() ? 0 : inputs.front().size();
    std::vector<std::vector<double>> values(rows);
    for (const auto& parameters : bootstrap.parameters) {
        const auto predicted = law.predict(parameters, inputs);
        for (std::size_t i = 0; i < rows; ++i)
            values[i].push_back(predicted[i]);
    }
    std::vector<Interval> band;
    for (auto& at : values)
        band.push_back(percentiles(std::move(at), bootstrap.options.level));
    return band;
}

}  // namespace orrery::scaling
