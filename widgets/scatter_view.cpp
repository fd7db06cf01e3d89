#include "scatter_view.h"

#include <QAction>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include <core/base/error.h>

#include "export.h"
#include "scatter_markers.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kScatterMargin = 12, kReach = 6;

double axisLow(const std::vector<double>& values)
{
    double low = std::numeric_limits<double>::infinity();
    for (const double value : values)
        if (std::isfinite(value))
            low = std::min(low, value);
    return low;
}

double axisHigh(const std::vector<double>& values)
{
    double high = -std::numeric_limits<double>::infinity();
    for (const double value : values)
        if (std::isfinite(value))
            high = std::max(high, value);
    return high;
}

// All points with a little room; a square around a single one.
QRectF rangeOf(const std::vector<double>& x, const std::vector<double>& y)
{
    const double left = axisLow(x), right = axisHigh(x), bottom = axisLow(y), top = axisHigh(y);
    if (!(right >= left) || !(top >= bottom))
        return {-1, -1, 2, 2};
    const double width = right > left ? right - left : 2, height = top > bottom ? top - bottom : 2;
    const QPointF centre((left + right) / 2, (bottom + top) / 2);
    return {centre.x() - width * 0.53, centre.y() - height * 0.53, width * 1.06, height * 1.06};
}

}  // namespace

struct ScatterView::Private {
    std::vector<double> x, y;
    MarkerColours colours;
    QString xTitle, yTitle;
    std::vector<bool> isSelected;
    QRectF range{-1, -1, 2, 2};
    std::function<QString(int)> toolTip;
    QList<QAction*> exports;
    QPixmap picture;  ///< of all points, for the size and range now; null: to be painted
    std::optional<QPointF> bandFrom, panFrom;
    QPointF bandTo;
    int current = -1;

    QRectF plotArea(QSize size, const QFontMetrics& metrics) const
    {
        const double line = metrics.height(), legend = legendWidth(colours, metrics, size.width());
        return {kScatterMargin + line, kScatterMargin, std::max(10.0, size.width() - 2 * kScatterMargin - line - legend),
                std::max(10.0, size.height() - 2 * kScatterMargin - line)};
    }
    QPointF toPixel(int index, const QRectF& area) const
    {
        return {area.left() + (x[std::size_t(index)] - range.left()) / range.width() * area.width(),
                area.bottom() - (y[std::size_t(index)] - range.top()) / range.height() * area.height()};
    }
    bool isDrawn(int index) const { return std::isfinite(x[std::size_t(index)]) && std::isfinite(y[std::size_t(index)]); }
    void paintPoints(QPainter& painter, QSize size, const QPalette& palette, const QFontMetrics& metrics) const;
    void paintSelected(QPainter& painter, QSize size, const QPalette& palette, const QFontMetrics& metrics) const;
};

void ScatterView::Private::paintPoints(QPainter& painter, QSize size, const QPalette& palette, const QFontMetrics& metrics) const
{
    const QRectF area = plotArea(size, metrics);
    painter.fillRect(QRect(QPoint(), size), palette.base());
    painter.setPen(themeColors(palette).axisLine);
    painter.drawRect(area);
    painter.setPen(palette.text().color());
    painter.drawText(QRectF(area.left(), area.bottom() + 2, area.width(), metrics.height() + 2), Qt::AlignHCenter | Qt::AlignTop, xTitle);
    painter.save();
    painter.translate(area.left() - 4, area.center().y());
    painter.rotate(-90);
    painter.drawText(QRectF(-area.height() / 2, -metrics.height() - 2, area.height(), metrics.height() + 2), Qt::AlignHCenter | Qt::AlignBottom,
                     yTitle);
    painter.restore();
    const QRectF legend(area.right() + kScatterMargin, area.top(), size.width() - area.right() - kScatterMargin, area.height());
    paintLegend(painter, legend, colours, palette, metrics);
    painter.setClipRect(area.adjusted(-1, -1, 1, 1));
    painter.setRenderHint(QPainter::Antialiasing);
    MarkerStamps stamps(isDark(palette), colours, x.size() > 3000 ? 3.0 : 4.0);
    for (int i = 0; i < int(x.size()); ++i)
        if (isDrawn(i))
            stamps.draw(painter, toPixel(i, area), i);
    painter.setClipping(false);
}

