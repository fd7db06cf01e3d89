// ResNet as Hugging Face's checkpoints name it. Source: He et al. (2015), "Deep Residual Learning for Image Recognition", arXiv:1512.03385, section 4.1 and figure 5.
#include "assembly.h"

namespace orrery::models::families {
namespace {

struct ResnetSettings {
    std::int64_t channels, embedding;
    std::vector<std::int64_t> widths, depths;
    bool bottleneck, downsampleFirstStage, downsampleInBottleneck;
    std::string activation;
    explicit ResnetSettings(const Config& config)
        : channels(config.count("num_channels", 3)), embedding(config.count("embedding_size", 64)),
          widths(config.counts("hidden_sizes", {256, 512, 1024, 2048})), depths(config.depths("depths", {3, 4, 6, 3})),
          downsampleFirstStage(config.flag("downsample_in_first_stage", false)),
          downsampleInBottleneck(config.flag("downsample_in_bottleneck", false)), activation(config.text("hidden_act", "relu"))
    {
        const auto kind = config.text("layer_type", "bottleneck");
        if (kind != "bottleneck" && kind != "basic")
            config.fail("layer_type", "\"bottleneck\" or \"basic\"");
        if (widths.size() != depths.size())
            config.fail("depths", fmt::format("as many numbers as hidden_sizes has ({})", widths.size()));
        bottleneck = kind == "bottleneck";
    }
};

struct Convolution {
    std::int64_t in, out, kernel, stride = 1;
    bool activates = true;
};

Var resnetConvolution(Assembly& assembly, const std::string& name, Var x, const Convolution& what, const ResnetSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(name, "ConvLayer");
    x = builder.conv2d("convolution", x, what.in, what.out, what.kernel, what.stride, what.kernel / 2, false);
    x = builder.batchNorm("normalization", x, what.out);
    return what.activates ? activated(assembly, "hidden_act", settings.activation, x) : x;
}

Var resnetBlock(Assembly& assembly, const std::string& name, Var x, std::int64_t in, std::int64_t out, std::int64_t stride,
                const ResnetSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(name, settings.bottleneck ? "BottleNeckLayer" : "BasicLayer");
    const Var residual = in != out || stride != 1 ? resnetConvolution(assembly, "shortcut", x, {in, out, 1, stride, false}, settings) : x;
    {
        const Builder::Scope layers = builder.module("layer", "Sequential");
        if (settings.bottleneck) {
            const std::int64_t inner = out / 4, first = settings.downsampleInBottleneck ? stride : 1;
            x = resnetConvolution(assembly, "0", x, {in, inner, 1, first}, settings);
            x = resnetConvolution(assembly, "1", x, {inner, inner, 3, settings.downsampleInBottleneck ? 1 : stride}, settings);
            x = resnetConvolution(assembly, "2", x, {inner, out, 1, 1, false}, settings);
        } else {
            x = resnetConvolution(assembly, "0", x, {in, out, 3, stride}, settings);
            x = resnetConvolution(assembly, "1", x, {out, out, 3, 1, false}, settings);
        }
    }
    return activated(assembly, "hidden_act", settings.activation, builder.op("aten::add.Tensor", {x, residual}, "sum"));
}

Var resnetStage(Assembly& assembly, std::size_t number, Var x, std::int64_t in, const ResnetSettings& settings)
{
    const Scopes scopes(assembly.builder, {{"stages", "ModuleList"}, {std::to_string(number), "ResNetStage"}, {"layers", "Sequential"}});
    const std::int64_t out = settings.widths[number];
    for (std::int64_t i = 0; i < settings.depths[number]; ++i) {
        const std::int64_t stride = i == 0 && (number > 0 || settings.downsampleFirstStage) ? 2 : 1;
        x = resnetBlock(assembly, std::to_string(i), x, i == 0 ? in : out, out, stride, settings);
    }
    return x;
}

graph::Model buildResnet(const Request& request)
{
    const ResnetSettings settings(request.config);
    Assembly assembly(request, "resnet");
    Builder& builder = assembly.builder;
    Var x = assembly.imageInput(settings.channels, 0, 0), pooled;
    {
        const Scopes base(builder, {{assembly.base("resnet"), "ResNetModel"}});
        {
            const Builder::Scope scope = builder.module("embedder", "ResNetEmbeddings");
            x = resnetConvolution(assembly, "embedder", x, {settings.channels, settings.embedding, 7, 2}, settings);
            x = builder.maxPool2d(x, 3, 2, 1);
        }
        {
            const Builder::Scope scope = builder.module("encoder", "ResNetEncoder");
            for (std::size_t i = 0; i < settings.widths.size(); ++i)
                x = resnetStage(assembly, i, x, i == 0 ? settings.embedding : settings.widths[i - 1], settings);
        }
        const Builder::Scope scope = builder.module("pooler", "AdaptiveAvgPool2d");
        pooled = builder.adaptiveAvgPool2d(x, 1);
    }
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", pooled}}, "ResNet", "");
    Var logits;
    {
        const Builder::Scope scope = builder.module("classifier", "Sequential");
        logits = builder.linear("1", builder.flatten(pooled), settings.widths.back(), request.config.labels());
    }
    return assembly.finish({{"logits", logits}}, "ResNet", "classification");
}

}  // namespace

Family resnetFamily()
{
    return {"resnet",
            "ResNet",
            "He et al. (2015), \"Deep Residual Learning for Image Recognition\", arXiv:1512.03385",
            {"resnet"},
            {Head::ImageClassification, Head::Base},
            "resnet",
            buildResnet,
            {"**.num_batches_tracked"}};
}

}  // namespace orrery::models::families
