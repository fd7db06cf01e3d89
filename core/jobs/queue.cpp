#include "queue.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/text.h>

#include "queue_state.h"
#include "thread_engine.h"

namespace orrery::jobs {

using detail::JobState;
using detail::QueueState;

// --- Job ---

JobId Job::id() const
{
    const std::lock_guard lock(m_state->queue->mutex);
    return m_state->now.id;
}

JobSnapshot Job::snapshot() const
{
    const std::lock_guard lock(m_state->queue->mutex);
    return m_state->queue->snapshotOf(*m_state);
}

JobStatus Job::status() const
{
    const std::lock_guard lock(m_state->queue->mutex);
    return m_state->now.status;
}

void Job::cancel() const
{
    const std::lock_guard lock(m_state->queue->mutex);
    m_state->queue->cancel(*m_state);
}

void Job::pause() const
{
    const std::lock_guard lock(m_state->queue->mutex);
    m_state->queue->pause(*m_state);
}

void Job::resume() const
{
    const std::lock_guard lock(m_state->queue->mutex);
    m_state->queue->resume(*m_state);
}

JobStatus Job::wait() const
{
    std::unique_lock lock(m_state->queue->mutex);
    m_state->queue->changed.wait(lock, [&] { return hasEnded(m_state->now.status); });
    return m_state->now.status;
}

bool Job::waitFor(std::chrono::milliseconds time) const
{
    std::unique_lock lock(m_state->queue->mutex);
    return m_state->queue->changed.wait_for(lock, time, [&] { return hasEnded(m_state->now.status); });
}

std::any Job::result() const
{
    wait();
    std::unique_lock lock(m_state->queue->mutex);
    const std::exception_ptr error = m_state->error;
    if (!error)
        return m_state->result;
    lock.unlock();
    std::rethrow_exception(error);
}

std::shared_ptr<const void> Job::partial() const
{
    const std::lock_guard lock(m_state->queue->mutex);
    return m_state->partial;
}

// --- Queue ---

Queue::Queue(int cores) : m_state(std::make_shared<QueueState>())
{
    m_state->limit = cores > 0 ? cores : int(std::max(1u, std::thread::hardware_concurrency()));
    m_state->worker = std::thread([state = m_state.get()] { state->run(); });
}

Queue::~Queue()
{
    cancelAll();
    waitAll();
    {
        const std::lock_guard lock(m_state->mutex);
        m_state->stop = true;
        m_state->work.notify_all();
    }
    m_state->worker.join();
    // Jobs refer to the queue's state: without this the two would keep each other alive.
    std::vector<std::shared_ptr<JobState>> jobs;
    const std::lock_guard lock(m_state->mutex);
    jobs.swap(m_state->jobs);
}

void Queue::setThreadHook(std::function<void(int threads)> hook)
{
    jobs::setThreadHook(std::move(hook));
}

Job Queue::submit(JobSpec spec, std::shared_ptr<Engine> engine)
{
    auto job = std::make_shared<JobState>();
    job->queue = m_state;
    job->spec = std::move(spec);
    job->engine = engine ? std::move(engine) : threadEngine();
    const std::lock_guard lock(m_state->mutex);
    const int limit = m_state->limit;
    JobSnapshot& now = job->now;
    now.id = ++m_state->lastId;
    now.title = job->spec.title;
    now.kind = job->spec.kind;
    now.document = job->spec.document;
    now.run = job->spec.run;
    now.threads = job->spec.threads <= 0 ? limit : std::min(job->spec.threads, limit);
    now.priority = job->spec.priority;
    now.submitted = core::isoTimeNow();
    m_state->jobs.push_back(job);
    m_state->tell(JobEvent::Kind::Added, *job);
    return Job(std::move(job));
}

std::vector<JobSnapshot> Queue::jobs() const
{
    const std::lock_guard lock(m_state->mutex);
    std::vector<JobSnapshot> snapshots;
    for (const auto& job : m_state->jobs)
        snapshots.push_back(m_state->snapshotOf(*job));
    return snapshots;
}

Job Queue::find(JobId id) const
{
    const std::lock_guard lock(m_state->mutex);
    return Job(m_state->find(id));
}

void Queue::pause(JobId id)
{
    if (const Job job = find(id))
        job.pause();
}

void Queue::resume(JobId id)
{
    if (const Job job = find(id))
        job.resume();
}

void Queue::cancel(JobId id)
{
    if (const Job job = find(id))
        job.cancel();
}

void Queue::cancelAll()
{
    const std::lock_guard lock(m_state->mutex);
    for (const auto& job : m_state->jobs)
        m_state->cancel(*job);
}

void Queue::setPriority(JobId id, int priority)
{
    const std::lock_guard lock(m_state->mutex);
    const auto job = m_state->find(id);
    if (!job || hasEnded(job->now.status) || job->now.priority == priority)
        return;
    job->now.priority = priority;
    m_state->tell(JobEvent::Kind::Changed, *job);
}

void Queue::removeEnded()
{
    // Let go after the lock: the last handle of a job may destroy a large result.
    std::vector<std::shared_ptr<JobState>> removed;
    const std::lock_guard lock(m_state->mutex);
    for (const auto& job : m_state->jobs)
        if (hasEnded(job->now.status))
            removed.push_back(job);
    for (const auto& job : removed) {
        m_state->tell(JobEvent::Kind::Removed, *job);
        std::erase(m_state->jobs, job);
    }
}

void Queue::wait(JobId id)
{
    if (const Job job = find(id))
        job.wait();
}

void Queue::waitAll()
{
    std::unique_lock lock(m_state->mutex);
    m_state->changed.wait(
        lock, [&] { return std::all_of(m_state->jobs.begin(), m_state->jobs.end(), [](const auto& job) { return hasEnded(job->now.status); }); });
}

int Queue::limit() const
{
    const std::lock_guard lock(m_state->mutex);
    return m_state->limit;
}

void Queue::setLimit(int cores)
{
    if (cores < 1)
        throw core::InputError(fmt::format("limit of the job queue: expected at least 1 core, got {}", cores));
    const std::lock_guard lock(m_state->mutex);
    m_state->limit = cores;
    m_state->work.notify_all();
}

int Queue::threadsInUse() const
{
    const std::lock_guard lock(m_state->mutex);
    return m_state->inUse;
}

core::Subscription Queue::subscribe(std::function<void(const JobEvent&)> listener)
{
    return m_state->listeners.add(std::move(listener));
}

}  // namespace orrery::jobs
