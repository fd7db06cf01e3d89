#include "tensor_detail.h"

#include <ATen/ATen.h>

#include <QComboBox>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSlider>
#include <QSpinBox>
#include <QTabWidget>
#include <QVBoxLayout>
#include <cmath>
#include <tuple>

#include <core/base/text.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <widgets/export.h>
#include <widgets/heat_map_view.h>
#include <widgets/image_view.h>
#include <widgets/numbers.h>
#include <widgets/plot_view.h>
#include <widgets/tensor_table.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr std::int64_t kCellsAtMost = 4'000'000;
constexpr int kSideAtMost = 1024;

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
    } else
        shown.source = tensor.detach();
    return shown;
}

TensorDetail::TensorDetail(QWidget* parent)
    : QWidget(parent), m_title(new QLabel), m_statistics(new QLabel), m_position(new QLabel), m_save(new QPushButton(tr("Save as .npy\u2026"))),
      m_tabs(new QTabWidget), m_histogram(new widgets::PlotView), m_heatMap(new widgets::HeatMapView), m_table(new widgets::TensorTable),
      m_sliderRow(new QHBoxLayout)
{
    m_title->setWordWrap(true);
    m_title->setObjectName(QStringLiteral("tensorTitle"));
    m_statistics->setWordWrap(true);
    m_statistics->setObjectName(QStringLiteral("statistics"));
    m_statistics->setTextInteractionFlags(Qt::TextSelectableByMouse);
    for (auto* label : {m_title, m_statistics})
        label->setMinimumSize(1, 1);  // a wrapped text asks for the height that it would have at its narrowest
    m_title->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    m_save->setToolTip(tr("Save all values as a NumPy array (float32)"));
    m_save->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    m_save->setObjectName(QStringLiteral("save"));
    connect(m_save, &QPushButton::clicked, this, &TensorDetail::save);
    m_histogram->setLegendVisible(false);
    m_histogram->setAxisTitle(widgets::PlotAxis::X, tr("value"));
    m_histogram->setAxisTitle(widgets::PlotAxis::Y, tr("count"));
    m_histogram->setAccessibleName(tr("Histogram"));
    m_tabs->addTab(m_histogram, tr("&Histogram"));
    m_tabs->addTab(makeSlicePage(), tr("Heat &map"));
    m_tabs->addTab(makeFilterPage(), tr("&Filters"));
    m_tabs->addTab(makeSingularPage(), tr("Sin&gular values"));
    m_tabs->addTab(m_table, tr("Num&bers"));
    m_tabs->setDocumentMode(true);
    m_tabs->setUsesScrollButtons(true);
    connect(m_tabs, &QTabWidget::currentChanged, this, &TensorDetail::tabChanged);
    auto* head = new QHBoxLayout;
    head->addWidget(m_title, 1);
    head->addWidget(m_save);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(4);
    layout->addLayout(head);
    layout->addWidget(m_statistics);
    layout->addWidget(m_tabs, 1);
    clear({});
}

QWidget* TensorDetail::makeSlicePage()
{
    m_heatMap->setMapKind(widgets::MapKind::Diverging);
    m_heatMap->setAccessibleName(tr("Heat map"));
    m_rowAxis = new QComboBox;
    m_columnAxis = new QComboBox;
    m_rowAxis->setAccessibleName(tr("Axis of the rows"));
    m_columnAxis->setAccessibleName(tr("Axis of the columns"));
    m_rowAxis->setObjectName(QStringLiteral("rowAxis"));
    m_columnAxis->setObjectName(QStringLiteral("columnAxis"));
    for (auto* box : {m_rowAxis, m_columnAxis})
        connect(box, &QComboBox::activated, this, [this, box] {
            // One axis cannot lie in both directions: the other one takes what was there.
            auto* other = box == m_rowAxis ? m_columnAxis : m_rowAxis;
            if (other->currentIndex() == box->currentIndex())
                other->setCurrentIndex(box->currentIndex() == 0 ? 1 : box->currentIndex() - 1);
            makeSliders();
            makeWindow();
            showSlice();
        });
    m_axisRow = new QWidget;
    auto* axes = new QHBoxLayout(m_axisRow);
    axes->setContentsMargins(0, 0, 0, 0);
    axes->addWidget(new QLabel(tr("Rows")));
    axes->addWidget(m_rowAxis);
    axes->addWidget(new QLabel(tr("Columns")));
    axes->addWidget(m_columnAxis);
    axes->addStretch(1);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addWidget(m_axisRow);
    layout->addLayout(m_sliderRow);
    layout->addWidget(makeWindowRow());
    layout->addWidget(m_position);
    layout->addWidget(m_heatMap, 1);
    return page;
}

