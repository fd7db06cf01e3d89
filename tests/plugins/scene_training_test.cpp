// The Scene training panel from the empty state to a trained field, its comparison with held-out pictures, files and a student; bad pictures, a stopped training, a restart.
#include <QAction>
#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTabWidget>
#include <cmath>
#include <filesystem>

#include <core/base/files.h>
#include <core/io/image.h>
#include <core/models/model_file.h>
#include <core/scene/cloud/formats.h>
#include <core/scene/field/synthesis.h>
#include <core/scene/field/views.h>
#include <plugins/scene_training/scene_training_panel.h>
#include <viewers/radiance_view.h>
#include <widgets/export.h>
#include <widgets/plot_view.h>
#include <widgets/schema_form.h>

#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 300000;  ///< ms; threads of jobs stand behind everything else on a busy machine

struct Bench : test::PanelBench<SceneTrainingPanel> {
    /// Small, since every pixel of the scene is computed.
    void show(const core::Json& state = core::Json::object())
    {
        PanelBench::show(state);
        panel->resize(400, 620);
    }
    /// Twelve pictures of the built-in scene, 24 pixels a side.
    QString pictures(const char* name = "set")
    {
        scene::SynthesisOptions options;
        options.train = 9, options.val = 1, options.test = 2;
        options.width = options.height = 24;
        options.depth = false;
        jobs::DirectContext context;
        const QString to = folder.filePath(name);
        scene::synthesize(
            to.toStdString(), scene::shapesBox(), [](const scene::Camera& camera) { return scene::renderShapes(camera, 1); }, options, context);
        return to;
    }
    viewers::RadianceView* view() const { return child<viewers::RadianceView>("view"); }
    void press(const char* name) { QTest::mouseClick(child<QPushButton>(name), Qt::LeftButton); }
    QString status() const { return child<QLabel>("status")->text(); }
    void open(const QString& path)
    {
        if (panel->isShowingEmptyState())
            panel->openPictures(path);
        else {
            auto* edit = child<QLineEdit>("path");
            edit->setFocus();
            edit->selectAll();
            QTest::keyClicks(edit, path);
            QTest::keyClick(edit, Qt::Key_Return);
        }
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle(), kPatience);
    }
    /// A small hash grid, some steps.
    void setUp(int steps)
    {
        auto* field = child<QComboBox>("field");
        field->setCurrentIndex(field->findData("hash_field"));
        child<widgets::SchemaForm>("parameters")
            ->setDocument(
                {{"levels", 6}, {"log2_entries", 12}, {"finest_resolution", 64}, {"width", 16}, {"occupancy_resolution", 16}, {"steps", 64}});
        child<widgets::SchemaForm>("training")->setDocument({{"steps", steps}, {"batch_size", 512}, {"evaluate_every", std::min(steps, 40)}});
    }
    void train(int steps)
    {
        setUp(steps);
        press("start");
        QTRY_VERIFY_WITH_TIMEOUT(panel->run().has_value(), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(panel->run()->status == store::RunStatus::Finished && panel->isIdle(), kPatience);
    }
    /// Sets the slider over the scene by the mouse.
    void dragTruth(double to)
    {
        QTRY_VERIFY_WITH_TIMEOUT(!view()->controlRect("truth").isEmpty() && view()->isSettled(), kPatience);
        const QRect slider = view()->controlRect("truth");
        const QPoint from = slider.center(), end(int(slider.left() + 3 + to * (slider.width() - 6)), slider.center().y());
        QTest::mouseMove(view(), from);
        QTest::mousePress(view(), Qt::LeftButton, {}, from);
        QTRY_VERIFY(view()->isSettled());
        QTest::mouseMove(view(), end);
        QTRY_VERIFY(view()->isSettled());
        QTest::mouseRelease(view(), Qt::LeftButton, {}, end);
        QTRY_VERIFY_WITH_TIMEOUT(view()->isRefined(), kPatience);
    }
};

}  // namespace

class SceneTrainingPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void withoutAWorkspaceItSaysWhatToDo()
    {
        test::PanelBench<SceneTrainingPanel> bench(false);
        bench.show();
        QVERIFY(bench.panel->isShowingEmptyState());
        QVERIFY(bench.panel->commandLine().isEmpty());
        bench.panel->openPictures("synthetic:shapes");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->scene().has_value() && bench.panel->isIdle(), kPatience);
        QVERIFY(bench.child<QLabel>("pictures")->text().startsWith("72 pictures of 128"));
        bench.panel->start();
        QVERIFY(bench.panel->errorText().contains("Open a workspace first"));
        QVERIFY(bench.panel->commandLine().contains("orrery-cli scene train scene.json"));
    }

    void itTrainsShowsAndComparesAField()
    {
        Bench bench;
        bench.show();
        bench.open(bench.pictures());
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        QVERIFY(bench.child<QLabel>("pictures")->text().contains("12 pictures of 24 × 24 pixels: 9 for training, 1 for validation, 2 for testing"));
        QCOMPARE(bench.view()->cameras().size(), std::size_t(12));
        QCOMPARE(bench.view()->camera().fov(), 50.0);
        QSignalSpy shown(bench.view(), &viewers::PictureView::pictureShown);
        bench.train(80);
        QVERIFY(bench.status().contains("finished"));
        QVERIFY(shown.count() > 0);
        // The curve on screen ends where the store says.
        auto* curves = bench.child<widgets::PlotView>("curves");
        QTRY_VERIFY_WITH_TIMEOUT(!curves->drawnData("val/psnr").empty(), kPatience);
        QTRY_COMPARE(curves->drawnData("val/psnr").y.back(), bench.workspace()->lastMetrics(bench.panel->run()->run).at("val/psnr"));
        QVERIFY(bench.workspace()->lastMetrics(bench.panel->run()->run).at("test/psnr") > 8);
        // A held-out picture: the PSNR on screen is the one that core finds.
        auto* views = bench.child<QComboBox>("shown_view");
        views->setFocus();
        QTest::keyClick(views, Qt::Key_Down);
        QVERIFY(views->currentText().contains("(test)"));
        QTRY_VERIFY_WITH_TIMEOUT(bench.view()->isComparing() && bench.view()->isRefined() && bench.view()->psnr(), kPatience);
        const auto& pictures = *bench.panel->scene()->pictures;
        const auto v = std::size_t(views->currentData().toInt());
        const double byHand = scene::psnr(bench.panel->run()->field->render(pictures.cameras[v]).colour, scene::pictureOf(pictures, v));
        QVERIFY2(std::abs(*bench.view()->psnr() - byHand) < 0.01, qPrintable(QString("%1 %2").arg(*bench.view()->psnr()).arg(byHand)));
        // All truth: the middle of the screen is the picture's middle.
        bench.dragTruth(1);
        QVERIFY(bench.view()->settings().truth > 0.95);
        const QImage screen = bench.view()->picture();
        const QRgb middle = screen.pixel(screen.width() / 2 + 3, screen.height() / 2 + 3);
        const auto* const wanted = pictures.pixels.data() + 3 * (pictures.begins[v] + 12 * 24 + 12);
        QVERIFY(std::abs(qRed(middle) - wanted[0]) < 3 && std::abs(qGreen(middle) - wanted[1]) < 3 && std::abs(qBlue(middle) - wanted[2]) < 3);
        // The camera moved by a key ends the comparison.
        QTest::keyClick(bench.view(), Qt::Key_Left);
        QVERIFY(!bench.view()->isComparing());
        QCOMPARE(views->currentIndex(), 0);
        QTRY_VERIFY_WITH_TIMEOUT(bench.view()->isRefined(), kPatience);
        // Depth is another picture of the same size, and a crop box that holds nothing shows the background alone.
        const QImage colour = bench.view()->picture();
        auto settings = bench.view()->settings();
        settings.channel = viewers::RadianceChannel::Depth;
        bench.view()->setSettings(settings);
        QTRY_VERIFY_WITH_TIMEOUT(bench.view()->isRefined(), kPatience);
        QCOMPARE(bench.view()->picture().size(), colour.size());
        QVERIFY(bench.view()->picture() != colour);
        settings.channel = viewers::RadianceChannel::Colour;
        settings.crops = true;
        settings.crop = {0.98, 0.98, 0.98, 1, 1, 1};
        bench.view()->setSettings(settings);
        QTRY_VERIFY_WITH_TIMEOUT(bench.view()->isRefined(), kPatience);
        const QImage empty = bench.view()->picture();
        QCOMPARE(empty.pixelColor(empty.width() / 2, empty.height() / 2), QColor(Qt::white));
    }

    void itWritesSurfacesAndAStudent()
    {
        Bench bench;
        bench.show();
        bench.open(bench.pictures());
        bench.train(100);
        bench.child<QTabWidget>("pages")->setCurrentIndex(2);
        bench.child<widgets::SchemaForm>("surface")->setDocument({{"resolution", 24}, {"density", 2}});
        const QString mesh = bench.folder.filePath("mesh.ply"), student = bench.folder.filePath("student.safetensors");
        widgets::askSaveFile() = [&](QWidget*, const QString& name, const QString&) { return name == "student.safetensors" ? student : mesh; };
        bench.press("export");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        QVERIFY(scene::readCloud(mesh.toStdString()).mesh.triangleCount() > 20);
        QVERIFY(bench.panel->commandLine().contains("scene export run:1 --out mesh.ply --kind mesh --resolution 24 --density 2"));
        bench.child<widgets::SchemaForm>("distillation")
            ->setDocument({{"grid", 3},
                           {"width", 16},
                           {"steps", 64},
                           {"occupancy_resolution", 16},
                           {"points", 5000},
                           {"distill_steps", 30},
                           {"rays", 1024},
                           {"refine_steps", 10}});
        bench.press("distil");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        QVERIFY(bench.child<QLabel>("outcome")->text().contains("Against its teacher"));
        QVERIFY(!models::loadModel(student.toStdString()).weights.empty());
        QCOMPARE(bench.workspace()->analyses(1, "kilo_nerf_distillation").size(), std::size_t(1));
        const QImage teacher = bench.view()->picture();
        QTest::mouseClick(bench.child<QCheckBox>("student"), Qt::LeftButton, {}, QPoint(8, bench.child<QCheckBox>("student")->height() / 2));
        QVERIFY(bench.child<QCheckBox>("student")->isChecked());
        QTRY_VERIFY_WITH_TIMEOUT(bench.view()->isRefined() && bench.view()->picture() != teacher, kPatience);
        // Asked for a density that is nowhere, the surface says so, where it was asked for.
        bench.child<widgets::SchemaForm>("surface")->setDocument({{"resolution", 8}, {"density", 1e9}});
        bench.press("export");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY2(bench.panel->errorText().contains("its highest density is"), qPrintable(bench.panel->errorText()));
    }

    void aTrainingIsPausedStoppedAndResumed()
    {
        Bench bench;
        bench.show();
        bench.open(bench.pictures());
        bench.setUp(100000);
        bench.press("start");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->run().has_value() && bench.panel->shownStep() > 0, kPatience);
        // The view shows weights while they are learned.
        const auto first = bench.panel->shownStep();
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->shownStep() > first, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(!bench.view()->picture().isNull(), kPatience);
        bench.press("pause");
        QTRY_VERIFY_WITH_TIMEOUT(bench.status().contains("paused"), kPatience);
        QCOMPARE(bench.child<QPushButton>("pause")->text(), QString("Continue"));
        bench.press("pause");
        QTRY_VERIFY_WITH_TIMEOUT(bench.status().contains("running"), kPatience);
        bench.press("stop");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->run()->status == store::RunStatus::Cancelled, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY(bench.panel->run()->field != nullptr);  // its checkpoint
        QCOMPARE(bench.child<QPushButton>("stop")->text(), QString("Resume"));
        bench.press("stop");
        QTRY_VERIFY_WITH_TIMEOUT(bench.status().contains("running"), kPatience);
        bench.press("stop");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.status().contains("cancelled"), kPatience);
    }

    void badPicturesAreNamed()
    {
        Bench bench;
        bench.show();
        bench.open("/nowhere");
        QVERIFY2(bench.panel->errorText().contains("/nowhere"), qPrintable(bench.panel->errorText()));
        const QString small = bench.pictures("small");
        io::writePng((small + "/images/train_002.png").toStdString(), {8, 8, 3, std::vector<std::uint8_t>(192)});
        bench.open(small);
        QVERIFY2(bench.panel->errorText().contains("train_002.png: expected a picture of 24 x 24 pixels"), qPrintable(bench.panel->errorText()));
        const QString missing = bench.pictures("missing");
        std::filesystem::remove((missing + "/images/train_001.png").toStdString());
        bench.open(missing);
        QVERIFY2(bench.panel->errorText().contains("train_001.png"), qPrintable(bench.panel->errorText()));
        const QString poses = bench.pictures("poses");
        auto text = core::readFile((poses + "/transforms.json").toStdString());
        auto document = core::Json::parse(text);
        document["frames"][3]["transform_matrix"][0][3] = "NaN";
        core::writeFileAtomically((poses + "/transforms.json").toStdString(), document.dump());
        bench.open(poses);
        QVERIFY2(bench.panel->errorText().contains("frame 3"), qPrintable(bench.panel->errorText()));
        // A good one afterwards is shown.
        bench.open(bench.pictures("good"));
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        QVERIFY(bench.panel->scene().has_value());
    }

    void aDamagedCheckpointIsSaid()
    {
        Bench bench;
        bench.show();
        bench.open(bench.pictures());
        bench.train(40);
        const auto run = bench.panel->run()->run;
        for (const auto& artifact : bench.workspace()->artifacts(run)) {
            const auto file = bench.workspace()->artifactPath(artifact);
            std::filesystem::permissions(file, std::filesystem::perms::owner_all);
            std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
        }
        bench.show({{"run", run}});
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY(!bench.panel->run());
        QTRY_VERIFY2_WITH_TIMEOUT(!bench.panel->errorText().isEmpty(), "an error", kPatience);
    }

    void aRestartShowsTheSame()
    {
        Bench bench;
        bench.show();
        bench.open(bench.pictures());
        bench.train(30);
        auto settings = bench.view()->settings();
        settings.channel = viewers::RadianceChannel::Opacity;
        bench.view()->setSettings(settings);
        QTest::keyClick(bench.view(), Qt::Key_Up);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && !bench.view()->isMoving(), kPatience);
        const auto camera = bench.view()->camera();
        const auto state = bench.panel->saveState();
        bench.show(state);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->run().has_value() && bench.panel->isIdle(), kPatience);
        QCOMPARE(bench.panel->run()->run, qint64(1));
        QVERIFY(bench.view()->camera() == camera);
        QCOMPARE(bench.view()->settings().channel, viewers::RadianceChannel::Opacity);
    }
};

QTEST_MAIN(SceneTrainingPanelTest)
#include "scene_training_test.moc"
