// Training that fills masks: a network of our own, and a BERT folder that is trained further.
#include <ATen/ATen.h>
#include <QTest>
#include <cmath>

#include <core/data/masking.h>
#include <core/generate/special_tokens.h>
#include <core/models/open_model.h>
#include <core/zoo/zoo.h>

#include "bert_folder.h"
#include "training_fixture.h"

using namespace orrery;
using core::Json;
using test::MemorySink;

namespace {

Json smallMasked()
{
    return Json::parse(R"({
        "name": "masked", "seed": 3,
        "model": {"id": "bert", "layers": 1, "heads": 4, "width": 32, "dropout": 0},
        "data": {"id": "kjv", "vocabulary": "characters", "block_length": 32, "limit": 1500, "objective": "masked"},
        "train": {"steps": 200, "batch_size": 32, "optimizer": {"id": "adamw", "lr": 0.01}, "warmup": 10, "evaluate_every": 100, "checkpoint": {"every": 20}}})");
}

train::TrainResult trained(const train::Experiment& experiment, MemorySink& sink, std::optional<train::Checkpoint> resume = {})
{
    jobs::DirectContext context;
    train::TrainOptions options;
    options.resume = std::move(resume);
    return train::trainExperiment(experiment, context, sink, std::move(options));
}

/// Cross-entropy of the chosen places, written out in double precision.
double maskedCrossEntropy(const at::Tensor& logits, const at::Tensor& targets)
{
    double sum = 0;
    std::int64_t count = 0;
    const at::Tensor wide = logits.detach().to(at::kDouble);
    for (std::int64_t row = 0; row < targets.size(0); ++row)
        for (std::int64_t place = 0; place < targets.size(1); ++place) {
            const auto target = targets[row][place].item<std::int64_t>();
            if (target == data::kIgnoredTarget)
                continue;
            const at::Tensor scores = wide[row][place];
            const double highest = scores.max().item<double>();
            sum += highest + std::log((scores - highest).exp().sum().item<double>()) - scores[target].item<double>();
            ++count;
        }
    return sum / double(count);
}

}  // namespace

class MaskedTrainingTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void theBuiltInBertIsTheLibrarysBert()
    {
        const auto fixture = tests::openCase(tests::checkpointRoot() / "bert-masked");
        const auto model =
            zoo::buildGraph("bert", {{"vocabulary", 97}, {"block_length", 40}, {"layers", 2}, {"heads", 3}, {"width", 24}, {"mlp_width", 48}});
        const at::Tensor logits = graph::Executor(model.graph).forward(fixture.model.weights, {fixture.expected.at("input_ids")});
        QVERIFY((logits - fixture.expected.at("logits")).abs().max().item<double>() < 1e-5);
    }

    void theBuiltInBertStartsAsThePaperSays()
    {
        const auto model = zoo::openZoo("zoo:bert?vocabulary=300&block_length=64&layers=2&heads=4&width=128", 5);
        const auto deviation = [&](const char* name) { return model.weights.at(name).std().item<double>(); };
        for (const char* name :
             {"bert.embeddings.word_embeddings.weight", "bert.encoder.layer.1.attention.self.query.weight", "cls.predictions.transform.dense.weight"})
            QVERIFY2(std::abs(deviation(name) - 0.02) < 0.001, name);
        QCOMPARE(model.weights.at("bert.encoder.layer.0.output.dense.bias").abs().max().item<double>(), 0.0);
        QCOMPARE(model.weights.at("bert.encoder.layer.0.output.LayerNorm.weight").min().item<double>(), 1.0);
        QVERIFY(test::errorOf([] { zoo::openZoo("zoo:bert?width=10&heads=4", 0); }).contains("width 10 with 4 heads"));
    }

    void lossFallsBelowTheBestGuessWithoutContext()
    {
        const auto experiment = train::resolveExperiment(smallMasked());
        QVERIFY(experiment.document["train"]["metrics"][0]["id"] == "loss" && experiment.document["train"]["metrics"][1]["id"] == "accuracy");
        QCOMPARE(experiment.document["model"]["vocabulary"].get<std::int64_t>(), experiment.data->info().vocabularySize);
        MemorySink sink;
        const auto result = trained(experiment, sink);
        // Who knows only how frequent characters are has the entropy of the targets.
        const auto& test = experiment.data->split(data::Split::Test);
        const data::Batch batch = experiment.data->fetch(test);
        const at::Tensor targets = batch.targets.masked_select(batch.targets.ne(data::kIgnoredTarget));
        const at::Tensor shares = at::bincount(targets).to(at::kDouble) / double(targets.numel());
        const double entropy = -(shares * shares.clamp_min(1e-300).log()).sum().item<double>();
        const double loss = result.metrics.at("test/loss");
        QVERIFY2(loss < entropy, qPrintable(QString("%1 against %2").arg(loss).arg(entropy)));
        QVERIFY(sink.metrics.at("train/loss").front().value > 4);
        // The loss is that of the chosen places alone.
        const at::Tensor logits = graph::Executor(result.model.graph).forward(result.model.weights, {batch.inputs[0]});
        QVERIFY(std::abs(maskedCrossEntropy(logits, batch.targets) - loss) < 1e-4);
        const at::Tensor right = logits.argmax(-1).eq(batch.targets).logical_and(batch.targets.ne(data::kIgnoredTarget));
        QVERIFY(std::abs(double(right.sum().item<std::int64_t>()) / double(targets.numel()) - result.metrics.at("test/accuracy")) < 1e-9);
        // What comes out fills masks in texts.
        QCOMPARE(result.model.card.task, "masked_language_model");
        QVERIFY(generation::specialTokens(result.model.card).mask == experiment.data->info().vocabularySize - 1);
    }

    void aKilledTrainingGoesOnWithTheSameMasks()
    {
        Json document = smallMasked();
        document["data"]["limit"] = 300;  // several epochs
        document["model"]["dropout"] = 0.1;
        document["train"]["steps"] = 45;
        const auto experiment = train::resolveExperiment(document);
        MemorySink whole, killed;
        const auto expected = trained(experiment, whole);
        killed.killAtCall = 100;
        QVERIFY_EXCEPTION_THROWN(trained(experiment, killed), MemorySink::Killed);
        const auto checkpoint = killed.checkpoint();
        QVERIFY(checkpoint && checkpoint->step > 0 && checkpoint->step < 45);
        killed.dropAfter(checkpoint->step);
        killed.killAtCall = -1;
        const auto again = trained(experiment, killed, checkpoint);
        QVERIFY(test::sameWeights(expected.model.weights, again.model.weights));
        QVERIFY(whole.metrics == killed.metrics);
    }

    void aBertFolderIsTrainedFurtherWithItsOwnTokenizer()
    {
        const test::BertFolder given;
        const auto experiment = train::resolveExperiment(given.training(), given.folder.parent_path());
        QCOMPARE(experiment.document["data"]["tokenizer"].get<std::string>(), "./bert");
        // It begins where the folder's weights are: the loss of the first evaluation without a step is that of the opened model.
        const graph::Model opened = models::openModel(given.folder.string());
        const data::Batch batch = experiment.data->fetch(experiment.data->split(data::Split::Val));
        const double before = maskedCrossEntropy(graph::Executor(opened.graph).forward(opened.weights, {batch.inputs[0]}), batch.targets);
        MemorySink sink;
        const auto result = trained(experiment, sink);
        const double after = sink.metrics.at("val/loss").back().value;
        QVERIFY2(after < 0.6 * before, qPrintable(QString("%1 to %2").arg(before).arg(after)));
        Json frozen = given.training();
        frozen["train"]["optimizer"]["lr"] = 1e-12;
        frozen["train"]["steps"] = 1;
        MemorySink still;
        trained(train::resolveExperiment(frozen, given.folder.parent_path()), still);
        QVERIFY(std::abs(still.metrics.at("val/loss").back().value - before) < 1e-4);
        QVERIFY(result.model.card.tokenizer == opened.card.tokenizer);
    }

    void whoSeesTheWholeTextIsNotToldToPredictWhatComesNext()
    {
        Json document = smallMasked();
        document["data"].erase("objective");
        QVERIFY(test::errorOf([&] { train::resolveExperiment(document); }).contains("data.objective: expected masked"));
        const test::BertFolder given;
        Json folder = given.training();
        folder["data"].erase("objective");
        MemorySink sink;
        QVERIFY(test::errorOf([&] {
                    trained(train::resolveExperiment(folder, given.folder.parent_path()), sink);
                }).contains("data.objective: expected masked"));
    }

    void earlierDocumentsKeepTheirHash()
    {
        Json document = train::resolveExperiment(
                            Json::parse(R"({"model": {"id": "gpt", "layers": 1, "heads": 1, "width": 8}, "data": {"id": "kjv", "limit": 60}})"))
                            .document;
        const auto hash = train::experimentHash(document);
        document["data"].erase("objective");
        document["data"].erase("fraction");
        QCOMPARE(train::experimentHash(document), hash);
        document["data"]["fraction"] = 0.5;
        QVERIFY(train::experimentHash(document) != hash);
    }
};

QTEST_APPLESS_MAIN(MaskedTrainingTest)
#include "masked_training_test.moc"
