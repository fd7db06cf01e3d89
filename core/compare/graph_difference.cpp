#include "graph_difference.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <unordered_map>

#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/graph/literal_text.h>

namespace orrery::compare {
namespace {

using graph::Graph;
using graph::Node;
using graph::Operand;
using graph::ValueId;

class Matcher {
public:
    Matcher(const Graph& first, const Graph& second) : m_first(first), m_second(second)
    {
        m_partner.assign(first.allNodes().size(), -1);
        m_of.assign(second.allNodes().size(), -1);
        m_value.assign(second.data().values.size(), -1);
        for (std::size_t i = 0; i < first.allNodes().size(); ++i)
            m_byName.emplace(first.allNodes()[i]->name, int(i));
        const auto& a = first.data().inputs;
        const auto& b = second.data().inputs;
        for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
            m_value[std::size_t(b[i].value)] = a[i].value;
        if (first.data().training && second.data().training)
            m_value[std::size_t(*second.data().training)] = *first.data().training;
        for (const auto& parameter : second.data().parameters)
            if (const auto* same = first.findParameter(parameter.name))
                m_value[std::size_t(parameter.value)] = same->value;
    }
    void run()
    {
        matchNames(true);
        matchLeft([this](const Graph& graph, const Node& node) { return structureKey(graph, node); });
        matchNames(false);
        matchLeft([this](const Graph& graph, const Node& node) { return placeKey(graph, node); });
        matchLeft([this](const Graph& graph, const Node& node) { return structureKey(graph, node); });
        matchParameters();
    }
    GraphDifference difference() const;

private:
    void match(int a, int b)
    {
        m_partner[std::size_t(a)] = b;
        m_of[std::size_t(b)] = a;
        const Node &mine = *m_first.allNodes()[std::size_t(a)], &theirs = *m_second.allNodes()[std::size_t(b)];
        for (std::size_t i = 0; i < std::min(mine.outputs.size(), theirs.outputs.size()); ++i)
            m_value[std::size_t(theirs.outputs[i])] = mine.outputs[i];
        for (std::size_t k = 0; k < std::min(mine.blocks.size(), theirs.blocks.size()); ++k)
            for (std::size_t i = 0; i < std::min(mine.blocks[k].inputs.size(), theirs.blocks[k].inputs.size()); ++i)
                m_value[std::size_t(theirs.blocks[k].inputs[i])] = mine.blocks[k].inputs[i];
    }
    void matchNames(bool sameOperator)
    {
        for (std::size_t b = 0; b < m_of.size(); ++b) {
            const Node& theirs = *m_second.allNodes()[b];
            const auto found = m_byName.find(theirs.name);
            if (m_of[b] >= 0 || found == m_byName.end() || m_partner[std::size_t(found->second)] >= 0)
                continue;
            if (!sameOperator || m_first.allNodes()[std::size_t(found->second)]->qualifiedOp() == theirs.qualifiedOp())
                match(found->second, int(b));
        }
    }
    /// A value as it is called in the first graph: where it has no partner there, parameters say their shape.
    std::string valueKey(const Graph& graph, ValueId value) const
    {
        const bool isSecond = &graph == &m_second;
        const ValueId known = isSecond ? m_value[std::size_t(value)] : value;
        if (const auto* parameter = graph.parameterOf(value))
            if (!isSecond || known < 0)
                return "parameter " + core::formatShape(parameter->shape);
        if (isSecond && known >= 0 && m_first.parameterOf(known))
            return "parameter " + core::formatShape(m_first.parameterOf(known)->shape);
        return known >= 0 ? fmt::format("%{}", known) : fmt::format("?{}", value);
    }
    /// Operator, literals and what is read.
    std::string structureKey(const Graph& graph, const Node& node) const
    {
        std::string text = node.qualifiedOp();
        for (const auto& input : node.inputs)
            text += "|" + (input.isConstant() ? graph::constantToJson(input.constant).dump() : valueKey(graph, input.value));
        return text;
    }
    /// Where a node stands: its module and the values it reads, whatever it does with them. Empty for one that reads none.
    std::string placeKey(const Graph& graph, const Node& node) const
    {
        std::string text;
        for (const auto& input : node.inputs)
            if (!input.isConstant() && !graph.parameterOf(input.value))
                text += "|" + valueKey(graph, input.value);
        return text.empty() ? text : node.module + text;
    }
    /// Matches what is left and has equal keys, in the order of execution: a match makes what reads it recognisable.
    void matchLeft(const std::function<std::string(const Graph&, const Node&)>& key)
    {
        std::unordered_map<std::string, std::vector<int>> left;
        for (int a = int(m_partner.size()) - 1; a >= 0; --a)
            if (m_partner[std::size_t(a)] < 0)
                left[key(m_first, *m_first.allNodes()[std::size_t(a)])].push_back(a);
        for (std::size_t b = 0; b < m_of.size(); ++b) {
            if (m_of[b] >= 0)
                continue;
            const auto text = key(m_second, *m_second.allNodes()[b]);
            const auto found = text.empty() ? left.end() : left.find(text);
            if (found == left.end() || found->second.empty())
                continue;
            match(found->second.back(), int(b));
            found->second.pop_back();
        }
    }
    void matchParameters()
    {
        for (std::size_t b = 0; b < m_of.size(); ++b) {
            if (m_of[b] < 0)
                continue;
            const auto& theirs = m_second.allNodes()[b]->inputs;
            const auto& mine = m_first.allNodes()[std::size_t(m_of[b])]->inputs;
            for (std::size_t i = 0; i < std::min(mine.size(), theirs.size()); ++i)
                if (!mine[i].isConstant() && !theirs[i].isConstant() && m_first.parameterOf(mine[i].value) && m_second.parameterOf(theirs[i].value) &&
                    m_value[std::size_t(theirs[i].value)] < 0)
                    m_value[std::size_t(theirs[i].value)] = mine[i].value;
        }
    }
    std::string text(const Graph& graph, const Operand& operand) const
    {
        return operand.isConstant() ? graph::literalText(operand.constant) : graph.value(operand.value).name;
    }
    bool sameOperand(const Operand& mine, const Operand& theirs) const
    {
        if (mine.isConstant() != theirs.isConstant())
            return false;
        if (mine.isConstant())
            return graph::constantToJson(mine.constant) == graph::constantToJson(theirs.constant);
        return m_value[std::size_t(theirs.value)] == mine.value;
    }
    /// The same part played by a parameter of another shape: the node computes something else.
    void addShapeChange(const Operand& mine, const Operand& theirs, std::vector<std::string>& found) const
    {
        const auto* before = mine.isConstant() ? nullptr : m_first.parameterOf(mine.value);
        const auto* now = theirs.isConstant() ? nullptr : m_second.parameterOf(theirs.value);
        if (before && now && before->shape != now->shape)
            found.push_back(fmt::format("{}: {} became {}", before->name, core::formatShape(before->shape), core::formatShape(now->shape)));
    }
    std::vector<std::string> changes(const Node& mine, const Node& theirs) const
    {
        std::vector<std::string> found;
        if (mine.qualifiedOp() != theirs.qualifiedOp())
            found.push_back(fmt::format("operator {} became {}", mine.qualifiedOp(), theirs.qualifiedOp()));
        for (std::size_t i = 0; i < std::max(mine.inputs.size(), theirs.inputs.size()); ++i) {
            const bool both = i < mine.inputs.size() && i < theirs.inputs.size();
            if (both && sameOperand(mine.inputs[i], theirs.inputs[i])) {
                addShapeChange(mine.inputs[i], theirs.inputs[i], found);
                continue;
            }
            found.push_back(fmt::format("input {}: {} became {}", i, i < mine.inputs.size() ? text(m_first, mine.inputs[i]) : "nothing",
                                        i < theirs.inputs.size() ? text(m_second, theirs.inputs[i]) : "nothing"));
        }
        for (std::size_t k = 0; k < std::max(mine.blocks.size(), theirs.blocks.size()); ++k) {
            const bool both = k < mine.blocks.size() && k < theirs.blocks.size();
            const bool same = both && mine.blocks[k].outputs.size() == theirs.blocks[k].outputs.size() &&
                              std::equal(mine.blocks[k].outputs.begin(), mine.blocks[k].outputs.end(), theirs.blocks[k].outputs.begin(),
                                         [this](const Operand& a, const Operand& b) { return sameOperand(a, b); });
            if (!same)
                found.push_back(fmt::format("what block {} gives differs", k));
        }
        return found;
    }
    void addParameters(GraphDifference& difference) const;
    void addEnds(GraphDifference& difference) const;

