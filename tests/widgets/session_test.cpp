#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QScopeGuard>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QThread>
#include <QTimer>
#include <QUndoStack>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <core/base/error.h>
#include <core/jobs/queue.h>
#include <core/store/workspace.h>
#include <widgets/session.h>

using namespace orrery;
using namespace orrery::widgets;

namespace {

/// Lets a worker wait until the test says go on.
class Gate {
public:
    void open()
    {
        const std::lock_guard lock(m_mutex);
        m_open = true;
        m_changed.notify_all();
    }
    void wait()
    {
        std::unique_lock lock(m_mutex);
        m_changed.wait(lock, [this] { return m_open; });
    }

private:
    std::mutex m_mutex;
    std::condition_variable m_changed;
    bool m_open = false;
};

}  // namespace

class SessionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void resultsArriveOnTheUiThread();
    void partialResultsArriveInOrderBeforeTheResult();
    void errorsArriveWithTheirText();
    void errorsWithoutHandlerAreReported();
    void aDestroyedReceiverGetsNothingAndStopsTheWork();
    void aCancelledTaskDeliversNothing();
    void cancellingQueuedWorkEndsIt();
    void interactiveWorkRunsBesideAFullQueue();
    void queuedWorkIsListedAsAJob();
    void closingWithRunningJobsEndsCleanly();
    void theUiThreadGoesOnWhileWorkRuns();
    void selectionChangesNameTheirParts();
    void selectionMayBeChangedFromItsSignal();
    void selectionSurvivesJson();
    void brokenSelectionJsonGivesAnEmptyOne();
    void openingAModelClearsWhatBelongedToTheOldOne();
    void aModelOpenedAgainIsMeantAgain();
    void workspaceOpensAndClosesWithSignals();
    void theWindowPaintsWhileAWorkspaceWaitsForItsLock();
    void aFolderThatIsNoWorkspaceIsRefused();
    void aWorkspaceThatCannotBeWrittenIsLookedAt();
    void newRunsAreAnnounced();
    void runsOfAnotherProcessAreAnnounced();
};

void SessionTest::resultsArriveOnTheUiThread()
{
    Session session;
    QObject receiver;
    QThread* worker = nullptr;
    QThread* delivered = nullptr;
    int result = 0;
    session.runInBackground(
        &receiver,
        [&worker](BackgroundContext&) {
            worker = QThread::currentThread();
            return 6 * 7;
        },
        [&](int value) {
            delivered = QThread::currentThread();
            result = value;
        });
    QVERIFY(session.hasBackgroundWork());
    QTRY_COMPARE(result, 42);
    QCOMPARE(delivered, QThread::currentThread());
    QVERIFY(worker != QThread::currentThread());
    QTRY_VERIFY(!session.hasBackgroundWork());
}

void SessionTest::partialResultsArriveInOrderBeforeTheResult()
{
    Session session;
    QObject receiver;
    auto seen = std::make_shared<QList<int>>();
    session.runInBackground(
        &receiver,
        [seen](BackgroundContext& context) {
            for (int i = 0; i < 5; ++i)
                context.post([seen, i] { *seen << i; });
        },
        [seen] { *seen << 99; });
    QTRY_COMPARE(*seen, (QList<int>{0, 1, 2, 3, 4, 99}));
}

void SessionTest::errorsArriveWithTheirText()
{
    Session session;
    QObject receiver;
    QString error;
    bool done = false;
    session.runInBackground(
        &receiver, [](BackgroundContext&) -> int { throw core::ShapeError("expected [2, 3], got [3, 2]"); }, [&](int) { done = true; },
        [&](const QString& text) { error = text; });
    QTRY_COMPARE(error, QStringLiteral("expected [2, 3], got [3, 2]"));
    QVERIFY(!done);
}

void SessionTest::errorsWithoutHandlerAreReported()
{
    Session session;
    QSignalSpy reported(&session, &Session::messageReported);
    QObject receiver;
    session.runInBackground(
        &receiver, [](BackgroundContext&) { throw core::Error("it broke"); }, [] {});
    QTRY_COMPARE(reported.size(), 1);
    QCOMPARE(reported.front().front().toString(), QStringLiteral("it broke"));
}

