// Tuples that loops carry and branches give, taken apart: ONNX carries and gives tensors.
#include <fmt/format.h>

#include <map>
#include <set>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Block;
using graph::Node;
using graph::Operand;
using graph::ValueId;

/// "Tuple[Tensor, List[int]]" -> its two parts. Empty for other types.
std::vector<std::string> partTypes(const std::string& type)
{
    static const std::string kStart = "Tuple[";
    std::vector<std::string> parts;
    if (!type.starts_with(kStart) || !type.ends_with(']'))
        return parts;
    std::string part;
    int depth = 0;
    for (std::size_t i = kStart.size(); i + 1 < type.size(); ++i) {
        depth += type[i] == '[' ? 1 : type[i] == ']' ? -1 : 0;
        if (depth == 0 && type[i] == ',') {
            parts.push_back(std::move(part));
            part.clear();
        } else if (!part.empty() || type[i] != ' ') {
            part += type[i];
        }
    }
    if (!part.empty())
        parts.push_back(std::move(part));
    return parts;
}

class TupleRemover {
public:
    explicit TupleRemover(graph::GraphData data) : m_data(std::move(data))
    {
        for (const auto& value : m_data.values)
            m_names.insert(value.name);
    }
    graph::GraphData run()
    {
        apart(m_data.body);
        shorten(m_data.body);
        return std::move(m_data);
    }

private:
    ValueId addValue(const std::string& base, const std::string& type)
    {
        std::string name = base;
        for (int i = 2; !m_names.insert(name).second; ++i)
            name = fmt::format("{}_{}", base, i);
        m_data.values.push_back({std::move(name), type});
        return ValueId(m_data.values.size() - 1);
    }
    std::vector<ValueId> partsOf(ValueId tuple)
    {
        const auto value = m_data.values[std::size_t(tuple)];  // a copy: the list grows
        std::vector<ValueId> made;
        for (const auto& type : partTypes(value.type))
            made.push_back(addValue(fmt::format("{}.part{}", value.name, made.size()), type));
        return made;
    }
    Node construct(const std::vector<ValueId>& parts, ValueId tuple) const
    {
        Node node;
        node.name = m_data.values[std::size_t(tuple)].name;
        node.op = "prim::TupleConstruct";
        for (const auto part : parts)
            node.inputs.push_back(Operand::of(part));
        node.outputs = {tuple};
        return node;
    }
    /// The parts of an operand; a node that takes it apart is added to `nodes` where there is need of one.
    std::vector<Operand> unpacked(const Operand& tuple, std::vector<Node>& nodes)
    {
        std::vector<Operand> parts;
        if (tuple.isConstant()) {
            for (const auto& each : tuple.constant.toTupleRef().elements())
                parts.push_back(Operand::literal(each));
            return parts;
        }
        Node node;
        node.op = "prim::TupleUnpack";
        node.inputs = {tuple};
        node.outputs = partsOf(tuple.value);
        node.name = m_data.values[std::size_t(node.outputs.at(0))].name;
        for (const auto part : node.outputs)
            parts.push_back(Operand::of(part));
        nodes.push_back(std::move(node));
        return parts;
    }
    static void replace(std::vector<Operand>& list, std::size_t place, const std::vector<Operand>& parts)
    {
        list.erase(list.begin() + std::ptrdiff_t(place));
        list.insert(list.begin() + std::ptrdiff_t(place), parts.begin(), parts.end());
    }
    static void replace(std::vector<ValueId>& list, std::size_t place, const std::vector<ValueId>& parts)
    {
        list.erase(list.begin() + std::ptrdiff_t(place));
        list.insert(list.begin() + std::ptrdiff_t(place), parts.begin(), parts.end());
    }
    bool isTuple(ValueId id) const { return !partTypes(m_data.values[std::size_t(id)].type).empty(); }
    static bool canUnpack(const Operand& operand) { return !operand.isConstant() || operand.constant.isTuple(); }

