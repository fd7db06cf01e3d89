#include "tensor_table.h"

#include <QAbstractTableModel>
#include <QApplication>
#include <QClipboard>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QMenu>
#include <QPointer>
#include <QSpinBox>
#include <QTableView>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/report/colour_map.h>

#include "theme.h"

namespace orrery::widgets {
namespace {

/// A view shows at most so many columns: QTableView keeps a size for each.
constexpr std::int64_t kMostColumns = 20'000;

/// Two axes of an array, the others held at one position.
class SliceModel : public QAbstractTableModel {
public:
    using QAbstractTableModel::QAbstractTableModel;

    void set(const std::vector<float>* values, std::int64_t offset, std::int64_t rows, std::int64_t columns, double magnitude)
    {
        beginResetModel();
        m_values = values;
        m_offset = offset;
        m_rows = rows;
        m_columns = columns;
        m_magnitude = magnitude;
        endResetModel();
    }
    int rowCount(const QModelIndex& parent = {}) const override { return parent.isValid() || !m_values ? 0 : int(m_rows); }
    int columnCount(const QModelIndex& parent = {}) const override
    {
        return parent.isValid() || !m_values ? 0 : int(std::min(m_columns, kMostColumns));
    }
    float value(int row, int column) const { return (*m_values)[std::size_t(m_offset + row * m_columns + column)]; }

    QVariant data(const QModelIndex& index, int role) const override
    {
        if (!index.isValid() || !m_values)
            return {};
        const float number = value(index.row(), index.column());
        switch (role) {
        case Qt::DisplayRole: return QString::number(number, 'g', 4);
        case Qt::ToolTipRole: return QString::number(number, 'g', 9);
        case Qt::TextAlignmentRole: return int(Qt::AlignRight | Qt::AlignVCenter);
        case Qt::BackgroundRole: return toQColor(report::coolwarm().atSymmetric(number, m_magnitude));
        case Qt::ForegroundRole: return textColorOn(toQColor(report::coolwarm().atSymmetric(number, m_magnitude)));
        default: return {};
        }
    }
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override
    {
        if (role != Qt::DisplayRole)
            return {};
        return orientation == Qt::Vertical && m_names ? QVariant(QStringLiteral("%1 %2").arg(section).arg(m_names(section))) : QVariant(section);
    }
    void setNames(std::function<QString(std::int64_t)> names)
    {
        beginResetModel();
        m_names = std::move(names);
        endResetModel();
    }

private:
    const std::vector<float>* m_values = nullptr;
    std::int64_t m_offset = 0, m_rows = 0, m_columns = 0;
    double m_magnitude = 1;
    std::function<QString(std::int64_t)> m_names;
};

std::int64_t product(const std::vector<std::int64_t>& shape)
{
    std::int64_t count = 1;
    for (const std::int64_t size : shape)
        count *= size;
    return count;
}

struct Statistics {
    double smallest = 0, largest = 0, mean = 0, deviation = 0;
    std::int64_t finite = 0, zeros = 0, odd = 0;
};

/// Two passes in double: exact enough for any float array.
Statistics statisticsOf(const std::vector<float>& values)
{
    Statistics s;
    double sum = 0, squares = 0;
    for (const float value : values) {
        if (!std::isfinite(value)) {
            ++s.odd;
            continue;
        }
        s.smallest = s.finite == 0 ? value : std::min<double>(s.smallest, value);
        s.largest = s.finite == 0 ? value : std::max<double>(s.largest, value);
        ++s.finite;
        s.zeros += value == 0;
        sum += value;
    }
    s.mean = s.finite ? sum / double(s.finite) : 0;
    for (const float value : values)
        if (std::isfinite(value))
            squares += (value - s.mean) * (value - s.mean);
    s.deviation = s.finite ? std::sqrt(squares / double(s.finite)) : 0;
    return s;
}

}  // namespace

struct TensorTable::Private {
    void rebuildAxes(TensorTable& q);
    void showSlice();
    std::int64_t rows() const { return shape.size() < 2 ? 1 : shape[shape.size() - 2]; }
    std::int64_t columns() const { return shape.empty() ? 1 : shape.back(); }

