// The Representations panel: points, probes and similarities that equal core's, selection linked both ways, cancelled in the middle, state after a restart.
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QSlider>
#include <QSpinBox>
#include <QTabWidget>
#include <QTableWidget>
#include <QToolTip>

#include <ATen/ATen.h>

#include <core/catalogue.h>
#include <core/intervene/neighbours.h>
#include <core/intervene/representations.h>
#include <core/models/model_file.h>
#include <core/train/samples.h>
#include <core/zoo/zoo.h>
#include <plugins/representations/page.h>
#include <plugins/representations/representations_panel.h>
#include <widgets/commands.h>
#include <widgets/heat_map_view.h>
#include <widgets/plot_view.h>
#include <widgets/scatter_view.h>

#include "../widgets/shots.h"
#include "panel_faults.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using Bench = test::PanelBench<RepresentationsPanel>;

namespace {

const core::Json kSmall{{"id", "mlp"}, {"hidden", {8}}};
const core::Json kPictures{{"id", "lenet"}, {"maps", {4, 8}}, {"kernel", 3}, {"padding", 1}, {"hidden", {16}}};

/// The tab in front, its button and progress.
Page* page(const Bench& bench)
{
    return static_cast<Page*>(bench.panel->findChild<QTabWidget*>()->currentWidget());
}
QPushButton* runButton(const Bench& bench)
{
    return page(bench)->findChild<QPushButton*>(QStringLiteral("run"));
}
QProgressBar* bar(const Bench& bench)
{
    return page(bench)->findChild<QProgressBar*>();
}
QString labelText(const Bench& bench, const char* name)
{
    return bench.child<QLabel>(name)->text();
}
void choose(QComboBox* box, const QString& data)
{
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Home);
    for (int i = box->findData(data); i > 0; --i)
        QTest::keyClick(box, Qt::Key_Down);
    QCOMPARE(box->currentData().toString(), data);
}
QComboBox* box(const Bench& bench, const QString& name)
{
    for (auto* found : bench.panel->findChildren<QComboBox*>())
        if (found->accessibleName() == name)
            return found;
    return nullptr;
}
void chooseValue(const Bench& bench, const QString& name)
{
    auto* layer = bench.child<QSlider>("layer");
    layer->setFocus();
    QTest::keyClick(layer, Qt::Key_Home);
    auto* value = bench.child<QComboBox>("value");
    for (int i = 0; i < value->count() && value->currentData().toString() != name; ++i)
        QTest::keyClick(layer, Qt::Key_Right);
    QCOMPARE(value->currentData().toString(), name);
}
/// Opens a run in a shown panel.
void open(Bench& bench, store::RunId run, int tab = 0)
{
    bench.panel->resize(720, 900);
    bench.session.selectRuns({run});
    bench.panel->findChild<QTabWidget*>()->setCurrentIndex(tab);
    QTRY_VERIFY(runButton(bench)->isVisible() && runButton(bench)->isEnabled());
}
intervene::Activations rowsOf(const Bench& bench, store::RunId run, const char* value)
{
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const auto data = train::dataOfRun(*bench.workspace(), run);
    intervene::CollectRequest request;
    request.places = {value};
    return intervene::collectActivations(model, graph::Executor(model.graph), *data, data::Split::Test, request);
}

}  // namespace

class RepresentationsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void emptyStatesSayWhatToDo();
    void pcaEqualsCore();
    void selectedPointsAreSelectedEverywhere();
    void umapMovesUntilCancelled_data() { test::addWaysToEnd(); }
    void umapMovesUntilCancelled();
    void textsAreColouredByToken();
    void probesEqualCore();
    void similarityEqualsCore();
    void checkpointsAreCompared();
    void aDamagedModelIsExplained();
    void whatCannotBeUsedIsNamed_data() { test::addFaults(); }
    void whatCannotBeUsedIsNamed();
    void brokenWeightsAreNamed_data();
    void brokenWeightsAreNamed();
    void badSettingsAreExplained();
    void stateSurvivesARestart();
};

