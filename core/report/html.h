#pragma once
#include <string>
#include <string_view>

#include "blocks.h"

namespace orrery::report {

/// The report as one HTML 5 file that needs nothing else: inline SVG, pictures as PNG data URIs, style sheet for light, dark and print, no scripts.
/// Same report, same bytes. Headings are linked from a table of contents; tables have header cells; every drawing has a title and a description.
/// @throws core::InputError if a table row is not as long as the list of columns, or a raster's sizes do not fit.
std::string toHtml(const Report& report);

/// One drawing as an SVG 1.1 file. Coordinates are rounded to 0.01 points.
std::string toSvg(const Drawing& drawing, std::string_view title, std::string_view description);

/// `&`, `<`, `>`, `"` and `'` as entities; characters that XML 1.0 does not allow, and bytes that are not UTF-8, as U+FFFD. Fit for text and attributes.
std::string escaped(std::string_view text);

/// RFC 4648, with padding.
std::string base64(std::string_view bytes);

}  // namespace orrery::report
