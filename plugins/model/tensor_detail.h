#pragma once
#include <QWidget>
#include <memory>
#include <vector>

#include <core/graph/inspect.h>

class QComboBox;
class QHBoxLayout;
class QLabel;
class QPushButton;
class QSlider;
class QTabWidget;

namespace orrery::widgets {
class HeatMapView;
class ImageView;
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

/// Singular values of the tensor as a matrix of its first axis by all others, the largest first; computed in double. Any thread.
/// @throws core::InputError for fewer than two axes, values that are not finite, and matrices whose smaller side is above 2,048.
std::vector<double> singularValues(const ShownTensor& tensor);

/// Filters [out, in, height, width] (or [count, height, width]) as one picture, one filter beside the other with a line between: of three input channels in
/// colour, else one channel. Values are scaled symmetrically about the middle.
struct FilterGrid {
    std::vector<float> pixels;  ///< [channels, height, width]
    int channels = 1, height = 0, width = 0;
    float limit = 0;  ///< black is -limit, white is limit
};
/// @param channel  Of the input, where it is not shown in colour.
FilterGrid filterGrid(const ShownTensor& tensor, std::int64_t channel);

/// Histogram, heat map, filters as pictures, singular values and numbers of one tensor of any rank: two axes lie in the heat map, a slider stands for each of the
/// others. UI thread.
class TensorDetail : public QWidget {
    Q_OBJECT
public:
    enum Tab { HistogramTab, HeatMapTab, FiltersTab, SingularTab, NumbersTab };

    explicit TensorDetail(QWidget* parent = nullptr);
    void clear(const QString& why);
    void setTensor(const ShownTensor& tensor);
    const ShownTensor& tensor() const { return m_tensor; }
    int tab() const;
    void setTab(int tab);
    widgets::HeatMapView* heatMap() const { return m_heatMap; }
    widgets::ImageView* filters() const { return m_filters; }
    widgets::PlotView* singularPlot() const { return m_singular; }
    /// Answers `singularValuesWanted`. A text in place of values says why there are none.
    void setSingularValues(const std::vector<double>& values, const QString& why = {});

Q_SIGNALS:
    /// The tab of singular values is looked at: whoever owns this computes them in the background.
    void singularValuesWanted();
    void failed(const QString& text);

private:
    QWidget* makeSlicePage();
    QWidget* makeFilterPage();
    QWidget* makeSingularPage();
    void showStatistics();
    void showHistogram();
    void makeAxes();
    void makeSliders();
    void showSlice();
    void showFilters();
    void tabChanged();
    void save();

    ShownTensor m_tensor;
    QLabel *m_title, *m_statistics, *m_position, *m_singularText = nullptr;
    QPushButton* m_save;
    QTabWidget* m_tabs;
    widgets::PlotView *m_histogram, *m_singular = nullptr;
    widgets::HeatMapView* m_heatMap;
    widgets::ImageView* m_filters = nullptr;
    QSlider* m_channel = nullptr;
    QLabel* m_channelText = nullptr;
    widgets::TensorTable* m_table;
    QComboBox *m_rowAxis = nullptr, *m_columnAxis = nullptr;
    QWidget* m_axisRow = nullptr;
    QHBoxLayout* m_sliderRow;
    std::vector<QSlider*> m_sliders;
    std::vector<std::size_t> m_sliderAxes;
    bool m_askedSingular = false;
};

}  // namespace orrery::plugins
