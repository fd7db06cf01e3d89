// Loops as Loop of ONNX. What is carried from step to step stays carried; a list that grows by a tensor a step is an output that the operator collects.
#include <ATen/ATen.h>

#include <algorithm>

#include <core/io/tensors.h>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;
using graph::Operand;

constexpr std::size_t kBefore = 2;  // inputs of a loop before what it carries: how many steps at most, whether the first is done

}  // namespace

/// What a list gets in each step: the node that appends it, if that is all that happens to it and all that it gets is of one size. Null for tensors, numbers and other lists.
/// @throws core::InputError for what no loop can carry.
const Node* OnnxWriter::growthOf(const Node& loop, std::size_t number)
{
    const auto& block = loop.blocks.at(0);
    const auto list = block.inputs.at(number + 1);
    const auto& type = graph().value(list).type;
    if (type.starts_with("Tuple") || type.starts_with("Dict") || (type.starts_with("List") && type != "List[int]" && type != "List[Tensor]"))
        refuse(loop, fmt::format("it carries {}", type));
    if (!type.starts_with("List") || type == "List[int]")
        return nullptr;
    const auto& after = block.outputs.at(number + 1);
    const auto* node = after.isConstant() ? nullptr : graph().producer(after.value);
    const bool isAddition = node && node->op == "aten::add" && node->overload == "t";
    const bool isInsertion = node && node->op == "orrery::onnx_sequence_insert" && isNone(*node, 2);
    if ((!isAddition && !isInsertion) || node->inputs.at(0).isConstant() || node->inputs[0].value != list || graph().users(list).size() != 1)
        return nullptr;
    const auto* one = isAddition && !node->inputs.at(1).isConstant() ? graph().producer(node->inputs[1].value) : nullptr;
    if (isAddition && (!one || one->op != "prim::ListConstruct" || one->inputs.size() != 1))
        return nullptr;
    const auto& item = isAddition ? one->inputs[0] : node->inputs.at(1);
    const auto& start = loop.inputs.at(kBefore + number);
    const bool startsKnown = !start.isConstant() && graph().producer(start.value) && graph().producer(start.value)->op == "prim::ListConstruct";
    return item.isConstant() || m_varying.count(item.value) || !startsKnown ? nullptr : node;
}

/// A carried value before the first step.
std::string OnnxWriter::carriedStart(const Node& node, std::size_t number)
{
    const auto& start = node.inputs.at(kBefore + number);
    if (graph().value(node.outputs.at(number)).type == "List[Tensor]") {
        const auto list = sequence(start);
        const auto known = start.isConstant() ? parts.end() : parts.find(start.value);
        if (!list)
            refuse(node, fmt::format("the list {} is not put together in the graph", graph().value(node.outputs[number]).name));
        return known != parts.end() && known->second.empty() ? emptySequence(resultType(node, number)) : *list;
    }
    const auto dtype = numberType(node.blocks.at(0).inputs.at(number + 1)).value_or(at::kLong);
    const auto* value = known(start);
    if (value && value->isScalar() && !value->isTensor())
        return tensor(node.name + ".start", at::full({1}, value->toScalar(), at::TensorOptions(dtype)));
    return use(start, dtype);
}

