#pragma once
#include <filesystem>

#include <core/base/json.h>

namespace orrery::train {

/// Texts for a model out of a folder are read by the tokenizer in that folder, unless the document says otherwise: fills in `data.tokenizer`.
/// @param document  An experiment whose `model` is a MODEL text; not checked yet.
void deriveTokenizer(core::Json& document, const std::filesystem::path& folder);

}  // namespace orrery::train
