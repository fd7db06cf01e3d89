#pragma once
#include <functional>

#include <core/graph/model.h>

#include "tokenizer.h"

namespace orrery::text {

/// The tokenizer of a model; null: its card has none. Everything that reads or shows text for a model asks here. @throws core::FormatError for a broken card.
TokenizerPtr tokenizerOf(const graph::ModelCard& card);
/// The same where there must be one. @throws core::InputError "the model takes no text: its card has no tokenizer".
TokenizerPtr requiredTokenizer(const graph::ModelCard& card);

/// What a person names as a tokenizer: "bytes"; a file or folder that `openTokenizer` reads; else a MODEL argument, whose card `openCard` gives.
/// @throws as these do; core::InputError for a model without a tokenizer.
TokenizerPtr namedTokenizer(const std::string& argument, const std::function<graph::ModelCard(const std::string&)>& openCard);

}  // namespace orrery::text
