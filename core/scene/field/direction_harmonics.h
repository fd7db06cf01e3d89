#pragma once
#include <cmath>

#include <core/kernels/both.h>

/// Internal to core/scene/field and core/cuda.
namespace orrery::scene {

/// The sixteen real harmonics up to degree 3, with Condon and Shortley's sign, of a direction of any length but 0.
ORRERY_BOTH inline void directionHarmonics(const float* direction, float* out)
{
    const float* const d = direction;
    const float length = std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]), scale = length > 0 ? 1 / length : 0;
    const float x = d[0] * scale, y = d[1] * scale, z = d[2] * scale;
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

}  // namespace orrery::scene
