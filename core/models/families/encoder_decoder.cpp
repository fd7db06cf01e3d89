#include "encoder_decoder.h"

#include <functional>

namespace orrery::models::families {
namespace {

constexpr double kCoderEpsilon = 1e-5;  // these configs do not say it

/// self_attn and encoder_attn: {q, k, v, out}_proj.
Var coderAttention(Assembly& assembly, const std::string& name, Var x, Var source, const CoderStack& stack, const zoo::TransformerSizes& sourceSizes,
                   const Masks& masks, const std::string& canonicalName, const CoderSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(name, "Attention");
    auto attention = AttentionSettings::of(assembly.config, settings.features, settings.heads);
    attention.dropout = settings.attentionDropout;
    const auto part = [&](const char* projection, const char* heads, Var from, const zoo::TransformerSizes& sizes, bool hasBias) {
        const Var projected = builder.linear(projection, from, settings.features, settings.features, hasBias);
        return splitHeads(builder, heads, projected, sizes, settings.heads, attention.size);
    };
    const Var q = part("q_proj", "q", x, stack.sizes, true), k = part("k_proj", "k", source, sourceSizes, settings.keyBias),
              v = part("v_proj", "v", source, sourceSizes, true);
    const Var merged = attend(assembly, stack.sizes, q, k, v, masks, attention, canonicalName);
    return builder.linear("out_proj", merged, settings.features, settings.features);
}

Var coderBranch(Assembly& assembly, const std::string& norm, Var x, const CoderSettings& settings, const std::function<Var(Var)>& branch)
{
    Builder& builder = assembly.builder;
    const auto normed = [&](Var value) { return builder.layerNorm(norm, value, settings.features, kCoderEpsilon); };
    const Var out = builder.dropout("dropout", branch(settings.normFirst ? normed(x) : x), settings.dropout);
    const Var sum = builder.op("aten::add.Tensor", {x, out}, "resid");
    return settings.normFirst ? sum : normed(sum);
}

Var coderLayer(Assembly& assembly, std::int64_t number, Var x, const CoderStack& stack, const CoderSettings& settings)
{
    Builder& builder = assembly.builder;
    const std::string canonicalName = fmt::format("{}.{}", stack.name, number);
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "CoderLayer"}});
    x = coderBranch(assembly, "self_attn_layer_norm", x, settings, [&](Var in) {
        return coderAttention(assembly, "self_attn", in, in, stack, stack.sizes, stack.masks, canonicalName + ".attn", settings);
    });
    if (stack.memory)
        x = coderBranch(assembly, "encoder_attn_layer_norm", x, settings, [&](Var in) {
            return coderAttention(assembly, "encoder_attn", in, *stack.memory, stack, stack.source, {{}, stack.memoryMask},
                                  canonicalName + ".cross_attn", settings);
        });
    return coderBranch(assembly, "final_layer_norm", x, settings, [&](Var in) {
        const Var hidden =
            activated(assembly, "activation_function", settings.activation, builder.linear("fc1", in, settings.features, settings.hidden));
        return builder.linear("fc2", builder.dropout("activation_dropout", hidden, settings.innerDropout), settings.hidden, settings.features);
    });
}

}  // namespace

CoderSettings::CoderSettings(const Config& config, const std::string& stack)
    : features(config.count("d_model", 1024)), layers(config.layers(stack + "_layers", 12)), heads(config.count(stack + "_attention_heads", 16)),
      hidden(config.count(stack + "_ffn_dim", 4096)), dropout(config.real("dropout", 0.1)), attentionDropout(config.real("attention_dropout", 0)),
      innerDropout(config.real("activation_dropout", 0)), activation(config.text("activation_function", "gelu"))
{
}

Var coderLayers(Assembly& assembly, Var x, const CoderStack& stack, const CoderSettings& settings)
{
    for (std::int64_t i = 0; i < settings.layers; ++i)
        x = coderLayer(assembly, i, x, stack, settings);
    return x;
}

Var tiedRows(Builder& builder, Var table, Var tokens)
{
    const Builder::Scope scope = builder.module("embed_tokens", "Embedding");
    return builder.op("aten::embedding", {builder.tied("weight", table), tokens});
}

}  // namespace orrery::models::families
