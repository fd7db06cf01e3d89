// Finding in a GraphView: search, ways between two boxes, bookmarks.
#include <algorithm>

#include "graph_view_private.h"

namespace orrery::widgets {

int GraphView::search(const QString& text)
{
    d->matches.clear();
    d->match = -1;
    const QString wanted = text.trimmed();
    if (d->scene.content && !wanted.isEmpty()) {
        const auto& items = d->scene.content->tree->items();
        for (std::size_t i = 1; i < items.size(); ++i) {
            const auto& shown = d->scene.content->texts[i];
            if (shown.title.contains(wanted, Qt::CaseInsensitive) || shown.type.contains(wanted, Qt::CaseInsensitive) ||
                shown.shape.contains(wanted, Qt::CaseInsensitive) || shown.further.contains(wanted, Qt::CaseInsensitive) ||
                QString::fromStdString(items[i].path).contains(wanted, Qt::CaseInsensitive))
                d->matches.push_back(int(i));
        }
    }
    if (d->scene.content)
        d->updateFlags();
    d->changed();
    Q_EMIT matchesChanged();
    return found();
}

int GraphView::found() const
{
    return int(d->matches.size());
}

void GraphView::goToMatch(int direction)
{
    if (d->matches.empty())
        return;
    const int count = found();
    // From what is chosen where nothing was gone to yet.
    if (d->match < 0) {
        const auto after = std::upper_bound(d->matches.begin(), d->matches.end(), d->scene.current);
        d->match = int(after - d->matches.begin()) - (direction > 0 ? 1 : 0);
    }
    d->match = ((d->match + direction) % count + count) % count;
    const int item = d->matches[std::size_t(d->match)];
    setCurrent(item);
    Q_EMIT currentChanged(item);
    Q_EMIT message(tr("%1 of %2 found").arg(d->match + 1).arg(count));
}

bool GraphView::showWay(int from, int to)
{
    if (!d->scene.content || from <= 0 || to <= 0)
        return false;
    const auto& tree = *d->scene.content->tree;
    auto between = layout::itemsBetween(tree, from, to);
    if (std::find(between.begin(), between.end(), true) == between.end())
        between = layout::itemsBetween(tree, to, from);
    if (std::find(between.begin(), between.end(), true) == between.end())
        return false;
    d->scene.onPath = withGroups(tree, std::move(between));
    d->map = {};
    d->changed();
    return true;
}

void GraphView::endWay()
{
    d->scene.onPath.clear();
    d->wayStart = -1;
    d->map = {};
    d->changed();
}

bool GraphView::isShowingWay() const
{
    return !d->scene.onPath.empty();
}

void GraphView::Private::showWayBetween(int from, int to)
{
    if (from <= 0 || to <= 0)
        return;
    const auto name = [&](int item) { return QString::fromStdString(scene.content->tree->item(item).path); };
    if (q.showWay(from, to))
        Q_EMIT q.message(tr("Ways between %1 and %2; Escape ends it").arg(name(from), name(to)));
    else
        Q_EMIT q.message(tr("No way leads between %1 and %2.").arg(name(from), name(to)));
}

void GraphView::toggleBookmark(int item)
{
    if (item <= 0)
        return;
    if (!d->scene.bookmarks.erase(item))
        d->scene.bookmarks.insert(item);
    d->changed();
    Q_EMIT bookmarksChanged();
}

const std::set<int>& GraphView::bookmarks() const
{
    return d->scene.bookmarks;
}

void GraphView::setBookmarks(std::set<int> items)
{
    d->scene.bookmarks = std::move(items);
    d->changed();
    Q_EMIT bookmarksChanged();
}

void GraphView::goToBookmark()
{
    const auto& marks = d->scene.bookmarks;
    if (marks.empty())
        return Q_EMIT message(tr("There are no bookmarks: Ctrl+B sets one."));
    auto next = marks.upper_bound(d->scene.current);
    const int item = next == marks.end() ? *marks.begin() : *next;
    setCurrent(item);
    Q_EMIT currentChanged(item);
}

}  // namespace orrery::widgets
