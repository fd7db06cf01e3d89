// Emission and absorption along rays, forward and backward.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include <core/kernels/parallel.h>

#include "checks.h"
#include "composite_ray.h"
#include "cuda_field.h"
#include "field.h"

namespace orrery::scene {
namespace {

constexpr std::int64_t kGrain = 64;  // rays

void checkStarts(const at::Tensor& starts, std::int64_t samples)
{
    const bool fits = starts.numel() > 0 && starts[0].item<std::int64_t>() == 0 && starts[-1].item<std::int64_t>() == samples &&
                      (starts.numel() == 1 || starts.diff().ge(0).all().item<bool>());
    if (!fits)
        throw core::ShapeError(fmt::format("composite: expected ascending starts of the rays from 0 to the {} samples", samples));
}

RaySamples samplesOf(const at::Tensor& distances, const at::Tensor& lengths, const at::Tensor& starts)
{
    RaySamples samples;
    samples.distances = distances;
    samples.lengths = lengths;
    samples.starts = starts;
    return samples;
}

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
        requireOneDevice("composite", {density, colour, distances, lengths, starts});
        checkStarts(starts, samples);
        if (background.size() != 3)
            throw core::ShapeError(fmt::format("composite: expected a background of 3 values, got {}", background.size()));
        context->saved_data["background"] = background;
        if (density.is_cuda()) {
            const Composited out = cuda_field::compositeForward(density, colour, samplesOf(distances, lengths, starts), background);
            context->save_for_backward({density, colour, distances, lengths, starts, out.weights});
            return {out.colour, out.opacity, out.depth, out.weights};
        }
        const std::int64_t rays = starts.numel() - 1;
        at::Tensor rgb = at::empty({rays, 3}), opacity = at::empty({rays}), depth = at::empty({rays}), weights = at::empty({samples});
        const std::int64_t* const begin = starts.data_ptr<std::int64_t>();
        const float *const s = density.data_ptr<float>(), *const c = colour.data_ptr<float>(), *const t = distances.data_ptr<float>(),
                           *const l = lengths.data_ptr<float>();
        float *const toRgb = rgb.data_ptr<float>(), *const toOpacity = opacity.data_ptr<float>(), *const toDepth = depth.data_ptr<float>(),
                     *const w = weights.data_ptr<float>();
        kernels::parallelFor(0, rays, kGrain, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t r = from; r < to; ++r) {
                const std::int64_t b = begin[r];
                const RayTotals totals = compositeRay(s + b, c + 3 * b, t + b, l + b, begin[r + 1] - b, w + b);
                for (int a = 0; a < 3; ++a)
                    toRgb[3 * r + a] = totals.colour[a] + totals.transmittance * float(background[std::size_t(a)]);
                toOpacity[r] = 1 - totals.transmittance;
                toDepth[r] = totals.depth;
            }
        });
        context->save_for_backward({density, colour, distances, lengths, starts, weights});
        return {rgb, opacity, depth, weights};
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients)
    {
        const auto saved = context->get_saved_variables();
        const auto background = context->saved_data["background"].toDoubleVector();
        const at::Tensor &density = saved[0], &colour = saved[1], &distances = saved[2], &lengths = saved[3], &starts = saved[4], &weights = saved[5];
        const auto given = [](const at::Tensor& gradient) { return gradient.defined() ? gradient.contiguous() : at::Tensor(); };
        const at::Tensor rgb = given(gradients[0]), opacity = given(gradients[1]), depth = given(gradients[2]), perSample = given(gradients[3]);
        if (density.is_cuda()) {
            const auto out = cuda_field::compositeBackward(density, colour, samplesOf(distances, lengths, starts), weights,
                                                           {rgb, opacity, depth, perSample}, background);
            return {out.density, out.colour, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
        }
        at::Tensor densityOut = at::empty_like(density), colourOut = at::empty_like(colour);
        const auto data = [](const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; };
        const float *const gRgb = data(rgb), *const gOpacity = data(opacity), *const gDepth = data(depth), *const gWeights = data(perSample);
        const std::int64_t* const begin = starts.data_ptr<std::int64_t>();
        kernels::parallelFor(0, starts.numel() - 1, kGrain, [&](std::int64_t from, std::int64_t to) {
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
