#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTest>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <random>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/store/lease.h>

#include "store_test_support.h"

extern char** environ;

using namespace store_test;
using namespace std::chrono_literals;

namespace {

double monotonicSeconds()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// --- What this program does when it is started again with arguments ---

double valueAt(std::int64_t step)
{
    return std::sin(double(step)) * double(step);
}

/// Goes on with run 1 from its last checkpoint until it is killed, and says what it has recorded, and when.
int recordUntilKilled(const std::string& folder)
{
    const auto workspace = Workspace::open(folder);
    std::int64_t step = 0;
    for (const Artifact& artifact : workspace->artifacts(1))
        step = std::max(step, *artifact.step);
    workspace->resumeRun(1, step);
    // One checkpoint a life: what comes after it is committed by nothing but the passing of time.
    const std::int64_t checkpoint = step + 1000;
    while (true) {
        ++step;
        for (const char* name : {"train/loss", "train/accuracy", "val/loss"})
            workspace->metric(1, name, step, valueAt(step));
        if (step == checkpoint) {
            workspace->flush();
            workspace->addArtifact(1, {"checkpoint@" + std::to_string(step), "text/plain", step}, std::string(20000, char('a' + step / 1000 % 26)));
        }
        if (step % 20 == 0) {
            const std::string line = std::to_string(step) + " " + std::to_string(monotonicSeconds()) + "\n";
            if (::write(STDOUT_FILENO, line.data(), line.size()) < 0)
                return 1;
            std::this_thread::sleep_for(1ms);
        }
    }
}

int work(const std::string& folder, const std::string& name)
{
    const auto workspace = Workspace::open(folder);
    for (int i = 0; i < 10; ++i) {
        const RunId run = workspace->createRun(newRun(name));
        workspace->startRun(run);
        for (int step = 0; step < 3000; ++step)
            workspace->metric(run, "m", step, valueAt(step));
        workspace->addArtifact(run, {"weights", "x", {}}, "the same in both processes " + std::to_string(i));
        workspace->setStatus(run, RunStatus::Finished);
    }
    return 0;
}

int resumeAndHold(const std::string& folder, RunId run)
{
    const auto workspace = Workspace::open(folder);
    std::string answer = "held\n";
    try {
        workspace->resumeRun(run);
    } catch (const core::StorageError& error) {
        answer = std::string(error.what()) + "\n";
    }
    std::cout << answer << std::flush;
    while (answer == "held\n")
        ::pause();
    return 0;
}

int openAsNobody(const std::string& folder, OpenMode mode)
{
    constexpr int kNobody = 65534;
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)
        return 1;
    try {
        const auto workspace = Workspace::open(folder, mode);
        std::cout << workspace->runs().matching << " runs, " << workspace->metricSeries(1, "m").points << " points; "
                  << messageOf<core::StorageError>([&] { workspace->renameRun(1, "x"); });
    } catch (const core::Error& error) {
        std::cout << error.what();
    }
    return 0;
}

// --- Starting it ---

