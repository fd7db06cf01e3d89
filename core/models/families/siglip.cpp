// SigLIP. Source: Zhai et al. (2023), "Sigmoid Loss for Language Image Pre-Training", arXiv:2303.15343, sections 3 and 4; attention pooling: Zhai et al. (2021), arXiv:2106.04560.
#include <cmath>

#include "clip_tower.h"

namespace orrery::models::families {
namespace {

Config siglipDefaults(const Config& config)
{
    return config.withDefaults({{"hidden_act", "gelu_pytorch_tanh"}, {"layer_norm_eps", 1e-6}});
}

/// The last token's state, projected.
Var siglipText(Assembly& assembly, const Config& config)
{
    Builder& builder = assembly.builder;
    const TowerSettings tower("text", config, 768, 12);
    const Var tokens = assembly.tokenInput();
    const Builder::Scope scope = builder.module("text_model", "SiglipTextTransformer");
    Var x = clipTextEmbeddings(assembly, tokens, tower, {config.count("vocab_size", 32000), config.count("max_position_embeddings", 64)});
    const Masks masks{{}, assembly.paddingMask(x)};
    x = builder.layerNorm("final_layer_norm", clipEncoder(assembly, x, assembly.sizes, masks, tower), tower.features, tower.epsilon);
    const Var last = builder.op("aten::select.int", {x, 1, -1}, "last_state");
    return builder.linear("head", last, tower.features, config.count("projection_size", tower.features));
}

/// A learned query looks at all patches; a block of its own follows.
Var attentionPool(Assembly& assembly, Var x, const zoo::TransformerSizes& sizes, const TowerSettings& tower)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("head", "AttentionPoolingHead");
    const std::int64_t features = tower.features;
    const auto settings = AttentionSettings::of(assembly.config, features, tower.heads);
    const Var probe = builder.parameter("probe", {1, 1, features}, zoo::normalInit(0.02));
    const Var queries = builder.op("aten::expand", {probe, builder.shape({sizes.batch, -1, -1})}, "probes");
    Var pooled;
    {
        const Builder::Scope inner = builder.module("attention", "MultiheadAttention");
        const Var weight = builder.parameter("in_proj_weight", {3 * features, features}, zoo::normalInit(0.02));
        const Var bias = builder.parameter("in_proj_bias", {3 * features}, {{"kind", "zeros"}});
        const zoo::TransformerSizes one{sizes.batch, builder.size(queries, 1)};
        const auto part = [&](std::int64_t place, const char* name, Var from, const zoo::TransformerSizes& own) {
            const auto rows = [&](Var all) { return builder.op("aten::slice.Tensor", {all, 0, place * features, (place + 1) * features, 1}); };
            return splitHeads(builder, name, builder.op("aten::linear", {from, rows(weight), rows(bias)}), own, tower.heads, settings.size);
        };
        const Var q = part(0, "q", queries, one), k = part(1, "k", x, sizes), v = part(2, "v", x, sizes);
        pooled = builder.linear("out_proj", attend(assembly, one, q, k, v, {}, settings, "vision.pool.attn"), features, features);
    }
    const Var normed = builder.layerNorm("layernorm", pooled, features, tower.epsilon);
    const Var out = builder.op("aten::add.Tensor", {pooled, clipPerceptron(assembly, normed, tower)}, "pooled");
    return builder.op("aten::select.int", {out, 1, 0}, "picture");
}

Var siglipVision(Assembly& assembly, const Config& config)
{
    Builder& builder = assembly.builder;
    const TowerSettings tower("vision", config, 768, 12);
    const PatchGrid grid(config, 16);
    const Var image = assembly.imageInput(grid.channels, grid.size, grid.size);
    const Builder::Scope scope = builder.module("vision_model", "SiglipVisionTransformer");
    Var x;
    {
        const Builder::Scope inner = builder.module("embeddings", "SiglipVisionEmbeddings");
        const Var map = builder.conv2d("patch_embedding", image, grid.channels, tower.features, grid.patch, grid.patch);
        const Builder::Scope table = builder.module("position_embedding", "Embedding");
        const Var places = builder.parameter("weight", {grid.patches(), tower.features}, zoo::normalInit(0.02));
        x = builder.add(builder.transpose(builder.flatten(map, 2, 3), 1, 2), places);
    }
    const zoo::TransformerSizes sizes{builder.size(x, 0), builder.size(x, 1)};
    x = builder.layerNorm("post_layernorm", clipEncoder(assembly, x, sizes, {}, tower), tower.features, tower.epsilon);
    return attentionPool(assembly, x, sizes, tower);
}

graph::Model buildSiglip(const Request& request)
{
    const Config text = siglipDefaults(request.config.section("text_config")), vision = siglipDefaults(request.config.section("vision_config"));
    if (text.count("projection_size", text.count("hidden_size", 768)) != vision.count("hidden_size", 768))
        text.fail("projection_size", fmt::format("the width {} of pictures", vision.count("hidden_size", 768)));
    Assembly assembly(request, "siglip");
    Builder& builder = assembly.builder;
    const Var sentence = siglipText(assembly, text), picture = siglipVision(assembly, vision);
    const Var imageEmbeds = unitLength(builder, picture, "image_embeds"), textEmbeds = unitLength(builder, sentence, "text_embeds");
    const Var scale = builder.op("aten::exp", {builder.parameter("logit_scale", {1}, {{"kind", "zeros"}})});
    const Var bias = builder.parameter("logit_bias", {1}, {{"kind", "zeros"}});
    const Var cosines = builder.op("aten::matmul", {textEmbeds, builder.op("aten::t", {imageEmbeds})}, "cosines");
    const Var perText = builder.op("aten::add.Tensor", {builder.op("aten::mul.Tensor", {cosines, scale}, "scaled"), bias}, "logits_per_text");
    const Var perImage = builder.op("aten::t", {perText}, "logits_per_image");
    return assembly.finish({{"logits_per_image", perImage}, {"logits_per_text", perText}, {"text_embeds", textEmbeds}, {"image_embeds", imageEmbeds}},
                           "SigLIP", "");
}

}  // namespace

Family siglipFamily()
{
    return {"siglip",
            "SigLIP",
            "Zhai et al. (2023), \"Sigmoid Loss for Language Image Pre-Training\", arXiv:2303.15343",
            {"siglip"},
            {Head::Base},
            "",
            buildSiglip,
            {"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"}};
}

}  // namespace orrery::models::families
