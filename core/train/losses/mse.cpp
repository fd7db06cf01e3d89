// Mean squared error.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/text.h>

#include "../loss.h"

namespace orrery::train {
namespace {

// A model with one output gives [batch, 1]; its target may be [batch]. Broadcasting the two would compare every row with every other.
at::Tensor meanSquaredError(const at::Tensor& output, const at::Tensor& target)
{
    const at::Tensor aligned = output.dim() == target.dim() + 1 && output.size(-1) == 1 ? output.squeeze(-1) : output;
    if (aligned.sizes() != target.sizes())
        throw core::ShapeError(fmt::format("mse: expected output and target of one shape, got {} and {}", core::formatShape(output.sizes()),
                                           core::formatShape(target.sizes())));
    return at::mse_loss(aligned, target.to(aligned.scalar_type()));
}

}  // namespace

void addMse(LossRegistry& registry)
{
    registry.add({"mse",
                  "Mean squared error",
                  "Mean over all outputs of the squared difference from the target.",
                  "torch.nn.MSELoss",
                  {},
                  {{"output", "any", {"batch", "..."}}, {"target", "float", {"batch", "..."}}},
                  {{"loss", "float", {}}}},
                 [](const core::Json&) {
                     return Loss{meanSquaredError, [](const at::Tensor& output, const at::Tensor&) { return output.numel(); }};
                 });
}

}  // namespace orrery::train
