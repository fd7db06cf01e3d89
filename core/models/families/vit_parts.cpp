#include "vit_parts.h"

namespace orrery::models::families {
namespace {

Var vitEmbeddings(Assembly& assembly, Var image, const VitSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("embeddings", "ViTEmbeddings");
    const Var first = builder.parameter("cls_token", {1, 1, settings.features}, zoo::normalInit(0.02));
    const Var places = builder.parameter("position_embeddings", {1, settings.patches() + 1, settings.features}, zoo::normalInit(0.02));
    Var patches;
    {
        const Builder::Scope inner = builder.module("patch_embeddings", "PatchEmbeddings");
        const Var map = builder.conv2d("projection", image, settings.channels, settings.features, settings.patch, settings.patch);
        patches = builder.transpose(builder.flatten(map, 2, 3), 1, 2);
    }
    const Var classes = builder.op("aten::expand", {first, builder.shape({builder.size(patches, 0), -1, -1})}, "class_token");
    const Var sequence = builder.op("aten::cat", {builder.list({classes, patches}), 1}, "tokens");
    assembly.sizes = {builder.size(sequence, 0), builder.size(sequence, 1)};
    return builder.dropout("dropout", builder.add(sequence, places), settings.dropout);
}

}  // namespace

VitSettings::VitSettings(const Config& config)
    : features(config.count("hidden_size", 768)), heads(config.count("num_attention_heads", 12)), hidden(config.count("intermediate_size", 3072)),
      layers(config.layers("num_hidden_layers", 12)), imageSize(config.count("image_size", 224)), patch(config.count("patch_size", 16)),
      channels(config.count("num_channels", 3)), epsilon(config.real("layer_norm_eps", 1e-12)), dropout(config.real("hidden_dropout_prob", 0)),
      attentionDropout(config.real("attention_probs_dropout_prob", 0)), qkvBias(config.flag("qkv_bias", true)),
      activation(config.text("hidden_act", "gelu"))
{
    if (patch > imageSize)
        config.fail("patch_size", fmt::format("at most the image size {}", imageSize));
}

Var vitAttention(Assembly& assembly, Var x, const std::string& block, const VitSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("attention", "ViTAttention");
    auto attention = AttentionSettings::of(assembly.config, settings.features, settings.heads);
    attention.dropout = settings.attentionDropout;
    Var merged;
    {
        const Builder::Scope inner = builder.module("attention", "SelfAttention");
        const auto part = [&](const char* projection, const char* name) {
            const Var projected = builder.linear(projection, x, settings.features, settings.features, settings.qkvBias);
            return splitHeads(builder, name, projected, assembly.sizes, settings.heads, attention.size);
        };
        const Var q = part("query", "q"), k = part("key", "k"), v = part("value", "v");
        merged = attend(assembly, assembly.sizes, q, k, v, {}, attention, block + ".attn");
    }
    const Builder::Scope inner = builder.module("output", "Output");
    return builder.dropout("dropout", builder.linear("dense", merged, settings.features, settings.features), settings.dropout);
}

Var vitStates(Assembly& assembly, Var image, const VitSettings& settings, const char* type,
              const std::function<Var(Var x, std::int64_t number)>& block)
{
    Builder& builder = assembly.builder;
    Var x = vitEmbeddings(assembly, image, settings);
    {
        const Builder::Scope scope = builder.module("encoder", type);
        for (std::int64_t i = 0; i < settings.layers; ++i)
            x = block(x, i);
    }
    x = builder.layerNorm("layernorm", x, settings.features, settings.epsilon);
    assembly.name("ln_final", x);
    return x;
}

}  // namespace orrery::models::families
