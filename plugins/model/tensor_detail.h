#pragma once
#include <QWidget>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <core/graph/inspect.h>

class QComboBox;
class QHBoxLayout;
class QLabel;
class QPushButton;
class QSlider;
class QSpinBox;
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
    std::vector<float> values;  ///< empty if the tensor is too large to be held as float besides: slices of `source` are read then
    at::Tensor source;          ///< aliases what was read; where `values` is empty
    graph::TensorStatistics statistics;
    QString dtype;
    std::function<QString(std::int64_t)> rowNames;  ///< of the positions on axis 0: the tokens of an embedding; empty: none
};
ShownTensor readTensor(const QString& title, const at::Tensor& tensor);

/// The axis whose positions are the rows of a tensor taken as a matrix: the first that is longer than one, such as that of a batch of one, or the last but one.
std::size_t matrixAxis(const std::vector<std::int64_t>& shape);

/// Singular values of the tensor as a matrix of `matrixAxis` by all others, the largest first; computed in double. Any thread.
/// @throws core::InputError for fewer than two axes, values that are not finite, and matrices whose smaller side is above 2,048.
std::vector<double> singularValues(const ShownTensor& tensor);

/// Filters [out, in, height, width] (or [count, height, width]) as one picture, one filter beside the other with a line between: of three input channels in
/// colour, else one channel. Values are scaled symmetrically about the middle.
struct FilterGrid {
    std::vector<float> pixels;  ///< [channels, height, width]
    int channels = 1, height = 0, width = 0;
    float limit = 0;                                                          ///< black is -limit, white is limit
    std::int64_t across = 0, filters = 0, filterHeight = 0, filterWidth = 0;  ///< filters beside each other, in all, and the size of each

    struct Place {
        std::int64_t filter = 0, row = 0, column = 0;
    };
    /// What lies at a pixel of the picture; nothing between the filters and behind the last.
    std::optional<Place> placeOf(int x, int y) const;
};
/// @param channel   Of the input, where it is not shown in colour.
/// @param darkGaps  Lines between in black, for a dark theme.
FilterGrid filterGrid(const ShownTensor& tensor, std::int64_t channel, bool darkGaps = false);
/// Maps [1, channels, height, width], such as a value of one sample: the channels lie side by side. Three are a picture in colour.
bool areMapsOfOne(const std::vector<std::int64_t>& shape);

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
    QWidget* makeWindowRow();
    QWidget* makeFilterPage();
    QWidget* makeSingularPage();
    void showStatistics();
    void showHistogram();
    void makeAxes();
    void makeSliders();
    void makeWindow();
    std::vector<double> cells(std::int64_t fromRow, std::int64_t rows, std::int64_t fromColumn, std::int64_t columns) const;
    QStringList names(std::size_t axis, std::int64_t from, std::int64_t count) const;
    std::pair<std::size_t, std::size_t> shownAxes() const;
    void showSlice();
    void showFilters();
    QString filterText(QPoint pixel) const;
    void tabChanged();
    void showTab();
    void save();

    ShownTensor m_tensor;
    FilterGrid m_grid;
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
    QSpinBox *m_rowFrom = nullptr, *m_columnFrom = nullptr;
    QWidget *m_axisRow = nullptr, *m_windowRow = nullptr;
    QHBoxLayout* m_sliderRow;
    std::vector<QSlider*> m_sliders;
    std::vector<QLabel*> m_sliderLabels;
    std::vector<std::size_t> m_sliderAxes;
    bool m_askedSingular = false;
    int m_wantedTab = 0;  ///< the one last looked at where it was to be had
};

}  // namespace orrery::plugins
