// What stands over the scene besides the controls: marks and the clip box with its handles.
#include <imgui.h>

#include <cmath>

#include <core/scene/camera/vector.h>

#include "scene_view.h"

namespace orrery::viewers {
namespace {

using scene::operator+, scene::operator-, scene::operator*;

constexpr double kHandleReach = 9;  ///< pixels
constexpr unsigned kMarkColour = IM_COL32(230, 120, 20, 255), kBoxColour = IM_COL32(90, 150, 220, 220), kHandleColour = IM_COL32(60, 130, 220, 255);

scene::Vector3 corner(const std::array<double, 6>& box, int which)
{
    return {box[which & 1 ? 3 : 0], box[which & 2 ? 4 : 1], box[which & 4 ? 5 : 2]};
}

scene::Vector3 handlePlace(const std::array<double, 6>& box, int side)
{
    scene::Vector3 place = 0.5 * (corner(box, 0) + corner(box, 7));
    place[std::size_t(side % 3)] = box[std::size_t(side)];
    return place;
}

ImVec2 toIm(const QPointF& p)
{
    return {float(p.x()), float(p.y())};
}

}  // namespace

void SceneView::drawLine(const scene::Vector3& from, const scene::Vector3& to, unsigned colour) const
{
    const auto a = project(from), b = project(to);
    if (a && b)  // a line that passes the camera is left out
        ImGui::GetBackgroundDrawList()->AddLine(toIm(*a), toIm(*b), colour, 1.5f);
}

void SceneView::drawMarks() const
{
    auto* list = ImGui::GetBackgroundDrawList();
    for (const auto& mark : m_marks) {
        for (std::size_t i = 0; i < mark.points.size(); ++i) {
            if (i > 0)
                drawLine(mark.points[i - 1], mark.points[i], kMarkColour);
            if (const auto place = project(mark.points[i])) {
                list->AddCircleFilled(toIm(*place), 5, IM_COL32(255, 255, 255, 255));
                list->AddCircleFilled(toIm(*place), 4, kMarkColour);
            }
        }
        const auto place = mark.points.empty() || mark.text.isEmpty() ? std::nullopt : project(mark.points.back());
        if (!place)
            continue;
        const auto text = mark.text.toUtf8();
        const auto size = ImGui::CalcTextSize(text.constData());
        const ImVec2 at(float(place->x()) + 9, float(place->y()) - 7);
        list->AddRectFilled(ImVec2(at.x - 3, at.y - 2), ImVec2(at.x + size.x + 3, at.y + size.y + 2), IM_COL32(20, 20, 20, 210), 3);
        list->AddText(at, IM_COL32(255, 255, 255, 255), text.constData());
    }
}

void SceneView::drawClipBox() const
{
    if (!m_settings.clips)
        return;
    for (int from = 0; from < 8; ++from)
        for (const int bit : {1, 2, 4})
            if (!(from & bit))
                drawLine(corner(m_settings.clip, from), corner(m_settings.clip, from | bit), kBoxColour);
    for (int side = 0; side < 6; ++side)
        if (const auto place = clipHandle(side)) {
            ImGui::GetBackgroundDrawList()->AddCircleFilled(toIm(*place), 6, IM_COL32(255, 255, 255, 255));
            ImGui::GetBackgroundDrawList()->AddCircleFilled(toIm(*place), 5, kHandleColour);
        }
}

std::optional<QPointF> SceneView::clipHandle(int side) const
{
    if (!m_settings.clips || side < 0 || side > 5)
        return std::nullopt;
    return project(handlePlace(m_settings.clip, side));
}

bool SceneView::beginDrag(const QPointF& position)
{
    m_dragSide = -1;
    double nearest = kHandleReach;
    for (int side = 0; side < 6; ++side)
        if (const auto place = clipHandle(side); place && std::hypot(place->x() - position.x(), place->y() - position.y()) < nearest) {
            nearest = std::hypot(place->x() - position.x(), place->y() - position.y());
            m_dragSide = side;
        }
    m_dragLast = position;
    return m_dragSide >= 0;
}

// The side moves along its axis so far that the handle follows the mouse.
void SceneView::dragTo(const QPointF& position)
{
    const auto axis = std::size_t(m_dragSide % 3);
    const auto whole = wholeBox();
    const auto place = handlePlace(m_settings.clip, m_dragSide);
    const double small = 1e-3 * std::max(1e-9, std::abs(whole[axis + 3] - whole[axis]));
    auto beside = place;
    beside[axis] += small;
    const auto a = project(place), b = project(beside);
    if (!a || !b)
        return;
    const QPointF along = *b - *a, step = position - m_dragLast;
    const double squared = along.x() * along.x() + along.y() * along.y();
    if (squared < 1e-12)
        return;
    m_dragLast = position;
    auto settings = m_settings;
    double& value = settings.clip[std::size_t(m_dragSide)];
    value += small * (step.x() * along.x() + step.y() * along.y()) / squared;
    const double other = settings.clip[std::size_t((m_dragSide + 3) % 6)];
    value = m_dragSide < 3 ? std::min(value, other) : std::max(value, other);
    setSettings(settings);
}

void SceneView::endDrag()
{
    m_dragSide = -1;
}

}  // namespace orrery::viewers
