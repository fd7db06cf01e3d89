#include "output_kind.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <set>

namespace orrery::graph {
namespace {

constexpr double kMost = 100;
constexpr std::array kKinds = {OutputKind::Logits, OutputKind::Probabilities, OutputKind::LogProbabilities, OutputKind::EachProbability};

/// Of what reshapes, a class axis that is the last one stays the last one in all models that are known; of what moves axes that is not so.
bool handsOn(const std::string& op)
{
    static const std::set<std::string> kOps = {
        "aten::reshape",   "aten::view",    "aten::_unsafe_view",    "aten::view_as",    "aten::reshape_as", "aten::flatten",
        "aten::unflatten", "aten::squeeze", "aten::unsqueeze",       "aten::contiguous", "aten::clone",      "aten::detach",
        "aten::alias",     "aten::to",      "aten::_to_copy",        "aten::type_as",    "aten::float",      "aten::double",
        "aten::half",      "aten::dropout", "aten::feature_dropout", "aten::expand_as"};
    return kOps.contains(op);
}

/// The walk from an output to what makes it.
class Walk {
public:
    Walk(const Graph& graph, std::int64_t rank) : m_graph(graph), m_rank(rank) {}

    OutputKind of(const Operand& operand, int depth = 0) const
    {
        const Node* node = operand.isConstant() || depth > kDeepest ? nullptr : m_graph.producer(operand.value);
        if (!node)
            return OutputKind::Logits;
        if (node->op == "prim::If")
            return ofBranches(*node, operand.value, depth);
        if (node->inputs.empty())
            return OutputKind::Logits;
        if (node->op == "prim::TupleConstruct" || node->op == "prim::ListConstruct" || handsOn(node->op))
            return of(node->inputs[0], depth + 1);
        if (node->op == "aten::exp")
            return of(node->inputs[0], depth + 1) == OutputKind::LogProbabilities ? OutputKind::Probabilities : OutputKind::Logits;
        if (node->op == "aten::log")
            return of(node->inputs[0], depth + 1) == OutputKind::Probabilities ? OutputKind::LogProbabilities : OutputKind::Logits;
        return ofFunction(*node);
    }

private:
    static constexpr int kDeepest = 32;

    OutputKind ofBranches(const Node& node, ValueId value, int depth) const
    {
        const auto index = std::size_t(std::find(node.outputs.begin(), node.outputs.end(), value) - node.outputs.begin());
        std::set<OutputKind> kinds;
        for (const Block& block : node.blocks)
            kinds.insert(index < block.outputs.size() ? of(block.outputs[index], depth + 1) : OutputKind::Logits);
        return kinds.size() == 1 ? *kinds.begin() : OutputKind::Logits;
    }

    OutputKind ofFunction(const Node& node) const
    {
        if (node.op == "aten::sigmoid" || node.op == "aten::special_expit")
            return OutputKind::EachProbability;
        if (node.op == "orrery::onnx_softmax_joined")
            return isLast(node, /*joinsLater=*/true) ? (isLogarithm(node) ? OutputKind::LogProbabilities : OutputKind::Probabilities)
                                                     : OutputKind::Logits;
        static const std::set<std::string> kSoftmax = {"aten::softmax", "aten::_softmax", "aten::special_softmax", "aten::_safe_softmax"};
        static const std::set<std::string> kLogSoftmax = {"aten::log_softmax", "aten::_log_softmax", "aten::special_log_softmax"};
        if (kSoftmax.contains(node.op) && isLast(node, false))
            return OutputKind::Probabilities;
        return kLogSoftmax.contains(node.op) && isLast(node, false) ? OutputKind::LogProbabilities : OutputKind::Logits;
    }

    static bool isLogarithm(const Node& node)
    {
        return node.inputs.size() > 2 && node.inputs[2].constant.isBool() && node.inputs[2].constant.toBool();
    }

    /// @param joinsLater  The axes from the one named on are one axis: with the last axis's number alone that is the last axis.
    bool isLast(const Node& node, bool joinsLater) const
    {
        if (node.inputs.size() < 2 || !node.inputs[1].constant.isInt())
            return false;
        const auto axis = node.inputs[1].constant.toInt();
        // A reshape behind may have taken away axes of one element, so the axis of [n, class, 1, 1] is the last one of [n, class] as well.
        return axis == -1 || axis == m_rank - 1 || (joinsLater && axis == 1 && m_rank == 2);
    }

    const Graph& m_graph;
    std::int64_t m_rank;
};

std::optional<OutputKind> named(const ModelCard& card, const std::string& value)
{
    for (const OutputKind kind : kKinds)
        if (const auto name = card.canonicalNames.find(std::string(outputKindName(kind))); name != card.canonicalNames.end() && name->second == value)
            return kind;
    return {};
}

at::Tensor inDouble(const at::Tensor& output)
{
    return output.to(at::kDouble);
}

}  // namespace

OutputKind outputKind(const Graph& graph, const ModelCard& card, std::int64_t rank, std::size_t output)
{
    const auto& outputs = graph.data().body.outputs;
    if (output >= outputs.size() || outputs[output].isConstant() || card.task == "regression")
        return OutputKind::Logits;
    const auto said = named(card, graph.value(outputs[output].value).name);
    return said ? *said : Walk(graph, rank).of(outputs[output]);
}

std::string_view outputKindName(OutputKind kind)
{
    switch (kind) {
    case OutputKind::Probabilities: return "probabilities";
    case OutputKind::LogProbabilities: return "log_probabilities";
    case OutputKind::EachProbability: return "each_probability";
    default: return "logits";
    }
}

at::Tensor classLogits(const at::Tensor& output, OutputKind kind)
{
    if (kind == OutputKind::EachProbability && (output.dim() == 0 || output.size(-1) == 1))
        return eachLogit(output, kind);
    return kind == OutputKind::Probabilities || kind == OutputKind::EachProbability ? inDouble(output).log() : output;
}

at::Tensor eachLogit(const at::Tensor& output, OutputKind kind)
{
    if (kind == OutputKind::Logits)
        return output;
    const at::Tensor p = kind == OutputKind::LogProbabilities ? inDouble(output).exp() : inDouble(output);
    return p.log().clamp_min(-kMost) - at::log1p(-p).clamp_min(-kMost);
}

}  // namespace orrery::graph
