#include "parallel_lines.h"

#include <algorithm>
#include <cmath>

namespace orrery::plugins {
namespace {

// Red and blue in one product, green in another.
QRgb mixed(QRgb below, QRgb above, unsigned share)
{
    constexpr QRgb kRedBlue = 0xff00ff, kGreen = 0x00ff00;
    const unsigned rest = 256 - share;
    const QRgb redBlue = (((above & kRedBlue) * share + (below & kRedBlue) * rest) >> 8) & kRedBlue;
    const QRgb green = (((above & kGreen) * share + (below & kGreen) * rest) >> 8) & kGreen;
    return 0xff000000 | redBlue | green;
}

/// Where the two axes change roles for steep lines: pixels are reached by strides.
struct Grid {
    QRgb* pixels;
    qsizetype along, across;  ///< strides
    int length, breadth;
};

void blendFlat(const Grid& grid, QPointF from, QPointF to, QRgb colour, unsigned share)
{
    if (from.x() > to.x())
        std::swap(from, to);
    const double slope = to.x() > from.x() ? (to.y() - from.y()) / (to.x() - from.x()) : 0;
    const int first = std::max(0, int(std::lround(from.x()))), last = std::min(grid.length - 1, int(std::lround(to.x())));
    // Fixed point: 16 bits behind the point are a thousandth of a pixel over the widest window.
    std::int64_t y = std::int64_t(std::llround((from.y() + slope * (first - from.x()) + 0.5) * 65536));
    const std::int64_t step = std::int64_t(std::llround(slope * 65536));
    QRgb* column = grid.pixels + first * grid.along;
    for (int x = first; x <= last; ++x, y += step, column += grid.along) {
        const std::int64_t row = y >> 16;
        if (row >= 0 && row < grid.breadth)
            column[row * grid.across] = mixed(column[row * grid.across], colour, share);
    }
}

}  // namespace

void blendLine(QImage& image, QPointF from, QPointF to, QRgb colour, int share)
{
    for (const double coordinate : {from.x(), from.y(), to.x(), to.y()})
        if (!(std::abs(coordinate) < 1e6))
            return;
    auto* pixels = reinterpret_cast<QRgb*>(image.bits());
    const qsizetype row = image.bytesPerLine() / qsizetype(sizeof(QRgb));
    const auto amount = unsigned(std::clamp(share, 0, 256));
    if (std::abs(to.x() - from.x()) >= std::abs(to.y() - from.y()))
        blendFlat({pixels, 1, row, image.width(), image.height()}, from, to, colour, amount);
    else
        blendFlat({pixels, row, 1, image.height(), image.width()}, {from.y(), from.x()}, {to.y(), to.x()}, colour, amount);
}

}  // namespace orrery::plugins
