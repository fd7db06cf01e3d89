#include "tiles.h"

#include <fmt/format.h>

#include <bit>

#include <core/base/error.h>
#include <core/scene/workers.h>

namespace orrery::scene {
namespace {

constexpr std::size_t kMaxPairs = std::size_t(1) << 28;
constexpr unsigned kDigitBits = 11;
constexpr std::size_t kDigits = std::size_t(1) << kDigitBits;

/// Small inputs are not worth a thread.
std::size_t partsFor(std::size_t count, int threads)
{
    return std::min(std::size_t(threads), count / 8192 + 1);
}

/// Turns counts [part][bin] into where each part writes its first entry of each bin; bins first, then parts. @return the sum.
std::size_t prefixSums(std::vector<std::size_t>& counts, std::size_t parts, std::size_t bins)
{
    std::size_t sum = 0;
    for (std::size_t bin = 0; bin < bins; ++bin)
        for (std::size_t part = 0; part < parts; ++part) {
            const std::size_t count = counts[part * bins + bin];
            counts[part * bins + bin] = sum;
            sum += count;
        }
    return sum;
}

template <class Use>
void forTiles(const Footprint& f, int tilesX, const Use& use)
{
    for (std::size_t y = f.top; y < f.bottom; ++y)
        for (std::size_t x = f.left; x < f.right; ++x)
            use(y * std::size_t(tilesX) + x);
}

void sortByDepth(const std::vector<Footprint>& footprints, int threads, std::vector<std::uint32_t>& sorted)
{
    std::vector<std::uint32_t> keys;
    sorted.clear();
    for (std::size_t i = 0; i < footprints.size(); ++i)
        if (footprints[i].tiles() > 0) {
            keys.push_back(std::bit_cast<std::uint32_t>(footprints[i].depth));  // positive floats are ordered as their bits are
            sorted.push_back(std::uint32_t(i));
        }
    radixSort(keys, sorted, threads);
}

void checkPairs(const std::vector<Footprint>& footprints, const std::vector<std::uint32_t>& sorted)
{
    std::size_t pairs = 0;
    for (const auto index : sorted)
        pairs += footprints[index].tiles();
    if (pairs > kMaxPairs)
        throw core::InputError(fmt::format(
            "splats: expected at most {} pairs of Gaussians and tiles, got {}: move the camera away or make the picture smaller", kMaxPairs, pairs));
}

}  // namespace

void radixSort(std::vector<std::uint32_t>& keys, std::vector<std::uint32_t>& values, int threads)
{
    const std::size_t count = keys.size(), parts = partsFor(count, threads);
    std::vector<std::uint32_t> otherKeys(count), otherValues(count);
    for (unsigned shift = 0; shift < 32; shift += kDigitBits) {
        std::vector<std::size_t> places(parts * kDigits, 0);
        shareOut(threads, parts, 1, [&](std::size_t part, std::size_t) {
            for (std::size_t i = partBegin(count, parts, part); i < partBegin(count, parts, part + 1); ++i)
                ++places[part * kDigits + (keys[i] >> shift) % kDigits];
        });
        prefixSums(places, parts, kDigits);
        shareOut(threads, parts, 1, [&](std::size_t part, std::size_t) {
            for (std::size_t i = partBegin(count, parts, part); i < partBegin(count, parts, part + 1); ++i) {
                const std::size_t to = places[part * kDigits + (keys[i] >> shift) % kDigits]++;
                otherKeys[to] = keys[i];
                otherValues[to] = values[i];
            }
        });
        keys.swap(otherKeys);
        values.swap(otherValues);
    }
}

void fillTiles(const std::vector<Footprint>& footprints, int tilesX, int tilesY, int threads, TileLists& out)
{
    sortByDepth(footprints, threads, out.sorted);
    checkPairs(footprints, out.sorted);
    // One more pass of the same radix sort, with the tile as its digit: stable, so that depths stay in order.
    const std::size_t count = out.sorted.size(), parts = partsFor(count, threads), tiles = std::size_t(tilesX) * std::size_t(tilesY);
    std::vector<std::size_t> places(parts * tiles, 0);
    shareOut(threads, parts, 1, [&](std::size_t part, std::size_t) {
        for (std::size_t i = partBegin(count, parts, part); i < partBegin(count, parts, part + 1); ++i)
            forTiles(footprints[out.sorted[i]], tilesX, [&](std::size_t tile) { ++places[part * tiles + tile]; });
    });
    out.entries.resize(prefixSums(places, parts, tiles));
    out.starts.assign(places.begin(), places.begin() + std::ptrdiff_t(tiles));
    out.starts.push_back(out.entries.size());
    shareOut(threads, parts, 1, [&](std::size_t part, std::size_t) {
        for (std::size_t i = partBegin(count, parts, part); i < partBegin(count, parts, part + 1); ++i)
            forTiles(footprints[out.sorted[i]], tilesX, [&](std::size_t tile) { out.entries[places[part * tiles + tile]++] = std::uint32_t(i); });
    });
}

}  // namespace orrery::scene
