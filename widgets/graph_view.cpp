#include "graph_view.h"

#include <QPainter>
#include <algorithm>
#include <cmath>

#include "export.h"
#include "graph_view_private.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kLargest = 4, kFitMargin = 16, kMapSide = 150, kMapMargin = 10;

QString graphCsvField(QString text)
{
    return QLatin1Char('"') + text.replace(QLatin1Char('"'), QStringLiteral("\"\"")) + QLatin1Char('"');
}

}  // namespace

GraphView::GraphView(Session& session, QWidget* parent) : QWidget(parent), d(std::make_unique<Private>(*this, session))
{
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(false);
    setAccessibleName(tr("Graph"));
    setAttribute(Qt::WA_OpaquePaintEvent);
    d->exports = makeExportActions(
        this, [this](const QString& file) { exportTo(file); }, [this] { return toCsv(); });
    d->makeActions();
}

GraphView::~GraphView() = default;

const GraphContentPtr& GraphView::content() const
{
    return d->scene.content;
}

void GraphView::setColours(GraphColours colours)
{
    d->scene.colours = std::move(colours);
    d->map = {};
    d->changed();
}

const GraphColours& GraphView::colours() const
{
    return d->scene.colours;
}

int GraphView::current() const
{
    return d->scene.current;
}

double GraphView::zoom() const
{
    return d->scale;
}

void GraphView::Private::fit()
{
    const QRectF bounds = scene.bounds();
    if (bounds.isEmpty())
        return;
    scale = std::min({(q.width() - 2 * kFitMargin) / bounds.width(), (q.height() - 2 * kFitMargin) / bounds.height(), 1.2});
    scale = std::max(scale, 1e-3);
    origin = bounds.center() - QPointF(q.width(), q.height()) / 2 / scale;
}

/// All of it, or the start of it where all would be too small to read.
void GraphView::Private::fitReadable()
{
    constexpr double kReadable = 0.62;
    fit();
    if (scale >= kReadable || scene.isEmpty())
        return;
    const QRectF bounds = scene.bounds();
    const double across = (q.width() - 2 * kFitMargin) / bounds.width();
    scale = std::clamp(across, 0.35, kReadable);
    origin = QPointF(bounds.center().x() - q.width() / 2 / scale, -kFitMargin / scale);
    const QRectF first = scene.rectOf(scene.picture->items.front().item);
    if (across < 0.35)  // too wide as well: about the first box
        origin.setX(first.center().x() - q.width() / 2 / scale);
}

/// Some of the picture stays in view, and what fits stays in as a whole.
void GraphView::Private::clampOrigin()
{
    const QRectF bounds = scene.bounds();
    if (bounds.isEmpty())
        return;
    const auto clamped = [](double at, double from, double to, double seen) {
        const double room = std::min(to - from, seen) * 0.75;
        return std::clamp(at, from - seen + room, std::max(from - seen + room, to - room));
    };
    origin = {clamped(origin.x(), bounds.left(), bounds.right(), q.width() / scale),
              clamped(origin.y(), bounds.top(), bounds.bottom(), q.height() / scale)};
}

void GraphView::zoomBy(double factor, QPointF about)
{
    const QPointF fixed = d->toPoint(about);
    const QRectF bounds = d->scene.bounds();
    const double smallest = bounds.isEmpty() ? 0.01 : std::min({width() / bounds.width(), height() / bounds.height(), 1.0}) * 0.6;
    d->scale = std::clamp(d->scale * factor, smallest, kLargest);
    d->origin = fixed - about / d->scale;
    d->fitted = false;
    d->clampOrigin();
    update();
}

void GraphView::showAll()
{
    d->fit();
    d->fitted = false;
    update();
}

void GraphView::Private::centreOn(int item)
{
    const QRectF rect = scene.rectOf(item);
    if (rect.isNull())
        return;
    if (scale < 0.5)
        scale = 0.8;
    origin =
        QPointF(rect.center().x(), std::min(rect.center().y(), rect.top() + q.height() / scale / 3)) - QPointF(q.width(), q.height()) / 2 / scale;
    fitted = false;
    clampOrigin();
    q.update();
}