class Child {
public:
    explicit Child(std::vector<std::string> arguments)
    {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            throw std::runtime_error("no pipe");
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        arguments.insert(arguments.begin(), "/proc/self/exe");
        std::vector<char*> pointers;
        for (std::string& argument : arguments)
            pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        ::posix_spawn(&m_process, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
        m_output = ::fdopen(ends[0], "r");
    }
    ~Child()
    {
        kill();
        ::fclose(m_output);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    std::string line()
    {
        std::string text;
        for (int c = std::fgetc(m_output); c != EOF && c != '\n'; c = std::fgetc(m_output))
            text += char(c);
        return text;
    }
    void kill()
    {
        if (m_process > 0)
            ::kill(m_process, SIGKILL);
        wait();
    }
    int wait()
    {
        int status = 0;
        if (m_process > 0)
            ::waitpid(std::exchange(m_process, 0), &status, 0);
        return status;
    }
    pid_t process() const { return m_process; }

private:
    pid_t m_process = 0;
    FILE* m_output = nullptr;
};

/// A workspace with one finished run of 20,000 points, closed.
void makeWorkspace(const std::filesystem::path& folder)
{
    const auto workspace = Workspace::open(folder);
    const RunId run = workspace->createRun(newRun("a"));
    workspace->startRun(run);
    for (int step = 0; step < 20000; ++step)
        workspace->metric(run, "m", step, valueAt(step));
    workspace->setStatus(run, RunStatus::Finished);
}

void overwrite(const std::filesystem::path& file, std::size_t at, std::string_view bytes)
{
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(std::streamoff(at));
    stream.write(bytes.data(), std::streamsize(bytes.size()));
}

/// A small file system of its own, unmounted at the end.
class SmallDisk {
public:
    explicit SmallDisk(const std::filesystem::path& folder) : m_folder(folder)
    {
        std::filesystem::create_directories(folder);
        m_mounted = ::geteuid() == 0 && ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=3m") == 0;
    }
    ~SmallDisk()
    {
        if (m_mounted)
            ::umount2(m_folder.c_str(), MNT_DETACH);
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    bool isMounted() const { return m_mounted; }

private:
    std::filesystem::path m_folder;
    bool m_mounted = false;
};

}  // namespace

class WorkspaceFaultsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void killedAtAnyMomentLosesAtMostOneSecond()
    {
        const Folder folder;
        const std::string name = (folder / "w").string();
        {
            const auto workspace = Workspace::open(name);
            workspace->createRun(newRun("killed"));
        }
        std::mt19937 random(std::random_device{}());
        bool started = false;  // on a busy machine the first children may be killed before they reach the run
        for (int round = 0; round < 20; ++round) {
            Child child({"--record", name});
            const double end = monotonicSeconds() + 0.05 + double(random() % 2000) / 1000;
            std::deque<std::pair<std::int64_t, double>> reports;
            std::thread killer([&] {
                std::this_thread::sleep_for(std::chrono::duration<double>(end - monotonicSeconds()));
                child.kill();
            });
            double killed = end;
            for (std::string line = child.line(); !line.empty(); line = child.line()) {
                const std::size_t blank = line.find(' ');
                reports.emplace_back(std::stoll(line), std::stod(line.substr(blank)));
            }
            killer.join();
            started = started || !reports.empty();
            std::int64_t mustBeThere = 0;
            for (const auto& [step, time] : reports)
                if (time < killed - 1)
                    mustBeThere = step;

            const auto workspace = Workspace::open(name);
            QVERIFY(workspace->check().empty());
            const RunStatus status = workspace->findRun(1)->status;
            QVERIFY(status == RunStatus::Interrupted || (!started && status == RunStatus::Queued));
            for (const std::string& metric : workspace->metricNames()) {
                const MetricSeries series = workspace->metricSeries(1, metric, INT64_MIN, INT64_MAX, 100'000'000);
                QVERIFY2(series.points >= mustBeThere,
                         qPrintable(QString("%1 points, but step %2 was recorded a second earlier").arg(series.points).arg(mustBeThere)));
                for (std::size_t i = 0; i < series.buckets.size(); ++i) {
                    QCOMPARE(series.buckets[i].firstStep, std::int64_t(i) + 1);
                    QCOMPARE(series.buckets[i].minimum, valueAt(std::int64_t(i) + 1));
                }
            }
        }
    }

    void processesWorkOnOneWorkspaceAtOnce()
    {
        const Folder folder;
        const std::string name = (folder / "w").string();
        // No workspace yet: all three create it at the same time.
        Child a({"--work", name, "a"}), b({"--work", name, "b"});
        work(name, "c");
        QCOMPARE(a.wait(), 0);
        QCOMPARE(b.wait(), 0);
        const auto workspace = Workspace::open(name);
        const RunList list = workspace->runs();
        QCOMPARE(list.matching, std::size_t(30));
        for (const RunSummary& run : list.runs) {
            QVERIFY(run.status == RunStatus::Finished);
            QCOMPARE(workspace->metricSeries(run.id, "m").points, 3000);
            QCOMPARE(run.lastMetrics.at("m"), valueAt(2999));
            QVERIFY(!workspace->readArtifact(workspace->artifacts(run.id).at(0)).empty());
        }
        QVERIFY(workspace->check().empty());
    }

    void ofManyThatResumeOneWins()
    {
        const Folder folder;
        makeWorkspace(folder / "w");
        const std::string name = (folder / "w").string();
        std::deque<Child> children;
        for (int i = 0; i < 4; ++i)
            children.emplace_back(std::vector<std::string>{"--hold", name, "1"});
        int held = 0;
        for (Child& child : children) {
            const std::string answer = child.line();
            held += answer == "held";
            QVERIFY2(answer == "held" || answer.starts_with("run 1 is being worked on by process"), answer.c_str());
        }
        QCOMPARE(held, 1);
    }

    void theRunOfADeadProcessIsInterrupted()
    {
        const Folder folder;
        makeWorkspace(folder / "w");
        const auto workspace = Workspace::open(folder / "w");
        Child child({"--hold", (folder / "w").string(), "1"});
        QCOMPARE(child.line(), std::string("held"));
        QVERIFY(workspace->findRun(1)->status == RunStatus::Running);
        const std::string message = messageOf<core::StorageError>([&] { workspace->resumeRun(1); });
        QVERIFY2(contains(message, "run 1 is being worked on by process " + std::to_string(child.process())), message.c_str());
        QVERIFY(contains(messageOf<core::StorageError>([&] { workspace->deleteRuns(std::vector<RunId>{1}); }), "is being worked on"));
        QVERIFY(contains(messageOf<core::StorageError>([&] { workspace->setStatus(1, RunStatus::Running); }), "is not held by this process"));
        child.kill();
        QVERIFY(workspace->findRun(1)->status == RunStatus::Interrupted);
        QVERIFY(workspace->runs({.statuses = {RunStatus::Interrupted}}).matching == 1);
        QVERIFY(workspace->history(1).back().status == RunStatus::Running);
        workspace->checkLeases();
        QVERIFY(workspace->history(1).back().status == RunStatus::Interrupted);
        workspace->resumeRun(1, 5);
        QCOMPARE(workspace->metricSeries(1, "m").points, 6);
        workspace->setStatus(1, RunStatus::Finished);
    }

    void closingInterruptsRunsInWork()
    {
        const Folder folder;
        makeWorkspace(folder / "w");
        Workspace::open(folder / "w")->resumeRun(1);
        const auto workspace = Workspace::open(folder / "w");
        QVERIFY(workspace->findRun(1)->status == RunStatus::Interrupted);
        QCOMPARE(workspace->history(1).back().message, std::string("the program was closed"));
    }

    void pendingValuesAreWrittenOnClosing()
    {
        const Folder folder;
        {
            const auto workspace = Workspace::open(folder / "w", OpenMode::OpenOrCreate, {.commitInterval = 1h});
            workspace->createRun(newRun("a"));
            workspace->metric(1, "late", 1, 2);
        }
        QCOMPARE(Workspace::open(folder / "w")->lastMetrics(1).at("late"), 2.0);
    }

    void leasesOfOtherMachinesExpire()
    {
        Lease lease = Lease::ofThisProcess();
        QVERIFY(lease.isAlive(0ms));
        Lease reused = lease;
        reused.processStart += "1";  // the same number, another process
        QVERIFY(!reused.isAlive(1h));
        Lease gone = lease;
        gone.process = 4'000'000;
        QVERIFY(!gone.isAlive(1h));
        Lease foreign = lease;
        foreign.processStart = "another boot/pid:[1]/12345";
        QVERIFY(foreign.isAlive(30s));
        foreign.heartbeat -= 31;
        QVERIFY(!foreign.isAlive(30s));
        QVERIFY(contains(lease.owner(), "process " + std::to_string(::getpid()) + " on host \""));
    }

    void fullDiskLosesNothingThatWasAccepted()
    {
        const Folder folder;
        const SmallDisk disk(folder / "disk");
        if (!disk.isMounted())
            QSKIP("SKIP: needs root, to mount a small file system");
        const auto workspace = Workspace::open(folder / "disk" / "w");
        const RunId id = workspace->createRun(newRun("a"));
        workspace->startRun(id);
        std::mt19937_64 random(1);
        std::vector<double> accepted;
        std::string message;
        while (message.empty() && accepted.size() < 4'000'000) {
            const double value = double(random());
            message = messageOf<core::StorageError>([&] { workspace->metric(id, "m", std::int64_t(accepted.size()), value); });
            message = message == "no exception" ? "" : message;
            if (message.empty())
                accepted.push_back(value);
            if (accepted.size() % 1000 == 0)
                std::this_thread::sleep_for(1ms);
        }
        QVERIFY2(contains(message, "the disk is full; nothing is damaged"), message.c_str());
        QVERIFY(workspace->writeError());
        QVERIFY(contains(messageOf<core::StorageError>([&] { workspace->setStatus(id, RunStatus::Failed, "disk full"); }), "the disk is full"));
        QVERIFY(contains(messageOf<core::StorageError>([&] {
                             workspace->addArtifact(id, {"big", "x", {}}, std::string(4u << 20, 'x'));
                         }),
                         "No space left on device"));
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "disk" / "w" / "artifacts"))
            QVERIFY2(!entry.is_regular_file(), entry.path().c_str());
        QVERIFY(workspace->findRun(id)->status == RunStatus::Running);
        QVERIFY(workspace->check().empty());
        // With more room everything that was accepted arrives, by itself.
        QCOMPARE(::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", MS_REMOUNT, "size=200m"), 0);
        QVERIFY(eventually([&] { return !workspace->writeError(); }));
        workspace->flush();
        QVERIFY(workspace->findRun(id)->status == RunStatus::Failed);
        QCOMPARE(workspace->findRun(id)->error, std::string("disk full"));
        const MetricSeries series = workspace->metricSeries(id, "m", INT64_MIN, INT64_MAX, accepted.size());
        QCOMPARE(series.buckets.size(), accepted.size());
        for (std::size_t i = 0; i < accepted.size(); ++i)
            QCOMPARE(series.buckets[i].minimum, accepted[i]);
        QVERIFY(workspace->check().empty());
    }

