// The Attribution panel in trouble: each fault says what to do, nothing is lost, and the next explanation works.
#include <QTabWidget>
#include <QToolButton>

#include <ATen/ATen.h>

#include <core/jobs/queue.h>
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>
#include <widgets/numbers.h>

#include "attribution_bench.h"
#include "panel_faults.h"

using namespace orrery;
using namespace orrery::plugins;
using namespace orrery::test::attribution;

namespace {

/// Waits for the sentence in the panel's band.
void waitForError(const Bench& bench, const QString& text)
{
    QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains(text), qPrintable("said: " + bench.panel->errorText()), 60000);
    QTRY_VERIFY(bench.panel->isIdle());
}

}  // namespace

class AttributionFaultsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void whatCannotBeOpenedSaysWhy_data();
    void whatCannotBeOpenedSaysWhy();
    void whatCannotBeUsedIsNamed_data() { test::addFaults(); }
    void whatCannotBeUsedIsNamed();
    void weightsThatAreNotFiniteGiveNoExplanation();
    void parametersOutOfRangeAreRefusedBeforeTheJob();
    void aRunThatWasDeletedMeanwhileLosesNothingOnScreen();
    void aJobKilledInTheQueueLeavesThePanelAsItWas();
    void aMethodThatCannotTakeTheInputSaysSo();
};

void AttributionFaultsTest::whatCannotBeOpenedSaysWhy_data()
{
    QTest::addColumn<QString>("model");
    QTest::addColumn<QString>("data");
    QTest::addColumn<int>("sample");
    QTest::addColumn<QString>("message");
    const QString iris = R"({"id": "iris"})", fits = "zoo:mlp?features=4&classes=3";
    QTest::newRow("model of another size") << fits << R"({"id": "wine"})" << 0 << "13";
    QTest::newRow("no such architecture") << "zoo:mpl" << iris << 0 << "did you mean \"mlp\"?";
    QTest::newRow("no such file") << "gone.safetensors" << iris << 0 << "gone.safetensors";
    QTest::newRow("run that is not there") << "run:99" << iris << 0 << "99";
    QTest::newRow("sample outside its part") << fits << iris << 1000 << "1000";
    QTest::newRow("part without samples") << fits << R"({"id": "iris", "split": {"test": 0}})" << 0 << "test";
    QTest::newRow("data that are not known") << fits << R"({"id": "irsi"})" << 0 << "did you mean \"iris\"?";
    QTest::newRow("table cut in a row") << fits << R"({"id": "csv", "path": "CUT"})" << 0 << "cut.csv";
}

void AttributionFaultsTest::whatCannotBeOpenedSaysWhy()
{
    QFETCH(QString, model);
    QFETCH(QString, data);
    QFETCH(int, sample);
    QFETCH(QString, message);
    Bench bench;
    QFile cut(bench.folder.filePath("cut.csv"));
    QVERIFY(cut.open(QIODevice::WriteOnly) && cut.write("a,b,c,d,class\n1,2,3,4,x\n1,\"2,3") > 0);
    cut.close();
    bench.show();
    bench.session.changeSelection([&](widgets::Selection& s) {
        s.model = model;
        s.data = core::Json::parse(QString(data).replace("CUT", cut.fileName()).toStdString());
        s.samples = {sample};
    });
    waitForError(bench, message);
    QVERIFY(!explainButton(bench)->isEnabled());
    QVERIFY(subject(bench).contains("could not be opened"));
    // The next subject is explained as if nothing had been.
    bench.session.changeSelection([](widgets::Selection& s) {
        s.model = "zoo:mlp?features=4&classes=3";
        s.data = {{"id", "iris"}};
        s.samples = {0};
    });
    QTRY_COMPARE(bench.panel->errorText(), QString());
    waitUntilReady(bench);
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(numbers(bench).contains("Output"));
}

void AttributionFaultsTest::whatCannotBeUsedIsNamed()
{
    Bench bench;
    bench.show({{"method", "saliency"}});
    test::checkFault(bench, "explain", [&] { return explainButton(bench)->isVisible() && explainButton(bench)->isEnabled(); });
}

