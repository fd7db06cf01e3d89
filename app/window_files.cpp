// What the main window does with files and folders.
#include <QDir>
#include <QDragEnterEvent>
#include <QFileInfo>
#include <QMimeData>
#include <QStandardPaths>
#include <QUrl>

#include <core/base/error.h>
#include <core/data/dataset.h>
#include <core/jobs/queue.h>
#include <core/scene/field/synthesis.h>
#include <core/scene/splat/synthetic.h>
#include <core/store/workspace.h>
#include <core/train/document_file.h>
#include <core/train/runs.h>
#include <widgets/panel.h>
#include <widgets/training.h>

#include "main_window.h"
#include "opened_file.h"

namespace orrery::app {
namespace {

QString dataFolder()
{
    return QStandardPaths::writableLocation(QStandardPaths::AppDataLocation);
}

// Copies a folder; files that are there already stay as the user left them.
void copyFolder(const QString& from, const QString& to)
{
    QDir().mkpath(to);
    for (const auto& entry : QDir(from).entryInfoList(QDir::Files | QDir::Dirs | QDir::NoDotAndDotDot)) {
        const auto target = to + "/" + entry.fileName();
        if (entry.isDir())
            copyFolder(entry.filePath(), target);
        else if (!QFileInfo::exists(target)) {
            if (!QFile::copy(entry.filePath(), target))
                throw core::StorageError("cannot write " + target.toStdString());
            QFile(target).setPermissions(QFile::ReadOwner | QFile::WriteOwner | QFile::ReadGroup | QFile::ReadOther);
        }
    }
}

/// The panel that shows a scene.
const char* scenePanel(const QString& scene)
{
    return scene::holdsSplats(scene.toStdString()) ? "splats" : "point_cloud";
}

}  // namespace

void MainWindow::openExample(const QString& document)
{
    const QFileInfo file(document);
    const auto target = dataFolder() + "/projects/" + file.dir().dirName();
    try {
        copyFolder(file.dir().path(), target);
    } catch (const std::exception& error) {
        return showError(tr("The example could not be copied"), QString::fromUtf8(error.what()));
    }
    if (!m_session.hasWorkspace() && !openWorkspace(dataFolder() + "/workspace"))
        return;
    openFile(target + "/" + file.fileName());
}

bool MainWindow::openFile(const QString& path)
{
    const QFileInfo file(path);
    try {
        const bool isBuiltIn = path == QLatin1String(scene::kShapesName);
        if (!file.exists() && !isBuiltIn && !path.startsWith("zoo:") && !path.startsWith("run:"))
            throw core::StorageError(path.toStdString() + ": no such file or folder");
        if (file.isDir() && store::Workspace::isWorkspace(path.toStdString()))
            return openWorkspace(path);
        if (!m_session.hasWorkspace() && !openWorkspace(dataFolder() + "/workspace"))
            return false;
        auto [kind, opened] = whatToOpen(file);
        if (isBuiltIn) {
            kind = FileKind::Scene;
            opened = path;
        }
        switch (kind) {
        case FileKind::Document:
            m_session.setDraft(train::readDocument(path.toStdString()), file.absolutePath());
            showPanel("new_run");
            break;
        case FileKind::Scene:
            m_session.changeSelection([&](widgets::Selection& selection) { selection.sceneObject = opened; });
            showPanel(scenePanel(opened));
            break;
        case FileKind::Table: {
            const auto document = data::dataDocument(opened.toStdString());
            m_session.changeSelection([&](widgets::Selection& selection) {
                selection.data = document;
                selection.split = "train";
                selection.samples.clear();
            });
            showPanel("data");
            break;
        }
        case FileKind::Tokenizer:
            if (showPanel("tokenizer"))
                QMetaObject::invokeMethod(panelIn(m_docks.value("tokenizer")), "addTokenizer", Q_ARG(QString, opened));
            break;
        case FileKind::Model:
            m_session.openModel(opened);
            showPanel("model");
            break;
        }
        if (file.exists())
            rememberRecent(path);
        return true;
    } catch (const std::exception& error) {
        showError(tr("The file could not be opened"), QString::fromUtf8(error.what()));
        return false;
    }
}

void MainWindow::startExperiment(const QString& file)
{
    if (!openFile(file))
        return;
    const auto workspace = m_session.workspace();
    m_session.runInBackground(
        this,
        [workspace, path = file.toStdString()](widgets::BackgroundContext&) {
            return widgets::trainingJob(workspace, train::createRun(*workspace, train::readExperiment(path)));
        },
        [this, workspace](jobs::JobSpec job) {
            if (m_session.workspace() != workspace)
                return;  // another one was opened meanwhile: the run stays queued in its own
            const auto run = job.run.value();
            widgets::submitTraining(m_session, std::move(job));
            m_session.selectRuns({run});
            showPanel("experiments");
        },
        [this](const QString& text) { showError(tr("The experiment could not be started"), text); });
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event)
{
    takeDrop(*event);
}

void MainWindow::dropEvent(QDropEvent* event)
{
    takeDrop(*event);
}

// Entering and moving are told that files are welcome; the drop opens them.
bool MainWindow::takeDrop(QDropEvent& event)
{
    const auto urls = event.mimeData()->urls();
    if (!std::any_of(urls.begin(), urls.end(), [](const QUrl& url) { return url.isLocalFile(); }))
        return false;
    event.acceptProposedAction();
    if (event.type() != QEvent::Drop)
        return true;
    for (const auto& url : urls)
        if (url.isLocalFile())
            openFile(url.toLocalFile());
    return true;
}

bool MainWindow::eventFilter(QObject* watched, QEvent* event)
{
    const auto type = event->type();
    if (type != QEvent::DragEnter && type != QEvent::DragMove && type != QEvent::Drop)
        return false;
    // Drops are sent to the window under the mouse, too; only widgets, and only those of this window, are meant.
    if (watched == this || !watched->isWidgetType())
        return false;
    const QObject* parent = watched;
    while (parent && parent != this)
        parent = parent->parent();
    return parent && takeDrop(*static_cast<QDropEvent*>(event));
}

}  // namespace orrery::app
