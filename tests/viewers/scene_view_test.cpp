// The scene view with a real mouse and real keys: camera, pick, clip box, colours, controls, and what is on the picture.
#include <QElapsedTimer>
#include <QEventLoop>
#include <QSignalSpy>
#include <QTest>
#include <QThread>
#include <QTimer>
#include <algorithm>
#include <cmath>
#include <random>

#include <viewers/scene_view.h>

using namespace orrery;
using namespace orrery::viewers;

namespace {

// Four points in the plane z = 0, red, green, blue, white.
std::shared_ptr<scene::TriangleMesh> fourPoints()
{
    auto mesh = std::make_shared<scene::TriangleMesh>();
    mesh->points.positions = {-1, 0, -1, 1, 0, -1, -1, 0, 1, 1, 0, 1};
    mesh->points.colours = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255};
    mesh->points.fields.push_back({"weight", {0, 1, 2, std::nanf("")}, 0});
    return mesh;
}

std::shared_ptr<scene::TriangleMesh> manyPoints(std::size_t count)
{
    auto mesh = std::make_shared<scene::TriangleMesh>();
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (std::size_t i = 0; i < count; ++i) {
        const float x = uniform(random), y = uniform(random);
        mesh->points.positions.insert(mesh->points.positions.end(), {x, y, 0.3f * std::sin(4 * x) * std::cos(3 * y)});
    }
    return mesh;
}

struct Bench {
    SceneView view;
    explicit Bench(std::shared_ptr<scene::TriangleMesh> mesh, QSize size = {640, 480})
    {
        view.resize(size);
        view.show();
        QVERIFY(QTest::qWaitForWindowExposed(&view));
        const auto picture = cloudPicture(mesh);
        view.setPicture(picture, cloudColours(*picture, defaultStyle(mesh->points)));
        auto settings = view.settings();
        settings.pointSize = 9;
        settings.eyeDome = false;
        view.setSettings(settings);
        view.look(StandardView::Front);
        view.fit();
    }
    QPoint place(const scene::Vector3& point) const { return view.project(point)->toPoint(); }
    QColor at(const scene::Vector3& point) { return view.image().pixelColor(place(point)); }
    void settle() { QTRY_VERIFY(view.isSettled() && view.frameTimes().size() > 2); }
};

bool isNear(const QColor& a, const QColor& b)
{
    return std::abs(a.red() - b.red()) <= 8 && std::abs(a.green() - b.green()) <= 8 && std::abs(a.blue() - b.blue()) <= 8;
}

}  // namespace

class SceneViewTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void pointsStandWhereTheCameraSaysInTheirColours()
    {
        Bench bench(fourPoints());
        QVERIFY(isNear(bench.at({-1, 0, -1}), Qt::red));
        QVERIFY(isNear(bench.at({1, 0, -1}), Qt::green));
        QVERIFY(isNear(bench.at({-1, 0, 1}), Qt::blue));
        QVERIFY(isNear(bench.at({1, 0, 1}), Qt::white));
    }

    void draggingTurnsAndThePictureFollows()
    {
        Bench bench(fourPoints());
        const auto before = bench.view.camera();
        QTest::mousePress(&bench.view, Qt::LeftButton, {}, {500, 300});
        QTest::mouseMove(&bench.view, {540, 320});
        QTest::mouseRelease(&bench.view, Qt::LeftButton, {}, {540, 320});
        auto expected = before;
        expected.orbit(-40 * 0.008, 20 * 0.008);
        for (std::size_t axis = 0; axis < 3; ++axis)
            QVERIFY(std::abs(bench.view.camera().position()[axis] - expected.position()[axis]) < 1e-9);
        QVERIFY(isNear(bench.at({-1, 0, -1}), Qt::red));
        QVERIFY(isNear(bench.at({-1, 0, 1}), Qt::blue));
    }

    void keysFlyFitAndTakeStandardViews()
    {
        Bench bench(fourPoints());
        bench.view.setFocus();
        const auto start = bench.view.camera();
        QTest::keyPress(&bench.view, Qt::Key_W);
        QTest::keyRelease(&bench.view, Qt::Key_W);
        QVERIFY(bench.view.camera().position()[1] > start.position()[1]);
        QTest::keyClick(&bench.view, Qt::Key_5);
        QVERIFY(bench.view.camera().forward()[2] < -0.99);
        QTest::keyClick(&bench.view, Qt::Key_1);
        QTest::keyClick(&bench.view, Qt::Key_F);
        QVERIFY(std::abs(bench.view.camera().position()[1] - start.position()[1]) < 1e-6);
    }

    void aClickPicksThePointUnderTheMouse()
    {
        Bench bench(fourPoints());
        QSignalSpy clicks(&bench.view, &GlView::clicked);
        QTest::mouseClick(&bench.view, Qt::LeftButton, {}, bench.place({1, 0, -1}));
        QCOMPARE(clicks.count(), 1);
        QCOMPARE(bench.view.pick(clicks[0][0].toPointF()), std::optional<std::uint32_t>(1));
        QVERIFY(!bench.view.pick(bench.place({0, 0, 0})));
    }

    void theClipBoxHidesAndItsHandlesMove()
    {
        Bench bench(fourPoints());
        auto settings = bench.view.settings();
        settings.clips = true;
        settings.clip = {-1.5, -1.5, -1.5, 1.5, 1.5, 1.5};
        bench.view.setSettings(settings);
        QVERIFY(isNear(bench.at({1, 0, -1}), Qt::green));
        // The handle at x = 1.5 to about x = 0.
        const QPoint handle = bench.view.clipHandle(3)->toPoint(), middle = bench.place({0, 0, 0});
        QTest::mousePress(&bench.view, Qt::LeftButton, {}, handle);
        QTest::mouseMove(&bench.view, QPoint(middle.x() + 30, handle.y()));
        QTest::mouseMove(&bench.view, QPoint(middle.x(), handle.y()));
        QTest::mouseRelease(&bench.view, Qt::LeftButton, {}, QPoint(middle.x(), handle.y()));
        QVERIFY2(std::abs(bench.view.settings().clip[3]) < 0.05, qPrintable(QString::number(bench.view.settings().clip[3])));
        QVERIFY(!isNear(bench.at({1, 0, -1}), Qt::green));
        QVERIFY(isNear(bench.at({-1, 0, -1}), Qt::red));
        QVERIFY(!bench.view.pick(bench.place({1, 0, -1})));
    }

    void theControlsAnswerTheMouse()
    {
        Bench bench(fourPoints());
        bench.settle();
        const auto box = bench.view.controlRect("eye-dome lighting");
        QVERIFY(!box.isEmpty());
        const auto camera = bench.view.camera();
        QTest::mouseMove(&bench.view, box.topLeft() + QPoint(8, 8));
        bench.settle();
        QTest::mouseClick(&bench.view, Qt::LeftButton, {}, box.topLeft() + QPoint(8, 8));
        QTRY_VERIFY(bench.view.settings().eyeDome);
        QVERIFY(bench.view.camera() == camera);
        QSignalSpy styles(&bench.view, &SceneView::styleRequested);
        QTest::mouseClick(&bench.view, Qt::LeftButton, {}, bench.view.controlRect("colour").center());
        QTRY_VERIFY(!bench.view.controlRect("colour/weight").isEmpty());
        bench.settle();
        QTest::mouseClick(&bench.view, Qt::LeftButton, {}, bench.view.controlRect("colour/weight").center());
        QTRY_COMPARE(styles.count(), 1);
        QCOMPARE(styles[0][0].value<CloudStyle>().field, std::string("weight"));
    }

    void coloursFollowAFieldWithItsRange()
    {
        const auto picture = cloudPicture(fourPoints());
        CloudStyle style;
        style.by = ColourBy::Field;
        style.field = "weight";
        style.map = "grey";
        const auto colours = cloudColours(*picture, style);
        QCOMPARE(colours->low, 0.0);
        QCOMPARE(colours->high, 2.0);
        for (std::size_t i = 0; i < 4; ++i) {
            const int expected[] = {0, 128, 255, 128};
            QVERIFY(std::abs(int(colours->rgb[3 * i]) - expected[picture->order[i]]) <= 1);
        }
        style.field = "nothing";
        QVERIFY_EXCEPTION_THROWN(cloudColours(*picture, style), std::exception);
    }

    void anEmptyCloudIsRefused() { QVERIFY_EXCEPTION_THROWN(cloudPicture(std::make_shared<scene::TriangleMesh>()), std::exception); }

    void whileMovingLessIsDrawnAndAllOfItWhenStill()
    {
        Bench bench(manyPoints(342000), {1280, 800});
        auto settings = bench.view.settings();
        settings.pointSize = 2;
        settings.eyeDome = true;
        bench.view.setSettings(settings);
        bench.view.look(StandardView::Oblique);
        bench.settle();
        QTRY_COMPARE(bench.view.drawnPoints(), std::size_t(342000));
        QElapsedTimer clock;
        std::vector<double> times;
        for (int i = 0; i < 90; ++i) {
            clock.start();
            QEventLoop untilSwapped;
            connect(&bench.view, &QOpenGLWidget::frameSwapped, &untilSwapped, &QEventLoop::quit);
            QTimer::singleShot(5000, &untilSwapped, &QEventLoop::quit);
            QTest::keyClick(&bench.view, Qt::Key_Right);
            untilSwapped.exec();
            if (i >= 30)
                times.push_back(double(clock.nsecsElapsed()) / 1e6);
        }
        const auto drawn = bench.view.drawnPoints();
        std::nth_element(times.begin(), times.begin() + 30, times.end());
        qInfo("orbit of 342,000 points at 1280x800: median frame %.1f ms (of which %.1f drawing), %zu points", times[30],
              bench.view.medianFrameTime(), drawn);
        QVERIFY(drawn >= 16384);
        QTRY_COMPARE(bench.view.drawnPoints(), std::size_t(342000));
    }

    void whereFramesTakeLongHalfThePixelsAreDrawnWhileMoving_data()
    {
        QTest::addColumn<bool>("eyeDome");
        QTest::newRow("plain") << false;
        QTest::newRow("eye-dome lighting") << true;
    }
    void whereFramesTakeLongHalfThePixelsAreDrawnWhileMoving()
    {
        QFETCH(bool, eyeDome);
        Bench bench(fourPoints(), {641, 481});
        auto settings = bench.view.settings();
        settings.eyeDome = eyeDome;
        bench.view.setSettings(settings);
        bench.view.setControlsShown(false);
        const auto slow = connect(&bench.view, &GlView::framePainted, [] { QThread::msleep(60); });
        // A quarter of a second between two keys would be still.
        for (int i = 0; i < 100 && bench.view.shrink() == 1; ++i) {
            QTest::keyClick(&bench.view, i % 2 ? Qt::Key_Right : Qt::Key_Left);
            QTest::qWait(1);
        }
        QCOMPARE(bench.view.shrink(), 2);
        QCOMPARE(bench.view.drawnPoints(), std::size_t(4));
        const QImage coarse = bench.view.grabFramebuffer();
        QCOMPARE(coarse.size(), QSize(641, 481));
        for (const auto& [point, colour] :
             {std::pair(scene::Vector3{-1, 0, -1}, QColor(Qt::red)), std::pair(scene::Vector3{1, 0, -1}, QColor(Qt::green)),
              std::pair(scene::Vector3{-1, 0, 1}, QColor(Qt::blue))})
            QVERIFY2(isNear(coarse.pixelColor(bench.place(point)), colour), qPrintable(coarse.pixelColor(bench.place(point)).name()));
        disconnect(slow);
        QTRY_COMPARE(bench.view.shrink(), 1);
        QVERIFY(isNear(bench.at({-1, 0, -1}), Qt::red));
    }

    void theWindowBehindDoesNotShineThrough()
    {
        Bench bench(fourPoints());
        for (const bool eyeDome : {false, true}) {
            auto settings = bench.view.settings();
            settings.eyeDome = eyeDome;
            bench.view.setSettings(settings);
            const QImage image = bench.view.image(true);
            for (int y = 0; y < image.height(); y += 3)
                for (int x = 0; x < image.width(); x += 3)
                    QCOMPARE(qAlpha(image.pixel(x, y)), 255);
        }
    }

    void aViewThatMovesToAnotherWindowGoesOn()
    {
        Bench bench(fourPoints());
        bench.settle();
        QWidget other;
        other.resize(640, 480);
        bench.view.setParent(&other);
        bench.view.show();
        other.show();
        QVERIFY(QTest::qWaitForWindowExposed(&other));
        QVERIFY(isNear(bench.at({-1, 0, -1}), Qt::red));
        bench.view.setParent(nullptr);
    }
};

QTEST_MAIN(SceneViewTest)
#include "scene_view_test.moc"
