#include <cmath>

#include <core/base/error.h>

#include "architectures.h"
#include "parametrisation.h"
#include "transformer.h"

namespace orrery::zoo {
namespace {

struct Patches {
    std::int64_t size = 0, count = 0;
};

Patches patchesOf(const core::Json& parameters)
{
    const auto image = parameters["image_size"].get<std::int64_t>(), patch = parameters["patch_size"].get<std::int64_t>();
    if (image % patch != 0)
        throw core::InputError(
            fmt::format("vit: expected an image size that is a multiple of the patch size, got image size {} with patch size {}", image, patch));
    return {patch, (image / patch) * (image / patch)};
}

TransformerSettings vitSettings(const core::Json& parameters)
{
    TransformerSettings settings;
    settings.features = parameters["width"].get<std::int64_t>();
    settings.heads = parameters["heads"].get<std::int64_t>();
    settings.hidden = parameters["mlp_width"].get<std::int64_t>();
    settings.epsilon = 1e-6;
    settings.attentionDropout = parameters["attention_dropout"].get<double>();
    settings.hiddenDropout = settings.residualDropout = parameters["dropout"].get<double>();
    settings.attentionFactor = attentionFactor(parameters);
    return settings;
}

/// [batch, channel, height, width] -> [batch, 1 + patch, feature]: class token first, then the patches row by row.
Var embeddedPatches(Builder& builder, Var image, std::int64_t channels, const Patches& patches, const TransformerSettings& settings,
                    CanonicalValues& canonical)
{
    const Var projected = builder.conv2d("conv_proj", image, channels, settings.features, patches.size, patches.size);
    const double fanIn = double(channels * patches.size * patches.size);
    builder.setInit("conv_proj.weight", {{"kind", "trunc_normal"}, {"std", std::sqrt(1.0 / fanIn)}});
    builder.setInit("conv_proj.bias", {{"kind", "zeros"}});
    const Var rows = builder.transpose(builder.flatten(projected, 2, -1), 1, 2);
    const Var token = builder.parameter("class_token", {1, 1, settings.features}, {{"kind", "zeros"}});
    const Var tokens = builder.op("aten::expand", {token, builder.shape({builder.size(image, 0), -1, -1})});
    const Var sequence = builder.op("aten::cat", {builder.list({tokens, rows}), 1}, "embed");
    const Var positions = builder.parameter("pos_embedding", {1, patches.count + 1, settings.features}, normalInit(0.02));
    canonical["embed"] = sequence;
    canonical["pos_embed"] = positions;
    return builder.dropout("dropout", builder.add(sequence, positions), settings.residualDropout);
}

/// Initial values as torchvision's: Xavier for attention and MLP, nearly zero biases in the MLP, a head of zeros.
void setInitialValues(Builder& builder)
{
    builder.setInit("blocks.*.attn.qkv.weight", {{"kind", "xavier_uniform"}});
    builder.setInit("blocks.*.attn.*.bias", {{"kind", "zeros"}});
    builder.setInit("blocks.*.mlp.*.weight", {{"kind", "xavier_uniform"}});
    builder.setInit("blocks.*.mlp.*.bias", normalInit(1e-6));
    builder.setInit("head.*", {{"kind", "zeros"}});
}

}  // namespace

core::Component vitComponent()
{
    core::Component component{
        "vit",
        "Vision transformer",
        "Transformer encoder on image patches with a class token.",
        "Dosovitskiy et al. (2021), \"An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale\", arXiv:2010.11929",
        {
            imageSizeParameter(224),
            channelsParameter(3),
            core::integer("patch_size", 16, "Height and width of a patch; must divide the image size.").range(1, 1024).withUnit("px"),
            core::integer("layers", 12, "Number of transformer blocks.").range(1, 200),
            core::integer("heads", 12, "Attention heads; must divide the width.").range(1, 256),
            core::integer("width", 768, "Features of the residual stream.").range(1, 1 << 16),
            core::integer("mlp_width", 3072, "Features inside the MLP.").range(1, 1 << 18),
            dropoutParameter("dropout", 0.0, "Probability that an activation is zeroed in training: after the embedding, GELU and each branch."),
            dropoutParameter("attention_dropout", 0.0, "Probability that an attention weight is zeroed in training."),
            classesParameter(1000),
        },
        {imagePort()},
        {logitsPort()}};
    addParametrisation(component.schema, {"standard", "mup"}, true);
    return component;
}

graph::Model vit(const core::Json& parameters)
{
    const Patches patches = patchesOf(parameters);
    const TransformerSettings settings = vitSettings(parameters);
    const auto channels = parameters["channels"].get<std::int64_t>();
    CanonicalValues canonical;
    Builder builder("vit");
    const Var image = imageInput(builder, channels, parameters["image_size"].get<std::int64_t>());
    Var x = embeddedPatches(builder, image, channels, patches, settings, canonical);
    const TransformerSizes sizes{builder.size(x, 0), builder.size(x, 1)};
    for (std::int64_t i = 0; i < parameters["layers"].get<std::int64_t>(); ++i)
        x = transformerBlock(builder, i, x, sizes, std::nullopt, settings, canonical);
    const Var normed = builder.layerNorm("ln_f", x, settings.features, settings.epsilon);
    const Var first = builder.op("aten::select.int", {normed, 1, 0}, "class_position");
    const Var logits = builder.linear("head", readoutInput(builder, first, parameters, settings.features), settings.features,
                                      parameters["classes"].get<std::int64_t>());
    setInitialValues(builder);
    canonical["ln_final"] = normed;
    canonical["logits"] = logits;
    builder.card().title = "ViT";
    graph::Model model = builder.finish({{"logits", logits}});
    writeCanonicalNames(model, canonical);
    return parametrised(std::move(model), "vit", parameters);
}

}  // namespace orrery::zoo
