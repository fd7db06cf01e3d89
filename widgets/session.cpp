#include "session.h"

#include <QDir>
#include <QElapsedTimer>
#include <QEventLoop>
#include <QPointer>
#include <QSet>
#include <QTimer>
#include <QUndoStack>
#include <chrono>
#include <future>
#include <mutex>
#include <unistd.h>

#include <core/base/error.h>
#include <core/base/listeners.h>
#include <core/base/log.h>
#include <core/jobs/queue.h>
#include <core/store/workspace.h>

#include "background_runner.h"
#include "kept_model.h"
#include "model_source.h"

namespace orrery::widgets {
namespace {

constexpr int kSignalInterval = 100;    ///< ms between two runsChanged or jobsChanged
constexpr int kPollInterval = 500;      ///< ms between two looks for changes by other processes
constexpr int kForeignInterval = 2000;  ///< ms: with changes of our own under way, how often others are assumed to have changed something, too

/// What other threads reported since the last signal.
struct Inbox {
    std::mutex mutex;
    QSet<qint64> runs;     ///< guarded by mutex
    bool jobs = false;     ///< guarded by mutex
    bool reports = false;  ///< guarded by mutex
    bool posted = false;   ///< guarded by mutex: the UI thread has been told
};

}  // namespace

struct Session::Private {
    explicit Private(Session& session)
        : q(session), undo(&session), runner(std::make_unique<BackgroundRunner>()), channel(std::make_shared<Channel>(&session))
    {
    }

    void subscribeToJobs();
    void subscribeToRuns();
    void noteChange(const std::function<void(Inbox&)>& change) { noteChange(inbox, channel, q, change); }
    static void noteChange(const std::shared_ptr<Inbox>& inbox, const std::shared_ptr<Channel>& channel, Session& session,
                           const std::function<void(Inbox&)>& change);
    void deliverChanges();
    void pollStore();
    void letGoOfDeletedRuns();
    void emitSelection();

    Session& q;
    std::shared_ptr<store::Workspace> workspace;
    QString folder;
    QUndoStack undo;
    Selection selection, announced;
    QString openedState;  ///< what the file of the chosen model was when it was opened
    bool announcing = false;
    core::Json draft;
    QString draftFolder;

