#include "background.h"

#include <QMetaObject>
#include <atomic>
#include <exception>

#include <core/base/plain_reason.h>
#include <core/base/stop.h>

#include "background_runner.h"

namespace orrery::widgets {

/// Shared by the handle, the worker and the runner.
struct BackgroundTask::State {
    std::atomic<bool> cancelled{false};
    std::atomic<bool> running{true};
    std::atomic<bool> delivered{false};  ///< a result or an error is on its way to the receiver
    std::function<void()> onCancel;      ///< set before the handle is given out; any thread
    std::mutex mutex;
    jobs::Job job;                         ///< guarded by mutex
    QMetaObject::Connection receiverGone;  ///< UI thread
};

void BackgroundTask::cancel()
{
    if (!m_state || !m_state->running || m_state->cancelled.exchange(true))
        return;
    m_state->onCancel();
    const std::lock_guard lock(m_state->mutex);
    if (m_state->job)
        m_state->job.cancel();
}

bool BackgroundTask::isRunning() const
{
    return m_state && m_state->running && !m_state->cancelled;
}

bool BackgroundTask::wasCancelled() const
{
    return m_state && (m_state->cancelled || (!m_state->running && !m_state->delivered));
}

jobs::Progress BackgroundTask::progress() const
{
    if (!m_state)
        return {};
    const std::lock_guard lock(m_state->mutex);
    return m_state->job ? m_state->job.snapshot().progress : jobs::Progress();
}

void BackgroundContext::throwIfStopped() const
{
    if (stopToken().stop_requested())
        throw core::Cancelled();
}

void Channel::post(std::function<void()> call)
{
    const std::lock_guard lock(m_mutex);
    if (m_owner)
        QMetaObject::invokeMethod(m_owner, std::move(call), Qt::QueuedConnection);
}

void Channel::close()
{
    const std::lock_guard lock(m_mutex);
    m_owner = nullptr;
}

namespace {

using StatePtr = std::shared_ptr<BackgroundTask::State>;

/// Delivers to one receiver for as long as it lives and the task was not cancelled. Copied between threads; `receiver` is looked at on the UI
/// thread only.
struct Delivery {
    std::shared_ptr<Channel> channel;
    QPointer<QObject> receiver;
    StatePtr task;

    void operator()(std::function<void()> call) const
    {
        channel->post([receiver = receiver, task = task, call = std::move(call)] {
            if (receiver && !task->cancelled)
                call();
        });
    }
};

class ContextOfJob : public BackgroundContext {
public:
    ContextOfJob(jobs::Context& job, const Delivery& deliver) : m_job(job), m_deliver(deliver) {}
    std::stop_token stopToken() const override { return m_job.stopToken(); }
    void progress(double done, double total, const std::string& unit) override { m_job.progress(done, total, unit); }
    jobs::Context& job() override { return m_job; }
    void post(std::function<void()> call) override { m_deliver(std::move(call)); }

private:
    jobs::Context& m_job;
    const Delivery& m_deliver;
};

/// The job's function: works, delivers, and tells the queue the same outcome.
std::any runTask(jobs::Context& job, const BackgroundRunner::Work& work, const BackgroundRunner::Failed& failed, const Delivery& deliver)
{
    ContextOfJob context(job, deliver);
    try {
        deliver(work(context));
        deliver.task->delivered = true;
    } catch (const std::exception& error) {
        deliver([failed, text = QString::fromStdString(core::plainReason(error))] { failed(text); });
        deliver.task->delivered = true;
        throw;
    }
    return {};
}

}  // namespace

BackgroundRunner::BackgroundRunner(QObject* parent)
    : QObject(parent), m_channel(std::make_shared<Channel>(this)), m_queue(std::make_unique<jobs::Queue>()),
      m_interactive(std::make_unique<jobs::Queue>(2))
{
}

BackgroundRunner::~BackgroundRunner()
{
    m_channel->close();
    m_interactive.reset();
    m_queue.reset();
}

BackgroundTask BackgroundRunner::start(QObject* receiver, Work work, Failed failed, BackgroundOptions options)
{
    const auto task = std::make_shared<BackgroundTask::State>();
    const Delivery deliver{m_channel, receiver, task};
    const auto end = [channel = m_channel, runner = this, task = std::weak_ptr(task)] {
        channel->post([runner, task] {
            if (const auto state = task.lock())
                runner->finish(state);
        });
    };
    task->onCancel = end;
    m_active.insert(task.get());
    BackgroundTask handle(task);
    task->receiverGone = connect(receiver, &QObject::destroyed, this, [handle]() mutable { handle.cancel(); });

    jobs::JobSpec spec;
    spec.title = options.title.toStdString();
    spec.kind = options.kind.toStdString();
    spec.document = std::move(options.document);
    spec.run = options.run;
    spec.threads = options.threads;
    spec.priority = options.priority;
    // Runs when the function is let go: after it ended, or unrun because the job was cancelled while it waited for cores.
    const std::shared_ptr<void> atEnd(nullptr,
                                      [task, channel = m_channel, runner = this](void*) { channel->post([runner, task] { runner->finish(task); }); });
    // The task is held here until its end has been posted: the weak pointer above is then still good.
    // What only reads and computes ends wherever it is; jobs of the queue, which keep what they have done so far, end where they look at their token themselves.
    const bool interactive = options.lane == Lane::Interactive;
    spec.function = [atEnd, work = std::move(work), failed = std::move(failed), deliver, interactive](jobs::Context& job) -> std::any {
        const core::StopScope stop(interactive ? job.stopToken() : std::stop_token());
        return runTask(job, work, failed, deliver);
    };
    const jobs::Job job = (interactive ? *m_interactive : *m_queue).submit(std::move(spec));
    const std::lock_guard lock(task->mutex);
    task->job = job;
    Q_EMIT busyChanged();
    return handle;
}

void BackgroundRunner::finish(const std::shared_ptr<BackgroundTask::State>& task)
{
    task->running = false;
    disconnect(task->receiverGone);
    if (!m_active.remove(task.get()))
        return;
    m_interactive->removeEnded();
    Q_EMIT busyChanged();
}

}  // namespace orrery::widgets
