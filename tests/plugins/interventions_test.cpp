// The Interventions panel: from an empty state to numbers that equal core's, both editors, undo, a run cancelled in the middle, state after a restart.
#include <ATen/ATen.h>

#include <QAction>
#include <QComboBox>
#include <QFloat16>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QTabWidget>
#include <QTableWidget>
#include <QTextBrowser>
#include <QUndoStack>

#include <core/base/text.h>
#include <core/catalogue.h>
#include <core/intervene/intervention.h>
#include <core/jobs/queue.h>
#include <core/models/model_file.h>
#include <core/text/mask_token.h>
#include <core/train/card_inputs.h>
#include <core/train/samples.h>
#include <core/train/text_batch.h>
#include <core/zoo/zoo.h>
#include <plugins/interventions/interventions_panel.h>
#include <widgets/commands.h>
#include <widgets/document_editor.h>
#include <widgets/export.h>
#include <widgets/heat_map_view.h>
#include <widgets/lines_edit.h>
#include <widgets/numbers.h>

#include "../core/train/bert_folder.h"
#include "../widgets/shots.h"
#include "damaged_models.h"
#include "panel_faults.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using core::Json;
using Bench = test::PanelBench<InterventionsPanel>;

namespace {

const Json kSmall{{"id", "mlp"}, {"hidden", {8}}};
/// A small model of bytes as a file, so that its card has a tokenizer.
QString byteModel(const Bench& bench, int longest)
{
    auto model = zoo::buildModel("gpt", {{"vocabulary", 256}, {"block_length", longest}, {"layers", 2}, {"heads", 2}, {"width", 16}}, 1);
    model.card.tokenizer = {{"kind", "bytes"}};
    const QString file = bench.folder.filePath("bytes.safetensors");
    models::saveModel(file.toStdString(), model);
    return file;
}

Json entry(const Json& at, const Json& doing, const Json& unit = Json::object())
{
    return {{"at", at}, {"unit", unit}, {"do", doing}};
}

QPushButton* runButton(const Bench& bench)
{
    return bench.child<QPushButton>("run");
}
bool isReady(const Bench& bench)
{
    return runButton(bench)->isVisible() && runButton(bench)->isEnabled();
}
QAction* action(const Bench& bench, const QString& text)
{
    for (auto* found : bench.panel->actions())
        if (found->text() == text)
            return found;
    return nullptr;
}
QString summary(const Bench& bench)
{
    return bench.child<QLabel>("summary")->text();
}

/// The same by core alone.
intervene::InterventionResult expected(const Bench& bench, store::RunId run, std::int64_t sample, const Json& list,
                                       std::vector<std::string> probes = {})
{
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const auto data = train::dataOfRun(*bench.workspace(), run);
    const auto index = data->split(data::Split::Test)[std::size_t(sample)];
    intervene::InterventionRequest request;
    request.inputs = {data->fetch({&index, 1}).inputs[0]};
    request.probes = std::move(probes);
    return intervene::runIntervened(graph::Executor(model.graph), model.weights, model.card, intervene::InterventionDocument::fromJson(list),
                                    request);
}

}  // namespace

class InterventionsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void emptyStatesSayWhatToDo();
    void changedProbabilitiesEqualCore();
    void listAndTextAreOneDocument();
    void faultsStandWhereTheyAre();
    void sourcesGiveTheirValues();
    void textsAreWrittenBothWays();
    void aPairOfTextsIsRead();
    void theAnswerIsThatOfAChosenPosition();
    void aSourceIsAPairOfTexts();
    void aRunIsCancelledInTheMiddle_data() { test::addWaysToEnd(); }
    void aRunIsCancelledInTheMiddle();
    void documentsAreSavedKeptAndOpened();
    void unitsAreTypedAsText();
    void modelsThatCannotBeUsedAreExplained();
    void whatCannotBeUsedIsNamed_data() { test::addFaults(); }
    void whatCannotBeUsedIsNamed();
    void numbersThatAreNotFiniteAreSaid();
    void stateSurvivesARestart();
};

