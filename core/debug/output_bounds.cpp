#include "output_bounds.h"

#include <ATen/ATen.h>
#include <ATen/core/stack.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <core/base/text.h>
#include <core/graph/executor.h>
#include <core/graph/operators.h>

namespace orrery::debug {
namespace {

using graph::Node;
using graph::Operand;
using graph::ValueId;

/// float64 rounds as well: what is compared with a bound is known to about this part of it.
constexpr double kRounding = 1e-9;

/// Largest slopes of elementwise operators. The largest of gelu is 1.12904 (at sqrt(2)), of its tanh form 1.12900, of silu 1.09984.
const std::map<std::string, double>& slopes()
{
    static const std::map<std::string, double> kSlopes = {
        {"aten::relu", 1},      {"aten::tanh", 1},      {"aten::sigmoid", 0.25}, {"aten::sin", 1},      {"aten::cos", 1},
        {"aten::abs", 1},       {"aten::neg", 1},       {"aten::gelu", 1.13},    {"aten::silu", 1.1},   {"aten::erf", 2 / std::sqrt(M_PI)},
        {"aten::softplus", 1},  {"aten::atan", 1},      {"aten::clamp", 1},      {"aten::hardtanh", 1}, {"aten::relu6", 1},
        {"aten::clamp_min", 1}, {"aten::clamp_max", 1},
    };
    return kSlopes;
}

/// Linear in their first value with factors that are not negative: what holds for sizes holds for them.
bool keepsSizes(const std::string& op)
{
    static const std::set<std::string> kOperators = {"aten::sum",
                                                     "aten::mean",
                                                     "aten::reshape",
                                                     "aten::view",
                                                     "aten::transpose",
                                                     "aten::permute",
                                                     "aten::t",
                                                     "aten::flatten",
                                                     "aten::unflatten",
                                                     "aten::expand",
                                                     "aten::expand_as",
                                                     "aten::squeeze",
                                                     "aten::unsqueeze",
                                                     "aten::slice",
                                                     "aten::select",
                                                     "aten::contiguous",
                                                     "aten::clone",
                                                     "aten::dropout",
                                                     "aten::avg_pool2d",
                                                     "aten::cumsum",
                                                     "aten::unfold",
                                                     "aten::narrow",
                                                     "aten::tril",
                                                     "aten::triu",
                                                     "aten::flip",
                                                     "aten::roll",
                                                     "aten::repeat",
                                                     "aten::index_select",
                                                     "aten::adaptive_avg_pool2d",
                                                     "aten::pixel_shuffle",
                                                     "aten::amax",
                                                     "aten::max_pool2d"};
    return kOperators.count(op) > 0;
}

bool isBilinear(const std::string& op)
{
    static const std::set<std::string> kOperators = {"aten::linear", "aten::matmul", "aten::mm",     "aten::bmm",  "aten::mul",
                                                     "aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::outer"};
    return kOperators.count(op) > 0;
}

double numberOf(const c10::IValue& constant)
{
    return constant.isDouble() ? constant.toDouble() : constant.isInt() ? double(constant.toInt()) : std::nan("");
}

/// Carries bounds from node to node.
class BoundWalk {
public:
    BoundWalk(const graph::Model& model, const graph::Weights& changed, const std::vector<c10::IValue>& inputs)
        : m_graph(*model.graph), m_bounds(m_graph.data().values.size())
    {
        const auto& data = m_graph.data();
        graph::RunRequest request;
        request.inputs = inputs;
        request.keep = {"**"};
        m_run = graph::Executor(model.graph).run(model.weights, request);
        for (std::size_t i = 0; i < data.inputs.size(); ++i)
            m_values[data.inputs[i].value] = inputs[i];
        for (const auto& parameter : data.parameters) {
            const at::Tensor &before = model.weights.at(parameter.name), &after = changed.at(parameter.name);
            m_values[parameter.value] = before;
            if (!at::equal(before, after.to(before.scalar_type())))
                m_bounds[std::size_t(parameter.value)] = {State::Bounded, (after.to(before.scalar_type()) - before).abs()};
        }
    }
    OutputBounds run()
    {
        for (const Node& node : m_graph.nodes())
            step(node);
        OutputBounds result;
        for (std::size_t i = 0; i < m_graph.data().body.outputs.size(); ++i) {
            const Operand& output = m_graph.data().body.outputs[i];
            const bool known = !output.isConstant() && at(output.value).state != State::Unknown && m_run.outputs[i].isTensor();
            result.outputs.push_back(known ? std::optional(boundOf(output)) : std::nullopt);
            if (!known)
                result.without = m_without.empty() ? "a constant" : m_without;
        }
        return result;
    }

private:
    enum class State { Exact, Bounded, Unknown };
    struct Bound {
        State state = State::Exact;
        at::Tensor tensor;
    };
    Bound& at(ValueId id) { return m_bounds[std::size_t(id)]; }
    bool isExact(const Operand& operand) { return operand.isConstant() || at(operand.value).state == State::Exact; }
    c10::IValue valueOf(const Operand& operand)
    {
        if (operand.isConstant())
            return operand.constant;
        if (const auto it = m_values.find(operand.value); it != m_values.end())
            return it->second;
        return m_run.values.at(m_graph.value(operand.value).name);
    }
    /// Zeros where nothing moves.
    at::Tensor boundOf(const Operand& operand)
    {
        const Bound& bound = at(operand.value);
        return bound.state == State::Bounded ? bound.tensor : at::zeros_like(valueOf(operand).toTensor());
    }
    at::Tensor sizeOf(const Operand& operand) { return valueOf(operand).toTensor().abs(); }

