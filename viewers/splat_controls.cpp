// The controls that Dear ImGui lays over Gaussians: one short function a section.
#include <QLocale>
#include <imgui.h>

#include <algorithm>

#include "clip_box.h"
#include "overlay.h"
#include "splat_view.h"

namespace orrery::viewers {
namespace {

constexpr unsigned kCropColour = IM_COL32(230, 120, 20, 255);

/// A list of choices; true if another one was taken.
template <std::size_t N>
bool chooseOne(Overlay& overlay, const char* name, const std::array<const char*, N>& choices, int& present)
{
    bool changed = false;
    if (ImGui::BeginCombo(name, choices[std::size_t(present)])) {
        for (int i = 0; i < int(N); ++i) {
            if (ImGui::Selectable(choices[std::size_t(i)], i == present)) {
                present = i;
                changed = true;
            }
            overlay.note((std::string(name) + "/" + choices[std::size_t(i)]).c_str());
        }
        ImGui::EndCombo();
    }
    overlay.note(name);
    return changed;
}

}  // namespace

void SplatView::drawControls(Overlay& overlay)
{
    if (!m_scene)
        return;
    if (m_settings.crops)
        drawClipBox(*this, m_settings.crop);
    drawMark();
    overlay.openWindow("View");
    auto settings = m_settings;
    drawLookControls(overlay, settings);
    drawCounts(overlay);
    overlay.closeWindow();
    if (!(settings == m_settings))
        setSettings(settings);
}

void SplatView::drawLookControls(Overlay& overlay, SplatSettings& settings) const
{
    int shape = int(settings.shape), channel = int(settings.channel), background = int(settings.background);
    if (chooseOne(overlay, "draw", std::array{"splats", "ellipsoids", "centres"}, shape))
        settings.shape = scene::SplatShape(shape);
    if (chooseOne(overlay, "show", std::array{"colour", "alpha", "depth"}, channel))
        settings.channel = SplatChannel(channel);
    if (chooseOne(overlay, "behind", std::array{"theme", "black", "white"}, background))
        settings.background = SplatBackground(background);
    const int most = m_scene->splats.degree;
    int degree = std::min(settings.degree, most);
    if (most > 0 && ImGui::SliderInt("degree", &degree, 0, most))
        settings.degree = degree;
    if (most > 0)
        overlay.note("degree");
    ImGui::Checkbox("anti-aliasing", &settings.antialias);
    overlay.note("anti-aliasing");
    if (ImGui::Checkbox("crop box", &settings.crops) && settings.crops && settings.crop == std::array<double, 6>{})
        settings.crop = m_scene->middle;
    overlay.note("crop box");
}

void SplatView::drawCounts(Overlay& overlay) const
{
    const auto counts = this->counts();
    const auto number = [](std::size_t value) { return QLocale(QLocale::English).toString(qulonglong(value)); };
    ImGui::TextUnformatted(QStringLiteral("%1 of %2 in view").arg(number(counts.visible), number(counts.all)).toUtf8().constData());
    if (m_settings.crops)
        ImGui::TextUnformatted(QStringLiteral("%1 in the box").arg(number(counts.inBox)).toUtf8().constData());
    ImGui::Text("picture %.1f ms%s", drawTime(), shrink() > 1 ? (" at 1/" + std::to_string(shrink())).c_str() : "");
    overlay.note("time");
}

void SplatView::drawMark() const
{
    const auto place = m_marked ? project(centreOf(*m_marked)) : std::nullopt;
    if (!place)
        return;
    const ImVec2 at(float(place->x()), float(place->y()));
    auto* list = ImGui::GetBackgroundDrawList();
    list->AddCircle(at, 8, IM_COL32(255, 255, 255, 255), 0, 4);
    list->AddCircle(at, 8, kCropColour, 0, 2);
}

}  // namespace orrery::viewers
