// The Attribution panel: from an empty state to numbers that equal core's, an explanation cancelled in the middle, state after a restart.
#include <QProgressBar>
#include <QSlider>
#include <QSpinBox>
#include <QTabWidget>
#include <QToolButton>

#include <core/explain/metrics/metric.h>
#include <core/io/image.h>
#include <core/io/npy.h>
#include <core/jobs/queue.h>
#include <core/models/open_model.h>
#include <core/train/card_inputs.h>
#include <core/train/samples.h>
#include <plugins/attribution/channels_view.h>
#include <plugins/attribution/compare_results.h>
#include <plugins/attribution/method_table.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/image_view.h>
#include <widgets/lines_edit.h>
#include <widgets/numbers.h>
#include <widgets/schema_form.h>
#include <widgets/theme.h>
#include <widgets/token_view.h>

#include "../core/train/bert_folder.h"
#include "../widgets/shots.h"
#include "attribution_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using namespace orrery::test::attribution;

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
    void aDamagedModelIsExplained();
    void theCommandNamesTheSample();
    void cardsAreOrderedAndUnique();
    void allMethodsAreComputedTogether();
    void aFailingMethodLeavesTheOthers();
    void aCancelledResultIsKeptAsPartial();
    void theBrushGivesTheAnswerOfAHandMadeRun();
    void featuresAreLeftOutByHand();
    void innerValuesAreExplained();
    void aPictureOfTheUsersOwnIsExplained();
    void metricsEqualCore();
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
    QVERIFY2(numbers(bench).contains(widgets::shownNumber(result.outputs.item<double>())), qPrintable(numbers(bench)));
    QVERIFY2(numbers(bench).contains(widgets::shownNumber(result.completenessError.item<double>())), qPrintable(numbers(bench)));
    // The picture: colour and number of the strongest pixel.
    auto* overlay = bench.child<widgets::ImageView>("overlay");
    QVERIFY(overlay->hasOverlay());
    QCOMPARE(overlay->overlayRange(), result.attribution.abs().max().item<double>());
    takeShots(*bench.panel, "attribution-picture");
    QTRY_VERIFY(bench.panel->isIdle());
    // Another setting is not what was computed.
    QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
    QVERIFY(!bench.panel->isShownOutdated());
    chooseMethod(bench, "saliency");
    QTRY_VERIFY(bench.panel->isShownOutdated());
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
        QCOMPARE(table->item(row, 2)->toolTip(), fullNumber(double(result.attribution[0][row].item<float>())));
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
    QTRY_VERIFY2(numbers(bench).contains(widgets::shownNumber(result.outputs.item<double>())), qPrintable(numbers(bench)));
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
        QTRY_VERIFY2(numbers(bench).contains(widgets::shownNumber(result.attribution.to(at::kDouble).sum().item<double>())),
                     qPrintable(numbers(bench)));
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

void AttributionTest::cardsAreOrderedAndUnique()
{
    Cards cards;
    const int ig = cards.add({"integrated_gradients", {{"n_steps", 20}}});
    const int same = cards.add({"integrated_gradients", {{"n_steps", 20}, {"baseline", 0.0}}});
    QCOMPARE(same, ig);  // a typed default is no difference
    const int other = cards.add({"integrated_gradients", core::Json::object()});
    const int saliency = cards.add({"saliency", core::Json::object()});
    QVERIFY(other != ig);
    cards.move(saliency, -1);
    QCOMPARE(cards.list()[1].id, saliency);
    cards.move(ig, -1);  // at the edge: nothing
    QCOMPARE(cards.list()[0].id, ig);
    cards.remove(other);
    Cards again;
    again.fromJson(cards.toJson());
    QCOMPARE(again.list().size(), std::size_t(2));
    QVERIFY(again.list()[0].settings == cards.list()[0].settings && again.list()[1].settings == cards.list()[1].settings);
    again.fromJson({7, {{"method", "no such method"}}, {{"method", "saliency"}, {"parameters", 3}}});
    QCOMPARE(again.list().size(), std::size_t(1));
}

