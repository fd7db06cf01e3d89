// Mouse and keys of a GraphView.
#include <QApplication>
#include <QClipboard>
#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QToolTip>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "graph_view_private.h"

namespace orrery::widgets {
namespace {

constexpr double kStep = 1.25, kDragFrom = 4;

}  // namespace

void GraphView::Private::choose(int item, bool tell)
{
    if (item == scene.current)
        return;
    scene.current = item;
    if (scene.content && scene.picture)
        scene.litRoute = routesOf(*scene.content->tree, *scene.picture, item);
    q.setAccessibleDescription(item > 0 ? QString::fromStdString(scene.content->tree->item(item).path) : QString());
    changed();
    if (tell && item > 0)
        Q_EMIT q.currentChanged(item);
}

void GraphView::setCurrent(int item)
{
    if (!d->scene.content || item >= int(d->scene.content->tree->items().size()))
        return;
    d->choose(item, false);
    if (item <= 0)
        return;
    if (d->next.visible(item) != item) {
        d->next.reveal(item);
        d->relayout(-1);
    }
    d->whenLaidOut([this, item] { d->bringIntoView(item); });
}

/// The box at the other end of a line that leaves (or reaches) an item; of several the one most nearly straight below or above.
int GraphView::Private::neighbourAlong(int item, bool down) const
{
    const auto& tree = *scene.content->tree;
    const QRectF from = scene.rectOf(item);
    int best = -1;
    double nearest = 0;
    for (const auto* list : {down ? &tree.outgoing(item) : &tree.incoming(item), down ? &tree.leaving(item) : &tree.entering(item)})
        for (const int index : *list) {
            const auto& edge = tree.edges()[std::size_t(index)];
            if (edge.backward)
                continue;
            const int other = graph.visible(down ? edge.to : edge.from);
            const QRectF to = scene.rectOf(other);
            if (other == item || to.isNull() || tree.isInside(other, item))
                continue;
            const double distance = std::abs(to.center().x() - from.center().x()) + std::abs(to.center().y() - from.center().y()) * 0.5;
            if (best < 0 || distance < nearest) {
                best = other;
                nearest = distance;
            }
        }
    return best;
}

int GraphView::Private::neighbourBeside(int item, bool right) const
{
    const QRectF from = scene.rectOf(item);
    int best = -1;
    double nearest = 0;
    for (const auto& placed : scene.picture->items) {
        const QRectF to(placed.left, placed.top, placed.width, placed.height);
        const double across = (to.center().x() - from.center().x()) * (right ? 1 : -1);
        if (placed.item == item || placed.open || across < 1 || scene.content->tree->isInside(item, placed.item))
            continue;
        const double distance = across + 3 * std::abs(to.center().y() - from.center().y());
        if (best < 0 || distance < nearest) {
            best = placed.item;
            nearest = distance;
        }
    }
    return best;
}

QAction* GraphView::Private::addAction(const QString& text, const QKeySequence& keys, std::function<void()> call)
{
    auto* action = new QAction(text, &q);
    action->setShortcut(keys);
    action->setShortcutContext(Qt::WidgetShortcut);
    QObject::connect(action, &QAction::triggered, &q, std::move(call));
    q.addAction(action);
    actions << action;
    return action;
}

void GraphView::Private::makeActions()
{
    toggleOpen = addAction(tr("Open or close"), Qt::Key_Return, [this] { toggle(scene.current); });
    addAction(tr("Show all"), QKeySequence(Qt::CTRL | Qt::Key_0), [this] { q.showAll(); });
    addAction(tr("Open everything"), QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_E), [this] { q.openAll(); });
    addAction(tr("Close everything"), QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_W), [this] { q.closeAll(); });
    addAction(tr("Next found"), Qt::Key_F3, [this] { q.goToMatch(1); });
    addAction(tr("Previous found"), QKeySequence(Qt::SHIFT | Qt::Key_F3), [this] { q.goToMatch(-1); });
    bookmark = addAction(tr("Set or remove bookmark"), QKeySequence(Qt::CTRL | Qt::Key_B), [this] { q.toggleBookmark(scene.current); });
    addAction(tr("Copy name"), QKeySequence::Copy, [this] {
        if (scene.current > 0)
            QApplication::clipboard()->setText(QString::fromStdString(scene.content->tree->item(scene.current).path));
    });
    addAction(tr("Next bookmark"), Qt::Key_F4, [this] { q.goToBookmark(); });
    wayFrom = addAction(tr("Way from here…"), QKeySequence(Qt::CTRL | Qt::Key_P), [this] {
        wayStart = scene.current;
        if (wayStart > 0)
            Q_EMIT q.message(tr("Choose another box and \"Way to here\" to see what lies between."));
    });
    wayTo = addAction(tr("Way to here"), QKeySequence(Qt::CTRL | Qt::Key_T), [this] {
        if (wayStart <= 0)
            Q_EMIT q.message(tr("Choose where the way starts first: \"Way from here\"."));
        showWayBetween(wayStart, scene.current);
    });
}

