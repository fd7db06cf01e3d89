#include <core/base/error.h>

#include "architectures.h"
#include "parametrisation.h"
#include "transformer.h"

namespace orrery::zoo {
namespace {

/// torch.nn.LSTM's parameters of one layer: four gates (input, forget, cell, output) below each other, from the input and from the state before. They start uniform within
/// 1 / sqrt(width).
std::vector<Var> gateParameters(Builder& builder, std::int64_t layer, std::int64_t width)
{
    const core::Json init{{"kind", "uniform"}, {"fan", width}};
    const std::string end = "_l" + std::to_string(layer);
    return {builder.parameter("weight_ih" + end, {4 * width, width}, init), builder.parameter("weight_hh" + end, {4 * width, width}, init),
            builder.parameter("bias_ih" + end, {4 * width}, init), builder.parameter("bias_hh" + end, {4 * width}, init)};
}

/// @param x, start  [position, batch, feature] and the state before the first position [1, batch, feature]: hidden state and cell alike.
Var lstmLayer(Builder& builder, Var x, Var start, std::int64_t layer, std::int64_t width)
{
    const Var states = builder.list({start, start}), parameters = builder.list(gateParameters(builder, layer, width));
    return builder.ops("aten::lstm.input", {x, states, parameters, true, 1, 0.0, false, false, false}).front();
}

Var lstmEmbedding(Builder& builder, Var tokens, std::int64_t vocabulary, std::int64_t width, Var& table)
{
    const Builder::Scope scope = builder.module("wte", "Embedding");
    table = builder.parameter("weight", {vocabulary, width}, normalInit(0.02));
    return builder.op("aten::embedding", {table, tokens});
}

Var lstmHead(Builder& builder, Var x, Var table, const core::Json& parameters, std::int64_t width)
{
    if (!parameters["tied_head"].get<bool>())
        return builder.linear("lm_head", x, width, parameters["vocabulary"].get<std::int64_t>(), false);
    const Builder::Scope scope = builder.module("lm_head", "Linear");
    return builder.op("aten::linear", {x, builder.tied("weight", table), nullptr});
}

}  // namespace

core::Component lstmComponent()
{
    core::Component component{
        "lstm",
        "LSTM",
        "Stacked long short-term memory that predicts the next token of a text.",
        "Hochreiter & Schmidhuber (1997), \"Long Short-Term Memory\", doi:10.1162/neco.1997.9.8.1735; stacked with dropout between the layers: "
        "Zaremba, "
        "Sutskever & Vinyals (2014), arXiv:1409.2329",
        {
            core::integer("vocabulary", 50257, "Number of tokens; 256 for bytes.").range(2, 10'000'000),
            core::integer("layers", 2, "Number of stacked layers.").range(1, 64),
            core::integer("width", 512, "Features of the embedding and of each state.").range(1, 1 << 16),
            core::boolean("tied_head", true, "The output layer uses the token embedding's matrix."),
            dropoutParameter("dropout", 0.0, "Probability that a value between layers is zeroed in training; states are left alone."),
        },
        {tokensPort()},
        {{"logits", "logits", {"batch", "position", "class"}}}};
    addParametrisation(component.schema, {"standard", "mup"});
    return component;
}

graph::Model lstm(const core::Json& parameters)
{
    const auto width = parameters["width"].get<std::int64_t>(), layers = parameters["layers"].get<std::int64_t>();
    const double dropout = parameters["dropout"].get<double>();
    CanonicalValues canonical;
    Builder builder("lstm");
    const Var tokens = builder.input("tokens", "int64", {"batch", "position"}, "tokens");
    Var table;
    const Var embedded = lstmEmbedding(builder, tokens, parameters["vocabulary"].get<std::int64_t>(), width, table);
    Var x = builder.transpose(builder.dropout("dropout", embedded, dropout), 0, 1);
    {
        const Builder::Scope scope = builder.module("lstm", "LSTM");
        const Var start = builder.op("aten::new_zeros", {embedded, builder.shape({1, builder.size(tokens, 0), width})}, "start");
        for (std::int64_t layer = 0; layer < layers; ++layer) {
            x = lstmLayer(builder, x, start, layer, width);
            x = builder.dropout("dropout_l" + std::to_string(layer), x, dropout);
        }
    }
    x = builder.transpose(x, 0, 1);
    const Var logits = lstmHead(builder, readoutInput(builder, x, parameters, width), table, parameters, width);
    canonical.insert({{"embed", embedded}, {"logits", logits}});
    builder.card().title = "LSTM";
    builder.card().task = "language_model";
    graph::Model model = builder.finish({{"logits", logits}});
    writeCanonicalNames(model, canonical);
    return parametrised(std::move(model), "lstm", parameters);
}

}  // namespace orrery::zoo
