#include "sweep_runner.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <fmt/format.h>

#include <core/base/log.h>
#include <core/base/schema.h>
#include <core/base/text.h>
#include <core/jobs/queue.h>

#include "sweep_state.h"
#include "trial_job.h"

namespace orrery::search {
namespace {

using namespace std::chrono_literals;

/// A trial whose training runs.
struct ActiveTrial {
    std::int64_t trial;
    std::optional<std::int64_t> lastStep;
    jobs::Job job;
};

class SweepRunner {
public:
    SweepRunner(const std::shared_ptr<store::Workspace>& workspace, const StoredSweep& stored, jobs::Context& context, const SweepOptions& options)
        : m_workspace(workspace), m_stored(stored), m_context(context), m_options(options), m_state(*workspace, stored),
          m_queue(std::max(1, options.jobs) * std::max(1, stored.threads))
    {
    }

    SweepOutcome run()
    {
        for (m_rung = 0; m_rung < rungs().size(); ++m_rung) {
            runRung();
            m_partBefore = rungs()[m_rung].part;
        }
        return m_state.outcome();
    }

private:
    const std::vector<Rung>& rungs() const { return m_stored.sweep.rungs; }

    void runRung()
    {
        const std::vector<std::int64_t> members = m_state.members(m_rung);
        std::size_t next = 0;
        try {
            while (next < members.size() || !m_active.empty()) {
                if (m_context.stopToken().stop_requested())
                    throw core::Cancelled();
                while (next < members.size() && int(m_active.size()) < std::max(1, m_options.jobs) && m_state.isPlaceKnown(members[next]))
                    begin(members[next++]);
                if (!m_active.empty())
                    waitForOne();
                harvest();
                reportProgress();
            }
        } catch (...) {
            stopAll();
            throw;
        }
    }

    void begin(std::int64_t index)
    {
        try {
            if (isKnownToBeDone(index) && m_state.hasEnded(index, m_rung, std::nullopt, !m_options.retriesFailed))
                return tellEnd(index);
            const train::Experiment experiment = m_state.experiment(index);
            const auto lastStep = lastStepIn(m_stored.sweep, rungs()[m_rung], experiment);
            dropForeignRun(index, experiment);
            noteDone(index);
            if (m_state.hasEnded(index, m_rung, lastStep, !m_options.retriesFailed))
                return tellEnd(index);
            start(index, experiment, lastStep);
        } catch (const core::InputError& error) {
            // Settings that each are right, but contradict each other.
            m_state.markFailed(index, m_rung, core::join(core::split(error.what(), '\n'), "; "));
            tellEnd(index);
        }
    }

    /// A run of the right tags and another document came with an import, or from a sweep of another workspace.
    void dropForeignRun(std::int64_t index, const train::Experiment& experiment)
    {
        auto& run = m_state.trial(index).run;
        if (run && train::experimentHash(m_workspace->run(*run).document) != train::experimentHash(experiment.document))
            run.reset();
    }

    /// A document without what a place in the space decides, and without what people write on it.
    core::Json withoutPlace(core::Json document) const
    {
        for (const char* key : {"name", "tags", "notes"})
            document.erase(key);
        for (const Dimension& dimension : m_stored.sweep.space)
            core::setByPath(document, dimension.path + "=null");
        return document;
    }

    std::optional<core::Json> finishedDocument(std::int64_t index)
    {
        const auto& run = m_state.trial(index).run;
        const bool isFinished = run && rungs()[m_rung].part >= 1 && m_workspace->findRun(*run)->status == store::RunStatus::Finished;
        return isFinished ? std::optional(m_workspace->run(*run).document) : std::nullopt;
    }

    void noteDone(std::int64_t index)
    {
        if (const auto document = finishedDocument(index); document && m_doneDocument.is_null())
            m_doneDocument = withoutPlace(*document);
    }

