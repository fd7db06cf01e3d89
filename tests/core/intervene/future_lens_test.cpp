// Future lens: identity where nothing is to be foretold, the normal equations, and tokens two ahead on a language model trained here.
#include <QTest>

#include <cmath>

#include <core/intervene/future_lens.h>
#include <core/train/experiment.h>
#include <core/train/trainer.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"
#include "../train/training_fixture.h"

using namespace orrery;
using namespace orrery::intervene;

namespace {

at::Tensor randomTokens(std::int64_t sequences, std::int64_t length, std::int64_t vocabulary)
{
    return (at::arange(sequences * length, at::kDouble) * 12.9898)
        .sin()
        .mul(43758.5453)
        .remainder(1)
        .abs()
        .mul(double(vocabulary))
        .floor()
        .to(at::kLong)
        .reshape({sequences, length});
}

graph::Model inDouble(graph::Model model)
{
    model.graph = graph::moved(model.graph, c10::kCPU, at::kDouble);
    model.weights = model.weights.to(c10::kCPU, at::kDouble);
    return model;
}

const char* const kGpt = "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=8";

}  // namespace

class FutureLensTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void offsetOneAtTheLastLayerIsTheModel()
    {
        const graph::Model model = zoo::openZoo(kGpt, 1);
        const graph::Executor executor(model.graph);
        const FutureLens lens = fitFutureLens({executor, model}, randomTokens(30, 12, 20), {1, 1e-2});
        QCOMPARE(lens.pairs, 30 * 12);
        QCOMPARE(lens.weights.back().abs().max().item<double>(), 0.0);
        const at::Tensor tokens = randomTokens(1, 10, 20);
        const LensGrid grid = futureLensGrid({executor, model}, lens, tokens, 20);
        QCOMPARE(grid.finalDifference, 0.0);
        const at::Tensor p = executor.forward(model.weights, {tokens})[0].to(at::kDouble).softmax(-1);
        for (int t = 0; t < 10; ++t)
            for (int k = 0; k < 20; ++k)
                QCOMPARE(grid.topProbabilities[2][t][k].item<double>(), p[t][grid.topTokens[2][t][k].item<std::int64_t>()].item<double>());
        QVERIFY(grid.divergence[2].max().item<double>() < 1e-12);
        QVERIFY(grid.divergence[0].max().item<double>() > 1e-9);
    }

    /// At the minimum of sum |y - x - x W - b|^2 + n s |W|^2 every derivative is zero.
    void theFitSolvesItsNormalEquations()
    {
        const graph::Model model = inDouble(zoo::openZoo(kGpt, 1));
        const graph::Executor executor(model.graph);
        const at::Tensor tokens = randomTokens(40, 12, 20);
        const FutureLens lens = fitFutureLens({executor, model}, tokens, {3, 0.05});
        QCOMPARE(lens.pairs, 40 * 10);
        const StreamRun run = runStream({executor, model}, tokens, lens.places, {});
        const at::Tensor y = run.states.back().slice(1, 2, 12).reshape({-1, 8});
        for (std::size_t i = 0; i < lens.places.size(); ++i) {
            const at::Tensor x = run.states[i].slice(1, 0, 10).reshape({-1, 8});
            const at::Tensor rest = y - carried(lens, i, x);
            const at::Tensor centred = x - x.mean(0);
            const double strength = 0.05 * (centred * centred).sum().item<double>() / 8;
            QVERIFY(rest.sum(0).abs().max().item<double>() < 1e-10);
            QVERIFY((at::matmul(x.t(), rest) - strength * lens.weights[i]).abs().max().item<double>() < 1e-10);
        }
    }

    void aLinearLawIsFound()
    {
        // Without a penalty a state that is a linear image of another is carried to it: here offset 1 from the embedding of a model without blocks' effect.
        graph::Model model = inDouble(zoo::openZoo(kGpt, 1));
        for (const char* block : {"blocks.0", "blocks.1"})
            for (const char* part : {".attn.proj", ".mlp.proj"})
                for (const char* what : {".weight", ".bias"}) {
                    const std::string name = std::string(block) + part + what;
                    model.weights.set(name, at::zeros_like(model.weights.at(name)));
                }
        const graph::Executor executor(model.graph);
        const FutureLens lens = fitFutureLens({executor, model}, randomTokens(40, 12, 20), {1, 0});
        for (const at::Tensor& weight : lens.weights)
            QVERIFY(weight.abs().max().item<double>() < 1e-9);
    }

    void bigramsAreCounted()
    {
        const graph::Model model = zoo::openZoo("zoo:gpt?vocabulary=4&block_length=8&layers=1&heads=1&width=2", 0);
        const graph::Executor executor(model.graph);
        const FutureLens lens = fitFutureLens({executor, model}, at::tensor({0, 1, 0, 1, 0, 2, 0, 1}, at::kLong).unsqueeze(0), {1, 1});
        QVERIFY(at::allclose(lens.bigrams[0], at::tensor({0.0, 0.75, 0.25, 0.0}, at::kDouble)));
        QVERIFY(at::allclose(lens.bigrams[1], at::tensor({1.0, 0.0, 0.0, 0.0}, at::kDouble)));
        QVERIFY(at::allclose(lens.bigrams[3], at::tensor({3.0 / 7, 3.0 / 7, 1.0 / 7, 0.0}, at::kDouble)));  // never seen: as any
        const auto score = scoreFutureLens({executor, model}, lens, at::tensor({0, 1, 2, 0}, at::kLong).unsqueeze(0));
        QCOMPARE(score.bigramAccuracy, 2.0 / 3);  // 0 -> 1 and 2 -> 0 are right, 1 -> 0 is not
    }

    void badSettingsAreNamed()
    {
        const graph::Model model = zoo::openZoo(kGpt, 1);
        const graph::Executor executor(model.graph);
        const auto said = [&](const at::Tensor& tokens, const FutureLensSettings& settings) {
            return saidBy([&] { fitFutureLens({executor, model}, tokens, settings); });
        };
        QVERIFY(said(randomTokens(30, 12, 20), {0, 1}).contains("offset 0: expected one from 1 to 11"));
        QVERIFY(said(randomTokens(30, 12, 20), {12, 1}).contains("offset 12"));
        QVERIFY(said(randomTokens(30, 12, 20), {2, -1}).contains("ridge"));
        QVERIFY(said(randomTokens(30, 12, 20), {2, std::nan("")}).contains("ridge"));
        QVERIFY(said(randomTokens(1, 12, 20), {2, 1}).contains("at least 16 states to fit on (twice the width), got 11"));
        QVERIFY(said(at::full({30, 12}, 21, at::kLong), {2, 1}).contains("from 0 to 19"));
    }

    void aStopEndsTheFit()
    {
        const graph::Model model = zoo::openZoo(kGpt, 1);
        const graph::Executor executor(model.graph);
        std::stop_source source;
        Control control;
        control.stop = source.get_token();
        control.progress = [&](double done, double, const char*) {
            if (done > 0)
                source.request_stop();
        };
        QVERIFY_EXCEPTION_THROWN(fitFutureLens({executor, model}, randomTokens(100, 12, 20), {2, 1}, control), core::Cancelled);
    }

    /// The bundled text: two bytes ahead from one state is more often right than two steps of the bigram chain, on text the model and the map have not seen.
    void twoAheadBeatsTheBigramChain()
    {
        const core::Json document{{"name", "small"},
                                  {"model", {{"id", "gpt"}, {"layers", 2}, {"heads", 4}, {"width", 64}, {"tied_head", false}}},
                                  {"data", {{"id", "kjv"}, {"block_length", 32}, {"vocabulary", "characters"}}},
                                  {"train",
                                   {{"epochs", nullptr},
                                    {"steps", 900},
                                    {"batch_size", 32},
                                    {"evaluate_samples", 20},
                                    {"evaluate_every", 900},
                                    {"optimizer", {{"id", "adamw"}, {"lr", 0.008}, {"betas", {0.9, 0.98}}}},
                                    {"schedule", {{"id", "cosine"}, {"final_factor", 0.1}}},
                                    {"warmup", 50}}}};
        const auto experiment = train::resolveExperiment(document);
        jobs::DirectContext context({}, 1);  // threads that wait for each other starve where several tests run side by side
        test::MemorySink sink;
        auto trained = train::trainExperiment(experiment, context, sink);
        const graph::Executor executor(trained.model.graph);
        const auto sequences = [&](data::Split part, std::int64_t count) {
            return experiment.data->fetch(train::spreadSamples(experiment.data->split(part), count)).inputs[0];
        };
        const LensSubject subject{executor, trained.model};
        const FutureLens lens = fitFutureLens(subject, sequences(data::Split::Train, 1500), {2, 1e-3});
        const FutureLensScore score = scoreFutureLens(subject, lens, sequences(data::Split::Test, 400));
        const double best = *std::max_element(score.accuracy.begin(), score.accuracy.end());
        QString text;
        for (const double accuracy : score.accuracy)
            text += QString::number(accuracy, 'f', 4) + ' ';
        qInfo("two ahead, by layer: %s; bigram chain %.4f; the model one later %.4f; %lld predictions", qPrintable(text), score.bigramAccuracy,
              score.modelAccuracy, static_cast<long long>(score.predictions));
        QVERIFY(best > score.bigramAccuracy + 0.01);
        QVERIFY(score.modelAccuracy > best);
    }
};

QTEST_APPLESS_MAIN(FutureLensTest)
#include "future_lens_test.moc"
