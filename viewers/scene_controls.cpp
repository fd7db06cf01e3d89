// The controls that Dear ImGui lays over the scene: one short function a section.
#include <QLocale>
#include <imgui.h>

#include <algorithm>
#include <cmath>

#include <core/report/colour_map.h>

#include "clip_box.h"
#include "overlay.h"
#include "scene_view.h"

namespace orrery::viewers {
namespace {

struct Choice {
    std::string label;
    CloudStyle style;
};

std::vector<Choice> choicesFor(const scene::PointCloud& cloud, const CloudStyle& present)
{
    std::vector<Choice> choices;
    const auto add = [&](std::string label, ColourBy by, std::string field = {}) {
        CloudStyle style = present;
        style.by = by;
        style.field = std::move(field);
        style.range.reset();
        choices.push_back({std::move(label), style});
    };
    if (cloud.hasColours())
        add("colours", ColourBy::Colours);
    if (cloud.hasNormals())
        add("normals", ColourBy::Normals);
    add("height", ColourBy::Height);
    for (const auto& field : cloud.fields)
        add(field.name, ColourBy::Field, field.name);
    add("one colour", ColourBy::Plain);
    return choices;
}

bool usesMap(const CloudStyle& style)
{
    return style.by == ColourBy::Height || style.by == ColourBy::Field;
}

}  // namespace

void SceneView::drawControls(Overlay& overlay)
{
    drawMarks();
    if (m_settings.clips)
        drawClipBox(*this, m_settings.clip);
    if (!m_picture || !m_colours)
        return;
    overlay.openWindow("View");
    auto settings = m_settings;
    drawColourControls(overlay);
    drawLookControls(overlay, settings);
    drawShownControls(overlay, settings);
    drawFrameGraph(overlay);
    overlay.closeWindow();
    if (!(settings == m_settings))
        setSettings(settings);
}

void SceneView::drawColourControls(Overlay& overlay)
{
    const auto choices = choicesFor(m_picture->mesh->points, m_colours->style);
    const auto isPresent = [&](const Choice& choice) {
        return choice.style.by == m_colours->style.by && choice.style.field == m_colours->style.field;
    };
    const auto present = std::find_if(choices.begin(), choices.end(), isPresent);
    if (ImGui::BeginCombo("colour", present == choices.end() ? "" : present->label.c_str())) {
        for (const auto& choice : choices) {
            if (ImGui::Selectable(choice.label.c_str(), isPresent(choice)))
                Q_EMIT styleRequested(choice.style);
            overlay.note(("colour/" + choice.label).c_str());
        }
        ImGui::EndCombo();
    }
    overlay.note("colour");
    if (usesMap(m_colours->style))
        drawRangeControls(overlay);
}

void SceneView::drawRangeControls(Overlay& overlay)
{
    auto style = m_colours->style;
    if (ImGui::BeginCombo("map", style.map.c_str())) {
        for (const auto& name : report::colourMapNames())
            if (ImGui::Selectable(name.c_str(), name == style.map) && name != style.map) {
                style.map = name;
                Q_EMIT styleRequested(style);
            }
        ImGui::EndCombo();
    }
    overlay.note("map");
    float ends[] = {float(m_colours->low), float(m_colours->high)};
    const float speed = std::max(1e-6f, (ends[1] - ends[0]) / 200);
    if (ImGui::DragFloat2("range", ends, speed, 0, 0, "%.4g")) {
        style.range = {double(ends[0]), double(ends[1])};
        Q_EMIT styleRequested(style);
    }
    overlay.note("range");
    bool isWhole = !style.range;
    if (ImGui::Checkbox("whole range", &isWhole)) {
        style.range = isWhole ? std::nullopt : std::optional(std::pair(m_colours->low, m_colours->high));
        Q_EMIT styleRequested(style);
    }
    overlay.note("whole range");
}

void SceneView::drawLookControls(Overlay& overlay, SceneSettings& settings)
{
    float size = float(settings.pointSize), strength = float(settings.eyeDomeStrength);
    if (ImGui::SliderFloat("point size", &size, 1, 12, "%.0f px"))
        settings.pointSize = double(std::round(size));
    overlay.note("point size");
    ImGui::Checkbox("eye-dome lighting", &settings.eyeDome);
    overlay.note("eye-dome lighting");
    if (settings.eyeDome && ImGui::SliderFloat("strength", &strength, 0.1f, 5, "%.1f"))
        settings.eyeDomeStrength = double(strength);
    float millions = float(double(settings.pointBudget) / 1e6);
    if (ImGui::SliderFloat("budget", &millions, 0.01f, 20, "%.2f M points", ImGuiSliderFlags_Logarithmic))
        settings.pointBudget = std::size_t(double(millions) * 1e6);
    overlay.note("budget");
}

void SceneView::drawShownControls(Overlay& overlay, SceneSettings& settings)
{
    if (ImGui::Checkbox("clip box", &settings.clips) && settings.clips && settings.clip == std::array<double, 6>{})
        settings.clip = wholeBox();
    overlay.note("clip box");
    if (m_picture->triangles.empty() && m_picture->edges.empty())
        return;
    ImGui::SameLine();
    ImGui::Checkbox("points", &settings.points);
    overlay.note("points");
    if (!m_picture->triangles.empty()) {
        ImGui::SameLine();
        ImGui::Checkbox("faces", &settings.faces);
        overlay.note("faces");
    }
    if (!m_picture->edges.empty()) {
        ImGui::SameLine();
        ImGui::Checkbox("edges", &settings.edges);
        overlay.note("edges");
    }
}

void SceneView::drawFrameGraph(Overlay& overlay)
{
    const auto& times = frameTimes();
    if (!times.empty()) {
        const float most = std::max(40.f, *std::max_element(times.begin(), times.end()));
        ImGui::PlotLines("##frames", times.data(), int(times.size()), 0, nullptr, 0, most, ImVec2(220, 32));
        overlay.note("frames");
        ImGui::Text("frame %.1f ms", double(times.back()));
    }
    const auto all = m_picture->positions.size() / 3;
    auto text = QStringLiteral("%1 of %2 points")
                    .arg(QLocale(QLocale::English).toString(qulonglong(m_drawn)), QLocale(QLocale::English).toString(qulonglong(all)));
    if (m_shrink > 1)
        text += QStringLiteral(", half the pixels");
    ImGui::TextUnformatted(text.toUtf8().constData());
}

}  // namespace orrery::viewers
