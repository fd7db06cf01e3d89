#include "clip_tower.h"

namespace orrery::models::families {
namespace {

Var clipAttention(Assembly& assembly, Var x, const zoo::TransformerSizes& sizes, const Masks& masks, const std::string& canonicalName,
                  const TowerSettings& tower)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self_attn", "CLIPAttention");
    auto settings = AttentionSettings::of(assembly.config, tower.features, tower.heads);
    settings.dropout = tower.attentionDropout;
    const auto part = [&](const char* projection, const char* name) {
        return splitHeads(builder, name, builder.linear(projection, x, tower.features, tower.features), sizes, tower.heads, settings.size);
    };
    const Var q = part("q_proj", "q"), k = part("k_proj", "k"), v = part("v_proj", "v");
    return builder.linear("out_proj", attend(assembly, sizes, q, k, v, masks, settings, canonicalName), tower.features, tower.features);
}

Var clipLayer(Assembly& assembly, Var x, std::int64_t number, const zoo::TransformerSizes& sizes, const Masks& masks, const TowerSettings& tower)
{
    Builder& builder = assembly.builder;
    const std::string canonicalName = fmt::format("{}.{}", tower.name, number);
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "CLIPEncoderLayer"}});
    const Var normed = builder.layerNorm("layer_norm1", x, tower.features, tower.epsilon);
    const Var middle =
        builder.op("aten::add.Tensor", {x, clipAttention(assembly, normed, sizes, masks, canonicalName + ".attn", tower)}, "resid_mid");
    const Var second = builder.layerNorm("layer_norm2", middle, tower.features, tower.epsilon);
    const Var transformed = clipPerceptron(assembly, second, tower);
    const Var out = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    assembly.name(canonicalName + ".resid_pre", x);
    assembly.name(canonicalName + ".resid_post", out);
    return out;
}

}  // namespace

TowerSettings::TowerSettings(std::string tower, const Config& config, std::int64_t width, std::int64_t headCount)
    : name(std::move(tower)), features(config.count("hidden_size", width)), heads(config.count("num_attention_heads", headCount)),
      hidden(config.count("intermediate_size", 4 * width)), layers(config.layers("num_hidden_layers", 12)),
      epsilon(config.real("layer_norm_eps", 1e-5)), attentionDropout(config.real("attention_dropout", 0)),
      activation(config.text("hidden_act", "quick_gelu"))
{
}

PatchGrid::PatchGrid(const Config& config, std::int64_t defaultPatch)
    : size(config.count("image_size", 224)), patch(config.count("patch_size", defaultPatch)), channels(config.count("num_channels", 3))
{
    if (patch > size)
        config.fail("patch_size", fmt::format("at most the image size {}", size));
}

Var clipTextEmbeddings(Assembly& assembly, Var tokens, const TowerSettings& tower, const TextTables& tables)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("embeddings", "CLIPTextEmbeddings");
    const Embedded words = embedded(builder, "token_embedding", tokens, tables.vocabulary, tower.features);
    const Var places = positionRows(builder, "position_embedding", assembly.sizes.position, tables.positions, tower.features);
    assembly.name("embed", words.rows);
    assembly.name("pos_embed", places);
    return builder.add(words.rows, places);
}

Var clipPerceptron(Assembly& assembly, Var x, const TowerSettings& tower)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "CLIPMLP");
    const Var hidden = activated(assembly, "hidden_act", tower.activation, builder.linear("fc1", x, tower.features, tower.hidden));
    return builder.linear("fc2", hidden, tower.hidden, tower.features);
}

Var clipEncoder(Assembly& assembly, Var x, const zoo::TransformerSizes& sizes, const Masks& masks, const TowerSettings& tower)
{
    const Builder::Scope scope = assembly.builder.module("encoder", "CLIPEncoder");
    for (std::int64_t i = 0; i < tower.layers; ++i)
        x = clipLayer(assembly, x, i, sizes, masks, tower);
    return x;
}

Var unitLength(Builder& builder, Var x, const std::string& name)
{
    const Var norm = builder.op("aten::norm.ScalarOpt_dim", {x, 2, std::vector<std::int64_t>{-1}, true}, name + "_norm");
    return builder.op("aten::div.Tensor", {x, norm}, name);
}

}  // namespace orrery::models::families
