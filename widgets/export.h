#pragma once
#include <QList>
#include <QSize>
#include <QString>
#include <functional>

class QAction;
class QPaintDevice;
class QPainter;
class QPalette;
class QWidget;

namespace orrery::widgets {

/// Paints a picture of `size` logical pixels.
using PaintOn = std::function<void(QPaintDevice& device, QSize size)>;

/// Writes a picture, or its data, whole or not at all. The ending of `file` decides: png, svg, pdf, csv.
/// @throws core::InputError for another ending, core::StorageError if the file cannot be written.
void exportPicture(const QString& file, QSize size, const PaintOn& paint, const std::function<QString()>& csv);

/// The same for widgets that paint themselves: always in light colours, for paper.
void exportPainted(const QString& file, QSize size, const std::function<void(QPainter& painter, QSize size, const QPalette& palette)>& paint,
                   const std::function<QString()>& csv);

/// The three actions every picture has: save as file, copy the picture, copy the data (CSV). They belong to `owner`.
/// @param exportTo  Writes the file that was chosen; what it throws is shown in a message box.
QList<QAction*> makeExportActions(QWidget* owner, std::function<void(const QString&)> exportTo, std::function<QString()> csv);

/// Asks for a file to write; an empty text if the user gave up. Tests put their own in its place.
using AskSaveFile = std::function<QString(QWidget* parent, const QString& suggested, const QString& filter)>;
AskSaveFile& askSaveFile();

/// Asks for a file to read; an empty text if the user gave up. Tests put their own in its place.
using AskOpenFile = std::function<QString(QWidget* parent, const QString& title, const QString& filter)>;
AskOpenFile& askOpenFile();

}  // namespace orrery::widgets
