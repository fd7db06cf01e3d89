// What is said of several runs: groups and mean curves, leaderboards, repetitions.
#include <QTemporaryDir>
#include <QTest>
#include <cmath>
#include <limits>

#include <core/catalogue.h>
#include <core/jobs/job.h>
#include <core/train/leaderboard.h>
#include <core/train/reproduce.h>
#include <core/train/run_groups.h>
#include <core/train/runs.h>

#include "training_fixture.h"

using namespace orrery;
using core::Json;

namespace {

store::RunSummary run(store::RunId id, Json width, double accuracy)
{
    store::RunSummary out;
    out.id = id;
    out.seed = std::uint64_t(id % 2);
    if (!width.is_null())
        out.columns["model.width"] = width;
    out.lastMetrics["test/accuracy"] = accuracy;
    return out;
}

store::MetricSeries curve(std::vector<std::pair<std::int64_t, double>> points)
{
    store::MetricSeries out;
    for (const auto& [step, value] : points) {
        store::MetricBucket bucket;
        bucket.firstStep = bucket.lastStep = step;
        bucket.points = 1;
        bucket.minimum = bucket.maximum = bucket.mean = value;
        out.buckets.push_back(bucket);
    }
    out.points = std::int64_t(points.size());
    return out;
}

/// A finished run with a document and one metric.
store::RunId finished(store::Workspace& workspace, const std::string& name, const char* data, const char* hash, std::vector<double> values)
{
    store::NewRun made;
    made.name = name;
    made.document = {{"name", name}, {"model", {{"id", "mlp"}}}, {"data", {{"id", data}}}, {"data_hash", hash}};
    const auto id = workspace.createRun(made);
    workspace.startRun(id);
    for (std::size_t i = 0; i < values.size(); ++i)
        workspace.metric(id, "test/accuracy", std::int64_t(i), values[i]);
    workspace.flush();
    workspace.setStatus(id, store::RunStatus::Finished);
    return id;
}

}  // namespace

class RunComparisonTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }

    void spreadLeavesOutWhatIsNoNumber()
    {
        const double values[] = {2, 4, std::nan(""), 4, 4, 5, 5, 7, 9};
        const train::Spread spread = train::spreadOf(values);
        QCOMPARE(spread.count, std::size_t(8));
        QCOMPARE(spread.mean, 5.0);
        QVERIFY(std::abs(spread.deviation - std::sqrt(32.0 / 7)) < 1e-15);
        QCOMPARE(spread.minimum, 2.0);
        QCOMPARE(spread.maximum, 9.0);
        QVERIFY(std::isnan(train::spreadOf({}).mean));
        const double one[] = {3};
        QVERIFY(std::isnan(train::spreadOf(one).deviation));
    }

    void groupsStandInTheOrderOfTheirValues()
    {
        const std::vector<store::RunSummary> runs{run(1, 64, 0.5),      run(2, "wide", 0.1), run(3, 8, 0.7), run(4, 64.0, 0.7),
                                                  run(5, nullptr, 0.2), run(6, 8, 0.8),      run(7, 8, 0.9)};
        const auto groups = train::groupRuns(runs, "model.width");
        QCOMPARE(groups.size(), std::size_t(4));
        const std::vector<std::string> values{groups[0].value, groups[1].value, groups[2].value, groups[3].value};
        QCOMPARE(values, (std::vector<std::string>{"8", "64", "wide", "none"}));
        QCOMPARE(groups[0].runs, (std::vector<store::RunId>{3, 6, 7}));
        QCOMPARE(groups[1].runs, (std::vector<store::RunId>{1, 4}));
        QVERIFY(std::abs(groups[0].metrics.at("test/accuracy").mean - 0.8) < 1e-15);
        QVERIFY(std::abs(groups[0].metrics.at("test/accuracy").deviation - 0.1) < 1e-15);
        const std::vector<store::RunSummary> lists{run(1, {64, 8}, 0), run(2, {8}, 0), run(3, {64}, 0)};
        const auto byList = train::groupRuns(lists, "model.width");
        QCOMPARE(byList.size(), std::size_t(3));
        QCOMPARE(byList[0].value, std::string("[8]"));
        QCOMPARE(train::groupRuns(runs, "seed").size(), std::size_t(2));
        QCOMPARE(train::groupRuns(runs, "nothing").size(), std::size_t(1));
    }

    void aMeanCurveInterpolatesWhatIsSampledElsewhere()
    {
        const std::vector<store::MetricSeries> curves{curve({{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}}), curve({{0, 3}, {2, 7}, {3, std::nan("")}})};
        const auto mean = train::meanCurve(curves);
        QCOMPARE(mean.steps, (std::vector<double>{0, 1, 2, 3, 4}));
        QCOMPARE(mean.mean, (std::vector<double>{2, 3.5, 5, 4, 5}));
        QCOMPARE(mean.counts, (std::vector<std::size_t>{2, 2, 2, 1, 1}));
        QVERIFY(std::abs(mean.deviation[1] - 1.5 * std::sqrt(2.0)) < 1e-15);
        QCOMPARE(mean.deviation[4], 0.0);
        QVERIFY(train::meanCurve({}).steps.empty());
    }

    void aLeaderboardIsTheOrderingOfSql()
    {
        const QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto a = finished(*workspace, "a", "digits", "h1", {0.1, 0.9}), b = finished(*workspace, "b", "digits", "h1", {0.95}),
                   c = finished(*workspace, "c", "digits", "h1", {std::nan("")}), d = finished(*workspace, "d", "iris", "h2", {0.9}),
                   e = finished(*workspace, "e", "digits", "h1", {0.9}), other = finished(*workspace, "f", "digits", "h3", {0.2});
        train::LeaderboardOptions options;
        auto boards = train::leaderboards(*workspace, options);
        QCOMPARE(boards.size(), std::size_t(3));
        const auto ids = [](const train::Leaderboard& board) {
            std::vector<store::RunId> out;
            for (const auto& entry : board.entries)
                out.push_back(entry.run.id);
            return out;
        };
        // SQL's own ordering of the same runs.
        store::RunQuery query;
        query.orderBy = "test/accuracy";
        query.descending = true;
        std::vector<store::RunId> sql;
        for (const auto& found : workspace->runs(query).runs)
            if (found.id != d && found.id != other)
                sql.push_back(found.id);
        QCOMPARE(ids(boards[0]), sql);
        QCOMPARE(ids(boards[0]), (std::vector<store::RunId>{b, a, e, c}));
        QCOMPARE(boards[0].entries[1].rank, std::size_t(2));
        QCOMPARE(boards[0].entries[2].rank, std::size_t(2));
        QCOMPARE(boards[0].entries[3].rank, std::size_t(4));
        QCOMPARE(ids(boards[1]), std::vector<store::RunId>{other});
        QCOMPARE(boards[2].data, std::string("iris"));
        options.lowerIsBetter = true;
        options.perData = 2;
        QCOMPARE(ids(train::leaderboards(*workspace, options)[0]), (std::vector<store::RunId>{a, e}));
        options.metric = "test/acuracy";
        try {
            train::leaderboards(*workspace, options);
            QFAIL("accepted");
        } catch (const core::InputError& error) {
            QCOMPARE(std::string(error.what()),
                     std::string("leaderboard: no run has the metric \"test/acuracy\"; did you mean \"test/accuracy\"?; there are test/accuracy"));
        }
        QVERIFY(train::isLowerBetter("val/loss") && train::isLowerBetter("test/rmse") && !train::isLowerBetter("test/psnr"));
    }

    void aRepetitionOnTheSameMachineIsBitIdentical()
    {
        const QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        jobs::DirectContext context;
        const auto first = train::createRun(*workspace, train::resolveExperiment(test::smallDigits()));
        train::trainRun(workspace, first, context);
        const auto again = train::createRepetition(*workspace, first);
        QCOMPARE(workspace->run(again).parent, std::optional<store::RunId>(first));
        QCOMPARE(workspace->run(again).documentHash, workspace->run(first).documentHash);
        train::trainRun(workspace, again, context);
        const auto result = train::compareRepetition(*workspace, first, again);
        QVERIFY(result.isIdentical() && result.sameDocument && result.sameWeights.value());
        QVERIFY(result.metrics.size() > 4);
        QVERIFY(QString::fromStdString(result.summary()).startsWith("run 2 repeats run 1 bit for bit: "));
        train::storeReproduction(*workspace, result);
        train::storeReproduction(*workspace, result);
        const auto stored = workspace->analyses(again, train::kReproductionMethod);
        QCOMPARE(stored.size(), std::size_t(1));
        QVERIFY(stored[0].results == result.toJson());
        QVERIFY(stored[0].results.at("identical") == true);
    }

    void anotherSeedIsToldMetricByMetric()
    {
        const QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        jobs::DirectContext context;
        Json document = test::smallDigits();
        const auto first = train::createRun(*workspace, train::resolveExperiment(document));
        document["seed"] = 8;
        const auto second = train::createRun(*workspace, train::resolveExperiment(document));
        QVERIFY(workspace->run(first).documentHash != workspace->run(second).documentHash);
        train::trainRun(workspace, first, context);
        train::trainRun(workspace, second, context);
        const auto result = train::compareRepetition(*workspace, first, second);
        QVERIFY(!result.isIdentical() && !result.sameDocument && !*result.sameWeights);
        const auto loss = std::find_if(result.metrics.begin(), result.metrics.end(), [](const auto& metric) { return metric.name == "train/loss"; });
        QVERIFY(loss != result.metrics.end());
        QCOMPARE(loss->firstDifference, std::optional<std::int64_t>(1));
        // By hand: the largest distance of two points of the same step.
        const auto a = workspace->metricSeries(first, "train/loss").buckets, b = workspace->metricSeries(second, "train/loss").buckets;
        double largest = 0;
        for (std::size_t i = 0; i < a.size(); ++i)
            largest = std::max(largest, std::abs(a[i].mean - b[i].mean));
        QCOMPARE(loss->largestDifference, largest);
        // The learning rate follows the same schedule.
        const auto rate = std::find_if(result.metrics.begin(), result.metrics.end(), [](const auto& metric) { return metric.name == "train/lr"; });
        QVERIFY(rate != result.metrics.end() && rate->isIdentical());
    }

    void oneDifferentPointIsFound()
    {
        const QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        std::vector<double> values(1000, 0.5);
        values[10] = std::nan("");
        const auto a = finished(*workspace, "a", "digits", "h", values);
        values[700] = std::nextafter(0.5, 1.0);
        const auto b = finished(*workspace, "a", "digits", "h", values);
        values.pop_back();
        const auto c = finished(*workspace, "a", "digits", "h", values);
        const auto result = train::compareRepetition(*workspace, a, b);
        QCOMPARE(result.metrics[0].firstDifference, std::optional<std::int64_t>(700));
        QCOMPARE(result.metrics[0].largestDifference, std::nextafter(0.5, 1.0) - 0.5);
        QVERIFY(!train::compareRepetition(*workspace, b, c).isIdentical());
        QVERIFY(train::compareRepetition(*workspace, b, b).isIdentical());
    }
};

QTEST_APPLESS_MAIN(RunComparisonTest)
#include "run_comparison_test.moc"