/// Of a matrix with a longer side a window is shown, from these places on.
QWidget* TensorDetail::makeWindowRow()
{
    m_windowRow = new QWidget;
    auto* row = new QHBoxLayout(m_windowRow);
    row->setContentsMargins(0, 0, 0, 0);
    for (const auto& [box, text, name] : {std::tuple(&m_rowFrom, tr("Rows from"), "rowFrom"), {&m_columnFrom, tr("Columns from"), "columnFrom"}}) {
        *box = new QSpinBox;
        (*box)->setObjectName(QString::fromLatin1(name));
        (*box)->setAccessibleName(text);
        (*box)->setKeyboardTracking(false);
        (*box)->setSingleStep(kSideAtMost / 2);
        connect(*box, &QSpinBox::valueChanged, this, &TensorDetail::showSlice);
        row->addWidget(new QLabel(text));
        row->addWidget(*box);
    }
    row->addStretch(1);
    return m_windowRow;
}

QWidget* TensorDetail::makeFilterPage()
{
    m_filters = new widgets::ImageView;
    m_filters->setAccessibleName(tr("Filters"));
    m_filters->setToolTipText([this](QPoint pixel) { return filterText(pixel); });
    m_channel = new QSlider(Qt::Horizontal);
    m_channel->setAccessibleName(tr("Input channel"));
    m_channel->setObjectName(QStringLiteral("channel"));
    m_channelText = new QLabel;
    connect(m_channel, &QSlider::valueChanged, this, &TensorDetail::showFilters);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addWidget(m_channelText);
    layout->addWidget(m_channel);
    layout->addWidget(m_filters, 1);
    return page;
}

QWidget* TensorDetail::makeSingularPage()
{
    m_singular = new widgets::PlotView;
    m_singular->setLegendVisible(false);
    m_singular->setAxisTitle(widgets::PlotAxis::X, tr("number"));
    m_singular->setWhole(widgets::PlotAxis::X);
    m_singular->setAxisTitle(widgets::PlotAxis::Y, tr("singular value"));
    m_singular->setAccessibleName(tr("Singular values"));
    m_singularText = new QLabel;
    m_singularText->setWordWrap(true);
    m_singularText->setObjectName(QStringLiteral("singular"));
    m_singularText->setMinimumSize(1, 1);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addWidget(m_singularText);
    layout->addWidget(m_singular, 1);
    return page;
}

int TensorDetail::tab() const
{
    return m_wantedTab;
}
void TensorDetail::setTab(int tab)
{
    m_wantedTab = std::clamp(tab, 0, m_tabs->count() - 1);
    m_tabs->setCurrentIndex(m_wantedTab);
}

void TensorDetail::clear(const QString& why)
{
    m_tensor = {};
    m_title->setText(why);
    m_title->setVisible(!why.isEmpty());
    m_statistics->hide();
    m_save->hide();
    m_tabs->hide();
    m_table->clear();
}

