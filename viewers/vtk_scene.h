#pragma once
#include <QColor>
#include <QSize>
#include <array>
#include <memory>
#include <optional>

#include "cloud_picture.h"
#include "orbit_camera.h"

class QOpenGLContext;

/// Private to viewers: everything that knows VTK.
namespace orrery::viewers {

/// What is drawn of a picture, and how.
struct SceneLook {
    double pointSize = 2;  ///< pixels
    bool points = true, faces = true, edges = true;
    bool edl = true;
    double edlStrength = 1;
    std::optional<std::array<double, 6>> clip;  ///< x0, y0, z0, x1, y1, z1 relative to the cloud's origin: what lies outside is hidden
    bool operator==(const SceneLook&) const = default;
};

/// A VTK scene inside one OpenGL context of Qt. All calls with that context current; gone before the context is.
class VtkScene {
public:
    explicit VtkScene(QOpenGLContext* context);
    ~VtkScene();

    /// Null clears the scene.
    void setPicture(std::shared_ptr<const CloudPicture> picture, std::shared_ptr<const CloudColours> colours);
    struct Frame {
        OrbitCamera camera;
        QSize pixels;
        QColor background;
        SceneLook look;
        std::size_t budget = 0;  ///< points at most; rounded up to whole blocks
        bool isFast = false;     ///< cheaper shading
        int shrink = 1;          ///< so many times fewer pixels an edge are drawn, and stretched
    };
    /// Draws into `framebuffer`. @return  the number of points drawn.
    std::size_t draw(const Frame& frame, unsigned framebuffer);

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::viewers
