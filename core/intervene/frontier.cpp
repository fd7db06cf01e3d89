#include "frontier.h"

namespace orrery::intervene {

using graph::Node;
using graph::ValueId;

void addReads(const Node& node, std::set<ValueId>& reads)
{
    for (const auto& input : node.inputs)
        if (!input.isConstant())
            reads.insert(input.value);
    for (const auto& block : node.blocks) {
        for (const auto& inner : block.nodes)
            addReads(inner, reads);
        for (const auto& output : block.outputs)
            if (!output.isConstant())
                reads.insert(output.value);
    }
}

std::vector<const Node*> coneOf(const graph::Executor& executor, const std::string& value)
{
    const auto& graph = *executor.graph();
    std::vector<const Node*> nodes;
    for (const auto& name : executor.dependencyCone({value}))
        if (const auto id = graph.findValue(name))
            if (const auto* node = graph.producer(*id))
                nodes.push_back(node);
    return nodes;
}

std::vector<std::string> frontierOf(const graph::Executor& executor, const std::vector<std::string>& values)
{
    const auto& graph = *executor.graph();
    std::set<ValueId> outside;
    for (const auto& value : values) {
        std::set<ValueId> reads, made;
        for (const auto* node : coneOf(executor, value)) {
            addReads(*node, reads);
            made.insert(node->outputs.begin(), node->outputs.end());
        }
        for (const auto id : reads)
            if (!made.count(id))
                outside.insert(id);
    }
    std::vector<std::string> names;
    for (const auto& node : graph.nodes())
        for (const auto id : node.outputs)
            if (outside.count(id))
                names.push_back(graph.value(id).name);
    return names;
}

}  // namespace orrery::intervene
