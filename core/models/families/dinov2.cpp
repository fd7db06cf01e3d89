// DINOv2. Sources: Oquab et al. (2023), "DINOv2: Learning Robust Visual Features without Supervision", arXiv:2304.07193; scales of branches: Touvron et al. (2021), arXiv:2103.17239, equation 4; SwiGLU:
// Shazeer (2020), arXiv:2002.05202.
#include "vit_parts.h"

namespace orrery::models::families {
namespace {

struct DinoSettings : VitSettings {
    double scaleStart;
    bool gated;
    explicit DinoSettings(const Config& config)
        : VitSettings(config.withDefaults({{"layer_norm_eps", 1e-6}, {"patch_size", 14}})), scaleStart(config.real("layerscale_value", 1)),
          gated(config.flag("use_swiglu_ffn", false))
    {
        hidden = features * config.count("mlp_ratio", 4);
        if (gated)
            hidden = (hidden * 2 / 3 + 7) / 8 * 8;
    }
};

Var scaledBranch(Builder& builder, const std::string& name, Var x, const DinoSettings& settings)
{
    const Builder::Scope scope = builder.module(name, "LayerScale");
    const Var scale = builder.parameter("lambda1", {settings.features}, {{"kind", "constant"}, {"value", settings.scaleStart}});
    return builder.op("aten::mul.Tensor", {x, scale}, "scaled");
}

struct DinoHidden {
    Var before, after, out;
};

DinoHidden dinoPerceptron(Assembly& assembly, Var x, const DinoSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", settings.gated ? "SwiGLU" : "MLP");
    DinoHidden made;
    if (!settings.gated) {
        made.before = builder.linear("fc1", x, settings.features, settings.hidden);
        made.after = activated(assembly, "hidden_act", settings.activation, made.before);
        made.out = builder.linear("fc2", made.after, settings.hidden, settings.features);
        return made;
    }
    const Var both = builder.linear("weights_in", x, settings.features, 2 * settings.hidden);
    made.before = builder.op("aten::slice.Tensor", {both, -1, 0, settings.hidden, 1}, "gate");
    const Var up = builder.op("aten::slice.Tensor", {both, -1, settings.hidden, 2 * settings.hidden, 1}, "up");
    made.after = builder.op("aten::mul.Tensor", {builder.op("aten::silu", {made.before}), up}, "gated");
    made.out = builder.linear("weights_out", made.after, settings.hidden, settings.features);
    return made;
}

Var dinoBlock(Assembly& assembly, Var x, std::int64_t number, const DinoSettings& settings)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layer", "ModuleList"}, {std::to_string(number), "Dinov2Layer"}});
    const auto norm = [&](const char* name, Var value) { return builder.layerNorm(name, value, settings.features, settings.epsilon); };
    const Var attended = scaledBranch(builder, "layer_scale1", vitAttention(assembly, norm("norm1", x), block, settings), settings);
    const Var middle = builder.op("aten::add.Tensor", {attended, x}, "resid_mid");
    const DinoHidden hidden = dinoPerceptron(assembly, norm("norm2", middle), settings);
    const Var transformed = scaledBranch(builder, "layer_scale2", hidden.out, settings);
    const Var out = builder.op("aten::add.Tensor", {transformed, middle}, "resid_post");
    nameBlock(assembly, block, {x, attended, middle, hidden.before, hidden.after, transformed, out});
    return out;
}

graph::Model buildDino(const Request& request)
{
    const DinoSettings settings(request.config);
    Assembly assembly(request, "dinov2");
    Builder& builder = assembly.builder;
    const Var image = assembly.imageInput(settings.channels, settings.imageSize, settings.imageSize);
    Var x;
    {
        const Scopes base(builder, {{assembly.base("dinov2"), "Dinov2Model"}});
        x = vitStates(assembly, image, settings, "Dinov2Encoder",
                      [&](Var in, std::int64_t number) { return dinoBlock(assembly, in, number, settings); });
    }
    const Var first = builder.op("aten::select.int", {x, 1, 0}, "class_state");
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", first}}, "DINOv2", "");
    const Var patches = builder.op("aten::slice.Tensor", {x, 1, 1, nullptr, 1}, "patch_states");
    const Var mean = builder.op("aten::mean.dim", {patches, std::vector<std::int64_t>{1}}, "patch_mean");
    const Var both = builder.op("aten::cat", {builder.list({first, mean}), 1}, "class_and_patches");
    return assembly.finish({{"logits", builder.linear("classifier", both, 2 * settings.features, request.config.labels())}}, "DINOv2",
                           "classification");
}

}  // namespace

Family dinov2Family()
{
    return {"dinov2",
            "DINOv2",
            "Oquab et al. (2023), \"DINOv2: Learning Robust Visual Features without Supervision\", arXiv:2304.07193",
            {"dinov2"},
            {Head::Base, Head::ImageClassification},
            "dinov2",
            buildDino,
            {"embeddings.mask_token"}};
}

}  // namespace orrery::models::families
