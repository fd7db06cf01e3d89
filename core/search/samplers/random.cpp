// Independent uniform draws.

#include "../sampler.h"

namespace orrery::search {
namespace {

class RandomSampler : public Sampler {
public:
    RandomSampler(std::size_t dimensions, std::uint64_t seed) : m_dimensions(dimensions), m_seed(seed) {}
    Place place(std::int64_t trial, std::span<const Outcome>) const override { return randomPlace(m_dimensions, m_seed, trial); }

private:
    const std::size_t m_dimensions;
    const std::uint64_t m_seed;
};

}  // namespace

void addRandomSampler(SamplerRegistry& registry)
{
    registry.add({"random",
                  "Random search",
                  "Draws every parameter by itself, uniformly along its (logarithmic) range or among its choices.",
                  "Bergstra & Bengio (2012), \"Random Search for Hyper-Parameter Optimization\", JMLR 13, section 2.2",
                  {},
                  {},
                  {}},
                 [](const Space& space, const core::Json&, std::uint64_t seed) { return std::make_unique<RandomSampler>(space.size(), seed); });
}

}  // namespace orrery::search