void GraphView::Private::bringIntoView(int item)
{
    const QRectF rect = toPixels(scene.rectOf(item));
    const QRectF inside = QRectF(q.rect()).adjusted(12, 12, -12, -12);
    if (rect.isNull() || scale < 0.3)
        return centreOn(item);
    if (rect.width() > inside.width() || rect.height() > inside.height())
        return inside.intersects(rect) ? void() : centreOn(item);
    QPointF move;
    if (rect.left() < inside.left() || rect.right() > inside.right())
        move.setX(rect.left() < inside.left() ? rect.left() - inside.left() : rect.right() - inside.right());
    if (rect.top() < inside.top() || rect.bottom() > inside.bottom())
        move.setY(rect.top() < inside.top() ? rect.top() - inside.top() : rect.bottom() - inside.bottom());
    if (move.isNull())
        return;
    if (std::abs(move.x()) > q.width() || std::abs(move.y()) > q.height())
        return centreOn(item);
    origin += move / scale;
    fitted = false;
    q.update();
}

QRectF GraphView::itemRect(int item) const
{
    const QRectF rect = d->scene.rectOf(item);
    return rect.isNull() ? rect : d->toPixels(rect);
}

int GraphView::itemAt(QPointF position) const
{
    return d->scene.itemAt(d->toPoint(position));
}

QRectF GraphView::Private::mapArea() const
{
    const QRectF bounds = scene.bounds();
    const QRectF seen(origin, QSizeF(q.size()) / scale);
    if (bounds.isEmpty() || seen.contains(bounds) || q.width() < 320 || q.height() < 240)
        return {};
    const double factor = std::min(kMapSide / bounds.width(), kMapSide * 1.4 / bounds.height());
    const QSizeF size(std::max(24.0, bounds.width() * factor), std::max(24.0, bounds.height() * factor));
    return {QPointF(q.width() - size.width() - kMapMargin, q.height() - size.height() - kMapMargin), size};
}

QRectF GraphView::mapRect() const
{
    return d->mapArea();
}

void GraphView::Private::paintMap(QPainter& painter)
{
    const QRectF area = mapArea();
    if (area.isNull())
        return;
    const double ratio = q.devicePixelRatioF();
    const QRectF bounds = scene.bounds();
    if (map.isNull()) {
        map = QPixmap((area.size() * ratio).toSize());
        map.setDevicePixelRatio(ratio);
        map.fill(q.palette().base().color());
        QPainter inner(&map);
        inner.scale(area.width() / bounds.width(), area.height() / bounds.height());
        GraphScene plain = scene;
        plain.current = -1;
        plain.litRoute.clear();
        paintGraph(inner, plain, bounds, std::min(0.1, area.width() / bounds.width()), q.font(), q.palette());
    }
    painter.drawPixmap(area.topLeft(), map);
    painter.setBrush(Qt::NoBrush);
    painter.setPen(themeColors(q.palette()).axisLine);
    painter.drawRect(area);
    const QRectF seen = QRectF(origin, QSizeF(q.size()) / scale).intersected(bounds);
    const double across = area.width() / bounds.width(), down = area.height() / bounds.height();
    painter.setPen(QPen(q.palette().highlight().color(), 2));
    painter.drawRect(QRectF(area.left() + seen.left() * across, area.top() + seen.top() * down, seen.width() * across, seen.height() * down));
}

/// What is drawn is no longer what is meant; only moving and zooming go without this.
void GraphView::Private::changed()
{
    shown = {};
    q.update();
}

/// @param pixels  The part of `shown` that is painted anew.
void GraphView::Private::paintShown(const QRectF& pixels)
{
    QPainter painter(&shown);
    painter.setClipRect(pixels);
    painter.fillRect(pixels, q.palette().base());
    painter.scale(scale, scale);
    painter.translate(-origin);
    paintGraph(painter, scene, {toPoint(pixels.topLeft()), pixels.size() / scale}, scale, q.font(), q.palette());
}

/// Brings `shown` up to date. Moved by whole pixels it is shifted, and only what comes in at the edges is painted: ten thousand boxes follow the mouse.
void GraphView::Private::refreshShown()
{
    const double ratio = q.devicePixelRatioF();
    const QSize size = (QSizeF(q.size()) * ratio).toSize();
    const QPointF move = (shownOrigin - origin) * scale * ratio, whole(std::round(move.x()), std::round(move.y()));
    const bool isShifted = !shown.isNull() && shown.size() == size && shownScale == scale && (move - whole).manhattanLength() < 1e-3 &&
                           std::abs(whole.x()) < size.width() && std::abs(whole.y()) < size.height();
    if (!isShifted) {
        shownOrigin = origin;
        shownScale = scale;
        shown = QPixmap(size);
        shown.setDevicePixelRatio(ratio);
        return paintShown(QRectF(q.rect()));
    }
    QRegion exposed;
    shownOrigin -= whole / (scale * ratio);
    if (!whole.isNull())
        shown.scroll(int(whole.x()), int(whole.y()), QRect(QPoint(), size), &exposed);
    for (const QRect& part : exposed)
        paintShown({QPointF(part.topLeft()) / ratio, QSizeF(part.size()) / ratio});
}