void AttributionFaultsTest::weightsThatAreNotFiniteGiveNoExplanation()
{
    Bench bench;
    auto sick = zoo::buildModel("mlp", {{"features", 4}, {"hidden", {4}}, {"classes", 3}}, 1);
    sick.weights.set("fc1.weight", at::full({4, 4}, std::nanf("")));
    const QString file = bench.folder.filePath("sick.safetensors");
    models::saveModel(file.toStdString(), sick);
    bench.show();
    bench.session.changeSelection([&](widgets::Selection& s) {
        s.model = file;
        s.data = {{"id", "iris"}};
    });
    waitUntilReady(bench);
    chooseMethod(bench, "saliency");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    waitForError(bench, "the explained output is not finite (NaN or infinity)");
    QCOMPARE(bench.child<QTableWidget>("methods")->item(0, 5)->text(), QString("failed"));
    QVERIFY(!numbers(bench).contains("Output"));
    QVERIFY(!bench.child<QToolButton>("measure")->isEnabled());
    QVERIFY(explainButton(bench)->isEnabled());
}

void AttributionFaultsTest::parametersOutOfRangeAreRefusedBeforeTheJob()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "integrated_gradients"}, {"parameters", {{"integrated_gradients", {{"n_steps", 0}}}}}});
    bench.session.selectRuns({run});
    QTRY_VERIFY(bench.panel->isIdle() && explainButton(bench)->isVisible());
    QVERIFY(!explainButton(bench)->isEnabled());
    QCOMPARE(explainButton(bench)->toolTip(), QString("Correct the parameters first"));
    QVERIFY(!bench.child<QPushButton>("add")->isEnabled());
    chooseMethod(bench, "saliency");
    QVERIFY(explainButton(bench)->isEnabled());
}

void AttributionFaultsTest::aRunThatWasDeletedMeanwhileLosesNothingOnScreen()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "saliency"}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    const auto expectedSum = expected(bench, run, 0, "saliency").attribution.to(at::kDouble).sum().item<double>();
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(numbers(bench).contains("analysis") && bench.panel->isIdle());
    bench.workspace()->deleteRuns(std::vector<store::RunId>{run});
    bench.panel->findChild<QTabWidget*>()->setCurrentIndex(3);
    QTest::mouseClick(bench.child<QToolButton>("measure_quality"), Qt::LeftButton);
    waitForError(bench, "The numbers are shown, but could not be stored");
    QVERIFY(!bench.child<QTableWidget>("quality")->item(0, 6)->text().isEmpty());
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    waitForError(bench, "The result is shown, but could not be stored");
    QVERIFY2(numbers(bench).contains(widgets::shownNumber(expectedSum)), qPrintable(numbers(bench)));
    QVERIFY(!numbers(bench).contains("analysis"));
}

// The job is taken away from outside, as by the Jobs panel or an end of its process: what is stored is whole, and the same card is computed anew.
void AttributionFaultsTest::aJobKilledInTheQueueLeavesThePanelAsItWas()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    const core::Json slow{{"method", "integrated_gradients"},
                          {"parameters", {{"n_steps", 100000}, {"method", "riemann_middle"}, {"internal_batch_size", 1}}}};
    bench.show({{"tab", 1}, {"cards", {{{"method", "saliency"}, {"parameters", core::Json::object()}}, slow}}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QTest::mouseClick(bench.child<QToolButton>("explain_all"), Qt::LeftButton);
    auto* table = bench.child<QTableWidget>("methods");
    QTRY_VERIFY(!table->item(0, 1)->text().isEmpty());
    QTRY_COMPARE(table->item(1, 5)->text(), QString("running"));
    bench.session.jobs().cancelAll();
    QTRY_VERIFY(bench.panel->isIdle());
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    // Whether a partial result had come by then is a matter of time; nothing whole is claimed either way.
    const QString state = table->item(1, 5)->text();
    QVERIFY2(state == "partial" || state == "not computed", qPrintable(state));
    QCOMPARE(table->item(1, 1)->text(), QString());
    QCOMPARE(bench.workspace()->analyses(run).size(), std::size_t(1));
    QVERIFY(bench.workspace()->check().empty());
    QVERIFY(bench.child<QToolButton>("explain_all")->isEnabled());
}

void AttributionFaultsTest::aMethodThatCannotTakeTheInputSaysSo()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "extremal_perturbation"}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    waitForError(bench, "extremal_perturbation: expected an image [batch, channel, height, width]");
    chooseMethod(bench, "feature_inversion");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    waitForError(bench, "choose an inner value");
    QVERIFY(bench.workspace()->analyses(run).empty());
}

QTEST_MAIN(AttributionFaultsTest)
#include "attribution_faults_test.moc"
