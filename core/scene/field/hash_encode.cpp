// The hash grid of instant-ngp, forward and backward.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include <core/kernels/parallel.h>
#include <core/kernels/vector_math.h>

#include "checks.h"
#include "cuda_field.h"
#include "field.h"
#include "hash_levels.h"

#pragma GCC diagnostic ignored "-Wpsabi"

namespace orrery::scene {
namespace {

using kernels::Floats;
using kernels::Ints;
using kernels::kLanes;

// Samples that go through one level before the next one's turn: their features and the entries of a level (a few hundred KiB each) lie in the second cache.
constexpr std::int64_t kBlock = 4096;
constexpr std::int64_t kEncodeGrain = 256;  // samples a thread should have at least

std::vector<HashLevel> levelsOf(const std::vector<std::int64_t>& resolutions, const std::vector<std::int64_t>& offsets, std::int64_t entries)
{
    const auto fail = [&](const std::string& reason) { throw core::ShapeError("hash_encode: " + reason); };
    if (resolutions.empty() || resolutions.size() > 64 || offsets.size() != resolutions.size() + 1)
        fail(fmt::format("expected 1 to 64 levels and one offset more, got {} and {}", resolutions.size(), offsets.size()));
    if (offsets[0] != 0 || offsets.back() != entries)
        fail(fmt::format("expected offsets from 0 to the {} entries of the table, got {} to {}", entries, offsets[0], offsets.back()));
    std::vector<HashLevel> levels;
    for (std::size_t l = 0; l < resolutions.size(); ++l) {
        const std::int64_t n = resolutions[l], size = offsets[l + 1] - offsets[l];
        if (n < 1 || n > 65535 || size < 1 || size > (std::int64_t(1) << 30))
            fail(fmt::format("level {}: expected a resolution of 1 to 65535 and 1 to 2^30 entries, got {} and {}", l, n, size));
        const bool direct = (n + 1) * (n + 1) * (n + 1) <= size;
        if (!direct && (size & (size - 1)) != 0)
            fail(fmt::format("level {}: expected a power of two of entries where corners are hashed, got {}", l, size));
        levels.push_back({std::int32_t(n), std::uint32_t(size), direct ? 0 : std::uint32_t(size - 1), offsets[l]});
    }
    return levels;
}

/// Sixteen samples in one level: the eight corners' entries and weights.
struct Corners {
    std::int32_t index[8][kLanes];
    float weight[8][kLanes];
};

using Unsigned [[gnu::vector_size(64), gnu::may_alias, gnu::aligned(4)]] = std::uint32_t;

struct CornerKernel {
    ORRERY_KERNEL static void axis(Floats x, std::int32_t resolution, Unsigned& cell, Floats& fraction)
    {
        const Floats zero = Floats{}, one = zero + 1.0f, top = zero + float(resolution);
        Floats scaled = x + 0.5f;
        scaled = scaled > zero ? scaled : zero;  // NaN becomes 0, too
        scaled = (scaled < one ? scaled : one) * top;
        Ints whole = __builtin_convertvector(scaled, Ints);
        const Ints last = Ints{} + (resolution - 1);
        whole = whole < last ? whole : last;
        fraction = scaled - __builtin_convertvector(whole, Floats);
        cell = reinterpret_cast<Unsigned>(whole);
    }
    ORRERY_KERNEL static void find(const float* xyz, const HashLevel& level, Corners& out)
    {
        Unsigned cell[3];
        Floats fraction[3];
        for (int a = 0; a < 3; ++a)
            axis(kernels::load(xyz + a * kLanes), level.resolution, cell[a], fraction[a]);
        const std::uint32_t edge = std::uint32_t(level.resolution) + 1;
        const std::uint32_t factorY = level.mask ? kPrimeY : edge, factorZ = level.mask ? kPrimeZ : edge * edge;
        for (int corner = 0; corner < 8; ++corner) {
            const Unsigned x = cell[0] + std::uint32_t(corner & 1), y = (cell[1] + std::uint32_t(corner >> 1 & 1)) * factorY,
                           z = (cell[2] + std::uint32_t(corner >> 2)) * factorZ;
            const Unsigned index = level.mask ? (x ^ y ^ z) & level.mask : x + y + z;
            *reinterpret_cast<Unsigned*>(out.index[corner]) = index;
            const Floats wx = corner & 1 ? fraction[0] : 1.0f - fraction[0], wy = corner & 2 ? fraction[1] : 1.0f - fraction[1],
                         wz = corner & 4 ? fraction[2] : 1.0f - fraction[2];
            kernels::store(out.weight[corner], wx * wy * wz);
        }
    }
};

/// Positions of sixteen samples, axis by axis; behind the last one its copies.
ORRERY_KERNEL void gatherPositions(const float* positions, std::int64_t count, float* xyz)
{
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const std::int64_t from = lane < count ? lane : count - 1;
        for (int a = 0; a < 3; ++a)
            xyz[a * kLanes + lane] = positions[3 * from + a];
    }
}

/// The features of an entry, as one value that fits into a register.
template <int F>
struct Entry {
    using Values [[gnu::vector_size(F * sizeof(float)), gnu::may_alias, gnu::aligned(4)]] = float;
};
template <>
struct Entry<1> {
    using Values [[gnu::may_alias]] = float;
};

/// The corners of sixteen samples after another in one level: f(first sample, number of samples, corners).
template <class Use>
ORRERY_KERNEL void overCorners(const float* positions, std::int64_t begin, std::int64_t end, const HashLevel& level, const Use& use)
{
    float xyz[3 * kLanes];
    Corners corners;
    for (std::int64_t first = begin; first < end; first += kLanes) {
        const std::int64_t lanes = end - first < kLanes ? end - first : kLanes;
        gatherPositions(positions + 3 * first, lanes, xyz);
        CornerKernel::find(xyz, level, corners);
        use(first, lanes, corners);
    }
}

template <int F>
struct Forward {
    using Values = typename Entry<F>::Values;
    ORRERY_KERNEL static void run(const float* positions, std::int64_t count, const float* table, const HashLevel* levels, std::int64_t levelCount,
                                  float* out)
    {
        const std::int64_t width = levelCount * F;
        for (std::int64_t block = 0; block < count; block += kBlock)
            for (std::int64_t l = 0; l < levelCount; ++l) {
                const auto* const entries = reinterpret_cast<const Values*>(table + levels[l].offset * F);
                const auto interpolate = [=](std::int64_t first, std::int64_t lanes, const Corners& corners) __attribute__((always_inline))
                {
                    for (std::int64_t lane = 0; lane < lanes; ++lane) {
                        Values sum = corners.weight[0][lane] * entries[corners.index[0][lane]];
#pragma GCC unroll 8
                        for (int corner = 1; corner < 8; ++corner)
                            sum += corners.weight[corner][lane] * entries[corners.index[corner][lane]];
                        *reinterpret_cast<Values*>(out + (first + lane) * width + l * F) = sum;
                    }
                };
                overCorners(positions, block, count < block + kBlock ? count : block + kBlock, levels[l], interpolate);
            }
    }
};

/// Levels `from` to `to` alone: each thread owns the entries of its levels, so sums come in one order.
template <int F>
struct Backward {
    using Values = typename Entry<F>::Values;
    ORRERY_KERNEL static void run(const float* positions, std::int64_t count, const float* gradient, const HashLevel* levels, std::int64_t levelCount,
                                  std::int64_t from, std::int64_t to, float* table)
    {
        const std::int64_t width = levelCount * F;
        for (std::int64_t block = 0; block < count; block += kBlock)
            for (std::int64_t l = from; l < to; ++l) {
                auto* const entries = reinterpret_cast<Values*>(table + levels[l].offset * F);
                const auto spread = [=](std::int64_t first, std::int64_t lanes, const Corners& corners) __attribute__((always_inline))
                {
                    for (std::int64_t lane = 0; lane < lanes; ++lane) {
                        const Values g = *reinterpret_cast<const Values*>(gradient + (first + lane) * width + l * F);
#pragma GCC unroll 8
                        for (int corner = 0; corner < 8; ++corner)
                            entries[corners.index[corner][lane]] += corners.weight[corner][lane] * g;
                    }
                };
                overCorners(positions, block, count < block + kBlock ? count : block + kBlock, levels[l], spread);
            }
    }
};

template <template <int> class Body, class... Arguments>
void runFor(std::int64_t features, Arguments... arguments)
{
    switch (features) {
    case 1: return kernels::runOnThisMachine<Body<1>>(arguments...);
    case 2: return kernels::runOnThisMachine<Body<2>>(arguments...);
    case 4: return kernels::runOnThisMachine<Body<4>>(arguments...);
    case 8: return kernels::runOnThisMachine<Body<8>>(arguments...);
    default: throw core::ShapeError(fmt::format("hash_encode: expected 1, 2, 4 or 8 features an entry, got {}", features));
    }
}

class HashEncode : public torch::autograd::Function<HashEncode> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& positionsIn, const at::Tensor& tableIn,
                              const std::vector<std::int64_t>& resolutions, const std::vector<std::int64_t>& offsets)
    {
        const at::Tensor positions = floats(positionsIn, "hash_encode: positions", {-1, 3}), table = floats(tableIn, "hash_encode: table", {-1, -1});
        requireOneDevice("hash_encode", {positions, table});
        const auto levels = levelsOf(resolutions, offsets, table.size(0));
        context->saved_data["resolutions"] = resolutions;
        context->saved_data["offsets"] = offsets;
        context->saved_data["features"] = table.size(1);
        context->save_for_backward({positions});
        if (table.is_cuda())
            return cuda_field::hashForward(positions, table, levels);
        const std::int64_t features = table.size(1), width = std::int64_t(levels.size()) * features;
        at::Tensor out = at::empty({positions.size(0), width});
        const float *const from = positions.data_ptr<float>(), *const entries = table.data_ptr<float>();
        float* const to = out.data_ptr<float>();
        kernels::parallelFor(0, positions.size(0), kEncodeGrain, [&](std::int64_t begin, std::int64_t end) {
            runFor<Forward>(features, from + 3 * begin, end - begin, entries, levels.data(), std::int64_t(levels.size()), to + begin * width);
        });
        return out;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients)
    {
        const at::Tensor positions = context->get_saved_variables()[0], gradient = gradients[0].contiguous();
        const auto offsets = context->saved_data["offsets"].toIntVector();
        const auto levels = levelsOf(context->saved_data["resolutions"].toIntVector(), offsets, offsets.back());
        const std::int64_t features = context->saved_data["features"].toInt(), count = std::int64_t(levels.size());
        if (gradient.is_cuda())
            return {at::Tensor(), cuda_field::hashBackward(positions, gradient, levels, offsets.back(), features), at::Tensor(), at::Tensor()};
        at::Tensor table = at::zeros({offsets.back(), features});
        const float *const from = positions.data_ptr<float>(), *const g = gradient.data_ptr<float>();
        float* const to = table.data_ptr<float>();
        kernels::parallelFor(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
            runFor<Backward>(features, from, positions.size(0), g, levels.data(), count, begin, end, to);
        });
        return {at::Tensor(), table, at::Tensor(), at::Tensor()};
    }
};

}  // namespace

HashLevels hashLevels(std::int64_t levels, std::int64_t base, double growth, std::int64_t log2Entries)
{
    HashLevels out{{}, {0}};
    for (std::int64_t l = 0; l < levels; ++l) {
        // A little more, so that 16 * 2^(1/2)^2 is 32 and not 31.
        const auto resolution = std::int64_t(std::floor(double(base) * std::pow(growth, double(l)) * (1 + 1e-9)));
        const double corners = std::pow(double(resolution) + 1, 3), most = std::pow(2.0, double(log2Entries));
        const auto entries = std::int64_t(std::min((std::floor((corners + 7) / 8)) * 8, most));
        out.resolutions.push_back(resolution);
        out.offsets.push_back(out.offsets.back() + entries);
    }
    return out;
}

at::Tensor hashEncode(const at::Tensor& positions, const at::Tensor& table, const std::vector<std::int64_t>& resolutions,
                      const std::vector<std::int64_t>& offsets)
{
    return HashEncode::apply(positions, table, resolutions, offsets);
}

}  // namespace orrery::scene
