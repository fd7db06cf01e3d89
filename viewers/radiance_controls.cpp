// The controls that Dear ImGui lays over a radiance field.
#include <imgui.h>

#include <algorithm>
#include <cmath>

#include <core/scene/camera/vector.h>

#include "clip_box.h"
#include "overlay.h"
#include "radiance_view.h"

namespace orrery::viewers {
namespace {

constexpr unsigned kTrainColour = IM_COL32(90, 140, 200, 200), kHeldOutColour = IM_COL32(230, 120, 20, 230);
constexpr double kFrustum = 0.09;  ///< length of a drawn frustum, in sizes of the box

/// A pyramid from the camera's eye to its picture.
void drawFrustum(const GlView& view, const scene::Camera& camera, double length, unsigned colour)
{
    using scene::operator+, scene::operator*;
    const scene::Vector3 eye{camera.cameraToWorld[3], camera.cameraToWorld[7], camera.cameraToWorld[11]};
    scene::Vector3 corners[4];
    const double xs[] = {0, double(camera.width), double(camera.width), 0}, ys[] = {0, 0, double(camera.height), double(camera.height)};
    for (int i = 0; i < 4; ++i)
        corners[i] = eye + length * scene::rayThrough(camera, xs[i], ys[i]).direction;
    for (int i = 0; i < 4; ++i) {
        drawSceneLine(view, eye, corners[i], colour);
        drawSceneLine(view, corners[i], corners[(i + 1) % 4], colour);
    }
}

}  // namespace

void RadianceView::drawControls(Overlay& overlay)
{
    if (!m_truth && m_settings.cameras)
        drawFrusta();
    if (!m_field)
        return;
    if (!m_truth && m_settings.crops)
        drawClipBox(*this, m_settings.crop);
    overlay.openWindow("View");
    auto settings = m_settings;
    drawLookControls(overlay, settings);
    if (level() > 1)
        ImGui::Text("picture %.0f ms at 1/%d", drawTime(), level());
    else
        ImGui::Text("picture %.0f ms", drawTime());
    overlay.note("time");
    overlay.closeWindow();
    if (!(settings == m_settings))
        setSettings(settings);
}

void RadianceView::drawLookControls(Overlay& overlay, RadianceSettings& settings) const
{
    constexpr const char* kChannels[] = {"colour", "depth", "opacity"};
    for (int i = 0; i < 3; ++i) {
        if (i > 0)
            ImGui::SameLine();
        if (ImGui::RadioButton(kChannels[i], int(settings.channel) == i))
            settings.channel = RadianceChannel(i);
        overlay.note(kChannels[i]);
    }
    if (m_truth) {
        auto truth = float(settings.truth);
        if (ImGui::SliderFloat("truth", &truth, 0, 1, "%.2f"))
            settings.truth = double(truth);
        overlay.note("truth");
        if (const auto value = psnr())
            ImGui::Text("left: picture, right: field, %.2f dB", *value);
        else
            ImGui::TextUnformatted("left: picture, right: field");
        return;
    }
    ImGui::Checkbox("cameras", &settings.cameras);
    overlay.note("cameras");
    if (ImGui::Checkbox("crop box", &settings.crops) && settings.crops && settings.crop == std::array<double, 6>{})
        settings.crop = m_box;
    overlay.note("crop box");
}

void RadianceView::drawFrusta() const
{
    const double length = kFrustum * std::abs(m_box[3] - m_box[0]);
    for (const auto& camera : m_cameras)
        drawFrustum(*this, camera.camera, length, camera.isHeldOut ? kHeldOutColour : kTrainColour);
}

}  // namespace orrery::viewers
