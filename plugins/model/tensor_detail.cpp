#include "tensor_detail.h"

#include <ATen/ATen.h>

#include <QHBoxLayout>
#include <QLabel>
#include <QSlider>
#include <QTabWidget>
#include <QVBoxLayout>

#include <core/base/text.h>
#include <widgets/heat_map_view.h>
#include <widgets/plot_view.h>
#include <widgets/tensor_table.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr std::int64_t kCellsAtMost = 4'000'000;
constexpr int kSideAtMost = 1024;

QString number(double value)
{
    return QString::number(value, 'g', 6);
}

}  // namespace

ShownTensor readTensor(const QString& title, const at::Tensor& tensor)
{
    at::NoGradGuard noGrad;
    ShownTensor shown;
    shown.title = title;
    shown.shape = tensor.sizes().vec();
    shown.dtype = QString::fromStdString(graph::dtypeName(tensor.scalar_type()));
    shown.statistics = graph::statistics(tensor);
    if (tensor.numel() <= kCellsAtMost) {
        const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
        shown.values.assign(values.data_ptr<float>(), values.data_ptr<float>() + values.numel());
    }
    return shown;
}

TensorDetail::TensorDetail(QWidget* parent)
    : QWidget(parent), m_title(new QLabel), m_statistics(new QLabel), m_position(new QLabel), m_tabs(new QTabWidget),
      m_histogram(new widgets::PlotView), m_heatMap(new widgets::HeatMapView), m_table(new widgets::TensorTable), m_sliderRow(new QHBoxLayout)
{
    m_title->setWordWrap(true);
    m_title->setObjectName(QStringLiteral("tensorTitle"));
    m_statistics->setWordWrap(true);
    m_statistics->setObjectName(QStringLiteral("statistics"));
    m_statistics->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_histogram->setLegendVisible(false);
    m_histogram->setAxisTitle(widgets::PlotAxis::X, tr("value"));
    m_histogram->setAxisTitle(widgets::PlotAxis::Y, tr("count"));
    m_histogram->setAccessibleName(tr("Histogram"));
    m_heatMap->setMapKind(widgets::MapKind::Diverging);
    m_heatMap->setAccessibleName(tr("Heat map"));
    auto* slices = new QWidget;
    auto* sliceLayout = new QVBoxLayout(slices);
    sliceLayout->setContentsMargins(0, 4, 0, 0);
    sliceLayout->addLayout(m_sliderRow);
    sliceLayout->addWidget(m_position);
    sliceLayout->addWidget(m_heatMap, 1);
    m_tabs->addTab(m_histogram, tr("&Histogram"));
    m_tabs->addTab(slices, tr("Heat &map"));
    m_tabs->addTab(m_table, tr("&Numbers"));
    m_tabs->setDocumentMode(true);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(4);
    layout->addWidget(m_title);
    layout->addWidget(m_statistics);
    layout->addWidget(m_tabs, 1);
    clear({});
}

int TensorDetail::tab() const
{
    return m_tabs->currentIndex();
}
void TensorDetail::setTab(int tab)
{
    m_tabs->setCurrentIndex(std::clamp(tab, 0, m_tabs->count() - 1));
}

void TensorDetail::clear(const QString& why)
{
    m_tensor = {};
    m_title->setText(why);
    m_title->setVisible(!why.isEmpty());
    m_statistics->hide();
    m_tabs->hide();
    m_table->clear();
}

void TensorDetail::setTensor(const ShownTensor& tensor)
{
    m_tensor = tensor;
    m_title->setText(
        QStringLiteral("<b>%1</b> %2 %3").arg(tensor.title.toHtmlEscaped(), tensor.dtype, QString::fromStdString(core::formatShape(tensor.shape))));
    m_title->show();
    const auto& s = tensor.statistics;
    QString text = tr("mean %1, standard deviation %2, minimum %3, maximum %4, zeros %L5 of %L6")
                       .arg(number(s.mean), number(s.standardDeviation), number(s.minimum), number(s.maximum))
                       .arg(s.zeros)
                       .arg(s.count);
    if (s.nans || s.infinities)
        text += tr(", NaN %L1, infinite %L2").arg(s.nans).arg(s.infinities);
    m_statistics->setText(text);
    m_statistics->show();
    m_tabs->show();
    m_tabs->setTabEnabled(1, !tensor.values.empty());
    m_tabs->setTabEnabled(2, !tensor.values.empty());
    showHistogram();
    makeSliders();
    showSlice();
    if (!tensor.values.empty())
        m_table->setTensor(tensor.values, tensor.shape, tensor.title);
    else
        m_table->clear();
}