void InterventionsTest::emptyStatesSayWhatToDo()
{
    Bench bench;
    bench.show();
    QTRY_VERIFY(bench.panel->isShowingEmptyState());
    QCOMPARE(bench.panel->commandLine(), QString());
    bench.session.openModel("zoo:mlp?features=4&classes=3");
    QTRY_VERIFY(bench.panel->errorText().contains("expected a sample of a data set, or a text"));
    QVERIFY(!runButton(bench)->isEnabled());
    bench.session.changeSelection([](widgets::Selection& s) { s.data = {{"id", "iris"}}; });
    QTRY_VERIFY(isReady(bench));
    QVERIFY(bench.panel->errorText().isEmpty());
}

void InterventionsTest::changedProbabilitiesEqualCore()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 5);
    bench.show();
    bench.session.selectRuns({run});
    bench.session.changeSelection([](widgets::Selection& s) {
        s.samples = {4};
        s.valuePath = "relu";
    });
    QTRY_VERIFY(isReady(bench));
    action(bench, "Add")->trigger();
    auto* place = bench.child<QLineEdit>("place");
    QCOMPARE(place->text(), QString("relu"));  // the selected value
    auto* feature = bench.child<QLineEdit>("feature");
    feature->setFocus();
    QTest::keyClicks(feature, "0..3");
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    auto* table = bench.child<QTableWidget>("changes");
    QTRY_VERIFY(table->rowCount() == 3);
    const auto result = expected(bench, run, 4, Json::array({entry("relu", "zero", {{"feature", {0, 1, 2, 3}}})}), {"relu"});
    QVERIFY2(summary(bench).contains(widgets::shownNumber(result.divergence.item<double>())), qPrintable(summary(bench)));
    QVERIFY(result.divergence.item<double>() > 0);
    const auto changes = intervene::topChanges(result.plain[0], result.intervened[0], 3);
    for (int row = 0; row < 3; ++row) {
        const auto& change = changes[std::size_t(row)];
        QCOMPARE(table->item(row, 1)->toolTip().toDouble(), change.before);
        QCOMPARE(table->item(row, 2)->toolTip().toDouble(), change.after);
        QCOMPARE(table->item(row, 4)->toolTip().toDouble(), change.logitAfter);
    }
    // The selected value is what is compared.
    auto* map = bench.child<widgets::HeatMapView>("difference");
    QCOMPARE(map->columns(), 8);
    const auto& [before, after] = result.values.begin()->second;
    for (int column = 0; column < 8; ++column)
        QCOMPARE(map->value(0, column), after[0][column].item<double>() - before[0][column].item<double>());
    // Stored with the run, with the document.
    const auto analyses = bench.workspace()->analyses(run, "intervene");
    QCOMPARE(analyses.size(), std::size_t(1));
    QCOMPARE(analyses[0].parameters["interventions"][0]["do"]["id"], Json("zero"));
    QCOMPARE(analyses[0].artifacts.size(), std::size_t(3));
    QTRY_VERIFY(bench.panel->isIdle());
    QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
    takeShots(*bench.panel, "interventions-answer");
    // What is changed afterwards is said until it is taken back.
    QVERIFY(!bench.panel->isShownOutdated());
    feature->setFocus();
    feature->end(false);
    QTest::keyClicks(feature, ", 5");
    QTRY_VERIFY(bench.panel->isShownOutdated());
    takeShots(*bench.panel, "interventions-outdated");
    for (int i = 0; i < 3; ++i)
        QTest::keyClick(feature, Qt::Key_Backspace);
    QTRY_VERIFY(!bench.panel->isShownOutdated());
    auto* tabs = bench.panel->findChildren<QTabWidget*>().back();
    for (auto* found : bench.panel->findChildren<QTabWidget*>())
        if (found->tabText(0).contains("Answer"))
            tabs = found;
    tabs->setCurrentIndex(2);
    takeShots(*bench.panel, "interventions-value");
}

