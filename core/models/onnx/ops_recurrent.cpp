// LSTM, GRU and RNN.
#include <ATen/ATen.h>

#include <algorithm>

#include "converter.h"

namespace orrery::models::onnx {
namespace recurrent {

/// What the three have in common, as the attributes say.
struct Recurrent {
    std::int64_t hidden = 0, directions = 1;
    std::string direction;
    bool batchFirst = false;
    double clip = 0;
    std::vector<std::string> activations;
    std::vector<double> alpha, beta;
};

Recurrent recurrentOf(Call& c, std::vector<std::string> activations)
{
    Recurrent cell;
    cell.hidden = c.integer("hidden_size", 0);
    cell.direction = c.text("direction", "forward");
    cell.directions = cell.direction == "bidirectional" ? 2 : 1;
    cell.batchFirst = c.integer("layout", 0) != 0;
    cell.clip = c.real("clip", 0);
    cell.activations = c.texts("activations");
    cell.alpha = c.reals("activation_alpha");
    cell.beta = c.reals("activation_beta");
    if (cell.activations.empty())
        for (std::int64_t i = 0; i < cell.directions; ++i)
            cell.activations.insert(cell.activations.end(), activations.begin(), activations.end());
    static const std::set<std::string> kKnown = {"Sigmoid",         "Tanh", "Relu",   "Softsign",   "Softplus",   "LeakyRelu",
                                                 "ThresholdedRelu", "Elu",  "Affine", "ScaledTanh", "HardSigmoid"};
    if (!std::all_of(cell.activations.begin(), cell.activations.end(), [&](const std::string& name) { return kKnown.count(name) > 0; }))
        c.unsupported("an activation that is not known");
    if (cell.activations.size() != activations.size() * std::size_t(cell.directions))
        c.fail(fmt::format("expected {} activations, found {}", activations.size() * std::size_t(cell.directions), cell.activations.size()));
    return cell;
}

bool hasDefaults(const Recurrent& cell, const std::vector<std::string>& activations)
{
    for (std::size_t i = 0; i < cell.activations.size(); ++i)
        if (cell.activations[i] != activations[i % activations.size()])
            return false;
    return cell.alpha.empty() && cell.beta.empty();
}

/// Gates stand in another order in ONNX than in libtorch: rows of `weight` [directions, gates * hidden, ...] of one direction.
Term gatesOf(Call& c, const Term& weight, std::int64_t direction, const std::vector<std::int64_t>& order, std::int64_t hidden, std::int64_t offset)
{
    const Term one = c.emit("aten::select.int", {weight, 0, direction});
    std::vector<Term> parts;
    for (const auto gate : order)
        parts.push_back(c.emit("aten::slice.Tensor", {one, 0, (offset + gate) * hidden, (offset + gate + 1) * hidden, 1}));
    return parts.size() == 1 ? parts[0] : c.emit("aten::cat", {c.list(parts), 0});
}

/// libtorch's list of weights: for each direction input weights, hidden weights and their biases.
Term flatWeights(Call& c, const Recurrent& cell, const std::vector<std::int64_t>& order)
{
    const auto gates = std::int64_t(order.size());
    std::vector<Term> weights;
    for (std::int64_t d = 0; d < cell.directions; ++d) {
        weights.push_back(gatesOf(c, c.in(1), d, order, cell.hidden, 0));
        weights.push_back(gatesOf(c, c.in(2), d, order, cell.hidden, 0));
        if (c.has(3)) {
            weights.push_back(gatesOf(c, c.in(3), d, order, cell.hidden, 0));
            weights.push_back(gatesOf(c, c.in(3), d, order, cell.hidden, gates));
        }
    }
    return c.list(weights);
}

Term initialState(Call& c, const Recurrent& cell, std::size_t input)
{
    if (c.has(input))
        return c.in(input);
    const Term& x = c.in(0);
    const Term batch = c.emit("aten::size.int", {x, 1});
    return c.emit("aten::new_zeros", {x, c.list({Term(cell.directions), batch, Term(cell.hidden)}, "int")});
}

// [time, batch, directions * hidden] -> [time, directions, batch, hidden]
Term separated(Call& c, const Recurrent& cell, const Term& y)
{
    if (cell.directions == 1)
        return c.emit("aten::unsqueeze", {y, 1});
    const Term time = c.emit("aten::size.int", {y, 0}), batch = c.emit("aten::size.int", {y, 1});
    const Term apart = c.emit("aten::reshape", {y, c.list({time, batch, Term(cell.directions), Term(cell.hidden)}, "int")});
    return c.emit("aten::transpose.int", {apart, 1, 2});
}

void give(Call& c, std::size_t output, Term term, int rank)
{
    term.rank = rank;
    term.dtype = c.in(0).dtype;
    c.out(output, term);
}

/// The plain forms, by libtorch's own operators.
void byLibtorch(Call& c, const Recurrent& cell, const std::string& op, const std::vector<std::int64_t>& order)
{
    const bool isLstm = op == "aten::lstm.input";
    const Term weights = flatWeights(c, cell, order);
    const Term hidden = initialState(c, cell, 5);
    const Term state = isLstm ? c.list({hidden, initialState(c, cell, 6)}) : hidden;
    const auto results = c.emitAll(op, {c.in(0), state, weights, c.has(3), 1, 0.0, false, cell.directions == 2, false});
    give(c, 0, separated(c, cell, results[0]), 4);
    for (std::size_t i = 1; i < results.size(); ++i)
        give(c, i, results[i], 3);
}

/// Everything else step by step: lengths of the sequences, peepholes, other activations, clipping, backward direction, batch first.
void stepByStep(Call& c, const Recurrent& cell, const std::string& op, bool flag)
{
    const auto joined = [](const std::vector<std::string>& names) {
        std::string text;
        for (const auto& name : names)
            text += (text.empty() ? "" : ",") + name;
        return text;
    };
    const bool isLstm = op == "lstm";
    const Term settings = Term(c10::IValue(joined(cell.activations)));
    const auto results =
        c.emitAll("orrery::onnx_recurrent",
                  {Term(c10::IValue(op)), c.in(0), c.in(1), c.in(2), c.optional(3), c.optional(4), c.optional(5),
                   isLstm ? c.optional(6) : Term(nullptr), isLstm ? c.optional(7) : Term(nullptr), cell.hidden, Term(c10::IValue(cell.direction)),
                   settings, Term(c10::IValue(cell.alpha)), Term(c10::IValue(cell.beta)), cell.clip, cell.batchFirst, flag});
    give(c, 0, results[0], 4);
    give(c, 1, results[1], 3);
    if (isLstm)
        give(c, 2, results[2], 3);
}

bool isPlain(Call& c, const Recurrent& cell)
{
    return cell.direction != "reverse" && !cell.batchFirst && cell.clip == 0 && !c.has(4) && cell.hidden > 0;
}

void lstm(Call& c)
{
    const std::vector<std::string> usual = {"Sigmoid", "Tanh", "Tanh"};
    const auto cell = recurrentOf(c, usual);
    const bool joinsGates = c.integer("input_forget", 0) != 0;
    if (isPlain(c, cell) && hasDefaults(cell, usual) && !c.has(7) && !joinsGates)
        return byLibtorch(c, cell, "aten::lstm.input", {0, 2, 3, 1});  // ONNX: input, output, forget, cell
    stepByStep(c, cell, "lstm", joinsGates);
}

void gru(Call& c)
{
    const std::vector<std::string> usual = {"Sigmoid", "Tanh"};
    const auto cell = recurrentOf(c, usual);
    const bool resetsAfter = c.integer("linear_before_reset", 0) != 0;  // as libtorch does
    if (isPlain(c, cell) && hasDefaults(cell, usual) && resetsAfter)
        return byLibtorch(c, cell, "aten::gru.input", {1, 0, 2});  // ONNX: update, reset, hidden
    stepByStep(c, cell, "gru", resetsAfter);
}

void rnn(Call& c)
{
    const auto cell = recurrentOf(c, {"Tanh"});
    for (const char* kind : {"Tanh", "Relu"})
        if (isPlain(c, cell) && hasDefaults(cell, {kind}))
            return byLibtorch(c, cell, std::string(kind) == "Tanh" ? "aten::rnn_tanh.input" : "aten::rnn_relu.input", {0});
    stepByStep(c, cell, "rnn", false);
}

}  // namespace recurrent

std::span<const Entry> recurrentOperators()
{
    using namespace recurrent;
    static const Entry kEntries[] = {{"GRU", gru}, {"LSTM", lstm}, {"RNN", rnn}};
    return kEntries;
}

}  // namespace orrery::models::onnx