void AttributionTest::allMethodsAreComputedTogether()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    const std::vector<std::string> methods{"saliency", "input_x_gradient", "integrated_gradients", "occlusion"};
    for (const auto& method : methods) {
        chooseMethod(bench, QString::fromStdString(method));
        QTest::mouseClick(bench.child<QPushButton>("add"), Qt::LeftButton);
    }
    auto* table = bench.child<QTableWidget>("methods");
    QCOMPARE(table->rowCount(), 4);
    QTest::mouseClick(bench.child<QToolButton>("explain_all"), Qt::LeftButton);
    auto* compare = bench.panel->findChild<CompareResults*>();
    QTRY_COMPARE(compare->shown(), 4);
    QTRY_VERIFY(bench.panel->isIdle());
    double magnitude = 0;
    std::vector<double> own;
    for (int row = 0; row < 4; ++row) {
        const auto result = expected(bench, run, 0, methods[std::size_t(row)].c_str());
        QCOMPARE(table->item(row, 1)->text(), widgets::shownNumber(result.outputs.item<double>()));
        QCOMPARE(table->item(row, 2)->text(), widgets::shownNumber(result.attribution.to(at::kDouble).sum().item<double>()));
        QCOMPARE(table->item(row, 3)->text(),
                 result.completenessError.defined() ? widgets::shownNumber(result.completenessError.item<double>()) : QStringLiteral("–"));
        own.push_back(result.attribution.abs().max().item<double>());
        magnitude = std::max(magnitude, own.back());
    }
    const auto ranges = [compare] {
        std::vector<double> found;
        for (auto* view : compare->findChildren<widgets::ImageView*>())
            found.push_back(view->overlayRange());
        std::sort(found.begin(), found.end());
        return found;
    };
    QCOMPARE(ranges(), std::vector<double>(4, magnitude));
    takeShots(*bench.panel, "attribution-four-methods");
    bench.panel->resize(1100, 1000);
    takeShots(*bench.panel, "attribution-four-methods-wide");
    bench.panel->resize(460, 900);
    auto* scale = box(bench, "Scale");
    scale->setFocus();
    QTest::keyClick(scale, Qt::Key_Down);
    std::sort(own.begin(), own.end());
    QCOMPARE(ranges(), own);
    // The keyboard moves and removes.
    compare->table()->setFocus();
    compare->table()->setCurrentCell(0, 0);
    QTest::keyClick(compare->table(), Qt::Key_Down, Qt::AltModifier);
    QVERIFY(table->item(1, 0)->text().startsWith("Saliency"));
    QTest::keyClick(compare->table(), Qt::Key_Delete);
    QCOMPARE(table->rowCount(), 3);
    QCOMPARE(bench.workspace()->analyses(run).size(), std::size_t(4));
}

