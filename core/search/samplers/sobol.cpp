// Points that fill the space evenly.

#include "sobol.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/rng.h>

#include "../sampler.h"
#include "sobol_table.h"

namespace orrery::search {
namespace {

constexpr int kSobolBits = 32;
using Directions = std::array<std::uint32_t, kSobolBits>;

/// Joe & Kuo (2008), eq. (2): each direction number follows from the `degree` before it.
Directions directionsOf(std::size_t dimension)
{
    Directions v{};
    if (dimension == 0) {
        for (int i = 0; i < kSobolBits; ++i)
            v[std::size_t(i)] = 1u << (kSobolBits - 1 - i);
        return v;
    }
    const SobolDimension& row = sobolTable()[dimension - 1];
    const auto degree = std::size_t(row.degree);
    for (std::size_t i = 0; i < kSobolBits; ++i) {
        if (i < degree) {
            v[i] = row.numbers[i] << (kSobolBits - 1 - int(i));
            continue;
        }
        v[i] = v[i - degree] ^ (v[i - degree] >> degree);
        for (std::size_t k = 1; k < degree; ++k)
            v[i] ^= ((row.coefficients >> (degree - 1 - k)) & 1u) * v[i - k];
    }
    return v;
}

std::uint32_t sobolBits(std::size_t dimension, std::uint32_t index)
{
    const Directions v = directionsOf(dimension);
    const std::uint32_t gray = index ^ (index >> 1);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < kSobolBits; ++i)
        if ((gray >> i) & 1u)
            bits ^= v[i];
    return bits;
}

class SobolSampler : public Sampler {
public:
    SobolSampler(std::size_t dimensions, std::uint64_t seed, bool isShifted)
    {
        for (std::size_t i = 0; i < dimensions; ++i)
            m_shifts.push_back(isShifted ? std::uint32_t(core::SplitMix64(core::deriveSeed(seed, i, "sobol shift")).next() >> 32) : 0);
    }

    Place place(std::int64_t trial, std::span<const Outcome>) const override
    {
        Place place;
        for (std::size_t i = 0; i < m_shifts.size(); ++i)
            place.push_back(std::ldexp(double(sobolBits(i, std::uint32_t(trial)) ^ m_shifts[i]), -kSobolBits));
        return place;
    }

private:
    std::vector<std::uint32_t> m_shifts;
};

void requireDimensions(std::size_t dimensions)
{
    if (dimensions > kMostSobolDimensions)
        throw core::InputError(fmt::format("expected at most {} parameters for a Sobol sequence, got {}", kMostSobolDimensions, dimensions));
}

}  // namespace

std::vector<double> sobolPoint(std::size_t dimensions, std::uint32_t index)
{
    requireDimensions(dimensions);
    std::vector<double> point;
    for (std::size_t i = 0; i < dimensions; ++i)
        point.push_back(std::ldexp(double(sobolBits(i, index)), -kSobolBits));
    return point;
}

void addSobolSampler(SamplerRegistry& registry)
{
    using namespace core;
    registry.add(
        {"sobol",
         "Sobol sequence",
         "Fills the space evenly: every 2^k trials from the first part each range into equal pieces; best with a power of two of trials.",
         "Joe & Kuo (2008), SIAM J. Sci. Comput. 30, 2635 (direction numbers new-joe-kuo-6); digital shift: Owen (2003), \"Quasi-Monte Carlo "
         "Sampling\", section 4",
         {boolean("shift", true,
                  "Shift all points by bits drawn from the seed; false: the published points, of which the first is the lower corner")},
         {},
         {}},
        [](const Space& space, const Json& settings, std::uint64_t seed) {
            requireDimensions(space.size());
            return std::make_unique<SobolSampler>(space.size(), seed, settings.at("shift").get<bool>());
        });
}

}  // namespace orrery::search
