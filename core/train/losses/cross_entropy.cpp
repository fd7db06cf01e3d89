// Cross-entropy over classes.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/data/dataset.h>

#include "../loss.h"

namespace orrery::train {
namespace {

// The class axis is the last one, for sequences too: [batch, sequence, class] is a list of batch * sequence rows.
at::Tensor crossEntropy(const at::Tensor& output, const at::Tensor& target, double smoothing)
{
    if (output.dim() < 2 || target.sizes() != output.sizes().slice(0, std::size_t(output.dim() - 1)))
        throw core::ShapeError(fmt::format("cross_entropy: expected output [..., class] and target [...], got {} and {}",
                                           core::formatShape(output.sizes()), core::formatShape(target.sizes())));
    return at::cross_entropy_loss(output.dim() == 2 ? output : output.reshape({-1, output.size(-1)}), target.reshape({-1}), {}, at::Reduction::Mean,
                                  data::kIgnoredTarget, smoothing);
}

}  // namespace

void addCrossEntropy(LossRegistry& registry)
{
    using namespace core;
    registry.add({"cross_entropy",
                  "Cross-entropy",
                  "Negative log-likelihood of the right class under the softmax of the logits, in nats; the class axis is the last one.",
                  "Bridle (1990), doi:10.1007/978-3-642-76153-9_28; label smoothing: Szegedy et al. (2016), arXiv:1512.00567, section 7",
                  {real("label_smoothing", 0, "Share of the target that is spread over all classes").range(0, 1)},
                  {{"output", "logits", {"batch", "...", "class"}}, {"target", "class_index", {"batch", "..."}}},
                  {{"loss", "float", {}}}},
                 [](const Json& settings) {
                     return Loss{
                         [smoothing = settings.at("label_smoothing").get<double>()](const at::Tensor& output, const at::Tensor& target) {
                             return crossEntropy(output, target, smoothing);
                         },
                         [](const at::Tensor&, const at::Tensor& target) { return target.ne(data::kIgnoredTarget).sum().item<std::int64_t>(); }};
                 });
}

}  // namespace orrery::train
