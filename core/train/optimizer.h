#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <core/base/registry.h>

namespace orrery::train {

/// A leaf tensor that an optimizer changes in place. `decay` false: weight decay is 0 for it. `rate` multiplies the learning rate; the decay is divided by it, so
/// that learning rate times decay is the same for all tensors (as a parametrisation of the width asks for, core/zoo/parametrisation.h).
struct Trainable {
    std::string name;
    at::Tensor tensor;
    bool decay = true;
    double rate = 1;
};

/// First-order optimizer. One update costs one pass over the parameters: on the CPU a fused loop over chunks of all tensors (float32 and float64), elsewhere
/// libtorch's in-place operators in torch.optim's order. Not thread-safe; parallel over the calling thread's at::get_num_threads().
class Optimizer {
public:
    virtual ~Optimizer() = default;

    /// One update in place. @param gradients  One a parameter; an undefined one leaves its parameter and state untouched (as torch.optim does).
    /// @param learningRate   Of this step: schedules live outside. @param gradientScale  Every gradient is multiplied by it first (clipping, accumulation).
    /// @throws core::ShapeError if the number of gradients or a shape differs.
    virtual void step(std::span<const at::Tensor> gradients, double learningRate, double gradientScale = 1.0) = 0;
    /// State by name ("exp_avg/fc1.weight", "step"): aliases, to be copied or saved before the next step.
    virtual std::map<std::string, at::Tensor> state() const = 0;
    /// Continues from a saved state; tensors are copied. @throws core::FormatError naming a missing, unexpected or ill-shaped tensor.
    virtual void restore(const std::map<std::string, at::Tensor>& state) = 0;
    /// false: libtorch's operators everywhere, equal to torch::optim to the last bit (for tests and comparisons).
    virtual void useFused(bool fused) = 0;
};

using OptimizerFactory = std::function<std::unique_ptr<Optimizer>(std::vector<Trainable>, const core::Json& settings)>;
using OptimizerRegistry = core::Registry<OptimizerFactory>;

/// Keeps the slots (one tensor a parameter and kind of state), step counts and the parallel loop; a concrete optimizer only says how one element changes.
class SlotOptimizer : public Optimizer {
public:
    void step(std::span<const at::Tensor> gradients, double learningRate, double gradientScale) override;
    std::map<std::string, at::Tensor> state() const override;
    void restore(const std::map<std::string, at::Tensor>& state) override;
    void useFused(bool fused) override { m_fused = fused; }

protected:
    static constexpr std::size_t kMaxSlots = 3;
    using Coefficients = std::array<double, 8>;
    /// A run of elements of one parameter, as raw memory of type T.
    template <class T>
    struct Span {
        T* value;
        const T* gradient;
        std::array<T*, kMaxSlots> slots;
        std::int64_t count;
    };

    SlotOptimizer(std::vector<Trainable> parameters, std::vector<std::string> slotNames);
    /// Numbers of this step that all elements of a parameter share. `count` is the parameter's own step number, from 1. Element 0 is the gradient scale.
    /// `decayShare` multiplies the weight decay: 0 for a tensor that does not decay.
    virtual Coefficients coefficients(std::int64_t count, double learningRate, double decayShare) const = 0;
    virtual void update(const Span<float>& span, const Coefficients& c) const = 0;
    virtual void update(const Span<double>& span, const Coefficients& c) const = 0;
    /// The same with libtorch's operators, in the order of torch.optim. `gradient` is already scaled and may not be written to.
    virtual void updateByOperators(at::Tensor& value, at::Tensor gradient, std::span<at::Tensor> slots, const Coefficients& c) const = 0;

private:
    struct Job;
    void ensureSlots(std::size_t index);
    bool fusable(std::size_t index, const at::Tensor& gradient) const;
    template <class T>
    void runFused(std::span<const Job> jobs) const;

    std::vector<Trainable> m_parameters;
    std::vector<std::string> m_slotNames;
    std::vector<std::vector<at::Tensor>> m_slots;  // [parameter][slot], empty until the first gradient
    std::vector<std::int64_t> m_counts;            // steps taken, a parameter
    bool m_fused = true;
};

/// true if the processor has AVX2 and FMA (asked once).
bool hasAvx2();

void addSgd(OptimizerRegistry& registry);
void addAdam(OptimizerRegistry& registry);
void addAdamW(OptimizerRegistry& registry);
void addRmsprop(OptimizerRegistry& registry);
void addSplatAdam(OptimizerRegistry& registry);

}  // namespace orrery::train
