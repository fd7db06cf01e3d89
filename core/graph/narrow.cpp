#include "narrow.h"

#include "part_rewrite.h"

namespace orrery::graph {
namespace {

class Narrowing : PartRewrite {
public:
    Narrowing(const GraphPtr& graph, const Shapes& one, const Shapes& two) : PartRewrite(graph, one, two), m_demand(graph->data().values.size()) {}
    Narrowed run(std::size_t output, const std::optional<Range>& range);

private:
    void demandOutputs(std::size_t output, const std::optional<Range>& range);
    void demandInputs(const Node& node);
    void demandInside(const Block& block);
    void rewrite(Block& body);
    bool isPart(ValueId id) const { return m_demand[std::size_t(id)].kind == Demand::Kind::Part && m_isNarrow.count(id); }

    std::vector<Demand> m_demand;
    std::set<ValueId> m_isNarrow;                        // values that are computed in part
    std::map<const Node*, std::vector<Demand>> m_reads;  // of nodes that compute a part
};

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
