// The Experiments panel: from an empty workspace to curves and numbers that equal core's, a run cancelled in the middle, state after a restart.
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QLineEdit>
#include <QSignalSpy>
#include <QSlider>
#include <QTabWidget>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTextBrowser>
#include <QToolBar>

#include <core/base/error.h>
#include <core/catalogue.h>
#include <core/jobs/queue.h>
#include <core/store/workspace.h>
#include <core/train/runs.h>
#include <plugins/experiments/experiments_panel.h>
#include <plugins/experiments/query_edit.h>
#include <plugins/experiments/run_actions.h>
#include <plugins/experiments/run_curves.h>
#include <widgets/export.h>
#include <widgets/heat_map_view.h>
#include <widgets/model_source.h>
#include <widgets/session.h>

using namespace orrery;
using namespace orrery::plugins;

namespace {

core::Json document(const char* name, int epochs, double lr)
{
    return {{"name", name},
            {"model", {{"id", "mlp"}, {"hidden", {8}}}},
            {"data", {{"id", "iris"}}},
            {"train", {{"epochs", epochs}, {"optimizer", {{"id", "adamw"}, {"lr", lr}}}}}};
}

store::RunId trained(const std::shared_ptr<store::Workspace>& workspace, const core::Json& document)
{
    const auto run = train::createRun(*workspace, train::resolveExperiment(document));
    jobs::DirectContext context;
    train::trainRun(workspace, run, context);
    workspace->flush();
    return run;
}

/// A panel in a window of its own, on a workspace in a temporary folder.
struct Bench {
    QTemporaryDir folder;
    widgets::Session session;
    std::unique_ptr<ExperimentsPanel> panel;
    std::shared_ptr<store::Workspace> workspace;

    Bench()
    {
        session.openWorkspace(folder.filePath("workspace"));
        workspace = session.workspace();
        show();
    }
    void show()
    {
        panel = std::make_unique<ExperimentsPanel>(session);
        panel->resize(900, 800);
        panel->show();
    }
    QWidget* button(const QString& name) const { return panel->findChild<QToolBar*>()->findChild<QWidget*>(name); }
    QString cell(qint64 run, const QString& column) const
    {
        auto* model = panel->table()->model();
        return model->index(model->positionOf(run), model->columnIndex(column)).data().toString();
    }
    void clickRow(qint64 run, Qt::KeyboardModifiers modifiers = {}) const
    {
        auto* table = panel->table()->table();
        auto* model = panel->table()->model();
        const auto index = model->index(model->positionOf(run), model->columnIndex("status"));
        table->scrollTo(index);
        QTest::mouseClick(table->viewport(), Qt::LeftButton, modifiers, table->visualRect(index).center());
    }
};

}  // namespace

class ExperimentsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void emptyWorkspaceSaysWhatToDo();
    void numbersAndCurvesEqualTheStore();
    void aClickedRunWinsOverOneThatWasOpened();
    void pointsArriveWhileARunGoesOn();
    void differencesShowWhatTheRunsDoNotShare();
    void tagsAreEditedInPlace();
    void aFilterKeepsWhatMatches();
    void runAgainIsCancelledInTheMiddleAndResumed();
    void deletionAsksFirst();
    void aDamagedMatrixIsExplained();
    void reportsAreWritten();
    void stateSurvivesARestart();
    void tenThousandRunsAreShown();
};

void ExperimentsTest::emptyWorkspaceSaysWhatToDo()
{
    Bench bench;
    QTRY_VERIFY(bench.panel->isShowingEmptyState());
    QVERIFY(!bench.button("run_again")->isEnabled());
    QCOMPARE(bench.panel->commandLine(), "orrery-cli runs list --workspace " + bench.session.workspaceFolder());
}