void InterventionsTest::listAndTextAreOneDocument()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.model = "zoo:mlp?features=4&classes=3";
        s.data = {{"id", "iris"}};
    });
    QTRY_VERIFY(isReady(bench));
    auto* list = bench.child<QTableWidget>("interventions");
    auto* editor = bench.panel->findChild<widgets::DocumentEditor*>();
    editor->editor()->setFocus();
    editor->editor()->selectAll();
    editor->editor()->insertPlainText(R"({"interventions": [{"at": "fc1", "do": "zero"}, {"at": "out", "do": {"id": "add", "value": 2}}]})");
    QTRY_COMPARE(list->rowCount(), 2);
    QCOMPARE(list->item(1, 3)->text(), QString("add, value 2"));
    // The box switches an entry off, in the text as well; undo and redo go through the session's stack.
    list->item(0, 0)->setCheckState(Qt::Unchecked);
    QCOMPARE(bench.panel->model().entries()[0]["enabled"], Json(false));
    QVERIFY(editor->text().contains("false"));
    bench.session.undoStack().undo();
    QCOMPARE(list->item(0, 0)->checkState(), Qt::Checked);
    bench.session.undoStack().redo();
    QCOMPARE(list->item(0, 0)->checkState(), Qt::Unchecked);
    list->setCurrentCell(1, 1);
    QCOMPARE(bench.child<QLineEdit>("place")->text(), QString("out"));
    action(bench, "Up")->trigger();
    QCOMPARE(list->item(0, 1)->text(), QString("out"));
    action(bench, "Remove")->trigger();
    QCOMPARE(list->rowCount(), 1);
    QCOMPARE(bench.panel->model().entries()[0]["at"], Json("fc1"));
    // Typing in one field is one step.
    const int steps = bench.session.undoStack().count();
    auto* place = bench.child<QLineEdit>("place");
    place->setFocus();
    place->selectAll();
    QTest::keyClicks(place, "op:relu");
    QCOMPARE(bench.session.undoStack().count(), steps + 1);
    QCOMPARE(bench.panel->model().entries()[0]["at"], Json("op:relu"));
    auto* kind = bench.child<QComboBox>("kind");
    kind->setCurrentIndex(kind->findData("noise"));
    QCOMPARE(bench.panel->model().entries()[0]["do"]["id"], Json("noise"));
    takeShots(*bench.panel, "interventions-list");
}

void InterventionsTest::faultsStandWhereTheyAre()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.model = "zoo:mlp?features=4&classes=3";
        s.data = {{"id", "iris"}};
    });
    QTRY_VERIFY(isReady(bench));
    bench.panel->model().edit({{"interventions", Json::array({entry("fc1", "zeros")})}}, "edit");
    QVERIFY(!runButton(bench)->isEnabled());
    QVERIFY(bench.child<QLabel>("issues")->text().contains("did you mean \"zero\"?"));
    // Faults that only the model knows come from the run, with core's words.
    bench.panel->model().edit({{"interventions", Json::array({entry("fc9", "zero")})}}, "edit");
    QTRY_VERIFY(isReady(bench));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains("did you mean \"fc1\"?"), qPrintable(bench.panel->errorText()));
    bench.panel->model().edit({{"interventions", Json::array({entry("fc1", "zero", {{"feature", 100000}})})}}, "edit");
    QTRY_VERIFY(isReady(bench));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains("the axis has size"), qPrintable(bench.panel->errorText()));
    QTRY_VERIFY(bench.panel->isIdle());
}

