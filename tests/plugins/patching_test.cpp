// The Patching panel: from an empty state to a map that equals core's, a sweep cancelled in the middle, state after a restart.
#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QTableWidget>

#include <core/catalogue.h>
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>
#include <plugins/patching/patch_result.h>
#include <plugins/patching/patching_panel.h>
#include <widgets/heat_map_view.h>
#include <widgets/schema_form.h>

#include "../core/intervene/hand_built.h"
#include "../core/train/bert_folder.h"
#include "../widgets/shots.h"
#include "damaged_models.h"
#include "panel_faults.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

struct Bench : test::PanelBench<PatchingPanel> {
    using PanelBench::PanelBench;

    /// Opens a model saved in the bench's folder.
    void open(const graph::Model& model)
    {
        const auto file = folder.filePath("model.safetensors");
        models::saveModel(file.toStdString(), model);
        session.openModel(file);
    }
    void type(const char* name, const QString& text) const
    {
        auto* line = child<QLineEdit>(name);
        line->setFocus();
        line->selectAll();
        QTest::keyClicks(line, text);
    }
    QPushButton* run() const { return child<QPushButton>("run"); }
    widgets::HeatMapView* heat() const { return child<widgets::HeatMapView>("heat"); }
    QTableWidget* tokens() const { return child<QTableWidget>("tokens"); }
    QTableWidget* classes() const { return child<QTableWidget>("classes"); }
    QString status() const { return child<QLabel>("status")->text(); }
    QString place() const { return child<QLabel>("place")->text(); }
    void clickCell(int row, int column) const { QTest::mouseClick(heat(), Qt::LeftButton, {}, heat()->cellRect(row, column).center().toPoint()); }
};

graph::Model gpt(int layers, int width, int length)
{
    auto model = zoo::buildModel("gpt", {{"layers", layers}, {"heads", 4}, {"width", width}, {"vocabulary", 256}, {"block_length", length}}, 3);
    model.card.tokenizer = {{"kind", "bytes"}};
    return model;
}

constexpr int kPatience = 30000;  // milliseconds; jobs wait for cores on a busy machine
const QString kClean = "When John and Mary went, John gave it to", kCorrupted = "When Anne and Mary went, John gave it to";

}  // namespace

class PatchingPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void emptyStatesSayWhatToDo();
    void theMapEqualsCore();
    void aCellShowsItsRun();
    void theSelectionIsLinked();
    void headsGetMapsOfTheirOwn();
    void differingTokensAreMarked();
    void pairsOfTextsArePatched();
    void textsOfTwoLengthsAreExplained();
    void errorsOfTheSweepStandInTheBand();
    void aSweepIsCancelledInTheMiddle_data() { test::addWaysToEnd(); }
    void aSweepIsCancelledInTheMiddle();
    void samplesOfARunAreStored();
    void theCommandComputesTheSame();
    void answersAreTyped();
    void aTextTooLongIsExplained();
    void modelsThatCannotBeUsedAreExplained();
    void whatCannotBeUsedIsNamed_data() { test::addFaults(); }
    void whatCannotBeUsedIsNamed();
    void aReplacedFileIsReadAnew();
    void stateSurvivesARestart();
};

void PatchingPanelTest::emptyStatesSayWhatToDo()
{
    Bench without(false);
    without.show();
    QTRY_VERIFY_WITH_TIMEOUT(without.panel->isShowingEmptyState(), kPatience);
    QCOMPARE(without.panel->commandLine(), QString());
    Bench bench;
    bench.show();
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isShowingEmptyState(), kPatience);
    bench.open(intervene::copyingModel());
    QTRY_VERIFY_WITH_TIMEOUT(!bench.panel->isShowingEmptyState(), kPatience);
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("Give two inputs"), qPrintable(bench.status()), kPatience);
    QVERIFY(!bench.run()->isEnabled());
}

