#include "heat_map_view.h"

#include <QAction>
#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

#include "export.h"
#include "numbers.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kScaleWidth = 14, kScaleGap = 8;
constexpr double kNarrowCell = 10;  ///< px

/// Where the parts of the picture lie.
struct Layout {
    QRectF cells, bar;
    double rowLabels = 0, columnLabels = 0;
    bool turned = false;  ///< column names stand upright
};

QString csvCell(const QString& text)
{
    return text.contains(QLatin1Char(',')) || text.contains(QLatin1Char('"'))
               ? QLatin1Char('"') + QString(text).replace(QLatin1Char('"'), QStringLiteral("\"\"")) + QLatin1Char('"')
               : text;
}

}  // namespace

struct HeatMapView::Private {
    explicit Private(HeatMapView& view) : q(view) {}

    std::size_t index(int row, int column) const { return std::size_t(row) * std::size_t(columns) + std::size_t(column); }
    double shade(int row, int column) const;
    std::pair<double, double> colorRange() const;
    const report::ColourMap& map() const { return kind == MapKind::Diverging ? report::coolwarm() : report::viridis(); }
    QColor colorOf(double value) const;
    QString text(double value) const;
    QString label(const QStringList& labels, int i) const { return i < labels.size() ? labels[i] : QString::number(i); }
    void chooseDecimals();
    Layout layout(QSize size, const QFontMetricsF& metrics) const;
    QRectF cell(const Layout& at, int row, int column) const;
    std::optional<std::pair<int, int>> cellAt(QPointF position) const;
    bool textsFit(const Layout& at, const QFontMetricsF& metrics) const;
    void paint(QPainter& painter, QSize size, const QPalette& palette) const;
    void paintCells(QPainter& painter, const Layout& at) const;
    void paintLabels(QPainter& painter, const Layout& at, const QPalette& palette) const;
    void paintBar(QPainter& painter, const Layout& at, const QPalette& palette) const;
    QString tooltip(int row, int column) const;

    HeatMapView& q;
    int rows = 0, columns = 0;
    std::vector<double> values;
    std::vector<double> rowSums, columnSums;
    QStringList rowLabels, columnLabels;
    QString rowTitle, columnTitle, valueTitle;
    MapKind kind = MapKind::Sequential;
    Normalisation normalisation = Normalisation::None;
    std::optional<double> low, high;
    std::optional<int> decimals;
    int shownDecimals = 0;
    double widestText = 0;  ///< characters
    std::optional<std::pair<int, int>> current;
    QList<QAction*> exports;
};

double HeatMapView::Private::shade(int row, int column) const
{
    const double value = values[index(row, column)];
    if (normalisation == Normalisation::None)
        return value;
    const double sum = normalisation == Normalisation::Rows ? rowSums[std::size_t(row)] : columnSums[std::size_t(column)];
    return sum == 0 ? 0 : value / sum;
}

std::pair<double, double> HeatMapView::Private::colorRange() const
{
    double smallest = std::numeric_limits<double>::infinity(), largest = -smallest;
    for (int row = 0; row < rows; ++row)
        for (int column = 0; column < columns; ++column)
            if (const double value = shade(row, column); std::isfinite(value)) {
                smallest = std::min(smallest, value);
                largest = std::max(largest, value);
            }
    if (smallest > largest)
        smallest = 0, largest = 1;
    if (normalisation != Normalisation::None)
        smallest = 0, largest = 1;
    if (kind == MapKind::Diverging) {
        largest = std::max(std::abs(smallest), std::abs(largest));
        smallest = -largest;
    }
    return {low.value_or(smallest), high.value_or(largest)};
}

QColor HeatMapView::Private::colorOf(double value) const
{
    const auto [from, to] = colorRange();
    return toQColor(map().atScaled(value, from, to));
}

/// Whole numbers without a point; else three digits that tell the largest values apart.
void HeatMapView::Private::chooseDecimals()
{
    bool whole = true;
    double largest = 0;
    for (const double value : values)
        if (std::isfinite(value)) {
            whole = whole && value == std::round(value);
            largest = std::max(largest, std::abs(value));
        }
    const int digits = largest > 0 ? 2 - int(std::floor(std::log10(largest))) : 2;
    shownDecimals = decimals.value_or(whole ? 0 : std::clamp(digits, 0, 4));
    widestText = 0;
    for (const double value : values)
        widestText = std::max(widestText, double(text(value).size()));
}

