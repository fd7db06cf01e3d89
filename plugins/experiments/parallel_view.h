#pragma once
#include <QImage>
#include <QLineF>
#include <QList>
#include <QStringList>
#include <QWidget>
#include <optional>
#include <utility>
#include <vector>

namespace orrery::plugins {

/// One axis: a number a run, or a place among names.
struct ParallelAxis {
    QString id, title;
    QStringList names;           ///< not empty: values are indices into it
    bool log = false;            ///< values that are not above 0 are missing then
    std::vector<double> values;  ///< one a run; NaN: the run has none, its line skips the axis
};

/// Parallel coordinates: an axis upright for each field, a line for each run, coloured by the last axis (viridis: even lightness, safe for the colour-blind). Dragging
/// along an axis marks a stretch; lines that pass all stretches stand out. A click beside a stretch removes it. Keyboard: Left and Right choose an axis, Up and Down
/// move its stretch, with Shift grow and shrink it, Delete removes it, Escape all, L switches the axis to logarithms.
/// Ten thousand lines are drawn into a picture once a change. UI thread.
class ParallelView : public QWidget {
    Q_OBJECT
public:
    explicit ParallelView(QWidget* parent = nullptr);

    /// Stretches of axes that stay are kept.
    void setData(std::vector<ParallelAxis> axes, QList<qint64> runs);
    const std::vector<ParallelAxis>& axes() const { return m_axes; }
    /// Runs whose lines pass all stretches; all where there is none.
    QList<qint64> brushed() const;
    bool hasBrush() const;
    /// Marks a stretch of values (of names: of indices), both ends inclusive; nothing removes it.
    void setBrush(const QString& axis, std::optional<std::pair<double, double>> range);
    std::optional<std::pair<double, double>> brush(const QString& axis) const;
    /// Runs drawn above the others.
    void setHighlighted(const QList<qint64>& runs);
    /// Where a value of an axis stands in this widget.
    QPointF toPixel(int axis, double value) const;

    QSize sizeHint() const override { return {600, 280}; }
    QSize minimumSizeHint() const override { return {200, 140}; }

Q_SIGNALS:
    /// Stretches were changed by hand; at the end of a drag.
    void brushChanged(const QList<qint64>& runs);
    /// The title of an axis was clicked, or L pressed: it should be drawn the other way.
    void logToggled(const QString& axis);

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;

private:
    using Stretch = std::optional<std::pair<double, double>>;  ///< of heights, 0 (bottom) .. 1
    struct Placed {
        double low = 0, high = 1;    ///< values at the ends of the axis, logarithms if it is logarithmic
        std::vector<float> heights;  ///< one a run; NaN: none
        Stretch stretch;
    };
    static Placed placed(const ParallelAxis& axis);
    double heightOf(int axis, double value) const;
    double valueAt(int axis, double height) const;
    double xOf(int axis) const;
    double yOf(double share) const;
    double heightAt(double y) const;
    int axisAt(const QPointF& place) const;
    void select();
    std::vector<QList<QLineF>> binned() const;
    void drawLines();
    void drawAxis(QPainter& painter, int axis) const;
    void placeSides();
    QStringList ticks(int axis, std::vector<double>& heights) const;
    void setStretch(int axis, Stretch stretch);
    void finishBrush();

    std::vector<ParallelAxis> m_axes;
    std::vector<Placed> m_placed;  ///< one an axis
    QList<qint64> m_runs;
    std::vector<char> m_selected;  ///< one a run: passes all stretches
    QList<qint64> m_highlighted;
    QImage m_lines;      ///< null: to be drawn
    double m_side = 60;  ///< px: margin beside the outer axes
    int m_current = 0, m_dragged = -1;
    double m_dragStart = 0;
    bool m_hasMoved = false;
};

}  // namespace orrery::plugins
