#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <string_view>

#include "graph.h"

namespace orrery::graph {

/// A map from parameter names to tensors, apart from the graph's structure: a run, a checkpoint, an EMA, an edit, a copy on another device
/// are other Weights on the same Graph. Copying aliases the tensors. Nobody writes into tensors of Weights that were handed out.
class Weights {
public:
    Weights() = default;
    explicit Weights(std::map<std::string, at::Tensor> tensors) : m_tensors(std::move(tensors)) {}
    const std::map<std::string, at::Tensor>& tensors() const { return m_tensors; }
    /// @throws core::InputError with the nearest name.
    const at::Tensor& at(const std::string& name) const;
    const at::Tensor* find(const std::string& name) const;
    void set(const std::string& name, at::Tensor tensor) { m_tensors[name] = std::move(tensor); }
    bool empty() const { return m_tensors.empty(); }
    /// Deep copy: no tensor is shared with this one.
    Weights clone() const;
    /// Copies to a device and, for floating tensors, a dtype. Tensors already there are aliased.
    Weights to(c10::Device device, std::optional<at::ScalarType> dtype = {}) const;
    std::int64_t bytes() const;

private:
    std::map<std::string, at::Tensor> m_tensors;
};

/// Fresh weights as each parameter's `init` says: kaiming_uniform (a), uniform (bound), normal (mean, std), trunc_normal (std), xavier_uniform, zeros, ones,
/// constant (value), arange, fan as `torch.nn.init` computes it. Each tensor is drawn from its own seed (seed, parameter name), so that adding a layer
/// changes no other. @throws core::InputError if a parameter has no init.
Weights initialize(const Graph& graph, std::uint64_t seed);

/// @throws core::ShapeError listing missing and unexpected names and wrong shapes (expected and found).
void checkWeights(const Graph& graph, const Weights& weights);

/// Number of elements of optimised parameters (tied ones once).
std::int64_t parameterCount(const Graph& graph);

}  // namespace orrery::graph
