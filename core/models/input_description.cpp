#include "input_description.h"

namespace orrery::models {
namespace {

bool feeds(const graph::Node& node, graph::ValueId value, std::initializer_list<const char*> ops, std::size_t argument)
{
    return std::any_of(ops.begin(), ops.end(), [&](const char* op) { return node.op == op; }) && argument < node.inputs.size() &&
           node.inputs[argument].value == value;
}

// What the first operators on an input say about it.
graph::ModelCard::Input describeInput(const graph::Graph& graph, const graph::Input& input)
{
    graph::ModelCard::Input card;
    card.name = input.name;
    card.kind = "float";
    const auto& type = graph.value(input.value).type;
    if (type != "Tensor" && type != "Optional[Tensor]") {
        card.dtype = type;
        return card;
    }
    for (const auto* node : graph.allNodes()) {
        if (feeds(*node, input.value, {"aten::embedding"}, 1)) {
            card.kind = "tokens";
            card.dtype = "int64";
            card.shape = {"batch", "position"};
        } else if (feeds(*node, input.value, {"aten::conv2d", "aten::_convolution", "aten::convolution"}, 0) && !node->inputs[1].isConstant()) {
            const auto* weight = graph.parameterOf(node->inputs[1].value);
            if (weight && weight->shape.size() == 4 && node->op == "aten::conv2d") {
                const bool oneGroup = node->inputs.size() > 6 && node->inputs[6].constant.isInt() && node->inputs[6].constant.toInt() == 1;
                card.kind = "image";
                card.shape = {"batch", oneGroup ? std::to_string(weight->shape[1]) : "channel", "height", "width"};
            }
        } else if (feeds(*node, input.value, {"aten::linear"}, 0) && !node->inputs[1].isConstant()) {
            const auto* weight = graph.parameterOf(node->inputs[1].value);
            if (weight && weight->shape.size() == 2)
                card.shape = {"...", std::to_string(weight->shape[1])};
        }
        if (!card.shape.empty())
            break;
    }
    return card;
}

}  // namespace

std::vector<graph::ModelCard::Input> describeInputs(const graph::Graph& graph)
{
    std::vector<graph::ModelCard::Input> inputs;
    for (const auto& input : graph.data().inputs)
        inputs.push_back(describeInput(graph, input));
    return inputs;
}

}  // namespace orrery::models
