#include "counters.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <set>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/error.h>
#include <core/graph/inspect.h>
#include <core/graph/sequence_limit.h>
#include <core/train/catalogue.h>
#include <core/zoo/zoo.h>

namespace orrery::scaling {
namespace {

using core::Json;

constexpr std::int64_t kLargestSize = std::int64_t(1) << 24;

/// Values that a parameter reaches, and so a gradient comes back to.
class Reach {
public:
    explicit Reach(const graph::Graph& graph) : m_graph(graph)
    {
        for (const graph::Parameter& parameter : graph.data().parameters)
            if (parameter.kind == graph::Parameter::Kind::Parameter)
                m_values.insert(parameter.value);
        for (const graph::Node* node : graph.allNodes())
            if (!givesSizes(*node) && std::any_of(node->inputs.begin(), node->inputs.end(), [&](const auto& input) { return holds(input); }))
                m_values.insert(node->outputs.begin(), node->outputs.end());
    }
    bool holds(const graph::Operand& operand) const { return !operand.isConstant() && m_values.contains(operand.value); }
    bool reaches(const graph::Node& node) const
    {
        return std::any_of(node.outputs.begin(), node.outputs.end(), [&](auto id) { return m_values.contains(id); });
    }

private:
    /// Takes a tensor for its shape alone.
    static bool givesSizes(const graph::Node& node)
    {
        static const std::set<std::string> names{"aten::size",      "aten::new_full", "aten::new_zeros", "aten::zeros_like",
                                                 "aten::ones_like", "aten::dim",      "aten::numel"};
        return names.contains(node.op);
    }
    const graph::Graph& m_graph;
    std::set<graph::ValueId> m_values;
};

/// Where a product keeps its factors and what is added; nothing for other operators.
struct Product {
    std::size_t left = 0, right = 1;
    std::optional<std::size_t> added;
};

std::optional<Product> productOf(const graph::Node& node)
{
    static const std::set<std::string> plain{"aten::matmul", "aten::mm", "aten::bmm", "aten::mv", "aten::dot"};
    static const std::set<std::string> biased{"aten::linear",           "aten::conv1d",           "aten::conv2d",
                                              "aten::conv3d",           "aten::convolution",      "aten::_convolution",
                                              "aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d"};
    if (plain.contains(node.op))
        return Product{};
    if (biased.contains(node.op))
        return Product{0, 1, node.inputs.size() > 2 && !node.inputs[2].isConstant() ? std::optional<std::size_t>(2) : std::nullopt};
    if (node.op == "aten::addmm" || node.op == "aten::baddbmm" || node.op == "aten::addmv")
        return Product{1, 2, 0};
    return std::nullopt;
}

std::int64_t elementsOf(const graph::NodeInfo& info)
{
    std::int64_t count = info.shapes.empty() ? 0 : 1;
    if (!info.shapes.empty())
        for (const std::int64_t size : info.shapes[0])
            count *= size;
    return count;
}

/// Elements of an LSTM node's matrices: from the input and from the state before, which follow each other in its list.
std::pair<std::int64_t, std::int64_t> lstmMatrices(const graph::Graph& graph, const graph::Node& node)
{
    std::int64_t sizes[2] = {0, 0};
    int matrices = 0;
    const graph::Node* const list = graph.producer(node.inputs[2].value);
    for (const graph::Operand& operand : list ? list->inputs : std::vector<graph::Operand>{})
        for (const graph::Parameter& parameter : graph.data().parameters)
            if (!operand.isConstant() && parameter.value == operand.value && parameter.shape.size() == 2)
                sizes[matrices++ % 2] += parameter.shape[0] * parameter.shape[1];
    return {sizes[0], sizes[1]};
}

/// Two products a matrix for its own gradient and for what it is multiplied with; only the state before the first position, a constant, wants none.
void addLstm(Cost& cost, const graph::Graph& graph, const graph::Node& node, const graph::NodeInfo& info, const Reach& reach)
{
    const auto [fromInput, fromState] = lstmMatrices(graph, node);
    const bool batchFirst =
        node.inputs.size() > 8 && node.inputs[8].isConstant() && node.inputs[8].constant.isBool() && node.inputs[8].constant.toBool();
    const std::int64_t vectors = info.shapes[0][0] * info.shapes[0][1], batch = info.shapes[0][batchFirst ? 0 : 1];
    const std::int64_t products = 2 * vectors * (fromInput + fromState);
    const std::int64_t unwanted =
        (reach.holds(node.inputs[0]) ? 0 : 2 * vectors * fromInput) + (reach.holds(node.inputs[1]) ? 0 : 2 * batch * fromState);
    cost.forward += info.flops;
    cost.forwardProducts += products;
    cost.backwardProducts += 2 * products - unwanted;
    cost.backward += info.flops + products - unwanted;
}

void addNode(Cost& cost, const graph::Node& node, const graph::NodeInfo& info, const Reach& reach)
{
    cost.forward += info.flops;
    const auto product = productOf(node);
    if (!product) {
        cost.backward += reach.reaches(node) ? info.flops : 0;
        return;
    }
    const std::int64_t added = product->added ? elementsOf(info) : 0, multiplied = info.flops - added;
    const int factors = int(reach.holds(node.inputs[product->left])) + int(reach.holds(node.inputs[product->right]));
    cost.forwardProducts += multiplied;
    cost.backwardProducts += factors * multiplied;
    cost.backward += factors * multiplied + (product->added && reach.holds(node.inputs[*product->added]) ? added : 0);
}

bool isTable(const graph::Graph& graph, const std::string& parameter)
{
    for (const graph::Module& module : graph.data().modules)
        if (module.type == "Embedding" && parameter.starts_with(module.path + "."))
            return true;
    return false;
}

void addParameters(Cost& cost, const graph::Graph& graph)
{
    cost.parameters = graph::parameterCount(graph);
    for (const graph::Parameter& parameter : graph.data().parameters)
        if (parameter.kind == graph::Parameter::Kind::Parameter && isTable(graph, parameter.name)) {
            std::int64_t count = 1;
            for (const std::int64_t size : parameter.shape)
                count *= size;
            cost.embeddings += count;
        }
}

void addSizes(Cost& cost, const graph::Model& model, const std::vector<c10::IValue>& inputs)
{
    if (inputs.empty() || !inputs[0].isTensor() || inputs[0].toTensor().dim() == 0)
        return;
    const at::Tensor& first = inputs[0].toTensor();
    cost.samples = first.size(0);
    const bool sequences = !model.card.inputs.empty() && model.card.inputs[0].kind == "tokens" && first.dim() == 2;
    cost.tokens = sequences ? first.numel() : first.size(0);
}

void addFormula(Cost& cost, const graph::Model& model)
{
    if (!zoo::isZooReference(model.origin) || cost.samples == 0)
        return;
    const zoo::ZooReference reference = zoo::parseZooReference(model.origin);
    cost.formula = forwardFormula(reference.id, reference.parameters, cost.samples, cost.tokens / cost.samples);
}

/// One training step on fixed inputs; the mean square of the answers stands for a loss.
class TimedTraining {
public:
    TimedTraining(const graph::Model& model, const std::vector<c10::IValue>& inputs, std::stop_token stop)
        : m_executor(model.graph), m_weights(model.weights)
    {
        std::vector<train::Trainable> trainables;
        for (const graph::Parameter& parameter : model.graph->data().parameters)
            if (parameter.kind == graph::Parameter::Kind::Parameter && at::isFloatingType(parameter.dtype)) {
                m_leaves.push_back(m_weights.at(parameter.name).detach().clone().requires_grad_(true));
                m_weights.set(parameter.name, m_leaves.back());
                trainables.push_back({parameter.name, m_leaves.back()});
            }
        if (m_leaves.empty())
            throw core::InputError("throughput: expected a model with parameters that can be trained, got none");
        m_optimizer = train::makeOptimizer("adamw", std::move(trainables));
        m_request.inputs = inputs;
        m_request.gradients = graph::Gradients::Parameters;
        m_request.training = true;
        m_request.stop = stop;
    }
    void step()
    {
        const at::AutoGradMode gradMode(true);
        const at::Tensor loss = m_executor.run(m_weights, m_request).tensor().to(at::kFloat).square().mean();
        m_optimizer->step(torch::autograd::grad({loss}, m_leaves, {}, c10::nullopt, false, true), 1e-6);
    }

private:
    graph::Executor m_executor;
    graph::Weights m_weights;
    std::vector<at::Tensor> m_leaves;
    std::unique_ptr<train::Optimizer> m_optimizer;
    graph::RunRequest m_request;
};

}  // namespace

std::vector<c10::IValue> sizedInputs(const graph::Model& model, std::int64_t batch, std::int64_t length)
{
    for (const auto& [name, value] : {std::pair{"batch", batch}, {"length", length}})
        if (value < 1 || value > kLargestSize)
            throw core::InputError(fmt::format("{}: expected 1 to {}, got {}", name, kLargestSize, value));
    graph::Model sized = model;
    for (graph::ModelCard::Input& input : sized.card.inputs) {
        if (const auto longest = graph::longestSequence(*model.graph, model.card); input.kind == "tokens" && longest && length > *longest)
            throw core::InputError(fmt::format("length: expected at most {}, the longest sequence the model takes, got {}", *longest, length));
        for (std::string& axis : input.shape)
            axis = axis == "batch" ? std::to_string(batch) : axis.ends_with("position") ? std::to_string(length) : axis;
    }
    std::vector<c10::IValue> inputs = graph::exampleInputs(sized);
    if (inputs.empty())
        throw core::InputError("the model's card does not say what inputs it takes: give them (--input)");
    return inputs;
}

std::int64_t defaultLength(const graph::Model& model)
{
    const auto& inputs = model.card.inputs;
    if (std::none_of(inputs.begin(), inputs.end(), [](const auto& input) { return input.kind == "tokens"; }))
        return 1;
    return graph::longestSequence(*model.graph, model.card).value_or(128);
}

Cost countCost(const graph::Model& model, const std::vector<c10::IValue>& inputs, std::stop_token stop)
{
    Cost cost;
    addParameters(cost, *model.graph);
    addSizes(cost, model, inputs);
    const graph::Inspection inspection = graph::inspect(graph::Executor(model.graph), model.weights, inputs, stop);
    const Reach reach(*model.graph);
    const auto& nodes = model.graph->allNodes();
    for (std::size_t i = 0; i < nodes.size(); ++i)
        nodes[i]->op == "aten::lstm" ? addLstm(cost, *model.graph, *nodes[i], inspection.nodes[i], reach)
                                     : addNode(cost, *nodes[i], inspection.nodes[i], reach);
    addFormula(cost, model);
    return cost;
}

Json Cost::toJson() const
{
    return {{"parameters", parameters},
            {"embedding_parameters", embeddings},
            {"non_embedding_parameters", parameters - embeddings},
            {"samples", samples},
            {"tokens", tokens},
            {"forward", forward},
            {"backward", backward},
            {"training", training()},
            {"forward_products", forwardProducts},
            {"backward_products", backwardProducts},
            {"forward_formula", formula ? Json(*formula) : Json()},
            {"six_n_d", sixNd()}};
}

std::int64_t Throughput::stepsWithin(double seconds) const
{
    return stepSeconds > 0 && seconds > 0 ? std::int64_t(std::min(seconds / stepSeconds, 9e15)) : 0;
}

Json Throughput::toJson(std::optional<double> budgetSeconds) const
{
    Json out{{"step_seconds", stepSeconds}, {"measured_steps", steps}, {"tokens_per_step", tokens}, {"tokens_per_second", tokensPerSecond()}};
    if (budgetSeconds) {
        out["budget_seconds"] = *budgetSeconds;
        out["budget_steps"] = stepsWithin(*budgetSeconds);
        out["budget_tokens"] = tokensWithin(*budgetSeconds);
    }
    return out;
}

Throughput measureThroughput(const graph::Model& model, const std::vector<c10::IValue>& inputs, double seconds, std::stop_token stop)
{
    using Clock = std::chrono::steady_clock;
    TimedTraining training(model, inputs, stop);
    training.step();
    std::vector<double> times;
    const auto begin = Clock::now();
    while (times.size() < 3 || std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const auto start = Clock::now();
        training.step();
        times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
    Cost sizes;
    addSizes(sizes, model, inputs);
    return {times[times.size() / 2], int(times.size()), sizes.samples, sizes.tokens};
}

}  // namespace orrery::scaling
