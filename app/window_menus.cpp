// Menus, status line, command palette and dialogs of the main window.
#include <QActionGroup>
#include <QDockWidget>
#include <QFileDialog>
#include <QLabel>
#include <QMenuBar>
#include <QProgressBar>
#include <QStatusBar>
#include <QToolButton>
#include <QUndoStack>

#include <core/base/text.h>
#include <core/base/version.h>
#include <core/jobs/queue.h>
#include <widgets/command_palette.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/panel.h>
#include <widgets/report_item.h>

#include "help_window.h"
#include "main_window.h"
#include "opened_file.h"
#include "settings_dialog.h"

namespace orrery::app {

void MainWindow::buildMenus()
{
    auto* file = menuBar()->addMenu(tr("&File"));
    file->addAction(tr("Open &workspace…"), QKeySequence("Ctrl+Shift+O"), this, &MainWindow::chooseWorkspace);
    file->addAction(tr("&Open file…"), QKeySequence::Open, this, &MainWindow::chooseFile);
    file->addAction(tr("Open fo&lder…"), this, &MainWindow::chooseFolder)
        ->setToolTip(tr("A checkpoint folder (config.json beside weights), or a folder of data"));
    auto* recent = file->addMenu(tr("Open &recent"));
    connect(recent, &QMenu::aboutToShow, this, [this, recent] {
        recent->clear();
        for (const auto& item : recentItems())
            recent->addAction(QString(item).replace('&', "&&"), this, [this, item] { openFile(item); });
        if (recent->isEmpty())
            recent->addAction(tr("Nothing yet"))->setEnabled(false);
    });
    auto* exampleMenu = file->addMenu(tr("&Examples"));
    for (const auto& example : examples()) {
        auto* action = exampleMenu->addAction(example.title, this, [this, document = example.file] { openExample(document); });
        action->setToolTip(example.summary);
        action->setProperty("paletteText", tr("Open example: %1").arg(example.title));
    }
    exampleMenu->setToolTipsVisible(true);
    file->setToolTipsVisible(true);
    file->addAction(tr("E&xport model…"), this, &MainWindow::exportModel)
        ->setToolTip(tr("Write the opened model as ONNX, TorchScript, a checkpoint folder, weights alone or C"));
    file->addSeparator();
    file->addAction(tr("&Close workspace"), this, &MainWindow::closeWorkspace);
    file->addAction(tr("&Settings…"), QKeySequence("Ctrl+,"), this, &MainWindow::showSettings);
    file->addSeparator();
    file->addAction(tr("&Quit"), QKeySequence::Quit, this, &QWidget::close);

    auto* edit = menuBar()->addMenu(tr("&Edit"));
    auto* undo = m_session.undoStack().createUndoAction(this, tr("&Undo"));
    undo->setShortcut(QKeySequence::Undo);
    auto* redo = m_session.undoStack().createRedoAction(this, tr("&Redo"));
    redo->setShortcut(QKeySequence::Redo);
    edit->addActions({undo, redo});
    edit->addSeparator();
    edit->addAction(tr("Copy as &command"), QKeySequence("Ctrl+Shift+C"), this, &MainWindow::copyCommand);
    edit->addAction(tr("Add to &report"), QKeySequence("Ctrl+Shift+R"), this, &MainWindow::addToReport);

    auto* view = menuBar()->addMenu(tr("&View"));
    view->addAction(tr("Command &palette…"), QKeySequence("Ctrl+Shift+P"), this, [this] {
        auto* palette = new widgets::CommandPalette([this] { return paletteActions(); }, this);
        palette->setAttribute(Qt::WA_DeleteOnClose);
        palette->open();
    });
    view->addSeparator();
    for (const auto& info : m_host.panels()) {
        auto* action = view->addAction(info.title, this, [this, id = info.id] { showPanel(id); });
        action->setToolTip(info.summary);
        if (!info.shortcut.isEmpty()) {
            m_docks.value(info.id)->toggleViewAction()->setShortcut({});
            action->setShortcut(QKeySequence(info.shortcut));
        }
    }
    view->setToolTipsVisible(true);
    view->addSeparator();
    view->addAction(tr("&Reset layout"), this, &MainWindow::resetLayout);
    auto* theme = view->addMenu(tr("&Theme"));
    auto* group = new QActionGroup(this);
    for (const auto& [choice, text] : {std::pair{widgets::ThemeChoice::System, tr("As the &desktop")},
                                       {widgets::ThemeChoice::Light, tr("&Light")},
                                       {widgets::ThemeChoice::Dark, tr("&Dark")}}) {
        auto* action = theme->addAction(text, this, [this, choice = choice] { chooseTheme(m_theme, choice); });
        action->setCheckable(true);
        const auto show = [this, action, choice = choice] { action->setChecked(m_theme.choice() == choice); };
        connect(&m_theme, &widgets::Theme::changed, action, show);
        show();
        group->addAction(action);
    }

    auto* help = menuBar()->addMenu(tr("&Help"));
    help->addAction(tr("&Help"), QKeySequence::HelpContents, this, &MainWindow::showHelp);
    help->addAction(tr("&About Orrery"), this, [this] { showHelpPage(this, "about"); });
}

void MainWindow::buildStatusLine()
{
    m_message = new QLabel(this);
    m_message->setObjectName("message");
    m_message->setTextFormat(Qt::PlainText);
    m_message->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_message->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_jobText = new QLabel(this);
    m_jobText->setObjectName("job");
    m_jobText->setTextFormat(Qt::PlainText);
    m_jobProgress = new QProgressBar(this);
    m_jobProgress->setFixedWidth(140);
    m_jobProgress->setTextVisible(false);
    m_jobProgress->setAccessibleName(tr("Progress of the running job"));
    m_jobCancel = new QToolButton(this);
    m_jobCancel->setText(tr("Cancel"));
    m_jobCancel->setToolTip(tr("Stop this job. A training can be resumed later."));
    connect(m_jobCancel, &QToolButton::clicked, this, [this] { m_session.jobs().cancel(m_shownJob); });
    statusBar()->addWidget(m_message, 1);
    statusBar()->addPermanentWidget(m_jobText);
    statusBar()->addPermanentWidget(m_jobProgress);
    statusBar()->addPermanentWidget(m_jobCancel);
    updateStatus();
}

void MainWindow::updateStatus()
{
    int running = 0, waiting = 0;
    std::optional<jobs::JobSnapshot> shown;
    for (const auto& job : m_session.jobs().jobs()) {
        waiting += job.status == jobs::JobStatus::Queued;
        if (job.status != jobs::JobStatus::Running && job.status != jobs::JobStatus::Paused)
            continue;
        ++running;
        if (!shown)
            shown = job;
    }
    m_jobProgress->setVisible(shown.has_value());
    m_jobCancel->setVisible(shown.has_value());
    m_shownJob = shown ? shown->id : -1;
    if (!shown) {
        m_jobText->setText(waiting == 0 ? tr("No jobs") : waiting == 1 ? tr("1 job waiting") : tr("%1 jobs waiting").arg(waiting));
        return;
    }
    QString text = QString::fromStdString(shown->title);
    if (shown->progress.secondsLeft)
        text += tr(", %1 left").arg(QString::fromStdString(core::formatDuration(*shown->progress.secondsLeft)));
    if (shown->status == jobs::JobStatus::Paused)
        text += tr(", paused");
    if (running + waiting > 1)
        text += tr(" (+%1)").arg(running + waiting - 1);
    m_jobText->setText(text);
    m_jobProgress->setMaximum(shown->progress.total > 0 ? 1000 : 0);  // 0: moves without saying how far
    m_jobProgress->setValue(int(shown->progress.fraction() * 1000));
}

QList<QAction*> MainWindow::paletteActions() const
{
    auto actions = widgets::collectActions(menuBar());
    for (auto* dock : m_docks)
        if (auto* panel = panelIn(dock))
            for (auto* action : panel->panelActions())
                if (!actions.contains(action))
                    actions << action;
    if (auto* panel = currentPanel())
        for (auto* action : widgets::collectActions(panel))
            if (!actions.contains(action))
                actions << action;
    return actions;
}

void MainWindow::copyCommand()
{
    const auto* panel = currentPanel();
    const auto command = panel ? panel->commandLine() : QString();
    showMessage(command.isEmpty() ? tr("This panel shows nothing that a command would do.") : tr("Copied: %1").arg(widgets::copyAsCommand(command)));
}

void MainWindow::addToReport()
{
    const auto* panel = currentPanel();
    const auto item = panel ? panel->reportItem() : std::nullopt;
    if (!m_session.hasWorkspace())
        showMessage(tr("Open a workspace first: reports are kept in it."));
    else if (!item)
        showMessage(panel ? tr("%1 shows nothing to add to a report yet.").arg(panel->title()) : tr("Choose a panel first."));
    else
        widgets::addToReport(m_session, *item);
}

void MainWindow::exportModel()
{
    if (showPanel("model"))
        QMetaObject::invokeMethod(panelIn(m_docks.value("model")), "exportModel");
}

void MainWindow::showHelp()
{
    const auto* panel = currentPanel();
    showHelpPage(this, panel ? panel->helpPage() : QString("index"));
}

void MainWindow::showSettings()
{
    auto* dialog = new SettingsDialog(m_session, m_theme, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->open();
}

void MainWindow::chooseWorkspace()
{
    const auto folder = QFileDialog::getExistingDirectory(this, tr("Open workspace"), m_session.workspaceFolder());
    if (!folder.isEmpty())
        openWorkspace(folder);
}

void MainWindow::chooseFile()
{
    const auto file = widgets::askOpenFile()(this, tr("Open file"), openFileFilter());
    if (!file.isEmpty())
        openFile(file);
}

void MainWindow::chooseFolder()
{
    const auto folder = QFileDialog::getExistingDirectory(this, tr("Open a folder with a model or with data"));
    if (!folder.isEmpty())
        openFile(folder);
}

}  // namespace orrery::app
