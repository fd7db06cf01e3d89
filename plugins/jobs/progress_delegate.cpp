#include "progress_delegate.h"

#include <QApplication>
#include <QPainter>
#include <QStyle>
#include <algorithm>

#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

void drawPart(QPainter& painter, const QRectF& bar, const QRectF& clip, const QColor& fill, const QColor& ink, const QString& text)
{
    painter.setClipRect(clip);
    painter.setPen(Qt::NoPen);
    painter.setBrush(fill);
    painter.drawRoundedRect(bar, 3, 3);
    painter.setPen(ink);
    painter.drawText(bar, Qt::AlignCenter, text);
}

}  // namespace

QString ProgressDelegate::displayText(const QVariant& value, const QLocale&) const
{
    return QString::number(int(value.toDouble() * 100)) + " %";
}

void ProgressDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    QStyleOptionViewItem cell = option;
    initStyleOption(&cell, index);
    cell.text.clear();
    QApplication::style()->drawControl(QStyle::CE_ItemViewItem, &cell, painter, cell.widget);
    const double share = std::clamp(index.data(Qt::EditRole).toDouble(), 0.0, 1.0);
    const QRectF bar = QRectF(option.rect).adjusted(4, 4, -4, -4);
    const QRectF done(bar.left(), bar.top(), bar.width() * share, bar.height());
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing);
    // The text crosses both colours: each part is drawn in the one that can be read there.
    drawPart(*painter, bar, bar, widgets::themeColors(option.palette).gridLine, option.palette.color(QPalette::Text), displayText(share, {}));
    drawPart(*painter, bar, done, option.palette.color(QPalette::Highlight), option.palette.color(QPalette::HighlightedText), displayText(share, {}));
    painter->restore();
}

}  // namespace orrery::plugins
