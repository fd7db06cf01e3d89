// Progress, time left and cancel of one piece of background work.
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QProgressBar>
#include <QPushButton>
#include <QSignalSpy>
#include <QTest>
#include <QVBoxLayout>
#include <atomic>
#include <thread>

#include <core/jobs/queue.h>
#include <widgets/job_bar.h>
#include <widgets/panel.h>
#include <widgets/session.h>

using namespace orrery;
using widgets::JobBar;

namespace {

struct Bench {
    widgets::Session session;
    QObject receiver;
    JobBar bar{session, "Progress of the test"};
    QSignalSpy ended{&bar, &JobBar::ended};
    int delivered = 0, failed = 0;

    /// Work that reports `done` of 100 and waits until it is released or stopped.
    void start(const std::shared_ptr<std::atomic<bool>>& release, double done = 40, widgets::Lane lane = widgets::Lane::Queue)
    {
        widgets::BackgroundOptions options;
        options.lane = lane;
        auto work = [release, done](widgets::BackgroundContext& context) {
            context.progress(done, 100, "steps");
            while (!*release) {
                context.throwIfStopped();
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
            }
            return 7;
        };
        bar.follow(session.runInBackground(
            &receiver, work, [this](int) { ++delivered; }, [this](const QString&) { ++failed; }, options));
    }
};

/// A panel with a field, a list that has its own use for Escape, and the bar.
struct BarPanel : widgets::Panel {
    struct Greedy : QListWidget {
        void keyPressEvent(QKeyEvent* event) override { event->setAccepted(event->key() == Qt::Key_Escape); }
    };
    QLineEdit* field = new QLineEdit;
    Greedy* greedy = new Greedy;
    JobBar* bar;

    explicit BarPanel(widgets::Session& session) : Panel("test", "Test", session), bar(new JobBar(session, "Progress"))
    {
        auto* content = new QWidget(this);
        auto* layout = new QVBoxLayout(content);
        for (QWidget* part : {static_cast<QWidget*>(field), static_cast<QWidget*>(greedy), static_cast<QWidget*>(bar)})
            layout->addWidget(part);
        setContent(content);
    }
    core::Json saveState() const override { return core::Json::object(); }
    QString commandLine() const override { return {}; }
};

}  // namespace

class JobBarTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void progressIsShownAndTheResultDelivered();
    void theButtonCancels();
    void cancellingInTheQueueEndsIt();
    void aQueuedJobCancelledInTheQueueEndsIt();
    void errorsEndIt();
    void followingAnotherCancelsTheFirst();
    void destroyingTheBarCancels();
    void escapeInThePanelCancels();
};

void JobBarTest::progressIsShownAndTheResultDelivered()
{
    Bench bench;
    QVERIFY(!bench.bar.isVisible() && !bench.bar.isRunning());
    const auto release = std::make_shared<std::atomic<bool>>(false);
    bench.start(release);
    QVERIFY(bench.bar.isVisible() && bench.bar.isRunning());
    auto* progress = bench.bar.findChild<QProgressBar*>();
    QTRY_COMPARE(progress->value(), 40);
    QCOMPARE(progress->maximum(), 100);
    QCOMPARE(progress->accessibleName(), QString("Progress of the test"));
    *release = true;
    QTRY_COMPARE(bench.ended.size(), 1);
    QCOMPARE(bench.delivered, 1);
    QVERIFY(!bench.bar.wasCancelled() && !bench.bar.isRunning() && !bench.bar.isVisible());
}

void JobBarTest::theButtonCancels()
{
    Bench bench;
    const auto release = std::make_shared<std::atomic<bool>>(false);
    bench.start(release);
    QTest::mouseClick(bench.bar.findChild<QPushButton*>("cancel"), Qt::LeftButton);
    QCOMPARE(bench.ended.size(), 1);
    QVERIFY(bench.bar.wasCancelled() && !bench.bar.isVisible());
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    bench.session.jobs().waitAll();
    QCoreApplication::processEvents();
    QCOMPARE(bench.delivered + bench.failed, 0);
    QCOMPARE(bench.ended.size(), 1);
}

void JobBarTest::cancellingInTheQueueEndsIt()
{
    Bench bench;
    const auto release = std::make_shared<std::atomic<bool>>(false);
    bench.start(release);
    QTRY_VERIFY(bench.session.jobs().jobs().back().status == jobs::JobStatus::Running);
    bench.session.jobs().cancelAll();
    QTRY_COMPARE(bench.ended.size(), 1);
    QVERIFY(bench.bar.wasCancelled());
    QCOMPARE(bench.delivered, 0);
}