void PatchingPanelTest::theMapEqualsCore()
{
    Bench bench;
    bench.show();
    bench.open(gpt(3, 32, 48));
    bench.type("clean", kClean);
    bench.type("corrupted", kCorrupted);
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    QVERIFY2(bench.status().contains("4 tokens differ"), qPrintable(bench.status()));
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.heat()->rows() == 3, kPatience);
    const auto model = models::loadModel(bench.folder.filePath("model.safetensors").toStdString());
    const graph::Executor executor(model.graph);
    const auto tokens = [](const QString& text) {
        const QByteArray bytes = text.toUtf8();
        return at::tensor(std::vector<std::int64_t>(bytes.begin(), bytes.end())).unsqueeze(0);
    };
    const auto result = intervene::Patching(executor, model.weights, model.card, {{tokens(kClean)}, {tokens(kCorrupted)}, {}}).sweep();
    QCOMPARE(bench.heat()->columns(), int(kClean.size()));
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < int(kClean.size()); ++column)
            QVERIFY(std::abs(bench.heat()->value(row, column) - result.maps[0].cells[row][0][column].item<double>()) < 1e-5);
    QVERIFY2(bench.status().contains(QString::number(result.clean, 'g', 4).left(4)), qPrintable(bench.status()));
    takeShots(*bench.panel, "patching");
    QVERIFY(!bench.panel->shownCommand().isEmpty() && !bench.panel->isShownOutdated());
    QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
}

void PatchingPanelTest::aCellShowsItsRun()
{
    Bench bench;
    bench.show();
    bench.open(intervene::copyingModel());
    bench.type("clean", "dabef");
    bench.type("corrupted", "cabef");
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    bench.run()->setFocus();
    QTest::keyClick(bench.run(), Qt::Key_Space);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.heat()->rows() == 2, kPatience);
    QCOMPARE(bench.heat()->value(0, 0), 1.0);
    QCOMPARE(bench.heat()->value(0, 4), 0.0);
    QCOMPARE(bench.heat()->value(1, 4), 1.0);
    bench.clickCell(1, 4);
    QTRY_VERIFY_WITH_TIMEOUT(bench.classes()->rowCount() > 0, kPatience);
    QVERIFY2(bench.place().contains("layer 1") && bench.place().contains("position 4") && bench.place().contains("1.0000"),
             qPrintable(bench.place()));
    QCOMPARE(bench.classes()->item(0, 0)->text(), QString("d"));
    // One logit of 5 against five of 0.
    const QString high = QString::number(std::exp(5) / (std::exp(5) + 5), 'f', 4), low = QString::number(1 / (std::exp(5) + 5), 'f', 4);
    QCOMPARE(bench.classes()->item(0, 1)->text(), high);
    QCOMPARE(bench.classes()->item(0, 2)->text(), high);
    QCOMPARE(bench.classes()->item(0, 3)->text(), low);
    // By keys to a cell that restores nothing.
    bench.heat()->setFocus();
    QTest::keyClick(bench.heat(), Qt::Key_Left);
    QTRY_VERIFY2_WITH_TIMEOUT(bench.place().contains("position 3") && bench.place().contains("0.0000"), qPrintable(bench.place()), kPatience);
    QCOMPARE(bench.classes()->item(0, 0)->text(), QString("c"));
    takeShots(*bench.panel, "patching-cell");
}

void PatchingPanelTest::theSelectionIsLinked()
{
    Bench bench;
    bench.show();
    bench.open(intervene::copyingModel());
    bench.type("clean", "dabef");
    bench.type("corrupted", "cabef");
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.heat()->rows() == 2, kPatience);
    bench.clickCell(1, 2);
    QCOMPARE(bench.session.selection().token, std::optional<qint64>(2));
    QCOMPARE(bench.session.selection().valuePath, QString("blocks.0.resid_post"));  // what enters block 1
    bench.session.changeSelection([](widgets::Selection& s) { s.token = 3; });
    QCOMPARE(bench.heat()->currentCell(), std::optional(std::pair(1, 3)));
    QCOMPARE(bench.tokens()->currentColumn(), 3);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
}

