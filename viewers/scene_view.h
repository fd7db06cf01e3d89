#pragma once
#include <QElapsedTimer>
#include <QString>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "cloud_picture.h"
#include "gl_view.h"

namespace orrery::viewers {

struct SceneLook;
class VtkScene;

/// How a cloud is shown; saved with the panel.
struct SceneSettings {
    double pointSize = 2;  ///< pixels, 1..20
    bool points = true, faces = true, edges = true;
    bool eyeDome = true;                ///< eye-dome lighting
    double eyeDomeStrength = 1;         ///< 0.1..5
    std::size_t pointBudget = 2000000;  ///< points at most, also when still
    bool clips = false;
    std::array<double, 6> clip{};  ///< x0, y0, z0, x1, y1, z1 relative to the cloud's origin
    bool operator==(const SceneSettings&) const = default;
};

/// A line over the scene through its points, with a text at the last one: what was measured, or picked.
struct SceneMark {
    std::vector<scene::Vector3> points;  ///< relative to the cloud's origin
    QString text;
};

/// A point cloud, with triangles and edges, drawn by VTK under Dear ImGui controls. Draws finished pictures only: making one is a job. While the camera moves,
/// as many points are drawn as keep 30 frames a second, where they would be few with half the pixels an edge; when it rests, all that the budget allows.
class SceneView : public GlView {
    Q_OBJECT
public:
    explicit SceneView(QWidget* parent = nullptr);
    ~SceneView() override;

    /// Null: nothing to show. The camera stays; call `fit` for a new scene.
    void setPicture(std::shared_ptr<const CloudPicture> picture, std::shared_ptr<const CloudColours> colours);
    const std::shared_ptr<const CloudPicture>& picture() const { return m_picture; }
    const std::shared_ptr<const CloudColours>& colours() const { return m_colours; }

    const SceneSettings& settings() const { return m_settings; }
    /// Values out of range are moved to its ends; a clip box is never inside out.
    void setSettings(SceneSettings settings);
    /// The box of the whole cloud.
    std::array<double, 6> wholeBox() const;

    void setMarks(std::vector<SceneMark> marks);
    /// The point under a place of the widget, in the file's numbering; points that are clipped away are not seen.
    std::optional<std::uint32_t> pick(const QPointF& position) const;
    /// Where the handle of a side of the clip box stands: 0..2 low x y z, 3..5 high.
    std::optional<QPointF> clipHandle(int side) const;
    /// Points in the last frame.
    std::size_t drawnPoints() const { return m_drawn; }
    /// So many times fewer pixels an edge the last frame had: 1 or, while the camera moves, 2.
    int shrink() const { return m_shrink; }

Q_SIGNALS:
    void settingsChanged();
    /// The controls ask for other colours: whoever owns the cloud computes them and calls `setPicture` with the same picture.
    void styleRequested(const orrery::viewers::CloudStyle& style);

protected:
    Sphere sceneSphere() const override;
    std::optional<scene::Vector3> pointUnder(const QPointF& position) const override;
    void startScene() override;
    void stopScene() override;
    void drawScene(QSize pixels) override;
    void drawControls(Overlay& overlay) override;
    bool beginDrag(const QPointF& position) override;
    void dragTo(const QPointF& position) override;
    void endDrag() override;

private:
    SceneLook sceneLook() const;
    void frameShown();
    void adaptDetail(double milliseconds);
    void drawColourControls(Overlay& overlay);
    void drawRangeControls(Overlay& overlay);
    void drawLookControls(Overlay& overlay, SceneSettings& settings);
    void drawShownControls(Overlay& overlay, SceneSettings& settings);
    void drawFrameGraph(Overlay& overlay);
    void drawMarks() const;

    std::shared_ptr<const CloudPicture> m_picture;
    std::shared_ptr<const CloudColours> m_colours;
    std::unique_ptr<VtkScene> m_scene;
    bool m_isStale = true;
    SceneSettings m_settings;
    std::vector<SceneMark> m_marks;
    std::size_t m_drawn = 0;
    double m_movingBudget = 100000;
    int m_shrink = 1, m_movingShrink = 1, m_slowFrames = 0;
    bool m_isEasy = false;       ///< the last frame with half the pixels
    QElapsedTimer m_frameClock;  ///< since the frame was begun; invalid: a frame that says nothing about its successors
    int m_dragSide = -1;
    QPointF m_dragLast;
};

}  // namespace orrery::viewers
