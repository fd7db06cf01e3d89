#pragma once
#include <QStyledItemDelegate>

namespace orrery::plugins {

/// Draws a share (0..1 in the edit role) as a progress bar with its percentage.
class ProgressDelegate : public QStyledItemDelegate {
    Q_OBJECT
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    QString displayText(const QVariant& value, const QLocale& locale) const override;
};

}  // namespace orrery::plugins
