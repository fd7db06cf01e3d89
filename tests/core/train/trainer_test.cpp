// Training: repeatable, resumable to the last bit, and clear about what goes wrong.
#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <QTest>
#include <cmath>

#include <core/base/rng.h>

#include "training_fixture.h"

using namespace orrery;
using core::Json;
using test::MemorySink;

namespace {

struct Trained {
    train::TrainResult result;
    MemorySink sink;
};

Trained train_(const train::Experiment& experiment)
{
    Trained out;
    jobs::DirectContext context;
    out.result = train::trainExperiment(experiment, context, out.sink);
    return out;
}

/// Trains, killed at each of the calls in turn, resumed from what is then stored.
Trained trainInPieces(const train::Experiment& experiment, const std::vector<std::int64_t>& kills)
{
    Trained out;
    for (std::size_t i = 0;; ++i) {
        jobs::DirectContext context;
        train::TrainOptions options;
        options.resume = out.sink.checkpoint();
        out.sink.dropAfter(options.resume ? options.resume->step : 0);
        out.sink.calls = 0;
        out.sink.killAtCall = i < kills.size() ? kills[i] : -1;
        try {
            out.result = train::trainExperiment(experiment, context, out.sink, options);
            return out;
        } catch (const MemorySink::Killed&) {
        }
    }
}

Json withChanges(const std::vector<std::string>& changes)
{
    Json document = test::smallDigits();
    for (const std::string& change : changes)
        core::setByPath(document, change);
    return document;
}

}  // namespace

class TrainerTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void sameDocumentGivesTheSameBits()
    {
        const auto experiment = train::resolveExperiment(test::smallDigits());
        const Trained first = train_(experiment), second = train_(train::resolveExperiment(experiment.document));
        QVERIFY(test::sameWeights(first.result.model.weights, second.result.model.weights));
        QVERIFY(first.sink.metrics == second.sink.metrics);
        const Trained other = train_(train::resolveExperiment(withChanges({"seed=8"})));
        QVERIFY(!test::sameWeights(first.result.model.weights, other.result.model.weights));
    }

    void killedAndResumedEndsWithTheSameBits_data()
    {
        QTest::addColumn<QString>("changes");
        QTest::newRow("adamw, ema, batch norm, dropout, augmentation") << "";
        QTest::newRow("sgd with momentum, accumulation") << "train.optimizer={\"id\": \"sgd\", \"lr\": 0.05, \"momentum\": 0.9} train.accumulate=3";
        QTest::newRow("rmsprop, cosine, warm-up, last weights")
            << "train.optimizer=rmsprop train.schedule=cosine train.warmup=3 train.checkpoint.use=last train.ema_decay=null";
        QTest::newRow("float64") << "train.dtype=float64";
    }
    void killedAndResumedEndsWithTheSameBits()
    {
        QFETCH(QString, changes);
        Json document = test::smallDigits();
        // Settings are separated by " train."; JSON values may hold spaces.
        for (const QString& part : changes.split(" train.", Qt::SkipEmptyParts))
            core::setByPath(document, ((part.startsWith("train.") ? "" : "train.") + part).toStdString());
        const auto experiment = train::resolveExperiment(document);
        const Trained whole = train_(experiment);
        core::SplitMix64 random(11);
        std::vector<std::int64_t> kills;
        for (int i = 0; i < 12; ++i)
            kills.push_back(1 + std::int64_t(random.below(40)));
        const Trained pieces = trainInPieces(experiment, kills);
        QVERIFY(test::sameWeights(whole.result.model.weights, pieces.result.model.weights));
        QCOMPARE(pieces.result.bestStep, whole.result.bestStep);
        QVERIFY(whole.sink.metrics == pieces.sink.metrics);
        QVERIFY(whole.sink.artifacts == pieces.sink.artifacts);
    }

    void cancelSavesTheLastWholeStep()
    {
        const auto experiment = train::resolveExperiment(test::smallDigits());
        std::stop_source stop;
        jobs::DirectContext context(stop.get_token());
        context.onProgress = [&](const jobs::Progress& progress) {
            if (progress.done == 6)
                stop.request_stop();
        };
        MemorySink sink;
        bool cancelled = false;
        try {
            train::trainExperiment(experiment, context, sink);
        } catch (const core::Cancelled&) {
            cancelled = true;
        }
        QVERIFY(cancelled);
        QCOMPARE(sink.checkpoint()->step, 6);
        jobs::DirectContext again;
        train::TrainOptions options;
        options.resume = sink.checkpoint();
        const auto resumed = train::trainExperiment(experiment, again, sink, options);
        QVERIFY(test::sameWeights(resumed.model.weights, train_(experiment).result.model.weights));
    }

    void leavesMetricsConfusionAndPredictions()
    {
        const auto experiment = train::resolveExperiment(test::smallDigits());
        const Trained trained = train_(experiment);
        const auto length = train::trainLength(experiment.document, *experiment.data);
        QCOMPARE(std::int64_t(trained.sink.metrics.at("train/loss").size()), length.steps);
        QCOMPARE(trained.sink.metrics.at("train/loss").front().step, 1);
        QCOMPARE(trained.sink.metrics.at("val/accuracy").back().step, length.steps);
        const auto test = std::int64_t(experiment.data->split(data::Split::Test).size());
        const Json confusion = Json::parse(trained.sink.artifacts.at("confusion_matrix"));
        std::int64_t total = 0, diagonal = 0;
        for (int i = 0; i < 10; ++i)
            for (int j = 0; j < 10; ++j) {
                total += confusion["counts"][i][j].get<std::int64_t>();
                diagonal += i == j ? confusion["counts"][i][j].get<std::int64_t>() : 0;
            }
        QCOMPARE(total, test);
        QVERIFY(confusion["split"] == Json("test"));
        QCOMPARE(confusion["classes"].size(), std::size_t(10));
        QVERIFY(std::abs(double(diagonal) / double(total) - trained.result.metrics.at("test/accuracy")) < 1e-12);
        const Json predictions = Json::parse(trained.sink.artifacts.at("predictions"));
        QCOMPARE(std::int64_t(predictions["samples"].size()), test);
        std::int64_t right = 0;
        for (std::size_t i = 0; i < predictions["samples"].size(); ++i) {
            right += predictions["targets"][i] == predictions["predicted"][i];
            QVERIFY(predictions["confidence"][i] > 0.09 && predictions["confidence"][i] <= 1.0);
        }
        QCOMPARE(right, diagonal);
    }

    void keepsTheLastCheckpointsOnly()
    {
        const Trained trained = train_(train::resolveExperiment(withChanges({"train.checkpoint.keep=3", "train.checkpoint.every=2"})));
        int checkpoints = 0;
        for (const auto& [name, content] : trained.sink.artifacts)
            checkpoints += name.starts_with("checkpoint@");
        QCOMPARE(checkpoints, 3);
    }

    void bestWeightsAreThoseOfTheBestEvaluation()
    {
        // A learning rate far too high at the end: the last weights are not the best ones.
        const Trained trained = train_(train::resolveExperiment(withChanges({"train.checkpoint.best=val/accuracy"})));
        double best = -1;
        std::int64_t step = -1;
        for (const auto& point : trained.sink.metrics.at("val/accuracy"))
            if (point.value > best) {
                best = point.value;
                step = point.step;
            }
        QCOMPARE(trained.result.bestStep, step);
    }

    void accumulationEqualsALargeBatch()
    {
        // Without batch norm, dropout and augmentation 2 batches of 16 are one of 32, up to rounding.
        const std::vector<std::string> plain{"model={\"id\": \"lenet\", \"maps\": [4], \"kernel\": 3, \"padding\": 1, \"hidden\": []}",
                                             "data={\"id\": \"digits\", \"limit\": 300}",
                                             "train.epochs=null",
                                             "train.steps=5",
                                             "train.dtype=float64",
                                             "train.optimizer={\"id\": \"sgd\", \"lr\": 0.1}",
                                             "train.checkpoint.use=last",
                                             "train.schedule=constant"};
        auto large = plain, small = plain;
        large.push_back("train.batch_size=32");
        small.push_back("train.batch_size=16");
        small.push_back("train.accumulate=2");
        const auto a = train_(train::resolveExperiment(withChanges(large))).result.model.weights,
                   b = train_(train::resolveExperiment(withChanges(small))).result.model.weights;
        for (const auto& [name, tensor] : a.tensors())
            QVERIFY2(at::allclose(tensor, b.at(name), 1e-9, 1e-12), name.c_str());
    }

    void nanInTheForwardPassNamesTheNode()
    {
        // An enormous learning rate blows the weights up; the first value that is not finite is named.
        const auto experiment = train::resolveExperiment(withChanges(
            {"train.optimizer={\"id\": \"sgd\", \"lr\": 1e30}", "train.clip_norm=null", "train.schedule=constant", "model.batch_norm=false"}));
        try {
            train_(experiment);
            QFAIL("expected a NonFiniteError");
        } catch (const train::NonFiniteError& error) {
            QVERIFY2(error.step() >= 2 && error.step() <= 3, error.what());
            QVERIFY2(QString(error.what())
                         .startsWith(QString("training stopped at step %1: loss or gradients are not finite; the first value that is not is \"")
                                         .arg(error.step())),
                     error.what());
            QVERIFY2(!error.node().empty() && error.node() != "loss", error.what());
        }
    }

    void infiniteWeightsAreNamed()
    {
        auto experiment = train::resolveExperiment(test::smallDigits());
        MemorySink sink;
        sink.killAtCall = 30;
        jobs::DirectContext context;
        try {
            train::trainExperiment(experiment, context, sink);
        } catch (const MemorySink::Killed&) {
        }
        train::TrainOptions options;
        options.resume = sink.checkpoint();
        at::Tensor(options.resume->weights.at("fc1.weight"))[0][0] = NAN;
        try {
            train::trainExperiment(experiment, context, sink, options);
            QFAIL("expected a NonFiniteError");
        } catch (const train::NonFiniteError& error) {
            QCOMPARE(QString::fromStdString(error.node()), QString("weights of fc1.weight"));
        }
    }

    void publishesSnapshotsThatNobodyChanges()
    {
        const auto experiment = train::resolveExperiment(test::smallDigits());
        std::vector<std::shared_ptr<const train::Snapshot>> snapshots;
        std::vector<graph::Weights> copies;
        jobs::DirectContext context;
        context.onPartial = [&](std::shared_ptr<const void> value) {
            snapshots.push_back(std::static_pointer_cast<const train::Snapshot>(value));
            copies.push_back(snapshots.back()->weights.clone());
        };
        MemorySink sink;
        train::TrainOptions options;
        options.snapshotSeconds = 0;
        train::trainExperiment(experiment, context, sink, options);
        QVERIFY(snapshots.size() > 5);
        for (std::size_t i = 0; i < snapshots.size(); ++i)
            QVERIFY(test::sameWeights(snapshots[i]->weights, copies[i]));
        QVERIFY(!test::sameWeights(copies.front(), copies.back()));
    }

    void refusesACheckpointOfAnotherDocument()
    {
        const Trained trained = train_(train::resolveExperiment(test::smallDigits()));
        jobs::DirectContext context;
        MemorySink sink;
        train::TrainOptions options;
        options.resume = trained.sink.checkpoint();
        QCOMPARE(test::errorOf([&] { train::trainExperiment(train::resolveExperiment(withChanges({"seed=8"})), context, sink, options); }),
                 QString("expected a checkpoint of this experiment, got one of another document"));
    }

    void damagedCheckpointsAreRefused()
    {
        const Trained trained = train_(train::resolveExperiment(test::smallDigits()));
        for (const auto& [name, content] : trained.sink.artifacts)
            if (name.starts_with("checkpoint@")) {
                QVERIFY_THROWS_EXCEPTION(core::FormatError, train::readCheckpoint(std::string_view(content).substr(0, content.size() / 2), "cut"));
                QVERIFY_THROWS_EXCEPTION(core::FormatError, train::readCheckpoint("no checkpoint", "text"));
            }
        QVERIFY_THROWS_EXCEPTION(core::FormatError, train::readCheckpoint(trained.sink.artifacts.at("final weights"), "final weights"));
    }

    void batchLargerThanTheDataIsRefused()
    {
        const QString error = test::errorOf([] { train_(train::resolveExperiment(withChanges({"train.batch_size=5000"}))); });
        QVERIFY2(error.contains("5000"), qPrintable(error));
    }

    void missingDevicesAreNamed()
    {
        if (at::globalContext().hasCUDA())
            QSKIP("this machine has a CUDA device");
        QCOMPARE(test::errorOf([] { train_(train::resolveExperiment(withChanges({"train.device=cuda:1"}))); }),
                 QString("train.device: expected a device of this machine, got \"cuda:1\": there is no CUDA here"));
    }

    void regressionTrains()
    {
        // y = 2 a - b + 1 from a table of numbers.
        QTemporaryDir folder;
        QFile file(folder.filePath("line.csv"));
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write("a,b,y\n");
        core::SplitMix64 random(3);
        for (int i = 0; i < 200; ++i) {
            const double a = random.uniform(), b = random.uniform();
            file.write(QString("%1,%2,%3\n").arg(a).arg(b).arg(2 * a - b + 1).toUtf8());
        }
        file.close();
        const auto experiment = train::resolveExperiment(
            Json::parse(
                R"({"model": {"id": "mlp", "hidden": []}, "data": {"id": "csv", "path": "line.csv"}, "train": {"epochs": 60, "optimizer": {"id": "adam", "lr": 0.05}, "schedule": "cosine"}})"),
            folder.path().toStdString());
        QVERIFY(experiment.document["train"]["loss"]["id"] == Json("mse"));
        const Trained trained = train_(experiment);
        QVERIFY2(trained.result.metrics.at("test/r2") > 0.999, qPrintable(QString::number(trained.result.metrics.at("test/r2"))));
        QVERIFY(trained.result.metrics.at("test/rmse") < 0.02);
    }
};

QTEST_APPLESS_MAIN(TrainerTest)
#include "trainer_test.moc"
