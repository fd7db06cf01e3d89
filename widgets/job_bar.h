#pragma once
#include <QWidget>

#include "background.h"

class QLabel;
class QProgressBar;
class QPushButton;
class QTimer;

namespace orrery::widgets {

class Session;

/// Progress bar, time left and a cancel button for one piece of background work; hidden while it follows none. The work only calls
/// `BackgroundContext::progress` (or `job().progress`): the bar looks ten times a second, so nothing needs to be posted or throttled.
///
///     m_bar = new widgets::JobBar(session, tr("Progress of the sweep"));
///     connect(m_bar, &widgets::JobBar::ended, this, [this] { addBusy(-1); updateButtons(); });
///     ...
///     m_bar->follow(session.runInBackground(this, work, done, failed, options));  // work in Lane::Queue also stands in the Jobs panel
///     addBusy(1); updateButtons();                                                // `isRunning()` is true from here on
///
/// Cancelled work delivers nothing any more (see `BackgroundTask::cancel`): what arrived by `BackgroundContext::post` before is kept by who kept it.
/// UI thread.
class JobBar : public QWidget {
    Q_OBJECT
public:
    /// @param name  Accessible name of the progress bar. The button's object name is "cancel".
    JobBar(Session& session, const QString& name, QWidget* parent = nullptr);
    /// Cancels what it follows: a panel that goes away takes its work along.
    ~JobBar() override;

    /// Shows the bar for `task` until it ends. What was followed before is cancelled (`ended` is emitted for it first).
    void follow(const BackgroundTask& task);
    /// Cancels as the button does; nothing happens if nothing runs.
    void cancel();
    bool isRunning() const { return m_following; }
    /// True if the task that ended last was cancelled, here or in the Jobs panel; false if it delivered a result or an error.
    bool wasCancelled() const { return m_cancelled; }

Q_SIGNALS:
    /// Once for each `follow`: after the result or the error has been delivered, or at once when cancelled (also from the Jobs panel).
    void ended();

private:
    void look();
    void end();

    BackgroundTask m_task;
    bool m_following = false, m_cancelled = false;
    QProgressBar* m_bar;
    QLabel* m_left;
    QPushButton* m_button;
    QTimer* m_timer;
};

}  // namespace orrery::widgets
