// What the main window does with files and folders.
#include <QDir>
#include <QDragEnterEvent>
#include <QFileInfo>
#include <QMimeData>
#include <QStandardPaths>
#include <QUrl>

#include <core/base/error.h>
#include <core/data/dataset.h>
#include <core/store/workspace.h>
#include <core/jobs/queue.h>
#include <core/train/document_file.h>
#include <core/train/runs.h>

#include "main_window.h"

namespace orrery::app {
namespace {

QString dataFolder() { return QStandardPaths::writableLocation(QStandardPaths::AppDataLocation); }

// Copies a folder; files that are there already stay as the user left them.
void copyFolder(const QString& from, const QString& to)
{
    QDir().mkpath(to);
    for (const auto& entry : QDir(from).entryInfoList(QDir::Files | QDir::Dirs | QDir::NoDotAndDotDot)) {
        const auto target = to + "/" + entry.fileName();
        if (entry.isDir()) copyFolder(entry.filePath(), target);
        else if (!QFileInfo::exists(target)) {
            if (!QFile::copy(entry.filePath(), target)) throw core::StorageError("cannot write " + target.toStdString());
            QFile(target).setPermissions(QFile::ReadOwner | QFile::WriteOwner | QFile::ReadGroup | QFile::ReadOther);
        }
    }
}

bool isDocument(const QFileInfo& file)
{
    const auto ending = file.suffix().toLower();
    return ending == "yaml" || ending == "yml" || ending == "json";
}

bool isTable(const QFileInfo& file) { return QStringList{"csv", "tsv", "npy", "npz", "jsonl", "txt", "gz"}.contains(file.suffix().toLower()); }

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
    if (!m_session.hasWorkspace() && !openWorkspace(dataFolder() + "/workspace")) return;
    openFile(target + "/" + file.fileName());
}

void MainWindow::openFile(const QString& path)
{
    const QFileInfo file(path);
    try {
        if (!file.exists() && !path.startsWith("zoo:") && !path.startsWith("run:")) throw core::StorageError(path.toStdString() + ": no such file or folder");
        if (file.isDir() && store::Workspace::isWorkspace(path.toStdString())) {
            openWorkspace(path);
            return;
        }
        if (!m_session.hasWorkspace() && !openWorkspace(dataFolder() + "/workspace")) return;
        if (isDocument(file)) {
            m_session.setDraft(train::readDocument(path.toStdString()), file.absolutePath());
            showPanel("new_run");
        } else if (isTable(file) || file.isDir()) {
            const auto document = data::dataDocument(file.absoluteFilePath().toStdString());
            m_session.changeSelection([&](widgets::Selection& selection) {
                selection.data = document;
                selection.split = "train";
                selection.samples.clear();
            });
            showPanel("data");
        } else {
            m_session.openModel(file.exists() ? file.absoluteFilePath() : path);
            showPanel("model");
        }
        if (file.exists()) rememberRecent(path);
    } catch (const std::exception& error) {
        showError(tr("The file could not be opened"), QString::fromUtf8(error.what()));
    }
}

void MainWindow::startExperiment(const QString& file)
{
    openFile(file);
    const auto workspace = m_session.workspace();
    if (!workspace || !QFileInfo::exists(file)) return;
    const int threads = m_session.jobs().limit();
    m_session.runInBackground(
        this,
        [workspace, path = file.toStdString()](widgets::BackgroundContext&) { return train::createRun(*workspace, train::readExperiment(path)); },
        [this, workspace, threads](store::RunId run) {
            m_session.jobs().submit(train::trainJob(workspace, run, threads));
            m_session.selectRuns({run});
            showPanel("experiments");
        },
        [this](const QString& text) { showError(tr("The experiment could not be started"), text); });
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event)
{
    if (event->mimeData()->hasUrls()) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event)
{
    for (const auto& url : event->mimeData()->urls())
        if (url.isLocalFile()) openFile(url.toLocalFile());
    event->acceptProposedAction();
}

}  // namespace orrery::app
