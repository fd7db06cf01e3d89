#pragma once
#include <ATen/ATen.h>

#include "../fused.h"

namespace orrery::train {

/// What Adam and AdamW share; they differ in where weight decay enters.
/// Coefficients: 0 gradient scale, 1 L2 penalty (Adam), 2 factor of the old value (AdamW: 1 - lr * decay), 3 beta1, 4 beta2, 5 step size lr / (1 - beta1^t),
/// 6 sqrt(1 - beta2^t), 7 epsilon. The order of operations is torch.optim's.
struct AdamRule {
    template <class T, class C>
    ORRERY_INLINE static void apply(const T& span, const C& c)
    {
        using V = std::remove_reference_t<decltype(*span.value)>;
        V* __restrict const value = span.value;
        const V* __restrict const gradient = span.gradient;
        V* __restrict const mean = span.slots[0];
        V* __restrict const square = span.slots[1];
        V* __restrict const maximum = span.slots[2];
        const V scale = V(c[0]), penalty = V(c[1]), keep = V(c[2]), beta1 = V(c[3]), beta2 = V(c[4]), rate = V(-c[5]), correction = V(c[6]),
                epsilon = V(c[7]);
        const V rest1 = V(1 - c[3]), rest2 = V(1 - c[4]);
        if (maximum) {
            for (std::int64_t i = 0; i < span.count; ++i) {
                const V g = gradient[i] * scale + penalty * value[i];
                mean[i] = mean[i] * beta1 + rest1 * g;
                square[i] = square[i] * beta2 + rest2 * g * g;
                maximum[i] = maximum[i] < square[i] ? square[i] : maximum[i];
                value[i] = value[i] * keep + rate * mean[i] / (std::sqrt(maximum[i]) / correction + epsilon);
            }
            return;
        }
        for (std::int64_t i = 0; i < span.count; ++i) {
            const V g = gradient[i] * scale + penalty * value[i];
            const V m = mean[i] * beta1 + rest1 * g;
            const V s = square[i] * beta2 + rest2 * g * g;
            mean[i] = m;
            square[i] = s;
            value[i] = value[i] * keep + rate * m / (std::sqrt(s) / correction + epsilon);
        }
    }
};

class AdamBase : public SlotOptimizer {
public:
    AdamBase(std::vector<Trainable> parameters, const core::Json& settings);

protected:
    Coefficients coefficients(std::int64_t count, double learningRate, double decayShare) const override;
    void update(const Span<float>& span, const Coefficients& c) const override;
    void update(const Span<double>& span, const Coefficients& c) const override;
    void updateByOperators(at::Tensor& value, at::Tensor gradient, std::span<at::Tensor> slots, const Coefficients& c) const override;
    /// Puts the decay into coefficient 1 or 2.
    virtual void setDecay(Coefficients& c, double learningRate, double decay) const = 0;

private:
    double m_beta1, m_beta2, m_epsilon, m_decay;
};

/// lr, betas, eps, weight_decay, amsgrad with PyTorch's names and defaults.
core::Schema adamSchema(double weightDecay, const char* decayHelp);

}  // namespace orrery::train