    std::vector<float> values;
    std::vector<std::int64_t> shape;
    Statistics statistics;
    QString title;
    QLabel* heading = nullptr;
    QHBoxLayout* axes = nullptr;
    std::vector<QSpinBox*> boxes;
    QTableView* table = nullptr;
    SliceModel* model = nullptr;
    QLabel* footer = nullptr;
    bool hasDetails = true;
};

void TensorTable::Private::rebuildAxes(TensorTable& q)
{
    while (QLayoutItem* item = axes->takeAt(0)) {
        delete item->widget();
        delete item;
    }
    boxes.clear();
    for (std::size_t axis = 0; axis + 2 < shape.size(); ++axis) {
        auto* label = new QLabel(tr("axis %1").arg(axis), &q);
        auto* box = new QSpinBox(&q);
        box->setRange(0, int(std::max<std::int64_t>(1, shape[axis])) - 1);
        box->setSuffix(QStringLiteral(" / %1").arg(shape[axis]));
        box->setAccessibleName(label->text());
        label->setBuddy(box);
        connect(box, &QSpinBox::valueChanged, &q, [this, &q] {
            showSlice();
            Q_EMIT q.currentIndexChanged();
        });
        axes->addWidget(label);
        axes->addWidget(box);
        // Where there is one place there is nothing to choose, and the room is the numbers'.
        for (QWidget* part : {static_cast<QWidget*>(label), static_cast<QWidget*>(box)})
            part->setHidden(shape[axis] == 1);
        boxes.push_back(box);
    }
    axes->addStretch(1);
}

void TensorTable::Private::showSlice()
{
    std::int64_t offset = 0;
    for (std::size_t axis = 0; axis < boxes.size(); ++axis)
        offset = offset * shape[axis] + boxes[axis]->value();
    offset *= rows() * columns();
    const double magnitude = std::max(std::abs(statistics.smallest), std::abs(statistics.largest));
    const bool any = !values.empty();
    model->set(any ? &values : nullptr, offset, rows(), columns(), magnitude);
}

TensorTable::TensorTable(QWidget* parent) : QWidget(parent), d(std::make_unique<Private>())
{
    d->heading = new QLabel(this);
    d->axes = new QHBoxLayout;
    d->table = new QTableView(this);
    d->model = new SliceModel(d->table);
    d->footer = new QLabel(this);
    d->footer->setTextInteractionFlags(Qt::TextSelectableByMouse);
    d->footer->setWordWrap(true);
    d->table->setModel(d->model);
    d->table->setTabKeyNavigation(false);
    d->table->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    d->table->horizontalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    d->table->horizontalHeader()->setDefaultSectionSize(fontMetrics().horizontalAdvance(QStringLiteral("-0.0000e-00")) + 8);
    d->table->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    d->table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 6);
    d->table->setContextMenuPolicy(Qt::ActionsContextMenu);
    auto* copy = new QAction(tr("Copy table (CSV)"), d->table);
    d->table->addAction(copy);
    connect(copy, &QAction::triggered, this, [this] { QApplication::clipboard()->setText(toCsv()); });
    connect(d->table->selectionModel(), &QItemSelectionModel::currentChanged, this, &TensorTable::currentIndexChanged);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addWidget(d->heading);
    layout->addLayout(d->axes);
    layout->addWidget(d->table, 1);
    layout->addWidget(d->footer);
    setFocusProxy(d->table);
    clear();
}

TensorTable::~TensorTable() = default;

void TensorTable::setTensor(std::vector<float> values, std::vector<std::int64_t> shape, const QString& title)
{
    const std::int64_t expected = product(shape);
    if (std::any_of(shape.begin(), shape.end(), [](std::int64_t size) { return size < 0; }) || expected != std::int64_t(values.size()))
        throw core::ShapeError(fmt::format("expected {} values for {}, got {}", expected, core::formatShape(shape), values.size()));
    d->model->set(nullptr, 0, 0, 0, 1);
    d->model->setNames({});
    d->values = std::move(values);
    d->shape = std::move(shape);
    d->title = title;
    d->statistics = statisticsOf(d->values);
    d->heading->setText((title.isEmpty() ? QString() : title + QLatin1Char(' ')) + QString::fromStdString(core::formatShape(d->shape)));
    d->heading->setVisible(d->hasDetails);
    d->footer->setText(statisticsText());
    d->rebuildAxes(*this);
    d->showSlice();
}

void TensorTable::clear()
{
    setTensor({}, {0});
    d->heading->setVisible(false);
    d->footer->clear();
}

void TensorTable::setRowNames(std::function<QString(std::int64_t row)> names)
{
    d->model->setNames(std::move(names));
}

void TensorTable::setDetailsVisible(bool visible)
{
    d->hasDetails = visible;
    d->heading->setVisible(visible && !d->values.empty());
    d->footer->setVisible(visible);
}

const std::vector<std::int64_t>& TensorTable::shape() const
{
    return d->shape;
}

std::vector<std::int64_t> TensorTable::currentIndex() const
{
    std::vector<std::int64_t> index;
    for (const QSpinBox* box : d->boxes)
        index.push_back(box->value());
    const QModelIndex cell = d->table->currentIndex();
    if (d->shape.size() >= 2)
        index.push_back(std::max(0, cell.row()));
    if (!d->shape.empty())
        index.push_back(std::max(0, cell.column()));
    return index;
}

bool TensorTable::hasCurrentCell() const
{
    return d->table->currentIndex().isValid();
}

void TensorTable::setCurrentIndex(const std::vector<std::int64_t>& index)
{
    if (index.size() != d->shape.size())
        return;
    for (std::size_t axis = 0; axis < d->boxes.size(); ++axis)
        d->boxes[axis]->setValue(int(index[axis]));
    const int row = d->shape.size() >= 2 ? int(index[index.size() - 2]) : 0, column = index.empty() ? 0 : int(index.back());
    d->table->setCurrentIndex(d->model->index(row, column));
}

QString TensorTable::toCsv() const
{
    QString csv;
    for (int row = 0; row < d->model->rowCount(); ++row) {
        QStringList cells;
        for (int column = 0; column < d->model->columnCount(); ++column)
            cells << QString::number(d->model->value(row, column), 'g', 9);
        csv += cells.join(QLatin1Char(',')) + QLatin1Char('\n');
    }
    return csv;
}

QString TensorTable::statisticsText() const
{
    const Statistics& s = d->statistics;
    if (s.finite + s.odd == 0)
        return tr("no values");
    const auto number = [](double value) { return QString::number(value, 'g', 5); };
    QString text = tr("%1 values, min %2, max %3, mean %4, standard deviation %5, zeros %6 %")
                       .arg(s.finite + s.odd)
                       .arg(number(s.smallest), number(s.largest), number(s.mean), number(s.deviation),
                            QString::number(100.0 * double(s.zeros) / double(s.finite + s.odd), 'f', 1));
    if (s.odd > 0)
        text += tr(", %1 not finite").arg(s.odd);
    return text;
}

}  // namespace orrery::widgets
