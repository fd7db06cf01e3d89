#include "plot_view.h"

#include <QAction>
#include <QContextMenuEvent>
#include <QKeyEvent>
#include <QLabel>
#include <QMenu>
#include <QMouseEvent>
#include <QPointer>
#include <QTimer>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <map>

#include <core/base/error.h>
#include <core/base/text.h>

#include "export.h"
#include "plot_series.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr int kClickDistance = 8;  ///< px
constexpr int kMostHoverLines = 12;
constexpr double kPanStep = 0.1;  ///< share of the visible range for one arrow key
constexpr double kZoomStep = 0.8;

using Group = std::vector<QPointer<PlotView>>;

/// The text beside the pointer.
class HoverBox : public QLabel {
public:
    explicit HoverBox(QWidget* parent) : QLabel(parent)
    {
        setAttribute(Qt::WA_TransparentForMouseEvents);
        setAutoFillBackground(true);
        setFrameShape(QFrame::StyledPanel);
        setMargin(4);
        setTextFormat(Qt::RichText);
        setBackgroundRole(QPalette::ToolTipBase);
        setForegroundRole(QPalette::ToolTipText);
        hide();
    }

    void showAt(const QString& text, QPoint position)
    {
        setText(text);
        adjustSize();
        const QSize room = parentWidget()->size();
        const int x = position.x() + 14 + width() > room.width() ? position.x() - 14 - width() : position.x() + 14;
        move(std::max(0, x), std::clamp(position.y() - height() / 2, 0, std::max(0, room.height() - height())));
        show();
        raise();
    }
};

QString csvField(const QString& text)
{
    if (!text.contains(QLatin1Char(',')) && !text.contains(QLatin1Char('"')) && !text.contains(QLatin1Char('\n')))
        return text;
    return QLatin1Char('"') + QString(text).replace(QLatin1Char('"'), QStringLiteral("\"\"")) + QLatin1Char('"');
}

QString numberText(double value)
{
    return QString::fromStdString(core::formatNumber(value));
}
QString shortNumber(double value)
{
    return QString::number(value, 'g', 5);
}

}  // namespace

struct PlotView::Private {
    explicit Private(PlotView& view) : q(view) {}

    PlotCurve* find(const QString& id) const;
    PlotCurve& at(const QString& id) const;
    void setUp();
    void applyColors();
    void changed(bool rescale = true);
    void rescale();
    void requestAll();
    void request(PlotCurve& curve);
    void answered(const QString& id, quint64 number, PlotData data);
    void rangeChangedByHand();
    void moveCursor(std::optional<double> x);
    void hover(QPoint position);
    void leave();
    QString hoverText(double x, QPoint position) const;
    std::optional<double> snapped(double x) const;
    void click(QPoint position);
    void pan(double dx, double dy);
    void zoom(double factor);
    bool mouse(QMouseEvent* event);
    void paint(QPaintDevice& device, QSize size);
    QCPAxis* axis(PlotAxis which) const { return which == PlotAxis::X ? plot->xAxis : plot->yAxis; }
    void updateLegend();
    void makeActions();

    PlotView& q;
    QCustomPlot* plot = nullptr;
    HoverBox* box = nullptr;
    QCPTextElement* title = nullptr;
    QCPItemStraightLine* cursorLine = nullptr;
    std::map<PlotAxis, QCPItemStraightLine*> guides;
    std::vector<std::unique_ptr<PlotCurve>> curves;
    std::optional<double> cursor;
    std::shared_ptr<Group> group;
    double smoothing = 0;
    bool following = true, legend = true, settingRange = false, printing = false;
    QTimer requestTimer;
    QList<QAction*> exports;
    QAction *showAllAction = nullptr, *logX = nullptr, *logY = nullptr, *legendAction = nullptr;
    QPoint pressed;
    bool panning = false, mayClick = false;
    QCPRange panX, panY;
};

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
    plot->setAntialiasedElements(QCP::aePlottables | QCP::aeItems | QCP::aeLegendItems);
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
    Q_EMIT q.rangeChanged();
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
    QString html = QStringLiteral("<b>%1 %2</b><table cellspacing='0'>").arg(axisName.toHtmlEscaped(), numberText(x));
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

PlotView::PlotView(QWidget* parent) : QWidget(parent), d(std::make_unique<Private>(*this))
{
    setFocusPolicy(Qt::StrongFocus);
    d->setUp();
    d->makeActions();
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(d->plot);
    d->applyColors();
    d->updateLegend();
}

PlotView::~PlotView()
{
    d->plot->removeEventFilter(this);
    d->curves.clear();
}

void PlotView::setSeries(const QString& id, PlotSeries series)
{
    PlotCurve* curve = d->find(id);
    if (curve) {
        curve->replace(std::move(series));
    } else {
        // The smallest colour number that no other curve has.
        int color = 0;
        while (std::any_of(d->curves.begin(), d->curves.end(), [&](const auto& other) { return other->paletteIndex() == color; }))
            ++color;
        d->curves.push_back(std::make_unique<PlotCurve>(*d->plot, id, std::move(series), color));
        curve = d->curves.back().get();
        curve->setSmoothing(d->smoothing);
    }
    curve->applyColors(isDark(palette()));
    d->updateLegend();
    if (curve->spec().provider)
        d->request(*curve);
    d->changed();
}

