// Trainings in processes of their own, runs reproduced, leaderboards: as a person calls them, and what can go wrong.
#include <cmath>
#include <csignal>
#include <fstream>
#include <sstream>

#include <QElapsedTimer>
#include <unistd.h>

#include "cli_process.h"
#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;

namespace {

/// The process that `parent` has started; -1 while there is none.
pid_t childOf(qint64 parent)
{
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::ifstream file(entry.path() / "stat");
        std::string text;
        if (!std::getline(file, text) || text.rfind(") ") == std::string::npos)
            continue;
        std::istringstream rest(text.substr(text.rfind(") ") + 2));
        std::string state;
        qint64 its = 0;
        if (rest >> state >> its && its == parent && state != "Z")
            return std::stoi(entry.path().filename().string());
    }
    return -1;
}

bool lives(pid_t process)
{
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto at = text.rfind(") ");
    return at != std::string::npos && text[at + 2] != 'Z';
}

double entryValue(const core::Json& boards, int run)
{
    for (const auto& board : boards.at("boards"))
        for (const auto& entry : board.at("entries"))
            if (entry.at("run") == run)
                return entry.at("value").get<double>();
    return std::nan("");
}

QStringList trainCall(const QStringList& more = {})
{
    return QStringList{"train", "small.yaml", "--threads", "1", "--workspace", "w"} + more;
}

}  // namespace