void AttributionTest::aFailingMethodLeavesTheOthers()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    // A table has no layer of a picture's shape: this method cannot take it.
    bench.show(
        {{"cards",
          {{{"method", "grad_cam"}, {"parameters", {{"layer", "nowhere"}}}}, {{"method", "saliency"}, {"parameters", core::Json::object()}}}}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    bench.panel->findChild<QTabWidget*>()->setCurrentIndex(1);
    QTest::mouseClick(bench.child<QToolButton>("explain_all"), Qt::LeftButton);
    auto* compare = bench.panel->findChild<CompareResults*>();
    QTRY_COMPARE(compare->shown(), 1);
    QTRY_VERIFY(bench.panel->isIdle());
    QVERIFY2(bench.panel->errorText().contains("nowhere") || bench.panel->errorText().contains("layer"), qPrintable(bench.panel->errorText()));
    QCOMPARE(bench.child<QTableWidget>("methods")->item(0, 5)->text(), QString("failed"));
    QCOMPARE(bench.child<QTableWidget>("methods")->item(1, 1)->text(),
             widgets::shownNumber(expected(bench, run, 0, "saliency").outputs.item<double>()));
}

void AttributionTest::aCancelledResultIsKeptAsPartial()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "shapley_value_sampling"}, {"parameters", {{"shapley_value_sampling", {{"n_samples", 1000000}}}}}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    auto* table = bench.child<QTableWidget>("features");
    QTRY_VERIFY_WITH_TIMEOUT(numbers(bench).contains("still being computed") && !table->item(0, 2)->text().isEmpty(), 60000);
    QTest::mouseClick(bench.child<QPushButton>("cancel"), Qt::LeftButton);
    QTRY_VERIFY(bench.panel->isIdle());
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    QVERIFY2(numbers(bench).contains("partial: cancelled, not stored"), qPrintable(numbers(bench)));
    QVERIFY(!numbers(bench).contains("Output"));
    QCOMPARE(bench.panel->findChild<CompareResults*>()->shown(), 1);
    QCOMPARE(bench.child<QTableWidget>("methods")->item(0, 5)->text(), QString("partial"));
    // What was kept is an estimate of the exact values: after the first permutations within their whole range.
    const auto exact = expected(bench, run, 0, "shapley_values").attribution.flatten();
    for (int row = 0; row < 4; ++row)
        QVERIFY(std::abs(table->item(row, 2)->text().toDouble() - exact[row].item<double>()) <= exact.abs().sum().item<double>());
    QVERIFY(bench.workspace()->analyses(run).empty());
    QVERIFY(explainButton(bench)->isVisible() && explainButton(bench)->isEnabled());
}

void AttributionTest::theBrushGivesTheAnswerOfAHandMadeRun()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 2);
    bench.show();
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    bench.panel->findChild<QTabWidget*>()->setCurrentIndex(2);
    auto* brush = bench.child<BrushView>("brush");
    QTRY_VERIFY(brush->isVisible() && brush->width() > 80);
    const auto at = [brush](int x, int y) { return brush->pixelRect(x, y).center().toPoint(); };
    QTest::mousePress(brush, Qt::LeftButton, {}, at(2, 3));
    QTest::mouseMove(brush, at(5, 3));
    QTest::mouseRelease(brush, Qt::LeftButton, {}, at(5, 3));
    auto* stack = &bench.session.undoStack();
    QCOMPARE(stack->count(), 1);
    const auto model = train::modelOfRun(*bench.workspace(), run);
    auto input = inputOf(bench, run, 0).clone();
    const auto before = probabilities(model, graph::Executor(model.graph).forward(model.weights, {input}));
    for (int x = 2; x <= 5; ++x)
        input[0][0][3][x] = 0;
    const auto after = probabilities(model, graph::Executor(model.graph).forward(model.weights, {input}));
    QVERIFY(before != after);
    for (const auto& [name, value] : after)
        QTRY_COMPARE(answerCell(bench, QString::fromStdString(name), 2), value);
    for (const auto& [name, value] : before)
        QCOMPARE(answerCell(bench, QString::fromStdString(name), 1), value);
    takeShots(*bench.panel, "attribution-brush");
    stack->undo();
    for (const auto& [name, value] : before)
        QTRY_COMPARE(answerCell(bench, QString::fromStdString(name), 2), value);
    stack->redo();
    for (const auto& [name, value] : after)
        QTRY_COMPARE(answerCell(bench, QString::fromStdString(name), 2), value);
    // The right button brings a pixel back; another sample starts whole.
    QTest::mouseClick(brush, Qt::RightButton, {}, at(5, 3));
    QVERIFY(bench.child<QLabel>("left_out")->text().startsWith("3 of 64"));
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {2}; });
    QTRY_VERIFY(bench.child<QLabel>("left_out")->text().startsWith("0 of 64"));
    stack->undo();  // of the sample before: no effect here
    QVERIFY(bench.child<QLabel>("left_out")->text().startsWith("0 of 64"));
}

