// The error of rendered colours, reported as a peak signal-to-noise ratio, too.

#include <ATen/ATen.h>
#include <cmath>
#include <fmt/format.h>

#include <core/base/text.h>

#include "../loss.h"

namespace orrery::train {
namespace {

at::Tensor meanSquare(const at::Tensor& output, const at::Tensor& target)
{
    if (output.sizes() != target.sizes())
        throw core::ShapeError(fmt::format("photometric: expected colours and target of one shape, got {} and {}", core::formatShape(output.sizes()),
                                           core::formatShape(target.sizes())));
    return at::mse_loss(output, target.to(output.scalar_type()));
}

}  // namespace

void addPhotometric(LossRegistry& registry)
{
    registry.add({"photometric",
                  "Photometric error",
                  "Mean squared error of colours between 0 and 1; training reports it as a peak signal-to-noise ratio in decibels, too.",
                  "Mildenhall et al. (2020), \"NeRF\", arXiv:2003.08934, equation 6 (the mean instead of the sum)",
                  {},
                  {{"output", "any", {"batch", "..."}}, {"target", "float", {"batch", "..."}}},
                  {{"loss", "float", {}}}},
                 [](const core::Json&) {
                     return Loss{meanSquare, [](const at::Tensor& output, const at::Tensor&) { return output.numel(); },
                                 [](double mean) {
                                     return std::vector<std::pair<std::string, double>>{{"psnr", -10 * std::log10(std::max(mean, 1e-12))}};
                                 }};
                 });
}

}  // namespace orrery::train
