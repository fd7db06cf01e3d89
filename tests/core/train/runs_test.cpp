// Training runs in a workspace: stored, broken off, resumed, opened.
#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <QTest>

#include <core/base/files.h>
#include <core/jobs/queue.h>
#include <core/models/model_file.h>
#include <core/train/runs.h>

#include "training_fixture.h"

using namespace orrery;
using core::Json;

namespace {

/// Stops after so many steps.
struct StoppingContext : jobs::DirectContext {
    explicit StoppingContext(double steps, std::stop_source source = {}) : jobs::DirectContext(source.get_token())
    {
        onProgress = [steps, source](const jobs::Progress& progress) mutable {
            if (progress.done >= steps)
                source.request_stop();
        };
    }
};

std::string finalWeights(const store::Workspace& workspace, store::RunId run)
{
    return workspace.findArtifact(run, train::kFinalWeights)->hash;
}

}  // namespace

class RunsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void runIsStoredWithEverythingToRunItAgain()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto experiment = train::resolveExperiment(test::smallDigits());
        const auto run = train::createRun(*workspace, experiment);
        jobs::DirectContext context;
        const auto result = train::trainRun(workspace, run, context);
        const auto record = workspace->run(run);
        QCOMPARE(record.status, store::RunStatus::Finished);
        QCOMPARE(record.seed, std::uint64_t(7));
        QVERIFY(record.document == experiment.document);
        QCOMPARE(record.environment.at("threads").get<int>(), 1);
        QCOMPARE(record.lastMetrics.at("test/accuracy"), result.metrics.at("test/accuracy"));
        // Run again: the same bits.
        const auto again = train::createRun(*workspace, train::experimentOfRun(*workspace, run), run);
        train::trainRun(workspace, again, context);
        QCOMPARE(finalWeights(*workspace, again), finalWeights(*workspace, run));
        QVERIFY(workspace->run(again).lastMetrics == record.lastMetrics);
    }

    void aPausedRunSaysSoInTheStore()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        auto document = test::smallDigits();
        document["train"].erase("epochs");
        document["train"]["steps"] = 100000;
        const auto run = train::createRun(*workspace, train::resolveExperiment(document));
        jobs::Queue queue(1);
        jobs::JobSpec spec;
        spec.title = "train";
        spec.function = [&](jobs::Context& context) { return std::any(train::trainRun(workspace, run, context).steps); };
        const auto job = queue.submit(std::move(spec));
        QTRY_COMPARE_WITH_TIMEOUT(workspace->run(run).status, store::RunStatus::Running, 30000);
        job.pause();
        QTRY_COMPARE_WITH_TIMEOUT(workspace->run(run).status, store::RunStatus::Paused, 30000);
        job.resume();
        QTRY_COMPARE_WITH_TIMEOUT(workspace->run(run).status, store::RunStatus::Running, 30000);
        job.pause();
        QTRY_COMPARE_WITH_TIMEOUT(workspace->run(run).status, store::RunStatus::Paused, 30000);
        job.cancel();
        QVERIFY(job.wait() == jobs::JobStatus::Cancelled);
        QCOMPARE(workspace->run(run).status, store::RunStatus::Cancelled);
    }

    void cancelledRunGoesOnToTheSameEnd()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto experiment = train::resolveExperiment(test::smallDigits());
        const auto whole = train::createRun(*workspace, experiment), pieces = train::createRun(*workspace, experiment);
        jobs::DirectContext context;
        train::trainRun(workspace, whole, context);
        for (const double steps : {3.0, 7.0, 8.0, 15.0}) {
            StoppingContext stopping(steps);
            QVERIFY_THROWS_EXCEPTION(core::Cancelled, train::trainRun(workspace, pieces, stopping));
            QCOMPARE(workspace->run(pieces).status, store::RunStatus::Cancelled);
        }
        train::trainRun(workspace, pieces, context);
        QCOMPARE(finalWeights(*workspace, pieces), finalWeights(*workspace, whole));
        for (const char* metric : {"train/loss", "val/accuracy", "test/accuracy"}) {
            const auto a = workspace->metricSeries(whole, metric), b = workspace->metricSeries(pieces, metric);
            QCOMPARE(b.buckets.size(), a.buckets.size());
            for (std::size_t i = 0; i < a.buckets.size(); ++i) {
                QCOMPARE(b.buckets[i].firstStep, a.buckets[i].firstStep);
                QCOMPARE(b.buckets[i].mean, a.buckets[i].mean);
            }
        }
        QCOMPARE(test::errorOf([&] { train::trainRun(workspace, pieces, context); }),
                 QString("run %1 has finished: expected a run that can go on").arg(pieces));
    }

    void failedRunKeepsItsMessage()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        Json document = test::smallDigits();
        core::setByPath(document, "train.batch_size=5000");
        const auto run = train::createRun(*workspace, train::resolveExperiment(document));
        jobs::DirectContext context;
        const QString error = test::errorOf([&] { train::trainRun(workspace, run, context); });
        QCOMPARE(workspace->run(run).status, store::RunStatus::Failed);
        QCOMPARE(QString::fromStdString(workspace->run(run).error), error);
    }

    void damagedCheckpointFallsBackToTheOneBefore()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto experiment = train::resolveExperiment(test::smallDigits());
        const auto run = train::createRun(*workspace, experiment), whole = train::createRun(*workspace, experiment);
        StoppingContext stopping(9);
        QVERIFY_THROWS_EXCEPTION(core::Cancelled, train::trainRun(workspace, run, stopping));
        const auto last = train::lastCheckpoint(*workspace, run);
        QCOMPARE(last->step, 9);
        const auto path = workspace->artifactPath(*workspace->findArtifact(run, train::checkpointName(9)));
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        std::filesystem::resize_file(path, 100);
        QCOMPARE(train::lastCheckpoint(*workspace, run)->step, 8);
        jobs::DirectContext context;
        train::trainRun(workspace, run, context);
        train::trainRun(workspace, whole, context);
        QCOMPARE(finalWeights(*workspace, run), finalWeights(*workspace, whole));
    }

    void runsOpenAsModels()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto experiment = train::resolveExperiment(test::smallDigits());
        const auto run = train::createRun(*workspace, experiment);
        QVERIFY(test::errorOf([&] { train::modelOfRun(*workspace, run); }).contains("(none yet)"));
        jobs::DirectContext context;
        const auto result = train::trainRun(workspace, run, context);
        const auto model = train::modelOfRun(*workspace, run);
        QVERIFY(test::sameWeights(model.weights, result.model.weights));
        QCOMPARE(model.card.classNames.size(), std::size_t(10));
        const auto evaluation = train::evaluateModel(model, *experiment.data, data::Split::Test);
        QVERIFY(std::abs(evaluation.value("accuracy") - result.metrics.at("test/accuracy")) < 1e-12);
        const std::int64_t step = train::lastCheckpoint(*workspace, run)->step;
        QCOMPARE(QString::fromStdString(train::modelOfRun(*workspace, run, step).origin), QString("run:%1@%2").arg(run).arg(step));
        QVERIFY(test::errorOf([&] { train::modelOfRun(*workspace, run, 1); }).contains("has no weights of step 1: expected one of the steps "));
    }

    void goesOnFromTheWeightsOfAnotherRun()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto first = train::createRun(*workspace, train::resolveExperiment(test::smallDigits()));
        jobs::DirectContext context;
        train::trainRun(workspace, first, context);
        Json document = test::smallDigits();
        document["model"] = "run:" + std::to_string(first);
        core::setByPath(document, "train.optimizer.lr=1e-12");
        core::setByPath(document, "train.optimizer.weight_decay=0");
        const auto second = train::createRun(*workspace, train::resolveExperiment(document), first);
        train::trainRun(workspace, second, context);
        const auto before = train::modelOfRun(*workspace, first), after = train::modelOfRunReference(*workspace, std::to_string(second));
        QVERIFY(at::allclose(before.weights.at("fc1.weight"), after.weights.at("fc1.weight"), 0, 1e-7));
        QCOMPARE(test::errorOf([&] { train::modelOfRunReference(*workspace, "3x"); }),
                 QString("expected run:ID or run:ID@STEP with whole numbers, got \"run:3x\""));
    }

    void trainsAsAJobOfTheQueue()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto run = train::createRun(*workspace, train::resolveExperiment(test::smallDigits()));
        jobs::Queue queue(2);
        const jobs::Job job = queue.submit(train::trainJob(workspace, run, 1));
        QCOMPARE(job.wait(), jobs::JobStatus::Finished);
        const auto result = std::any_cast<train::TrainResult>(job.result());
        QVERIFY(test::sameWeights(train::modelOfRun(*workspace, run).weights, result.model.weights));
        QCOMPARE(job.snapshot().progress.unit, std::string("steps"));
        // A job of another thread ends with the same bits.
        const auto again = train::createRun(*workspace, train::experimentOfRun(*workspace, run));
        jobs::DirectContext context;
        train::trainRun(workspace, again, context);
        QCOMPARE(finalWeights(*workspace, again), finalWeights(*workspace, run));
    }
};

QTEST_APPLESS_MAIN(RunsTest)
#include "runs_test.moc"
