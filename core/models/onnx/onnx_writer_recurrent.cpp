// LSTM, GRU and plain recurrent layers as operators of ONNX, a node a layer. Names of gates as in ONNX, docs/Operators.md.
#include <ATen/ATen.h>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;

/// How libtorch and ONNX order the gates of one kind of cell.
struct Cell {
    std::string op;
    std::vector<std::int64_t> order;  ///< the gate of libtorch at each place of ONNX
    std::vector<std::string> activations;
};

Cell cellOf(const std::string& op)
{
    if (op == "aten::lstm")
        return {"LSTM", {0, 3, 1, 2}, {}};  // input, output, forget, cell
    if (op == "aten::gru")
        return {"GRU", {1, 0, 2}, {}};  // update, reset, new
    return {"RNN", {0}, {op == "aten::rnn_relu" ? "Relu" : "Tanh"}};
}

at::Tensor reordered(const at::Tensor& gates, const Cell& cell)
{
    const auto parts = gates.chunk(std::int64_t(cell.order.size()), 0);
    std::vector<at::Tensor> found;
    for (const auto place : cell.order)
        found.push_back(parts.at(std::size_t(place)));
    return at::cat(found, 0);
}

/// Arguments of aten::lstm.input, gru.input, rnn_tanh.input, rnn_relu.input.
struct Recurrent {
    OnnxWriter& w;
    const Node& node;
    Cell cell = cellOf(node.op);
    bool hasBias = w.literalBool(node, 3), isBidirectional = w.literalBool(node, 7), isBatchFirst = w.literalBool(node, 8);
    std::int64_t layers = w.literalInt(node, 4), directions = isBidirectional ? 2 : 1;

    std::vector<at::Tensor> weights() const
    {
        const auto* list = node.inputs[2].isConstant() ? nullptr : w.graph().producer(node.inputs[2].value);
        std::vector<at::Tensor> found;
        if (list && list->op == "prim::ListConstruct")
            for (const auto& input : list->inputs)
                if (const auto* weight = w.weightOf(input))
                    found.push_back(*weight);
        if (found.size() != std::size_t(layers * directions * (hasBias ? 4 : 2)))
            w.refuse(node, "its weights are not parameters of the model");
        return found;
    }

    /// Rows of a layer's first state.
    std::string state(const std::string& all, std::int64_t layer) const
    {
        if (layers == 1)
            return all;
        return w.add("Slice", {all, w.ints({layer * directions}), w.ints({(layer + 1) * directions}), w.ints({0})});
    }
    void write() const;
};

void Recurrent::write() const
{
    const auto all = weights();
    const std::size_t each = hasBias ? 4 : 2;
    const bool isLstm = node.op == "aten::lstm";
    const auto states = isLstm ? w.parts.find(node.inputs[1].value) : w.parts.end();
    if (isLstm && (states == w.parts.end() || states->second.size() != 2))
        w.refuse(node, "its list is not put together in the graph");
    const auto hidden = isLstm ? states->second[0] : w.use(node.inputs[1]), memory = isLstm ? states->second[1] : "";
    const auto turned = attributeOf("perm", std::vector<std::int64_t>{1, 0, 2});
    std::string x = isBatchFirst ? w.add("Transpose", {w.use(node.inputs[0])}, {turned}) : w.use(node.inputs[0]);
    std::vector<std::string> lastHidden, lastMemory;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        std::vector<at::Tensor> input, recurrent, bias;
        for (std::int64_t direction = 0; direction < directions; ++direction) {
            const auto* own = &all[std::size_t(layer * directions + direction) * each];
            input.push_back(reordered(own[0], cell));
            recurrent.push_back(reordered(own[1], cell));
            if (hasBias)
                bias.push_back(at::cat({reordered(own[2], cell), reordered(own[3], cell)}));
        }
        const auto named = [&](const char* what, const std::vector<at::Tensor>& of) {
            return w.tensor(fmt::format("{}.{}_l{}", node.name, what, layer), at::stack(of));
        };
        std::vector<std::string> inputs = {x, named("W", input), named("R", recurrent), hasBias ? named("B", bias) : "", "", state(hidden, layer)};
        if (isLstm)
            inputs.push_back(state(memory, layer));
        auto activations = attributeOf("activations", std::int64_t(0));
        activations.integer.reset();
        for (std::int64_t direction = 0; direction < directions; ++direction)
            activations.texts.insert(activations.texts.end(), cell.activations.begin(), cell.activations.end());
        std::vector<io::OnnxAttribute> attributes = {attributeOf("hidden_size", all[1].size(1)),
                                                     attributeOf("direction", std::string(isBidirectional ? "bidirectional" : "forward"))};
        if (!activations.texts.empty())
            attributes.push_back(activations);
        if (node.op == "aten::gru")
            attributes.push_back(attributeOf("linear_before_reset", std::int64_t(1)));
        const auto made = w.addAll(cell.op, inputs, attributes, isLstm ? 3 : 2);
        lastHidden.push_back(made[1]);
        if (isLstm)
            lastMemory.push_back(made[2]);
        // [step, direction, batch, feature] -> [step, batch, direction and feature].
        x = w.add("Reshape", {w.add("Transpose", {made[0]}, {attributeOf("perm", std::vector<std::int64_t>{0, 2, 1, 3})}), w.ints({0, 0, -1})});
    }
    w.alias(node, isBatchFirst ? w.add("Transpose", {x}, {turned}) : x);
    const auto joined = [&](const std::vector<std::string>& parts) {
        return parts.size() == 1 ? parts[0] : w.add("Concat", parts, {attributeOf("axis", std::int64_t(0))});
    };
    w.alias(node, joined(lastHidden), 1);
    if (isLstm)
        w.alias(node, joined(lastMemory), 2);
}

