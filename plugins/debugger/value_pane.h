#pragma once
#include <QWidget>

#include "debug_session.h"

class QLabel;
class QTabWidget;
class QSpinBox;

namespace orrery::widgets {
class HeatMapView;
class ImageView;
class TensorTable;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// One value as numbers, as a heat map of a slice, and, where it has the shape of one, as a picture.
class ValuePane : public QWidget {
    Q_OBJECT
public:
    explicit ValuePane(QWidget* parent = nullptr);
    void show(const DebugTensor& tensor);
    void clear(const QString& text = {});
    const QString& shownName() const { return m_tensor.name; }
    /// The index of the number that the table stands at.
    std::vector<std::int64_t> currentIndex() const;
    /// A cell has been chosen, or there is only one.
    bool hasCurrentCell() const;

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    void showSlice();
    void showStatistics(const QString& text);
    void fitTitle();
    DebugTensor m_tensor;
    QLabel *m_title, *m_statistics;
    QTabWidget* m_tabs;
    widgets::TensorTable* m_table;
    widgets::HeatMapView* m_map;
    widgets::ImageView* m_image;
    QSpinBox* m_slice;
};

}  // namespace orrery::plugins