    const Graph &m_first, &m_second;
    std::unordered_map<std::string, int> m_byName;
    std::vector<int> m_partner, m_of;  ///< per node of the first (second): the node of the other, or -1
    std::vector<ValueId> m_value;      ///< per value of the second: the value of the first, or -1
};

void Matcher::addParameters(GraphDifference& difference) const
{
    std::map<ValueId, const graph::Parameter*> taken;
    for (const auto& parameter : m_second.data().parameters) {
        const ValueId value = m_value[std::size_t(parameter.value)];
        if (value < 0 || !m_first.parameterOf(value) || !taken.emplace(value, &parameter).second) {
            difference.onlySecond.push_back(parameter.name);
            continue;
        }
        difference.parameters.emplace(m_first.parameterOf(value)->name, parameter.name);
    }
    for (const auto& parameter : m_first.data().parameters)
        if (!taken.count(parameter.value))
            difference.onlyFirst.push_back(parameter.name);
}

void Matcher::addEnds(GraphDifference& difference) const
{
    const auto &a = m_first.data(), &b = m_second.data();
    if (a.inputs.size() != b.inputs.size())
        difference.ends.push_back(fmt::format("{} became {}", core::counted(std::int64_t(a.inputs.size()), "input"), b.inputs.size()));
    if (a.body.outputs.size() != b.body.outputs.size())
        difference.ends.push_back(fmt::format("{} became {}", core::counted(std::int64_t(a.body.outputs.size()), "output"), b.body.outputs.size()));
    for (std::size_t i = 0; i < std::min(a.body.outputs.size(), b.body.outputs.size()); ++i)
        if (!sameOperand(a.body.outputs[i], b.body.outputs[i]))
            difference.ends.push_back(
                fmt::format("output {}: {} became {}", a.outputNames[i], text(m_first, a.body.outputs[i]), text(m_second, b.body.outputs[i])));
}

GraphDifference Matcher::difference() const
{
    GraphDifference difference;
    std::size_t next = 0;  // of the second
    const auto addNewUpTo = [&](std::size_t end) {
        for (; next < end; ++next)
            if (m_of[next] < 0) {
                const Node& node = *m_second.allNodes()[next];
                difference.nodes.push_back({"", node.name, node.qualifiedOp(), Change::Added, {}});
            }
    };
    for (std::size_t a = 0; a < m_partner.size(); ++a) {
        const Node& mine = *m_first.allNodes()[a];
        if (m_partner[a] < 0) {
            difference.nodes.push_back({mine.name, "", mine.qualifiedOp(), Change::Removed, {}});
            continue;
        }
        addNewUpTo(std::max(next, std::size_t(m_partner[a])));
        const Node& theirs = *m_second.allNodes()[std::size_t(m_partner[a])];
        auto what = changes(mine, theirs);
        const auto change = what.empty() ? Change::Same : Change::Changed;
        difference.nodes.push_back({mine.name, theirs.name, mine.qualifiedOp(), change, std::move(what)});
    }
    addNewUpTo(m_of.size());
    addParameters(difference);
    addEnds(difference);
    return difference;
}

}  // namespace

const char* changeName(Change change)
{
    static constexpr const char* kNames[] = {"same", "changed", "added", "removed"};
    return kNames[int(change)];
}

int GraphDifference::count(Change change) const
{
    return int(std::count_if(nodes.begin(), nodes.end(), [&](const auto& node) { return node.change == change; }));
}

bool GraphDifference::equal() const
{
    return count(Change::Same) == int(nodes.size()) && onlyFirst.empty() && onlySecond.empty() && ends.empty();
}

core::Json GraphDifference::toJson() const
{
    core::Json list = core::Json::array();
    for (const auto& node : nodes)
        if (node.change != Change::Same || node.isRenamed())
            list.push_back({{"change", changeName(node.change)},
                            {"first", node.first.empty() ? core::Json() : core::Json(node.first)},
                            {"second", node.second.empty() ? core::Json() : core::Json(node.second)},
                            {"op", node.op},
                            {"what", node.what}});
    core::Json renamed = core::Json::object();
    for (const auto& [first, second] : parameters)
        if (first != second)
            renamed[first] = second;
    return {{"equal", equal()},
            {"same", count(Change::Same)},
            {"changed", count(Change::Changed)},
            {"added", count(Change::Added)},
            {"removed", count(Change::Removed)},
            {"nodes", std::move(list)},
            {"ends", ends},
            {"parameters_only_first", onlyFirst},
            {"parameters_only_second", onlySecond},
            {"parameters_renamed", std::move(renamed)}};
}

GraphDifference compareGraphs(const Graph& first, const Graph& second)
{
    Matcher matcher(first, second);
    matcher.run();
    return matcher.difference();
}

}  // namespace orrery::compare