QString HeatMapView::Private::text(double value) const
{
    return std::isnan(value) ? QString() : fixedNumber(value, shownDecimals);
}

Layout HeatMapView::Private::layout(QSize size, const QFontMetricsF& metrics) const
{
    Layout at;
    const double line = metrics.height();
    double widestRow = 0, widestColumn = 0;
    for (int row = 0; row < rows; ++row)
        widestRow = std::max(widestRow, metrics.horizontalAdvance(label(rowLabels, row)));
    for (int column = 0; column < columns; ++column)
        widestColumn = std::max(widestColumn, metrics.horizontalAdvance(label(columnLabels, column)));
    at.rowLabels = std::min(widestRow, size.width() * 0.3);
    const double left = (rowTitle.isEmpty() ? 0 : line + kScaleGap / 2) + at.rowLabels + kScaleGap * 1.5;
    const double barRoom =
        kScaleWidth + kScaleGap * 2 + metrics.horizontalAdvance(QStringLiteral("-0.00e0")) + (valueTitle.isEmpty() ? 0 : line + kScaleGap / 2);
    const double width = size.width() - left - barRoom;
    at.turned = columns > 0 && widestColumn + 4 > width / columns;
    at.columnLabels = at.turned ? std::min(widestColumn, std::max(size.height() * 0.3, std::min(size.height() * 0.45, 5 * line))) : line;
    const double bottom = at.columnLabels + (columnTitle.isEmpty() ? 0 : line + kScaleGap / 2) + kScaleGap * 1.5;
    at.cells = QRectF(left, kScaleGap, std::max(1.0, width), std::max(1.0, size.height() - bottom - kScaleGap));
    // Square cells where there is room for them: a confusion matrix is read along its diagonal.
    if (rows > 0 && columns > 0) {
        const double side = std::min(at.cells.width() / columns, at.cells.height() / rows);
        if (rows == columns)
            at.cells.setSize({side * columns, side * rows});
    }
    at.bar = QRectF(at.cells.right() + kScaleGap * 1.5, at.cells.top(), kScaleWidth, at.cells.height());
    return at;
}

QRectF HeatMapView::Private::cell(const Layout& at, int row, int column) const
{
    const double w = at.cells.width() / std::max(1, columns), h = at.cells.height() / std::max(1, rows);
    return {at.cells.left() + column * w, at.cells.top() + row * h, w, h};
}

std::optional<std::pair<int, int>> HeatMapView::Private::cellAt(QPointF position) const
{
    const Layout at = layout(q.size(), QFontMetricsF(q.font()));
    if (!at.cells.contains(position) || rows == 0 || columns == 0)
        return std::nullopt;
    const int row = int((position.y() - at.cells.top()) / at.cells.height() * rows);
    const int column = int((position.x() - at.cells.left()) / at.cells.width() * columns);
    return std::pair(std::min(row, rows - 1), std::min(column, columns - 1));
}

bool HeatMapView::Private::textsFit(const Layout& at, const QFontMetricsF& metrics) const
{
    const QRectF first = cell(at, 0, 0);
    return first.height() >= metrics.height() && first.width() >= metrics.horizontalAdvance(QLatin1Char('0')) * widestText + 4;
}

void HeatMapView::Private::paint(QPainter& painter, QSize size, const QPalette& palette) const
{
    painter.fillRect(QRect(QPoint(0, 0), size), palette.color(QPalette::Base));
    painter.setFont(q.font());
    if (rows == 0 || columns == 0)
        return;
    const Layout at = layout(size, QFontMetricsF(q.font()));
    paintCells(painter, at);
    paintLabels(painter, at, palette);
    paintBar(painter, at, palette);
}

