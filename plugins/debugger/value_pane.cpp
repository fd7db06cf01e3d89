#include "value_pane.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QSpinBox>
#include <QTabWidget>
#include <QVBoxLayout>
#include <algorithm>

#include <widgets/heat_map_view.h>
#include <widgets/image_view.h>
#include <widgets/tensor_table.h>

namespace orrery::plugins {
namespace {

/// A heat map with more cells than this shows nothing that a coarser one does not.
constexpr std::int64_t kSide = 512;

std::int64_t axisFromEnd(const std::vector<std::int64_t>& shape, std::size_t fromEnd)
{
    return shape.size() >= fromEnd ? shape[shape.size() - fromEnd] : 1;
}

bool isPicture(const std::vector<std::int64_t>& shape)
{
    const auto height = axisFromEnd(shape, 2), width = axisFromEnd(shape, 1);
    return shape.size() >= 3 && height >= 4 && width >= 4 && height <= 4096 && width <= 4096;
}

}  // namespace

ValuePane::ValuePane(QWidget* parent)
    : QWidget(parent), m_title(new QLabel), m_statistics(new QLabel), m_tabs(new QTabWidget), m_table(new widgets::TensorTable),
      m_map(new widgets::HeatMapView), m_image(new widgets::ImageView), m_slice(new QSpinBox)
{
    m_title->setObjectName(QStringLiteral("valueTitle"));
    m_title->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_title->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_statistics->setObjectName(QStringLiteral("valueStatistics"));
    // One line, whatever it holds: the numbers below neither jump nor lose their room. The whole of it is in the tooltip.
    m_statistics->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_statistics->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_table->setObjectName(QStringLiteral("numbers"));
    m_table->setDetailsVisible(false);
    m_map->setObjectName(QStringLiteral("valueMap"));
    m_map->setMapKind(widgets::MapKind::Diverging);
    m_slice->setObjectName(QStringLiteral("slice"));
    m_slice->setAccessibleName(tr("Slice"));
    m_slice->setToolTip(tr("Which matrix of the value the heat map and the picture show: the axes before the last two, counted through"));
    connect(m_slice, &QSpinBox::valueChanged, this, &ValuePane::showSlice);
    auto* sliceLabel = new QLabel(tr("Sli&ce"));
    sliceLabel->setBuddy(m_slice);
    auto* maps = new QWidget;
    auto* mapLayout = new QVBoxLayout(maps);
    mapLayout->setContentsMargins(0, 2, 0, 0);
    auto* row = new QHBoxLayout;
    row->addWidget(sliceLabel);
    row->addWidget(m_slice);
    row->addStretch(1);
    mapLayout->addLayout(row);
    auto* both = new QHBoxLayout;
    both->addWidget(m_map, 1);
    both->addWidget(m_image, 1);
    mapLayout->addLayout(both, 1);
    m_tabs->addTab(m_table, tr("Nu&mbers"));
    m_tabs->addTab(maps, tr("Ma&p"));
    m_tabs->setDocumentMode(true);
    m_tabs->setObjectName(QStringLiteral("valueTabs"));
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 2, 4, 2);
    layout->setSpacing(2);
    layout->addWidget(m_title);
    layout->addWidget(m_statistics);
    layout->addWidget(m_tabs, 1);
    clear();
}

void ValuePane::clear(const QString& text)
{
    m_tensor = {};
    m_title->setText(text.isEmpty() ? tr("Choose a value to see its numbers.") : text);
    m_table->clear();
    m_tabs->setVisible(false);
    showStatistics({});
}

void ValuePane::showStatistics(const QString& text)
{
    m_statistics->setText(text);
    m_statistics->setToolTip(text);
    fitTitle();
}

/// In a low pane the statistics stand behind the name: each line is one of the numbers'.
void ValuePane::fitTitle()
{
    constexpr int kLow = 210;
    const bool joins = height() < kLow && m_tabs->isVisibleTo(this);
    m_statistics->setVisible(!joins);
    if (!m_tensor.title.isEmpty())
        m_title->setText(QStringLiteral("<b>%1</b>%2")
                             .arg(m_tensor.title.toHtmlEscaped(), joins ? QLatin1Char(' ') + m_tensor.statistics.toHtmlEscaped() : QString()));
    m_title->setToolTip(m_tensor.statistics);
}

void ValuePane::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    fitTitle();
}

void ValuePane::show(const DebugTensor& tensor)
{
    const bool sameTensor = m_tensor.title == tensor.title && m_tensor.shape == tensor.shape && m_table->shape() == tensor.shape;
    m_tensor = tensor;
    const bool fits = !tensor.values.empty();
    m_tabs->setVisible(fits);
    showStatistics(tensor.statistics);
    if (!fits) {
        if (tensor.isLarge)
            showStatistics(tensor.statistics + QLatin1Char('\n') + tr("Too large to be listed: print a slice of it at the prompt."));
        return;
    }
    // The same value with other numbers: the cell and the slice that are looked at stay.
    const bool stays = sameTensor && m_table->hasCurrentCell();
    const auto cell = m_table->currentIndex();
    m_table->setTensor(tensor.values, tensor.shape, tensor.title);
    if (stays)
        m_table->setCurrentIndex(cell);
    const std::int64_t matrix = std::max<std::int64_t>(1, axisFromEnd(tensor.shape, 2) * axisFromEnd(tensor.shape, 1));
    const QSignalBlocker blocker(m_slice);
    m_slice->setRange(0, int(std::max<std::int64_t>(0, std::int64_t(tensor.values.size()) / matrix - 1)));
    m_slice->setEnabled(m_slice->maximum() > 0);
    showSlice();
}

void ValuePane::showSlice()
{
    if (m_tensor.values.empty())
        return;
    const std::int64_t rows = axisFromEnd(m_tensor.shape, 2), columns = axisFromEnd(m_tensor.shape, 1);
    const float* first = m_tensor.values.data() + std::int64_t(m_slice->value()) * rows * columns;
    // Of large matrices every n-th row and column.
    const std::int64_t rowStep = (rows + kSide - 1) / kSide, columnStep = (columns + kSide - 1) / kSide;
    std::vector<double> cells;
    for (std::int64_t i = 0; i < rows; i += rowStep)
        for (std::int64_t k = 0; k < columns; k += columnStep)
            cells.push_back(double(first[i * columns + k]));
    m_map->setMatrix(std::move(cells), int((rows + rowStep - 1) / rowStep), int((columns + columnStep - 1) / columnStep));
    m_image->setVisible(isPicture(m_tensor.shape));
    if (isPicture(m_tensor.shape))
        m_image->setPixels({first, first + rows * columns}, 1, int(rows), int(columns));
}

bool ValuePane::hasCurrentCell() const
{
    return m_tensor.values.size() == 1 || m_table->hasCurrentCell();
}

std::vector<std::int64_t> ValuePane::currentIndex() const
{
    return m_table->currentIndex();
}

}  // namespace orrery::plugins