// The others step back, the selected ones stand out: drawn again, larger, with a ring in the text's colour.
void ScatterView::Private::paintSelected(QPainter& painter, QSize size, const QPalette& palette, const QFontMetrics& metrics) const
{
    if (std::none_of(isSelected.begin(), isSelected.end(), [](bool is) { return is; }))
        return;
    const QRectF area = plotArea(size, metrics);
    painter.save();
    painter.setClipRect(area.adjusted(-1, -1, 1, 1));
    QColor veil = palette.base().color();
    veil.setAlpha(150);
    painter.fillRect(area.adjusted(1, 1, 0, 0), veil);
    painter.setRenderHint(QPainter::Antialiasing);
    MarkerStamps stamps(isDark(palette), colours, 5.0);
    for (int i = 0; i < int(x.size()); ++i) {
        if (!isSelected[std::size_t(i)] || !isDrawn(i))
            continue;
        const QPointF at = toPixel(i, area);
        stamps.draw(painter, at, i);
        painter.setPen(QPen(palette.text().color(), 1.5));
        painter.setBrush(Qt::NoBrush);
        painter.drawEllipse(at, 7.5, 7.5);
    }
    painter.restore();
}

ScatterView::ScatterView(QWidget* parent) : QWidget(parent), d(std::make_unique<Private>())
{
    setFocusPolicy(Qt::StrongFocus);
    setAccessibleName(tr("Scatter plot"));
    d->exports = makeExportActions(
        this, [this](const QString& file) { exportTo(file); }, [this] { return toCsv(); });
}

ScatterView::~ScatterView() = default;

void ScatterView::setPoints(std::vector<double> x, std::vector<double> y)
{
    if (x.size() != y.size())
        throw core::ShapeError(fmt::format("scatter: expected as many y as x, got {} and {}", y.size(), x.size()));
    if (x.size() != d->x.size()) {
        d->isSelected.assign(x.size(), false);
        d->colours = {};
        d->current = -1;
    }
    d->x = std::move(x);
    d->y = std::move(y);
    d->range = rangeOf(d->x, d->y);
    d->picture = {};
    update();
}

int ScatterView::count() const
{
    return int(d->x.size());
}

QPointF ScatterView::point(int index) const
{
    return {d->x.at(std::size_t(index)), d->y.at(std::size_t(index))};
}

void ScatterView::setAxisTitles(const QString& x, const QString& y)
{
    d->xTitle = x;
    d->yTitle = y;
    d->picture = {};
    update();
}

void ScatterView::setCategories(std::vector<int> categories, const QStringList& names, const QString& title)
{
    if (categories.size() != d->x.size())
        throw core::ShapeError(fmt::format("scatter: expected {} categories, got {}", d->x.size(), categories.size()));
    d->colours = {std::move(categories), names, {}, title, 0, 0};
    d->picture = {};
    update();
}

void ScatterView::setNumbers(std::vector<double> numbers, const QString& title)
{
    if (numbers.size() != d->x.size())
        throw core::ShapeError(fmt::format("scatter: expected {} numbers, got {}", d->x.size(), numbers.size()));
    const double low = axisLow(numbers), high = axisHigh(numbers);
    d->colours = {{}, {}, std::move(numbers), title, low, high};
    d->picture = {};
    update();
}

void ScatterView::clearColours()
{
    d->colours = {};
    d->picture = {};
    update();
}

QColor ScatterView::pointColour(int index) const
{
    return markerColour(d->colours, index, isDark(palette()));
}

QStringList ScatterView::legend() const
{
    return legendNames(d->colours);
}

QList<int> ScatterView::selected() const
{
    QList<int> out;
    for (std::size_t i = 0; i < d->isSelected.size(); ++i)
        if (d->isSelected[i])
            out << int(i);
    return out;
}

void ScatterView::setSelected(const QList<int>& indices)
{
    d->isSelected.assign(d->x.size(), false);
    for (const int index : indices)
        if (index >= 0 && index < count())
            d->isSelected[std::size_t(index)] = true;
    update();
}