void InterventionsTest::sourcesGiveTheirValues()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 2);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(isReady(bench));
    action(bench, "Add source")->trigger();
    auto* sources = bench.child<QTableWidget>("sources");
    QCOMPARE(sources->item(0, 0)->text(), QString("clean"));
    sources->item(0, 1)->setText("sample:7");
    auto swap = entry("relu", "interchange");
    swap["source"] = "clean";
    bench.panel->model().edit({{"interventions", Json::array({swap})}}, "edit");
    QCOMPARE(bench.child<QComboBox>("source")->currentText(), QString("clean"));
    QVERIFY(bench.panel->commandLine().contains("--source clean=sample:7"));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    auto* table = bench.child<QTableWidget>("changes");
    QTRY_VERIFY(table->rowCount() == 3);
    // All of the hidden layer is sample 7's, so the answer is sample 7's.
    const auto other = expected(bench, run, 7, Json());
    const auto probabilities = at::softmax(other.plain[0].to(at::kDouble), 0);
    for (int row = 0; row < 3; ++row)
        QCOMPARE(table->item(row, 2)->toolTip().toDouble(), probabilities[table->item(row, 0)->data(Qt::UserRole + 2).toLongLong()].item<double>());
}

void InterventionsTest::textsAreWrittenBothWays()
{
    Bench bench;
    bench.show({{"text", "In the"}, {"new_tokens", 5}, {"result_tab", 1}});
    bench.session.openModel(byteModel(bench, 64));
    QTRY_VERIFY(isReady(bench));
    bench.panel->model().edit({{"interventions", Json::array({entry("blocks.1.attn_out", {{"id", "add"}, {"value", 5}}, {{"feature", {0, 3}}})})}},
                              "edit");
    QTRY_VERIFY(isReady(bench));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    auto* texts = bench.child<QTextBrowser>("texts");
    QTRY_VERIFY2(texts->toPlainText().contains("Without") || !bench.panel->errorText().isEmpty(), "no text");
    QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
    QVERIFY(bench.panel->commandLine().contains("--generate 5"));
    QTRY_VERIFY(bench.panel->isIdle());
    takeShots(*bench.panel, "interventions-text");
}

void InterventionsTest::aPairOfTextsIsRead()
{
    const test::BertFolder given("bert-sequence");
    const auto [model, inputs] = given.pairModel("god saw the light", "it was good");
    const Json list = Json::array({entry("blocks.0.attn_out", "zero")});
    intervene::InterventionRequest request;
    request.inputs = inputs;
    const auto result =
        intervene::runIntervened(graph::Executor(model.graph), model.weights, model.card, intervene::InterventionDocument::fromJson(list), request);
    Bench bench;
    bench.show({{"document", {{"interventions", list}}}});
    bench.session.openModel(QString::fromStdString(given.folder.string()));
    // A text that is not typed yet is no mistake.
    QTRY_VERIFY2(bench.child<QLabel>("input")->text().contains("Type a text"), qPrintable(bench.panel->errorText()));
    QVERIFY(bench.panel->errorText().isEmpty() && !runButton(bench)->isEnabled());
    bench.child<widgets::LinesEdit>("text")->setFocus();
    QTest::keyClicks(bench.child<widgets::LinesEdit>("text"), "god saw the light");
    QTest::keyClicks(bench.child<widgets::LinesEdit>("pair"), "it was good");
    QTest::keyClick(bench.child<widgets::LinesEdit>("pair"), Qt::Key_Return);
    QTRY_VERIFY(isReady(bench));
    const auto tokens = QString::number(inputs[0].toTensor().size(1));
    QVERIFY2(bench.child<QLabel>("input")->text().contains(tokens), qPrintable(bench.child<QLabel>("input")->text()));
    QVERIFY2(bench.panel->commandLine().contains("--pair"), qPrintable(bench.panel->commandLine()));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(!summary(bench).isEmpty() && bench.panel->isIdle(), qPrintable(bench.panel->errorText()));
    QVERIFY2(summary(bench).contains(widgets::shownNumber(result.divergence.item<double>())), qPrintable(summary(bench)));
    takeShots(*bench.panel, "interventions-pair");
    // Without the second text the model is opened as for one.
    auto* pair = bench.child<widgets::LinesEdit>("pair");
    pair->setFocus();
    pair->clear();
    QTest::keyClick(pair, Qt::Key_Return);
    QTRY_VERIFY(bench.panel->isIdle() && !bench.child<QLabel>("input")->text().contains(tokens));
    QVERIFY(!bench.panel->commandLine().contains("--pair"));
}

