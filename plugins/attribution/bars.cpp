#include "bars.h"

#include <QHeaderView>
#include <QPainter>
#include <algorithm>
#include <cmath>

#include <core/report/colour_map.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {
constexpr int kBarRole = Qt::UserRole + 1;
}

void BarDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    QStyledItemDelegate::paint(painter, option, index);
    const QVariant share = index.data(kBarRole);
    if (!share.isValid())
        return;
    const QRectF area = QRectF(option.rect).adjusted(6, 4, -6, -4);
    const double middle = area.center().x(), length = std::clamp(share.toDouble(), -1.0, 1.0) * area.width() / 2;
    painter->fillRect(QRectF(std::min(middle, middle + length), area.top(), std::abs(length), area.height()),
                      widgets::toQColor(report::coolwarm().at(share.toDouble() < 0 ? 0.0 : 1.0)));
    painter->setPen(widgets::themeColors(option.palette).axisLine);
    painter->drawLine(QPointF(middle, option.rect.top()), QPointF(middle, option.rect.bottom()));
}

QTableWidgetItem* makeItem(const QString& text, bool number)
{
    auto* item = new QTableWidgetItem(text);
    item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable);
    if (number)
        item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    return item;
}

QTableWidget* makeTable(const QString& name)
{
    auto* table = new QTableWidget;
    table->setAccessibleName(name);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 6);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setAlternatingRowColors(true);
    table->setTabKeyNavigation(false);
    return table;
}

void setBar(QTableWidget* table, int row, int column, double value, double magnitude)
{
    QTableWidgetItem* item = table->item(row, column);
    if (!item) {
        item = makeItem({});
        table->setItem(row, column, item);
    }
    item->setData(kBarRole, magnitude > 0 && std::isfinite(value) ? value / magnitude : 0.0);
    item->setToolTip(fullNumber(value));
}

QString elementName(const PreparedSubject& subject, std::size_t index)
{
    return index < subject.names.size() ? QString::fromStdString(subject.names[index]) : QString::number(index);
}

QStringList elementNames(const PreparedSubject& subject)
{
    QStringList names;
    for (const auto& name : subject.names)
        names << QString::fromStdString(name);
    return names;
}

}  // namespace orrery::plugins