void TensorDetail::setTensor(const ShownTensor& tensor)
{
    m_tensor = tensor;
    m_title->setText(
        QStringLiteral("<b>%1</b> %2 %3").arg(tensor.title.toHtmlEscaped(), tensor.dtype, QString::fromStdString(core::formatShape(tensor.shape))));
    m_title->show();
    showStatistics();
    const bool hasCells = !tensor.values.empty(), hasSlices = hasCells || tensor.source.defined();
    const auto rank = tensor.shape.size();
    m_save->setVisible(hasCells);
    m_tabs->show();
    const QSignalBlocker tabBlocker(m_tabs);  // turning a page off turns to another one, which nobody wanted
    m_tabs->setTabEnabled(HeatMapTab, hasSlices);
    m_tabs->setTabEnabled(FiltersTab, hasCells && (rank == 3 || rank == 4));
    m_tabs->setTabEnabled(SingularTab, hasCells && rank >= 2);
    m_tabs->setTabEnabled(NumbersTab, hasCells);
    if (m_tabs->isTabEnabled(m_wantedTab))
        m_tabs->setCurrentIndex(m_wantedTab);
    showHistogram();
    makeAxes();
    makeSliders();
    makeWindow();
    showSlice();
    const QSignalBlocker blocker(m_channel);
    m_channel->setRange(0, rank == 4 && !areMapsOfOne(tensor.shape) ? int(std::max<std::int64_t>(0, tensor.shape[1] - 1)) : 0);
    m_channel->setValue(0);
    showFilters();
    m_singular->clear();
    m_singularText->setText({});
    m_askedSingular = false;
    if (hasCells)
        m_table->setTensor(tensor.values, tensor.shape, tensor.title);
    if (hasCells && rank == 2)
        m_table->setRowNames(tensor.rowNames);
    if (!hasCells)
        m_table->clear();
    showTab();
}

void TensorDetail::showStatistics()
{
    const auto& s = m_tensor.statistics;
    const std::int64_t odd = s.nans + s.infinities;
    m_statistics->show();
    if (s.count == odd)
        return m_statistics->setText(s.count == 0 ? tr("no values") : tr("no finite values: NaN %L1, infinite %L2").arg(s.nans).arg(s.infinities));
    const double share = s.count ? 100.0 * double(s.zeros) / double(s.count) : 0;
    m_statistics->setText((odd ? tr("of the finite values: ") : QString()) +
                          tr("mean %1, standard deviation %2, minimum %3, maximum %4, zeros %L5 of %L6 (%7 %), NaN %L8, infinite %L9")
                              .arg(widgets::shownNumber(s.mean), widgets::shownNumber(s.standardDeviation), widgets::shownNumber(s.minimum),
                                   widgets::shownNumber(s.maximum))
                              .arg(s.zeros)
                              .arg(s.count)
                              .arg(QString::number(share, 'f', share > 0 && share < 1 ? 2 : 0))
                              .arg(s.nans)
                              .arg(s.infinities));
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
    if (s.count == s.nans + s.infinities) {
        m_histogram->clear();
        m_histogram->setTitle(tr("no finite values"));
        return;
    }
    m_histogram->setTitle({});
    // All values equal: one bar.
    if (s.maximum <= s.minimum) {
        series.data.x = {s.minimum};
        series.data.y = {double(s.count - s.nans - s.infinities)};
    }
    m_histogram->setSeries(QStringLiteral("values"), std::move(series));
    m_histogram->showAll();
}

void TensorDetail::makeAxes()
{
    const auto rank = m_tensor.shape.size();
    for (auto* box : {m_rowAxis, m_columnAxis}) {
        box->clear();
        for (std::size_t axis = 0; axis < rank; ++axis)
            box->addItem(tr("axis %1 (%2)").arg(axis).arg(m_tensor.shape[axis]));
    }
    m_axisRow->setVisible(rank > 2);
    if (rank >= 2) {
        m_rowAxis->setCurrentIndex(int(rank) - 2);
        m_columnAxis->setCurrentIndex(int(rank) - 1);
    }
}

