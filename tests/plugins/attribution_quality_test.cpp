// The Attribution panel: how good explanations are, what is stored and shown again, and the commands that give the same numbers.
#include <QCheckBox>
#include <QMenu>
#include <QProcess>
#include <QSlider>
#include <QTabWidget>
#include <QTimer>
#include <QToolButton>

#include <ATen/ATen.h>

#include <core/explain/metrics/metric.h>
#include <core/explain/stored.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <plugins/attribution/channels_view.h>
#include <plugins/attribution/compare_results.h>
#include <widgets/plot_view.h>

#include "../widgets/shots.h"
#include "attribution_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using namespace orrery::test::attribution;

namespace {

/// Presses Measure and waits for the end of the work.
void measure(const Bench& bench)
{
    QTest::mouseClick(bench.child<QToolButton>("measure_quality"), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), 60000);
}

QTableWidget* qualityTable(const Bench& bench)
{
    return bench.child<QTableWidget>("quality");
}

QAction* storedEntry(const Bench& bench, std::int64_t analysis)
{
    for (QAction* action : bench.child<QMenu>("stored_menu")->actions())
        if (action->text().startsWith(QString("%1: ").arg(analysis)))
            return action;
    return nullptr;
}

/// Opens the menu by a click and takes an entry by the keyboard.
void chooseStored(const Bench& bench, std::int64_t analysis)
{
    auto* menu = bench.child<QMenu>("stored_menu");
    QTimer::singleShot(0, menu, [&bench, menu, analysis] {
        menu->setActiveAction(storedEntry(bench, analysis));
        QTest::keyClick(menu, Qt::Key_Return);
        menu->close();
    });
    QTest::mouseClick(bench.child<QToolButton>("stored"), Qt::LeftButton);
}

}  // namespace

class AttributionQualityTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void metricsAreKeptAndShownAgain();
    void theCurvesOfSeveralMethodsAreDrawn();
    void metricsHaveSettings();
    void measuringIsCancelledInTheMiddle();
    void aStoredAttributionIsShownAgain();
    void aDamagedStoredAttributionSaysSo();
    void theBrushsCommandGivesTheSameChange();
    void scoreAgainstAreaIsDrawn();
};

// What is measured lies with the analysis; a panel made anew shows it from there, numbers and curves.
void AttributionQualityTest::metricsAreKeptAndShownAgain()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show({{"method", "input_x_gradient"}, {"tab", 3}});
    bench.session.selectRuns({run});
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {5}; });
    waitUntilReady(bench);
    QVERIFY(!bench.child<QToolButton>("measure_quality")->isEnabled());
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(bench.child<QToolButton>("measure_quality")->isEnabled());
    measure(bench);
    auto* table = qualityTable(bench);
    QStringList before;
    for (int column = 0; column < table->columnCount(); ++column)
        before << table->item(0, column)->text();
    const auto* plot = bench.child<widgets::PlotView>("plot_deletion");
    const QString curves = plot->toCsv();
    QVERIFY(plot->isVisible() && plot->seriesIds().size() == 2);
    takeShots(*bench.panel, "attribution-quality");
    const auto analyses = bench.workspace()->analyses(run);
    QCOMPARE(analyses.size(), std::size_t(1));
    const auto stored = orrery::explain::readAttribution(*bench.workspace(), analyses[0].id);
    // Core alone gives the same curve and the same random rankings.
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const graph::Executor executor(model.graph);
    orrery::explain::AttributionRequest request;
    request.inputs = {inputOf(bench, run, 5)};
    const auto result = orrery::explain::attribute(executor, model.weights, "input_x_gradient", request);
    const auto measured = orrery::explain::measure(executor, model.weights, "input_x_gradient", request, result, {{"deletion"}});
    const auto document = orrery::explain::toJson(measured[0]);
    for (const char* key : {"value", "curve", "reference"})
        QVERIFY(stored.metrics.at("deletion").at(key) == document.at(key));
    const auto drawn = plot->drawnData(plot->seriesIds().front());
    QVERIFY(core::Json(drawn.y) == document.at("curve").at("y"));
    bench.panel.reset();
    bench.show({{"tab", 3}});
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {0}; });
    waitUntilReady(bench);
    QCOMPARE(bench.child<QTableWidget>("quality")->rowCount(), 0);
    QTRY_VERIFY(storedEntry(bench, analyses[0].id));
    QVERIFY(storedEntry(bench, analyses[0].id)->text().contains("measured"));
    storedEntry(bench, analyses[0].id)->trigger();
    QTRY_COMPARE(bench.child<QTableWidget>("quality")->rowCount(), 1);
    QCOMPARE(bench.session.selection().samples, QList<qint64>{5});
    table = bench.child<QTableWidget>("quality");
    for (int column = 0; column < table->columnCount(); ++column)
        if (!table->isColumnHidden(column))
            QTRY_VERIFY2(table->item(0, column)->text() == before[column] || before[column] == QStringLiteral("–"), qPrintable(before[column]));
    QCOMPARE(bench.child<widgets::PlotView>("plot_deletion")->toCsv(), curves);
    // Measured again, although the attribution itself is no longer in memory: the same numbers.
    QTRY_VERIFY(bench.child<QToolButton>("measure_quality")->isEnabled());
    measure(bench);
    table = qualityTable(bench);
    for (int column = 0; column < table->columnCount(); ++column)
        if (!table->isColumnHidden(column))
            QCOMPARE(table->item(0, column)->text(), before[column]);
}

