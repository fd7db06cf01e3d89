#pragma once
#include <string>
#include <string_view>

#include "drawing.h"

namespace orrery::report {

/// The `<svg>` element of a drawing. Colours are attributes for white paper; the classes `fF fM fG fB` (fill) and `sF sM sG sB` (stroke) let a page's
/// style sheet put foreground, muted, grid and background colours in their place.
/// @param idPrefix  Makes the ids inside unique in the page; letters and digits.
std::string svgElement(const Drawing& drawing, std::string_view title, std::string_view description, std::string_view idPrefix);

}  // namespace orrery::report