void ExperimentsTest::numbersAndCurvesEqualTheStore()
{
    Bench bench;
    QTRY_VERIFY(bench.panel->isShowingEmptyState());
    const auto run = trained(bench.workspace, document("first", 3, 0.01));
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    QTRY_VERIFY(bench.panel->table()->model()->positionOf(run) >= 0);
    bench.clickRow(run);
    QCOMPARE(bench.session.selection().runs, QList<qint64>{run});
    const auto last = bench.workspace->lastMetrics(run);
    QTRY_COMPARE(bench.cell(run, "metrics.test/accuracy"), QString::number(last.at("test/accuracy"), 'g', 4));
    QTRY_VERIFY(bench.panel->curves()->plot("loss"));
    const auto id = QString("%1:train/loss").arg(run);
    const auto stored = bench.workspace->metricSeries(run, "train/loss");
    auto* plot = bench.panel->curves()->plot("loss");
    QTRY_COMPARE(plot->drawnData(id).y.size(), stored.buckets.size());
    for (std::size_t i = 0; i < stored.buckets.size(); ++i)
        QCOMPARE(plot->drawnData(id).y[i], stored.buckets[i].mean);
    QTRY_COMPARE(bench.panel->confusion()->map()->rows(), 3);
    const auto matrix = parseConfusion(bench.workspace->readArtifact(*bench.workspace->findArtifact(run, train::kConfusionMatrix)));
    QCOMPARE(report::accuracy(matrix), last.at("test/accuracy"));
    for (int i = 0; i < 9; ++i)
        QCOMPARE(bench.panel->confusion()->map()->value(i / 3, i % 3), double(matrix.counts[std::size_t(i / 3)][std::size_t(i % 3)]));
}

void ExperimentsTest::aClickedRunWinsOverOneThatWasOpened()
{
    Bench bench;
    const auto first = trained(bench.workspace, document("first", 1, 0.01)), second = trained(bench.workspace, document("second", 1, 0.01));
    bench.session.openModel(QString("run:%1").arg(first));
    QTRY_VERIFY(bench.panel->table()->model()->positionOf(second) >= 0);
    // The panel chooses the newest run by itself: what was opened stays.
    QTRY_COMPARE(bench.session.selection().runs, QList<qint64>{second});
    QCOMPARE(widgets::modelArgument(bench.session.selection()), QString("run:%1").arg(first));
    bench.clickRow(first);
    bench.clickRow(second);
    QCOMPARE(widgets::modelArgument(bench.session.selection()), QString("run:%1").arg(second));
    // What was chosen last is meant, by every panel; the other is still offered.
    bench.session.openModel("zoo:lenet");
    QCOMPARE(widgets::modelArgument(bench.session.selection()), QString("zoo:lenet"));
    bench.clickRow(first);
    QCOMPARE(widgets::modelArguments(bench.session.selection()), (QStringList{QString("run:%1").arg(first), "zoo:lenet"}));
    bench.session.openModel("zoo:lenet");
    QCOMPARE(widgets::modelArgument(bench.session.selection()), QString("zoo:lenet"));
}

void ExperimentsTest::pointsArriveWhileARunGoesOn()
{
    Bench bench;
    const auto run = train::createRun(*bench.workspace, train::resolveExperiment(document("live", 3, 0.01)));
    bench.workspace->startRun(run);
    bench.workspace->metric(run, "train/loss", 1, 2.5);
    const auto id = QString("%1:train/loss").arg(run);
    QTRY_VERIFY(bench.panel->curves()->plot("loss"));
    auto* plot = bench.panel->curves()->plot("loss");
    QTRY_COMPARE(plot->drawnData(id).y.size(), std::size_t(1));
    QSignalSpy selection(&bench.session, &widgets::Session::selectionChanged);
    bench.workspace->metric(run, "train/loss", 2, 1.25);
    QTRY_COMPARE(plot->drawnData(id).y.size(), std::size_t(2));
    QCOMPARE(plot->drawnData(id).y[1], 1.25);
    QTRY_COMPARE(bench.cell(run, "metrics.train/loss"), QString("1.25"));
    QCOMPARE(bench.panel->table()->selectedIds(), QList<qint64>{run});
    QVERIFY2(selection.isEmpty(), "new points must not touch the selection");
    bench.workspace->setStatus(run, store::RunStatus::Finished);
}

void ExperimentsTest::differencesShowWhatTheRunsDoNotShare()
{
    Bench bench;
    const auto first = train::createRun(*bench.workspace, train::resolveExperiment(document("a", 3, 0.01)));
    const auto second = train::createRun(*bench.workspace, train::resolveExperiment(document("a", 3, 0.5)));
    QTRY_COMPARE(bench.panel->table()->model()->totalRows(), 2);
    bench.clickRow(first);
    bench.clickRow(second, Qt::ControlModifier);
    const auto& rows = bench.panel->differences()->rows();
    QTRY_COMPARE(rows.rowCount(), 1);
    QCOMPARE(rows.index(0, 0).data().toString(), QString("train.optimizer.lr"));
    QCOMPARE(rows.index(0, rows.columnIndex(QString::number(second))).data().toString(), QString("0.5"));
    QVERIFY(bench.panel->commandLine().startsWith("orrery-cli runs compare "));
}

