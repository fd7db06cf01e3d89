// Kernels of radiance fields: hash grid, compositing, marching, directions.
#include <core/scene/field/composite_ray.h>
#include <core/scene/field/direction_harmonics.h>
#include <core/scene/field/ray_march.h>

#include "functions.h"
#include "launch.h"

namespace orrery::cuda {
namespace {

struct HashCorners {
    std::uint32_t index[8];
    float weight[8];
};

__device__ void hashAxis(float x, int resolution, std::uint32_t& cell, float& fraction)
{
    float scaled = x + 0.5f;
    scaled = scaled > 0.0f ? scaled : 0.0f;  // NaN becomes 0, too
    scaled = (scaled < 1.0f ? scaled : 1.0f) * float(resolution);
    const int whole = min(int(scaled), resolution - 1);
    fraction = scaled - float(whole);
    cell = std::uint32_t(whole);
}

__device__ HashCorners hashCorners(const float* position, const scene::HashLevel& level)
{
    std::uint32_t cell[3];
    float fraction[3];
    for (int a = 0; a < 3; ++a)
        hashAxis(position[a], level.resolution, cell[a], fraction[a]);
    const std::uint32_t edge = std::uint32_t(level.resolution) + 1;
    const std::uint32_t factorY = level.mask ? scene::kPrimeY : edge, factorZ = level.mask ? scene::kPrimeZ : edge * edge;
    HashCorners out;
    for (int corner = 0; corner < 8; ++corner) {
        const std::uint32_t x = cell[0] + std::uint32_t(corner & 1), y = (cell[1] + std::uint32_t(corner >> 1 & 1)) * factorY,
                            z = (cell[2] + std::uint32_t(corner >> 2)) * factorZ;
        out.index[corner] = level.mask ? (x ^ y ^ z) & level.mask : x + y + z;
        out.weight[corner] = (corner & 1 ? fraction[0] : 1 - fraction[0]) * (corner & 2 ? fraction[1] : 1 - fraction[1]) *
                             (corner & 4 ? fraction[2] : 1 - fraction[2]);
    }
    return out;
}

template <int F>
const char* hashForwardOf(int device, const HashGrid& grid, const float* positions, std::int64_t count, const float* table, float* out)
{
    // Neighbouring threads have the same level and neighbouring samples: the coarse levels' entries are shared in the cache.
    return forEach(device, count * grid.levels, [=] __device__(std::int64_t i) {
        const std::int64_t sample = i % count, l = i / count;
        const HashCorners corners = hashCorners(positions + 3 * sample, grid.level[l]);
        const float* const entries = table + grid.level[l].offset * F;
        float sum[F] = {};
        for (int corner = 0; corner < 8; ++corner)
            for (int f = 0; f < F; ++f)
                sum[f] += corners.weight[corner] * entries[std::int64_t(corners.index[corner]) * F + f];
        for (int f = 0; f < F; ++f)
            out[sample * grid.levels * F + l * F + f] = sum[f];
    });
}

template <int F>
const char* hashBackwardOf(int device, const HashGrid& grid, const float* positions, std::int64_t count, const float* gradient, float* table)
{
    return forEach(device, count * grid.levels, [=] __device__(std::int64_t i) {
        const std::int64_t sample = i % count, l = i / count;
        const HashCorners corners = hashCorners(positions + 3 * sample, grid.level[l]);
        float* const entries = table + grid.level[l].offset * F;
        const float* const g = gradient + sample * grid.levels * F + l * F;
        for (int corner = 0; corner < 8; ++corner)
            for (int f = 0; f < F; ++f)
                atomicAdd(entries + std::int64_t(corners.index[corner]) * F + f, corners.weight[corner] * g[f]);
    });
}

}  // namespace

const char* hashForward(int device, const HashGrid& grid, const float* positions, std::int64_t count, const float* table, float* out)
{
    switch (grid.features) {
    case 1: return hashForwardOf<1>(device, grid, positions, count, table, out);
    case 2: return hashForwardOf<2>(device, grid, positions, count, table, out);
    case 4: return hashForwardOf<4>(device, grid, positions, count, table, out);
    case 8: return hashForwardOf<8>(device, grid, positions, count, table, out);
    default: return "expected 1, 2, 4 or 8 features an entry";
    }
}

const char* hashBackward(int device, const HashGrid& grid, const float* positions, std::int64_t count, const float* gradient, float* table)
{
    switch (grid.features) {
    case 1: return hashBackwardOf<1>(device, grid, positions, count, gradient, table);
    case 2: return hashBackwardOf<2>(device, grid, positions, count, gradient, table);
    case 4: return hashBackwardOf<4>(device, grid, positions, count, gradient, table);
    case 8: return hashBackwardOf<8>(device, grid, positions, count, gradient, table);
    default: return "expected 1, 2, 4 or 8 features an entry";
    }
}

const char* compositeForward(int device, const RayRows& rows, const CompositeOut& out)
{
    return forEach(device, rows.rays, [=] __device__(std::int64_t r) {
        const std::int64_t b = rows.starts[r];
        const scene::RayTotals totals = scene::compositeRay(rows.density + b, rows.colour + 3 * b, rows.distances + b, rows.lengths + b,
                                                            rows.starts[r + 1] - b, out.weights + b);
        for (int a = 0; a < 3; ++a)
            out.colour[3 * r + a] = totals.colour[a] + totals.transmittance * rows.background[a];
        out.opacity[r] = 1 - totals.transmittance;
        out.depth[r] = totals.depth;
    });
}

const char* compositeBackward(int device, const RayRows& rows, const CompositeGradients& g)
{
    return forEach(device, rows.rays, [=] __device__(std::int64_t r) {
        const std::int64_t b = rows.starts[r];
        scene::RayGradients ray{rows.density + b, rows.colour + 3 * b, rows.distances + b, rows.lengths + b, g.weights + b,
                                {},
                                g.byOpacity ? g.byOpacity[r] : 0.0f,
                                g.byDepth ? g.byDepth[r] : 0.0f,
                                0.0f,
                                g.byWeights ? g.byWeights + b : nullptr,
                                g.density + b,
                                g.colour + 3 * b,
                                rows.starts[r + 1] - b};
        for (int a = 0; g.byColour && a < 3; ++a) {
            ray.colourGradient[a] = g.byColour[3 * r + a];
            ray.backgroundGradient += g.byColour[3 * r + a] * rows.background[a];
        }
        ray.run();
    });
}

const char* marchCount(int device, const MarchRows& rows, std::int64_t* counts)
{
    return forEach(device, rows.count, [=] __device__(std::int64_t r) {
        std::int64_t samples = 0;
        const scene::March march(rows.occupancy, rows.cells, rows.steps, rows.threshold);
        march.walk(scene::CubeRay(rows.rays + 6 * r), rows.jitter ? rows.jitter[r] : 0.5f, [&](float, float) { ++samples; });
        counts[r] = samples;
    });
}

const char* marchWrite(int device, const MarchRows& rows, const std::int64_t* starts, const MarchOut& out)
{
    return forEach(device, rows.count, [=] __device__(std::int64_t r) {
        const scene::March march(rows.occupancy, rows.cells, rows.steps, rows.threshold);
        const scene::CubeRay ray(rows.rays + 6 * r);
        std::int64_t i = starts[r];
        march.walk(ray, rows.jitter ? rows.jitter[r] : 0.5f, [&](float t, float dt) {
            for (int a = 0; a < 3; ++a)
                out.positions[3 * i + a] = ray.at(a, t);
            out.distances[i] = t;
            out.lengths[i] = dt * ray.speed();
            out.rays[i++] = r;
        });
    });
}

const char* directionEncode(int device, const float* rays, std::int64_t count, float* out)
{
    return forEach(device, count, [=] __device__(std::int64_t r) { scene::directionHarmonics(rays + 6 * r + 3, out + 16 * r); });
}

}  // namespace orrery::cuda
