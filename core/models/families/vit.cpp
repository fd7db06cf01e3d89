// Vision transformer. Source: Dosovitskiy et al. (2020), "An Image is Worth 16x16 Words", arXiv:2010.11929, section 3.1.
#include "assembly.h"

namespace orrery::models::families {
namespace {

struct VitSettings {
    std::int64_t features, heads, hidden, layers, imageSize, patch, channels;
    double epsilon, dropout, attentionDropout;
    bool qkvBias;
    std::string activation;
    explicit VitSettings(const Config& config)
        : features(config.count("hidden_size", 768)), heads(config.count("num_attention_heads", 12)), hidden(config.count("intermediate_size", 3072)),
          layers(config.layers("num_hidden_layers", 12)), imageSize(config.count("image_size", 224)), patch(config.count("patch_size", 16)),
          channels(config.count("num_channels", 3)), epsilon(config.real("layer_norm_eps", 1e-12)), dropout(config.real("hidden_dropout_prob", 0)),
          attentionDropout(config.real("attention_probs_dropout_prob", 0)), qkvBias(config.flag("qkv_bias", true)),
          activation(config.text("hidden_act", "gelu"))
    {
        if (patch > imageSize)
            config.fail("patch_size", fmt::format("at most the image size {}", imageSize));
    }
    std::int64_t patches() const { return (imageSize / patch) * (imageSize / patch); }
};

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

Var vitBlock(Assembly& assembly, Var x, std::int64_t number, const VitSettings& settings)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layer", "ModuleList"}, {std::to_string(number), "ViTLayer"}});
    const auto norm = [&](const char* name, Var value) { return builder.layerNorm(name, value, settings.features, settings.epsilon); };
    const Var attended = vitAttention(assembly, norm("layernorm_before", x), block, settings);
    const Var middle = builder.op("aten::add.Tensor", {attended, x}, "resid_mid");
    Var before, after, transformed;
    const Var normed = norm("layernorm_after", middle);
    {
        const Builder::Scope scope = builder.module("intermediate", "Intermediate");
        before = builder.linear("dense", normed, settings.features, settings.hidden);
        after = activated(assembly, "hidden_act", settings.activation, before);
    }
    {
        const Builder::Scope scope = builder.module("output", "Output");
        transformed = builder.dropout("dropout", builder.linear("dense", after, settings.hidden, settings.features), settings.dropout);
    }
    const Var out = builder.op("aten::add.Tensor", {transformed, middle}, "resid_post");
    for (const auto& [part, value] : {std::pair{"resid_pre", x},
                                      {"attn_out", attended},
                                      {"resid_mid", middle},
                                      {"mlp.pre", before},
                                      {"mlp.post", after},
                                      {"mlp_out", transformed},
                                      {"resid_post", out}})
        assembly.name(block + "." + part, value);
    return out;
}

graph::Model buildVit(const Request& request)
{
    const VitSettings settings(request.config);
    Assembly assembly(request, "vit");
    Builder& builder = assembly.builder;
    const Var image = assembly.imageInput(settings.channels, settings.imageSize, settings.imageSize);
    Var x;
    std::optional<Var> pooled;
    {
        const Scopes base(builder, {{assembly.base("vit"), "ViTModel"}});
        x = vitEmbeddings(assembly, image, settings);
        {
            const Builder::Scope scope = builder.module("encoder", "ViTEncoder");
            for (std::int64_t i = 0; i < settings.layers; ++i)
                x = vitBlock(assembly, x, i, settings);
        }
        x = builder.layerNorm("layernorm", x, settings.features, settings.epsilon);
        assembly.name("ln_final", x);
        if (request.head == Head::Base) {
            const Builder::Scope scope = builder.module("pooler", "ViTPooler");
            const Var first = builder.op("aten::select.int", {x, 1, 0});
            pooled = activated(assembly, "pooler_act", request.config.text("pooler_act", "tanh"),
                               builder.linear("dense", first, settings.features, request.config.count("pooler_output_size", settings.features)));
        }
    }
    if (pooled)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", *pooled}}, "ViT", "");
    const Var first = builder.op("aten::select.int", {x, 1, 0}, "class_state");
    return assembly.finish({{"logits", builder.linear("classifier", first, settings.features, request.config.labels())}}, "ViT", "classification");
}

}  // namespace

Family vitFamily()
{
    return {"vit",
            "Vision transformer",
            "Dosovitskiy et al. (2020), \"An Image is Worth 16x16 Words\", arXiv:2010.11929",
            {"vit"},
            {Head::ImageClassification, Head::Base},
            "vit",
            buildVit,
            {"embeddings.mask_token", "pooler.dense.*"}};
}

}  // namespace orrery::models::families