void PatchingPanelTest::headsGetMapsOfTheirOwn()
{
    Bench bench;
    bench.show(
        {{"clean", "dabef"}, {"corrupted", "cabef"}, {"components", {"z", "resid_pre"}}, {"settings", {{"by_head", true}, {"by_position", false}}}});
    bench.open(intervene::copyingModel());
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.heat()->rows() == 2, kPatience);
    auto* maps = bench.child<QComboBox>("map");
    QCOMPARE(maps->count(), 2);
    maps->setCurrentIndex(maps->findText("z"));
    QCOMPARE(bench.heat()->columns(), 2);
    QCOMPARE(bench.heat()->value(0, 0), 1.0);
    QCOMPARE(bench.heat()->value(0, 1), 0.0);
    maps->setCurrentIndex(maps->findText("resid_pre"));
    QCOMPARE(bench.heat()->columns(), 1);
    QCOMPARE(bench.heat()->value(1, 0), 1.0);
}

void PatchingPanelTest::differingTokensAreMarked()
{
    Bench bench;
    bench.show({{"clean", "dabef"}, {"corrupted", "cabef"}});
    bench.open(intervene::copyingModel());
    QTRY_COMPARE_WITH_TIMEOUT(bench.tokens()->columnCount(), 5, kPatience);
    QCOMPARE(bench.tokens()->item(0, 0)->text() + bench.tokens()->item(1, 0)->text(), QString("dc"));
    QVERIFY(bench.tokens()->item(0, 0)->font().bold());
    QVERIFY(!bench.tokens()->item(0, 1)->font().bold());
}

void PatchingPanelTest::pairsOfTextsArePatched()
{
    const test::BertFolder given("bert-sequence");
    const auto [model, clean] = given.pairModel("god saw the light", "it was good");
    const auto corrupted = given.pairModel("god saw the light", "it was day").second;
    const graph::Executor executor(model.graph);
    const auto result = intervene::Patching(executor, model.weights, model.card, {clean, corrupted, {}}).sweep();
    Bench bench;
    bench.show();
    bench.session.openModel(QString::fromStdString(given.folder.string()));
    QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLineEdit>("clean_pair")->isVisible() && bench.status().contains("Give two inputs"), kPatience);
    bench.type("clean", "god saw the light");
    bench.type("clean_pair", "it was good");
    bench.type("corrupted", "god saw the light");
    bench.type("corrupted_pair", "it was day");
    QTRY_VERIFY2_WITH_TIMEOUT(bench.run()->isEnabled() && bench.status().contains("1 token differs"), qPrintable(bench.status()), kPatience);
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.heat()->rows() > 0, kPatience);
    QCOMPARE(bench.heat()->columns(), int(clean[0].toTensor().size(1)));
    for (int row = 0; row < bench.heat()->rows(); ++row)
        for (int column = 0; column < bench.heat()->columns(); ++column)
            QVERIFY(std::abs(bench.heat()->value(row, column) - result.maps[0].cells[row][0][column].item<double>()) < 1e-5);
    QVERIFY2(bench.panel->commandLine().contains(R"(--corrupted 'pair:["god saw the light","it was day"]')"), qPrintable(bench.panel->commandLine()));
    takeShots(*bench.panel, "patching-pair");
    // A model that goes on writing reads no pairs: what was typed for another is hidden and left out.
    bench.open(gpt(1, 16, 48));
    QTRY_VERIFY_WITH_TIMEOUT(!bench.child<QLineEdit>("clean_pair")->isVisible() && bench.status().contains("Both inputs are the same"), kPatience);
}

void PatchingPanelTest::textsOfTwoLengthsAreExplained()
{
    Bench bench;
    bench.show({{"clean", "dabef"}, {"corrupted", "cab"}});
    bench.open(intervene::copyingModel());
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("clean has 5, corrupted has 3"), qPrintable(bench.status()), kPatience);
    QVERIFY(!bench.run()->isEnabled());
    bench.type("corrupted", "cabxx");
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("U+0078"), qPrintable(bench.status()), kPatience);
    QVERIFY(!bench.run()->isEnabled());
    bench.type("corrupted", "dabef");
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("the same"), qPrintable(bench.status()), kPatience);
}

void PatchingPanelTest::errorsOfTheSweepStandInTheBand()
{
    Bench bench;
    bench.show({{"clean", "dabef"}, {"corrupted", "cabef"}, {"components", {"resid_pre"}}, {"places", "nothing.like.it"}});
    bench.open(intervene::copyingModel());
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains("nothing.like.it"), qPrintable(bench.panel->errorText()), kPatience);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.run()->isVisible(), kPatience);
}

