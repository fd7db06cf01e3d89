#include "architectures.h"
#include "parametrisation.h"
#include "parts.h"

namespace orrery::zoo {
namespace {

Var hiddenLayer(Builder& builder, const core::Json& parameters, std::size_t index, Var x, std::int64_t in, std::int64_t out)
{
    const std::string number = std::to_string(index + 1);
    x = builder.linear("fc" + number, x, in, out);
    if (parameters["batch_norm"].get<bool>())
        x = builder.batchNorm("bn" + number, x, out);
    x = activation(builder, parameters["activation"].get<std::string>(), x);
    return builder.dropout("drop" + number, x, parameters["dropout"].get<double>());
}

}  // namespace

core::Component mlpComponent()
{
    core::Component component{
        "mlp",
        "Multi-layer perceptron",
        "Fully connected layers for table rows: classification or regression.",
        "Rumelhart, Hinton & Williams (1986), \"Learning representations by back-propagating errors\", doi:10.1038/323533a0",
        {
            core::integer("features", 64, "Number of input features.").range(1, 1 << 20),
            countsParameter("hidden", {128, 64}, "Widths of the hidden layers, first to last; an empty list gives a linear model."),
            core::choice("activation", activationNames(), "relu", "What follows each hidden layer."),
            dropoutParameter("dropout", 0.0, "Probability that a hidden activation is zeroed in training."),
            core::boolean("batch_norm", false, "Batch normalisation between a hidden layer and its activation."),
            core::choice("task", {"classification", "regression"}, "classification", "Whether the outputs are class logits or numbers."),
            core::integer("classes", 10, "Number of outputs: classes, or numbers to predict.").range(1, 1'000'000),
        },
        {tablePort()},
        {{"logits", "any", {"batch", "class"}}}};
    addParametrisation(component.schema, {"standard", "mup", "ntk", "mean_field"});
    return component;
}

graph::Model mlp(const core::Json& parameters)
{
    Builder builder("mlp");
    auto width = parameters["features"].get<std::int64_t>();
    Var x = builder.input("table", "float32", {"batch", std::to_string(width)}, "table");
    const auto hidden = parameters["hidden"].get<std::vector<std::int64_t>>();
    for (std::size_t i = 0; i < hidden.size(); ++i) {
        x = hiddenLayer(builder, parameters, i, x, width, hidden[i]);
        width = hidden[i];
    }
    const auto task = parameters["task"].get<std::string>();
    builder.card().task = task;
    builder.card().title = "MLP";
    const Var out = builder.linear("out", readoutInput(builder, x, parameters, width), width, parameters["classes"].get<std::int64_t>());
    return parametrised(builder.finish({{task == "regression" ? "prediction" : "logits", out}}), "mlp", parameters);
}

}  // namespace orrery::zoo
