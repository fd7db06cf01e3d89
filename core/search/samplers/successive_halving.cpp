// Many short trials, of which the best go on.

#include <cmath>

#include "../sampler.h"

namespace orrery::search {
namespace {

class SuccessiveHalving : public Sampler {
public:
    SuccessiveHalving(std::size_t dimensions, std::int64_t eta, std::int64_t minimum, std::uint64_t seed)
        : m_dimensions(dimensions), m_eta(eta), m_minimum(minimum), m_seed(seed)
    {
    }

    Place place(std::int64_t trial, std::span<const Outcome>) const override { return randomPlace(m_dimensions, m_seed, trial); }

    std::vector<Rung> rungs(std::int64_t trials, std::int64_t fullLength) const override
    {
        std::int64_t count = 1, factor = 1;
        while (trials / (factor * m_eta) >= 1 && fullLength / (factor * m_eta) >= m_minimum) {
            factor *= m_eta;
            ++count;
        }
        std::vector<Rung> rungs;
        for (std::int64_t done = 1; count > 0; --count, done *= m_eta)
            rungs.push_back({trials / done, double(done) / double(factor)});
        return rungs;
    }

private:
    const std::size_t m_dimensions;
    const std::int64_t m_eta, m_minimum;
    const std::uint64_t m_seed;
};

}  // namespace

void addSuccessiveHalving(SamplerRegistry& registry)
{
    using namespace core;
    registry.add({"successive_halving",
                  "Successive halving",
                  "Starts all trials short, at random places, and goes on with the best part of them, each time eta times as long; the last ones "
                  "train in full.",
                  "Jamieson & Talwalkar (2016), \"Non-stochastic Best Arm Identification and Hyperparameter Optimization\", AISTATS, figure 1; with "
                  "a factor eta "
                  "as in Li et al. (2018), \"Hyperband\", JMLR 18, algorithm 1 (inner loop)",
                  {integer("eta", 3, "One of so many trials goes on, so many times as long").range(2, 100),
                   integer("min_steps", 1, "Fewest steps of the first rung").atLeast(1).withUnit("steps")},
                  {},
                  {}},
                 [](const Space& space, const Json& settings, std::uint64_t seed) {
                     return std::make_unique<SuccessiveHalving>(space.size(), settings.at("eta").get<std::int64_t>(),
                                                                settings.at("min_steps").get<std::int64_t>(), seed);
                 });
}

}  // namespace orrery::search
