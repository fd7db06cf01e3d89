#pragma once
#include <QTimer>

#include <widgets/panel.h>

#include "run_inspection.h"
#include "runs_model.h"

class QMenu;
class QSplitter;
class QTabWidget;
class QTextBrowser;
class QPushButton;

namespace orrery::plugins {

class RunActions;
class RunCurves;

/// All runs of the workspace: the table, and of the selected runs curves, confusion matrix, differences and details. UI thread.
class ExperimentsPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit ExperimentsPanel(widgets::Session& session, QWidget* parent = nullptr);

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    bool isIdle() const override;

    widgets::TableView* table() const { return m_table; }
    RunCurves* curves() const { return m_curves; }
    ConfusionView* confusion() const { return m_confusion; }
    DifferenceView* differences() const { return m_differences; }
    QTabWidget* tabs() const { return m_tabs; }
    RunActions* actionsOfRuns() const { return m_actions; }

private:
    void build();
    QWidget* buildTable();
    void buildTabs();
    void connectAll();
    void runsChanged();
    void firstRuns();
    void selectionChanged();
    void sendSelection();
    void inspectLater(bool now);
    void inspect();
    void showInspection();
    void buildDocumentMenu();
    void showContextMenu(qint64 run, const QPoint& position);
    QList<qint64> chosen() const;

    RunsModel m_model;
    RunActions* m_actions = nullptr;
    widgets::TableView* m_table = nullptr;
    QPushButton* m_documentColumns = nullptr;
    QMenu* m_documentMenu = nullptr;
    QSplitter* m_splitter = nullptr;
    QTabWidget* m_tabs = nullptr;
    RunCurves* m_curves = nullptr;
    ConfusionView* m_confusion = nullptr;
    DifferenceView* m_differences = nullptr;
    QTextBrowser* m_details = nullptr;
    QAction* m_newRun = nullptr;
    RunInspection m_inspection;
    QTimer m_inspectTimer;
    core::Json m_tableState;  ///< to be restored once the runs, and so the columns, are there
    bool m_inspecting = false, m_inspectAgain = false, m_hadRuns = false;
};

}  // namespace orrery::plugins
