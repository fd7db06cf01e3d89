// The Splats panel from the empty state to pictures, crops, values and files; a run followed while it trains; damaged files; a restart.
#include <QAction>
#include <QComboBox>
#include <QLabel>
#include <QPushButton>
#include <QSignalSpy>
#include <QTabWidget>
#include <cmath>

#include <core/base/files.h>
#include <core/jobs/queue.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/field/synthesis.h>
#include <core/scene/splat/rasterizer.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/synthetic.h>
#include <core/train/splat_runs.h>
#include <plugins/splats/splats_panel.h>
#include <widgets/export.h>
#include <widgets/plot_view.h>
#include <widgets/training.h>

#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 60000;  ///< ms

/// Three Gaussians in a row, well apart: red, green, blue; opacity 0.9.
scene::Splats threeBalls()
{
    scene::Splats splats;
    splats.resize(3, 1);
    for (std::size_t i = 0; i < 3; ++i) {
        splats.means[3 * i] = float(i) * 2 - 2;
        for (std::size_t k = 0; k < 3; ++k) {
            splats.scales[3 * i + k] = std::log(0.3f);
            splats.harmonics[12 * i + k] = i == k ? 1.7f : -1.7f;
        }
        splats.rotations[4 * i] = 2;  // of any length
        splats.opacities[i] = std::log(0.9f / 0.1f);
    }
    return splats;
}

struct Bench : test::PanelBench<SplatsPanel> {
    QString write(const char* name, const scene::Splats& splats)
    {
        const QString file = folder.filePath(name);
        scene::SplatFile content;
        content.splats = splats;
        scene::writeSplatPly(file.toStdString(), content);
        return file;
    }
    void show(const core::Json& state = core::Json::object())
    {
        PanelBench::show(state);
        panel->resize(700, 900);
    }
    void open(const QString& file)
    {
        session.changeSelection([&](widgets::Selection& selection) { selection.sceneObject = file; });
        settle();
    }
    /// A view behind the empty state paints nothing.
    void settle() { QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle() && (!view()->isVisible() || view()->isSettled()), kPatience); }
    viewers::SplatView* view() const { return child<viewers::SplatView>("view"); }
    QColor colourAt(const scene::Vector3& point)
    {
        settle();
        const auto place = view()->project(point);
        return view()->image().pixelColor(qRound(place->x()), qRound(place->y()));
    }
    /// A click on a control that lies over the picture, and on one of its choices.
    void clickControl(const QString& name)
    {
        settle();
        const auto rect = view()->controlRect(name);
        QVERIFY2(!rect.isEmpty(), qPrintable(name));
        QTest::mouseClick(view(), Qt::LeftButton, {}, rect.center());
        settle();
    }
    void choose(const QString& list, const QString& choice)
    {
        settle();
        const auto rect = view()->controlRect(list);
        // The box itself, not the name beside it.
        QTest::mouseClick(view(), Qt::LeftButton, {}, QPoint(rect.left() + 20, rect.center().y()));
        QTRY_VERIFY_WITH_TIMEOUT(!view()->controlRect(list + "/" + choice).isEmpty(), kPatience);
        QTest::qWait(0);
        clickControl(list + "/" + choice);
    }
    void trigger(const char* text) const
    {
        for (auto* action : panel->actions())
            if (action->text().startsWith(QLatin1String(text)))
                return action->trigger();
        QFAIL(text);
    }
};

/// A training of Gaussians on a dozen small pictures.
core::Json document(const QString& pictures, int steps)
{
    return {{"name", "live"},
            {"model", {{"id", "splats"}, {"gaussians", 200}, {"degree", 0}}},
            {"data", {{"id", "views"}, {"path", pictures.toStdString()}}},
            {"train", {{"steps", steps}, {"evaluate_every", steps}, {"checkpoint", {{"every", 50}}}}}};
}

QString synthesized(const QTemporaryDir& folder)
{
    const QString place = folder.filePath("set");
    scene::SynthesisOptions options;
    options.train = 10, options.val = 1, options.test = 1, options.width = options.height = 24;
    jobs::DirectContext context;
    scene::synthesize(
        place.toStdString(), scene::shapesBox(), [](const scene::Camera& camera) { return scene::renderShapes(camera, 1); }, options, context);
    return place;
}

}  // namespace

class SplatsPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void withoutGaussiansItSaysWhatToDo()
    {
        Bench bench;
        bench.show();
        QVERIFY(bench.panel->isShowingEmptyState());
        QVERIFY(bench.panel->commandLine().isEmpty());
        for (auto* button : bench.panel->findChildren<QPushButton*>())
            if (button->text() == "Open the example")
                QTest::mouseClick(button, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->splats(), kPatience);
        bench.settle();
        QCOMPARE(bench.panel->splats()->statistics.count, std::size_t(20000));
        QVERIFY(bench.panel->commandLine().startsWith("orrery-cli scene render synthetic:room --eye "));
        QCOMPARE(bench.view()->counts().all, std::size_t(20000));
    }

    void thePictureIsThatOfTheRasteriser()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("balls.ply", threeBalls()));
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        QVERIFY(bench.child<QLabel>("info")->text().contains("3 Gaussians, harmonics of degree 1"));
        bench.view()->look(viewers::StandardView::Front);
        bench.settle();
        const auto splats = threeBalls();
        scene::SplatRasterizer rasterizer;
        scene::SplatRenderOptions options;
        const auto corner = bench.view()->picture().pixelColor(0, 0);
        options.background = {float(corner.redF()), float(corner.greenF()), float(corner.blueF())};
        const auto& expected =
            rasterizer.render(splats.view(), bench.view()->camera().camera(bench.view()->width(), bench.view()->height()), options);
        const auto shown = bench.view()->image();
        QCOMPARE(shown.size(), QSize(expected.width, expected.height));
        int worst = 0;
        for (int row = 0; row < expected.height; row += 3)
            for (int column = 0; column < expected.width; column += 3) {
                const auto colour = shown.pixelColor(column, row);
                const int channels[] = {colour.red(), colour.green(), colour.blue()};
                for (std::size_t c = 0; c < 3; ++c)
                    worst = std::max(
                        worst, std::abs(channels[c] -
                                        int(std::clamp(expected.rgb[std::size_t(row * expected.width + column) * 3 + c], 0.f, 1.f) * 255 + 0.5f)));
            }
        QVERIFY2(worst <= 1, qPrintable(QString::number(worst)));
    }

    void mouseAndKeysTurnTheScene()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("balls.ply", threeBalls()));
        const auto before = bench.view()->camera();
        const QPoint from(bench.view()->width() - 60, bench.view()->height() / 2);
        QTest::mousePress(bench.view(), Qt::LeftButton, {}, from);
        for (int step = 1; step <= 10; ++step)
            QTest::mouseMove(bench.view(), from - QPoint(8 * step, 0));
        QTest::mouseRelease(bench.view(), Qt::LeftButton, {}, from - QPoint(80, 0));
        QVERIFY(!(bench.view()->camera() == before));
        QVERIFY(std::abs(bench.view()->camera().distance() - before.distance()) < 1e-9);
        bench.settle();
        QVERIFY(bench.view()->isCurrent());
        QTest::keyClick(bench.view(), Qt::Key_1);
        QVERIFY(std::abs(bench.view()->camera().forward()[1] - 1) < 1e-6);
        const auto red = bench.colourAt({-2, 0, 0}), blue = bench.colourAt({2, 0, 0});
        QVERIFY2(red.red() > 200 && red.blue() < 60, qPrintable(red.name()));
        QVERIFY2(blue.blue() > 200 && blue.red() < 60, qPrintable(blue.name()));
    }

    void aClickShowsTheValuesOfTheGaussian()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("balls.ply", threeBalls()));
        bench.view()->setControlsShown(false);
        bench.settle();
        QTest::mouseClick(bench.view(), Qt::LeftButton, {}, bench.view()->project({2, 0, 0})->toPoint());
        const auto text = bench.child<QLabel>("gaussian")->text();
        QVERIFY2(text.contains("Gaussian 2\ncentre 2, 0, 0\nstandard deviations 0.3, 0.3, 0.3\nrotation (w, x, y, z) 1, 0, 0, 0\nopacity 0.9"),
                 qPrintable(text));
        QVERIFY(text.contains("harmonic 3: "));
        QCOMPARE(bench.child<QTabWidget>("tabs")->currentIndex(), 2);
        QTest::mouseClick(bench.view(), Qt::LeftButton, {}, QPoint(bench.view()->width() - 4, 4));
        QCOMPARE(bench.child<QLabel>("gaussian")->text(), QString("There is no Gaussian under the mouse."));
    }

    void theControlsChangeThePicture()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("balls.ply", threeBalls()));
        bench.view()->look(viewers::StandardView::Front);
        bench.choose("show", "alpha");
        QVERIFY(bench.view()->settings().channel == viewers::SplatChannel::Alpha);
        const auto grey = bench.colourAt({2, 0, 0});
        QVERIFY2(std::abs(grey.red() - 230) < 4 && grey.red() == grey.blue(), qPrintable(grey.name()));  // 0.9 in the middle
        bench.choose("draw", "ellipsoids");
        QCOMPARE(bench.colourAt({2, 0, 0}).red() > 250, true);
        QVERIFY(bench.panel->commandLine().contains("--shape ellipsoid --outputs alpha"));
        bench.choose("behind", "white");
        const auto corner = bench.view()->image().pixelColor(bench.view()->width() - 3, 3);
        QVERIFY(bench.panel->commandLine().contains("--background 1,1,1"));
        QVERIFY(!bench.panel->commandLine().contains("--crop"));
        auto cropped = bench.view()->settings();
        cropped.crops = true;
        cropped.crop = {-1, -2, -3, 1.5, 2, 3};
        bench.view()->setSettings(cropped);
        QVERIFY(bench.panel->commandLine().contains("--crop -1,-2,-3,1.5,2,3"));
        cropped.crops = false;
        bench.view()->setSettings(cropped);
        bench.choose("show", "depth");
        QVERIFY(bench.view()->image().pixelColor(bench.view()->width() - 3, 3) == QColor(255, 255, 255) && corner == QColor(0, 0, 0));
        bench.settle();
        QVERIFY(bench.view()->settings().channel == viewers::SplatChannel::Depth);
        bench.clickControl("anti-aliasing");
        QVERIFY(bench.view()->settings().antialias);
    }

    void theCropBoxLeavesOutWhatLiesBeyond()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("balls.ply", threeBalls()));
        auto settings = bench.view()->settings();
        settings.crops = true;
        settings.crop = {-3, -1, -1, 1, 1, 1};
        bench.view()->setSettings(settings);
        bench.settle();
        QCOMPARE(bench.view()->counts().inBox, std::size_t(2));
        bench.view()->setControlsShown(false);
        bench.settle();
        QVERIFY(!bench.view()->pick(*bench.view()->project({2, 0, 0})));
        QCOMPARE(*bench.view()->pick(*bench.view()->project({0, 0, 0})), 1u);
        // What is written is what is in the box.
        const QString out = bench.folder.filePath("cropped.ply");
        widgets::askSaveFile() = [out](QWidget*, const QString&, const QString&) { return out; };
        bench.trigger("Write the Gaussians");
        bench.settle();
        QCOMPARE(scene::readSplatPly(out.toStdString()).splats.size(), std::size_t(2));
        const QString picture = bench.folder.filePath("picture.png");
        widgets::askSaveFile() = [picture](QWidget*, const QString&, const QString&) { return picture; };
        bench.trigger("Save the picture");
        QCOMPARE(QImage(picture).size(), bench.view()->picture().size());
        // Its handle is dragged by the mouse.
        bench.view()->look(viewers::StandardView::Front);
        bench.settle();
        const QPoint handle = bench.view()->project({1, 0, 0})->toPoint(), to = bench.view()->project({2.5, 0, 0})->toPoint();
        QTest::mousePress(bench.view(), Qt::LeftButton, {}, handle);
        QTest::mouseMove(bench.view(), (handle + to) / 2);
        QTest::mouseMove(bench.view(), to);
        QTest::mouseRelease(bench.view(), Qt::LeftButton, {}, to);
        bench.settle();
        QVERIFY2(std::abs(bench.view()->settings().crop[3] - 2.5) < 0.2, qPrintable(QString::number(bench.view()->settings().crop[3])));
        QCOMPARE(bench.view()->counts().inBox, std::size_t(3));
    }

    void statisticsAreThoseOfCore()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("balls.ply", threeBalls()));
        const auto drawn = bench.child<widgets::PlotView>("opacities")->drawnData("counts");
        double sum = 0;
        for (std::size_t i = 0; i < drawn.y.size(); ++i) {
            sum += drawn.y[i];
            QVERIFY(drawn.y[i] == 0 || std::abs(drawn.x[i] - 0.9) <= 0.0125 + 1e-6);
        }
        QCOMPARE(sum, 3.0);
    }

    void aRunIsFollowedWhileItTrains()
    {
        Bench bench;
        const auto pictures = synthesized(bench.folder);
        const auto run = train::createRun(*bench.workspace(), train::resolveExperiment(document(pictures, 100000)));
        bench.show();
        bench.session.selectRuns({run});
        QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLabel>("title")->text().contains("has no Gaussians yet"), kPatience);
        const auto job = bench.session.jobs().submit(widgets::trainingJob(bench.workspace(), run, 1));
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->splats(), kPatience);
        QCOMPARE(bench.panel->splats()->source, QString("run:%1").arg(run));
        QVERIFY(bench.child<QLabel>("title")->text().startsWith(QString("Run %1 after ").arg(run)));
        const auto first = bench.panel->splats()->step;
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->splats()->step > first, kPatience);
        QVERIFY(bench.panel->splats()->stage == OpenSplats::Stage::Live);
        // The view can be used meanwhile.
        QTest::keyClick(bench.view(), Qt::Key_1);
        QVERIFY(std::abs(bench.view()->camera().forward()[1] - 1) < 1e-6);
        job.cancel();
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->splats()->stage == OpenSplats::Stage::Stored, kPatience);
        const auto stored = train::splatsOfRun(*bench.workspace(), run);
        QTRY_COMPARE_WITH_TIMEOUT(bench.panel->splats()->step, qlonglong(stored->step), kPatience);
        QVERIFY(bench.panel->splats()->scene->splats.means == stored->splats.means);
        QVERIFY(bench.panel->commandLine().contains(QString("scene render run:%1 ").arg(run)));
    }

    void aFinishedRunShowsItsFinalGaussiansAndOthersAreLeftAlone()
    {
        Bench bench;
        const auto pictures = synthesized(bench.folder);
        const auto run = train::createRun(*bench.workspace(), train::resolveExperiment(document(pictures, 20)));
        jobs::DirectContext context;
        train::trainRun(bench.workspace(), run, context);
        const auto other = test::trainedRun(bench.workspace(), "mlp", "iris", 1);
        bench.show();
        bench.session.selectRuns({other});
        bench.settle();
        QVERIFY(bench.panel->isShowingEmptyState());
        bench.session.selectRuns({run});
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->splats(), kPatience);
        QVERIFY(bench.panel->splats()->stage == OpenSplats::Stage::Final);
        QCOMPARE(bench.panel->splats()->step, qlonglong(20));
        bench.session.selectRuns({other});
        bench.settle();
        QCOMPARE(*bench.panel->splats()->run, qlonglong(run));
        bench.panel->followRun(other);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("expected a run that trains Gaussians"), kPatience);
    }

    void damagedMissingEmptyAndTooLargeFilesAreErrorsInPlace()
    {
        Bench bench;
        bench.show();
        const auto good = bench.write("balls.ply", threeBalls());
        auto nan = threeBalls();
        nan.means[4] = std::nanf("");
        const auto open = [&](const QString& file) {
            bench.panel->open(file);
            QTRY_VERIFY_WITH_TIMEOUT(!bench.panel->errorText().isEmpty(), kPatience);
            bench.settle();
        };
        const QString damaged = bench.folder.filePath("damaged.ply");
        core::writeFileAtomically(damaged.toStdString(), core::readFile(good.toStdString()).substr(0, 700));
        open(damaged);
        QVERIFY2(bench.panel->errorText().contains("damaged.ply"), qPrintable(bench.panel->errorText()));
        QVERIFY(bench.panel->isShowingEmptyState());
        open(bench.folder.filePath("missing.ply"));
        QVERIFY2(bench.panel->errorText().contains("missing.ply: no such file"), qPrintable(bench.panel->errorText()));
        open(bench.write("nan.ply", nan));
        QVERIFY2(bench.panel->errorText().contains("nan.ply"), qPrintable(bench.panel->errorText()));
        scene::Splats none;
        none.resize(0, 1);
        open(bench.write("none.ply", none));
        QVERIFY2(bench.panel->errorText().contains("none.ply"), qPrintable(bench.panel->errorText()));
        bench.panel->setMemoryLimit(100);
        open(good);
        QVERIFY2(bench.panel->errorText().contains("this machine has 100"), qPrintable(bench.panel->errorText()));
        bench.panel->setMemoryLimit(1 << 30);
        bench.open(good);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        // A cloud that is selected is for another panel: what is shown stays.
        core::writeFileAtomically(bench.folder.filePath("cloud.xyz").toStdString(), "0 0 0\n");
        bench.open(bench.folder.filePath("cloud.xyz"));
        QCOMPARE(bench.panel->splats()->source, good);
    }

    void aRestartBringsBackFileCameraAndLook()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("balls.ply", threeBalls()));
        auto settings = bench.view()->settings();
        settings.shape = scene::SplatShape::Centre;
        settings.degree = 1;
        bench.view()->setSettings(settings);
        bench.view()->look(viewers::StandardView::Left);
        const auto camera = bench.view()->camera();
        const auto state = bench.panel->saveState();
        bench.session.changeSelection([](widgets::Selection& selection) { selection.sceneObject.clear(); });
        bench.show(state);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->splats() && bench.panel->isIdle(), kPatience);
        QVERIFY(bench.view()->camera() == camera);
        QVERIFY(bench.view()->settings().shape == scene::SplatShape::Centre);
        QCOMPARE(bench.view()->settings().degree, 1);
        bench.panel->restoreState({{"source", 3}, {"degree", "large"}, {"camera", nullptr}});
        QCOMPARE(bench.view()->settings().degree, 1);
    }
};

QTEST_MAIN(SplatsPanelTest)
#include "splats_test.moc"
