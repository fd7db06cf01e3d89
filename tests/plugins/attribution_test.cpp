// The Attribution panel: from an empty state to numbers that equal core's, an explanation cancelled in the middle, state after a restart.
#include <QComboBox>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QSlider>
#include <QSpinBox>
#include <QTabWidget>
#include <QTableWidget>

#include <core/catalogue.h>
#include <core/explain/attribution.h>
#include <core/io/npy.h>
#include <core/jobs/queue.h>
#include <core/train/samples.h>
#include <plugins/attribution/attribution_panel.h>
#include <plugins/attribution/result_views.h>
#include <widgets/commands.h>
#include <widgets/image_view.h>
#include <widgets/schema_form.h>

#include "../widgets/shots.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using Bench = test::PanelBench<AttributionPanel>;

namespace {

const core::Json kSmall{{"id", "mlp"}, {"hidden", {8}}};
const core::Json kPictures{{"id", "lenet"}, {"maps", {4, 8}}, {"kernel", 3}, {"padding", 1}, {"hidden", {16}}};

QComboBox* box(const Bench& bench, const QString& name)
{
    for (auto* found : bench.panel->findChildren<QComboBox*>())
        if (found->accessibleName() == name)
            return found;
    return nullptr;
}

QPushButton* explainButton(const Bench& bench)
{
    return bench.child<QPushButton>("explain");
}
QString numbers(const Bench& bench)
{
    return bench.child<QLabel>("numbers")->text();
}
QString subject(const Bench& bench)
{
    return bench.child<QLabel>("subject")->text();
}

void chooseMethod(const Bench& bench, const QString& id)
{
    auto* methods = box(bench, "Method");
    methods->setFocus();
    QTest::keyClick(methods, Qt::Key_Home);
    for (int i = methods->findData(id); i > 0; --i)
        QTest::keyClick(methods, Qt::Key_Down);
    QCOMPARE(methods->currentData().toString(), id);
}

/// The same by core alone.
orrery::explain::AttributionResult expected(const Bench& bench, store::RunId run, std::int64_t sample, const char* method,
                                            const core::Json& parameters = core::Json::object(), std::optional<std::int64_t> target = {})
{
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const auto data = train::dataOfRun(*bench.workspace(), run);
    const std::int64_t index = data->split(data::Split::Test)[std::size_t(sample)];
    orrery::explain::AttributionRequest request;
    request.inputs = {data->fetch({&index, 1}).inputs[0]};
    request.parameters = parameters;
    request.target = target;
    return orrery::explain::attribute(graph::Executor(model.graph), model.weights, method, request);
}

}  // namespace

class AttributionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void emptyStatesSayWhatToDo();
    void integratedGradientsEqualCore();
    void tablesShowEachFeature();
    void theResultIsStoredForReports();
    void aChosenTargetIsExplained();
    void steppingMovesTheSelection();
    void severalMethodsShareOneScale();
    void anExplanationIsCancelledInTheMiddle();
    void cancellingFromTheQueueFreesThePanel();
    void textsShowTheirTokens();
    void aDamagedModelIsExplained();
    void theCommandNamesTheSample();
    void stateSurvivesARestart();
};

void AttributionTest::emptyStatesSayWhatToDo()
{
    Bench without(false);
    without.show();
    QTRY_VERIFY(without.panel->isShowingEmptyState());
    QCOMPARE(without.panel->commandLine(), QString());
    Bench bench;
    bench.show();
    QTRY_VERIFY(bench.panel->isShowingEmptyState());
    bench.session.openModel("zoo:mlp?features=4&classes=3");
    QTRY_VERIFY(bench.panel->isShowingEmptyState());  // a model, but no sample
}

void AttributionTest::integratedGradientsEqualCore()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    QTRY_VERIFY(bench.panel->isShowingEmptyState());
    bench.session.selectRuns({run});
    bench.session.changeSelection([](widgets::Selection& s) {
        s.split = "test";
        s.samples = {5};
    });
    QTRY_VERIFY(explainButton(bench)->isVisible() && explainButton(bench)->isEnabled());
    QVERIFY2(subject(bench).contains("sample 5"), qPrintable(subject(bench)));
    chooseMethod(bench, "integrated_gradients");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(numbers(bench).contains("Completeness error"));
    const auto result = expected(bench, run, 5, "integrated_gradients");
    QVERIFY2(numbers(bench).contains(fullNumber(result.outputs.item<double>())), qPrintable(numbers(bench)));
    QVERIFY2(numbers(bench).contains(fullNumber(result.completenessError.item<double>())), qPrintable(numbers(bench)));
    // The picture: colour and number of the strongest pixel.
    auto* overlay = bench.child<widgets::ImageView>("overlay");
    QVERIFY(overlay->hasOverlay());
    QCOMPARE(overlay->overlayRange(), result.attribution.abs().max().item<double>());
    takeShots(*bench.panel, "attribution-picture");
    QTRY_VERIFY(bench.panel->isIdle());
}