void PlotView::append(const QString& id, std::span<const double> x, std::span<const double> y)
{
    if (x.size() != y.size())
        throw core::ShapeError("append: expected as many y as x, got " + std::to_string(x.size()) + " and " + std::to_string(y.size()));
    d->at(id).append(x, y);
    d->changed();
}

void PlotView::refresh(const QString& id)
{
    if (PlotCurve* curve = d->find(id); curve && curve->spec().provider)
        d->request(*curve);
}

void PlotView::removeSeries(const QString& id)
{
    std::erase_if(d->curves, [&](const auto& curve) { return curve->id() == id; });
    d->updateLegend();
    d->changed();
    Q_EMIT idleChanged();
}

void PlotView::clear()
{
    d->curves.clear();
    d->updateLegend();
    d->changed();
    Q_EMIT idleChanged();
}

QStringList PlotView::seriesIds() const
{
    QStringList ids;
    for (const auto& curve : d->curves)
        ids << curve->id();
    return ids;
}

PlotData PlotView::drawnData(const QString& id) const
{
    return d->at(id).drawn();
}
QColor PlotView::seriesColor(const QString& id) const
{
    return d->at(id).color();
}

void PlotView::setSeriesVisible(const QString& id, bool visible)
{
    PlotCurve& curve = d->at(id);
    curve.setVisible(visible);
    if (visible && curve.spec().provider)
        d->request(curve);
    d->updateLegend();
    d->changed();
}

bool PlotView::isSeriesVisible(const QString& id) const
{
    return d->at(id).isVisible();
}

void PlotView::highlight(const QString& id)
{
    for (const auto& curve : d->curves)
        curve->setHighlighted(curve->id() == id);
    d->changed(false);
}

void PlotView::setTitle(const QString& title)
{
    if (!d->title && title.isEmpty())
        return;
    if (!d->title) {
        d->plot->plotLayout()->insertRow(0);
        d->title = new QCPTextElement(d->plot, title);
        d->plot->plotLayout()->addElement(0, 0, d->title);
    }
    d->title->setText(title);
    d->applyColors();
    d->changed(false);
}

void PlotView::setAxisTitle(PlotAxis axis, const QString& title)
{
    d->axis(axis)->setLabel(title);
    d->changed(false);
}

