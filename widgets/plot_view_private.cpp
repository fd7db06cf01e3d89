#include "plot_view_private.h"

#include <QAction>
#include <QContextMenuEvent>
#include <QKeyEvent>
#include <QLabel>
#include <QLineF>
#include <QMenu>
#include <QMouseEvent>
#include <QPointer>
#include <QTimer>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <core/base/error.h>
#include <core/base/text.h>

#include "export.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr int kClickDistance = 8;  ///< px
constexpr int kMostHoverLines = 12;
constexpr std::size_t kLegendSamples = 400;  ///< points of a curve that are asked whether the legend would hide them
constexpr double kLegendStep = 6;            ///< px between the places of a line that are asked
constexpr int kMostPieces = 200;             ///< of one line
constexpr double kLegendAir = 16;            ///< px around it, in all

QString coordinateText(double value)
{
    return QString::fromStdString(core::formatNumber(value));
}

QString shortNumber(double value)
{
    return QString::number(value, 'g', 5);
}

/// Marks at whole numbers.
class WholeTicker : public QCPAxisTicker {
protected:
    double getTickStep(const QCPRange& range) override { return std::max(1.0, std::floor(QCPAxisTicker::getTickStep(range))); }
    int getSubTickCount(double tickStep) override { return tickStep < 2 ? 0 : QCPAxisTicker::getSubTickCount(tickStep); }
};

}  // namespace

PlotCurve* PlotView::Private::find(const QString& id) const
{
    const auto found = std::find_if(curves.begin(), curves.end(), [&](const auto& curve) { return curve->id() == id; });
    return found == curves.end() ? nullptr : found->get();
}

PlotCurve& PlotView::Private::at(const QString& id) const
{
    if (PlotCurve* curve = find(id))
        return *curve;
    throw core::InputError("unknown series \"" + id.toStdString() + "\"");
}

void PlotView::Private::setUp()
{
    plot = new QCustomPlot(&q);
    // The flags' own operator: inside this namespace the global one may be hidden by another.
    plot->setAntialiasedElements(QCP::AntialiasedElements(QCP::aePlottables) | QCP::aeItems | QCP::aeLegendItems);
    plot->setNoAntialiasingOnDrag(true);
    plot->setInteractions(QCP::iRangeZoom);
    plot->setSelectionRectMode(QCP::srmZoom);
    plot->setFocusPolicy(Qt::NoFocus);
    plot->setMouseTracking(true);
    plot->setContextMenuPolicy(Qt::NoContextMenu);
    plot->installEventFilter(&q);
    plot->legend->setVisible(true);
    plot->axisRect()->insetLayout()->setInsetAlignment(0, Qt::AlignRight | Qt::AlignTop);
    plot->axisRect()->setMinimumMargins(QMargins(8, 8, 12, 8));
    // Cursor and highlighted curve are drawn on layers of their own, so that moving the pointer repaints no curve.
    plot->addLayer(QStringLiteral("cursor"), plot->layer(QStringLiteral("overlay")), QCustomPlot::limAbove);
    plot->layer(QStringLiteral("cursor"))->setMode(QCPLayer::lmBuffered);
    cursorLine = new QCPItemStraightLine(plot);
    cursorLine->setLayer(QStringLiteral("cursor"));
    cursorLine->setVisible(false);
    cursorLine->point1->setTypeX(QCPItemPosition::ptPlotCoords);
    box = new HoverBox(&q);
    for (QCPAxis* one : {plot->xAxis, plot->yAxis})
        QObject::connect(one, qOverload<const QCPRange&>(&QCPAxis::rangeChanged), &q, [this] { rangeChangedByHand(); });
    // The room for the legend is known when the plot has its new size.
    legendTimer.setSingleShot(true);
    legendTimer.setInterval(0);
    QObject::connect(&legendTimer, &QTimer::timeout, &q, [this] {
        legendMayReturn = true;
        placeLegend();
        plot->replot(QCustomPlot::rpQueuedReplot);
    });
    requestTimer.setSingleShot(true);
    requestTimer.setInterval(30);
    QObject::connect(&requestTimer, &QTimer::timeout, &q, [this] { requestAll(); });
}

