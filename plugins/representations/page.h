#pragma once
#include <QWidget>
#include <functional>
#include <optional>
#include <utility>

#include <core/intervene/activations.h>
#include <widgets/background.h>
#include <widgets/job_bar.h>
#include <widgets/session.h>

#include "representations_model.h"

class QComboBox;
class QHBoxLayout;
class QPushButton;

namespace orrery::plugins {

/// What the tabs of the panel share: the subject, a button that starts their work as a job, its progress and cancel. UI thread.
class Page : public QWidget {
    Q_OBJECT
public:
    Page(widgets::Session& session, const QString& buttonText, const QString& progressName);

    /// Null: nothing is open, the button is off.
    void setSubject(const OpenedPtr& subject, const RowChoice& choice);
    virtual QString command() const = 0;
    virtual core::Json saveState() const = 0;
    /// Unknown and ill-typed keys are ignored.
    virtual void restoreState(const core::Json& state) = 0;
    bool isRunning() const { return m_bar->isRunning(); }
    /// A complete result is on show, perhaps of an earlier subject.
    bool hasResult() const { return m_hasResult; }
    /// Where it is stored, if it is.
    std::optional<std::int64_t> analysis() const { return m_analysis; }

Q_SIGNALS:
    void failed(const QString& text);
    void busyChanged(int change);
    void message(const QString& text);

protected:
    /// Starts the work of the tab; called by the button.
    virtual void run() = 0;
    /// False, with the reason as tooltip, while the tab's own settings are wrong.
    virtual QString whyNot() const { return {}; }
    /// The subject or the rows changed: what is on show stays until the next result.
    virtual void subjectChanged() {}
    /// The work ended: with its result, which has arrived, with an error, or cancelled.
    virtual void workEnded() {}
    void setResult(std::optional<std::int64_t> analysis)
    {
        m_hasResult = true;
        m_analysis = analysis;
    }
    void updateButton();
    QHBoxLayout* buttonRow() const { return m_row; }
    widgets::Session& session() const { return m_session; }
    const OpenedPtr& subject() const { return m_subject; }
    const RowChoice& choice() const { return m_choice; }

    template <class Work, class Done>
    void start(Work work, Done done, const QString& title, const char* kind, core::Json document)
    {
        Q_EMIT failed({});
        widgets::BackgroundOptions options;
        options.title = title;
        options.lane = widgets::Lane::Queue;
        options.kind = QString::fromLatin1(kind);
        options.document = std::move(document);
        m_bar->follow(m_session.runInBackground(
            this, std::move(work), std::move(done), [this](const QString& text) { Q_EMIT failed(text); }, options));
        Q_EMIT busyChanged(1);
        updateButton();
    }
    /// Stop token and progress of a job, for core.
    static intervene::Control controlOf(widgets::BackgroundContext& context);

private:
    widgets::Session& m_session;
    OpenedPtr m_subject;
    RowChoice m_choice;
    bool m_hasResult = false;
    std::optional<std::int64_t> m_analysis;
    QPushButton* m_run;
    widgets::JobBar* m_bar;
    QHBoxLayout* m_row;
};

/// A combo box that may be narrow, with a name for people who cannot see it.
QComboBox* makeBox(const QString& name, const QString& tooltip);
/// Keys of a state that have the wrong type or are not there give the default.
QString textOf(const core::Json& state, const char* key, const QString& standard = {});
int numberOf(const core::Json& state, const char* key, int standard);
core::Json objectOf(const core::Json& state, const char* key);

}  // namespace orrery::plugins
