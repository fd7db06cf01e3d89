// What a model knows by heart: against generating token by token, and runs of three sizes that saw the same data in the same order.
#include <ATen/ATen.h>

#include <QTemporaryDir>
#include <QTest>

#include <set>

#include <core/base/hash.h>
#include <core/data/loader.h>
#include <core/intervene/generate.h>
#include <core/intervene/memorisation.h>
#include <core/train/data_order.h>
#include <core/train/runs.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"
#include "../train/training_fixture.h"

using namespace orrery;
using namespace orrery::intervene;
using core::Json;

namespace {

/// Weights so large that the predictions differ from place to place.
graph::Model lively()
{
    graph::Model model = zoo::openZoo("zoo:gpt?vocabulary=8&block_length=12&layers=2&heads=2&width=8", 5);
    const auto tensors = model.weights.tensors();
    for (const auto& [name, tensor] : tensors)
        if (tensor.dim() == 2)
            model.weights.set(name, tensor * 10);
    return model;
}

std::vector<std::int64_t> greedy(const graph::Executor& executor, const graph::Model& model, const at::Tensor& prompt, std::int64_t count)
{
    GenerationOptions options;
    options.maxNewTokens = count;
    return generate(executor, model.weights, model.card, prompt.unsqueeze(0), options).newTokens();
}

/// Sequences that begin at random and go on as the model would for `right` tokens, then otherwise.
at::Tensor halfKnown(const graph::Executor& executor, const graph::Model& model, std::int64_t count)
{
    auto generator = at::detail::createCPUGenerator(3);
    at::Tensor sequences = at::randint(0, 8, {count, 10}, generator, at::TensorOptions().dtype(at::kLong));
    for (std::int64_t i = 0; i < count; ++i) {
        const auto right = i % 7;  // of 6: 0 to 6
        const auto written = greedy(executor, model, sequences[i].slice(0, 0, 4), 6);
        for (std::int64_t k = 0; k < right; ++k)
            sequences[i][4 + k] = written[std::size_t(k)];
        if (right < 6)
            sequences[i][4 + right] = (written[std::size_t(right)] + 1) % 8;
    }
    return sequences;
}

Json document(std::int64_t layers, std::int64_t width, std::uint64_t seed = 7)
{
    return {{"name", "size"},
            {"seed", seed},
            {"model", {{"id", "gpt"}, {"layers", layers}, {"heads", 2}, {"width", width}}},
            {"data", {{"id", "repeated_sequences"}, {"vocabulary", 12}, {"length", 6}, {"samples", 120}}},
            {"train", {{"epochs", nullptr}, {"steps", 4}, {"batch_size", 16}, {"threads", 1}}}};
}

}  // namespace

class MemorisationTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void countsEqualGeneratingTokenByToken()
    {
        const graph::Model model = lively();
        const graph::Executor executor(model.graph);
        const at::Tensor sequences = halfKnown(executor, model, 40);
        const Memorisation made = memorisation({executor, model}, sequences, {4, 6});
        std::int64_t extractable = 0;
        for (std::int64_t i = 0; i < 40; ++i) {
            const auto written = greedy(executor, model, sequences[i].slice(0, 0, 4), 6);
            std::int64_t matched = 0;
            while (matched < 6 && written[std::size_t(matched)] == sequences[i][4 + matched].item<std::int64_t>())
                ++matched;
            QCOMPARE(matched, i % 7);
            QCOMPARE(made.matched[i].item<std::int64_t>(), matched);
            extractable += matched == 6;
        }
        QCOMPARE(made.extractable(), extractable);
        QCOMPARE(extractable, 5);
        QCOMPARE(made.share(), 5.0 / 40);
    }

    void lengthsAreHalvesByDefault()
    {
        const graph::Model model = lively();
        const graph::Executor executor(model.graph);
        const Memorisation made = memorisation({executor, model}, at::zeros({3, 9}, at::kLong), {});
        QCOMPARE(made.prompt, 4);
        QCOMPARE(made.continuation, 5);
    }

    void badLengthsAreNamed()
    {
        const graph::Model model = lively();
        const graph::Executor executor(model.graph);
        const auto said = [&](const at::Tensor& sequences, const MemorisationSettings& settings) {
            return saidBy([&] { memorisation({executor, model}, sequences, settings); });
        };
        const at::Tensor some = at::zeros({3, 9}, at::kLong);
        QVERIFY(said(some, {0, 2}).contains("prompt 0: expected one from 1 to 8"));
        QVERIFY(said(some, {9, {}}).contains("prompt 9"));
        QVERIFY(said(some, {4, 6}).contains("continuation 6: expected one from 1 to 5"));
        QVERIFY(said(at::zeros({0, 9}, at::kLong), {}).contains("at least one"));
        QVERIFY(said(at::zeros({2, 13}, at::kLong), {}).contains("at most 12 tokens"));
        QVERIFY(said(at::full({2, 9}, 8, at::kLong), {}).contains("from 0 to 7"));
    }

    void aStopEndsIt()
    {
        const graph::Model model = lively();
        const graph::Executor executor(model.graph);
        std::stop_source source;
        Control control;
        control.stop = source.get_token();
        control.progress = [&](double done, double, const char*) {
            if (done > 0)
                source.request_stop();
        };
        QVERIFY_EXCEPTION_THROWN(memorisation({executor, model}, at::zeros({100, 9}, at::kLong), {}, control), core::Cancelled);
    }

    void threeSizesSeeTheSameDataInTheSameOrder()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.filePath("w").toStdString(), store::OpenMode::OpenOrCreate);
        std::set<std::string> hashes, graphs;
        for (const auto& [layers, width] : {std::pair{1, 8}, {2, 16}, {3, 24}}) {
            const auto run = train::createRun(*workspace, train::resolveExperiment(document(layers, width)));
            jobs::DirectContext context({}, 1);
            train::trainRun(workspace, run, context);
            const auto record = workspace->run(run);
            QVERIFY(record.status == store::RunStatus::Finished);
            hashes.insert(record.environment.at("data_order").get<std::string>());
            graphs.insert(std::to_string(train::modelOfRun(*workspace, run).weights.tensors().size()));
        }
        QCOMPARE(graphs.size(), std::size_t(3));
        QCOMPARE(hashes.size(), std::size_t(1));
        QCOMPARE(hashes.begin()->size(), std::size_t(32));
        QVERIFY(train::dataOrderHash(train::resolveExperiment(document(1, 8, 8))) != *hashes.begin());
        auto other = document(1, 8);
        other["train"]["batch_size"] = 8;
        QVERIFY(train::dataOrderHash(train::resolveExperiment(other)) != *hashes.begin());
    }

    /// The hash written out from the batches that a loader gives.
    void theHashIsOfTheBatchesThatAreGiven()
    {
        const auto experiment = train::resolveExperiment(document(1, 8));
        auto options = train::trainingLoader(experiment.document["train"]);
        options.seed = 7;
        data::Loader loader(experiment.data, data::Split::Train, options);
        core::Hasher hasher;
        hasher.add(experiment.data->contentHash());
        hasher.add(std::to_string(options.batchSize) + " 0");
        for (int epoch = 0; epoch < train::kHashedEpochs; ++epoch)
            while (const auto batch = loader.next())
                hasher.add(batch->indices.data(), batch->indices.size() * sizeof(std::int64_t));
        QCOMPARE(hasher.hex(), train::dataOrderHash(experiment));
    }
};

QTEST_APPLESS_MAIN(MemorisationTest)
#include "memorisation_test.moc"
