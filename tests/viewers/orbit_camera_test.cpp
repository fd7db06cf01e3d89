// The camera that turns around a target: against what geometry says.
#include <QTest>
#include <cmath>
#include <numbers>

#include <core/scene/camera/vector.h>
#include <viewers/orbit_camera.h>

using namespace orrery;
using viewers::OrbitCamera;

namespace {

double gap(const scene::Vector3& a, const scene::Vector3& b)
{
    return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

}  // namespace

class OrbitCameraTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void aQuarterTurnGoesFromTheFrontToTheRight()
    {
        OrbitCamera camera;
        QVERIFY(camera.set({0, -5, 0}, {0, 0, 0}, 50));
        camera.orbit(std::numbers::pi / 2, 0);
        QVERIFY(gap(camera.position(), {5, 0, 0}) < 1e-12);
        QVERIFY(gap(camera.up(), {0, 0, 1}) < 1e-12);
        camera.look(viewers::StandardView::Front);
        QVERIFY(gap(camera.position(), {0, -5, 0}) < 1e-12);
    }

    void turningKeepsTheDistanceAndStopsAtThePole()
    {
        OrbitCamera camera;
        QVERIFY(camera.set({1, -5, 2}, {1, 2, 3}, 50));
        const double before = camera.distance();
        camera.orbit(0.7, 5);
        QVERIFY(std::abs(camera.distance() - before) < 1e-9);
        QVERIFY(std::abs(std::asin(-camera.forward()[2]) * 180 / std::numbers::pi - 89.9) < 1e-6);
    }

    void fittingTouchesThePicturesEdgeWithTheSphere()
    {
        OrbitCamera camera;
        camera.fit({1, 2, 3}, 2, 1.5);
        // The tangent from the camera to the sphere is half the field of view away from the axis.
        QVERIFY(std::abs(std::asin(2 / camera.distance()) * 360 / std::numbers::pi - camera.fov()) < 1e-9);
        QVERIFY(gap(camera.target(), {1, 2, 3}) < 1e-12);
    }

    void panningMovesThePictureByThatShareOfItsHeight()
    {
        OrbitCamera camera;
        QVERIFY(camera.set({0, -4, 0}, {0, 0, 0}, 60));
        camera.pan(0.25, 0);
        const auto place = scene::project(camera.camera(400, 200), {0, 0, 0});
        QVERIFY(std::abs(place[0] - (200 - 50)) < 1e-6 && std::abs(place[1] - 100) < 1e-6);
    }

    void textGoesThereAndBack()
    {
        OrbitCamera camera;
        camera.setUpAxis(viewers::UpAxis::MinusY);
        QVERIFY(camera.set({0.1, 1.0 / 3, -7}, {1, 2, 3}, 47.5));
        const auto back = OrbitCamera::fromText(camera.text());
        QVERIFY(back && *back == camera);
        for (const char* text : {"", "position 1 2 3", "position 0 0 0 target 0 0 0 fov 50 up z", "position 0 0 nan target 0 0 0 fov 50 up z",
                                 "position 0 0 1 target 0 0 0 fov 500 up z", "position 0 0 1 target 0 0 0 fov 50 up w"})
            QVERIFY2(!OrbitCamera::fromText(text), text);
    }
};

QTEST_APPLESS_MAIN(OrbitCameraTest)
#include "orbit_camera_test.moc"
