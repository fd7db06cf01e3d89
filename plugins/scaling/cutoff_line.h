#pragma once
#include <QObject>
#include <optional>

#include <widgets/plot_view.h>

namespace orrery::plugins {

/// A vertical line in a plot that is dragged by the mouse, and moved by Ctrl+Left and Ctrl+Right: the cut-off between what is fitted and what is held out. UI thread.
class CutoffLine : public QObject {
    Q_OBJECT
public:
    /// `plot` outlives this.
    explicit CutoffLine(widgets::PlotView& plot, QObject* parent = nullptr);

    /// Nothing: no line. Emits nothing.
    void setPosition(std::optional<double> x);
    std::optional<double> position() const { return m_x; }

Q_SIGNALS:
    /// While it is dragged, at each move.
    void moved(double x);
    /// Let go.
    void released(double x);

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    bool isNear(const QPointF& position) const;
    bool mouse(QWidget* widget, QEvent* event);
    bool key(QEvent* event);

    widgets::PlotView& m_plot;
    std::optional<double> m_x;
    bool m_dragging = false;
};

}  // namespace orrery::plugins
