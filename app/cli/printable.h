#pragma once
#include <string>
#include <string_view>

namespace orrery::cli {

enum class LineBreaks { Escaped, Stay };

/// A text of somebody else's file as it may stand in a terminal: bytes below the blank and DEL as \\x1b, so that a name neither breaks a table nor moves the cursor.
std::string printable(std::string_view text, LineBreaks breaks = LineBreaks::Escaped);

/// A token's text in a table or list: as it is, or in quotes where blanks at its ends (or nothing else) could not be seen.
std::string tokenCell(std::string_view text);

}  // namespace orrery::cli
