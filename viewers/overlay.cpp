#include "overlay.h"

#include <imgui.h>
#include <imgui_impl_opengl3.h>

#include <algorithm>
#include <utility>

namespace orrery::viewers {
namespace {

constexpr int kSettle = 4;  ///< frames until a list that was opened has its size and is seen

}  // namespace

Overlay::Overlay() : m_context(ImGui::CreateContext())
{
    ImGui::SetCurrentContext(m_context);
    ImGui::GetIO().IniFilename = nullptr;  // nothing is written to the current folder
    ImGui::GetIO().LogFilename = nullptr;
}

Overlay::~Overlay()
{
    ImGui::DestroyContext(m_context);
}

void Overlay::start()
{
    ImGui::SetCurrentContext(m_context);
    m_started = ImGui_ImplOpenGL3_Init("#version 150");
}

void Overlay::stop()
{
    if (!m_started)
        return;
    ImGui::SetCurrentContext(m_context);
    ImGui_ImplOpenGL3_Shutdown();
    m_started = false;
}

void Overlay::beginFrame(QSize size, double pixelRatio, bool dark)
{
    ImGui::SetCurrentContext(m_context);
    auto& io = ImGui::GetIO();
    io.DisplaySize = ImVec2(float(size.width()), float(size.height()));
    io.DisplayFramebufferScale = ImVec2(float(pixelRatio), float(pixelRatio));
    io.DeltaTime = 1 / 60.f;
    io.MousePos = ImVec2(float(m_mouse.x()), float(m_mouse.y()));
    if (!m_buttons.empty()) {
        m_held = m_buttons.front();
        m_buttons.pop_front();
        m_settle = kSettle;
    }
    io.MouseDown[0] = m_held;
    io.MouseWheel = float(m_wheel);
    m_wheel = 0;
    m_settle = std::max(0, m_settle - 1);
    dark ? ImGui::StyleColorsDark() : ImGui::StyleColorsLight();
    ImGui::GetStyle().WindowRounding = 4;
    ImGui::GetStyle().FrameBorderSize = dark ? 0 : 1;
    m_controls.map.clear();
    m_before = std::exchange(m_window, QRect());
    ImGui_ImplOpenGL3_NewFrame();
    ImGui::NewFrame();
}

void Overlay::endFrame()
{
    ImGui::Render();
    ImGui_ImplOpenGL3_RenderDrawData(ImGui::GetDrawData());
}

void Overlay::openWindow(const char* title)
{
    ImGui::SetNextWindowPos(ImVec2(8, 8), ImGuiCond_Always);
    ImGui::SetNextWindowBgAlpha(0.86f);
    // A small view keeps its controls: they scroll.
    ImGui::SetNextWindowSizeConstraints(ImVec2(0, 0), ImVec2(300, std::max(40.f, ImGui::GetIO().DisplaySize.y - 16)));
    ImGui::Begin(title, nullptr, ImGuiWindowFlags_AlwaysAutoResize | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings);
    ImGui::PushItemWidth(130);
}

void Overlay::closeWindow()
{
    const auto position = ImGui::GetWindowPos(), size = ImGui::GetWindowSize();
    m_window = QRect(int(position.x), int(position.y), int(size.x) + 1, int(size.y) + 1);
    if (m_window != m_before)
        m_settle = kSettle;  // ImGui finds the size of a window a frame or two after its contents
    ImGui::PopItemWidth();
    ImGui::End();
}

void Overlay::note(const char* name)
{
    const auto low = ImGui::GetItemRectMin(), high = ImGui::GetItemRectMax();
    m_controls.map[QString::fromLatin1(name)] = QRect(QPoint(int(low.x), int(low.y)), QPoint(int(high.x), int(high.y)));
}

void Overlay::moveMouse(const QPointF& position)
{
    m_mouse = position;
    m_settle = kSettle;
}

void Overlay::pressMouse(bool down)
{
    m_buttons.push_back(down);
}

void Overlay::wheel(double steps)
{
    m_wheel += steps;
    m_settle = kSettle;
}

bool Overlay::covers(const QPointF& position) const
{
    if (m_window.contains(position.toPoint()))
        return true;
    // Lists that are open reach beyond the window.
    ImGui::SetCurrentContext(m_context);
    return ImGui::IsPopupOpen(nullptr, ImGuiPopupFlags_AnyPopupId | ImGuiPopupFlags_AnyPopupLevel);
}

}  // namespace orrery::viewers