void RepresentationsTest::emptyStatesSayWhatToDo()
{
    Bench without(false);
    without.show();
    QTRY_VERIFY(without.panel->isShowingEmptyState());
    QCOMPARE(without.panel->commandLine(), QString());
    Bench bench;
    bench.show();
    QTRY_VERIFY(bench.panel->isShowingEmptyState());
    bench.session.openModel("zoo:mlp?features=4&classes=3");
    QTRY_VERIFY(bench.panel->isShowingEmptyState());  // a model, but no data
    bench.session.changeSelection([](widgets::Selection& s) { s.data = {{"id", "iris"}}; });
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    QTRY_VERIFY(runButton(bench)->isEnabled());
}

void RepresentationsTest::pcaEqualsCore()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    open(bench, run);
    chooseValue(bench, "fc1.linear");
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(labelText(bench, "scatterStatus").contains("explained variance"), 60000);
    const auto rows = rowsOf(bench, run, "fc1.linear");
    const auto expected = intervene::project("pca", rows.features[0]);
    auto* view = bench.child<widgets::ScatterView>("scatter");
    QCOMPARE(view->count(), int(rows.rows()));
    for (int i = 0; i < view->count(); i += 37)
        QVERIFY(std::abs(view->point(i).x() - expected.points[i][0].item<double>()) < 1e-5 &&
                std::abs(view->point(i).y() - expected.points[i][1].item<double>()) < 1e-5);
    const auto ratio = expected.details.at("explained_variance_ratio")[0].get<double>();
    QVERIFY2(labelText(bench, "scatterStatus").contains(QString::number(ratio, 'f', 4)), qPrintable(labelText(bench, "scatterStatus")));
    QVERIFY(labelText(bench, "scatterStatus").contains(QString::number(intervene::trustworthiness(rows.features[0], expected.points), 'f', 4)));
    QCOMPARE(view->legend().size(), 10);
    QTRY_VERIFY(bench.panel->isIdle());
    QCOMPARE(bench.workspace()->analyses(run, "projection").size(), std::size_t(1));
    takeShots(*bench.panel, "representations-pca");
    QCOMPARE(bench.panel->commandLine(),
             widgets::cliCommand({"probe", QString("run:%1").arg(run), "--split", "test", "--position", "auto", "--limit", "1000", "--at",
                                  "fc1.linear", "--project", "pca", "--out", "points.npy", "--workspace", bench.session.workspaceFolder()}));
    QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
    choose(bench.child<QComboBox>("colour"), "confidence");
    takeShots(*bench.panel, "representations-confidence");
}

void RepresentationsTest::selectedPointsAreSelectedEverywhere()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    open(bench, run);
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    auto* view = bench.child<widgets::ScatterView>("scatter");
    QTRY_VERIFY(view->count() == 30 && bench.panel->isIdle());
    // A click on a point, Shift-click on another one (those that no other point hides).
    const auto clickable = [&](int from) {
        while (view->pointAt(view->toPixel(from)) != std::optional<int>(from))
            ++from;
        return from;
    };
    const int first = clickable(4), second = clickable(first + 1);
    QTest::mouseClick(view, Qt::LeftButton, {}, view->toPixel(first).toPoint());
    QCOMPARE(bench.session.selection().samples, QList<qint64>{first});
    QCOMPARE(bench.session.selection().split, QString("test"));
    QTest::mouseClick(view, Qt::LeftButton, Qt::ShiftModifier, view->toPixel(second).toPoint());
    QCOMPARE(bench.session.selection().samples, (QList<qint64>{first, second}));
    // A rubber band around everything.
    QTest::mousePress(view, Qt::LeftButton, {}, QPoint(2, 2));
    QTest::mouseMove(view, QPoint(view->width() / 2, view->height() / 2));
    QTest::mouseRelease(view, Qt::LeftButton, {}, QPoint(view->width() - 2, view->height() - 2));
    QCOMPARE(bench.session.selection().samples.size(), 30);
    takeShots(*bench.panel, "representations-selected");
    // From elsewhere.
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {7, 12}; });
    QCOMPARE(view->selected(), (QList<int>{7, 12}));
    QTest::keyClick(view, Qt::Key_Escape);
    QVERIFY(bench.session.selection().samples.isEmpty());
    QTest::keyClick(view, Qt::Key_Right);
    QCOMPARE(bench.session.selection().samples.size(), 1);
    // The picture as data.
    QVERIFY(view->toCsv().startsWith("point,x,y,selected,\"Target\"\n0,"));
    QCOMPARE(view->toCsv().count('\n'), 31);
    const QString svg = bench.folder.filePath("points.svg");
    view->exportTo(svg);
    QVERIFY(QFileInfo(svg).size() > 1000);
}

