#include <QElapsedTimer>
#include <QTest>
#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <mutex>
#include <random>

#include <core/base/error.h>
#include <core/base/files.h>

#include "store_test_support.h"

using namespace store_test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Recorded {
    std::vector<std::int64_t> steps;
    std::vector<double> values;
};

/// A noisy curve with some NaN and one infinite value.
Recorded curve(std::size_t count, std::int64_t stride = 1)
{
    std::mt19937 random(7);
    std::normal_distribution<double> normal;
    Recorded recorded;
    for (std::size_t i = 0; i < count; ++i) {
        recorded.steps.push_back(std::int64_t(i) * stride);
        recorded.values.push_back(random() % 1000 == 0 ? kNaN : 1.0 / double(1 + i) + 0.1 * normal(random));
    }
    recorded.values[count / 3] = kInf;
    return recorded;
}

/// Nothing if minimum, maximum and counts of every bucket are those of the recorded points with its steps; otherwise what differs.
std::string differenceFromBruteForce(const MetricSeries& series, const Recorded& recorded, std::int64_t from, std::int64_t to)
{
    std::size_t at = std::size_t(std::lower_bound(recorded.steps.begin(), recorded.steps.end(), from) - recorded.steps.begin());
    for (const MetricBucket& bucket : series.buckets) {
        double minimum = kNaN, maximum = kNaN, sum = 0;
        std::int64_t points = 0, nans = 0;
        for (; at < recorded.steps.size() && recorded.steps[at] <= bucket.lastStep; ++at, ++points) {
            const double value = recorded.values[at];
            if (recorded.steps[at] < bucket.firstStep)
                return "a point is missing at step " + std::to_string(recorded.steps[at]);
            nans += std::isnan(value);
            minimum = std::fmin(minimum, value);
            maximum = std::fmax(maximum, value);
            sum += std::isnan(value) ? 0 : value;
        }
        const bool same = points == bucket.points && nans == bucket.nans &&
                          (minimum == bucket.minimum || (std::isnan(minimum) && std::isnan(bucket.minimum))) &&
                          (maximum == bucket.maximum || (std::isnan(maximum) && std::isnan(bucket.maximum)));
        const double mean = sum / double(points - nans);
        if (!same || (std::isfinite(mean) && std::abs(mean - bucket.mean) > 1e-9))
            return "bucket at step " + std::to_string(bucket.firstStep);
    }
    return at < recorded.steps.size() && recorded.steps[at] <= to ? "points are missing at the end" : "";
}

}  // namespace

class WorkspaceTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void aRunReadsBackAsItWasCreated()
    {
        const Folder folder;
        RunId id = 0;
        {
            const auto workspace = Workspace::open(folder / "w");
            NewRun run = newRun("Ünïcode \"digits\"");
            run.tags = {"b", "a", "a"};
            run.notes = "first\nsecond";
            id = workspace->createRun(run);
            QCOMPARE(id, 1);
        }
        const auto workspace = Workspace::open(folder / "w", OpenMode::Open);
        const RunRecord run = workspace->run(id);
        QCOMPARE(run.name, std::string("Ünïcode \"digits\""));
        QVERIFY(run.status == RunStatus::Queued);
        QVERIFY(run.document == newRun("").document);
        QCOMPARE(run.document.dump(), newRun("").document.dump());
        QVERIFY(run.environment == newRun("").environment);
        QCOMPARE(run.seed, 18446744073709551615u);
        QVERIFY((run.tags == std::vector<std::string>{"a", "b"}));
        QCOMPARE(run.notes, std::string("first\nsecond"));
        QVERIFY(!run.parent && !run.created.empty() && run.started.empty() && run.ended.empty());
    }

    void statusHistoryAndTimesFollowTheRun()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        workspace->startRun(id);
        QVERIFY(workspace->holdsLease(id));
        workspace->setStatus(id, RunStatus::Paused);
        workspace->setStatus(id, RunStatus::Running);
        workspace->setStatus(id, RunStatus::Failed, "loss became NaN at step 7");
        QVERIFY(!workspace->holdsLease(id));
        const RunSummary run = *workspace->findRun(id);
        QVERIFY(run.status == RunStatus::Failed);
        QCOMPARE(run.error, std::string("loss became NaN at step 7"));
        QVERIFY(!run.started.empty() && run.ended >= run.started);
        std::string names;
        for (const RunEvent& event : workspace->history(id))
            names += std::string(statusName(event.status)) + " ";
        QCOMPARE(names, std::string("queued running paused running failed "));
        workspace->resumeRun(id);
        QVERIFY(workspace->findRun(id)->error.empty());
        QVERIFY(workspace->findRun(id)->ended.empty());
        workspace->setStatus(id, RunStatus::Finished);
    }

    void unknownRunsAreNamed()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        QCOMPARE(messageOf<core::InputError>([&] { workspace->run(7); }), std::string("there is no run 7"));
        QCOMPARE(messageOf<core::InputError>([&] { workspace->startRun(7); }), std::string("there is no run 7"));
        QCOMPARE(messageOf<core::InputError>([&] { workspace->setStatus(7, RunStatus::Failed); }), std::string("there is no run 7"));
        QCOMPARE(messageOf<core::InputError>([&] { workspace->deleteRuns(std::vector<RunId>{7}); }), std::string("there is no run 7"));
        QCOMPARE(messageOf<core::InputError>([&] { workspace->analysis(9); }), std::string("there is no analysis 9"));
        QVERIFY(!workspace->findRun(7));
        QVERIFY(contains(messageOf<core::InputError>([] { statusFromName("done"); }), "got \"done\""));
        // Values for a run that is not there are dropped, and harm nothing else.
        workspace->metric(7, "loss", 0, 1);
        workspace->logLine(7, LogLevel::Info, "text");
        workspace->flush();
        QVERIFY(workspace->metricNames().empty());
    }

    void smallSeriesReadsBackExactly()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        const std::vector<double> values{0.5, kNaN, kInf, -kInf, -0.0, 1e-310};
        for (std::size_t i = 0; i < values.size(); ++i) {
            workspace->metric(id, "train/loss", std::int64_t(i * 10), values[i], 1700000000.5 + double(i));
            workspace->flush();
        }
        const MetricSeries series = workspace->metricSeries(id, "train/loss");
        QVERIFY(series.exact);
        QCOMPARE(series.buckets.size(), values.size());
        for (std::size_t i = 0; i < values.size(); ++i) {
            QCOMPARE(series.buckets[i].firstStep, std::int64_t(i * 10));
            QVERIFY(series.buckets[i].minimum == values[i] || std::isnan(values[i]));
            QCOMPARE(series.buckets[i].nans, std::int64_t(std::isnan(values[i])));
            QCOMPARE(series.buckets[i].firstTime, 1700000000.5 + double(i));
        }
        QCOMPARE(workspace->metricSeries(id, "train/loss", 10, 30).points, 3);
        QCOMPARE(workspace->metricSeries(id, "train/loss", 31, 39).points, 0);
        QCOMPARE(workspace->metricSeries(id, "none").points, 0);
        QCOMPARE(workspace->metricSeries(99, "train/loss").points, 0);
    }

    void lastValuesKeepNaNAndInfinity()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        for (const auto& [name, value] : {std::pair("a", 1.0), {"b", kNaN}, {"c", kInf}})
            workspace->metric(id, name, 5, value);
        workspace->metric(id, "b", 4, 2.0);
        workspace->metric(id, "b", 6, kNaN);
        workspace->flush();
        const auto last = workspace->lastMetrics(id);
        QCOMPARE(last.at("a"), 1.0);
        QVERIFY(std::isnan(last.at("b")));
        QCOMPARE(last.at("c"), kInf);
        const MetricInfo info = workspace->metricInfos(id).at(1);
        QCOMPARE(info.points, 3);
        QCOMPARE(info.firstStep, 4);
        QCOMPARE(info.lastStep, 6);
        QCOMPARE(info.minimum, 2.0);
        QCOMPARE(info.maximum, 2.0);
        QVERIFY((workspace->metricNames() == std::vector<std::string>{"a", "b", "c"}));
    }

    void pyramidEqualsBruteForce_data()
    {
        QTest::addColumn<int>("count");
        QTest::addColumn<qint64>("stride");
        QTest::addColumn<int>("batch");
        for (const int count : {1, 64, 4095, 4096, 4097, 20000, 300000})
            QTest::addRow("%d points", count) << count << qint64(1) << std::max(1, count / 3);
        QTest::newRow("by single points") << 9000 << qint64(1) << 1;
        QTest::newRow("wide steps") << 50000 << qint64(1'000'000'000'000) << 777;
    }
    void pyramidEqualsBruteForce()
    {
        QFETCH(int, count);
        QFETCH(qint64, stride);
        QFETCH(int, batch);
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w", OpenMode::OpenOrCreate, {.commitInterval = std::chrono::milliseconds(1)});
        const RunId id = workspace->createRun(newRun("a"));
        const Recorded recorded = curve(std::size_t(count), stride);
        for (int from = 0; from < count; from += batch) {
            const auto size = std::size_t(std::min(batch, count - from));
            workspace->metrics(id, "m", std::span(recorded.steps).subspan(std::size_t(from), size),
                               std::span(recorded.values).subspan(std::size_t(from), size));
        }
        workspace->flush();
        const std::int64_t end = (count - 1) * stride;
        for (const auto& [from, to] :
             {std::pair<std::int64_t, std::int64_t>(INT64_MIN, INT64_MAX), {end / 7 + 1, end / 2 + 3}, {0, end / 50}, {end, end}})
            for (const std::size_t maxPoints : {1, 10, 100, 2000, 100000}) {
                const MetricSeries series = workspace->metricSeries(id, "m", from, to, maxPoints);
                const std::string difference = differenceFromBruteForce(series, recorded, from, to);
                QVERIFY2(difference.empty(), (difference + ", at most " + std::to_string(maxPoints)).c_str());
                QVERIFY(series.buckets.size() <= 2 * maxPoints);
                QVERIFY(series.exact == (series.points <= std::int64_t(2 * maxPoints)));
                QVERIFY(!series.exact || series.points == std::int64_t(series.buckets.size()));
            }
    }

    void stepsThatGoBackAreKept()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        for (int i = 0; i < 10000; ++i)
            workspace->metric(id, "m", i % 100, i);
        workspace->flush();
        QCOMPARE(workspace->metricSeries(id, "m", 5, 5, 1000).points, 100);
        QCOMPARE(workspace->metricSeries(id, "m", INT64_MIN, INT64_MAX, 100000).points, 10000);
    }

    void resumeDropsWhatCameAfterTheCheckpoint_data()
    {
        QTest::addColumn<qint64>("keep");
        for (const qint64 keep : {-1, 0, 63, 4095, 4096, 9000, 12287, 29998, 29999, 50000})
            QTest::addRow("step %lld", keep) << keep;
    }
    void resumeDropsWhatCameAfterTheCheckpoint()
    {
        QFETCH(qint64, keep);
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        workspace->startRun(id);
        Recorded recorded = curve(30000);
        workspace->metrics(id, "m", recorded.steps, recorded.values);
        workspace->metric(id, "early", 0, 1);
        workspace->addArtifact(id, {"checkpoint@9000", "x", 9000}, "nine");
        workspace->addArtifact(id, {"checkpoint@29000", "x", 29000}, "twentynine");
        workspace->setStatus(id, RunStatus::Cancelled);
        workspace->resumeRun(id, keep);
        const auto kept = std::size_t(std::clamp<qint64>(keep + 1, 0, 30000));
        // What is recorded again joins on without a seam.
        for (std::size_t i = kept; i < 30000; ++i)
            recorded.values[i] = double(i);
        const auto again = std::span(recorded.steps).subspan(kept);
        workspace->metrics(id, "m", again, std::span(recorded.values).subspan(kept));
        workspace->flush();
        for (const std::size_t maxPoints : {50, 100000})
            QCOMPARE(differenceFromBruteForce(workspace->metricSeries(id, "m", INT64_MIN, INT64_MAX, maxPoints), recorded, INT64_MIN, INT64_MAX),
                     std::string());
        const auto infos = workspace->metricInfos(id);
        QCOMPARE(infos.size(), std::size_t(keep >= 0 ? 2 : 1));
        const MetricInfo& info = infos.back();
        QCOMPARE(info.points, 30000);
        QCOMPARE(info.lastValue, recorded.values.back());
        double minimum = kNaN;
        for (const double value : recorded.values)
            minimum = std::fmin(minimum, value);
        QCOMPARE(info.minimum, minimum);
        QCOMPARE(workspace->artifacts(id).size(), std::size_t((keep >= 9000) + (keep >= 29000)));
        QVERIFY(workspace->check().empty());
        workspace->setStatus(id, RunStatus::Finished);
    }

    void logLinesComeInOrder()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        for (int i = 0; i < 100; ++i)
            workspace->logLine(id, i % 2 ? LogLevel::Warning : LogLevel::Info, "line " + std::to_string(i));
        workspace->flush();
        const auto all = workspace->logLines(id);
        QCOMPARE(all.size(), std::size_t(100));
        QCOMPARE(all[41].text, std::string("line 41"));
        QVERIFY(all[41].level == LogLevel::Warning);
        QCOMPARE(workspace->logLines(id, all[89].id).size(), std::size_t(10));
        QCOMPARE(workspace->logLines(id, 0, 3)[0].text, std::string("line 97"));
    }

    void artifactsAreStoredOnceByContent()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId a = workspace->createRun(newRun("a")), b = workspace->createRun(newRun("b"));
        const std::string content(100000, 'x');
        const Artifact first = workspace->addArtifact(a, {"final weights", "application/octet-stream", 10}, content);
        const Artifact second = workspace->addArtifact(b, {"copy", "application/octet-stream", {}}, [&](const Workspace::Write& write) {
            for (std::size_t i = 0; i < content.size(); i += 1000)
                write(std::string_view(content).substr(i, 1000));
        });
        QCOMPARE(first.hash, second.hash);
        QCOMPARE(second.bytes, 100000u);
        QCOMPARE(workspace->artifactPath(first).string(), (folder / "w" / "artifacts" / first.hash.substr(0, 2) / first.hash).string());
        QVERIFY(workspace->readArtifact(first) == content);
        QCOMPARE(workspace->findArtifact(a, "final weights")->step.value(), 10);
        QVERIFY(!workspace->findArtifact(a, "copy"));
        const auto path = workspace->artifactPath(first);
        workspace->deleteRuns(std::vector<RunId>{a});
        QVERIFY(std::filesystem::exists(path));
        workspace->deleteRuns(std::vector<RunId>{b});
        QVERIFY(!std::filesystem::exists(path));
    }

    void sameNameReplacesAnArtifact()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        const Artifact old = workspace->addArtifact(id, {"best", "text/plain", 1}, "one");
        const auto oldPath = workspace->artifactPath(old);
        core::writeFileAtomically(folder / "two.txt", "two");
        const Artifact now = workspace->addArtifactFile(id, {"best", "text/plain", 2}, folder / "two.txt");
        QCOMPARE(workspace->artifacts(id).size(), std::size_t(1));
        QCOMPARE(workspace->readArtifact(now), std::string("two"));
        QVERIFY(!std::filesystem::exists(oldPath));
        workspace->removeArtifact(id, "best");
        workspace->removeArtifact(id, "best");
        QVERIFY(workspace->artifacts(id).empty());
        QVERIFY(contains(messageOf<core::StorageError>([&] { workspace->readArtifact(now); }), "the file of artifact \"best\" is missing"));
        QVERIFY(contains(messageOf<core::StorageError>([&] {
                             workspace->addArtifactFile(id, {"x", "x", {}}, folder / "none");
                         }),
                         "none: cannot be read"));
    }

    void damagedArtifactsAreRecognised()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        const Artifact artifact = workspace->addArtifact(id, {"weights", "x", {}}, "content");
        std::ofstream(workspace->artifactPath(artifact)) << "c0ntent";
        QVERIFY(contains(messageOf<core::StorageError>([&] { workspace->readArtifact(artifact); }), "artifact \"weights\" is damaged"));
        QCOMPARE(workspace->check().size(), std::size_t(1));
    }

    void analysesKeepInputsResultsAndArtifacts()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId run = workspace->createRun(newRun("a"));
        const auto id = workspace->addAnalysis({run, "integrated_gradients", {{"sample", 3}}, {{"steps", 50}}, {{"delta", 1e-6}}, 0.25});
        const auto other = workspace->addAnalysis({{}, "saliency", {}, {}, {}, 0});
        workspace->addAnalysisArtifact(id, {"heat map", "image/png", {}}, "png");
        const Analysis analysis = workspace->analysis(id);
        QCOMPARE(analysis.method, std::string("integrated_gradients"));
        QCOMPARE(analysis.parameters.at("steps").get<int>(), 50);
        QCOMPARE(analysis.seconds, 0.25);
        QCOMPARE(workspace->readArtifact(analysis.artifacts.at(0)), std::string("png"));
        QCOMPARE(workspace->analyses().size(), std::size_t(2));
        QCOMPARE(workspace->analyses().front().id, other);
        QCOMPARE(workspace->analyses(run).size(), std::size_t(1));
        QCOMPARE(workspace->analyses({}, "saliency").size(), std::size_t(1));
        QVERIFY(workspace->artifacts(run).empty());
        const auto path = workspace->artifactPath(analysis.artifacts[0]);
        workspace->deleteRuns(std::vector<RunId>{run});
        QVERIFY(!std::filesystem::exists(path));
        QCOMPARE(workspace->analyses().size(), std::size_t(1));
        workspace->removeAnalysis(other);
        QVERIFY(workspace->analyses().empty());
    }

    void listsFilterAndSort_data()
    {
        QTest::addColumn<QString>("kind");
        QTest::addColumn<QString>("expected");
        QTest::newRow("all") << "all"
                             << "1 2 3 4";
        QTest::newRow("text in name") << "BETA"
                                      << "2";
        QTest::newRow("text in notes") << "interesting"
                                       << "3";
        QTest::newRow("text in tag") << "red"
                                     << "1 2";
        QTest::newRow("number") << "4"
                                << "4";
        QTest::newRow("nothing") << "zzz"
                                 << "";
        QTest::newRow("tags") << "tags"
                              << "2";
        QTest::newRow("status") << "status"
                                << "3";
        QTest::newRow("metric condition") << "condition"
                                          << "1 2";
        QTest::newRow("by name") << "name"
                                 << "1 2 4 3";
        QTest::newRow("by metric") << "metric"
                                   << "2 1 3 4";
        QTest::newRow("by metric, descending") << "metric descending"
                                               << "1 2 3 4";
        QTest::newRow("page") << "page"
                              << "3 2";
    }
    void listsFilterAndSort()
    {
        QFETCH(QString, kind);
        QFETCH(QString, expected);
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const std::vector<std::string> names{"alpha", "beta run", "gamma", "delta"};
        for (const std::string& name : names)
            workspace->createRun(newRun(name));
        workspace->setTags(1, {"red"});
        workspace->setTags(2, {"red", "blue"});
        workspace->addTag(3, "gone");
        workspace->removeTag(3, "gone");
        workspace->setNotes(3, "an Interesting one");
        workspace->setStatus(3, RunStatus::Cancelled);
        workspace->metric(1, "acc", 1, 0.9);
        workspace->metric(2, "acc", 1, 0.8);
        workspace->metric(3, "acc", 1, kNaN);
        workspace->flush();

        RunQuery query;
        if (kind == "tags")
            query.tags = {"red", "blue"};
        else if (kind == "status")
            query.statuses = {RunStatus::Cancelled, RunStatus::Failed};
        else if (kind == "condition")
            query.metrics = {{"acc", 0.8, {}}};
        else if (kind == "name")
            query.orderBy = "name";
        else if (kind.startsWith("metric"))
            query.orderBy = "acc", query.descending = kind.endsWith("descending");
        else if (kind == "page")
            query.descending = true, query.offset = 1, query.limit = 2;
        else if (kind != "all")
            query.text = kind.toStdString();
        const RunList list = workspace->runs(query);
        QStringList ids;
        for (const RunSummary& run : list.runs)
            ids << QString::number(run.id);
        QCOMPARE(ids.join(' '), expected);
        QCOMPARE(list.matching, std::size_t(kind == "page" ? 4 : ids.size()));
    }

    void listsReturnColumnsOfTheDocument()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        workspace->createRun(newRun("a"));
        RunQuery query;
        query.columns = {"train.optimizer.lr", "model", "layers.1", "none.at.all"};
        const RunSummary run = workspace->runs(query).runs.at(0);
        QCOMPARE(run.columns.at("train.optimizer.lr").get<double>(), 0.001);
        QCOMPARE(run.columns.at("model").get<std::string>(), std::string("lenet"));
        QCOMPARE(run.columns.at("layers.1").get<int>(), 16);
        QVERIFY(!run.columns.contains("none.at.all"));
    }

    void tenThousandRunsAreListed()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        for (int i = 0; i < 10000; ++i) {
            NewRun run = newRun("run " + std::to_string(i * 7919 % 10000));
            run.tags = {"tag " + std::to_string(i % 10)};
            const RunId id = workspace->createRun(run);
            for (int m = 0; m < 8; ++m)
                workspace->metric(id, "metric/" + std::to_string(m), 1, (i * 31 + m) % 997);
        }
        workspace->flush();
        RunQuery query;
        query.text = "run 1";
        query.tags = {"tag 3"};
        query.orderBy = "metric/2";
        double best = 1e9;
        RunList list;
        for (int i = 0; i < 5; ++i) {
            QElapsedTimer timer;
            timer.start();
            list = workspace->runs(query);
            best = std::min(best, double(timer.nsecsElapsed()) * 1e-6);
        }
        QCOMPARE(list.runs.size(), std::size_t(111));
        QVERIFY(std::is_sorted(list.runs.begin(), list.runs.end(),
                               [](const auto& a, const auto& b) { return a.lastMetrics.at("metric/2") < b.lastMetrics.at("metric/2"); }));
        QElapsedTimer timer;
        timer.start();
        query = {};
        query.orderBy = "metric/5";
        QCOMPARE(workspace->runs(query).runs.size(), std::size_t(10000));
        qInfo("10,000 runs: filtered and sorted in %.1f ms; all with metrics in %.1f ms", best, double(timer.nsecsElapsed()) * 1e-6);
    }

    void aMillionPointsGoInAndComeOut()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId id = workspace->createRun(newRun("a"));
        constexpr int kPoints = 1'000'000;
        QElapsedTimer timer;
        timer.start();
        for (int i = 0; i < kPoints; ++i)
            workspace->metric(id, "train/loss", i, 1.0 / (1 + i), 1.7e9);
        workspace->flush();
        const double single = double(timer.nsecsElapsed()) * 1e-9;
        const Recorded recorded = curve(kPoints);
        timer.restart();
        for (int from = 0; from < kPoints; from += 1000)
            workspace->metrics(id, "batched", std::span(recorded.steps).subspan(std::size_t(from), 1000),
                               std::span(recorded.values).subspan(std::size_t(from), 1000));
        workspace->flush();
        const double batched = double(timer.nsecsElapsed()) * 1e-9;
        timer.restart();
        const MetricSeries series = workspace->metricSeries(id, "batched");
        const double read = double(timer.nsecsElapsed()) * 1e-6;
        timer.restart();
        const MetricSeries part = workspace->metricSeries(id, "batched", 400'000, 500'000);
        const double readPart = double(timer.nsecsElapsed()) * 1e-6;
        QCOMPARE(differenceFromBruteForce(series, recorded, INT64_MIN, INT64_MAX), std::string());
        QCOMPARE(differenceFromBruteForce(part, recorded, 400'000, 500'000), std::string());
        QCOMPARE(series.points, kPoints);
        qInfo("1 M points one by one: %.2f M/s; in batches: %.2f M/s; whole curve read in %.2f ms, a tenth of it in %.2f ms", 1 / single, 1 / batched,
              read, readPart);
    }

    void deletedRunsLeaveNothing()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        const RunId a = workspace->createRun(newRun("a")), b = workspace->createRun(newRun("b"));
        const Recorded recorded = curve(10000);
        for (const RunId id : {a, b})
            workspace->metrics(id, "m", recorded.steps, recorded.values);
        workspace->startRun(b);
        workspace->flush();
        QVERIFY(contains(messageOf<core::StorageError>([&] {
                             workspace->deleteRuns(std::vector<RunId>{a, b});
                         }),
                         "run 2 is being worked on by process"));
        QCOMPARE(workspace->runs().matching, std::size_t(2));
        workspace->deleteRuns(std::vector<RunId>{a});
        QCOMPARE(workspace->runs().matching, std::size_t(1));
        QCOMPARE(workspace->metricSeries(a, "m").points, 0);
        QCOMPARE(workspace->metricSeries(b, "m").points, 10000);
        workspace->setStatus(b, RunStatus::Finished);
        workspace->deleteRuns(std::vector<RunId>{b});
        QVERIFY(workspace->metricNames().empty());
        // Identifiers are not used again: links in notes and reports stay true.
        QCOMPARE(workspace->createRun(newRun("c")), 3);
        QVERIFY(workspace->check().empty());
    }

    void exportedRunsComeBackElsewhere()
    {
        const Folder folder;
        const auto source = Workspace::open(folder / "source");
        NewRun child = newRun("child");
        const RunId parent = source->createRun(newRun("parent"));
        child.parent = parent;
        child.tags = {"kept"};
        const RunId run = source->createRun(child);
        source->createRun(newRun("stays"));
        source->startRun(run);
        const Recorded recorded = curve(20000);
        source->metrics(run, "m", recorded.steps, recorded.values);
        source->metric(run, "nan", 1, kNaN);
        source->logLine(run, LogLevel::Error, "line");
        const std::string big(40u << 20, 'b');
        source->addArtifact(run, {"big", "x", 5}, big);
        source->addArtifact(run, {"empty", "x", {}}, "");
        const auto analysis = source->addAnalysis({run, "saliency", {{"i", 1}}, {}, {}, 1});
        source->addAnalysisArtifact(analysis, {"map", "image/png", {}}, "png");
        source->flush();
        source->exportRuns(std::vector<RunId>{parent, run}, folder / "two.orrery");

        const auto target = Workspace::open(folder / "target");
        target->createRun(newRun("already here"));
        const auto ids = target->importRuns(folder / "two.orrery");
        QVERIFY((ids == std::vector<RunId>{2, 3}));
        const RunRecord record = target->run(3);
        QCOMPARE(record.parent.value(), 2);
        QVERIFY(record.status == RunStatus::Interrupted);
        QVERIFY(record.document == child.document);
        QVERIFY((record.tags == std::vector<std::string>{"kept"}));
        QVERIFY(std::isnan(record.lastMetrics.at("nan")));
        for (const std::size_t maxPoints : {30, 100000})
            QCOMPARE(differenceFromBruteForce(target->metricSeries(3, "m", INT64_MIN, INT64_MAX, maxPoints), recorded, INT64_MIN, INT64_MAX),
                     std::string());
        QCOMPARE(target->logLines(3).at(0).text, std::string("line"));
        QVERIFY(target->readArtifact(*target->findArtifact(3, "big")) == big);
        QCOMPARE(target->readArtifact(*target->findArtifact(3, "empty")), std::string());
        QCOMPARE(target->readArtifact(target->analyses(3).at(0).artifacts.at(0)), std::string("png"));
        QCOMPARE(target->history(3).size(), source->history(run).size());
        QVERIFY(target->check().empty());
        // An imported run can be gone on with.
        target->resumeRun(3, 9999);
        QCOMPARE(target->metricSeries(3, "m", INT64_MIN, INT64_MAX, 100000).points, 10000);
        target->setStatus(3, RunStatus::Finished);
        source->setStatus(run, RunStatus::Finished);
    }

    void importRefusesOtherFiles()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        core::writeFileAtomically(folder / "text", "not a database at all, but long enough to be looked at as one");
        QVERIFY(contains(messageOf<core::FormatError>([&] { workspace->importRuns(folder / "text"); }), "expected an Orrery database"));
        QVERIFY(contains(messageOf<core::StorageError>([&] { workspace->importRuns(folder / "none"); }), "there is none"));
        {
            Workspace::open(folder / "other");
        }
        QVERIFY(contains(messageOf<core::FormatError>([&] { workspace->importRuns(folder / "other" / "orrery.db"); }),
                         "expected runs exported by Orrery"));
        QCOMPARE(workspace->runs().matching, std::size_t(0));
    }

    void listenersHearOfCommits()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        std::mutex mutex;
        std::vector<Change> changes;
        auto subscription = workspace->subscribe([&](const Change& change) {
            const std::lock_guard lock(mutex);
            changes.push_back(change);
        });
        const std::uint64_t before = workspace->changeCounter();
        QCOMPARE(workspace->changeCounter(), before);
        const RunId id = workspace->createRun(newRun("a"));
        QVERIFY(workspace->changeCounter() > before);
        workspace->metric(id, "m", 1, 1);
        QVERIFY(eventually([&] {
            const std::lock_guard lock(mutex);
            return changes.size() >= 2;
        }));
        subscription.reset();
        workspace->renameRun(id, "b");
        QCOMPARE(changes.size(), std::size_t(2));
        QVERIFY(changes[0].list && changes[0].runs == std::vector<RunId>{id});
        QVERIFY(changes[1].metrics && !changes[1].list);
        QCOMPARE(workspace->findRun(id)->name, std::string("b"));
    }

    void changesOfAnotherConnectionAreSeen()
    {
        const Folder folder;
        const auto a = Workspace::open(folder / "w"), b = Workspace::open(folder / "w");
        const std::uint64_t before = b->changeCounter();
        a->createRun(newRun("a"));
        QVERIFY(b->changeCounter() > before);
        QCOMPARE(b->runs().matching, std::size_t(1));
    }

    void settingsAndEnvironmentAreReplaced()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w");
        QVERIFY(!workspace->setting("layout"));
        workspace->setSetting("layout", {{"panels", {"a", "b"}}});
        workspace->setSetting("layout", {{"panels", {"c"}}});
        QCOMPARE(workspace->setting("layout")->dump(), std::string(R"({"panels":["c"]})"));
        const RunId id = workspace->createRun(newRun("a"));
        workspace->setEnvironment(id, {{"gemm", "oneDNN"}});
        QCOMPARE(workspace->run(id).environment.dump(), std::string(R"({"gemm":"oneDNN"})"));
    }

    void manyThreadsReadAndWriteAtOnce()
    {
        const Folder folder;
        const auto workspace = Workspace::open(folder / "w", OpenMode::OpenOrCreate, {.commitInterval = std::chrono::milliseconds(5)});
        const RunId id = workspace->createRun(newRun("a"));
        std::atomic<bool> stop = false;
        std::atomic<int> backwards = 0;
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t)
            threads.emplace_back([&] {
                std::int64_t seen = 0;
                while (!stop) {
                    const std::int64_t points = workspace->metricSeries(id, "m0").points;
                    backwards += points < seen;
                    seen = points;
                    workspace->runs();
                }
            });
        std::vector<std::thread> writers;
        for (int t = 0; t < 3; ++t)
            writers.emplace_back([&, t] {
                for (int i = 0; i < 20000; ++i)
                    workspace->metric(id, "m" + std::to_string(t), i, i);
                for (int i = 0; i < 20; ++i)
                    workspace->addArtifact(id, {"a" + std::to_string(t), "x", i}, std::to_string(i % 3));
            });
        for (std::thread& thread : writers)
            thread.join();
        workspace->flush();
        stop = true;
        for (std::thread& thread : threads)
            thread.join();
        QCOMPARE(backwards.load(), 0);
        for (int t = 0; t < 3; ++t)
            QCOMPARE(workspace->metricSeries(id, "m" + std::to_string(t)).points, 20000);
        QCOMPARE(workspace->artifacts(id).size(), std::size_t(3));
        QVERIFY(workspace->check().empty());
    }
};

QTEST_APPLESS_MAIN(WorkspaceTest)
#include "workspace_test.moc"