void AttributionQualityTest::theCurvesOfSeveralMethodsAreDrawn()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show({{"tab", 3},
                {"cards",
                 {{{"method", "saliency"}, {"parameters", core::Json::object()}},
                  {{"method", "occlusion"}, {"parameters", core::Json::object()}},
                  {{"method", "integrated_gradients"}, {"parameters", core::Json::object()}}}}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QTest::mouseClick(bench.child<QToolButton>("explain_all"), Qt::LeftButton);
    QTRY_COMPARE(bench.panel->findChild<CompareResults*>()->shown(), 3);
    QTRY_VERIFY(bench.child<QToolButton>("measure_quality")->isEnabled());
    measure(bench);
    auto* table = qualityTable(bench);
    for (const char* name : {"plot_deletion", "plot_insertion"}) {
        auto* plot = bench.child<widgets::PlotView>(name);
        // Three methods and one random ranking for all of them.
        QCOMPARE(plot->seriesIds().size(), 4);
        QVERIFY(plot->seriesIds().last().startsWith("reference"));
        QCOMPARE(plot->seriesColor(plot->seriesIds()[1]),
                 bench.child<widgets::PlotView>("plot_parameter_randomisation")->seriesColor(plot->seriesIds()[1]));
    }
    QCOMPARE(table->rowCount(), 3);
    takeShots(*bench.panel, "attribution-quality-three");
    bench.panel->resize(1100, 1000);
    takeShots(*bench.panel, "attribution-quality-three-wide");
    // A method that goes takes its line along.
    table->setFocus();
    table->setCurrentCell(0, 0);
    QTest::keyClick(table, Qt::Key_Delete);
    QCOMPARE(bench.child<widgets::PlotView>("plot_deletion")->seriesIds().size(), 3);
}

void AttributionQualityTest::metricsHaveSettings()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "saliency"},
                {"tab", 3},
                {"metrics",
                 {{"deletion", {{"measured", true}, {"parameters", {{"score", "output"}}}}},
                  {"insertion", {{"measured", false}}},
                  {"parameter_randomisation", {{"measured", false}}},
                  {"pointing_game", {{"parameters", {{"box", {0, 0, 4, 1}}}}}},
                  {"unknown", {{"measured", true}}},
                  {"infidelity", 3}}}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QVERIFY2(bench.panel->commandLine().contains("--metrics infidelity,sensitivity_max,deletion,pointing_game --metric-set deletion.score=output "
                                                 "--metric-set 'pointing_game.box=[0,0,4,1]'"),
             qPrintable(bench.panel->commandLine()));
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(bench.child<QToolButton>("measure_quality")->isEnabled());
    measure(bench);
    auto* table = qualityTable(bench);
    QString pointing;
    for (int column = 0; column < table->columnCount(); ++column) {
        if (table->horizontalHeaderItem(column)->text() == "Pointing game")
            pointing = table->item(0, column)->text();
        if (table->horizontalHeaderItem(column)->text() == "Insertion curve")
            QCOMPARE(table->item(0, column)->text(), QString());
    }
    QCOMPARE(pointing, QString("1"));  // the box holds the whole row
    QVERIFY(!bench.child<widgets::PlotView>("plot_insertion"));
    // Shown and changed by the mouse and the keyboard; out of range is refused where it is typed.
    QTest::mouseClick(bench.child<QToolButton>("metric_settings"), Qt::LeftButton);
    auto* metrics = bench.child<QComboBox>("metric");
    QTRY_VERIFY(metrics->isVisible());
    metrics->setFocus();
    QTest::keyClick(metrics, Qt::Key_Home);
    takeShots(*bench.panel, "attribution-metric-settings");
    QTest::mouseClick(bench.child<QCheckBox>("measured"), Qt::LeftButton, {}, QPoint(8, bench.child<QCheckBox>("measured")->height() / 2));
    QVERIFY(!bench.panel->commandLine().contains("infidelity"));
    const auto state = bench.panel->saveState();
    QVERIFY(state["metrics"]["infidelity"]["measured"] == false);
    bench.panel->restoreState({{"metrics", {{"deletion", {{"parameters", {{"steps", 0}}}}}}}});
    QVERIFY(!bench.child<QToolButton>("measure_quality")->isEnabled());
    QVERIFY(bench.child<QToolButton>("measure_quality")->toolTip().contains("Correct the parameters"));
}