void SessionTest::aDestroyedReceiverGetsNothingAndStopsTheWork()
{
    Session session;
    auto receiver = std::make_unique<QObject>();
    std::atomic<bool> started = false, stopped = false;
    bool delivered = false;
    session.runInBackground(
        receiver.get(),
        [&](BackgroundContext& context) {
            started = true;
            while (!context.stopToken().stop_requested())
                QThread::yieldCurrentThread();
            stopped = true;
            return 1;
        },
        [&](int) { delivered = true; });
    QTRY_VERIFY(started);
    receiver.reset();
    QTRY_VERIFY(stopped);
    QTRY_VERIFY(!session.hasBackgroundWork());
    QVERIFY(!delivered);
}

void SessionTest::aCancelledTaskDeliversNothing()
{
    Session session;
    QObject receiver;
    Gate gate;
    std::atomic<bool> started = false, ended = false;
    int delivered = 0;
    BackgroundTask task = session.runInBackground(
        &receiver,
        [&](BackgroundContext&) {
            started = true;
            gate.wait();
            ended = true;
            return 5;
        },
        [&](int) { ++delivered; }, [&](const QString&) { ++delivered; });
    QTRY_VERIFY(started);
    QVERIFY(task.isRunning());
    task.cancel();
    QVERIFY(!task.isRunning());
    gate.open();
    QTRY_VERIFY(ended);
    QTRY_VERIFY(!session.hasBackgroundWork());
    QCOMPARE(delivered, 0);
}

void SessionTest::cancellingQueuedWorkEndsIt()
{
    Session session;
    session.jobs().setLimit(1);
    QObject receiver;
    Gate gate;
    bool firstDone = false;
    std::atomic<bool> secondRan = false;
    session.runInBackground(
        &receiver, [&](BackgroundContext&) { gate.wait(); }, [&] { firstDone = true; }, {}, {.title = "first", .lane = Lane::Queue});
    BackgroundTask second = session.runInBackground(
        &receiver, [&](BackgroundContext&) { secondRan = true; }, [] {}, {}, {.title = "second", .lane = Lane::Queue});
    second.cancel();
    gate.open();
    QTRY_VERIFY(firstDone);
    QTRY_VERIFY(!session.hasBackgroundWork());
    QVERIFY(!secondRan);
}

void SessionTest::interactiveWorkRunsBesideAFullQueue()
{
    Session session;
    session.jobs().setLimit(1);
    QObject receiver;
    Gate gate;
    bool blocked = true, shown = false;
    session.runInBackground(
        &receiver, [&](BackgroundContext&) { gate.wait(); }, [&] { blocked = false; }, {}, {.title = "training", .lane = Lane::Queue});
    session.runInBackground(
        &receiver, [](BackgroundContext&) { return 1; }, [&](int) { shown = true; });
    QTRY_VERIFY(shown);
    QVERIFY(blocked);
    gate.open();
    QTRY_VERIFY(!blocked);
}

void SessionTest::queuedWorkIsListedAsAJob()
{
    Session session;
    QSignalSpy changed(&session, &Session::jobsChanged);
    QObject receiver;
    bool done = false;
    session.runInBackground(
        &receiver, [](BackgroundContext& context) { context.progress(3, 10, "samples"); }, [&] { done = true; }, {},
        {.title = "Explain", .lane = Lane::Queue, .kind = "attribute"});
    QTRY_VERIFY(done);
    QTRY_VERIFY(changed.size() >= 1);
    const auto jobs = session.jobs().jobs();
    QCOMPARE(jobs.size(), std::size_t(1));
    QCOMPARE(jobs[0].title, std::string("Explain"));
    QCOMPARE(jobs[0].kind, std::string("attribute"));
}

void SessionTest::closingWithRunningJobsEndsCleanly()
{
    QObject receiver;
    std::atomic<int> started = 0, ended = 0;
    {
        Session session;
        for (int i = 0; i < 3; ++i)
            session.runInBackground(
                &receiver,
                [&](BackgroundContext& context) {
                    ++started;
                    while (!context.stopToken().stop_requested())
                        QThread::yieldCurrentThread();
                    ++ended;
                    context.throwIfStopped();
                },
                [] { QFAIL("delivered after the end of the session"); }, {}, {.title = "endless", .lane = i ? Lane::Queue : Lane::Interactive});
        QTRY_VERIFY(started >= 2);
    }
    QCOMPARE(started.load(), ended.load());
    QCoreApplication::processEvents();
}

void SessionTest::theUiThreadGoesOnWhileWorkRuns()
{
    Session session;
    QObject receiver;
    Gate gate;
    bool done = false, answered = false;
    session.runInBackground(
        &receiver, [&](BackgroundContext&) { gate.wait(); }, [&] { done = true; });
    QMetaObject::invokeMethod(
        &receiver,
        [&] {
            answered = true;
            gate.open();
        },
        Qt::QueuedConnection);
    QTRY_VERIFY(done);
    QVERIFY(answered);
}

