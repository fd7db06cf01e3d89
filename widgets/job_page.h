#pragma once
#include <QWidget>
#include <utility>

#include <core/base/json.h>

#include "background.h"
#include "job_bar.h"
#include "session.h"

class QHBoxLayout;
class QPushButton;

namespace orrery::widgets {

/// A tab of a panel with work of its own: a button that starts it as a job, with progress and cancel; errors go up to the panel. UI thread.
class JobPage : public QWidget {
    Q_OBJECT
public:
    JobPage(Session& session, const QString& buttonText, const QString& progressName);

    /// The `orrery-cli` line of what is on show; empty if there is none.
    virtual QString command() const = 0;
    virtual core::Json saveState() const = 0;
    /// Unknown and ill-typed keys are ignored.
    virtual void restoreState(const core::Json& state) = 0;
    bool isRunning() const { return m_bar->isRunning(); }
    /// What `command()` was when the work began whose result arrived last; empty before the first, or where what is on show was read.
    const QString& shownCommand() const { return m_shownCommand; }

Q_SIGNALS:
    void failed(const QString& text);
    void busyChanged(int change);
    void message(const QString& text);

protected:
    /// Starts the work; called by the button.
    virtual void run() = 0;
    /// Why the button is off, for its tooltip; empty: it is on.
    virtual QString whyNot() const = 0;
    /// The work ended: with its result, which has arrived, with an error, or cancelled.
    virtual void workEnded() {}
    void updateButton();
    QHBoxLayout* buttonRow() const { return m_row; }
    Session& session() const { return m_session; }
    /// What is on show now is not the result of a command.
    void clearShownCommand() { m_shownCommand.clear(); }

    template <class Work, class Done>
    void start(Work work, Done done, const QString& title, const char* kind, core::Json document, int threads = 1)
    {
        Q_EMIT failed({});
        BackgroundOptions options;
        options.title = title;
        options.lane = Lane::Queue;
        options.kind = QString::fromLatin1(kind);
        options.document = std::move(document);
        options.threads = threads;
        auto shown = [this, command = commandOrNothing(), done = std::move(done)](auto&&... result) mutable {
            m_shownCommand = command;
            done(std::forward<decltype(result)>(result)...);
        };
        m_bar->follow(m_session.runInBackground(
            this, std::move(work), std::move(shown), [this](const QString& text) { Q_EMIT failed(text); }, options));
        Q_EMIT busyChanged(1);
        updateButton();
    }

private:
    /// Empty where what is typed is not complete.
    QString commandOrNothing() const;

    Session& m_session;
    QString m_shownCommand;
    QPushButton* m_run;
    JobBar* m_bar;
    QHBoxLayout* m_row;
};

}  // namespace orrery::widgets
