#pragma once
#include <QList>
#include <QObject>
#include <QString>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "background.h"
#include "selection.h"

class QUndoStack;
namespace orrery::store {
class Workspace;
}
namespace orrery::jobs {
class Queue;
}

namespace orrery::widgets {

/// What all panels of one window share: the open workspace, the job queue, one undo stack, the selection, and the way to run work off the UI thread.
/// UI thread, except where it says otherwise.
class Session : public QObject {
    Q_OBJECT
public:
    explicit Session(QObject* parent = nullptr);
    /// Cancels all jobs and background work and waits for them to end.
    ~Session() override;

    /// Opens (or makes) the workspace in `folder`. The one that was open is closed first, its jobs cancelled, the selection's runs cleared.
    /// @throws core::StorageError, core::FormatError if it cannot be opened; then none is open.
    void openWorkspace(const QString& folder);
    void closeWorkspace();
    /// Null if none is open. Background work keeps its own copy of the pointer.
    std::shared_ptr<store::Workspace> workspace() const;
    bool hasWorkspace() const { return workspace() != nullptr; }
    /// Absolute; empty if none is open.
    QString workspaceFolder() const;

    /// The job queue of this process: exists with and without a workspace.
    jobs::Queue& jobs() const;
    /// The window's one undo stack: every change of a document goes through it.
    QUndoStack& undoStack() const;

    const Selection& selection() const;
    /// Replaces the selection; panels hear of it through `selectionChanged` if a part differs. Calls from within that signal are allowed.
    void setSelection(const Selection& selection);
    /// `session.changeSelection([](Selection& s) { s.samples = {4}; })`
    void changeSelection(const std::function<void(Selection&)>& change);
    /// Selects runs without choosing a model: what is open stays open.
    void selectRuns(const QList<qint64>& runs);
    /// Somebody clicked at runs. A single one is a newer choice than what was opened before, and every panel turns to it; a file or an architecture stays in the panels' lists
    /// of models.
    void chooseRuns(const QList<qint64>& runs);
    /// Chooses a model by its MODEL argument; value, token and target of the previous one are cleared.
    void openModel(const QString& model);

    /// The experiment document being written ("clone and edit", "open example"): the New run panel shows it. Null if none.
    const core::Json& draft() const;
    /// Folder that relative paths of the draft start from; empty: the workspace.
    QString draftFolder() const;
    void setDraft(const core::Json& document, const QString& folder = {});
    /// Asks the window to show a panel.
    void requestPanel(const QString& id);
    /// A line for the status bar and the Log panel.
    void report(const QString& text);

    /// Runs `work(context)` on another thread and delivers its value by a queued call to `done(value)` on `receiver`'s thread (the UI thread); an
    /// exception arrives
    /// as `failed(text)` with the text of the command line. Nothing is delivered once the receiver is destroyed or the task is cancelled. Captures
    /// are values:
    /// `work` must not hold a raw pointer to a panel. Without `failed`, errors go to `report`.
    template <class Work, class Done>
    BackgroundTask runInBackground(QObject* receiver, Work work, Done done, std::function<void(const QString&)> failed = {},
                                   BackgroundOptions options = {})
    {
        using Result = std::invoke_result_t<Work&, BackgroundContext&>;
        auto call = [work = std::move(work), done = std::move(done)](BackgroundContext& context) mutable -> std::function<void()> {
            if constexpr (std::is_void_v<Result>) {
                work(context);
                return [done]() mutable { done(); };
            } else {
                auto value = std::make_shared<Result>(work(context));
                return [done, value]() mutable { done(std::move(*value)); };
            }
        };
        return start(receiver, std::move(call), std::move(failed), std::move(options));
    }
    /// True while background work of this session is under way (jobs of the queue that others started do not count).
    bool hasBackgroundWork() const;

Q_SIGNALS:
    void workspaceChanged();
    /// Runs were added, changed, finished or deleted, here or by another process on the same workspace (then the list is empty: any run may have
    /// changed).
    /// Several changes come as one signal, at most about ten a second.
    void runsChanged(const QList<qint64>& runs);
    /// Report documents of the workspace were changed, here or by another process. At most about ten a second.
    void reportsChanged();
    /// Jobs were added, made progress or ended. At most about ten a second.
    void jobsChanged();
    void selectionChanged(orrery::widgets::SelectionParts parts);
    void draftChanged();
    void panelRequested(const QString& id);
    void messageReported(const QString& text);
    /// `hasBackgroundWork()` may have changed.
    void backgroundWorkChanged();

private:
    BackgroundTask start(QObject* receiver, std::function<std::function<void()>(BackgroundContext&)> work, std::function<void(const QString&)> failed,
                         BackgroundOptions options);

    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
