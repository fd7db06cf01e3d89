// LSTM, GRU and plain recurrent layers as operators of ONNX, a node a layer. Names of gates as in ONNX, docs/Operators.md.
#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/text.h>

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

    std::size_t each() const { return hasBias ? 4 : 2; }  ///< weights of a layer in one direction
    std::vector<graph::Operand> weights() const
    {
        const auto* list = node.inputs[2].isConstant() ? nullptr : w.graph().producer(node.inputs[2].value);
        if (!list || list->op != "prim::ListConstruct" || list->inputs.size() != std::size_t(layers * directions) * each())
            w.refuse(node, "its list of weights is not put together in the graph");
        return list->inputs;
    }
    std::int64_t hiddenSize() const
    {
        const auto size = w.sizeOf(weights()[1], 1);
        if (!size)
            w.refuse(node, "the size of its weights is not known without an example");
        return *size;
    }

    /// Rows of computed weights in ONNX's order.
    std::string reorderedRows(const std::string& gates, std::int64_t hidden) const
    {
        std::vector<std::string> found;
        for (const auto place : cell.order)
            found.push_back(w.add("Slice", {gates, w.ints({place * hidden}), w.ints({(place + 1) * hidden}), w.ints({0})}));
        return found.size() == 1 ? found[0] : w.add("Concat", found, {attributeOf("axis", std::int64_t(0))});
    }
    /// Some weights of a layer, one below the other, for each direction: [direction, row, ...].
    std::string packed(const char* what, std::int64_t layer, const std::vector<std::size_t>& places, std::int64_t hidden) const
    {
        const auto all = weights();
        std::vector<at::Tensor> tensors;
        std::vector<std::string> names;
        const bool isKnown = std::all_of(all.begin(), all.end(), [&](const graph::Operand& weight) { return w.weightOf(weight) != nullptr; });
        for (std::int64_t direction = 0; direction < directions; ++direction) {
            std::vector<at::Tensor> known;
            std::vector<std::string> computed;
            for (const auto place : places) {
                const auto& weight = all[std::size_t(layer * directions + direction) * each() + place];
                if (isKnown)
                    known.push_back(reordered(*w.weightOf(weight), cell));
                else
                    computed.push_back(reorderedRows(w.use(weight), hidden));
            }
            if (isKnown) {
                tensors.push_back(at::cat(known));
                continue;
            }
            const auto rows = computed.size() == 1 ? computed[0] : w.add("Concat", computed, {attributeOf("axis", std::int64_t(0))});
            names.push_back(w.add("Unsqueeze", {rows, w.ints({0})}));
        }
        if (isKnown)
            return w.tensor(fmt::format("{}.{}_l{}", node.name, what, layer), at::stack(tensors));
        return names.size() == 1 ? names[0] : w.add("Concat", names, {attributeOf("axis", std::int64_t(0))});
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
    const auto hiddenSize = this->hiddenSize();
    const bool isLstm = node.op == "aten::lstm";
    const auto states = isLstm ? w.parts.find(node.inputs[1].value) : w.parts.end();
    if (isLstm && (states == w.parts.end() || states->second.size() != 2))
        w.refuse(node, "its list is not put together in the graph");
    const auto hidden = isLstm ? states->second[0] : w.use(node.inputs[1]), memory = isLstm ? states->second[1] : "";
    const auto turned = attributeOf("perm", std::vector<std::int64_t>{1, 0, 2});
    std::string x = isBatchFirst ? w.add("Transpose", {w.use(node.inputs[0])}, {turned}) : w.use(node.inputs[0]);
    std::vector<std::string> lastHidden, lastMemory;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        std::vector<std::string> inputs = {x,
                                           packed("W", layer, {0}, hiddenSize),
                                           packed("R", layer, {1}, hiddenSize),
                                           hasBias ? packed("B", layer, {2, 3}, hiddenSize) : "",
                                           "",
                                           state(hidden, layer)};
        if (isLstm)
            inputs.push_back(state(memory, layer));
        auto activations = attributeOf("activations", std::int64_t(0));
        activations.integer.reset();
        for (std::int64_t direction = 0; direction < directions; ++direction)
            activations.texts.insert(activations.texts.end(), cell.activations.begin(), cell.activations.end());
        std::vector<io::OnnxAttribute> attributes = {attributeOf("hidden_size", hiddenSize),
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

/// What step-by-step layers of ONNX became, as those layers again.
void stepByStepAgain(OnnxWriter& w, const Node& n)
{
    const auto text = [&](std::size_t input) { return w.known(n, input)->toStringRef(); };
    const auto kind = text(0);
    const bool isLstm = kind == "lstm";
    std::vector<std::string> inputs;
    for (const std::size_t i : {1, 2, 3, 4, 5, 6, 7, 8})
        if (isLstm || i < 7)
            inputs.push_back(w.use(n.inputs.at(i)));
    std::vector<io::OnnxAttribute> attributes = {attributeOf("hidden_size", w.literalInt(n, 9)), attributeOf("direction", text(10)),
                                                 attributeOf("layout", std::int64_t(w.literalBool(n, 15)))};
    auto activations = attributeOf("activations", std::int64_t(0));
    activations.integer.reset();
    activations.texts = core::split(text(11), ',');
    attributes.push_back(activations);
    for (const auto& [input, name] : {std::pair(12, "activation_alpha"), std::pair(13, "activation_beta")}) {
        const auto numbers = w.known(n, std::size_t(input))->toDoubleVector();
        if (!numbers.empty())
            attributes.push_back(attributeOf(name, numbers));
    }
    if (const double clip = w.literalReal(n, 14); clip != 0)
        attributes.push_back(attributeOf("clip", clip));
    if (kind != "rnn")
        attributes.push_back(attributeOf(isLstm ? "input_forget" : "linear_before_reset", std::int64_t(w.literalBool(n, 16))));
    w.giveAll(n, isLstm ? "LSTM" : kind == "gru" ? "GRU" : "RNN", inputs, attributes, isLstm ? 3 : 2);
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
    table["orrery::onnx_recurrent"] = stepByStepAgain;
}

}  // namespace orrery::models::onnx
