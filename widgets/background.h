#pragma once
#include <QObject>
#include <QPointer>
#include <QString>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>

#include <core/base/json.h>

namespace orrery::jobs {
class Context;
struct Progress;
}  // namespace orrery::jobs

namespace orrery::widgets {

/// Where background work runs.
enum class Lane {
    Interactive,  ///< short reading and computing for what is on screen: a small pool of its own, never behind a training run, not listed as a job
    Queue,        ///< the session's job queue: listed in the Jobs panel with progress, shares the machine's cores with other jobs
};

struct BackgroundOptions {
    QString title;  ///< shown in the Jobs panel (Queue)
    Lane lane = Lane::Interactive;
    int threads = 1;  ///< cores asked for; 0: all
    int priority = 0;
    QString kind;               ///< "train", "attribute", ... (Queue)
    core::Json document;        ///< enough to run it again (Queue)
    std::optional<qint64> run;  ///< the run in the store that it works on, if any (Queue)
};

/// What background work sees. Used from the worker's thread.
class BackgroundContext {
public:
    virtual ~BackgroundContext() = default;
    virtual std::stop_token stopToken() const = 0;
    /// @throws core::Cancelled if the work was asked to stop: call it between steps.
    void throwIfStopped() const;
    /// Progress for the Jobs panel, throttled. `unit`: "steps", "samples", "bytes".
    virtual void progress(double done, double total, const std::string& unit) = 0;
    /// The same as a job sees it: for functions of core that take a `jobs::Context`.
    virtual jobs::Context& job() = 0;
    /// Runs `call` later on the receiver's thread, in order, if the receiver still lives and the task was not cancelled: partial results.
    virtual void post(std::function<void()> call) = 0;
};

/// Handle of running work. Copies share it. Dropping it does not stop the work. Any thread.
class BackgroundTask {
public:
    BackgroundTask() = default;
    /// Asks the work to stop. Nothing is delivered afterwards, neither result nor error nor partial results. A second call does nothing.
    void cancel();
    bool isRunning() const;
    /// Asked to stop by `cancel`, or ended without result or error because it was cancelled in the Jobs panel.
    bool wasCancelled() const;
    /// How far the work is, with an estimate of the time left; zeros before it first reports.
    jobs::Progress progress() const;

    struct State;

private:
    friend class BackgroundRunner;
    explicit BackgroundTask(std::shared_ptr<State> state) : m_state(std::move(state)) {}
    std::shared_ptr<State> m_state;
};

}  // namespace orrery::widgets
