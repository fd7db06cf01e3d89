#include <algorithm>

#include <core/base/error.h>

#include "architectures.h"
#include "parts.h"

namespace orrery::zoo {
namespace {

struct DenseSettings {
    std::int64_t growth = 32, bottleneck = 4;
    double dropout = 0;
};

/// The outputs of the chest X-ray classifiers of TorchXRayVision, in their order. Source: Cohen et al. (2022), arXiv:2111.00595, `default_pathologies`.
const std::vector<std::string>& chestXRayLabels()
{
    static const std::vector<std::string> labels{
        "Atelectasis", "Consolidation", "Infiltration", "Pneumothorax",       "Edema",        "Emphysema",
        "Fibrosis",    "Effusion",      "Pneumonia",    "Pleural_Thickening", "Cardiomegaly", "Nodule",
        "Mass",        "Hernia",        "Lung Lesion",  "Fracture",           "Lung Opacity", "Enlarged Cardiomediastinum"};
    return labels;
}

/// A convolution without bias that starts as torchvision's: normal, fan in, gain of relu (He et al. 2015, arXiv:1502.01852, equation 10).
Var denseConvolution(Builder& builder, const std::string& name, Var x, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                     std::int64_t padding)
{
    const Var y = builder.conv2d(name, x, in, out, kernel, stride, padding, false);
    builder.setInit(name + ".weight", {{"kind", "kaiming_normal"}, {"mode", "fan_in"}, {"nonlinearity", "relu"}});
    return y;
}

/// Batch norm and relu before each convolution: 1x1 to `bottleneck` times the growth, then 3x3 to the growth (paper, section 3, "Bottleneck layers").
Var denseLayer(Builder& builder, const std::string& name, Var x, std::int64_t in, const DenseSettings& settings)
{
    const Builder::Scope scope = builder.module(name, "_DenseLayer");
    const std::int64_t middle = settings.bottleneck * settings.growth;
    x = denseConvolution(builder, "conv1", builder.relu(builder.batchNorm("norm1", x, in)), in, middle, 1, 1, 0);
    x = denseConvolution(builder, "conv2", builder.relu(builder.batchNorm("norm2", x, middle)), middle, settings.growth, 3, 1, 1);
    return builder.dropout("dropout", x, settings.dropout);
}

/// Each layer reads what all before it made. @return  The whole of it; `in` becomes its number of maps.
Var denseBlock(Builder& builder, const std::string& name, Var x, std::int64_t& in, std::int64_t layers, const DenseSettings& settings)
{
    const Builder::Scope scope = builder.module(name, "_DenseBlock");
    std::vector<Var> made{x};
    for (std::int64_t layer = 1; layer <= layers; ++layer, in += settings.growth) {
        const Var before = made.size() == 1 ? x : builder.op("aten::cat", {builder.list(made), 1});
        made.push_back(denseLayer(builder, "denselayer" + std::to_string(layer), before, in, settings));
    }
    return builder.op("aten::cat", {builder.list(made), 1});
}

/// Half the maps (compression 0.5) at half the size.
Var transition(Builder& builder, const std::string& name, Var x, std::int64_t& in)
{
    const Builder::Scope scope = builder.module(name, "_Transition");
    x = denseConvolution(builder, "conv", builder.relu(builder.batchNorm("norm", x, in)), in, in / 2, 1, 1, 0);
    in /= 2;
    return builder.avgPool2d(x, 2, 2);
}

Var denseStem(Builder& builder, Var x, std::int64_t channels, std::int64_t features, bool imagenet)
{
    if (!imagenet)
        return denseConvolution(builder, "conv0", x, channels, features, 3, 1, 1);
    x = denseConvolution(builder, "conv0", x, channels, features, 7, 2, 3);
    return builder.maxPool2d(builder.relu(builder.batchNorm("norm0", x, features)), 3, 2, 1);
}

/// Sizes after the stem are halved at each transition; a picture too small for that is told so before libtorch is.
void checkSize(const core::Json& parameters, bool imagenet, std::size_t blocks)
{
    const std::int64_t side = parameters["image_size"].get<std::int64_t>(), least = (imagenet ? 4 : 1) * (std::int64_t(1) << (blocks - 1));
    if (side < least)
        throw core::InputError(fmt::format("densenet: expected an image_size of at least {} for {} blocks, got {}", least, blocks, side));
}

void writeCard(graph::ModelCard& card, const core::Json& parameters, std::int64_t depth)
{
    card.title = "DenseNet-" + std::to_string(depth);
    if (parameters["labels"] != "chest_x_ray")
        return;
    const std::int64_t classes = parameters["classes"].get<std::int64_t>(), labels = std::int64_t(chestXRayLabels().size());
    if (classes != labels)
        throw core::InputError(fmt::format("densenet: labels chest_x_ray: expected classes {}, got {}", labels, classes));
    card.task = "multi_label";
    card.classNames = chestXRayLabels();
    card.inputs[0].preprocessing = {{"mean", core::Json::array()}, {"std", core::Json::array()}, {"range", {-1024, 1024}}};
}

}  // namespace

core::Component densenetComponent()
{
    return {"densenet",
            "DenseNet",
            "Convolutional network whose layers read the maps of all layers before them (densely connected, with bottlenecks and compression).",
            "Huang, Liu, van der Maaten & Weinberger (2017), \"Densely Connected Convolutional Networks\", arXiv:1608.06993",
            {
                core::choice("stem", {"imagenet", "small"}, "imagenet",
                             "7x7 convolution with stride and pooling, or one 3x3 convolution for small images."),
                countsParameter("blocks", {6, 12, 24, 16}, "Layers of each dense block: 6,12,24,16 is DenseNet-121."),
                core::integer("growth", 32, "Feature maps that each layer adds.").range(1, 1024),
                core::integer("width", 64, "Feature maps of the stem.").range(1, 1024),
                core::integer("bottleneck", 4, "The 1x1 convolution of a layer makes so many times `growth` maps.").range(1, 64),
                dropoutParameter("dropout", 0.0, "Probability that a map value of a layer is zeroed in training."),
                core::choice("labels", {"none", "chest_x_ray"}, "none",
                             "Names of the outputs: chest_x_ray, the 18 findings of TorchXRayVision's models."),
                imageSizeParameter(224),
                channelsParameter(3),
                classesParameter(1000),
            },
            {imagePort()},
            {logitsPort()}};
}

graph::Model densenet(const core::Json& parameters)
{
    const DenseSettings settings{parameters["growth"].get<std::int64_t>(), parameters["bottleneck"].get<std::int64_t>(),
                                 parameters["dropout"].get<double>()};
    const auto blocks = parameters["blocks"].get<std::vector<std::int64_t>>();
    const auto channels = parameters["channels"].get<std::int64_t>();
    const bool imagenet = parameters["stem"] == "imagenet";
    if (blocks.empty() || blocks.size() > 8)
        throw core::InputError(fmt::format("densenet: expected 1 to 8 blocks, got {}", blocks.size()));
    checkSize(parameters, imagenet, blocks.size());
    Builder builder("densenet");
    Var x = imageInput(builder, channels, parameters["image_size"].get<std::int64_t>());
    std::int64_t in = parameters["width"].get<std::int64_t>(), depth = 1 + std::int64_t(blocks.size());
    {
        const Builder::Scope scope = builder.module("features", "Sequential");
        x = denseStem(builder, x, channels, in, imagenet);
        for (std::size_t block = 0; block < blocks.size(); ++block) {
            if (block > 0)
                x = transition(builder, "transition" + std::to_string(block), x, in);
            x = denseBlock(builder, "denseblock" + std::to_string(block + 1), x, in, blocks[block], settings);
            depth += 2 * blocks[block];
        }
        x = builder.batchNorm("norm5", x, in);
    }
    x = builder.flatten(builder.adaptiveAvgPool2d(builder.relu(x), 1));
    writeCard(builder.card(), parameters, depth);
    const Var logits = builder.linear("classifier", x, in, parameters["classes"].get<std::int64_t>());
    builder.setInit("classifier.bias", {{"kind", "zeros"}});
    return builder.finish({{"logits", logits}});
}

}  // namespace orrery::zoo
