#pragma once
#include <QObject>
#include <functional>

#include <widgets/background.h>

#include "splat_work.h"

namespace orrery::widgets {
class Session;
}

namespace orrery::plugins {

/// Follows the Gaussians of one run: what a training in this process publishes about once a second, what another process stores with its checkpoints, and the
/// final ones. Everything is read and converted in the background. UI thread.
class RunFollower : public QObject {
    Q_OBJECT
public:
    explicit RunFollower(widgets::Session& session, QObject* parent = nullptr);

    void follow(qint64 run);
    void leave();
    std::optional<qint64> run() const { return m_run; }
    /// Something is being read that was not there before.
    bool isReading() const { return m_task.isRunning(); }

    std::function<void(const OpenSplats&)> arrived;
    std::function<void(const QString&)> failed;
    /// `isReading` may have changed.
    std::function<void()> changed;

private:
    void look();
    void readStored();
    void take(const std::optional<OpenSplats>& splats);

    widgets::Session& m_session;
    std::optional<qint64> m_run;
    std::optional<OpenSplats> m_known;
    std::shared_ptr<const void> m_partial;  ///< the last one that was converted
    bool m_isLive = false, m_again = false;
    widgets::BackgroundTask m_task;
};

}  // namespace orrery::plugins
