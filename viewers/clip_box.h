#pragma once
#include <QPointF>
#include <array>
#include <optional>

#include <core/scene/camera/camera.h>

/// Private to viewers: a box whose sides are dragged by handles, x0, y0, z0, x1, y1, z1. Sides: 0..2 low x y z, 3..5 high.
namespace orrery::viewers {

class GlView;

/// The middle of a side.
scene::Vector3 clipHandlePlace(const std::array<double, 6>& box, int side);
/// The side whose handle is nearest to a place of the widget and within reach; -1: none.
int clipHandleAt(const std::array<double, 6>& box, const GlView& view, const QPointF& position);
/// The box with a side moved along its axis so far that the handle follows the mouse, never inside out. Nothing where the axis points at the eye.
std::optional<std::array<double, 6>> clipDragged(const std::array<double, 6>& box, int side, const std::array<double, 6>& whole, const GlView& view,
                                                 const QPointF& from, const QPointF& to);

/// In a frame of the overlay: edges and handles.
void drawClipBox(const GlView& view, const std::array<double, 6>& box);
/// A line behind the controls; one that passes the camera is left out.
void drawSceneLine(const GlView& view, const scene::Vector3& from, const scene::Vector3& to, unsigned colour);

}  // namespace orrery::viewers
