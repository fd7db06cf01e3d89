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
#include "plot_view_private.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kPanStep = 0.1;  ///< share of the visible range for one arrow key
constexpr double kZoomStep = 0.8;

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

}  // namespace

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
        d->legendMayReturn = true;
    }
    // Points of several series are told apart by their shape, too: colours repeat, and not everybody sees them.
    if (curve->isPoints() && curve->mark() < 0) {
        int mark = 0;
        while (std::any_of(d->curves.begin(), d->curves.end(), [&](const auto& other) { return other->isPoints() && other->mark() == mark; }))
            ++mark;
        curve->setMark(mark);
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
    d->legendMayReturn = true;
    d->updateLegend();
    d->changed();
    Q_EMIT idleChanged();
}

void PlotView::clear()
{
    d->curves.clear();
    d->legendMayReturn = true;
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
    d->legendMayReturn = true;
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
    axis->setTicker(d->ticker(which, log));
    axis->setNumberFormat(log ? QStringLiteral("gb") : QStringLiteral("g"));
    axis->grid()->setSubGridVisible(false);
    d->following = true;
    d->changed();
}

void PlotView::setWhole(PlotAxis which, bool whole)
{
    d->whole[int(which)] = whole;
    d->axis(which)->setTicker(d->ticker(which, isLog(which)));
    d->changed(false);
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
    d->placeLegend();
    d->changed(false);
}

bool PlotView::isLegendVisible() const
{
    return d->legend;
}

QRectF PlotView::legendRect() const
{
    return d->plot->legend->visible() ? QRectF(d->plot->legend->outerRect()).translated(d->plot->pos()) : QRectF();
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
    const auto group = std::make_shared<PlotGroup>();
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
    if (event->type() == QEvent::Resize)
        (d->following ? d->legendTimer : d->requestTimer).start();
    const bool isMouse = event->type() == QEvent::MouseButtonPress || event->type() == QEvent::MouseMove ||
                         event->type() == QEvent::MouseButtonRelease || event->type() == QEvent::MouseButtonDblClick;
    return isMouse && d->mouse(static_cast<QMouseEvent*>(event));
}

}  // namespace orrery::widgets
