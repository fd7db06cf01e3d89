#include "rule_graphs.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/executor.h>

#include "operator_draws.h"

namespace orrery::debug {
namespace {

constexpr std::int64_t kMostDrawnElements = 20'000;
constexpr int kTriesPerNode = 200;

class RuleBuilder {
public:
    RuleBuilder(const OperatorRules& rules, std::uint64_t seed, Preconditions preconditions)
        : m_rules(rules), m_random(seed), m_preconditions(preconditions), m_builder("drawn")
    {
        for (int i = 0; i < 2; ++i) {
            Sizes shape(std::size_t(drawn(2, 4)));
            for (auto& size : shape)
                size = drawn(1, 6);
            std::vector<std::string> words;
            for (const auto size : shape)
                words.push_back(std::to_string(size));
            add(m_builder.input("x" + std::to_string(i), "float32", words), shape);
        }
        m_inputs = m_shapes;
    }
    RandomGraph make(std::uint64_t seed, int nodes)
    {
        for (int tries = 0; tries < kTriesPerNode * nodes && int(m_made.size()) < nodes && !m_ended; ++tries)
            tryNode();
        if (m_made.empty())
            throw core::InputError("the rules let no call pass: learn them from more calls");
        return finish(seed);
    }

private:
    std::int64_t drawn(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(m_random); }
    void add(graph::Builder::Var var, const Sizes& shape)
    {
        m_values.push_back(var);
        m_shapes.push_back(shape);
    }
    void tryNode()
    {
        const DrawnCall call = drawCall(std::size_t(drawn(0, std::int64_t(operatorsThatAreDrawn()) - 1)), m_random, m_shapes);
        const bool obeys = m_preconditions == Preconditions::Obeyed;
        if (obeys && !m_rules.objection(call.call).empty())
            return;
        const auto shape = m_rules.outputShape(call.call);
        if (shape && elementsOf(*shape) > kMostDrawnElements)
            return;
        // Rules were learned from tensors that hold something.
        const bool isTyped = shape && std::all_of(shape->begin(), shape->end(), [](auto size) { return size > 0; });
        if (obeys && !isTyped)
            return;
        std::vector<graph::Builder::Var> tensors;
        for (const auto& tensor : call.tensors)
            tensors.push_back(tensor.existing ? m_values[*tensor.existing] : parameter(tensor.sizes));
        const auto made = addNode(m_builder, call, tensors);
        m_made.push_back(made);
        m_ended = !isTyped;
        if (isTyped)
            add(made, *shape);
    }
    static double elementsOf(const Sizes& shape)
    {
        double count = 1;
        for (const auto size : shape)
            count *= double(size);
        return count;
    }
    graph::Builder::Var parameter(const Sizes& shape)
    {
        return m_builder.parameter("w" + std::to_string(m_parameters++), shape, {{"kind", "normal"}, {"mean", 0}, {"std", 0.5}});
    }
    RandomGraph finish(std::uint64_t seed)
    {
        std::vector<std::pair<std::string, graph::Builder::Var>> outputs = {{"out", m_made.back()}};
        for (std::size_t i = 0; i + 1 < m_made.size(); i += 3)
            outputs.emplace_back("out" + std::to_string(i), m_made[i]);
        RandomGraph made = RandomGraph::drawn(m_builder.finish(outputs), m_inputs, seed);
        for (std::size_t i = m_inputs.size(); i < m_values.size(); ++i)
            made.shapes[made.model.graph->value(m_values[i].id).name] = m_shapes[i];
        return made;
    }

    const OperatorRules& m_rules;
    std::mt19937_64 m_random;
    Preconditions m_preconditions;
    graph::Builder m_builder;
    std::vector<graph::Builder::Var> m_values, m_made;
    std::vector<Sizes> m_shapes, m_inputs;
    int m_parameters = 0;
    bool m_ended = false;
};

int drawnNodes(std::uint64_t seed)
{
    return 4 + int(seed % 20);
}

/// The sentence of a node that failed: its operator and libtorch's reason.
std::string reasonOf(const RandomGraph& graph, const graph::NodeError& error)
{
    const std::string text = error.what();
    const auto& nodes = graph.model.graph->nodes();
    const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const auto& each) { return each.name == error.node(); });
    const auto reason = text.find(": ");
    return (node == nodes.end() ? error.node() : node->qualifiedOp()) + (reason == std::string::npos ? ": " + text : text.substr(reason));
}

}  // namespace

RandomGraph drawGraph(const OperatorRules& rules, std::uint64_t seed, int nodes, Preconditions preconditions)
{
    return RuleBuilder(rules, seed, preconditions).make(seed, nodes);
}

std::string faultOf(const RandomGraph& graph)
{
    const at::NoGradGuard noGrad;
    graph::RunRequest request;
    request.inputs = graph.inputs;
    for (const auto& [name, shape] : graph.shapes)
        request.keep.push_back(name);
    try {
        const auto values = graph::Executor(graph.model.graph).run(graph.model.weights, request).values;
        for (const auto& [name, shape] : graph.shapes)
            if (const auto found = values.find(name); found != values.end() && found->second.toTensor().sizes() != at::IntArrayRef(shape))
                return fmt::format("{}: another shape than predicted",
                                   graph.model.graph->producer(*graph.model.graph->findValue(name))->qualifiedOp());
    } catch (const graph::NodeError& error) {
        return reasonOf(graph, error);
    }
    return {};
}

DrawnShares compareDrawn(const OperatorRules& rules, int count, std::uint64_t seed, std::stop_token stop,
                         const std::function<void(double, double)>& progress)
{
    DrawnShares shares;
    for (int i = 0; i < count; ++i) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const std::uint64_t own = seed + std::uint64_t(i);
        const RandomGraph without = drawGraph(rules, own, drawnNodes(own), Preconditions::Ignored),
                          with = drawGraph(rules, own, drawnNodes(own), Preconditions::Obeyed);
        ++shares.graphs;
        shares.nodesWithout += int(without.model.graph->nodes().size());
        shares.nodesWith += int(with.model.graph->nodes().size());
        shares.validWithout += faultOf(without).empty();
        const std::string fault = faultOf(with);
        shares.validWith += fault.empty();
        if (!fault.empty())
            ++shares.faults[fault];
        if (progress)
            progress(i + 1, count);
    }
    return shares;
}

core::Json DrawnShares::toJson() const
{
    return {{"graphs", graphs},
            {"without_rules", {{"nodes", nodesWithout}, {"valid", validWithout}}},
            {"with_rules", {{"nodes", nodesWith}, {"valid", validWith}, {"faults", faults}}}};
}

GraphMaker drawnBy(const OperatorRules& rules)
{
    return [&rules](std::uint64_t seed) -> std::optional<RandomGraph> {
        RandomGraph graph = drawGraph(rules, seed, drawnNodes(seed), Preconditions::Obeyed);
        return faultOf(graph).empty() ? std::optional(std::move(graph)) : std::nullopt;
    };
}

}  // namespace orrery::debug
