#include "export.h"

#include <QAction>
#include <QBuffer>
#include <QClipboard>
#include <QFileDialog>
#include <QFileInfo>
#include <QGuiApplication>
#include <QImage>
#include <QMessageBox>
#include <QPageSize>
#include <QPainter>
#include <QPdfWriter>
#include <QSvgGenerator>
#include <QWidget>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/files.h>

#include "theme.h"

namespace orrery::widgets {
namespace {

/// Pixels of a PNG for each logical pixel: sharp on paper and on dense screens.
constexpr int kPngScale = 2;

QByteArray pngBytes(QSize size, const PaintOn& paint)
{
    QImage image(size * kPngScale, QImage::Format_ARGB32);
    image.setDevicePixelRatio(kPngScale);
    image.fill(Qt::white);
    paint(image, size);
    QBuffer buffer;
    buffer.open(QIODevice::WriteOnly);
    image.save(&buffer, "PNG");
    return buffer.data();
}

QByteArray svgBytes(QSize size, const PaintOn& paint)
{
    QBuffer buffer;
    QSvgGenerator generator;
    generator.setOutputDevice(&buffer);
    generator.setSize(size);
    generator.setViewBox(QRect(QPoint(0, 0), size));
    generator.setTitle(QStringLiteral("Orrery"));
    paint(generator, size);
    return buffer.data();
}

QByteArray pdfBytes(QSize size, const PaintOn& paint)
{
    constexpr int kDotsPerInch = 96;
    QBuffer buffer;
    buffer.open(QIODevice::WriteOnly);
    QPdfWriter writer(&buffer);
    writer.setResolution(kDotsPerInch);
    writer.setPageSize(QPageSize(QSizeF(size) / kDotsPerInch, QPageSize::Inch, QString(), QPageSize::ExactMatch));
    writer.setPageMargins(QMarginsF());
    paint(writer, size);
    return buffer.data();
}

void trySave(QWidget* owner, const std::function<void(const QString&)>& exportTo)
{
    const QString filter = QObject::tr("Picture (*.png);;Vector picture (*.svg);;PDF (*.pdf);;Data (*.csv)");
    const QString file = askSaveFile()(owner, QStringLiteral("picture.png"), filter);
    if (file.isEmpty())
        return;
    try {
        exportTo(file);
    } catch (const std::exception& error) {
        QMessageBox::warning(owner, QObject::tr("Save picture"), QString::fromStdString(error.what()));
    }
}

}  // namespace

void exportPicture(const QString& file, QSize size, const PaintOn& paint, const std::function<QString()>& csv)
{
    const QString ending = QFileInfo(file).suffix().toLower();
    QByteArray bytes;
    if (ending == "png")
        bytes = pngBytes(size, paint);
    else if (ending == "svg")
        bytes = svgBytes(size, paint);
    else if (ending == "pdf")
        bytes = pdfBytes(size, paint);
    else if (ending == "csv")
        bytes = csv().toUtf8();
    else
        throw core::InputError(
            fmt::format("{}: expected a name ending in .png, .svg, .pdf or .csv, got \"{}\"", file.toStdString(), ending.toStdString()));
    core::writeFileAtomically(file.toStdString(), std::string_view(bytes.constData(), std::size_t(bytes.size())));
}

void exportPainted(const QString& file, QSize size, const std::function<void(QPainter&, QSize, const QPalette&)>& paint,
                   const std::function<QString()>& csv)
{
    exportPicture(
        file, size,
        [&](QPaintDevice& device, QSize wanted) {
            QPainter painter(&device);
            paint(painter, wanted, Theme::palette(false));
        },
        csv);
}

AskOpenFile& askOpenFile()
{
    static AskOpenFile ask = [](QWidget* parent, const QString& title, const QString& filter) {
        return QFileDialog::getOpenFileName(parent, title, {}, filter);
    };
    return ask;
}

AskSaveFile& askSaveFile()
{
    static AskSaveFile ask = [](QWidget* parent, const QString& suggested, const QString& filter) {
        return QFileDialog::getSaveFileName(parent, QObject::tr("Save picture"), suggested, filter);
    };
    return ask;
}

QList<QAction*> makeExportActions(QWidget* owner, std::function<void(const QString&)> exportTo, std::function<QString()> csv)
{
    auto* save = new QAction(QObject::tr("Save picture or data…"), owner);
    auto* picture = new QAction(QObject::tr("Copy picture"), owner);
    auto* data = new QAction(QObject::tr("Copy data (CSV)"), owner);
    QObject::connect(save, &QAction::triggered, owner, [owner, exportTo] { trySave(owner, exportTo); });
    QObject::connect(picture, &QAction::triggered, owner, [owner] { QGuiApplication::clipboard()->setPixmap(owner->grab()); });
    QObject::connect(data, &QAction::triggered, owner, [csv] { QGuiApplication::clipboard()->setText(csv()); });
    return {save, picture, data};
}

}  // namespace orrery::widgets
