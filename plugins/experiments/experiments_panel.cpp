#include "experiments_panel.h"

#include <QAbstractItemView>
#include <QComboBox>
#include <QEvent>
#include <QHeaderView>
#include <QLineEdit>
#include <QMenu>
#include <QPushButton>
#include <QScrollBar>
#include <QSignalBlocker>
#include <QSplitter>
#include <QTabWidget>
#include <QTableView>
#include <QTextBrowser>
#include <QToolBar>
#include <QVBoxLayout>
#include <algorithm>

#include <core/report/document_diff.h>
#include <core/store/workspace.h>
#include <widgets/session.h>

#include "leaderboard_page.h"
#include "parallel_page.h"
#include "query_edit.h"
#include "run_actions.h"
#include "run_curves.h"

namespace orrery::plugins {
namespace {

constexpr int kInspectInterval = 500;   ///< ms between two readings of what goes on
constexpr std::size_t kInspected = 20;  ///< most runs whose documents are compared

}  // namespace

ExperimentsPanel::ExperimentsPanel(widgets::Session& session, QWidget* parent)
    : Panel("experiments", tr("Experiments"), session, parent), m_model(session)
{
    m_actions = new RunActions(session, *this);
    m_newRun = new QAction(tr("New run"), this);
    connect(m_newRun, &QAction::triggered, this, [this] { this->session().requestPanel("new_run"); });
    build();
    connectAll();
    runsChanged();
    selectionChanged();
}

void ExperimentsPanel::build()
{
    m_splitter = new QSplitter(Qt::Vertical, this);
    m_splitter->addWidget(buildTable());
    buildTabs();
    m_splitter->addWidget(m_tabs);
    m_splitter->setStretchFactor(0, 2);
    m_splitter->setStretchFactor(1, 3);
    m_splitter->setChildrenCollapsible(false);
    setContent(m_splitter);
    setFocusProxy(m_table);
}

QWidget* ExperimentsPanel::buildTable()
{
    auto* top = new QWidget(this);
    auto* bar = new QToolBar(top);
    bar->setToolButtonStyle(Qt::ToolButtonTextOnly);
    for (auto* action : m_actions->all()) {
        bar->addAction(action);
        bar->widgetForAction(action)->setObjectName(action->objectName());
        bar->widgetForAction(action)->setFocusPolicy(Qt::TabFocus);
    }
    m_table = new widgets::TableView(top);
    m_table->setModel(&m_model.rows());
    m_table->table()->setAccessibleName(tr("Runs"));
    m_table->table()->setEditTriggers(kEditRuns);
    const std::pair<const char*, int> widths[] = {{"id", 44}, {"name", 150}, {"status", 80}, {"tags", 90}, {"notes", 90}};
    for (const auto& [column, width] : widths)
        m_table->table()->setColumnWidth(m_model.rows().columnIndex(column), width);
    buildQuery();
    m_documentColumns = new QPushButton(m_table);
    m_documentColumns->setText(tr("Settings"));
    m_documentColumns->setToolTip(tr("Show values of the runs' documents as columns"));
    m_documentMenu = new QMenu(m_documentColumns);
    m_documentColumns->setMenu(m_documentMenu);
    m_table->addToolWidget(m_documentColumns);
    auto* column = new QVBoxLayout(top);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(bar);
    column->addWidget(m_table, 1);
    return top;
}

void ExperimentsPanel::buildTabs()
{
    m_tabs = new QTabWidget(this);
    m_tabs->setDocumentMode(true);
    m_curves = new RunCurves(session(), m_tabs);
    m_confusion = new ConfusionView(m_tabs);
    m_differences = new DifferenceView(m_tabs);
    m_details = new QTextBrowser(m_tabs);
    m_details->setAccessibleName(tr("Details of the selected runs"));
    m_details->setFrameShape(QFrame::NoFrame);
    m_tabs->addTab(m_curves, tr("Curves"));
    m_tabs->addTab(m_confusion, tr("Confusion"));
    m_tabs->addTab(m_differences, tr("Differences"));
    m_tabs->addTab(m_details, tr("Details"));
    m_parallel = new ParallelPage(m_model, m_tabs);
    m_leaderboard = new LeaderboardPage(session(), m_model, m_tabs);
    m_tabs->addTab(m_parallel, tr("Parallel"));
    m_tabs->addTab(m_leaderboard, tr("Leaderboard"));
}

void ExperimentsPanel::connectAll()
{
    connect(&m_model, &RunsModel::changed, this, &ExperimentsPanel::runsChanged);
    connect(&m_model, &RunsModel::failed, this, &ExperimentsPanel::showError);
    connect(&m_model.rows(), &widgets::RowModel::cellEdited, &m_model, &RunsModel::edit);
    connect(m_table, &widgets::TableView::selectionChanged, this, &ExperimentsPanel::sendSelection);
    connect(m_table, &widgets::TableView::contextMenuRequested, this, &ExperimentsPanel::showContextMenu);
    connect(m_documentMenu, &QMenu::aboutToShow, this, &ExperimentsPanel::buildDocumentMenu);
    connect(&session(), &widgets::Session::selectionChanged, this, [this](widgets::SelectionParts parts) {
        if (parts & widgets::SelectionPart::Runs)
            selectionChanged();
    });
    connect(&session(), &widgets::Session::runsChanged, this, [this](const QList<qint64>& runs) {
        m_curves->refresh(runs);
        const auto mine = chosen();
        if (runs.isEmpty() || std::any_of(mine.begin(), mine.end(), [&](qint64 run) { return runs.contains(run); }))
            inspectLater(false);
    });
    connect(m_curves, &RunCurves::idleChanged, this, &ExperimentsPanel::idleChanged);
    // A text that is being typed must not be replaced by what the store holds. Once it ends, what was typed is taken first.
    connect(m_table, &widgets::TableView::editingChanged, this, [this](bool editing) {
        if (editing)
            m_model.setHeld(true);
        else
            QMetaObject::invokeMethod(
                this, [this] { m_model.setHeld(false); }, Qt::QueuedConnection);
    });
    connectViews();
    m_inspectTimer.setSingleShot(true);
    m_inspectTimer.setInterval(kInspectInterval);
    connect(&m_inspectTimer, &QTimer::timeout, this, &ExperimentsPanel::inspect);
}

void ExperimentsPanel::connectViews()
{
    connect(&m_model, &RunsModel::shownChanged, this, &ExperimentsPanel::shownChanged);
    connect(m_query, &QueryEdit::queryChanged, &m_model, &RunsModel::setQuery);
    connect(m_group, &QComboBox::activated, this, [this] { group(m_group->currentData().toString()); });
    connect(m_table, &widgets::TableView::activated, this, &ExperimentsPanel::openGroup);
    connect(m_parallel, &ParallelPage::runsChosen, &session(), &widgets::Session::chooseRuns);
    connect(m_leaderboard, &LeaderboardPage::runChosen, this, [this](qint64 run) { session().chooseRuns({run}); });
    connect(m_leaderboard, &LeaderboardPage::idleChanged, this, &ExperimentsPanel::idleChanged);
    connect(m_actions, &RunActions::reproduced, this, [this] {
        m_tabs->setCurrentWidget(m_details);
        inspectLater(true);
    });
}

QList<qint64> ExperimentsPanel::chosen() const
{
    return session().selection().runs;
}

void ExperimentsPanel::runsChanged()
{
    if (!session().hasWorkspace())
        showEmptyState(tr("No workspace is open"), tr("Open a folder as workspace (Ctrl+O), or an example from the welcome page."));
    else if (m_model.count() == 0 && m_model.isLoaded())
        showEmptyState(tr("No runs yet"), tr("Start one in the New run panel; its curves appear here while it learns."), {m_newRun});
    else
        showContent();
    const bool hasRuns = m_model.isLoaded() && m_model.count() > 0;
    if (!std::exchange(m_hadRuns, hasRuns) && hasRuns)
        firstRuns();
    m_table->setSelectedIds(m_model.rowsOf(chosen()));
    selectionChanged();
    chooseGroups();
    Q_EMIT idleChanged();
}

// What refers to columns that come with the runs can be restored only now. The newest run is shown, unless others were chosen before.
void ExperimentsPanel::firstRuns()
{
    if (const auto state = std::exchange(m_tableState, core::Json()); state.is_object())
        restoreTable(state);
    const auto mine = chosen();
    const bool any = std::any_of(mine.begin(), mine.end(), [this](qint64 run) { return m_model.find(run); });
    if (!any && m_model.rows().rowCount() > 0)
        session().selectRuns(m_model.runsOf({m_model.rows().rowId(0)}));
}

void ExperimentsPanel::sendSelection()
{
    session().chooseRuns(m_model.runsOf(m_table->selectedIds()));
}

void ExperimentsPanel::selectionChanged()
{
    const auto rows = m_model.rowsOf(chosen());
    m_table->setSelectedIds(rows);
    std::vector<store::RunSummary> runs;
    std::vector<RunCurves::Line> lines;
    for (const auto run : chosen())
        if (const auto* summary = m_model.find(run)) {
            runs.push_back(*summary);
            if (m_model.grouping().isEmpty())
                lines.push_back({run, QString::fromStdString(summary->name), {}});
        }
    for (const auto row : rows)
        if (const auto* group = m_model.groupOf(row))
            lines.push_back({row, m_model.groupTitle(*group).section(" (", 0, -2), QList<qint64>(group->runs.begin(), group->runs.end())});
    const bool changed = m_inspection.runs.size() != std::min(runs.size(), kInspected) ||
                         !std::equal(m_inspection.runs.begin(), m_inspection.runs.end(), runs.begin(),
                                     [](const auto& a, const auto& b) { return a.id == b.id && a.status == b.status; });
    m_curves->setLines(std::move(lines));
    m_parallel->setSelectedRuns(chosen());
    m_actions->setRuns(std::move(runs));
    if (changed)
        inspectLater(true);
}

void ExperimentsPanel::inspectLater(bool now)
{
    if (now) {
        m_inspectTimer.stop();
        inspect();
    } else if (!m_inspectTimer.isActive())
        m_inspectTimer.start();
}

void ExperimentsPanel::inspect()
{
    const auto workspace = session().workspace();
    if (m_inspecting) {
        m_inspectAgain = true;
        return;
    }
    std::vector<store::RunId> runs;
    for (const auto run : chosen())
        if (m_model.find(run) && runs.size() < kInspected)
            runs.push_back(run);
    if (!workspace || runs.empty()) {
        m_inspection = {};
        return showInspection();
    }
    m_inspecting = true;
    const auto finish = [this] {
        m_inspecting = false;
        if (std::exchange(m_inspectAgain, false))
            inspect();
        Q_EMIT idleChanged();
    };
    session().runInBackground(
        this, [workspace, runs](widgets::BackgroundContext&) { return inspectRuns(*workspace, runs); },
        [this, finish](RunInspection inspection) {
            m_inspection = std::move(inspection);
            showInspection();
            finish();
        },
        [this, finish](const QString& text) {
            showError(text);
            finish();
        });
}

void ExperimentsPanel::showInspection()
{
    m_confusion->show(m_inspection);
    m_differences->show(m_inspection);
    const int position = m_details->verticalScrollBar()->value();
    m_details->setHtml(detailsHtml(m_inspection));
    m_details->verticalScrollBar()->setValue(position);
}

void ExperimentsPanel::buildDocumentMenu()
{
    m_documentMenu->clear();
    if (m_inspection.runs.empty()) {
        m_documentMenu->addAction(tr("Select a run to choose from its document"))->setEnabled(false);
        return;
    }
    for (const auto& [path, value] : report::flattened(m_inspection.runs.front().document)) {
        const auto name = QString::fromStdString(path);
        auto* action = m_documentMenu->addAction(name);
        action->setCheckable(true);
        action->setChecked(m_table->isColumnShown("document." + name));
        connect(action, &QAction::toggled, this, [this, name](bool on) {
            m_model.addDocumentColumns({name});
            m_table->setColumnShown("document." + name, on);
        });
    }
}

void ExperimentsPanel::showContextMenu(qint64 run, const QPoint& position)
{
    const auto runs = m_model.runsOf({run});
    if (run != -1 && !std::all_of(runs.begin(), runs.end(), [mine = chosen()](qint64 one) { return mine.contains(one); }))
        session().chooseRuns(runs);
    QMenu::exec(m_actions->all() + QList<QAction*>{m_table->copyAction()}, position, nullptr, this);
}

bool ExperimentsPanel::isIdle() const
{
    return Panel::isIdle() && !m_model.isLoading() && !m_query->isWaiting() && m_leaderboard->isIdle() && !m_inspecting &&
           !m_inspectTimer.isActive() && m_curves->isIdle();
}
QString ExperimentsPanel::commandLine() const
{
    return m_actions->command();
}

void ExperimentsPanel::restoreTable(const core::Json& state)
{
    m_table->restoreState(state);
    m_table->filterEdit()->clear();  // the query has taken its place
}

core::Json ExperimentsPanel::saveState() const
{
    core::Json columns = core::Json::array();
    for (const auto& path : m_model.documentColumns())
        if (m_table->isColumnShown("document." + path))
            columns.push_back(path.toStdString());
    return {{"table", m_table->saveState()},
            {"query", m_query->text().toStdString()},
            {"group", m_model.grouping().toStdString()},
            {"hidden_for_groups", m_hiddenForGroups.join(' ').toStdString()},
            {"parallel", m_parallel->saveState()},
            {"leaderboard", m_leaderboard->metric().toStdString()},
            {"document_columns", columns},
            {"curves", m_curves->saveState()},
            {"tab", m_tabs->currentIndex()},
            {"confusion", m_confusion->normalisation()},
            {"splitter", m_splitter->saveState().toBase64().toStdString()}};
}

void ExperimentsPanel::restoreState(const core::Json& state)
{
    const auto part = [&](const char* key) { return state.contains(key) ? state.at(key) : core::Json(); };
    if (const auto columns = part("document_columns"); columns.is_array()) {
        QStringList paths;
        for (const auto& path : columns)
            if (path.is_string())
                paths << QString::fromStdString(path.get<std::string>());
        m_model.addDocumentColumns(paths);
    }
    restoreTable(part("table"));
    if (m_model.count() == 0)
        m_tableState = part("table");
    const auto text = [&](const char* key) { return part(key).is_string() ? QString::fromStdString(part(key).get<std::string>()) : QString(); };
    m_hiddenForGroups = text("hidden_for_groups").split(' ', Qt::SkipEmptyParts);
    m_query->setText(text("query"));
    group(text("group"));
    fillGroupBox();
    m_parallel->restoreState(part("parallel"));
    m_leaderboard->setMetric(text("leaderboard"));
    m_curves->restoreState(part("curves"));
    if (const auto tab = part("tab"); tab.is_number_integer())
        m_tabs->setCurrentIndex(tab.get<int>());
    if (const auto share = part("confusion"); share.is_number_integer())
        m_confusion->setNormalisation(share.get<int>());
    if (const auto splitter = part("splitter"); splitter.is_string())
        m_splitter->restoreState(QByteArray::fromBase64(QByteArray::fromStdString(splitter.get<std::string>())));
}

}  // namespace orrery::plugins
