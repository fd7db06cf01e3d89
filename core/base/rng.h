#pragma once
#include <cstdint>
#include <string_view>

namespace orrery::core {

/// A small counter-free generator (SplitMix64) for shuffles, splits and augmentation: the same sequence on every machine.
/// Source: Steele, Lea & Flood (2014), "Fast Splittable Pseudorandom Number Generators", section 5 (the SplitMix64 finaliser).
class SplitMix64 {
public:
    explicit SplitMix64(std::uint64_t seed) : m_state(seed) {}
    std::uint64_t next();
    /// Uniform in [0, bound), without modulo bias. bound must be positive.
    std::uint64_t below(std::uint64_t bound);
    /// Uniform in [0, 1), 53 bits.
    double uniform();

private:
    std::uint64_t m_state;
};

/// The seed of one random event: a run's seed, a step and the name of what draws. Jobs that share no name never share numbers.
std::uint64_t deriveSeed(std::uint64_t seed, std::uint64_t step, std::string_view name);

}  // namespace orrery::core