void PlotView::Private::makeActions()
{
    exports = makeExportActions(
        &q, [this](const QString& file) { q.exportTo(file); }, [this] { return q.toCsv(); });
    showAllAction = new QAction(tr("Show all"), &q);
    QObject::connect(showAllAction, &QAction::triggered, &q, [this] { q.showAll(); });
    logX = new QAction(tr("Logarithmic x axis"), &q);
    logY = new QAction(tr("Logarithmic y axis"), &q);
    legendAction = new QAction(tr("Legend"), &q);
    for (QAction* action : {logX, logY, legendAction})
        action->setCheckable(true);
    QObject::connect(logX, &QAction::triggered, &q, [this](bool on) { q.setLog(PlotAxis::X, on); });
    QObject::connect(logY, &QAction::triggered, &q, [this](bool on) { q.setLog(PlotAxis::Y, on); });
    QObject::connect(legendAction, &QAction::triggered, &q, [this](bool on) { q.setLegendVisible(on); });
}

void PlotView::Private::applyColors()
{
    const QPalette palette = printing ? Theme::palette(false) : q.palette();
    const ThemeColors colors = themeColors(palette);
    const QColor text = palette.color(QPalette::Text), base = palette.color(QPalette::Base);
    plot->setBackground(base);
    QFont font = q.font();
    for (QCPAxis* one : {plot->xAxis, plot->yAxis, plot->xAxis2, plot->yAxis2}) {
        one->setBasePen(QPen(colors.axisLine));
        one->setTickPen(QPen(colors.axisLine));
        one->setSubTickPen(QPen(colors.axisLine));
        one->setTickLabelColor(text);
        one->setLabelColor(text);
        one->setTickLabelFont(font);
        one->setLabelFont(font);
        one->grid()->setPen(QPen(colors.gridLine, 1));
        one->grid()->setZeroLinePen(QPen(colors.gridLine.darker(isDark(palette) ? 70 : 115), 1));
    }
    QColor veil = base;
    veil.setAlpha(215);
    plot->legend->setBrush(veil);
    plot->legend->setBorderPen(QPen(colors.gridLine));
    plot->legend->setTextColor(text);
    plot->legend->setFont(font);
    plot->legend->setIconSize(20, QFontMetrics(font).height() + 2);
    plot->legend->setRowSpacing(0);
    cursorLine->setPen(QPen(colors.axisLine, 1, Qt::DashLine));
    for (auto& [which, line] : guides)
        line->setPen(QPen(colors.axisLine, 1, Qt::DashLine));
    plot->selectionRect()->setPen(QPen(palette.color(QPalette::Highlight)));
    QColor band = palette.color(QPalette::Highlight);
    band.setAlpha(50);
    plot->selectionRect()->setBrush(band);
    if (title) {
        title->setTextColor(text);
        font.setBold(true);
        title->setFont(font);
    }
    for (const auto& curve : curves)
        curve->applyColors(isDark(palette));
}

void PlotView::Private::changed(bool rescaleNow)
{
    if (rescaleNow && following)
        rescale();
    plot->replot(QCustomPlot::rpQueuedReplot);
}

/// All visible points with a little air around them; log axes get the air as a factor.
void PlotView::Private::rescale()
{
    QCPRange x, y;
    bool any = false;
    const bool lx = q.isLog(PlotAxis::X), ly = q.isLog(PlotAxis::Y);
    for (const auto& curve : curves)
        if (curve->isVisible())
            curve->extend(x, y, any, lx, ly);
    if (!any)
        return;
    const auto padded = [](QCPRange range, bool log, double share) {
        if (log) {
            const double factor = range.upper > range.lower ? std::pow(range.upper / range.lower, share) : 2;
            return QCPRange(range.lower / factor, range.upper * factor);
        }
        const double air = range.size() > 0 ? range.size() * share : std::max(std::abs(range.upper) * 0.05, 0.5);
        return QCPRange(range.lower - air, range.upper + air);
    };
    settingRange = true;
    plot->xAxis->setRange(padded(x, lx, 0.02));
    plot->yAxis->setRange(padded(y, ly, 0.06));
    settingRange = false;
    placeLegend();
    Q_EMIT q.rangeChanged();
}

/// How much of the visible curves lies inside a part of the plot (pixels): their points, and places along the lines between them; of a long curve every so-many-th.
int PlotView::Private::pointsIn(const QRectF& part) const
{
    int count = 0;
    for (const auto& curve : curves) {
        if (!curve->isVisible())
            continue;
        const auto& x = curve->raw().x;
        const auto& y = curve->shownY();
        const bool hasLine = curve->spec().style != LineStyle::Points && curve->spec().style != LineStyle::Bars;
        QPointF before;
        for (std::size_t i = 0, step = 1 + x.size() / kLegendSamples; i < x.size(); i += step) {
            const QPointF point(plot->xAxis->coordToPixel(x[i]), plot->yAxis->coordToPixel(y[i]));
            const int pieces = hasLine && i > 0 ? std::clamp(int(QLineF(before, point).length() / kLegendStep), 1, kMostPieces) : 1;
            for (int piece = 1; piece <= pieces; ++piece)
                count += part.contains(piece == pieces ? point : before + (point - before) * piece / pieces);
            before = point;
        }
    }
    return count;
}

