#pragma once
#include <QElapsedTimer>
#include <QImage>
#include <QOpenGLWidget>
#include <QRect>
#include <QSet>
#include <QTimer>
#include <memory>
#include <vector>

#include "orbit_camera.h"

namespace orrery::viewers {

class Overlay;

/// A view into a scene: the camera with mouse and keys, frames, controls laid over the picture. What is drawn is up to those who derive from it. UI thread.
///
/// Left drag turns, right or middle drag (or left with Shift) moves, left drag with Control looks around, the wheel goes nearer and farther, a double click
/// makes the point under the mouse the target. W A S D Q E fly (Shift: faster), arrows turn, + and - go nearer and farther, 1 to 7 are the standard views,
/// F or Home fits.
class GlView : public QOpenGLWidget {
    Q_OBJECT
public:
    explicit GlView(QWidget* parent = nullptr);
    ~GlView() override;

    /// Why there can be no view: a sentence; empty if OpenGL 3.2 is there. Asked once a process.
    static QString openGlProblem();

    const OrbitCamera& camera() const { return m_camera; }
    void setCamera(const OrbitCamera& camera);
    void look(StandardView view);
    void fit();
    /// The camera is moved, or was a moment ago: less detail will do.
    bool isMoving() const { return m_moving; }

    /// Where a point of the scene stands in the widget; nothing behind the camera.
    std::optional<QPointF> project(const scene::Vector3& point) const;

    /// The picture as it is shown, at full detail. Null while there is no OpenGL.
    QImage image(bool withControls = false);
    void setControlsShown(bool shown);
    /// Where a control stands, in the widget's coordinates; empty if it is not shown.
    QRect controlRect(const QString& name) const;
    /// Milliseconds of the last frames, oldest first, at most 120.
    const std::vector<float>& frameTimes() const { return m_times; }
    double medianFrameTime() const;
    /// The last frame was drawn after everything that was set.
    bool isSettled() const;

Q_SIGNALS:
    void cameraChanged();
    /// The left button went down and up at one place.
    void clicked(const QPointF& position, Qt::KeyboardModifiers modifiers);
    void framePainted();

protected:
    struct Sphere {
        scene::Vector3 centre{};
        double radius = 1;
    };
    virtual Sphere sceneSphere() const = 0;
    virtual std::optional<scene::Vector3> pointUnder(const QPointF& position) const = 0;
    /// With the context current; `stopScene` gives back what `startScene` took, and may come without one.
    virtual void startScene() = 0;
    virtual void stopScene() = 0;
    virtual void drawScene(QSize pixels) = 0;
    /// Calls ImGui. `overlay` keeps the places of the controls.
    virtual void drawControls(Overlay& overlay) = 0;
    /// A tool that takes the left button at this place instead of the camera.
    virtual bool beginDrag(const QPointF&) { return false; }
    virtual void dragTo(const QPointF&) {}
    virtual void endDrag() {}

    QColor backgroundColor() const;
    bool isDarkTheme() const;

    void initializeGL() override;
    void paintGL() override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void keyReleaseEvent(QKeyEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    enum class Drag { None, Controls, Tool, Orbit, Pan, Look };
    void cleanUp();
    void cameraMoved();
    void moveCamera(const QPointF& step);
    void flyStep();
    bool pressKey(int key);
    void keepTime(double milliseconds);

    OrbitCamera m_camera;
    std::unique_ptr<Overlay> m_overlay;
    QTimer m_still, m_fly;
    QSet<int> m_keys;
    bool m_moving = false, m_controlsShown = true, m_fast = false;
    Drag m_drag = Drag::None;
    QPointF m_pressed, m_last;
    bool m_dragged = false;
    std::vector<float> m_times;
};

}  // namespace orrery::viewers
