// Methods of single neurons against the network's own formulas.
#include <QTest>

#include "../message_of.h"
#include "tanh_net.h"

using namespace orrery;
using namespace orrery::test;
using core::Json;

class NeuronTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void neuronGradientEqualsTheFormula();
    void neuronGradientOfAFeatureMapEqualsCentralDifferences();
    void neuronConductanceSumsToTheNeuronsChange();
    void neuronConductanceEqualsTheSumOfItsFormula();
    void neuronConductancesOfALayerSumToIntegratedGradients();
    void badNeuronsAndLayersAreRefused_data();
    void badNeuronsAndLayersAreRefused();
    void layersThatDoNotFollowAreRefused();
};

void NeuronTest::neuronGradientEqualsTheFormula()
{
    const Net net;
    const auto x = noise({3, 5}, 1);
    for (int unit : {0, 5}) {
        const auto result = attributionOf(net.model, "neuron_gradient", {x}, {.parameters = {{"layer", net.after}, {"neuron", {unit}}}});
        QVERIFY(largest(result.attribution, net.slope(x).select(1, unit).unsqueeze(1) * net.weight[unit]) < 1e-15);
        for (std::int64_t i = 0; i < 3; ++i)
            QVERIFY(std::abs(result.details.at("neuron_values")[std::size_t(i)].get<double>() - net.hidden(x)[i][unit].item<double>()) < 1e-15);
    }
}

void NeuronTest::neuronGradientOfAFeatureMapEqualsCentralDifferences()
{
    const auto model = zooModel("lenet", {{"image_size", 8}, {"maps", {2, 3}}, {"kernel", 3}, {"padding", 1}, {"hidden", {6}}}, 5);
    const auto x = noise({1, 1, 8, 8}, 3);
    const auto gradient = attributionOf(model, "neuron_gradient", {x}, {.parameters = {{"layer", "conv2"}, {"neuron", {2, 1, 3}}}}).attribution;
    const graph::Executor executor(model.graph);
    const auto neuron = [&](const at::Tensor& in) {
        graph::RunRequest request;
        request.inputs = {in};
        const auto name = model.graph->value(model.graph->resolve("conv2").at(0)).name;
        request.keep = {name};
        return executor.run(model.weights, request).value(name)[0][2][1][3].item<double>();
    };
    int seen = 0;
    for (std::int64_t i = 0; i < 64; i += 5) {
        auto up = x.clone(), down = x.clone();
        up.view(-1)[i] += 1e-6;
        down.view(-1)[i] -= 1e-6;
        const double slope = (neuron(up) - neuron(down)) / 2e-6;
        seen += std::abs(slope) > 1e-6;
        QVERIFY(std::abs(slope - gradient.view(-1)[i].item<double>()) < 1e-8);
    }
    QVERIFY(seen > 0);
}

void NeuronTest::neuronConductanceSumsToTheNeuronsChange()
{
    // A head that reads one neuron: y = 2.5 h4, so what flows through h4 is all of the change, 2.5 times its own.
    Net net;
    auto only = at::zeros({3, 6}, at::kDouble);
    only[1][4] = 2.5;
    net.model.weights.set("out.weight", only);
    const auto x = noise({2, 5}, 1);
    Json parameters = path(60, "gausslegendre", 0.3);
    parameters["layer"] = net.after;
    parameters["neuron"] = {4};
    const auto result = attributionOf(net.model, "neuron_conductance", {x}, {.parameters = parameters, .target = 1});
    const auto change = (net.hidden(x) - net.hidden(at::full_like(x, 0.3))).select(1, 4);
    QVERIFY(largest(result.attribution.sum(1), 2.5 * change) < 1e-13);
    QVERIFY(size(result.completenessError) < 1e-13);
    QVERIFY(std::abs(result.details.at("neuron_baseline_values")[1].get<double>() - net.hidden(at::full_like(x, 0.3))[1][4].item<double>()) < 1e-15);
    // A coarse rule errs, and says so: the error is that of the neuron's change.
    parameters["n_steps"] = 3;
    parameters["method"] = "riemann_left";
    const auto coarse = attributionOf(net.model, "neuron_conductance", {x}, {.parameters = parameters, .target = 1});
    QVERIFY(size(coarse.completenessError) > 1e-3);
    QVERIFY(largest(2.5 * coarse.completenessError, coarse.attribution.sum(1) - 2.5 * change) < 1e-13);
}