void HeatMapView::Private::paintCells(QPainter& painter, const Layout& at) const
{
    const bool texts = textsFit(at, QFontMetricsF(q.font()));
    const auto [from, to] = colorRange();
    painter.setRenderHint(QPainter::Antialiasing, false);
    for (int row = 0; row < rows; ++row)
        for (int column = 0; column < columns; ++column) {
            const QRectF rect = cell(at, row, column);
            const double value = values[index(row, column)];
            // Edges on whole pixels, so that no lines of background show between cells.
            const QRect pixels(QPoint(int(std::round(rect.left())), int(std::round(rect.top()))),
                               QPoint(int(std::round(rect.right())) - 1, int(std::round(rect.bottom())) - 1));
            const QColor color = toQColor(map().atScaled(shade(row, column), from, to));
            painter.fillRect(pixels, color);
            if (std::isnan(value))
                painter.fillRect(pixels, QBrush(textColorOn(color), Qt::BDiagPattern));
            else if (texts) {
                painter.setPen(textColorOn(color));
                painter.drawText(rect, Qt::AlignCenter, text(value));
            }
        }
}

void HeatMapView::Private::paintLabels(QPainter& painter, const Layout& at, const QPalette& palette) const
{
    const QFontMetricsF metrics(q.font());
    const double line = metrics.height();
    painter.setPen(palette.color(QPalette::Text));
    const auto every = [&](double cellSize, double needed) { return std::max(1, int(std::ceil(needed / std::max(cellSize, 0.01)))); };
    const int rowStep = every(at.cells.height() / rows, line);
    for (int row = 0; row < rows; row += rowStep) {
        const QRectF rect(at.cells.left() - kScaleGap - at.rowLabels, cell(at, row, 0).center().y() - line / 2, at.rowLabels, line);
        painter.drawText(rect, Qt::AlignRight | Qt::AlignVCenter, metrics.elidedText(label(rowLabels, row), Qt::ElideMiddle, at.rowLabels));
    }
    double widest = 0;
    for (int column = 0; column < columns; ++column)
        widest = std::max(widest, metrics.horizontalAdvance(label(columnLabels, column)));
    const int columnStep = every(at.cells.width() / columns, at.turned ? line : widest + 4);
    for (int column = 0; column < columns; column += columnStep) {
        const QString name = metrics.elidedText(label(columnLabels, column), Qt::ElideMiddle, at.turned ? at.columnLabels : 1e6);
        const double x = cell(at, 0, column).center().x(), y = at.cells.bottom() + kScaleGap / 2;
        painter.save();
        painter.translate(x, y);
        if (at.turned) {
            painter.rotate(-90);
            painter.drawText(QRectF(-at.columnLabels, -line / 2, at.columnLabels, line), Qt::AlignRight | Qt::AlignVCenter, name);
        } else {
            painter.drawText(QRectF(-widest, 0, 2 * widest, line), Qt::AlignHCenter | Qt::AlignTop, name);
        }
        painter.restore();
    }
    painter.drawText(QRectF(at.cells.left(), at.cells.bottom() + kScaleGap / 2 + at.columnLabels + kScaleGap / 2, at.cells.width(), line),
                     Qt::AlignCenter, columnTitle);
    if (rowTitle.isEmpty())
        return;
    painter.save();
    painter.translate(at.cells.left() - kScaleGap * 1.5 - at.rowLabels - line / 2, at.cells.center().y());
    painter.rotate(-90);
    painter.drawText(QRectF(-at.cells.height(), -line / 2, 2 * at.cells.height(), line), Qt::AlignCenter, rowTitle);
    painter.restore();
}

void HeatMapView::Private::paintBar(QPainter& painter, const Layout& at, const QPalette& palette) const
{
    const auto [from, to] = colorRange();
    const int steps = std::max(2, int(at.bar.height()));
    painter.setRenderHint(QPainter::Antialiasing, false);
    for (int i = 0; i < steps; ++i) {
        const double share = 1.0 - (i + 0.5) / steps;
        painter.fillRect(QRectF(at.bar.left(), at.bar.top() + i * at.bar.height() / steps, at.bar.width(), at.bar.height() / steps + 1),
                         toQColor(map().at(share)));
    }
    painter.setPen(palette.color(QPalette::Text));
    const double line = QFontMetricsF(q.font()).height();
    for (const double share : {0.0, 0.5, 1.0}) {
        const double y =
            std::clamp(at.bar.bottom() - share * at.bar.height() - line / 2, at.bar.top(), std::max(at.bar.top(), at.bar.bottom() - line));
        painter.drawText(QRectF(at.bar.right() + 4, y, 90, line), Qt::AlignLeft | Qt::AlignVCenter, shownNumber(from + share * (to - from), 3));
    }
    if (valueTitle.isEmpty())
        return;
    painter.save();
    painter.translate(at.bar.right() + 4 + QFontMetricsF(q.font()).horizontalAdvance(QStringLiteral("-0.00e0")) + line / 2, at.bar.center().y());
    painter.rotate(-90);
    painter.drawText(QRectF(-at.bar.height() / 2, -line / 2, at.bar.height(), line), Qt::AlignCenter,
                     QFontMetricsF(q.font()).elidedText(valueTitle, Qt::ElideRight, at.bar.height()));
    painter.restore();
}

