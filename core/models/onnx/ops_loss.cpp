// Losses, as exported training graphs hold them.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace losses {

constexpr std::int64_t kNoIndex = -100;  // libtorch's own: matches no class

std::int64_t reduction(Call& c)
{
    const auto name = c.text("reduction", "mean");
    return name == "none" ? 0 : name == "mean" ? 1 : 2;
}

Term loss(Call& c, const Term& logProbabilities)
{
    const Term target = c.in(1).dtype == at::kLong ? c.in(1) : c.emit("aten::to.dtype", {c.in(1), at::kLong, false, false});
    return c.emit("aten::nll_loss_nd", {logProbabilities, target, c.optional(2), reduction(c), c.integer("ignore_index", kNoIndex)});
}

void negativeLogLikelihood(Call& c)
{
    Term result = loss(c, c.in(0));
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void softmaxCrossEntropy(Call& c)
{
    const Term logProbabilities = c.emit("aten::log_softmax.int", {c.in(0), 1, nullptr});
    Term result = loss(c, logProbabilities);
    result.dtype = c.in(0).dtype;
    c.out(0, result);
    c.out(1, logProbabilities);
}

}  // namespace losses

std::span<const Entry> lossOperators()
{
    using namespace losses;
    static const Entry kEntries[] = {{"NegativeLogLikelihoodLoss", negativeLogLikelihood}, {"SoftmaxCrossEntropyLoss", softmaxCrossEntropy}};
    return kEntries;
}

}  // namespace orrery::models::onnx
