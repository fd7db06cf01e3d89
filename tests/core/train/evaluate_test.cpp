// Evaluation and prediction in batches.
#include <ATen/ATen.h>
#include <QTest>
#include <cmath>

#include <core/graph/builder.h>
#include <core/graph/output_kind.h>
#include <core/train/card_inputs.h>
#include <core/train/predict.h>
#include <core/zoo/zoo.h>

#include "training_fixture.h"

using namespace orrery;
using core::Json;

namespace {

using Var = graph::Builder::Var;
using Ending = std::function<Var(graph::Builder&, Var)>;

/// Five numbers to `classes`, and what stands behind them.
graph::Model endingIn(const Ending& ending, std::int64_t classes, std::int64_t features = 5)
{
    graph::Builder builder("ending");
    const auto x = builder.input("x", "float32", {"batch", std::to_string(features)});
    auto model = builder.finish({{"output", ending(builder, builder.linear("fc", x, features, classes))}});
    const auto generator = at::detail::createCPUGenerator(11);
    model.weights = graph::Weights({{"fc.weight", at::randn({classes, features}, generator, at::TensorOptions())},
                                    {"fc.bias", at::randn({classes}, generator, at::TensorOptions())}});
    return model;
}

Ending plain(const char* op, std::vector<graph::Builder::Arg> more = {})
{
    return [op = std::string(op), more](graph::Builder& builder, Var x) {
        std::vector<graph::Builder::Arg> arguments{x};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return builder.op(op, arguments);
    };
}

Ending then(Ending first, Ending second)
{
    return [first, second](graph::Builder& builder, Var x) { return second(builder, first(builder, x)); };
}

const Ending kNothing = [](graph::Builder&, Var x) { return x; };
const Ending kSoftmax = plain("aten::softmax.int", {1, nullptr}), kLogSoftmax = plain("aten::log_softmax.int", {-1, nullptr}),
             kSigmoid = plain("aten::sigmoid");

/// Of standardised wine: 13 numbers, three classes.
train::Evaluation onWine(const graph::Model& model)
{
    train::EvaluateOptions options;
    options.predictions = true;
    return train::evaluateModel(model, *data::openData({{"id", "wine"}}), data::Split::Test, {"loss", "accuracy", "roc_auc"}, options);
}

QString nearly(double a, double b, double tolerance)
{
    return std::abs(a - b) <= tolerance ? QString() : QString("%1 against %2").arg(a, 0, 'g', 12).arg(b, 0, 'g', 12);
}

}  // namespace

class EvaluateTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void batchSizeDoesNotChangeTheResult()
    {
        const auto data = data::openData({{"id", "wine"}});
        const auto model = zoo::buildModel("mlp", {{"features", 13}, {"classes", 3}}, 1);
        train::EvaluateOptions one, many;
        one.batchSize = 7;
        one.predictions = many.predictions = true;
        const auto a = train::evaluateModel(model, *data, data::Split::Train, nullptr, one),
                   b = train::evaluateModel(model, *data, data::Split::Train, nullptr, many);
        QCOMPARE(a.samples, std::int64_t(data->split(data::Split::Train).size()));
        QCOMPARE(a.value("accuracy"), b.value("accuracy"));
        QVERIFY(std::abs(a.value("loss") - b.value("loss")) < 1e-6);
        QCOMPARE(a.predicted, b.predicted);
    }

    void predictionsEqualTheModel()
    {
        const auto data = data::openData({{"id", "wine"}});
        const auto model = zoo::buildModel("mlp", {{"features", 13}, {"classes", 3}}, 1);
        const data::Batch batch = data->fetch(data->split(data::Split::Test));
        const at::Tensor whole = graph::Executor(model.graph).forward(model.weights, {batch.inputs[0]});
        QVERIFY(at::allclose(train::predict(model, batch.inputs, 5), whole, 1e-5, 1e-6));
        const auto classes = train::topClasses(whole, model.card, 2);
        QCOMPARE(classes[0].size(), std::size_t(2));
        QCOMPARE(classes[0][0].index, whole[0].argmax().item<std::int64_t>());
        QVERIFY(std::abs(classes[0][0].probability - whole[0].to(at::kDouble).softmax(0).max().item<double>()) < 1e-12);
    }

    void outputsSayWhatTheyAre_data()
    {
        QTest::addColumn<Ending>("ending");
        QTest::addColumn<QString>("kind");
        QTest::newRow("nothing") << kNothing << "logits";
        QTest::newRow("relu") << plain("aten::relu") << "logits";
        QTest::newRow("softmax") << kSoftmax << "probabilities";
        QTest::newRow("softmax over the batch") << plain("aten::softmax.int", {0, nullptr}) << "logits";
        QTest::newRow("as its own half has it") << plain("aten::_softmax", {-1, false}) << "probabilities";
        QTest::newRow("as old ONNX has it") << plain("orrery::onnx_softmax_joined", {1, false}) << "probabilities";
        QTest::newRow("its logarithm in old ONNX") << plain("orrery::onnx_softmax_joined", {1, true}) << "log_probabilities";
        QTest::newRow("log softmax") << kLogSoftmax << "log_probabilities";
        QTest::newRow("exp of it") << then(kLogSoftmax, plain("aten::exp")) << "probabilities";
        QTest::newRow("exp of logits") << plain("aten::exp") << "logits";
        QTest::newRow("log of softmax") << then(kSoftmax, plain("aten::log")) << "log_probabilities";
        QTest::newRow("sigmoid") << kSigmoid << "each_probability";
        QTest::newRow("reshaped and copied") << then(then(kSoftmax, plain("aten::reshape", {std::vector<std::int64_t>{-1, 3}})),
                                                     plain("aten::contiguous"))
                                             << "probabilities";
        QTest::newRow("axes that come and go") << then(then(kSoftmax, plain("aten::unsqueeze", {2})), plain("aten::squeeze.dim", {2}))
                                               << "probabilities";
        QTest::newRow("scaled") << then(kSoftmax, plain("aten::mul.Scalar", {2})) << "logits";
    }
    void outputsSayWhatTheyAre()
    {
        QFETCH(Ending, ending);
        QFETCH(QString, kind);
        const auto model = endingIn(ending, 3);
        QCOMPARE(QString::fromUtf8(std::string(graph::outputKindName(graph::outputKind(*model.graph, model.card, 2))).c_str()), kind);
    }

    void theCardHasTheLastWord()
    {
        auto model = endingIn(then(kSoftmax, plain("aten::mul.Scalar", {1})), 3);
        const auto name = model.graph->value(model.graph->data().body.outputs[0].value).name;
        QVERIFY(graph::outputKind(*model.graph, model.card, 2) == graph::OutputKind::Logits);
        model.card.canonicalNames["probabilities"] = name;
        QVERIFY(graph::outputKind(*model.graph, model.card, 2) == graph::OutputKind::Probabilities);
        model.card.task = "regression";
        QVERIFY(graph::outputKind(*model.graph, model.card, 2) == graph::OutputKind::Logits);
    }

    // Logits and what softmax makes of them are one answer.
    void probabilitiesAreNotMadeSuchTwice()
    {
        const auto x = at::randn({4, 5}, at::detail::createCPUGenerator(3), at::TensorOptions());
        const auto logits = train::predict(endingIn(kNothing, 3), {x}).to(at::kDouble);
        for (const auto& ending : {kNothing, kSoftmax, kLogSoftmax}) {
            const auto model = endingIn(ending, 3);
            const auto answers = train::topClasses(train::predict(model, {x}), model.card, 3, graph::outputKind(*model.graph, model.card, 2));
            for (std::int64_t row = 0; row < 4; ++row) {
                double sum = 0;
                for (int each = 0; each < 3; ++each)
                    sum += std::exp(logits[row][each].item<double>());
                for (const auto& score : answers[std::size_t(row)])
                    QVERIFY2(std::abs(score.probability - std::exp(logits[row][score.index].item<double>()) / sum) < 1e-6, "probability");
            }
        }
        const auto one = endingIn(kNothing, 1), share = endingIn(kSigmoid, 1), each = endingIn(kSigmoid, 3);
        const double p = 1 / (1 + std::exp(-train::predict(one, {x})[0][0].item<double>()));
        const auto answers = train::topClasses(train::predict(share, {x}), share.card, 2, graph::outputKind(*share.graph, share.card, 2));
        QVERIFY(std::abs((answers[0][0].index == 1 ? answers[0][0].probability : answers[0][1].probability) - p) < 1e-6);
        // Several labels stand beside each other: their probabilities do not sum to 1.
        const auto labels = train::predict(each, {x});
        const auto scores = train::topClasses(labels, each.card, 3, graph::outputKind(*each.graph, each.card, 2));
        for (const auto& score : scores[0])
            QVERIFY(std::abs(score.probability - labels[0][score.index].item<double>()) < 1e-6);
    }

    void lossesAreThoseOfTheLogits()
    {
        const auto expected = onWine(endingIn(kNothing, 3, 13));
        for (const auto& ending : {kSoftmax, kLogSoftmax}) {
            const auto got = onWine(endingIn(ending, 3, 13));
            for (const char* name : {"loss", "accuracy", "roc_auc"})
                QCOMPARE(nearly(got.value(name), expected.value(name), 1e-5), QString());
            QCOMPARE(got.predicted, expected.predicted);
            for (std::size_t i = 0; i < got.confidence.size(); ++i)
                QCOMPARE(nearly(got.confidence[i], expected.confidence[i], 1e-6), QString());
        }
    }

    void oneLogitTellsTwoClassesApart()
    {
        const auto data = data::openData({{"id", "breast_cancer"}});
        const auto part = data->split(data::Split::Test);
        const data::Batch batch = data->fetch(part);
        const auto logit = endingIn(kNothing, 1, 30), share = endingIn(kSigmoid, 1, 30);
        const at::Tensor numbers = train::predict(logit, {batch.inputs[0]}).to(at::kDouble);
        const at::Tensor probabilities = train::predict(share, {batch.inputs[0]});
        double loss = 0, right = 0, lossOfShares = 0;
        for (std::int64_t i = 0; i < batch.size(); ++i) {
            const double x = numbers[i][0].item<double>(), y = batch.targets[i].item<double>();
            // As torch.nn.BCELoss: in float32 a sigmoid is 1 from 17 on, and a logarithm is at least -100.
            const double p = probabilities[i][0].item<double>();
            lossOfShares -= (y * std::max(std::log(p), -100.0) + (1 - y) * std::max(std::log(1 - p), -100.0)) / double(batch.size());
            loss += std::log1p(std::exp(-(2 * y - 1) * x)) / double(batch.size());
            right += double((x > 0) == (y > 0)) / double(batch.size());
        }
        for (const auto& [model, wanted] : {std::pair(logit, loss), std::pair(share, lossOfShares)}) {
            const auto got = train::evaluateModel(model, *data, data::Split::Test);
            QCOMPARE(nearly(got.value("loss"), wanted, 1e-4 * wanted), QString());
            QCOMPARE(nearly(got.value("accuracy"), right, 1e-12), QString());
        }
        try {
            train::evaluateModel(endingIn(kNothing, 1, 13), *data::openData({{"id", "wine"}}), data::Split::Test);
            QFAIL("three classes");
        } catch (const core::InputError& error) {
            QCOMPARE(QString(error.what()), QString("the model gives 1 number a sample, which tells two classes apart; the data \"wine\" have 3"));
        }
    }

    // Pillow's numbers: bicubic, 6 x 4 to 3 x 2.
    void picturesArePreparedAsTheCardSays()
    {
        const io::Image image{6, 4, 1, {0, 37, 74, 111, 148, 185, 222, 4, 41, 78, 115, 152, 189, 226, 8, 45, 82, 119, 156, 193, 230, 12, 49, 86}};
        graph::ModelCard card;
        card.inputs = {{"x", "image", "float32", {"batch", "1", "2", "2"}, {}}};
        card.inputs[0].preprocessing = {{"resize", {{"shortest_edge", 2}}},
                                        {"resample", "bicubic"},
                                        {"center_crop", {{"height", 2}, {"width", 2}}},
                                        {"range", {0, 255}},
                                        {"mean", {10.0}},
                                        {"std", {2.0}}};
        const auto got = train::imageInput(card, image);
        const auto expected = (at::tensor({74.0f, 67.0f, 186.0f, 79.0f}).reshape({1, 1, 2, 2}) - 10) / 2;
        QVERIFY(at::allclose(got, expected, 1e-6, 1e-5));
        card.inputs[0].preprocessing.erase("center_crop");
        card.inputs[0].shape = {"batch", "1", "height", "width"};
        const auto whole = train::imageInput(card, image);
        QVERIFY(at::allclose(whole, (at::tensor({74.0f, 67.0f, 146.0f, 186.0f, 79.0f, 78.0f}).reshape({1, 1, 2, 3}) - 10) / 2, 1e-6, 1e-5));
        card.inputs[0].preprocessing["resample"] = "cubic";
        try {
            train::imageInput(card, image);
            QFAIL("cubic");
        } catch (const core::InputError& error) {
            QVERIFY(QString(error.what()).startsWith("model card: preprocessing.resample: expected nearest, lanczos, "));
        }
    }

    void samplesAreSpreadEvenly()
    {
        std::vector<std::int64_t> part;
        for (int i = 0; i < 10; ++i)
            part.push_back(3 * i);
        QCOMPARE(train::spreadSamples(part, 5), (std::vector<std::int64_t>{0, 6, 12, 18, 24}));
        QCOMPARE(train::spreadSamples(part, 0), part);
        QCOMPARE(train::spreadSamples(part, 11), part);
    }

    void stopsWhenAsked()
    {
        const auto data = data::openData({{"id", "wine"}});
        const auto model = zoo::buildModel("mlp", {{"features", 13}, {"classes", 3}}, 1);
        std::stop_source stop;
        stop.request_stop();
        train::EvaluateOptions options;
        options.stop = stop.get_token();
        QVERIFY_THROWS_EXCEPTION(core::Cancelled, train::evaluateModel(model, *data, data::Split::Test, nullptr, options));
        QVERIFY_THROWS_EXCEPTION(core::Cancelled, train::predict(model, data->fetch(data->split(data::Split::Test)).inputs, 5, stop.get_token()));
    }
};

QTEST_APPLESS_MAIN(EvaluateTest)
#include "evaluate_test.moc"
