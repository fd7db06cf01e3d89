#include <cstring>

#include "blend_lanes.h"

#pragma GCC diagnostic ignored "-Wpsabi"

namespace orrery::scene {
namespace {

/// The state of a tile's pixels on the way from the back to the front.
struct alignas(64) Walk {
    float transmittance[kTilePixels];  ///< in front of what has been visited
    float behind[kTilePixels];         ///< what the visited entries and the background give, times the picture's gradient
};

/// Sums over a tile's pixels for one entry, lane by lane.
struct Sums {
    Floats mass, first0, first1, second0, second1, second2, red, green, blue, depth;
};

ORRERY_KERNEL void visitRow(const Batch& batch, std::size_t i, int row, std::int32_t place, const TilePixels& pixels, const TileGradient& gradient,
                            Walk& walk, Sums& sums)
{
    const std::size_t at = std::size_t(row) * kTileSide;
    const Footprint& f = *batch.footprints[i];
    const Floats maximum = allOf(kAlphaMaximum), zero = Floats{}, one = allOf(1);
    const Floats u = pixelCentres() * f.across + batch.offset[i][row];
    const Floats full = powerOfTwo(batch.level[i][row] - u * u), alpha = full > maximum ? maximum : full;
    const Ints hit = (alpha >= allOf(kAlphaThreshold)) & (loadInts(pixels.last + at) > Ints{} + place);
    const Floats rest = 1.0f / (one - alpha);
    const Floats after = load(walk.transmittance + at), transmittance = after * rest, weight = hit ? alpha * transmittance : zero;
    const Floats red = load(gradient.red + at), green = load(gradient.green + at), blue = load(gradient.blue + at), depth = load(gradient.depth + at);
    const Floats own = red * f.colour[0] + green * f.colour[1] + blue * f.colour[2] + depth * (f.depth - load(gradient.expected + at)),
                 behind = load(walk.behind + at);
    const Floats byAlpha = transmittance * own - behind * rest;
    const Floats g = hit & (full <= maximum) ? byAlpha * alpha : zero;
    store(walk.behind + at, behind + weight * own);
    store(walk.transmittance + at, hit ? transmittance : after);
    const float v = (float(row) + 0.5f - batch.y[i]) * f.down;
    const Floats gu = g * u;
    sums.mass += g;
    sums.first0 += gu;
    sums.first1 += g * v;
    sums.second0 += gu * u;
    sums.second1 += gu * v;
    sums.second2 += g * (v * v);
    sums.red += weight * red;
    sums.green += weight * green;
    sums.blue += weight * blue;
    sums.depth += weight * depth;
}

ORRERY_KERNEL void setOut(const Sums& sums, FootprintGradient& out)
{
    constexpr float kWhite = 1.1774100225154747f;  // sqrt(2 ln 2)
    out.mass = kernels::sumOf(sums.mass);
    out.first[0] = kWhite * kernels::sumOf(sums.first0);
    out.first[1] = kWhite * kernels::sumOf(sums.first1);
    out.second[0] = kWhite * kWhite * kernels::sumOf(sums.second0);
    out.second[1] = kWhite * kWhite * kernels::sumOf(sums.second1);
    out.second[2] = kWhite * kWhite * kernels::sumOf(sums.second2);
    out.colour[0] = kernels::sumOf(sums.red);
    out.colour[1] = kernels::sumOf(sums.green);
    out.colour[2] = kernels::sumOf(sums.blue);
    out.depth = kernels::sumOf(sums.depth);
}

ORRERY_KERNEL void visitEntry(const Batch& batch, std::size_t i, std::int32_t place, const std::int32_t* rowEnds, const TilePixels& pixels,
                              const TileGradient& gradient, Walk& walk, FootprintGradient& out)
{
    Sums sums = {};
    bool touched = false;
    for (int row = 0; row < kTileSide; ++row)
        if (batch.touches[i][row] && rowEnds[row] > place) {
            visitRow(batch, i, row, place, pixels, gradient, walk, sums);
            touched = true;
        }
    if (touched)
        setOut(sums, out);
}

struct BlendTileBackward {
    ORRERY_KERNEL static void run(const TileWork* work, const TilePixels* pixels, const TileGradient* gradient, FootprintGradient* out)
    {
        Walk walk;
        std::memcpy(walk.transmittance, pixels->transmittance, sizeof walk.transmittance);
        std::memcpy(walk.behind, gradient->behind, sizeof walk.behind);
        std::int32_t rowEnds[kTileSide], end = 0;  // the last place of any pixel of the row, and of the tile
        for (std::size_t row = 0; row < std::size_t(kTileSide); ++row) {
            rowEnds[row] = 0;
            for (std::size_t k = row * kTileSide; k < (row + 1) * kTileSide; ++k)
                rowEnds[row] = pixels->last[k] > rowEnds[row] ? pixels->last[k] : rowEnds[row];
            end = rowEnds[row] > end ? rowEnds[row] : end;
        }
        for (std::size_t k = 0; k < work->count; ++k)
            out[k] = {};
        Batch batch;
        for (std::size_t batches = (std::size_t(end) + kBatch - 1) / kBatch; batches-- > 0;) {
            const std::size_t first = batches * kBatch;
            fillBatch(*work, first, batch);
            for (std::size_t i = batch.count; i-- > 0;)
                visitEntry(batch, i, std::int32_t(first + i), rowEnds, *pixels, *gradient, walk, out[first + i]);
        }
    }
};

}  // namespace

void blendTileBackward(const TileWork& work, const TilePixels& pixels, const TileGradient& gradient, FootprintGradient* out)
{
    kernels::runOnThisMachine<BlendTileBackward>(&work, &pixels, &gradient, out);
}

}  // namespace orrery::scene