void GraphView::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    if (d->scene.isEmpty()) {
        painter.fillRect(rect(), palette().base());
        painter.setPen(themeColors(palette()).mutedText);
        if (d->scene.content && isIdle())
            painter.drawText(rect(), Qt::AlignCenter, tr("The graph is empty."));
        else if (d->scene.content)
            painter.drawText(rect(), Qt::AlignCenter, tr("Laying out the graph…"));
        return;
    }
    d->refreshShown();
    painter.drawPixmap(0, 0, d->shown);
    if (width() >= 320 && height() >= 240)
        paintGraphLegend(&painter, {kMapMargin, height() - kMapMargin - paintGraphLegend(nullptr, {}, d->scene.colours, font(), palette()).height()},
                         d->scene.colours, font(), palette());
    d->paintMap(painter);
    if (hasFocus()) {
        painter.setBrush(Qt::NoBrush);
        painter.setPen(palette().highlight().color());
        painter.drawRect(rect().adjusted(0, 0, -1, -1));
    }
}

void GraphView::resizeEvent(QResizeEvent*)
{
    if (d->fitted)
        d->fitReadable();
    d->clampOrigin();
    d->map = {};
}

void GraphView::changeEvent(QEvent* event)
{
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
        d->map = {};
        d->changed();
    }
    QWidget::changeEvent(event);
}

void GraphView::exportTo(const QString& file, QSize size) const
{
    const QRectF bounds = d->scene.bounds();
    constexpr double kPixelsAtMost = 12000;  // a picture of a very tall graph is still one
    const double factor = std::min({1.0, kPixelsAtMost / std::max(1.0, bounds.width()), kPixelsAtMost / std::max(1.0, bounds.height())});
    const QSizeF legend = paintGraphLegend(nullptr, {}, d->scene.colours, font(), palette());
    const QSize whole =
        size.isEmpty() ? (QSizeF(std::max(bounds.width() * factor, legend.width()), bounds.height() * factor + legend.height() + kFitMargin)).toSize()
                       : size;
    exportPainted(
        file, whole,
        [&](QPainter& painter, QSize wanted, const QPalette& light) {
            const double scale = std::min(wanted.width() / std::max(1.0, bounds.width()),
                                          (wanted.height() - legend.height() - kFitMargin) / std::max(1.0, bounds.height()));
            painter.fillRect(QRect(QPoint(), wanted), light.base());
            painter.save();
            painter.scale(scale, scale);
            GraphScene plain = d->scene;
            plain.current = -1;
            plain.litRoute.clear();
            paintGraph(painter, plain, bounds, scale, font(), light);
            painter.restore();
            paintGraphLegend(&painter, {0, wanted.height() - legend.height()}, d->scene.colours, font(), light);
        },
        [this] { return toCsv(); });
}

QString GraphView::toCsv() const
{
    QString csv = QStringLiteral("path,title,type,shape,open,left,top,width,height,%1\n").arg(graphCsvField(d->scene.colours.title));
    if (!d->scene.picture)
        return csv;
    for (const auto& placed : d->scene.picture->items) {
        const auto& item = d->scene.content->tree->item(placed.item);
        const auto& text = d->scene.content->texts[std::size_t(placed.item)];
        const auto& colours = d->scene.colours;
        QString colour;
        if (colours.kind == GraphColours::Kind::Numbers && std::size_t(placed.item) < colours.numbers.size())
            colour = QString::number(colours.numbers[std::size_t(placed.item)], 'g', 17);
        else if (std::size_t(placed.item) < colours.families.size() && colours.families[std::size_t(placed.item)] >= 0)
            colour = graphCsvField(colours.names.value(colours.families[std::size_t(placed.item)]));
        csv +=
            QStringLiteral("%1,%2,%3,%4,%5,%6,%7,%8,%9,%10\n")
                .arg(graphCsvField(QString::fromStdString(item.path)), graphCsvField(text.title), graphCsvField(text.type), graphCsvField(text.shape))
                .arg(placed.open ? 1 : 0)
                .arg(placed.left)
                .arg(placed.top)
                .arg(placed.width)
                .arg(placed.height)
                .arg(colour);
    }
    return csv;
}

QList<QAction*> GraphView::exportActions() const
{
    return d->exports;
}

QList<QAction*> GraphView::viewActions() const
{
    return d->actions;
}

void GraphView::setToolTipText(std::function<QString(int)> text)
{
    d->tooltip = std::move(text);
}

void GraphView::setMenuActions(QList<QAction*> actions)
{
    d->menuActions = std::move(actions);
}

}  // namespace orrery::widgets
