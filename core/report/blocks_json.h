#pragma once
#include <string_view>
#include <vector>

#include <core/base/json.h>

#include "blocks.h"

namespace orrery::report {

/// Blocks as they stand in the store: a list of objects with one key each,
///     {"text": "...", "style": "normal|note|warning"}, {"code": "...", "caption": "..."}, {"values": [["key", "value"], ...]},
///     {"table": {"caption": "...", "columns": [{"title": "...", "align": "left|right"}, ...], "rows": [["...", ...], ...]}},
///     {"section": {"title": "...", "blocks": [...]}}.
/// Bytes that are not UTF-8 become U+FFFD. @throws core::InputError for a picture: these are files of their own.
core::Json toJson(const std::vector<Block>& blocks);

/// What `toJson` gives; `name` stands in messages. Any input is safe: at most 6 sections inside each other, 10,000 blocks and 200,000 cells.
/// @throws core::FormatError for anything else, with the place: `blocks[2].table.rows[1]: expected 3 cells, found 2`.
std::vector<Block> blocksFromJson(const core::Json& document, std::string_view name);

}  // namespace orrery::report
