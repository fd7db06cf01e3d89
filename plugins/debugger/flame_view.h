#pragma once
#include <QAction>
#include <QWidget>
#include <optional>

#include <core/debug/flame.h>

namespace orrery::plugins {

/// A flame chart: module calls above their nodes along the time. A click on a bar chooses it, a double click (or Enter) makes it as wide as the view, Escape or a
/// double click on the widest bar goes back; arrow keys walk along the bars. UI thread.
class FlameView : public QWidget {
    Q_OBJECT
public:
    explicit FlameView(QWidget* parent = nullptr);
    void setProfile(const debug::Profile& profile, const QString& title);
    void clear();
    const std::vector<debug::FlameBar>& bars() const { return m_bars; }
    /// In this widget's coordinates; empty where the bar is outside the view.
    QRectF barRect(int index) const;
    int currentBar() const { return m_current; }
    int zoomedBar() const { return m_zoom; }
    QList<QAction*> exportActions() const { return m_actions; }
    QSize sizeHint() const override { return {600, 240}; }
    QSize minimumSizeHint() const override { return {160, 90}; }

Q_SIGNALS:
    void barChosen(const QString& name, bool isNode);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;

private:
    void paint(QPainter& painter, QSize size, const QPalette& palette) const;
    void choose(int bar);
    void zoomTo(int bar);
    int barAt(QPointF position) const;
    QRectF rectIn(int index, QSize size) const;
    QString tooltip(int bar) const;
    std::optional<debug::Profile> m_profile;
    std::vector<debug::FlameBar> m_bars;
    std::vector<std::size_t> m_groups;
    QString m_title;
    int m_zoom = 0, m_current = -1;
    QList<QAction*> m_actions;
};

}  // namespace orrery::plugins
