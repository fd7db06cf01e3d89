// The New run panel: form and text stay the same document, errors appear in place, a run is started, its command equals what was chosen.
#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QSpinBox>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>
#include <QUndoStack>

#include <core/base/files.h>
#include <core/catalogue.h>
#include <core/jobs/queue.h>
#include <core/store/workspace.h>
#include <core/train/document_file.h>
#include <core/train/experiment.h>
#include <core/train/reproduce.h>
#include <plugins/new_run/new_run_panel.h>
#include <widgets/document_editor.h>
#include <widgets/export.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>
#include <widgets/training.h>

using namespace orrery;
using namespace orrery::plugins;

namespace {

core::Json smallDocument()
{
    return {
        {"name", "small"}, {"model", {{"id", "mlp"}, {"hidden", {8}}}}, {"data", {{"id", "iris"}}}, {"train", {{"epochs", 2}, {"batch_size", 16}}}};
}

struct Bench {
    QTemporaryDir folder;
    widgets::Session session;
    std::unique_ptr<NewRunPanel> panel;
    Bench()
    {
        session.openWorkspace(folder.filePath("workspace"));
        show();
    }
    void show()
    {
        panel = std::make_unique<NewRunPanel>(session);
        panel->resize(900, 700);
        panel->show();
    }
    widgets::SchemaForm* form() const { return panel->findChild<widgets::SchemaForm*>(); }
    widgets::DocumentEditor* editor() const { return panel->findChild<widgets::DocumentEditor*>(); }
    QPushButton* start() const { return panel->findChild<QPushButton*>("start"); }
    QString checks() const { return panel->findChild<QLabel*>("checks")->text(); }
    QWidget* field(const char* path) const
    {
        auto* field = form()->field(path);
        auto* line = field ? field->findChild<QLineEdit*>() : nullptr;
        return line ? line : field;
    }
    void type(const char* path, const QString& text) const
    {
        form()->focusField(path);
        auto* edit = field(path);
        QTest::keyClick(edit, Qt::Key_A, Qt::ControlModifier);
        QTest::keyClicks(edit, text);
        QTest::keyClick(edit, Qt::Key_Tab);
    }
};

}  // namespace

class NewRunTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void emptyPanelOffersTheExamples();
    void theSummaryEqualsCores();
    void formAndTextAreOneDocument();
    void undoTakesBackChangesOfBoth();
    void errorsStandWhereTheyAre();
    void dataThatIsMissingIsSaid();
    void unreadableTextCannotBeStarted();
    void aRunIsStartedAndCancelledInTheMiddle();
    void theCommandEqualsTheDocument();
    void savingWritesWhatIsShown();
    void aModelFileIsAText();
    void aTrainingInItsOwnProcessIsAChoiceThatStays();
    void aTrainingThatTakesTooMuchMemoryEndsWithASentence();
    void stateSurvivesARestart();
};

void NewRunTest::emptyPanelOffersTheExamples()
{
    Bench bench;
    QVERIFY(bench.panel->isShowingEmptyState());
    QVERIFY(!bench.start()->isEnabled());
    QVERIFY(bench.panel->commandLine().isEmpty());
    for (auto* button : bench.panel->findChildren<QAbstractButton*>())
        if (button->isVisible() && button->text().contains("digits")) {
            QTest::mouseClick(button, Qt::LeftButton);
            break;
        }
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    QVERIFY(bench.panel->model().document()["data"]["id"] == "digits");
    QVERIFY(bench.panel->commandLine().startsWith("orrery-cli train "));
}

void NewRunTest::theSummaryEqualsCores()
{
    Bench bench;
    bench.session.setDraft(smallDocument());
    QTRY_VERIFY(bench.panel->isIdle());
    const auto experiment = train::resolveExperiment(smallDocument());
    const auto length = train::trainLength(experiment.document, *experiment.data);
    QVERIFY2(bench.checks().contains(QString("%1 steps").arg(length.steps)), qPrintable(bench.checks()));
    QVERIFY2(bench.checks().startsWith(QString("%1 training").arg(experiment.data->split(data::Split::Train).size())), qPrintable(bench.checks()));
    QVERIFY(bench.start()->isEnabled());
}

void NewRunTest::formAndTextAreOneDocument()
{
    Bench bench;
    bench.session.setDraft(smallDocument());
    bench.type("name", "renamed");
    QCOMPARE(bench.panel->model().document()["name"].get<std::string>(), std::string("renamed"));
    QVERIFY(bench.editor()->document());
    QCOMPARE((*bench.editor()->document())["name"].get<std::string>(), std::string("renamed"));
    auto changed = bench.panel->model().document();
    changed["train"]["epochs"] = 5;
    bench.editor()->setFormat(widgets::DocumentFormat::Json);
    auto* text = bench.editor()->editor();
    text->setFocus();
    text->selectAll();
    QTest::keyClick(text, Qt::Key_Delete);
    QApplication::clipboard()->setText(QString::fromStdString(changed.dump(2)));
    QTest::keyClick(text, Qt::Key_V, Qt::ControlModifier);
    QTRY_COMPARE(bench.panel->model().document()["train"]["epochs"].get<int>(), 5);
    QCOMPARE(bench.form()->document()["train"]["epochs"].get<int>(), 5);
}

