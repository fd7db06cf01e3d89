#pragma once
#include <QStyledItemDelegate>

namespace orrery::plugins {

/// Paints a sample: its picture, each pixel a square, or its row of text; below it the label. A wrong prediction has a thick frame, a cross and
/// "true → predicted", so that it can be told without colours.
class SampleDelegate : public QStyledItemDelegate {
    Q_OBJECT
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void setPictureSize(int pixels) { m_size = pixels; }
    int pictureSize() const { return m_size; }
    void setPictures(bool pictures) { m_pictures = pictures; }

    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;

private:
    void paintPicture(QPainter& painter, const QStyleOptionViewItem& option, const QModelIndex& index) const;
    void paintRow(QPainter& painter, const QStyleOptionViewItem& option, const QModelIndex& index) const;

    int m_size = 56;
    bool m_pictures = true;
};

}  // namespace orrery::plugins
