// Draws where good trials are dense and bad ones are not.

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <core/base/rng.h>

#include "../sampler.h"

namespace orrery::search {
namespace {

double normalCumulative(double z)
{
    return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

/// A mixture of Gaussians cut to [0, 1]: one around each observation, as wide as the gap to its farther neighbour, and a broad one for the prior.
class ParzenEstimator {
public:
    explicit ParzenEstimator(std::vector<double> observations)
    {
        std::sort(observations.begin(), observations.end());
        const double narrowest = 1.0 / std::min(100.0, 1.0 + double(observations.size()));
        for (std::size_t i = 0; i < observations.size(); ++i) {
            const double left = observations[i] - (i > 0 ? observations[i - 1] : 0);
            const double right = (i + 1 < observations.size() ? observations[i + 1] : 1) - observations[i];
            add(observations[i], std::clamp(std::max(left, right), narrowest, 1.0));
        }
        add(0.5, 1);
    }

    double logDensity(double x) const
    {
        double density = 0;
        for (const Kernel& kernel : m_kernels) {
            const double z = (x - kernel.mean) / kernel.width;
            density += std::exp(-z * z / 2) / (kernel.width * std::sqrt(2 * std::numbers::pi) * kernel.inside);
        }
        return std::log(density / double(m_kernels.size()));
    }

    double draw(core::SplitMix64& random) const
    {
        const Kernel& kernel = m_kernels[random.below(m_kernels.size())];
        // At least a third of the mass lies inside: the mean does, and no width exceeds 1.
        for (;;) {
            const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
            const double x = kernel.mean + kernel.width * radius * std::cos(2 * std::numbers::pi * random.uniform());
            if (x >= 0 && x <= 1)
                return x;
        }
    }

private:
    struct Kernel {
        double mean, width, inside;
    };
    void add(double mean, double width)
    {
        m_kernels.push_back({mean, width, normalCumulative((1 - mean) / width) - normalCumulative(-mean / width)});
    }
    std::vector<Kernel> m_kernels;
};

/// How often each choice occurs, one more for the prior.
class ChoiceEstimator {
public:
    ChoiceEstimator(const std::vector<double>& observations, std::size_t choices) : m_weights(choices, 1.0)
    {
        for (const double x : observations)
            m_weights[indexOf(x)] += 1;
        for (const double weight : m_weights)
            m_sum += weight;
    }
    double logDensity(double x) const { return std::log(m_weights[indexOf(x)] / m_sum); }
    double draw(core::SplitMix64& random) const
    {
        double at = random.uniform() * m_sum;
        std::size_t index = 0;
        while (index + 1 < m_weights.size() && at >= m_weights[index])
            at -= m_weights[index++];
        return (double(index) + 0.5) / double(m_weights.size());
    }

private:
    std::size_t indexOf(double x) const { return std::min(m_weights.size() - 1, std::size_t(x * double(m_weights.size()))); }
    std::vector<double> m_weights;
    double m_sum = 0;
};

struct TpeSettings {
    std::int64_t startup, candidates, batch;
    double gamma;
};

class TpeSampler : public Sampler {
public:
    TpeSampler(const Space& space, TpeSettings settings, std::uint64_t seed) : m_space(space), m_settings(settings), m_seed(seed) {}

    std::int64_t waitsFor(std::int64_t trial) const override
    {
        if (trial < m_settings.startup)
            return 0;
        return m_settings.startup + (trial - m_settings.startup) / m_settings.batch * m_settings.batch;
    }

    Place place(std::int64_t trial, std::span<const Outcome> outcomes) const override
    {
        std::vector<const Outcome*> order;
        for (const Outcome& outcome : outcomes)
            order.push_back(&outcome);
        std::stable_sort(order.begin(), order.end(), [](const Outcome* a, const Outcome* b) { return a->loss && (!b->loss || *a->loss < *b->loss); });
        const auto known =
            std::size_t(std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome& outcome) { return outcome.loss.has_value(); }));
        if (trial < m_settings.startup || known < 2)
            return randomPlace(m_space.size(), m_seed, trial);
        const std::size_t good = std::clamp<std::size_t>(std::size_t(std::ceil(m_settings.gamma * double(order.size()))), 1, known);
        Place place;
        for (std::size_t i = 0; i < m_space.size(); ++i)
            place.push_back(coordinate(i, trial, order, good));
        return place;
    }

private:
    double coordinate(std::size_t dimension, std::int64_t trial, const std::vector<const Outcome*>& order, std::size_t good) const
    {
        std::vector<double> below, above;
        for (std::size_t i = 0; i < order.size(); ++i)
            (i < good ? below : above).push_back(order[i]->place[dimension]);
        core::SplitMix64 random(core::deriveSeed(m_seed, std::uint64_t(trial), fmt::format("tpe dimension {}", dimension)));
        if (!m_space[dimension].isChoice())
            return best(ParzenEstimator(std::move(below)), ParzenEstimator(std::move(above)), random);
        const std::size_t choices = m_space[dimension].choices.size();
        return best(ChoiceEstimator(below, choices), ChoiceEstimator(above, choices), random);
    }

    /// The candidate, drawn from the good ones' density l, at which l / g is largest: that is where the expected improvement is (eq. 5 of the paper).
    template <class Estimator>
    double best(const Estimator& l, const Estimator& g, core::SplitMix64& random) const
    {
        double found = 0, largest = -INFINITY;
        for (std::int64_t i = 0; i < m_settings.candidates; ++i) {
            const double x = l.draw(random);
            if (const double ratio = l.logDensity(x) - g.logDensity(x); ratio > largest) {
                largest = ratio;
                found = x;
            }
        }
        return found;
    }

    const Space m_space;
    const TpeSettings m_settings;
    const std::uint64_t m_seed;
};

}  // namespace

void addTpeSampler(SamplerRegistry& registry)
{
    using namespace core;
    registry.add({"tpe",
                  "Tree-structured Parzen estimator",
                  "Models where the best trials so far lie and where the others do, one parameter at a time, and tries what is likely under the "
                  "first and unlikely "
                  "under the second.",
                  "Bergstra, Bardenet, Bengio & Kegl (2011), \"Algorithms for Hyper-Parameter Optimization\", NeurIPS, section 4",
                  {integer("startup", 10, "Trials drawn at random before the first model").range(2, 10'000),
                   real("gamma", 0.25, "Part of the trials that counts as good").above(0).below(1),
                   integer("candidates", 24, "Draws of which the best is taken, for each parameter").range(1, 10'000),
                   integer("batch", 2, "Trials proposed from the same outcomes: so many can run side by side").range(1, 1000)},
                  {},
                  {}},
                 [](const Space& space, const Json& settings, std::uint64_t seed) {
                     return std::make_unique<TpeSampler>(
                         space, TpeSettings{settings.at("startup"), settings.at("candidates"), settings.at("batch"), settings.at("gamma")}, seed);
                 });
}

}  // namespace orrery::search
