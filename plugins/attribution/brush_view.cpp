#include "brush_view.h"

#include <QContextMenuEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <algorithm>

namespace orrery::plugins {

BrushView::BrushView(QWidget* parent) : ImageView(parent)
{
    setColorBarVisible(false);
    setCursor(Qt::CrossCursor);
}

void BrushView::setBrushSize(int pixels)
{
    m_size = std::max(1, pixels);
    update();
}

void BrushView::setLeftOut(const std::set<std::int64_t>& pixels)
{
    m_leftOut = pixels;
    update();
}

void BrushView::stamp(QPoint pixel, bool leaveOut)
{
    const int from = -(m_size - 1) / 2;
    for (int dy = from; dy < from + m_size; ++dy)
        for (int dx = from; dx < from + m_size; ++dx) {
            const QPoint at = pixel + QPoint(dx, dy);
            if (!image().rect().contains(at))
                continue;
            const std::int64_t number = std::int64_t(at.y()) * image().width() + at.x();
            leaveOut ? void(m_leftOut.insert(number)) : void(m_leftOut.erase(number));
        }
}

/// Every pixel between two places of the pointer: a fast stroke has no holes.
void BrushView::line(QPoint from, QPoint to, bool leaveOut)
{
    const QPoint way = to - from;
    const int steps = std::max({std::abs(way.x()), std::abs(way.y()), 1});
    for (int i = 0; i <= steps; ++i)
        stamp(from + QPoint(way.x() * i / steps, way.y() * i / steps), leaveOut);
    update();
    Q_EMIT painted(m_leftOut);
}

void BrushView::mousePressEvent(QMouseEvent* event)
{
    const auto pixel = pixelAt(event->position());
    if (!pixel || (event->button() != Qt::LeftButton && event->button() != Qt::RightButton))
        return ImageView::mousePressEvent(event);
    m_painting = true;
    m_erasing = event->button() == Qt::RightButton || event->modifiers().testFlag(Qt::ShiftModifier);
    m_last = m_cursor = *pixel;
    line(*pixel, *pixel, !m_erasing);
}

void BrushView::mouseMoveEvent(QMouseEvent* event)
{
    if (!m_painting)
        return ImageView::mouseMoveEvent(event);
    const auto pixel = pixelAt(event->position());
    if (!pixel || pixel == m_last)
        return;
    line(m_last.value_or(*pixel), *pixel, !m_erasing);
    m_last = m_cursor = *pixel;
}

void BrushView::mouseReleaseEvent(QMouseEvent* event)
{
    ImageView::mouseReleaseEvent(event);
    if (!std::exchange(m_painting, false))
        return;
    m_last.reset();
    Q_EMIT strokeEnded();
}

void BrushView::keyPressEvent(QKeyEvent* event)
{
    QPoint way;
    switch (event->key()) {
    case Qt::Key_Left: way = {-1, 0}; break;
    case Qt::Key_Right: way = {1, 0}; break;
    case Qt::Key_Up: way = {0, -1}; break;
    case Qt::Key_Down: way = {0, 1}; break;
    case Qt::Key_Space: {
        const bool leaveOut = !m_leftOut.contains(std::int64_t(m_cursor.y()) * image().width() + m_cursor.x());
        line(m_cursor, m_cursor, leaveOut);
        return Q_EMIT strokeEnded();
    }
    default: return ImageView::keyPressEvent(event);
    }
    const QPoint wanted = m_cursor + way;
    m_cursor = {std::clamp(wanted.x(), 0, std::max(0, image().width() - 1)), std::clamp(wanted.y(), 0, std::max(0, image().height() - 1))};
    update();
}

void BrushView::contextMenuEvent(QContextMenuEvent* event)
{
    // The right button brings pixels back; the menu stays on its key.
    if (event->reason() == QContextMenuEvent::Keyboard)
        ImageView::contextMenuEvent(event);
}

void BrushView::paintEvent(QPaintEvent* event)
{
    ImageView::paintEvent(event);
    if (image().isNull())
        return;
    QPainter painter(this);
    for (const std::int64_t number : m_leftOut) {
        const QRectF rect = pixelRect(int(number % image().width()), int(number / image().width()));
        painter.fillRect(rect, QColor(128, 128, 128));
        painter.fillRect(rect, QBrush(Qt::black, Qt::BDiagPattern));
    }
    if (!hasFocus())
        return;
    painter.setPen(QPen(palette().color(QPalette::Highlight), 2));
    painter.drawRect(pixelRect(m_cursor.x(), m_cursor.y()));
}

}  // namespace orrery::plugins
