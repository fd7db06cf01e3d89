#include "queue_state.h"

#include <algorithm>

#include <core/base/log.h>
#include <core/base/plain_reason.h>
#include <core/base/text.h>

namespace orrery::jobs::detail {
namespace {

constexpr std::chrono::milliseconds kProgressInterval{100};
constexpr std::size_t kLogTail = 200;

double secondsSince(Clock::time_point start)
{
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// How a job with this exception ended, and what is told of it.
std::pair<JobStatus, std::string> outcomeOf(const std::exception_ptr& error)
{
    if (!error)
        return {JobStatus::Finished, {}};
    try {
        std::rethrow_exception(error);
    } catch (const core::Cancelled&) {
        return {JobStatus::Cancelled, {}};
    } catch (const std::bad_alloc&) {
        return {JobStatus::Failed, "there is not enough memory for this job"};
    } catch (const std::exception& exception) {
        return {JobStatus::Failed, core::plainReason(exception)};
    } catch (...) {
        return {JobStatus::Failed, "an error of unknown kind"};
    }
}

/// What an engine tells of one job goes into its state.
class StateEvents : public JobEvents {
public:
    explicit StateEvents(std::shared_ptr<JobState> job) : m_job(std::move(job)), m_queue(m_job->queue) {}

    void progress(double done, double total, std::string_view unit, std::string_view phase) override
    {
        const std::lock_guard lock(m_queue->mutex);
        m_job->now.progress = m_job->clock.report(done, total, unit, phase, Clock::now());
        m_queue->markDirty(*m_job);
    }
    void log(LogLevel level, std::string_view text) override
    {
        LogLine line{core::isoTimeNow(), level, std::string(text)};
        const std::lock_guard lock(m_queue->mutex);
        auto& tail = m_job->now.logTail;
        if (tail.size() >= kLogTail)
            tail.erase(tail.begin());
        tail.push_back(std::move(line));
        m_queue->markDirty(*m_job);
    }
    void metric(std::string_view name, std::int64_t, double value) override
    {
        const std::lock_guard lock(m_queue->mutex);
        auto& metrics = m_job->now.metrics;
        const auto found = std::find_if(metrics.begin(), metrics.end(), [&](const auto& entry) { return entry.first == name; });
        if (found == metrics.end())
            metrics.emplace_back(name, value);
        else
            found->second = value;
        m_queue->markDirty(*m_job);
    }
    void partial(std::shared_ptr<const void> result) override
    {
        // The old one is let go outside the lock: that may take long, and may call back.
        const std::unique_lock lock(m_queue->mutex);
        m_job->partial.swap(result);
        m_queue->markDirty(*m_job);
    }
    void paused() override
    {
        const std::lock_guard lock(m_queue->mutex);
        JobState& job = *m_job;
        if (!job.now.pauseAsked || job.now.status != JobStatus::Running)
            return;
        m_queue->leaveRunning(job);
        job.now.status = JobStatus::Paused;
        job.now.pauseAsked = false;
        m_queue->tell(JobEvent::Kind::Changed, job);
    }
    void ended(std::any result, std::exception_ptr error) override
    {
        const std::lock_guard lock(m_queue->mutex);
        m_queue->end(*m_job, std::move(result), std::move(error));
    }

private:
    const std::shared_ptr<JobState> m_job;
    const std::shared_ptr<QueueState> m_queue;
};

}  // namespace

JobSnapshot QueueState::snapshotOf(const JobState& job) const
{
    JobSnapshot snapshot = job.now;
    if (snapshot.status == JobStatus::Running)
        snapshot.secondsRunning += secondsSince(job.runningSince);
    return snapshot;
}

void QueueState::tell(JobEvent::Kind kind, const JobState& job)
{
    events.push_back({kind, snapshotOf(job)});
    work.notify_all();
    changed.notify_all();
}

void QueueState::markDirty(JobState& job)
{
    if (!std::exchange(job.isDirty, true))
        work.notify_all();
}

void QueueState::setRunning(JobState& job)
{
    job.now.status = JobStatus::Running;
    job.runningSince = Clock::now();
    inUse += job.now.threads;
}

void QueueState::leaveRunning(JobState& job)
{
    job.now.secondsRunning += secondsSince(job.runningSince);
    job.clock.skip();
    inUse -= job.now.threads;
}

void QueueState::pause(JobState& job)
{
    if (hasEnded(job.now.status) || job.now.status == JobStatus::Paused || job.now.pauseAsked)
        return;
    if (job.now.status == JobStatus::Queued) {
        job.now.status = JobStatus::Paused;
    } else {
        job.now.pauseAsked = true;
        if (job.started)
            job.started->pause();
    }
    tell(JobEvent::Kind::Changed, job);
}

void QueueState::resume(JobState& job)
{
    if (job.now.status == JobStatus::Paused) {
        // Whether it has stood at a pause point or was never started: it waits for cores again.
        job.now.status = JobStatus::Queued;
    } else if (job.now.pauseAsked) {
        job.now.pauseAsked = false;
        if (job.started)
            job.started->resume();
    } else {
        return;
    }
    tell(JobEvent::Kind::Changed, job);
}

void QueueState::cancel(JobState& job)
{
    if (hasEnded(job.now.status) || job.now.cancelAsked)
        return;
    job.now.cancelAsked = true;
    if (!job.started && !job.isStarting)
        return end(job, {}, std::make_exception_ptr(core::Cancelled()));
    if (job.started)
        job.started->cancel();
    tell(JobEvent::Kind::Changed, job);
}

void QueueState::end(JobState& job, std::any result, std::exception_ptr error)
{
    if (job.now.status == JobStatus::Running)
        leaveRunning(job);
    std::tie(job.now.status, job.now.error) = outcomeOf(error);
    job.now.ended = core::isoTimeNow();
    job.now.pauseAsked = false;
    job.now.progress.secondsLeft.reset();
    job.result = std::move(result);
    job.error = std::move(error);
    job.isDirty = false;
    // This may be the job's own thread, which cannot join itself.
    if (job.started)
        ended.push_back(std::move(job.started));
    unused.push_back(std::exchange(job.spec, {}));
    tell(JobEvent::Kind::Finished, job);
}

QueueState::JobPointer QueueState::find(JobId id) const
{
    const auto found = std::find_if(jobs.begin(), jobs.end(), [id](const JobPointer& job) { return job->now.id == id; });
    return found == jobs.end() ? nullptr : *found;
}

QueueState::JobPointer QueueState::nextToRun() const
{
    JobPointer next;
    for (const JobPointer& job : jobs)
        if (job->now.status == JobStatus::Queued && (!next || job->now.priority > next->now.priority))
            next = job;
    // A limit lowered since the job came in must not keep it waiting forever.
    const bool fits = next && inUse + std::min(next->now.threads, limit) <= limit;
    return fits ? next : nullptr;
}

void QueueState::run()
{
    std::unique_lock lock(mutex);
    for (;;) {
        if (startNext(lock) || clearEnded(lock) || deliver(lock))
            continue;
        if (stop)
            return;
        if (const auto until = nextProgress(); until == Clock::time_point::max())
            work.wait(lock);
        else
            work.wait_until(lock, until);
    }
}

bool QueueState::startNext(std::unique_lock<std::mutex>& lock)
{
    const JobPointer job = nextToRun();
    if (!job)
        return false;
    job->now.threads = job->started ? job->now.threads : std::min(job->now.threads, limit);
    setRunning(*job);
    if (job->started) {
        job->started->resume();
    } else {
        job->now.started = core::isoTimeNow();
        launch(job, lock);
    }
    // It may have ended already; then that has been told, and nothing may follow.
    if (job->now.status == JobStatus::Running)
        tell(JobEvent::Kind::Changed, *job);
    return true;
}

void QueueState::launch(const JobPointer& job, std::unique_lock<std::mutex>& lock)
{
    job->isStarting = true;
    const int threads = job->now.threads;
    JobSpec spec = std::exchange(job->spec, {});
    lock.unlock();
    std::unique_ptr<StartedJob> started;
    std::exception_ptr error;
    try {
        started = job->engine->start(std::move(spec), threads, std::make_shared<StateEvents>(job));
    } catch (...) {
        error = std::current_exception();
    }
    lock.lock();
    job->isStarting = false;
    if (error)
        return end(*job, {}, error);
    if (hasEnded(job->now.status)) {
        ended.push_back(std::move(started));
        return;
    }
    job->started = std::move(started);
    if (job->now.pauseAsked)
        job->started->pause();
    if (job->now.cancelAsked)
        job->started->cancel();
}

bool QueueState::clearEnded(std::unique_lock<std::mutex>& lock)
{
    if (ended.empty() && unused.empty())
        return false;
    auto toJoin = std::exchange(ended, {});
    auto toForget = std::exchange(unused, {});
    lock.unlock();
    toJoin.clear();
    toForget.clear();
    lock.lock();
    return true;
}

bool QueueState::deliver(std::unique_lock<std::mutex>& lock)
{
    collectProgress();
    if (events.empty())
        return false;
    const auto batch = std::exchange(events, {});
    lock.unlock();
    for (const JobEvent& event : batch) {
        try {
            listeners.notify(event);
        } catch (const std::exception& error) {
            core::log().error("a listener of the job queue failed: {}", error.what());
        }
    }
    lock.lock();
    return true;
}

void QueueState::collectProgress()
{
    const auto now = Clock::now();
    for (const JobPointer& job : jobs) {
        if (!job->isDirty || now < job->lastTold + kProgressInterval)
            continue;
        job->isDirty = false;
        job->lastTold = now;
        events.push_back({JobEvent::Kind::Progress, snapshotOf(*job)});
    }
}

Clock::time_point QueueState::nextProgress() const
{
    auto next = Clock::time_point::max();
    for (const JobPointer& job : jobs)
        if (job->isDirty)
            next = std::min(next, job->lastTold + kProgressInterval);
    return next;
}

}  // namespace orrery::jobs::detail
