#pragma once
#include <QImage>
#include <QList>

#include <core/store/reports.h>

namespace orrery::plugins {

/// What a picture of an item depends on, as one text: title, annotation and source.
std::string paintedKey(const store::ReportItem& item);

/// The item as it will be printed: at most four pages without their side margins, the last one cut below its content. Any thread.
/// @param width  Pixels of each page.
QList<QImage> paintItem(const store::Workspace& workspace, const store::ReportItem& item, int width);

/// The first picture of the item, else the top of its page, on white. Any thread.
QImage paintThumbnail(const store::Workspace& workspace, const store::ReportItem& item);

}  // namespace orrery::plugins