void AttributionTest::featuresAreLeftOutByHand()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"tab", 2}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    auto* features = bench.child<QTableWidget>("brush_features");
    QTRY_COMPARE(features->rowCount(), 4);
    features->setFocus();
    features->setCurrentCell(2, 0);
    QTest::keyClick(features, Qt::Key_Space);
    QCOMPARE(features->item(2, 0)->checkState(), Qt::Unchecked);
    const auto model = train::modelOfRun(*bench.workspace(), run);
    auto input = inputOf(bench, run, 0).clone();
    input[0][2] = 0;
    const auto output = graph::Executor(model.graph).forward(model.weights, {input});
    for (const auto& [name, value] : probabilities(model, output))
        QTRY_COMPARE(answerCell(bench, QString::fromStdString(name), 2), value);
    takeShots(*bench.panel, "attribution-brush-table");
}

void AttributionTest::innerValuesAreExplained()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    auto* layer = bench.child<QSlider>("layer");
    QVERIFY(layer->maximum() > 3);
    layer->setFocus();
    QTest::keyClick(layer, Qt::Key_Right);
    const std::string site = bench.child<QComboBox>("sites")->currentData().toString().toStdString();
    QCOMPARE(bench.session.selection().valuePath.toStdString(), site);
    QVERIFY(bench.panel->commandLine().contains("--at"));
    chooseMethod(bench, "input_x_gradient");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    const auto result = expected(bench, run, 0, "input_x_gradient", core::Json::object(), {}, site);
    QTRY_VERIFY2(numbers(bench).contains(widgets::shownNumber(result.attribution.to(at::kDouble).sum().item<double>())), qPrintable(numbers(bench)));
    auto* view = bench.child<ChannelsView>("channels");
    QVERIFY(view->isVisible());
    const at::Tensor shown = result.attribution[0].to(at::kDouble);
    QCOMPARE(view->channels(), int(shown.size(0)));
    QCOMPARE(view->value(2, 3, 4), shown[2][3][4].item<double>());
    takeShots(*bench.panel, "attribution-channels");
    auto* mode = box(bench, "Channels");
    mode->setFocus();
    QTest::keyClick(mode, Qt::Key_Down);
    QVERIFY(std::abs(view->value(0, 3, 4) - shown.mean(0)[3][4].item<double>()) < 1e-12);
    auto* index = bench.child<QSlider>("channel");
    index->setFocus();
    QTest::keyClick(index, Qt::Key_End);
    QCOMPARE(view->value(0, 3, 4), shown[shown.size(0) - 1][3][4].item<double>());
    // Another panel's choice of a value is followed; the input again when it is cleared.
    bench.session.changeSelection([](widgets::Selection& s) { s.valuePath.clear(); });
    QCOMPARE(layer->value(), 0);
    QVERIFY(!bench.panel->commandLine().contains("--at"));
}

void AttributionTest::aPictureOfTheUsersOwnIsExplained()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    bench.show();
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QImage picture(30, 24, QImage::Format_RGB32);
    for (int y = 0; y < picture.height(); ++y)
        for (int x = 0; x < picture.width(); ++x)
            picture.setPixel(x, y, qRgb(8 * x, 10 * y, 4 * (x + y)));
    const QString file = bench.folder.filePath("own picture.png");
    QVERIFY(picture.save(file));
    widgets::askOpenFile() = [file](QWidget*, const QString&, const QString&) { return file; };
    QTest::mouseClick(bench.child<QToolButton>("picture"), Qt::LeftButton);
    QTRY_VERIFY2(subject(bench).startsWith("own picture.png"), qPrintable(subject(bench)));
    waitUntilReady(bench);
    QVERIFY(bench.panel->commandLine().contains("--image"));
    chooseMethod(bench, "input_x_gradient");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    const auto model = train::modelOfRun(*bench.workspace(), run);
    orrery::explain::AttributionRequest request;
    request.inputs = {train::imageInput(model.card, io::readImage(file.toStdString()))};
    const auto result = orrery::explain::attribute(graph::Executor(model.graph), model.weights, "input_x_gradient", request);
    QTRY_VERIFY2(numbers(bench).contains(widgets::shownNumber(result.outputs.item<double>())), qPrintable(numbers(bench)));
    QCOMPARE(bench.child<widgets::ImageView>("overlay")->overlayRange(), result.attribution.abs().max().item<double>());
    takeShots(*bench.panel, "attribution-own-picture");
    // A file that is no picture says so where it happened; the sample comes back.
    QFile broken(bench.folder.filePath("broken.png"));
    QVERIFY(broken.open(QIODevice::WriteOnly) && broken.write("no picture") > 0);
    broken.close();
    widgets::askOpenFile() = [name = broken.fileName()](QWidget*, const QString&, const QString&) { return name; };
    QTest::mouseClick(bench.child<QToolButton>("picture"), Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains("broken.png"), qPrintable(bench.panel->errorText()));
    QVERIFY(!explainButton(bench)->isEnabled());
    QTest::mouseClick(bench.child<QToolButton>("back"), Qt::LeftButton);
    QTRY_VERIFY(subject(bench).contains("sample 0"));
    QCOMPARE(bench.panel->errorText(), QString());
}

