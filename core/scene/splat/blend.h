#pragma once
#include <cstddef>
#include <cstdint>

#include "footprint.h"

/// Internal to core/scene/splat: what happens inside a tile, sixteen pixels of a row at a time.
namespace orrery::scene {

constexpr std::size_t kTilePixels = std::size_t(kTileSide) * kTileSide;

/// A tile's share of the lists; places count from the front.
struct TileWork {
    const Footprint* footprints = nullptr;
    const std::uint32_t* sorted = nullptr;   ///< places to Gaussians
    const std::uint32_t* entries = nullptr;  ///< of this tile
    std::size_t count = 0;
    int x0 = 0, y0 = 0;         ///< of the tile, pixels
    int columns = 0, rows = 0;  ///< of the tile that lie in the picture
    bool wantIds = false;
};

/// What a tile's pixels hold, row by row.
struct alignas(64) TilePixels {
    float transmittance[kTilePixels], red[kTilePixels], green[kTilePixels], blue[kTilePixels];  ///< colours without background
    float weight[kTilePixels];       ///< sum of weights: 1 - transmittance without its rounding, which small ones would suffer from
    float depth[kTilePixels];        ///< sum of weight * depth
    float best[kTilePixels];         ///< the largest weight
    std::int32_t id[kTilePixels];    ///< whose it is, -1 for none; only with wantIds
    std::int32_t last[kTilePixels];  ///< place after the last entry that contributed
};

/// Front to back. @return  Nothing; every field of `pixels` is written (best and id with wantIds alone).
void blendTile(const TileWork& work, TilePixels& pixels);

/// Gradients by the pixels. Depths are taken relative to the expected one, whose gradient by alpha is then that of the sum alone: for a pixel with a single faint
/// Gaussian, two large terms would cancel otherwise. `behind` is what stands behind the last entry: transmittance * (background . colour's gradient - alpha's).
struct alignas(64) TileGradient {
    float red[kTilePixels], green[kTilePixels], blue[kTilePixels];
    float depth[kTilePixels], expected[kTilePixels];  ///< by the weighted depth, and the expected depth, from which depths are counted
    float behind[kTilePixels];
};

/// Back to front over the entries that `pixels` (of blendTile) says contributed.
/// @param out  One for each entry; those that did not contribute are set to zeros.
void blendTileBackward(const TileWork& work, const TilePixels& pixels, const TileGradient& gradient, FootprintGradient* out);

}  // namespace orrery::scene
