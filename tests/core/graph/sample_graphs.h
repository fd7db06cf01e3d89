#pragma once
#include <ATen/ATen.h>

#include <string>

#include <core/base/error.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>

#include "../message_of.h"

/// Small graphs and helpers that the tests of core/graph share.
namespace orrery::graph {

/// What `work` throws of core's errors, or "no error".
inline Model withWeights(Model model, std::uint64_t seed = 1)
{
    model.weights = initialize(*model.graph, seed);
    return model;
}

inline RunResult runOn(const Model& model, std::vector<c10::IValue> inputs, RunRequest request = {})
{
    request.inputs = std::move(inputs);
    return Executor(model.graph).run(model.weights, request);
}

/// x + fc(tanh(norm(x))) three times, then a head: blocks.N.norm, .fc, .tanh, .add; head. [batch, 6] -> [batch, 4].
inline Model residualModel()
{
    Builder builder("residual");
    auto x = builder.input("x", "float32", {"batch", "6"}, "table");
    for (int i = 0; i < 3; ++i) {
        const Builder::Scope scope = builder.module("blocks." + std::to_string(i), "Block");
        const auto normed = builder.layerNorm("norm", x, 6);
        const auto active = builder.op("aten::tanh", {normed});
        x = builder.add(x, builder.linear("fc", active, 6, 6));
    }
    return withWeights(builder.finish({{"logits", builder.linear("head", x, 6, 4)}}));
}

/// A graph by hand: values are made by name, nodes are appended to a block.
struct Maker {
    GraphData data;
    ValueId value(const std::string& name, const std::string& type = "Tensor")
    {
        data.values.push_back({name, type});
        return ValueId(data.values.size() - 1);
    }
    ValueId input(const std::string& name, const std::string& type = "Tensor")
    {
        data.inputs.push_back({name, value(name, type)});
        return data.inputs.back().value;
    }
    ValueId parameter(const std::string& name, std::vector<std::int64_t> shape)
    {
        Parameter parameter;
        parameter.name = name;
        parameter.value = value(name);
        parameter.shape = std::move(shape);
        data.parameters.push_back(parameter);
        return parameter.value;
    }
    /// A node with one output named as the node.
    ValueId node(Block& block, const std::string& name, const std::string& op, std::vector<Operand> inputs, const std::string& type = "Tensor")
    {
        const ValueId out = value(name, type);
        append(block, name, op, std::move(inputs), {out});
        return out;
    }
    Node& append(Block& block, const std::string& name, const std::string& op, std::vector<Operand> inputs, std::vector<ValueId> outputs)
    {
        Node node;
        node.name = name;
        const auto dot = op.find('.');
        node.op = op.substr(0, dot);
        node.overload = dot == std::string::npos ? "" : op.substr(dot + 1);
        node.inputs = std::move(inputs);
        node.outputs = std::move(outputs);
        block.nodes.push_back(std::move(node));
        return block.nodes.back();
    }
    Model finish(std::vector<std::pair<std::string, ValueId>> outputs)
    {
        for (const auto& [name, id] : outputs) {
            data.outputNames.push_back(name);
            data.body.outputs.push_back(Operand::of(id));
        }
        Model model;
        model.graph = std::make_shared<const Graph>(std::move(data));
        return model;
    }
};

inline Operand of(ValueId id)
{
    return Operand::of(id);
}
inline Operand literal(c10::IValue value)
{
    return Operand::literal(std::move(value));
}

/// h = tanh(x[i] + h) for each of the `steps` first rows of x [steps, n]: values row, sum, cell (made each step), last.
inline Model loopModel(std::int64_t steps)
{
    Maker maker;
    const ValueId x = maker.input("x"), h0 = maker.input("h0");
    const ValueId last = maker.value("last");
    Block step;
    const ValueId i = maker.value("i", "int"), h = maker.value("h");
    step.inputs = {i, h};
    const ValueId row = maker.node(step, "row", "aten::select.int", {of(x), literal(std::int64_t(0)), of(i)});
    const ValueId sum = maker.node(step, "sum", "aten::add.Tensor", {of(row), of(h), literal(std::int64_t(1))});
    const ValueId cell = maker.node(step, "cell", "aten::tanh", {of(sum)});
    step.outputs = {literal(true), of(cell)};
    Node& loop = maker.append(maker.data.body, "last", "prim::Loop", {literal(steps), literal(true), of(h0)}, {last});
    loop.blocks.push_back(std::move(step));
    return maker.finish({{"last", last}});
}

/// Four steps i = 0 to 3 from h = x: an inner loop (rounds) of i steps h = tanh(h), then h = relu(h) (positive, in the branch chosen) where i >= 2.
inline Model loopsInLoopModel()
{
    Maker maker;
    const ValueId x = maker.input("x"), last = maker.value("last");
    Block outer, inner, yes, no;
    const ValueId i = maker.value("i", "int"), h = maker.value("h"), j = maker.value("j", "int"), g = maker.value("g");
    inner.inputs = {j, g};
    inner.outputs = {literal(true), of(maker.node(inner, "tanh", "aten::tanh", {of(g)}))};
    outer.inputs = {i, h};
    const ValueId rounds = maker.value("rounds"), chosen = maker.value("chosen");
    maker.append(outer, "rounds", "prim::Loop", {of(i), literal(true), of(h)}, {rounds}).blocks = {std::move(inner)};
    const ValueId late = maker.node(outer, "late", "aten::ge.int", {of(i), literal(std::int64_t(2))}, "bool");
    yes.outputs = {of(maker.node(yes, "positive", "aten::relu", {of(rounds)}))};
    no.outputs = {of(rounds)};
    maker.append(outer, "chosen", "prim::If", {of(late)}, {chosen}).blocks = {std::move(yes), std::move(no)};
    outer.outputs = {literal(true), of(chosen)};
    maker.append(maker.data.body, "last", "prim::Loop", {literal(std::int64_t(4)), literal(true), of(x)}, {last}).blocks = {std::move(outer)};
    Model model = maker.finish({{"last", last}});
    model.card.inputs = {{"x", "float", "float32", {"3", "5"}, {}}};
    return model;
}

/// relu(x) if x has more than two rows, else -x.
inline Model branchModel()
{
    Maker maker;
    const ValueId x = maker.input("x");
    const ValueId rows = maker.node(maker.data.body, "rows", "aten::size.int", {of(x), literal(std::int64_t(0))}, "int");
    const ValueId many = maker.node(maker.data.body, "many", "aten::gt.int", {of(rows), literal(std::int64_t(2))}, "bool");
    Block yes, no;
    yes.outputs = {of(maker.node(yes, "positive", "aten::relu", {of(x)}))};
    no.outputs = {of(maker.node(no, "negative", "aten::neg", {of(x)}))};
    const ValueId out = maker.value("chosen");
    Node& branch = maker.append(maker.data.body, "chosen", "prim::If", {of(many)}, {out});
    branch.blocks = {std::move(yes), std::move(no)};
    return maker.finish({{"chosen", out}});
}

}  // namespace orrery::graph