    /// True for a finished training whose document says what one that was compared in full says, but for the values of this trial's place: to resolve it again would open the
    /// data once a trial.
    bool isKnownToBeDone(std::int64_t index)
    {
        const auto document = m_doneDocument.is_null() ? std::nullopt : finishedDocument(index);
        if (!document || withoutPlace(*document) != m_doneDocument)
            return false;
        core::Json placed = *document;
        const Place& place = m_state.place(index);
        for (std::size_t i = 0; i < place.size(); ++i)
            core::setByPath(placed, m_stored.sweep.space[i].path + "=" + m_stored.sweep.space[i].valueAt(place[i]).dump());
        return placed == *document;
    }

    void start(std::int64_t index, const train::Experiment& experiment, std::optional<std::int64_t> lastStep)
    {
        Trial& trial = m_state.trial(index);
        if (!trial.run)
            trial.run = addTrialRun(*m_workspace, m_stored.id, index, experiment);
        const store::RunStatus status = m_workspace->findRun(*trial.run)->status;
        if (status == store::RunStatus::Running || status == store::RunStatus::Paused)
            throw core::StorageError(
                fmt::format("sweep {}: run {} (trial {}) is being worked on; wait for its end, or end that process", m_stored.id, *trial.run, index));
        m_active.push_back({index, lastStep, m_queue.submit(trialJob(m_workspace, *trial.run, lastStep, m_stored.threads), m_options.engine)});
    }

    void waitForOne()
    {
        std::unique_lock lock(m_mutex);
        m_ended.wait_for(lock, 200ms, [this] { return m_hasEnded; });
        m_hasEnded = false;
    }

    void harvest()
    {
        for (std::size_t i = 0; i < m_active.size();) {
            if (!jobs::hasEnded(m_active[i].job.status())) {
                ++i;
                continue;
            }
            const ActiveTrial ended = std::move(m_active[i]);
            m_active.erase(m_active.begin() + std::ptrdiff_t(i));
            const jobs::JobSnapshot last = ended.job.snapshot();
            if (last.status == jobs::JobStatus::Cancelled)
                throw core::Cancelled();
            if (!m_state.hasEnded(ended.trial, m_rung, ended.lastStep, true))
                m_state.markFailed(ended.trial, m_rung, last.error.empty() ? "its training ended before its time" : last.error);
            tellEnd(ended.trial);
        }
    }

    void tellEnd(std::int64_t index)
    {
        m_done += rungs()[m_rung].part - m_partBefore;
        if (m_options.ended)
            m_options.ended(m_state.trial(index));
    }

    void stopAll()
    {
        for (const ActiveTrial& active : m_active)
            active.job.cancel();
        for (const ActiveTrial& active : m_active)
            active.job.wait();
        m_active.clear();
    }

    void reportProgress()
    {
        double done = m_done, total = 0, part = 0;
        for (const Rung& rung : rungs()) {
            total += double(rung.trials) * (rung.part - part);
            part = rung.part;
        }
        for (const ActiveTrial& active : m_active)
            done += std::clamp(active.job.snapshot().progress.fraction() - m_partBefore, 0.0, rungs()[m_rung].part - m_partBefore);
        m_context.progress(done, total, rungs().size() > 1 ? "whole trainings" : "trials", "sweep");
    }

    const std::shared_ptr<store::Workspace> m_workspace;
    const StoredSweep& m_stored;
    jobs::Context& m_context;
    const SweepOptions& m_options;
    SweepState m_state;
    std::size_t m_rung = 0;
    double m_partBefore = 0, m_done = 0;
    core::Json m_doneDocument;  ///< of a finished trial, without its place
    std::vector<ActiveTrial> m_active;

    std::mutex m_mutex;  ///< guards m_hasEnded
    std::condition_variable m_ended;
    bool m_hasEnded = false;
    jobs::Queue m_queue;
    // Last, so that it ends first: no event comes to a half-destroyed object.
    core::Subscription m_subscription = m_queue.subscribe([this](const jobs::JobEvent& event) {
        if (event.kind != jobs::JobEvent::Kind::Finished)
            return;
        const std::lock_guard lock(m_mutex);
        m_hasEnded = true;
        m_ended.notify_all();
    });
};

}  // namespace

SweepOutcome runSweep(const std::shared_ptr<store::Workspace>& workspace, const StoredSweep& stored, jobs::Context& context,
                      const SweepOptions& options)
{
    return SweepRunner(workspace, stored, context, options).run();
}

}  // namespace orrery::search