void AttributionTest::tablesShowEachFeature()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    chooseMethod(bench, "input_x_gradient");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    auto* table = bench.child<QTableWidget>("features");
    QTRY_VERIFY(table->rowCount() == 4 && !table->item(3, 2)->text().isEmpty());
    const auto result = expected(bench, run, 0, "input_x_gradient");
    const auto names = train::dataOfRun(*bench.workspace(), run)->info().featureNames;
    for (int row = 0; row < 4; ++row) {
        QCOMPARE(table->item(row, 0)->text().toStdString(), names[std::size_t(row)]);
        QCOMPARE(table->item(row, 2)->text(), fullNumber(double(result.attribution[0][row].item<float>())));
    }
    takeShots(*bench.panel, "attribution-table");
}

void AttributionTest::theResultIsStoredForReports()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    chooseMethod(bench, "saliency");
    QTest::keyClick(explainButton(bench), Qt::Key_Space);
    QTRY_VERIFY(numbers(bench).contains("analysis"));
    const auto analyses = bench.workspace()->analyses(run, "saliency");
    QCOMPARE(analyses.size(), std::size_t(1));
    QCOMPARE(analyses[0].inputs["sample"].get<int>(), 0);
    QCOMPARE(analyses[0].inputs["features"].size(), std::size_t(4));
    const auto array = io::parseNpy(bench.workspace()->readArtifact(analyses[0].artifacts.at(0)), "attribution");
    QCOMPARE(array.shape, std::vector<std::int64_t>{4});
    const auto result = expected(bench, run, 0, "saliency").attribution.contiguous();
    QCOMPARE(QByteArray::fromStdString(array.bytes), QByteArray(static_cast<const char*>(result.data_ptr()), int(result.nbytes())));
}

void AttributionTest::aChosenTargetIsExplained()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    auto* targets = box(bench, "Target class");
    QCOMPARE(targets->count(), 4);
    targets->setFocus();
    for (int i = 0; i < 2; ++i)
        QTest::keyClick(targets, Qt::Key_Down);
    QCOMPARE(targets->currentData().toInt(), 1);
    QCOMPARE(bench.session.selection().target, std::optional<qint64>(1));
    chooseMethod(bench, "input_x_gradient");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    const auto result = expected(bench, run, 0, "input_x_gradient", core::Json::object(), 1);
    QTRY_VERIFY2(numbers(bench).contains(fullNumber(result.outputs.item<double>())), qPrintable(numbers(bench)));
}

void AttributionTest::steppingMovesTheSelection()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    auto* number = bench.panel->findChild<QSpinBox*>();
    for (auto* spin : bench.panel->findChildren<QSpinBox*>())
        if (spin->accessibleName() == "Sample")
            number = spin;
    number->setFocus();
    QTest::keyClick(number, Qt::Key_Up);
    QTRY_COMPARE(bench.session.selection().samples, QList<qint64>{1});
    QTRY_VERIFY(subject(bench).contains("sample 1 "));
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {9}; });
    QTRY_COMPARE(number->value(), 9);
    QTRY_VERIFY(subject(bench).contains("sample 9 "));
}

void AttributionTest::severalMethodsShareOneScale()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    double magnitude = 0;
    for (const char* method : {"saliency", "input_x_gradient"}) {
        chooseMethod(bench, method);
        QTest::mouseClick(explainButton(bench), Qt::LeftButton);
        const auto result = expected(bench, run, 0, method);
        magnitude = std::max(magnitude, result.attribution.abs().max().item<double>());
        QTRY_VERIFY2(numbers(bench).contains(fullNumber(result.attribution.to(at::kDouble).sum().item<double>())), qPrintable(numbers(bench)));
    }
    auto* compare = bench.panel->findChild<CompareResults*>();
    QCOMPARE(compare->shown(), 2);
    for (auto* view : compare->findChildren<widgets::ImageView*>())
        QCOMPARE(view->overlayRange(), magnitude);
    bench.panel->findChild<QTabWidget*>()->setCurrentIndex(1);
    takeShots(*bench.panel, "attribution-side-by-side");
}

