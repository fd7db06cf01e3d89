#include "gl_view.h"

#include <QMouseEvent>
#include <QOffscreenSurface>
#include <QOpenGLContext>
#include <QOpenGLFunctions>
#include <algorithm>
#include <cmath>

#include <widgets/theme.h>

#include "overlay.h"

namespace orrery::viewers {
namespace {

constexpr double kTurn = 0.008;       ///< radians a pixel
constexpr double kKeyTurn = 0.06;     ///< radians a key press
constexpr int kStillAfter = 180;      ///< ms after the last movement full detail is drawn
constexpr int kFlyInterval = 16;      ///< ms
constexpr double kClickDistance = 4;  ///< pixels
constexpr std::size_t kTimes = 120;

QSurfaceFormat wantedFormat()
{
    QSurfaceFormat format;
    format.setVersion(3, 2);
    format.setProfile(QSurfaceFormat::CoreProfile);
    return format;
}

QString askOpenGl()
{
    QOpenGLContext context;
    context.setFormat(wantedFormat());
    if (!context.create())
        return GlView::tr("This display has no OpenGL: scenes cannot be shown. orrery-cli scene works without a display.");
    const auto version = context.format().version();
    if (version < qMakePair(3, 2))
        return GlView::tr("This display has OpenGL %1.%2, expected 3.2 or newer: scenes cannot be shown. orrery-cli scene works without a display.")
            .arg(version.first)
            .arg(version.second);
    return {};
}

}  // namespace

QString GlView::openGlProblem()
{
    static const QString problem = askOpenGl();
    return problem;
}

GlView::GlView(QWidget* parent) : QOpenGLWidget(parent), m_overlay(std::make_unique<Overlay>())
{
    setFormat(wantedFormat());
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setMinimumSize(160, 120);
    m_still.setSingleShot(true);
    m_still.setInterval(kStillAfter);
    connect(&m_still, &QTimer::timeout, this, [this] {
        m_moving = false;
        update();
    });
    m_fly.setInterval(kFlyInterval);
    connect(&m_fly, &QTimer::timeout, this, &GlView::flyStep);
}

// The context ends in the base's destructor, when there is no view any more to clean up.
GlView::~GlView()
{
    if (!context())
        return;
    disconnect(context(), nullptr, this, nullptr);
    makeCurrent();
    m_overlay->stop();
    doneCurrent();
}

void GlView::setCamera(const OrbitCamera& camera)
{
    if (camera == m_camera)
        return;
    m_camera = camera;
    update();
    Q_EMIT cameraChanged();
}

void GlView::look(StandardView view)
{
    auto camera = m_camera;
    camera.look(view);
    setCamera(camera);
}

void GlView::fit()
{
    const auto sphere = sceneSphere();
    auto camera = m_camera;
    camera.fit(sphere.centre, sphere.radius, double(std::max(1, width())) / std::max(1, height()));
    setCamera(camera);
}

std::optional<QPointF> GlView::project(const scene::Vector3& point) const
{
    const auto place = scene::project(m_camera.camera(std::max(1, width()), std::max(1, height())), point);
    if (!(place[2] > 0))
        return std::nullopt;
    return QPointF(place[0], place[1]);
}

QImage GlView::image(bool withControls)
{
    if (!isValid())
        return {};
    const bool shown = std::exchange(m_controlsShown, withControls && m_controlsShown);
    const bool moving = std::exchange(m_moving, false);
    const auto grabbed = grabFramebuffer();
    m_controlsShown = shown;
    m_moving = moving;
    return grabbed;
}

void GlView::setControlsShown(bool shown)
{
    m_controlsShown = shown;
    update();
}

QRect GlView::controlRect(const QString& name) const
{
    return m_overlay->controlRect(name);
}

double GlView::medianFrameTime() const
{
    if (m_times.empty())
        return 0;
    auto times = m_times;
    std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
    return double(times[times.size() / 2]);
}

bool GlView::isSettled() const
{
    return !m_moving && !m_overlay->wantsFrame();
}

QColor GlView::backgroundColor() const
{
    return isDarkTheme() ? QColor(24, 26, 30) : QColor(250, 250, 251);
}
bool GlView::isDarkTheme() const
{
    return widgets::isDark(palette());
}

void GlView::initializeGL()
{
    // The context goes away when the view moves to another window, and at the end: what belongs to it goes before.
    connect(context(), &QOpenGLContext::aboutToBeDestroyed, this, &GlView::cleanUp, Qt::UniqueConnection);
    startScene();
    m_overlay->start();
}

void GlView::cleanUp()
{
    makeCurrent();
    m_overlay->stop();
    stopScene();
    doneCurrent();
}

void GlView::paintGL()
{
    QElapsedTimer clock;
    clock.start();
    auto* gl = context()->functions();
    const QSize pixels(qRound(width() * devicePixelRatioF()), qRound(height() * devicePixelRatioF()));
    drawScene(pixels);
    gl->glBindFramebuffer(GL_FRAMEBUFFER, defaultFramebufferObject());
    gl->glViewport(0, 0, pixels.width(), pixels.height());
    if (m_controlsShown && m_overlay->isStarted()) {
        m_overlay->beginFrame(size(), devicePixelRatioF(), isDarkTheme());
        drawControls(*m_overlay);
        m_overlay->endFrame();
    }
    gl->glFinish();  // the time is that of the picture, not that of queueing it
    keepTime(double(clock.nsecsElapsed()) / 1e6);
    if (m_controlsShown && m_overlay->wantsFrame())
        QMetaObject::invokeMethod(this, qOverload<>(&QWidget::update), Qt::QueuedConnection);
    Q_EMIT framePainted();
}

void GlView::keepTime(double milliseconds)
{
    if (m_times.size() >= kTimes)
        m_times.erase(m_times.begin());
    m_times.push_back(float(milliseconds));
}

void GlView::cameraMoved()
{
    m_moving = true;
    m_still.start();
    update();
    Q_EMIT cameraChanged();
}

void GlView::mousePressEvent(QMouseEvent* event)
{
    m_pressed = m_last = event->position();
    m_dragged = false;
    const bool isLeft = event->button() == Qt::LeftButton;
    if (m_controlsShown && m_overlay->covers(m_pressed)) {
        m_drag = Drag::Controls;
        m_overlay->moveMouse(m_pressed);
        m_overlay->pressMouse(isLeft);
        return update();
    }
    if (isLeft && beginDrag(m_pressed))
        m_drag = Drag::Tool;
    else if (!isLeft || event->modifiers() & Qt::ShiftModifier)
        m_drag = Drag::Pan;
    else
        m_drag = event->modifiers() & Qt::ControlModifier ? Drag::Look : Drag::Orbit;
}

void GlView::mouseMoveEvent(QMouseEvent* event)
{
    const auto step = event->position() - m_last;
    if (m_drag == Drag::None || m_drag == Drag::Controls) {
        if (m_drag == Drag::Controls || m_overlay->covers(event->position()) || m_overlay->covers(m_last)) {
            m_overlay->moveMouse(event->position());
            update();
        }
        m_last = event->position();
        return;
    }
    m_dragged = m_dragged || (event->position() - m_pressed).manhattanLength() > kClickDistance;
    if (!m_dragged)
        return;
    m_last = event->position();
    if (m_drag == Drag::Tool)
        return dragTo(event->position());
    moveCamera(step);
}

void GlView::moveCamera(const QPointF& step)
{
    const double high = std::max(1, height());
    if (m_drag == Drag::Pan)
        m_camera.pan(-step.x() / high, step.y() / high);
    else if (m_drag == Drag::Orbit)
        m_camera.orbit(-step.x() * kTurn, step.y() * kTurn);
    else
        m_camera.look(step.x() * kTurn / 2, -step.y() * kTurn / 2);
    cameraMoved();
}

void GlView::mouseReleaseEvent(QMouseEvent* event)
{
    const auto drag = std::exchange(m_drag, Drag::None);
    if (drag == Drag::Controls) {
        m_overlay->moveMouse(event->position());
        m_overlay->pressMouse(false);
        return update();
    }
    if (drag == Drag::Tool)
        endDrag();
    else if (!m_dragged && event->button() == Qt::LeftButton && drag != Drag::None)
        Q_EMIT clicked(event->position(), event->modifiers());
}

void GlView::mouseDoubleClickEvent(QMouseEvent* event)
{
    if (m_controlsShown && m_overlay->covers(event->position()))
        return mousePressEvent(event);
    const auto point = pointUnder(event->position());
    auto camera = m_camera;
    if (point && camera.set(m_camera.position(), *point, m_camera.fov()))
        setCamera(camera);
}

void GlView::wheelEvent(QWheelEvent* event)
{
    const double steps = event->angleDelta().y() / 120.0;
    event->accept();
    if (m_controlsShown && m_overlay->covers(event->position())) {
        m_overlay->moveMouse(event->position());
        m_overlay->wheel(steps);
        return update();
    }
    m_camera.dolly(std::pow(0.85, steps));
    cameraMoved();
}

bool GlView::pressKey(int key)
{
    switch (key) {
    case Qt::Key_Left: m_camera.orbit(-kKeyTurn, 0); break;
    case Qt::Key_Right: m_camera.orbit(kKeyTurn, 0); break;
    case Qt::Key_Up: m_camera.orbit(0, kKeyTurn); break;
    case Qt::Key_Down: m_camera.orbit(0, -kKeyTurn); break;
    case Qt::Key_Plus:
    case Qt::Key_Equal: m_camera.dolly(0.85); break;
    case Qt::Key_Minus: m_camera.dolly(1 / 0.85); break;
    case Qt::Key_F:
    case Qt::Key_Home: fit(); return true;
    default:
        if (key < Qt::Key_1 || key > Qt::Key_7)
            return false;
        look(StandardView(key - Qt::Key_1));
        return true;
    }
    cameraMoved();
    return true;
}

void GlView::keyPressEvent(QKeyEvent* event)
{
    m_fast = event->modifiers() & Qt::ShiftModifier;
    const bool isFlight = QList<int>{Qt::Key_W, Qt::Key_A, Qt::Key_S, Qt::Key_D, Qt::Key_Q, Qt::Key_E}.contains(event->key());
    if (isFlight && !(event->modifiers() & (Qt::ControlModifier | Qt::AltModifier))) {
        if (!event->isAutoRepeat()) {
            m_keys.insert(event->key());
            flyStep();
            m_fly.start();
        }
    } else if (event->modifiers() & (Qt::ControlModifier | Qt::AltModifier) || !pressKey(event->key())) {
        QOpenGLWidget::keyPressEvent(event);
    }
}

void GlView::keyReleaseEvent(QKeyEvent* event)
{
    if (!event->isAutoRepeat())
        m_keys.remove(event->key());
    if (m_keys.isEmpty())
        m_fly.stop();
}

void GlView::focusOutEvent(QFocusEvent* event)
{
    m_keys.clear();
    m_fly.stop();
    QOpenGLWidget::focusOutEvent(event);
}

void GlView::changeEvent(QEvent* event)
{
    QOpenGLWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange)
        update();
}

void GlView::flyStep()
{
    const auto held = [this](int key) { return m_keys.contains(key) ? 1.0 : 0.0; };
    const double step = sceneSphere().radius * (m_fast ? 0.05 : 0.0125);
    m_camera.fly(step * (held(Qt::Key_D) - held(Qt::Key_A)), step * (held(Qt::Key_E) - held(Qt::Key_Q)), step * (held(Qt::Key_W) - held(Qt::Key_S)));
    cameraMoved();
}

}  // namespace orrery::viewers
