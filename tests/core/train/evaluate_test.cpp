// Evaluation and prediction in batches.
#include <ATen/ATen.h>
#include <QTest>
#include <cmath>

#include <core/train/predict.h>
#include <core/zoo/zoo.h>

#include "training_fixture.h"

using namespace orrery;
using core::Json;

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
