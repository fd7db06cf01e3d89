#pragma once
#include <QImage>
#include <QList>
#include <QString>
#include <stop_token>

#include <core/report/blocks.h>

class QPainter;

namespace orrery::widgets {

/// Paints the report on A4 pages with page numbers: the same tree of blocks that becomes HTML. Colours as on paper. Needs a QGuiApplication (any platform, also offscreen).
/// Written to a temporary name and renamed. @throws core::StorageError if the file cannot be written; core::Cancelled, and then nothing is written.
void writePdf(const report::Report& report, const QString& file, std::stop_token stop = {});

/// The pages of the PDF as pictures, at most `mostPages` of them, for a preview: laid out and painted as `writePdf` does. Any thread.
QList<QImage> paintPages(const report::Report& report, double pixelsPerPoint, int mostPages);

QImage toQImage(const io::Image& image);
/// RGB; what is transparent becomes black, so give it a picture of a widget or on a ground of its own.
io::Image fromQImage(const QImage& image);

/// Paints one drawing with its upper left corner at the painter's origin, one unit a point.
void paintDrawing(QPainter& painter, const report::Drawing& drawing);

}  // namespace orrery::widgets
