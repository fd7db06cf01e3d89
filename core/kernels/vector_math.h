#pragma once
#include <cstdint>
#include <cstring>

/// Internal to core/kernels: loops over floats in steps of sixteen, compiled for the baseline, AVX2 with FMA and AVX-512, chosen at run time.
/// The tail of a range goes through the same sixteen lanes in a padded copy, so what an element becomes does not depend on where a range begins or ends.
namespace orrery::kernels {

#define ORRERY_KERNEL [[gnu::always_inline]] inline

using Floats [[gnu::vector_size(64), gnu::may_alias, gnu::aligned(4)]] = float;
using Ints [[gnu::vector_size(64), gnu::may_alias, gnu::aligned(4)]] = std::int32_t;
constexpr std::int64_t kLanes = 16;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // All of these are inlined: no vector is passed by any calling convention.

ORRERY_KERNEL Floats load(const float* from)
{
    return *reinterpret_cast<const Floats*>(from);
}

ORRERY_KERNEL void store(float* to, Floats value)
{
    *reinterpret_cast<Floats*>(to) = value;
}

/// e^t within 2 units in the last place for t in [-87.3, 88.3]; 0 below, infinity above, NaN for NaN.
/// Source: Moshier, Cephes mathematical library (1992), expf: reduction by ln 2 in two parts and a polynomial of degree 7.
ORRERY_KERNEL Floats exponential(Floats t)
{
    constexpr float kLow = -87.3f, kHigh = 88.3f,
                    kRounder = 12582912.0f;  // adding 1.5 * 2^23 rounds to a whole number, which is then in the low bits
    // Comparisons with NaN are false: it stays what it is.
    const Floats low = Floats{} + kLow, high = Floats{} + kHigh;
    const Floats clamped = t < low ? low : t > high ? high : t;
    const Floats rounded = clamped * 1.44269504088896341f + kRounder;
    const Floats n = rounded - kRounder;
    const Floats r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const Ints exponent = (reinterpret_cast<Ints>(rounded) - 0x4B400000 + 127) << 23;
    const Floats value = p * reinterpret_cast<Floats>(exponent);
    const Floats zero = Floats{}, infinity = zero + __builtin_inff();
    return t < low ? zero : t > high ? infinity : value;
}

ORRERY_KERNEL float sumOf(Floats value)
{
    float sums[kLanes];
    store(sums, value);
    for (int half = kLanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            sums[i] += sums[i + half];
    return sums[0];
}

ORRERY_KERNEL float maximumOf(Floats value)
{
    float largest[kLanes];
    store(largest, value);
    for (int half = kLanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            largest[i] = largest[i] < largest[i + half] ? largest[i + half] : largest[i];
    return largest[0];
}

/// Sixteen values of which only `count` are there; the others are `rest`.
ORRERY_KERNEL Floats loadPart(const float* from, std::int64_t count, float rest)
{
    float values[kLanes];
    for (std::int64_t i = 0; i < kLanes; ++i)
        values[i] = i < count ? from[i] : rest;
    return load(values);
}

ORRERY_KERNEL void storePart(float* to, Floats value, std::int64_t count)
{
    float values[kLanes];
    store(values, value);
    std::memcpy(to, values, std::size_t(count) * sizeof(float));
}

#if defined(__x86_64__)
template <class Body, class... Arguments>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]] void runAvx512(Arguments... arguments)
{
    Body::run(arguments...);
}

template <class Body, class... Arguments>
[[gnu::target("avx2,fma")]] void runAvx2(Arguments... arguments)
{
    Body::run(arguments...);
}
#endif

enum class InstructionSet { Baseline, Avx2, Avx512 };

inline InstructionSet instructionSet()
{
#if defined(__x86_64__)
    static const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    static const bool hasAvx512 = hasAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return hasAvx512 ? InstructionSet::Avx512 : hasAvx2 ? InstructionSet::Avx2 : InstructionSet::Baseline;
#else
    return InstructionSet::Baseline;
#endif
}

/// `Body<set>` is a struct with one static function `run`, marked ORRERY_KERNEL: for loops whose shape depends on the number of registers.
template <template <InstructionSet> class Body, class... Arguments>
void runShapedOnThisMachine(Arguments... arguments)
{
#if defined(__x86_64__)
    if (instructionSet() == InstructionSet::Avx512)
        return runAvx512<Body<InstructionSet::Avx512>>(arguments...);
    if (instructionSet() == InstructionSet::Avx2)
        return runAvx2<Body<InstructionSet::Avx2>>(arguments...);
#endif
    Body<InstructionSet::Baseline>::run(arguments...);
}

/// `Body` is a struct with one static function `run`, marked ORRERY_KERNEL.
template <class Body, class... Arguments>
void runOnThisMachine(Arguments... arguments)
{
#if defined(__x86_64__)
    if (instructionSet() == InstructionSet::Avx512)
        return runAvx512<Body>(arguments...);
    if (instructionSet() == InstructionSet::Avx2)
        return runAvx2<Body>(arguments...);
#endif
    Body::run(arguments...);
}

#pragma GCC diagnostic pop

}  // namespace orrery::kernels
