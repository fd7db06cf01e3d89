#include <numeric>

#include <core/base/rng.h>

#include "coalitions.h"
#include "methods.h"

namespace orrery::explain {
namespace {

constexpr std::size_t kRememberedBits = std::size_t(1) << 26;  // of coalitions; more are forgotten and evaluated again

/// Running mean and sum of squared deviations of each feature's contribution (Welford's recurrence), [sample, feature].
struct Contributions {
    at::Tensor mean, squares;
    std::int64_t samples = 0;
    Contributions(std::int64_t batch, std::int64_t count) : mean(at::zeros({batch, count}, at::kDouble)), squares(at::zeros_like(mean)) {}
    void add(const std::vector<std::size_t>& order, const std::vector<std::size_t>& path, const CoalitionValues& values);
    at::Tensor standardError() const { return (squares / (double(samples - 1) * double(samples))).sqrt(); }
};

// `path` holds the coalitions' numbers as the features of `order` join one after another, the empty one first.
void Contributions::add(const std::vector<std::size_t>& order, const std::vector<std::size_t>& path, const CoalitionValues& values)
{
    ++samples;
    auto means = mean.accessor<double, 2>(), deviations = squares.accessor<double, 2>();
    for (std::size_t k = 0; k < order.size(); ++k) {
        const auto before = values.at(path[k]), after = values.at(path[k + 1]);
        for (std::size_t sample = 0; sample < before.size(); ++sample) {
            auto& average = means[std::int64_t(sample)][std::int64_t(order[k])];
            const double gain = after[sample] - before[sample], delta = gain - average;
            average += delta / double(samples);
            deviations[std::int64_t(sample)][std::int64_t(order[k])] += delta * (gain - average);
        }
    }
}

/// One random order of the features.
struct Walk {
    std::vector<std::size_t> order, path;
    std::size_t last = 0;  // the largest number on the path: evaluated last
    Walk(std::size_t count, std::uint64_t seed, CoalitionValues& values);
};

Walk::Walk(std::size_t count, std::uint64_t seed, CoalitionValues& values) : order(count)
{
    core::SplitMix64 random(seed);
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t i = count; i > 1; --i)
        std::swap(order[i - 1], order[random.below(i)]);
    Coalition coalition(count, false);
    path.push_back(values.add(coalition));
    for (const auto feature : order) {
        coalition[feature] = true;
        path.push_back(values.add(coalition));
    }
    last = *std::max_element(path.begin(), path.end());
}

AttributionResult shapleyValueSampling(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    FeatureGame game(function, parameters, "shapley_value_sampling");
    const auto count = std::size_t(game.count());
    const auto samples = parameters.at("n_samples").get<std::int64_t>();
    CoalitionValues values(game);
    Contributions contributions(game.batch(), game.count());
    // Orders are drawn in blocks: long enough to fill batches, short enough to keep.
    const auto block = std::int64_t(std::max<std::size_t>(std::size_t(4096 + 4 * game.perBatch()) / count, 1));
    for (std::int64_t begin = 0; begin < samples; begin += block) {
        std::vector<Walk> walks;
        for (std::int64_t i = begin; i < std::min(begin + block, samples); ++i)
            walks.emplace_back(count, core::deriveSeed(seed, std::uint64_t(i), "shapley_value_sampling"), values);
        for (auto walk = walks.begin(); walk != walks.end();) {
            control.report(double(contributions.samples), double(samples), "permutations");
            if (values.pending())
                values.evaluateBatch();
            for (; walk != walks.end() && walk->last < values.evaluated(); ++walk)
                contributions.add(walk->order, walk->path, values);
            if (control.partial && contributions.samples > 0)
                control.partial(game.features().spread(contributions.mean));
        }
        if (values.size() * count > kRememberedBits)
            values.clear();
    }
    control.report(double(samples), double(samples), "permutations");
    auto result = game.completeResult(contributions.mean);
    if (samples > 1)
        result.standardError = game.features().spread(contributions.standardError());
    return result;
}

}  // namespace

void addShapleyValueSampling(AttributionRegistry& registry)
{
    registry.add(
        {"shapley_value_sampling",
         "Shapley value sampling",
         "Each feature's average contribution over random orders in which features are added: an unbiased estimate of its Shapley value.",
         "Castro, Gomez & Tejada (2009), \"Polynomial calculation of the Shapley value based on sampling\", Computers & Operations Research 36(5); "
         "defaults as in Captum",
         {core::integer("n_samples", 25, "Random orders of the features.").range(1, 10000000), baselineParameter(), featureMaskParameter(),
          perturbationsParameter()}},
        shapleyValueSampling);
}

}  // namespace orrery::explain
