#include "blend.h"

#include <cstring>

#include "blend_lanes.h"

#pragma GCC diagnostic ignored "-Wpsabi"

namespace orrery::scene {
namespace {

/// The entries of a batch that touch each row, in order.
struct RowLists {
    std::uint8_t entries[kTileSide][kBatch];
    int counts[kTileSide];
};

ORRERY_KERNEL void fillLists(const Batch& batch, RowLists& lists)
{
    std::memset(lists.counts, 0, sizeof lists.counts);
    for (std::size_t i = 0; i < batch.count; ++i)
        for (int row = 0; row < kTileSide; ++row) {
            lists.entries[row][lists.counts[row]] = std::uint8_t(i);  // overwritten by the next one if it does not touch
            lists.counts[row] -= batch.touches[i][row];
        }
}

/// One row of pixels over the entries of one batch. @return  True while a pixel goes on.
template <bool wantIds>
ORRERY_KERNEL bool blendRow(const Batch& batch, const std::uint8_t* entries, int count, int row, std::int32_t firstPlace, std::int32_t* going,
                            TilePixels& pixels)
{
    const std::size_t at = std::size_t(row) * kTileSide;
    Floats transmittance = load(pixels.transmittance + at), red = load(pixels.red + at), green = load(pixels.green + at),
           blue = load(pixels.blue + at), depth = load(pixels.depth + at), total = load(pixels.weight + at), best = Floats{};
    Ints last = loadInts(pixels.last + at), alive = loadInts(going + at), id = Ints{};
    if constexpr (wantIds) {
        best = load(pixels.best + at);
        id = loadInts(pixels.id + at);
    }
    const Floats x = pixelCentres(), maximum = allOf(kAlphaMaximum), threshold = allOf(kAlphaThreshold), stop = allOf(kTransmittanceStop),
                 zero = Floats{};
    for (int k = 0; k < count; ++k) {
        const std::size_t i = entries[k];
        const Footprint& f = *batch.footprints[i];
        const Floats u = x * f.across + batch.offset[i][row];
        Floats alpha = powerOfTwo(batch.level[i][row] - u * u);
        alpha = alpha > maximum ? maximum : alpha;
        const Floats weight = alpha * transmittance, next = transmittance - weight;
        const Ints counted = alive & (alpha >= threshold), hit = counted & (next > stop);
        const Floats share = hit ? weight : zero;
        alive &= hit | ~counted;
        transmittance = hit ? next : transmittance;
        last = hit ? Ints{} + (firstPlace + std::int32_t(i) + 1) : last;
        red += share * f.colour[0];
        green += share * f.colour[1];
        blue += share * f.colour[2];
        depth += share * f.depth;
        total += share;
        if constexpr (wantIds) {
            const Ints better = share > best;
            best = better ? share : best;
            id = better ? Ints{} + std::int32_t(batch.ids[i]) : id;
        }
    }
    store(pixels.transmittance + at, transmittance);
    store(pixels.red + at, red);
    store(pixels.green + at, green);
    store(pixels.blue + at, blue);
    store(pixels.depth + at, depth);
    store(pixels.weight + at, total);
    storeInts(pixels.last + at, last);
    storeInts(going + at, alive);
    if constexpr (wantIds) {
        store(pixels.best + at, best);
        storeInts(pixels.id + at, id);
    }
    return anyOf(alive);
}

ORRERY_KERNEL void clearPixels(const TileWork& work, TilePixels& pixels, std::int32_t* going)
{
    for (int row = 0; row < kTileSide; ++row)
        for (int column = 0; column < kTileSide; ++column) {
            const std::size_t at = std::size_t(row) * kTileSide + std::size_t(column);
            pixels.transmittance[at] = 1;
            pixels.red[at] = pixels.green[at] = pixels.blue[at] = pixels.depth[at] = pixels.weight[at] = pixels.best[at] = 0;
            pixels.id[at] = -1;
            pixels.last[at] = 0;
            going[at] = row < work.rows && column < work.columns ? -1 : 0;
        }
}

template <bool wantIds>
struct BlendTile {
    ORRERY_KERNEL static void run(const TileWork* work, TilePixels* pixels)
    {
        alignas(64) std::int32_t going[kTilePixels];
        clearPixels(*work, *pixels, going);
        bool rowGoes[kTileSide];
        for (int row = 0; row < kTileSide; ++row)
            rowGoes[row] = row < work->rows;
        Batch batch;
        RowLists lists;
        bool goes = true;
        for (std::size_t first = 0; first < work->count && goes; first += kBatch) {
            fillBatch(*work, first, batch);
            fillLists(batch, lists);
            goes = false;
            for (int row = 0; row < kTileSide; ++row) {
                if (rowGoes[row] && lists.counts[row] > 0)
                    rowGoes[row] = blendRow<wantIds>(batch, lists.entries[row], lists.counts[row], row, std::int32_t(first), going, *pixels);
                goes = goes || rowGoes[row];
            }
        }
    }
};

}  // namespace

void blendTile(const TileWork& work, TilePixels& pixels)
{
    if (work.wantIds)
        kernels::runOnThisMachine<BlendTile<true>>(&work, &pixels);
    else
        kernels::runOnThisMachine<BlendTile<false>>(&work, &pixels);
}

}  // namespace orrery::scene
