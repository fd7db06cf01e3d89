// Sweeps on the command line: run, list, show, broken off at any moment and gone on with, and what can go wrong.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <unistd.h>

#include <core/store/workspace.h>

#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;
using core::Json;

namespace {

const char* const kSweep = R"(
sweep:
  sampler: {id: tpe, startup: 2, batch: 2}
  parameters:
    train.optimizer.lr: {range: [1.0e-4, 0.1], log: true}
    model.dropout: {choices: [0, 0.2]}
  metric: val/accuracy
  goal: maximize
  trials: 6
)";

/// The documents of a sweep's trials in their order.
std::vector<Json> documentsIn(const std::filesystem::path& folder)
{
    const auto workspace = store::Workspace::open(folder, store::OpenMode::ReadOnly);
    std::map<std::string, Json> byTrial;
    for (const auto& run : workspace->runs().runs)
        for (const auto& tag : run.tags)
            if (tag.starts_with("trial:"))
                byTrial[tag] = workspace->run(run.id).document;
    std::vector<Json> all;
    for (const auto& [tag, document] : byTrial)
        all.push_back(document);
    return all;
}

std::vector<Json> valuesOf(const Json& sweep)
{
    std::vector<Json> values;
    for (const auto& trial : sweep.at("trials"))
        values.push_back(trial.at("value"));
    return values;
}

}  // namespace

class CliSweepTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
    Json m_whole;

    Json in(const QString& workspace, const QStringList& arguments) const { return m_cli.json(arguments + QStringList{"--workspace", workspace}); }

    /// Starts the sweep in a workspace of its own and sends a signal when so many runs have ended.
    test::Answer brokenOff(const QString& workspace, int signal, int afterRuns) const
    {
        QProcess process;
        m_cli.start(process, {"sweep", "sweep.yaml", "--threads", "1", "--workspace", workspace, "--json"});
        const auto ended = [&] {
            if (!m_cli.has((workspace + "/orrery.db").toStdString()))
                return false;
            try {
                const auto store = store::Workspace::open(m_cli.path(workspace.toStdString()), store::OpenMode::ReadOnly);
                store::RunQuery query;
                query.statuses = {store::RunStatus::Finished};
                return int(store->runs(query).matching) >= afterRuns;
            } catch (const core::Error&) {
                return false;  // its tables are just being made
            }
        };
        for (int i = 0; i < 6000 && !ended() && process.state() != QProcess::NotRunning; ++i)
            QTest::qWait(10);
        ::kill(pid_t(process.processId()), signal);
        return test::answerOf(process);
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_cli.write("sweep.yaml", std::string(test::kSmallTraining) + kSweep);
        m_whole = in("whole", {"sweep", "sweep.yaml"});
    }

    void aSweepPrintsItsTrialsAndTheBest()
    {
        QVERIFY(m_whole.at("sweep") == 1 && m_whole.at("status") == "finished" && m_whole.at("metric") == "val/accuracy" &&
                m_whole.at("failed") == 0);
        QCOMPARE(m_whole.at("trials").size(), std::size_t(6));
        double best = 0;
        for (const auto& trial : m_whole.at("trials")) {
            QVERIFY(trial.at("status") == "finished" && trial.at("run").is_number_integer());
            const double lr = trial.at("parameters").at("train.optimizer.lr");
            QVERIFY(lr >= 1e-4 && lr <= 0.1);
            best = std::max(best, trial.at("value").get<double>());
        }
        QCOMPARE(m_whole.at("best").at("value").get<double>(), best);
        // The runs are runs like any other: found by the query language.
        const auto found = in("whole", {"runs", "list", "--where", "tag = sweep:1 and val/accuracy.last >= " + QString::number(best, 'g', 17)});
        QVERIFY(found.at("runs").size() >= 1);
        QCOMPARE(in("whole", {"runs", "compare", "--where", "tag = sweep:1"}).at("runs").size(), std::size_t(6));
    }

    void listShowAndResumeReadWhatIsStored()
    {
        const auto list = in("whole", {"sweep", "--list"});
        QCOMPARE(list.at("sweeps").size(), std::size_t(1));
        QVERIFY(list.at("sweeps")[0].at("name") == "small" && list.at("sweeps")[0].at("sampler") == "tpe" && list.at("sweeps")[0].at("runs") == 6);
        QCOMPARE(valuesOf(in("whole", {"sweep", "--show", "1"})), valuesOf(m_whole));
        // Nothing is left to do.
        QCOMPARE(valuesOf(in("whole", {"sweep", "--resume", "1"})), valuesOf(m_whole));
        QCOMPARE(documentsIn(m_cli.path("whole")).size(), std::size_t(6));
        const auto text = m_cli.compute({"sweep", "--show", "1", "--workspace", "whole"});
        QVERIFY2(text.out.contains("best: trial "), qPrintable(text.out));
    }

    void checkShowsTheTrialsThatAreKnownBeforehand()
    {
        const auto check = m_cli.json({"sweep", "sweep.yaml", "--check"});
        QCOMPARE(check.at("trials").get<int>(), 6);
        QCOMPARE(check.at("first").size(), std::size_t(2));
        QVERIFY(check.at("first")[0] == m_whole.at("trials")[0].at("parameters"));
        QVERIFY(!m_cli.has("orrery-workspace"));
    }

    void killedAtAnyMomentItGoesOnWithTheSameTrials_data()
    {
        QTest::addColumn<int>("afterRuns");
        QTest::newRow("in the first trial") << 0;
        QTest::newRow("among those drawn at random") << 1;
        QTest::newRow("among those that follow from results") << 3;
    }
    void killedAtAnyMomentItGoesOnWithTheSameTrials()
    {
        QFETCH(int, afterRuns);
        const QString workspace = QString("killed%1").arg(afterRuns);
        QCOMPARE(brokenOff(workspace, SIGKILL, afterRuns).status, -SIGKILL);
        if (!m_cli.has(workspace.toStdString() + "/orrery.db") || in(workspace, {"sweep", "--list"}).at("sweeps").empty())
            QSKIP("it was killed before anything was stored");
        QCOMPARE(valuesOf(in(workspace, {"sweep", "--resume", "1"})), valuesOf(m_whole));
        QCOMPARE(documentsIn(m_cli.path(workspace.toStdString())), documentsIn(m_cli.path("whole")));
    }

    void anInterruptionEndsCleanlyAndSaysHowToGoOn()
    {
        const auto answer = brokenOff("interrupted", SIGINT, 1);
        QCOMPARE(answer.status, 130);
        QVERIFY2(answer.error.contains("go on with: orrery-cli sweep --resume 1"), qPrintable(answer.error));
        QVERIFY(answer.json().at("status") == "interrupted");
        const auto resumed = m_cli.json({"sweep", "--resume", "1", "--jobs", "2", "--workspace", "interrupted"});
        QCOMPARE(valuesOf(resumed), valuesOf(m_whole));
    }

    void theExampleOfTheProjectRuns()
    {
        const auto sweep = in("example", {"sweep", m_cli.project("digits/sweep.yaml"), "--jobs", "2", "--set", "train.epochs=1", "--set",
                                          "sweep.trials=3", "--set", "data.limit=200"});
        QCOMPARE(sweep.at("trials").size(), std::size_t(3));
        QVERIFY(sweep.at("best").at("value").is_number());
    }

    void whatIsWrongIsRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("part");
        QTest::newRow("nothing to do") << QStringList{"sweep"} << "expected an EXPERIMENT with a section \"sweep\"";
        QTest::newRow("two things to do") << QStringList{"sweep", "sweep.yaml", "--list"} << "expected an EXPERIMENT with a section \"sweep\"";
        QTest::newRow("no file") << QStringList{"sweep", "none.yaml"} << "none.yaml: no such file";
        QTest::newRow("no section") << QStringList{"sweep", "plain.yaml"} << "plain.yaml: sweep: is required";
        QTest::newRow("a sweep given to train") << QStringList{"train", "sweep.yaml"} << "a document with a sweep is run by `orrery-cli sweep`";
        QTest::newRow("unknown parameter")
            << QStringList{"sweep", "sweep.yaml", "--set", "sweep.parameters={\"train.optimizr.lr\": {\"range\": [1, 2]}}"}
            << "sweep.parameters.train.optimizr.lr: unknown parameter \"optimizr\" of train; did you mean \"optimizer\"?";
        QTest::newRow("empty choices") << QStringList{"sweep", "sweep.yaml", "--set", "sweep.parameters={\"seed\": {\"choices\": []}}"}
                                       << "sweep.parameters.seed.choices: expected at least one value, got none";
        QTest::newRow("logarithmic from 0") << QStringList{"sweep", "sweep.yaml", "--set",
                                                           "sweep.parameters={\"train.warmup\": {\"range\": [0, 9], \"log\": true}}"}
                                            << "expected a number > 0 for a logarithmic range, got 0";
        QTest::newRow("unknown engine") << QStringList{"sweep", "sweep.yaml", "--engine", "cloud"} << "cloud";
        QTest::newRow("no jobs") << QStringList{"sweep", "sweep.yaml", "--jobs", "0"} << "--jobs";
        QTest::newRow("no such sweep") << QStringList{"sweep", "--resume", "9", "--workspace", "whole"} << "there is no sweep 9";
        QTest::newRow("no workspace") << QStringList{"sweep", "--list", "--workspace", "nowhere"} << "nowhere";
        QTest::newRow("other settings for a stored sweep") << QStringList{"sweep", "--resume", "1", "--set", "sweep.trials=9", "--workspace", "whole"}
                                                           << "--resume goes on with the stored sweep as it is";
        QTest::newRow("a query that cannot be read") << QStringList{"runs", "list", "--where", "val/accuracy >", "--workspace", "whole"}
                                                     << "query \"val/accuracy >\", column 15: expected a value, found the end";
        QTest::newRow("a query with an unknown field")
            << QStringList{"runs", "list", "--where", "val/acuracy > 0", "--workspace", "whole"} << "did you mean \"val/accuracy\"?";
        QTest::newRow("a comparison of nothing") << QStringList{"runs", "compare", "--workspace", "whole"} << "expected run ids, or --where QUERY";
        QTest::newRow("a comparison of one") << QStringList{"runs", "compare", "--where", "id = 1", "--workspace", "whole"}
                                             << "expected 2 to 100 runs, the query finds 1";
    }
    void whatIsWrongIsRefused()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, part);
        m_cli.write("plain.yaml", test::kSmallTraining);
        VERIFY_REFUSED(m_cli.compute(arguments), 2, part);
    }

    void metricsGoOutAndComeBackAsEventFiles()
    {
        const auto exported = in("whole", {"runs", "export", "1", "2", "--format", "tensorboard", "--out", "events"});
        QCOMPARE(exported.at("files").size(), std::size_t(2));
        const auto imported = in("back", {"runs", "import", "events"});
        QCOMPARE(imported.at("runs").size(), std::size_t(2));
        const auto before = in("whole", {"runs", "show", "2"}).at("metrics"), after = in("back", {"runs", "show", "2"}).at("metrics");
        QCOMPARE(after.size(), before.size());
        for (const auto& [name, value] : before.items())
            QCOMPARE(after.at(name).get<float>(), value.get<float>());
        QVERIFY(in("back", {"runs", "show", "1"}).at("name") == "run-1");
        QCOMPARE(in("back", {"runs", "list", "--where", "tag = tensorboard and val/accuracy.max >= 0 and imported.format = tensorboard"})
                     .at("runs")
                     .size(),
                 std::size_t(2));
        // A damaged file is named with its place, and adds nothing.
        const std::filesystem::path file(exported.at("files")[0].get<std::string>());
        std::string bytes = core::readFile(m_cli.path(file.string()));
        bytes[bytes.size() - 6] = char(bytes[bytes.size() - 6] ^ 1);
        m_cli.write("damaged.tfevents.1", bytes);
        VERIFY_REFUSED(m_cli.compute({"runs", "import", "damaged.tfevents.1", "--workspace", "back"}), 2, "damaged.tfevents.1, byte ");
        QCOMPARE(in("back", {"runs", "list"}).at("runs").size(), std::size_t(2));
        std::filesystem::create_directories(m_cli.path("empty"));
        VERIFY_REFUSED(m_cli.compute({"runs", "import", "empty", "--workspace", "back"}), 2, "expected a folder with TensorBoard event files");
        VERIFY_REFUSED(m_cli.compute({"runs", "export", "1", "--format", "csv", "--out", "x", "--workspace", "whole"}), 2, "--format");
    }

    /// Row a36, cut short: two seeds each of a fifteenth as much text, tested on the same samples.
    void theHeldOutLossFallsWithTheFractionOfTheText()
    {
        const QString parameters = R"({"data.fraction": {"choices": [0.001, 0.016]}, "seed": {"choices": [0, 1]}})";
        const Json sweep = in("fractions", {"sweep", m_cli.project("data-fraction/sweep.yaml"), "--set", "sweep.parameters=" + parameters, "--set",
                                            "train.steps=300", "--set", "train.evaluate_every=300"});
        double worstOfMuch = 0, bestOfLittle = 1e9;
        for (const Json& trial : sweep.at("trials")) {
            const double loss = trial.at("value").get<double>();
            const bool isMuch = trial.at("parameters").at("data.fraction").get<double>() > 0.01;
            isMuch ? worstOfMuch = std::max(worstOfMuch, loss) : bestOfLittle = std::min(bestOfLittle, loss);
        }
        QVERIFY2(worstOfMuch > 0 && worstOfMuch < bestOfLittle - 0.02, qPrintable(QString("%1 %2").arg(worstOfMuch).arg(bestOfLittle)));
        // A run on a thousandth of the text has the same loss on the test part of the whole text.
        const Json run = in("fractions", {"runs", "show", "1"});
        Json data = run.at("document").at("data");
        data["fraction"] = 1;
        const Json again = in("fractions", {"evaluate", "run:1", "--data", QString::fromStdString(data.dump()), "--split", "test"});
        const double stored = run.at("metrics").at("test/loss").get<double>();
        QVERIFY(std::abs(again.at("metrics").at("loss").get<double>() - stored) < 1e-5 * stored);
    }

    void anIndependentReaderFindsTheSameNumbersInEventFiles()
    {
        QCOMPARE(in("whole", {"runs", "export", "1", "2", "--format", "tensorboard", "--out", "for-others"}).at("files").size(), std::size_t(2));
        QProcess reader;
        reader.start("python3", {ORRERY_SOURCE_DIR "/tests/data/read_events.py", QString::fromStdString(m_cli.path("for-others").string())});
        const auto said = test::answerOf(reader);
        QVERIFY2(said.status == 0, qPrintable(said.error));
        const Json runs = said.json();
        QCOMPARE(runs.size(), std::size_t(2));
        const auto workspace = store::Workspace::open(m_cli.path("whole"), store::OpenMode::ReadOnly);
        for (const store::RunId id : {1, 2}) {
            const Json& tags = runs.at(fmt::format("run-{}", id));
            const auto metrics = workspace->metricInfos(id);
            QCOMPARE(tags.size(), metrics.size());
            for (const auto& metric : metrics) {
                const auto points = workspace->metricSeries(id, metric.name).buckets;
                const Json& found = tags.at(metric.name);
                QCOMPARE(found.size(), points.size());
                for (std::size_t i = 0; i < points.size(); ++i) {
                    QCOMPARE(found[i][0].get<std::int64_t>(), points[i].firstStep);
                    QCOMPARE(found[i][1].get<double>(), points[i].firstTime);
                    QCOMPARE(found[i][2].get<double>(), points[i].mean);
                }
            }
        }
    }

    void failedTrialsAreSaidAndAllFailedIsAFailure()
    {
        const QStringList broken{"sweep", "sweep.yaml",           "--workspace", "failed", "--set", "sweep.sampler=grid",
                                 "--set", "train.clip_norm=null", "--set"};
        const auto some =
            in("failed", broken.mid(0, 2) + broken.mid(4) + QStringList{"sweep.parameters={\"train.optimizer.lr\": {\"choices\": [1e30, 0.01]}}"});
        QVERIFY(some.at("failed") == 1 && some.at("trials")[0].at("status") == "failed" && some.at("trials")[0].at("error").is_string());
        QVERIFY(some.at("best").at("trial") == 1);
        const auto all = m_cli.compute(broken + QStringList{"sweep.parameters={\"train.optimizer.lr\": {\"choices\": [1e30]}}"});
        QCOMPARE(all.status, 1);
        QVERIFY2(all.out.contains("1 of 1 trials failed"), qPrintable(all.out));
    }
};

QTEST_GUILESS_MAIN(CliSweepTest)
#include "cli_sweep_test.moc"
