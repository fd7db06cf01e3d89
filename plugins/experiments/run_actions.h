#pragma once
#include <QAction>
#include <QList>
#include <QObject>
#include <functional>
#include <vector>

#include <core/jobs/queue.h>
#include <core/store/types.h>
#include <widgets/panel.h>

namespace orrery::plugins {

/// What can be done with the chosen runs. Work happens in the background; errors appear in the panel. UI thread.
class RunActions : public QObject {
    Q_OBJECT
public:
    RunActions(widgets::Session& session, widgets::Panel& panel);

    /// The runs that the actions are about.
    void setRuns(std::vector<store::RunSummary> runs);
    /// In the order of a toolbar.
    QList<QAction*> all() const;
    /// True while a run that repeats another one is awaited.
    bool isReproducing() const { return !m_repetitions.empty(); }
    /// `orrery-cli runs show|compare ...` of the chosen runs.
    QString command() const;

    /// Asks whether runs may be deleted; tests put their own in its place.
    std::function<bool(QWidget*, const QString&)> confirm;

Q_SIGNALS:
    /// A run was repeated and compared with the first; the comparison is stored with the run that repeats.
    void reproduced(qint64 run, qint64 again, bool isIdentical);

private:
    /// A run that repeats another one, under way.
    struct Repetition {
        jobs::Job job;
        store::RunId run, again;
    };
    QAction* make(const QString& name, const QString& text, const QString& tip, std::function<void()> call);
    void runAgain();
    void reproduce();
    void lookAtRepetitions();
    void compare(const Repetition& repetition);
    void cloneAndEdit();
    void resume();
    void openModel();
    void writeReport();
    void deleteRuns();
    void update();
    /// Runs `work` in the background and submits the jobs that it returns.
    void submitFrom(std::function<std::vector<jobs::JobSpec>()> work, bool select);
    std::function<void(const QString&)> shown() const;
    std::vector<store::RunId> ids() const;

    widgets::Session& m_session;
    widgets::Panel& m_panel;
    std::vector<store::RunSummary> m_runs;
    std::vector<Repetition> m_repetitions;
    QAction *m_again, *m_reproduce, *m_clone, *m_resume, *m_open, *m_report, *m_delete, *m_copy;
};

}  // namespace orrery::plugins
