// Where samples lie on rays.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include <core/kernels/parallel.h>

#include "checks.h"
#include "cuda_field.h"
#include "field.h"
#include "ray_march.h"

namespace orrery::scene {
namespace {

constexpr std::int64_t kSamplerGrain = 64;  // rays
RaySamples allocate(at::Tensor starts)
{
    const std::int64_t total = starts.data_ptr<std::int64_t>()[starts.numel() - 1];
    return {at::empty({total, 3}), at::empty({total}, at::kLong), at::empty({total}), at::empty({total}), std::move(starts)};
}

/// Writes sample i of ray r.
class Writer {
public:
    explicit Writer(const RaySamples& samples)
        : m_positions(samples.positions.data_ptr<float>()), m_distances(samples.distances.data_ptr<float>()),
          m_lengths(samples.lengths.data_ptr<float>()), m_rays(samples.rays.data_ptr<std::int64_t>())
    {
    }
    void put(std::int64_t i, std::int64_t r, const CubeRay& ray, float t, float length) const
    {
        for (int a = 0; a < 3; ++a)
            m_positions[3 * i + a] = ray.at(a, t);
        m_distances[i] = t;
        m_lengths[i] = length;
        m_rays[i] = r;
    }

private:
    float *m_positions, *m_distances, *m_lengths;
    std::int64_t* m_rays;
};

at::Tensor startsOf(std::int64_t rays, std::int64_t each)
{
    return at::arange(rays + 1, at::kLong) * each;
}

/// Draws from the histogram `weights` over bins; `u` in [0, 1). A little is added to each bin, so that a ray that met nothing is sampled evenly.
class Histogram {
public:
    Histogram(const float* weights, std::int64_t count) : m_cumulated(std::size_t(count) + 1)
    {
        for (std::int64_t i = 0; i < count; ++i)
            m_cumulated[std::size_t(i) + 1] = m_cumulated[std::size_t(i)] + std::max(weights[i], 0.0f) + 1e-5f;
    }
    /// Bin and place in it, as one number.
    float draw(float u) const
    {
        const float target = u * m_cumulated.back();
        const auto above = std::upper_bound(m_cumulated.begin() + 1, m_cumulated.end() - 1, target);
        const auto bin = std::size_t(above - m_cumulated.begin()) - 1;
        const float width = m_cumulated[bin + 1] - m_cumulated[bin];
        return float(bin) + std::clamp((target - m_cumulated[bin]) / width, 0.0f, 1.0f);
    }

private:
    std::vector<float> m_cumulated;
};

/// What a sampler without a kernel of its own drew on the CPU for rays on a GPU.
RaySamples onDevice(const RaySamples& samples, c10::Device device)
{
    return {samples.positions.to(device), samples.rays.to(device), samples.distances.to(device), samples.lengths.to(device),
            samples.starts.to(device)};
}

}  // namespace

RaySamples marchRays(const at::Tensor& raysIn, const at::Tensor& grid, const at::Tensor& jitterIn, bool training, std::int64_t steps,
                     double threshold)
{
    const at::Tensor rays = floats(raysIn, "march_rays: rays", {-1, 6}),
                     jitter = floats(jitterIn.reshape({-1}).to(raysIn.device()), "march_rays: jitter", {raysIn.size(0)});
    const at::Tensor occupancy =
        floats(grid, "march_rays: occupancy", {-1, grid.dim() == 3 ? grid.size(0) : -1, grid.dim() == 3 ? grid.size(0) : -1});
    if (occupancy.size(0) < 1 || occupancy.size(0) > 512 || steps < 1 || steps > 65536)
        throw core::ShapeError(
            fmt::format("march_rays: expected 1 to 512 cells an edge and 1 to 65536 steps, got {} and {}", occupancy.size(0), steps));
    const std::int64_t count = rays.size(0);
    // A field that is thin everywhere is still looked at where it is thickest; else nothing would ever be learned.
    const double mean = occupancy.sum(at::kDouble).item<double>() / double(occupancy.numel());
    const auto least = float(std::min(threshold, 0.99 * mean));
    requireOneDevice("march_rays", {rays, occupancy, jitter});
    if (rays.is_cuda())
        return cuda_field::march(rays, occupancy, jitter, training, steps, least);
    const March march(occupancy.data_ptr<float>(), occupancy.size(0), steps, least);
    const float *const rows = rays.data_ptr<float>(), *const shifts = jitter.data_ptr<float>();
    at::Tensor starts = at::zeros({count + 1}, at::kLong);
    std::int64_t* const begin = starts.data_ptr<std::int64_t>();
    // Each ray is walked once: where its samples lie is kept, piece by piece of the rays, until all are counted.
    const std::int64_t pieces = (count + kSamplerGrain - 1) / kSamplerGrain;
    std::vector<std::vector<float>> distances(static_cast<std::size_t>(pieces));
    const auto overRays = [&](const auto& work) {
        kernels::parallelFor(0, pieces, 1, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t p = from; p < to; ++p)
                for (std::int64_t r = p * kSamplerGrain; r < std::min(count, (p + 1) * kSamplerGrain); ++r)
                    work(distances[std::size_t(p)], r);
        });
    };
    overRays([&](std::vector<float>& found, std::int64_t r) {
        const std::size_t before = found.size();
        march.walk(CubeRay(rows + 6 * r), training ? shifts[r] : 0.5f, [&](float t, float) { found.push_back(t); });
        begin[r + 1] = std::int64_t(found.size() - before);
    });
    for (std::int64_t r = 0; r < count; ++r)
        begin[r + 1] += begin[r];
    const RaySamples out = allocate(std::move(starts));
    const Writer writer(out);
    overRays([&](const std::vector<float>& found, std::int64_t r) {
        const CubeRay ray(rows + 6 * r);
        const float length = march.step(ray) * ray.speed();
        const float* t = found.data() + (begin[r] - begin[r / kSamplerGrain * kSamplerGrain]);
        for (std::int64_t i = begin[r]; i < begin[r + 1]; ++i)
            writer.put(i, r, ray, *t++, length);
    });
    return out;
}

