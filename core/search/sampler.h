#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <core/base/registry.h>

#include "space.h"

namespace orrery::search {

/// A trial that has ended at its full length.
struct Outcome {
    std::int64_t trial = 0;
    Place place;
    std::optional<double> loss;  ///< the smaller the better; nothing: failed, or not a number
};

/// How many trials go on to which part of the full length. All but the first take the best of the rung before.
struct Rung {
    std::int64_t trials = 0;
    double part = 1;  ///< in (0, 1]
};

/// Chooses the places of a sweep's trials. The place of a trial follows from the space, the seed, its number and the outcomes of the trials it waits for alone:
/// a sweep that was killed finds the same again. Immutable; any thread.
class Sampler {
public:
    virtual ~Sampler() = default;
    /// Number of trials, given what the document asks for (nothing: as many as suit).
    virtual std::int64_t trials(std::optional<std::int64_t> asked) const { return asked.value_or(20); }
    /// The place of trial `trial` waits for the outcomes of all trials below this number.
    virtual std::int64_t waitsFor(std::int64_t trial) const
    {
        (void)trial;
        return 0;
    }
    /// @param outcomes  Of the trials below `waitsFor(trial)`, in the order of their numbers.
    virtual Place place(std::int64_t trial, std::span<const Outcome> outcomes) const = 0;
    /// One rung of all trials at full length, unless trials are stopped early.
    /// @param fullLength  Steps of a whole training.
    virtual std::vector<Rung> rungs(std::int64_t trials, std::int64_t fullLength) const
    {
        (void)fullLength;
        return {{trials, 1}};
    }
};

/// Made of the space, the resolved settings and the seed of the sweep.
/// @throws core::InputError if the space does not suit it (the message says why; the place is the sampler's).
using SamplerFactory = std::function<std::unique_ptr<Sampler>(const Space& space, const core::Json& settings, std::uint64_t seed)>;
using SamplerRegistry = core::Registry<SamplerFactory>;

/// All samplers: family "sampler". One line each in catalogue.cpp.
const SamplerRegistry& samplers();

/// What a resolved `{"id": "tpe", ...}` stands for.
std::unique_ptr<Sampler> makeSampler(const Space& space, const core::Json& document, std::uint64_t seed);

/// A uniform place for a trial, from (seed, trial, dimension) alone.
Place randomPlace(std::size_t dimensions, std::uint64_t seed, std::int64_t trial);

// One registration a sampler; each in its own file.
void addGridSampler(SamplerRegistry& registry);
void addRandomSampler(SamplerRegistry& registry);
void addSobolSampler(SamplerRegistry& registry);
void addTpeSampler(SamplerRegistry& registry);
void addSuccessiveHalving(SamplerRegistry& registry);

}  // namespace orrery::search
