#pragma once
#include <ATen/core/Tensor.h>

#include <string_view>

#include <core/graph/model.h>
#include <core/io/image.h>

namespace orrery::train {

/// What a person gives (a picture, a text), as the tensor a model takes, by its card.

/// [1, channel, height, width] float: resized and converted to the channels of the card's first input, scaled from 0..255 to its `range`, then standardised.
/// @throws core::InputError if the first input is no picture of known size.
at::Tensor imageInput(const graph::ModelCard& card, const io::Image& image);
/// [1, position] int64 by the card's tokenizer, with the special tokens that it puts around a text.
/// @throws core::InputError if the card has none, a character is not in the vocabulary, or the text is empty or longer than the model reads.
at::Tensor textInput(const graph::Model& model, std::string_view text);

}  // namespace orrery::train