    void readOnlyFolderIsReadButNotWritten()
    {
        if (::geteuid() != 0)
            QSKIP("SKIP: needs root, to become another user");
        const Folder folder;
        makeWorkspace(folder / "w");
        std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
        const std::string name = (folder / "w").string();
        const std::string before = core::readFile(folder / "w" / "orrery.db");
        const auto answer = [&](const std::string& mode) { return Child({"--nobody", name, mode}).line(); };
        const std::string refused = answer("open");
        QVERIFY2(refused.starts_with(name + ": cannot be written (Permission denied)"), refused.c_str());
        const std::string read = answer("read");
        QVERIFY2(read.starts_with("1 runs, 20000 points; ") && contains(read, "is open for reading only"), read.c_str());
        const std::string missing = Child({"--nobody", (folder / "none").string(), "create"}).line();
        QVERIFY2(contains(missing, "the workspace folder cannot be created: Permission denied"), missing.c_str());
        QVERIFY(core::readFile(folder / "w" / "orrery.db") == before);
    }

    void damagedDatabasesAreLeftAlone_data()
    {
        QTest::addColumn<QString>("kind");
        QTest::addColumn<QString>("message");
        QTest::newRow("truncated") << "truncated"
                                   << "the database is damaged (expected ";
        QTest::newRow("garbage inside") << "garbage"
                                        << "the database is damaged";
        QTest::newRow("not a database") << "text"
                                        << "expected an Orrery database, found a file of another kind";
        QTest::newRow("of another program") << "other"
                                            << "expected an Orrery database, found a database of another program";
        QTest::newRow("newer") << "newer"
                               << "expected a database of version 4 or older, found version 99: it was written by a newer Orrery";
    }
    void damagedDatabasesAreLeftAlone()
    {
        QFETCH(QString, kind);
        QFETCH(QString, message);
        const Folder folder;
        makeWorkspace(folder / "w");
        const auto file = folder / "w" / "orrery.db";
        if (kind == "truncated")
            std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
        else if (kind == "garbage")
            for (std::size_t page = 1; page * 4096 < std::filesystem::file_size(file); ++page)
                overwrite(file, page * 4096, std::string(100, '\x5a'));
        else if (kind == "text")
            core::writeFileAtomically(file, "This is a letter and not a database. " + std::string(1000, '.'));
        else if (kind == "other")
            overwrite(file, 68, std::string("\0\0\0\7", 4));
        else
            overwrite(file, 60, std::string("\0\0\0\x63", 4));
        const std::string before = core::readFile(file);
        for (const OpenMode mode : {OpenMode::OpenOrCreate, OpenMode::Open, OpenMode::ReadOnly}) {
            const std::string found = messageOf<core::Error>([&] { Workspace::open(folder / "w", mode); });
            QVERIFY2(contains(found, message.toStdString()) && found.starts_with(file.string()), found.c_str());
            QVERIFY(core::readFile(file) == before);
        }
        if (kind == "truncated" || kind == "garbage")
            QVERIFY(contains(messageOf<core::StorageError>([&] { Workspace::open(folder / "w"); }),
                             "Put back a copy of the file, or save what can be read with"));
        else
            QVERIFY(messageOf<core::FormatError>([&] { Workspace::open(folder / "w"); }) != "no exception");
    }

