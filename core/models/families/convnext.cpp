// ConvNeXt. Sources: Liu et al. (2022), "A ConvNet for the 2020s", arXiv:2201.03545, figure 4 and section 2; Woo et al. (2023), "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked
// Autoencoders", arXiv:2301.00808, section 3.2.
#include "assembly.h"

namespace orrery::models::families {
namespace {

constexpr double kChannelNormEpsilon = 1e-6;

struct ConvnextSettings {
    std::int64_t channels, patch;
    std::vector<std::int64_t> widths, depths;
    double epsilon, layerScale;
    std::string activation;
    bool second;  ///< V2: a norm of responses in place of the layer scale
    explicit ConvnextSettings(const Config& config)
        : channels(config.count("num_channels", 3)), patch(config.count("patch_size", 4)), widths(config.counts("hidden_sizes", {96, 192, 384, 768})),
          depths(config.depths("depths", {3, 3, 9, 3})), epsilon(config.real("layer_norm_eps", 1e-12)),
          layerScale(config.real("layer_scale_init_value", 1e-6)), activation(config.text("hidden_act", "gelu")),
          second(config.text("model_type", "convnext") == "convnextv2")
    {
        if (widths.size() != depths.size())
            config.fail("depths", fmt::format("as many numbers as hidden_sizes has ({})", widths.size()));
    }
};

Var channelsLast(Builder& builder, Var x)
{
    return builder.op("aten::permute", {x, std::vector<std::int64_t>{0, 2, 3, 1}});
}

Var channelsFirst(Builder& builder, Var x)
{
    return builder.op("aten::permute", {x, std::vector<std::int64_t>{0, 3, 1, 2}});
}

/// Layer norm over the channels of a picture.
Var channelNorm(Builder& builder, const std::string& name, Var x, std::int64_t width)
{
    return channelsFirst(builder, builder.layerNorm(name, channelsLast(builder, x), width, kChannelNormEpsilon));
}

/// x + weight * x * n + bias with n the norm of a channel over the picture, divided by the mean of these norms over the channels (algorithm 1). x [batch, height, width, channel].
Var responseNorm(Builder& builder, Var x, std::int64_t width)
{
    const Builder::Scope scope = builder.module("grn", "GlobalResponseNorm");
    const Var weight = builder.parameter("weight", {1, 1, 1, width}, {{"kind", "zeros"}}),
              bias = builder.parameter("bias", {1, 1, 1, width}, {{"kind", "zeros"}});
    const Var norms = builder.op("aten::norm.ScalarOpt_dim", {x, 2, std::vector<std::int64_t>{1, 2}, true});
    const Var mean = builder.op("aten::mean.dim", {norms, std::vector<std::int64_t>{-1}, true});
    const Var relative = builder.op("aten::div.Tensor", {norms, builder.op("aten::add.Scalar", {mean, 1e-6}, "shifted")}, "relative");
    const Var scaled = builder.op("aten::mul.Tensor", {weight, builder.op("aten::mul.Tensor", {x, relative}, "responses")}, "scaled");
    return builder.op("aten::add.Tensor", {builder.op("aten::add.Tensor", {scaled, bias}, "biased"), x}, "sum");
}

Var convnextBlock(Assembly& assembly, const std::string& name, Var x, std::int64_t width, const ConvnextSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(name, "ConvNextLayer");
    const Var depthwise = builder.conv2d("dwconv", x, width, width, 7, 1, 3, true, width);
    const Var normed = builder.layerNorm("layernorm", channelsLast(builder, depthwise), width, kChannelNormEpsilon);
    Var hidden = activated(assembly, "hidden_act", settings.activation, builder.linear("pwconv1", normed, width, 4 * width));
    if (settings.second)
        hidden = responseNorm(builder, hidden, 4 * width);
    Var out = builder.linear("pwconv2", hidden, 4 * width, width);
    if (settings.layerScale > 0 && !settings.second) {
        const Var scale = builder.parameter("layer_scale_parameter", {width}, {{"kind", "constant"}, {"value", settings.layerScale}});
        out = builder.op("aten::mul.Tensor", {scale, out}, "scaled");
    }
    return builder.op("aten::add.Tensor", {x, channelsFirst(builder, out)}, "sum");
}

Var convnextStage(Assembly& assembly, std::size_t number, Var x, std::int64_t in, const ConvnextSettings& settings)
{
    Builder& builder = assembly.builder;
    const Scopes scopes(builder, {{"stages", "ModuleList"}, {std::to_string(number), "ConvNextStage"}});
    const std::int64_t out = settings.widths[number];
    if (number > 0) {
        const Builder::Scope scope = builder.module("downsampling_layer", "ModuleList");
        x = builder.conv2d("1", channelNorm(builder, "0", x, in), in, out, 2, 2);
    }
    const Builder::Scope scope = builder.module("layers", "ModuleList");
    for (std::int64_t i = 0; i < settings.depths[number]; ++i)
        x = convnextBlock(assembly, std::to_string(i), x, out, settings);
    return x;
}

graph::Model buildConvnext(const Request& request)
{
    const ConvnextSettings settings(request.config);
    const std::string name = settings.second ? "convnextv2" : "convnext", title = settings.second ? "ConvNeXt V2" : "ConvNeXt";
    Assembly assembly(request, name);
    Builder& builder = assembly.builder;
    Var x = assembly.imageInput(settings.channels, 0, 0), pooled;
    {
        const Scopes base(builder, {{assembly.base(name), "ConvNextModel"}});
        {
            const Builder::Scope scope = builder.module("embeddings", "ConvNextEmbeddings");
            x = builder.conv2d("patch_embeddings", x, settings.channels, settings.widths[0], settings.patch, settings.patch);
            x = channelNorm(builder, "layernorm", x, settings.widths[0]);
        }
        {
            const Builder::Scope scope = builder.module("encoder", "ConvNextEncoder");
            for (std::size_t i = 0; i < settings.widths.size(); ++i)
                x = convnextStage(assembly, i, x, i == 0 ? settings.widths[0] : settings.widths[i - 1], settings);
        }
        const Var mean = builder.op("aten::mean.dim", {x, std::vector<std::int64_t>{-2, -1}});
        pooled = builder.layerNorm("layernorm", mean, settings.widths.back(), settings.epsilon);
    }
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", pooled}}, title, "");
    return assembly.finish({{"logits", builder.linear("classifier", pooled, settings.widths.back(), request.config.labels())}}, title,
                           "classification");
}

}  // namespace

Family convnextFamily()
{
    return {"convnext",
            "ConvNeXt",
            "Liu et al. (2022), \"A ConvNet for the 2020s\", arXiv:2201.03545",
            {"convnext"},
            {Head::ImageClassification, Head::Base},
            "convnext",
            buildConvnext,
            {}};
}

Family convnextV2Family()
{
    return {"convnextv2",
            "ConvNeXt V2",
            "Woo et al. (2023), \"ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders\", arXiv:2301.00808",
            {"convnextv2"},
            {Head::ImageClassification, Head::Base},
            "convnextv2",
            buildConvnext,
            {}};
}

}  // namespace orrery::models::families
