#include <QTemporaryDir>
#include <QTest>

#include <core/base/files.h>
#include <core/catalogue.h>
#include <core/jobs/process_engine.h>
#include <core/search/sweep_runner.h>
#include <core/train/runs.h>

#include "../message_of.h"
#include "search_fixture.h"

using namespace orrery;
using core::Json;

namespace {

/// A workspace with one sweep in it.
struct Bench {
    explicit Bench(const Json& document) : workspace(store::Workspace::open(folder.path().toStdString()))
    {
        id = search::addSweep(*workspace, search::resolveSweep(document), 1);
    }
    search::SweepOutcome run(search::SweepOptions options = {}, std::stop_token stop = {})
    {
        jobs::DirectContext context(stop, 1);
        context.onProgress = [this](const jobs::Progress& progress) { last = progress; };
        return search::runSweep(workspace, search::storedSweep(*workspace, id), context, options);
    }
    /// Of each trial: the document without its data's hash, which decides what is trained.
    std::vector<Json> documents() const
    {
        std::vector<Json> all;
        for (const auto& [trial, run] : search::trialRuns(*workspace, id, {}))
            all.push_back(workspace->run(run.id).document);
        return all;
    }
    std::vector<double> values(const search::SweepOutcome& outcome) const
    {
        std::vector<double> all;
        for (const auto& trial : outcome.trials)
            all.push_back(trial.value.value_or(std::nan("")));
        return all;
    }

    QTemporaryDir folder;
    std::shared_ptr<store::Workspace> workspace;
    search::SweepId id = 0;
    jobs::Progress last;
};

Json halvingSweep()
{
    Json document = test::smallSweep();
    document["train"]["steps"] = 16;
    document["sweep"]["sampler"] = {{"id", "successive_halving"}, {"eta", 2}};
    document["sweep"]["parameters"] = {{"train.optimizer.lr", {{"range", {0.01, 0.5}}, {"log", true}}}};
    document["sweep"]["trials"] = 8;
    return document;
}

}  // namespace

class SweepRunnerTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }

    void eachTrialIsTheTrainingOfItsDocument()
    {
        Bench bench(test::smallSweep());
        const auto outcome = bench.run();
        QCOMPARE(outcome.trials.size(), std::size_t(4));
        QCOMPARE(bench.last.done, 4.0);
        QCOMPARE(bench.last.total, 4.0);
        double best = INFINITY;
        for (const auto& trial : outcome.trials) {
            QVERIFY(trial.status == search::TrialStatus::Finished);
            const auto record = bench.workspace->run(*trial.run);
            QCOMPARE(record.tags, (std::vector<std::string>{"sweep:1", "test", "trial:" + std::to_string(trial.trial)}));
            QVERIFY(record.document["train"]["optimizer"]["lr"] == trial.parameters["train.optimizer.lr"]);
            QCOMPARE(*trial.value, record.lastMetrics.at("val/loss"));
            best = std::min(best, *trial.value);
            // The same document trained by itself gives the same value.
            const auto alone = train::createRun(*bench.workspace, train::resolveExperiment(record.document));
            jobs::DirectContext context({}, 1);
            train::trainRun(bench.workspace, alone, context);
            QCOMPARE(bench.workspace->run(alone).lastMetrics.at("val/loss"), *trial.value);
            bench.workspace->deleteRuns(std::vector{alone});
        }
        QCOMPARE(*outcome.trials[*outcome.best].value, best);
        // What is done is not done again, and reads the same from the store.
        const auto again = bench.run();
        QCOMPARE(bench.values(again), bench.values(outcome));
        QCOMPARE(bench.values(search::sweepOutcome(*bench.workspace, search::storedSweep(*bench.workspace, bench.id))), bench.values(outcome));
        QCOMPARE(bench.workspace->runs().matching, std::size_t(4));
    }

    void sideBySideAndInProcessesTheResultsAreTheSame()
    {
        Json document = test::smallSweep();
        document["sweep"]["sampler"] = {{"id", "tpe"}, {"startup", 2}};
        Bench one(document), two(document), processes(document);
        const auto alone = one.run();
        search::SweepOptions options;
        options.jobs = 2;
        QCOMPARE(two.values(two.run(options)), one.values(alone));
        QCOMPARE(two.documents(), one.documents());
        options.engine = jobs::makeEngine({"process", processes.workspace->folder(), 0});
        QCOMPARE(processes.values(processes.run(options)), one.values(alone));
        QCOMPARE(processes.documents(), one.documents());
    }

    void aStoppedSweepGoesOnToTheSameEnd()
    {
        Bench whole(halvingSweep()), broken(halvingSweep());
        const auto expected = whole.run();
        std::stop_source stop;
        search::SweepOptions options;
        int ended = 0;
        options.ended = [&](const search::Trial&) {
            if (++ended == 10)  // in the second rung
                stop.request_stop();
        };
        bool isCancelled = false;
        try {
            broken.run(options, stop.get_token());
        } catch (const core::Cancelled&) {
            isCancelled = true;
        }
        QVERIFY(isCancelled);
        const auto outcome = broken.run();
        QCOMPARE(broken.values(outcome), whole.values(expected));
        QCOMPARE(broken.documents(), whole.documents());
        QCOMPARE(outcome.best, expected.best);
    }

    void halvingKeepsTheBestOfEachRungAndResumesThem()
    {
        Bench bench(halvingSweep());
        const auto outcome = bench.run();
        // 8 trials to 2 steps, 4 to 4, 2 to 8, 1 to 16: by what the store holds.
        std::map<std::int64_t, int> lengths;
        for (const auto& trial : outcome.trials) {
            const auto steps = train::checkpointSteps(*bench.workspace, *trial.run);
            ++lengths[steps.back()];
            // The learning rates of a trial stopped early are recorded step by step without a gap or a repetition.
            QCOMPARE(bench.workspace->metricSeries(*trial.run, "train/loss").points, steps.back());
        }
        QCOMPARE(lengths, (std::map<std::int64_t, int>{{2, 4}, {4, 2}, {8, 1}, {16, 1}}));
        // In each rung those that went on were not worse than those that stayed.
        for (const std::int64_t end : {2, 4, 8}) {
            double worstOn = -INFINITY, bestOff = INFINITY;
            for (const auto& trial : outcome.trials) {
                const auto last = train::checkpointSteps(*bench.workspace, *trial.run).back();
                const auto series = bench.workspace->metricSeries(*trial.run, "val/loss", 0, end);
                if (last < end)
                    continue;
                (last > end ? worstOn : bestOff) =
                    last > end ? std::max(worstOn, series.buckets.back().mean) : std::min(bestOff, series.buckets.back().mean);
            }
            QVERIFY2(worstOn <= bestOff, std::to_string(end).c_str());
        }
        // A training that was stopped and gone on with three times is the training in one piece.
        const auto& best = outcome.trials[*outcome.best];
        QVERIFY(best.status == search::TrialStatus::Finished);
        const auto alone = train::createRun(*bench.workspace, train::resolveExperiment(bench.workspace->run(*best.run).document));
        jobs::DirectContext context({}, 1);
        train::trainRun(bench.workspace, alone, context);
        QCOMPARE(bench.workspace->findArtifact(alone, train::kFinalWeights)->hash,
                 bench.workspace->findArtifact(*best.run, train::kFinalWeights)->hash);
        for (const auto& trial : outcome.trials)
            QVERIFY(trial.status == (trial.trial == best.trial ? search::TrialStatus::Finished : search::TrialStatus::Stopped));
    }

    void aFailedTrialIsWorstAndTheSweepGoesOn()
    {
        Json document = test::smallSweep();
        // A learning rate with which the statistics of batch norm overflow.
        document["model"]["batch_norm"] = true;
        document["train"].erase("steps");
        document["train"]["epochs"] = 2;
        document["train"]["evaluate_every"] = 1;
        document["train"]["clip_norm"] = nullptr;
        document["sweep"]["sampler"] = "grid";
        document["sweep"]["trials"] = nullptr;
        document["sweep"]["parameters"] = {{"train.optimizer.lr", {{"choices", {1e38, 0.1}}}}};
        Bench bench(document);
        std::vector<std::string> told;
        search::SweepOptions options;
        options.ended = [&](const search::Trial& trial) { told.push_back(trial.message); };
        const auto outcome = bench.run(options);
        QCOMPARE(outcome.trials.size(), std::size_t(2));
        QCOMPARE(outcome.failed, std::size_t(1));
        QVERIFY(outcome.trials[0].status == search::TrialStatus::Failed && !outcome.trials[0].message.empty());
        QCOMPARE(*outcome.best, std::size_t(1));
        QCOMPARE(told.size(), std::size_t(2));
        QVERIFY2(told[0].find("step") != std::string::npos, told[0].c_str());
        // It stays failed, and is tried again only when asked for.
        QCOMPARE(bench.run().failed, std::size_t(1));
        options.retriesFailed = true;
        QCOMPARE(bench.run(options).failed, std::size_t(1));
    }

    void settingsThatContradictEachOtherFailTheirTrialAlone()
    {
        Json document = test::smallSweep();
        document["sweep"]["sampler"] = "grid";
        document["sweep"]["trials"] = nullptr;
        // lenet takes pictures, the table network does not.
        document["sweep"]["parameters"] = {
            {"model", {{"choices", {Json{{"id", "lenet"}, {"maps", {2, 4}}, {"hidden", {8}}, {"kernel", 3}, {"padding", 1}}, Json{{"id", "gpt"}}}}}}};
        Bench bench(document);
        const auto outcome = bench.run();
        QCOMPARE(outcome.failed, std::size_t(1));
        QVERIFY(!outcome.trials[1].run);
        QVERIFY2(outcome.trials[1].message.find("model") != std::string::npos, outcome.trials[1].message.c_str());
    }

    void faultsAreSaid()
    {
        Bench bench(test::smallSweep());
        QVERIFY(saidBy([&] { search::storedSweep(*bench.workspace, 99); }).contains("there is no sweep 99"));
        // A run that another process works on is not touched.
        const auto other = store::Workspace::open(bench.folder.path().toStdString());
        const auto stored = search::storedSweep(*bench.workspace, bench.id);
        const auto experiment = train::resolveExperiment(search::experimentAt(stored.sweep, stored.sweep.sampler->place(0, {})));
        const auto run = search::addTrialRun(*other, bench.id, 0, experiment);
        other->startRun(run);
        QVERIFY(saidBy([&] { bench.run(); }).contains("is being worked on"));
        other->setStatus(run, store::RunStatus::Cancelled);
        QCOMPARE(bench.run().failed, std::size_t(0));
    }

    /// The data is gone after the first trial was looked at: what is finished needs it no more.
    void finishedTrialsAreNotResolvedAgain()
    {
        QTemporaryDir folder;
        const std::string file = (folder.path() + "/t.csv").toStdString();
        std::string table = "a,b,class\n";
        for (int i = 0; i < 80; ++i)
            table += std::to_string(i % 7) + "," + std::to_string(i % 5) + "," + (i % 7 > 3 ? "x" : "y") + "\n";
        core::writeFileAtomically(file, table);
        Json document = test::smallSweep();
        document["model"] = {{"id", "mlp"}, {"hidden", {4}}};
        document["data"] = {{"id", "csv"}, {"path", file}};
        Bench bench(document);
        const auto first = bench.run();
        QCOMPARE(first.failed, std::size_t(0));
        search::SweepOptions options;
        int ended = 0;
        options.ended = [&](const search::Trial&) {
            if (++ended == 1)
                std::filesystem::remove(file);
        };
        const auto again = bench.run(options);
        QCOMPARE(ended, 4);
        QCOMPARE(bench.values(again), bench.values(first));
    }

    void runsOfAnotherSweepWithTheSameTagsAreLeftAlone()
    {
        Bench bench(test::smallSweep());
        const auto stored = search::storedSweep(*bench.workspace, bench.id);
        auto foreign = train::resolveExperiment(search::experimentAt(stored.sweep, stored.sweep.sampler->place(0, {})));
        foreign.document["train"]["warmup"] = 3;
        const auto run = search::addTrialRun(*bench.workspace, bench.id, 0, foreign);
        const auto outcome = bench.run();
        QVERIFY(*outcome.trials[0].run != run);
        QVERIFY(bench.workspace->findRun(run)->status == store::RunStatus::Queued);
    }
};

QTEST_GUILESS_MAIN(SweepRunnerTest)
#include "sweep_runner_test.moc"