    void missingWorkspacesAreNotMade()
    {
        const Folder folder;
        QVERIFY(contains(messageOf<core::StorageError>([&] { Workspace::open(folder / "none", OpenMode::Open); }),
                         "expected a workspace folder, there is none"));
        QVERIFY(contains(messageOf<core::StorageError>([&] { Workspace::open(folder.path(), OpenMode::ReadOnly); }),
                         "expected a workspace, found no orrery.db in it"));
        QVERIFY(!std::filesystem::exists(folder / "none"));
        QVERIFY(!Workspace::isWorkspace(folder.path()));
    }

    void version1IsBroughtUpToDate()
    {
        const Folder folder;
        std::filesystem::create_directories(folder / "w");
        std::filesystem::copy_file(ORRERY_TEST_DATA "/store/version1/orrery.db", folder / "w" / "orrery.db");
        QVERIFY(contains(messageOf<core::StorageError>([&] { Workspace::open(folder / "w", OpenMode::ReadOnly); }),
                         "expected a database of version 4, found version 1"));
        {
            Workspace::open(folder / "w");
        }
        const auto workspace = Workspace::open(folder / "w");
        QCOMPARE(workspace->runs().matching, std::size_t(2));
        const RunRecord run = workspace->run(3);
        QCOMPARE(run.name, std::string("old digits"));
        QVERIFY(run.status == RunStatus::Finished);
        QCOMPARE(run.started, std::string("2024-01-02T03:04:06.000Z"));
        QCOMPARE(run.seed, 7u);
        QCOMPARE(run.document.at("train").at("epochs").get<int>(), 3);
        QVERIFY((run.tags == std::vector<std::string>{"baseline"}));
        QVERIFY(run.notes.empty() && !run.parent);
        QCOMPARE(workspace->findRun(4)->error, std::string("train.lr: expected a number > 0"));
        const MetricSeries loss = workspace->metricSeries(3, "train/loss", INT64_MIN, INT64_MAX, 5000);
        QCOMPARE(loss.buckets.size(), std::size_t(5000));
        for (std::int64_t step = 0; step < 5000; ++step) {
            const MetricBucket& point = loss.buckets[std::size_t(step)];
            QCOMPARE(point.firstStep, step);
            QVERIFY(step == 4321 ? point.nans == 1 : point.minimum == 1.0 / double(1 + step));
            QVERIFY(std::abs(point.firstTime - (1704164646 + double(step) * 0.01)) < 0.0011);
        }
        QVERIFY(std::isinf(run.lastMetrics.at("val/accuracy")));
        QCOMPARE(workspace->metricInfos(3).at(1).lastStep, 2999);
        // New things work in it, too.
        workspace->setNotes(3, "from version 1");
        workspace->metric(3, "train/loss", 5000, 1);
        workspace->flush();
        QCOMPARE(workspace->metricSeries(3, "train/loss").points, 5001);
        QVERIFY(workspace->check().empty());
    }
};

int main(int argc, char** argv)
{
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const std::string task = arguments.empty() ? "" : arguments[0];
    if (task == "--record")
        return recordUntilKilled(arguments.at(1));
    if (task == "--work")
        return work(arguments.at(1), arguments.at(2));
    if (task == "--hold")
        return resumeAndHold(arguments.at(1), std::stoll(arguments.at(2)));
    if (task == "--nobody")
        return openAsNobody(arguments.at(1), arguments.at(2) == "read"   ? OpenMode::ReadOnly
                                             : arguments.at(2) == "open" ? OpenMode::Open
                                                                         : OpenMode::OpenOrCreate);
    WorkspaceFaultsTest test;
    return QTest::qExec(&test, argc, argv);
}
#include "workspace_faults_test.moc"