void TensorDetail::makeSliders()
{
    qDeleteAll(m_sliders);
    qDeleteAll(m_sliderLabels);
    m_sliders.clear();
    m_sliderLabels.clear();
    m_sliderAxes.clear();
    for (std::size_t axis = 0; m_tensor.shape.size() > 2 && axis < m_tensor.shape.size(); ++axis) {
        if (int(axis) == m_rowAxis->currentIndex() || int(axis) == m_columnAxis->currentIndex())
            continue;
        auto* slider = new QSlider(Qt::Horizontal);
        slider->setRange(0, int(std::max<std::int64_t>(0, m_tensor.shape[axis] - 1)));
        slider->setEnabled(slider->maximum() > 0);
        slider->setObjectName(QStringLiteral("axis%1").arg(axis));
        slider->setAccessibleName(tr("Position on axis %1").arg(axis));
        slider->setToolTip(tr("Position on axis %1, 0 to %2").arg(axis).arg(slider->maximum()));
        connect(slider, &QSlider::valueChanged, this, &TensorDetail::showSlice);
        m_sliderLabels.push_back(new QLabel(tr("axis %1").arg(axis)));
        m_sliderRow->addWidget(m_sliderLabels.back());
        m_sliderRow->addWidget(slider);
        m_sliders.push_back(slider);
        m_sliderAxes.push_back(axis);
    }
}

/// The axes that lie in the heat map: rows, columns. Of fewer than two axes the columns are all there is.
std::pair<std::size_t, std::size_t> TensorDetail::shownAxes() const
{
    return {std::size_t(std::max(0, m_rowAxis->currentIndex())), std::size_t(std::max(0, m_columnAxis->currentIndex()))};
}

void TensorDetail::makeWindow()
{
    const auto& shape = m_tensor.shape;
    const auto [rowAxis, columnAxis] = shownAxes();
    const std::int64_t rows = shape.size() >= 2 ? shape[rowAxis] : 1, columns = shape.size() >= 2 ? shape[columnAxis] : shape.empty() ? 1 : shape[0];
    for (const auto& [box, size] : {std::pair(m_rowFrom, rows), {m_columnFrom, columns}}) {
        const QSignalBlocker blocker(box);
        box->setRange(0, int(std::max<std::int64_t>(0, size - kSideAtMost)));
        box->setValue(0);
        box->setEnabled(box->maximum() > 0);
    }
    m_windowRow->setVisible(rows > kSideAtMost || columns > kSideAtMost);
}

/// A stretch of the slice on show.
std::vector<double> TensorDetail::cells(std::int64_t fromRow, std::int64_t rows, std::int64_t fromColumn, std::int64_t columns) const
{
    at::NoGradGuard noGrad;
    const auto [rowAxis, columnAxis] = shownAxes();
    at::Tensor slice =
        m_tensor.source.defined() ? m_tensor.source : at::from_blob(const_cast<float*>(m_tensor.values.data()), m_tensor.shape, at::kFloat);
    if (slice.dim() < 2)
        slice = slice.reshape({1, -1});
    else
        slice = slice.movedim({std::int64_t(rowAxis), std::int64_t(columnAxis)}, {-2, -1});  // the others stay in their order, as the sliders do
    for (const auto* slider : m_sliders)
        slice = slice.select(0, slider->value());
    slice = slice.narrow(0, fromRow, rows).narrow(1, fromColumn, columns).to(at::kCPU, at::kDouble).contiguous();
    return {slice.data_ptr<double>(), slice.data_ptr<double>() + slice.numel()};
}

/// What the places on an axis are called in the heat map; empty: their numbers from 0.
QStringList TensorDetail::names(std::size_t axis, std::int64_t from, std::int64_t count) const
{
    QStringList names;
    const bool named = axis == 0 && m_tensor.rowNames && m_tensor.shape.size() >= 2;
    for (std::int64_t place = from; (named || from > 0) && place < from + count; ++place)
        names << (named ? QStringLiteral("%1 %2").arg(place).arg(m_tensor.rowNames(place)) : QString::number(place));
    return names;
}

