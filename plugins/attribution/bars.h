#pragma once
#include <QStyledItemDelegate>
#include <QTableWidget>

#include "explanation.h"

namespace orrery::widgets {
class TokenView;
}

namespace orrery::plugins {

/// Draws the share of its cell (-1..1) as a bar from the middle: the side tells the sign, the colour repeats it.
class BarDelegate : public QStyledItemDelegate {
    Q_OBJECT
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

/// A table of whole rows that the keyboard can pass through with Tab.
QTableWidget* makeTable(const QString& name);
QTableWidgetItem* makeItem(const QString& text, bool number = false);
/// Puts a bar into a cell: `value` of a scale that ends at `magnitude`; the number is its tooltip.
void setBar(QTableWidget* table, int row, int column, double value, double magnitude);
/// Name of an element of the input, else its number.
QString elementName(const PreparedSubject& subject, std::size_t index);
QStringList elementNames(const PreparedSubject& subject);
/// The tokens of a text in a view; those of several lines as they were written.
void showTokens(widgets::TokenView& view, const PreparedSubject& subject);

}  // namespace orrery::plugins