void NeuronTest::neuronConductanceEqualsTheSumOfItsFormula()
{
    // Two hidden layers, so that dF/dneuron changes on the path.
    const auto model = zooModel("mlp", {{"features", 5}, {"hidden", {6, 4}}, {"classes", 3}, {"activation", "tanh"}}, 8);
    const auto w = [&](const char* name) { return model.weights.at(name); };
    const auto x = noise({1, 5}, 1);
    auto sum = at::zeros({5}, at::kDouble);
    for (int k = 0; k < 20; ++k) {
        const auto point = x[0] * ((k + 0.5) / 20);
        const auto h1 = (at::mv(w("fc1.weight"), point) + w("fc1.bias")).tanh(), h2 = (at::mv(w("fc2.weight"), h1) + w("fc2.bias")).tanh();
        const auto outer = at::dot(w("out.weight")[2] * (1 - h2.square()), w("fc2.weight").select(1, 3));  // dF/dh1[3]
        sum += outer * (1 - h1[3].square()) * w("fc1.weight")[3] * x[0] / 20;
    }
    Json parameters = path(20, "riemann_middle");
    parameters["layer"] = model.graph->value(model.graph->resolve("op:tanh").at(0)).name;
    parameters["neuron"] = {3};
    const auto result = attributionOf(model, "neuron_conductance", {x}, {.parameters = parameters, .target = 2});
    QVERIFY(size(sum) > 1e-4);
    QVERIFY(largest(result.attribution[0], sum) < 1e-15);
}

void NeuronTest::neuronConductancesOfALayerSumToIntegratedGradients()
{
    // The chain rule over a layer that everything passes through, at the same points.
    const Net net;
    const auto x = noise({2, 5}, 1);
    const auto whole = attributionOf(net.model, "integrated_gradients", {x}, {.parameters = path(9, "gausslegendre"), .target = 0}).attribution;
    auto sum = at::zeros_like(whole);
    for (int unit = 0; unit < 6; ++unit) {
        Json parameters = path(9, "gausslegendre");
        parameters["layer"] = net.before;
        parameters["neuron"] = {unit};
        sum += attributionOf(net.model, "neuron_conductance", {x}, {.parameters = parameters, .target = 0}).attribution;
    }
    QVERIFY(largest(sum, whole) < 1e-14);
}

void NeuronTest::badNeuronsAndLayersAreRefused_data()
{
    QTest::addColumn<QString>("layer");
    QTest::addColumn<QString>("neuron");
    QTest::addColumn<QString>("message");
    QTest::newRow("too large") << "conv2"
                               << "[3, 0, 0]"
                               << "METHOD.neuron[0]: expected 0..2 (a sample of conv2.conv2d is [3, 4, 4]), got 3";
    QTest::newRow("row too large") << "conv2"
                                   << "[2, 4, 0]"
                                   << "METHOD.neuron[1]: expected 0..3 (a sample of conv2.conv2d is [3, 4, 4]), got 4";
    QTest::newRow("too few") << "conv2"
                             << "[2]"
                             << "METHOD.neuron: expected 3 indices (a sample of conv2.conv2d is [3, 4, 4]), got 1";
    QTest::newRow("too many") << "fc1"
                              << "[2, 0]"
                              << "METHOD.neuron: expected 1 indices (a sample of fc1.linear is [6]), got 2";
    QTest::newRow("negative") << "fc1"
                              << "[-1]"
                              << "METHOD.neuron[0]: expected an integer >= 0, got -1";
    QTest::newRow("no number") << "fc1"
                               << "[\"a\"]"
                               << "METHOD.neuron[0]: expected an integer";
    QTest::newRow("no list") << "fc1"
                             << "3"
                             << "METHOD.neuron: expected a list";
    QTest::newRow("unknown layer") << "conv3"
                                   << "[0]"
                                   << "no value fits \"conv3\"; did you mean \"conv1\"?";
    QTest::newRow("several layers") << "op:tanh"
                                    << "[0]"
                                    << "expected one value, the pattern names 3";
    QTest::newRow("no batch") << "conv1.bias"
                              << "[0]"
                              << "METHOD.layer: conv1.bias is [2]; expected a first axis of 1 (the batch)";
}

void NeuronTest::badNeuronsAndLayersAreRefused()
{
    QFETCH(QString, layer);
    QFETCH(QString, neuron);
    QFETCH(QString, message);
    const auto model = zooModel("lenet", {{"image_size", 8}, {"maps", {2, 3}}, {"kernel", 3}, {"padding", 1}, {"hidden", {6}}}, 5);
    for (const char* method : {"neuron_gradient", "neuron_conductance"}) {
        const Json parameters = {{"layer", layer.toStdString()}, {"neuron", Json::parse(neuron.toStdString())}};
        const auto said = saidBy([&] { attributionOf(model, method, {noise({1, 1, 8, 8}, 3)}, {.parameters = parameters}); });
        QVERIFY2(said.contains(QString(message).replace("METHOD", method)), qPrintable(said));
        QVERIFY(saidBy([&] { attributionOf(model, method, {noise({1, 1, 8, 8}, 3)}); }).contains("layer: is required"));
    }
}

void NeuronTest::layersThatDoNotFollowAreRefused()
{
    const Net net;
    for (const char* method : {"neuron_gradient", "neuron_conductance"})
        QCOMPARE(
            saidBy([&] {
                attributionOf(net.model, method, {noise({2, 5}, 1)}, {.parameters = {{"layer", net.before}, {"neuron", {0}}}, .site = net.after});
            }),
            QString("%1.layer: fc1.linear does not depend on %2").arg(method, net.after.c_str()));
}

QTEST_APPLESS_MAIN(NeuronTest)
#include "neuron_test.moc"
