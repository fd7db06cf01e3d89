// Oracles: what the executor counts node by node, and what libtorch is called with in a real backward pass (its own record of functions and shapes).
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/autograd.h>

#include <QtTest>

#include <atomic>
#include <cmath>

#include <core/base/error.h>
#include <core/graph/executor.h>
#include <core/scaling/width/counters.h>
#include <core/scaling/width/equal_compute.h>
#include <core/zoo/zoo.h>

#include "../../message_of.h"
#include "../../train/training_fixture.h"

using namespace orrery;

namespace {

std::atomic<std::int64_t> recorded;

std::int64_t elements(c10::IntArrayRef sizes)
{
    std::int64_t count = 1;
    for (const auto size : sizes)
        count *= size;
    return count;
}

/// 2 m k n of the products that libtorch's autograd calls, without the batch's bias.
std::unique_ptr<at::ObserverContext> record(const at::RecordFunction& function)
{
    const std::string name = function.name();
    const auto inputs = function.inputs();
    const auto shape = [&](std::size_t i) { return inputs[i].toTensor().sizes(); };
    if (name == "aten::mm" || name == "aten::bmm")
        recorded += 2 * elements(shape(0)) * shape(1).back();
    else if (name == "aten::addmm")
        recorded += 2 * elements(shape(1)) * shape(2).back();
    else if (name == "aten::baddbmm")
        recorded += 2 * elements(shape(1)) * shape(2).back();
    else if (name == "aten::convolution_backward") {
        // gradient [b, out, h, w] and weight [out, in, kh, kw]; the mask says for which factors.
        const auto mask = inputs[10].toBoolList();
        const std::int64_t once = 2 * elements(shape(0)) * (elements(shape(2)) / shape(2)[0]);
        recorded += once * (int(mask.get(0)) + int(mask.get(1)));
    }
    return nullptr;
}

graph::Model opened(const QString& reference)
{
    return zoo::openZoo(reference.toStdString(), 0);
}

void addArchitectures()
{
    QTest::addColumn<QString>("reference");
    QTest::addColumn<int>("batch");
    QTest::addColumn<int>("length");
    QTest::newRow("mlp") << "zoo:mlp" << 3 << 1;
    QTest::newRow("mlp, linear") << "zoo:mlp?hidden=[]" << 5 << 1;
    QTest::newRow("mlp, batch norm and dropout") << "zoo:mlp?features=12&hidden=20,30,7&batch_norm=true&dropout=0.5&activation=gelu&classes=3" << 4
                                                 << 1;
    QTest::newRow("mlp, mup") << "zoo:mlp?parametrisation=mup&hidden=128,128" << 2 << 1;
    QTest::newRow("lenet") << "zoo:lenet" << 2 << 1;
    QTest::newRow("lenet, digits") << "zoo:lenet?image_size=8&kernel=3&padding=1&maps=32,64&hidden=128&batch_norm=true&pooling=max&dropout=0.1" << 3
                                   << 1;
    QTest::newRow("resnet-20") << "zoo:resnet" << 2 << 1;
    QTest::newRow("resnet-8, projections") << "zoo:resnet?depth=8&shortcut=B&width=4&image_size=15" << 2 << 1;
    QTest::newRow("resnet-18") << "zoo:resnet?layout=imagenet&depth=18&image_size=64" << 1 << 1;
    QTest::newRow("resnet-50") << "zoo:resnet?layout=imagenet&depth=50&image_size=65" << 1 << 1;
    QTest::newRow("lstm") << "zoo:lstm?vocabulary=40&width=24&layers=3" << 3 << 7;
    QTest::newRow("lstm, dropout and mup") << "zoo:lstm?vocabulary=40&width=32&layers=2&tied_head=false&dropout=0.2&parametrisation=mup&base_width=16"
                                           << 2 << 9;
    QTest::newRow("vit") << "zoo:vit?image_size=8&channels=1&patch_size=2&layers=3&heads=4&width=64&mlp_width=128&classes=10" << 3 << 1;
    QTest::newRow("vit, dropout and mup")
        << "zoo:vit?image_size=8&patch_size=4&layers=1&heads=2&width=64&mlp_width=128&dropout=0.1&attention_dropout=0.1&"
           "parametrisation=mup&base_width=32"
        << 2 << 1;
    QTest::newRow("gpt") << "zoo:gpt?vocabulary=80&block_length=32&layers=2&heads=4&width=32" << 3 << 17;
    QTest::newRow("gpt, attention only")
        << "zoo:gpt?vocabulary=64&block_length=48&layers=2&heads=4&width=32&mlp=false&norm=false&bias=false&tied_head=false" << 2 << 48;
    QTest::newRow("gpt, dropout and mup")
        << "zoo:gpt?vocabulary=80&block_length=32&layers=1&heads=2&width=64&dropout=0.2&parametrisation=mup&base_width=32" << 2 << 9;
}

}  // namespace

class CountersTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Row b47.
    void theFormulaIsWhatTheExecutorCounts_data() { addArchitectures(); }
    void theFormulaIsWhatTheExecutorCounts()
    {
        QFETCH(QString, reference);
        QFETCH(int, batch);
        QFETCH(int, length);
        const graph::Model model = opened(reference);
        const scaling::Cost cost = scaling::countCost(model, scaling::sizedInputs(model, batch, length));
        QVERIFY(cost.formula.has_value());
        QCOMPARE(*cost.formula, cost.forward);
        QCOMPARE(cost.samples, std::int64_t(batch));
        QCOMPARE(cost.tokens, std::int64_t(batch) * (reference.contains("gpt") || reference.contains("lstm") ? length : 1));
    }

    void theBackwardProductsAreWhatLibtorchIsCalledWith_data() { addArchitectures(); }
    void theBackwardProductsAreWhatLibtorchIsCalledWith()
    {
        QFETCH(QString, reference);
        QFETCH(int, batch);
        QFETCH(int, length);
        const graph::Model model = opened(reference);
        graph::RunRequest request;
        request.inputs = scaling::sizedInputs(model, batch, length);
        const scaling::Cost cost = scaling::countCost(model, request.inputs);
        graph::Weights weights = model.weights;
        std::vector<at::Tensor> leaves;
        for (const graph::Parameter& parameter : model.graph->data().parameters)
            if (parameter.kind == graph::Parameter::Kind::Parameter) {
                leaves.push_back(weights.at(parameter.name).clone().requires_grad_());
                weights.set(parameter.name, leaves.back());
            }
        request.gradients = graph::Gradients::Parameters;
        const at::AutoGradMode gradMode(true);
        const at::Tensor loss = graph::Executor(model.graph).run(weights, request).tensor().square().mean();
        recorded = 0;
        const auto handle = at::addGlobalCallback(at::RecordFunctionCallback(record).needsInputs(true));
        torch::autograd::grad({loss}, leaves, {}, c10::nullopt, false, true);
        at::removeCallback(handle);
        QCOMPARE(recorded.load(), cost.backwardProducts);
    }

    void sixNdIsNearForATransformerWhoseWidthIsLarge()
    {
        // Products alone; what is missing are the scores (length / width), the head that shares the table, and all that is no product.
        const graph::Model model = opened("zoo:gpt?vocabulary=16&block_length=16&layers=2&heads=4&width=512");
        const scaling::Cost cost = scaling::countCost(model, scaling::sizedInputs(model, 1, 16));
        QCOMPARE(cost.embeddings, std::int64_t(16 * 512 + 16 * 512));
        QCOMPARE(cost.sixNd(), 6.0 * double(cost.parameters - cost.embeddings) * 16);
        QVERIFY(std::abs(cost.sixNd() / double(cost.forwardProducts + cost.backwardProducts) - 1) < 0.02);
    }

    void anImportedModelHasNoFormulaButIsCounted()
    {
        graph::Model model = opened("zoo:mlp?features=4&hidden=8&classes=2");
        model.origin = "model.pt";
        const scaling::Cost cost = scaling::countCost(model, scaling::sizedInputs(model, 1, 1));
        QVERIFY(!cost.formula);
        QCOMPARE(cost.forward, std::int64_t(8 * (2 * 4 + 1) + 8 + 2 * (2 * 8 + 1)));
        // Weights of both layers and the hidden values; the input wants no gradient. Biases and relu once more.
        QCOMPARE(cost.backward, std::int64_t(2 * 4 * 8 + 8 + 8 + 2 * (2 * 8 * 2) + 2));
        QVERIFY(cost.toJson()["forward_formula"].is_null());
    }

    /// Row b47: on the digits the error falls with width and with data, and beats the linear model.
    void errorFallsWithWidthAndData()
    {
        const auto loss = [](const core::Json& hidden, int samples) {
            const core::Json document{
                {"model", {{"id", "mlp"}, {"hidden", hidden}}},
                {"data", {{"id", "digit_rows"}, {"limit", samples}}},
                {"train", {{"steps", 400}, {"batch_size", 64}, {"optimizer", {{"id", "adamw"}, {"lr", 0.003}}}, {"schedule", "cosine"}}}};
            test::MemorySink sink;
            jobs::DirectContext context;
            return train::trainExperiment(train::resolveExperiment(document), context, sink).metrics.at("test/loss");
        };
        const double linear = loss(core::Json::array(), 1797), narrow = loss({16}, 1797), wide = loss({256}, 1797), fewer = loss({256}, 300);
        QVERIFY2(wide < 0.8 * narrow && narrow < 0.8 * linear, qPrintable(QString("%1, %2, %3").arg(wide).arg(narrow).arg(linear)));
        QVERIFY2(wide < 0.8 * fewer, qPrintable(QString("%1, %2").arg(wide).arg(fewer)));
    }

    void aBudgetIsThroughputTimesTime()
    {
        const scaling::Throughput throughput{0.25, 3, 16, 16 * 128};
        QCOMPARE(throughput.stepsWithin(10), std::int64_t(40));
        QCOMPARE(throughput.tokensWithin(10), std::int64_t(40 * 16 * 128));
        QCOMPARE(double(throughput.tokensWithin(10)), throughput.tokensPerSecond() * 10);
        QCOMPARE(throughput.stepsWithin(0.2), std::int64_t(0));
        const graph::Model model = opened("zoo:gpt?vocabulary=16&block_length=16&layers=1&heads=2&width=16");
        const scaling::Throughput measured = scaling::measureThroughput(model, scaling::sizedInputs(model, 2, 8), 0);
        QCOMPARE(measured.steps, 3);
        QCOMPARE(measured.tokens, std::int64_t(16));
        QVERIFY(measured.stepSeconds > 0);
    }

    /// Row b94: a tiny GPT and a tiny LSTM on one text carry the same measured compute, and are trained as their rows say.
    void twoModelsOfOneBudgetCarryTheSameCompute()
    {
        std::vector<scaling::EqualCompute> rows;
        for (const char* const model : {R"({"id": "gpt", "layers": 1, "heads": 2, "width": 16})", R"({"id": "lstm", "layers": 1, "width": 16})"}) {
            const core::Json document{{"model", core::Json::parse(model)},
                                      {"data", {{"id", "kjv"}, {"block_length", 16}, {"limit", 400}}},
                                      {"train", {{"batch_size", 8}, {"threads", 1}}}};
            rows.push_back(scaling::equalCompute(train::resolveExperiment(document), 0.3, 0.05));
        }
        for (const scaling::EqualCompute& row : rows) {
            QVERIFY(row.seconds <= 0.3 && row.seconds > 0.3 - row.throughput.stepSeconds);
            QCOMPARE(row.seconds, double(row.steps) * row.throughput.stepSeconds);
            QCOMPARE(row.tokens, row.steps * 8 * 16);
            QCOMPARE(row.toJson().at("compute").get<double>(), row.seconds);
            core::Json cut = row.document;
            cut["train"]["steps"] = 2;
            test::MemorySink sink;
            jobs::DirectContext context;
            QVERIFY(train::trainExperiment(train::resolveExperiment(cut), context, sink).metrics.contains("test/loss"));
        }
        const double longest = std::max(rows[0].throughput.stepSeconds, rows[1].throughput.stepSeconds);
        QVERIFY(std::abs(rows[0].seconds - rows[1].seconds) <= longest);
        QVERIFY(rows[0].model == "gpt" && rows[1].model == "lstm");
        QVERIFY(saidBy([&] {
                    scaling::equalCompute(train::resolveExperiment(rows[0].document), 1e-9, 0);
                }).contains("expected a budget of at least one training step"));
    }

    /// The loss is measured on as many samples as the slower model's longest training sees: the same for all, and no more than there are.
    void evaluationIsKeptInProportion()
    {
        const auto experiment = [](int limit) {
            return train::resolveExperiment({{"model", {{"id", "mlp"}, {"hidden", {4}}}},
                                             {"data", {{"id", "digit_rows"}, {"limit", limit}}},
                                             {"train", {{"batch_size", 8}, {"threads", 1}}}});
        };
        const train::Experiment whole = experiment(1797);
        std::vector<scaling::EqualCompute> rows(3);
        for (scaling::EqualCompute& row : rows) {
            row.document = whole.document;
            row.throughput = {0.1, 1, 8, 8};
        }
        rows[0].model = rows[1].model = "slow";
        rows[2].model = "quick";
        rows[0].steps = 2;
        rows[1].steps = 20;
        rows[2].steps = 1000;
        rows[2].document["train"]["evaluate_every"] = 7;  // what a document says counts
        QCOMPARE(scaling::shortenEvaluation(rows, *whole.data), std::int64_t(160));
        for (const scaling::EqualCompute& row : rows) {
            QCOMPARE(row.document["train"]["test_samples"].get<int>(), 160);
            QCOMPARE(row.document["train"]["evaluate_samples"].get<int>(), 160);
        }
        QCOMPARE(rows[1].document["train"]["evaluate_every"].get<int>(), 20);
        QCOMPARE(rows[2].document["train"]["evaluate_every"].get<int>(), 7);
        const train::Experiment few = experiment(100);
        std::vector<scaling::EqualCompute> one{rows[0]};
        one[0].document = few.document;
        QCOMPARE(scaling::shortenEvaluation(one, *few.data), std::int64_t(few.data->split(data::Split::Test).size()));
    }

    void aTestOnFewerSamplesIsOneOfThoseSamples()
    {
        const auto lossOn = [](const core::Json& samples) {
            test::MemorySink sink;
            jobs::DirectContext context;
            return train::trainExperiment(
                train::resolveExperiment({{"model", {{"id", "mlp"}, {"hidden", {4}}}},
                                          {"data", {{"id", "digit_rows"}, {"limit", 400}}},
                                          {"train", {{"steps", 3}, {"batch_size", 8}, {"threads", 1}, {"test_samples", samples}}}}),
                context, sink);
        };
        const auto whole = lossOn(nullptr), part = lossOn(10), more = lossOn(100'000);
        QCOMPARE(more.metrics.at("test/loss"), whole.metrics.at("test/loss"));
        QVERIFY(part.metrics.at("test/loss") != whole.metrics.at("test/loss"));
        // By hand: the model's loss on every so many samples.
        const train::Experiment experiment =
            train::resolveExperiment({{"model", {{"id", "mlp"}, {"hidden", {4}}}}, {"data", {{"id", "digit_rows"}, {"limit", 400}}}});
        train::EvaluateOptions options;
        options.maxSamples = 10;
        QCOMPARE(train::evaluateModel(part.model, *experiment.data, data::Split::Test, nullptr, options).value("loss"), part.metrics.at("test/loss"));
    }

    void sizesThatDoNotFitAreNamed()
    {
        const graph::Model gpt = opened("zoo:gpt?vocabulary=16&block_length=16&layers=1&heads=2&width=16");
        QVERIFY(saidBy([&] { scaling::sizedInputs(gpt, 1, 17); }).contains("expected at most 16"));
        QVERIFY(saidBy([&] { scaling::sizedInputs(gpt, 0, 4); }).contains("batch: expected 1 to"));
        graph::Model silent = gpt;
        silent.card.inputs.clear();
        QVERIFY(saidBy([&] { scaling::sizedInputs(silent, 1, 4); }).contains("--input"));
    }
};

QTEST_APPLESS_MAIN(CountersTest)
#include "counters_test.moc"
