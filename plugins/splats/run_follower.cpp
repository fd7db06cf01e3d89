#include "run_follower.h"

#include <core/jobs/queue.h>
#include <core/store/workspace.h>
#include <widgets/session.h>

namespace orrery::plugins {
namespace {

/// The job of this process that trains the run, if there is one.
jobs::Job trainingOf(const jobs::Queue& queue, qint64 run)
{
    for (const auto& job : queue.jobs())
        if (job.run == run && job.kind == "train" && !jobs::hasEnded(job.status))
            return queue.find(job.id);
    return {};
}

}  // namespace

RunFollower::RunFollower(widgets::Session& session, QObject* parent) : QObject(parent), m_session(session)
{
    connect(&session, &widgets::Session::jobsChanged, this, &RunFollower::look);
    connect(&session, &widgets::Session::runsChanged, this, [this](const QList<qint64>& runs) {
        if (m_run && !m_isLive && (runs.isEmpty() || runs.contains(*m_run)))
            readStored();
    });
    connect(&session, &widgets::Session::workspaceChanged, this, &RunFollower::leave);
}

void RunFollower::follow(qint64 run)
{
    leave();
    m_run = run;
    look();
    if (!m_isLive || !m_task.isRunning())
        readStored();
}

void RunFollower::leave()
{
    m_task.cancel();
    m_run.reset();
    m_known.reset();
    m_partial.reset();
    m_isLive = m_again = false;
}

void RunFollower::look()
{
    if (!m_run)
        return;
    const auto job = trainingOf(m_session.jobs(), *m_run);
    const bool wasLive = std::exchange(m_isLive, bool(job));
    if (wasLive && !m_isLive)
        return readStored();  // it has ended: what it left
    const auto partial = job ? job.partial() : nullptr;
    if (!partial || partial == m_partial || m_task.isRunning())
        return;
    m_partial = partial;
    m_task = m_session.runInBackground(
        this,
        [run = *m_run, snapshot = std::static_pointer_cast<const train::Snapshot>(partial)](widgets::BackgroundContext&) {
            return std::optional(liveSplats(run, *snapshot));
        },
        [this](const std::optional<OpenSplats>& splats) { take(splats); },
        [this](const QString& text) {
            m_task = {};
            failed(text);
        });
}

void RunFollower::readStored()
{
    if (m_task.isRunning()) {
        m_again = true;
        return;
    }
    const auto workspace = m_session.workspace();
    if (!workspace)
        return;
    m_task = m_session.runInBackground(
        this, [workspace, run = *m_run, known = m_known](widgets::BackgroundContext&) { return storedSplats(*workspace, run, known); },
        [this](const std::optional<OpenSplats>& splats) { take(splats); },
        [this](const QString& text) {
            m_task = {};
            m_run.reset();
            failed(text);
        });
    changed();
}

void RunFollower::take(const std::optional<OpenSplats>& splats)
{
    m_task = {};
    if (splats) {
        m_known = splats;
        arrived(*splats);
    }
    changed();
    if (std::exchange(m_again, false))
        readStored();
}

}  // namespace orrery::plugins