void ExperimentsTest::tagsAreEditedInPlace()
{
    Bench bench;
    const auto run = train::createRun(*bench.workspace, train::resolveExperiment(document("a", 1, 0.01)));
    auto* model = bench.panel->table()->model();
    QTRY_COMPARE(model->totalRows(), 1);
    auto* table = bench.panel->table()->table();
    const auto index = model->index(model->positionOf(run), model->columnIndex("tags"));
    const auto place = table->visualRect(index).center();
    QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, place);
    QTest::mouseDClick(table->viewport(), Qt::LeftButton, {}, place);
    QTRY_VERIFY(table->viewport()->findChild<QLineEdit*>());
    auto* edit = table->viewport()->findChild<QLineEdit*>();
    QTest::keyClicks(edit, "good, base");
    // A change of the run meanwhile leaves the typed text alone.
    bench.workspace->setNotes(run, "note");
    QSignalSpy changed(&bench.session, &widgets::Session::runsChanged);
    QVERIFY(changed.wait());
    QCOMPARE(edit->text(), QString("good, base"));
    QTest::keyClick(edit, Qt::Key_Return);
    QTRY_COMPARE(bench.workspace->run(run).tags, (std::vector<std::string>{"base", "good"}));
    QTRY_COMPARE(bench.cell(run, "tags"), QString("base, good"));
    QTRY_COMPARE(bench.cell(run, "notes"), QString("note"));
}

void ExperimentsTest::aFilterKeepsWhatMatches()
{
    Bench bench;
    train::createRun(*bench.workspace, train::resolveExperiment(document("alpha", 1, 0.01)));
    const auto second = train::createRun(*bench.workspace, train::resolveExperiment(document("beta", 1, 0.01)));
    auto* model = bench.panel->table()->model();
    QTRY_COMPARE(model->totalRows(), 2);
    QTest::keyClicks(bench.panel->query()->edit(), "beta");
    QTRY_COMPARE(model->rowCount(), 1);
    QCOMPARE(model->rowId(0), second);
}

void ExperimentsTest::runAgainIsCancelledInTheMiddleAndResumed()
{
    Bench bench;
    const auto first = train::createRun(*bench.workspace, train::resolveExperiment(document("long", 20000, 0.01)));
    QTRY_VERIFY(bench.panel->table()->model()->positionOf(first) >= 0);
    bench.clickRow(first);
    QTest::mouseClick(bench.button("run_again"), Qt::LeftButton);
    QTRY_COMPARE(bench.panel->table()->model()->totalRows(), 2);
    const qint64 second = first + 1;
    QTRY_COMPARE(bench.session.selection().runs, QList<qint64>{second});
    QTRY_COMPARE_WITH_TIMEOUT(bench.cell(second, "status"), QString("running"), 20000);
    QTRY_VERIFY_WITH_TIMEOUT(!bench.cell(second, "metrics.train/loss").isEmpty(), 20000);
    QVERIFY(!bench.button("delete")->isEnabled());
    bench.session.jobs().cancelAll();
    QTRY_COMPARE_WITH_TIMEOUT(bench.cell(second, "status"), QString("cancelled"), 20000);
    QCOMPARE(bench.workspace->run(second).parent, std::optional<store::RunId>(first));
    QTRY_VERIFY(bench.button("resume")->isEnabled());
    QTest::mouseClick(bench.button("resume"), Qt::LeftButton);
    QTRY_COMPARE_WITH_TIMEOUT(bench.cell(second, "status"), QString("running"), 20000);
    bench.session.jobs().cancelAll();
    bench.session.jobs().waitAll();
}

void ExperimentsTest::deletionAsksFirst()
{
    Bench bench;
    const auto run = train::createRun(*bench.workspace, train::resolveExperiment(document("old", 1, 0.01)));
    bench.workspace->startRun(run);
    bench.workspace->setStatus(run, store::RunStatus::Failed, "expected 4 features, got 5");
    QTRY_VERIFY(bench.button("delete")->isEnabled());
    QTRY_VERIFY(bench.panel->findChild<QTextBrowser*>()->toPlainText().contains("expected 4 features, got 5"));
    QString asked;
    bool answer = false;
    bench.panel->actionsOfRuns()->confirm = [&](QWidget*, const QString& text) {
        asked = text;
        return answer;
    };
    QTest::mouseClick(bench.button("delete"), Qt::LeftButton);
    QVERIFY2(asked.contains("old"), qPrintable(asked));
    QVERIFY(bench.workspace->findRun(run));
    answer = true;
    QTest::mouseClick(bench.button("delete"), Qt::LeftButton);
    QTRY_VERIFY(!bench.workspace->findRun(run));
    QTRY_VERIFY(bench.panel->isShowingEmptyState());
}