void InterventionsTest::theAnswerIsThatOfAChosenPosition()
{
    const test::BertFolder given;
    const auto model = models::openModel(given.folder.string());
    const train::GivenText text{"god [MASK] the light", {}};
    const Json list = Json::array({entry("blocks.0.attn_out", "zero")});
    intervene::InterventionRequest request;
    request.inputs = train::textInputs(model, {&text, 1});
    const auto result =
        intervene::runIntervened(graph::Executor(model.graph), model.weights, model.card, intervene::InterventionDocument::fromJson(list), request);
    const auto tokens = request.inputs[0].toTensor()[0];
    const auto mask = *text::maskId(*text::tokenizerOf(model.card));
    const auto masked = (tokens == mask).nonzero().item<std::int64_t>();
    const auto told = [&](std::int64_t position) {
        return QString("Answer at position %1\nKL divergence: %2 nats")
            .arg(position)
            .arg(widgets::shownNumber(result.divergence[0][position].item<double>()));
    };
    Bench bench;
    bench.show({{"text", text.text}, {"document", {{"interventions", list}}}});
    bench.session.openModel(QString::fromStdString(given.folder.string()));
    QTRY_VERIFY(isReady(bench));
    auto* position = bench.child<QSpinBox>("position");
    QVERIFY(position->isVisible() && position->value() == -1);
    QCOMPARE(position->maximum(), int(tokens.numel()) - 1);
    QVERIFY(!bench.panel->commandLine().contains("--position"));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(summary(bench).contains(told(masked)) || !bench.panel->errorText().isEmpty(), qPrintable(summary(bench)));
    QTRY_VERIFY(bench.panel->isIdle());
    position->setValue(0);
    QVERIFY(bench.panel->commandLine().contains("--position 0"));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(summary(bench).contains(told(0)) || !bench.panel->errorText().isEmpty(), qPrintable(summary(bench)));
    QTRY_VERIFY(bench.panel->isIdle());
    takeShots(*bench.panel, "interventions-position");
    // A model with one answer for the whole text has no such place.
    const test::BertFolder pairs("bert-sequence");
    bench.session.openModel(QString::fromStdString(pairs.folder.string()));
    QTRY_VERIFY(isReady(bench) && !position->isVisible());
    QVERIFY(!bench.panel->commandLine().contains("--position"));
}

void InterventionsTest::aSourceIsAPairOfTexts()
{
    const test::BertFolder given("bert-sequence");
    const auto [model, inputs] = given.pairModel("god saw the day", "it was good");
    const auto source = given.pairModel("god saw the light", "it was good").second;
    auto taken = entry("blocks.1.resid_pre", "interchange", {{"position", {3, 4}}});
    taken["source"] = "clean";
    const Json list = Json::array({taken});
    intervene::InterventionRequest request;
    request.inputs = inputs;
    request.sources = {{"clean", source}};
    const auto result =
        intervene::runIntervened(graph::Executor(model.graph), model.weights, model.card, intervene::InterventionDocument::fromJson(list), request);
    QVERIFY(result.divergence.item<double>() > 0);
    Bench bench;
    const QString word = R"(pair:["god saw the light", "it was good"])";
    bench.show({{"text", "god saw the day"},
                {"pair", "it was good"},
                {"document", {{"interventions", list}}},
                {"sources", {{{"name", "clean"}, {"given", word.toStdString()}}}}});
    bench.session.openModel(QString::fromStdString(given.folder.string()));
    QTRY_VERIFY(isReady(bench));
    QVERIFY2(bench.panel->commandLine().contains("--source 'clean=" + word + "'"), qPrintable(bench.panel->commandLine()));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(!summary(bench).isEmpty() && bench.panel->isIdle(), qPrintable(bench.panel->errorText()));
    QVERIFY2(summary(bench).contains(widgets::shownNumber(result.divergence.item<double>())), qPrintable(summary(bench)));
    // Without a pair of its own the text is read by the same model, as the one it is.
    auto* pair = bench.child<widgets::LinesEdit>("pair");
    pair->setFocus();
    pair->clear();
    QTest::keyClick(pair, Qt::Key_Return);
    QTRY_VERIFY(bench.panel->isIdle() && bench.panel->errorText().isEmpty() && isReady(bench));
    // A model that goes on writing reads no pairs: what was typed for another is hidden and left out.
    pair->setText("it was good");
    bench.session.openModel(byteModel(bench, 64));
    QTRY_VERIFY(isReady(bench) && bench.child<widgets::LinesEdit>("text")->isVisible() && !pair->isVisible());
    QVERIFY(!bench.panel->commandLine().contains("--pair"));
}