    void step(const Node& node)
    {
        if (node.op == "prim::ListConstruct" && !node.outputs.empty())
            m_lists[node.outputs[0]] = &node;
        bool exact = node.blocks.empty(), known = true;
        for (const auto& input : node.inputs) {
            exact = exact && isExact(input);
            known = known && (input.isConstant() || at(input.value).state != State::Unknown);
        }
        if (exact)
            return;
        at::Tensor bound;
        if (known && node.op != "prim::ListConstruct" && node.outputs.size() == 1)
            bound = boundBehind(node);
        if (!bound.defined() && node.op != "prim::ListConstruct" && m_without.empty())
            m_without = node.qualifiedOp();
        for (const auto output : node.outputs)
            at(output) = bound.defined()                      ? Bound{State::Bounded, bound}
                         : known && m_lists.count(output) > 0 ? Bound{State::Bounded, {}}
                                                              : Bound{State::Unknown, {}};
    }
    /// The operator on other tensors.
    at::Tensor call(const Node& node, const std::map<std::size_t, c10::IValue>& instead)
    {
        const auto found = graph::findOperator(node.op, node.overload);
        torch::jit::Stack stack;
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            const auto other = instead.find(i);
            stack.push_back(other == instead.end() ? valueOf(node.inputs[i]) : other->second);
        }
        found->getOperation()(stack);
        return stack.back().toTensor();
    }
    bool othersAreExact(const Node& node, std::size_t from)
    {
        return std::all_of(node.inputs.begin() + std::ptrdiff_t(std::min(from, node.inputs.size())), node.inputs.end(),
                           [&](const Operand& input) { return isExact(input); });
    }
    at::Tensor boundBehind(const Node& node)
    {
        const auto& inputs = node.inputs;
        if (const auto slope = slopes().find(node.op); slope != slopes().end() && othersAreExact(node, 1))
            return slope->second * boundOf(inputs[0]);
        if (keepsSizes(node.op) && othersAreExact(node, 1))
            return call(node, {{0, boundOf(inputs[0])}});
        if (isBilinear(node.op) && inputs.size() >= 2)
            return bilinear(node);
        if (node.op == "aten::add" || node.op == "aten::sub")
            return sum(node);
        if (node.op == "aten::div" && inputs.size() == 2)
            return quotient(node);
        if (node.op == "aten::softmax" && inputs[1].constant.isInt())
            return softmax(node);
        if (node.op == "aten::cat" || node.op == "aten::stack")
            return joined(node);
        if (node.op == "aten::constant_pad_nd" && inputs.size() == 3)
            return call(node, {{0, boundOf(inputs[0])}, {2, c10::IValue(0.0)}});
        if (node.op == "aten::masked_fill" && node.overload == "Scalar" && isExact(inputs[1]))
            return call(node, {{0, boundOf(inputs[0])}, {2, c10::IValue(0.0)}});
        if (node.op == "aten::where" && node.overload == "self" && isExact(inputs[0]))
            return call(node, {{1, boundOf(inputs[1])}, {2, boundOf(inputs[2])}});
        if ((node.op == "aten::maximum" || node.op == "aten::minimum"))
            return at::maximum(boundOf(inputs[0]), boundOf(inputs[1]));
        return {};
    }
    at::Tensor bilinear(const Node& node)
    {
        const Operand &a = node.inputs[0], &b = node.inputs[1];
        if (b.isConstant() || a.isConstant())
            return node.op == "aten::mul" && b.isConstant() && std::isfinite(numberOf(b.constant)) ? std::abs(numberOf(b.constant)) * boundOf(a)
                                                                                                   : at::Tensor();
        std::map<std::size_t, c10::IValue> first{{0, sizeOf(a) + boundOf(a)}, {1, boundOf(b)}}, second{{0, boundOf(a)}, {1, sizeOf(b)}};
        if (node.op != "aten::mul" && node.inputs.size() > 2) {
            const bool hasBias = !node.inputs[2].isConstant();
            first[2] = hasBias ? c10::IValue(boundOf(node.inputs[2])) : c10::IValue();
            second[2] = c10::IValue();
        }
        return call(node, first) + call(node, second);
    }
    at::Tensor sum(const Node& node)
    {
        const Operand &a = node.inputs[0], &b = node.inputs[1];
        if (b.isConstant())
            return boundOf(a);
        const double factor = node.inputs.size() > 2 ? numberOf(node.inputs[2].constant) : 1;
        return std::isfinite(factor) && !a.isConstant() ? boundOf(a) + std::abs(factor) * boundOf(b) : at::Tensor();
    }
    at::Tensor quotient(const Node& node)
    {
        const Operand &a = node.inputs[0], &b = node.inputs[1];
        if (a.isConstant() || !isExact(b))
            return {};
        return b.isConstant() ? boundOf(a) / std::abs(numberOf(b.constant)) : boundOf(a) / sizeOf(b);
    }
    /// exp(x + d) / sum exp(x + d) lies between p exp(-2 m) and p exp(2 m), where m is the largest |d|.
    at::Tensor softmax(const Node& node)
    {
        const at::Tensor largest = boundOf(node.inputs[0]).amax(node.inputs[1].constant.toInt(), true);
        return (m_run.values.at(m_graph.value(node.outputs[0]).name).toTensor() * (2 * largest).expm1()).clamp_max(1);
    }
    at::Tensor joined(const Node& node)
    {
        const auto list = m_lists.find(node.inputs[0].value);
        if (node.inputs[0].isConstant() || list == m_lists.end())
            return {};
        std::vector<at::Tensor> bounds;
        for (const auto& part : list->second->inputs) {
            if (part.isConstant())
                return {};
            bounds.push_back(boundOf(part));
        }
        return call(node, {{0, c10::IValue(bounds)}});
    }

