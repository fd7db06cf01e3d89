#pragma once
#include <QLabel>
#include <QPointer>
#include <QTimer>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "plot_series.h"
#include "plot_view.h"

/// Internal to widgets: what a PlotView holds. plot_view_private.cpp draws and follows the pointer, plot_view.cpp is the public side.
namespace orrery::widgets {

/// The text beside the pointer.
class HoverBox : public QLabel {
public:
    explicit HoverBox(QWidget* parent) : QLabel(parent)
    {
        setAttribute(Qt::WA_TransparentForMouseEvents);
        setAutoFillBackground(true);
        setFrameShape(QFrame::StyledPanel);
        setMargin(4);
        setTextFormat(Qt::RichText);
        setBackgroundRole(QPalette::ToolTipBase);
        setForegroundRole(QPalette::ToolTipText);
        hide();
    }

    void showAt(const QString& text, QPoint position)
    {
        setText(text);
        adjustSize();
        const QSize room = parentWidget()->size();
        const int x = position.x() + 14 + width() > room.width() ? position.x() - 14 - width() : position.x() + 14;
        move(std::max(0, x), std::clamp(position.y() - height() / 2, 0, std::max(0, room.height() - height())));
        show();
        raise();
    }
};

/// Views that show one cursor.
using PlotGroup = std::vector<QPointer<PlotView>>;

struct PlotView::Private {
    explicit Private(PlotView& view) : q(view) {}

    PlotCurve* find(const QString& id) const;
    PlotCurve& at(const QString& id) const;
    void setUp();
    void applyColors();
    void changed(bool rescale = true);
    void rescale();
    void requestAll();
    void request(PlotCurve& curve);
    void answered(const QString& id, quint64 number, PlotData data);
    void rangeChangedByHand();
    void moveCursor(std::optional<double> x);
    void hover(QPoint position);
    void leave();
    QString hoverText(double x, QPoint position) const;
    std::optional<double> snapped(double x) const;
    void click(QPoint position);
    void pan(double dx, double dy);
    void zoom(double factor);
    bool mouse(QMouseEvent* event);
    void paint(QPaintDevice& device, QSize size);
    QCPAxis* axis(PlotAxis which) const { return which == PlotAxis::X ? plot->xAxis : plot->yAxis; }
    QSharedPointer<QCPAxisTicker> ticker(PlotAxis which, bool log) const;
    void updateLegend();
    void placeLegend();
    bool legendIsOutside() const;
    void moveLegend(bool outside);
    int pointsIn(const QRectF& part) const;
    void makeActions();

    PlotView& q;
    QCustomPlot* plot = nullptr;
    HoverBox* box = nullptr;
    QCPTextElement* title = nullptr;
    QCPItemStraightLine* cursorLine = nullptr;
    std::map<PlotAxis, QCPItemStraightLine*> guides;
    std::vector<std::unique_ptr<PlotCurve>> curves;
    std::optional<double> cursor;
    std::shared_ptr<PlotGroup> group;
    double smoothing = 0;
    bool following = true, legend = true, settingRange = false, printing = false;
    bool whole[2] = {false, false};  ///< by PlotAxis
    bool legendMayReturn = false;    ///< from below the axes: other curves, or another size
    QTimer requestTimer, legendTimer;
    QList<QAction*> exports;
    QAction *showAllAction = nullptr, *logX = nullptr, *logY = nullptr, *legendAction = nullptr;
    QPoint pressed;
    bool panning = false, mayClick = false;
    QCPRange panX, panY;
};

}  // namespace orrery::widgets
