// Binary cross-entropy with logits.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/text.h>

#include "../loss.h"

namespace orrery::train {
namespace {

at::Tensor binaryCrossEntropy(const at::Tensor& output, const at::Tensor& target, std::optional<double> positiveWeight)
{
    const at::Tensor aligned = output.dim() == target.dim() + 1 && output.size(-1) == 1 ? output.squeeze(-1) : output;
    if (aligned.sizes() != target.sizes())
        throw core::ShapeError(fmt::format("binary_cross_entropy: expected one logit a target, got {} logits for {} targets",
                                           core::formatShape(output.sizes()), core::formatShape(target.sizes())));
    c10::optional<at::Tensor> weight;
    if (positiveWeight)
        weight = at::full({1}, *positiveWeight, aligned.options());
    return at::binary_cross_entropy_with_logits(aligned, target.to(aligned.scalar_type()), {}, weight);
}

}  // namespace

void addBinaryCrossEntropy(LossRegistry& registry)
{
    using namespace core;
    registry.add({"binary_cross_entropy",
                  "Binary cross-entropy",
                  "Negative log-likelihood of 0/1 targets under the sigmoid of one logit each, in nats.",
                  "torch.nn.BCEWithLogitsLoss",
                  {real("pos_weight", 1, "Weight of the positive targets").above(0).log().orNone()},
                  {{"output", "any", {"batch", "..."}}, {"target", "any", {"batch", "..."}}},
                  {{"loss", "float", {}}}},
                 [](const Json& settings) {
                     std::optional<double> weight;
                     if (const Json& given = settings.at("pos_weight"); given.is_number() && given.get<double>() != 1)
                         weight = given.get<double>();
                     return Loss{[weight](const at::Tensor& output, const at::Tensor& target) { return binaryCrossEntropy(output, target, weight); },
                                 [](const at::Tensor& output, const at::Tensor&) { return output.numel(); }};
                 });
}

}  // namespace orrery::train
