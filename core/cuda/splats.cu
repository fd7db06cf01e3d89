// Kernels of the splat rasteriser: a thread a Gaussian for projection, a block of 16 x 16 threads a tile for blending. See core/scene/splat/rasterizer.h for the
// formulas; sums are taken in a fixed order, so that gradients repeat to the last bit.
#include <core/scene/splat/blend.h>

#include "functions.h"
#include "launch.h"

namespace orrery::cuda {
namespace {

using scene::Footprint;
using scene::FootprintGradient;

constexpr int kSide = scene::kTileSide, kPixels = kSide * kSide, kWarp = 32, kWarps = kPixels / kWarp;
constexpr int kNumbers = 10;  // of a FootprintGradient
constexpr int kBackBatch = 32;
static_assert(sizeof(FootprintGradient) == kNumbers * sizeof(float));

/// An entry in the tile's coordinates.
struct Entry {
    float x, y, across, shear, down, level, red, green, blue, depth;
};

__device__ Entry entryOf(const Footprint& f, int x0, int y0)
{
    return {float(f.x - x0), float(f.y - y0), f.across, f.shear, f.down, f.level, f.colour[0], f.colour[1], f.colour[2], f.depth};
}

/// Place of this thread's pixel in the tile, with its centre, and in the picture.
struct Pixel {
    int x0, y0, column, row;
    bool inside;
    std::int64_t at;
    float x, y;

    __device__ explicit Pixel(const TilePairs& pairs)
        : x0(int(blockIdx.x) % pairs.tilesX * kSide), y0(int(blockIdx.x) / pairs.tilesX * kSide), column(int(threadIdx.x) % kSide),
          row(int(threadIdx.x) / kSide), inside(x0 + column < pairs.width && y0 + row < pairs.height),
          at(std::int64_t(y0 + row) * pairs.width + x0 + column), x(float(column) + 0.5f), y(float(row) + 0.5f)
    {
    }
};

/// u, v and 2^(level - u^2 - v^2).
struct Fall {
    float u, v, full;
    __device__ Fall(const Entry& e, const Pixel& p)
    {
        const float dy = p.y - e.y;
        u = e.across * (p.x - e.x - e.shear * dy);
        v = e.down * dy;
        full = exp2f(e.level - u * u - v * v);
    }
};

__global__ void __launch_bounds__(kPixels) blendKernel(TilePairs pairs, PictureOut out)
{
    __shared__ Entry entries[kPixels];
    const Pixel pixel(pairs);
    const std::int64_t begin = pairs.starts[blockIdx.x], end = pairs.starts[blockIdx.x + 1];
    float transmittance = 1, red = 0, green = 0, blue = 0, depth = 0, total = 0;
    int last = 0;
    bool done = !pixel.inside;
    for (std::int64_t first = begin; first < end; first += kPixels) {
        if (__syncthreads_and(done))
            break;
        const int count = int(min(std::int64_t(kPixels), end - first));
        if (int(threadIdx.x) < count)
            entries[threadIdx.x] = entryOf(pairs.footprints[pairs.owners[first + threadIdx.x]], pixel.x0, pixel.y0);
        __syncthreads();
        for (int i = 0; i < count && !done; ++i) {
            const Entry& e = entries[i];
            const float alpha = fminf(Fall(e, pixel).full, scene::kAlphaMaximum);
            if (!(alpha >= scene::kAlphaThreshold))
                continue;
            const float weight = alpha * transmittance, next = transmittance - weight;
            if (!(next > scene::kTransmittanceStop)) {
                done = true;
                break;
            }
            transmittance = next;
            last = int(first - begin) + i + 1;
            red += weight * e.red;
            green += weight * e.green;
            blue += weight * e.blue;
            depth += weight * e.depth;
            total += weight;
        }
    }
    if (!pixel.inside)
        return;
    out.rgb[3 * pixel.at] = red + transmittance * pairs.background[0];
    out.rgb[3 * pixel.at + 1] = green + transmittance * pairs.background[1];
    out.rgb[3 * pixel.at + 2] = blue + transmittance * pairs.background[2];
    out.alpha[pixel.at] = total;
    out.depth[pixel.at] = total > 0 ? depth / total : 0;
    out.transmittance[pixel.at] = transmittance;
    out.weightedDepth[pixel.at] = depth;
    out.last[pixel.at] = last;
}

/// What a pixel carries on the way from the back to the front.
struct Walk {
    float transmittance = 1, behind = 0, red = 0, green = 0, blue = 0, depth = 0, expected = 0;
    int last = 0;

