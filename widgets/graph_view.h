#pragma once
#include <QList>
#include <QString>
#include <QStringList>
#include <QWidget>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <core/base/json.h>

#include "graph_colours.h"
#include "graph_content.h"

class QAction;

namespace orrery::widgets {

class Session;

/// The picture of a model: boxes in layers, modules that open and close in place, values as lines. Layout runs in the background; the picture of before
/// stays until the new one is there. UI thread.
///
/// Mouse: the wheel zooms about the pointer, dragging moves, a click chooses, a double click opens or closes. In the small map: click or drag to go there.
/// Keys: down and up walk along the lines, left and right to the neighbour; Enter or + opens, - closes; Ctrl and + or - zoom, Ctrl+0 shows all; F3 and
/// Shift+F3 go through what was found; Ctrl+B sets a bookmark, F4 goes to the next; Escape ends a shown way or a search.
class GraphView : public QWidget {
    Q_OBJECT
public:
    /// @param session  Gives the background; outlives the view.
    explicit GraphView(Session& session, QWidget* parent = nullptr);
    ~GraphView() override;

    /// @param opened  Paths of the groups to open; without value: as many as are seen well.
    void setContent(GraphContentPtr content, std::optional<QStringList> opened = {});
    void clear();
    const GraphContentPtr& content() const;
    /// False while the layout is being computed.
    bool isIdle() const;
    void setColours(GraphColours colours);
    const GraphColours& colours() const;

    /// The chosen item of the tree; -1: none. Setting it opens what is around it and brings it into view, but emits nothing.
    int current() const;
    void setCurrent(int item);
    bool isOpen(int item) const;
    void setOpen(int item, bool open);
    void openAll();
    void closeAll();
    QStringList openedPaths() const;

    /// Marks every item whose title, path, type or shape contains the text (any case); gives how many. Empty: none.
    int search(const QString& text);
    int found() const;
    /// Chooses the next (1) or previous (-1) of them, opening what is around it.
    void goToMatch(int direction);

    /// Shows the ways between two items and dims the rest. False (and nothing shown) if no way leads from one to the other, in neither direction.
    bool showWay(int from, int to);
    void endWay();
    bool isShowingWay() const;

    void toggleBookmark(int item);
    const std::set<int>& bookmarks() const;
    void setBookmarks(std::set<int> items);
    void goToBookmark();

    double zoom() const;  ///< pixels a unit
    void zoomBy(double factor, QPointF about);
    void showAll();
    /// Where an item is drawn, in this widget's coordinates; null if it is inside a closed one.
    QRectF itemRect(int item) const;
    /// What is under a point of this widget; -1: nothing.
    int itemAt(QPointF position) const;
    QRectF mapRect() const;  ///< of the small map; null while it is hidden

    /// Text of the tooltip of an item.
    void setToolTipText(std::function<QString(int item)> text);
    /// Actions offered in the context menu besides the view's own.
    void setMenuActions(QList<QAction*> actions);
    /// The whole picture as it is opened now: png, svg, pdf; csv: the boxes. @throws as `PlotView::exportTo`.
    void exportTo(const QString& file, QSize size = {}) const;
    QString toCsv() const;
    QList<QAction*> exportActions() const;
    /// "Show all", "Open everything", "Close everything", bookmarks, ways: with their keys.
    QList<QAction*> viewActions() const;

    /// Opened groups, bookmarks, what is in view.
    core::Json saveState() const;
    /// Taken with the next content, or at once if there is one.
    void restoreState(const core::Json& state);

    QSize sizeHint() const override { return {560, 480}; }
    QSize minimumSizeHint() const override { return {160, 120}; }

Q_SIGNALS:
    /// By mouse or keys.
    void currentChanged(int item);
    /// The layout is there, or is being computed.
    void idleChanged();
    void matchesChanged();
    void bookmarksChanged();
    /// A sentence about what was just done, or why it was not.
    void message(const QString& text);

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void changeEvent(QEvent* event) override;
    bool event(QEvent* event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
