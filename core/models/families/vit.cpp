// Vision transformer. Source: Dosovitskiy et al. (2020), "An Image is Worth 16x16 Words", arXiv:2010.11929, section 3.1.
#include "vit_parts.h"

namespace orrery::models::families {
namespace {

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
    nameBlock(assembly, block, {x, attended, middle, before, after, transformed, out});
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
        x = vitStates(assembly, image, settings, "ViTEncoder", [&](Var in, std::int64_t number) { return vitBlock(assembly, in, number, settings); });
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
