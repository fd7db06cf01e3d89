#include "card_inputs.h"

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/sequence_limit.h>
#include <core/io/resample.h>
#include <core/text/card_tokenizer.h>

namespace orrery::train {
namespace {

std::int64_t axisSize(const graph::ModelCard::Input& input, std::size_t axis)
{
    const auto& text = input.shape.at(axis);
    const bool number = !text.empty() && text.size() < 7 && text.find_first_not_of("0123456789") == std::string::npos;
    return number ? std::stoll(text) : 0;
}

at::Tensor perChannel(const core::Json& numbers, std::int64_t channels)
{
    const auto values = numbers.get<std::vector<double>>();
    if (values.size() != 1 && std::int64_t(values.size()) != channels)
        throw core::InputError(fmt::format("model card: preprocessing holds {} numbers, expected 1 or {}", values.size(), channels));
    return at::tensor(values, at::kDouble).to(at::kFloat).reshape({-1, 1, 1});
}

/// A number of pixels from the card, which people edit.
int pixelsFrom(const core::Json& object, const char* place, const char* key)
{
    constexpr std::int64_t kMost = 16384;
    if (!object.is_object() || !object.contains(key) || !object[key].is_number_integer() || object[key].get<std::int64_t>() < 1 ||
        object[key].get<std::int64_t>() > kMost)
        throw core::InputError(fmt::format("model card: preprocessing.{}: expected {} from 1 to {}, found {}", place, key, kMost, object.dump()));
    return int(object[key].get<std::int64_t>());
}

io::Filter filterOf(const core::Json& preprocessing)
{
    const core::Json& name = preprocessing.at("resample");
    const auto filter = name.is_string() ? io::filterFromName(name.get<std::string>()) : std::nullopt;
    if (!filter)
        throw core::InputError(
            fmt::format("model card: preprocessing.resample: expected nearest, lanczos, bilinear, bicubic, box or hamming, found {}", name.dump()));
    return *filter;
}

/// Both sides as the card asks for; a shortest edge keeps the picture's proportions, the other side rounded down.
io::Image resized(const io::Image& image, const core::Json& size, io::Filter filter)
{
    if (size.is_object() && !size.contains("shortest_edge"))
        return io::resample(image, pixelsFrom(size, "resize", "width"), pixelsFrom(size, "resize", "height"), filter);
    const int edge = pixelsFrom(size, "resize", "shortest_edge"), shortest = std::min(image.width, image.height);
    const auto side = [&](int of) { return of == shortest ? edge : int(std::int64_t(edge) * of / shortest); };
    return io::resample(image, side(image.width), side(image.height), filter);
}

/// As the model was trained on them: what the checkpoint's library does, step by step; else as a whole to the model's size.
io::Image fitted(const io::Image& image, const core::Json& preprocessing, int width, int height)
{
    const bool isOwn = preprocessing.is_object() && (preprocessing.contains("resample") || preprocessing.contains("center_crop"));
    if (!isOwn)
        return io::resize(image, width > 0 ? width : image.width, height > 0 ? height : image.height);
    const auto filter = preprocessing.contains("resample") ? filterOf(preprocessing) : io::Filter::Bilinear;
    io::Image made = preprocessing.contains("resize") ? resized(image, preprocessing["resize"], filter) : image;
    if (preprocessing.contains("center_crop"))
        made = io::centreCrop(made, pixelsFrom(preprocessing["center_crop"], "center_crop", "width"),
                              pixelsFrom(preprocessing["center_crop"], "center_crop", "height"));
    // A model that takes one size alone gets it, whatever the preparation says.
    const int lastWidth = width > 0 ? width : made.width, lastHeight = height > 0 ? height : made.height;
    return lastWidth == made.width && lastHeight == made.height ? made : io::resample(made, lastWidth, lastHeight, filter);
}

}  // namespace

at::Tensor imageInput(const graph::ModelCard& card, const io::Image& image)
{
    if (card.inputs.empty() || card.inputs[0].kind != "image" || card.inputs[0].shape.size() != 4)
        throw core::InputError("the model takes no picture: its card names no input of kind image [batch, channel, height, width]");
    const auto& input = card.inputs[0];
    const auto channels = axisSize(input, 1);
    if (channels != 1 && channels != 3)
        throw core::InputError(fmt::format("the model takes pictures of {} channels; expected 1 or 3", input.shape[1]));
    const auto& preprocessing = input.preprocessing;
    const auto made = fitted(io::toChannels(image, int(channels)), preprocessing, int(axisSize(input, 3)), int(axisSize(input, 2)));
    auto pixels = at::empty({made.height, made.width, channels}, at::kByte);
    std::copy(made.pixels.begin(), made.pixels.end(), pixels.data_ptr<std::uint8_t>());
    auto tensor = pixels.permute({2, 0, 1}).to(at::kFloat).div(255);
    if (preprocessing.is_object() && preprocessing.contains("range")) {
        const auto range = preprocessing.at("range").get<std::vector<double>>();
        tensor = tensor.mul(range.at(1) - range.at(0)).add(range.at(0));
    }
    if (preprocessing.is_object() && preprocessing.contains("mean") && !preprocessing.at("mean").empty())
        tensor = (tensor - perChannel(preprocessing.at("mean"), channels)) / perChannel(preprocessing.at("std"), channels);
    return tensor.unsqueeze(0).contiguous();
}

at::Tensor textInput(const graph::Model& model, std::string_view text)
{
    const auto tokens = text::requiredTokenizer(model.card)->ids(text, true);
    if (tokens.empty())
        throw core::InputError("the text is empty; expected at least one character");
    const auto input = at::tensor(tokens, at::kLong).unsqueeze(0);
    graph::checkTokenInputs(model, {input});
    return input;
}

}  // namespace orrery::train