void InterventionsTest::aRunIsCancelledInTheMiddle()
{
    QFETCH(bool, fromOutside);
    Bench bench;
    bench.show({{"text", "a"}, {"new_tokens", 20000}});
    bench.session.openModel(byteModel(bench, 20000));
    QTRY_VERIFY(isReady(bench));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY(!bench.session.jobs().jobs().empty() && bench.session.jobs().jobs().back().kind == "intervene");
    QTRY_VERIFY(bench.child<QPushButton>("cancel")->isVisible());
    QTest::qWait(300);
    QVERIFY(!bench.panel->isIdle());
    test::endJob(bench.session, bench.child<QPushButton>("cancel"), fromOutside);
    QTRY_VERIFY(isReady(bench));
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    QTRY_VERIFY(bench.panel->isIdle());
    QVERIFY(summary(bench).contains("Press Run"));
}

void InterventionsTest::documentsAreSavedKeptAndOpened()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(isReady(bench));
    bench.panel->model().edit({{"interventions", Json::array({entry("relu", "zero")})}}, "edit");
    for (const char* name : {"i.json", "i.yaml"}) {
        const QString file = bench.folder.filePath(name);
        widgets::askSaveFile() = [file](QWidget*, const QString&, const QString&) { return file; };
        action(bench, "Save…")->trigger();
        bench.panel->model().edit({{"interventions", Json::array()}}, "edit");
        widgets::askOpenFile() = [file](QWidget*, const QString&, const QString&) { return file; };
        action(bench, "Open…")->trigger();
        QCOMPARE(bench.panel->model().entries().size(), std::size_t(1));
        QCOMPARE(bench.panel->model().entries()[0]["at"], Json("relu"));
    }
    bench.panel->askName = [](const QString&) { return QString("mine"); };
    action(bench, "Keep with run…")->trigger();
    QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
    QCOMPARE(intervene::documentsOfRun(*bench.workspace(), run), std::vector<std::string>{"mine"});
    bench.panel->model().edit({{"interventions", Json::array()}}, "edit");
    action(bench, "Kept…")->trigger();
    QCOMPARE(bench.panel->model().entries().size(), std::size_t(1));
    bench.panel->askName = [](const QString&) { return QString("main"); };
    action(bench, "Kept…")->trigger();
    QVERIFY2(bench.panel->errorText().contains("did you mean \"mine\"?"), qPrintable(bench.panel->errorText()));
}

void InterventionsTest::unitsAreTypedAsText()
{
    QCOMPARE(indexFromText(" 3 "), Json(3));
    QCOMPARE(indexFromText("last"), Json("last"));
    QCOMPARE(indexFromText("1, 2..5"), Json({1, {{"from", 2}, {"to", 5}}}));
    QCOMPARE(indexFromText(""), Json());
    QCOMPARE(indexFromText("0-3"), Json({{"from", 0}, {"to", 3}}));
    QCOMPARE(indexFromText("-3"), Json(-3));
    QCOMPARE(indexFromText("-3-1"), Json("-3-1"));
    for (const char* text : {"3", "-1", "first", "1, 4", "2..-1", "1, 2..5"})
        QCOMPARE(textFromIndex(indexFromText(text)), QString(text));
    QCOMPARE(unitText({{"head", 3}, {"position", "last"}}), QString("head 3; position last"));
}

