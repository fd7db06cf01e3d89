#include <sys/resource.h>
#include <unistd.h>

#include <QTest>
#include <atomic>
#include <filesystem>
#include <future>
#include <latch>
#include <mutex>
#include <thread>

#include <core/base/error.h>
#include <core/jobs/engine.h>
#include <core/jobs/progress_clock.h>
#include <core/jobs/queue.h>

using namespace orrery;
using namespace orrery::jobs;
using namespace std::chrono_literals;

namespace {

JobSpec spec(JobFunction function, int threads = 1, int priority = 0)
{
    JobSpec spec;
    spec.title = "test";
    spec.kind = "test";
    spec.threads = threads;
    spec.priority = priority;
    spec.function = std::move(function);
    return spec;
}

int threadsOfProcess()
{
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
        ++count;
    return count;
}

/// Waits for a condition, at most 10 s.
bool eventually(const std::function<bool()>& condition)
{
    for (int i = 0; i < 5000 && !condition(); ++i)
        std::this_thread::sleep_for(2ms);
    return condition();
}

/// Keeps the queue's only core busy until it is let go.
class Blocker {
public:
    explicit Blocker(Queue& queue)
        : m_job(queue.submit(spec([&](Context&) {
              m_started.count_down();
              m_gate.get_future().wait();
              return std::any();
          })))
    {
        m_started.wait();
    }
    void letGo() { m_gate.set_value(); }
    const Job& job() const { return m_job; }

private:
    std::latch m_started{1};
    std::promise<void> m_gate;
    Job m_job;
};

}  // namespace

class QueueTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void givesTheResultOfTheFunction()
    {
        Queue queue(2);
        const Job job = queue.submit(spec([](Context&) { return std::any(42); }));
        QCOMPARE(std::any_cast<int>(job.result()), 42);
        const JobSnapshot snapshot = job.snapshot();
        QVERIFY(snapshot.status == JobStatus::Finished);
        QVERIFY(!snapshot.started.empty() && !snapshot.ended.empty() && snapshot.error.empty());
    }

    void exceptionsBecomeFailures_data()
    {
        QTest::addColumn<int>("kind");
        QTest::addColumn<QString>("message");
        QTest::newRow("ours") << 0 << "train.lr: expected a number";
        QTest::newRow("standard") << 1 << "from std";
        QTest::newRow("unknown") << 2 << "an error of unknown kind";
        QTest::newRow("memory") << 3 << "there is not enough memory for this job";
        QTest::newRow("no function") << 4 << "this job has no function to run";
    }
    void exceptionsBecomeFailures()
    {
        QFETCH(int, kind);
        QFETCH(QString, message);
        Queue queue(1);
        const JobFunction function = [kind](Context&) -> std::any {
            switch (kind) {
            case 0: throw core::InputError("train.lr: expected a number");
            case 1: throw std::runtime_error("from std");
            case 2: throw 17;
            default: throw std::bad_alloc();
            }
        };
        const Job job = queue.submit(spec(kind == 4 ? JobFunction() : function));
        QVERIFY(job.wait() == JobStatus::Failed);
        QCOMPARE(QString::fromStdString(job.snapshot().error), message);
        if (kind == 0)
            QVERIFY_THROWS_EXCEPTION(core::InputError, job.result());
    }

    void threadsOfRunningJobsStayWithinTheLimit()
    {
        Queue queue(4);
        std::atomic<int> inUse = 0, most = 0, done = 0;
        for (int i = 0; i < 40; ++i)
            queue.submit(spec(
                [&](Context& context) {
                    const int now = inUse += context.threads();
                    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
                    }
                    std::this_thread::sleep_for(2ms);
                    inUse -= context.threads();
                    ++done;
                    return std::any();
                },
                1 + i % 4));
        queue.waitAll();
        QCOMPARE(done.load(), 40);
        QVERIFY2(most <= 4, std::to_string(most).c_str());
        QVERIFY(most >= 3);
        QCOMPARE(queue.threadsInUse(), 0);
    }

    void moreThreadsThanCoresMeansAll()
    {
        Queue queue(3);
        for (const int asked : {0, 3, 100})
            QCOMPARE(std::any_cast<int>(queue.submit(spec([](Context& c) { return std::any(c.threads()); }, asked)).result()), 3);
    }

    void loweredLimitDoesNotStarveAWideJob()
    {
        Queue queue(4);
        Blocker blocker(queue);
        const Job wide = queue.submit(spec([](Context& c) { return std::any(c.threads()); }, 4));
        queue.setLimit(2);
        blocker.letGo();
        QCOMPARE(std::any_cast<int>(wide.result()), 2);
        QVERIFY_THROWS_EXCEPTION(core::InputError, queue.setLimit(0));
    }

    void higherPriorityGoesFirstThenFirstCome()
    {
        Queue queue(1);
        Blocker blocker(queue);
        std::mutex mutex;
        std::string order;
        const auto add = [&](char name, int priority) {
            return queue.submit(spec(
                [&, name](Context&) {
                    const std::lock_guard lock(mutex);
                    order += name;
                    return std::any();
                },
                1, priority));
        };
        add('a', 0);
        add('b', 0);
        add('c', 5);
        const Job d = add('d', -1);
        add('e', 5);
        queue.setPriority(d.id(), 9);
        blocker.letGo();
        queue.waitAll();
        QCOMPARE(QString::fromStdString(order), QString("dceab"));
    }

    void aWideJobHoldsBackLaterOnes()
    {
        Queue queue(2);
        Blocker blocker(queue);
        std::atomic<bool> wideRan = false;
        queue.submit(spec(
            [&](Context&) {
                wideRan = true;
                return std::any();
            },
            2));
        const Job narrow = queue.submit(spec([&](Context&) { return std::any(wideRan.load()); }));
        QVERIFY(!narrow.waitFor(30ms));
        blocker.letGo();
        QVERIFY(std::any_cast<bool>(narrow.result()));
    }

    void pausedJobStandsStillAndFreesItsCores()
    {
        Queue queue(1);
        std::atomic<int> steps = 0;
        const Job job = queue.submit(spec([&](Context& context) {
            for (;;) {
                context.pausePoint();
                ++steps;
                std::this_thread::sleep_for(1ms);
            }
            return std::any();
        }));
        QVERIFY(eventually([&] { return steps > 3; }));
        job.pause();
        QVERIFY(eventually([&] { return job.status() == JobStatus::Paused; }));
        const int stoodAt = steps;
        QCOMPARE(queue.threadsInUse(), 0);
        QCOMPARE(std::any_cast<int>(queue.submit(spec([](Context&) { return std::any(1); })).result()), 1);
        QCOMPARE(steps.load(), stoodAt);
        job.resume();
        QVERIFY(eventually([&] { return steps > stoodAt + 3; }));
        QVERIFY(job.status() == JobStatus::Running);
        job.cancel();
        QVERIFY(job.wait() == JobStatus::Cancelled);
    }

    void resumedJobWaitsForCores()
    {
        Queue queue(1);
        const Job job = queue.submit(spec([&](Context& context) {
            for (;;)
                context.pausePoint();
            return std::any();
        }));
        job.pause();
        QVERIFY(eventually([&] { return job.status() == JobStatus::Paused; }));
        Blocker blocker(queue);
        job.resume();
        QVERIFY(job.status() == JobStatus::Queued);
        blocker.letGo();
        QVERIFY(eventually([&] { return job.status() == JobStatus::Running; }));
        job.cancel();
        QVERIFY(job.wait() == JobStatus::Cancelled);
    }

    void pauseAndResumeInQuickSuccessionLoseNothing()
    {
        Queue queue(1);
        std::atomic<long> steps = 0;
        const Job job = queue.submit(spec([&](Context& context) {
            for (;; ++steps)
                context.pausePoint();
            return std::any();
        }));
        for (int i = 0; i < 2000; ++i) {
            job.pause();
            if (i % 3 == 0)
                std::this_thread::yield();
            job.resume();
        }
        const long before = steps;
        QVERIFY(eventually([&] { return steps > before + 10; }));
        QCOMPARE(queue.threadsInUse(), 1);
        job.pause();
        QVERIFY(eventually([&] { return job.status() == JobStatus::Paused; }));
        QCOMPARE(queue.threadsInUse(), 0);
        job.cancel();
        QVERIFY(job.wait() == JobStatus::Cancelled);
    }

    void cancelEndsJobsInEveryState()
    {
        Queue queue(1);
        std::atomic<bool> queuedRan = false;
        const Job running = queue.submit(spec([](Context& context) {
            while (!context.stopToken().stop_requested())
                std::this_thread::sleep_for(1ms);
            throw core::Cancelled();
            return std::any();
        }));
        const Job queued = queue.submit(spec([&](Context&) {
            queuedRan = true;
            return std::any();
        }));
        const Job held = queue.submit(spec([&](Context&) {
            queuedRan = true;
            return std::any();
        }));
        held.pause();
        QVERIFY(held.status() == JobStatus::Paused);
        queue.cancelAll();
        queue.waitAll();
        for (const Job& job : {running, queued, held})
            QVERIFY(job.status() == JobStatus::Cancelled);
        QVERIFY(!queuedRan);
        QVERIFY(running.snapshot().error.empty());
        bool cancelled = false;
        try {
            running.result();
        } catch (const core::Cancelled&) {
            cancelled = true;
        }
        QVERIFY(cancelled);
    }

    void aPausedJobWakesUpToBeCancelled()
    {
        Queue queue(1);
        const Job job = queue.submit(spec([](Context& context) {
            for (;;)
                context.pausePoint();
            return std::any();
        }));
        job.pause();
        QVERIFY(eventually([&] { return job.status() == JobStatus::Paused; }));
        job.cancel();
        QVERIFY(job.wait() == JobStatus::Cancelled);
    }

    void eventsComeInOrderAndProgressIsThrottled()
    {
        Queue queue(1);
        std::mutex mutex;
        std::vector<JobEvent> events;
        const auto subscription = queue.subscribe([&](const JobEvent& event) {
            const std::lock_guard lock(mutex);
            events.push_back(event);
        });
        const auto start = std::chrono::steady_clock::now();
        const Job job = queue.submit(spec([](Context& context) {
            const auto end = std::chrono::steady_clock::now() + 600ms;
            for (int i = 1; std::chrono::steady_clock::now() < end; ++i) {
                context.progress(i, 1e9, "steps", "training");
                context.metric("train/loss", i, 1.0 / i);
            }
            context.log(LogLevel::Warning, "done");
            return std::any();
        }));
        job.wait();
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        QVERIFY(eventually([&] {
            const std::lock_guard lock(mutex);
            return !events.empty() && events.back().kind == JobEvent::Kind::Finished;
        }));
        const std::lock_guard lock(mutex);
        QVERIFY(events.front().kind == JobEvent::Kind::Added);
        const auto reports = std::count_if(events.begin(), events.end(), [](const JobEvent& e) { return e.kind == JobEvent::Kind::Progress; });
        QVERIFY2(reports >= 2 && reports <= 10 * seconds + 2, std::to_string(reports).c_str());
        const JobSnapshot& last = events.back().job;
        QVERIFY(last.status == JobStatus::Finished);
        QCOMPARE(last.logTail.size(), std::size_t(1));
        QCOMPARE(QString::fromStdString(last.logTail[0].text), QString("done"));
        QCOMPARE(QString::fromStdString(last.metrics.at(0).first), QString("train/loss"));
        QVERIFY(last.progress.done > 1000);
        QVERIFY(last.secondsRunning >= 0.55 && last.secondsRunning < seconds + 0.01);
    }

    void estimatesTheTimeLeft()
    {
        ProgressClock clock;
        ProgressClock::Time now{};
        Progress progress = clock.report(1000, 3000, "steps", "training", now);
        QVERIFY(!progress.secondsLeft);
        for (int step = 1001; step <= 2000; ++step)
            progress = clock.report(step, 3000, "steps", "training", now += 100ms);
        QVERIFY(progress.secondsLeft);
        QVERIFY(std::abs(*progress.secondsLeft - 100) < 1e-6);
        // Standing still for an hour changes nothing when the clock was told.
        clock.skip();
        progress = clock.report(2001, 3000, "steps", "training", now += 1h);
        QVERIFY(std::abs(*progress.secondsLeft - 99.9) < 1e-6);
        // Twice as fast: after many time constants only the new speed counts.
        for (int step = 2002; step <= 2999; ++step)
            progress = clock.report(step, 5000, "steps", "training", now += 200ms);
        QVERIFY(std::abs(*progress.secondsLeft - 2001 * 0.2) < 1);
        QVERIFY(!clock.report(1, 10, "steps", "evaluating", now += 1s).secondsLeft);
        QVERIFY(!clock.report(2, 0, "steps", "evaluating", now += 1s).secondsLeft);
    }

    void partialResultsReplaceEachOther()
    {
        Queue queue(1);
        std::promise<void> gate;
        const Job job = queue.submit(spec([&](Context& context) {
            context.partial(std::make_shared<int>(1));
            context.partial(std::make_shared<int>(2));
            gate.get_future().wait();
            return std::any();
        }));
        QVERIFY(eventually([&] {
            const auto partial = std::static_pointer_cast<const int>(job.partial());
            return partial && *partial == 2;
        }));
        gate.set_value();
        job.wait();
    }

    void sinksHearEverything()
    {
        Queue queue(1);
        JobSpec s = spec([](Context& context) {
            for (int i = 0; i < 1000; ++i) {
                context.metric("m", i, i);
                context.info("line");
            }
            return std::any();
        });
        int metrics = 0, lines = 0;
        s.metricSink = [&](std::string_view, std::int64_t, double) { ++metrics; };
        s.logSink = [&](LogLevel, std::string_view) { ++lines; };
        const Job job = queue.submit(std::move(s));
        job.wait();
        QCOMPARE(metrics, 1000);
        QCOMPARE(lines, 1000);
        QCOMPARE(job.snapshot().logTail.size(), std::size_t(200));
    }

    void aSinkThatFailsFailsTheJob()
    {
        Queue queue(1);
        JobSpec s = spec([](Context& context) {
            context.metric("m", 0, 0);
            return std::any();
        });
        s.metricSink = [](std::string_view, std::int64_t, double) { throw core::StorageError("the disk is full"); };
        const Job job = queue.submit(std::move(s));
        QVERIFY(job.wait() == JobStatus::Failed);
        QCOMPARE(QString::fromStdString(job.snapshot().error), QString("the disk is full"));
    }

    void jobThreadsCallTheHookAndRunAtLowerPriority()
    {
        thread_local int seen = 0;
        Queue::setThreadHook([](int threads) { seen = threads; });
        Queue queue(2);
        const auto result =
            queue.submit(spec([](Context&) { return std::any(std::pair(seen, ::getpriority(PRIO_PROCESS, id_t(::gettid())))); }, 2)).result();
        Queue::setThreadHook({});
        const auto [threads, nice] = std::any_cast<std::pair<int, int>>(result);
        QCOMPARE(threads, 2);
        QVERIFY(nice > ::getpriority(PRIO_PROCESS, 0));
    }

    void whatAJobHoldsIsLetGoBeforeItsEndIsTold()
    {
        Queue queue(1);
        auto held = std::make_shared<int>(1);
        const std::weak_ptr<int> watch = held;
        const Job job = queue.submit(spec([held = std::move(held)](Context&) { return std::any(*held); }));
        job.wait();
        QVERIFY(watch.expired());
    }

    void endedJobsCanBeTakenOffTheList()
    {
        Queue queue(1);
        const Job ended = queue.submit(spec([](Context&) { return std::any(7); }));
        ended.wait();
        Blocker blocker(queue);
        queue.removeEnded();
        QCOMPARE(queue.jobs().size(), std::size_t(1));
        QVERIFY(!queue.find(ended.id()));
        QCOMPARE(std::any_cast<int>(ended.result()), 7);
        blocker.letGo();
    }

    void destructionCancelsAndJoinsEverything()
    {
        const int before = threadsOfProcess();
        Job running, queued, paused;
        std::atomic<int> inside = 0;
        {
            Queue queue(2);
            const JobFunction endless = [&](Context& context) {
                ++inside;
                for (;;)
                    context.pausePoint();
                return std::any();
            };
            paused = queue.submit(spec(endless));
            running = queue.submit(spec(endless));
            QVERIFY(eventually([&] { return inside == 2; }));
            paused.pause();
            QVERIFY(eventually([&] { return paused.status() == JobStatus::Paused; }));
            running.snapshot();
            queued = queue.submit(spec(endless, 2));
        }
        for (const Job& job : {running, queued, paused})
            QVERIFY(job.status() == JobStatus::Cancelled);
        QCOMPARE(threadsOfProcess(), before);
    }

    void anotherEngineCanRunJobs()
    {
        class Inline : public Engine {
        public:
            std::string_view name() const override { return "inline"; }
            std::unique_ptr<StartedJob> start(JobSpec spec, int, std::shared_ptr<JobEvents> events) override
            {
                if (spec.kind == "broken")
                    throw core::Error("the machine cannot be reached");
                struct Nothing : StartedJob {
                    void pause() override {}
                    void resume() override {}
                    void cancel() override {}
                };
                events->progress(1, 1, "steps", "");
                events->ended(std::any(std::string("from afar")), nullptr);
                return std::make_unique<Nothing>();
            }
        };
        const auto engine = std::make_shared<Inline>();
        Queue queue(1);
        QCOMPARE(std::any_cast<std::string>(queue.submit(spec({}), engine).result()), std::string("from afar"));
        JobSpec broken = spec({});
        broken.kind = "broken";
        const Job job = queue.submit(std::move(broken), engine);
        QVERIFY(job.wait() == JobStatus::Failed);
        QCOMPARE(QString::fromStdString(job.snapshot().error), QString("the machine cannot be reached"));
        QCOMPARE(queue.threadsInUse(), 0);
    }

    void aDirectContextNeedsNoQueue()
    {
        std::stop_source stop;
        DirectContext context(stop.get_token(), 2);
        Progress last;
        context.onProgress = [&](const Progress& progress) { last = progress; };
        context.progress(3, 4, "steps");
        QCOMPARE(last.fraction(), 0.75);
        context.pausePoint();
        stop.request_stop();
        QVERIFY_THROWS_EXCEPTION(core::Cancelled, context.pausePoint());
    }
};

QTEST_APPLESS_MAIN(QueueTest)
#include "queue_test.moc"
