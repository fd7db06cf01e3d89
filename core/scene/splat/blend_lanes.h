#pragma once
#include <core/kernels/vector_math.h>

#include "blend.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

/// Internal to blend.cpp and blend_backward.cpp.
namespace orrery::scene {

using kernels::Floats;
using kernels::Ints;
using kernels::load;
using kernels::store;
static_assert(kernels::kLanes == kTileSide);

constexpr std::size_t kBatch = 64;

ORRERY_KERNEL Floats allOf(float value)
{
    return Floats{} + value;
}

ORRERY_KERNEL Floats pixelCentres()
{
    return Floats{0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f, 8.5f, 9.5f, 10.5f, 11.5f, 12.5f, 13.5f, 14.5f, 15.5f};
}

ORRERY_KERNEL Ints loadInts(const std::int32_t* from)
{
    return *reinterpret_cast<const Ints*>(from);
}

ORRERY_KERNEL void storeInts(std::int32_t* to, Ints value)
{
    *reinterpret_cast<Ints*>(to) = value;
}

ORRERY_KERNEL bool anyOf(Ints mask)
{
    std::int32_t values[kTileSide];
    storeInts(values, mask);
    std::int32_t all = 0;
    for (int i = 0; i < kTileSide; ++i)
        all |= values[i];
    return all != 0;
}

/// 2^t within 4e-7 for t in [-126, 126], else as at the ends. The coefficients are the polynomial of degree 5 with the least largest relative error
/// (7.5e-8) on [-1/2, 1/2], found by Remez' algorithm.
ORRERY_KERNEL Floats powerOfTwo(Floats t)
{
    constexpr float kRounder = 12582912.0f;  // adding 1.5 * 2^23 rounds to a whole number, which is then in the low bits
    const Floats low = allOf(-126), high = allOf(126);
    t = t < low ? low : t;
    t = t > high ? high : t;
    const Floats rounded = t + kRounder;
    const Floats r = t - (rounded - kRounder);
    Floats p = r * 1.3276471979478776e-3f + 9.67554133421605e-3f;
    p = p * r + 5.550713273542586e-2f;
    p = p * r + 2.4022119723848476e-1f;
    p = p * r + 6.931469670647331e-1f;
    p = p * r + 1.0000000716546822f;
    const Ints exponent = (reinterpret_cast<Ints>(rounded) - 0x4B400000) << 23;
    return reinterpret_cast<Floats>(reinterpret_cast<Ints>(p) + exponent);
}

/// Up to kBatch entries of a tile, in the tile's coordinates: for row j, u = across * x + offset[j], and alpha = 2^(level[j] - u^2).
struct Batch {
    std::size_t count = 0;
    alignas(64) float offset[kBatch][kTileSide], level[kBatch][kTileSide];
    alignas(64) std::int32_t touches[kBatch][kTileSide];  ///< -1: the row has pixels whose alpha may reach the threshold
    const Footprint* footprints[kBatch];
    float y[kBatch];  ///< of the centre
    std::uint32_t ids[kBatch];
};

ORRERY_KERNEL void fillBatch(const TileWork& work, std::size_t first, Batch& batch)
{
    batch.count = work.count - first < kBatch ? work.count - first : kBatch;
    for (std::size_t i = 0; i < batch.count; ++i) {
        const std::uint32_t id = work.sorted[work.entries[first + i]];
        const Footprint& f = work.footprints[id];
        batch.ids[i] = id;
        batch.footprints[i] = &f;
        const float x = float(f.x - work.x0), y = float(f.y - work.y0);
        batch.y[i] = y;
        const Floats dy = pixelCentres() - y, v = dy * f.down;
        const Floats level = f.level - v * v, centre = x + f.shear * dy;
        store(batch.offset[i], centre * -f.across);
        store(batch.level[i], level);
        // The largest exponent in the row is where it comes nearest to the ellipse's middle line.
        const Floats left = 0.5f - centre, right = centre - 15.5f, zero = Floats{};
        Floats away = left > right ? left : right;
        away = (away > zero ? away : zero) * f.across;
        storeInts(batch.touches[i], level - away * away >= allOf(float(kLog2Threshold) - 1e-3f));
    }
}

}  // namespace orrery::scene

#pragma GCC diagnostic pop
