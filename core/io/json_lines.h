#pragma once
#include <string_view>
#include <vector>

#include <core/base/json.h>

namespace orrery::io {

/// One JSON object a line; blank lines are ignored.
/// @throws core::FormatError naming the line for anything else, for more than 64 nested levels, and for a file without objects.
/// Source: https://jsonlines.org.
std::vector<core::Json> parseJsonLines(std::string_view bytes, std::string_view name);

}  // namespace orrery::io
