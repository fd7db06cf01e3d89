// The references are table 8 of Yang et al. (2022), arXiv:2203.03466, written out by hand, and the standard parametrisation at base width.
#include <ATen/ATen.h>

#include <QtTest>

#include <core/base/error.h>
#include <core/graph/executor.h>
#include <core/train/experiment.h>
#include <core/zoo/parametrisation.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"

using namespace orrery;
using core::Json;

namespace {

const std::string kGpt = "zoo:gpt?vocabulary=40&block_length=12&layers=2&heads=4&width=128&parametrisation=mup&base_width=32";
const std::string kVit =
    "zoo:vit?image_size=8&channels=1&patch_size=2&layers=2&heads=4&width=128&mlp_width=256&classes=10&parametrisation=mup&base_width=32";

double deviation(const graph::Model& model, const std::string& name)
{
    return model.weights.at(name).to(at::kDouble).std(false).item<double>();
}

Json rates(const graph::Model& model, const std::string& name)
{
    return model.graph->findParameter(name)->init.at("rate");
}

bool sameWeights(const graph::Model& a, const graph::Model& b)
{
    for (const auto& [name, tensor] : a.weights.tensors())
        if (!at::equal(tensor, b.weights.at(name)))
            return false;
    return a.weights.tensors().size() == b.weights.tensors().size();
}

}  // namespace

class ParametrisationTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void rulesAreThoseOfTheTable_data()
    {
        using zoo::Parametrisation;
        QTest::addColumn<int>("kind");
        QTest::addColumn<zoo::WidthAxes>("axes");
        QTest::addColumn<QList<double>>("rule");  // deviation, SGD, Adam
        const zoo::WidthAxes none, out{true, false, 4, 1}, in{false, true, 1, 4}, both{true, true, 8, 4};
        QTest::newRow("standard, hidden") << int(Parametrisation::Standard) << both << QList<double>{1, 1, 1};
        QTest::newRow("mup, no width") << int(Parametrisation::Mup) << none << QList<double>{1, 1, 1};
        QTest::newRow("mup, input weights or bias") << int(Parametrisation::Mup) << out << QList<double>{1, 4, 1};
        QTest::newRow("mup, output weights") << int(Parametrisation::Mup) << in << QList<double>{1, 4, 1};
        QTest::newRow("mup, hidden") << int(Parametrisation::Mup) << both << QList<double>{0.5, 2, 0.25};
        QTest::newRow("ntk, input weights or bias") << int(Parametrisation::Ntk) << out << QList<double>{1, 1, 1};
        QTest::newRow("ntk, output weights") << int(Parametrisation::Ntk) << in << QList<double>{0.5, 0.25, 1};
        QTest::newRow("ntk, hidden") << int(Parametrisation::Ntk) << both << QList<double>{0.5, 0.25, 1};
        QTest::newRow("mean field, output weights") << int(Parametrisation::MeanField) << in << QList<double>{1, 4, 1};
    }
    void rulesAreThoseOfTheTable()
    {
        QFETCH(int, kind);
        QFETCH(zoo::WidthAxes, axes);
        QFETCH(QList<double>, rule);
        const zoo::WidthRule found = zoo::widthRule(zoo::Parametrisation(kind), axes);
        QCOMPARE((QList<double>{found.spread, found.sgd, found.adam}), rule);
    }

    void axesThatGrowAreWidths()
    {
        const zoo::WidthAxes hidden = zoo::widthAxes({256, 128}, {64, 64}, {128, 128});
        QVERIFY(hidden.out && hidden.in);
        QCOMPARE(hidden.ratioOut, 4.0);
        QCOMPARE(hidden.ratioIn, 2.0);
        const zoo::WidthAxes table = zoo::widthAxes({40, 128}, {40, 32}, {40, 64});
        QVERIFY(!table.out && table.in);
        const zoo::WidthAxes classToken = zoo::widthAxes({1, 1, 128}, {1, 1, 32}, {1, 1, 64});
        QVERIFY(classToken.in);
        QCOMPARE(classToken.ratioIn, 4.0);
        // An axis that happens to be as large as at base width is a width all the same.
        QVERIFY(zoo::widthAxes({64, 10}, {64, 10}, {128, 10}).out);
        QVERIFY(saidBy([] { zoo::widthAxes({2}, {2, 2}, {4, 4}); }).contains("one rank"));
    }

    void atBaseWidthAllAreTheStandardOne_data()
    {
        QTest::addColumn<QString>("reference");
        QTest::addColumn<QString>("kind");
        const QString mlp = "zoo:mlp?features=8&hidden=32,32&classes=3", one = "zoo:mlp?features=8&hidden=32&classes=3";
        QTest::newRow("mlp, mup") << mlp << "mup";
        QTest::newRow("mlp, ntk") << mlp << "ntk";
        QTest::newRow("mlp, mean field") << one << "mean_field";
        QTest::newRow("gpt") << "zoo:gpt?vocabulary=40&block_length=12&layers=1&heads=4&width=32"
                             << "mup";
        QTest::newRow("lstm") << "zoo:lstm?vocabulary=40&layers=2&width=32"
                              << "mup";
        QTest::newRow("vit") << "zoo:vit?image_size=8&channels=1&patch_size=4&layers=1&heads=4&width=32&mlp_width=64"
                             << "mup";
    }
    void atBaseWidthAllAreTheStandardOne()
    {
        QFETCH(QString, reference);
        QFETCH(QString, kind);
        const graph::Model standard = zoo::openZoo(reference.toStdString(), 3);
        const graph::Model other = zoo::openZoo((reference + "&parametrisation=" + kind + "&base_width=32").toStdString(), 3);
        QVERIFY(sameWeights(standard, other));
        for (const graph::Parameter& parameter : other.graph->data().parameters)
            for (const auto& [optimizer, rate] : parameter.init.at("rate").items())
                QCOMPARE(rate.get<double>(), 1.0);
        at::Tensor input = at::randn({5, 8});
        if (reference.contains("gpt") || reference.contains("lstm"))
            input = at::randint(40, {2, 9}, at::kLong);
        else if (reference.contains("vit"))
            input = at::randn({2, 1, 8, 8});
        const auto forward = [&](const graph::Model& model) { return graph::Executor(model.graph).forward(model.weights, {input}); };
        QVERIFY(at::allclose(forward(standard), forward(other), 1e-6, 1e-7));
    }

    void initialValuesAndRatesOfAnMlpFollowTheTable()
    {
        const std::string shape = "zoo:mlp?features=64&classes=50&hidden=";
        const graph::Model base = zoo::openZoo(shape + "256,256", 1);
        const graph::Model wide = zoo::openZoo(shape + "1024,1024&parametrisation=mup&base_width=256", 1);
        // Four times as wide: deviations of input weights, biases and output weights stay, those of hidden weights halve. 1 %: thousands of draws each.
        QVERIFY(std::abs(deviation(wide, "fc1.weight") / deviation(base, "fc1.weight") - 1) < 0.02);
        QVERIFY(std::abs(deviation(wide, "fc2.weight") / deviation(base, "fc2.weight") - 0.5) < 0.01);
        QVERIFY(std::abs(deviation(wide, "out.weight") / deviation(base, "out.weight") - 1) < 0.02);
        QVERIFY(std::abs(deviation(wide, "fc2.bias") / deviation(base, "fc2.bias") - 1) < 0.1);
        QCOMPARE(rates(wide, "fc1.weight"), (Json{{"sgd", 4.0}, {"adam", 1.0}}));
        QCOMPARE(rates(wide, "fc2.weight"), (Json{{"sgd", 1.0}, {"adam", 0.25}}));
        QCOMPARE(rates(wide, "fc2.bias"), (Json{{"sgd", 4.0}, {"adam", 1.0}}));
        QCOMPARE(rates(wide, "out.weight"), (Json{{"sgd", 4.0}, {"adam", 1.0}}));
        QCOMPARE(rates(wide, "out.bias"), (Json{{"sgd", 1.0}, {"adam", 1.0}}));
        QVERIFY(wide.graph->findValue("readout_input").has_value());
    }

    void tablesOfATransformerKeepTheirValuesAndItsProjectionsShrink()
    {
        const graph::Model wide = zoo::openZoo(kGpt, 2);
        QVERIFY(std::abs(deviation(wide, "wte.weight") / 0.02 - 1) < 0.05);
        QVERIFY(std::abs(deviation(wide, "blocks.0.attn.qkv.weight") / 0.01 - 1) < 0.02);
        QVERIFY(std::abs(deviation(wide, "blocks.1.mlp.proj.weight") / (0.01 / 2) - 1) < 0.02);  // 0.02 / sqrt(4 branches) / sqrt(4)
        QCOMPARE(rates(wide, "wte.weight"), (Json{{"sgd", 4.0}, {"adam", 1.0}}));
        QCOMPARE(rates(wide, "blocks.0.attn.qkv.weight"), (Json{{"sgd", 1.0}, {"adam", 0.25}}));
        QCOMPARE(rates(wide, "blocks.0.ln_1.weight"), (Json{{"sgd", 4.0}, {"adam", 1.0}}));
        const graph::Model vit = zoo::openZoo(kVit, 2);
        QCOMPARE(rates(vit, "class_token"), (Json{{"sgd", 4.0}, {"adam", 1.0}}));
        QCOMPARE(rates(vit, "conv_proj.weight"), (Json{{"sgd", 4.0}, {"adam", 1.0}}));
        QCOMPARE(rates(vit, "blocks.1.mlp.fc.weight"), (Json{{"sgd", 1.0}, {"adam", 0.25}}));
    }

    void attentionScoresFallLikeOneOverTheFeaturesOfAHead_data()
    {
        QTest::addColumn<QString>("reference");
        QTest::addColumn<double>("scale");
        const QString gpt = "zoo:gpt?vocabulary=40&block_length=12&layers=1&width=128&mlp=false&heads=4";
        QTest::newRow("standard: 1/sqrt(32)") << gpt << 1 / std::sqrt(32.0);
        QTest::newRow("heads stay, features grow from 8 to 32: sqrt(8)/32") << gpt + "&parametrisation=mup&base_width=32" << std::sqrt(8.0) / 32;
        QTest::newRow("heads grow, features stay: 1/sqrt(32)") << gpt + "&parametrisation=mup&base_width=32&base_heads=1" << 1 / std::sqrt(32.0);
    }
    void attentionScoresFallLikeOneOverTheFeaturesOfAHead()
    {
        QFETCH(QString, reference);
        QFETCH(double, scale);
        const graph::Model model = zoo::openZoo(reference.toStdString(), 4);
        graph::RunRequest request;
        request.inputs = {at::randint(40, {1, 6}, at::kLong)};
        request.keep = {"blocks.0.attn.q", "blocks.0.attn.k", "blocks.0.attn.scores"};
        const graph::RunResult run = graph::Executor(model.graph).run(model.weights, request);
        const at::Tensor q = run.value("blocks.0.attn.q")[0][0][5], k = run.value("blocks.0.attn.k")[0][0][2];
        QVERIFY(std::abs(run.value("blocks.0.attn.scores")[0][0][5][2].item<double>() - scale * q.dot(k).item<double>()) < 1e-6);
    }

    /// The readout sums over width independent terms and divides by the width: 1/sqrt(width). The bias stays.
    void answersShrinkAtTheStart()
    {
        const at::Tensor input = at::randn({200, 16});
        const auto size = [&](const char* width) {
            const graph::Model model = zoo::openZoo(std::string("zoo:mlp?features=16&classes=100&parametrisation=mup&hidden=") + width, 5);
            const at::Tensor answer = graph::Executor(model.graph).forward(model.weights, {input}) - model.weights.at("out.bias");
            return answer.square().mean().sqrt().item<double>();
        };
        QVERIFY(std::abs(size("1024") / size("64") - 0.25) < 0.05);
    }

    void oldDocumentsKeepTheirMeaningAndHash()
    {
        const Json document = Json::parse(R"({"model": {"id": "mlp"}, "data": "iris"})");
        const Json resolved = train::resolveExperiment(document).document;
        QCOMPARE(resolved["model"]["parametrisation"], Json("standard"));
        QVERIFY(!resolved["model"].contains("base_width"));
        Json old = resolved;
        old["model"].erase("parametrisation");
        QCOMPARE(train::experimentHash(old), train::experimentHash(resolved));
        Json scaled = resolved;
        scaled["model"]["parametrisation"] = "mup";
        scaled["model"]["base_width"] = 64;
        QVERIFY(train::experimentHash(scaled) != train::experimentHash(resolved));
    }

    void saysWhatDoesNotFit_data()
    {
        QTest::addColumn<QString>("reference");
        QTest::addColumn<QString>("sentence");
        QTest::newRow("no hidden layer") << "zoo:mlp?hidden=[]&parametrisation=mup"
                                         << "expected at least one hidden layer";
        QTest::newRow("mean field of two layers") << "zoo:mlp?hidden=8,8&parametrisation=mean_field"
                                                  << "expected one hidden layer, got 2";
        QTest::newRow("heads do not divide the base width") << "zoo:gpt?heads=12&width=768&parametrisation=mup&base_width=64"
                                                            << "expected a multiple of the 12 heads";
        QTest::newRow("an MLP width that does not stay whole") << "zoo:vit?width=30&heads=1&mlp_width=7&parametrisation=mup&base_width=4"
                                                               << "expected an MLP whose width stays whole";
        QTest::newRow("unknown") << "zoo:mlp?parametrisation=mupp"
                                 << "mup";
        QTest::newRow("no such parameter") << "zoo:lenet?parametrisation=mup"
                                           << "parametrisation";
        QTest::newRow("kernel of a transformer") << "zoo:gpt?parametrisation=ntk"
                                                 << "ntk";
    }
    void saysWhatDoesNotFit()
    {
        QFETCH(QString, reference);
        QFETCH(QString, sentence);
        const QString message = saidBy([&] { zoo::openZoo(reference.toStdString(), 0); });
        QVERIFY2(message.contains(sentence), qPrintable(message));
    }

    void otherArchitecturesHaveNoWidth()
    {
        const QString message = saidBy([] { zoo::atWidth("lenet", Json::object(), 64); });
        QVERIFY2(message.contains("mlp, gpt, vit") && message.contains("lenet"), qPrintable(message));
    }

    void theKernelIsTrainedByGradientDescentAlone()
    {
        const Json document = Json::parse(R"({"model": {"id": "mlp", "parametrisation": "ntk"}, "data": "iris"})");
        const QString message = saidBy([&] { train::resolveExperiment(document); });
        QVERIFY2(message.contains("train.optimizer") && message.contains("expected sgd with the parametrisation ntk"), qPrintable(message));
    }
};

QTEST_APPLESS_MAIN(ParametrisationTest)
#include "parametrisation_test.moc"