void PatchingPanelTest::aSweepIsCancelledInTheMiddle()
{
    QFETCH(bool, fromOutside);
    Bench bench;
    const QString clean = QString(200, 'a'), corrupted = QString(200, 'b');
    bench.show({{"clean", clean.toStdString()},
                {"corrupted", corrupted.toStdString()},
                {"components", {"resid_pre", "attn_out", "mlp_out"}},
                {"settings", {{"memory_limit", 0.001}}}});
    bench.open(gpt(6, 128, 200));
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    auto* result = bench.panel->findChild<PatchResultView*>();
    QTRY_VERIFY_WITH_TIMEOUT(result->finished() > 0, 60000);
    QVERIFY(!bench.panel->isIdle());
    test::endJob(bench.session, bench.child<QPushButton>("cancel"), fromOutside);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
    QTRY_VERIFY_WITH_TIMEOUT(!bench.session.hasBackgroundWork(), kPatience);
    QVERIFY(bench.run()->isVisible());
    const auto kept = result->finished();
    QVERIFY(kept > 0 && kept < 3 * 6 * 200);
    QVERIFY(!std::isnan(bench.heat()->value(0, 0)));
    QVERIFY(std::isnan(bench.heat()->value(5, 199)));
    QVERIFY2(bench.status().contains("Cancelled"), qPrintable(bench.status()));
    bench.clickCell(0, 0);  // what is there can still be asked
    QTRY_VERIFY_WITH_TIMEOUT(bench.classes()->rowCount() > 0, kPatience);
}

void PatchingPanelTest::samplesOfARunAreStored()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {8}}}, "iris", 1);
    bench.show({{"text", false},
                {"clean", "0"},
                {"corrupted", "1"},
                {"places", "op:relu"},
                {"settings", {{"metric", {{"id", "kl"}, {"normalised", false}}}}}});
    bench.session.selectRuns({run});
    QTRY_VERIFY2_WITH_TIMEOUT(bench.run()->isEnabled(), qPrintable(bench.status()), kPatience);
    QVERIFY(!bench.tokens()->isVisible());
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->isIdle() && bench.heat()->columns() == 8, qPrintable(bench.panel->errorText()), kPatience);
    const auto analyses = bench.workspace()->analyses(run, "patching");
    QCOMPARE(analyses.size(), std::size_t(1));
    QCOMPARE(analyses[0].inputs["corrupted"]["sample"].get<int>(), 1);
    // What is no number has no command.
    bench.type("clean", "abc");
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("expected the number of a sample"), qPrintable(bench.status()), kPatience);
    QCOMPARE(bench.panel->commandLine(), QString());
    bench.type("clean", "0");
    bench.type("corrupted", "99999");
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("99999"), qPrintable(bench.status()), kPatience);
}

void PatchingPanelTest::theCommandComputesTheSame()
{
    Bench bench;
    bench.show({{"clean", "dabef"}, {"corrupted", "cabef"}, {"components", {"z"}}, {"settings", {{"by_head", true}}}});
    bench.open(intervene::copyingModel());
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    const auto line = bench.panel->commandLine();
    QVERIFY2(line.contains("patch") && line.contains("text:dabef") && line.contains("text:cabef"), qPrintable(line));
    QVERIFY2(line.contains("by_head=true") && line.contains("components=[\"z\"]"), qPrintable(line));
}

void PatchingPanelTest::answersAreTyped()
{
    Bench bench;
    bench.show();
    bench.open(intervene::copyingModel());
    bench.type("clean", "dabef");
    bench.type("corrupted", "cabef");
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    bench.type("answer", "c");
    bench.type("wrong", "a");
    QVERIFY(bench.run()->isEnabled());
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.heat()->rows() == 2, kPatience);
    // "c" rather than "a": 0 in the clean run, which says "d", and the whole logit in the corrupted one.
    QVERIFY2(bench.status().contains("clean 0, corrupted 5") && bench.status().contains("answer “c”") && bench.status().contains("wrong “a”"),
             qPrintable(bench.status()));
    const auto line = bench.panel->commandLine();
    QVERIFY2(line.contains("\"answer\":2") && line.contains("\"wrong\":0"), qPrintable(line));
    const auto state = bench.panel->saveState();
    QCOMPARE(state["answer"].get<std::string>(), std::string("c"));
    bench.type("answer", "cd");
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("answer: expected one token"), qPrintable(bench.status()), kPatience);
    QVERIFY(!bench.run()->isEnabled());
    QCOMPARE(bench.panel->commandLine(), QString());
    bench.show(state);
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    QCOMPARE(bench.child<QLineEdit>("wrong")->text(), QString("a"));
    // A metric without answers: what was typed is not dropped in silence.
    bench.show({{"clean", "dabef"}, {"corrupted", "cabef"}, {"answer", "c"}, {"settings", {{"metric", {{"id", "kl"}, {"normalised", false}}}}}});
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("the metric kl asks for none"), qPrintable(bench.status()), kPatience);
    QVERIFY(!bench.run()->isEnabled());
}