QString HeatMapView::Private::tooltip(int row, int column) const
{
    const QString rowName = (rowTitle.isEmpty() ? tr("row") : rowTitle) + QLatin1Char(' ') + label(rowLabels, row);
    const QString columnName = (columnTitle.isEmpty() ? tr("column") : columnTitle) + QLatin1Char(' ') + label(columnLabels, column);
    QString out =
        rowName + QStringLiteral(", ") + columnName + QStringLiteral(": ") + QString::fromStdString(core::formatNumber(values[index(row, column)]));
    if (normalisation != Normalisation::None)
        out += QStringLiteral(" (%1 %)").arg(100 * shade(row, column), 0, 'f', 1);
    return out;
}

HeatMapView::HeatMapView(QWidget* parent) : QWidget(parent), d(std::make_unique<Private>(*this))
{
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
    d->exports = makeExportActions(
        this, [this](const QString& file) { exportTo(file); }, [this] { return toCsv(); });
}

HeatMapView::~HeatMapView() = default;

void HeatMapView::setMatrix(std::vector<double> values, int rows, int columns)
{
    if (rows < 0 || columns < 0 || values.size() != std::size_t(rows) * std::size_t(columns))
        throw core::ShapeError(fmt::format("expected {} values for [{}, {}], got {}", std::int64_t(rows) * columns, rows, columns, values.size()));
    d->values = std::move(values);
    d->rows = rows;
    d->columns = columns;
    d->rowSums.assign(std::size_t(rows), 0);
    d->columnSums.assign(std::size_t(columns), 0);
    for (int row = 0; row < rows; ++row)
        for (int column = 0; column < columns; ++column)
            if (const double value = d->values[d->index(row, column)]; std::isfinite(value)) {
                d->rowSums[std::size_t(row)] += value;
                d->columnSums[std::size_t(column)] += value;
            }
    if (d->current && (d->current->first >= rows || d->current->second >= columns))
        d->current.reset();
    d->chooseDecimals();
    update();
}

void HeatMapView::setLabels(const QStringList& rows, const QStringList& columns)
{
    d->rowLabels = rows;
    d->columnLabels = columns;
    update();
}

void HeatMapView::setAxisTitles(const QString& rows, const QString& columns)
{
    d->rowTitle = rows;
    d->columnTitle = columns;
    update();
}

void HeatMapView::setValueTitle(const QString& title)
{
    d->valueTitle = title;
    update();
}

QString HeatMapView::valueTitle() const
{
    return d->valueTitle;
}

void HeatMapView::setMapKind(MapKind kind)
{
    d->kind = kind;
    update();
}

void HeatMapView::setNormalisation(Normalisation normalisation)
{
    d->normalisation = normalisation;
    update();
}

void HeatMapView::setColorRange(std::optional<double> low, std::optional<double> high)
{
    d->low = low;
    d->high = high;
    update();
}

void HeatMapView::setDecimals(std::optional<int> decimals)
{
    d->decimals = decimals;
    d->chooseDecimals();
    update();
}

int HeatMapView::rows() const
{
    return d->rows;
}
int HeatMapView::columns() const
{
    return d->columns;
}
double HeatMapView::value(int row, int column) const
{
    return d->values.at(d->index(row, column));
}

QString HeatMapView::cellText(int row, int column) const
{
    const QFontMetricsF metrics(font());
    return d->textsFit(d->layout(size(), metrics), metrics) ? d->text(value(row, column)) : QString();
}