class CliEngineTest : public QObject {
    Q_OBJECT
    /// Starts an endless training in a process and waits until it computes.
    static pid_t startEndless(const test::Cli& cli, QProcess& process)
    {
        cli.write("small.yaml", test::kSmallTraining);
        cli.start(process, trainCall({"--engine", "process", "--set", test::kEndless}));
        QElapsedTimer time;
        time.start();
        while (time.elapsed() < 60000) {
            const pid_t child = childOf(process.processId());
            if (child > 0 && test::computedSeconds(child) > 1.5)
                return child;
            QTest::qSleep(50);
        }
        return -1;
    }
private Q_SLOTS:
    void aProcessGivesTheSameBitsAsAThread()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        const auto thread = cli.json(trainCall()), process = cli.json(trainCall({"--engine", "process"}));
        QVERIFY(thread.at("metrics") == process.at("metrics"));
        QVERIFY(process.at("status") == "finished");
        const auto compared = cli.json({"runs", "reproduce", "1", "--against", "2", "--workspace", "w"});
        QVERIFY(compared.at("identical") == true);
        QVERIFY(compared.at("same_weights") == true);
    }

    void reproducingTellsWhetherEveryBitIsTheSame()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        cli.json(trainCall());
        const auto answer = cli.run({"runs", "reproduce", "1", "--workspace", "w"});
        QVERIFY2(answer.out.startsWith("run 2 repeats run 1 bit for bit: "), qPrintable(answer.out + answer.error));
        QCOMPARE(answer.status, 0);
        // Another seed is another run; what differs is told.
        cli.json({"train", "run:1", "--set", "seed=9", "--workspace", "w"});
        const auto other = cli.run({"runs", "reproduce", "1", "--against", "3", "--workspace", "w"});
        QVERIFY2(other.out.contains("run 3 differs from run 1") && other.out.contains("train/loss") && other.out.contains("differs from step 1 on"),
                 qPrintable(other.out));
        VERIFY_REFUSED(cli.run({"runs", "reproduce", "9", "--workspace", "w"}), 2, "there is no run 9");
    }

    void anUnfinishedRunIsNotReproduced()
    {
        const test::Cli cli;
        QProcess process;
        const pid_t child = startEndless(cli, process);
        QVERIFY(child > 0);
        ::kill(pid_t(process.processId()), SIGINT);
        const auto answer = test::answerOf(process);
        QVERIFY2(answer.error.contains("run 1 was interrupted; go on with"), qPrintable(answer.error));
        QCOMPARE(answer.status, 130);
        QVERIFY(!lives(child));
        VERIFY_REFUSED(cli.run({"runs", "reproduce", "1", "--workspace", "w"}), 2, "run 1 is cancelled: expected a finished run to reproduce");
    }

    void theProcessEndsWithTheProgramThatStartedIt()
    {
        const test::Cli cli;
        QProcess process;
        const pid_t child = startEndless(cli, process);
        QVERIFY(child > 0);
        ::kill(pid_t(process.processId()), SIGKILL);
        process.waitForFinished();
        QTRY_VERIFY_WITH_TIMEOUT(!lives(child), 20000);
        const auto list = cli.json({"runs", "list", "--workspace", "w"});
        QVERIFY(list.at("runs").at(0).at("status") == "interrupted");
    }

    void aKilledProcessIsExplained()
    {
        const test::Cli cli;
        QProcess process;
        const pid_t child = startEndless(cli, process);
        QVERIFY(child > 0);
        ::kill(child, SIGSEGV);
        const auto answer = test::answerOf(process);
        VERIFY_REFUSED(answer, 1, "the job's process crashed: SIGSEGV (Segmentation fault)");
        const auto run = cli.json({"runs", "show", "1", "--workspace", "w"});
        QVERIFY(run.at("status") == "failed");
        QVERIFY(QString::fromStdString(run.at("error").get<std::string>()).contains("SIGSEGV"));
    }

    void aMemoryLimitFailsTheRun()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        const auto answer = cli.run(trainCall({"--engine", "process", "--memory-limit", "20MiB", "--set", test::kEndless}));
        VERIFY_REFUSED(answer, 1, "more than its limit of 20.0 MiB, and was ended");
        QVERIFY(cli.json({"runs", "list", "--workspace", "w"}).at("runs").at(0).at("status") == "failed");
    }

    void wrongChoicesAreRefusedBeforeARunIsMade()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        VERIFY_REFUSED(cli.run(trainCall({"--engine", "proces"})), 2, "unknown engine \"proces\"; did you mean \"process\"?");
        VERIFY_REFUSED(cli.run(trainCall({"--memory-limit", "1GiB"})), 2, "a memory limit needs the engine \"process\"");
        VERIFY_REFUSED(cli.run(trainCall({"--engine", "process", "--memory-limit", "much"})), 2, "--memory-limit");
        QVERIFY(!cli.has("w"));
    }

    void theWorkerIsNotListed()
    {
        const test::Cli cli;
        QVERIFY(!cli.run({"--help"}).out.contains("worker"));
        QVERIFY(!cli.run({"wrker"}).error.contains("worker"));
        const auto completion = cli.run({"completion"});
        QVERIFY(completion.out.contains("--memory-limit"));
        QVERIFY(!completion.out.section('\n', 4, 6).contains("worker"));
        // What is no job is refused; nothing at all as well.
        QProcess process;
        cli.start(process, {"worker"});
        process.waitForStarted();
        process.write("what is this?\n");
        process.closeWriteChannel();
        QCOMPARE(test::answerOf(process).status, 2);
        QProcess silent;
        cli.start(silent, {"worker"});
        silent.waitForStarted();
        silent.closeWriteChannel();
        QCOMPARE(test::answerOf(silent).status, 129);
    }

    void leaderboardsFollowTheMetric()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        cli.json(trainCall());
        cli.json(trainCall({"--set", "seed=8"}));
        cli.json(trainCall({"--set", "data.limit=200"}));
        const auto boards = cli.json({"runs", "leaderboard", "--metric", "test/loss", "--workspace", "w"});
        QVERIFY(boards.at("goal") == "minimize");
        // So does one in a report.
        for (const char* const metric : {"test/loss", "test/accuracy"})
            cli.json({"report", "add", "--leaderboard", metric, "--workspace", "w"});
        const core::Json items = cli.json({"report", "list", "--workspace", "w"}).at("reports").at(0).at("items");
        QVERIFY(items.at(0).at("source").at("goal") == "minimize" && items.at(1).at("source").at("goal") == "maximize");
        const auto& entries = boards.at("boards").at(0).at("entries");
        for (std::size_t i = 1; i < entries.size(); ++i)
            QVERIFY(entries.at(i - 1).at("value").get<double>() <= entries.at(i).at("value").get<double>());
        const auto found = cli.json({"runs", "leaderboard", "--where", "seed = 8", "--workspace", "w"});
        QCOMPARE(found.at("boards").size(), std::size_t(1));
        QVERIFY(found.at("boards").at(0).at("entries").at(0).at("run") == 2);
        VERIFY_REFUSED(cli.run({"runs", "leaderboard", "--metric", "test/acuracy", "--workspace", "w"}), 2, "did you mean \"test/accuracy\"?");
        VERIFY_REFUSED(cli.run({"runs", "leaderboard", "--goal", "up", "--workspace", "w"}), 2, "--goal");
        const auto groups = cli.json({"runs", "groups", "limit", "--workspace", "w"});
        QVERIFY(groups.at("field") == "data.limit");
        QVERIFY(groups.at("groups").at(1).at("value") == "300" && groups.at("groups").at(1).at("runs") == core::Json::array({1, 2}));
        const auto mean = groups.at("groups").at(1).at("metrics").at("test/loss").at("mean").get<double>();
        QVERIFY(std::abs(mean - (entryValue(boards, 1) + entryValue(boards, 2)) / 2) < 1e-15);
        VERIFY_REFUSED(cli.run({"runs", "groups", "limitt", "--workspace", "w"}), 2, "no field \"limitt\"");
        const auto text = cli.run({"runs", "leaderboard", "--workspace", "w"});
        QVERIFY2(text.out.contains("rank") && text.out.contains("digits"), qPrintable(text.out));
    }
};

QTEST_APPLESS_MAIN(CliEngineTest)
#include "cli_engine_test.moc"