void ExperimentsTest::aDamagedMatrixIsExplained()
{
    QVERIFY_EXCEPTION_THROWN(parseConfusion("{"), core::FormatError);
    QVERIFY_EXCEPTION_THROWN(parseConfusion(R"({"counts": [[1, 2], [3]]})"), core::FormatError);
    QCOMPARE(parseConfusion(R"({"counts": [[1, 2], [3, 4]]})").classes, (std::vector<std::string>{"0", "1"}));
}

void ExperimentsTest::reportsAreWritten()
{
    Bench bench;
    const auto run = trained(bench.workspace, document("told", 2, 0.01));
    QTRY_VERIFY(bench.button("report")->isEnabled());
    for (const QString ending : {"html", "pdf"}) {
        const auto file = bench.folder.filePath("report." + ending);
        widgets::askSaveFile() = [file](QWidget*, const QString&, const QString&) { return file; };
        QTest::mouseClick(bench.button("report"), Qt::LeftButton);
        QTRY_VERIFY2(QFileInfo(file).size() > 1000, qPrintable(bench.panel->errorText()));
    }
    QFile html(bench.folder.filePath("report.html"));
    QVERIFY(html.open(QIODevice::ReadOnly));
    QVERIFY(html.readAll().contains(QString("run %1: told").arg(run).toUtf8()));
}

void ExperimentsTest::stateSurvivesARestart()
{
    Bench bench;
    const auto run = trained(bench.workspace, document("kept", 2, 0.01));
    QTRY_VERIFY(bench.panel->curves()->plot("loss"));
    bench.panel->table()->setColumnShown("seed", true);
    bench.panel->table()->setColumnShown("metrics.train/loss", false);
    bench.panel->table()->setColumnShown("metrics.val/f1", true);
    bench.panel->tabs()->setCurrentIndex(2);
    QTest::keyClick(bench.panel->curves()->smoothingSlider(), Qt::Key_End);
    QTest::keyClicks(bench.panel->query()->edit(), "kept");
    const auto state = bench.panel->saveState();
    bench.panel.reset();
    bench.show();
    bench.panel->restoreState(state);
    QTRY_COMPARE(bench.panel->table()->selectedIds(), QList<qint64>{run});
    QVERIFY(bench.panel->table()->isColumnShown("seed"));
    QVERIFY(!bench.panel->table()->isColumnShown("metrics.train/loss"));
    QVERIFY(bench.panel->table()->isColumnShown("metrics.val/f1"));
    QCOMPARE(bench.panel->tabs()->currentIndex(), 2);
    QCOMPARE(bench.panel->curves()->smoothingSlider()->value(), 99);
    QCOMPARE(bench.panel->query()->text(), QString("kept"));
    bench.panel->restoreState({{"table", 5}, {"tab", "x"}, {"curves", nullptr}, {"unknown", 1}});
}

void ExperimentsTest::tenThousandRunsAreShown()
{
    Bench bench;
    store::NewRun run;
    run.document = {{"name", "x"}};
    // One at a time would commit 10,000 times; an export and its import commit once.
    run.name = "first";
    const auto first = bench.workspace->createRun(run);
    const auto file = bench.folder.filePath("runs.orrery").toStdString();
    std::vector<store::RunId> ids{first};
    while (ids.size() < 10000) {
        bench.workspace->exportRuns(ids, file);
        for (const auto id : bench.workspace->importRuns(file))
            ids.push_back(id);
    }
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->table()->model()->totalRows() >= 10000, 30000);
    QTest::keyClicks(bench.panel->query()->edit(), "id = 9999");
    QTRY_COMPARE(bench.panel->table()->model()->rowCount(), 1);
    QCOMPARE(bench.panel->table()->model()->rowId(0), qint64(9999));
}

QTEST_MAIN(ExperimentsTest)
#include "experiments_test.moc"