void JobBarTest::aQueuedJobCancelledInTheQueueEndsIt()
{
    Bench bench;
    bench.session.jobs().setLimit(1);
    const auto blocking = std::make_shared<std::atomic<bool>>(false), release = std::make_shared<std::atomic<bool>>(false);
    Bench* other = &bench;
    const auto task = bench.session.runInBackground(
        &bench.receiver,
        [blocking](widgets::BackgroundContext& context) {
            while (!*blocking) {
                context.throwIfStopped();
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
            }
        },
        [] {}, {}, {.title = "first", .lane = widgets::Lane::Queue});
    QTRY_VERIFY(bench.session.jobs().jobs().front().status == jobs::JobStatus::Running);
    other->start(release);
    QCOMPARE(bench.session.jobs().jobs().back().status, jobs::JobStatus::Queued);
    bench.session.jobs().cancel(bench.session.jobs().jobs().back().id);
    QTRY_COMPARE(bench.ended.size(), 1);  // although its function never ran
    QVERIFY(bench.bar.wasCancelled());
    *blocking = true;
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
}

void JobBarTest::errorsEndIt()
{
    Bench bench;
    QString text;
    bench.bar.follow(bench.session.runInBackground(
        &bench.receiver, [](widgets::BackgroundContext&) -> int { throw std::runtime_error("no luck"); }, [](int) {},
        [&text](const QString& error) { text = error; }));
    QTRY_COMPARE(bench.ended.size(), 1);
    QCOMPARE(text, QString("no luck"));
    QVERIFY(!bench.bar.wasCancelled());
}

void JobBarTest::followingAnotherCancelsTheFirst()
{
    Bench bench;
    const auto first = std::make_shared<std::atomic<bool>>(false), second = std::make_shared<std::atomic<bool>>(false);
    bench.start(first, 10);
    bench.start(second, 20);
    QCOMPARE(bench.ended.size(), 1);
    QVERIFY(bench.bar.isRunning());
    QTRY_COMPARE(bench.bar.findChild<QProgressBar*>()->value(), 20);
    *second = true;
    QTRY_COMPARE(bench.ended.size(), 2);
    QCOMPARE(bench.delivered, 1);
}

void JobBarTest::destroyingTheBarCancels()
{
    widgets::Session session;
    QObject receiver;
    const auto never = std::make_shared<std::atomic<bool>>(false);
    auto bar = std::make_unique<JobBar>(session, "short-lived");
    bar->follow(session.runInBackground(
        &receiver,
        [never](widgets::BackgroundContext& context) {
            while (!*never) {
                context.throwIfStopped();
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
            }
        },
        [] {}));
    bar.reset();
    QTRY_VERIFY(!session.hasBackgroundWork());
}

void JobBarTest::escapeInThePanelCancels()
{
    widgets::Session session;
    BarPanel panel(session);
    panel.show();
    QVERIFY(QTest::qWaitForWindowExposed(&panel));
    const auto start = [&] {
        auto work = [](widgets::BackgroundContext& context) {
            while (true) {
                context.throwIfStopped();
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
            }
            return 7;
        };
        panel.bar->follow(session.runInBackground(
            &panel, work, [](int) {}, [](const QString&) {}));
    };
    start();
    QVERIFY(panel.bar->isVisible());
    QTest::keyClick(panel.greedy, Qt::Key_Escape);
    QVERIFY(panel.bar->isRunning());
    QTest::keyClick(panel.field, Qt::Key_A);
    QVERIFY(panel.bar->isRunning());
    QTest::keyClick(panel.field, Qt::Key_Escape);
    QVERIFY(!panel.bar->isRunning() && panel.bar->wasCancelled());
    QTRY_VERIFY(!session.hasBackgroundWork());
    // What is not seen, in a page behind another, goes on.
    start();
    panel.bar->hide();
    QTest::keyClick(panel.field, Qt::Key_Escape);
    QVERIFY(panel.bar->isRunning());
    panel.bar->cancel();
    QTRY_VERIFY(!session.hasBackgroundWork());
}

QTEST_MAIN(JobBarTest)
#include "job_bar_test.moc"