    __device__ Walk(const TilePairs& pairs, const PictureOut& picture, const PictureGradients& g, const Pixel& pixel)
    {
        if (!pixel.inside)
            return;
        const std::int64_t at = pixel.at;
        last = picture.last[at];
        transmittance = picture.transmittance[at];
        const float alpha = picture.alpha[at];
        if (g.depth && alpha > 0) {
            depth = g.depth[at] / alpha;
            expected = picture.weightedDepth[at] / alpha;
        }
        float background = 0;
        if (g.rgb) {
            red = g.rgb[3 * at];
            green = g.rgb[3 * at + 1];
            blue = g.rgb[3 * at + 2];
            background = red * pairs.background[0] + green * pairs.background[1] + blue * pairs.background[2];
        }
        behind = transmittance * (background - (g.alpha ? g.alpha[at] : 0));
    }

    /// False where the entry did not contribute.
    __device__ bool visit(const Entry& e, const Pixel& pixel, int place, float (&out)[kNumbers])
    {
        if (place >= last)
            return false;
        const Fall fall(e, pixel);
        const float alpha = fminf(fall.full, scene::kAlphaMaximum);
        if (!(alpha >= scene::kAlphaThreshold))
            return false;
        constexpr float kWhite = 1.1774100225154747f;  // sqrt(2 ln 2)
        const float rest = 1 / (1 - alpha), before = transmittance * rest, weight = alpha * before;
        const float own = red * e.red + green * e.green + blue * e.blue + depth * (e.depth - expected);
        const float g = fall.full <= scene::kAlphaMaximum ? (before * own - behind * rest) * alpha : 0;
        behind += weight * own;
        transmittance = before;
        const float u = kWhite * fall.u, v = kWhite * fall.v;
        out[0] = g;
        out[1] = g * u;
        out[2] = g * v;
        out[3] = g * u * u;
        out[4] = g * u * v;
        out[5] = g * v * v;
        out[6] = weight * red;
        out[7] = weight * green;
        out[8] = weight * blue;
        out[9] = weight * depth;
        return true;
    }
};

__global__ void __launch_bounds__(kPixels) blendBackwardKernel(TilePairs pairs, PictureOut picture, PictureGradients gradients)
{
    __shared__ Entry entries[kBackBatch];
    __shared__ float sums[kBackBatch][kWarps][kNumbers];
    __shared__ int lasts[kWarps];
    const Pixel pixel(pairs);
    const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp;
    Walk walk(pairs, picture, gradients, pixel);
    int warpLast = walk.last;
    for (int step = kWarp / 2; step > 0; step /= 2)
        warpLast = max(warpLast, __shfl_xor_sync(0xffffffffu, warpLast, step));
    if (lane == 0)
        lasts[warp] = warpLast;
    __syncthreads();
    int most = 0;
    for (int w = 0; w < kWarps; ++w)
        most = max(most, lasts[w]);
    const std::int64_t begin = pairs.starts[blockIdx.x];
    for (int batch = (most + kBackBatch - 1) / kBackBatch; batch-- > 0;) {
        const int first = batch * kBackBatch, count = min(kBackBatch, most - first);
        if (int(threadIdx.x) < count)
            entries[threadIdx.x] = entryOf(pairs.footprints[pairs.owners[begin + first + threadIdx.x]], pixel.x0, pixel.y0);
        for (int i = int(threadIdx.x); i < kBackBatch * kWarps * kNumbers; i += kPixels)
            (&sums[0][0][0])[i] = 0;
        __syncthreads();
        for (int i = count; i-- > 0;) {
            float numbers[kNumbers] = {};
            const bool hit = walk.visit(entries[i], pixel, first + i, numbers);
            if (!__any_sync(0xffffffffu, hit))
                continue;
            for (int k = 0; k < kNumbers; ++k) {
                float sum = numbers[k];
                for (int step = kWarp / 2; step > 0; step /= 2)
                    sum += __shfl_down_sync(0xffffffffu, sum, unsigned(step));
                if (lane == 0)
                    sums[i][warp][k] = sum;
            }
        }
        __syncthreads();
        for (int i = int(threadIdx.x); i < count * kNumbers; i += kPixels) {
            float sum = 0;
            for (int w = 0; w < kWarps; ++w)
                sum += sums[i / kNumbers][w][i % kNumbers];
            const std::int64_t pair = gradients.order[begin + first + i / kNumbers];
            reinterpret_cast<float*>(gradients.pairs + pair)[i % kNumbers] = sum;
        }
        __syncthreads();
    }
}

}  // namespace

const char* project(int device, const scene::Projection& projection, const scene::SplatsView& splats, Footprint* out, std::int64_t* counts)
{
    return forEach(device, std::int64_t(splats.count), [=] __device__(std::int64_t i) {
        const Footprint f = scene::footprintOf(projection, splats, std::size_t(i));
        out[i] = f;
        counts[i] = std::int64_t(f.tiles());
    });
}

const char* expand(int device, const Footprint* footprints, const std::int64_t* ends, std::int64_t count, int tilesX, std::int64_t* keys,
                   std::int32_t* owners)
{
    return forEach(device, count, [=] __device__(std::int64_t i) {
        const Footprint& f = footprints[i];
        std::int64_t at = i == 0 ? 0 : ends[i - 1];
        for (int y = f.top; y < f.bottom; ++y)
            for (int x = f.left; x < f.right; ++x, ++at) {
                keys[at] = (std::int64_t(y) * tilesX + x) << 32 | std::int64_t(__float_as_uint(f.depth));
                owners[at] = std::int32_t(i);
            }
    });
}

const char* tileStarts(int device, const std::int64_t* sortedKeys, std::int64_t pairs, std::int64_t tiles, std::int64_t* starts)
{
    // Each pair writes the starts of the tiles from behind its predecessor's up to its own; one more than there are pairs closes the last ones.
    return forEach(device, pairs + 1, [=] __device__(std::int64_t i) {
        const std::int64_t before = i == 0 ? -1 : sortedKeys[i - 1] >> 32, own = i == pairs ? tiles : sortedKeys[i] >> 32;
        for (std::int64_t tile = before + 1; tile <= own; ++tile)
            starts[tile] = i;
    });
}

const char* blend(int device, const TilePairs& pairs, const PictureOut& out)
{
    if (const char* error = select(device))
        return error;
    blendKernel<<<unsigned(pairs.tilesX * pairs.tilesY), kPixels>>>(pairs, out);
    return said(cudaGetLastError());
}

const char* blendBackward(int device, const TilePairs& pairs, const PictureOut& picture, const PictureGradients& gradients)
{
    if (const char* error = select(device))
        return error;
    blendBackwardKernel<<<unsigned(pairs.tilesX * pairs.tilesY), kPixels>>>(pairs, picture, gradients);
    return said(cudaGetLastError());
}

const char* projectBackward(int device, const scene::Projection& projection, const scene::SplatsView& splats, const Footprint* footprints,
                            const std::int64_t* ends, const FootprintGradient* pairs, const scene::SplatGradientArrays& out)
{
    return forEach(device, std::int64_t(splats.count), [=] __device__(std::int64_t i) {
        const std::int64_t begin = i == 0 ? 0 : ends[i - 1];
        if (begin == ends[i])
            return;
        float sum[kNumbers] = {};
        for (std::int64_t p = begin; p < ends[i]; ++p)
            for (int k = 0; k < kNumbers; ++k)
                sum[k] += reinterpret_cast<const float*>(pairs + p)[k];
        scene::projectBackward(projection, splats, std::size_t(i), footprints[i], *reinterpret_cast<const FootprintGradient*>(sum), out);
    });
}

}  // namespace orrery::cuda