std::shared_ptr<io::OnnxGraph> OnnxWriter::loopBody(const Node& node, std::vector<std::size_t>& carried, std::vector<std::size_t>& growing)
{
    const auto& block = node.blocks.at(0);
    auto made = std::make_shared<io::OnnxGraph>();
    made->name = node.name + ".body";
    const auto step = fresh(node.name + ".step"), goesOn = fresh(node.name + ".goes_on");
    for (const auto& [name, type] : {std::pair(step, at::kLong), std::pair(goesOn, at::kBool)}) {
        io::OnnxValueInfo info;
        info.name = name;
        info.kind = io::OnnxValueInfo::Kind::Tensor;
        info.elementType = io::onnxDataType(io::toElementType(type));
        info.shape.emplace();
        made->inputs.push_back(std::move(info));
    }
    for (const auto i : carried) {
        const auto input = block.inputs[i + 1];
        m_names[input] = fresh(graph().value(input).name);
        made->inputs.push_back(described(m_names[input], node.outputs[i]));
        if (graph().value(node.outputs[i]).type == "List[Tensor]")
            sequences[input] = m_names[input];
    }
    auto* const outer = m_nodes;
    m_nodes = &made->nodes;
    m_node = made->name;
    m_names[block.inputs.at(0)] = add("Unsqueeze", {step, ints({0})});
    for (const auto& inner : block.nodes)
        writeNode(inner);
    m_node = made->name;
    const auto more = add("Identity", {withoutAxes(use(block.outputs.at(0), at::kBool))});
    made->outputs.push_back(made->inputs[1]);
    made->outputs.back().name = more;
    for (const auto i : carried) {
        const auto dtype = numberType(node.outputs[i]).value_or(at::kLong);
        const auto list = graph().value(node.outputs[i]).type == "List[Tensor]" ? sequence(block.outputs[i + 1]) : std::nullopt;
        made->outputs.push_back(described(add("Identity", {list ? *list : use(block.outputs[i + 1], dtype)}), node.outputs[i]));
    }
    for (const auto i : growing) {
        const auto& item = grown.at(node.outputs[i]).item;
        if (item.isConstant())
            refuse(node, "what a step adds to a list is no value of the graph");
        made->outputs.push_back(described(add("Identity", {use(item)}), item.value));
    }
    m_nodes = outer;
    return made;
}

void OnnxWriter::writeLoop(const Node& node)
{
    std::vector<std::size_t> carried, growing;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        const auto* growth = growthOf(node, i);
        (growth ? growing : carried).push_back(i);
        if (!growth)
            continue;
        m_growing.insert(growth);
        const auto& start = node.inputs.at(kBefore + i);
        const bool isAddition = growth->op == "aten::add";
        GrownList list;
        list.item = isAddition ? graph().producer(growth->inputs[1].value)->inputs.at(0) : growth->inputs.at(1);
        if (!start.isConstant() && parts.count(start.value))
            list.first = parts.at(start.value);
        grown[node.outputs[i]] = std::move(list);
    }
    const auto* steps = known(node, 0);
    const auto* first = known(node, 1);
    const bool isEndless = steps && steps->isInt() && steps->toInt() == std::numeric_limits<std::int64_t>::max();
    std::vector<std::string> inputs = {isEndless ? std::string() : withoutAxes(use(node.inputs[0], at::kLong)),
                                       first && first->isBool() && first->toBool() ? std::string() : withoutAxes(use(node.inputs[1], at::kBool))};
    for (const auto i : carried)
        inputs.push_back(carriedStart(node, i));
    auto body = attributeOf("body", std::int64_t(0));
    body.integer.reset();
    body.graph = loopBody(node, carried, growing);
    m_node = node.name;
    auto names = addAll("Loop", inputs, {body}, node.outputs.size());
    auto& outputs = m_nodes->back().outputs;
    for (std::size_t i = 0; i < carried.size(); ++i) {  // those that have a name of their own get it
        nameOutput(node.outputs[carried[i]]);
        outputs[i] = m_names[node.outputs[carried[i]]];
        if (graph().value(node.outputs[carried[i]]).type == "List[Tensor]")
            sequences[node.outputs[carried[i]]] = outputs[i];
    }
    for (std::size_t i = 0; i < growing.size(); ++i)
        grown.at(node.outputs[growing[i]]).added = names[carried.size() + i];
}

std::string OnnxWriter::emptySequence(at::ScalarType type)
{
    return add("SequenceEmpty", {}, {attributeOf("dtype", std::int64_t(io::onnxDataType(io::toElementType(type))))});
}

std::optional<std::string> OnnxWriter::sequence(const Operand& list)
{
    if (list.isConstant())
        return std::nullopt;
    if (const auto made = sequences.find(list.value); made != sequences.end())
        return made->second;
    if (const auto known = parts.find(list.value); known != parts.end())
        return known->second.empty() ? emptySequence(seen(list).dtype) : add("SequenceConstruct", known->second);
    const auto loop = grown.find(list.value);
    if (loop == grown.end())
        return std::nullopt;
    auto made = add("SplitToSequence", {loop->second.added}, {attributeOf("axis", std::int64_t(0)), attributeOf("keepdims", std::int64_t(0))});
    const auto& first = loop->second.first;
    for (std::size_t i = 0; i < first.size(); ++i)
        made = add("SequenceInsert", {made, first[i], scalar(double(i), at::kLong)});
    return made;
}

}  // namespace orrery::models::onnx
