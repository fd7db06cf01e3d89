// What splats are trained by: absolute differences and structural similarity of whole pictures.

#include <ATen/ATen.h>
#include <cmath>
#include <fmt/format.h>

#include <core/base/text.h>

#include "../loss.h"

namespace orrery::train {
namespace {

constexpr std::int64_t kWindow = 11;
constexpr double kSigma = 1.5, kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;

/// Weights of the window along one axis, for each of three channels.
at::Tensor windowWeights(const at::Tensor& like)
{
    const at::Tensor offset = at::arange(kWindow, like.options()) - double(kWindow / 2), weights = (offset * offset / (-2 * kSigma * kSigma)).exp();
    return (weights / weights.sum()).repeat({3, 1, 1, 1});
}

/// Weighted means around each pixel; zeros lie beyond the edges.
at::Tensor blurred(const at::Tensor& x, const at::Tensor& weights)
{
    const at::Tensor rows = at::conv2d(x, weights, {}, 1, at::IntArrayRef{0, kWindow / 2}, 1, 3);
    return at::conv2d(rows, weights.transpose(2, 3), {}, 1, at::IntArrayRef{kWindow / 2, 0}, 1, 3);
}

at::Tensor meanSimilarity(const at::Tensor& a, const at::Tensor& b)
{
    const at::Tensor weights = windowWeights(a);
    const at::Tensor meanA = blurred(a, weights), meanB = blurred(b, weights);
    const at::Tensor varianceA = blurred(a * a, weights) - meanA * meanA, varianceB = blurred(b * b, weights) - meanB * meanB,
                     covariance = blurred(a * b, weights) - meanA * meanB;
    return ((2 * meanA * meanB + kC1) * (2 * covariance + kC2) / ((meanA * meanA + meanB * meanB + kC1) * (varianceA + varianceB + kC2))).mean();
}

at::Tensor pictureLoss(const at::Tensor& output, const at::Tensor& target, double weight)
{
    if (output.dim() != 4 || output.size(3) != 3 || output.sizes() != target.sizes())
        throw core::ShapeError(fmt::format("l1_ssim: expected two pictures [batch, height, width, 3], got {} and {}",
                                           core::formatShape(output.sizes()), core::formatShape(target.sizes())));
    const at::Tensor other = target.to(output.scalar_type()), difference = (output - other).abs().mean();
    if (weight == 0)
        return difference;
    const at::Tensor similarity = meanSimilarity(output.permute({0, 3, 1, 2}), other.permute({0, 3, 1, 2}));
    return (1 - weight) * difference + weight * (1 - similarity);
}

}  // namespace

void addL1Ssim(LossRegistry& registry)
{
    registry.add({"l1_ssim",
                  "Absolute error and structural similarity",
                  "(1 - w) times the mean absolute error of pictures plus w times (1 - their structural similarity).",
                  "Kerbl et al. (2023), arXiv:2308.04079, equation 7; Wang et al. (2004), \"Image Quality Assessment\", doi:10.1109/TIP.2003.819861",
                  {core::real("ssim_weight", 0.2, "Weight w of the similarity").range(0, 1)},
                  {{"output", "any", {"batch", "height", "width", "channel"}}, {"target", "float", {"batch", "height", "width", "channel"}}},
                  {{"loss", "float", {}}}},
                 [](const core::Json& settings) {
                     const double weight = settings.at("ssim_weight");
                     return Loss{[weight](const at::Tensor& output, const at::Tensor& target) { return pictureLoss(output, target, weight); },
                                 [](const at::Tensor& output, const at::Tensor&) { return output.numel(); }};
                 });
}

}  // namespace orrery::train