void RepresentationsTest::umapMovesUntilCancelled()
{
    QFETCH(bool, fromOutside);
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"scatter", {{"method", "umap"}, {"parameters", {{"umap", {{"n_epochs", 100000}, {"n_neighbors", 5}}}}}}}});
    open(bench, run);
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    auto* view = bench.child<widgets::ScatterView>("scatter");
    QTRY_VERIFY_WITH_TIMEOUT(view->count() == 30 && bar(bench)->value() > 0, 60000);
    const QPointF before = view->point(3);
    QTRY_VERIFY_WITH_TIMEOUT(view->point(3) != before, 60000);
    QVERIFY(!bench.panel->isIdle() && labelText(bench, "scatterStatus").contains("still moving"));
    test::endJob(bench.session, page(bench)->findChild<QPushButton*>("cancel"), fromOutside);
    QTRY_VERIFY(bench.panel->isIdle() && !bench.session.hasBackgroundWork());
    QCOMPARE(view->count(), 30);  // what came stays
    QVERIFY(bench.workspace()->analyses(run, "projection").empty());
    QVERIFY(runButton(bench)->isEnabled());
}

void RepresentationsTest::textsAreColouredByToken()
{
    Bench bench;
    bench.show({{"limit", 200}});
    bench.panel->resize(720, 900);
    bench.session.changeSelection([](widgets::Selection& s) {
        s.model = "zoo:gpt?vocabulary=256&block_length=16&layers=2&heads=2&width=16";
        s.data = {{"id", "kjv"}, {"block_length", 16}, {"stride", nullptr}, {"limit", 300}};
    });
    QTRY_VERIFY_WITH_TIMEOUT(runButton(bench)->isVisible() && runButton(bench)->isEnabled(), 60000);
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    auto* view = bench.child<widgets::ScatterView>("scatter");
    QTRY_VERIFY_WITH_TIMEOUT(view->count() == 200 && bench.panel->isIdle(), 60000);
    QVERIFY(view->legend().size() > 5);
    QVERIFY(box(bench, "Colour")->findData("position") >= 0);
    choose(bench.child<QComboBox>("colour"), "position");
    takeShots(*bench.panel, "representations-text");
}

void RepresentationsTest::probesEqualCore()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"tab", 1}, {"probe", {{"places", "fc1 relu out"}, {"parameters", {{"control", true}}}}}});
    open(bench, run, 1);
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(labelText(bench, "probeStatus").contains("Best:"), 60000);
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const auto data = train::dataOfRun(*bench.workspace(), run);
    intervene::ProbeStudy study;
    study.places = {"fc1", "relu", "out"};
    study.parameters = {{"control", true}};
    const auto expected = intervene::probeModel(model, graph::Executor(model.graph), *data, study);
    auto* table = bench.child<QTableWidget>("probeTable");
    QCOMPARE(table->rowCount(), 3);
    const auto drawn = bench.child<widgets::PlotView>("probeCurves")->drawnData("probe");
    for (int row = 0; row < 3; ++row) {
        const auto& result = expected[std::size_t(row)];
        QCOMPARE(table->item(row, 0)->text().toStdString(), result.probe.value);
        QCOMPARE(table->item(row, 2)->text(), QString::number(result.test, 'f', 4));
        QCOMPARE(table->item(row, 5)->text(), QString::number(*result.selectivity(), 'f', 4));
        QCOMPARE(drawn.y[std::size_t(row)], result.test);
        QCOMPARE(drawn.low[std::size_t(row)], result.interval->low);
    }
    QCOMPARE(bench.workspace()->analyses(run, "probe").size(), std::size_t(1));
    QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, table->visualItemRect(table->item(1, 0)).center());
    QCOMPARE(bench.session.selection().valuePath, QString("relu"));
    takeShots(*bench.panel, "representations-probes");
    QVERIFY(bench.panel->commandLine().contains("--at fc1 --at relu --at out --set control=true"));
}

