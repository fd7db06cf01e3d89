#pragma once
#include <QString>

#include <core/report/blocks.h>

class QPainter;

namespace orrery::widgets {

/// Paints the report on A4 pages with page numbers: the same tree of blocks that becomes HTML. Colours as on paper. Needs a QGuiApplication (any platform, also offscreen).
/// Written to a temporary name and renamed. @throws core::StorageError if the file cannot be written.
void writePdf(const report::Report& report, const QString& file);

/// Paints one drawing with its upper left corner at the painter's origin, one unit a point.
void paintDrawing(QPainter& painter, const report::Drawing& drawing);

}  // namespace orrery::widgets
