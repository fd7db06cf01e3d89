#pragma once
#include <any>
#include <exception>
#include <memory>
#include <string_view>

#include "job.h"

namespace orrery::jobs {

/// What an engine tells of a job it runs. All functions from any thread; `ended` exactly once, last.
class JobEvents {
public:
    virtual ~JobEvents() = default;
    virtual void progress(double done, double total, std::string_view unit, std::string_view phase) = 0;
    virtual void log(LogLevel level, std::string_view text) = 0;
    virtual void metric(std::string_view name, std::int64_t step, double value) = 0;
    virtual void partial(std::shared_ptr<const void> result) = 0;
    /// The job stands still, as asked.
    virtual void paused() = 0;
    /// The job has ended: with a result, or with what it threw (core::Cancelled if it was stopped).
    virtual void ended(std::any result, std::exception_ptr error) = 0;
};

/// The remote control of a started job. Functions return at once and may be called at any time, even after the end.
class StartedJob {
public:
    /// Waits until nothing of the job is left.
    virtual ~StartedJob() = default;
    virtual void pause() = 0;
    virtual void resume() = 0;
    virtual void cancel() = 0;
};

/// Where a job runs: a thread here; later a process here, a machine behind SSH, Slurm. The queue decides when, the engine how.
class Engine {
public:
    virtual ~Engine() = default;
    virtual std::string_view name() const = 0;
    /// @param threads  Cores given to it (the specification may say "all").
    /// @param events   Told until `ended`; the engine keeps it alive.
    /// @throws core::Error if it cannot start; the job then fails with that message and `events` must not be told anything.
    virtual std::unique_ptr<StartedJob> start(JobSpec spec, int threads, std::shared_ptr<JobEvents> events) = 0;
};

/// A thread of this process with lower priority than the window. The one engine that runs `JobSpec::function`.
std::shared_ptr<Engine> threadEngine();

}  // namespace orrery::jobs
