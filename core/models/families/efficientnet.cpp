// EfficientNet. Sources: Tan & Le (2019), "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv:1905.11946, table 1 and section 3.3; squeeze and excitation: Hu et al.
// (2017), arXiv:1709.01507, equations 2 to 4; padding and widths as the released checkpoints have them.
#include <algorithm>
#include <cmath>

#include "assembly.h"

namespace orrery::models::families {
namespace {

struct EfficientNetSettings {
    std::int64_t channels, divisor, top;
    std::vector<std::int64_t> kernels, in, out, strides, repeats, ratios;
    std::vector<std::int64_t> plainPadding;  ///< numbers of blocks whose stride is padded on both sides alike
    double width, depth, squeezed, epsilon;
    std::string activation;
    explicit EfficientNetSettings(const Config& config)
        : channels(config.count("num_channels", 3)), divisor(config.count("depth_divisor", 8)), top(config.count("hidden_dim", 2560)),
          kernels(config.counts("kernel_sizes", {3, 3, 5, 3, 5, 5, 3})), in(config.counts("in_channels", {32, 16, 24, 40, 80, 112, 192})),
          out(config.counts("out_channels", {16, 24, 40, 80, 112, 192, 320})), strides(config.counts("strides", {1, 2, 2, 2, 1, 2, 1})),
          repeats(config.depths("num_block_repeats", {1, 2, 2, 3, 3, 4, 1})), ratios(config.counts("expand_ratios", {1, 6, 6, 6, 6, 6, 6})),
          width(config.real("width_coefficient", 2.0)), depth(config.real("depth_coefficient", 3.1)),
          squeezed(config.real("squeeze_expansion_ratio", 0.25)), epsilon(config.real("batch_norm_eps", 0.001)),
          activation(config.text("hidden_act", "swish"))
    {
        for (const auto& [name, list] : {std::pair{"in_channels", &in},
                                         {"out_channels", &out},
                                         {"strides", &strides},
                                         {"num_block_repeats", &repeats},
                                         {"expand_ratios", &ratios}})
            if (list->size() != kernels.size())
                config.fail(name, fmt::format("as many numbers as kernel_sizes has ({})", kernels.size()));
        for (const auto& [name, number] : {std::pair{"width_coefficient", width}, {"depth_coefficient", depth}})
            if (!(number > 0 && number <= 64))
                config.fail(name, "a number above 0, at most 64");
        // Products of widths, ratios and kernels fit into 64 bits.
        for (const auto& [name, list] : {std::pair{"kernel_sizes", &kernels}, {"strides", &strides}, {"expand_ratios", &ratios}})
            if (*std::max_element(list->begin(), list->end()) > 64)
                config.fail(name, "numbers from 1 to 64");
        std::int64_t layers = 0;
        for (std::size_t stage = 0; stage < repeats.size(); ++stage)
            layers += layersOf(stage);
        if (layers > 1000)
            config.fail("depth_coefficient", fmt::format("at most 1000 blocks in all, not {}", layers));
        if (!(squeezed > 0 && squeezed <= 1))
            config.fail("squeeze_expansion_ratio", "a number above 0, at most 1");
        if (config.text("pooling_type", "mean") != "mean")
            config.fail("pooling_type", "\"mean\"");
        if (config.has("depthwise_padding") && config.json().at("depthwise_padding") != core::Json::array()) {
            // Numbers of blocks may be 0, which a count may not.
            const auto& listed = config.json().at("depthwise_padding");
            const auto isNumber = [](const core::Json& each) { return each.is_number_integer() && each.get<std::int64_t>() >= 0; };
            if (!listed.is_array() || !std::all_of(listed.begin(), listed.end(), isNumber))
                config.fail("depthwise_padding", "a list of numbers of blocks");
            plainPadding = listed.get<std::vector<std::int64_t>>();
        }
        if (scaled(1280) != top)
            config.fail("hidden_dim", fmt::format("{} (1280 times width_coefficient)", scaled(1280)));
    }
    /// The nearest multiple of the divisor, at most a tenth below.
    std::int64_t scaled(std::int64_t channelsOfTable) const
    {
        const double wanted = double(channelsOfTable) * width;
        const auto near = std::max(divisor, std::int64_t(wanted + double(divisor) / 2) / divisor * divisor);
        return double(near) < 0.9 * wanted ? near + divisor : near;
    }
    std::int64_t layersOf(std::size_t stage) const { return std::int64_t(std::ceil(depth * double(repeats[stage]))); }
};

/// A convolution, a norm (names of both), and perhaps the activation.
struct EfficientNetLayer {
    std::string convolution, norm;
    std::int64_t in, out, kernel = 1, stride = 1, padding = 0, groups = 1;
    bool activates = true;
};

Var efficientNetLayer(Assembly& assembly, Var x, const EfficientNetLayer& layer, const EfficientNetSettings& settings)
{
    Builder& builder = assembly.builder;
    x = builder.conv2d(layer.convolution, x, layer.in, layer.out, layer.kernel, layer.stride, layer.padding, false, layer.groups);
    x = builder.batchNorm(layer.norm, x, layer.out, 0.01, settings.epsilon);
    return layer.activates ? activated(assembly, "hidden_act", settings.activation, x) : x;
}

struct EfficientNetBlock {
    std::int64_t number, in, out, kernel, stride, ratio;
    bool keeps;  ///< what entered is added
};

/// Zeros in front of and behind a picture, for a convolution that pads none itself.
Var zeroPadded(Builder& builder, Var x, std::int64_t before, std::int64_t after)
{
    return builder.op("aten::constant_pad_nd", {x, std::vector<std::int64_t>{before, after, before, after}, 0}, "padded");
}

/// Every channel times a gate that reads all channels' means.
Var squeezedAndExcited(Assembly& assembly, Var x, std::int64_t width, std::int64_t squeezed, const EfficientNetSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("squeeze_excite", "EfficientNetSqueezeExciteLayer");
    Var gate = builder.adaptiveAvgPool2d(x, 1);
    gate = activated(assembly, "hidden_act", settings.activation, builder.conv2d("reduce", gate, width, squeezed, 1));
    gate = builder.op("aten::sigmoid", {builder.conv2d("expand", gate, squeezed, width, 1)}, "gate");
    return builder.op("aten::mul.Tensor", {x, gate}, "gated");
}

Var efficientNetBlock(Assembly& assembly, Var x, const EfficientNetBlock& block, const EfficientNetSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(std::to_string(block.number), "EfficientNetBlock");
    const Var entered = x;
    const auto inner = block.in * block.ratio, half = block.kernel / 2;
    if (block.ratio != 1) {
        const Builder::Scope expansion = builder.module("expansion", "EfficientNetExpansionLayer");
        x = efficientNetLayer(assembly, x, {"expand_conv", "expand_bn", block.in, inner}, settings);
    }
    {
        const Builder::Scope depthwise = builder.module("depthwise_conv", "EfficientNetDepthwiseLayer");
        const auto& plain = settings.plainPadding;
        // A stride of two looks at one place fewer in front, as the checkpoints were trained.
        const bool isUneven = block.stride == 2 && std::find(plain.begin(), plain.end(), block.number) == plain.end();
        if (isUneven)
            x = zeroPadded(builder, x, half - 1, half);
        x = efficientNetLayer(assembly, x, {"depthwise_conv", "depthwise_norm", inner, inner, block.kernel, block.stride, isUneven ? 0 : half, inner},
                              settings);
    }
    const auto squeezed = std::max<std::int64_t>(1, std::int64_t(double(block.in) * settings.squeezed));
    x = squeezedAndExcited(assembly, x, inner, squeezed, settings);
    {
        const Builder::Scope projection = builder.module("projection", "EfficientNetFinalBlockLayer");
        x = efficientNetLayer(assembly, x, {"project_conv", "project_bn", inner, block.out, 1, 1, 0, 1, false}, settings);
    }
    return block.keeps ? builder.op("aten::add.Tensor", {x, entered}, "sum") : x;
}

Var efficientNetEncoder(Assembly& assembly, Var x, const EfficientNetSettings& settings)
{
    const Builder::Scope scope = assembly.builder.module("encoder", "EfficientNetEncoder");
    {
        const Builder::Scope blocks = assembly.builder.module("blocks", "ModuleList");
        std::int64_t number = 0;
        for (std::size_t stage = 0; stage < settings.kernels.size(); ++stage) {
            const auto in = settings.scaled(settings.in[stage]), out = settings.scaled(settings.out[stage]);
            for (std::int64_t i = 0; i < settings.layersOf(stage); ++i, ++number) {
                const auto stride = i == 0 ? settings.strides[stage] : 1;
                x = efficientNetBlock(assembly, x, {number, i == 0 ? in : out, out, settings.kernels[stage], stride, settings.ratios[stage], i > 0},
                                      settings);
            }
        }
    }
    return efficientNetLayer(assembly, x, {"top_conv", "top_bn", settings.scaled(settings.out.back()), settings.top}, settings);
}

graph::Model buildEfficientNet(const Request& request)
{
    const EfficientNetSettings settings(request.config);
    Assembly assembly(request, "efficientnet");
    Builder& builder = assembly.builder;
    Var x = assembly.imageInput(settings.channels, 0, 0), pooled;
    {
        const Scopes base(builder, {{assembly.base("efficientnet"), "EfficientNetModel"}});
        {
            const Builder::Scope scope = builder.module("embeddings", "EfficientNetEmbeddings");
            x = efficientNetLayer(assembly, zeroPadded(builder, x, 0, 1), {"convolution", "batchnorm", settings.channels, settings.scaled(32), 3, 2},
                                  settings);
        }
        x = efficientNetEncoder(assembly, x, settings);
        const Builder::Scope scope = builder.module("pooler", "AvgPool2d");
        pooled = builder.flatten(builder.adaptiveAvgPool2d(x, 1));
    }
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", pooled}}, "EfficientNet", "");
    return assembly.finish({{"logits", builder.linear("classifier", pooled, settings.top, request.config.labels())}}, "EfficientNet",
                           "classification");
}

}  // namespace

Family efficientNetFamily()
{
    return {"efficientnet",
            "EfficientNet",
            "Tan & Le (2019), \"EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks\", arXiv:1905.11946",
            {"efficientnet"},
            {Head::ImageClassification, Head::Base},
            "efficientnet",
            buildEfficientNet,
            {"**.num_batches_tracked"}};
}

}  // namespace orrery::models::families