void ScatterView::select(const QList<int>& indices)
{
    setSelected(indices);
    Q_EMIT selectionChanged(selected());
}

void ScatterView::setToolTipText(std::function<QString(int)> text)
{
    d->toolTip = std::move(text);
}

QPointF ScatterView::toPixel(int index) const
{
    return d->toPixel(index, d->plotArea(size(), fontMetrics()));
}

std::optional<int> ScatterView::pointAt(QPointF position) const
{
    const QRectF area = d->plotArea(size(), fontMetrics());
    std::optional<int> nearest;
    double best = kReach * kReach;
    for (int i = 0; i < count(); ++i) {
        if (!d->isDrawn(i))
            continue;
        const QPointF difference = d->toPixel(i, area) - position;
        const double square = QPointF::dotProduct(difference, difference);
        if (square <= best) {
            best = square;
            nearest = i;
        }
    }
    return nearest;
}

void ScatterView::showAll()
{
    d->range = rangeOf(d->x, d->y);
    d->picture = {};
    update();
}

void ScatterView::exportTo(const QString& file, QSize size) const
{
    exportPainted(
        file, size.isEmpty() ? this->size() : size,
        [this](QPainter& painter, QSize wanted, const QPalette& palette) {
            d->paintPoints(painter, wanted, palette, QFontMetrics(painter.font()));
            d->paintSelected(painter, wanted, palette, QFontMetrics(painter.font()));
        },
        [this] { return toCsv(); });
}

QString ScatterView::toCsv() const
{
    const auto& colours = d->colours;
    const auto quoted = [](QString text) { return QLatin1Char('"') + text.replace(QLatin1Char('"'), QStringLiteral("\"\"")) + QLatin1Char('"'); };
    QString csv = QStringLiteral("point,x,y,selected,%1\n").arg(quoted(colours.title.isEmpty() ? QStringLiteral("colour") : colours.title));
    for (int i = 0; i < count(); ++i) {
        const auto at = std::size_t(i);
        QString colour;
        if (!colours.numbers.empty())
            colour = QString::number(colours.numbers[at], 'g', 17);
        else if (!colours.categories.empty() && colours.categories[at] >= 0)
            colour = quoted(colours.names.value(colours.categories[at]));
        csv +=
            QStringLiteral("%1,%2,%3,%4,%5\n").arg(i).arg(d->x[at], 0, 'g', 17).arg(d->y[at], 0, 'g', 17).arg(d->isSelected[at] ? 1 : 0).arg(colour);
    }
    return csv;
}

QList<QAction*> ScatterView::exportActions() const
{
    return d->exports;
}

void ScatterView::paintEvent(QPaintEvent*)
{
    const double ratio = devicePixelRatioF();
    if (d->picture.isNull() || d->picture.size() != (QSizeF(size()) * ratio).toSize()) {
        d->picture = QPixmap((QSizeF(size()) * ratio).toSize());
        d->picture.setDevicePixelRatio(ratio);
        QPainter inner(&d->picture);
        inner.setFont(font());
        d->paintPoints(inner, size(), palette(), fontMetrics());
    }
    QPainter painter(this);
    painter.drawPixmap(0, 0, d->picture);
    d->paintSelected(painter, size(), palette(), fontMetrics());
    if (d->bandFrom) {
        QColor fill = palette().highlight().color();
        painter.setPen(fill);
        fill.setAlpha(50);
        painter.setBrush(fill);
        painter.drawRect(QRectF(*d->bandFrom, d->bandTo).normalized());
    }
    if (hasFocus()) {
        painter.setBrush(Qt::NoBrush);
        painter.setPen(palette().highlight().color());
        painter.drawRect(rect().adjusted(0, 0, -1, -1));
    }
}

void ScatterView::mousePressEvent(QMouseEvent* event)
{
    if (event->button() == Qt::MiddleButton)
        d->panFrom = event->position();
    if (event->button() == Qt::LeftButton) {
        d->bandFrom = event->position();
        d->bandTo = event->position();
    }
}

