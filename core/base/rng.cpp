#include "rng.h"

#include "hash.h"

namespace orrery::core {

std::uint64_t SplitMix64::next()
{
    m_state += 0x9e3779b97f4a7c15u;
    std::uint64_t z = m_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

std::uint64_t SplitMix64::below(std::uint64_t bound)
{
    // Numbers under 2^64 mod bound are drawn again, so that every remainder has the same number of preimages.
    const std::uint64_t reject = (0 - bound) % bound;
    std::uint64_t value = next();
    while (value < reject)
        value = next();
    return value % bound;
}

double SplitMix64::uniform()
{
    return double(next() >> 11) * 0x1.0p-53;
}

std::uint64_t deriveSeed(std::uint64_t seed, std::uint64_t step, std::string_view name)
{
    // The step and the name are mixed separately, so that (seed + 1, step) and (seed, step + 1) do not meet.
    SplitMix64 mixed(seed ^ 0x6f72726572790000u);
    const std::uint64_t bySeed = mixed.next();
    SplitMix64 stepped(bySeed + step * 0xd1342543de82ef95u);
    return hash64(name, stepped.next());
}

}  // namespace orrery::core