void AttributionTest::anExplanationIsCancelledInTheMiddle()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    core::Json state{{"method", "integrated_gradients"},
                     {"parameters", {{"integrated_gradients", {{"n_steps", 100000}, {"method", "riemann_middle"}, {"internal_batch_size", 1}}}}}};
    bench.show(state);
    bench.session.selectRuns({run});
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    auto* bar = bench.panel->findChild<QProgressBar*>();
    QTRY_VERIFY_WITH_TIMEOUT(bar->isVisible() && bar->value() > 0, 60000);
    QVERIFY(bar->value() < bar->maximum());
    QVERIFY(!bench.panel->isIdle());
    QTest::mouseClick(bench.child<QPushButton>("cancel"), Qt::LeftButton);
    QVERIFY(explainButton(bench)->isVisible());
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    QTRY_VERIFY(bench.panel->isIdle());
    QVERIFY(!numbers(bench).contains("Completeness"));
    QVERIFY(bench.workspace()->analyses(run).empty());
}

void AttributionTest::cancellingFromTheQueueFreesThePanel()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "integrated_gradients"},
                {"parameters", {{"integrated_gradients", {{"n_steps", 100000}, {"method", "riemann_middle"}, {"internal_batch_size", 1}}}}}});
    bench.session.selectRuns({run});
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->findChild<QProgressBar*>()->value() > 0, 60000);
    QCOMPARE(bench.session.jobs().jobs().back().kind, std::string("attribute"));
    bench.session.jobs().cancelAll();
    QTRY_VERIFY(explainButton(bench)->isVisible());
    QTRY_VERIFY(bench.panel->isIdle());
}

void AttributionTest::textsShowTheirTokens()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.model = "zoo:gpt?vocabulary=256&block_length=16&layers=1&heads=2&width=16";
        s.data = {{"id", "kjv"}, {"block_length", 16}};
    });
    QTRY_VERIFY2(explainButton(bench)->isEnabled() || !bench.panel->errorText().isEmpty(), "never ready");
    if (!bench.panel->errorText().isEmpty())
        QFAIL(qPrintable(bench.panel->errorText()));
    auto* table = bench.child<QTableWidget>("features");
    QTRY_COMPARE(table->rowCount(), 16);
    chooseMethod(bench, "input_x_gradient");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(!table->item(0, 2)->text().isEmpty());
    double sum = 0;
    for (int row = 0; row < 16; ++row)
        sum += table->item(row, 2)->text().toDouble();
    QVERIFY(std::abs(sum) > 0);
    takeShots(*bench.panel, "attribution-text");
}

void AttributionTest::aDamagedModelIsExplained()
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
    QVERIFY(!explainButton(bench)->isEnabled());
    QTRY_VERIFY(bench.panel->isIdle());
}

void AttributionTest::theCommandNamesTheSample()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {3}; });
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    QTRY_VERIFY(subject(bench).contains("sample 3 "));
    chooseMethod(bench, "saliency");
    QCOMPARE(bench.panel->commandLine(), widgets::cliCommand({"attribute", QString("run:%1").arg(run), "--split", "test", "--sample", "3", "--method",
                                                              "saliency", "--workspace", bench.session.workspaceFolder()}));
}

void AttributionTest::stateSurvivesARestart()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    chooseMethod(bench, "occlusion");
    auto* opacity = bench.child<QSlider>("opacity");
    opacity->setFocus();
    QTest::keyClick(opacity, Qt::Key_Home);
    const auto state = bench.panel->saveState();
    bench.panel.reset();
    bench.show(state);
    QCOMPARE(box(bench, "Method")->currentData().toString(), QString("occlusion"));
    QCOMPARE(bench.child<QSlider>("opacity")->value(), 0);
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    bench.panel->restoreState({{"method", 7}, {"opacity", "much"}, {"parameters", {1, 2}}});
    QCOMPARE(box(bench, "Method")->currentData().toString(), QString("occlusion"));
}

QTEST_MAIN(AttributionTest)
#include "attribution_test.moc"
