#include "thread_engine.h"

#include <csignal>
#include <sys/resource.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "engine.h"

namespace orrery::jobs {
namespace {

/// Lower than the window's 0, so that it answers while all cores are busy.
constexpr int kNiceness = 10;

struct Hook {
    std::mutex mutex;  ///< guards function
    std::function<void(int)> function;
};

Hook& hook()
{
    static Hook instance;
    return instance;
}

void prepareThread(int threads)
{
    // In Linux this lowers the calling thread alone; threads it makes inherit the value. Failing is harmless.
    ::setpriority(PRIO_PROCESS, id_t(::gettid()), kNiceness);
    // Handlers of signals to the whole program must not run here: generated matrix kernels use the stack pointer for their own data.
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        sigaddset(&signals, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::function<void(int)> function;
    {
        const std::lock_guard lock(hook().mutex);
        function = hook().function;
    }
    if (function)
        function(threads);
}

/// Where a job's thread stands still, and what wakes it.
class PauseGate {
public:
    void close()
    {
        const std::lock_guard lock(m_mutex);
        m_closed = true;
        ++m_closings;
        m_changed.notify_all();
    }
    void open()
    {
        const std::lock_guard lock(m_mutex);
        m_closed = false;
        m_changed.notify_all();
    }
    bool isClosed() const
    {
        const std::lock_guard lock(m_mutex);
        return m_closed;
    }
    void wake()
    {
        const std::lock_guard lock(m_mutex);
        m_changed.notify_all();
    }
    /// Returns when the gate is open or stop was asked for. `paused` is told without the lock, and again after each closing: the queue ignores it
    /// when it has opened the gate in the meantime.
    void pass(const std::stop_token& stop, JobEvents& events)
    {
        std::unique_lock lock(m_mutex);
        while (m_closed && !stop.stop_requested()) {
            const std::uint64_t closing = m_closings;
            lock.unlock();
            events.paused();
            lock.lock();
            m_changed.wait(lock, [&] { return !m_closed || m_closings != closing || stop.stop_requested(); });
        }
    }

private:
    mutable std::mutex m_mutex;  ///< guards the members below
    std::condition_variable m_changed;
    bool m_closed = false;
    std::uint64_t m_closings = 0;
};

class ThreadContext : public Context {
public:
    ThreadContext(const JobSpec& spec, int threads, JobEvents& events, PauseGate& gate, std::stop_token stop)
        : m_spec(spec), m_threads(threads), m_events(events), m_gate(gate), m_stop(std::move(stop))
    {
    }
    std::stop_token stopToken() const override { return m_stop; }
    int threads() const override { return m_threads; }
    void progress(double done, double total, std::string_view unit, std::string_view phase) override { m_events.progress(done, total, unit, phase); }
    void log(LogLevel level, std::string_view text) override
    {
        m_events.log(level, text);
        if (m_spec.logSink)
            m_spec.logSink(level, text);
    }
    void metric(std::string_view name, std::int64_t step, double value) override
    {
        m_events.metric(name, step, value);
        if (m_spec.metricSink)
            m_spec.metricSink(name, step, value);
    }
    void partial(std::shared_ptr<const void> result) override { m_events.partial(std::move(result)); }
    void pausePoint() override
    {
        m_gate.pass(m_stop, m_events);
        if (m_stop.stop_requested())
            throw core::Cancelled();
    }
    bool isPauseAsked() const override { return m_gate.isClosed(); }

private:
    const JobSpec& m_spec;
    const int m_threads;
    JobEvents& m_events;
    PauseGate& m_gate;
    const std::stop_token m_stop;
};

class ThreadJob : public StartedJob {
public:
    ThreadJob(JobSpec spec, int threads, std::shared_ptr<JobEvents> events)
        : m_spec(std::move(spec)), m_threads(threads), m_events(std::move(events)), m_thread([this] { run(); })
    {
    }
    ~ThreadJob() override { m_thread.join(); }
    void pause() override { m_gate.close(); }
    void resume() override { m_gate.open(); }
    void cancel() override
    {
        m_stop.request_stop();
        m_gate.wake();
    }

private:
    void run()
    {
        prepareThread(m_threads);
        std::any result;
        std::exception_ptr error;
        try {
            ThreadContext context(m_spec, m_threads, *m_events, m_gate, m_stop.get_token());
            if (!m_spec.function)
                throw core::Error("this job has no function to run");
            result = m_spec.function(context);
        } catch (...) {
            error = std::current_exception();
        }
        // What the function holds on to (tensors, a workspace) is given up before anyone hears of the end.
        m_spec = {};
        m_events->ended(std::move(result), std::move(error));
    }

    JobSpec m_spec;
    const int m_threads;
    const std::shared_ptr<JobEvents> m_events;
    std::stop_source m_stop;
    PauseGate m_gate;
    std::thread m_thread;  ///< last: it uses all of the above
};

class ThreadEngine : public Engine {
public:
    std::string_view name() const override { return "thread"; }
    std::unique_ptr<StartedJob> start(JobSpec spec, int threads, std::shared_ptr<JobEvents> events) override
    {
        try {
            return std::make_unique<ThreadJob>(std::move(spec), threads, std::move(events));
        } catch (const std::system_error& error) {
            throw core::Error(std::string("no thread for the job could be started: ") + error.what());
        }
    }
};

}  // namespace

void setThreadHook(std::function<void(int threads)> function)
{
    const std::lock_guard lock(hook().mutex);
    hook().function = std::move(function);
}

std::shared_ptr<Engine> threadEngine()
{
    static const auto engine = std::make_shared<ThreadEngine>();
    return engine;
}

}  // namespace orrery::jobs
