// The main window with its real panels, driven by keys and mouse.
#include <QClipboard>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QDir>
#include <QFile>
#include <QMenuBar>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QSettings>
#include <QTabBar>
#include <QTextBrowser>
#include <QToolButton>

#include <core/base/files.h>
#include <core/base/log.h>
#include <core/io/npy.h>
#include <core/io/zip.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/synthetic.h>
#include <core/store/reports.h>
#include <widgets/report_item.h>
#include <widgets/training.h>

#include "app_test.h"

using namespace orrery;
using test::Program;

namespace {

bool wasLogged(const std::string& text)
{
    const auto records = core::recentLog();
    return std::any_of(records.begin(), records.end(), [&](const core::LogRecord& record) { return record.text.find(text) != std::string::npos; });
}

QString resource(const char* name)
{
    return QString::fromStdString((core::resourceFolder() / "data" / name).string());
}

/// Waits for a message box, closes it, and gives its text.
QString shownMessage()
{
    QPointer<QMessageBox> box;
    if (!QTest::qWaitFor([&] { return (box = qobject_cast<QMessageBox*>(QApplication::activeModalWidget())) && box->isVisible(); }))
        return {};
    const QString text = box->text();
    QTest::mouseClick(box->button(QMessageBox::Ok), Qt::LeftButton);
    return QTest::qWaitFor([&] { return !box; }) ? text : QString();
}

/// Without a window manager nobody makes the window active again that is made anew for its first view of OpenGL.
void showPanel(Program& program, const QString& id)
{
    QVERIFY(program.window->showPanel(id));
    program.window->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(program.window.get()));
}

/// Ids and titles of all panels.
std::vector<std::pair<QString, QString>> titles(const app::MainWindow& window)
{
    std::vector<std::pair<QString, QString>> found;
    for (const auto& info : window.panels().panels())
        found.emplace_back(info.id, info.title);
    return found;
}

}  // namespace

class WindowTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init() { m_folder = std::make_unique<QTemporaryDir>(); }

    void startsWithTheWelcomePage()
    {
        Program program;
        QVERIFY(test::buttonNamed(program.window.get(), "Workspace…"));
        QVERIFY(test::buttonNamed(program.window.get(), "File…"));
        for (const auto& info : program.window->panels().panels())
            QVERIFY2(!program.isShown(info.id), qPrintable(info.id));
        QVERIFY(program.window->panels().problems().empty());
        QCOMPARE(program.window->windowTitle(), QStringLiteral("Orrery"));
    }

    void exampleOpens()
    {
        Program program;
        auto* example = test::buttonNamed(program.window.get(), "digits");
        QVERIFY(example);
        QTest::mouseClick(example, Qt::LeftButton);
        QTRY_VERIFY(program.session.hasWorkspace());
        QTRY_VERIFY(program.panel("new_run"));
        QVERIFY(program.isShown("new_run"));
        QCOMPARE(program.session.draft().at("model").at("id").get<std::string>(), std::string("lenet"));
        auto* text = program.panel("new_run")->findChild<QPlainTextEdit*>();
        QVERIFY(text);
        QTRY_VERIFY(text->toPlainText().contains("lenet"));
        // The document is a copy that may be changed.
        QVERIFY(!program.session.draftFolder().startsWith(ORRERY_SOURCE_DIR));
        QVERIFY(QFileInfo(program.session.draftFolder() + "/experiment.yaml").isWritable());
    }

    void workspaceShowsThePanelsOfItsLayout()
    {
        Program program;
        QVERIFY(program.window->openWorkspace(m_folder->filePath("w")));
        QCOMPARE(program.window->windowTitle(), QStringLiteral("w - Orrery"));
        int shown = 0;
        for (const auto& info : program.window->panels().panels()) {
            QCOMPARE(program.isShown(info.id), info.shown);
            shown += info.shown;
        }
        QVERIFY(shown >= 3);
        QTRY_VERIFY(program.panel("experiments"));
        QVERIFY(!test::buttonNamed(program.window.get(), "Workspace…"));
    }

    void layoutAndSelectionAreBackAfterARestart()
    {
        const QString place = m_folder->filePath("w");
        const auto run = test::addTrainedRun(place);
        QSize size;
        {
            Program program;
            QVERIFY(program.window->openWorkspace(place));
            QVERIFY(program.window->showPanel("log"));
            program.dock("jobs")->close();
            program.session.selectRuns({run});
            program.session.changeSelection([](widgets::Selection& selection) { selection.samples = {4, 7}; });
            program.window->resize(1400, 900);
            size = program.window->size();
            program.window->close();
            QVERIFY(!program.session.hasWorkspace());
        }
        Program program;
        QVERIFY(program.window->openWorkspace(place));
        QVERIFY(program.isShown("log"));
        QVERIFY(!program.isShown("jobs"));
        QCOMPARE(program.session.selection().runs, QList<qint64>{run});
        QCOMPARE(program.session.selection().samples, (QList<qint64>{4, 7}));
        QCOMPARE(program.window->size(), size);
        // The other workspace has a layout of its own.
        QVERIFY(program.window->openWorkspace(m_folder->filePath("other")));
        QCOMPARE(program.isShown("jobs"), program.window->panels().find("jobs")->shown);
        QVERIFY(program.session.selection().runs.isEmpty());
    }

    void resetLayoutShowsTheDefault()
    {
        Program program;
        QVERIFY(program.window->openWorkspace(m_folder->filePath("w")));
        program.dock("experiments")->close();
        program.dock("jobs")->setFloating(true);
        program.command("reset layout");
        QTRY_VERIFY(program.isShown("experiments"));
        QVERIFY(!program.dock("jobs")->isFloating());
    }

    void droppedFilesOpen_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("panel");
        QTest::newRow("experiment") << ORRERY_SOURCE_DIR "/projects/digits/experiment.yaml"
                                    << "new_run";
        QTest::newRow("table") << resource("iris.csv") << "data";
        QTest::newRow("model") << ORRERY_TEST_DATA "/torchscript/mlp_scripted.pt"
                               << "model";
    }
    void droppedFilesOpen()
    {
        QFETCH(QString, file);
        QFETCH(QString, panel);
        Program program;
        test::dropFile(program.window.get(), file);
        QTRY_VERIFY(program.panel(panel));
        QVERIFY(program.isShown(panel));
        QTRY_VERIFY(program.window->isIdle());
        QCOMPARE(program.panel(panel)->errorText(), QString());
        QVERIFY(!program.panel(panel)->isShowingEmptyState());
        QVERIFY(app::recentItems().contains(QFileInfo(file).absoluteFilePath()));
    }

    void droppedScenesOpenInThePanelThatShowsThem()
    {
        const QString cloud = m_folder->filePath("cloud.ply"), splats = m_folder->filePath("splats.ply");
        core::writeFileAtomically(
            cloud.toStdString(),
            "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n0 0 0\n1 1 1\n");
        scene::SplatFile content;
        content.splats = scene::syntheticRoom(50, 1);
        scene::writeSplatPly(splats.toStdString(), content);
        for (const auto& [file, panel] : {std::pair(cloud, "point_cloud"), std::pair(splats, "splats")}) {
            Program program;
            test::dropFile(program.window.get(), file);
            QTRY_VERIFY2(program.panel(panel), panel);
            QVERIFY(program.isShown(panel));
            QTRY_VERIFY(program.window->isIdle());
            QCOMPARE(program.panel(panel)->errorText(), QString());
            QVERIFY(!program.panel(panel)->isShowingEmptyState());
        }
    }

    void droppedWorkspaceOpens()
    {
        const QString place = m_folder->filePath("w");
        store::Workspace::open(place.toStdString());
        Program program;
        test::dropFile(program.window.get(), place);
        QCOMPARE(program.session.workspaceFolder(), place);
    }

    void droppedOnATextItIsOpenedNotInserted()
    {
        Program program;
        test::dropFile(program.window.get(), ORRERY_SOURCE_DIR "/projects/digits/experiment.yaml");
        QTRY_VERIFY(program.panel("new_run"));
        auto* text = program.panel("new_run")->findChild<QPlainTextEdit*>();
        QTRY_VERIFY(text->toPlainText().contains("lenet"));
        test::dropFile(text->viewport(), ORRERY_SOURCE_DIR "/projects/tabular/wine.yaml");
        QTRY_VERIFY(text->toPlainText().contains("wine"));
        QVERIFY(!text->toPlainText().contains("file://"));
    }

    void filesOpenAsWhatTheyHold_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("panel");
        QTest::addColumn<QString>("opened");  // relative to the folder; empty: the file itself
        // A checkpoint folder, and each of its parts.
        for (const char* const part : {"", "config.json", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"})
            QTest::addRow("checkpoint/%s", part) << QString("checkpoint/%1").arg(part) << "model"
                                                 << "checkpoint";
        QTest::newRow("its tokenizer") << "checkpoint/tokenizer.json"
                                       << "tokenizer"
                                       << "";
        QTest::newRow("weights alone") << "alone.safetensors"
                                       << "model"
                                       << "";
        QTest::newRow("archive of weights") << "weights.npz"
                                            << "model"
                                            << "";
        QTest::newRow("archive of data") << "data.npz"
                                         << "data"
                                         << "";
        QTest::newRow("damaged archive") << "damaged.npz"
                                         << "data"
                                         << "";
        QTest::newRow("experiment") << "experiment.yaml"
                                    << "new_run"
                                    << "";
    }

    void filesOpenAsWhatTheyHold()
    {
        QFETCH(QString, file);
        QFETCH(QString, panel);
        QFETCH(QString, opened);
        const auto write = [&](const QString& name, const QByteArray& bytes) {
            QDir().mkpath(QFileInfo(m_folder->filePath(name)).path());
            QFile target(m_folder->filePath(name));
            QVERIFY(target.open(QIODevice::WriteOnly));
            target.write(bytes);
        };
        write("checkpoint/config.json", R"({"model_type": "gpt2", "n_embd": 8})");
        write("checkpoint/tokenizer.json", "{}");
        write("checkpoint/model.safetensors", "");
        write("checkpoint/model.safetensors.index.json", R"({"weight_map": {}})");
        write("checkpoint/pytorch_model.bin", "");
        write("alone.safetensors", "");
        write("weights.npz", QByteArray::fromStdString(core::readFile(ORRERY_TEST_DATA "/weights/checkpoint.npz")));
        const auto array = io::npyBytes({io::ElementType::Float32, {2, 1}, std::string(8, '\0')});
        write("data.npz", QByteArray::fromStdString(io::zipBytes({{"x.npy", array}, {"y.npy", array}})));
        write("damaged.npz", "PK");
        write("experiment.yaml", "model: mlp\n");

        Program program;
        const auto path = m_folder->filePath(file);
        QVERIFY(program.window->openFile(path));
        QTRY_VERIFY(program.panel(panel.toUtf8()));
        const auto& selection = program.session.selection();
        if (panel == "model")
            QCOMPARE(selection.model, opened.isEmpty() ? path : m_folder->filePath(opened));
        else if (panel == "data")
            QVERIFY(selection.data.dump().find(path.toStdString()) != std::string::npos);
        else if (panel == "tokenizer")
            QVERIFY(program.panel("tokenizer")->saveState().dump().find(path.toStdString()) != std::string::npos);
    }

    void unknownFilesAreAnsweredWithAMessage()
    {
        QFile file(m_folder->filePath("letter.docx"));
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write("nothing that is known");
        file.close();
        Program program;
        test::dropFile(program.window.get(), file.fileName());
        QTRY_VERIFY(program.panel("model"));
        QTRY_VERIFY2(program.panel("model")->errorText().contains("letter.docx"), qPrintable(program.panel("model")->errorText()));
        // A broken document and a file that is not there.
        QFile document(m_folder->filePath("broken.yaml"));
        QVERIFY(document.open(QIODevice::WriteOnly));
        document.write("a: [1\n");
        document.close();
        QVERIFY(!program.window->openFile(document.fileName()));
        QVERIFY(shownMessage().contains("broken.yaml"));
        QVERIFY(!program.window->openFile(m_folder->filePath("none.pt")));
        QVERIFY(shownMessage().contains("no such file or folder"));
        QVERIFY(program.message().contains("no such file or folder"));
    }

    void paletteRunsAnAction()
    {
        Program program;
        program.command("dark");
        QTRY_VERIFY(program.theme.isDark());
        program.command("light");
        QTRY_VERIFY(!program.theme.isDark());
    }

    void themeIsKeptForTheNextStart()
    {
        {
            Program program;
            program.command("dark");
            QTRY_VERIFY(program.theme.isDark());
            QTRY_VERIFY(widgets::isDark(program.window->palette()));
        }
        Program program;
        QVERIFY(program.theme.isDark());
        program.command("light");
        QTRY_VERIFY(!program.theme.isDark());
    }

    void f1OpensThePageOfTheFocusedPanel()
    {
        Program program;
        QVERIFY(program.window->openWorkspace(m_folder->filePath("w")));
        for (const auto& [id, title] : titles(*program.window)) {
            showPanel(program, id);
            QTest::keyClick(program.window.get(), Qt::Key_F1);
            auto* browser = program.window->findChild<QTextBrowser*>("helpText");
            QVERIFY2(browser && browser->isVisible(), qPrintable(id));
            const auto page = program.panel(id)->helpPage() + ".html";
            QVERIFY2(std::filesystem::exists(core::resourceFolder() / "help" / page.toStdString()), qPrintable("there is no page " + page));
            QCOMPARE(browser->source().fileName(), page);
            browser->window()->close();
            program.window->activateWindow();
            QVERIFY(QTest::qWaitForWindowActive(program.window.get()));
        }
    }

    void everyEmptyPanelAnswersWhatItIsAsked()
    {
        Program program;
        QVERIFY(program.window->openWorkspace(m_folder->filePath("w")));
        for (const auto& [id, title] : titles(*program.window)) {
            showPanel(program, id);
            QTRY_VERIFY2_WITH_TIMEOUT(program.window->isIdle(), qPrintable(id), 20000);
            QVERIFY2(program.panel(id)->errorText().isEmpty(), qPrintable(id + ": " + program.panel(id)->errorText()));
            if (!program.panel(id)->reportItem()) {
                QTest::keyClick(program.window.get(), Qt::Key_R, Qt::ControlModifier | Qt::ShiftModifier);
                QTRY_COMPARE(program.message(), title + " shows nothing to add to a report yet.");
            }
            QTest::keyClick(program.window.get(), Qt::Key_Escape);  // nothing runs: nothing happens
            QVERIFY(program.isShown(id));
        }
        // With every panel open the titles of the tabs can still be read.
        int tabs = 0;
        for (const auto* bar : program.window->findChildren<QTabBar*>(QString(), Qt::FindDirectChildrenOnly)) {
            QCOMPARE(bar->elideMode(), Qt::ElideNone);
            tabs += bar->count();
        }
        QVERIFY2(tabs > 15, qPrintable(QString::number(tabs)));
    }

    void settingsApplyAtOnceAndAreKept()
    {
        {
            Program program;
            QTest::keyClick(program.window.get(), Qt::Key_Comma, Qt::ControlModifier);
            QTRY_VERIFY(QApplication::activeModalWidget());
            auto* dialog = QApplication::activeModalWidget();
            QLineEdit* cores = nullptr;
            for (auto* line : dialog->findChildren<QLineEdit*>())
                if (line->accessibleName() == "cores")
                    cores = line;
            QVERIFY(cores);
            cores->setFocus();
            cores->selectAll();
            QTest::keyClicks(cores, "1");
            QTest::keyClick(cores, Qt::Key_Tab);
            QTRY_COMPARE(program.session.jobs().limit(), 1);
            QTest::keyClick(dialog, Qt::Key_Escape);
            QTRY_VERIFY(!QApplication::activeModalWidget());
        }
        Program program;
        QCOMPARE(program.session.jobs().limit(), 1);
        QSettings().remove("settings");
    }

    void unreadableWorkspacesAreRefused_data()
    {
        QTest::addColumn<QString>("damage");
        QTest::addColumn<QString>("message");
        QTest::newRow("text") << "text"
                              << "expected an Orrery database, found a file of another kind";
        QTest::newRow("newer") << "newer"
                               << "it was written by a newer Orrery";
        QTest::newRow("half") << "half"
                              << "the database is damaged";
    }
    void unreadableWorkspacesAreRefused()
    {
        QFETCH(QString, damage);
        QFETCH(QString, message);
        const QString place = m_folder->filePath("w"), before = m_folder->filePath("before");
        test::addTrainedRun(place);
        QFile database(place + "/orrery.db");
        QVERIFY(database.open(QIODevice::ReadWrite));
        if (damage == "half")
            database.resize(database.size() / 2);
        else if (damage == "newer")
            QVERIFY(database.seek(60) && database.write(QByteArray("\0\0\0\x63", 4)) == 4);
        else
            QVERIFY(database.resize(0) && database.write(QByteArray(2000, 'x')) == 2000);
        database.close();
        Program program;
        QVERIFY(program.window->openWorkspace(before));
        QVERIFY(!program.window->openWorkspace(place));
        QVERIFY(shownMessage().contains(message));
        QVERIFY(!program.session.hasWorkspace());
        QVERIFY(test::buttonNamed(program.window.get(), "Workspace…"));
        QVERIFY(!program.isShown("experiments"));
    }

    void aFolderOfOtherFilesIsAskedAbout()
    {
        const QString place = m_folder->filePath("model");
        QVERIFY(QDir().mkpath(place));
        core::writeFileAtomically((place + "/config.json").toStdString(), "{}");
        Program program;
        {
            test::Answer answer(QMessageBox::Cancel);
            QVERIFY(!program.window->openWorkspace(place));
            QVERIFY2(answer.text.contains("It holds a model"), qPrintable(answer.text));
        }
        QVERIFY(!program.session.hasWorkspace() && !QFile::exists(place + "/orrery.db"));
        test::Answer answer(QMessageBox::Yes);
        QVERIFY(program.window->openWorkspace(place));
        QVERIFY(QFile::exists(place + "/orrery.db"));
    }

    void brokenPluginsAreReportedAndLeftOut()
    {
        QFile text(m_folder->filePath("letter.so"));
        QVERIFY(text.open(QIODevice::WriteOnly));
        text.write("this is no library");
        text.close();
        QVERIFY(QFile::copy(TEST_PANELS "/good/test_good.so", m_folder->filePath("good.so")));
        QVERIFY(QFile::copy(TEST_PANELS "/alien/test_alien.so", m_folder->filePath("alien.so")));
        qputenv("ORRERY_PLUGINS", m_folder->path().toUtf8());
        Program program;
        qputenv("ORRERY_PLUGINS", ORRERY_TEST_PLUGINS);
        QCOMPARE(program.window->panels().panels().size(), std::size_t(1));
        QVERIFY(program.message().contains("Panel left out: letter.so: "));
        QVERIFY(wasLogged("Panel left out: alien.so: expected a plugin built with"));
        QVERIFY(program.window->openWorkspace(m_folder->filePath("w")));
        QVERIFY(program.window->showPanel("test_good"));
    }

    void statusLineShowsAndCancelsTheRunningJob()
    {
        Program program;
        auto* text = program.window->findChild<QLabel*>("job");
        QCOMPARE(text->text(), QStringLiteral("No jobs"));
        jobs::JobSpec spec;
        spec.title = "Counting";
        spec.function = [](jobs::Context& context) -> std::any {
            for (int i = 0;; ++i) {
                context.progress(std::min(i, 40), 100, "steps");
                context.pausePoint();
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
            }
        };
        const auto job = program.session.jobs().submit(spec);
        QTRY_VERIFY(text->text().startsWith("Counting"));
        auto* bar = program.window->findChild<QProgressBar*>();
        QTRY_COMPARE(bar->value(), 400);
        QVERIFY(bar->isVisible());
        QTest::mouseClick(test::buttonNamed(program.window.get(), "Cancel"), Qt::LeftButton);
        QTRY_COMPARE(job.status(), jobs::JobStatus::Cancelled);
        QTRY_COMPARE(text->text(), QStringLiteral("No jobs"));
        QVERIFY(!bar->isVisible());
    }

    void closingStopsTheJobsAndTheyCanBeResumed()
    {
        const QString place = m_folder->filePath("w");
        store::RunId run = 0;
        std::int64_t reached = 0;
        {
            Program program;
            QVERIFY(program.window->openWorkspace(place));
            const auto workspace = program.session.workspace();
            run = train::createRun(*workspace, train::resolveExperiment(test::smallExperiment(100000)));
            program.session.jobs().submit(widgets::trainingJob(workspace, run, 1));
            QTRY_VERIFY(workspace->metricSeries(run, "train/loss").points > 20);
            {
                test::Answer answer(QMessageBox::Cancel);
                program.window->close();
                QCOMPARE(answer.text, QStringLiteral("One job will be stopped. Trainings can be resumed from their last checkpoint."));
            }
            QVERIFY(program.window->isVisible());
            QVERIFY(program.session.hasWorkspace());
            test::Answer answer(QMessageBox::Close);
            program.window->close();
            QVERIFY(!answer.text.isEmpty());
            QVERIFY(!program.window->isVisible());
        }
        const auto workspace = store::Workspace::open(place.toStdString());
        QVERIFY(workspace->run(run).status == store::RunStatus::Cancelled || workspace->run(run).status == store::RunStatus::Interrupted);
        reached = workspace->metricSeries(run, "train/loss").points;
        QVERIFY(reached > 20);
        QVERIFY(train::lastCheckpoint(*workspace, run));
        jobs::Queue queue;
        const auto job = queue.submit(widgets::trainingJob(workspace, run, 1));
        QTRY_VERIFY(workspace->metricSeries(run, "train/loss").points > reached);
        job.cancel();
        QCOMPARE(job.wait(), jobs::JobStatus::Cancelled);
    }

    void experimentStartsFromTheCommandLine()
    {
        Program program;
        QVERIFY(program.window->openWorkspace(m_folder->filePath("w")));
        program.window->startExperiment(ORRERY_SOURCE_DIR "/projects/tabular/wine.yaml");
        QTRY_COMPARE_WITH_TIMEOUT(program.session.selection().runs.size(), 1, 20000);
        QVERIFY(program.isShown("experiments"));
        program.session.jobs().cancelAll();
        program.session.jobs().waitAll();
    }

    void copyAsCommandFillsTheClipboard()
    {
        const QString place = m_folder->filePath("w");
        const auto run = test::addTrainedRun(place);
        Program program;
        QVERIFY(program.window->openWorkspace(place));
        QVERIFY(program.window->showPanel("experiments"));
        QTRY_VERIFY(program.window->isIdle());
        program.session.selectRuns({run});
        QTRY_VERIFY(!program.panel("experiments")->commandLine().isEmpty());
        QTest::keyClick(program.window.get(), Qt::Key_C, Qt::ControlModifier | Qt::ShiftModifier);
        QTRY_VERIFY(QApplication::clipboard()->text().startsWith("orrery-cli "));
        QCOMPARE(QApplication::clipboard()->text(), program.panel("experiments")->commandLine());
        QVERIFY(program.message().startsWith("Copied: orrery-cli "));
    }

    void addToReportAddsWhatThePanelShows()
    {
        const QString place = m_folder->filePath("w");
        const auto run = test::addTrainedRun(place);
        Program program;
        QVERIFY(program.window->openWorkspace(place));
        QVERIFY(program.window->showPanel("log"));
        QTest::keyClick(program.window.get(), Qt::Key_R, Qt::ControlModifier | Qt::ShiftModifier);
        QTRY_COMPARE(program.message(), QString("Log shows nothing to add to a report yet."));
        QVERIFY(program.window->showPanel("data"));
        program.session.selectRuns({run});
        QTRY_VERIFY_WITH_TIMEOUT(program.panel("data")->reportItem().has_value() && program.window->isIdle(), 20000);
        QTest::keyClick(program.window.get(), Qt::Key_R, Qt::ControlModifier | Qt::ShiftModifier);
        QTRY_COMPARE(program.message(), QString("Added to the report \"Report\"."));
        const store::Reports reports(program.session.workspace());
        QCOMPARE(reports.items(1).size(), std::size_t(1));
        const auto shown = program.session.workspace()->analysis(reports.items(1)[0].source.at("analysis").get<std::int64_t>());
        QCOMPARE(shown.inputs.at("panel").get<std::string>(), std::string("data"));
        QCOMPARE(shown.artifacts.at(0).mediaType, std::string("image/png"));
        QTest::keyClick(program.window.get(), Qt::Key_Z, Qt::ControlModifier);
        QTRY_VERIFY(reports.items(1).empty());
        QVERIFY(program.window->showPanel("report"));
        program.command("Add to report");  // the empty Report panel has nothing to add
        QTRY_COMPARE(program.message(), QString("Report shows nothing to add to a report yet."));
    }

private:
    std::unique_ptr<QTemporaryDir> m_folder;
};

int main(int argc, char** argv)
{
    return test::runAppTest<WindowTest>(argc, argv);
}

#include "window_test.moc"
