#pragma once
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include <core/scene/camera/camera.h>

#include "picture_view.h"

namespace orrery::scene {
class FieldView;
}

namespace orrery::viewers {

enum class RadianceChannel { Colour, Depth, Opacity };

/// How a radiance field is shown; saved with the panel.
struct RadianceSettings {
    RadianceChannel channel = RadianceChannel::Colour;
    bool cameras = true;  ///< the cameras that took the pictures are drawn
    bool crops = false;
    std::array<double, 6> crop{};  ///< x0, y0, z0, x1, y1, z1 of the world
    double truth = 0.5;            ///< part of a compared picture that shows the truth, from the left, 0..1
    bool operator==(const RadianceSettings&) const = default;
};

/// A camera that took a picture of the scene.
struct PictureCamera {
    scene::Camera camera;
    bool isHeldOut = false;
};

/// A picture that was taken, to be laid over the field's own from the same camera.
struct TruePicture {
    scene::Camera camera;
    QImage picture;  ///< of the camera's size
};

/// A radiance field drawn by core on the view's own thread, coarse at first and finer step by step, under Dear ImGui controls. UI thread.
class RadianceView : public PictureView {
    Q_OBJECT
public:
    explicit RadianceView(QWidget* parent = nullptr);
    ~RadianceView() override;

    /// Null: nothing to show. While a picture is on its way, a new field waits until the first coarse one is shown; only the newest waits.
    void setField(std::shared_ptr<const scene::FieldView> field);
    /// The scene's box: what `fit` shows.
    void setBox(const std::array<double, 6>& box);
    void setCameras(std::vector<PictureCamera> cameras);
    const std::vector<PictureCamera>& cameras() const { return m_cameras; }
    /// The camera nearest to a place of the widget, if it is within reach.
    std::optional<std::size_t> cameraAt(const QPointF& position) const;
    /// Shows exactly that camera's picture and the truth beside it, until the camera is moved or null is given.
    void compare(std::optional<TruePicture> truth);
    bool isComparing() const { return m_truth != nullptr; }
    /// PSNR of the compared picture at full size against the truth; nothing before it is drawn.
    std::optional<double> psnr() const;
    /// Threads that drawing may use.
    void setThreads(int threads);

    const RadianceSettings& settings() const { return m_settings; }
    void setSettings(RadianceSettings settings);
    /// The finest picture is shown.
    bool isRefined() const;
    /// How much coarser than the view the shown picture is: 1, 2, 4, 8.
    int level() const;

Q_SIGNALS:
    void settingsChanged();
    /// The camera was moved while pictures were compared.
    void comparisonLeft();

protected:
    Sphere sceneSphere() const override;
    std::optional<scene::Vector3> pointUnder(const QPointF& position) const override;
    void drawControls(Overlay& overlay) override;
    bool beginDrag(const QPointF& position) override;
    void dragTo(const QPointF& position) override;
    void endDrag() override { m_dragSide = -1; }
    void resizeEvent(QResizeEvent* event) override;

private:
    class Renderer;
    void request();
    void start();
    void redraw();
    void refine();
    void leaveComparison();
    void drawFrusta() const;
    void drawLookControls(Overlay& overlay, RadianceSettings& settings) const;

    std::shared_ptr<const scene::FieldView> m_field, m_next;
    bool m_isWaiting = false;  ///< a chain of pictures begins when the one under way has shown its first
    std::shared_ptr<Renderer> m_renderer;
    std::shared_ptr<const TruePicture> m_truth;
    std::array<double, 6> m_box{-1, -1, -1, 1, 1, 1};
    std::vector<PictureCamera> m_cameras;
    RadianceSettings m_settings;
    std::optional<OrbitCamera> m_last;  ///< the camera of the chain of pictures that is under way
    bool m_isFirstShown = true;         ///< of this chain
    int m_threads = 1;
    int m_dragSide = -1;
    QPointF m_dragLast;
};

}  // namespace orrery::viewers
