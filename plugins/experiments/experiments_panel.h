#pragma once
#include <QAbstractItemView>
#include <QTimer>

#include <widgets/panel.h>
#include <widgets/report_item.h>

#include "run_inspection.h"
#include "runs_model.h"

class QMenu;
class QSplitter;
class QTabWidget;
class QTextBrowser;
class QPushButton;
class QComboBox;

namespace orrery::plugins {

class LeaderboardPage;
class ParallelPage;
class QueryEdit;
class RunActions;
class RunCurves;

/// All runs of the workspace: the table, narrowed by a query and folded into groups; of the selected runs curves, confusion matrix, differences and details; of
/// all shown runs parallel coordinates and a leaderboard. UI thread.
class ExperimentsPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit ExperimentsPanel(widgets::Session& session, QWidget* parent = nullptr);

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    bool isIdle() const override;
    /// The chosen runs; from the page of parallel coordinates its picture.
    std::optional<widgets::ReportItem> reportItem() const override;

    widgets::TableView* table() const { return m_table; }
    RunCurves* curves() const { return m_curves; }
    ConfusionView* confusion() const { return m_confusion; }
    DifferenceView* differences() const { return m_differences; }
    QueryEdit* query() const { return m_query; }
    QComboBox* groupBox() const { return m_group; }
    ParallelPage* parallel() const { return m_parallel; }
    LeaderboardPage* leaderboard() const { return m_leaderboard; }
    QTabWidget* tabs() const { return m_tabs; }
    RunActions* actionsOfRuns() const { return m_actions; }

private:
    static constexpr QAbstractItemView::EditTriggers kEditRuns = QAbstractItemView::DoubleClicked | QAbstractItemView::EditKeyPressed;
    void build();
    QWidget* buildTable();
    void buildTabs();
    void buildQuery();
    void connectViews();
    void shownChanged();
    void group(const QString& field);
    void fillGroupBox();
    void openGroup(qint64 row);
    void showSpreads();
    void chooseGroups();
    void restoreTable(const core::Json& state);
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
    QueryEdit* m_query = nullptr;
    QComboBox* m_group = nullptr;
    ParallelPage* m_parallel = nullptr;
    LeaderboardPage* m_leaderboard = nullptr;
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
    qsizetype m_knownColumns = 0;
    QStringList m_hiddenForGroups;  ///< columns of runs that come back without groups
    bool m_isGroupingNew = false, m_hasNoSpreads = true;
    bool m_inspecting = false, m_inspectAgain = false, m_hadRuns = false;
};

}  // namespace orrery::plugins
