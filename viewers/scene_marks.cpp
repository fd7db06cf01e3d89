// What stands over the scene besides the controls: marks and the clip box with its handles.
#include <imgui.h>

#include "clip_box.h"
#include "scene_view.h"

namespace orrery::viewers {
namespace {

constexpr unsigned kMarkColour = IM_COL32(230, 120, 20, 255);

ImVec2 toIm(const QPointF& p)
{
    return {float(p.x()), float(p.y())};
}

}  // namespace

void SceneView::drawMarks() const
{
    auto* list = ImGui::GetBackgroundDrawList();
    for (const auto& mark : m_marks) {
        for (std::size_t i = 0; i < mark.points.size(); ++i) {
            if (i > 0)
                drawSceneLine(*this, mark.points[i - 1], mark.points[i], kMarkColour);
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

std::optional<QPointF> SceneView::clipHandle(int side) const
{
    if (!m_settings.clips || side < 0 || side > 5)
        return std::nullopt;
    return project(clipHandlePlace(m_settings.clip, side));
}

bool SceneView::beginDrag(const QPointF& position)
{
    m_dragSide = m_settings.clips ? clipHandleAt(m_settings.clip, *this, position) : -1;
    m_dragLast = position;
    return m_dragSide >= 0;
}

void SceneView::dragTo(const QPointF& position)
{
    const auto moved = clipDragged(m_settings.clip, m_dragSide, wholeBox(), *this, m_dragLast, position);
    if (!moved)
        return;
    m_dragLast = position;
    auto settings = m_settings;
    settings.clip = *moved;
    setSettings(settings);
}

void SceneView::endDrag()
{
    m_dragSide = -1;
}

}  // namespace orrery::viewers