void TensorDetail::showSlice()
{
    if (m_tensor.values.empty() && !m_tensor.source.defined())
        return m_heatMap->setMatrix({}, 0, 0);
    const auto& shape = m_tensor.shape;
    const auto rank = shape.size();
    const auto [rowAxis, columnAxis] = shownAxes();
    const std::int64_t rows = rank >= 2 ? shape[rowAxis] : 1, columns = rank >= 2 ? shape[columnAxis] : rank == 1 ? shape[0] : 1;
    QStringList position;
    for (std::size_t axis = 0; axis < rank; ++axis)
        position << QStringLiteral(":");
    for (std::size_t i = 0; i < m_sliders.size(); ++i)
        position[qsizetype(m_sliderAxes[i])] = QString::number(m_sliders[i]->value());
    const std::int64_t shownRows = std::min<std::int64_t>(rows, kSideAtMost), shownColumns = std::min<std::int64_t>(columns, kSideAtMost);
    const std::int64_t fromRow = m_rowFrom->value(), fromColumn = m_columnFrom->value();
    QString text = m_sliders.empty() ? QString() : tr("Slice [%1]").arg(position.join(QStringLiteral(", ")));
    if (shownRows < rows || shownColumns < columns)
        text += tr(" rows %1 to %2 of %3, columns %4 to %5 of %6")
                    .arg(fromRow)
                    .arg(fromRow + shownRows - 1)
                    .arg(rows)
                    .arg(fromColumn)
                    .arg(fromColumn + shownColumns - 1)
                    .arg(columns);
    m_position->setText(text.trimmed());
    m_position->setVisible(!text.isEmpty());
    m_heatMap->setMatrix(cells(fromRow, shownRows, fromColumn, shownColumns), int(shownRows), int(shownColumns));
    m_heatMap->setLabels(rank >= 2 ? names(rowAxis, fromRow, shownRows) : QStringList(), names(rank >= 2 ? columnAxis : 1, fromColumn, shownColumns));
    // One scale for all slices: that of the whole tensor.
    const double magnitude = std::max(std::abs(m_tensor.statistics.minimum), std::abs(m_tensor.statistics.maximum));
    m_heatMap->setColorRange(-magnitude, magnitude);
}

void TensorDetail::showFilters()
{
    if (!m_tabs->isTabEnabled(FiltersTab))
        return m_filters->setImage({});
    m_grid = filterGrid(m_tensor, m_channel->value(), widgets::isDark(palette()));
    const auto& grid = m_grid;
    const bool colour = grid.channels == 3, many = m_channel->maximum() > 0 && !colour;
    m_channel->setVisible(many);
    m_channelText->setText(
        colour ? tr("Three input channels as red, green and blue; grey is 0, the range is \u00b1%1").arg(widgets::shownNumber(grid.limit))
        : many
            ? tr("Input channel %1 of %2; grey is 0, the range is \u00b1%3")
                  .arg(m_channel->value())
                  .arg(m_channel->maximum() + 1)
                  .arg(widgets::shownNumber(grid.limit))
            : (areMapsOfOne(m_tensor.shape) ? tr("Channels side by side; grey is 0, the range is \u00b1%1") : tr("Grey is 0, the range is \u00b1%1"))
                  .arg(widgets::shownNumber(grid.limit)));
    if (grid.pixels.empty())
        return m_filters->setImage({});
    m_filters->setPixels(grid.pixels, grid.channels, grid.height, grid.width, -grid.limit, grid.limit);
}

