// Adam with decoupled weight decay.

#include "adam_rule.h"

namespace orrery::train {
namespace {

class AdamW final : public AdamBase {
public:
    using AdamBase::AdamBase;

protected:
    void setDecay(Coefficients& c, double learningRate, double decay) const override { c[2] = 1 - learningRate * decay; }
};

}  // namespace

void addAdamW(OptimizerRegistry& registry)
{
    registry.add(
        {"adamw",
         "AdamW",
         "Adam whose weight decay shrinks the weights directly, as in torch.optim.AdamW.",
         "Loshchilov & Hutter (2019), \"Decoupled Weight Decay Regularization\", arXiv:1711.05101, algorithm 2",
         adamSchema(1e-2, "Each step multiplies the weights by 1 - lr * weight_decay"),
         {},
         {}},
        [](std::vector<Trainable> parameters, const core::Json& settings) { return std::make_unique<AdamW>(std::move(parameters), settings); });
}

}  // namespace orrery::train