void recurrent(OnnxWriter& w, const Node& n)
{
    if (n.overload != "input")
        w.refuse(n, "packed sequences are not written");
    Recurrent{w, n}.write();
}

/// Arguments of aten::gru_cell, lstm_cell, rnn_tanh_cell, rnn_relu_cell: one step, written gate by gate.
struct StepWriter {
    OnnxWriter& w;
    const Node& node;

    /// All gates of x or of the state, side by side: x W^T + b.
    std::string together(const std::string& x, std::size_t weight, std::size_t bias) const
    {
        std::vector<std::string> inputs = {x, w.use(node.inputs.at(weight))};
        if (!w.isNone(node, bias))
            inputs.push_back(w.use(node.inputs.at(bias)));
        return w.add("Gemm", inputs, {attributeOf("transB", std::int64_t(1))});
    }
    std::vector<std::string> apart(const std::string& gates, std::int64_t count) const
    {
        std::vector<io::OnnxAttribute> attributes = {attributeOf("axis", std::int64_t(1))};
        if (w.opset() >= 18)  // before, as many parts as there are outputs
            attributes.push_back(attributeOf("num_outputs", count));
        return w.addAll("Split", {gates}, attributes, std::size_t(count));
    }
    std::string both(const std::string& a, const std::string& b, const char* function) const { return w.add(function, {w.add("Add", {a, b})}); }
};

// In libtorch's order: reset, update, new.
void gruStep(OnnxWriter& w, const Node& n)
{
    const StepWriter step{w, n};
    const auto state = w.use(n.inputs.at(1));
    const auto x = step.apart(step.together(w.use(n.inputs[0]), 2, 4), 3), h = step.apart(step.together(state, 3, 5), 3);
    const auto reset = step.both(x[0], h[0], "Sigmoid"), update = step.both(x[1], h[1], "Sigmoid");
    const auto fresh = step.both(x[2], w.add("Mul", {reset, h[2]}), "Tanh");
    w.give(n, "Add", {fresh, w.add("Mul", {update, w.add("Sub", {state, fresh})})});
}

// In libtorch's order: input, forget, cell, output.
void lstmStep(OnnxWriter& w, const Node& n)
{
    const StepWriter step{w, n};
    const auto states = n.inputs.at(1).isConstant() ? w.parts.end() : w.parts.find(n.inputs[1].value);
    if (states == w.parts.end() || states->second.size() != 2)
        w.refuse(n, "its list is not put together in the graph");
    const auto all = step.apart(w.add("Add", {step.together(w.use(n.inputs[0]), 2, 4), step.together(states->second[0], 3, 5)}), 4);
    const auto gate = [&](std::size_t number, const char* function) { return w.add(function, {all[number]}); };
    const auto kept = w.add("Mul", {gate(1, "Sigmoid"), states->second[1]}), added = w.add("Mul", {gate(0, "Sigmoid"), gate(2, "Tanh")});
    w.give(n, "Add", {kept, added}, {}, 1);
    w.give(n, "Mul", {gate(3, "Sigmoid"), w.add("Tanh", {w.use(graph::Operand::of(n.outputs.at(1)))})});
}

OperatorWriter plainStep(const char* function)
{
    return [function](OnnxWriter& w, const Node& n) {
        const StepWriter step{w, n};
        w.give(n, function, {w.add("Add", {step.together(w.use(n.inputs.at(0)), 2, 4), step.together(w.use(n.inputs.at(1)), 3, 5)})});
    };
}

}  // namespace

void addRecurrentWriters(WriterTable& table)
{
    table["aten::gru_cell"] = gruStep;
    table["aten::lstm_cell"] = lstmStep;
    table["aten::rnn_tanh_cell"] = plainStep("Tanh");
    table["aten::rnn_relu_cell"] = plainStep("Relu");
    for (const char* op : {"aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"})
        table[op] = recurrent;
}

}  // namespace orrery::models::onnx
