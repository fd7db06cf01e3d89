// Cameras: rays and projection undo each other.
#include <QtTest>

#include <cmath>
#include <limits>

#include <core/base/error.h>
#include <core/scene/camera/camera.h>
#include <core/scene/camera/camera_row.h>
#include <core/scene/camera/vector.h>

using namespace orrery;
using namespace orrery::scene;

class CameraTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void projectionUndoesTheRay_data()
    {
        QTest::addColumn<QVector<double>>("distortion");
        QTest::newRow("pinhole") << QVector<double>{0, 0, 0, 0, 0, 0};
        QTest::newRow("barrel") << QVector<double>{-0.12, 0.03, 0, 0, 0, 0};
        QTest::newRow("pincushion with tangential parts") << QVector<double>{0.05, -0.01, 0.002, 0, 0.003, -0.002};
        QTest::newRow("four radial terms") << QVector<double>{-0.05, 0.01, -0.002, 0.0005, 0, 0};
    }
    void projectionUndoesTheRay()
    {
        QFETCH(QVector<double>, distortion);
        Camera camera = lookAt({3, -2, 1.5}, {0.1, 0.2, 0}, {0, 0, 1}, 0.7, 640, 480);
        camera.focalY *= 1.1;
        camera.centreX += 13;
        camera.distortion = {distortion[0], distortion[1], distortion[2], distortion[3], distortion[4], distortion[5]};
        for (const double x : {0.5, 100.0, 333.25, 639.5})
            for (const double y : {0.5, 77.0, 479.5})
                for (const double t : {0.1, 4.0, 100.0}) {
                    const Ray ray = rayThrough(camera, x, y);
                    QVERIFY(std::abs(length(ray.direction) - 1) < 1e-12);
                    const Vector3 seen = project(camera, ray.origin + t * ray.direction);
                    QVERIFY2(std::abs(seen[0] - x) < 1e-7 && std::abs(seen[1] - y) < 1e-7,
                             qPrintable(QString("%1 %2").arg(seen[0] - x).arg(seen[1] - y)));
                    QVERIFY(seen[2] > 0);
                }
    }

    void looksAtItsTarget()
    {
        const Camera camera = lookAt({2, 1, 4}, {-1, 0.5, 0}, {0, 0, 1}, 0.9, 200, 100);
        const Vector3 seen = project(camera, {-1, 0.5, 0});
        QVERIFY(std::abs(seen[0] - 100) < 1e-9 && std::abs(seen[1] - 50) < 1e-9);
        QVERIFY(std::abs(seen[2] - std::sqrt(9 + 0.25 + 16)) < 1e-12);
        // The field of view is that of the height: the ray through the upper edge makes half of it with the axis.
        const Ray top = rayThrough(camera, 100, 0), middle = rayThrough(camera, 100, 50);
        QVERIFY(std::abs(std::acos(dot(top.direction, middle.direction)) - 0.45) < 1e-9);
        // A point above the target is seen above it.
        QVERIFY(project(camera, {-1, 0.5, 0.2})[1] < 50);
    }

    void worldToViewIsRigidAndKeepsHandedness()
    {
        const Camera camera = lookAt({2, 1, 4}, {-1, 0.5, 0}, {0, 0, 1}, 0.9, 200, 100);
        const Matrix4 m = worldToView(camera);
        const Vector3 x{m[0], m[1], m[2]}, y{m[4], m[5], m[6]}, z{m[8], m[9], m[10]};
        QVERIFY(length(cross(x, y) - z) < 1e-12);
        QVERIFY(length(transform(m, {2, 1, 4})) < 1e-12);
    }

    void aRowOfNumbersIsTheCamera()
    {
        const Camera camera = lookAt({2, 1, 4}, {-1, 0.5, 0}, {0, 0, 1}, 0.9, 200, 100);
        auto row = cameraRow(camera);
        QCOMPARE(cameraRowNames().size(), row.size());
        const Camera again = cameraOfRow(row.data());
        const Vector3 seen = project(camera, {0, 0.3, 0.2}), same = project(again, {0, 0.3, 0.2});
        for (std::size_t k = 0; k < 3; ++k)
            QVERIFY(std::abs(seen[k] - same[k]) < 1e-3);
        for (const auto& [index, value] : {std::pair<std::size_t, float>{0, 0}, {1, 1.5f}, {1, 1e9f}, {2, -1}, {7, NAN}}) {
            auto wrong = row;
            wrong[index] = value;
            QVERIFY_EXCEPTION_THROWN(cameraOfRow(wrong.data()), core::InputError);
        }
    }

    void refusesCamerasThatLookNowhere()
    {
        const double nan = std::numeric_limits<double>::quiet_NaN();
        QVERIFY_EXCEPTION_THROWN(lookAt({1, 1, 1}, {1, 1, 1}, {0, 0, 1}, 0.7, 10, 10), core::Error);
        QVERIFY_EXCEPTION_THROWN(lookAt({0, 0, 1}, {0, 0, 0}, {0, 0, 1}, 0.7, 10, 10), core::Error);
        QVERIFY_EXCEPTION_THROWN(lookAt({nan, 0, 1}, {0, 0, 0}, {0, 0, 1}, 0.7, 10, 10), core::Error);
        QVERIFY_EXCEPTION_THROWN(lookAt({1, 0, 1}, {0, 0, 0}, {0, 0, 1}, 3.2, 10, 10), core::Error);
        QVERIFY_EXCEPTION_THROWN(lookAt({1, 0, 1}, {0, 0, 0}, {0, 0, 1}, 0.7, 0, 10), core::Error);
    }
};

QTEST_APPLESS_MAIN(CameraTest)
#include "camera_test.moc"
