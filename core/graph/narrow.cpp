#include "narrow.h"

#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include <core/base/error.h>

#include "operators.h"

namespace orrery::graph {
namespace {

/// What is read of a value: nothing yet, all, or a range of one axis.
struct Demand {
    enum class Kind { None, Whole, Part } kind = Kind::None;
    Range range;
    void merge(const Demand& other)
    {
        if (kind == Kind::None)
            *this = other;
        else if (other.kind != Kind::None && !(kind == other.kind && range == other.range))
            *this = {Kind::Whole, {}};
    }
};

Demand whole()
{
    return {Demand::Kind::Whole, {}};
}

Demand part(std::int64_t axis, const Range& range)
{
    return {Demand::Kind::Part, {axis, range.begin, range.length}};
}

/// What a node reads of its inputs when only `range` of its output is wanted; nothing if no rule says.
using Reads = std::optional<std::vector<Demand>>;

class Narrowing {
public:
    Narrowing(const GraphPtr& graph, const Shapes& one, const Shapes& two)
        : m_source(graph), m_data(graph->data()), m_one(one), m_two(two), m_demand(m_data.values.size())
    {
    }
    Narrowed run(std::size_t output, const std::optional<Range>& range);

private:
    void demandOutputs(std::size_t output, const std::optional<Range>& range);
    void demandInputs(const Node& node);
    void demandInside(const Block& block);
    Reads readsOf(const Node& node, const Range& range) const;
    Reads pointwise(const Node& node, const Range& range) const;
    Reads linear(const Node& node, const Range& range) const;
    Reads norm(const Node& node, const Range& range) const;
    Reads softmax(const Node& node, const Range& range) const;
    Reads product(const Node& node, const Range& range) const;
    Reads maskedProduct(const Node& node, const Range& range) const;
    Reads transposed(const Node& node, const Range& range) const;
    Reads flattened(const Node& node, const Range& range) const;
    Reads reshaped(const Node& node, const Range& range) const;
    std::optional<Demand> selection(const Node& node) const;
    std::optional<std::int64_t> axisBehindReshape(const Shapes& shapes, ValueId in, ValueId out, std::int64_t axis) const;

    void rewrite(Block& body);
    Operand cut(ValueId id, const Range& range, std::vector<Node>& nodes);
    void narrowReshape(Node& node, const Range& range, std::vector<Node>& nodes);
    ValueId newValue(const std::string& name, const std::string& type);

    const std::vector<std::int64_t>& shape(ValueId id) const { return m_one[std::size_t(id)]; }
    std::int64_t rank(ValueId id) const { return std::int64_t(shape(id).size()); }
    std::vector<Demand> wholeInputs(const Node& node) const { return std::vector<Demand>(node.inputs.size(), whole()); }
    Demand broadcastPart(const Node& node, std::size_t input, const Range& range) const;
    bool isTensor(const Operand& operand) const { return !operand.isConstant() && !shape(operand.value).empty(); }
    bool isPart(ValueId id) const { return m_demand[std::size_t(id)].kind == Demand::Kind::Part && m_isNarrow.count(id); }