RaySamples stratifiedRays(const at::Tensor& raysIn, const at::Tensor& jitterIn, bool training, std::int64_t samples)
{
    if (raysIn.is_cuda())
        return onDevice(stratifiedRays(raysIn.cpu(), jitterIn.cpu(), training, samples), raysIn.device());
    const at::Tensor rays = floats(raysIn, "stratified_rays: rays", {-1, 6});
    const at::Tensor jitter = floats(jitterIn, "stratified_rays: jitter", {rays.size(0), samples});
    const RaySamples out = allocate(startsOf(rays.size(0), samples));
    const Writer writer(out);
    const float *const rows = rays.data_ptr<float>(), *const shifts = jitter.data_ptr<float>();
    kernels::parallelFor(0, rays.size(0), kSamplerGrain, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t r = from; r < to; ++r) {
            const CubeRay ray(rows + 6 * r);
            const float bin = (ray.far - ray.near) / float(samples);
            for (std::int64_t s = 0; s < samples; ++s)
                writer.put(r * samples + s, r, ray, ray.near + (float(s) + (training ? shifts[r * samples + s] : 0.5f)) * bin, bin * ray.speed());
        }
    });
    return out;
}

RaySamples importanceRays(const at::Tensor& raysIn, const RaySamples& coarse, const at::Tensor& weightsIn, const at::Tensor& jitterIn, bool training)
{
    if (raysIn.is_cuda()) {
        RaySamples first;
        first.distances = coarse.distances.cpu();
        return onDevice(importanceRays(raysIn.cpu(), first, weightsIn.cpu(), jitterIn.cpu(), training), raysIn.device());
    }
    const at::Tensor rays = floats(raysIn, "importance_rays: rays", {-1, 6}),
                     jitter = floats(jitterIn, "importance_rays: jitter", {rays.size(0), -1});
    const at::Tensor weights = floats(weightsIn, "importance_rays: weights", {coarse.distances.numel()});
    const std::int64_t count = rays.size(0), more = jitter.size(1), old = count ? coarse.distances.numel() / count : 0, each = old + more;
    const at::Tensor distances = floats(coarse.distances, "importance_rays: distances", {count * old});
    const RaySamples out = allocate(startsOf(count, each));
    const Writer writer(out);
    const float *const rows = rays.data_ptr<float>(), *const w = weights.data_ptr<float>(), *const t = distances.data_ptr<float>(),
                       *const shifts = jitter.data_ptr<float>();
    kernels::parallelFor(0, count, kSamplerGrain, [&](std::int64_t from, std::int64_t to) {
        std::vector<float> all(static_cast<std::size_t>(each));
        for (std::int64_t r = from; r < to; ++r) {
            const CubeRay ray(rows + 6 * r);
            const float bin = (ray.far - ray.near) / float(std::max<std::int64_t>(1, old));
            const Histogram histogram(w + r * old, old);
            std::copy(t + r * old, t + (r + 1) * old, all.begin());
            for (std::int64_t s = 0; s < more; ++s)
                all[std::size_t(old + s)] = ray.near + bin * histogram.draw((float(s) + (training ? shifts[r * more + s] : 0.5f)) / float(more));
            std::sort(all.begin(), all.end());
            // Stretches meet halfway between neighbours and fill the ray from wall to wall.
            float begin = ray.near;
            for (std::int64_t s = 0; s < each; ++s) {
                const float end = s + 1 < each ? 0.5f * (all[std::size_t(s)] + all[std::size_t(s + 1)]) : ray.far;
                writer.put(r * each + s, r, ray, all[std::size_t(s)], std::max(end - begin, 0.0f) * ray.speed());
                begin = end;
            }
        }
    });
    return out;
}