void GraphView::Private::goToMapPoint(QPointF pixel)
{
    const QRectF area = mapArea(), bounds = scene.bounds();
    if (area.isNull())
        return;
    const QPointF at((pixel.x() - area.left()) / area.width() * bounds.width(), (pixel.y() - area.top()) / area.height() * bounds.height());
    origin = at - QPointF(q.width(), q.height()) / 2 / scale;
    fitted = false;
    clampOrigin();
    // By whole pixels, so that most of what is seen can be shifted.
    const QPointF move = ((origin - shownOrigin) * scale).toPoint();
    if (shownScale == scale)
        origin = shownOrigin + move / scale;
    q.update();
}

void GraphView::mousePressEvent(QMouseEvent* event)
{
    setFocus(Qt::MouseFocusReason);
    if (event->button() != Qt::LeftButton && event->button() != Qt::MiddleButton)
        return;
    d->draggingMap = d->mapArea().contains(event->position());
    if (d->draggingMap)
        return d->goToMapPoint(event->position());
    d->dragFrom = event->position();
    d->dragging = false;
    if (event->button() == Qt::LeftButton)
        if (const int item = itemAt(event->position()); item > 0)
            d->choose(item, true);
}

void GraphView::mouseMoveEvent(QMouseEvent* event)
{
    if (d->draggingMap)
        return d->goToMapPoint(event->position());
    if (!d->dragFrom)
        return;
    const QPointF moved = event->position() - *d->dragFrom;
    if (!d->dragging && moved.manhattanLength() < kDragFrom)
        return;
    if (!d->dragging)
        setCursor(Qt::ClosedHandCursor);
    d->dragging = true;
    d->origin -= moved / d->scale;
    d->dragFrom = event->position();
    d->fitted = false;
    d->clampOrigin();
    update();
}

void GraphView::mouseReleaseEvent(QMouseEvent*)
{
    d->dragFrom.reset();
    d->dragging = d->draggingMap = false;
    unsetCursor();
}

void GraphView::mouseDoubleClickEvent(QMouseEvent* event)
{
    if (event->button() == Qt::LeftButton && !d->mapArea().contains(event->position()))
        if (const int item = itemAt(event->position()); item > 0)
            d->toggle(item);
}

void GraphView::wheelEvent(QWheelEvent* event)
{
    const double steps = event->angleDelta().y() / 120.0;
    if (steps != 0)
        zoomBy(std::pow(kStep, steps), event->position());
    event->accept();
}

