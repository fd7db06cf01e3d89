#pragma once
#include <set>

#include <widgets/image_view.h>

namespace orrery::plugins {

/// A picture that is painted on to leave pixels out: left button paints, right button (or Shift) brings back; arrow keys move a cursor, Space paints.
class BrushView : public widgets::ImageView {
    Q_OBJECT
public:
    explicit BrushView(QWidget* parent = nullptr);
    /// Side of the square brush in pixels, from 1.
    void setBrushSize(int pixels);
    /// Numbers of the pixels (y * width + x) that are left out: hatched.
    void setLeftOut(const std::set<std::int64_t>& pixels);

Q_SIGNALS:
    /// The stroke goes on: these pixels are left out now.
    void painted(const std::set<std::int64_t>& pixels);
    void strokeEnded();

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

private:
    void stamp(QPoint pixel, bool leaveOut);
    void line(QPoint from, QPoint to, bool leaveOut);

    std::set<std::int64_t> m_leftOut;
    int m_size = 1;
    std::optional<QPoint> m_last;
    QPoint m_cursor;
    bool m_painting = false, m_erasing = false;
};

}  // namespace orrery::plugins
