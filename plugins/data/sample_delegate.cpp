#include "sample_delegate.h"

#include <QPainter>
#include <QPainterPath>

#include <widgets/theme.h>

#include "data_model.h"

namespace orrery::plugins {
namespace {

constexpr int kMargin = 4, kFrame = 3;

QString labelOf(const QModelIndex& index)
{
    const QString target = index.data(DataModel::TargetTextRole).toString();
    return index.data(DataModel::WrongRole).toBool() ? QStringLiteral("%1 → %2").arg(target, index.data(DataModel::PredictedTextRole).toString())
                                                     : target;
}

/// A cross on a filled corner: drawn, because not every font has one.
void paintCross(QPainter& painter, const QRectF& corner, const QColor& fill)
{
    painter.setRenderHint(QPainter::Antialiasing);
    painter.fillRect(corner, fill);
    const QRectF inner = corner.adjusted(3, 3, -3, -3);
    painter.setPen(QPen(widgets::textColorOn(fill), 2));
    painter.drawLine(inner.topLeft(), inner.bottomRight());
    painter.drawLine(inner.topRight(), inner.bottomLeft());
    painter.setRenderHint(QPainter::Antialiasing, false);
}

void paintBackground(QPainter& painter, const QStyleOptionViewItem& option)
{
    if (option.state & QStyle::State_Selected)
        painter.fillRect(option.rect, option.palette.highlight());
    else if (option.state & QStyle::State_MouseOver)
        painter.fillRect(option.rect, widgets::themeColors(option.palette).hoverBackground);
    if (option.state & QStyle::State_HasFocus) {
        painter.setPen(QPen(option.palette.text().color(), 1, Qt::DotLine));
        painter.drawRect(option.rect.adjusted(0, 0, -1, -1));
    }
}

}  // namespace

QSize SampleDelegate::sizeHint(const QStyleOptionViewItem& option, const QModelIndex&) const
{
    const int line = option.fontMetrics.height();
    return m_pictures ? QSize(m_size + 2 * kMargin, m_size + line + 3 * kMargin) : QSize(160, 2 * line + 2 * kMargin);
}

void SampleDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    painter->save();
    paintBackground(*painter, option);
    m_pictures ? paintPicture(*painter, option, index) : paintRow(*painter, option, index);
    painter->restore();
}

void SampleDelegate::paintPicture(QPainter& painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    const QRect area(option.rect.x() + (option.rect.width() - m_size) / 2, option.rect.y() + kMargin, m_size, m_size);
    const auto picture = index.data(DataModel::PictureRole).value<QImage>();
    const bool wrong = index.data(DataModel::WrongRole).toBool();
    if (!picture.isNull()) {
        QSize size = picture.size().scaled(area.size(), Qt::KeepAspectRatio);
        QRect target(QPoint(), size);
        target.moveCenter(area.center());
        painter.setRenderHint(QPainter::SmoothPixmapTransform, picture.width() > size.width());
        painter.drawImage(target, picture);
    } else {
        painter.fillRect(area, widgets::themeColors(option.palette).gridLine);
    }
    const QColor mark = widgets::themeColors(option.palette).warning;
    if (wrong) {
        painter.setPen(QPen(mark, kFrame, Qt::SolidLine, Qt::SquareCap, Qt::MiterJoin));
        painter.drawRect(area.adjusted(1, 1, -2, -2));
        paintCross(painter, QRectF(area.right() - 13, area.top(), 14, 14), mark);
    }
    const QRect text(option.rect.x() + 1, area.bottom() + kMargin, option.rect.width() - 2, option.fontMetrics.height() + 1);
    QFont font = option.font;
    font.setBold(wrong);
    painter.setFont(font);
    painter.setPen(option.state & QStyle::State_Selected ? option.palette.highlightedText().color() : option.palette.text().color());
    painter.drawText(text, Qt::AlignCenter, QFontMetrics(font).elidedText(labelOf(index), Qt::ElideRight, text.width()));
}

void SampleDelegate::paintRow(QPainter& painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    const bool selected = option.state & QStyle::State_Selected, wrong = index.data(DataModel::WrongRole).toBool();
    const QColor mark = widgets::themeColors(option.palette).warning;
    const int line = option.fontMetrics.height();
    QRect text = option.rect.adjusted(kMargin + 18, kMargin, -kMargin, -kMargin);
    if (wrong)
        paintCross(painter, QRectF(option.rect.x() + kMargin, option.rect.y() + kMargin + 1, 14, 14), mark);
    const QColor color = selected ? option.palette.highlightedText().color() : option.palette.text().color();
    painter.setPen(color);
    QFont bold = option.font;
    bold.setBold(true);
    painter.setFont(bold);
    QString title = QStringLiteral("%1").arg(index.data(DataModel::NumberRole).toLongLong());
    if (const QString label = labelOf(index); !label.isEmpty())
        title += QStringLiteral("  ") + label;
    painter.drawText(QRect(text.x(), text.y(), text.width(), line), Qt::AlignLeft | Qt::AlignVCenter,
                     QFontMetrics(bold).elidedText(title, Qt::ElideRight, text.width()));
    painter.setFont(option.font);
    painter.setPen(selected ? color : widgets::themeColors(option.palette).mutedText);
    painter.drawText(QRect(text.x(), text.y() + line, text.width(), line), Qt::AlignLeft | Qt::AlignVCenter,
                     option.fontMetrics.elidedText(index.data(DataModel::RowTextRole).toString(), Qt::ElideRight, text.width()));
}

}  // namespace orrery::plugins