void GraphView::keyPressEvent(QKeyEvent* event)
{
    if (d->scene.isEmpty())
        return QWidget::keyPressEvent(event);
    const bool control = event->modifiers() & Qt::ControlModifier;
    const QPointF centre(width() / 2.0, height() / 2.0);
    const auto go = [this](int item) {
        if (item <= 0)
            return;
        d->choose(item, true);
        d->bringIntoView(item);
    };
    const int current = d->scene.rectOf(d->scene.current).isNull() ? -1 : d->scene.current;
    const int first = d->scene.picture->items.front().item, last = d->scene.picture->items.back().item;
    switch (event->key()) {
    case Qt::Key_Plus:
    case Qt::Key_Equal: return control ? zoomBy(kStep, centre) : d->setOpen(current, true);
    case Qt::Key_Minus: {
        if (control)
            return zoomBy(1 / kStep, centre);
        const bool opened = current > 0 && d->next.isOpen(current);
        const int group = opened || current <= 0 ? current : d->scene.content->tree->item(current).parent;
        return d->setOpen(group, false);
    }
    case Qt::Key_Enter:
    case Qt::Key_Return:
    case Qt::Key_Space: return d->toggle(std::max(current, 0));
    case Qt::Key_Down: return go(current > 0 ? d->neighbourAlong(current, true) : first);
    case Qt::Key_Up: return go(current > 0 ? d->neighbourAlong(current, false) : first);
    case Qt::Key_Left: return go(current > 0 ? d->neighbourBeside(current, false) : first);
    case Qt::Key_Right: return go(current > 0 ? d->neighbourBeside(current, true) : first);
    case Qt::Key_Home: return go(first);
    case Qt::Key_End: return go(last);
    case Qt::Key_Escape:
        if (isShowingWay())
            return endWay();
        if (found()) {
            search({});
            return;
        }
        break;
    default: break;
    }
    QWidget::keyPressEvent(event);
}

void GraphView::contextMenuEvent(QContextMenuEvent* event)
{
    const bool byMouse = event->reason() == QContextMenuEvent::Mouse;
    if (const int item = byMouse ? itemAt(event->pos()) : d->scene.current; item > 0)
        d->choose(item, true);
    const int current = d->scene.current;
    const bool isGroup = current > 0 && d->scene.content->tree->item(current).isGroup();
    d->toggleOpen->setText(isGroup && isOpen(current) ? tr("Close") : tr("Open"));
    d->toggleOpen->setEnabled(isGroup);
    d->wayTo->setEnabled(d->wayStart > 0);
    QMenu menu(this);
    menu.addActions(d->actions);
    if (!d->menuActions.isEmpty()) {
        menu.addSeparator();
        menu.addActions(d->menuActions);
    }
    menu.addSeparator();
    menu.addActions(d->exports);
    menu.exec(event->globalPos());
    d->toggleOpen->setText(tr("Open or close"));
    d->toggleOpen->setEnabled(true);
    d->wayTo->setEnabled(true);
}

QString GraphView::Private::tooltipAt(QPointF position) const
{
    if (scene.isEmpty() || mapArea().contains(position))
        return {};
    const QPointF at = toPoint(position);
    const int item = scene.itemAt(at);
    if (item > 0 && !graph.isOpen(item))
        return tooltip ? tooltip(item) : QString::fromStdString(scene.content->tree->item(item).path);
    if (const int route = scene.routeAt(at, 5 / scale); route >= 0) {
        const auto value = std::size_t(scene.picture->routes[std::size_t(route)].value);
        if (value < scene.content->names.size())
            return scene.content->names[value] + QStringLiteral(" ") + scene.content->shapes[value];
    }
    return item > 0 ? tooltip ? tooltip(item) : QString::fromStdString(scene.content->tree->item(item).path) : QString();
}

bool GraphView::event(QEvent* event)
{
    if (event->type() != QEvent::ToolTip)
        return QWidget::event(event);
    auto* help = static_cast<QHelpEvent*>(event);
    const QString text = d->tooltipAt(help->pos());
    if (text.isEmpty())
        QToolTip::hideText();
    else
        QToolTip::showText(help->globalPos(), text, this);
    return true;
}

void GraphView::focusInEvent(QFocusEvent* event)
{
    update();
    QWidget::focusInEvent(event);
}

void GraphView::focusOutEvent(QFocusEvent* event)
{
    update();
    QWidget::focusOutEvent(event);
}

}  // namespace orrery::widgets