    /// Output `place` of a loop or a branch, if it is a tuple: what goes before and behind the node is added to `before` and `behind`.
    bool outputApart(Node& node, std::size_t place, std::vector<Node>& before, std::vector<Node>& behind)
    {
        const bool isLoop = node.op == "prim::Loop";
        const std::size_t shift = isLoop ? 1 : 0;  // the first output of a loop's block is the condition
        if (!isTuple(node.outputs[place]) || (isLoop && !canUnpack(node.inputs.at(place + 2))))
            return false;
        for (const auto& block : node.blocks)
            if (!canUnpack(block.outputs.at(place + shift)))
                return false;
        if (isLoop) {
            replace(node.inputs, place + 2, unpacked(node.inputs[place + 2], before));
            auto& block = node.blocks[0];
            const auto tuple = block.inputs.at(place + 1);
            const auto parts = partsOf(tuple);
            block.nodes.insert(block.nodes.begin(), construct(parts, tuple));
            replace(block.inputs, place + 1, parts);
        }
        for (auto& block : node.blocks)
            replace(block.outputs, place + shift, unpacked(block.outputs[place + shift], block.nodes));
        const auto tuple = node.outputs[place];
        const auto parts = partsOf(tuple);
        behind.insert(behind.begin(), construct(parts, tuple));
        replace(node.outputs, place, parts);
        node.name = m_data.values[std::size_t(node.outputs[0])].name;
        return true;
    }
    void apart(Block& block)
    {
        std::vector<Node> nodes;
        for (auto& node : block.nodes) {
            std::vector<Node> before, behind;
            if (node.op == "prim::Loop" || node.op == "prim::If")
                for (std::size_t place = 0; place < node.outputs.size();)
                    if (!outputApart(node, place, before, behind))
                        ++place;  // parts may be tuples themselves
            for (auto& inner : node.blocks)
                apart(inner);
            const auto append = [&](std::vector<Node>& list) {
                for (auto& each : list)
                    nodes.push_back(std::move(each));
            };
            append(before);
            nodes.push_back(std::move(node));
            append(behind);
        }
        block.nodes = std::move(nodes);
    }

    void follow(Operand& operand) const
    {
        for (auto found = m_same.find(operand.value); !operand.isConstant() && found != m_same.end(); found = m_same.find(operand.value))
            operand = Operand(found->second);
    }
    /// Takes away what only takes apart a tuple that a node puts together.
    bool isShortened(const Node& node)
    {
        if (node.op == "prim::TupleConstruct")
            m_tuples[node.outputs.at(0)] = node.inputs;
        const bool isIndex = node.op == "prim::TupleIndex" && node.inputs.at(1).isConstant();
        if ((!isIndex && node.op != "prim::TupleUnpack") || node.inputs.at(0).isConstant())
            return false;
        const auto parts = m_tuples.find(node.inputs[0].value);
        if (parts == m_tuples.end())
            return false;
        const auto size = std::int64_t(parts->second.size());
        if (isIndex) {
            const auto place = node.inputs[1].constant.toInt();
            m_same[node.outputs.at(0)] = parts->second.at(std::size_t(place < 0 ? place + size : place));
            return true;
        }
        for (std::size_t i = 0; i < node.outputs.size(); ++i)
            m_same[node.outputs[i]] = parts->second.at(i);
        return true;
    }
    void shorten(Block& block)
    {
        std::vector<Node> nodes;
        for (auto& node : block.nodes) {
            for (auto& input : node.inputs)
                follow(input);
            if (isShortened(node))
                continue;
            for (auto& inner : node.blocks)
                shorten(inner);
            nodes.push_back(std::move(node));
        }
        block.nodes = std::move(nodes);
        for (auto& output : block.outputs)
            follow(output);
    }

    graph::GraphData m_data;
    std::set<std::string> m_names;
    std::map<ValueId, std::vector<Operand>> m_tuples;
    std::map<ValueId, Operand> m_same;
};

}  // namespace

graph::GraphPtr withoutTuples(const graph::GraphPtr& graph)
{
    for (const auto* node : graph->allNodes())
        if (node->op == "prim::Loop" || node->op == "prim::If")
            for (const auto output : node->outputs)
                if (graph->value(output).type.starts_with("Tuple["))
                    return std::make_shared<const graph::Graph>(TupleRemover(graph->data()).run());
    return graph;
}

}  // namespace orrery::models::onnx
