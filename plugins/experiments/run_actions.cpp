#include "run_actions.h"

#include <QMessageBox>
#include <QPushButton>
#include <algorithm>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/jobs/queue.h>
#include <core/report/html.h>
#include <core/report/run_report.h>
#include <core/store/workspace.h>
#include <core/train/reproduce.h>
#include <core/train/runs.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/report_pdf.h>
#include <widgets/session.h>
#include <widgets/training.h>

namespace orrery::plugins {
namespace {

using widgets::BackgroundContext;

bool canResume(const store::RunSummary& run)
{
    return run.status == store::RunStatus::Interrupted || run.status == store::RunStatus::Cancelled || run.status == store::RunStatus::Failed;
}

bool isWorkedOn(const store::RunSummary& run)
{
    return run.status == store::RunStatus::Running || run.status == store::RunStatus::Paused;
}

jobs::JobSpec copyOf(const std::shared_ptr<store::Workspace>& workspace, store::RunId run)
{
    const int threads = train::threadsOfRun(workspace->run(run));
    return widgets::trainingJob(workspace, train::createRepetition(*workspace, run), threads);
}

bool isFinished(const store::RunSummary& run)
{
    return run.status == store::RunStatus::Finished;
}

QString folderOf(const store::RunRecord& run)
{
    const auto folder = run.environment.find("folder");
    return folder != run.environment.end() && folder->is_string() ? QString::fromStdString(folder->get<std::string>()) : QString();
}

bool askBeforeDeleting(QWidget* parent, const QString& text)
{
    QMessageBox box(QMessageBox::Question, RunActions::tr("Delete runs"), text, QMessageBox::Cancel, parent);
    auto* yes = box.addButton(RunActions::tr("Delete"), QMessageBox::DestructiveRole);
    box.setDefaultButton(QMessageBox::Cancel);
    box.exec();
    return box.clickedButton() == yes;
}

}  // namespace

RunActions::RunActions(widgets::Session& session, widgets::Panel& panel)
    : QObject(&panel), confirm(askBeforeDeleting), m_session(session), m_panel(panel)
{
    m_again = make("run_again", tr("Run again"), tr("Train the same documents once more, as new runs"), [this] { runAgain(); });
    m_reproduce = make("reproduce", tr("Reproduce"),
                       tr("Train the same documents once more and compare every metric and the weights with the first run, bit for bit"),
                       [this] { reproduce(); });
    m_clone = make("clone", tr("Clone and edit"), tr("Open a copy of the run's document in the New run panel"), [this] { cloneAndEdit(); });
    m_resume = make("resume", tr("Resume"), tr("Go on with an interrupted, cancelled or failed run from its last checkpoint"), [this] { resume(); });
    m_open = make("open_model", tr("Open model"), tr("Look inside the trained model"), [this] { openModel(); });
    m_report = make("report", tr("Report…"), tr("Write a report of the selected runs as HTML or PDF"), [this] { writeReport(); });
    m_delete = make("delete", tr("Delete…"), tr("Remove the selected runs with all they left"), [this] { deleteRuns(); });
    m_copy = widgets::makeCopyAsCommandAction(this, [this] { return command(); });
    m_copy->setObjectName("copy_command");
    m_panel.addAction(m_copy);
    connect(&session, &widgets::Session::jobsChanged, this, &RunActions::lookAtRepetitions);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] { m_repetitions.clear(); });
    update();
}

QAction* RunActions::make(const QString& name, const QString& text, const QString& tip, std::function<void()> call)
{
    auto* action = new QAction(text, this);
    action->setObjectName(name);
    action->setToolTip(tip);
    connect(action, &QAction::triggered, this, [this, call = std::move(call)] {
        m_panel.showError({});
        call();
    });
    m_panel.addAction(action);
    return action;
}

QList<QAction*> RunActions::all() const
{
    return {m_again, m_reproduce, m_clone, m_resume, m_open, m_report, m_delete, m_copy};
}

void RunActions::setRuns(std::vector<store::RunSummary> runs)
{
    m_runs = std::move(runs);
    update();
}

void RunActions::update()
{
    const bool any = !m_runs.empty(), one = m_runs.size() == 1;
    m_again->setEnabled(any);
    m_reproduce->setEnabled(any && std::all_of(m_runs.begin(), m_runs.end(), isFinished));
    m_clone->setEnabled(one);
    m_resume->setEnabled(any && std::all_of(m_runs.begin(), m_runs.end(), canResume));
    m_open->setEnabled(one);
    m_report->setEnabled(any);
    m_delete->setEnabled(any && std::none_of(m_runs.begin(), m_runs.end(), isWorkedOn));
    m_copy->setEnabled(m_session.hasWorkspace());
}

std::vector<store::RunId> RunActions::ids() const
{
    std::vector<store::RunId> ids;
    for (const auto& run : m_runs)
        ids.push_back(run.id);
    return ids;
}

std::function<void(const QString&)> RunActions::shown() const
{
    return [this](const QString& text) { m_panel.showError(text); };
}

void RunActions::submitFrom(std::function<std::vector<jobs::JobSpec>()> work, bool select)
{
    m_session.runInBackground(
        this, [work = std::move(work)](BackgroundContext&) { return work(); },
        [this, select](std::vector<jobs::JobSpec> specs) {
            QList<qint64> runs;
            for (auto& spec : specs) {
                runs << spec.run.value();
                widgets::submitTraining(m_session, std::move(spec));
            }
            if (select)
                m_session.selectRuns(runs);
        },
        shown());
}

