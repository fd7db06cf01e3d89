// The Debugger panel: stepping with keys and mouse, breakpoints in the gutter, values and edits equal to core's, profile and divergence, cancel, state after a restart.
#include <QApplication>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QScrollBar>
#include <QTabWidget>
#include <QTableView>
#include <QTableWidget>
#include <QToolBar>
#include <QToolButton>
#include <QTreeWidget>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/catalogue.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>
#include <plugins/debugger/debugger_panel.h>
#include <plugins/debugger/divergence_page.h>
#include <plugins/debugger/flame_view.h>
#include <plugins/debugger/profile_page.h>
#include <plugins/debugger/program_view.h>
#include <plugins/debugger/step_page.h>
#include <widgets/plot_view.h>
#include <widgets/table_view.h>
#include <widgets/tensor_table.h>

#include "../core/graph/sample_graphs.h"
#include "../core/train/bert_folder.h"
#include "../widgets/shots.h"
#include "damaged_models.h"
#include "model_faults.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 30000;

graph::Model smallGpt()
{
    auto model = zoo::buildModel("gpt", {{"layers", 2}, {"heads", 2}, {"width", 16}, {"vocabulary", 256}, {"block_length", 32}}, 3);
    model.card.tokenizer = {{"kind", "bytes"}};
    return model;
}

struct Bench : test::PanelBench<DebuggerPanel> {
    using PanelBench::PanelBench;
    graph::Model model;

    void show(const core::Json& state = core::Json::object())
    {
        PanelBench::show(state);
        panel->activateWindow();  // shortcuts belong to the active window
        QVERIFY(QTest::qWaitForWindowActive(panel.get()));
    }
    QString file(const char* name = "model.safetensors") const { return folder.filePath(QString::fromLatin1(name)); }
    void open(const graph::Model& opened)
    {
        model = opened;
        models::saveModel(file().toStdString(), model);
        session.openModel(file());
    }
    StepPage* step() const { return panel->findChild<StepPage*>(); }
    ProgramView* program() const { return child<ProgramView>("program"); }
    QTreeWidget* values() const { return child<QTreeWidget>("values"); }
    QString place() const { return child<QLabel>("place")->text(); }
    bool ready() const { return panel->isIdle() && step()->debugSession() && !program()->model()->index(0, 0).data().isNull(); }
    void waitReady() const { QTRY_VERIFY_WITH_TIMEOUT(ready() && !place().isEmpty(), kPatience); }
    void press(int key, Qt::KeyboardModifiers modifiers = {}) const
    {
        program()->setFocus();
        QTest::keyClick(program(), Qt::Key(key), modifiers);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle(), kPatience);
    }
    void type(const char* name, const QString& text) const
    {
        auto* line = child<QLineEdit>(name);
        line->setFocus();
        line->selectAll();
        QTest::keyClicks(line, text);
        QTest::keyClick(line, Qt::Key_Return);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle(), kPatience);
    }
    void showTab(const char* tabs, int index) const { child<QTabWidget>(tabs)->setCurrentIndex(index); }
    int rowOf(const char* value) const
    {
        const auto& lines = step()->debugSession()->lines();
        return program()->program()->rowOfLine(lines.lineOf(*lines.graph()->findValue(value)));
    }
    QTreeWidgetItem* item(const QString& name) const
    {
        QTreeWidgetItemIterator it(values());
        for (; *it; ++it)
            if ((*it)->data(0, Qt::UserRole).toString() == name)
                return *it;
        return nullptr;
    }
};

}  // namespace

class DebuggerPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }

    void emptyStatesSayWhatToDo()
    {
        Bench without(false);
        without.show();
        QTRY_VERIFY_WITH_TIMEOUT(without.panel->isShowingEmptyState(), kPatience);
        QCOMPARE(without.panel->commandLine(), QString());
        Bench bench;
        bench.show();
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isShowingEmptyState(), kPatience);
        bench.open(smallGpt());
        QTRY_VERIFY_WITH_TIMEOUT(!bench.panel->isShowingEmptyState(), kPatience);
    }

    void keysStepThroughModules()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        QVERIFY2(bench.place().contains("call of blocks.0"), qPrintable(bench.place()));
        bench.panel->resize(580, 520);  // the room that it has in a window of 1280 x 800: nothing has to be scrolled
        QTRY_COMPARE(bench.panel->findChild<QScrollArea*>()->verticalScrollBar()->maximum(), 0);
        QVERIFY(bench.program()->height() > 60 && bench.values()->height() > 40);
        bench.press(Qt::Key_F10);
        QVERIFY2(bench.place().contains("call of blocks.1"), qPrintable(bench.place()));
        bench.press(Qt::Key_F11);
        QVERIFY2(bench.place().contains("call of blocks.1.norm"), qPrintable(bench.place()));
        bench.press(Qt::Key_F10);
        QVERIFY2(bench.place().contains(": blocks.1.tanh (aten::tanh)"), qPrintable(bench.place()));
        bench.press(Qt::Key_F10, Qt::ShiftModifier);  // back
        QVERIFY2(bench.place().contains("blocks.1.norm.layer_norm"), qPrintable(bench.place()));
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.place().contains("at the end"), qPrintable(bench.place()));
        QVERIFY(bench.item("head.linear"));
    }

    void theGutterSetsBreakpoints()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        const QModelIndex mark = bench.program()->model()->index(bench.rowOf("blocks.1.tanh"), ProgramModel::Mark);
        bench.program()->scrollTo(mark);
        QTest::mouseClick(bench.program()->viewport(), Qt::LeftButton, {}, bench.program()->visualRect(mark).center());
        QTRY_COMPARE_WITH_TIMEOUT(mark.data().toString(), QStringLiteral("●"), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.place().contains("breakpoint 1") && bench.place().contains("blocks.1.tanh"), qPrintable(bench.place()));
        QCOMPARE(mark.data().toString(), QStringLiteral("●➜"));
        QTest::mouseClick(bench.program()->viewport(), Qt::LeftButton, {}, bench.program()->visualRect(mark).center());
        QTRY_COMPARE_WITH_TIMEOUT(mark.data().toString(), QStringLiteral("➜"), kPatience);
        QVERIFY(bench.panel->commandLine().contains("--command 'break blocks.1.tanh' --command continue --command 'delete 1'"));
    }

    void valuesEqualCoreAndCanBeEdited()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        bench.press(Qt::Key_F5);
        auto* table = bench.child<widgets::TensorTable>("numbers");
        const at::Tensor x = at::zeros({1, 6});
        const at::Tensor before = graph::runOn(bench.model, {x}).tensor();
        QTRY_COMPARE_WITH_TIMEOUT(table->shape(), (std::vector<std::int64_t>{1, 4}), kPatience);
        const auto numbers = table->toCsv().split('\n')[0];
        QVERIFY2(std::abs(numbers.split(',')[0].toDouble() - before[0][0].item<double>()) < 1e-5 || !numbers[0].isDigit(),
                 qPrintable(table->toCsv()));
        QCOMPARE(bench.item("head.linear")->text(3).left(5), QString::number(before.max().item<double>(), 'g', 5).left(5));
        bench.item("blocks.1.add")->treeWidget()->setCurrentItem(bench.item("blocks.1.add"));
        QTRY_COMPARE_WITH_TIMEOUT(table->shape(), (std::vector<std::int64_t>{1, 6}), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        table->setCurrentIndex({0, 2});
        bench.type("edit", "2.5");
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        QTRY_COMPARE_WITH_TIMEOUT(table->currentIndex(), (std::vector<std::int64_t>{0, 2}), kPatience);  // the next number goes to the same cell
        graph::RunRequest request;
        request.keep = {"blocks.1.add"};
        at::Tensor edited = graph::runOn(bench.model, {x}, request).values.at("blocks.1.add").toTensor().clone();
        edited[0][2] = 2.5;
        graph::RunRequest changed;
        changed.probes = {graph::Probe::setting("blocks.1.add", edited)};
        const at::Tensor after = graph::runOn(bench.model, {x}, changed).tensor();
        const auto tensor = bench.step()->debugSession()->tensor("head.linear", {});
        for (int i = 0; i < 4; ++i)
            QCOMPARE(tensor.values[std::size_t(i)], after[0][i].item<float>());
        QVERIFY(!at::allclose(before, after));
    }

    void conditionsWatchesAndThePrompt()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        bench.showTab("stepTabs", 1);
        bench.type("watchLine", "max(blocks.0.norm.layer_norm)");
        auto* watches = bench.child<QTableWidget>("watches");
        QCOMPARE(watches->rowCount(), 1);
        QVERIFY(watches->item(0, 1)->text().contains("not computed yet"));
        bench.showTab("stepTabs", 2);
        bench.type("breakLine", "blocks.1.* if max > -100");
        QCOMPARE(bench.child<QListWidget>("breakpoints")->count(), 1);
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.place().contains("breakpoint 1: blocks.1."), qPrintable(bench.place()));
        QVERIFY2(watches->item(0, 1)->text().contains("float64"), qPrintable(watches->item(0, 1)->text()));
        bench.showTab("stepTabs", 3);
        bench.type("prompt", "print sum(x)");
        QVERIFY(bench.child<QPlainTextEdit>("console")->toPlainText().contains("sum(x) = float64 [] [0]"));
        bench.type("prompt", "print nothing");
        QVERIFY2(bench.panel->errorText().contains("there is no value \"nothing\""), qPrintable(bench.panel->errorText()));
    }

    void theBackwardPassListsGradients()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        bench.showTab("stepTabs", 3);
        bench.type("prompt", "backward head.linear[0, 1]");
        bench.press(Qt::Key_F5);
        bench.showTab("stepTabs", 0);
        QVERIFY2(bench.place().contains("backward"), qPrintable(bench.place()));
        QVERIFY(bench.item("x"));
        const auto tensor = bench.step()->debugSession()->tensor("head.bias", {});
        QCOMPARE(tensor.values, (std::vector<float>{0, 1, 0, 0}));
        bench.type("prompt", "forward");
        QVERIFY(!bench.step()->view().backward);
    }

    void theSelectionIsLinked()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        bench.press(Qt::Key_F5);
        bench.values()->setCurrentItem(bench.item("blocks.0.tanh"));
        QTRY_COMPARE_WITH_TIMEOUT(bench.session.selection().valuePath, QStringLiteral("blocks.0.tanh"), kPatience);
        bench.session.changeSelection([](widgets::Selection& s) { s.valuePath = "blocks.2.add"; });
        QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLabel>("valueTitle")->text().contains("blocks.2.add"), kPatience);
    }

    void textsAndSamplesAreInputs()
    {
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        auto* kind = bench.child<QComboBox>("kind");
        kind->setCurrentIndex(2);
        // Without a text there is nothing to run yet, and no mistake.
        QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLabel>("status")->text().contains("Type a text") && bench.panel->errorText().isEmpty(), kPatience);
        bench.type("text", "hello");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().contains("int64 [1, 5]"), kPatience);
        // A model that goes on writing reads no pairs.
        QVERIFY(bench.child<QLineEdit>("text")->isVisible() && !bench.child<QLineEdit>("pair")->isVisible());
        bench.press(Qt::Key_F5);
        QVERIFY(bench.place().contains("at the end"));
        QVERIFY2(bench.panel->commandLine().contains("--text hello"), qPrintable(bench.panel->commandLine()));
        takeShots(*bench.panel, "debugger-narrow");
        bench.panel->resize(1180, 760);
        QTRY_VERIFY(bench.panel->width() > 1000);
        takeShots(*bench.panel, "debugger-wide");
        kind->setCurrentIndex(1);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("expected a data set"), kPatience);
    }

    void aPairOfTextsIsRead()
    {
        const test::BertFolder given("bert-sequence");
        const auto [model, inputs] = given.pairModel("god saw the light", "it was good");
        graph::RunRequest request;
        request.inputs = inputs;
        const at::Tensor logits = graph::Executor(model.graph).run(model.weights, request).outputs.at(0).toTensor();
        Bench bench;
        bench.show();
        bench.session.openModel(QString::fromStdString(given.folder.string()));
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        bench.type("text", "god saw the light");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready(), kPatience);
        const QString alone = bench.child<QLabel>("status")->text();
        bench.type("pair", "it was good");
        const QString shape = QString::fromStdString("int64 " + core::formatShape(inputs[0].toTensor().sizes()));
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().count(shape) == 3, kPatience);
        QVERIFY(bench.child<QLabel>("status")->text() != alone);
        bench.press(Qt::Key_F5);
        const auto shown =
            bench.step()->debugSession()->tensor(QString::fromStdString(model.graph->value(model.graph->data().body.outputs[0].value).name), {});
        QVERIFY(at::tensor(shown.values).equal(logits.reshape({-1})));
        QVERIFY2(bench.panel->commandLine().contains("--text \"god saw the light\" --pair \"it was good\"") ||
                     bench.panel->commandLine().contains("--text 'god saw the light' --pair 'it was good'"),
                 qPrintable(bench.panel->commandLine()));
        QCOMPARE(bench.panel->saveState().at("texts"), core::Json::parse(R"([["god saw the light", "it was good"]])"));
        takeShots(*bench.panel, "debugger-pair");
        bench.child<QComboBox>("kind")->setCurrentIndex(0);
        QVERIFY(!bench.child<QLineEdit>("pair")->isVisible());
    }

    void severalTextsAreOneBatch()
    {
        const test::BertFolder given("bert-sequence");
        // Each of them alone, by hand.
        const std::pair<const char*, const char*> texts[] = {{"god saw the light", "it was good"}, {"the evening and the morning", "god"}};
        std::vector<at::Tensor> alone;
        QString output;
        for (const auto& [first, second] : texts) {
            const auto [model, inputs] = given.pairModel(first, second);
            graph::RunRequest request;
            request.inputs = inputs;
            alone.push_back(graph::Executor(model.graph).run(model.weights, request).outputs.at(0).toTensor());
            output = QString::fromStdString(model.graph->value(model.graph->data().body.outputs[0].value).name);
        }
        Bench bench;
        bench.show();
        bench.session.openModel(QString::fromStdString(given.folder.string()));
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        bench.type("text", texts[0].first);
        bench.type("pair", texts[0].second);
        QTest::mouseClick(bench.child<QToolButton>("add_text"), Qt::LeftButton);
        bench.type("text2", texts[1].first);
        bench.type("pair2", texts[1].second);
        QTRY_VERIFY2_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().count("int64 [2, ") == 3,
                                  qPrintable(bench.child<QLabel>("status")->text()), kPatience);
        bench.press(Qt::Key_F5);
        const auto shown = bench.step()->debugSession()->tensor(output, {});
        const at::Tensor expected = at::cat(alone);
        QVERIFY((at::tensor(shown.values).reshape_as(expected) - expected).abs().max().item<double>() < 1e-5);
        QVERIFY2(
            bench.panel->commandLine().contains("--text 'god saw the light' --text 'the evening and the morning' --pair 'it was good' --pair god"),
            qPrintable(bench.panel->commandLine()));
        takeShots(*bench.panel, "debugger-batch");
        // Taken away, the first is left.
        QTest::mouseClick(bench.child<QToolButton>("remove_text2"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().count("int64 [1, ") == 3, kPatience);
        QVERIFY(!bench.child<QLineEdit>("text2") || !bench.child<QLineEdit>("text2")->isVisible());
    }

    void theProfileIsShown()
    {
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        bench.showTab("pages", 1);
        auto* page = bench.panel->findChild<ProfilePage*>();
        QTest::mouseClick(page->findChild<QPushButton*>("run"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(page->profile() && bench.panel->isIdle(), kPatience);
        auto* costs = page->findChild<widgets::TableView*>("costs");
        QCOMPARE(costs->model()->totalRows(), int(page->profile()->modules.size()));
        const auto* whole = costs->model()->row(0);
        QCOMPARE(whole->cells[costs->model()->columnIndex("flops")].toDouble(), double(page->profile()->flops()) * 1e-6);
        bench.panel->resize(1000, 700);
        takeShots(*bench.panel, "debugger-profile");
        auto* tabs = page->findChild<QTabWidget*>("profileTabs");
        tabs->setCurrentIndex(1);
        auto* flame = page->findChild<FlameView*>();
        QTRY_VERIFY(flame->isVisible() && flame->barRect(1).width() > 0);
        QTest::mouseClick(flame, Qt::LeftButton, {}, flame->barRect(1).center().toPoint());
        QCOMPARE(flame->currentBar(), 1);
        QTest::keyClick(flame, Qt::Key_Return);
        QCOMPARE(flame->zoomedBar(), 1);
        QTest::keyClick(flame, Qt::Key_Escape);
        QCOMPARE(flame->zoomedBar(), 0);
        takeShots(*bench.panel, "debugger-flame");
        tabs->setCurrentIndex(2);
        QTest::qWait(100);
        takeShots(*bench.panel, "debugger-roofline");
        QVERIFY(bench.panel->commandLine().contains("profile"));
        QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
    }

    void loopsAreShownStepByStep()
    {
        Bench bench;
        bench.show();
        bench.open(graph::loopsInLoopModel());
        bench.waitReady();
        bench.showTab("pages", 1);
        auto* page = bench.panel->findChild<ProfilePage*>();
        auto* tabs = page->findChild<QTabWidget*>("profileTabs");
        QVERIFY(!tabs->isTabVisible(4));
        QTest::mouseClick(page->findChild<QPushButton*>("run"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(page->profile() && bench.panel->isIdle(), kPatience);
        QVERIFY(tabs->isTabVisible(4));
        tabs->setCurrentIndex(4);
        QCOMPARE(bench.child<QComboBox>("loop")->count(), 2);
        auto* curve = bench.child<widgets::PlotView>("stepCurve");
        QCOMPARE(curve->drawnData("steps").x.size(), std::size_t(4));
        bench.child<QComboBox>("loop")->setCurrentIndex(1);
        QCOMPARE(curve->drawnData("steps").x.size(), std::size_t(6));
        QVERIFY2(bench.child<QLabel>("steps")->text().startsWith("6 steps in 4 calls"), qPrintable(bench.child<QLabel>("steps")->text()));
        takeShots(*bench.panel, "debugger-steps");
        bench.child<QComboBox>("by")->setCurrentIndex(1);
        auto* costs = page->findChild<widgets::TableView*>("costs");
        QVERIFY(costs->isColumnShown("call"));
        const int call = costs->model()->columnIndex("call");
        for (std::size_t i = 0; i < page->profile()->nodes.size(); ++i)
            QCOMPARE(costs->model()->row(qint64(i))->cells[call].isValid(), page->profile()->nodes[i].calls > 1);
    }

    void theFirstDivergenceIsNamed()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        auto other = graph::residualModel();
        other.weights = other.weights.clone();
        other.weights.at("blocks.1.fc.bias")[2] += 0.1;
        models::saveModel(bench.file("other.safetensors").toStdString(), other);
        bench.showTab("pages", 2);
        auto* page = bench.panel->findChild<DivergencePage*>();
        auto* line = page->findChild<QLineEdit*>("other");
        line->setFocus();
        QTest::keyClicks(line, bench.file("other.safetensors"));
        QTest::mouseClick(page->findChild<QPushButton*>("run"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(page->divergence() && bench.panel->isIdle(), kPatience);
        QVERIFY2(page->findChild<QLabel*>("first")->text().contains("blocks.1.fc.linear"), qPrintable(page->findChild<QLabel*>("first")->text()));
        QVERIFY(bench.panel->commandLine().contains("diff-run"));
        QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
        bench.panel->resize(1000, 700);
        takeShots(*bench.panel, "debugger-divergence");
    }

    void aRunIsCancelledInTheMiddle_data()
    {
        QTest::addColumn<bool>("isClosed");  // it is no job of the queue, so that nobody else can end it
        QTest::newRow("by its button") << false;
        QTest::newRow("panel closed") << true;
    }
    void aRunIsCancelledInTheMiddle()
    {
        QFETCH(bool, isClosed);
        // Long enough to be caught: products of 700 x 700, two hundred of them.
        graph::Builder builder("long");
        const auto start = builder.input("x", "float32", {"700", "700"}, "float");
        auto x = start;
        for (int i = 0; i < 200; ++i)
            x = builder.op("aten::matmul", {x, start});
        Bench bench;
        bench.show();
        bench.open(builder.finish({{"out", x}}));
        bench.waitReady();
        bench.program()->setFocus();  // the key belongs to the page that has the focus
        QTest::keyClick(bench.program(), Qt::Key_F5);
        auto* cancel = bench.step()->findChild<QPushButton*>("cancel");  // each page has its own
        QTRY_VERIFY_WITH_TIMEOUT(cancel->isVisible(), kPatience);
        if (isClosed) {
            bench.panel.reset();
            QTRY_VERIFY_WITH_TIMEOUT(!bench.session.hasBackgroundWork(), kPatience);
            return;
        }
        QTest::mouseClick(cancel, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(!bench.step()->view().place.isEmpty(), kPatience);
        QVERIFY(!bench.step()->view().atEnd);
        bench.press(Qt::Key_F8);
        QVERIFY(!bench.step()->view().atEnd);
    }

    void whatIsRefusedStaysToBeMended()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        bench.showTab("stepTabs", 2);
        bench.type("breakLine", "nonsense");
        QVERIFY2(bench.panel->errorText().contains("nonsense"), qPrintable(bench.panel->errorText()));
        QCOMPARE(bench.child<QLineEdit>("breakLine")->text(), QStringLiteral("nonsense"));
        bench.type("breakLine", "op:tanh if max > -5");
        QCOMPARE(bench.child<QLineEdit>("breakLine")->text(), QString());
        QVERIFY2(bench.child<QListWidget>("breakpoints")->item(0)->text().startsWith("1: op:tanh"),
                 qPrintable(bench.child<QListWidget>("breakpoints")->item(0)->text()));
        bench.showTab("stepTabs", 1);
        bench.type("watchLine", "max(");
        QCOMPARE(bench.child<QLineEdit>("watchLine")->text(), QStringLiteral("max("));
    }

    void anotherInputKeepsBreakpointsAndWatches()
    {
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        bench.type("text", "hello");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().contains("int64 [1, 5]"), kPatience);
        bench.showTab("stepTabs", 2);
        bench.type("breakLine", "if shape");
        bench.showTab("stepTabs", 1);
        const QString watch = QStringLiteral("max(%1)").arg(QString::fromStdString(bench.model.graph->data().inputs[0].name));
        bench.type("watchLine", watch);
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.place().contains("at the end"), qPrintable(bench.place()));
        bench.type("text", "hello you");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().contains("int64 [1, 9]"), kPatience);
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QListWidget>("breakpoints")->count(), 1, kPatience);
        QCOMPARE(bench.child<QTableWidget>("watches")->rowCount(), 1);
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.place().contains("shape"), qPrintable(bench.place()));
        QVERIFY2(bench.panel->commandLine().contains(QStringLiteral("--command 'break if shape' --command '%1'").arg("watch " + watch)),
                 qPrintable(bench.panel->commandLine()));
    }

    void stepsOfALoopAreLines()
    {
        Bench bench;
        bench.show();
        bench.open(graph::loopModel(3));
        at::Tensor x = at::randn({3, 4}, at::detail::createCPUGenerator(2), at::TensorOptions());
        io::writeNpy(bench.file("a x.npy").toStdString(), io::toArray(x));
        io::writeNpy(bench.file("h0.npy").toStdString(), io::toArray(at::zeros({4})));
        bench.child<QComboBox>("kind")->setCurrentIndex(3);
        bench.type("input", QStringLiteral("\"%1\" h0=%2").arg(bench.file("a x.npy"), bench.file("h0.npy")));
        bench.waitReady();
        bench.press(Qt::Key_F11);
        bench.press(Qt::Key_F11);
        const auto textOf = [&](int row) { return bench.program()->model()->index(row, ProgramModel::Text).data().toString().trimmed(); };
        const auto rowOf = [&](const QString& beginning) {
            for (int row = 0; row < bench.program()->model()->rowCount(); ++row)
                if (textOf(row).startsWith(beginning))
                    return row;
            return -1;
        };
        QTRY_VERIFY_WITH_TIMEOUT(rowOf("cell[1]") > 0, kPatience);
        QVERIFY2(textOf(rowOf("cell[1]")).contains("aten::tanh(sum)"), qPrintable(textOf(rowOf("cell[1]"))));
        bench.program()->setCurrentIndex(bench.program()->model()->index(rowOf("cell[1]"), ProgramModel::Text));
        bench.press(Qt::Key_F10, Qt::ControlModifier);
        QVERIFY2(bench.place().contains("cell[1]"), qPrintable(bench.place()));
        bench.program()->setCurrentIndex(bench.program()->model()->index(rowOf("sum[2]"), ProgramModel::Text));
        bench.press(Qt::Key_F9);
        QCOMPARE(bench.program()->model()->index(rowOf("sum[2]"), ProgramModel::Mark).data().toString(), QStringLiteral("●"));
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.place().contains("sum[2]"), qPrintable(bench.place()));
        bench.program()->setCurrentIndex(bench.program()->model()->index(rowOf("row[1]"), ProgramModel::Text));
        bench.press(Qt::Key_F10, Qt::ControlModifier);
        QVERIFY2(bench.place().contains("row[1]"), qPrintable(bench.place()));
        QVERIFY2(bench.panel->commandLine().contains("--command 'until cell[1]' --command 'break sum[2]' --command continue --command 'back "),
                 qPrintable(bench.panel->commandLine()));
    }

    void inputsThatDoNotFitAreRefused()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        io::writeNpy(bench.file("wrong.npy").toStdString(), io::toArray(at::zeros({2, 7})));
        at::Tensor odd = at::zeros({2, 6});
        odd[1][2] = std::nan("");
        io::writeNpy(bench.file("odd.npy").toStdString(), io::toArray(odd));
        bench.child<QComboBox>("kind")->setCurrentIndex(3);
        bench.type("input", bench.file("wrong.npy"));
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("got [2, 7]"), kPatience);
        bench.type("input", bench.file("odd.npy"));
        QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLabel>("status")->text().contains("1 of 12 values are NaN or infinite"), kPatience);
        bench.child<QComboBox>("kind")->setCurrentIndex(1);
        bench.type("input", "abc");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("expected a whole number of at least 0, got \"abc\""), kPatience);
        bench.child<QComboBox>("kind")->setCurrentIndex(0);
        bench.waitReady();
        QVERIFY2(bench.panel->commandLine().contains("--example"), qPrintable(bench.panel->commandLine()));
    }

    void damagedModelsAreExplained_data() { test::addModelFaults(); }
    void damagedModelsAreExplained()
    {
        QFETCH(QString, kind);
        QFETCH(QString, message);
        Bench bench;
        bench.show();
        bench.session.openModel(test::faultyModel(kind, bench.folder.path()));
        QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains(message), qPrintable(bench.panel->errorText()), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        bench.open(smallGpt());
        bench.waitReady();
        QCOMPARE(bench.panel->errorText(), QString());
    }

    void aFileThatChangesIsNamedAndOpenedAgain()
    {
        Bench bench;
        bench.show();
        core::writeFileAtomically(bench.file().toStdString(), "hello");
        bench.session.openModel(bench.file());
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("model.safetensors"), kPatience);
        bench.open(smallGpt());
        bench.waitReady();
        QCOMPARE(bench.panel->errorText(), QString());
        bench.press(Qt::Key_F8);
        test::cutInPlace(bench.file());
        bench.program()->setFocus();
        QTest::keyClick(bench.program(), Qt::Key_F5);
        QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains("the file was cut short while it was open here"),
                                  qPrintable(bench.panel->errorText()), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        bench.open(smallGpt());
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.panel->errorText().isEmpty(), kPatience);
        bench.program()->setFocus();
        QTest::keyClick(bench.program(), Qt::Key_F5);
        QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->isIdle() && bench.step()->view().atEnd, qPrintable(bench.panel->errorText()), kPatience);
    }

    void inputsThatDoNotSuitAreNamed_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("message");
        QTest::newRow("no such file") << "gone.npy"
                                      << "gone.npy";
        QTest::newRow("pipe") << "pipe.npy"
                              << "pipe.npy: expected an NPY file";
        QTest::newRow("tokens outside the vocabulary") << "outside.npy"
                                                       << "expected tokens from 0 to 255, got 999";
        QTest::newRow("too long") << "long.npy"
                                  << "expected at most 32 tokens (the model's longest sequence), got 33";
        QTest::newRow("no tokens") << "none.npy"
                                   << "expected at least one token, got none";
        QTest::newRow("not whole") << "halves.npy"
                                   << "expected whole numbers for the model's input \"tokens\", got 0.5";
    }
    void inputsThatDoNotSuitAreNamed()
    {
        QFETCH(QString, file);
        QFETCH(QString, message);
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        const auto write = [&](const char* name, const at::Tensor& tensor) { io::writeNpy(bench.file(name).toStdString(), io::toArray(tensor)); };
        write("outside.npy", at::full({1, 3}, 999, at::kLong));
        write("long.npy", at::ones({1, 33}, at::kLong));
        write("none.npy", at::ones({1, 0}, at::kLong));
        write("halves.npy", at::full({1, 3}, 0.5));
        write("good.npy", at::ones({1, 3}, at::kLong));
        ::mkfifo(bench.file("pipe.npy").toUtf8().constData(), 0600);
        bench.child<QComboBox>("kind")->setCurrentIndex(3);
        bench.type("input", bench.file(file.toUtf8().constData()));
        QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains(message), qPrintable(bench.panel->errorText()), kPatience);
        bench.type("input", bench.file("good.npy"));
        bench.waitReady();
        QCOMPARE(bench.panel->errorText(), QString());
    }

    void stateSurvivesARestart()
    {
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        bench.type("text", "abc");
        bench.showTab("pages", 1);
        const core::Json state = bench.panel->saveState();
        bench.show(state);
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready(), kPatience);
        QCOMPARE(bench.child<QLineEdit>("text")->text(), QStringLiteral("abc"));
        QCOMPARE(bench.child<QTabWidget>("pages")->currentIndex(), 1);
        QVERIFY(bench.panel->saveState() == state);
    }
};

QTEST_MAIN(DebuggerPanelTest)
#include "debugger_test.moc"
