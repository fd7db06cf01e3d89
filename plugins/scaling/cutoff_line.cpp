#include "cutoff_line.h"

#include <QChildEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <cmath>

namespace orrery::plugins {
namespace {

constexpr double kGrip = 6;  // px to both sides of the line

}  // namespace

CutoffLine::CutoffLine(widgets::PlotView& plot, QObject* parent) : QObject(parent), m_plot(plot)
{
    plot.installEventFilter(this);
    for (QWidget* child : plot.findChildren<QWidget*>())
        child->installEventFilter(this);
}

void CutoffLine::setPosition(std::optional<double> x)
{
    m_x = x;
    m_plot.setGuide(widgets::PlotAxis::X, x.value_or(std::nan("")));
}

bool CutoffLine::isNear(const QPointF& position) const
{
    return m_x && std::abs(m_plot.toPixel(*m_x, m_plot.range(widgets::PlotAxis::Y).first).x() - position.x()) <= kGrip;
}

bool CutoffLine::mouse(QWidget* widget, QEvent* event)
{
    const auto* mouseEvent = static_cast<QMouseEvent*>(event);
    const QPointF position = widget->mapTo(&m_plot, mouseEvent->position().toPoint());
    if (event->type() == QEvent::MouseButtonPress) {
        m_dragging = mouseEvent->button() == Qt::LeftButton && isNear(position);
        return m_dragging;
    }
    if (!m_dragging) {
        const bool over = event->type() == QEvent::MouseMove && isNear(position);
        widget->setCursor(over ? Qt::SplitHCursor : Qt::ArrowCursor);
        return false;
    }
    if (const double x = m_plot.toValue(position).x(); std::isfinite(x) && x > 0) {
        setPosition(x);
        Q_EMIT moved(x);
    }
    if (event->type() == QEvent::MouseButtonRelease) {
        m_dragging = false;
        Q_EMIT released(*m_x);
    }
    return true;
}

bool CutoffLine::key(QEvent* event)
{
    const auto* pressed = static_cast<QKeyEvent*>(event);
    if (!m_x || !(pressed->modifiers() & Qt::ControlModifier) || (pressed->key() != Qt::Key_Left && pressed->key() != Qt::Key_Right))
        return false;
    setPosition(*m_x * (pressed->key() == Qt::Key_Left ? 1 / 1.1 : 1.1));
    Q_EMIT moved(*m_x);
    Q_EMIT released(*m_x);
    return true;
}

bool CutoffLine::eventFilter(QObject* watched, QEvent* event)
{
    auto* widget = qobject_cast<QWidget*>(watched);
    switch (event->type()) {
    case QEvent::MouseButtonPress:
    case QEvent::MouseMove:
    case QEvent::MouseButtonRelease: return widget && mouse(widget, event);
    case QEvent::KeyPress: return key(event);
    default: return false;
    }
}

}  // namespace orrery::plugins
