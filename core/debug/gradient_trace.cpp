#include "gradient_trace.h"

#include <ATen/ATen.h>

#include <set>

#include <core/base/error.h>

namespace orrery::debug {
namespace {

graph::RunRequest requestOf(const GradientRequest& wanted, std::stop_token stop)
{
    graph::RunRequest request;
    request.inputs = wanted.inputs;
    request.seed = wanted.seed;
    request.step = wanted.step;
    request.training = wanted.training;
    request.gradients = graph::Gradients::All;
    request.probes = wanted.probes;
    request.stop = stop;
    for (const auto& [name, value] : wanted.changed) {
        const bool floats = value.isTensor() && at::isFloatingType(value.toTensor().scalar_type());
        request.changed[name] = floats ? c10::IValue(value.toTensor().detach().requires_grad_(true)) : value;
    }
    return request;
}

/// State that no gradient is defined for: buffers, and running statistics under whatever name an importer gave them.
std::set<std::string> stateOf(const graph::Graph& graph)
{
    std::set<std::string> names;
    for (const auto& parameter : graph.data().parameters)
        if (parameter.kind != graph::Parameter::Kind::Parameter)
            names.insert(parameter.name);
    for (const auto* node : graph.allNodes())
        if (node->op.find("batch_norm") != std::string::npos || node->op == "aten::instance_norm")
            for (std::size_t i = 3; i < std::min<std::size_t>(node->inputs.size(), 5); ++i)
                if (const auto* parameter = node->inputs[i].isConstant() ? nullptr : graph.parameterOf(node->inputs[i].value))
                    names.insert(parameter->name);
    return names;
}

graph::Weights differentiable(const graph::Graph& graph, const graph::Weights& weights)
{
    const auto state = stateOf(graph);
    graph::Weights copies;
    for (const auto& [name, tensor] : weights.tensors())
        copies.set(name, at::isFloatingType(tensor.scalar_type()) && !state.count(name) ? tensor.detach().requires_grad_(true) : tensor.detach());
    return copies;
}

/// Names of all values that a backward pass can reach. Found by a run of their own: a gradient probe at any other value is refused.
std::vector<std::string> reachable(const graph::Executor& executor, const graph::Weights& weights, const GradientRequest& wanted,
                                   std::stop_token stop)
{
    std::vector<std::string> names;
    std::set<std::string> seen;
    graph::RunRequest request = requestOf(wanted, stop);
    request.probes.push_back(graph::Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
        if (value.isTensor() && value.toTensor().defined() && value.toTensor().requires_grad() && seen.insert(name).second)
            names.push_back(name);
    }));
    executor.run(weights, request);
    return names;
}

at::Tensor scalarOf(const GradientRequest& wanted, const graph::RunResult& result)
{
    const at::Tensor value = wanted.scalar(result);
    if (!value.requires_grad())
        throw core::InputError("backward: what is differentiated does not depend on an input or parameter with floating numbers");
    return value.numel() == 1 ? value.reshape({}) : value.sum();
}

}  // namespace

std::vector<GradientAt> traceGradients(const graph::Executor& executor, const graph::Weights& weights, const GradientRequest& wanted,
                                       std::stop_token stop)
{
    const graph::Weights leaves = differentiable(*executor.graph(), weights);
    const std::vector<std::string> names = wanted.only.empty() ? reachable(executor, leaves, wanted, stop) : std::vector<std::string>{wanted.only};
    std::vector<GradientAt> trace;
    std::int64_t bytes = 0;
    graph::RunRequest request = requestOf(wanted, stop);
    request.keep = wanted.keep;
    for (const auto& name : names)
        request.probes.push_back(graph::Probe::onGradient(name, [&](const std::string& at, const c10::IValue& value) {
            if (stop.stop_requested())
                return;  // autograd's own threads cannot be unwound
            const at::Tensor gradient = value.toTensor().detach();
            GradientAt entry{at,
                             {},
                             gradient.to(at::kDouble).norm().item<double>(),
                             gradient.isfinite().logical_not().sum().item<std::int64_t>(),
                             gradient.sizes().vec()};
            if (bytes + std::int64_t(gradient.nbytes()) <= wanted.keepBytes || !wanted.only.empty()) {
                entry.gradient = gradient.clone();
                bytes += std::int64_t(gradient.nbytes());
            }
            trace.push_back(std::move(entry));
        }));
    const graph::RunResult result = executor.run(leaves, request);
    const at::AutoGradMode gradients(true);
    scalarOf(wanted, result).backward();
    if (stop.stop_requested())
        throw core::Cancelled();
    return trace;
}

}  // namespace orrery::debug
