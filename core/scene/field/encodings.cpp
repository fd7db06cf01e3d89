// Encodings without weights.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <numbers>

#include "checks.h"
#include "field.h"

namespace orrery::scene {
namespace {

/// The sixteen real harmonics up to degree 3, with Condon and Shortley's sign, of a direction of length 1.
void harmonics(float x, float y, float z, float* out)
{
    const float xx = x * x, yy = y * y, zz = z * z;
    out[0] = 0.28209479177387814f;
    out[1] = -0.48860251190291987f * y;
    out[2] = 0.48860251190291987f * z;
    out[3] = -0.48860251190291987f * x;
    out[4] = 1.0925484305920792f * x * y;
    out[5] = -1.0925484305920792f * y * z;
    out[6] = 0.94617469575755997f * zz - 0.31539156525251999f;
    out[7] = -1.0925484305920792f * x * z;
    out[8] = 0.54627421529603959f * (xx - yy);
    out[9] = 0.59004358992664352f * y * (yy - 3 * xx);
    out[10] = 2.8906114426405538f * x * y * z;
    out[11] = 0.45704579946446572f * y * (1 - 5 * zz);
    out[12] = 0.3731763325901154f * z * (5 * zz - 3);
    out[13] = 0.45704579946446572f * x * (1 - 5 * zz);
    out[14] = 1.4453057213202769f * z * (xx - yy);
    out[15] = 0.59004358992664352f * x * (3 * yy - xx);
}

}  // namespace

at::Tensor directionEncode(const at::Tensor& raysIn)
{
    const at::Tensor rays = floats(raysIn, "direction_encode: rays", {-1, 6});
    at::Tensor out = at::empty({rays.size(0), 16});
    const float* const rows = rays.data_ptr<float>();
    float* const to = out.data_ptr<float>();
    at::parallel_for(0, rays.size(0), 1024, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const float* const d = rows + 6 * r + 3;
            const float length = std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]), scale = length > 0 ? 1 / length : 0;
            harmonics(d[0] * scale, d[1] * scale, d[2] * scale, to + 16 * r);
        }
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