void PlotView::setLog(PlotAxis which, bool log)
{
    QCPAxis* axis = d->axis(which);
    if (isLog(which) == log)
        return;
    axis->setScaleType(log ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
    axis->setTicker(log ? QSharedPointer<QCPAxisTicker>(new QCPAxisTickerLog) : QSharedPointer<QCPAxisTicker>(new QCPAxisTicker));
    axis->setNumberFormat(log ? QStringLiteral("gb") : QStringLiteral("g"));
    axis->grid()->setSubGridVisible(false);
    d->following = true;
    d->changed();
}

bool PlotView::isLog(PlotAxis axis) const
{
    return d->axis(axis)->scaleType() == QCPAxis::stLogarithmic;
}

void PlotView::setSmoothing(double weight)
{
    d->smoothing = std::clamp(weight, 0.0, 0.9999);
    for (const auto& curve : d->curves)
        curve->setSmoothing(d->smoothing);
    d->changed();
}

double PlotView::smoothing() const
{
    return d->smoothing;
}

void PlotView::setLegendVisible(bool visible)
{
    d->legend = visible;
    d->updateLegend();
    d->changed(false);
}

bool PlotView::isLegendVisible() const
{
    return d->legend;
}

void PlotView::setGuide(PlotAxis which, double value)
{
    if (QCPItemStraightLine* old = std::exchange(d->guides[which], nullptr))
        d->plot->removeItem(old);
    d->guides.erase(which);
    if (!std::isnan(value)) {
        auto* line = new QCPItemStraightLine(d->plot);
        line->point1->setCoords(which == PlotAxis::X ? value : 0, which == PlotAxis::X ? 0 : value);
        line->point2->setCoords(which == PlotAxis::X ? value : 1, which == PlotAxis::X ? 1 : value);
        d->guides[which] = line;
        d->applyColors();
    }
    d->changed(false);
}

std::pair<double, double> PlotView::range(PlotAxis axis) const
{
    const QCPRange range = d->axis(axis)->range();
    return {range.lower, range.upper};
}

void PlotView::setRange(PlotAxis axis, double from, double to)
{
    d->axis(axis)->setRange(from, to);
    d->plot->replot(QCustomPlot::rpQueuedReplot);
}

void PlotView::showAll()
{
    d->following = true;
    d->requestAll();
    d->changed();
}

bool PlotView::isFollowing() const
{
    return d->following;
}

void PlotView::setCursor(std::optional<double> x)
{
    if (d->cursor == x)
        return;
    d->moveCursor(x);
    if (!x || !d->plot->axisRect()->rect().isValid())
        return d->box->hide();
    // A cursor moved elsewhere shows the values at the same x here, too.
    const QRect rect = d->plot->axisRect()->rect();
    const QPoint position(int(d->plot->xAxis->coordToPixel(*x)), rect.center().y());
    const std::optional<double> near = d->snapped(*x);
    if (near && rect.contains(position))
        d->box->showAt(d->hoverText(*near, position), position);
    else
        d->box->hide();
}

std::optional<double> PlotView::cursorPosition() const
{
    return d->cursor;
}

void PlotView::link(const QList<PlotView*>& views)
{
    const auto group = std::make_shared<Group>();
    for (PlotView* view : views) {
        group->push_back(view);
        view->d->group = group;
    }
}

void PlotView::exportTo(const QString& file, QSize size) const
{
    exportPicture(
        file, size.isEmpty() ? d->plot->size() : size, [this](QPaintDevice& device, QSize wanted) { d->paint(device, wanted); },
        [this] { return toCsv(); });
}

QString PlotView::toCsv() const
{
    std::map<double, std::vector<QString>> rows;
    QStringList header{d->plot->xAxis->label().isEmpty() ? QStringLiteral("x") : d->plot->xAxis->label()};
    for (std::size_t i = 0; i < d->curves.size(); ++i) {
        const PlotCurve& curve = *d->curves[i];
        header << (curve.spec().title.isEmpty() ? curve.id() : curve.spec().title);
        for (std::size_t p = 0; p < curve.raw().x.size(); ++p) {
            std::vector<QString>& row = rows[curve.raw().x[p]];
            row.resize(d->curves.size());
            row[i] = numberText(curve.raw().y[p]);
        }
    }
    for (QString& name : header)
        name = csvField(name);
    QString csv = header.join(QLatin1Char(',')) + QLatin1Char('\n');
    for (const auto& [x, cells] : rows)
        csv += numberText(x) + QLatin1Char(',') + QStringList(cells.begin(), cells.end()).join(QLatin1Char(',')) + QLatin1Char('\n');
    return csv;
}

QList<QAction*> PlotView::exportActions() const
{
    return d->exports;
}

bool PlotView::isIdle() const
{
    return !d->requestTimer.isActive() && std::none_of(d->curves.begin(), d->curves.end(), [](const auto& curve) { return curve->waiting; });
}

QPointF PlotView::toPixel(double x, double y) const
{
    return QPointF(d->plot->pos()) + QPointF(d->plot->xAxis->coordToPixel(x), d->plot->yAxis->coordToPixel(y));
}

QPointF PlotView::toValue(QPointF pixel) const
{
    const QPointF inside = pixel - QPointF(d->plot->pos());
    return {d->plot->xAxis->pixelToCoord(inside.x()), d->plot->yAxis->pixelToCoord(inside.y())};
}

void PlotView::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (!d || !d->plot || (event->type() != QEvent::PaletteChange && event->type() != QEvent::FontChange))
        return;
    d->applyColors();
    d->updateLegend();
    d->changed(false);
}

void PlotView::keyPressEvent(QKeyEvent* event)
{
    switch (event->key()) {
    case Qt::Key_Plus:
    case Qt::Key_Equal: return d->zoom(kZoomStep);
    case Qt::Key_Minus: return d->zoom(1 / kZoomStep);
    case Qt::Key_Left: return d->pan(-kPanStep, 0);
    case Qt::Key_Right: return d->pan(kPanStep, 0);
    case Qt::Key_Up: return d->pan(0, kPanStep);
    case Qt::Key_Down: return d->pan(0, -kPanStep);
    case Qt::Key_Home: return showAll();
    case Qt::Key_Escape:
        if (!d->plot->selectionRect()->isActive())
            break;
        d->plot->selectionRect()->cancel();
        d->plot->replot();
        return;
    default: break;
    }
    QWidget::keyPressEvent(event);
}

void PlotView::contextMenuEvent(QContextMenuEvent* event)
{
    QMenu menu(this);
    d->logX->setChecked(isLog(PlotAxis::X));
    d->logY->setChecked(isLog(PlotAxis::Y));
    d->legendAction->setChecked(d->legend);
    menu.addActions({d->showAllAction, d->logX, d->logY, d->legendAction});
    menu.addSeparator();
    menu.addActions(d->exports);
    menu.exec(event->globalPos());
}

bool PlotView::eventFilter(QObject* watched, QEvent* event)
{
    if (watched != d->plot)
        return QWidget::eventFilter(watched, event);
    if (event->type() == QEvent::Leave)
        d->leave();
    if (event->type() == QEvent::Resize && !d->following)
        d->requestTimer.start();
    const bool isMouse = event->type() == QEvent::MouseButtonPress || event->type() == QEvent::MouseMove ||
                         event->type() == QEvent::MouseButtonRelease || event->type() == QEvent::MouseButtonDblClick;
    return isMouse && d->mouse(static_cast<QMouseEvent*>(event));
}

}  // namespace orrery::widgets
