#pragma once
#include <algorithm>
#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/error.h>
#include <core/base/json.h>

/// Long work off the caller's thread: what a job is, where it runs (engines), and the queue that hands out cores.
namespace orrery::jobs {

using JobId = std::int64_t;

enum class JobStatus {
    Queued,  ///< waits for cores, before its start or after a pause
    Running,
    Paused,  ///< stands at a pause point; its cores are free for others
    Finished,
    Failed,
    Cancelled,
};
/// "queued", "running", "paused", "finished", "failed", "cancelled".
std::string_view statusName(JobStatus status);
/// Finished, failed or cancelled.
bool hasEnded(JobStatus status);

enum class LogLevel { Debug, Info, Warning, Error };

struct LogLine {
    std::string time;  ///< ISO 8601, UTC
    LogLevel level = LogLevel::Info;
    std::string text;
};

struct Progress {
    double done = 0;
    double total = 0;                   ///< 0: not known
    std::string unit;                   ///< "steps", "bytes", "tokens"
    std::string phase;                  ///< "training", "evaluating"
    std::optional<double> secondsLeft;  ///< estimated from the speed of the current phase; absent before it is known
    /// 0..1, or 0 where the total is not known.
    double fraction() const { return total > 0 ? std::min(1.0, done / total) : 0; }
};

/// What a job's function is given. All functions may be called from any thread the job uses, `pausePoint` from one at a time.
class Context {
public:
    virtual ~Context() = default;

    /// Asked to stop: hand it to the executor, or look at it between two steps and throw core::Cancelled.
    virtual std::stop_token stopToken() const = 0;
    /// Number of cores this job may keep busy. libtorch is already set to it in the job's own thread; threads the job makes must set it themselves.
    virtual int threads() const = 0;
    /// As often as one likes: listeners hear of it at most ten times a second.
    virtual void progress(double done, double total, std::string_view unit, std::string_view phase = {}) = 0;
    virtual void log(LogLevel level, std::string_view text) = 0;
    virtual void metric(std::string_view name, std::int64_t step, double value) = 0;
    /// Publishes a result that is not final (a snapshot of weights, a picture so far). Immutable from now on; a later one replaces it.
    virtual void partial(std::shared_ptr<const void> result) = 0;
    /// Blocks while the job is paused. Call it where the state is good to stand still in, at least once a step.
    /// @throws core::Cancelled if the job was asked to stop.
    virtual void pausePoint() = 0;
    /// True if the next `pausePoint` will stand still, as far as is known now.
    virtual bool isPauseAsked() const { return false; }

    void info(std::string_view text) { log(LogLevel::Info, text); }
    void warning(std::string_view text) { log(LogLevel::Warning, text); }
};

/// The work itself. What it returns is the job's result; what it throws ends the job: core::Cancelled as cancelled, anything else as failed.
using JobFunction = std::function<std::any(Context&)>;

struct JobSpec {
    std::string title;    ///< shown to people: "Train digits"
    std::string kind;     ///< "train", "attribute", "evaluate", ...
    core::Json document;  ///< what it does, enough to run it again (and to hand it to another process)
    int threads = 1;      ///< cores it keeps busy; 0 or more than there are: all
    int priority = 0;     ///< higher goes first; equal: in the order of submission
    JobFunction function;
    std::optional<std::int64_t> run;  ///< the run in the store that it works on, if any

    // Where log lines and metrics go besides the job's own tail and last values (the store, a terminal). Called on the job's threads.
    std::function<void(LogLevel level, std::string_view text)> logSink;
    std::function<void(std::string_view name, std::int64_t step, double value)> metricSink;
};

/// The state of a job at one moment; a value.
struct JobSnapshot {
    JobId id = 0;
    std::string title, kind;
    core::Json document;
    std::optional<std::int64_t> run;
    JobStatus status = JobStatus::Queued;
    bool pauseAsked = false;   ///< will stand still at its next pause point
    bool cancelAsked = false;  ///< will end at its next look at the stop token
    int threads = 1, priority = 0;
    Progress progress;
    std::string error;                                    ///< message of a failed job
    std::string submitted, started, ended;                ///< ISO 8601, UTC; empty: not yet
    double secondsRunning = 0;                            ///< without pauses
    std::vector<std::pair<std::string, double>> metrics;  ///< last value of each, in the order of their first
    std::vector<LogLine> logTail;                         ///< the last 200 lines
};

/// A context for calling a job's function in the own thread, without a queue: the command line, tests.
class DirectContext : public Context {
public:
    explicit DirectContext(std::stop_token stop = {}, int threads = 1) : m_stop(std::move(stop)), m_threads(threads) {}
    std::stop_token stopToken() const override { return m_stop; }
    int threads() const override { return m_threads; }
    void progress(double done, double total, std::string_view unit, std::string_view phase = {}) override
    {
        if (onProgress)
            onProgress({done, total, std::string(unit), std::string(phase), {}});
    }
    void log(LogLevel level, std::string_view text) override
    {
        if (onLog)
            onLog(level, text);
    }
    void metric(std::string_view name, std::int64_t step, double value) override
    {
        if (onMetric)
            onMetric(name, step, value);
    }
    void partial(std::shared_ptr<const void> result) override
    {
        if (onPartial)
            onPartial(std::move(result));
    }
    void pausePoint() override
    {
        if (m_stop.stop_requested())
            throw core::Cancelled();
    }

    std::function<void(const Progress&)> onProgress;
    std::function<void(LogLevel, std::string_view)> onLog;
    std::function<void(std::string_view, std::int64_t, double)> onMetric;
    std::function<void(std::shared_ptr<const void>)> onPartial;

private:
    std::stop_token m_stop;
    int m_threads;
};

}  // namespace orrery::jobs
