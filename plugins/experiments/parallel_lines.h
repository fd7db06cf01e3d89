#pragma once
#include <QImage>
#include <QPointF>

namespace orrery::plugins {

/// Mixes a line one pixel wide, not smoothed, into a picture of Format_RGB32: share 0..256 of the colour, the rest of what is there. Parts outside are left out. Ten
/// thousand lines across a window take some ten milliseconds, a fraction of what QPainter takes for lines that let through what lies below.
/// `from` and `to` are in pixels of the image, whatever its device pixel ratio.
void blendLine(QImage& image, QPointF from, QPointF to, QRgb colour, int share);

}  // namespace orrery::plugins
