// MobileNetV2. Source: Sandler et al. (2018), "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv:1801.04381, table 2 and figure 4; padding and widths as the released checkpoints have them.
#include <algorithm>
#include <cmath>

#include "assembly.h"

namespace orrery::models::families {
namespace {

struct MobileNetStage {
    std::int64_t channels, stride;
};
/// Channels that enter each of the sixteen inverted residuals, before the multiplier, and the stride there.
constexpr MobileNetStage kMobileNetStages[] = {{16, 2}, {24, 1}, {24, 2}, {32, 1}, {32, 1}, {32, 2},  {64, 1},  {64, 1},
                                               {64, 1}, {64, 1}, {96, 1}, {96, 1}, {96, 2}, {160, 1}, {160, 1}, {160, 1}};
constexpr std::int64_t kMobileNetLast = 320, kMobileNetTop = 1280, kMobileNetFirst = 32;

struct MobileNetSettings {
    std::int64_t channels, side, divisor, smallest, outputStride;
    double multiplier, expansion, epsilon;
    bool expandsFirst, finegrained, tensorflowPadding;
    std::string activation;
    explicit MobileNetSettings(const Config& config)
        : channels(config.count("num_channels", 3)), side(config.count("image_size", 224)), divisor(config.count("depth_divisible_by", 8)),
          smallest(config.count("min_depth", 8)), outputStride(config.count("output_stride", 32)), multiplier(config.real("depth_multiplier", 1)),
          expansion(config.real("expand_ratio", 6)), epsilon(config.real("layer_norm_eps", 0.001)),
          expandsFirst(!config.flag("first_layer_is_expansion", true)), finegrained(config.flag("finegrained_output", true)),
          tensorflowPadding(config.flag("tf_padding", true)), activation(config.text("hidden_act", "relu6"))
    {
        if (!(multiplier > 0 && multiplier <= 64))
            config.fail("depth_multiplier", "a number above 0, at most 64");
        if (!(expansion > 0 && expansion <= 64))
            config.fail("expand_ratio", "a number above 0, at most 64");
    }
    /// The nearest multiple of the divisor, at most a tenth below.
    std::int64_t rounded(std::int64_t width) const
    {
        const auto near = std::max(smallest, (width + divisor / 2) / divisor * divisor);
        return double(near) < 0.9 * double(width) ? near + divisor : near;
    }
    std::int64_t scaled(std::int64_t width) const { return rounded(std::int64_t(std::nearbyint(double(width) * multiplier))); }
    std::int64_t expanded(std::int64_t width) const { return rounded(std::int64_t(std::nearbyint(double(width) * expansion))); }
};

/// A picture and its side, which decides how much padding the last window of a stride needs.
struct MobileNetPicture {
    Var x;
    std::int64_t side;
};

struct MobileNetLayer {
    std::int64_t in, out, kernel = 1, stride = 1, groups = 1, dilation = 1;
    bool activates = true;
};

MobileNetPicture mobileNetLayer(Assembly& assembly, const std::string& name, const MobileNetPicture& picture, const MobileNetLayer& layer,
                                const MobileNetSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(name, "MobileNetV2ConvLayer");
    const auto reach = layer.dilation * (layer.kernel - 1) + 1;
    std::int64_t before = (layer.kernel - 1) / 2 * layer.dilation, after = before;
    Var x = picture.x;
    if (settings.tensorflowPadding) {
        const auto rest = picture.side % layer.stride == 0 ? layer.stride : picture.side % layer.stride;
        const auto along = std::max<std::int64_t>(layer.kernel - rest, 0);
        before = along / 2 * layer.dilation;
        after = (along - along / 2) * layer.dilation;
    }
    // What is the same on both sides is left to the convolution.
    const bool isEven = before == after;
    if (!isEven)
        x = builder.op("aten::constant_pad_nd", {x, std::vector<std::int64_t>{before, after, before, after}, 0}, "padded");
    x = builder.conv2d("convolution", x, layer.in, layer.out, layer.kernel, layer.stride, isEven ? before : 0, false, layer.groups, layer.dilation);
    x = builder.batchNorm("normalization", x, layer.out, 0.003, settings.epsilon);
    if (layer.activates)
        x = settings.activation == "relu6" ? builder.op("aten::relu6", {x}) : activated(assembly, "hidden_act", settings.activation, x);
    return {x, (picture.side + before + after - reach) / layer.stride + 1};
}

struct MobileNetBlock {
    std::int64_t in, out, stride, dilation;
};

MobileNetPicture mobileNetBlock(Assembly& assembly, const std::string& name, const MobileNetPicture& picture, const MobileNetBlock& block,
                                const MobileNetSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(name, "MobileNetV2InvertedResidual");
    const auto inner = settings.expanded(block.in);
    auto made = mobileNetLayer(assembly, "expand_1x1", picture, {block.in, inner}, settings);
    made = mobileNetLayer(assembly, "conv_3x3", made, {inner, inner, 3, block.stride, inner, block.dilation}, settings);
    made = mobileNetLayer(assembly, "reduce_1x1", made, {inner, block.out, 1, 1, 1, 1, false}, settings);
    if (block.stride == 1 && block.in == block.out)
        made.x = builder.op("aten::add.Tensor", {picture.x, made.x}, "sum");
    return made;
}

MobileNetPicture mobileNetStem(Assembly& assembly, const MobileNetPicture& picture, std::int64_t out, const MobileNetSettings& settings)
{
    const Builder::Scope scope = assembly.builder.module("conv_stem", "MobileNetV2Stem");
    const auto width = settings.scaled(kMobileNetFirst);
    auto made = mobileNetLayer(assembly, "first_conv", picture, {settings.channels, width, 3, 2}, settings);
    if (settings.expandsFirst)
        made = mobileNetLayer(assembly, "expand_1x1", made, {width, width}, settings);
    made = mobileNetLayer(assembly, "conv_3x3", made, {width, width, 3, 1, width}, settings);
    return mobileNetLayer(assembly, "reduce_1x1", made, {width, out, 1, 1, 1, 1, false}, settings);
}

/// Once the picture is smaller by `output_stride`, what would be a stride becomes a dilation of the layers behind it.
MobileNetPicture mobileNetBlocks(Assembly& assembly, MobileNetPicture picture, const MobileNetSettings& settings)
{
    const Builder::Scope scope = assembly.builder.module("layer", "ModuleList");
    std::int64_t reached = 2, dilation = 1;
    constexpr auto kCount = std::size(kMobileNetStages);
    for (std::size_t i = 0; i < kCount; ++i) {
        const auto& stage = kMobileNetStages[i];
        const auto next = i + 1 < kCount ? kMobileNetStages[i + 1].channels : kMobileNetLast;
        MobileNetBlock block{settings.scaled(stage.channels), settings.scaled(next), stage.stride, 1};
        if (reached == settings.outputStride) {
            block.stride = 1;
            block.dilation = dilation;
            dilation *= stage.stride;
        } else {
            reached *= stage.stride;
        }
        picture = mobileNetBlock(assembly, std::to_string(i), picture, block, settings);
    }
    return picture;
}

graph::Model buildMobileNetV2(const Request& request)
{
    const MobileNetSettings settings(request.config);
    Assembly assembly(request, "mobilenet_v2");
    Builder& builder = assembly.builder;
    MobileNetPicture picture{assembly.imageInput(settings.channels, settings.side, settings.side), settings.side};
    const auto top = settings.finegrained && settings.multiplier < 1 ? kMobileNetTop : settings.scaled(kMobileNetTop);
    Var pooled;
    {
        const Scopes base(builder, {{assembly.base("mobilenet_v2"), "MobileNetV2Model"}});
        picture = mobileNetStem(assembly, picture, settings.scaled(kMobileNetStages[0].channels), settings);
        picture = mobileNetBlocks(assembly, picture, settings);
        picture = mobileNetLayer(assembly, "conv_1x1", picture, {settings.scaled(kMobileNetLast), top}, settings);
        const Builder::Scope scope = builder.module("pooler", "AdaptiveAvgPool2d");
        pooled = builder.flatten(builder.adaptiveAvgPool2d(picture.x, 1));
    }
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", picture.x}, {"pooler_output", pooled}}, "MobileNetV2", "");
    return assembly.finish({{"logits", builder.linear("classifier", pooled, top, request.config.labels())}}, "MobileNetV2", "classification");
}

}  // namespace

Family mobileNetV2Family()
{
    return {"mobilenet_v2",
            "MobileNetV2",
            "Sandler et al. (2018), \"MobileNetV2: Inverted Residuals and Linear Bottlenecks\", arXiv:1801.04381",
            {"mobilenet_v2"},
            {Head::ImageClassification, Head::Base},
            "mobilenet_v2",
            buildMobileNetV2,
            {"**.num_batches_tracked"}};
}

}  // namespace orrery::models::families
