#include "fold_norms.h"

#include <ATen/ATen.h>

#include <map>

namespace orrery::graph {
namespace {

// aten::batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled), aten::conv2d(input, weight, bias, ...)
enum NormInput { kScale = 1, kShift = 2, kMean = 3, kVariance = 4, kTraining = 5, kEps = 7 };
enum ConvolutionInput { kWeight = 1, kBias = 2 };

/// A convolution and the batch norm behind it, by their places in the body.
struct Pair {
    std::size_t convolution = 0, norm = 0;
};

class Folder {
public:
    Folder(const GraphPtr& graph, const Weights& weights) : m_graph(*graph), m_weights(weights), m_data(graph->data()) {}
    std::vector<Pair> pairs() const;
    void fold(const Pair& pair);
    FoldedModel finish(const std::vector<Pair>& pairs);

private:
    bool isStored(const Operand& operand) const { return !operand.isConstant() && m_graph.parameterOf(operand.value); }
    bool isStoredOrNone(const Operand& operand) const { return operand.isConstant() ? operand.constant.isNone() : isStored(operand); }
    bool isEvaluation(const Operand& operand) const;
    bool isOutput(ValueId id) const;
    bool canFold(const Node& norm, const Node& convolution) const;
    at::Tensor tensorOf(const Operand& operand, const at::Tensor& otherwise) const;
    Operand stored(const std::string& name, const at::Tensor& tensor);
    const Graph& m_graph;
    Weights m_weights;
    GraphData m_data;
};

bool Folder::isEvaluation(const Operand& operand) const
{
    if (operand.isConstant())
        return operand.constant.isBool() && !operand.constant.toBool();
    return operand.value == m_graph.data().training;
}

bool Folder::isOutput(ValueId id) const
{
    const auto& outputs = m_graph.data().body.outputs;
    const auto& updates = m_graph.data().bufferUpdates;
    return std::any_of(outputs.begin(), outputs.end(), [&](const auto& each) { return !each.isConstant() && each.value == id; }) ||
           std::any_of(updates.begin(), updates.end(), [&](const auto& each) { return each.value == id; });
}

bool Folder::canFold(const Node& norm, const Node& convolution) const
{
    const auto between = norm.inputs[0].value;
    return convolution.op == "aten::conv2d" && convolution.overload.empty() && isStored(convolution.inputs[kWeight]) &&
           isStoredOrNone(convolution.inputs[kBias]) && isStoredOrNone(norm.inputs[kScale]) && isStoredOrNone(norm.inputs[kShift]) &&
           isStored(norm.inputs[kMean]) && isStored(norm.inputs[kVariance]) && isEvaluation(norm.inputs[kTraining]) &&
           norm.inputs[kEps].isConstant() && m_graph.users(between).size() == 1 && !isOutput(between);
}

std::vector<Pair> Folder::pairs() const
{
    const auto& nodes = m_graph.nodes();
    std::map<ValueId, std::size_t> producers;
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto& node = nodes[i];
        if (node.op == "aten::batch_norm" && node.inputs.size() == 9 && !node.inputs[0].isConstant())
            if (const auto before = producers.find(node.inputs[0].value); before != producers.end() && canFold(node, nodes[before->second]))
                pairs.push_back({before->second, i});
        for (const auto output : node.outputs)
            producers[output] = i;
    }
    return pairs;
}

at::Tensor Folder::tensorOf(const Operand& operand, const at::Tensor& otherwise) const
{
    return operand.isConstant() ? otherwise : m_weights.at(m_graph.parameterOf(operand.value)->name).detach();
}

Operand Folder::stored(const std::string& name, const at::Tensor& tensor)
{
    const auto id = ValueId(m_data.values.size());
    m_data.values.push_back({name, "Tensor"});
    m_data.parameters.push_back({name, id, Parameter::Kind::Parameter, tensor.sizes().vec(), tensor.scalar_type(), {}});
    m_weights.set(name, tensor);
    return Operand::of(id);
}

// The factor is computed in double: what is folded differs from the plain run by the rounding of one product.
void Folder::fold(const Pair& pair)
{
    const Node norm = m_data.body.nodes[pair.norm];
    auto& convolution = m_data.body.nodes[pair.convolution];
    const auto weight = tensorOf(convolution.inputs[kWeight], {});
    const auto mean = tensorOf(norm.inputs[kMean], {}).to(at::kDouble), variance = tensorOf(norm.inputs[kVariance], {}).to(at::kDouble);
    const auto zero = at::zeros_like(mean), one = at::ones_like(mean);
    const auto factor = tensorOf(norm.inputs[kScale], one).to(at::kDouble) / (variance + norm.inputs[kEps].constant.toDouble()).sqrt();
    const auto bias = (tensorOf(convolution.inputs[kBias], zero).to(at::kDouble) - mean) * factor + tensorOf(norm.inputs[kShift], zero);
    convolution.inputs[kWeight] =
        stored(norm.name + ".folded_weight", (weight.to(at::kDouble) * factor.reshape({-1, 1, 1, 1})).to(weight.scalar_type()));
    convolution.inputs[kBias] = stored(norm.name + ".folded_bias", bias.to(weight.scalar_type()));
    convolution.outputs = norm.outputs;
    convolution.name = norm.name;
}

FoldedModel Folder::finish(const std::vector<Pair>& pairs)
{
    for (auto pair = pairs.rbegin(); pair != pairs.rend(); ++pair)
        m_data.body.nodes.erase(m_data.body.nodes.begin() + std::ptrdiff_t(pair->norm));
    return {std::make_shared<const Graph>(std::move(m_data)), std::move(m_weights), int(pairs.size())};
}

}  // namespace

FoldedModel foldNorms(const GraphPtr& graph, const Weights& weights)
{
    Folder folder(graph, weights);
    const auto pairs = folder.pairs();
    if (pairs.empty())
        return {graph, weights, 0};
    for (const auto& pair : pairs)
        folder.fold(pair);
    return folder.finish(pairs);
}

}  // namespace orrery::graph
