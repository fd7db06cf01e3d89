#pragma once
#include "api.h"

/// Internal to core/cuda: the functions that the table of api.h names, with its contracts.
namespace orrery::cuda {

const char* hashForward(int device, const HashGrid& grid, const float* positions, std::int64_t count, const float* table, float* out);
const char* hashBackward(int device, const HashGrid& grid, const float* positions, std::int64_t count, const float* gradient, float* table);
int mlpBlocks(int device, const Mlp& mlp, std::int64_t rows);
const char* mlpForward(int device, const Mlp& mlp, const float* x, std::int64_t rows, float* out);
const char* mlpBackward(int device, const Mlp& mlp, const float* x, const float* gradient, std::int64_t rows, float* dx, float* partial, int blocks);
const char* compositeForward(int device, const RayRows& rows, const CompositeOut& out);
const char* compositeBackward(int device, const RayRows& rows, const CompositeGradients& gradients);
const char* marchCount(int device, const MarchRows& rows, std::int64_t* counts);
const char* marchWrite(int device, const MarchRows& rows, const std::int64_t* starts, const MarchOut& out);
const char* directionEncode(int device, const float* rays, std::int64_t count, float* out);
const char* project(int device, const scene::Projection& projection, const scene::SplatsView& splats, scene::Footprint* out, std::int64_t* counts);
const char* expand(int device, const scene::Footprint* footprints, const std::int64_t* ends, std::int64_t count, int tilesX, std::int64_t* keys,
                   std::int32_t* owners);
const char* tileStarts(int device, const std::int64_t* sortedKeys, std::int64_t pairs, std::int64_t tiles, std::int64_t* starts);
const char* blend(int device, const TilePairs& pairs, const PictureOut& out);
const char* blendBackward(int device, const TilePairs& pairs, const PictureOut& picture, const PictureGradients& gradients);
const char* projectBackward(int device, const scene::Projection& projection, const scene::SplatsView& splats, const scene::Footprint* footprints,
                            const std::int64_t* ends, const scene::FootprintGradient* pairs, const scene::SplatGradientArrays& out);

}  // namespace orrery::cuda
