#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include <core/scene/camera/camera.h>

/// Viewers of scenes: cameras, clouds, splats.
namespace orrery::viewers {

/// The axis of the scene that points upwards on the screen.
enum class UpAxis { Z, Y, MinusY };

enum class StandardView { Front, Back, Left, Right, Top, Bottom, Oblique };

/// A camera that turns around a target. A value; knows neither Qt nor VTK. Lengths are the scene's unit.
///
/// Angles stay within 89.9 degrees of the horizon, so that up is always defined. `position` and `target` never coincide.
class OrbitCamera {
public:
    const scene::Vector3& position() const { return m_position; }
    const scene::Vector3& target() const { return m_target; }
    /// Vertical field of view, degrees, 1..150.
    double fov() const { return m_fov; }
    UpAxis upAxis() const { return m_up; }
    double distance() const;
    /// Unit vectors of the camera in the scene.
    scene::Vector3 forward() const;
    scene::Vector3 right() const;
    scene::Vector3 up() const;

    /// Does nothing, and says false, for values that are not finite, a position at the target or a field of view out of range.
    bool set(const scene::Vector3& position, const scene::Vector3& target, double fov);
    void setUpAxis(UpAxis axis);

    /// Turns around the target by angles in radians: to the right, upwards.
    void orbit(double horizontal, double vertical);
    /// Moves camera and target in the picture's plane, in fractions of the picture's height.
    void pan(double right, double up);
    /// The distance is multiplied by `factor`.
    void dolly(double factor);
    /// Moves camera and target: to the right, upwards, forward, in the scene's unit.
    void fly(double right, double up, double forward);
    /// Turns the view in place: the target moves around the camera.
    void look(double horizontal, double vertical);
    /// The sphere fills the picture, seen from where the camera looks now. @param aspect  Width over height.
    void fit(const scene::Vector3& centre, double radius, double aspect);
    /// Looks from a standard side at the present target from the present distance.
    void look(StandardView view);

    /// With pinhole in the picture's centre and square pixels.
    scene::Camera camera(int width, int height) const;

    /// `position X Y Z target X Y Z fov D up z`: what copy and paste exchange.
    std::string text() const;
    /// Nothing if the text is no camera.
    static std::optional<OrbitCamera> fromText(std::string_view text);
    bool operator==(const OrbitCamera&) const = default;

private:
    scene::Vector3 worldUp() const;
    void place(double azimuth, double elevation, double distance);

    scene::Vector3 m_position{0, -3, 1}, m_target{0, 0, 0};
    double m_fov = 50;
    UpAxis m_up = UpAxis::Z;
};

}  // namespace orrery::viewers
