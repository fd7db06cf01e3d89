#pragma once
#include <QAction>
#include <QPixmap>

#include "graph_painter.h"
#include "graph_view.h"
#include "latest_task.h"

namespace orrery::widgets {

/// The state of a `GraphView`; graph_view.cpp holds what is shown and how, graph_view_input.cpp mouse and keys, graph_view_layout.cpp opening and closing.
struct GraphView::Private {
    Private(GraphView& view, Session& session) : q(view), session(session), layoutTask([this](int change) { countBusy(change); }) {}

    // Layout.
    void countBusy(int change);
    void relayout(int keep);
    void take(layout::FoldedGraph laid, int keep, QPointF keepAt);
    void openFirst(const std::optional<QStringList>& opened);
    void updateFlags();
    void whenLaidOut(std::function<void()> call);

    // The view.
    QPointF toPixel(QPointF point) const { return (point - origin) * scale; }
    QPointF toPoint(QPointF pixel) const { return pixel / scale + origin; }
    QRectF toPixels(const QRectF& rect) const { return {toPixel(rect.topLeft()), rect.size() * scale}; }
    void fit();
    void fitReadable();
    void clampOrigin();
    void centreOn(int item);
    void bringIntoView(int item);
    QRectF mapArea() const;
    void paintMap(QPainter& painter);
    void goToMapPoint(QPointF pixel);
    void changed();
    void refreshShown();
    void paintShown(const QRectF& pixels);
    QString tooltipAt(QPointF position) const;

    // Choosing.
    void choose(int item, bool tell);
    void setOpen(int item, bool open);
    void toggle(int item) { setOpen(item, !graph.isOpen(item)); }
    int neighbourAlong(int item, bool down) const;
    int neighbourBeside(int item, bool right) const;
    void makeActions();
    QAction* addAction(const QString& text, const QKeySequence& keys, std::function<void()> call);
    void showWayBetween(int from, int to);

    GraphView& q;
    Session& session;
    LatestTask layoutTask;
    layout::FoldedGraph graph;  ///< as it is shown
    layout::FoldedGraph next;   ///< as it is wanted: laid out in the background
    GraphScene scene;
    double scale = 1;
    QPointF origin;       ///< the picture's point in this widget's upper left corner
    bool fitted = false;  ///< nobody has moved or zoomed yet: new pictures are fitted
    int busy = 0;
    std::vector<int> matches;
    int match = -1;
    std::vector<std::function<void()>> afterLayout;
    std::optional<core::Json> wantedState;
    std::function<QString(int)> tooltip;
    QList<QAction*> exports, actions, menuActions;
    QAction *wayFrom = nullptr, *wayTo = nullptr, *bookmark = nullptr, *toggleOpen = nullptr;
    int wayStart = -1;
    QPixmap map;          ///< the small map without its frame; null: to be painted
    QPixmap shown;        ///< boxes and lines as they were last seen; null: to be painted
    QPointF shownOrigin;  ///< of that picture
    double shownScale = 0;
    std::optional<QPointF> dragFrom;
    bool dragging = false, draggingMap = false;
};

}  // namespace orrery::widgets
