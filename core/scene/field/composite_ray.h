#pragma once
#include <cmath>
#include <cstdint>

#include <core/kernels/both.h>

/// Internal to core/scene/field and core/cuda: emission and absorption along one ray.
namespace orrery::scene {

struct RayTotals {
    float colour[3] = {0, 0, 0}, transmittance = 1, depth = 0;  ///< without background
};

/// One ray from front to back. @param weight  Gets the samples' weights.
ORRERY_BOTH inline RayTotals compositeRay(const float* density, const float* colour, const float* distance, const float* length, std::int64_t count,
                                          float* weight)
{
    RayTotals out;
    for (std::int64_t i = 0; i < count; ++i) {
        const float passed = std::exp(-density[i] * length[i]);
        weight[i] = out.transmittance * -std::expm1(-density[i] * length[i]);
        out.transmittance *= passed;
        for (int a = 0; a < 3; ++a)
            out.colour[a] += weight[i] * colour[3 * i + a];
        out.depth += weight[i] * distance[i];
    }
    return out;
}

/// What the backward pass needs of one ray.
struct RayGradients {
    const float *density, *colour, *distance, *length, *weight;  // of the ray's first sample
    float colourGradient[3], opacityGradient, depthGradient, backgroundGradient;
    const float* weightGradient;  // or null
    float *densityOut, *colourOut;
    std::int64_t count;

    ORRERY_BOTH float valueOf(std::int64_t i) const
    {
        const float* const c = colour + 3 * i;
        return colourGradient[0] * c[0] + colourGradient[1] * c[1] + colourGradient[2] * c[2] + opacityGradient + depthGradient * distance[i] +
               (weightGradient ? weightGradient[i] : 0.0f);
    }
    // With T_i the transmittance before sample i: d weight_i = length_i T_{i+1}, d weight_j = -length_i weight_j for j > i, and so for the background.
    ORRERY_BOTH void run() const
    {
        double optical = 0;
        for (std::int64_t i = 0; i < count; ++i)
            optical += double(density[i]) * double(length[i]);
        float behind = float(std::exp(-optical)) * backgroundGradient;
        for (std::int64_t i = count; i-- > 0;) {
            const float transmittance = float(std::exp(-optical));  // behind sample i
            const float value = valueOf(i);
            densityOut[i] = length[i] * (transmittance * value - behind);
            behind += weight[i] * value;
            optical -= double(density[i]) * double(length[i]);
            for (int c = 0; c < 3; ++c)
                colourOut[3 * i + c] = weight[i] * colourGradient[c];
        }
    }
};

}  // namespace orrery::scene
