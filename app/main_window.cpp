#include "main_window.h"

#include <QApplication>
#include <QChildEvent>
#include <QCloseEvent>
#include <QCryptographicHash>
#include <QDir>
#include <QDockWidget>
#include <QFileInfo>
#include <QLabel>
#include <QMessageBox>
#include <QSettings>
#include <QTabBar>

#include <core/base/text.h>
#include <core/jobs/queue.h>
#include <core/models/checkpoint_folder.h>
#include <core/store/workspace.h>
#include <widgets/panel.h>

#include "welcome_page.h"

namespace orrery::app {
namespace {

constexpr int kLayoutVersion = 2;
constexpr int kMessageTime = 20'000;  ///< ms that the status line shows a message
constexpr int kSaveDelay = 2000;      ///< ms from a change of layout or selection to its being kept: what a crash may lose

Qt::DockWidgetArea areaOf(widgets::DockSide side)
{
    switch (side) {
    case widgets::DockSide::Left: return Qt::LeftDockWidgetArea;
    case widgets::DockSide::Bottom: return Qt::BottomDockWidgetArea;
    case widgets::DockSide::Center: return Qt::TopDockWidgetArea;
    default: return Qt::RightDockWidgetArea;
    }
}

}  // namespace

MainWindow::MainWindow(widgets::Session& session, widgets::Theme& theme) : m_session(session), m_theme(theme)
{
    setObjectName("MainWindow");
    setAcceptDrops(true);
    setDockNestingEnabled(true);
    setTabPosition(Qt::AllDockWidgetAreas, QTabWidget::North);
    setCorner(Qt::TopLeftCorner, Qt::LeftDockWidgetArea);
    setCorner(Qt::BottomLeftCorner, Qt::LeftDockWidgetArea);
    setCorner(Qt::TopRightCorner, Qt::RightDockWidgetArea);
    setCorner(Qt::BottomRightCorner, Qt::RightDockWidgetArea);
    m_welcome = new WelcomePage(this);
    setCentralWidget(m_welcome);
    m_host.scan(widgets::PanelHost::defaultFolder());
    buildDocks();
    buildMenus();
    buildStatusLine();
    resize(1280, 800);
    connect(m_welcome, &WelcomePage::openWorkspaceRequested, this, &MainWindow::chooseWorkspace);
    connect(m_welcome, &WelcomePage::openFileRequested, this, &MainWindow::chooseFile);
    connect(m_welcome, &WelcomePage::recentChosen, this, &MainWindow::openFile);
    connect(m_welcome, &WelcomePage::exampleChosen, this, &MainWindow::openExample);
    connect(&m_session, &widgets::Session::workspaceChanged, this, [this] {
        updateTitle();
        updateCentre();
    });
    connect(&m_session, &widgets::Session::panelRequested, this, &MainWindow::showPanel);
    connect(&m_session, &widgets::Session::messageReported, this, &MainWindow::showMessage);
    connect(&m_session, &widgets::Session::selectionChanged, this, &MainWindow::saveLayoutSoon);
    connect(&m_session, &widgets::Session::jobsChanged, this, &MainWindow::updateStatus);
    connect(&m_session, &widgets::Session::backgroundWorkChanged, this, &MainWindow::idleChanged);
    m_fillTimer.setSingleShot(true);
    m_fillTimer.setInterval(0);
    connect(&m_fillTimer, &QTimer::timeout, this, &MainWindow::fillNextDock);
    m_messageTimer.setSingleShot(true);
    m_messageTimer.setInterval(kMessageTime);
    connect(&m_messageTimer, &QTimer::timeout, this, [this] {
        m_message->clear();
        m_message->setToolTip({});
    });
    m_saveTimer.setSingleShot(true);
    m_saveTimer.setInterval(kSaveDelay);
    connect(&m_saveTimer, &QTimer::timeout, this, &MainWindow::saveLayout);
    // Text fields take a dropped file as text; it is opened wherever it falls.
    qApp->installEventFilter(this);
    updateTitle();
    updateCentre();
    for (const auto& problem : m_host.problems())
        m_session.report(tr("Panel left out: %1: %2").arg(QFileInfo(problem.file).fileName(), problem.message));
}

MainWindow::~MainWindow()
{
    // Docks report that they vanish: to a window that is still whole.
    qDeleteAll(std::exchange(m_docks, {}));
}

void MainWindow::addDock(const widgets::PanelInfo& info)
{
    auto* dock = new QDockWidget(info.title, this);
    dock->setObjectName("dock." + info.id);
    dock->setProperty("panel", info.id);
    dock->setWindowIcon(widgets::themedIcon(info.icon, palette()));
    dock->toggleViewAction()->setToolTip(info.summary);
    if (!info.shortcut.isEmpty())
        dock->toggleViewAction()->setShortcut(QKeySequence(info.shortcut));
    addDockWidget(areaOf(info.side), dock);
    // A panel is made when it is first seen: tabs behind others cost nothing.
    connect(dock, &QDockWidget::visibilityChanged, this, [this, dock](bool visible) {
        if (visible && m_session.hasWorkspace())
            m_fillTimer.start();
        saveLayoutSoon();
        Q_EMIT idleChanged();
    });
    connect(dock, &QDockWidget::dockLocationChanged, this, &MainWindow::saveLayoutSoon);
    m_docks.insert(info.id, dock);
    dock->hide();
}

void MainWindow::buildDocks()
{
    for (const auto& info : m_host.panels())
        addDock(info);
}

void MainWindow::fillDock(QDockWidget* dock)
{
    if (dock->widget())
        return;
    const auto id = dock->property("panel").toString();
    try {
        auto* panel = m_host.create(id, m_session, dock);
        dock->setWidget(panel);
        connect(panel, &widgets::Panel::idleChanged, this, &MainWindow::idleChanged);
        connect(panel, &widgets::Panel::statusMessage, this, &MainWindow::showMessage);
        restorePanel(*panel);
    } catch (const std::exception& error) {
        auto* label = new QLabel(tr("This panel could not be opened.\n%1").arg(QString::fromUtf8(error.what())), dock);
        label->setTextFormat(Qt::PlainText);
        label->setWordWrap(true);
        label->setMargin(16);
        dock->setWidget(label);
    }
}

// A bar of many panels is scrolled: titles cut to "R…" and "T…" would say nothing.
void MainWindow::childEvent(QChildEvent* event)
{
    QMainWindow::childEvent(event);
    if (event->type() != QEvent::ChildPolished)
        return;
    if (auto* bar = qobject_cast<QTabBar*>(event->child())) {
        bar->setElideMode(Qt::ElideNone);
        bar->setUsesScrollButtons(true);
    }
}

// One panel a turn of the event loop: a plugin takes some ten milliseconds to load and build, and the window answers in between.
void MainWindow::fillNextDock()
{
    for (const auto& info : m_host.panels())
        if (auto* dock = m_docks.value(info.id); isSeenEmpty(dock)) {
            fillDock(dock);
            m_fillTimer.start();
            return;
        }
    Q_EMIT idleChanged();
}

bool MainWindow::isSeenEmpty(const QDockWidget* dock) const
{
    return m_session.hasWorkspace() && dock && !dock->widget() && dock->isVisible() && !dock->visibleRegion().isEmpty();
}

// In a workspace seen for the first time the panel keeps the state it has.
void MainWindow::restorePanel(widgets::Panel& panel) const
{
    const auto state = QSettings().value(layoutKey() + "/panels/" + panel.id()).toByteArray();
    const auto json = core::Json::parse(state.toStdString(), nullptr, false);
    if (json.is_object())
        panel.restoreState(json);
}

widgets::Panel* MainWindow::panelIn(QDockWidget* dock) const
{
    return dock ? qobject_cast<widgets::Panel*>(dock->widget()) : nullptr;
}

widgets::Panel* MainWindow::currentPanel() const
{
    // A floating panel is a window of its own; while a dialog has the focus, the panel that had it before is meant.
    for (auto* focused : {QApplication::focusWidget(), focusWidget()})
        for (auto* widget = focused; widget; widget = widget->parentWidget())
            if (auto* panel = qobject_cast<widgets::Panel*>(widget))
                return panel;
    for (const auto& info : m_host.panels()) {
        auto* dock = m_docks.value(info.id);
        if (dock && dock->isVisible() && !dock->visibleRegion().isEmpty() && panelIn(dock))
            return panelIn(dock);
    }
    return nullptr;
}

// What a panel gives the focus to may lie behind its empty state: then what can be pressed there takes it, or the keys would go to the panel of before.
void MainWindow::focusInside(widgets::Panel& panel)
{
    if (auto* focused = focusWidget(); focused && (focused == &panel || panel.isAncestorOf(focused)) && focused->isVisible())
        return;
    for (auto* child : panel.findChildren<QWidget*>())
        if (child->isVisible() && child->isEnabled() && (child->focusPolicy() & Qt::TabFocus))
            return child->setFocus();
}

bool MainWindow::showPanel(const QString& id)
{
    auto* dock = m_docks.value(id);
    if (!dock) {
        std::vector<std::string> known;
        for (const auto& info : m_host.panels())
            known.push_back(info.id.toStdString());
        showMessage(tr("There is no panel \"%1\"%2").arg(id, QString::fromStdString(core::didYouMean(id.toStdString(), known))));
        return false;
    }
    dock->show();
    dock->raise();
    fillDock(dock);
    if (auto* panel = panelIn(dock)) {
        panel->setFocus();
        focusInside(*panel);
    }
    return panelIn(dock) != nullptr;
}

// All docks share one area, split into left | centre over bottom | right: docks of different areas would be given sizes anew whenever a panel's
// smallest size changes.
void MainWindow::resetLayout()
{
    using widgets::DockSide;
    QHash<int, QList<QDockWidget*>> sides;
    for (const auto& info : m_host.panels()) {
        auto* dock = m_docks.value(info.id);
        dock->setFloating(false);
        removeDockWidget(dock);
        sides[int(info.side)] << dock;
    }
    QDockWidget* last = nullptr;
    for (const auto side : {DockSide::Left, DockSide::Center, DockSide::Right})
        if (auto* dock = sides.value(int(side)).value(0)) {
            if (last)
                splitDockWidget(last, dock, Qt::Horizontal);
            else
                addDockWidget(Qt::TopDockWidgetArea, dock);
            last = dock;
        }
    if (auto* bottom = sides.value(int(DockSide::Bottom)).value(0)) {
        if (auto* above = sides.value(int(DockSide::Center)).value(0, last))
            splitDockWidget(above, bottom, Qt::Vertical);
        else
            addDockWidget(Qt::TopDockWidgetArea, bottom);
    }
    for (const auto& docks : sides)
        for (int i = 1; i < docks.size(); ++i)
            tabifyDockWidget(docks[i - 1], docks[i]);
    for (const auto& info : m_host.panels())
        m_docks.value(info.id)->setVisible(info.shown);
    applyShares();
    for (auto* dock : leadDocks())
        dock->raise();
    // Once more when the window has its size and the panels are filled.
    QTimer::singleShot(0, this, &MainWindow::applyShares);
}

// Shares of the window that let a table, its curves and one detail panel stand side by side at 1280 x 800.
void MainWindow::applyShares()
{
    using widgets::DockSide;
    const auto lead = leadDocks();
    QList<QDockWidget*> columns, rows;
    QList<int> widths, heights;
    for (const auto& [side, share] : {std::pair{DockSide::Left, 26}, {DockSide::Center, 46}, {DockSide::Right, 28}})
        if (auto* dock = lead.value(int(side))) {
            columns << dock;
            widths << width() * share / 100;
        }
    for (const auto& [side, share] : {std::pair{DockSide::Center, 80}, {DockSide::Bottom, 20}})
        if (auto* dock = lead.value(int(side))) {
            rows << dock;
            heights << height() * share / 100;
        }
    resizeDocks(columns, widths, Qt::Horizontal);
    resizeDocks(rows, heights, Qt::Vertical);
}

// The first panel of each side, which is in front at first.
QHash<int, QDockWidget*> MainWindow::leadDocks() const
{
    QHash<int, QDockWidget*> lead;
    for (const auto& info : m_host.panels())
        if (info.shown && !lead.contains(int(info.side)))
            lead[int(info.side)] = m_docks.value(info.id);
    return lead;
}

QString MainWindow::layoutKey() const
{
    const auto hash = QCryptographicHash::hash(m_session.workspaceFolder().toUtf8(), QCryptographicHash::Sha1).toHex().left(16);
    return "layouts/" + QString::fromLatin1(hash);
}

void MainWindow::saveLayoutSoon()
{
    if (m_session.hasWorkspace())
        m_saveTimer.start();
}

void MainWindow::saveLayout() const
{
    if (!m_session.hasWorkspace())
        return;
    QSettings settings;
    settings.beginGroup(layoutKey());
    settings.setValue("geometry", saveGeometry());
    settings.setValue("docks", saveState(kLayoutVersion));
    settings.setValue("selection", QByteArray::fromStdString(m_session.selection().toJson().dump()));
    for (auto* dock : m_docks)
        if (const auto* panel = panelIn(dock))
            settings.setValue("panels/" + panel->id(),
                              QByteArray::fromStdString(panel->saveState().dump(-1, ' ', false, core::Json::error_handler_t::replace)));
}

bool MainWindow::restoreLayout()
{
    QSettings settings;
    settings.beginGroup(layoutKey());
    if (!settings.contains("docks"))
        return false;
    restoreGeometry(settings.value("geometry").toByteArray());
    if (!restoreState(settings.value("docks").toByteArray(), kLayoutVersion))
        return false;
    const auto selection = core::Json::parse(settings.value("selection").toByteArray().toStdString(), nullptr, false);
    if (selection.is_object())
        m_session.setSelection(widgets::Selection::fromJson(selection));
    return true;
}

bool MainWindow::openWorkspace(const QString& folder)
{
    if (m_session.hasWorkspace() && QDir(folder).absolutePath() == m_session.workspaceFolder())
        return true;
    if (!mayBecomeWorkspace(folder) || !closeWorkspace())
        return false;
    try {
        m_session.openWorkspace(folder);
    } catch (const std::exception& error) {
        showError(tr("The workspace could not be opened"), QString::fromUtf8(error.what()));
        return false;
    }
    rememberRecent(folder);
    for (auto* dock : m_docks)
        if (auto* panel = panelIn(dock))
            restorePanel(*panel);
    if (!restoreLayout())
        resetLayout();
    m_fillTimer.start();
    selectNewestRun();
    return true;
}

// A folder of somebody else's files is not written into without a word.
bool MainWindow::mayBecomeWorkspace(const QString& folder)
{
    const QDir place(folder);
    if (m_quiet || !place.exists() || place.isEmpty() || store::Workspace::isWorkspace(folder.toStdString()))
        return true;
    const bool isModel = models::isCheckpointFolder(folder.toStdString());
    const auto found = isModel ? tr("It holds a model.")
                               : tr("It holds other files: %1.").arg(place.entryList(QDir::AllEntries | QDir::NoDotAndDotDot).mid(0, 3).join(", "));
    return QMessageBox::question(this, tr("New workspace"),
                                 tr("%1 is no workspace yet. %2 Make it one? Orrery's database is kept in it.").arg(place.path(), found),
                                 QMessageBox::Yes | QMessageBox::Cancel, QMessageBox::Cancel) == QMessageBox::Yes;
}

// A workspace opened for the first time shows its newest run at once.
void MainWindow::selectNewestRun()
{
    if (!m_session.selection().runs.isEmpty())
        return;
    m_session.runInBackground(
        this,
        [workspace = m_session.workspace()](widgets::BackgroundContext&) {
            store::RunQuery newest;
            newest.descending = true;
            newest.limit = 1;
            return workspace->runs(newest).runs;
        },
        [this](const std::vector<store::RunSummary>& runs) {
            if (!runs.empty() && m_session.selection().runs.isEmpty())
                m_session.selectRuns({runs[0].id});
        });
}

bool MainWindow::closeWorkspace()
{
    if (!m_session.hasWorkspace())
        return true;
    if (!mayStopJobs())
        return false;
    saveLayout();
    m_saveTimer.stop();
    m_session.closeWorkspace();
    return true;
}

bool MainWindow::mayStopJobs()
{
    int running = 0;
    for (const auto& job : m_session.jobs().jobs())
        running += !jobs::hasEnded(job.status);
    if (running == 0 || m_quiet)
        return true;
    const auto text = running == 1 ? tr("One job will be stopped.") : tr("%1 jobs will be stopped.").arg(running);
    return QMessageBox::question(this, tr("Jobs are running"), text + " " + tr("Trainings can be resumed from their last checkpoint."),
                                 QMessageBox::Close | QMessageBox::Cancel) == QMessageBox::Close;
}

bool MainWindow::isIdle() const
{
    if (m_session.hasBackgroundWork() || m_fillTimer.isActive())
        return false;
    for (auto* dock : m_docks) {
        if (!dock->isVisible() || dock->visibleRegion().isEmpty())
            continue;
        const auto* panel = panelIn(dock);
        if (panel && !panel->isIdle())
            return false;
    }
    return true;
}

void MainWindow::updateTitle()
{
    const auto folder = m_session.workspaceFolder();
    setWindowTitle(folder.isEmpty() ? tr("Orrery") : tr("%1 - Orrery").arg(QDir(folder).dirName()));
}

void MainWindow::updateCentre()
{
    const bool open = m_session.hasWorkspace();
    m_welcome->setVisible(!open);
    if (!open) {
        m_welcome->refresh();
        for (auto* dock : m_docks)
            dock->hide();
    }
}

void MainWindow::closeEvent(QCloseEvent* event)
{
    // Without a workspace there may still be jobs.
    const bool mayClose = m_session.hasWorkspace() ? closeWorkspace() : mayStopJobs();
    event->setAccepted(mayClose);
}

void MainWindow::changeEvent(QEvent* event)
{
    QMainWindow::changeEvent(event);
    if (event->type() != QEvent::PaletteChange)
        return;
    for (const auto& info : m_host.panels())
        if (auto* dock = m_docks.value(info.id))
            dock->setWindowIcon(widgets::themedIcon(info.icon, palette()));
}

// The status line is one line high; the whole text is its tooltip.
void MainWindow::showMessage(const QString& text)
{
    m_messageTimer.start();
    m_message->setText(text.simplified());
    m_message->setToolTip(text);
}

void MainWindow::showError(const QString& title, const QString& text)
{
    showMessage(text);
    if (m_quiet)
        return;
    auto* box = new QMessageBox(QMessageBox::Warning, title, text, QMessageBox::Ok, this);
    box->setAttribute(Qt::WA_DeleteOnClose);
    box->setTextFormat(Qt::PlainText);
    box->setTextInteractionFlags(Qt::TextSelectableByMouse);
    box->open();
}

}  // namespace orrery::app
