#pragma once
#include <vector>

#include "footprint.h"

/// Internal to core/scene/splat: which Gaussians each tile sees, front to back.
namespace orrery::scene {

struct TileLists {
    std::vector<std::uint32_t> sorted;   ///< visible Gaussians by depth, ties by index
    std::vector<std::uint32_t> entries;  ///< places in `sorted`, tile after tile, front to back
    std::vector<std::size_t> starts;     ///< [tile + 1]: those of tile t are entries[starts[t]] .. entries[starts[t + 1]]
};

/// Footprints that are visible, sorted by depth and shared out to tiles. The result does not depend on the number of threads.
/// @throws core::InputError if more than 2^28 entries would be needed.
void fillTiles(const std::vector<Footprint>& footprints, int tilesX, int tilesY, int threads, TileLists& out);

/// Stable sort by 32-bit keys, eleven bits a pass, each pass shared out to threads. Both arrays are permuted alike.
void radixSort(std::vector<std::uint32_t>& keys, std::vector<std::uint32_t>& values, int threads);

}  // namespace orrery::scene
