#pragma once
#include <QHash>
#include <QMainWindow>
#include <QTimer>

class QDockWidget;
class QLabel;
class QProgressBar;
class QToolButton;

#include <widgets/examples.h>
#include <widgets/panel_plugin.h>
#include <widgets/session.h>
#include <widgets/theme.h>

/// The program: window, docking, settings, start.
namespace orrery::app {

class WelcomePage;

/// Docks for the panels, menus, status line, command palette. Knows no panel by name: they come from the plugin folder. UI thread.
class MainWindow : public QMainWindow {
    Q_OBJECT
public:
    MainWindow(widgets::Session& session, widgets::Theme& theme);
    ~MainWindow() override;

    /// Opens a workspace folder, restores its layout and shows the panels. Asks first if jobs of the one before would be stopped. Errors are shown, not thrown.
    /// @return False if it could not be opened (then none is open), or was not to be (then the one before stays).
    bool openWorkspace(const QString& folder);
    /// Saves the layout and closes the workspace; asks first if jobs would be stopped. @return False if they are to go on.
    bool closeWorkspace();
    /// Anything a person may drop or name: workspace folder, experiment document, model, table of data. @return False if a message says why it was not opened.
    bool openFile(const QString& file);
    /// Opens an experiment document and starts it as a job, in the default workspace if none is open.
    void startExperiment(const QString& file);
    /// Shows a panel, loading it if needed. @return False (and a message) for an unknown id or a broken plugin.
    bool showPanel(const QString& id);
    /// Nothing on show is still being computed or loaded.
    bool isIdle() const;
    const widgets::PanelHost& panels() const { return m_host; }
    /// Without questions and message boxes: messages stand in the status line alone. For a program that is run by another.
    void setQuiet(bool quiet) { m_quiet = quiet; }
    /// Copies an example project into the user's data folder and shows its document.
    void openExample(const QString& document);

Q_SIGNALS:
    void idleChanged();

protected:
    void closeEvent(QCloseEvent* event) override;
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;
    void changeEvent(QEvent* event) override;
    void childEvent(QChildEvent* event) override;

private:
    void buildMenus();
    void buildStatusLine();
    void buildDocks();
    void addDock(const widgets::PanelInfo& info);
    void fillDock(QDockWidget* dock);
    void fillNextDock();
    bool isSeenEmpty(const QDockWidget* dock) const;
    void restorePanel(widgets::Panel& panel) const;
    widgets::Panel* panelIn(QDockWidget* dock) const;
    widgets::Panel* currentPanel() const;
    void focusInside(widgets::Panel& panel);
    void resetLayout();
    void applyShares();
    QHash<int, QDockWidget*> leadDocks() const;
    void selectNewestRun();
    void saveLayout() const;
    void saveLayoutSoon();
    bool restoreLayout();
    bool mayStopJobs();
    bool mayBecomeWorkspace(const QString& folder);
    bool takeDrop(QDropEvent& event);
    void updateStatus();
    void updateTitle();
    void updateCentre();
    void copyCommand();
    void addToReport();
    void exportModel();
    void showHelp();
    void showSettings();
    void chooseWorkspace();
    void chooseFile();
    void chooseFolder();
    void showMessage(const QString& text);
    void showError(const QString& title, const QString& text);
    QList<QAction*> paletteActions() const;
    QString layoutKey() const;

    widgets::Session& m_session;
    widgets::Theme& m_theme;
    widgets::PanelHost m_host;
    QHash<QString, QDockWidget*> m_docks;
    WelcomePage* m_welcome = nullptr;
    QLabel* m_message = nullptr;
    QLabel* m_jobText = nullptr;
    QProgressBar* m_jobProgress = nullptr;
    QToolButton* m_jobCancel = nullptr;
    QTimer m_saveTimer, m_fillTimer, m_messageTimer;
    qint64 m_shownJob = -1;
    bool m_quiet = false;
};

/// Known to the user: recently opened workspaces and files, newest first, and the examples that ship with the program.
QStringList recentItems();
void rememberRecent(const QString& item);
/// The example documents; their summaries leave out the command, since a button stands beside them.
std::vector<widgets::ExampleDocument> examples();

}  // namespace orrery::app
