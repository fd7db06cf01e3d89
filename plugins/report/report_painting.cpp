#include "report_painting.h"

#include <QPainter>
#include <algorithm>
#include <cmath>

#include <core/report/report_document.h>
#include <widgets/report_pdf.h>

namespace orrery::plugins {
namespace {

constexpr double kPageWidth = 595, kSideMargin = 36, kThumbnailScale = 0.4;
constexpr int kMostPages = 4;
constexpr QSize kThumbnail(128, 96);

/// The last line that is not white; 0 if there is none.
int contentBottom(const QImage& page)
{
    for (int row = page.height() - 1; row > 0; --row) {
        const auto* line = reinterpret_cast<const QRgb*>(page.constScanLine(row));
        if (std::any_of(line, line + page.width(), [](QRgb pixel) { return (pixel & 0xffffff) != 0xffffff; }))
            return row;
    }
    return 0;
}

/// Without the side margins, the page number, and the empty rest.
QImage cropped(const QImage& page, double scale)
{
    constexpr double footer = 40;
    const int left = int(kSideMargin * scale), top = int(30 * scale);
    const QImage body = page.copy(left, top, page.width() - 2 * left, page.height() - top - int(footer * scale));
    return body.copy(0, 0, body.width(), std::min(body.height(), contentBottom(body) + int(12 * scale)));
}

const report::Picture* firstPicture(const std::vector<report::Block>& blocks)
{
    for (const report::Block& block : blocks) {
        if (const auto* picture = std::get_if<report::Picture>(&block.content))
            return picture;
        if (const auto* section = std::get_if<report::Section>(&block.content))
            if (const auto* inner = firstPicture(section->blocks))
                return inner;
    }
    return nullptr;
}

QImage paintedPicture(const report::Drawing& drawing)
{
    QImage image(kThumbnail, QImage::Format_RGB32);
    image.fill(Qt::white);
    QPainter painter(&image);
    painter.setRenderHints(QPainter::Antialiasing | QPainter::SmoothPixmapTransform);
    const double scale = std::min(kThumbnail.width() / std::max(drawing.width, 1.0), kThumbnail.height() / std::max(drawing.height, 1.0));
    painter.translate((kThumbnail.width() - drawing.width * scale) / 2, (kThumbnail.height() - drawing.height * scale) / 2);
    painter.scale(scale, scale);
    widgets::paintDrawing(painter, drawing);
    return image;
}

}  // namespace

std::string paintedKey(const store::ReportItem& item)
{
    return item.kind + '\n' + item.source.dump(-1, ' ', false, core::Json::error_handler_t::replace) + '\n' + item.title + '\n' + item.annotation;
}

QList<QImage> paintItem(const store::Workspace& workspace, const store::ReportItem& item, int width)
{
    const double scale = std::clamp(width / (kPageWidth - 2 * kSideMargin), 0.5, 4.0);
    QList<QImage> pages = widgets::paintPages(report::buildItem(workspace, item), scale, kMostPages);
    for (QImage& page : pages)
        page = cropped(page, scale);
    return pages;
}

QImage paintThumbnail(const store::Workspace& workspace, const store::ReportItem& item)
{
    const report::Report made = report::buildItem(workspace, item);
    if (const auto* picture = firstPicture(made.blocks))
        return paintedPicture(picture->drawing);
    const QImage page = cropped(widgets::paintPages(made, kThumbnailScale, 1).first(), kThumbnailScale);
    const int height = page.width() * kThumbnail.height() / kThumbnail.width();
    QImage top(page.width(), height, QImage::Format_RGB32);
    top.fill(Qt::white);
    QPainter(&top).drawImage(QPoint(0, 0), page);
    return top.scaled(kThumbnail, Qt::IgnoreAspectRatio, Qt::SmoothTransformation);
}

}  // namespace orrery::plugins