void NewRunTest::undoTakesBackChangesOfBoth()
{
    Bench bench;
    bench.session.setDraft(smallDocument());
    const auto before = bench.panel->model().document();
    bench.type("name", "other");
    QVERIFY(bench.panel->model().document() != before);
    while (bench.panel->model().document() != before) {
        QVERIFY(bench.session.undoStack().canUndo());
        bench.session.undoStack().undo();
    }
    QCOMPARE(bench.form()->document()["name"].get<std::string>(), std::string("small"));
    QCOMPARE((*bench.editor()->document())["name"].get<std::string>(), std::string("small"));
    bench.session.undoStack().redo();
    QVERIFY(bench.panel->model().document() != before);
}

void NewRunTest::errorsStandWhereTheyAre()
{
    Bench bench;
    auto wrong = smallDocument();
    wrong["train"]["epochs"] = "many";
    bench.session.setDraft(wrong);
    const auto issues = train::quickCheck(wrong);
    QCOMPARE(issues.size(), std::size_t(1));
    QCOMPARE(bench.form()->errorAt("train.epochs"), QString::fromStdString(issues[0].message));
    QVERIFY2(bench.editor()->messages().join('\n').contains("train.epochs"), qPrintable(bench.editor()->messages().join('\n')));
    QVERIFY(bench.checks().contains(QString::fromStdString(issues[0].message)));
    QVERIFY(!bench.start()->isEnabled());
}

void NewRunTest::dataThatIsMissingIsSaid()
{
    Bench bench;
    auto wrong = smallDocument();
    wrong["data"] = {{"id", "csv"}, {"path", "nothing-there.csv"}, {"target", "y"}};
    bench.session.setDraft(wrong);
    QTRY_VERIFY(bench.panel->isIdle());
    QVERIFY2(bench.checks().contains("nothing-there.csv"), qPrintable(bench.checks()));
    QVERIFY(!bench.start()->isEnabled());
}

void NewRunTest::unreadableTextCannotBeStarted()
{
    Bench bench;
    bench.session.setDraft(smallDocument());
    QTRY_VERIFY(bench.start()->isEnabled());
    auto* text = bench.editor()->editor();
    text->setFocus();
    text->moveCursor(QTextCursor::Start);
    QTest::keyClicks(text, "{[");
    QTRY_VERIFY(!bench.start()->isEnabled());
    QVERIFY(!bench.checks().isEmpty());
    QVERIFY(bench.panel->model().document() == smallDocument());
}

void NewRunTest::aRunIsStartedAndCancelledInTheMiddle()
{
    Bench bench;
    auto document = smallDocument();
    document["train"]["epochs"] = 20000;
    bench.session.setDraft(document);
    QTRY_VERIFY(bench.start()->isEnabled());
    bench.panel->findChild<QSpinBox*>()->setValue(1);
    QTest::mouseClick(bench.start(), Qt::LeftButton);
    QTRY_COMPARE(bench.session.selection().runs.size(), 1);
    const auto run = bench.session.selection().runs.front();
    QTRY_COMPARE_WITH_TIMEOUT(bench.session.workspace()->run(run).status, store::RunStatus::Running, 20000);
    const auto stored = bench.session.workspace()->run(run);
    QCOMPARE(stored.name, std::string("small"));
    QVERIFY(stored.document == train::resolveExperiment(document).document);
    QTRY_VERIFY_WITH_TIMEOUT(bench.session.workspace()->lastMetrics(run).contains("train/loss"), 20000);
    QVERIFY(bench.start()->isEnabled());
    bench.session.jobs().cancelAll();
    QTRY_COMPARE_WITH_TIMEOUT(bench.session.workspace()->run(run).status, store::RunStatus::Cancelled, 20000);
}

void NewRunTest::theCommandEqualsTheDocument()
{
    Bench bench;
    const auto file = bench.folder.filePath("small.json");
    core::writeFileAtomically(file.toStdString(), smallDocument().dump(2));
    bench.panel->askOpenFile = [file] { return file; };
    for (auto* button : bench.panel->findChildren<QAbstractButton*>())
        if (button->isVisible() && button->text() == "Open…")
            QTest::mouseClick(button, Qt::LeftButton);
    QTRY_COMPARE(bench.panel->model().file(), file);
    auto changed = bench.panel->model().document();
    changed["train"]["epochs"] = 7;
    bench.panel->model().edit("train.epochs", changed);
    const auto rest = " --workspace " + bench.session.workspaceFolder();
    QCOMPARE(bench.panel->commandLine(), "orrery-cli train " + file + " --set train.epochs=7" + rest);
    QTest::mouseClick(bench.panel->findChild<QToolButton*>("copy_command"), Qt::LeftButton);
    QCOMPARE(QApplication::clipboard()->text(), bench.panel->commandLine());
}

