#pragma once
#include <cstdint>

#include <core/scene/field/hash_levels.h>
#include <core/scene/splat/projection_backward_math.h>

/// What core asks of the library of CUDA kernels, which is loaded at run time (see kernels.h). Both sides are built from the same sources; the version is a guard
/// against an old file. Pointers are to the device's memory unless a comment says otherwise; work is queued on the default stream, in order with libtorch's.
namespace orrery::cuda {

inline constexpr int kApiVersion = 1;
inline constexpr int kMaxHashLevels = 64, kMaxLayers = 8;

struct HashGrid {
    int levels = 0, features = 0;  ///< features: 1, 2, 4 or 8
    scene::HashLevel level[kMaxHashLevels];
};

/// Layers without biases, ReLU between them; weights [out, in], row-major.
struct Mlp {
    int layers = 0;
    int sizes[kMaxLayers + 1] = {};
    const float* weights[kMaxLayers] = {};
};

struct RayRows {
    const float *density, *colour, *distances, *lengths;
    const std::int64_t* starts;
    std::int64_t rays;
    float background[3];
};

struct CompositeOut {
    float *colour, *opacity, *depth, *weights;
};

/// Gradients by what compositing gives (null: zeros), and where those by density and colour go.
struct CompositeGradients {
    const float *weights, *byColour, *byOpacity, *byDepth, *byWeights;
    float *density, *colour;
};

struct MarchRows {
    const float *rays, *occupancy, *jitter;  ///< jitter null: 0.5
    std::int64_t count, cells, steps;
    float threshold;
};

struct MarchOut {
    float *positions, *distances, *lengths;
    std::int64_t* rays;
};

/// A picture's tiles and their entries, front to back.
struct TilePairs {
    const scene::Footprint* footprints;
    const std::int32_t* owners;  ///< [pair]: the Gaussian
    const std::int64_t* starts;  ///< [tile + 1]
    int width, height, tilesX, tilesY;
    float background[3];
};

/// [row, column] each; rgb with three channels.
struct PictureOut {
    float *rgb, *alpha, *depth, *transmittance, *weightedDepth;
    std::int32_t* last;
};

struct PictureGradients {
    const float *rgb, *alpha, *depth;  ///< null: zeros
    const std::int64_t* order;         ///< [sorted pair]: its place before sorting, where its gradient goes
    scene::FootprintGradient* pairs;   ///< [pair], zeros before
};

/// Each function returns null, or what CUDA said. `device` is CUDA's index of the device.
struct Api {
    int version;
    const char* (*hashForward)(int device, const HashGrid& grid, const float* positions, std::int64_t count, const float* table, float* out);
    /// Adds to `table`, in no fixed order.
    const char* (*hashBackward)(int device, const HashGrid& grid, const float* positions, std::int64_t count, const float* gradient, float* table);
    /// Blocks that `mlpBackward` uses for this many rows; 0 if the networks do not fit into the device's shared memory.
    int (*mlpBlocks)(int device, const Mlp& mlp, std::int64_t rows);
    const char* (*mlpForward)(int device, const Mlp& mlp, const float* x, std::int64_t rows, float* out);
    /// @param dx  May be null. @param partial  [blocks, weights of all layers one after another], zeros before; their sum is the gradient.
    const char* (*mlpBackward)(int device, const Mlp& mlp, const float* x, const float* gradient, std::int64_t rows, float* dx, float* partial,
                               int blocks);
    const char* (*compositeForward)(int device, const RayRows& rows, const CompositeOut& out);
    const char* (*compositeBackward)(int device, const RayRows& rows, const CompositeGradients& gradients);
    const char* (*marchCount)(int device, const MarchRows& rows, std::int64_t* counts);
    /// @param starts  [ray + 1]
    const char* (*marchWrite)(int device, const MarchRows& rows, const std::int64_t* starts, const MarchOut& out);
    const char* (*directionEncode)(int device, const float* rays, std::int64_t count, float* out);
    /// @param counts  [gaussian]: tiles of each
    const char* (*project)(int device, const scene::Projection& projection, const scene::SplatsView& splats, scene::Footprint* out,
                           std::int64_t* counts);
    /// @param ends  [gaussian]: running sums of the counts. @param keys  [pair]: tile * 2^32 + bits of the depth. @param owners  [pair]
    const char* (*expand)(int device, const scene::Footprint* footprints, const std::int64_t* ends, std::int64_t count, int tilesX,
                          std::int64_t* keys, std::int32_t* owners);
    const char* (*tileStarts)(int device, const std::int64_t* sortedKeys, std::int64_t pairs, std::int64_t tiles, std::int64_t* starts);
    const char* (*blend)(int device, const TilePairs& pairs, const PictureOut& out);
    const char* (*blendBackward)(int device, const TilePairs& pairs, const PictureOut& picture, const PictureGradients& gradients);
    /// Sums each Gaussian's pairs in their order before sorting, and adds the chain to its raw values.
    const char* (*projectBackward)(int device, const scene::Projection& projection, const scene::SplatsView& splats,
                                   const scene::Footprint* footprints, const std::int64_t* ends, const scene::FootprintGradient* pairs,
                                   const scene::SplatGradientArrays& out);
};

}  // namespace orrery::cuda

/// The library's one symbol.
extern "C" const orrery::cuda::Api* orreryCudaApi();
