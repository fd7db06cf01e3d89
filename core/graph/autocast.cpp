#include "autocast.h"

#include <fmt/format.h>
#include <set>

#include <core/base/error.h>

namespace orrery::graph {
namespace {

bool isProduct(const Node& node)
{
    static const std::set<std::string> kNames = {"aten::linear", "aten::mm", "aten::addmm", "aten::conv1d", "aten::conv2d", "aten::conv3d"};
    return kNames.count(node.op) && node.outputs.size() == 1;
}

class Caster {
public:
    Caster(GraphData data, at::ScalarType dtype) : m_data(std::move(data)), m_dtype(dtype) {}
    GraphData run()
    {
        castBlock(m_data.body);
        return std::move(m_data);
    }

private:
    void castBlock(Block& block);
    void castNode(std::vector<Node>& nodes, Node node);
    ValueId addValue(std::string name)
    {
        m_data.values.push_back({std::move(name), "Tensor"});
        return ValueId(m_data.values.size() - 1);
    }
    Node cast(ValueId from, ValueId to, at::ScalarType dtype, const Node& of) const;
    GraphData m_data;
    at::ScalarType m_dtype;
};

// aten::to.dtype(self, dtype, non_blocking, copy, memory_format)
Node Caster::cast(ValueId from, ValueId to, at::ScalarType dtype, const Node& of) const
{
    Node node;
    node.name = m_data.values[std::size_t(to)].name;
    node.op = "aten::to";
    node.overload = "dtype";
    node.module = of.module;
    node.source = of.source;
    node.inputs = {Operand::of(from), Operand::literal(std::int64_t(dtype)), Operand::literal(false), Operand::literal(false), Operand::literal({})};
    node.outputs = {to};
    return node;
}

void Caster::castNode(std::vector<Node>& nodes, Node node)
{
    const auto name = node.name;
    const auto suffix = dtypeName(m_dtype);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        auto& input = node.inputs[i];
        if (input.isConstant() || m_data.values[std::size_t(input.value)].type != "Tensor")
            continue;
        const auto narrow = addValue(fmt::format("{}.input{}.{}", name, i, suffix));
        nodes.push_back(cast(input.value, narrow, m_dtype, node));
        input = Operand::of(narrow);
    }
    const auto result = node.outputs[0];
    node.outputs[0] = addValue(fmt::format("{}.{}", name, suffix));
    node.name = m_data.values.back().name;
    const auto product = node.outputs[0];
    nodes.push_back(std::move(node));
    nodes.push_back(cast(product, result, at::kFloat, nodes.back()));
}

void Caster::castBlock(Block& block)
{
    std::vector<Node> nodes;
    for (auto& node : block.nodes) {
        for (auto& inner : node.blocks)
            castBlock(inner);
        if (isProduct(node))
            castNode(nodes, std::move(node));
        else
            nodes.push_back(std::move(node));
    }
    block.nodes = std::move(nodes);
}

}  // namespace

GraphPtr autocast(const GraphPtr& graph, at::ScalarType dtype)
{
    if (dtype != at::kBFloat16)
        throw core::InputError(fmt::format("expected bfloat16 as the type of the products, got {}", dtypeName(dtype)));
    return std::make_shared<const Graph>(Caster(graph->data(), dtype).run());
}

}  // namespace orrery::graph