void RunActions::runAgain()
{
    submitFrom(
        [workspace = m_session.workspace(), ids = ids()] {
            std::vector<jobs::JobSpec> specs;
            for (const auto run : ids)
                specs.push_back(copyOf(workspace, run));
            return specs;
        },
        true);
}

void RunActions::reproduce()
{
    m_session.runInBackground(
        this,
        [workspace = m_session.workspace(), ids = ids()](BackgroundContext&) {
            std::vector<std::pair<store::RunId, jobs::JobSpec>> specs;
            for (const auto run : ids)
                specs.emplace_back(run, copyOf(workspace, run));
            return specs;
        },
        [this](std::vector<std::pair<store::RunId, jobs::JobSpec>> specs) {
            QList<qint64> runs;
            for (auto& [run, spec] : specs) {
                const auto again = spec.run.value();
                m_repetitions.push_back({widgets::submitTraining(m_session, std::move(spec)), run, again});
                runs << run << again;
            }
            m_session.selectRuns(runs);
        },
        shown());
}

void RunActions::lookAtRepetitions()
{
    const auto isDone = [](const Repetition& one) { return jobs::hasEnded(one.job.status()); };
    std::vector<Repetition> done;
    std::copy_if(m_repetitions.begin(), m_repetitions.end(), std::back_inserter(done), isDone);
    std::erase_if(m_repetitions, isDone);
    for (const auto& one : done) {
        if (one.job.status() == jobs::JobStatus::Finished)
            compare(one);
        else
            m_panel.showError(tr("Run %1 was not reproduced: run %2 %3")
                                  .arg(one.run)
                                  .arg(one.again)
                                  .arg(QString::fromStdString(std::string(jobs::statusName(one.job.status())))));
    }
}

void RunActions::compare(const Repetition& repetition)
{
    m_session.runInBackground(
        this,
        [workspace = m_session.workspace(), run = repetition.run, again = repetition.again](BackgroundContext&) {
            auto result = train::compareRepetition(*workspace, run, again);
            train::storeReproduction(*workspace, result);
            return result;
        },
        [this](const train::Reproduction& result) {
            m_session.report(QString::fromStdString(result.summary()).section('\n', 0, 0));
            Q_EMIT reproduced(result.run, result.again, result.isIdentical());
        },
        shown());
}

void RunActions::resume()
{
    submitFrom(
        [workspace = m_session.workspace(), ids = ids()] {
            std::vector<jobs::JobSpec> specs;
            for (const auto run : ids)
                specs.push_back(widgets::trainingJob(workspace, run, train::threadsOfRun(workspace->run(run))));
            return specs;
        },
        false);
}

void RunActions::cloneAndEdit()
{
    m_session.runInBackground(
        this, [workspace = m_session.workspace(), run = m_runs.front().id](BackgroundContext&) { return workspace->run(run); },
        [this](store::RunRecord run) {
            m_session.setDraft(run.document, folderOf(run));
            m_session.requestPanel("new_run");
        },
        shown());
}

void RunActions::openModel()
{
    m_session.openModel(QString("run:%1").arg(m_runs.front().id));
    m_session.requestPanel("model");
}

void RunActions::writeReport()
{
    const auto suggested = m_runs.size() == 1 ? QString("run-%1.html").arg(m_runs.front().id) : QString("report.html");
    const auto file = widgets::askSaveFile()(&m_panel, suggested, tr("HTML (*.html);;PDF (*.pdf)"));
    if (file.isEmpty())
        return;
    m_session.runInBackground(
        this,
        [workspace = m_session.workspace(), ids = ids(), file](BackgroundContext& context) {
            report::RunReportOptions options;
            options.written = core::isoTimeNow();
            const auto made = report::buildRunReport(*workspace, ids, options);
            if (file.endsWith(".pdf", Qt::CaseInsensitive))
                widgets::writePdf(made, file, context.stopToken());
            else
                core::writeFileAtomically(file.toStdString(), report::toHtml(made));
        },
        [this, file] { m_session.report(tr("Report written: %1").arg(file)); }, shown());
}

void RunActions::deleteRuns()
{
    const auto text = m_runs.size() == 1
                          ? tr("Delete %1 with its metrics, checkpoints and analyses? This cannot be undone.")
                                .arg(QString::fromStdString(report::runTitle(m_runs.front())))
                          : tr("Delete %1 runs with their metrics, checkpoints and analyses? This cannot be undone.").arg(m_runs.size());
    if (!confirm(&m_panel, text))
        return;
    m_session.runInBackground(
        this, [workspace = m_session.workspace(), ids = ids()](BackgroundContext&) { workspace->deleteRuns(ids); },
        [this] { m_session.report(tr("Runs deleted")); }, shown());
}

QString RunActions::command() const
{
    if (!m_session.hasWorkspace())
        return {};
    QStringList words{"runs", m_runs.empty() ? "list" : m_runs.size() == 1 ? "show" : "compare"};
    for (const auto& run : m_runs)
        words << QString::number(run.id);
    return widgets::cliCommand(words << "--workspace" << m_session.workspaceFolder());
}

}  // namespace orrery::plugins
