#include <core/scene/raster/zbuffer.h>

#include <QTest>
#include <algorithm>
#include <cmath>
#include <numbers>

#include <core/base/error.h>
#include <core/base/rng.h>
#include <core/scene/camera/vector.h>

using namespace orrery;
using namespace orrery::scene;

namespace {

void addPoint(TriangleMesh& mesh, const Vector3& p, std::array<std::uint8_t, 3> colour)
{
    for (const double v : p)
        mesh.points.positions.push_back(float(v));
    mesh.points.colours.insert(mesh.points.colours.end(), colour.begin(), colour.end());
}

// A wavy sheet of triangles before the camera, so that neighbours share edges.
TriangleMesh sheet(int cells)
{
    TriangleMesh mesh;
    for (int i = 0; i <= cells; ++i)
        for (int j = 0; j <= cells; ++j) {
            const double u = 2.0 * i / cells - 1, v = 2.0 * j / cells - 1;
            addPoint(mesh, {u, v, 0.15 * std::sin(4 * u) * std::cos(3 * v)}, {std::uint8_t(255 * i / cells), std::uint8_t(255 * j / cells), 90});
        }
    for (int i = 0; i < cells; ++i)
        for (int j = 0; j < cells; ++j) {
            const auto a = std::uint32_t(i * (cells + 1) + j), b = a + std::uint32_t(cells) + 1;
            mesh.triangles.insert(mesh.triangles.end(), {a, b, b + 1, a, b + 1, a + 1});
        }
    return mesh;
}

Vector3 corner(const TriangleMesh& mesh, std::size_t triangle, std::size_t k)
{
    const float* p = mesh.points.positions.data() + 3 * mesh.triangles[3 * triangle + k];
    return {p[0], p[1], p[2]};
}

// Distance along the ray by Moeller and Trumbore (1997); negative: no hit. `slack` widens the triangle.
double hit(const Ray& ray, const Vector3& a, const Vector3& b, const Vector3& c, double slack)
{
    const Vector3 e1 = b - a, e2 = c - a, p = cross(ray.direction, e2), t = ray.origin - a, q = cross(t, e1);
    const double det = dot(e1, p), u = dot(t, p) / det, v = dot(ray.direction, q) / det;
    return u < -slack || v < -slack || u + v > 1 + slack ? -1 : dot(e2, q) / det;
}

Camera above(int width, int height)
{
    return lookAt({0.4, -1.9, 1.7}, {0, 0, 0}, {0, 0, 1}, 0.8, width, height);
}

}  // namespace

class ZBufferTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void eachPixelIsWhatItsRayMeetsFirst()
    {
        const auto mesh = sheet(9);
        const auto camera = above(60, 45);
        const auto image = rasterize(mesh, camera, {});
        const auto view = worldToView(camera);
        std::size_t covered = 0;
        for (int row = 0; row < 45; ++row)
            for (int column = 0; column < 60; ++column) {
                const Ray ray = rayThrough(camera, column + 0.5, row + 0.5);
                double nearest = 1e9, widened = 1e9;
                for (std::size_t t = 0; t < mesh.triangleCount(); ++t) {
                    const double d = hit(ray, corner(mesh, t, 0), corner(mesh, t, 1), corner(mesh, t, 2), -1e-9);
                    const double w = hit(ray, corner(mesh, t, 0), corner(mesh, t, 1), corner(mesh, t, 2), 1e-9);
                    nearest = d > 0 ? std::min(nearest, d) : nearest;
                    widened = w > 0 ? std::min(widened, w) : widened;
                }
                const std::size_t at = std::size_t(60 * row + column);
                if ((nearest < 1e9) != (widened < 1e9))
                    continue;  // on the outline to the last digit
                QCOMPARE(bool(image.mask[at]), nearest < 1e9);
                if (!image.mask[at])
                    continue;
                ++covered;
                const double z = transform(view, ray.origin + nearest * ray.direction)[2];
                QVERIFY(std::abs(image.depth[at] - z) < 1e-9);
            }
        QVERIFY(covered > 800);
    }

    void coloursAreInterpolatedOnTheSurface()
    {
        // Red grows with x and green with y on a flat square: the colour is the place.
        TriangleMesh mesh;
        addPoint(mesh, {-1, -1, 0}, {0, 0, 255});
        addPoint(mesh, {1, -1, 0}, {255, 0, 255});
        addPoint(mesh, {1, 1, 0}, {255, 255, 255});
        addPoint(mesh, {-1, 1, 0}, {0, 255, 255});
        mesh.triangles = {0, 1, 2, 0, 2, 3};
        const auto camera = above(50, 50);
        const auto image = rasterize(mesh, camera, {});
        for (int row = 0; row < 50; ++row)
            for (int column = 0; column < 50; ++column) {
                const std::size_t at = std::size_t(50 * row + column);
                if (!image.mask[at])
                    continue;
                const Ray ray = rayThrough(camera, column + 0.5, row + 0.5);
                const Vector3 p = ray.origin + (-ray.origin[2] / ray.direction[2]) * ray.direction;
                QVERIFY(std::abs(image.rgb[3 * at] - (p[0] + 1) / 2) < 1e-6);
                QVERIFY(std::abs(image.rgb[3 * at + 1] - (p[1] + 1) / 2) < 1e-6);
                QCOMPARE(image.rgb[3 * at + 2], 1.0f);
            }
    }

    void sharedEdgesLeaveNoGapAndNoDouble()
    {
        // Corners on pixel centres: the edges run exactly through centres.
        TriangleMesh whole;
        for (const auto& p : {Vector3{-2, -2, -4}, Vector3{2, -2, -4}, Vector3{2, 2, -4}, Vector3{-2, 2, -4}})
            addPoint(whole, p, {255, 255, 255});
        Camera camera;
        camera.width = camera.height = 9;
        camera.focalX = camera.focalY = 8;
        camera.centreX = camera.centreY = 4.5;
        TriangleMesh first = whole, second = whole;
        first.triangles = {0, 1, 2};
        second.triangles = {0, 2, 3};
        whole.triangles = {0, 1, 2, 0, 2, 3};
        const auto a = rasterize(first, camera, {}), b = rasterize(second, camera, {}), both = rasterize(whole, camera, {});
        std::size_t count = 0;
        for (std::size_t i = 0; i < both.mask.size(); ++i) {
            QCOMPARE(int(a.mask[i]) + int(b.mask[i]), int(both.mask[i]));
            count += both.mask[i];
        }
        QCOMPARE(count, std::size_t(64));  // 8 x 8: of the outline, top and left belong to the square
    }

    void trianglesThroughTheCameraAreCut()
    {
        // A floor one unit below that reaches from far behind to far ahead.
        TriangleMesh mesh;
        addPoint(mesh, {-50, -50, -1}, {255, 0, 0});
        addPoint(mesh, {50, -50, -1}, {255, 0, 0});
        addPoint(mesh, {0, 80, -1}, {255, 0, 0});
        mesh.triangles = {0, 1, 2};
        const auto camera = lookAt({0, 0, 0}, {0, 1, 0}, {0, 0, 1}, 1.2, 40, 40);
        const auto image = rasterize(mesh, camera, {});
        for (int row = 0; row < 40; ++row) {
            const double down = (row + 0.5 - camera.centreY) / camera.focalY;
            const std::size_t at = std::size_t(40 * row + 20);
            if (down < 0.05) {
                QVERIFY(down > 0 || !image.mask[at]);
                continue;
            }
            QVERIFY(image.mask[at]);
            QVERIFY(std::abs(image.depth[at] - 1 / down) < 1e-6 / down);
        }
    }

    void pointsAreDiscsAndTheNearestWins()
    {
        TriangleMesh mesh;
        addPoint(mesh, {4, 0, 0}, {255, 0, 0});
        addPoint(mesh, {2, 0, 0}, {0, 255, 0});
        addPoint(mesh, {2, 0.5, 0}, {0, 0, 255});
        const auto camera = lookAt({0, 0, 0}, {1, 0, 0}, {0, 0, 1}, 1, 41, 41);
        ZBufferOptions options;
        options.pointRadius = 3;
        const auto image = rasterize(mesh, camera, options);
        QCOMPARE(image.ids[20 * 41 + 20], std::int64_t(1));
        QCOMPARE(image.depth[20 * 41 + 20], 2.0);
        QCOMPARE(std::count(image.ids.begin(), image.ids.end(), 1), std::ptrdiff_t(29));  // centres within 3 pixels of a centre
        options.pointRadius = 0;
        const auto single = rasterize(mesh, camera, options);
        QCOMPARE(std::count(single.mask.begin(), single.mask.end(), 1), std::ptrdiff_t(2));
    }

    void originsOfCloudsCount()
    {
        auto mesh = sheet(4), moved = mesh;
        auto camera = above(30, 30);
        const auto expected = rasterize(mesh, camera, {});
        moved.points.origin = {1e6, 2e6, 50};
        for (std::size_t k = 0; k < 3; ++k)
            camera.cameraToWorld[4 * k + 3] += moved.points.origin[k];
        const auto image = rasterize(moved, camera, {});
        QVERIFY(image.ids == expected.ids);
        for (std::size_t i = 0; i < image.depth.size(); ++i)
            QVERIFY(std::abs(image.depth[i] - expected.depth[i]) < 1e-7);
    }

    void lightMakesFacesDarkerByTheCosine()
    {
        TriangleMesh mesh;
        for (const auto& p : {Vector3{-2, -2, 0}, Vector3{2, -2, 0}, Vector3{0, 3, 0}})
            addPoint(mesh, p, {255, 255, 255});
        mesh.triangles = {0, 1, 2};
        ZBufferOptions options;
        options.shading = Shading::Lambert;
        options.light = {std::sin(1.0), 0, std::cos(1.0)};
        options.ambient = 0.2f;
        const auto image = rasterize(mesh, lookAt({0, 0, 4}, {0, 0, 0}, {0, 1, 0}, 0.5, 9, 9), options);
        QVERIFY(std::abs(image.rgb[3 * 40] - (0.2 + 0.8 * std::cos(1.0))) < 1e-6);
    }

    void wrongCamerasAreNamed()
    {
        const auto refused = [](auto change) {
            Camera camera = above(20, 20);
            change(camera);
            try {
                rasterize(sheet(2), camera, {});
            } catch (const core::InputError& error) {
                return QString(error.what());
            }
            return QString("no error");
        };
        QVERIFY(refused([](Camera& c) { c.width = 0; }).contains("got 0 x 20"));
        QVERIFY(refused([](Camera& c) { c.height = 1 << 20; }).contains("1048576"));
        QVERIFY(refused([](Camera& c) { c.focalX = std::nan(""); }).contains("focal lengths above 0"));
        QVERIFY(refused([](Camera& c) { c.distortion.p1 = 1e-3; }).contains("lens distortion"));
        QCOMPARE(refused([](Camera&) {}), "no error");
    }
};

QTEST_APPLESS_MAIN(ZBufferTest)
#include "zbuffer_test.moc"
