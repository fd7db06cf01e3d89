#include <core/base/error.h>

#include "architectures.h"
#include "parts.h"

namespace orrery::zoo {
namespace {

enum class Shortcut { ZeroPadded, Projection };  // options A and B of the paper, section 4.1

/// What a depth stands for.
struct Layout {
    bool bottleneck = false;
    bool imagenet = false;
    Shortcut shortcut = Shortcut::Projection;
    std::vector<std::int64_t> blocks;  ///< residual blocks in each stage
    std::int64_t width = 64;           ///< maps of the first stage
    std::int64_t expansion() const { return bottleneck ? 4 : 1; }
};

Layout imagenetLayout(std::int64_t depth)
{
    switch (depth) {
    case 18: return {.imagenet = true, .blocks = {2, 2, 2, 2}};
    case 34: return {.imagenet = true, .blocks = {3, 4, 6, 3}};
    case 50: return {.bottleneck = true, .imagenet = true, .blocks = {3, 4, 6, 3}};
    default: throw core::InputError(fmt::format("resnet: layout imagenet: expected depth 18, 34 or 50, got {}", depth));
    }
}

Layout cifarLayout(std::int64_t depth, std::int64_t width, const std::string& shortcut)
{
    if (depth < 8 || (depth - 2) % 6 != 0)
        throw core::InputError(fmt::format("resnet: layout cifar: expected depth 6n+2 (8, 14, 20, 26, 32, ...), got {}", depth));
    const std::int64_t blocks = (depth - 2) / 6;
    return {.shortcut = shortcut == "A" ? Shortcut::ZeroPadded : Shortcut::Projection, .blocks = {blocks, blocks, blocks}, .width = width};
}

Layout layoutOf(const core::Json& parameters)
{
    const auto depth = parameters["depth"].get<std::int64_t>();
    if (parameters["layout"] == "imagenet")
        return imagenetLayout(depth);
    return cifarLayout(depth, parameters["width"].get<std::int64_t>(), parameters["shortcut"].get<std::string>());
}

/// A convolution without bias that starts as torchvision's: normal, fan out, gain of relu (He et al. 2015, arXiv:1502.01852, equation 14).
Var convolution(Builder& builder, const std::string& name, Var x, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                std::int64_t padding)
{
    const Var y = builder.conv2d(name, x, in, out, kernel, stride, padding, false);
    builder.setInit(name + ".weight", {{"kind", "kaiming_normal"}, {"mode", "fan_out"}, {"nonlinearity", "relu"}});
    return y;
}

/// Every second pixel, and zero maps before and after: no parameters.
Var zeroPadded(Builder& builder, Var x, std::int64_t in, std::int64_t out, std::int64_t stride)
{
    for (const int dim : {2, 3})
        x = builder.op("aten::slice.Tensor", {x, dim, nullptr, nullptr, stride}, "subsample");
    const std::int64_t before = (out - in) / 2;
    return builder.op("aten::constant_pad_nd", {x, std::vector<std::int64_t>{0, 0, 0, 0, before, out - in - before}, 0}, "shortcut");
}

Var projection(Builder& builder, Var x, std::int64_t in, std::int64_t out, std::int64_t stride)
{
    const Builder::Scope scope = builder.module("downsample", "Sequential");
    return builder.batchNorm("1", convolution(builder, "0", x, in, out, 1, stride, 0), out);
}

Var basicBlock(Builder& builder, Var x, std::int64_t in, std::int64_t width, std::int64_t stride)
{
    x = builder.batchNorm("bn1", convolution(builder, "conv1", x, in, width, 3, stride, 1), width);
    x = builder.relu(x);
    return builder.batchNorm("bn2", convolution(builder, "conv2", x, width, width, 3, 1, 1), width);
}

Var bottleneckBlock(Builder& builder, Var x, std::int64_t in, std::int64_t width, std::int64_t stride)
{
    x = builder.relu(builder.batchNorm("bn1", convolution(builder, "conv1", x, in, width, 1, 1, 0), width));
    x = builder.relu(builder.batchNorm("bn2", convolution(builder, "conv2", x, width, width, 3, stride, 1), width));
    return builder.batchNorm("bn3", convolution(builder, "conv3", x, width, 4 * width, 1, 1, 0), 4 * width);
}

Var residualBlock(Builder& builder, const Layout& layout, const std::string& name, Var x, std::int64_t in, std::int64_t width, std::int64_t stride)
{
    const Builder::Scope scope = builder.module(name, layout.bottleneck ? "Bottleneck" : "BasicBlock");
    const std::int64_t out = width * layout.expansion();
    Var y = layout.bottleneck ? bottleneckBlock(builder, x, in, width, stride) : basicBlock(builder, x, in, width, stride);
    if (stride != 1 || in != out)
        x = layout.shortcut == Shortcut::ZeroPadded ? zeroPadded(builder, x, in, out, stride) : projection(builder, x, in, out, stride);
    return builder.relu(builder.add(y, x));
}

Var stem(Builder& builder, const Layout& layout, Var x, std::int64_t channels)
{
    x = layout.imagenet ? convolution(builder, "conv1", x, channels, layout.width, 7, 2, 3)
                        : convolution(builder, "conv1", x, channels, layout.width, 3, 1, 1);
    x = builder.relu(builder.batchNorm("bn1", x, layout.width));
    return layout.imagenet ? builder.maxPool2d(x, 3, 2, 1) : x;
}

}  // namespace

core::Component resnetComponent()
{
    return {"resnet",
            "ResNet",
            "Residual convolutional network in its layout for CIFAR (depth 6n+2) or ImageNet (18, 34, 50).",
            "He, Zhang, Ren & Sun (2016), \"Deep Residual Learning for Image Recognition\", arXiv:1512.03385",
            {
                core::choice("layout", {"cifar", "imagenet"}, "cifar", "Three stages on small images, or four stages after a strided stem."),
                core::integer("depth", 20, "Number of weighted layers: 6n+2 for cifar; 18, 34 or 50 for imagenet.").range(8, 1202),
                core::choice("shortcut", {"A", "B"}, "A", "Where the size changes: subsampling with zero maps (A) or a 1x1 convolution (B).")
                    .when("layout", {"cifar"}),
                core::integer("width", 16, "Feature maps of the first stage.").range(1, 1024).when("layout", {"cifar"}),
                imageSizeParameter(32),
                channelsParameter(3),
                classesParameter(10),
            },
            {imagePort()},
            {logitsPort()}};
}

graph::Model resnet(const core::Json& parameters)
{
    const Layout layout = layoutOf(parameters);
    const auto channels = parameters["channels"].get<std::int64_t>();
    Builder builder("resnet" + std::to_string(parameters["depth"].get<std::int64_t>()));
    Var x = stem(builder, layout, imageInput(builder, channels, parameters["image_size"].get<std::int64_t>()), channels);
    std::int64_t in = layout.width, width = layout.width;
    for (std::size_t stage = 0; stage < layout.blocks.size(); ++stage, width *= 2) {
        const Builder::Scope scope = builder.module("layer" + std::to_string(stage + 1), "Sequential");
        for (std::int64_t block = 0; block < layout.blocks[stage]; ++block) {
            x = residualBlock(builder, layout, std::to_string(block), x, in, width, stage > 0 && block == 0 ? 2 : 1);
            in = width * layout.expansion();
        }
    }
    x = builder.flatten(builder.adaptiveAvgPool2d(x, 1));
    builder.card().title = "ResNet-" + std::to_string(parameters["depth"].get<std::int64_t>());
    return builder.finish({{"logits", builder.linear("fc", x, in, parameters["classes"].get<std::int64_t>())}});
}

}  // namespace orrery::zoo
