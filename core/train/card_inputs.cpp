#include "card_inputs.h"

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/sequence_limit.h>
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

}  // namespace

at::Tensor imageInput(const graph::ModelCard& card, const io::Image& image)
{
    if (card.inputs.empty() || card.inputs[0].kind != "image" || card.inputs[0].shape.size() != 4)
        throw core::InputError("the model takes no picture: its card names no input of kind image [batch, channel, height, width]");
    const auto& input = card.inputs[0];
    const auto channels = axisSize(input, 1);
    if (channels != 1 && channels != 3)
        throw core::InputError(fmt::format("the model takes pictures of {} channels; expected 1 or 3", input.shape[1]));
    const auto height = axisSize(input, 2) ? axisSize(input, 2) : image.height, width = axisSize(input, 3) ? axisSize(input, 3) : image.width;
    const auto fitted = io::resize(io::toChannels(image, int(channels)), int(width), int(height));
    auto pixels = at::empty({height, width, channels}, at::kByte);
    std::copy(fitted.pixels.begin(), fitted.pixels.end(), pixels.data_ptr<std::uint8_t>());
    auto tensor = pixels.permute({2, 0, 1}).to(at::kFloat).div(255);
    const auto& preprocessing = input.preprocessing;
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