void SessionTest::selectionChangesNameTheirParts()
{
    Session session;
    QList<SelectionParts> heard;
    connect(&session, &Session::selectionChanged, this, [&](SelectionParts parts) { heard << parts; });
    session.changeSelection([](Selection& s) {
        s.samples = {4};
        s.target = 7;
    });
    session.changeSelection([](Selection& s) { s.samples = {4}; });
    session.selectRuns({1, 2});
    QCOMPARE(heard, (QList<SelectionParts>{SelectionPart::Samples | SelectionPart::Target, SelectionPart::Runs}));
}

void SessionTest::selectionMayBeChangedFromItsSignal()
{
    Session session;
    QList<SelectionParts> first, second;
    connect(&session, &Session::selectionChanged, this, [&](SelectionParts parts) {
        first << parts;
        if (parts & SelectionPart::Runs)
            session.changeSelection([](Selection& s) { s.weightsRun = s.runs.front(); });
    });
    connect(&session, &Session::selectionChanged, this, [&](SelectionParts parts) { second << parts; });
    session.selectRuns({3});
    // Both hear both changes, in the same order.
    const QList<SelectionParts> expected{SelectionPart::Runs, SelectionPart::Weights};
    QCOMPARE(first, expected);
    QCOMPARE(second, expected);
    QCOMPARE(*session.selection().weightsRun, 3);
}

void SessionTest::selectionSurvivesJson()
{
    Selection selection;
    selection.model = "zoo:lenet?classes=10";
    selection.weightsRun = 3;
    selection.checkpointStep = 1200;
    selection.valuePath = "blocks.3.attn.softmax";
    selection.valueIndex = {0, 2};
    selection.data = core::Json{{"id", "digits"}};
    selection.split = "test";
    selection.samples = {4, 8};
    selection.token = 0;
    selection.target = 7;
    selection.runs = {1, 2, 3};
    selection.sceneObject = "cloud";
    QVERIFY(Selection::fromJson(selection.toJson()) == selection);
    QVERIFY(Selection::fromJson(Selection().toJson()) == Selection());
}

void SessionTest::brokenSelectionJsonGivesAnEmptyOne()
{
    const auto document = core::Json::parse(R"({"model": 3, "samples": "all", "runs": [1, "x"], "target": "seven", "weights_run": null})");
    const Selection selection = Selection::fromJson(document);
    QVERIFY(selection.model.isEmpty() && selection.samples.isEmpty() && !selection.target && !selection.weightsRun);
    QCOMPARE(selection.runs, QList<qint64>{1});
    QVERIFY(Selection::fromJson(core::Json::array()) == Selection());
}

void SessionTest::openingAModelClearsWhatBelongedToTheOldOne()
{
    Session session;
    session.changeSelection([](Selection& s) {
        s.model = "a.pt";
        s.valuePath = "fc1";
        s.target = 3;
        s.samples = {5};
    });
    session.openModel("b.pt");
    QCOMPARE(session.selection().model, QStringLiteral("b.pt"));
    QVERIFY(session.selection().valuePath.isEmpty() && !session.selection().target);
    QCOMPARE(session.selection().samples, QList<qint64>{5});
}

void SessionTest::aModelOpenedAgainIsMeantAgain()
{
    Session session;
    session.openModel("zoo:mlp");
    session.selectRuns({3});
    QSignalSpy changed(&session, &Session::selectionChanged);
    session.openModel("zoo:mlp");
    QCOMPARE(changed.size(), 1);
    QVERIFY(changed[0][0].value<widgets::SelectionParts>().testFlag(widgets::SelectionPart::Model));
    // Weights of a run in its place are given up.
    session.changeSelection([](widgets::Selection& selection) { selection.weightsRun = 3; });
    session.openModel("zoo:mlp");
    QVERIFY(!session.selection().weightsRun);
}

void SessionTest::workspaceOpensAndClosesWithSignals()
{
    QTemporaryDir folder;
    Session session;
    QSignalSpy changed(&session, &Session::workspaceChanged);
    session.openWorkspace(folder.filePath("w"));
    QVERIFY(session.hasWorkspace());
    QCOMPARE(session.workspaceFolder(), folder.filePath("w"));
    session.closeWorkspace();
    QVERIFY(!session.hasWorkspace());
    QCOMPARE(changed.size(), 2);
}