void TensorDetail::showHistogram()
{
    const auto& s = m_tensor.statistics;
    widgets::PlotSeries series;
    series.title = m_tensor.title;
    series.style = widgets::LineStyle::Bars;
    series.smoothed = false;
    const auto bins = s.histogram.size();
    for (std::size_t i = 0; i < bins; ++i) {
        series.data.x.push_back(s.minimum + (double(i) + 0.5) * (s.maximum - s.minimum) / double(bins));
        series.data.y.push_back(double(s.histogram[i]));
    }
    // All values equal: one bar.
    if (s.maximum <= s.minimum) {
        series.data.x = {s.minimum};
        series.data.y = {double(s.count - s.nans - s.infinities)};
    }
    m_histogram->setSeries(QStringLiteral("values"), std::move(series));
    m_histogram->showAll();
}

void TensorDetail::makeSliders()
{
    for (auto* slider : m_sliders)
        delete slider;
    m_sliders.clear();
    for (std::size_t axis = 0; axis + 2 < m_tensor.shape.size(); ++axis) {
        auto* slider = new QSlider(Qt::Horizontal);
        slider->setRange(0, int(std::max<std::int64_t>(0, m_tensor.shape[axis] - 1)));
        slider->setEnabled(slider->maximum() > 0);
        slider->setAccessibleName(tr("Position on axis %1").arg(axis));
        slider->setToolTip(tr("Position on axis %1, 0 to %2").arg(axis).arg(slider->maximum()));
        connect(slider, &QSlider::valueChanged, this, &TensorDetail::showSlice);
        m_sliderRow->addWidget(slider);
        m_sliders.push_back(slider);
    }
}

void TensorDetail::showSlice()
{
    if (m_tensor.values.empty())
        return m_heatMap->setMatrix({}, 0, 0);
    const auto rank = m_tensor.shape.size();
    const std::int64_t rows = rank >= 2 ? m_tensor.shape[rank - 2] : 1, columns = rank >= 1 ? m_tensor.shape[rank - 1] : 1;
    std::int64_t offset = 0;
    QStringList position;
    for (std::size_t axis = 0; axis < m_sliders.size(); ++axis) {
        offset = offset * m_tensor.shape[axis] + m_sliders[axis]->value();
        position << QString::number(m_sliders[axis]->value());
    }
    const auto shownRows = std::min<std::int64_t>(rows, kSideAtMost), shownColumns = std::min<std::int64_t>(columns, kSideAtMost);
    QString text = m_sliders.empty() ? QString() : tr("Slice [%1, :, :]").arg(position.join(QStringLiteral(", ")));
    if (shownRows < rows || shownColumns < columns)
        text += tr(" first %1 x %2 of %3 x %4 cells").arg(shownRows).arg(shownColumns).arg(rows).arg(columns);
    m_position->setText(text);
    m_position->setVisible(!text.isEmpty());
    std::vector<double> cells;
    cells.reserve(std::size_t(shownRows * shownColumns));
    for (std::int64_t row = 0; row < shownRows; ++row)
        for (std::int64_t column = 0; column < shownColumns; ++column)
            cells.push_back(double(m_tensor.values[std::size_t((offset * rows + row) * columns + column)]));
    m_heatMap->setMatrix(std::move(cells), int(shownRows), int(shownColumns));
    // One scale for all slices: that of the whole tensor.
    const double magnitude = std::max(std::abs(m_tensor.statistics.minimum), std::abs(m_tensor.statistics.maximum));
    m_heatMap->setColorRange(-magnitude, magnitude);
}

}  // namespace orrery::plugins
