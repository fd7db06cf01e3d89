#pragma once
#include <string>
#include <string_view>

#include "torchscript.h"

namespace orrery::models {

/// Name of the file that resources/clients/orrery_export.py puts into an archive.
inline constexpr std::string_view kClientDocument = "orrery.json";

/// Takes over what `orrery_export.py` wrote beside a program: the model card (title, task, class names, preprocessing, tokenizer), and the example, whose output is computed
/// and compared. A note says how far it is away: "output of the example: equal to 3e-07".
/// @param text  {"version": 1, "card": {...}, "example": {"inputs": [{"name", "shape", "dtype", "values"}], "outputs": [{"shape", "values"}]}}. What is broken in it is left out with a note.
void applyClientDocument(ImportedModel& imported, std::string_view text);

}  // namespace orrery::models
