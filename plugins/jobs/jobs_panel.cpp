#include "jobs_panel.h"

#include <QAction>
#include <QHeaderView>
#include <QLabel>
#include <QMenu>
#include <QPlainTextEdit>
#include <QScrollBar>
#include <QSplitter>
#include <QTableView>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>

#include <widgets/commands.h>
#include <widgets/session.h>
#include <widgets/theme.h>

#include "jobs_model.h"
#include "progress_delegate.h"

namespace orrery::plugins {

JobsPanel::JobsPanel(widgets::Session& session, QWidget* parent) : Panel("jobs", tr("Jobs"), session, parent)
{
    buildActions();
    build();
    connect(&session, &widgets::Session::jobsChanged, this, &JobsPanel::refresh);
    connect(m_table, &widgets::TableView::selectionChanged, this, [this] {
        updateActions();
        showLog();
    });
    connect(&m_rows, &widgets::RowModel::cellEdited, this, [this](qint64 job, const QString&, const QVariant& value) { changePriority(job, value); });
    refresh();
}

void JobsPanel::buildActions()
{
    const auto make = [this](const QString& name, const QString& text, const QString& tip, auto slot) {
        auto* action = new QAction(text, this);
        action->setObjectName(name);
        action->setToolTip(tip);
        connect(action, &QAction::triggered, this, slot);
        addAction(action);
        return action;
    };
    auto& queue = session().jobs();
    m_pause = make("pause", tr("Pause"), tr("Stand still at the next step; the cores go to other jobs"),
                   [this, &queue] { forChosen([&](auto id) { queue.pause(id); }); });
    m_resume = make("resume", tr("Resume"), tr("Go on with a paused job"), [this, &queue] { forChosen([&](auto id) { queue.resume(id); }); });
    m_cancel = make("cancel", tr("Cancel"), tr("Stop the selected jobs; a training can be resumed from its last checkpoint"),
                    [this, &queue] { forChosen([&](auto id) { queue.cancel(id); }); });
    m_cancelAll = make("cancel_all", tr("Cancel all"), tr("Stop all jobs"), [&queue] { queue.cancelAll(); });
    m_remove = make("remove_ended", tr("Remove ended"), tr("Take finished, failed and cancelled jobs off this list; their runs stay"),
                    [&queue] { queue.removeEnded(); });
    m_newRun = new QAction(tr("New run"), this);
    connect(m_newRun, &QAction::triggered, this, [this] { session().requestPanel("new_run"); });
}

void JobsPanel::build()
{
    m_rows.setColumns(JobsModel::columns());
    m_table = new widgets::TableView(this);
    m_table->setModel(&m_rows);
    m_table->setPlaceholder(tr("Filter jobs"));
    m_table->table()->setAccessibleName(tr("Jobs"));
    m_table->table()->setItemDelegateForColumn(m_rows.columnIndex("progress"), new ProgressDelegate(this));
    const std::pair<const char*, int> widths[] = {{"id", 44},  {"title", 190},   {"status", 82},  {"progress", 120}, {"left", 76},
                                                  {"run", 48}, {"priority", 64}, {"threads", 52}, {"time", 64}};
    for (const auto& [column, width] : widths)
        m_table->table()->setColumnWidth(m_rows.columnIndex(column), width);
    for (auto* action : {m_pause, m_resume, m_cancel, m_cancelAll, m_remove}) {
        auto* button = new QToolButton(m_table);
        button->setDefaultAction(action);
        button->setObjectName(action->objectName());
        m_table->addToolWidget(button);
    }
    connect(m_table, &widgets::TableView::contextMenuRequested, this, [this](qint64, const QPoint& position) {
        QMenu::exec({m_pause, m_resume, m_cancel, m_cancelAll, m_remove}, position, nullptr, this);
    });
    auto* side = new QWidget(this);
    m_caption = new QLabel(side);
    m_caption->setContentsMargins(6, 6, 6, 4);
    m_caption->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_caption->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    m_log = new QPlainTextEdit(side);
    m_log->setReadOnly(true);
    m_log->setFont(widgets::monospaceFont(m_log));
    m_log->setAccessibleName(tr("Log of the selected job"));
    m_log->setPlaceholderText(tr("Select a job to see its log."));
    auto* column = new QVBoxLayout(side);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(m_caption);
    column->addWidget(m_log, 1);
    m_splitter = new QSplitter(Qt::Horizontal, this);
    m_splitter->addWidget(m_table);
    m_splitter->addWidget(side);
    m_splitter->setStretchFactor(0, 3);
    m_splitter->setStretchFactor(1, 2);
    m_splitter->setChildrenCollapsible(false);
    setContent(m_splitter);
}

// Rows are changed one by one, so that selection, scroll position and an open editor stay; only a removal rebuilds the list.
void JobsPanel::refresh()
{
    m_jobs = session().jobs().jobs();
    if (m_jobs.empty())
        showEmptyState(tr("No jobs"), tr("Trainings and other long work appear here while they wait and run. Start one in the New run panel."),
                       {m_newRun});
    else
        showContent();
    std::vector<widgets::RowModel::Row> rows;
    for (const auto& job : m_jobs)
        rows.push_back(JobsModel::row(job));
    if (m_rows.totalRows() > int(rows.size()))
        m_rows.setRows(std::move(rows));
    else
        for (auto& row : rows)
            m_rows.updateRow(std::move(row));
    updateActions();
    showLog();
}

const jobs::JobSnapshot* JobsPanel::find(qint64 id) const
{
    const auto found = std::find_if(m_jobs.begin(), m_jobs.end(), [id](const auto& job) { return job.id == id; });
    return found == m_jobs.end() ? nullptr : &*found;
}

QList<qint64> JobsPanel::chosen() const
{
    auto ids = m_table->selectedIds();
    // With one job there is nothing to choose.
    if (ids.isEmpty() && m_jobs.size() == 1)
        ids << m_jobs.front().id;
    return ids;
}

void JobsPanel::forChosen(const std::function<void(jobs::JobId)>& call)
{
    for (const auto id : chosen())
        call(id);
    refresh();
}

void JobsPanel::updateActions()
{
    const auto ids = chosen();
    const auto any = [&](bool (*test)(const jobs::JobSnapshot&)) {
        return std::any_of(ids.begin(), ids.end(), [&](qint64 id) {
            const auto* job = find(id);
            return job && test(*job);
        });
    };
    m_pause->setEnabled(any(&JobsModel::canPause));
    m_resume->setEnabled(any(&JobsModel::canResume));
    m_cancel->setEnabled(any(&JobsModel::canCancel));
    m_cancelAll->setEnabled(std::any_of(m_jobs.begin(), m_jobs.end(), &JobsModel::canCancel));
    m_remove->setEnabled(std::any_of(m_jobs.begin(), m_jobs.end(), [](const auto& job) { return jobs::hasEnded(job.status); }));
}

void JobsPanel::showLog()
{
    const auto ids = chosen();
    const auto* job = ids.isEmpty() ? nullptr : find(ids.front());
    m_caption->setText(job ? QString::fromStdString(job->title) + "  " + JobsModel::progressText(job->progress) : QString());
    m_caption->setToolTip(m_caption->text());
    m_caption->setVisible(job);
    m_log->setPlaceholderText(job ? tr("No messages of this job.") : tr("Select a job to see its log."));
    const auto text = job ? JobsModel::logText(*job) : QString();
    if (m_log->toPlainText() == text)
        return;
    auto* bar = m_log->verticalScrollBar();
    const bool atEnd = bar->value() >= bar->maximum();
    const int before = bar->value();
    m_log->setPlainText(text);
    bar->setValue(atEnd ? bar->maximum() : before);
}

void JobsPanel::changePriority(qint64 job, const QVariant& value)
{
    bool isNumber = false;
    const int priority = value.toInt(&isNumber);
    if (!isNumber)
        return showError(tr("priority: expected a whole number, got \"%1\"").arg(value.toString()));
    showError({});
    session().jobs().setPriority(job, priority);
    refresh();
}

QString JobsPanel::commandLine() const
{
    const auto ids = chosen();
    const auto* job = ids.isEmpty() ? nullptr : find(ids.front());
    if (!job || !job->run || job->kind != "train")
        return {};
    return widgets::cliCommand({"train", "--resume", QString::number(*job->run), "--workspace", session().workspaceFolder()});
}

core::Json JobsPanel::saveState() const
{
    return {{"table", m_table->saveState()}, {"splitter", m_splitter->saveState().toBase64().toStdString()}};
}

void JobsPanel::restoreState(const core::Json& state)
{
    if (const auto table = state.find("table"); table != state.end())
        m_table->restoreState(*table);
    if (const auto splitter = state.find("splitter"); splitter != state.end() && splitter->is_string())
        m_splitter->restoreState(QByteArray::fromBase64(QByteArray::fromStdString(splitter->get<std::string>())));
}

}  // namespace orrery::plugins
