#include "trial_job.h"

#include <fmt/format.h>

#include <core/train/process_kind.h>

namespace orrery::search {
namespace {

constexpr const char* kTrialKind = "trial";
constexpr const char* kLastStep = "last_step";

/// Hands everything on, and stops the training after a step.
class StopAfterStep : public jobs::Context {
public:
    StopAfterStep(jobs::Context& inner, std::optional<std::int64_t> lastStep)
        : m_inner(inner), m_lastStep(lastStep), m_forward(inner.stopToken(), [this] { m_stop.request_stop(); })
    {
    }

    bool hasReached() const { return m_hasReached; }

    std::stop_token stopToken() const override { return m_stop.get_token(); }
    int threads() const override { return m_inner.threads(); }
    void progress(double done, double total, std::string_view unit, std::string_view phase) override
    {
        m_inner.progress(done, total, unit, phase);
        // The trainer says "training" when all of a step is done, its evaluation included.
        if (m_lastStep && phase == "training" && done >= double(*m_lastStep) && done < total) {
            m_hasReached = true;
            m_stop.request_stop();
        }
    }
    void log(jobs::LogLevel level, std::string_view text) override { m_inner.log(level, text); }
    void metric(std::string_view name, std::int64_t step, double value) override { m_inner.metric(name, step, value); }
    void partial(std::shared_ptr<const void> result) override { m_inner.partial(std::move(result)); }
    void pausePoint() override
    {
        m_inner.pausePoint();
        if (m_hasReached)
            throw core::Cancelled();
    }
    bool isPauseAsked() const override { return m_inner.isPauseAsked(); }

private:
    jobs::Context& m_inner;
    const std::optional<std::int64_t> m_lastStep;
    bool m_hasReached = false;
    std::stop_source m_stop;
    std::stop_callback<std::function<void()>> m_forward;
};

}  // namespace

void trainTrial(const std::shared_ptr<store::Workspace>& workspace, store::RunId run, std::optional<std::int64_t> lastStep, jobs::Context& context)
{
    StopAfterStep stopping(context, lastStep);
    try {
        train::trainRun(workspace, run, stopping);
    } catch (const core::Cancelled&) {
        if (!stopping.hasReached())
            throw;
        workspace->setStatus(run, store::RunStatus::Cancelled, fmt::format("stopped by its sweep after step {}", *lastStep));
    }
}

jobs::JobSpec trialJob(std::shared_ptr<store::Workspace> workspace, store::RunId run, std::optional<std::int64_t> lastStep, int threads)
{
    jobs::JobSpec spec;
    spec.title = fmt::format("Trial: run {}", run);
    spec.kind = kTrialKind;
    spec.document = {{kLastStep, lastStep ? core::Json(*lastStep) : core::Json()}};
    spec.threads = threads;
    spec.run = run;
    spec.function = [workspace, run, lastStep](jobs::Context& context) -> std::any {
        trainTrial(workspace, run, lastStep, context);
        return core::Json();
    };
    return spec;
}

jobs::Kind trialKind()
{
    jobs::Kind kind;
    kind.run = [](const jobs::Task& task, jobs::Context& context) -> core::Json {
        if (!task.run || task.workspace.empty())
            throw core::InputError("a trial in a process of its own: expected a run and its workspace");
        const core::Json step = task.document.is_object() ? task.document.value(kLastStep, core::Json()) : core::Json();
        trainTrial(store::Workspace::open(task.workspace, store::OpenMode::Open), *task.run,
                   step.is_number_integer() ? std::optional(step.get<std::int64_t>()) : std::nullopt, context);
        return core::Json();
    };
    kind.died = train::trainKind().died;
    return kind;
}

}  // namespace orrery::search