    std::unique_ptr<BackgroundRunner> runner;
    std::shared_ptr<Channel> channel;
    std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
    QTimer signalTimer, pollTimer;
    QElapsedTimer sinceForeign;
    std::uint64_t counter = 0;
    bool ownChanges = false;
    core::Subscription jobSubscription, runSubscription;
};

void Session::Private::noteChange(const std::shared_ptr<Inbox>& inbox, const std::shared_ptr<Channel>& channel, Session& session,
                                  const std::function<void(Inbox&)>& change)
{
    {
        const std::lock_guard lock(inbox->mutex);
        change(*inbox);
        if (std::exchange(inbox->posted, true))
            return;
    }
    channel->post([&session] {
        if (!session.d->signalTimer.isActive())
            session.d->signalTimer.start();
    });
}

void Session::Private::subscribeToJobs()
{
    jobSubscription = runner->queue().subscribe([inbox = inbox, channel = channel, &session = q](const jobs::JobEvent&) {
        noteChange(inbox, channel, session, [](Inbox& box) { box.jobs = true; });
    });
}

void Session::Private::subscribeToRuns()
{
    runSubscription = workspace->subscribe([inbox = inbox, channel = channel, &session = q](const store::Change& change) {
        noteChange(inbox, channel, session, [&](Inbox& box) {
            for (const store::RunId run : change.runs)
                box.runs.insert(run);
            box.reports |= change.reports;
        });
    });
}

void Session::Private::deliverChanges()
{
    QSet<qint64> runs;
    bool jobs = false, reports = false;
    {
        const std::lock_guard lock(inbox->mutex);
        runs.swap(inbox->runs);
        std::swap(jobs, inbox->jobs);
        std::swap(reports, inbox->reports);
        inbox->posted = false;
    }
    if (!runs.isEmpty()) {
        ownChanges = true;
        QList<qint64> sorted(runs.begin(), runs.end());
        std::sort(sorted.begin(), sorted.end());
        Q_EMIT q.runsChanged(sorted);
    }
    if (reports) {
        ownChanges = true;
        Q_EMIT q.reportsChanged();
    }
    if (jobs)
        Q_EMIT q.jobsChanged();
}

/// The counter also grows by our own commits, which arrive by the subscription; while these come in, another process is only assumed now and then.
void Session::Private::pollStore()
{
    if (!workspace)
        return;
    try {
        const std::uint64_t now = workspace->changeCounter();
        if (now == counter)
            return;
        if (ownChanges && sinceForeign.isValid() && sinceForeign.elapsed() < kForeignInterval) {
            ownChanges = false;
            return;
        }
        counter = now;
        ownChanges = false;
        sinceForeign.start();
        letGoOfDeletedRuns();
        Q_EMIT q.runsChanged({});
        Q_EMIT q.reportsChanged();
    } catch (const std::exception& error) {
        pollTimer.stop();
        q.report(QString::fromStdString(error.what()));
    }
}

/// Runs that another process has deleted are chosen no more, neither as runs nor as the model.
void Session::Private::letGoOfDeletedRuns()
{
    const auto isThere = [&](qint64 run) {
        try {
            workspace->run(run);
            return true;
        } catch (const core::InputError&) {
            return false;
        }
    };
    const auto isGone = [&](std::optional<qint64> run) { return run && !isThere(*run); };
    Selection kept = selection;
    kept.runs.removeIf([&](qint64 run) { return !isThere(run); });
    if (isGone(kept.weightsRun)) {
        kept.weightsRun.reset();
        kept.checkpointStep.reset();
    }
    if (isGone(runOfArgument(kept.model)))
        kept.model.clear();
    q.setSelection(kept);
}

/// A receiver may change the selection again; the outermost call goes on until nothing is left to announce, so everybody sees changes in the same order.
void Session::Private::emitSelection()
{
    if (announcing)
        return;
    announcing = true;
    for (SelectionParts parts = difference(announced, selection); parts; parts = difference(announced, selection)) {
        announced = selection;
        Q_EMIT q.selectionChanged(parts);
    }
    announcing = false;
}

Session::Session(QObject* parent) : QObject(parent), d(std::make_unique<Private>(*this))
{
    d->signalTimer.setSingleShot(true);
    d->signalTimer.setInterval(kSignalInterval);
    d->pollTimer.setInterval(kPollInterval);
    connect(&d->signalTimer, &QTimer::timeout, this, [this] { d->deliverChanges(); });
    connect(&d->pollTimer, &QTimer::timeout, this, [this] { d->pollStore(); });
    connect(d->runner.get(), &BackgroundRunner::busyChanged, this, &Session::backgroundWorkChanged);
    d->subscribeToJobs();
}

Session::~Session()
{
    d->channel->close();
    disconnect(d->runner.get(), nullptr, this, nullptr);
    d->jobSubscription = {};
    d->runSubscription = {};
    d->runner.reset();
}

// What cannot be written (a folder of somebody else, a read-only disk) can still be looked at.
static std::shared_ptr<store::Workspace> openOrLookAt(const std::string& folder)
{
    try {
        return store::Workspace::open(folder);
    } catch (const core::StorageError&) {
        if (::access(folder.c_str(), W_OK) == 0 || !store::Workspace::isWorkspace(folder))
            throw;
        return store::Workspace::open(folder, store::OpenMode::ReadOnly);
    }
}

// A small workspace is open before anybody could see that the window waits; a large one that is migrated or checked keeps the window painting.
static std::shared_ptr<store::Workspace> openElsewhere(const QString& folder)
{
    auto opened = std::async(std::launch::async, [path = folder.toStdString()] { return openOrLookAt(path); });
    if (opened.wait_for(std::chrono::milliseconds(30)) != std::future_status::ready) {
        QEventLoop loop;
        QTimer timer;
        QObject::connect(&timer, &QTimer::timeout, &loop, [&] {
            if (opened.wait_for(std::chrono::seconds(0)) == std::future_status::ready)
                loop.quit();
        });
        timer.start(10);
        loop.exec(QEventLoop::ExcludeUserInputEvents);
    }
    return opened.get();
}

void Session::openWorkspace(const QString& folder)
{
    closeWorkspace();
    const QString absolute = QDir(folder).absolutePath();
    d->workspace = openElsewhere(absolute);
    d->folder = absolute;
    d->counter = d->workspace->changeCounter();
    d->subscribeToRuns();
    d->pollTimer.start();
    Q_EMIT workspaceChanged();
    if (d->workspace->isReadOnly())
        report(tr("%1 cannot be written: its runs can be looked at, and nothing new is kept").arg(absolute));
}

void Session::closeWorkspace()
{
    if (!d->workspace)
        return;
    d->pollTimer.stop();
    d->runSubscription = {};
    d->runner->queue().cancelAll();
    d->workspace.reset();
    d->folder.clear();
    d->undo.clear();
    changeSelection([](Selection& s) {
        s.runs.clear();
        s.weightsRun.reset();
        s.checkpointStep.reset();
    });
    Q_EMIT workspaceChanged();
}

std::shared_ptr<store::Workspace> Session::workspace() const
{
    return d->workspace;
}
QString Session::workspaceFolder() const
{
    return d->folder;
}
jobs::Queue& Session::jobs() const
{
    return d->runner->queue();
}
QUndoStack& Session::undoStack() const
{
    return d->undo;
}
const Selection& Session::selection() const
{
    return d->selection;
}

void Session::setSelection(const Selection& selection)
{
    d->selection = selection;
    d->emitSelection();
}

void Session::changeSelection(const std::function<void(Selection&)>& change)
{
    Selection selection = d->selection;
    change(selection);
    setSelection(selection);
}

void Session::selectRuns(const QList<qint64>& runs)
{
    changeSelection([&](Selection& s) { s.runs = runs; });
}

void Session::chooseRuns(const QList<qint64>& runs)
{
    changeSelection([&](Selection& s) {
        s.runs = runs;
        if (runs.size() != 1)
            return;
        const qint64 run = runs.front();
        const auto opened = runOfArgument(s.model);
        if (opened && *opened != run)
            s.model.clear();
        if (s.weightsRun == run)
            return;  // its checkpoint was chosen, too
        const bool isFileOpen = !s.model.isEmpty() && !opened;
        s.weightsRun = isFileOpen ? std::optional(run) : std::nullopt;
        s.checkpointStep.reset();
    });
}

void Session::openModel(const QString& model)
{
    if (d->selection.model == model && !d->selection.weightsRun) {
        // Its file has changed: everybody lets go of what was read before and opens it anew.
        if (const QString state = fileState(model); d->openedState != state)
            changeSelection([](Selection& s) { s.model.clear(); });
        // Opened again, it is what is meant again: panels that have turned to a run since come back to it.
        d->announced.model.clear();
    }
    d->openedState = fileState(model);
    changeSelection([&](Selection& s) {
        if (s.model == model && !s.weightsRun)
            return;
        s.model = model;
        s.weightsRun.reset();
        s.checkpointStep.reset();
        s.valuePath.clear();
        s.valueIndex.clear();
        s.token.reset();
        s.target.reset();
    });
}

const core::Json& Session::draft() const
{
    return d->draft;
}
QString Session::draftFolder() const
{
    return d->draftFolder;
}

void Session::setDraft(const core::Json& document, const QString& folder)
{
    d->draft = document;
    d->draftFolder = folder;
    Q_EMIT draftChanged();
}

void Session::requestPanel(const QString& id)
{
    Q_EMIT panelRequested(id);
}

void Session::report(const QString& text)
{
    core::log().info("{}", text.toStdString());
    Q_EMIT messageReported(text);
}

bool Session::hasBackgroundWork() const
{
    return d->runner->isBusy();
}

BackgroundTask Session::start(QObject* receiver, std::function<std::function<void()>(BackgroundContext&)> work,
                              std::function<void(const QString&)> failed, BackgroundOptions options)
{
    if (!failed)
        failed = [session = QPointer<Session>(this)](const QString& text) {
            if (session)
                session->report(text);
        };
    return d->runner->start(receiver, std::move(work), std::move(failed), std::move(options));
}

}  // namespace orrery::widgets
