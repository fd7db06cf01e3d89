// Stochastic gradient descent.

#include <ATen/ATen.h>

#include "../fused.h"

namespace orrery::train {
namespace {

// Coefficients: 0 gradient scale, 1 learning rate, 2 weight decay, 3 momentum, 4 one minus dampening (1 in the first step, where the buffer is the gradient), 5 Nesterov.
struct SgdRule {
    template <class T, class C>
    ORRERY_INLINE static void apply(const T& span, const C& c)
    {
        using V = std::remove_reference_t<decltype(*span.value)>;
        V* const value = span.value;
        const V* const gradient = span.gradient;
        V* const buffer = span.slots[0];
        const V scale = V(c[0]), rate = V(-c[1]), decay = V(c[2]), momentum = V(c[3]), keep = V(c[4]), lookahead = c[5] != 0 ? V(c[3]) : V(0),
                direct = V(c[5]);
        if (!buffer) {
            for (std::int64_t i = 0; i < span.count; ++i)
                value[i] += rate * (gradient[i] * scale + decay * value[i]);
            return;
        }
        for (std::int64_t i = 0; i < span.count; ++i) {
            const V g = gradient[i] * scale + decay * value[i];
            const V b = momentum * buffer[i] + keep * g;
            buffer[i] = b;
            value[i] += rate * (direct != 0 ? g + lookahead * b : b);
        }
    }
};

class Sgd final : public SlotOptimizer {
public:
    Sgd(std::vector<Trainable> parameters, const core::Json& settings)
        : SlotOptimizer(std::move(parameters),
                        settings.at("momentum").get<double>() != 0 ? std::vector<std::string>{"momentum_buffer"} : std::vector<std::string>{}),
          m_momentum(settings.at("momentum")), m_dampening(settings.at("dampening")), m_decay(settings.at("weight_decay")),
          m_nesterov(settings.at("nesterov"))
    {
        if (m_nesterov && (m_momentum <= 0 || m_dampening != 0))
            throw core::InputError("sgd: expected momentum > 0 and dampening 0 with nesterov");
    }

protected:
    Coefficients coefficients(std::int64_t count, double learningRate, double decayShare) const override
    {
        return {1, learningRate, m_decay * decayShare, m_momentum, count == 1 ? 1 : 1 - m_dampening, m_nesterov ? 1.0 : 0.0};
    }
    void update(const Span<float>& span, const Coefficients& c) const override { runElementwise<SgdRule>(span, c); }
    void update(const Span<double>& span, const Coefficients& c) const override { runElementwise<SgdRule>(span, c); }
    void updateByOperators(at::Tensor& value, at::Tensor gradient, std::span<at::Tensor> slots, const Coefficients& c) const override
    {
        if (c[2] != 0)
            gradient = gradient.add(value, c[2]);
        if (!slots.empty()) {
            slots[0].mul_(c[3]).add_(gradient, c[4]);
            gradient = m_nesterov ? gradient.add(slots[0], c[3]) : slots[0];
        }
        value.add_(gradient, -c[1]);
    }

private:
    double m_momentum, m_dampening, m_decay;
    bool m_nesterov;
};

}  // namespace

void addSgd(OptimizerRegistry& registry)
{
    using namespace core;
    registry.add({"sgd",
                  "SGD",
                  "Stochastic gradient descent with momentum, optionally Nesterov's, as torch.optim.SGD computes it.",
                  "Sutskever et al. (2013), \"On the importance of initialization and momentum in deep learning\", ICML",
                  {real("lr", 1e-3, "Learning rate").above(0).log(), real("momentum", 0, "Momentum factor").range(0, 1),
                   real("dampening", 0, "Dampening of momentum").range(0, 1), real("weight_decay", 0, "L2 penalty added to the gradient").atLeast(0),
                   boolean("nesterov", false, "Nesterov's momentum")},
                  {},
                  {}},
                 [](std::vector<Trainable> parameters, const Json& settings) { return std::make_unique<Sgd>(std::move(parameters), settings); });
}

}  // namespace orrery::train
