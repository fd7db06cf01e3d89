// RMSprop.

#include <ATen/ATen.h>
#include <cmath>

#include "../fused.h"

namespace orrery::train {
namespace {

// Coefficients: 0 gradient scale, 1 learning rate, 2 weight decay, 3 alpha, 4 epsilon, 5 momentum, 6 momentum in use, 7 centred.
// Slots: square_avg, then momentum_buffer and grad_avg where they are in use.
struct RmspropRule {
    template <class T, class C>
    ORRERY_INLINE static void apply(const T& span, const C& c)
    {
        using V = std::remove_reference_t<decltype(*span.value)>;
        V* const value = span.value;
        V* const square = span.slots[0];
        V* const buffer = c[6] != 0 ? span.slots[1] : nullptr;
        V* const mean = c[7] != 0 ? span.slots[c[6] != 0 ? 2 : 1] : nullptr;
        const V scale = V(c[0]), rate = V(-c[1]), decay = V(c[2]), alpha = V(c[3]), rest = V(1 - c[3]), epsilon = V(c[4]), momentum = V(c[5]);
        for (std::int64_t i = 0; i < span.count; ++i) {
            const V g = span.gradient[i] * scale + decay * value[i];
            square[i] = square[i] * alpha + rest * g * g;
            V variance = square[i];
            if (mean) {
                mean[i] = mean[i] * alpha + rest * g;
                variance -= mean[i] * mean[i];
            }
            const V root = std::sqrt(variance) + epsilon;
            if (buffer) {
                buffer[i] = buffer[i] * momentum + g / root;
                value[i] += rate * buffer[i];
            } else {
                value[i] += rate * g / root;
            }
        }
    }
};

std::vector<std::string> slotsOf(const core::Json& settings)
{
    std::vector<std::string> slots{"square_avg"};
    if (settings.at("momentum").get<double>() > 0)
        slots.push_back("momentum_buffer");
    if (settings.at("centered").get<bool>())
        slots.push_back("grad_avg");
    return slots;
}

class Rmsprop final : public SlotOptimizer {
public:
    Rmsprop(std::vector<Trainable> parameters, const core::Json& settings)
        : SlotOptimizer(std::move(parameters), slotsOf(settings)), m_alpha(settings.at("alpha")), m_epsilon(settings.at("eps")),
          m_decay(settings.at("weight_decay")), m_momentum(settings.at("momentum")), m_centered(settings.at("centered"))
    {
    }

protected:
    Coefficients coefficients(std::int64_t, double learningRate, double decayShare) const override
    {
        return {1, learningRate, m_decay * decayShare, m_alpha, m_epsilon, m_momentum, m_momentum > 0 ? 1.0 : 0.0, m_centered ? 1.0 : 0.0};
    }
    void update(const Span<float>& span, const Coefficients& c) const override { runElementwise<RmspropRule>(span, c); }
    void update(const Span<double>& span, const Coefficients& c) const override { runElementwise<RmspropRule>(span, c); }
    void updateByOperators(at::Tensor& value, at::Tensor gradient, std::span<at::Tensor> slots, const Coefficients& c) const override
    {
        if (c[2] != 0)
            gradient = gradient.add(value, c[2]);
        slots[0].mul_(c[3]).addcmul_(gradient, gradient, 1 - c[3]);
        at::Tensor root;
        if (m_centered) {
            at::Tensor& mean = slots.back();
            mean.mul_(c[3]).add_(gradient, 1 - c[3]);
            root = slots[0].addcmul(mean, mean, -1).sqrt_().add_(c[4]);
        } else {
            root = slots[0].sqrt().add_(c[4]);
        }
        if (m_momentum > 0)
            value.add_(slots[1].mul_(c[5]).addcdiv_(gradient, root), -c[1]);
        else
            value.addcdiv_(gradient, root, -c[1]);
    }

private:
    double m_alpha, m_epsilon, m_decay, m_momentum;
    bool m_centered;
};

}  // namespace

void addRmsprop(OptimizerRegistry& registry)
{
    using namespace core;
    registry.add({"rmsprop",
                  "RMSprop",
                  "Gradients divided by a running root mean square, as torch.optim.RMSprop computes it.",
                  "Tieleman & Hinton (2012), \"Lecture 6.5: rmsprop\", COURSERA: Neural Networks for Machine Learning; centred: Graves (2013), "
                  "arXiv:1308.0850, eq. 38-45",
                  {real("lr", 1e-2, "Learning rate").above(0).log(), real("alpha", 0.99, "Decay rate of the running average").range(0, 1),
                   real("eps", 1e-8, "Added to the denominator").atLeast(0).log(),
                   real("weight_decay", 0, "L2 penalty added to the gradient").atLeast(0), real("momentum", 0, "Momentum factor").range(0, 1),
                   boolean("centered", false, "Divide by the standard deviation instead of the root mean square")},
                  {},
                  {}},
                 [](std::vector<Trainable> parameters, const Json& settings) { return std::make_unique<Rmsprop>(std::move(parameters), settings); });
}

}  // namespace orrery::train
