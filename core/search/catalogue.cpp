#include <fmt/format.h>

#include <core/base/rng.h>

#include "sampler.h"

namespace orrery::search {

// The one list of all samplers.
const SamplerRegistry& samplers()
{
    static const SamplerRegistry registry = [] {
        SamplerRegistry list("sampler", "Samplers of sweeps");
        addGridSampler(list);
        addRandomSampler(list);
        addSobolSampler(list);
        addTpeSampler(list);
        addSuccessiveHalving(list);
        return list;
    }();
    return registry;
}

std::unique_ptr<Sampler> makeSampler(const Space& space, const core::Json& document, std::uint64_t seed)
{
    core::Json settings = document;
    const std::string id = settings.at("id").get<std::string>();
    settings.erase("id");
    return samplers().factory(id)(space, samplers().at(id).schema.resolve(settings, "sampler"), seed);
}

Place randomPlace(std::size_t dimensions, std::uint64_t seed, std::int64_t trial)
{
    Place place;
    for (std::size_t i = 0; i < dimensions; ++i)
        place.push_back(core::SplitMix64(core::deriveSeed(seed, std::uint64_t(trial), fmt::format("sweep dimension {}", i))).uniform());
    return place;
}

}  // namespace orrery::search
