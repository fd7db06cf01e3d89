// The Point cloud panel from the empty state to filters, measures and files; damaged and too large files; cancel; a restart; a display without OpenGL.
#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QImage>
#include <QLabel>
#include <QListWidget>
#include <QProcess>
#include <QPushButton>
#include <QUndoStack>
#include <algorithm>
#include <cmath>

#include <core/scene/cloud/formats.h>
#include <plugins/point_cloud/point_cloud_panel.h>
#include <viewers/camera_form.h>
#include <viewers/scene_view.h>
#include <widgets/export.h>

#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 30000;  ///< ms

// A 3 x 4 x 5 corner: the distances are known.
scene::TriangleMesh corner()
{
    scene::TriangleMesh mesh;
    mesh.points.positions = {0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5};
    mesh.points.fields.push_back({"weight", {1, 2, 3, 4}, 0});
    return mesh;
}

scene::TriangleMesh grid(int side)
{
    scene::TriangleMesh mesh;
    for (int i = 0; i < side * side; ++i)
        mesh.points.positions.insert(mesh.points.positions.end(), {float(i % side), float(i / side), 0});
    return mesh;
}

struct Bench : test::PanelBench<PointCloudPanel> {
    QString write(const char* name, const scene::TriangleMesh& mesh)
    {
        const QString file = folder.filePath(name);
        scene::writeCloud(file.toStdString(), mesh);
        return file;
    }
    void open(const QString& file)
    {
        session.changeSelection([&](widgets::Selection& selection) { selection.sceneObject = file; });
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle(), kPatience);
        view()->setControlsShown(false);  // the view is small here: clicks are meant for points
    }
    viewers::SceneView* view() const { return child<viewers::SceneView>("view"); }
    std::size_t points() const { return panel->cloud()->session->current().points.size(); }
    void clickPoint(const scene::Vector3& point) { QTest::mouseClick(view(), Qt::LeftButton, {}, view()->project(point)->toPoint()); }
    void choose(const char* filter) { child<QComboBox>("filter")->setCurrentIndex(child<QComboBox>("filter")->findData(filter)); }
    void apply()
    {
        QTest::mouseClick(child<QPushButton>("apply"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle(), kPatience);
    }
};

}  // namespace

class PointCloudPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void withoutACloudItSaysWhatToDo()
    {
        if (qEnvironmentVariableIsSet("QT_XCB_GL_INTEGRATION"))
            QSKIP("only the test of a display without OpenGL runs so");
        Bench bench;
        bench.show();
        QVERIFY(bench.panel->isShowingEmptyState());
        QVERIFY(bench.panel->commandLine().isEmpty());
        // The example is a click away.
        for (auto* button : bench.panel->findChildren<QPushButton*>())
            if (button->text() == "Open the example")
                QTest::mouseClick(button, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->cloud(), 20000);
        QCOMPARE(bench.panel->cloud()->session->current().points.size(), std::size_t(200000));
        QCOMPARE(bench.panel->commandLine(), QString("orrery-cli scene info synthetic:shapes"));
    }

    void itShowsWhatTheFileHolds()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("corner.ply", corner()));
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        const auto text = bench.child<QLabel>("info")->text();
        QVERIFY2(text.contains("4 points") && text.contains("weight") && text.contains("z: 0 … 5"), qPrintable(text));
        QVERIFY(bench.panel->commandLine().contains("scene info"));
    }

    void measuresEqualGeometry()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("corner.ply", corner()));
        bench.clickPoint({0, 0, 5});
        QVERIFY2(bench.child<QLabel>("picked")->text().contains("point 3: 0, 0, 5"), qPrintable(bench.child<QLabel>("picked")->text()));
        QVERIFY(bench.child<QLabel>("picked")->text().contains("weight 4"));
        bench.child<QComboBox>("tool")->setCurrentIndex(1);
        bench.clickPoint({3, 0, 0});
        bench.clickPoint({0, 4, 0});
        QCOMPARE(bench.child<QListWidget>("measures")->item(0)->text(), QString("distance 5"));
        bench.child<QComboBox>("tool")->setCurrentIndex(2);
        bench.clickPoint({3, 0, 0});
        bench.clickPoint({0, 0, 0});
        bench.clickPoint({0, 0, 5});
        QCOMPARE(bench.child<QListWidget>("measures")->item(1)->text(), QString("angle 90°"));
    }

    void aFilterIsUndoneAndDoneAgain()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("grid.ply", grid(40)));
        QCOMPARE(bench.points(), std::size_t(1600));
        bench.choose("random");
        bench.apply();
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        const auto left = bench.points();
        QVERIFY(left > 0 && left < 1600);
        QCOMPARE(bench.view()->picture()->positions.size(), 3 * left);
        QVERIFY(bench.panel->commandLine().contains("scene filter") && bench.panel->commandLine().contains("random"));
        bench.session.undoStack().undo();
        QCOMPARE(bench.points(), std::size_t(1600));
        QVERIFY(bench.panel->commandLine().contains("scene info"));
        bench.session.undoStack().redo();
        QCOMPARE(bench.points(), left);
        const QString out = bench.folder.filePath("out.ply");
        widgets::askSaveFile() = [out](QWidget*, const QString&, const QString&) { return out; };
        for (auto* action : bench.panel->actions())
            if (action->text().startsWith("Write the cloud"))
                action->trigger();
        QTRY_VERIFY(bench.panel->isIdle());
        QCOMPARE(scene::readCloud(out.toStdString()).mesh.points.size(), left);
    }

    void damagedMissingAndTooLargeFilesAreErrorsInPlace()
    {
        Bench bench;
        bench.show();
        const auto good = bench.write("corner.ply", corner());
        QFile source(good);
        QVERIFY(source.open(QIODevice::ReadOnly));
        QFile damaged(bench.folder.filePath("damaged.ply"));
        QVERIFY(damaged.open(QIODevice::WriteOnly));
        damaged.write(source.readAll().chopped(9));
        damaged.close();
        bench.open(damaged.fileName());
        QVERIFY2(bench.panel->errorText().contains("damaged.ply"), qPrintable(bench.panel->errorText()));
        QVERIFY(bench.panel->isShowingEmptyState());
        bench.open(bench.folder.filePath("missing.ply"));
        QVERIFY2(bench.panel->errorText().contains("missing.ply"), qPrintable(bench.panel->errorText()));
        bench.panel->setMemoryLimit(200);
        bench.open(good);
        QVERIFY2(bench.panel->errorText().contains("make it smaller first"), qPrintable(bench.panel->errorText()));
        bench.panel->setMemoryLimit(1 << 30);
        bench.session.changeSelection([](widgets::Selection& selection) { selection.sceneObject.clear(); });
        bench.open(good);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        QCOMPARE(bench.points(), std::size_t(4));
    }

    void openingCanBeCancelled()
    {
        Bench bench;
        bench.show();
        const auto file = bench.write("grid.ply", grid(1000));
        bench.session.changeSelection([&](widgets::Selection& selection) { selection.sceneObject = file; });
        QVERIFY(!bench.panel->isIdle());
        QTest::mouseClick(bench.child<QPushButton>("cancel"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QVERIFY(!bench.panel->cloud());
        QVERIFY(bench.panel->isShowingEmptyState());
        bench.open(bench.write("corner.ply", corner()));
        QVERIFY(bench.panel->cloud());
        QCOMPARE(bench.points(), std::size_t(4));
    }

    void theCameraIsReadWrittenCopiedAndPasted()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("corner.ply", corner()));
        bench.child<QDoubleSpinBox>("target_z")->setValue(1.5);
        QCOMPARE(bench.view()->camera().target()[2], 1.5);
        auto* form = bench.panel->findChild<viewers::CameraForm*>();
        form->copy();
        const auto before = bench.view()->camera();
        bench.view()->look(viewers::StandardView::Top);
        QVERIFY(form->paste());
        QVERIFY(bench.view()->camera() == before);
        QApplication::clipboard()->setText("nothing of the kind");
        QVERIFY(!form->paste());
        QVERIFY(bench.panel->errorText().contains("no camera"));
    }

    void aRestartBringsBackFileCameraAndLook()
    {
        Bench bench;
        bench.show();
        bench.open(bench.write("corner.ply", corner()));
        auto settings = bench.view()->settings();
        settings.pointSize = 7;
        bench.view()->setSettings(settings);
        bench.view()->look(viewers::StandardView::Left);
        const auto camera = bench.view()->camera();
        const auto state = bench.panel->saveState();
        bench.session.changeSelection([](widgets::Selection& selection) { selection.sceneObject.clear(); });
        bench.show(state);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->cloud() && bench.panel->isIdle(), kPatience);
        QVERIFY(bench.view()->camera() == camera);
        QCOMPARE(bench.view()->settings().pointSize, 7.0);
        bench.panel->restoreState({{"file", 3}, {"point_size", "large"}, {"camera", nullptr}});
        QCOMPARE(bench.view()->settings().pointSize, 7.0);
    }

    void aDisplayWithoutOpenGlIsSaid()
    {
        if (qEnvironmentVariableIsSet("QT_XCB_GL_INTEGRATION")) {
            Bench bench;
            bench.show();
            QVERIFY(bench.panel->isShowingEmptyState());
            QVERIFY(!bench.view());
            bench.session.changeSelection([](widgets::Selection& selection) { selection.sceneObject = "x.ply"; });
            QVERIFY(bench.panel->isIdle());
            return;
        }
        QProcess again;
        auto environment = QProcessEnvironment::systemEnvironment();
        environment.insert("QT_XCB_GL_INTEGRATION", "none");
        again.setProcessEnvironment(environment);
        again.start(QCoreApplication::applicationFilePath(), {"aDisplayWithoutOpenGlIsSaid"});
        QVERIFY(again.waitForFinished(kPatience));
        QVERIFY2(again.exitStatus() == QProcess::NormalExit && again.exitCode() == 0, again.readAllStandardOutput().constData());
    }
};

QTEST_MAIN(PointCloudPanelTest)
#include "point_cloud_test.moc"