    GraphPtr m_source;
    GraphData m_data;
    const Shapes &m_one, &m_two;
    std::vector<Demand> m_demand;
    std::set<ValueId> m_isNarrow;                                             // values that are computed in part
    std::map<const Node*, std::vector<Demand>> m_reads;                       // of nodes that compute a part
    std::map<std::pair<ValueId, std::vector<std::int64_t>>, Operand> m_cuts;  // whole value and range -> its part
    std::set<std::string> m_names;
};

std::optional<std::int64_t> literalInt(const Operand& operand)
{
    return operand.isConstant() && operand.constant.isInt() ? std::optional(operand.constant.toInt()) : std::nullopt;
}

std::int64_t wrapped(std::int64_t index, std::int64_t length)
{
    return index < 0 ? index + length : index;
}

bool isPointwise(const std::string& op)
{
    static const std::set<std::string> kPointwise = {
        "aten::add",      "aten::sub",      "aten::mul",        "aten::div",     "aten::relu",  "aten::gelu",        "aten::tanh",  "aten::sigmoid",
        "aten::silu",     "aten::neg",      "aten::exp",        "aten::pow",     "aten::sqrt",  "aten::rsqrt",       "aten::abs",   "aten::erf",
        "aten::hardtanh", "aten::relu6",    "aten::elu",        "aten::dropout", "aten::clamp", "aten::masked_fill", "aten::where", "aten::rsub",
        "aten::square",   "aten::softplus", "aten::contiguous", "aten::mish",    "aten::alias", "aten::leaky_relu"};
    return kPointwise.count(op) > 0;
}

/// Operands are aligned at their last axis; one that lacks the axis, or has length 1 there, serves every index alike.
Demand Narrowing::broadcastPart(const Node& node, std::size_t input, const Range& range) const
{
    const auto id = node.inputs[input].value;
    const auto axis = range.axis - (rank(node.outputs[0]) - rank(id));
    if (axis < 0 || (shape(id)[std::size_t(axis)] == 1 && shape(node.outputs[0])[std::size_t(range.axis)] != 1))
        return whole();
    return part(axis, range);
}

Reads Narrowing::pointwise(const Node& node, const Range& range) const
{
    auto reads = wholeInputs(node);
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
        if (isTensor(node.inputs[i]))
            reads[i] = broadcastPart(node, i, range);
    return reads;
}

Reads Narrowing::linear(const Node& node, const Range& range) const
{
    if (!isTensor(node.inputs[0]) || range.axis == rank(node.outputs[0]) - 1)
        return std::nullopt;
    auto reads = wholeInputs(node);
    reads[0] = part(range.axis, range);
    return reads;
}

Reads Narrowing::norm(const Node& node, const Range& range) const
{
    if (!isTensor(node.inputs[0]) || !node.inputs[1].isConstant() || !node.inputs[1].constant.isIntList())
        return std::nullopt;
    const auto normalised = std::int64_t(node.inputs[1].constant.toIntVector().size());
    if (range.axis >= rank(node.outputs[0]) - normalised)
        return std::nullopt;
    auto reads = wholeInputs(node);
    reads[0] = part(range.axis, range);
    return reads;
}

Reads Narrowing::softmax(const Node& node, const Range& range) const
{
    const auto dim = literalInt(node.inputs[1]);
    if (!isTensor(node.inputs[0]) || !dim || wrapped(*dim, rank(node.outputs[0])) == range.axis)
        return std::nullopt;
    auto reads = wholeInputs(node);
    reads[0] = part(range.axis, range);
    return reads;
}

/// Rows of a product need the same rows of the left factor and all of the right one; columns the other way round.
Reads Narrowing::product(const Node& node, const Range& range) const
{
    if (!isTensor(node.inputs[0]) || !isTensor(node.inputs[1]))
        return std::nullopt;
    const auto left = rank(node.inputs[0].value), right = rank(node.inputs[1].value), out = rank(node.outputs[0]);
    if (left < 2 || right < 2)
        return std::nullopt;
    auto reads = wholeInputs(node);
    if (range.axis == out - 2) {
        reads[0] = part(left - 2, range);
    } else if (range.axis == out - 1) {
        reads[1] = part(right - 1, range);
    } else {
        reads[0] = broadcastPart(node, 0, range);
        reads[1] = broadcastPart(node, 1, range);
    }
    return reads;
}

Reads Narrowing::maskedProduct(const Node& node, const Range& range) const
{
    if (!isTensor(node.inputs[0]) || !isTensor(node.inputs[1]) || !isTensor(node.inputs[2]))
        return std::nullopt;
    auto reads = wholeInputs(node);
    reads[0] = broadcastPart(node, 0, range);
    if (range.axis != 2)
        reads[1] = part(range.axis, range);
    if (range.axis != 1)
        reads[2] = part(range.axis, range);
    return reads;
}

Reads Narrowing::transposed(const Node& node, const Range& range) const
{
    const auto count = rank(node.outputs[0]);
    std::vector<std::int64_t> order(std::size_t(std::max<std::int64_t>(count, 0)));
    std::iota(order.begin(), order.end(), 0);
    if (node.op == "aten::permute") {
        if (!node.inputs[1].isConstant())
            return std::nullopt;
        order = node.inputs[1].constant.toIntVector();
    } else {
        const auto a = literalInt(node.inputs[1]), b = literalInt(node.inputs[2]);
        if (!a || !b)
            return std::nullopt;
        std::swap(order[std::size_t(wrapped(*a, count))], order[std::size_t(wrapped(*b, count))]);
    }
    auto reads = wholeInputs(node);
    reads[0] = part(wrapped(order[std::size_t(range.axis)], count), range);
    return reads;
}

Reads Narrowing::flattened(const Node& node, const Range& range) const
{
    const auto from = literalInt(node.inputs[1]), to = literalInt(node.inputs[2]);
    if (!from || !to || !isTensor(node.inputs[0]))
        return std::nullopt;
    const auto count = rank(node.inputs[0].value), first = wrapped(*from, count), last = wrapped(*to, count);
    if (range.axis == first && first != last)
        return std::nullopt;
    auto reads = wholeInputs(node);
    reads[0] = part(range.axis <= first ? range.axis : range.axis + (last - first), range);
    return reads;
}

/// An axis goes through a reshape untouched if it has the same length and the same number of elements in front of it on both sides.
std::optional<std::int64_t> Narrowing::axisBehindReshape(const Shapes& shapes, ValueId in, ValueId out, std::int64_t axis) const
{
    const auto &from = shapes[std::size_t(in)], &to = shapes[std::size_t(out)];
    const auto before = std::accumulate(to.begin(), to.begin() + axis, std::int64_t(1), std::multiplies<>());
    std::int64_t product = 1;
    for (std::size_t i = 0; i < from.size(); product *= from[i++])
        if (product == before && from[i] == to[std::size_t(axis)])
            return std::int64_t(i);
    return std::nullopt;
}

Reads Narrowing::reshaped(const Node& node, const Range& range) const
{
    if (!isTensor(node.inputs[0]))
        return std::nullopt;
    const auto axis = axisBehindReshape(m_one, node.inputs[0].value, node.outputs[0], range.axis);
    if (!axis || axis != axisBehindReshape(m_two, node.inputs[0].value, node.outputs[0], range.axis))
        return std::nullopt;
    const auto* list = node.inputs[1].isConstant() ? nullptr : m_source->producer(node.inputs[1].value);
    if (!node.inputs[1].isConstant() && (!list || list->op != "prim::ListConstruct" || std::int64_t(list->inputs.size()) != rank(node.outputs[0])))
        return std::nullopt;
    auto reads = wholeInputs(node);
    reads[0] = part(*axis, range);
    return reads;
}

Reads Narrowing::readsOf(const Node& node, const Range& range) const
{
    if (node.outputs.size() != 1 || !node.blocks.empty() || shape(node.outputs[0]).empty())
        return std::nullopt;
    if (isPointwise(node.op))
        return pointwise(node, range);
    if (node.op == "aten::linear")
        return linear(node, range);
    if (node.op == "aten::layer_norm")
        return norm(node, range);
    if ((node.op == "aten::softmax" || node.op == "aten::log_softmax") && node.overload == "int")
        return softmax(node, range);
    if (node.op == "aten::matmul" || node.op == "aten::bmm")
        return product(node, range);
    if (node.op == "aten::baddbmm")
        return maskedProduct(node, range);
    if (node.op == "aten::permute" || (node.op == "aten::transpose" && node.overload == "int"))
        return transposed(node, range);
    if (node.op == "aten::flatten" && node.overload == "using_ints")
        return flattened(node, range);
    if (node.op == "aten::reshape" || node.op == "aten::view")
        return reshaped(node, range);
    return std::nullopt;
}

/// What `select(x, axis, index)` reads of x.
std::optional<Demand> Narrowing::selection(const Node& node) const
{
    if (node.op != "aten::select" || node.overload != "int" || !isTensor(node.inputs[0]))
        return std::nullopt;
    const auto axis = literalInt(node.inputs[1]), index = literalInt(node.inputs[2]);
    if (!axis || !index)
        return std::nullopt;
    const auto at = wrapped(*axis, rank(node.inputs[0].value)), length = shape(node.inputs[0].value)[std::size_t(at)];
    if (at == 0 || length < 2)
        return std::nullopt;
    return Demand{Demand::Kind::Part, {at, wrapped(*index, length), 1}};
}

void Narrowing::demandInside(const Block& block)
{
    const auto need = [&](const Operand& operand) {
        if (!operand.isConstant())
            m_demand[std::size_t(operand.value)].merge(whole());
    };
    for (const auto& node : block.nodes) {
        for (const auto& input : node.inputs)
            need(input);
        for (const auto& inner : node.blocks)
            demandInside(inner);
    }
    for (const auto& output : block.outputs)
        need(output);
}

void Narrowing::demandInputs(const Node& node)
{
    auto reads = wholeInputs(node);
    if (const auto selected = selection(node)) {
        reads[0] = *selected;
        m_reads[&node] = reads;
    } else if (node.outputs.size() == 1 && m_demand[std::size_t(node.outputs[0])].kind == Demand::Kind::Part) {
        if (const auto narrow = readsOf(node, m_demand[std::size_t(node.outputs[0])].range)) {
            reads = *narrow;
            m_reads[&node] = reads;
            m_isNarrow.insert(node.outputs[0]);
        }
    }
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
        if (!node.inputs[i].isConstant())
            m_demand[std::size_t(node.inputs[i].value)].merge(reads[i]);
    for (const auto& block : node.blocks)
        demandInside(block);
}

void Narrowing::demandOutputs(std::size_t output, const std::optional<Range>& range)
{
    const auto& outputs = m_data.body.outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i)
        if (!outputs[i].isConstant())
            m_demand[std::size_t(outputs[i].value)].merge(i == output && range ? Demand{Demand::Kind::Part, *range} : whole());
    for (const auto& update : m_data.bufferUpdates)
        m_demand[std::size_t(update.value)].merge(whole());
}

ValueId Narrowing::newValue(const std::string& name, const std::string& type)
{
    auto unique = name;
    for (int i = 2; m_source->findValue(unique) || m_names.count(unique); ++i)
        unique = fmt::format("{}#{}", name, i);
    m_names.insert(unique);
    m_data.values.push_back({unique, type});
    return ValueId(m_data.values.size() - 1);
}

/// The part of a value that is there as a whole.
Operand Narrowing::cut(ValueId id, const Range& range, std::vector<Node>& nodes)
{
    const std::pair key{id, std::vector<std::int64_t>{range.axis, range.begin, range.length}};
    if (const auto made = m_cuts.find(key); made != m_cuts.end())
        return made->second;
    Node node;
    node.op = "aten::slice";
    node.overload = "Tensor";
    node.outputs = {newValue(m_data.values[std::size_t(id)].name + ".part", "Tensor")};
    node.name = m_data.values.back().name;
    const auto end = range.begin + range.length;
    const bool reachesTheEnd = range.begin < 0 && end == 0;
    node.inputs = {Operand::of(id), Operand::literal(range.axis), Operand::literal(range.begin),
                   Operand::literal(reachesTheEnd ? std::numeric_limits<std::int64_t>::max() : end), Operand::literal(std::int64_t(1))};
    nodes.push_back(std::move(node));
    return m_cuts[key] = Operand::of(nodes.back().outputs[0]);
}

void Narrowing::narrowReshape(Node& node, const Range& range, std::vector<Node>& nodes)
{
    node.op = "aten::reshape";  // a part is not contiguous, which a view would refuse
    if (node.inputs[1].isConstant()) {
        auto sizes = node.inputs[1].constant.toIntVector();
        sizes[std::size_t(range.axis)] = range.length;
        node.inputs[1] = Operand::literal(sizes);
        return;
    }
    Node list = *m_source->producer(node.inputs[1].value);
    list.inputs[std::size_t(range.axis)] = Operand::literal(range.length);
    list.outputs = {newValue(list.name + ".part", "List[int]")};
    list.name = m_data.values.back().name;
    node.inputs[1] = Operand::of(list.outputs[0]);
    nodes.push_back(std::move(list));
}

void Narrowing::rewrite(Block& body)
{
    std::vector<Node> nodes;
    const auto& source = m_source->nodes();
    for (std::size_t i = 0; i < body.nodes.size(); ++i) {
        Node node = std::move(body.nodes[i]);
        const auto found = m_reads.find(&source[i]);
        for (std::size_t k = 0; found != m_reads.end() && k < node.inputs.size(); ++k)
            if (const auto& read = found->second[k]; read.kind == Demand::Kind::Part && !node.inputs[k].isConstant() && !isPart(node.inputs[k].value))
                node.inputs[k] = cut(node.inputs[k].value, read.range, nodes);
        if (found != m_reads.end() && node.op == "aten::select")
            node.inputs[2] = Operand::literal(std::int64_t(0));
        if (found != m_reads.end() && (node.op == "aten::reshape" || node.op == "aten::view"))
            narrowReshape(node, m_demand[std::size_t(node.outputs[0])].range, nodes);
        nodes.push_back(std::move(node));
    }
    body.nodes = std::move(nodes);
}

Narrowed Narrowing::run(std::size_t output, const std::optional<Range>& range)
{
    demandOutputs(output, range);
    const auto& nodes = m_source->nodes();
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
        demandInputs(*node);
    rewrite(m_data.body);
    auto& outputs = m_data.body.outputs;
    if (range && !outputs[output].isConstant() && !isPart(outputs[output].value))
        outputs[output] = cut(outputs[output].value, *range, m_data.body.nodes);
    Narrowed result;
    for (const auto id : m_isNarrow)
        if (isPart(id))
            result.values[m_data.values[std::size_t(id)].name] = m_demand[std::size_t(id)].range;
    result.graph = std::make_shared<const Graph>(std::move(m_data));
    return result;
}

bool writesInPlace(const Graph& graph)
{
    return std::any_of(graph.allNodes().begin(), graph.allNodes().end(), [](const Node* node) {
        const auto found = ownOperator(node->op) == OwnOperator::None ? findOperator(node->op, node->overload) : nullptr;
        return found && writesAny(found->schema());
    });
}

}  // namespace

Probe shapeProbe(const Graph& graph, Shapes& shapes)
{
    shapes.assign(graph.data().values.size(), {});
    return Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
        const auto id = graph.findValue(name);
        if (id && value.isTensor() && value.toTensor().defined())
            shapes[std::size_t(*id)] = value.toTensor().sizes().vec();
    });
}

Narrowed narrowed(const GraphPtr& graph, std::size_t output, const std::optional<Range>& range, const Shapes& one, const Shapes& two)
{
    if (writesInPlace(*graph))
        return {graph, {}};
    return Narrowing(graph, one, two).run(output, range);
}

}  // namespace orrery::graph
