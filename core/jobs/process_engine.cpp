#include "process_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <core/base/files.h>
#include <core/base/text.h>

#include "kinds.h"
#include "process_job.h"
#include "worker_program.h"

namespace orrery::jobs {
namespace {

std::string workerProgram()
{
    if (const auto program = findWorkerProgram())
        return program->string();
    throw core::Error(fmt::format("a job in its own process needs orrery-cli: expected it in {}, there is none", core::executableFolder().string()));
}

class ProcessEngine : public Engine {
public:
    explicit ProcessEngine(ProcessOptions options) : m_options(std::move(options)) {}
    std::string_view name() const override { return "process"; }
    std::unique_ptr<StartedJob> start(JobSpec spec, int threads, std::shared_ptr<JobEvents> events) override
    {
        if (!findKind(spec.kind))
            throw core::InputError(
                fmt::format("a job of kind \"{}\" cannot run in a process of its own; kinds that can: {}", spec.kind, core::join(kindNames(), ", ")));
        ProcessOptions options = m_options;
        if (options.command.empty())
            options.command = {workerProgram(), "worker"};
        return startProcessJob(std::move(spec), threads, std::move(events), options);
    }

private:
    const ProcessOptions m_options;
};

/// What an engine tells of a job that somebody waits for.
class RelayEvents : public JobEvents {
public:
    explicit RelayEvents(Context& context) : m_context(context) {}
    void progress(double done, double total, std::string_view unit, std::string_view phase) override { m_context.progress(done, total, unit, phase); }
    void log(LogLevel level, std::string_view text) override { m_context.log(level, text); }
    void metric(std::string_view name, std::int64_t step, double value) override { m_context.metric(name, step, value); }
    void partial(std::shared_ptr<const void> result) override { m_context.partial(std::move(result)); }
    void paused() override {}
    void ended(std::any result, std::exception_ptr error) override
    {
        const std::lock_guard lock(m_mutex);
        m_result = std::move(result);
        m_error = std::move(error);
        m_hasEnded = true;
        m_changed.notify_all();
    }

    bool waitFor(std::chrono::milliseconds time)
    {
        std::unique_lock lock(m_mutex);
        return m_changed.wait_for(lock, time, [this] { return m_hasEnded; });
    }
    std::any take()
    {
        const std::lock_guard lock(m_mutex);
        if (m_error)
            std::rethrow_exception(m_error);
        return std::move(m_result);
    }

private:
    Context& m_context;
    std::mutex m_mutex;  ///< guards the members below
    std::condition_variable m_changed;
    bool m_hasEnded = false;
    std::any m_result;
    std::exception_ptr m_error;
};

}  // namespace

std::shared_ptr<Engine> processEngine(ProcessOptions options)
{
    return std::make_shared<ProcessEngine>(std::move(options));
}

const std::vector<std::string>& engineNames()
{
    static const std::vector<std::string> kNames{"thread", "process"};
    return kNames;
}

std::shared_ptr<Engine> makeEngine(const EngineChoice& choice)
{
    const auto& names = engineNames();
    if (std::find(names.begin(), names.end(), choice.name) == names.end())
        throw core::InputError(
            fmt::format("unknown engine \"{}\"{}; expected one of {}", choice.name, core::didYouMean(choice.name, names), core::join(names, ", ")));
    if (choice.name == "process")
        return processEngine({.workspace = choice.workspace, .memoryLimit = choice.memoryLimit, .command = {}});
    if (choice.memoryLimit > 0)
        throw core::InputError("a memory limit needs the engine \"process\": a thread shares the memory of its program");
    return threadEngine();
}

std::any runOn(Engine& engine, JobSpec spec, int threads, Context& context)
{
    const auto events = std::make_shared<RelayEvents>(context);
    const auto job = engine.start(std::move(spec), threads, events);
    const std::stop_callback cancelled(context.stopToken(), [&job] { job->cancel(); });
    while (!events->waitFor(std::chrono::milliseconds(50))) {
        if (!context.isPauseAsked())
            continue;
        job->pause();
        try {
            context.pausePoint();
        } catch (const core::Cancelled&) {
            job->cancel();
        }
        job->resume();
    }
    return events->take();
}

}  // namespace orrery::jobs