void AttributionTest::metricsEqualCore()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show({{"method", "saliency"}, {"tab", 1}});
    bench.session.selectRuns({run});
    waitUntilReady(bench);
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(bench.child<QToolButton>("measure")->isEnabled());
    QTest::mouseClick(bench.child<QToolButton>("measure"), Qt::LeftButton);
    QTRY_VERIFY(bench.panel->isIdle());
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const graph::Executor executor(model.graph);
    orrery::explain::AttributionRequest request;
    request.inputs = {inputOf(bench, run, 0)};
    const auto result = orrery::explain::attribute(executor, model.weights, "saliency", request);
    auto* table = bench.child<QTableWidget>("methods");
    int compared = 0;
    for (int column = 0; column < table->columnCount(); ++column)
        for (const auto& metric : orrery::explain::attributionMetricRegistry().components()) {
            if (table->horizontalHeaderItem(column)->text().toStdString() != metric.title)
                continue;
            if (table->item(0, column)->text() == QStringLiteral("–"))
                continue;
            const auto measured = orrery::explain::measure(executor, model.weights, "saliency", request, result, {{metric.id}});
            QCOMPARE(table->item(0, column)->toolTip(), fullNumber(measured[0].result.value.reshape(-1)[0].item<double>()));
            ++compared;
        }
    QVERIFY2(compared >= 4, qPrintable(QString::number(compared)));
    takeShots(*bench.panel, "attribution-metrics");
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
    QTest::mouseClick(bench.child<QPushButton>("add"), Qt::LeftButton);
    box(bench, "Scale")->setFocus();
    QTest::keyClick(box(bench, "Scale"), Qt::Key_Down);
    bench.child<QSlider>("layer")->setFocus();
    QTest::keyClick(bench.child<QSlider>("layer"), Qt::Key_Right);
    const QString site = bench.child<QComboBox>("sites")->currentText();
    const auto state = bench.panel->saveState();
    bench.panel.reset();
    bench.show(state);
    QCOMPARE(box(bench, "Method")->currentData().toString(), QString("occlusion"));
    QCOMPARE(bench.child<QSlider>("opacity")->value(), 0);
    QCOMPARE(bench.child<QTableWidget>("methods")->rowCount(), 1);
    QVERIFY(bench.child<QTableWidget>("methods")->item(0, 0)->text().startsWith("Occlusion"));
    QCOMPARE(box(bench, "Scale")->currentIndex(), 1);
    QCOMPARE(bench.panel->findChild<QTabWidget*>()->currentIndex(), 1);
    QTRY_COMPARE(bench.child<QComboBox>("sites")->currentText(), site);
    QTRY_VERIFY(explainButton(bench)->isEnabled() && explainButton(bench)->isVisible());
    bench.panel->restoreState(
        {{"method", 7}, {"opacity", "much"}, {"parameters", {1, 2}}, {"cards", 3}, {"channels", {{"mode", "all"}}}, {"tab", 99}});
    QCOMPARE(box(bench, "Method")->currentData().toString(), QString("occlusion"));
}

QTEST_MAIN(AttributionTest)
#include "attribution_test.moc"
