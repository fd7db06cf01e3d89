#include "clip_box.h"

#include <imgui.h>

#include <algorithm>
#include <cmath>

#include <core/scene/camera/vector.h>

#include "gl_view.h"

namespace orrery::viewers {
namespace {

using scene::operator+, scene::operator*;

constexpr double kHandleReach = 9;  ///< pixels
constexpr unsigned kBoxColour = IM_COL32(90, 150, 220, 220), kHandleColour = IM_COL32(60, 130, 220, 255);

scene::Vector3 corner(const std::array<double, 6>& box, int which)
{
    return {box[which & 1 ? 3 : 0], box[which & 2 ? 4 : 1], box[which & 4 ? 5 : 2]};
}

ImVec2 toImVec(const QPointF& p)
{
    return {float(p.x()), float(p.y())};
}

}  // namespace

scene::Vector3 clipHandlePlace(const std::array<double, 6>& box, int side)
{
    scene::Vector3 place = 0.5 * (corner(box, 0) + corner(box, 7));
    place[std::size_t(side % 3)] = box[std::size_t(side)];
    return place;
}

int clipHandleAt(const std::array<double, 6>& box, const GlView& view, const QPointF& position)
{
    int found = -1;
    double nearest = kHandleReach;
    for (int side = 0; side < 6; ++side)
        if (const auto place = view.project(clipHandlePlace(box, side));
            place && std::hypot(place->x() - position.x(), place->y() - position.y()) < nearest) {
            nearest = std::hypot(place->x() - position.x(), place->y() - position.y());
            found = side;
        }
    return found;
}

std::optional<std::array<double, 6>> clipDragged(const std::array<double, 6>& box, int side, const std::array<double, 6>& whole, const GlView& view,
                                                 const QPointF& from, const QPointF& to)
{
    const auto axis = std::size_t(side % 3);
    const auto place = clipHandlePlace(box, side);
    const double small = 1e-3 * std::max(1e-9, std::abs(whole[axis + 3] - whole[axis]));
    auto beside = place;
    beside[axis] += small;
    const auto a = view.project(place), b = view.project(beside);
    if (!a || !b)
        return std::nullopt;
    const QPointF along = *b - *a, step = to - from;
    const double squared = along.x() * along.x() + along.y() * along.y();
    if (squared < 1e-12)
        return std::nullopt;
    auto moved = box;
    double& value = moved[std::size_t(side)];
    value += small * (step.x() * along.x() + step.y() * along.y()) / squared;
    const double other = box[std::size_t((side + 3) % 6)];
    value = side < 3 ? std::min(value, other) : std::max(value, other);
    return moved;
}

void drawSceneLine(const GlView& view, const scene::Vector3& from, const scene::Vector3& to, unsigned colour)
{
    const auto a = view.project(from), b = view.project(to);
    if (a && b)
        ImGui::GetBackgroundDrawList()->AddLine(toImVec(*a), toImVec(*b), colour, 1.5f);
}

void drawClipBox(const GlView& view, const std::array<double, 6>& box)
{
    for (int from = 0; from < 8; ++from)
        for (const int bit : {1, 2, 4})
            if (!(from & bit))
                drawSceneLine(view, corner(box, from), corner(box, from | bit), kBoxColour);
    for (int side = 0; side < 6; ++side)
        if (const auto place = view.project(clipHandlePlace(box, side))) {
            ImGui::GetBackgroundDrawList()->AddCircleFilled(toImVec(*place), 6, IM_COL32(255, 255, 255, 255));
            ImGui::GetBackgroundDrawList()->AddCircleFilled(toImVec(*place), 5, kHandleColour);
        }
}

}  // namespace orrery::viewers