void AttributionQualityTest::measuringIsCancelledInTheMiddle()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "saliency"}, {"tab", 3}, {"metrics", {{"sensitivity_max", {{"parameters", {{"n_perturb_samples", 1000000}}}}}}}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(bench.child<QToolButton>("measure_quality")->isEnabled());
    QTest::mouseClick(bench.child<QToolButton>("measure_quality"), Qt::LeftButton);
    auto* table = bench.child<QTableWidget>("quality");
    const auto cell = [table](const QString& title) {
        for (int column = 0; column < table->columnCount(); ++column)
            if (table->horizontalHeaderItem(column)->text() == title)
                return table->item(0, column)->text();
        return QString();
    };
    QTRY_VERIFY(!cell("Infidelity").isEmpty());
    QTest::mouseClick(bench.child<QPushButton>("cancel"), Qt::LeftButton);
    QTRY_VERIFY(bench.panel->isIdle());
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    // What had come stays, on the screen and in the workspace; nothing half is there.
    QVERIFY(!cell("Infidelity").isEmpty());
    QCOMPARE(cell("Max-sensitivity"), QString());
    const auto stored = orrery::explain::readAttribution(*bench.workspace(), bench.workspace()->analyses(run).at(0).id);
    QCOMPARE(stored.metrics.size(), std::size_t(1));
    QVERIFY(stored.metrics.contains("infidelity"));
    QVERIFY(explainButton(bench)->isEnabled());
}

void AttributionQualityTest::aStoredAttributionIsShownAgain()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    bench.child<QSlider>("layer")->setFocus();
    QTest::keyClick(bench.child<QSlider>("layer"), Qt::Key_Right);
    const std::string site = bench.child<QComboBox>("sites")->currentData().toString().toStdString();
    auto* targets = box(bench, "Target class");
    targets->setFocus();
    for (int i = 0; i < 4; ++i)
        QTest::keyClick(targets, Qt::Key_Down);
    QCOMPARE(targets->currentData().toInt(), 3);
    chooseMethod(bench, "integrated_gradients");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(numbers(bench).contains("analysis"));
    const QString before = numbers(bench);
    const auto values = bench.child<ChannelsView>("channels")->toCsv();
    const auto id = bench.workspace()->analyses(run).at(0).id;
    bench.panel.reset();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.samples = {4};
        s.target.reset();
        s.valuePath.clear();
    });
    bench.show();
    waitUntilReady(bench);
    QTRY_VERIFY(bench.child<QToolButton>("stored")->isEnabled());
    QTRY_VERIFY(storedEntry(bench, id));
    chooseStored(bench, id);
    QTRY_VERIFY2(numbers(bench).contains("analysis"), qPrintable(bench.panel->errorText()));
    QCOMPARE(numbers(bench), before);
    QCOMPARE(bench.session.selection().samples, QList<qint64>{0});
    QCOMPARE(bench.child<QComboBox>("sites")->currentData().toString().toStdString(), site);
    QCOMPARE(box(bench, "Target class")->currentData().toInt(), 3);
    QCOMPARE(bench.child<ChannelsView>("channels")->toCsv(), values);
    QCOMPARE(bench.workspace()->analyses(run).size(), std::size_t(1));  // looked at, not computed again
}