bool PlotView::Private::legendIsOutside() const
{
    return plot->legend->layout() != plot->axisRect()->insetLayout();
}

/// Inside it stands in a corner of the axes; outside it has a row of its own below them.
void PlotView::Private::moveLegend(bool outside)
{
    if (outside == legendIsOutside())
        return;
    QCPLegend* moved = plot->legend;
    moved->layout()->take(moved);
    // Below the axes as many entries side by side as fit.
    int widest = 1;
    for (int i = 0; i < moved->itemCount(); ++i)
        if (const auto* item = moved->item(i))  // the last row may have gaps
            widest = std::max(widest, item->minimumOuterSizeHint().width() + moved->columnSpacing());
    moved->setWrap(outside ? std::max(1, (plot->width() - int(kLegendAir)) / widest) : 0);
    moved->setFillOrder(outside ? QCPLegend::foColumnsFirst : QCPLegend::foRowsFirst);
    if (outside) {
        plot->plotLayout()->addElement(plot->plotLayout()->rowCount(), 0, moved);
        plot->plotLayout()->setRowStretchFactor(plot->plotLayout()->rowCount() - 1, 0.001);
    } else {
        plot->axisRect()->insetLayout()->addElement(moved, Qt::AlignRight | Qt::AlignTop);
        plot->plotLayout()->simplify();
    }
}

// The corner with the least of the curves under it; where every corner hides some, below the axes. It stays there until the view shows other curves or has another size, and where it
// is when the view is moved by hand.
void PlotView::Private::placeLegend()
{
    if (!plot->legend->visible() || std::exchange(legendMayReturn, false))
        moveLegend(false);
    for (const auto phase : {QCPLayoutElement::upPreparation, QCPLayoutElement::upMargins, QCPLayoutElement::upLayout})
        plot->plotLayout()->update(phase);
    const auto rect = QRectF(plot->axisRect()->rect());
    if (!plot->legend->visible() || rect.width() < 1 || rect.height() < 1 || legendIsOutside())
        return;
    const QSizeF size = QSizeF(plot->legend->minimumOuterSizeHint()) + QSizeF(kLegendAir, kLegendAir);
    const std::pair<Qt::Alignment, QPointF> corners[] = {
        {Qt::AlignRight | Qt::AlignTop, {rect.right() - size.width(), rect.top()}},
        {Qt::AlignRight | Qt::AlignBottom, {rect.right() - size.width(), rect.bottom() - size.height()}},
        {Qt::AlignLeft | Qt::AlignTop, rect.topLeft()},
        {Qt::AlignLeft | Qt::AlignBottom, {rect.left(), rect.bottom() - size.height()}}};
    auto best = corners[0].first;
    int fewest = std::numeric_limits<int>::max();
    for (const auto& [alignment, corner] : corners)
        if (const int points = pointsIn({corner, size}); points < fewest) {
            fewest = points;
            best = alignment;
        }
    if (fewest > 0)
        return moveLegend(true);
    plot->axisRect()->insetLayout()->setInsetAlignment(0, best);
}

void PlotView::Private::rangeChangedByHand()
{
    if (settingRange)
        return;
    following = false;
    requestTimer.start();
    Q_EMIT q.rangeChanged();
}

void PlotView::Private::requestAll()
{
    for (const auto& curve : curves)
        if (curve->spec().provider && curve->isVisible())
            request(*curve);
}

void PlotView::Private::request(PlotCurve& curve)
{
    PlotRequest wanted;
    if (!following) {
        wanted.from = plot->xAxis->range().lower;
        wanted.to = plot->xAxis->range().upper;
    }
    wanted.buckets = std::max(100, plot->axisRect()->width());
    const quint64 number = ++curve.request;
    curve.waiting = true;
    Q_EMIT q.idleChanged();
    // The provider may answer at once, and may replace series while it is asked.
    const PlotProvider provider = curve.spec().provider;
    provider(wanted, [view = QPointer<PlotView>(&q), id = curve.id(), number](PlotData data) {
        if (view)
            view->d->answered(id, number, std::move(data));
    });
}

