// Adam, and what AdamW shares with it.

#include <cmath>

#include "adam_rule.h"

namespace orrery::train {

AdamBase::AdamBase(std::vector<Trainable> parameters, const core::Json& settings)
    : SlotOptimizer(std::move(parameters), settings.at("amsgrad").get<bool>() ? std::vector<std::string>{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
                                                                              : std::vector<std::string>{"exp_avg", "exp_avg_sq"}),
      m_beta1(settings.at("betas").at(0)), m_beta2(settings.at("betas").at(1)), m_epsilon(settings.at("eps")), m_decay(settings.at("weight_decay"))
{
}

SlotOptimizer::Coefficients AdamBase::coefficients(std::int64_t count, double learningRate, double decayShare) const
{
    Coefficients c{
        1, 0, 1, m_beta1, m_beta2, learningRate / (1 - std::pow(m_beta1, double(count))), std::sqrt(1 - std::pow(m_beta2, double(count))), m_epsilon};
    setDecay(c, learningRate, m_decay * decayShare);
    return c;
}

void AdamBase::update(const Span<float>& span, const Coefficients& c) const
{
    runElementwise<AdamRule>(span, c);
}

void AdamBase::update(const Span<double>& span, const Coefficients& c) const
{
    runElementwise<AdamRule>(span, c);
}

void AdamBase::updateByOperators(at::Tensor& value, at::Tensor gradient, std::span<at::Tensor> slots, const Coefficients& c) const
{
    if (c[2] != 1)
        value.mul_(c[2]);
    if (c[1] != 0)
        gradient = gradient.add(value, c[1]);
    slots[0].mul_(c[3]).add_(gradient, 1 - c[3]);
    slots[1].mul_(c[4]).addcmul_(gradient, gradient, 1 - c[4]);
    if (slots.size() > 2)
        at::maximum_out(slots[2], slots[1], slots[2]);
    const at::Tensor denominator = (slots.back().sqrt() / c[6]).add_(c[7]);
    value.addcdiv_(slots[0], denominator, -c[5]);
}

core::Schema adamSchema(double weightDecay, const char* decayHelp)
{
    using namespace core;
    return {real("lr", 1e-3, "Learning rate").above(0).log(),
            list("betas", real("", 0, "").atLeast(0).below(1), Json{0.9, 0.999}, "Decay rates of the running averages of the gradient and its square")
                .range(2, 2),
            real("eps", 1e-8, "Added to the denominator").atLeast(0).log(), real("weight_decay", weightDecay, decayHelp).atLeast(0),
            boolean("amsgrad", false, "Keep the maximum of all squares (Reddi et al., 2018)")};
}

namespace {

class Adam final : public AdamBase {
public:
    using AdamBase::AdamBase;

protected:
    void setDecay(Coefficients& c, double, double decay) const override { c[1] = decay; }
};

}  // namespace

void addAdam(OptimizerRegistry& registry)
{
    registry.add(
        {"adam",
         "Adam",
         "Adaptive moment estimation with bias correction; weight decay is an L2 penalty, as in torch.optim.Adam.",
         "Kingma & Ba (2015), \"Adam: A Method for Stochastic Optimization\", arXiv:1412.6980, algorithm 1",
         adamSchema(0, "L2 penalty added to the gradient"),
         {},
         {}},
        [](std::vector<Trainable> parameters, const core::Json& settings) { return std::make_unique<Adam>(std::move(parameters), settings); });
}

}  // namespace orrery::train
