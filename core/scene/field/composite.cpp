// Emission and absorption along rays, forward and backward.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "checks.h"
#include "field.h"

namespace orrery::scene {
namespace {

constexpr std::int64_t kGrain = 64;  // rays

void checkStarts(const at::Tensor& starts, std::int64_t samples)
{
    const std::int64_t* const begin = starts.data_ptr<std::int64_t>();
    bool fits = starts.numel() > 0 && begin[0] == 0 && begin[starts.numel() - 1] == samples;
    for (std::int64_t r = 1; fits && r < starts.numel(); ++r)
        fits = begin[r] >= begin[r - 1];
    if (!fits)
        throw core::ShapeError(fmt::format("composite: expected ascending starts of the rays from 0 to the {} samples", samples));
}

/// What the backward pass needs of one ray.
struct RayGradients {
    const float *density, *colour, *distance, *length, *weight;  // of the ray's first sample
    float colourGradient[3], opacityGradient, depthGradient, backgroundGradient;
    const float* weightGradient;  // or null
    float *densityOut, *colourOut;
    std::int64_t count;

    float valueOf(std::int64_t i) const
    {
        const float* const c = colour + 3 * i;
        return colourGradient[0] * c[0] + colourGradient[1] * c[1] + colourGradient[2] * c[2] + opacityGradient + depthGradient * distance[i] +
               (weightGradient ? weightGradient[i] : 0.0f);
    }
    // With T_i the transmittance before sample i: d weight_i = length_i T_{i+1}, d weight_j = -length_i weight_j for j > i, and so for the background.
    void run() const
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

class Composite : public torch::autograd::Function<Composite> {
public:
    static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& densityIn, const at::Tensor& colourIn,
                                                  const at::Tensor& distancesIn, const at::Tensor& lengthsIn, const at::Tensor& startsIn,
                                                  const std::vector<double>& background)
    {
        const std::int64_t samples = densityIn.numel();
        const at::Tensor density = floats(densityIn, "composite: density", {samples}), colour = floats(colourIn, "composite: colour", {samples, 3}),
                         distances = floats(distancesIn, "composite: distances", {samples}),
                         lengths = floats(lengthsIn, "composite: lengths", {samples}), starts = integers(startsIn, "composite: starts");
        checkStarts(starts, samples);
        if (background.size() != 3)
            throw core::ShapeError(fmt::format("composite: expected a background of 3 values, got {}", background.size()));
        const std::int64_t rays = starts.numel() - 1;
        at::Tensor rgb = at::empty({rays, 3}), opacity = at::empty({rays}), depth = at::empty({rays}), weights = at::empty({samples});
        const std::int64_t* const begin = starts.data_ptr<std::int64_t>();
        const float *const s = density.data_ptr<float>(), *const c = colour.data_ptr<float>(), *const t = distances.data_ptr<float>(),
                           *const l = lengths.data_ptr<float>();
        float *const toRgb = rgb.data_ptr<float>(), *const toOpacity = opacity.data_ptr<float>(), *const toDepth = depth.data_ptr<float>(),
                     *const w = weights.data_ptr<float>();
        at::parallel_for(0, rays, kGrain, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t r = from; r < to; ++r) {
                float transmittance = 1, sum[3] = {}, mean = 0;
                for (std::int64_t i = begin[r]; i < begin[r + 1]; ++i) {
                    const float passed = std::exp(-s[i] * l[i]);
                    w[i] = transmittance * -std::expm1(-s[i] * l[i]);
                    transmittance *= passed;
                    for (int a = 0; a < 3; ++a)
                        sum[a] += w[i] * c[3 * i + a];
                    mean += w[i] * t[i];
                }
                for (int a = 0; a < 3; ++a)
                    toRgb[3 * r + a] = sum[a] + transmittance * float(background[std::size_t(a)]);
                toOpacity[r] = 1 - transmittance;
                toDepth[r] = mean;
            }
        });
        context->save_for_backward({density, colour, distances, lengths, starts, weights});
        context->saved_data["background"] = background;
        return {rgb, opacity, depth, weights};
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients)
    {
        const auto saved = context->get_saved_variables();
        const auto background = context->saved_data["background"].toDoubleVector();
        const at::Tensor &density = saved[0], &colour = saved[1], &distances = saved[2], &lengths = saved[3], &starts = saved[4], &weights = saved[5];
        at::Tensor densityOut = at::empty_like(density), colourOut = at::empty_like(colour);
        const auto given = [](const at::Tensor& gradient) { return gradient.defined() ? gradient.contiguous() : at::Tensor(); };
        const at::Tensor rgb = given(gradients[0]), opacity = given(gradients[1]), depth = given(gradients[2]), perSample = given(gradients[3]);
        const auto data = [](const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; };
        const float *const gRgb = data(rgb), *const gOpacity = data(opacity), *const gDepth = data(depth), *const gWeights = data(perSample);
        const std::int64_t* const begin = starts.data_ptr<std::int64_t>();
        at::parallel_for(0, starts.numel() - 1, kGrain, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t r = from; r < to; ++r) {
                const std::int64_t b = begin[r];
                RayGradients ray{density.data_ptr<float>() + b,
                                 colour.data_ptr<float>() + 3 * b,
                                 distances.data_ptr<float>() + b,
                                 lengths.data_ptr<float>() + b,
                                 weights.data_ptr<float>() + b,
                                 {},
                                 gOpacity ? gOpacity[r] : 0.0f,
                                 gDepth ? gDepth[r] : 0.0f,
                                 0.0f,
                                 gWeights ? gWeights + b : nullptr,
                                 densityOut.data_ptr<float>() + b,
                                 colourOut.data_ptr<float>() + 3 * b,
                                 begin[r + 1] - b};
                for (int a = 0; gRgb && a < 3; ++a) {
                    ray.colourGradient[a] = gRgb[3 * r + a];
                    ray.backgroundGradient += gRgb[3 * r + a] * float(background[std::size_t(a)]);
                }
                ray.run();
            }
        });
        return {densityOut, colourOut, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    }
};

}  // namespace

Composited composite(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const std::vector<double>& background)
{
    const auto out = Composite::apply(density, colour, samples.distances, samples.lengths, samples.starts, background);
    return {out[0], out[1], out[2], out[3]};
}

}  // namespace orrery::scene
