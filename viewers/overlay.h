#pragma once
#include <QPointF>
#include <QRect>
#include <QSize>
#include <QString>
#include <deque>
#include <map>

struct ImGuiContext;

/// Private to viewers: the one Dear ImGui overlay.
namespace orrery::viewers {

/// Dear ImGui over what a view has drawn: a context of its own, mouse events in, controls out. UI thread, with the view's OpenGL context current from `start`
/// to `stop` and in a frame.
class Overlay {
public:
    Overlay();
    ~Overlay();
    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;

    void start();
    void stop();
    bool isStarted() const { return m_started; }
    /// Between the two, ImGui's functions may be called.
    void beginFrame(QSize size, double pixelRatio, bool dark);
    void endFrame();

    /// The window that stands in the upper left corner; to be closed by `closeWindow`.
    void openWindow(const char* title);
    void closeWindow();
    /// Remembers where the last control stands, so that the keyboard of a test, or of a script, finds it.
    void note(const char* name);

    void moveMouse(const QPointF& position);
    void pressMouse(bool down);
    void wheel(double steps);
    /// True where the mouse belongs to the controls.
    bool covers(const QPointF& position) const;
    /// True until all that was done with the mouse has been through a frame and its outcome is drawn.
    bool wantsFrame() const { return m_settle > 0 || !m_buttons.empty(); }
    /// Where a control stood in the last frame; empty if it is not shown.
    QRect controlRect(const QString& name) const { return m_controls.value(name); }
    QRect windowRect() const { return m_window; }

private:
    struct Rects {
        std::map<QString, QRect> map;
        QRect value(const QString& name) const
        {
            const auto found = map.find(name);
            return found == map.end() ? QRect() : found->second;
        }
    };
    ImGuiContext* m_context;
    bool m_started = false, m_dark = true;
    std::deque<bool> m_buttons;  ///< one change of the button a frame: a quick click is seen
    double m_wheel = 0;
    int m_settle = 2;
    bool m_held = false;
    QPointF m_mouse{-1, -1};
    QRect m_window, m_before;  ///< of this frame and of the one before it
    Rects m_controls;
};

}  // namespace orrery::viewers
