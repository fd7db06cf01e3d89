#pragma once
#include <QWidget>
#include <memory>
#include <vector>

#include <core/graph/inspect.h>

class QLabel;
class QSlider;
class QTabWidget;
class QHBoxLayout;

namespace orrery::widgets {
class HeatMapView;
class PlotView;
class TensorTable;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// A tensor read for showing: values as float, with statistics. Made on any thread.
struct ShownTensor {
    QString title;
    std::vector<std::int64_t> shape;
    std::vector<float> values;  ///< empty if the tensor is too large to be shown cell by cell
    graph::TensorStatistics statistics;
    QString dtype;
};
ShownTensor readTensor(const QString& title, const at::Tensor& tensor);

/// Histogram, heat map and numbers of one tensor. Of more than two axes, the heat map shows the last two and a slider a leading axis. UI thread.
class TensorDetail : public QWidget {
    Q_OBJECT
public:
    explicit TensorDetail(QWidget* parent = nullptr);
    void clear(const QString& why);
    void setTensor(const ShownTensor& tensor);
    const ShownTensor& tensor() const { return m_tensor; }
    int tab() const;
    void setTab(int tab);
    widgets::HeatMapView* heatMap() const { return m_heatMap; }

private:
    void showHistogram();
    void makeSliders();
    void showSlice();

    ShownTensor m_tensor;
    QLabel *m_title, *m_statistics, *m_position;
    QTabWidget* m_tabs;
    widgets::PlotView* m_histogram;
    widgets::HeatMapView* m_heatMap;
    widgets::TensorTable* m_table;
    QHBoxLayout* m_sliderRow;
    std::vector<QSlider*> m_sliders;
};

}  // namespace orrery::plugins