void NewRunTest::savingWritesWhatIsShown()
{
    Bench bench;
    bench.session.setDraft(smallDocument());
    for (const QString name : {"saved.yaml", "saved.json"}) {
        const auto file = bench.folder.filePath(name);
        widgets::askSaveFile() = [file](QWidget*, const QString&, const QString&) { return file; };
        QTest::mouseClick(bench.panel->findChild<QToolButton*>("save"), Qt::LeftButton);
        QTRY_COMPARE(bench.panel->model().file(), file);
        QVERIFY(train::readDocument(file.toStdString()) == smallDocument());
    }
}

void NewRunTest::aModelFileIsAText()
{
    Bench bench;
    auto document = smallDocument();
    document["model"] = "run:3";
    bench.session.setDraft(document);
    QCOMPARE(bench.form()->errorAt("model"), QString());
    bench.type("model", "run:4");
    QCOMPARE(bench.panel->model().document()["model"].get<std::string>(), std::string("run:4"));
}

void NewRunTest::aTrainingInItsOwnProcessIsAChoiceThatStays()
{
    const QTemporaryDir settings;
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings.path());
    QCoreApplication::setOrganizationName("Orrery");
    widgets::setTrainsInProcess(false);
    Bench bench;
    auto* box = bench.panel->findChild<QCheckBox*>("in_process");
    QVERIFY(!box->isChecked());
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Space);
    QVERIFY(widgets::trainsInProcess());
    bench.session.setDraft(smallDocument());
    QTRY_VERIFY(bench.start()->isEnabled());
    QTest::mouseClick(bench.start(), Qt::LeftButton);
    const auto workspace = bench.session.workspace();
    QTRY_VERIFY_WITH_TIMEOUT(workspace->findRun(1) && workspace->findRun(1)->status == store::RunStatus::Finished, 60000);
    // What the thread of the window would have given.
    widgets::setTrainsInProcess(false);
    const auto again = train::createRepetition(*workspace, 1);
    widgets::submitTraining(bench.session, widgets::trainingJob(workspace, again, train::threadsOfRun(workspace->run(1)))).wait();
    QVERIFY(train::compareRepetition(*workspace, 1, again).isIdentical());
    widgets::setTrainsInProcess(true);
    bench.panel.reset();
    bench.show();
    QVERIFY(bench.panel->findChild<QCheckBox*>("in_process")->isChecked());
    widgets::setTrainsInProcess(false);
}

void NewRunTest::aTrainingThatTakesTooMuchMemoryEndsWithASentence()
{
    const QTemporaryDir settings;
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings.path());
    QCoreApplication::setOrganizationName("Orrery");
    widgets::setTrainsInProcess(false);
    Bench bench;
    auto* limit = bench.panel->findChild<QDoubleSpinBox*>("memory_limit");
    QVERIFY(!limit->isEnabled());  // a thread shares the memory of the window
    QCOMPARE(limit->text(), QString("no limit"));
    auto* box = bench.panel->findChild<QCheckBox*>("in_process");
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Space);
    QVERIFY(limit->isEnabled());
    limit->setFocus();
    limit->selectAll();
    QTest::keyClicks(limit, "nonsense");
    QCOMPARE(limit->value(), 0.0);  // letters are not taken
    limit->selectAll();
    QTest::keyClicks(limit, "0.05");
    QTest::keyClick(limit, Qt::Key_Tab);
    QCOMPARE(widgets::trainingMemoryLimit(), 51);
    bench.session.setDraft(smallDocument());
    QTRY_VERIFY(bench.start()->isEnabled());
    QVERIFY2(bench.panel->commandLine().contains("--engine process --memory-limit 51MiB"), qPrintable(bench.panel->commandLine()));
    QTest::mouseClick(bench.start(), Qt::LeftButton);
    const auto workspace = bench.session.workspace();
    QTRY_VERIFY_WITH_TIMEOUT(workspace->findRun(1) && workspace->findRun(1)->status == store::RunStatus::Failed, 60000);
    const auto error = QString::fromStdString(workspace->run(1).error);
    QVERIFY2(error.contains("more than its limit of 51"), qPrintable(error));
    widgets::setTrainsInProcess(false);
    widgets::setTrainingMemoryLimit(0);
}

void NewRunTest::stateSurvivesARestart()
{
    Bench bench;
    bench.session.setDraft(smallDocument());
    bench.type("name", "kept");
    const auto state = bench.panel->saveState();
    bench.session.setDraft(core::Json());
    bench.panel.reset();
    bench.show();
    bench.panel->restoreState(state);
    QVERIFY(!bench.panel->isShowingEmptyState());
    QCOMPARE(bench.panel->model().document()["name"].get<std::string>(), std::string("kept"));
    QTRY_VERIFY(bench.start()->isEnabled());
    bench.panel->restoreState({{"document", 3}, {"view", "x"}, {"splitter", 1}});
}

QTEST_MAIN(NewRunTest)
#include "new_run_test.moc"
