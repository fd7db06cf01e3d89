#pragma once
#include <any>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <core/base/listeners.h>

#include "job.h"

namespace orrery::jobs {

class Engine;
class Queue;
namespace detail {
struct JobState;
struct QueueState;
}  // namespace detail

/// A handle to a submitted job: cheap to copy, keeps the job's result alive, may outlive the queue. Any thread.
class Job {
public:
    Job() = default;
    explicit operator bool() const { return m_state != nullptr; }
    JobId id() const;
    JobSnapshot snapshot() const;
    JobStatus status() const;
    /// Asks the job to stop; a queued one ends at once, a paused one wakes up to end. Returns without waiting.
    void cancel() const;
    void pause() const;
    void resume() const;
    /// Blocks until the job has ended. Not from inside the job itself.
    JobStatus wait() const;
    /// As `wait`, at most that long. @return false if the job has not ended by then.
    bool waitFor(std::chrono::milliseconds time) const;
    /// Waits, then gives what the function returned.
    /// @throws the exception the function threw (core::Cancelled for a cancelled job).
    std::any result() const;
    /// The latest partial result, or null.
    std::shared_ptr<const void> partial() const;

private:
    friend class Queue;
    explicit Job(std::shared_ptr<detail::JobState> state) : m_state(std::move(state)) {}
    std::shared_ptr<detail::JobState> m_state;
};

struct JobEvent {
    enum class Kind {
        Added,
        Changed,   ///< status, priority, or that a pause or cancel was asked for
        Progress,  ///< progress, log lines, metrics, a partial result: at most ten a second for each job
        Finished,  ///< it has ended: finished, failed or cancelled
        Removed,   ///< taken off the list of the queue; the one event after Finished
    };
    Kind kind;
    JobSnapshot job;
};

/// Runs jobs such that the sum of their threads never exceeds the limit. Higher priority first, then first come, first served; a job that does not
/// fit yet holds back those behind it, so that wide jobs are not starved. Paused jobs give their cores back.
class Queue {
public:
    /// @param cores  Limit; 0: number of cores of the machine.
    explicit Queue(int cores = 0);
    /// Cancels all jobs and waits for them.
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    /// Called first thing in each job thread, with its number of threads: where libtorch's thread count is set. Set once, before the first job;
    /// holds for the process.
    static void setThreadHook(std::function<void(int threads)> hook);

    /// @param engine  Where to run it; null: a thread of this process.
    Job submit(JobSpec spec, std::shared_ptr<Engine> engine = nullptr);

    /// All jobs that were not removed, in the order of submission.
    std::vector<JobSnapshot> jobs() const;
    Job find(JobId id) const;  ///< an empty handle if there is none
    void pause(JobId id);
    void resume(JobId id);
    void cancel(JobId id);
    void cancelAll();
    /// Order among waiting jobs; a running job is not stopped for it.
    void setPriority(JobId id, int priority);
    /// Takes ended jobs off the list. Handles stay valid.
    void removeEnded();
    void wait(JobId id);
    /// Blocks until no job is queued, running or paused.
    void waitAll();

    int limit() const;
    /// Running jobs go on; a lower limit holds for those that start later. @throws InputError unless cores >= 1.
    void setLimit(int cores);
    int threadsInUse() const;

    /// Events come on the queue's own thread, in order. A listener may call the queue, but not wait for jobs.
    core::Subscription subscribe(std::function<void(const JobEvent&)> listener);

private:
    std::shared_ptr<detail::QueueState> m_state;
};

}  // namespace orrery::jobs