OccupancySamples occupancySamples(const at::Tensor& grid, const at::Tensor& randomIn, bool training, std::int64_t share)
{
    if (grid.is_cuda()) {
        const OccupancySamples drawn = occupancySamples(grid.cpu(), randomIn.cpu(), training, share);
        return {drawn.positions.to(grid.device()), drawn.cells.to(grid.device())};
    }
    const std::int64_t edge = grid.size(0), cells = grid.numel();
    if (!training)
        return {at::empty({0, 3}), at::empty({0}, at::kLong)};
    const at::Tensor random = floats(randomIn, "occupancy_samples: random", {cells / share + 1, 3});
    const float* const u = random.data_ptr<float>();
    const auto first = std::min(std::int64_t(u[3 * (cells / share)] * float(share)), share - 1);
    const std::int64_t count = cells / share;
    OccupancySamples out{at::empty({count, 3}), at::empty({count}, at::kLong)};
    float* const positions = out.positions.data_ptr<float>();
    std::int64_t* const chosen = out.cells.data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t cell = i * share + first;
        chosen[i] = cell;
        const std::int64_t place[3] = {cell / (edge * edge), cell / edge % edge, cell % edge};
        for (std::int64_t a = 0; a < 3; ++a)
            positions[3 * i + a] = (float(place[a]) + u[3 * i + a]) / float(edge) - 0.5f;
    }
    return out;
}

at::Tensor updatedOccupancy(const at::Tensor& grid, const at::Tensor& cells, const at::Tensor& density, double decay)
{
    if (grid.is_cuda()) {
        const at::Tensor old = grid.detach().reshape({-1}).index_select(0, cells);
        return grid.detach().reshape({-1}).index_copy(0, cells, at::maximum(old * decay, density.detach().reshape({-1}))).view(grid.sizes());
    }
    at::Tensor out = grid.detach().clone();
    const at::Tensor values = floats(density.reshape({-1}), "occupancy_update: density", {cells.numel()}),
                     chosen = integers(cells, "occupancy_update: cells");
    float* const to = out.data_ptr<float>();
    const float* const from = values.data_ptr<float>();
    for (std::int64_t i = 0; i < chosen.numel(); ++i) {
        float& cell = to[chosen.data_ptr<std::int64_t>()[i]];
        cell = std::max(float(decay) * cell, from[i]);
    }
    return out;
}

}  // namespace orrery::scene
