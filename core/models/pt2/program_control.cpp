// Higher-order operators: branches and loops, and graphs that only stand for a mode.
#include <core/base/error.h>

#include "program_builder.h"

namespace orrery::models {
namespace {

using io::ExportedArgument;
using Kind = ExportedArgument::Kind;
using torch::jit::WithInsertPoint;

const std::string kPrefix = "torch.ops.higher_order.";

// Their graph is run once, with the operands that follow it.
const std::set<std::string> kInlined = {"wrap_with_set_grad_enabled",
                                        "wrap_with_autocast",
                                        "wrap",
                                        "wrap_activation_checkpoint",
                                        "tag_activation_checkpoint",
                                        "strict_mode",
                                        "invoke_subgraph",
                                        "inline_asm_elementwise"};

}  // namespace

std::vector<ts::Value*> ProgramBuilder::listOf(const ExportedArgument& argument, const Values& values)
{
    std::vector<ts::Value*> items;
    if (argument.kind != Kind::List)
        return {value(argument, values)};
    for (const auto& item : argument.items)
        items.push_back(value(item, values));
    return items;
}

std::vector<const ExportedArgument*> ProgramBuilder::outputsOf(const io::ExportedNode& node)
{
    std::vector<const ExportedArgument*> outputs;
    for (const auto& output : node.outputs) {
        if (output.kind != Kind::List)
            outputs.push_back(&output);
        for (const auto& item : output.items)
            outputs.push_back(&item);
    }
    return outputs;
}

void ProgramBuilder::bindAll(const io::ExportedNode& node, const std::vector<ts::Value*>& results, Values& values)
{
    const auto outputs = outputsOf(node);
    if (outputs.size() != results.size())
        fail(node, fmt::format("expected {} outputs, found {}", results.size(), outputs.size()));
    for (std::size_t i = 0; i < outputs.size(); ++i)
        if (outputs[i]->isValue())
            values[outputs[i]->text] = results[i];
}

std::vector<ts::Value*> ProgramBuilder::runGraph(const io::ExportedGraph& graph, const std::vector<ts::Value*>& arguments)
{
    if (graph.inputs.size() != arguments.size())
        throw core::FormatError(fmt::format("a graph of {} inputs gets {} operands", graph.inputs.size(), arguments.size()));
    Values values;
    for (std::size_t i = 0; i < arguments.size(); ++i)
        values[graph.inputs[i].text] = arguments[i];
    addNodes(graph, values);
    std::vector<ts::Value*> results;
    for (const auto& output : graph.outputs)
        results.push_back(value(output, values));
    return results;
}

void ProgramBuilder::addHigherOrder(const io::ExportedNode& node, Values& values)
{
    const auto name = node.target.substr(kPrefix.size());
    if (name == "cond")
        addCondition(node, values);
    else if (name == "while_loop")
        addWhile(node, values);
    else if (name == "scan")
        addScan(node, values);
    else if (kInlined.count(name))
        addInlined(node, values);
    else
        addUnknown(node, "higher_order::" + name, "", values);
}

void ProgramBuilder::addInlined(const io::ExportedNode& node, Values& values)
{
    const ExportedArgument* graph = nullptr;
    std::vector<ts::Value*> operands;
    for (const auto& input : node.inputs) {
        if (input.value.kind == Kind::Graph)
            graph = &input.value;
        else if (graph && (input.value.isValue() || input.value.kind == Kind::List))
            for (auto* operand : listOf(input.value, values))
                operands.push_back(operand);
    }
    if (!graph)
        fail(node, "expected a graph among its arguments");
    if (node.target == kPrefix + "wrap_with_autocast")
        m_notes.insert("the program was exported with mixed precision (autocast); its parts run in the types of their inputs");
    bindAll(node, runGraph(*graph->graph, operands), values);
}

void ProgramBuilder::addCondition(const io::ExportedNode& node, Values& values)
{
    if (node.inputs.size() < 4 || !node.inputs[1].value.graph || !node.inputs[2].value.graph)
        fail(node, "expected a condition, two graphs and their operands");
    auto* condition = value(node.inputs[0].value, values);
    if (condition->type()->kind() == c10::TypeKind::TensorType)
        condition = insertOne("aten::Bool", {condition}, c10::BoolType::get());
    const auto operands = listOf(node.inputs[3].value, values);
    auto& made = insert("prim::If", {condition}, {});
    for (const std::size_t i : {std::size_t(1), std::size_t(2)}) {
        auto* block = made.addBlock();
        const WithInsertPoint guard(block);
        for (auto* result : runGraph(*node.inputs[i].value.graph, operands))
            block->registerOutput(result);
    }
    if (made.blocks()[0]->outputs().size() != made.blocks()[1]->outputs().size())
        fail(node, "the two graphs give different numbers of values");
    std::vector<ts::Value*> results;
    for (auto* output : made.blocks()[0]->outputs())
        results.push_back(made.addOutput()->setType(output->type()));
    bindAll(node, results, values);
}

// while condition(carried, more): carried = body(carried, more)
void ProgramBuilder::addWhile(const io::ExportedNode& node, Values& values)
{
    if (node.inputs.size() < 4 || !node.inputs[0].value.graph || !node.inputs[1].value.graph)
        fail(node, "expected two graphs, what is carried and more operands");
    const auto carried = listOf(node.inputs[2].value, values), more = listOf(node.inputs[3].value, values);
    const auto ask = [&](std::vector<ts::Value*> state) {
        state.insert(state.end(), more.begin(), more.end());
        auto* answer = runGraph(*node.inputs[0].value.graph, state).at(0);
        return answer->type()->kind() == c10::TypeKind::TensorType ? insertOne("aten::Bool", {answer}, c10::BoolType::get()) : answer;
    };
    std::vector<ts::Value*> inputs = {m_script.literal(std::numeric_limits<std::int64_t>::max()), ask(carried)};
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    auto& made = insert("prim::Loop", inputs, {});
    auto* block = made.addBlock();
    block->addInput("step")->setType(c10::IntType::get());
    std::vector<ts::Value*> state, results;
    for (auto* value : carried)
        state.push_back(block->addInput()->setType(value->type()));
    {
        const WithInsertPoint guard(block);
        auto arguments = state;
        arguments.insert(arguments.end(), more.begin(), more.end());
        const auto next = runGraph(*node.inputs[1].value.graph, arguments);
        block->registerOutput(ask(next));
        for (auto* value : next)
            block->registerOutput(value);
    }
    for (auto* value : carried)
        results.push_back(made.addOutput()->setType(value->type()));
    bindAll(node, results, values);
}

// for i in range(length): carried, y = combine(carried, x[i] for x in sequences, more); the ys are stacked.
void ProgramBuilder::addScan(const io::ExportedNode& node, Values& values)
{
    if (node.inputs.size() != 4 || !node.inputs[0].value.graph)
        fail(node, "expected a graph, first values, sequences and more operands");
    const auto first = listOf(node.inputs[1].value, values), sequences = listOf(node.inputs[2].value, values),
               more = listOf(node.inputs[3].value, values);
    const auto& graph = *node.inputs[0].value.graph;
    if (sequences.empty() || graph.outputs.size() < first.size())
        fail(node, "expected at least one sequence and as many results as first values");
    auto* zero = m_script.literal(std::int64_t(0));
    const auto tensors = c10::ListType::ofTensors();
    std::vector<ts::Value*> inputs = {insertOne("aten::size", {sequences[0], zero}, c10::IntType::get()), m_script.literal(true)};
    inputs.insert(inputs.end(), first.begin(), first.end());
    for (std::size_t i = first.size(); i < graph.outputs.size(); ++i)
        inputs.push_back(m_script.graph().insertNode(m_script.graph().createList(c10::TensorType::get(), {}))->output());
    auto& made = insert("prim::Loop", inputs, {});
    auto* block = made.addBlock();
    auto* step = block->addInput("step")->setType(c10::IntType::get());
    std::vector<ts::Value*> state;
    for (std::size_t i = 2; i < inputs.size(); ++i)
        state.push_back(block->addInput()->setType(inputs[i]->type()));
    {
        const WithInsertPoint guard(block);
        std::vector<ts::Value*> arguments(state.begin(), state.begin() + std::ptrdiff_t(first.size()));
        for (auto* sequence : sequences)
            arguments.push_back(insertOne("aten::select", {sequence, zero, step}, c10::TensorType::get()));
        arguments.insert(arguments.end(), more.begin(), more.end());
        const auto next = runGraph(graph, arguments);
        block->registerOutput(m_script.literal(true));
        for (std::size_t i = 0; i < next.size(); ++i) {
            auto* result = next[i];
            if (i >= first.size()) {
                auto* one = m_script.graph().insertNode(m_script.graph().createList(c10::TensorType::get(), {result}))->output();
                result = insertOne("aten::add", {state[i], one}, tensors);
            }
            block->registerOutput(result);
        }
    }
    std::vector<ts::Value*> results;
    for (std::size_t i = 2; i < inputs.size(); ++i) {
        auto* output = made.addOutput()->setType(inputs[i]->type());
        results.push_back(output);
    }
    for (std::size_t i = first.size(); i < results.size(); ++i)
        results[i] = insertOne("aten::stack", {results[i], zero}, c10::TensorType::get());
    bindAll(node, results, values);
}

}  // namespace orrery::models
