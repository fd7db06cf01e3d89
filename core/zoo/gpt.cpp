#include <cmath>

#include "architectures.h"
#include "parametrisation.h"
#include "transformer.h"

namespace orrery::zoo {
namespace {

constexpr double kInitialStd = 0.02;

TransformerSettings gptSettings(const core::Json& parameters)
{
    TransformerSettings settings;
    settings.features = parameters["width"].get<std::int64_t>();
    settings.heads = parameters["heads"].get<std::int64_t>();
    settings.hidden = 4 * settings.features;
    settings.bias = parameters["bias"].get<bool>();
    settings.gelu = parameters["gelu"].get<std::string>();
    settings.mlp = parameters["mlp"].get<bool>();
    settings.norm = parameters["norm"].get<bool>();
    settings.attentionDropout = settings.residualDropout = parameters["dropout"].get<double>();
    settings.attentionFactor = attentionFactor(parameters);
    return settings;
}

Var tokenTable(Builder& builder, std::int64_t vocabulary, std::int64_t features)
{
    const Builder::Scope scope = builder.module("wte", "Embedding");
    return builder.parameter("weight", {vocabulary, features}, normalInit(kInitialStd));
}

Var embeddedTokens(Builder& builder, Var tokens, Var table)
{
    const Builder::Scope scope = builder.module("wte", "Embedding");
    return builder.op("aten::embedding", {table, tokens});
}

/// The first rows of the table, one for each position of the input. A slice needs no index tensor, so nothing depends on the device.
Var embeddedPositions(Builder& builder, Var positions, std::int64_t blockLength, std::int64_t features)
{
    const Builder::Scope scope = builder.module("wpe", "Embedding");
    const Var table = builder.parameter("weight", {blockLength, features}, normalInit(kInitialStd));
    return builder.op("aten::slice.Tensor", {table, 0, 0, positions, 1}, "embedding");
}

Var head(Builder& builder, Var x, Var table, const core::Json& parameters)
{
    const auto vocabulary = parameters["vocabulary"].get<std::int64_t>(), features = parameters["width"].get<std::int64_t>();
    if (!parameters["tied_head"].get<bool>())
        return builder.linear("lm_head", x, features, vocabulary, false);
    const Builder::Scope scope = builder.module("lm_head", "Linear");
    return builder.op("aten::linear", {x, builder.tied("weight", table), nullptr});
}

/// Radford et al. (2019), section 2.3: projections into the residual stream are scaled by 1/sqrt(number of residual branches).
void setInitialValues(Builder& builder, const core::Json& parameters)
{
    const bool mlp = parameters["mlp"].get<bool>();
    const double residualStd = kInitialStd / std::sqrt((mlp ? 2.0 : 1.0) * double(parameters["layers"].get<std::int64_t>()));
    builder.setInit("blocks.*.attn.qkv.weight", normalInit(kInitialStd));
    if (mlp)
        builder.setInit("blocks.*.mlp.fc.weight", normalInit(kInitialStd));
    builder.setInit("blocks.*.*.proj.weight", normalInit(residualStd));
    if (parameters["bias"].get<bool>()) {
        builder.setInit("blocks.*.attn.*.bias", {{"kind", "zeros"}});
        if (mlp)
            builder.setInit("blocks.*.mlp.*.bias", {{"kind", "zeros"}});
    }
    if (!parameters["tied_head"].get<bool>())
        builder.setInit("lm_head.weight", normalInit(kInitialStd));
}

}  // namespace

core::Component gptComponent()
{
    core::Component component{
        "gpt",
        "GPT",
        "Decoder-only transformer with pre-layer-norm blocks that predicts the next token.",
        "Radford et al. (2019), \"Language Models are Unsupervised Multitask Learners\", section 2.3",
        {
            core::integer("vocabulary", 50257, "Number of tokens; 256 for bytes.").range(2, 10'000'000),
            core::integer("block_length", 1024, "Longest sequence.").range(1, 1 << 20).withUnit("tokens"),
            core::integer("layers", 12, "Number of transformer blocks.").range(1, 200),
            core::integer("heads", 12, "Attention heads; must divide the width.").range(1, 256),
            core::integer("width", 768, "Features of the residual stream; the MLP has four times as many.").range(1, 1 << 16),
            core::boolean("bias", true, "Biases in linear layers and layer norms."),
            core::boolean("tied_head", true, "The output layer uses the token embedding's matrix."),
            core::choice("gelu", {"none", "tanh"}, "tanh", "GELU: exact (none) or by tanh, as GPT-2."),
            dropoutParameter("dropout", 0.0,
                             "Probability that an activation is zeroed in training: after the embedding, on the pattern, after each branch."),
            core::boolean("mlp", true, "An MLP in each block; without it the model is attention alone."),
            core::boolean("norm", true, "Layer norm before each branch and before the head."),
        },
        {tokensPort()},
        {{"logits", "logits", {"batch", "position", "class"}}}};
    addParametrisation(component.schema, {"standard", "mup"}, true);
    return component;
}

graph::Model gpt(const core::Json& parameters)
{
    const TransformerSettings settings = gptSettings(parameters);
    CanonicalValues canonical;
    Builder builder("gpt");
    const Var tokens = builder.input("tokens", "int64", {"batch", "position"}, "tokens");
    const TransformerSizes sizes{builder.size(tokens, 0), builder.size(tokens, 1)};
    const Var table = tokenTable(builder, parameters["vocabulary"].get<std::int64_t>(), settings.features);
    const Var embedded = embeddedTokens(builder, tokens, table);
    const Var positions = embeddedPositions(builder, sizes.position, parameters["block_length"].get<std::int64_t>(), settings.features);
    Var x = builder.dropout("dropout", builder.add(embedded, positions), settings.residualDropout);
    const Var mask = causalMask(builder, embedded, sizes.position);
    for (std::int64_t i = 0; i < parameters["layers"].get<std::int64_t>(); ++i)
        x = transformerBlock(builder, i, x, sizes, mask, settings, canonical);
    if (settings.norm) {
        x = builder.layerNorm("ln_f", x, settings.features, settings.epsilon, settings.bias);
        canonical["ln_final"] = x;
    }
    const Var logits = head(builder, readoutInput(builder, x, parameters, settings.features), table, parameters);
    setInitialValues(builder, parameters);
    canonical.insert({{"embed", embedded}, {"pos_embed", positions}, {"logits", logits}});
    builder.card().title = "GPT";
    builder.card().task = "language_model";
    graph::Model model = builder.finish({{"logits", logits}});
    writeCanonicalNames(model, canonical);
    return parametrised(std::move(model), "gpt", parameters);
}

}  // namespace orrery::zoo
