#include "script_finish.h"

#include <torch/csrc/jit/runtime/operator.h>

#include <map>
#include <set>

#include "script_values.h"

namespace orrery::models {
namespace {

using graph::Block;
using graph::GraphData;
using graph::Node;
using graph::Operand;
using graph::ValueId;

/// Marks what is needed, from the end to the beginning, and drops the rest.
class Pruner {
public:
    explicit Pruner(std::size_t values) : m_live(values, false) {}
    void need(const Operand& operand)
    {
        if (!operand.isConstant())
            m_live[std::size_t(operand.value)] = true;
    }
    bool isLive(ValueId id) const { return m_live[std::size_t(id)]; }
    void prune(Block& block)
    {
        for (const auto& output : block.outputs)
            need(output);
        for (auto node = block.nodes.rbegin(); node != block.nodes.rend(); ++node)
            pruneNode(*node);
        std::erase_if(block.nodes, [](const Node& node) { return node.op.empty(); });
    }

private:
    bool hasEffect(const Node& node) const;
    void pruneNode(Node& node);
    std::vector<bool> m_live;
};

bool Pruner::hasEffect(const Node& node) const
{
    for (const auto& block : node.blocks)
        if (std::any_of(block.nodes.begin(), block.nodes.end(), [&](const Node& inner) { return hasEffect(inner); }))
            return true;
    if (!node.blocks.empty())
        return false;
    if (node.outputs.empty())
        return true;
    const auto found = torch::jit::findOperatorFor(c10::OperatorName(node.op, node.overload));
    return found && found->schema().is_mutable();
}

void Pruner::pruneNode(Node& node)
{
    const bool needed = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return isLive(id); }) || hasEffect(node);
    if (!needed) {
        node.op.clear();
        return;
    }
    if (node.op == "prim::If")
        for (std::size_t i = node.outputs.size(); i-- > 0;)
            if (!isLive(node.outputs[i])) {
                node.outputs.erase(node.outputs.begin() + std::ptrdiff_t(i));
                for (auto& block : node.blocks)
                    block.outputs.erase(block.outputs.begin() + std::ptrdiff_t(i));
            }
    for (auto& block : node.blocks)
        prune(block);
    for (const auto& input : node.inputs)
        need(input);
}

/// New numbers and names, in the order of definition.
class Renumberer {
public:
    Renumberer(GraphData& data, const std::vector<ValueNote>& notes) : m_data(data), m_notes(notes), m_newIds(data.values.size(), -1) {}
    void run();

private:
    ValueId define(ValueId old, const std::string& name);
    std::string unique(const std::string& base);
    std::string nameOf(ValueId id);
    void nameNode(Node& node);
    void visit(Block& block);
    void use(Operand& operand)
    {
        if (!operand.isConstant())
            operand.value = m_newIds.at(std::size_t(operand.value));
    }
    GraphData& m_data;
    const std::vector<ValueNote>& m_notes;
    std::vector<ValueId> m_newIds;
    std::vector<graph::Value> m_values;
    std::set<std::string> m_names;
    std::map<std::string, int> m_counts, m_versions;
};

std::string Renumberer::unique(const std::string& base)
{
    auto& count = m_counts[base];
    std::string name;
    do {
        ++count;
        name = count == 1 ? base : base + "#" + std::to_string(count);
    } while (!m_names.insert(name).second);
    return name;
}

// A later version of a value that was dropped counts as the value itself.
std::string Renumberer::nameOf(ValueId id)
{
    const auto& note = m_notes[std::size_t(id)];
    ValueId original = note.versionOf;
    while (original >= 0 && m_newIds[std::size_t(original)] < 0)
        original = m_notes[std::size_t(original)].versionOf;
    if (original < 0)
        return unique(note.base.empty() ? "value" : note.base);
    auto base = m_values[std::size_t(m_newIds[std::size_t(original)])].name;
    base = base.substr(0, base.rfind('@'));
    std::string name;
    do {
        name = fmt::format("{}@{}", base, ++m_versions[base] + 1);
    } while (!m_names.insert(name).second);
    return name;
}

ValueId Renumberer::define(ValueId old, const std::string& name)
{
    m_values.push_back({name, m_data.values[std::size_t(old)].type});
    return m_newIds[std::size_t(old)] = ValueId(m_values.size()) - 1;
}

void Renumberer::nameNode(Node& node)
{
    const auto base = node.module.empty() ? shortOpName(node.op) : node.module + "." + shortOpName(node.op);
    node.name = node.outputs.empty() ? unique(base) : nameOf(node.outputs[0]);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        auto name = i == 0 ? node.name : fmt::format("{}:{}", node.name, i);
        if (i > 0 && !m_names.insert(name).second)
            name = unique(name);
        node.outputs[i] = define(node.outputs[i], name);
    }
}

void Renumberer::visit(Block& block)
{
    for (auto& input : block.inputs)
        input = define(input, nameOf(input));
    for (auto& node : block.nodes) {
        for (auto& input : node.inputs)
            use(input);
        for (auto& inner : node.blocks)
            visit(inner);
        nameNode(node);
    }
    for (auto& output : block.outputs)
        use(output);
}

void Renumberer::run()
{
    for (auto& input : m_data.inputs)
        input.value = define(input.value, unique(input.name));
    if (m_data.training)
        m_data.training = define(*m_data.training, unique("training"));
    for (auto& parameter : m_data.parameters)
        parameter.value = define(parameter.value, unique(parameter.name));
    visit(m_data.body);
    for (auto& update : m_data.bufferUpdates)
        update.value = m_newIds.at(std::size_t(update.value));
    m_data.values = std::move(m_values);
}

}  // namespace

void finishGraph(GraphData& data, const std::vector<ValueNote>& notes)
{
    Pruner pruner(data.values.size());
    for (const auto& update : data.bufferUpdates)
        pruner.need(Operand::of(update.value));
    pruner.prune(data.body);
    std::erase_if(data.parameters, [&](const graph::Parameter& parameter) {
        return parameter.kind == graph::Parameter::Kind::Constant && !pruner.isLive(parameter.value);
    });
    if (data.training && !pruner.isLive(*data.training))
        data.training.reset();
    Renumberer(data, notes).run();
}

}  // namespace orrery::models
