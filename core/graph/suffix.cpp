#include "suffix.h"

#include <algorithm>

#include "part_rewrite.h"

namespace orrery::graph {
namespace {

class SuffixRewrite : PartRewrite {
public:
    SuffixRewrite(const GraphPtr& graph, Range range, const Shapes& one, const Shapes& two)
        : PartRewrite(graph, one, two), m_length(range.begin + range.length), m_range(range)
    {
    }
    std::optional<Suffix> run(const std::map<std::string, std::int64_t>& changed);

private:
    Range on(std::int64_t axis) const { return {axis, m_range.begin, m_range.length}; }
    bool follow(Node node);
    bool followList(Node& node);
    bool followSelection(Node& node);
    bool followRule(Node& node);
    bool readsOwnAxis(const Node& node, const std::vector<Demand>& reads) const;
    void computeWhole(Node& node);
    Operand read(ValueId id, const Demand& demand);
    Operand putTogether(ValueId id);
    void startAt(Node& node);
    bool isInCone(const Node& node) const;

    std::int64_t m_length;
    Range m_range;
    std::map<ValueId, std::int64_t> m_starts;               // where changes begin: their axes
    std::map<ValueId, std::optional<std::int64_t>> m_axis;  // values that depend on a change: the axis they are cut along, or nothing for whole ones
    std::map<ValueId, Operand> m_together;
    std::vector<Node> m_nodes;
    std::vector<Suffix::Before> m_before;
};

bool SuffixRewrite::isInCone(const Node& node) const
{
    return std::any_of(node.inputs.begin(), node.inputs.end(),
                       [&](const Operand& input) { return !input.isConstant() && m_axis.count(input.value); });
}

bool blockReads(const Block& block, const std::map<ValueId, std::optional<std::int64_t>>& values)
{
    const auto known = [&](const Operand& operand) { return !operand.isConstant() && values.count(operand.value); };
    return std::any_of(block.outputs.begin(), block.outputs.end(), known) ||
           std::any_of(block.nodes.begin(), block.nodes.end(), [&](const Node& node) {
               return std::any_of(node.inputs.begin(), node.inputs.end(), known) ||
                      std::any_of(node.blocks.begin(), node.blocks.end(), [&](const Block& inner) { return blockReads(inner, values); });
           });
}

/// What was there before the change, and what comes from it.
Operand SuffixRewrite::putTogether(ValueId id)
{
    if (const auto made = m_together.find(id); made != m_together.end())
        return made->second;
    const auto name = m_data.values[std::size_t(id)].name;
    const auto axis = *m_axis.at(id);
    const auto before = newValue(name + ".before", "Tensor");
    m_before.push_back({m_data.values[std::size_t(before)].name, name, axis});
    m_data.inputs.push_back({m_before.back().input, before});
    Node list, cat;
    list.op = "prim::ListConstruct";
    list.inputs = {Operand::of(before), Operand::of(id)};
    list.outputs = {newValue(name + ".parts", "List[Tensor]")};
    list.name = m_data.values.back().name;
    cat.op = "aten::cat";
    cat.inputs = {Operand::of(list.outputs[0]), Operand::literal(axis)};
    cat.outputs = {newValue(name + ".together", "Tensor")};
    cat.name = m_data.values.back().name;
    m_nodes.push_back(std::move(list));
    m_nodes.push_back(std::move(cat));
    return m_together[id] = Operand::of(m_nodes.back().outputs[0]);
}

Operand SuffixRewrite::read(ValueId id, const Demand& demand)
{
    const auto state = m_axis.find(id);
    const bool isSuffix = state != m_axis.end() && state->second;
    if (isSuffix && demand.kind == Demand::Kind::Part && demand.range == on(*state->second))
        return Operand::of(id);
    const Operand all = isSuffix ? putTogether(id) : Operand::of(id);
    return demand.kind == Demand::Kind::Part ? cut(all.value, demand.range, m_nodes) : all;
}

void SuffixRewrite::computeWhole(Node& node)
{
    for (auto& input : node.inputs)
        if (!input.isConstant())
            input = read(input.value, whole());
    for (const auto id : node.outputs)
        m_axis[id] = std::nullopt;
}

/// Lists of the slices of a tensor along another axis (q, k and v of one product), and taking them apart.
bool SuffixRewrite::followList(Node& node)
{
    if (node.inputs.empty() || node.inputs[0].isConstant() || (node.op != "prim::ListUnpack" && node.op != "aten::unbind"))
        return false;
    const auto state = m_axis.find(node.inputs[0].value);
    if (state == m_axis.end() || !state->second)
        return false;
    const auto axis = *state->second;
    if (node.op == "prim::ListUnpack") {
        for (const auto id : node.outputs)
            m_axis[id] = axis;
        return true;
    }
    const auto dim = literalInt(node.inputs[1]);
    const auto at = dim ? wrapped(*dim, rank(node.inputs[0].value)) : axis;
    // The list itself cannot be put together, so it is only cut where all that reads it takes it apart.
    const auto& users = m_source->users(node.outputs[0]);
    if (at == axis || !std::all_of(users.begin(), users.end(), [](const Node* user) { return user->op == "prim::ListUnpack"; }))
        return false;
    m_axis[node.outputs[0]] = axis - (axis > at ? 1 : 0);
    return true;
}

/// Selections and slices of positions that are all there.
bool SuffixRewrite::followSelection(Node& node)
{
    const bool isSelect = node.op == "aten::select" && node.overload == "int", isSlice = node.op == "aten::slice" && node.overload == "Tensor";
    if ((!isSelect && !isSlice) || !isTensor(node.inputs[0]))
        return false;
    const auto state = m_axis.find(node.inputs[0].value);
    const auto dim = literalInt(node.inputs[1]), first = literalInt(node.inputs[2]);
    if (state == m_axis.end() || !state->second || !dim || !first || wrapped(*dim, rank(node.inputs[0].value)) != *state->second)
        return false;
    const auto end = isSlice ? literalInt(node.inputs[3]) : std::optional(m_length);
    if (!end || (isSlice && literalInt(node.inputs[4]) != 1))
        return false;
    const auto from = wrapped(*first, m_length), to = std::min(wrapped(*end, m_length), m_length);
    if (from < m_range.begin || to <= from)
        return false;
    node.inputs[2] = Operand::literal(from - m_range.begin);
    if (isSlice)
        node.inputs[3] = Operand::literal(to - m_range.begin);
    m_axis[node.outputs[0]] = std::nullopt;
    return true;
}

bool SuffixRewrite::readsOwnAxis(const Node& node, const std::vector<Demand>& reads) const
{
    for (std::size_t i = 0; i < reads.size(); ++i) {
        const auto state = node.inputs[i].isConstant() ? m_axis.end() : m_axis.find(node.inputs[i].value);
        if (state != m_axis.end() && state->second && reads[i].kind == Demand::Kind::Part && reads[i].range == on(*state->second))
            return true;
    }
    return false;
}

/// The first axis of the output that goes with an input's: of a product of queries and keys it is the queries', whose later softmax runs over all keys.
bool SuffixRewrite::followRule(Node& node)
{
    if (node.outputs.size() != 1)
        return false;
    const auto sizes = shape(node.outputs[0]);
    for (std::int64_t axis = 0; axis < std::int64_t(sizes.size()); ++axis) {
        if (sizes[std::size_t(axis)] != m_length)
            continue;
        const auto reads = readsOf(node, on(axis));
        if (!reads || !readsOwnAxis(node, *reads))
            continue;
        for (std::size_t i = 0; i < reads->size(); ++i)
            if (!node.inputs[i].isConstant())
                node.inputs[i] = read(node.inputs[i].value, (*reads)[i]);
        if (node.op == "aten::reshape" || node.op == "aten::view")
            narrowReshape(node, on(axis), m_nodes);
        m_axis[node.outputs[0]] = axis;
        return true;
    }
    return false;
}

/// The value where changes begin is computed as before and cut.
void SuffixRewrite::startAt(Node& node)
{
    for (auto& id : node.outputs) {
        const auto start = m_starts.find(id);
        if (start == m_starts.end())
            continue;
        const auto changed = id;
        const auto name = m_data.values[std::size_t(id)].name;
        id = newValue(name + ".all", "Tensor");
        Node slice;
        slice.op = "aten::slice";
        slice.overload = "Tensor";
        slice.name = name;
        slice.outputs = {changed};
        slice.inputs = {Operand::of(id), Operand::literal(start->second), Operand::literal(m_range.begin), Operand::literal(m_length),
                        Operand::literal(std::int64_t(1))};
        if (node.name == name)
            node.name = m_data.values[std::size_t(id)].name;
        m_axis[changed] = start->second;
        m_nodes.push_back(node);
        m_nodes.push_back(std::move(slice));
        return;
    }
    m_nodes.push_back(std::move(node));
}

bool SuffixRewrite::follow(Node node)
{
    if (std::any_of(node.blocks.begin(), node.blocks.end(), [&](const Block& block) { return blockReads(block, m_axis); }))
        return false;
    if (!isInCone(node)) {
        startAt(node);
        return true;
    }
    if (!node.blocks.empty())
        return false;
    if (!followList(node) && !followSelection(node) && !followRule(node))
        computeWhole(node);
    m_nodes.push_back(std::move(node));
    return true;
}

std::optional<Suffix> SuffixRewrite::run(const std::map<std::string, std::int64_t>& changed)
{
    for (const auto& [name, axis] : changed)
        if (const auto id = m_source->findValue(name))
            m_starts[*id] = axis;
    for (const auto& node : m_source->nodes())
        if (!follow(node))
            return std::nullopt;
    for (auto& output : m_data.body.outputs)
        if (!output.isConstant())
            output = read(output.value, whole());
    for (const auto& update : m_data.bufferUpdates)
        if (m_axis.count(update.value))
            return std::nullopt;
    m_data.body.nodes = std::move(m_nodes);
    Suffix result;
    for (const auto& [id, axis] : m_axis)
        if (axis && isTensor(Operand::of(id)))
            result.values[m_data.values[std::size_t(id)].name] = *axis;
    result.before = std::move(m_before);
    result.graph = std::make_shared<const Graph>(std::move(m_data));
    return result;
}

}  // namespace

std::optional<Suffix> suffixed(const GraphPtr& graph, const std::map<std::string, std::int64_t>& changed, std::int64_t begin, std::int64_t length,
                               const Shapes& one, const Shapes& two)
{
    if (writesInPlace(*graph) || begin <= 0 || begin >= length)
        return std::nullopt;
    return SuffixRewrite(graph, {0, begin, length - begin}, one, two).run(changed);
}

}  // namespace orrery::graph
