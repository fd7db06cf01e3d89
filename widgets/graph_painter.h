#pragma once
#include <QFont>
#include <QPalette>
#include <QRectF>
#include <set>
#include <vector>

#include "graph_colours.h"
#include "graph_content.h"

class QPainter;

namespace orrery::widgets {

/// Everything a picture of a graph depends on besides the zoom.
struct GraphScene {
    GraphContentPtr content;
    std::shared_ptr<const layout::Picture> picture;
    std::vector<QRectF> routeBounds;  ///< one a route
    GraphColours colours;
    int current = -1;
    std::vector<bool> matches;   ///< one an item: found by the search (a closed box also for what is inside); empty: none
    std::vector<bool> onPath;    ///< one an item: on the way that is shown; empty: none is
    std::vector<bool> litRoute;  ///< one a route: touches the current box
    std::set<int> bookmarks;

    bool isEmpty() const { return !picture || picture->items.empty(); }
    QRectF bounds() const;
    /// The box at a point of the picture: the innermost; -1 if there is none.
    int itemAt(QPointF point) const;
    /// The route within `reach` of a point; -1 if there is none.
    int routeAt(QPointF point, double reach) const;
    QRectF rectOf(int item) const;  ///< null if it is not seen
};

/// Draws what of the scene lies in `visible` (in the picture's units), with less detail the smaller `scale` (pixels a unit) is.
/// The painter's transformation maps the picture's units to pixels.
void paintGraph(QPainter& painter, const GraphScene& scene, const QRectF& visible, double scale, const QFont& font, const QPalette& palette);

/// The legend of the colours, in pixels; returns its size, and draws nothing if `painter` is null.
QSizeF paintGraphLegend(QPainter* painter, QPointF corner, const GraphColours& colours, const QFont& font, const QPalette& palette);

/// Routes that carry a value to or from an item, or to or from what is inside it. One entry a route.
std::vector<bool> routesOf(const layout::ItemTree& tree, const layout::Picture& picture, int item);

/// Sets an entry for every item that holds one that is set: a closed group stands for what is inside.
std::vector<bool> withGroups(const layout::ItemTree& tree, std::vector<bool> flags);

}  // namespace orrery::widgets
