#pragma once
#include <QObject>
#include <QSet>
#include <functional>
#include <memory>
#include <mutex>

#include <core/jobs/queue.h>

#include "background.h"

namespace orrery::widgets {

/// The way from worker threads back to the UI thread: calls posted here run there in order, and are dropped once the owner is gone.
class Channel {
public:
    explicit Channel(QObject* owner) : m_owner(owner) {}
    /// Any thread.
    void post(std::function<void()> call);
    /// After this nothing is delivered. UI thread.
    void close();

private:
    std::mutex m_mutex;
    QObject* m_owner;  ///< guarded by m_mutex; null once closed
};

/// Runs background work for a `Session` in one of two queues. UI thread.
class BackgroundRunner : public QObject {
    Q_OBJECT
public:
    using Work = std::function<std::function<void()>(BackgroundContext&)>;
    using Failed = std::function<void(const QString&)>;

    explicit BackgroundRunner(QObject* parent = nullptr);
    /// Cancels everything and waits for it to end.
    ~BackgroundRunner() override;

    BackgroundTask start(QObject* receiver, Work work, Failed failed, BackgroundOptions options);
    bool isBusy() const { return !m_active.isEmpty(); }
    jobs::Queue& queue() { return *m_queue; }

Q_SIGNALS:
    void busyChanged();

private:
    void finish(const std::shared_ptr<BackgroundTask::State>& task);

    std::shared_ptr<Channel> m_channel;
    std::unique_ptr<jobs::Queue> m_queue, m_interactive;
    QSet<BackgroundTask::State*> m_active;
};

}  // namespace orrery::widgets