// Another process that holds the folder's lock stands for a slow disk or a long migration.
void SessionTest::theWindowPaintsWhileAWorkspaceWaitsForItsLock()
{
    QTemporaryDir folder;
    const int descriptor = ::open(folder.path().toUtf8().constData(), O_RDONLY | O_DIRECTORY);
    QVERIFY(descriptor >= 0);
    QCOMPARE(::flock(descriptor, LOCK_EX), 0);
    std::thread holder([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(400));
        ::close(descriptor);
    });
    int ticks = 0;
    QTimer timer;
    connect(&timer, &QTimer::timeout, this, [&] { ++ticks; });
    timer.start(10);
    Session session;
    QElapsedTimer clock;
    clock.start();
    session.openWorkspace(folder.path());
    const auto took = clock.elapsed();
    holder.join();
    QVERIFY(session.hasWorkspace());
    QVERIFY2(took >= 200, "expected the lock to be waited for");
    QVERIFY2(ticks >= 5, qPrintable(QString("%1 turns of the event loop in %2 ms").arg(ticks).arg(took)));
}

void SessionTest::aFolderThatIsNoWorkspaceIsRefused()
{
    QTemporaryDir folder;
    QFile file(folder.filePath("orrery.db"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("this is no database, but it is longer than nothing");
    file.close();
    Session session;
    QVERIFY_EXCEPTION_THROWN(session.openWorkspace(folder.path()), core::Error);
    QVERIFY(!session.hasWorkspace());
    QVERIFY(session.workspaceFolder().isEmpty());
}

void SessionTest::aWorkspaceThatCannotBeWrittenIsLookedAt()
{
    QTemporaryDir disk;
    const auto name = disk.path().toStdString();
    if (::geteuid() != 0 || ::mount("tmpfs", name.c_str(), "tmpfs", 0, "size=4m") != 0)
        QSKIP("a disk to be made read-only needs root");
    const auto unmount = qScopeGuard([&] { ::umount(name.c_str()); });
    const QString folder = disk.filePath("workspace");
    {
        const auto made = store::Workspace::open(folder.toStdString());
        store::NewRun run;
        run.name = "kept";
        made->createRun(run);
    }
    QCOMPARE(::mount("tmpfs", name.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=4m"), 0);
    Session session;
    QString said;
    QObject::connect(&session, &Session::messageReported, [&](const QString& text) { said = text; });
    session.openWorkspace(folder);
    QVERIFY(session.workspace()->isReadOnly());
    QCOMPARE(session.workspace()->runs().runs.size(), std::size_t(1));
    QVERIFY2(said.contains("cannot be written"), qPrintable(said));
    session.closeWorkspace();
    // An absent one cannot be made there.
    QVERIFY_EXCEPTION_THROWN(session.openWorkspace(disk.filePath("other")), core::StorageError);
}

void SessionTest::newRunsAreAnnounced()
{
    QTemporaryDir folder;
    Session session;
    session.openWorkspace(folder.path());
    QSet<qint64> heard;
    connect(&session, &Session::runsChanged, this, [&](const QList<qint64>& runs) { heard += QSet<qint64>(runs.begin(), runs.end()); });
    store::NewRun run;
    run.name = "first";
    run.document = core::Json::object();
    const store::RunId id = session.workspace()->createRun(run);
    QTRY_VERIFY(heard.contains(id));
}

void SessionTest::runsOfAnotherProcessAreAnnounced()
{
    QTemporaryDir folder;
    Session session;
    session.openWorkspace(folder.path());
    // A second connection stands for a second process.
    const auto other = store::Workspace::open(folder.path().toStdString());
    QSignalSpy changed(&session, &Session::runsChanged);
    store::NewRun run;
    run.name = "theirs";
    run.document = core::Json::object();
    const auto first = other->createRun(run), second = other->createRun(run);
    QTRY_VERIFY(changed.size() >= 1);
    QCOMPARE(session.workspace()->runs().runs.size(), std::size_t(2));
    // What is deleted there is chosen no more.
    session.openModel(QString("run:%1").arg(second));
    session.selectRuns({first, second});
    other->deleteRuns(std::array{second});
    QTRY_COMPARE(session.selection().runs, QList<qint64>{first});
    QVERIFY(session.selection().model.isEmpty());
}

QTEST_MAIN(SessionTest)
#include "session_test.moc"
