// What a GraphView opens and closes, and how a new layout takes the place of the old one.
#include <algorithm>

#include <core/base/error.h>

#include "controls.h"
#include "graph_view_private.h"

namespace orrery::widgets {

using layout::FoldedGraph;

void GraphView::Private::countBusy(int change)
{
    busy += change;
    Q_EMIT q.idleChanged();
}

/// @param keep  The item that stays where it is on the screen; -1: none.
void GraphView::Private::relayout(int keep)
{
    const QRectF before = scene.rectOf(keep);
    layoutTask.start(
        session, &q,
        [laid = next](BackgroundContext& context) mutable {
            laid.arrange(context.stopToken());
            return laid;
        },
        [this, keep, at = before.isNull() ? QPointF() : toPixel(before.topLeft())](FoldedGraph laid) { take(std::move(laid), keep, at); },
        [this](const QString& text) { Q_EMIT q.message(text); });
}

void GraphView::Private::take(FoldedGraph laid, int keep, QPointF keepAt)
{
    const bool isFirst = scene.isEmpty();
    graph = laid;
    next = std::move(laid);
    scene.picture = graph.sharedPicture();
    scene.routeBounds.clear();
    for (const auto& route : scene.picture->routes) {
        double left = route.points[0].x, right = left, top = route.points[0].y, bottom = top;
        for (const auto point : route.points) {
            left = std::min(left, point.x);
            right = std::max(right, point.x);
            top = std::min(top, point.y);
            bottom = std::max(bottom, point.y);
        }
        scene.routeBounds.emplace_back(left - 40, top - 2, right - left + 80, bottom - top + 24);  // with the plate of a shape
    }
    updateFlags();
    map = {};
    if (isFirst || fitted)
        fitReadable();
    else if (const QRectF now = scene.rectOf(keep); !now.isNull() && !keepAt.isNull())
        origin = now.topLeft() - keepAt / scale;
    clampOrigin();
    const auto calls = std::exchange(afterLayout, {});
    for (const auto& call : calls)
        call();
    changed();
}

void GraphView::Private::whenLaidOut(std::function<void()> call)
{
    if (layoutTask.isRunning())
        afterLayout.push_back(std::move(call));
    else
        call();
}

void GraphView::Private::updateFlags()
{
    const auto& tree = *scene.content->tree;
    scene.litRoute = routesOf(tree, *scene.picture, scene.current);
    scene.matches.clear();
    if (!matches.empty()) {
        std::vector<bool> flags(tree.items().size(), false);
        for (const int item : matches)
            flags[std::size_t(item)] = true;
        scene.matches = withGroups(tree, std::move(flags));
    }
}

void GraphView::Private::openFirst(const std::optional<QStringList>& opened)
{
    if (!opened) {
        for (const int group : layout::openedAtFirst(*next.tree()))
            next.setOpen(group, true);
        return;
    }
    for (const auto& path : *opened)
        next.setOpen(next.tree()->findGroup(path.toStdString()), true);
}

void GraphView::Private::setOpen(int item, bool open)
{
    if (item <= 0 || !scene.content || !scene.content->tree->item(item).isGroup() || next.isOpen(item) == open)
        return;
    next.setOpen(item, open);
    // What was chosen inside a group that is closed is not seen any more: the group is chosen instead.
    if (!open && scene.current > 0 && scene.current != item && scene.content->tree->isInside(scene.current, item))
        choose(item, true);
    fitted = false;
    relayout(item);
}

void GraphView::setContent(GraphContentPtr content, std::optional<QStringList> opened)
{
    d->layoutTask.cancel();
    d->afterLayout.clear();
    d->scene = {};
    d->scene.content = std::move(content);
    d->matches.clear();
    d->match = -1;
    d->wayStart = -1;
    d->map = {};
    d->fitted = true;
    d->graph = d->next = FoldedGraph(d->scene.content->tree, d->scene.content->sizes);
    d->scene.picture = d->graph.sharedPicture();
    d->openFirst(opened);
    d->relayout(-1);
    if (d->wantedState)
        restoreState(*std::exchange(d->wantedState, {}));
    d->changed();
    Q_EMIT matchesChanged();
    Q_EMIT bookmarksChanged();
}

void GraphView::clear()
{
    d->layoutTask.cancel();
    d->afterLayout.clear();
    d->scene = {};
    d->matches.clear();
    d->graph = d->next = {};
    d->map = {};
    d->changed();
}

bool GraphView::isIdle() const
{
    return d->busy == 0;
}

bool GraphView::isOpen(int item) const
{
    return d->scene.content && item >= 0 && d->next.isOpen(item);
}

void GraphView::setOpen(int item, bool open)
{
    d->setOpen(item, open);
}

void GraphView::openAll()
{
    if (!d->scene.content)
        return;
    for (std::size_t i = 1; i < d->scene.content->tree->items().size(); ++i)
        d->next.setOpen(int(i), true);
    d->fitted = true;
    d->relayout(-1);
}

void GraphView::closeAll()
{
    if (!d->scene.content)
        return;
    for (std::size_t i = 1; i < d->scene.content->tree->items().size(); ++i)
        d->next.setOpen(int(i), false);
    d->fitted = true;
    d->relayout(-1);
}

QStringList GraphView::openedPaths() const
{
    QStringList paths;
    if (d->scene.content)
        for (std::size_t i = 1; i < d->scene.content->tree->items().size(); ++i)
            if (d->next.isOpen(int(i)))
                paths << QString::fromStdString(d->scene.content->tree->items()[i].path);
    return paths;
}

core::Json GraphView::saveState() const
{
    if (!d->scene.content)
        return d->wantedState.value_or(core::Json::object());
    core::Json marks = core::Json::array(), opened = core::Json::array();
    for (const int item : d->scene.bookmarks)
        marks.push_back(d->scene.content->tree->item(item).path);
    for (const auto& path : openedPaths())
        opened.push_back(path.toStdString());
    core::Json state = {{"bookmarks", std::move(marks)}, {"opened", std::move(opened)}};
    if (!d->fitted)
        state["view"] = {d->scale, d->origin.x(), d->origin.y()};
    return state;
}

void GraphView::restoreState(const core::Json& state)
{
    if (!d->scene.content) {
        d->wantedState = state;
        return;
    }
    const auto& tree = *d->scene.content->tree;
    const auto itemsOf = [&](const char* key, bool groups) {
        std::vector<int> items;
        if (state.is_object() && state.contains(key) && state[key].is_array())
            for (const auto& path : state[key])
                if (path.is_string())
                    if (const int item = groups ? tree.findGroup(path.get<std::string>()) : tree.find(path.get<std::string>()); item > 0)
                        items.push_back(item);
        return items;
    };
    const auto marks = itemsOf("bookmarks", false);
    d->scene.bookmarks = {marks.begin(), marks.end()};
    d->changed();
    if (state.is_object() && state.contains("opened")) {
        for (std::size_t i = 1; i < tree.items().size(); ++i)
            d->next.setOpen(int(i), false);
        for (const int item : itemsOf("opened", true))
            d->next.setOpen(item, true);
        d->relayout(-1);
    }
    if (!state.is_object() || !state.contains("view") || !state["view"].is_array() || state["view"].size() != 3)
        return;
    for (const auto& number : state["view"])
        if (!number.is_number())
            return;
    const auto view = state["view"].get<std::vector<double>>();
    d->whenLaidOut([this, view] {
        d->scale = std::clamp(view[0], 1e-3, 4.0);
        d->origin = {view[1], view[2]};
        d->fitted = false;
        d->clampOrigin();
    });
}

}  // namespace orrery::widgets