QColor HeatMapView::cellColor(int row, int column) const
{
    return d->colorOf(d->shade(row, column));
}
QRectF HeatMapView::cellRect(int row, int column) const
{
    return d->cell(d->layout(size(), QFontMetricsF(font())), row, column);
}
std::optional<std::pair<int, int>> HeatMapView::currentCell() const
{
    return d->current;
}

void HeatMapView::setCurrentCell(int row, int column)
{
    if (row < 0 || column < 0 || row >= d->rows || column >= d->columns || d->current == std::pair(row, column))
        return;
    d->current = std::pair(row, column);
    setAccessibleDescription(d->tooltip(row, column));
    update();
    Q_EMIT currentCellChanged(row, column);
}

void HeatMapView::exportTo(const QString& file, QSize size) const
{
    exportPainted(
        file, size.isEmpty() ? this->size() : size,
        [this](QPainter& painter, QSize wanted, const QPalette& palette) { d->paint(painter, wanted, palette); }, [this] { return toCsv(); });
}

QString HeatMapView::toCsv() const
{
    QString csv = csvCell(d->rowTitle.isEmpty() && d->columnTitle.isEmpty() ? QString() : d->rowTitle + QStringLiteral(" / ") + d->columnTitle);
    for (int column = 0; column < d->columns; ++column)
        csv += QLatin1Char(',') + csvCell(d->label(d->columnLabels, column));
    csv += QLatin1Char('\n');
    for (int row = 0; row < d->rows; ++row) {
        csv += csvCell(d->label(d->rowLabels, row));
        for (int column = 0; column < d->columns; ++column)
            csv += QLatin1Char(',') + QString::fromStdString(core::formatNumber(value(row, column)));
        csv += QLatin1Char('\n');
    }
    return csv;
}

QList<QAction*> HeatMapView::exportActions() const
{
    return d->exports;
}

void HeatMapView::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    d->paint(painter, size(), palette());
    if (!d->current)
        return;
    const QRectF rect = cellRect(d->current->first, d->current->second);
    if (std::min(rect.width(), rect.height()) < kNarrowCell) {  // a frame inside would cover it
        painter.setPen(QPen(palette().color(QPalette::Base), 1));
        painter.drawRect(rect.adjusted(-3, -3, 2, 2));
        painter.setPen(QPen(palette().color(QPalette::Text), hasFocus() ? 2 : 1));
        painter.drawRect(rect.adjusted(-2, -2, 1, 1));
        return;
    }
    painter.setPen(QPen(textColorOn(cellColor(d->current->first, d->current->second)), hasFocus() ? 2 : 1));
    painter.drawRect(rect.adjusted(1, 1, -1.5, -1.5));
}

void HeatMapView::mousePressEvent(QMouseEvent* event)
{
    const auto cell = d->cellAt(event->position());
    if (!cell || event->button() != Qt::LeftButton)
        return QWidget::mousePressEvent(event);
    setCurrentCell(cell->first, cell->second);
    Q_EMIT cellClicked(cell->first, cell->second);
}

void HeatMapView::keyPressEvent(QKeyEvent* event)
{
    const auto [row, column] = d->current.value_or(std::pair(0, 0));
    switch (event->key()) {
    case Qt::Key_Left: return setCurrentCell(row, column - 1);
    case Qt::Key_Right: return setCurrentCell(row, column + 1);
    case Qt::Key_Up: return setCurrentCell(row - 1, column);
    case Qt::Key_Down: return setCurrentCell(row + 1, column);
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
        if (d->current)
            Q_EMIT cellClicked(row, column);
        return;
    default: QWidget::keyPressEvent(event);
    }
}

bool HeatMapView::event(QEvent* event)
{
    if (event->type() == QEvent::ToolTip) {
        auto* help = static_cast<QHelpEvent*>(event);
        const auto cell = d->cellAt(help->pos());
        QToolTip::showText(help->globalPos(), cell ? d->tooltip(cell->first, cell->second) : QString(), this);
        return true;
    }
    return QWidget::event(event);
}

void HeatMapView::contextMenuEvent(QContextMenuEvent* event)
{
    QMenu menu(this);
    menu.addActions(d->exports);
    menu.exec(event->globalPos());
}

}  // namespace orrery::widgets