void ScatterView::mouseMoveEvent(QMouseEvent* event)
{
    if (d->panFrom) {
        const QRectF area = d->plotArea(size(), fontMetrics());
        const QPointF moved = event->position() - *d->panFrom;
        d->range.translate(-moved.x() / area.width() * d->range.width(), moved.y() / area.height() * d->range.height());
        d->panFrom = event->position();
        d->picture = {};
    }
    if (d->bandFrom)
        d->bandTo = event->position();
    update();
}

void ScatterView::mouseReleaseEvent(QMouseEvent* event)
{
    if (event->button() == Qt::MiddleButton)
        d->panFrom.reset();
    if (event->button() != Qt::LeftButton || !d->bandFrom)
        return;
    const QRectF band = QRectF(*d->bandFrom, event->position()).normalized();
    d->bandFrom.reset();
    QList<int> found = event->modifiers() & Qt::ShiftModifier ? selected() : QList<int>();
    if (band.width() < 4 && band.height() < 4) {
        if (const auto hit = pointAt(event->position())) {
            found << *hit;
            d->current = *hit;
        }
    } else {
        const QRectF area = d->plotArea(size(), fontMetrics());
        for (int i = 0; i < count(); ++i)
            if (d->isDrawn(i) && band.contains(d->toPixel(i, area)))
                found << i;
    }
    select(found);
}

void ScatterView::mouseDoubleClickEvent(QMouseEvent* event)
{
    if (const auto hit = pointAt(event->position()))
        Q_EMIT pointActivated(*hit);
}

void ScatterView::zoom(double factor, QPointF around)
{
    const QRectF area = d->plotArea(size(), fontMetrics());
    const double x = d->range.left() + (around.x() - area.left()) / area.width() * d->range.width();
    const double y = d->range.top() + (area.bottom() - around.y()) / area.height() * d->range.height();
    d->range = QRectF(x - (x - d->range.left()) * factor, y - (y - d->range.top()) * factor, d->range.width() * factor, d->range.height() * factor);
    d->picture = {};
    update();
}

void ScatterView::wheelEvent(QWheelEvent* event)
{
    zoom(std::pow(0.999, event->angleDelta().y()), event->position());
    event->accept();
}

void ScatterView::step(int change)
{
    if (count() == 0)
        return;
    const auto chosen = selected();
    const int from = d->current >= 0 && d->current < count() ? d->current : chosen.isEmpty() ? (change > 0 ? -1 : count()) : chosen.front();
    d->current = std::clamp(from + change, 0, count() - 1);
    select({d->current});
}

void ScatterView::keyPressEvent(QKeyEvent* event)
{
    const QPointF centre = d->plotArea(size(), fontMetrics()).center();
    QList<int> all;
    switch (event->key()) {
    case Qt::Key_Left: return step(-1);
    case Qt::Key_Right: return step(1);
    case Qt::Key_Plus: return zoom(0.8, centre);
    case Qt::Key_Minus: return zoom(1.25, centre);
    case Qt::Key_Home: return showAll();
    case Qt::Key_Escape: d->bandFrom.reset(); return select({});
    case Qt::Key_Return:
    case Qt::Key_Enter:
        if (d->current >= 0)
            Q_EMIT pointActivated(d->current);
        return;
    case Qt::Key_A:
        if (event->modifiers() & Qt::ControlModifier) {
            for (int i = 0; i < count(); ++i)
                all << i;
            return select(all);
        }
        break;
    default: break;
    }
    QWidget::keyPressEvent(event);
}

void ScatterView::changeEvent(QEvent* event)
{
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
        d->picture = {};
        update();
    }
    QWidget::changeEvent(event);
}

bool ScatterView::event(QEvent* event)
{
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const auto hit = pointAt(help->pos());
        const QString text = hit && d->toolTip ? d->toolTip(*hit) : QString();
        text.isEmpty() ? QToolTip::hideText() : QToolTip::showText(help->globalPos(), text, this);
        return true;
    }
    return QWidget::event(event);
}

void ScatterView::contextMenuEvent(QContextMenuEvent* event)
{
    QMenu menu;
    menu.addActions(d->exports);
    menu.exec(event->globalPos());
}

}  // namespace orrery::widgets