void PatchingPanelTest::aTextTooLongIsExplained()
{
    Bench bench;
    bench.show({{"clean", "dabefa"}, {"corrupted", "cabefa"}});
    bench.open(intervene::copyingModel());
    QTRY_VERIFY2_WITH_TIMEOUT(bench.status().contains("at most 5 tokens (the model's longest sequence), got 6"), qPrintable(bench.status()),
                              kPatience);
    QVERIFY(!bench.run()->isEnabled());
}

void PatchingPanelTest::modelsThatCannotBeUsedAreExplained()
{
    Bench bench;
    bench.show({{"clean", "dabef"}, {"corrupted", "cabef"}});
    bench.session.openModel(test::cutModel(bench.folder.path()));
    QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains("cut.safetensors"), qPrintable(bench.panel->errorText()), kPatience);
    QVERIFY(!bench.run()->isEnabled());
    bench.session.openModel(test::nanModel(bench.folder.path()));
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    QTest::mouseClick(bench.run(), Qt::LeftButton);
    QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains("NaN"), qPrintable(bench.panel->errorText()), kPatience);
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.run()->isVisible(), kPatience);
    bench.open(intervene::copyingModel());
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().isEmpty() && bench.run()->isEnabled(), kPatience);
}

void PatchingPanelTest::whatCannotBeUsedIsNamed()
{
    Bench bench;
    bench.show({{"text", false}, {"clean", "0"}, {"corrupted", "1"}});
    test::checkFault(
        bench, "run", [&] { return bench.run()->isVisible() && bench.run()->isEnabled(); }, "status");
}

void PatchingPanelTest::aReplacedFileIsReadAnew()
{
    QTemporaryDir folder;
    PatchSubject subject;
    subject.model = folder.filePath("model.safetensors");
    PatchOpener opener;
    const auto open = [&] { return opener.prepare(subject, nullptr, {})->model; };
    models::saveModel(subject.model.toStdString(), gpt(2, 8, 8));
    const auto first = open();
    QCOMPARE(open(), first);
    models::saveModel(subject.model.toStdString(), gpt(3, 8, 8));
    QVERIFY(open()->graph->hash() != first->graph->hash());
}

void PatchingPanelTest::stateSurvivesARestart()
{
    Bench bench;
    bench.show();
    bench.open(intervene::copyingModel());
    bench.type("clean", "dabef");
    bench.type("corrupted", "cabef");
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    auto* button = bench.child<QCheckBox>("component_attn_out");
    QVERIFY(button);
    button->setFocus();
    QTest::keyClick(button, Qt::Key_Space);
    bench.type("places", "embed");
    const auto state = bench.panel->saveState();
    bench.show(state);
    QTRY_VERIFY_WITH_TIMEOUT(bench.run()->isEnabled(), kPatience);
    QVERIFY(bench.panel->saveState() == state);
    QCOMPARE(bench.child<QLineEdit>("clean")->text(), QString("dabef"));
    QVERIFY(bench.child<QCheckBox>("component_attn_out")->isChecked());
    QVERIFY(bench.child<QCheckBox>("component_resid_pre")->isChecked());
    bench.panel->restoreState(core::Json::parse(R"({"clean": 3, "components": "z", "settings": [], "text": "x"})"));  // older or damaged
}

QTEST_MAIN(PatchingPanelTest)
#include "patching_test.moc"