void PlotView::Private::answered(const QString& id, quint64 number, PlotData data)
{
    PlotCurve* curve = find(id);
    if (!curve || curve->request != number)
        return;
    curve->waiting = false;
    curve->setDrawn(std::move(data));
    changed();
    Q_EMIT q.idleChanged();
}

QSharedPointer<QCPAxisTicker> PlotView::Private::ticker(PlotAxis which, bool log) const
{
    if (log)
        return QSharedPointer<QCPAxisTickerLog>::create();
    return whole[int(which)] ? QSharedPointer<QCPAxisTicker>(new WholeTicker) : QSharedPointer<QCPAxisTicker>::create();
}

void PlotView::Private::updateLegend()
{
    const bool any = std::any_of(curves.begin(), curves.end(), [](const auto& curve) { return !curve->spec().title.isEmpty(); });
    plot->legend->setVisible(legend && any);
    for (const auto& curve : curves)
        if (QCPPlottableLegendItem* item = plot->legend->itemWithPlottable(curve->legendOwner())) {
            QColor text = (printing ? Theme::palette(false) : q.palette()).color(QPalette::Text);
            text.setAlpha(curve->isVisible() ? 255 : 110);
            item->setTextColor(text);
        }
}

std::optional<double> PlotView::Private::snapped(double x) const
{
    std::optional<double> best;
    for (const auto& curve : curves)
        if (const auto index = curve->isVisible() ? curve->nearest(x) : std::nullopt)
            if (const double candidate = curve->raw().x[*index]; !best || std::abs(candidate - x) < std::abs(*best - x))
                best = candidate;
    return best;
}

void PlotView::Private::moveCursor(std::optional<double> x)
{
    cursor = x;
    cursorLine->setVisible(x.has_value());
    if (x) {
        cursorLine->point1->setCoords(*x, plot->yAxis->range().lower);
        cursorLine->point2->setCoords(*x, plot->yAxis->range().upper);
    }
    plot->layer(QStringLiteral("cursor"))->replot();
}

/// x, then the curves by their distance from the pointer.
QString PlotView::Private::hoverText(double x, QPoint position) const
{
    struct Line {
        double distance;
        QString html;
    };
    std::vector<Line> lines;
    for (const auto& curve : curves) {
        const auto index = curve->isVisible() ? curve->nearest(x) : std::nullopt;
        if (!index)
            continue;
        const PlotData& raw = curve->raw();
        const double y = curve->shownY()[*index];
        const QString name = curve->spec().title.isEmpty() ? curve->id() : curve->spec().title;
        QString value = shortNumber(y);
        if (!raw.low.empty() && raw.low[*index] < raw.high[*index])
            value += QStringLiteral(" (%1 … %2)").arg(shortNumber(raw.low[*index]), shortNumber(raw.high[*index]));
        lines.push_back({std::abs(plot->yAxis->coordToPixel(y) - position.y()),
                         QStringLiteral("<tr><td style='color:%1'>■</td><td>%2&nbsp;</td><td align='right'>%3</td></tr>")
                             .arg(curve->color().name(), name.toHtmlEscaped(), value)});
    }
    std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.distance < b.distance; });
    const QString axisName = plot->xAxis->label().isEmpty() ? QStringLiteral("x") : plot->xAxis->label();
    QString html = QStringLiteral("<b>%1 %2</b><table cellspacing='0'>").arg(axisName.toHtmlEscaped(), coordinateText(x));
    for (std::size_t i = 0; i < lines.size() && i < std::size_t(kMostHoverLines); ++i)
        html += lines[i].html;
    html += QStringLiteral("</table>");
    if (lines.size() > std::size_t(kMostHoverLines))
        html += tr("… and %1 more").arg(lines.size() - kMostHoverLines);
    return html;
}

void PlotView::Private::hover(QPoint position)
{
    if (!plot->axisRect()->rect().contains(position))
        return leave();
    const std::optional<double> x = snapped(plot->xAxis->pixelToCoord(position.x()));
    if (!x)
        return leave();
    box->showAt(hoverText(*x, position), position);
    if (cursor == x)
        return;
    moveCursor(x);
    if (group)
        for (const QPointer<PlotView>& view : *group)
            if (view && view != &q)
                view->setCursor(x);
    Q_EMIT q.cursorMoved(*x);
}

void PlotView::Private::leave()
{
    box->hide();
    if (!cursor)
        return;
    moveCursor(std::nullopt);
    if (group)
        for (const QPointer<PlotView>& view : *group)
            if (view && view != &q)
                view->setCursor(std::nullopt);
    Q_EMIT q.cursorLeft();
}

