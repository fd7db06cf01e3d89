// Binary cross-entropy of labels that are not all known.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/data/label_tables.h>

#include "../loss.h"

namespace orrery::train {
namespace {

// Missing targets are taken out before anything is computed: a product with zero would turn an infinite loss into NaN.
at::Tensor maskedBinaryCrossEntropy(const at::Tensor& output, const at::Tensor& target, double positiveWeight)
{
    if (output.sizes() != target.sizes())
        throw core::ShapeError(fmt::format("masked_binary_cross_entropy: expected one logit a label, got {} logits for {} labels",
                                           core::formatShape(output.sizes()), core::formatShape(target.sizes())));
    const at::Tensor known = target.isnan().logical_not(), logits = output.masked_select(known),
                     labels = target.masked_select(known).to(output.scalar_type());
    c10::optional<at::Tensor> weight;
    if (positiveWeight != 1)
        weight = at::full({1}, positiveWeight, logits.options());
    // A sum over nothing is 0 and has a gradient (of zeros), a mean has not.
    return at::binary_cross_entropy_with_logits(logits, labels, {}, weight, at::Reduction::Sum) / std::max<std::int64_t>(1, logits.numel());
}

}  // namespace

void addMaskedBinaryCrossEntropy(LossRegistry& registry)
{
    using namespace core;
    registry.add({"masked_binary_cross_entropy",
                  "Binary cross-entropy, missing labels left out",
                  "Mean negative log-likelihood, in nats, of the labels that are known; one that is missing (NaN) gives neither loss nor gradient.",
                  "Cohen et al. (2022), \"TorchXRayVision\", arXiv:2111.00595, section 3 (the mean over labels instead of the sum of means)",
                  {real("pos_weight", 1, "Weight of the labels that are present.").above(0).log()},
                  {{"output", "any", {"batch", "..."}}, {"target", std::string(data::kLabelsKind), {"batch", "..."}}},
                  {{"loss", "float", {}}}},
                 [](const Json& settings) {
                     const double weight = settings.at("pos_weight");
                     return Loss{
                         [weight](const at::Tensor& output, const at::Tensor& target) { return maskedBinaryCrossEntropy(output, target, weight); },
                         [](const at::Tensor&, const at::Tensor& target) { return target.isnan().logical_not().sum().item<std::int64_t>(); }};
                 });
}

}  // namespace orrery::train