    const graph::Graph& m_graph;
    graph::RunResult m_run;
    std::map<ValueId, c10::IValue> m_values;
    std::vector<Bound> m_bounds;
    std::map<ValueId, const Node*> m_lists;
    std::string m_without;
};

std::vector<at::Tensor> outputsOf(const graph::Model& model, const graph::Weights& weights, const std::vector<c10::IValue>& inputs)
{
    graph::RunRequest request;
    request.inputs = inputs;
    std::vector<at::Tensor> tensors;
    for (const auto& output : graph::Executor(model.graph).run(weights, request).outputs)
        tensors.push_back(output.isTensor() ? output.toTensor() : at::Tensor());
    return tensors;
}

double largest(const at::Tensor& tensor)
{
    return tensor.numel() > 0 ? tensor.abs().nan_to_num(0, 0, 0).max().item<double>() : 0;
}

}  // namespace

OutputBounds outputBounds(const graph::Model& model, const graph::Weights& changed, const std::vector<c10::IValue>& inputs)
{
    const at::NoGradGuard noGrad;
    return BoundWalk(model, changed, inputs).run();
}

std::string exceeding(const OutputBounds& bounds, const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after)
{
    for (std::size_t i = 0; i < bounds.outputs.size(); ++i) {
        if (!bounds.outputs[i] || bounds.outputs[i]->numel() == 0)
            continue;
        const at::Tensor moved = (after[i] - before[i]).abs();
        // What was no number before moves nowhere; a bound that is none proves nothing.
        const at::Tensor counts = before[i].isfinite().logical_and(bounds.outputs[i]->isfinite());
        const at::Tensor beyond =
            at::where(counts, moved - *bounds.outputs[i] * (1 + kRounding) - kRounding * largest(before[i]), at::full_like(moved, -1));
        const auto worst = beyond.reshape(-1).argmax().item<std::int64_t>();
        if (!(beyond.reshape(-1)[worst].item<double>() <= 0))
            return fmt::format("output {}: element {} moved by {:.6g}, expected at most {:.6g}", i, worst, moved.reshape(-1)[worst].item<double>(),
                               bounds.outputs[i]->reshape(-1)[worst].item<double>());
    }
    return {};
}

OutputChange outputChange(const graph::Model& model, const graph::Weights& changed, const std::vector<c10::IValue>& inputs)
{
    const at::NoGradGuard noGrad;
    graph::Model precise = model;
    precise.graph = graph::moved(model.graph, at::kCPU, at::kDouble);
    precise.weights = model.weights.to(at::kCPU, at::kDouble);
    const graph::Weights others = changed.to(at::kCPU, at::kDouble);
    std::vector<c10::IValue> numbers = inputs;
    for (auto& input : numbers)
        if (input.isTensor() && at::isFloatingType(input.toTensor().scalar_type()))
            input = input.toTensor().to(at::kDouble);
    const auto before = outputsOf(precise, precise.weights, numbers), after = outputsOf(precise, others, numbers);
    const OutputBounds bounds = outputBounds(precise, others, numbers);
    OutputChange result;
    double size = 0, bound = 0;
    bool isProven = true;
    for (std::size_t i = 0; i < before.size(); ++i) {
        if (!before[i].defined() || !at::isFloatingType(before[i].scalar_type()) || before[i].sizes() != after[i].sizes())
            continue;
        size = std::max(size, largest(before[i]));
        result.change = std::max(result.change, largest(after[i] - before[i]));
        bound = std::max(bound, bounds.outputs[i] ? largest(*bounds.outputs[i]) : 0);
        isProven = isProven && bounds.outputs[i] && bounds.outputs[i]->isfinite().all().item<bool>();
    }
    result.exceeded = exceeding(bounds, before, after);
    if (size > 0)
        result.change /= size;
    if (bounds.without.empty() && isProven && size > 0)
        result.bound = bound / size;
    return result;
}

}  // namespace orrery::debug
