#include <ATen/ATen.h>

#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>

#include "views.h"

namespace orrery::scene {
namespace {

void checkPair(const at::Tensor& a, const at::Tensor& b)
{
    if (a.sizes() != b.sizes() || a.dim() != 3)
        throw core::ShapeError(fmt::format("expected two pictures [height, width, channel] of one size, got {} and {}",
                                           core::formatShape({a.sizes().data(), a.sizes().size()}),
                                           core::formatShape({b.sizes().data(), b.sizes().size()})));
}

at::Tensor gaussianWindow()
{
    const at::Tensor x = at::arange(11, at::kDouble) - 5;
    const at::Tensor line = (-(x * x) / (2 * 1.5 * 1.5)).exp();
    const at::Tensor square = line.unsqueeze(0) * line.unsqueeze(1);
    return (square / square.sum()).view({1, 1, 11, 11});
}

}  // namespace

double psnr(const at::Tensor& a, const at::Tensor& b)
{
    checkPair(a, b);
    const double error = (a.to(at::kDouble) - b.to(at::kDouble)).square().mean().item<double>();
    return -10 * std::log10(std::max(error, 1e-12));
}

double ssim(const at::Tensor& a, const at::Tensor& b)
{
    checkPair(a, b);
    if (a.size(0) < 11 || a.size(1) < 11)
        throw core::ShapeError(fmt::format("ssim: expected pictures of at least 11 x 11 pixels, got {} x {}", a.size(1), a.size(0)));
    const at::Tensor window = gaussianWindow();
    const auto mean = [&](const at::Tensor& x) { return at::conv2d(x, window); };
    const at::Tensor x = a.to(at::kDouble).permute({2, 0, 1}).unsqueeze(1), y = b.to(at::kDouble).permute({2, 0, 1}).unsqueeze(1);
    const at::Tensor mx = mean(x), my = mean(y), xx = mean(x * x) - mx * mx, yy = mean(y * y) - my * my, xy = mean(x * y) - mx * my;
    constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;
    return (((2 * mx * my + kC1) * (2 * xy + kC2)) / ((mx * mx + my * my + kC1) * (xx + yy + kC2))).mean().item<double>();
}

}  // namespace orrery::scene
