#include "parts.h"

#include <core/base/error.h>

namespace orrery::zoo {

core::Port imagePort()
{
    return {"image", "float", {"batch", "channel", "height", "width"}};
}

core::Port tablePort()
{
    return {"table", "float", {"batch", "feature"}};
}

core::Port tokensPort()
{
    return {"tokens", "token_id", {"batch", "position"}};
}

core::Port logitsPort()
{
    return {"logits", "logits", {"batch", "class"}};
}

core::Parameter classesParameter(std::int64_t defaultValue)
{
    return core::integer("classes", defaultValue, "Number of classes.").range(1, 1'000'000);
}

core::Parameter channelsParameter(std::int64_t defaultValue)
{
    return core::integer("channels", defaultValue, "Channels of the image: 1 grey, 3 colour.").range(1, 4096);
}

core::Parameter imageSizeParameter(std::int64_t defaultValue)
{
    return core::integer("image_size", defaultValue, "Height and width of the image.").range(1, 16384).withUnit("px");
}

core::Parameter dropoutParameter(const std::string& name, double defaultValue, std::string help)
{
    return core::real(name, defaultValue, std::move(help)).atLeast(0).below(1);
}

core::Parameter countsParameter(std::string name, core::Json defaultValue, std::string help)
{
    return core::list(std::move(name), core::integer("", 1, "").range(1, 1 << 20), std::move(defaultValue), std::move(help));
}

std::vector<std::string> activationNames()
{
    return {"relu", "tanh", "gelu", "silu", "sigmoid"};
}

Var activation(Builder& builder, const std::string& name, Var x)
{
    if (name == "relu")
        return builder.relu(x);
    if (name == "gelu")
        return builder.gelu(x);
    return builder.op("aten::" + name, {x});
}

core::Json normalInit(double std)
{
    return {{"kind", "normal"}, {"mean", 0.0}, {"std", std}};
}

Var imageInput(Builder& builder, std::int64_t channels, std::int64_t size)
{
    const Var image = builder.input("image", "float32", {"batch", std::to_string(channels), std::to_string(size), std::to_string(size)}, "image");
    builder.card().task = "classification";
    return image;
}

}  // namespace orrery::zoo
