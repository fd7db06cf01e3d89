#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "engine.h"
#include "progress_clock.h"
#include "queue.h"

namespace orrery::jobs::detail {

using Clock = std::chrono::steady_clock;

/// One submitted job. All members but `queue` are guarded by the mutex of the queue's state.
struct JobState {
    std::shared_ptr<QueueState> queue;
    JobSpec spec;  ///< until it is handed to the engine
    std::shared_ptr<Engine> engine;
    JobSnapshot now;  ///< what is shown; `secondsRunning` without the current stretch
    std::any result;
    std::exception_ptr error;
    std::shared_ptr<const void> partial;
    ProgressClock clock;
    std::unique_ptr<StartedJob> started;
    bool isStarting = false;       ///< its engine is starting it at this moment, outside the lock
    bool isDirty = false;          ///< has progress that listeners have not heard of
    Clock::time_point lastTold{};  ///< when they last did
    Clock::time_point runningSince{};
};

/// What handles, job threads and the queue share. The worker thread starts jobs, clears up after them and tells listeners.
struct QueueState : std::enable_shared_from_this<QueueState> {
    using JobPointer = std::shared_ptr<JobState>;

    std::mutex mutex;
    std::condition_variable work;     ///< for the worker
    std::condition_variable changed;  ///< for those who wait for a job
    // Guarded by the mutex:
    std::vector<JobPointer> jobs;
    std::deque<JobEvent> events;
    std::vector<std::unique_ptr<StartedJob>> ended;  ///< to be joined
    std::vector<JobSpec> unused;                     ///< of jobs that never started; what their functions hold is let go outside the lock
    JobId lastId = 0;
    int limit = 1, inUse = 0;
    bool stop = false;

    core::Listeners<const JobEvent&> listeners;
    std::thread worker;

    void run();

    // All of these expect the mutex to be held.
    JobSnapshot snapshotOf(const JobState& job) const;
    void tell(JobEvent::Kind kind, const JobState& job);
    void markDirty(JobState& job);
    void setRunning(JobState& job);
    void leaveRunning(JobState& job);
    void pause(JobState& job);
    void resume(JobState& job);
    void cancel(JobState& job);
    void end(JobState& job, std::any result, std::exception_ptr error);
    JobPointer find(JobId id) const;
    JobPointer nextToRun() const;

private:
    bool startNext(std::unique_lock<std::mutex>& lock);
    void launch(const JobPointer& job, std::unique_lock<std::mutex>& lock);
    bool clearEnded(std::unique_lock<std::mutex>& lock);
    bool deliver(std::unique_lock<std::mutex>& lock);
    void collectProgress();
    Clock::time_point nextProgress() const;
};

}  // namespace orrery::jobs::detail
