#pragma once
#include <string>

#include <core/io/image.h>

#include "blocks.h"

namespace orrery::report {

/// A picture as a block: a pixel is 3/4 of a point, at most as wide as a page and 640 points high; more than twice that many pixels are averaged.
Picture pictureOf(const io::Image& image, const std::string& title);

}  // namespace orrery::report