void RepresentationsTest::similarityEqualsCore()
{
    Bench bench;
    const auto first = test::trainedRun(bench.workspace(), kPictures, "digits", 1),
               second = test::trainedRun(bench.workspace(), kPictures, "digits", 2);
    bench.show({{"limit", 100}});
    open(bench, first, 2);
    bench.session.selectRuns({first, second});
    QTRY_VERIFY(runButton(bench)->isEnabled());
    choose(bench.child<QComboBox>("other"), QString("run:%1").arg(second));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(labelText(bench, "similarityStatus").contains("analysis"), 60000);
    auto* map = bench.child<widgets::HeatMapView>("similarity");
    const auto a = train::modelOfRun(*bench.workspace(), first), b = train::modelOfRun(*bench.workspace(), second);
    const graph::Executor one(a.graph), two(b.graph);
    intervene::ComparisonStudy study;
    study.limit = 100;
    const auto expected = intervene::compareModels({&a, &one, {}}, {&b, &two, {}}, *train::dataOfRun(*bench.workspace(), first), study);
    QCOMPARE(map->rows(), int(expected.rows.size()));
    QCOMPARE(map->columns(), int(expected.columns.size()));
    for (int row = 0; row < map->rows(); ++row)
        for (int column = 0; column < map->columns(); ++column)
            QVERIFY(std::abs(map->value(row, column) - expected.matrix[row][column].item<double>()) < 1e-6);
    QTest::mouseClick(map, Qt::LeftButton, {}, map->cellRect(1, 1).center().toPoint());
    QVERIFY2(labelText(bench, "cell").startsWith(QString::fromStdString(expected.rows[1])), qPrintable(labelText(bench, "cell")));
    QCOMPARE(bench.session.selection().valuePath.toStdString(), expected.rows[1]);
    takeShots(*bench.panel, "representations-similarity");
}

void RepresentationsTest::checkpointsAreCompared()
{
    Bench bench;
    core::Json document{{"name", "kept"},
                        {"model", kSmall},
                        {"data", {{"id", "iris"}}},
                        {"train", {{"epochs", 4}, {"optimizer", {{"id", "adamw"}, {"lr", 0.01}}}, {"checkpoint", {{"every", 3}, {"keep", 3}}}}}};
    const auto run = train::createRun(*bench.workspace(), train::resolveExperiment(document));
    jobs::DirectContext context;
    train::trainRun(bench.workspace(), run, context);
    bench.workspace()->flush();
    bench.show();
    open(bench, run, 2);
    choose(bench.child<QComboBox>("other"), "checkpoints");
    bench.child<QLineEdit>("rowPlaces")->setText("relu");
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(labelText(bench, "similarityStatus").contains("analysis"), 60000);
    auto* map = bench.child<widgets::HeatMapView>("similarity");
    const auto steps = train::checkpointSteps(*bench.workspace(), run);
    QCOMPARE(map->rows(), int(steps.size()) + 1);
    for (int i = 0; i < map->rows(); ++i)
        QVERIFY(std::abs(map->value(i, i) - 1) < 1e-9);
    takeShots(*bench.panel, "representations-checkpoints");
    QTest::mouseClick(map, Qt::LeftButton, {}, map->cellRect(0, 1).center().toPoint());
    QCOMPARE(bench.session.selection().checkpointStep, std::optional<qint64>(steps.at(1)));
}

