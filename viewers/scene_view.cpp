#include "scene_view.h"

#include <QOpenGLContext>
#include <algorithm>
#include <cmath>
#include <numbers>

#include <core/scene/camera/vector.h>
#include <core/scene/cloud/levels.h>

#include "vtk_scene.h"

namespace orrery::viewers {
namespace {

using scene::operator+, scene::operator-, scene::operator*;

constexpr double kMovingGoal =
    29;  ///< ms from the beginning of a frame until the window shows it, while the camera moves: some less than a 30th of a second
constexpr double kFewestMoving = 20000, kFewMoving = 120000;  ///< points; fewer than the second are drawn only with half the pixels an edge
constexpr int kSlowFrames = 3;                                ///< one alone can be anybody's fault
constexpr double kPickPixels = 6;

}  // namespace

SceneView::SceneView(QWidget* parent) : GlView(parent)
{
    connect(this, &QOpenGLWidget::frameSwapped, this, &SceneView::frameShown);
}

SceneView::~SceneView()
{
    if (!context())
        return;
    makeCurrent();
    m_scene.reset();
    doneCurrent();
}

void SceneView::setPicture(std::shared_ptr<const CloudPicture> picture, std::shared_ptr<const CloudColours> colours)
{
    const bool isOther = picture != m_picture;
    m_picture = std::move(picture);
    m_colours = std::move(colours);
    m_isStale = true;
    if (isOther && m_picture && !m_settings.clips)
        m_settings.clip = wholeBox();
    update();
}

std::array<double, 6> SceneView::wholeBox() const
{
    if (!m_picture)
        return {};
    const auto& bounds = m_picture->bounds;
    return {bounds.low[0], bounds.low[1], bounds.low[2], bounds.high[0], bounds.high[1], bounds.high[2]};
}

void SceneView::setSettings(SceneSettings settings)
{
    settings.pointSize = std::clamp(settings.pointSize, 1.0, 20.0);
    settings.eyeDomeStrength = std::clamp(settings.eyeDomeStrength, 0.1, 5.0);
    settings.pointBudget = std::clamp<std::size_t>(settings.pointBudget, 1000, 1000000000);
    for (std::size_t axis = 0; axis < 3; ++axis)
        if (settings.clip[axis] > settings.clip[axis + 3])
            std::swap(settings.clip[axis], settings.clip[axis + 3]);
    if (settings == m_settings)
        return;
    m_settings = settings;
    update();
    Q_EMIT settingsChanged();
}

void SceneView::setMarks(std::vector<SceneMark> marks)
{
    m_marks = std::move(marks);
    update();
}

GlView::Sphere SceneView::sceneSphere() const
{
    if (!m_picture)
        return {};
    const auto& bounds = m_picture->bounds;
    return {0.5 * (bounds.low + bounds.high), std::max(1e-6, bounds.diagonal() / 2)};
}

std::optional<std::uint32_t> SceneView::pick(const QPointF& position) const
{
    if (!m_picture)
        return std::nullopt;
    const auto ray = scene::rayThrough(camera().camera(std::max(1, width()), std::max(1, height())), position.x(), position.y());
    scene::PickCone cone;
    cone.origin = ray.origin;
    cone.direction = ray.direction;
    cone.slope = std::max(kPickPixels, m_settings.pointSize / 2) * 2 * std::tan(camera().fov() * std::numbers::pi / 360) / std::max(1, height());
    if (m_settings.clips) {
        const auto& c = m_settings.clip;
        cone.box = {{{c[0], c[1], c[2]}, {c[3], c[4], c[5]}}};
    }
    const auto found = scene::pickPoint(m_picture->mesh->points.positions, cone);
    return found ? std::optional(found->point) : std::nullopt;
}

std::optional<scene::Vector3> SceneView::pointUnder(const QPointF& position) const
{
    const auto point = pick(position);
    if (!point)
        return std::nullopt;
    const auto* p = m_picture->mesh->points.positions.data() + 3 * *point;
    return scene::Vector3{p[0], p[1], p[2]};
}

void SceneView::startScene()
{
    m_scene = std::make_unique<VtkScene>(context());
    m_isStale = true;
}

void SceneView::stopScene()
{
    m_scene.reset();
}

SceneLook SceneView::sceneLook() const
{
    SceneLook look;
    look.pointSize = m_settings.pointSize * devicePixelRatioF();
    look.points = m_settings.points;
    look.faces = m_settings.faces;
    look.edges = m_settings.edges;
    look.edl = m_settings.eyeDome;
    look.edlStrength = m_settings.eyeDomeStrength;
    if (m_settings.clips)
        look.clip = m_settings.clip;
    return look;
}

void SceneView::drawScene(QSize pixels)
{
    if (!m_scene)
        return;
    if (m_isStale)
        m_scene->setPicture(m_picture, m_colours);
    const bool wasStale = std::exchange(m_isStale, false);
    if (!isMoving() && std::exchange(m_isEasy, false))
        m_movingShrink = 1;
    const int shrinkBefore = std::exchange(m_shrink, isMoving() ? m_movingShrink : 1);
    // The first frame of another size pays for its memory.
    if (isMoving() && !wasStale && m_shrink == shrinkBefore)
        m_frameClock.start();
    else
        m_frameClock.invalidate();
    const auto budget = isMoving() ? std::min(m_settings.pointBudget, std::size_t(m_movingBudget)) : m_settings.pointBudget;
    m_drawn = m_scene->draw({camera(), pixels, backgroundColor(), sceneLook(), budget, isMoving(), m_shrink}, defaultFramebufferObject());
}

void SceneView::frameShown()
{
    if (!m_frameClock.isValid())
        return;
    adaptDetail(double(m_frameClock.nsecsElapsed()) / 1e6);
    m_frameClock.invalidate();
}

// Slowly up, quickly down: a frame that comes late is seen, a point that is missing is not. Where even few points take too long, it is the pixels that cost.
void SceneView::adaptDetail(double milliseconds)
{
    const double factor = std::clamp(kMovingGoal / std::max(0.1, milliseconds), 0.6, 1.1);
    const double most = m_picture ? double(m_picture->positions.size() / 3) : kFewestMoving;
    m_movingBudget = std::clamp(m_movingBudget * factor, kFewestMoving, std::max(kFewestMoving, 1.3 * most));
    m_slowFrames = milliseconds > kMovingGoal ? m_slowFrames + 1 : 0;
    if (m_slowFrames >= kSlowFrames && m_movingBudget < kFewMoving)
        m_movingShrink = 2;
    // All points in little time: the next movement begins with all pixels.
    m_isEasy = m_shrink == 2 && milliseconds < 0.6 * kMovingGoal && m_movingBudget >= most;
}

}  // namespace orrery::viewers
