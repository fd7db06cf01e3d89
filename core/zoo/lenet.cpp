#include <core/base/error.h>

#include "architectures.h"
#include "parts.h"

namespace orrery::zoo {
namespace {

/// Sizes of one (convolution, pooling) stage; complains where nothing is left of the image.
std::int64_t sizeAfterStage(std::int64_t size, std::int64_t kernel, std::int64_t padding, const core::Json& parameters)
{
    const std::int64_t convolved = size + 2 * padding - kernel + 1;
    if (convolved < 2)
        throw core::InputError(
            fmt::format("lenet: an image of {} px is too small for kernel {} with padding {}: expected at least 2 px after each convolution, got {}",
                        parameters["image_size"].get<std::int64_t>(), kernel, padding, convolved));
    return convolved / 2;
}

Var pool(Builder& builder, const core::Json& parameters, Var x)
{
    return parameters["pooling"] == "max" ? builder.maxPool2d(x, 2) : builder.avgPool2d(x, 2);
}

Var stage(Builder& builder, const core::Json& parameters, const std::string& number, Var x, std::int64_t in, std::int64_t out)
{
    x = builder.conv2d("conv" + number, x, in, out, parameters["kernel"].get<std::int64_t>(), 1, parameters["padding"].get<std::int64_t>());
    if (parameters["batch_norm"].get<bool>())
        x = builder.batchNorm("bn" + number, x, out);
    return pool(builder, parameters, activation(builder, parameters["activation"].get<std::string>(), x));
}

}  // namespace

core::Component lenetComponent()
{
    return {"lenet",
            "LeNet-5",
            "Two convolutions with pooling and fully connected layers, for small images such as digits.",
            "LeCun, Bottou, Bengio & Haffner (1998), \"Gradient-Based Learning Applied to Document Recognition\", doi:10.1109/5.726791",
            {
                imageSizeParameter(32),
                channelsParameter(1),
                countsParameter("maps", {6, 16}, "Feature maps of each convolution."),
                core::integer("kernel", 5, "Height and width of the convolutions' kernels.").range(1, 31).withUnit("px"),
                core::integer("padding", 0, "Zeros around the image before each convolution.").range(0, 15).withUnit("px"),
                core::choice("pooling", {"average", "max"}, "average", "How 2x2 pixels become one after each convolution."),
                countsParameter("hidden", {120, 84}, "Widths of the fully connected hidden layers."),
                core::choice("activation", activationNames(), "tanh", "What follows each hidden layer."),
                core::boolean("batch_norm", false, "Batch normalisation after each convolution."),
                dropoutParameter("dropout", 0.0, "Probability that an activation of a fully connected hidden layer is zeroed in training."),
                classesParameter(10),
            },
            {imagePort()},
            {logitsPort()}};
}

graph::Model lenet(const core::Json& parameters)
{
    Builder builder("lenet");
    auto channels = parameters["channels"].get<std::int64_t>();
    auto size = parameters["image_size"].get<std::int64_t>();
    Var x = imageInput(builder, channels, size);
    int number = 0;
    for (const auto maps : parameters["maps"].get<std::vector<std::int64_t>>()) {
        size = sizeAfterStage(size, parameters["kernel"].get<std::int64_t>(), parameters["padding"].get<std::int64_t>(), parameters);
        x = stage(builder, parameters, std::to_string(++number), x, channels, maps);
        channels = maps;
    }
    x = builder.flatten(x);
    std::int64_t width = channels * size * size;
    number = 0;
    for (const auto hidden : parameters["hidden"].get<std::vector<std::int64_t>>()) {
        x = activation(builder, parameters["activation"].get<std::string>(), builder.linear("fc" + std::to_string(++number), x, width, hidden));
        x = builder.dropout("drop" + std::to_string(number), x, parameters["dropout"].get<double>());
        width = hidden;
    }
    builder.card().title = "LeNet-5";
    return builder.finish({{"logits", builder.linear("fc" + std::to_string(++number), x, width, parameters["classes"].get<std::int64_t>())}});
}

}  // namespace orrery::zoo
