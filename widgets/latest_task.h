#pragma once
#include <functional>

#include "background.h"
#include "session.h"

namespace orrery::widgets {

/// Background work of which only the latest counts, such as opening what somebody is typing: a new start cancels what is under way. UI thread.
class LatestTask {
public:
    /// @param busy  Told +1 as work starts and -1 once it has ended and was delivered, or was cancelled: a panel's `addBusy`.
    explicit LatestTask(std::function<void(int)> busy) : m_busy(std::move(busy)) {}
    ~LatestTask() { m_task.cancel(); }
    LatestTask(const LatestTask&) = delete;
    LatestTask& operator=(const LatestTask&) = delete;

    bool isRunning() const { return m_running; }
    void cancel()
    {
        m_task.cancel();
        if (std::exchange(m_running, false))
            m_busy(-1);
    }
    /// As `Session::runInBackground`. `receiver` must not outlive this. In `done` and `failed` nothing is running any more.
    template <class Work, class Done, class Failed>
    void start(Session& session, QObject* receiver, Work work, Done done, Failed failed)
    {
        cancel();
        m_running = true;
        m_busy(1);
        m_task = session.runInBackground(
            receiver, std::move(work),
            [this, done = std::move(done)](auto&& result) mutable {
                m_running = false;
                done(std::forward<decltype(result)>(result));
                m_busy(-1);
            },
            [this, failed = std::move(failed)](const QString& text) mutable {
                m_running = false;
                failed(text);
                m_busy(-1);
            });
    }

private:
    std::function<void(int)> m_busy;
    BackgroundTask m_task;
    bool m_running = false;
};

}  // namespace orrery::widgets
