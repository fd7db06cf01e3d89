#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include <core/scene/splat/rasterizer.h>

#include "picture_view.h"

namespace orrery::viewers {

/// Gaussians with what a view needs to know of them. Immutable; made on any thread.
struct SplatScene {
    scene::Splats splats;
    std::array<double, 6> whole{};   ///< the box of all means
    std::array<double, 6> middle{};  ///< the box of the middle 98 % of them along each axis: what the camera looks at
};
std::shared_ptr<const SplatScene> makeSplatScene(scene::Splats splats);

enum class SplatChannel { Colour, Alpha, Depth };
/// What is seen where nothing is: Gaussians that were trained before white hide it by white ones.
enum class SplatBackground { Theme, Black, White };

/// How Gaussians are shown; saved with the panel.
struct SplatSettings {
    scene::SplatShape shape = scene::SplatShape::Splat;
    SplatChannel channel = SplatChannel::Colour;
    SplatBackground background = SplatBackground::Theme;
    int degree = 3;  ///< spherical harmonics are used up to this degree
    bool antialias = false;
    bool crops = false;
    std::array<double, 6> crop{};  ///< x0, y0, z0, x1, y1, z1 of the world
    bool operator==(const SplatSettings&) const = default;
};

/// What the last picture was made of.
struct SplatCounts {
    std::size_t all = 0, inBox = 0, visible = 0;
};

/// 3D Gaussians drawn by core's rasteriser on a thread of its own, under Dear ImGui controls. UI thread.
class SplatView : public PictureView {
    Q_OBJECT
public:
    explicit SplatView(QWidget* parent = nullptr);
    ~SplatView() override;

    /// Null: nothing to show. The camera stays; call `fit` for a new scene.
    void setScene(std::shared_ptr<const SplatScene> scene);
    const std::shared_ptr<const SplatScene>& scene() const { return m_scene; }

    const SplatSettings& settings() const { return m_settings; }
    /// Values out of range are moved to its ends; a crop box is never inside out.
    void setSettings(SplatSettings settings);
    SplatCounts counts() const;
    /// The colour behind the Gaussians, 0..1.
    std::array<float, 3> backgroundRgb() const;

    /// The Gaussian that is seen most at a place of the widget, in the scene's numbering; one that is cropped away is not seen.
    std::optional<std::uint32_t> pick(const QPointF& position) const;
    /// A Gaussian to be marked in the picture.
    void setMarked(std::optional<std::uint32_t> gaussian);

Q_SIGNALS:
    void settingsChanged();

protected:
    Sphere sceneSphere() const override;
    std::optional<scene::Vector3> pointUnder(const QPointF& position) const override;
    void drawControls(Overlay& overlay) override;
    bool beginDrag(const QPointF& position) override;
    void dragTo(const QPointF& position) override;
    void endDrag() override { m_dragSide = -1; }
    void changeEvent(QEvent* event) override;

private:
    class Renderer;
    void redraw();
    scene::Vector3 centreOf(std::uint32_t gaussian) const;
    void drawLookControls(Overlay& overlay, SplatSettings& settings) const;
    void drawCounts(Overlay& overlay) const;
    void drawMark() const;

    std::shared_ptr<const SplatScene> m_scene;
    std::shared_ptr<Renderer> m_renderer;
    SplatSettings m_settings;
    std::optional<std::uint32_t> m_marked;
    int m_dragSide = -1;
    QPointF m_dragLast;
};

}  // namespace orrery::viewers
