#include "bars.h"

#include <QHeaderView>
#include <QPainter>
#include <algorithm>
#include <cmath>

#include <core/report/colour_map.h>
#include <widgets/theme.h>
#include <widgets/token_view.h>

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

void showTokens(widgets::TokenView& view, const PreparedSubject& subject)
{
    view.setTokens(elementNames(subject));
    QStringList tags;
    for (const auto& tag : subject.tags)
        tags << QObject::tr("tagged %1").arg(QString::fromStdString(tag));
    view.setTooltips(tags);
    if (subject.blanks.size() != subject.names.size() || subject.blanks.empty())
        return;
    QStringList blanks;
    for (const auto& each : subject.blanks)
        blanks << QString::fromStdString(each);
    view.setBlanks(blanks);
    const auto& text = subject.subject.texts.at(0);
    view.setText(QString::fromStdString(text.pair ? text.text + "\n" + *text.pair : text.text));
}

}  // namespace orrery::plugins