/// A click on the legend hides or shows a curve; elsewhere it chooses the nearest point.
void PlotView::Private::click(QPoint position)
{
    for (const auto& curve : curves)
        if (QCPPlottableLegendItem* item = plot->legend->itemWithPlottable(curve->legendOwner());
            item && plot->legend->realVisibility() && item->rect().contains(position)) {
            q.setSeriesVisible(curve->id(), !curve->isVisible());
            Q_EMIT q.seriesVisibilityChanged(curve->id(), curve->isVisible());
            return;
        }
    double best = kClickDistance;
    const PlotCurve* hit = nullptr;
    std::size_t point = 0;
    for (const auto& curve : curves) {
        const auto index = curve->isVisible() ? curve->nearest(plot->xAxis->pixelToCoord(position.x())) : std::nullopt;
        if (!index)
            continue;
        const double dx = plot->xAxis->coordToPixel(curve->raw().x[*index]) - position.x();
        const double dy = plot->yAxis->coordToPixel(curve->shownY()[*index]) - position.y();
        if (const double distance = std::hypot(dx, dy); distance <= best) {
            best = distance;
            hit = curve.get();
            point = *index;
        }
    }
    if (hit)
        Q_EMIT q.pointClicked(hit->id(), hit->raw().x[point], hit->raw().y[point]);
}

void PlotView::Private::pan(double dx, double dy)
{
    const auto move = [](QCPAxis* axis, double share) {
        if (share == 0)
            return;
        if (axis->scaleType() == QCPAxis::stLogarithmic)
            axis->setRange(axis->range().lower * std::pow(axis->range().upper / axis->range().lower, share),
                           axis->range().upper * std::pow(axis->range().upper / axis->range().lower, share));
        else
            axis->moveRange(axis->range().size() * share);
    };
    move(plot->xAxis, dx);
    move(plot->yAxis, dy);
    plot->replot(QCustomPlot::rpQueuedReplot);
}

void PlotView::Private::zoom(double factor)
{
    plot->xAxis->scaleRange(factor);
    plot->yAxis->scaleRange(factor);
    plot->replot(QCustomPlot::rpQueuedReplot);
}

/// Middle button or Shift with the left one pans; a press without a move is a click; the rest is QCustomPlot's (rubber band, wheel).
bool PlotView::Private::mouse(QMouseEvent* event)
{
    const QPoint position = event->position().toPoint();
    switch (event->type()) {
    case QEvent::MouseButtonPress:
        q.setFocus(Qt::MouseFocusReason);
        pressed = position;
        mayClick = event->button() == Qt::LeftButton;
        panning = event->button() == Qt::MiddleButton || (event->button() == Qt::LeftButton && event->modifiers() & Qt::ShiftModifier);
        panX = plot->xAxis->range();
        panY = plot->yAxis->range();
        return panning || event->button() == Qt::RightButton;
    case QEvent::MouseMove:
        if ((position - pressed).manhattanLength() > 3)
            mayClick = false;
        if (!panning) {
            hover(position);
            return false;
        }
        plot->xAxis->setRange(panX);
        plot->yAxis->setRange(panY);
        pan(double(pressed.x() - position.x()) / std::max(1, plot->axisRect()->width()),
            double(position.y() - pressed.y()) / std::max(1, plot->axisRect()->height()));
        return true;
    case QEvent::MouseButtonRelease:
        if (std::exchange(mayClick, false))
            click(position);
        return std::exchange(panning, false);
    case QEvent::MouseButtonDblClick:
        mayClick = false;
        q.showAll();
        return true;
    default: return false;
    }
}

void PlotView::Private::paint(QPaintDevice& device, QSize size)
{
    printing = true;
    const bool cursorShown = cursorLine->visible();
    cursorLine->setVisible(false);
    applyColors();
    updateLegend();
    QCPPainter painter(&device);
    painter.setMode(QCPPainter::pmVectorized);
    painter.setMode(QCPPainter::pmNoCaching);
    painter.fillRect(QRect(QPoint(0, 0), size), Theme::palette(false).color(QPalette::Base));
    plot->toPainter(&painter, size.width(), size.height());
    painter.end();
    printing = false;
    cursorLine->setVisible(cursorShown);
    applyColors();
    updateLegend();
    plot->replot(QCustomPlot::rpQueuedReplot);
}

}  // namespace orrery::widgets
