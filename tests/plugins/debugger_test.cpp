// The Debugger panel: stepping with keys and mouse, breakpoints in the gutter, values and edits equal to core's, profile and divergence, cancel, state after a restart.
#include <QApplication>
#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QSpinBox>
#include <QSplitter>
#include <QTabWidget>
#include <QTableWidget>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/catalogue.h>
#include <core/debug/flame.h>
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
#include <widgets/export.h>
#include <widgets/lines_edit.h>
#include <widgets/plot_view.h>
#include <widgets/table_view.h>
#include <widgets/tensor_table.h>
#include <widgets/theme.h>

#include "../core/graph/sample_graphs.h"
#include "../core/train/bert_folder.h"
#include "../widgets/shots.h"
#include "copied_command.h"
#include "damaged_models.h"
#include "debugger_bench.h"
#include "model_faults.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

using test::kPatience;
using test::smallGpt;
using Bench = test::DebuggerBench;

}  // namespace

class DebuggerPanelTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_home;
private Q_SLOTS:
    void initTestCase()
    {
        core::registerAll();
        test::keepKnownPeaks(m_home);
    }

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
        QTRY_VERIFY(bench.child<QLabel>("valueTitle")->text().contains("head.linear"));  // what was made last is on show
    }

    void bordersStayWhereTheyAre_data()
    {
        QTest::addColumn<QSize>("size");
        QTest::newRow("narrow") << QSize(580, 520);
        QTest::newRow("wide") << QSize(1000, 520);
    }
    void bordersStayWhereTheyAre()
    {
        // Values of every rank, and a list: the pane of numbers has more or fewer parts.
        graph::Builder builder("ranks");
        const auto x = builder.input("x", "float32", {"2", "3", "4", "5"}, "float");
        const auto sum = builder.op("aten::sum", {x});
        const auto parts = builder.op("aten::chunk", {x, 2, 0}, "parts");
        const auto joined = builder.op("aten::cat", {parts, 0});
        QFETCH(QSize, size);
        Bench bench;
        bench.show();
        bench.panel->resize(size);
        bench.open(builder.finish({{"sum", sum}, {"joined", joined}}));
        bench.waitReady();
        const auto borders = [&] {
            QList<QList<int>> all;
            for (const auto* splitter : bench.step()->findChildren<QSplitter*>())
                all << splitter->sizes();
            return all;
        };
        const auto before = borders();
        for (const char* shown : {"x", "sum", "parts"}) {
            if (*shown != 'x')
                bench.press(Qt::Key_F8);
            QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLabel>("valueTitle")->text().contains(shown) || *shown == 'x', kPatience);
            QCoreApplication::processEvents();
            QVERIFY2(borders() == before, shown);
        }
        bench.values()->setCurrentItem(bench.item("x"));
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<widgets::TensorTable>("numbers")->shape().size(), std::size_t(4), kPatience);
        QCoreApplication::processEvents();
        QCOMPARE(borders(), before);
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
        const at::Tensor x = bench.step()->debugSession()->model()->inputs.at(0).toTensor();  // the example
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
        // In another theme the list is the same.
        const auto rows = [&] {
            QStringList all;
            for (QTreeWidgetItemIterator it(bench.values()); *it; ++it)
                all << (*it)->text(0);
            return all;
        };
        const QStringList light = rows();
        const QPalette palette = QApplication::palette();
        QApplication::setPalette(widgets::Theme::palette(true));
        QVERIFY(bench.item("blocks.0.tanh")->foreground(0).style() == Qt::NoBrush);  // as the list writes
        QCOMPARE(rows(), light);
        QApplication::setPalette(palette);
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
        QVERIFY(bench.child<QPlainTextEdit>("console")->toPlainText().contains("sum(x) = float64 [] ["));
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
        bench.type("prompt", "until blocks.1");
        const QString before = bench.place();
        bench.type("prompt", "backward head.linear[0, 1]");
        bench.press(Qt::Key_F5);
        bench.showTab("stepTabs", 0);
        QVERIFY2(bench.place().contains("backward"), qPrintable(bench.place()));
        QVERIFY(bench.item("x"));
        const auto tensor = bench.step()->debugSession()->tensor("head.bias", {});
        QCOMPARE(tensor.values, (std::vector<float>{0, 1, 0, 0}));
        bench.type("prompt", "forward");
        QVERIFY(!bench.step()->view().backward);
        QCOMPARE(bench.place(), before);
    }

    void theBackwardPassBeginsAndEnds()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        const auto move = [&](const char* name) {
            for (auto* action : bench.step()->moves())
                if (action->objectName() == QLatin1String(name))
                    return action;
            return static_cast<QAction*>(nullptr);
        };
        const auto arrow = [&] {
            for (int row = 0; row < bench.program()->model()->rowCount(); ++row)
                if (bench.program()->model()->index(row, ProgramModel::Mark).data().toString().contains(QStringLiteral("➜")))
                    return row;
            return -1;
        };
        move("backward")->trigger();
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.step()->view().backward, kPatience);
        QCOMPARE(arrow(), -1);  // behind the last line, as at the end
        QVERIFY(bench.program()->verticalScrollBar()->value() == bench.program()->verticalScrollBar()->maximum());
        bench.press(Qt::Key_F10);
        QVERIFY(arrow() > 0);
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.step()->view().backwardEnded, qPrintable(bench.place()));
        for (const char* name : {"next", "step", "continue"})
            QVERIFY2(!move(name)->isEnabled(), name);
        QVERIFY(move("back")->isEnabled() && move("forward")->isEnabled());
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
        auto* roofline = page->findChild<widgets::PlotView*>("roofline");
        QTRY_VERIFY(roofline->isVisible());
        takeShots(*bench.panel, "debugger-roofline");
        // Every operator has its points; the one that takes most time comes first behind the roof.
        const auto groups = debug::rooflineGroups(*page->profile());
        QCOMPARE(roofline->seriesIds().size(), qsizetype(groups.size()) + 1);
        for (std::size_t i = 0; i < groups.size(); ++i)
            QCOMPARE(roofline->drawnData(roofline->seriesIds()[qsizetype(i) + 1]).x.size(), groups[i].intensity.size());
        QVERIFY2(bench.child<QLabel>("peaks")->text().contains("1000 GFLOP/s, 50.0 GB/s (measured ") &&
                     bench.child<QLabel>("peaks")->text().contains(" days ago)"),
                 qPrintable(bench.child<QLabel>("peaks")->text()));
        QVERIFY(bench.panel->commandLine().contains("profile"));
        QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
        bench.child<QComboBox>("by")->setCurrentIndex(1);  // other rows of the same result
        QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
        bench.child<QSpinBox>("runs")->setValue(3);
        QVERIFY(bench.panel->shownCommand() != bench.panel->commandLine());
        const auto spread = costs->model()->columnIndex("spread");
        QCOMPARE(costs->model()->row(0)->cells[spread].toDouble(), 100 * page->profile()->nodes[0].spread());
        // On demand the machine is measured again, and the table and the next profile know.
        QTest::mouseClick(bench.child<QPushButton>("measurePeaks"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(page->profile()->peaks->bandwidth != 50 && bench.panel->isIdle(), kPatience);
        QVERIFY2(bench.child<QLabel>("peaks")->text().contains("(measured today)"), qPrintable(bench.child<QLabel>("peaks")->text()));
        const auto bound = costs->model()->columnIndex("bound");
        for (std::size_t i = 0; i < page->profile()->nodes.size(); ++i)
            if (const auto& node = page->profile()->nodes[i]; node.bytes() > 0)
                QCOMPARE(costs->model()->row(qint64(i))->cells[bound].toString(),
                         page->profile()->isMemoryBound(node.intensity()) ? QStringLiteral("memory") : QStringLiteral("arithmetic"));
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
        auto* run = page->findChild<QPushButton*>("run");
        run->setFocus();
        QTest::keyClick(run, Qt::Key_Space);
        QVERIFY(!run->isEnabled() && !page->findChild<QCheckBox*>("all")->hasFocus());
        QTRY_VERIFY_WITH_TIMEOUT(page->divergence() && bench.panel->isIdle(), kPatience);
        QVERIFY(run->hasFocus());  // once more with the same key
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

    void breakpointsAndWatchesBelongToTheModel()
    {
        const auto marks = [](const Bench& bench) {
            QStringList all;
            for (int i = 0; i < bench.child<QListWidget>("breakpoints")->count(); ++i)
                all << bench.child<QListWidget>("breakpoints")->item(i)->text();
            for (int i = 0; i < bench.child<QTableWidget>("watches")->rowCount(); ++i)
                all << bench.child<QTableWidget>("watches")->item(i, 0)->text();
            return all;
        };
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        const QString first = bench.file(), second = bench.file("second.safetensors");
        models::saveModel(second.toStdString(), smallGpt());
        bench.showTab("stepTabs", 3);
        for (const char* command : {"break op:tanh if max > 7", "break blocks.1", "disable 2", "watch max(blocks.0.tanh)"})
            bench.type("prompt", command);
        const QStringList wanted{"1: op:tanh if max>7", "2: blocks.1 (off)", "max(blocks.0.tanh)"};
        QCOMPARE(marks(bench), wanted);
        const auto open = [&](const QString& file) {
            bench.session.openModel(file);
            QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.step()->debugSession()->model()->subject.model == file && !bench.place().isEmpty(),
                                     kPatience);
        };
        // Another model has its own; the first gets its own back, now and after a restart.
        open(second);
        QCOMPARE(marks(bench), QStringList());
        bench.type("prompt", "break op:softmax");
        open(first);
        QCOMPARE(marks(bench), wanted);
        QVERIFY2(bench.panel->commandLine().contains("--command 'break blocks.1' --command 'disable 2'"), qPrintable(bench.panel->commandLine()));
        const core::Json state = core::Json::parse(bench.panel->saveState().dump());
        bench.show(state);
        bench.waitReady();
        QCOMPARE(marks(bench), wanted);
        QVERIFY(bench.panel->saveState() == state);
        open(second);
        QCOMPARE(marks(bench), QStringList{"1: op:softmax"});
        // The file is another model by now: what names nothing in it is left out and told.
        models::saveModel(first.toStdString(), smallGpt());
        open(first);
        QCOMPARE(marks(bench), (QStringList{"1: blocks.1 (off)", "max(blocks.0.tanh)"}));
        QVERIFY2(bench.child<QPlainTextEdit>("console")->toPlainText().contains("break op:tanh if max>7: left out: "),
                 qPrintable(bench.child<QPlainTextEdit>("console")->toPlainText()));
        // What is no such document is no reason to fail.
        bench.show(core::Json::parse(R"({"step": {"models": [{"model": 3}, {"model": "x", "marks": 7}, 5]}})"));
        bench.waitReady();
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

    void damagedModelsAreExplained_data() { test::addModelFaults(); }
    void damagedModelsAreExplained()
    {
        QFETCH(QString, kind);
        QFETCH(QString, message);
        Bench bench;
        bench.show();
        bench.session.openModel(test::faultyModel(kind, bench.folder.path(), *bench.workspace()));
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

    void copiedCommandsGiveTheSameNumbers()
    {
        Bench bench;
        const auto run = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {5}}}, "iris", 1);
        bench.show();
        bench.session.selectRuns({run});
        bench.child<QComboBox>("kind")->setCurrentIndex(1);
        bench.type("input", "3");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().contains("[1, 4]"), kPatience);
        bench.type("prompt", "set relu *= 2");  // refused: it is not computed yet; a copied line leaves out what was refused
        bench.press(Qt::Key_F5);
        bench.type("prompt", "set relu *= 2");
        const auto& graph = *bench.step()->debugSession()->model()->model->graph;
        const QString out = QString::fromStdString(graph.value(graph.data().body.outputs[0].value).name);
        const auto shown = bench.step()->debugSession()->tensor(out, {});
        const QString debug = bench.panel->commandLine();
        QVERIFY2(debug.contains(" --workspace ") && !debug.contains("--data"), qPrintable(debug));
        auto answer = test::answerToCopied(debug, "--command 'print " + out + "'");
        QVERIFY(answer.is_object());
        QCOMPARE(answer.at("printed").back().at("values")[0].get<std::vector<float>>(), shown.values);

        bench.showTab("pages", 2);
        bench.child<QComboBox>("dtypeB")->setCurrentIndex(bench.child<QComboBox>("dtypeB")->findData("bfloat16"));
        bench.child<QCheckBox>("all")->setChecked(true);
        auto* divergence = bench.panel->findChild<DivergencePage*>();
        QTest::mouseClick(divergence->findChild<QPushButton*>("run"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(divergence->divergence() && bench.panel->isIdle(), kPatience);
        answer = test::answerToCopied(bench.panel->commandLine());
        QVERIFY(answer.is_object());
        const auto& values = divergence->divergence()->values;
        QCOMPARE(answer.at("values").size(), values.size());
        for (std::size_t i = 0; i < values.size(); ++i)
            QCOMPARE(answer["values"][i].at("max_absolute").get<double>(), values[i].maxAbsolute);

        bench.showTab("pages", 1);
        auto* profile = bench.panel->findChild<ProfilePage*>();
        QTest::mouseClick(profile->findChild<QPushButton*>("run"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(profile->profile() && bench.panel->isIdle(), kPatience);
        answer = test::answerToCopied(bench.panel->commandLine());
        QVERIFY(answer.is_object());
        QCOMPARE(answer.at("flops").get<std::int64_t>(), profile->profile()->flops());
        QCOMPARE(answer.at("bytes").get<std::int64_t>(), profile->profile()->bytes());
        QCOMPARE(answer.at("runs").get<int>(), profile->profile()->runs);
        // An example needs no workspace, another run as the second model does.
        bench.open(graph::residualModel());
        bench.child<QComboBox>("kind")->setCurrentIndex(0);
        QTRY_VERIFY2_WITH_TIMEOUT(bench.ready() && !bench.panel->commandLine().contains("--workspace"), qPrintable(bench.panel->commandLine()),
                                  kPatience);
        bench.showTab("pages", 2);
        divergence->findChild<QLineEdit*>("other")->setText(QStringLiteral("run:%1").arg(run));
        QVERIFY2(bench.panel->commandLine().contains("--workspace"), qPrintable(bench.panel->commandLine()));
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
        QCOMPARE(bench.child<widgets::LinesEdit>("text")->text(), QStringLiteral("abc"));
        QCOMPARE(bench.child<QTabWidget>("pages")->currentIndex(), 1);
        QVERIFY(bench.panel->saveState() == state);
    }
};

QTEST_MAIN(DebuggerPanelTest)
#include "debugger_test.moc"