void InterventionsTest::modelsThatCannotBeUsedAreExplained()
{
    Bench bench;
    bench.show();
    bench.session.openModel(test::cutModel(bench.folder.path()));
    QTRY_VERIFY2(bench.panel->errorText().contains("cut.safetensors"), qPrintable(bench.panel->errorText()));
    QVERIFY(!isReady(bench));
    // A sound model and a text that it cannot read whole.
    models::saveModel(bench.folder.filePath("copying.safetensors").toStdString(), intervene::copyingModel());
    bench.session.openModel(bench.folder.filePath("copying.safetensors"));
    QTRY_VERIFY(bench.panel->errorText().isEmpty() && bench.child<widgets::LinesEdit>("text")->isVisible());
    auto* text = bench.child<widgets::LinesEdit>("text");
    text->setFocus();
    QTest::keyClicks(text, "abcdef");
    QTest::keyClick(text, Qt::Key_Return);
    QTRY_VERIFY2(bench.panel->errorText().contains("expected at most 5 tokens (the model's longest sequence), got 6"),
                 qPrintable(bench.panel->errorText()));
    QCOMPARE(text->text(), QString("abcdef"));
    QTRY_VERIFY(bench.panel->isIdle());
}

void InterventionsTest::whatCannotBeUsedIsNamed()
{
    Bench bench;
    bench.show();
    test::checkFault(bench, "run", [&] { return isReady(bench); });
}

void InterventionsTest::numbersThatAreNotFiniteAreSaid()
{
    Bench bench;
    bench.show();
    bench.session.openModel(test::nanModel(bench.folder.path()));
    bench.session.changeSelection([](widgets::Selection& s) {
        s.data = {{"id", "repeated_sequences"}, {"vocabulary", 6}, {"length", 2}, {"shortest", 2}, {"samples", 40}};
        s.samples = {0};
    });
    QTRY_VERIFY(isReady(bench));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains("NaN before anything is changed"), qPrintable(bench.panel->errorText()));
    QTRY_VERIFY(isReady(bench));
    // A sound model, made to overflow.
    bench.session.changeSelection([](widgets::Selection& s) {
        s.model = "zoo:mlp?features=4&classes=3";
        s.data = {{"id", "iris"}};
    });
    QTRY_VERIFY(isReady(bench) && bench.panel->errorText().isEmpty());
    bench.panel->model().edit({{"interventions", Json::array({entry("fc1", {{"id", "scale"}, {"factor", 1e300}})})}}, "edit");
    QTRY_VERIFY(isReady(bench));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY2(summary(bench).contains("The changed answer is not finite"), qPrintable(summary(bench) + bench.panel->errorText()));
    QTRY_VERIFY(bench.panel->isIdle());
}

void InterventionsTest::stateSurvivesARestart()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(isReady(bench));
    bench.panel->model().edit({{"interventions", Json::array({entry("relu", "zero", {{"feature", 2}})})}}, "edit");
    action(bench, "Add source")->trigger();
    bench.child<QLineEdit>("probe")->setText("fc1");
    const auto state = bench.panel->saveState();
    bench.panel.reset();
    bench.show(state);
    QCOMPARE(bench.child<QTableWidget>("interventions")->item(0, 2)->text(), QString("feature 2"));
    QCOMPARE(bench.child<QTableWidget>("sources")->item(0, 1)->text(), QString("sample:0"));
    QCOMPARE(bench.child<QLineEdit>("probe")->text(), QString("fc1"));
    QTRY_VERIFY(isReady(bench));
    const QString command = bench.panel->commandLine();
    QVERIFY2(command.contains(QString("run:%1").arg(run)) && command.contains("--spec") && command.contains("--probe fc1"), qPrintable(command));
    bench.panel->restoreState({{"document", 3}, {"sources", "none"}, {"tab", 99}, {"new_tokens", "x"}});
    QTRY_VERIFY(bench.panel->isIdle());
}

QTEST_MAIN(InterventionsTest)
#include "interventions_test.moc"