void AttributionQualityTest::aDamagedStoredAttributionSaysSo()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "saliency"}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(numbers(bench).contains("analysis"));
    const auto analysis = bench.workspace()->analyses(run).at(0);
    QTRY_VERIFY(storedEntry(bench, analysis.id));
    const auto file = bench.workspace()->artifactPath(analysis.artifacts.at(0));
    QFile damaged(QString::fromStdString(file.string()));
    QFile::setPermissions(damaged.fileName(), QFile::ReadOwner | QFile::WriteOwner);
    QVERIFY(damaged.open(QIODevice::WriteOnly | QIODevice::Truncate) && damaged.write("cut") == 3);
    damaged.close();
    storedEntry(bench, analysis.id)->trigger();
    QTRY_VERIFY2(bench.panel->errorText().contains("attribution"), qPrintable(bench.panel->errorText()));
    QVERIFY(explainButton(bench)->isEnabled());
    // An attribution of an array file has no place here; the sentence says where it is.
    store::NewAnalysis foreign;
    foreign.run = run;
    foreign.method = "saliency";
    foreign.inputs = {{"model", QString("run:%1").arg(run).toStdString()}, {"input", "somewhere/x.npy"}};
    foreign.results = core::Json::object();
    const auto id = bench.workspace()->addAnalysis(foreign);
    bench.workspace()->addAnalysisArtifact(id, {"attribution", "application/x-npy", {}}, io::npyBytes(io::toArray(at::ones({4}))));
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {1}; });
    QTRY_VERIFY(storedEntry(bench, id));
    storedEntry(bench, id)->trigger();
    QTRY_VERIFY2(bench.panel->errorText().contains("stands in the run's report"), qPrintable(bench.panel->errorText()));
}

// The line as it is copied, run by a shell: the probabilities without the painted pixels are those on the screen.
void AttributionQualityTest::theBrushsCommandGivesTheSameChange()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 2);
    bench.show({{"tab", 2}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    auto* brush = bench.child<BrushView>("brush");
    QTRY_VERIFY(brush->isVisible() && brush->width() > 80);
    const auto at = [brush](int x, int y) { return brush->pixelRect(x, y).center().toPoint(); };
    QTest::mousePress(brush, Qt::LeftButton, {}, at(2, 3));
    QTest::mouseMove(brush, at(5, 3));
    QTest::mouseRelease(brush, Qt::LeftButton, {}, at(5, 3));
    QTest::mouseClick(brush, Qt::LeftButton, {}, at(6, 6));
    const QString command = bench.panel->commandLine();
    QVERIFY2(command.contains("predict run:") && command.contains("--leave-out 26-29,54"), qPrintable(command));
    bench.workspace()->flush();
    QProcess process;
    process.start("/bin/sh", {"-c", QString(command).replace(0, int(strlen("orrery-cli")), ORRERY_CLI) + " --json --top 10"});
    QVERIFY(process.waitForFinished(60000));
    const auto document = core::Json::parse(process.readAllStandardOutput().toStdString(), nullptr, false);
    QVERIFY2(document.is_object(), process.readAllStandardError().constData());
    const auto& classes = document["predictions"][0]["classes"];
    QCOMPARE(classes.size(), std::size_t(10));
    for (const auto& score : classes) {
        const QString name = QString::fromStdString(score["name"].get<std::string>());
        QTRY_COMPARE(answerCell(bench, name, 2), fullNumber(score["probability"].get<double>()));
        QCOMPARE(answerCell(bench, name, 1), fullNumber(score["before"].get<double>()));
        QCOMPARE(answerCell(bench, name, 3), fullNumber(score["change"].get<double>()));
    }
}

void AttributionQualityTest::scoreAgainstAreaIsDrawn()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    bench.panel->restoreState(
        {{"method", "extremal_perturbation"}, {"parameters", {{"extremal_perturbation", {{"areas", {0.6, 0.05, 0.3}}, {"max_iter", 30}}}}}});
    QVERIFY(!bench.child<widgets::PlotView>("area_curve")->isVisible());
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(bench.child<widgets::PlotView>("area_curve")->isVisible(), 60000);
    const auto result = expected(bench, run, 0, "extremal_perturbation", {{"areas", {0.6, 0.05, 0.3}}, {"max_iter", 30}});
    const auto drawn = bench.child<widgets::PlotView>("area_curve")->drawnData("found");
    const std::size_t order[] = {1, 2, 0};
    for (std::size_t i = 0; i < 3; ++i) {
        const auto& area = result.details["areas"][order[i]];
        QCOMPARE(drawn.x.at(i), area["area"][0].get<double>());
        QCOMPARE(drawn.y.at(i), area["output"][0].get<double>());
        QCOMPARE(bench.child<widgets::PlotView>("area_curve")->drawnData("random").y.at(i), area["random_output"][0].get<double>());
    }
    QTRY_VERIFY(bench.panel->isIdle());
    takeShots(*bench.panel, "attribution-areas");
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {1}; });
    QTRY_VERIFY(!bench.child<widgets::PlotView>("area_curve")->isVisible());
}

QTEST_MAIN(AttributionQualityTest)
#include "attribution_quality_test.moc"
