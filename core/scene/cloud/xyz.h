#pragma once
#include <stop_token>
#include <string_view>

#include "cloud_file.h"

/// Tables of points as text: one point a line; numbers apart by blanks, tabs, commas or semicolons.
namespace orrery::scene {

/// Names come from a header: a first line without numbers, or a comment (`#` or `//`) with one name a column. Without one: x y z, then by number of columns
/// intensity (4), red green blue or nx ny nz (6, whichever the numbers are), intensity red green blue (7), else field_4, field_5, ... A first line of one
/// whole number (a count, as in .pts) is passed over. Any thread. @throws core::FormatError with the line.
CloudFile parseXyz(std::string_view bytes, std::string_view name, std::stop_token stop = {});
/// @param separator  ' ' gives a header in a comment, ',' ';' and tab a plain one.
void writeXyz(const TriangleMesh& mesh, char separator, const Append& append);

}  // namespace orrery::scene
