#include "picture_block.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace orrery::report {

Picture pictureOf(const io::Image& image, const std::string& title)
{
    constexpr double pagePoints = 500, highest = 640, pointsPerPixel = 0.75, pixelsPerPoint = 3;
    const double scale = std::min({pointsPerPixel, pagePoints / image.width, highest / image.height});
    Drawing drawing{image.width * scale, image.height * scale, {}};
    const int most = int(std::lround(drawing.width * pixelsPerPoint));
    io::Image shown =
        image.width > most && most > 0 ? io::resize(image, most, std::max(1, int(std::lround(drawing.height * pixelsPerPoint)))) : image;
    // Small pictures, such as samples of 28 pixels, keep sharp pixels; photographs and grabs are smooth.
    const bool smooth = image.width > 128 || image.height > 128;
    drawing.items.push_back(RasterItem{{0, 0, drawing.width, drawing.height}, std::move(shown), smooth});
    return {std::move(drawing), title, fmt::format("Picture of {} x {} pixels{}{}", image.width, image.height, title.empty() ? "" : ": ", title)};
}

}  // namespace orrery::report