/// The weights under a pixel of the filters, with their index.
QString TensorDetail::filterText(QPoint pixel) const
{
    const auto place = m_grid.placeOf(pixel.x(), pixel.y());
    if (!place || m_tensor.values.empty())
        return {};
    auto shape = m_tensor.shape;
    const bool areMaps = areMapsOfOne(shape);
    if (areMaps)
        shape.erase(shape.begin());
    const std::int64_t inputs = shape.size() == 4 ? shape[1] : 1, first = m_grid.channels == 3 ? 0 : m_channel->value();
    QStringList values;
    for (std::int64_t channel = first; channel < first + m_grid.channels; ++channel) {
        const auto at = ((place->filter * inputs + channel) * m_grid.filterHeight + place->row) * m_grid.filterWidth + place->column;
        values << widgets::shownNumber(double(m_tensor.values[std::size_t(at)]));
    }
    const QString channels = shape.size() < 4 ? QString() : m_grid.channels == 3 ? tr(", channels 0 to 2") : tr(", channel %1").arg(first);
    return tr("%1 %2%3, [%4, %5]: %6")
        .arg(areMaps ? tr("channel") : tr("filter"))
        .arg(place->filter)
        .arg(channels)
        .arg(place->row)
        .arg(place->column)
        .arg(values.join(QStringLiteral(", ")));
}

void TensorDetail::tabChanged()
{
    m_wantedTab = m_tabs->currentIndex();
    showTab();
}

void TensorDetail::showTab()
{
    if (m_tabs->currentIndex() != SingularTab || m_askedSingular || m_tensor.values.empty() || !m_tabs->isTabEnabled(SingularTab))
        return;
    m_askedSingular = true;
    m_singularText->setText(tr("Computing\u2026"));
    Q_EMIT singularValuesWanted();
}

void TensorDetail::setSingularValues(const std::vector<double>& values, const QString& why)
{
    m_singular->clear();
    if (values.empty()) {
        m_singularText->setText(why);
        return;
    }
    double squares = 0, fourth = 0;
    int rank = 0;
    widgets::PlotSeries series;
    series.title = m_tensor.title;
    series.style = widgets::LineStyle::LineAndPoints;
    series.smoothed = false;
    for (std::size_t i = 0; i < values.size(); ++i) {
        series.data.x.push_back(double(i + 1));
        series.data.y.push_back(values[i]);
        squares += values[i] * values[i];
        fourth += std::pow(values[i], 4);
        rank += values[i] > values[0] * 1e-6;
    }
    m_singularText->setText(tr("%1 of the matrix of axis %2 by the others: largest %3, smallest %4, numerical rank %5, participation %6")
                                .arg(values.size() == 1 ? tr("1 singular value") : tr("%1 singular values").arg(values.size()))
                                .arg(matrixAxis(m_tensor.shape))
                                .arg(widgets::shownNumber(values.front()), widgets::shownNumber(values.back()))
                                .arg(rank)
                                .arg(widgets::shownNumber(fourth > 0 ? squares * squares / fourth : 0)));
    m_singular->setSeries(QStringLiteral("values"), std::move(series));
    m_singular->showAll();
    // Values that are nearly equal must not look like a collapse.
    m_singular->setRange(widgets::PlotAxis::Y, 0, values.front() > 0 ? values.front() * 1.05 : 1);
}

void TensorDetail::save()
{
    const QString suggested =
        QString(m_tensor.title).replace(QLatin1Char('/'), QLatin1Char('_')).section(QLatin1Char(' '), 0, 0) + QStringLiteral(".npy");
    QString file = widgets::askSaveFile()(this, suggested, tr("NumPy array (*.npy)"));
    if (file.isEmpty())
        return;
    if (QFileInfo(file).suffix().isEmpty())
        file += QStringLiteral(".npy");
    try {
        auto values = at::from_blob(m_tensor.values.data(), m_tensor.shape, at::kFloat);
        io::writeNpy(file.toStdString(), io::toArray(values));
        Q_EMIT failed({});
    } catch (const std::exception& error) {
        Q_EMIT failed(QString::fromUtf8(error.what()));
    }
}

}  // namespace orrery::plugins