void RepresentationsTest::aDamagedModelIsExplained()
{
    Bench bench;
    QFile file(bench.folder.filePath("broken.safetensors"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("this is no model");
    file.close();
    bench.show();
    bench.session.changeSelection([&](widgets::Selection& s) {
        s.model = file.fileName();
        s.data = {{"id", "iris"}};
    });
    QTRY_VERIFY(bench.panel->errorText().contains("broken.safetensors"));
    QVERIFY(!runButton(bench)->isEnabled());
    QTRY_VERIFY(bench.panel->isIdle());
}

void RepresentationsTest::whatCannotBeUsedIsNamed()
{
    Bench bench;
    bench.show();
    test::checkFault(bench, "run", [&] { return runButton(bench)->isVisible() && runButton(bench)->isEnabled(); });
}

void RepresentationsTest::brokenWeightsAreNamed_data()
{
    QTest::addColumn<int>("tab");
    QTest::newRow("scatter") << 0;
    QTest::newRow("probes") << 1;
    QTest::newRow("similarity") << 2;
}

void RepresentationsTest::brokenWeightsAreNamed()
{
    QFETCH(int, tab);
    Bench bench;
    auto model = zoo::buildModel("mlp", {{"features", 4}, {"classes", 3}, {"hidden", {8}}}, 1);
    const auto& parameter = model.graph->data().parameters.front();
    model.weights.set(parameter.name, at::full(parameter.shape, std::nan("")));
    const QString file = bench.folder.filePath("nan.safetensors");
    models::saveModel(file.toStdString(), model);
    bench.show({{"tab", tab}});
    bench.session.changeSelection([&](widgets::Selection& s) {
        s.model = file;
        s.data = {{"id", "iris"}};
    });
    QTRY_VERIFY_WITH_TIMEOUT(runButton(bench)->isEnabled(), 30000);
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains("not finite"), qPrintable(bench.panel->errorText()), 30000);
    QTRY_VERIFY(bench.panel->isIdle());
    QVERIFY(runButton(bench)->isEnabled());
}

void RepresentationsTest::badSettingsAreExplained()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"tab", 1}, {"probe", {{"places", "rellu"}}}});
    open(bench, run, 1);
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains("did you mean \"relu\"?"), qPrintable(bench.panel->errorText()));
    QTRY_VERIFY(bench.panel->isIdle());
    box(bench, "Positions")->setEditText("middle");
    QVERIFY(!runButton(bench)->isEnabled());
    QVERIFY(box(bench, "Positions")->toolTip().contains("expected auto, last, mean"));
    QCOMPARE(bench.panel->commandLine(), QString());
    box(bench, "Positions")->setEditText("last");
    QTRY_VERIFY(runButton(bench)->isEnabled());
    bench.child<QLineEdit>("places")->setText("relu");
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains("has no positions"), qPrintable(bench.panel->errorText()));
}

void RepresentationsTest::stateSurvivesARestart()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    open(bench, run);
    chooseValue(bench, "relu");
    choose(box(bench, "Projection"), "umap");
    choose(box(bench, "Measure"), "rbf_cka");
    bench.panel->findChild<QTabWidget*>()->setCurrentIndex(2);
    bench.child<QLineEdit>("places")->setText("fc1 out");
    const auto state = bench.panel->saveState();
    bench.panel.reset();
    bench.show(state);
    QCOMPARE(bench.panel->findChild<QTabWidget*>()->currentIndex(), 2);
    QCOMPARE(box(bench, "Projection")->currentData().toString(), QString("umap"));
    QCOMPARE(box(bench, "Measure")->currentData().toString(), QString("rbf_cka"));
    QCOMPARE(bench.child<QLineEdit>("places")->text(), QString("fc1 out"));
    QTRY_COMPARE(bench.child<QComboBox>("value")->currentData().toString(), QString("relu"));
    bench.panel->restoreState({{"tab", "x"}, {"limit", {1}}, {"scatter", 7}, {"probe", {{"parameters", 3}}}, {"similarity", nullptr}});
    QCOMPARE(box(bench, "Projection")->currentData().toString(), QString("umap"));
}

QTEST_MAIN(RepresentationsTest)
#include "representations_test.moc"
