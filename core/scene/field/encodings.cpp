// Encodings without weights.
#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include <core/kernels/parallel.h>

#include "checks.h"
#include "cuda_field.h"
#include "direction_harmonics.h"
#include "field.h"

namespace orrery::scene {

at::Tensor directionEncode(const at::Tensor& raysIn)
{
    const at::Tensor rays = floats(raysIn, "direction_encode: rays", {-1, 6});
    if (rays.is_cuda())
        return cuda_field::directionEncode(rays);
    at::Tensor out = at::empty({rays.size(0), 16});
    const float* const rows = rays.data_ptr<float>();
    float* const to = out.data_ptr<float>();
    kernels::parallelFor(0, rays.size(0), 1024, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r)
            directionHarmonics(rows + 6 * r + 3, to + 16 * r);
    });
    return out;
}

at::Tensor frequencyEncode(const at::Tensor& x, std::int64_t levels)
{
    if (levels < 0 || levels > 32)
        throw core::ShapeError(fmt::format("frequency_encode: expected 0 to 32 levels, got {}", levels));
    std::vector<at::Tensor> parts{x};
    for (std::int64_t l = 0; l < levels; ++l) {
        const at::Tensor angle = x * (std::numbers::pi * std::exp2(double(l)));
        parts.push_back(angle.sin());
        parts.push_back(angle.cos());
    }
    return at::cat(parts, -1);
}

}  // namespace orrery::scene
