// Jobs in processes of their own: what is told arrives, and whatever becomes of the process, the job ends with a sentence. This program is its own worker.
#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

#include <QProcess>
#include <QTemporaryDir>
#include <QTest>
#include <atomic>
#include <bit>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/version.h>
#include <core/jobs/frames.h>
#include <core/jobs/kinds.h>
#include <core/jobs/process_engine.h>
#include <core/jobs/queue.h>
#include <core/jobs/worker.h>

using namespace orrery;
using namespace orrery::jobs;
using namespace std::chrono_literals;

namespace {

constexpr double kAwkward[] = {
    0.1, -0.0, 5e-324, 1.7976931348623157e308, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};

[[noreturn]] void crash()
{
    // The signal handlers of a debugger or sanitizer do not count here.
    std::signal(SIGSEGV, SIG_DFL);
    ::raise(SIGSEGV);
    std::abort();
}

/// Counts until it is stopped.
core::Json countUp(Context& context)
{
    context.metric("process", 0, ::getpid());
    for (int i = 0;; ++i) {
        context.pausePoint();
        context.progress(i, 0, "steps");
        context.metric("count", i, i);
        std::this_thread::sleep_for(2ms);
    }
}

core::Json takeMemory(Context& context)
{
    std::vector<std::vector<char>> blocks;
    for (int i = 0; i < 200; ++i) {
        context.pausePoint();
        blocks.emplace_back(16 << 20, char(1));
        std::this_thread::sleep_for(5ms);
    }
    return blocks.size();
}

core::Json tellEverything(const Task& task, Context& context)
{
    context.progress(1, 4, "steps", "first phase");
    context.info("a line with \"quotes\"\nand two rows");
    context.warning(std::string(3000, 'x'));
    for (int i = 0; i < 6; ++i)
        context.metric("value", -1 + i, kAwkward[i]);
    context.partial(std::make_shared<const std::string>(std::string("bytes\0and more", 14)));
    std::cout << "a library prints" << std::endl;
    std::cerr << "a library warns" << std::endl;
    return {{"threads", context.threads()}, {"run", task.run.value()}, {"workspace", task.workspace.string()}, {"text", task.document.at("text")}};
}

core::Json doAsTold(const Task& task, Context& context)
{
    const std::string what = task.document.at("do");
    context.info("begins");
    if (what == "tell")
        return tellEverything(task, context);
    if (what == "count")
        return countUp(context);
    if (what == "memory")
        return takeMemory(context);
    if (what == "crash")
        crash();
    if (what == "kill")
        ::raise(SIGKILL);
    if (what == "abort")
        std::abort();
    if (what == "exit")
        ::_exit(3);
    if (what == "deaf") {
        for (;;)
            std::this_thread::sleep_for(1h);
    }
    if (what == "input")
        throw core::InputError("wrong input");
    if (what == "shape")
        throw core::ShapeError("wrong shape");
    if (what == "no memory")
        throw std::bad_alloc();
    if (what == "process")
        return ::getpid();
    throw core::Error("nothing to do");
}

std::mutex deathsMutex;
std::vector<std::string> deaths;  ///< guarded by deathsMutex: what `died` was told

void addTestKind()
{
    Kind kind;
    kind.run = doAsTold;
    kind.died = [](const Task&, const std::string& message) {
        const std::lock_guard lock(deathsMutex);
        deaths.push_back(message);
    };
    kind.pack = [](const void* partial) { return *static_cast<const std::string*>(partial); };
    kind.unpack = [](std::string_view bytes) -> std::shared_ptr<const void> { return std::make_shared<const std::string>(bytes); };
    addKind("test", kind);
}

ProcessOptions ownWorker()
{
    ProcessOptions options;
    options.command = {"/proc/self/exe", "worker"};
    options.command[0] = std::filesystem::read_symlink("/proc/self/exe").string();
    return options;
}

JobSpec task(const std::string& what)
{
    JobSpec spec;
    spec.title = what;
    spec.kind = "test";
    spec.document = {{"do", what}, {"text", "grüße \U0001F600"}};
    spec.run = 7;
    return spec;
}

/// Everything a worker sends, as a file that `cat` sends.
ProcessOptions sends(const QTemporaryDir& folder, const std::string& bytes, const std::string& then = "cat > /dev/null")
{
    const std::string file = folder.filePath("bytes").toStdString();
    core::writeFileAtomically(file, bytes);
    ProcessOptions options;
    options.command = {"/bin/sh", "-c", "cat " + file + "; " + then};
    return options;
}

std::string greeting()
{
    return frameBytes(FrameType::Hello, core::kVersion);
}

std::size_t openFiles()
{
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++count;
    return count;
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = 30s)
{
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition() && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(5ms);
    return condition();
}

/// False for a process that is gone, or waits only for somebody to take note of its end.
bool lives(pid_t process)
{
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto at = text.rfind(") ");
    return at != std::string::npos && text[at + 2] != 'Z' && text[at + 2] != 'X';
}

/// A program with a job in a process of its own, to be killed: prints the number of that process.
int actAsParent()
{
    Queue queue(1);
    const Job job = queue.submit(task("count"), processEngine(ownWorker()));
    while (job.snapshot().metrics.empty())
        std::this_thread::sleep_for(5ms);
    std::cout << std::int64_t(job.snapshot().metrics[0].second) << std::endl;
    std::this_thread::sleep_for(1h);
    return 0;
}

}  // namespace

class ProcessEngineTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init()
    {
        const std::lock_guard lock(deathsMutex);
        deaths.clear();
    }

    void whatIsToldArrivesToTheLastBit()
    {
        Queue queue(2);
        JobSpec spec = task("tell");
        spec.threads = 2;
        std::mutex mutex;
        std::vector<std::pair<std::int64_t, double>> metrics;
        std::vector<std::string> lines;
        spec.metricSink = [&](std::string_view, std::int64_t step, double value) {
            const std::lock_guard lock(mutex);
            metrics.emplace_back(step, value);
        };
        spec.logSink = [&](LogLevel, std::string_view text) {
            const std::lock_guard lock(mutex);
            lines.emplace_back(text);
        };
        ProcessOptions options = ownWorker();
        options.workspace = "/some/where";
        const Job job = queue.submit(std::move(spec), processEngine(options));
        const auto result = std::any_cast<core::Json>(job.result());
        QVERIFY(result == core::Json({{"threads", 2}, {"run", 7}, {"workspace", "/some/where"}, {"text", "grüße \U0001F600"}}));
        const JobSnapshot end = job.snapshot();
        QVERIFY(end.status == JobStatus::Finished);
        QCOMPARE(end.progress.done, 1.0);
        QCOMPARE(end.progress.total, 4.0);
        QCOMPARE(end.progress.unit, std::string("steps"));
        QCOMPARE(end.progress.phase, std::string("first phase"));
        QCOMPARE(metrics.size(), std::size_t(6));
        for (int i = 0; i < 6; ++i) {
            QCOMPARE(metrics[std::size_t(i)].first, std::int64_t(-1 + i));
            QCOMPARE(std::bit_cast<std::uint64_t>(metrics[std::size_t(i)].second), std::bit_cast<std::uint64_t>(kAwkward[i]));
        }
        const auto has = [&](const std::string& line) { return std::find(lines.begin(), lines.end(), line) != lines.end(); };
        QVERIFY(has("begins"));
        QVERIFY(has("a line with \"quotes\"\nand two rows"));
        QVERIFY(has(std::string(3000, 'x')));
        QVERIFY(has("a library prints"));
        QVERIFY(has("a library warns"));
        QCOMPARE(*std::static_pointer_cast<const std::string>(job.partial()), std::string("bytes\0and more", 14));
        QVERIFY(deaths.empty());
    }

    void anEndInTheMiddleIsExplained_data()
    {
        QTest::addColumn<QString>("what");
        QTest::addColumn<QString>("part");
        QTest::newRow("segmentation fault") << "crash"
                                            << "crashed: SIGSEGV (Segmentation fault)";
        QTest::newRow("killed") << "kill"
                                << "by SIGKILL";
        QTest::newRow("aborted") << "abort"
                                 << "gave up: SIGABRT";
        QTest::newRow("exit") << "exit"
                              << "exited with status 3 in the middle of the job";
    }
    void anEndInTheMiddleIsExplained()
    {
        QFETCH(QString, what);
        QFETCH(QString, part);
        Queue queue(1);
        const Job job = queue.submit(task(what.toStdString()), processEngine(ownWorker()));
        QVERIFY(job.wait() == JobStatus::Failed);
        const QString error = QString::fromStdString(job.snapshot().error);
        QVERIFY2(error.contains(part), qPrintable(error));
        QVERIFY2(error.contains("a training goes on from its last checkpoint"), qPrintable(error));
        QCOMPARE(job.snapshot().logTail.at(0).text, std::string("begins"));
        QCOMPARE(deaths, std::vector<std::string>{job.snapshot().error});
        QCOMPARE(queue.threadsInUse(), 0);
        // Nothing is left, not even its number.
        QVERIFY(eventually([] { return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }));
        // The queue goes on.
        QVERIFY(queue.submit(task("process"), processEngine(ownWorker())).wait() == JobStatus::Finished);
    }

    void errorsKeepTheirType()
    {
        Queue queue(3);
        const auto engine = processEngine(ownWorker());
        QVERIFY_THROWS_EXCEPTION(core::InputError, queue.submit(task("input"), engine).result());
        QVERIFY_THROWS_EXCEPTION(core::ShapeError, queue.submit(task("shape"), engine).result());
        QVERIFY_THROWS_EXCEPTION(std::bad_alloc, queue.submit(task("no memory"), engine).result());
        const Job job = queue.submit(task("input"), engine);
        job.wait();
        QCOMPARE(job.snapshot().error, std::string("wrong input"));
        QVERIFY(deaths.empty());
    }

    void rubbishEndsTheJob_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("part");
        const auto row = [](const char* name, const std::string& bytes, const char* part) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes) << QString(part);
        };
        row("text", "worker: segmentation fault\n", "expected a message, found the byte 0x");
        row("greeting missing", frameBytes(FrameType::Log, logContent(1, "hello")), "its first message is no greeting");
        row("another version", frameBytes(FrameType::Hello, "99.0"), "it is of version 99.0, this is");
        row("too long", greeting() + std::string("M\xff\xff\xff\x7f", 5), "expected at most 1048576 bytes, found 2147483647");
        row("too short", greeting() + frameBytes(FrameType::Metric, "abc"), "a metric message: expected 8 more bytes, found 3");
        row("level", greeting() + frameBytes(FrameType::Log, "\x09text"), "expected a level of 0 to 3, found 9");
        row("unit past the end", greeting() + frameBytes(FrameType::Progress, std::string(16, '\0') + "\xff\xff"),
            "expected 65535 more bytes, found 0");
        row("outcome", greeting() + frameBytes(FrameType::Ended, "\x63"), "expected an outcome of 0 to 8, found 99");
        row("wrong direction", greeting() + frameBytes(FrameType::Cancel), "type c is for the other direction");
    }
    void rubbishEndsTheJob()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, part);
        const QTemporaryDir folder;
        Queue queue(1);
        const Job job = queue.submit(task("none"), processEngine(sends(folder, bytes.toStdString())));
        QVERIFY(job.waitFor(30s));
        QVERIFY(job.status() == JobStatus::Failed);
        const QString error = QString::fromStdString(job.snapshot().error);
        QVERIFY2(error.contains("sent something that is no message") && error.contains(part), qPrintable(error));
    }

    void aResultThatIsNoJsonIsRefused()
    {
        const QTemporaryDir folder;
        Queue queue(1);
        const std::string bytes = greeting() + frameBytes(FrameType::Ended, endedContent(Outcome::Finished, "{\"a\": "));
        const Job job = queue.submit(task("none"), processEngine(sends(folder, bytes)));
        QVERIFY(job.wait() == JobStatus::Failed);
        QCOMPARE(job.snapshot().error, std::string("the job's process gave a result that is no JSON"));
    }

    void aProgramThatCannotBeStartedFailsTheJob()
    {
        Queue queue(1);
        ProcessOptions options;
        options.command = {"/no/such/program"};
        const std::size_t before = openFiles();
        const Job job = queue.submit(task("none"), processEngine(options));
        QVERIFY(job.wait() == JobStatus::Failed);
        QCOMPARE(job.snapshot().error, std::string("/no/such/program could not be started: No such file or directory"));
        QVERIFY(eventually([&] { return openFiles() == before; }));
        JobSpec unknown = task("none");
        unknown.kind = "mystery";
        const Job other = queue.submit(std::move(unknown), processEngine(ownWorker()));
        QVERIFY(other.wait() == JobStatus::Failed);
        QVERIFY(QString::fromStdString(other.snapshot().error).startsWith("a job of kind \"mystery\" cannot run in a process of its own"));
    }

    void aMemoryLimitEndsTheProcess()
    {
        Queue queue(1);
        ProcessOptions options = ownWorker();
        options.memoryLimit = std::uint64_t(700) << 20;
        const Job job = queue.submit(task("memory"), processEngine(options));
        QVERIFY(job.wait() == JobStatus::Failed);
        const QString error = QString::fromStdString(job.snapshot().error);
        QVERIFY2(error.contains("of memory, more than its limit of 700.0 MiB, and was ended. Try a smaller batch"), qPrintable(error));
        QCOMPARE(deaths.size(), std::size_t(1));
    }

    void pausesStandStillAndGoOn()
    {
        Queue queue(1);
        const Job job = queue.submit(task("count"), processEngine(ownWorker()));
        const auto count = [&] {
            const auto metrics = job.snapshot().metrics;
            return metrics.size() < 2 ? -1.0 : metrics[1].second;
        };
        QVERIFY(eventually([&] { return count() > 3; }));
        job.pause();
        QVERIFY(eventually([&] { return job.status() == JobStatus::Paused; }));
        QCOMPARE(queue.threadsInUse(), 0);
        const double stood = count();
        std::this_thread::sleep_for(100ms);
        QCOMPARE(count(), stood);
        job.resume();
        QVERIFY(eventually([&] { return count() > stood + 3; }));
        QVERIFY(job.status() == JobStatus::Running);
        job.pause();
        QVERIFY(eventually([&] { return job.status() == JobStatus::Paused; }));
        job.cancel();
        QVERIFY(job.wait() == JobStatus::Cancelled);
        QVERIFY(deaths.empty());
    }

    void cancelledBeforeItsProcessHasGreetedItEnds()
    {
        Queue queue(1);
        const Job job = queue.submit(task("count"), processEngine(ownWorker()));
        QVERIFY(eventually([&] { return job.status() == JobStatus::Running; }));
        job.cancel();
        QVERIFY(job.wait() == JobStatus::Cancelled);
    }

    void aProcessThatDoesNotStopIsEnded()
    {
        Queue queue(1);
        ProcessOptions options = ownWorker();
        options.grace = 300ms;
        const Job job = queue.submit(task("deaf"), processEngine(options));
        QVERIFY(eventually([&] { return !job.snapshot().logTail.empty(); }));
        job.cancel();
        QVERIFY(job.waitFor(20s));
        QVERIFY(job.status() == JobStatus::Cancelled);
        QCOMPARE(deaths.size(), std::size_t(1));
        QVERIFY(QString::fromStdString(deaths[0]).startsWith("the job's process did not stop when it was asked to"));
    }

    void twentyAtOnceLeaveNoFileOpen()
    {
        const QTemporaryDir folder;
        const std::size_t before = openFiles();
        {
            const auto engine = processEngine(sends(folder, greeting() + frameBytes(FrameType::Metric, metricContent("m", 1, 2.5)) +
                                                                frameBytes(FrameType::Ended, endedContent(Outcome::Finished, "[1]"))));
            Queue queue(20);
            for (int round = 0; round < 3; ++round) {
                std::vector<Job> jobs;
                for (int i = 0; i < 20; ++i)
                    jobs.push_back(queue.submit(task("none"), engine));
                for (const Job& job : jobs) {
                    QVERIFY(std::any_cast<core::Json>(job.result()) == core::Json::array({1}));
                    QCOMPARE(job.snapshot().metrics.at(0).second, 2.5);
                }
            }
            queue.removeEnded();
        }
        QCOMPARE(openFiles(), before);
        QVERIFY(::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD);
    }

    void childrenThatHoldThePipesDoNotHoldTheJob()
    {
        const QTemporaryDir folder;
        const std::string bytes = greeting() + frameBytes(FrameType::Ended, endedContent(Outcome::Finished, "[1]"));
        Queue queue(1);
        const auto start = std::chrono::steady_clock::now();
        const Job job = queue.submit(task("none"), processEngine(sends(folder, bytes, "sleep 1000 & exit 0")));
        QVERIFY(job.wait() == JobStatus::Finished);
        QVERIFY(std::chrono::steady_clock::now() - start < 15s);
    }

    void theProcessEndsWithItsParent()
    {
        QProcess parent;
        parent.start(QString::fromStdString(ownWorker().command[0]), {"parent"});
        while (!parent.canReadLine())
            QVERIFY(parent.waitForReadyRead(60000));
        const pid_t child = parent.readLine().trimmed().toInt();
        QVERIFY(child > 0 && lives(child));
        ::kill(pid_t(parent.processId()), SIGKILL);
        parent.waitForFinished();
        QVERIFY(eventually([&] { return !lives(child); }));
    }

    void aJobRunsWithoutAQueue()
    {
        const auto engine = processEngine(ownWorker());
        std::stop_source stop;
        DirectContext context(stop.get_token());
        int metrics = 0;
        context.onMetric = [&](std::string_view, std::int64_t, double) {
            if (++metrics == 5)
                stop.request_stop();
        };
        QVERIFY_THROWS_EXCEPTION(core::Cancelled, runOn(*engine, task("count"), 1, context));
        QVERIFY(metrics >= 5);
        DirectContext other;
        const auto result = std::any_cast<core::Json>(runOn(*engine, task("process"), 1, other));
        QVERIFY(result.get<int>() != ::getpid());
    }

    void enginesAreChosenByName()
    {
        QCOMPARE(makeEngine({}).get(), threadEngine().get());
        QCOMPARE(std::string(makeEngine({"process", {}, 0})->name()), std::string("process"));
        try {
            makeEngine({"proces", {}, 0});
            QFAIL("accepted");
        } catch (const core::InputError& error) {
            QCOMPARE(std::string(error.what()), std::string("unknown engine \"proces\"; did you mean \"process\"?; expected one of thread, process"));
        }
        QVERIFY_THROWS_EXCEPTION(core::InputError, makeEngine({"thread", {}, 1}));
    }

    void framesSurviveAnyCutting()
    {
        const std::string bytes = frameBytes(FrameType::Progress, progressContent(1.5, -2, "tokens", "phase")) +
                                  frameBytes(FrameType::Metric, metricContent("a/b", -9, 0.1)) + frameBytes(FrameType::Resume) +
                                  frameBytes(FrameType::Paused, numberContent(UINT64_MAX));
        for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
            FrameReader reader;
            std::vector<Frame> frames;
            for (std::size_t at = 0; at < bytes.size(); at += piece) {
                reader.append(std::string_view(bytes).substr(at, piece));
                while (auto frame = reader.next())
                    frames.push_back(std::move(*frame));
            }
            QCOMPARE(frames.size(), std::size_t(4));
            const ProgressFrame progress = readProgress(frames[0].content);
            QVERIFY(progress.done == 1.5 && progress.total == -2 && progress.unit == "tokens" && progress.phase == "phase");
            const MetricFrame metric = readMetric(frames[1].content);
            QVERIFY(metric.step == -9 && metric.value == 0.1 && metric.name == "a/b");
            QVERIFY(frames[2].type == FrameType::Resume && frames[2].content.empty());
            QCOMPARE(readNumber(frames[3].content), UINT64_MAX);
            QVERIFY(!reader.isPartway());
        }
    }
};

int main(int argc, char** argv)
{
    addTestKind();
    if (argc > 1 && std::strcmp(argv[1], "worker") == 0) {
        const int output = ::dup(STDOUT_FILENO);
        ::dup2(STDERR_FILENO, STDOUT_FILENO);
        return runWorker(STDIN_FILENO, output, {});
    }
    if (argc > 1 && std::strcmp(argv[1], "parent") == 0)
        return actAsParent();
    ProcessEngineTest test;
    return QTest::qExec(&test, argc, argv);
}

#include "process_engine_test.moc"
