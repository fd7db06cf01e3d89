// Methods at any value of the graph and of single neurons, against the network's own formulas written out with plain tensors.
#include <core/explain/quadrature.h>

#include <QTest>

#include "tanh_net.h"

using namespace orrery;
using namespace orrery::test;
using core::Json;
using graph::Builder;

class LayerMethodsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void activationIsTheValue();
    void gradientTimesActivationOfALinearHead();
    void conductanceOfALinearNetworkIsExact();
    void conductanceEqualsTheSumOfItsFormula_data();
    void conductanceEqualsTheSumOfItsFormula();
    void conductanceSumsToTheChangeOfTheOutput();
    void conductanceAtTheInputIsItsPath();
    void influenceEqualsARiemannSum_data();
    void influenceEqualsARiemannSum();
    void influenceReportsTheErrorOfItsPoints();
    void convergedModeDoublesSteps_data();
    void convergedModeDoublesSteps();
    void batchesOfAnySizeGiveTheSame_data();
    void batchesOfAnySizeGiveTheSame();
    void partialResultsEndInTheResult_data();
    void partialResultsEndInTheResult();
    void notANumberStaysVisibleAndEnds();
    void transformersGiveFiniteNumbers_data();
    void transformersGiveFiniteNumbers();
    void stopsWhenAsked_data();
    void stopsWhenAsked();
};

void LayerMethodsTest::activationIsTheValue()
{
    const Net net;
    const auto x = noise({2, 5}, 1);
    const auto result = attributionOf(net.model, "layer_activation", {x}, {.site = net.after});
    QVERIFY(largest(result.attribution, net.hidden(x)) < 1e-15);
    QCOMPARE(result.site, net.after);
    QVERIFY(at::equal(attributionOf(net.model, "layer_activation", {x}).attribution, x));
}

void LayerMethodsTest::gradientTimesActivationOfALinearHead()
{
    const Net net;
    const auto x = noise({2, 5}, 1);
    const auto result = attributionOf(net.model, "layer_gradient_x_activation", {x}, {.target = 2, .site = net.after});
    QVERIFY(largest(result.attribution, net.hidden(x) * net.head[2]) < 1e-15);
    const auto gradient = attributionOf(net.model, "layer_gradient_x_activation", {x},
                                        {.parameters = {{"multiply_by_inputs", false}}, .target = 2, .site = net.before});
    QVERIFY(largest(gradient.attribution, net.slope(x) * net.head[2]) < 1e-15);
}

void LayerMethodsTest::conductanceOfALinearNetworkIsExact()
{
    // Two linear layers: the trapezoid's points reach from 0 to 1, Gauss-Legendre's leave out both ends, and the result says how much is missing.
    Builder builder("linear");
    const auto in = builder.input("x", "float32", {"batch", "4"});
    const auto model = finished(builder, builder.linear("fc2", builder.linear("fc1", in, 4, 3), 3, 2), 6);
    const auto x = noise({2, 4}, 2);
    const auto exact = model.weights.at("fc2.weight")[1] * at::matmul(x - 0.5, model.weights.at("fc1.weight").t());
    const auto whole = attributionOf(model, "layer_conductance", {x}, {.parameters = path(7, "riemann_trapezoid", 0.5), .target = 1, .site = "fc1"});
    QVERIFY(largest(whole.attribution, exact) < 1e-14);
    QVERIFY(size(whole.completenessError) < 1e-14);
    const auto nodes = explain::quadrature("gausslegendre", 8).nodes;
    const double share = nodes.back() - nodes.front();
    const auto inner = attributionOf(model, "layer_conductance", {x}, {.parameters = path(7, "gausslegendre", 0.5), .target = 1, .site = "fc1"});
    QVERIFY(largest(inner.attribution, exact * share) < 1e-14);
    QVERIFY(largest(inner.completenessError, exact.sum(1) * (share - 1)) < 1e-14);
}

void LayerMethodsTest::conductanceEqualsTheSumOfItsFormula_data()
{
    QTest::addColumn<QString>("rule");
    for (const char* rule : {"gausslegendre", "riemann_trapezoid", "riemann_left", "riemann_right", "riemann_middle"})
        QTest::newRow(rule) << rule;
}

void LayerMethodsTest::conductanceEqualsTheSumOfItsFormula()
{
    QFETCH(QString, rule);
    const Net net;
    const auto x = noise({2, 5}, 1);
    const auto nodes = explain::quadrature(rule.toStdString(), 51).nodes;
    const auto at = [&](std::size_t k) { return 0.25 + nodes[k] * (x - 0.25); };
    auto before = at::zeros({2, 6}, at::kDouble), after = before.clone();
    for (std::size_t k = 0; k + 1 < nodes.size(); ++k) {
        before += net.head[1] * net.slope(at(k)) * (at::linear(at(k + 1), net.weight, net.bias) - at::linear(at(k), net.weight, net.bias));
        after += net.head[1] * (net.hidden(at(k + 1)) - net.hidden(at(k)));
    }
    const Json parameters = path(50, rule.toUtf8().constData(), 0.25);
    QVERIFY(largest(attributionOf(net.model, "layer_conductance", {x}, {.parameters = parameters, .target = 1, .site = net.before}).attribution,
                    before) < 1e-14);
    QVERIFY(largest(attributionOf(net.model, "layer_conductance", {x}, {.parameters = parameters, .target = 1, .site = net.after}).attribution,
                    after) < 1e-14);
}

void LayerMethodsTest::conductanceSumsToTheChangeOfTheOutput()
{
    const auto model = zooModel("lenet",
                                {{"image_size", 8},
                                 {"maps", {3, 4}},
                                 {"kernel", 3},
                                 {"padding", 1},
                                 {"pooling", "max"},
                                 {"hidden", {6}},
                                 {"activation", "relu"},
                                 {"batch_norm", true}},
                                5);
    const auto x = noise({2, 1, 8, 8}, 3);
    const graph::Executor executor(model.graph);
    const auto change = executor.forward(model.weights, {x}).select(1, 3) - executor.forward(model.weights, {at::zeros_like(x)}).select(1, 3);
    for (const char* site : {"conv1", "conv2", "fc1"}) {
        const auto result =
            attributionOf(model, "layer_conductance", {x}, {.parameters = path(4000, "riemann_trapezoid"), .target = 3, .site = site});
        QVERIFY2(largest(result.attribution.flatten(1).sum(1), change) < 2e-3 * size(change), site);
        QVERIFY(largest(result.completenessError, result.attribution.flatten(1).sum(1) - change) < 1e-12);
    }
}

void LayerMethodsTest::conductanceAtTheInputIsItsPath()
{
    // Without --at the layer is the input itself: integrated gradients by the left rule.
    const Net net;
    const auto x = noise({2, 5}, 1);
    const auto conductance = attributionOf(net.model, "layer_conductance", {x}, {.parameters = path(40, "riemann_left"), .target = 0}).attribution;
    auto sum = at::zeros({2, 5}, at::kDouble);
    for (int k = 0; k < 40; ++k)
        sum += at::matmul(net.slope(x * (k / 41.0)) * net.head[0], net.weight) * x / 41.0;
    QVERIFY(largest(conductance, sum) < 1e-14);
}

void LayerMethodsTest::influenceEqualsARiemannSum_data()
{
    QTest::addColumn<QString>("rule");
    QTest::addColumn<double>("first");
    QTest::newRow("left") << "riemann_left" << 0.0;
    QTest::newRow("middle") << "riemann_middle" << 0.5;
    QTest::newRow("right") << "riemann_right" << 1.0;
}

void LayerMethodsTest::influenceEqualsARiemannSum()
{
    QFETCH(QString, rule);
    QFETCH(double, first);
    const Net net;
    const auto x = noise({2, 5}, 1);
    auto sum = at::zeros({2, 6}, at::kDouble);
    for (int k = 0; k < 30; ++k)
        sum += net.head[1] * net.slope(0.25 + (k + first) / 30 * (x - 0.25)) / 30;
    const auto result = attributionOf(net.model, "internal_influence", {x},
                                      {.parameters = path(30, rule.toUtf8().constData(), 0.25), .target = 1, .site = net.before});
    QVERIFY(largest(result.attribution, sum) < 1e-15);
    // Under a linear head the influence is the head.
    const auto linear = attributionOf(net.model, "internal_influence", {x}, {.target = 1, .site = net.after}).attribution;
    QVERIFY(largest(linear, net.head[1].expand({2, 6})) < 1e-14);
}

void LayerMethodsTest::influenceReportsTheErrorOfItsPoints()
{
    const Net net;
    const auto x = 2 * noise({2, 5}, 1);
    const auto asked = path(5, "riemann_left");
    const auto influence = attributionOf(net.model, "internal_influence", {x}, {.parameters = asked, .target = 1, .site = net.before});
    const auto integrated = attributionOf(net.model, "integrated_gradients", {x}, {.parameters = asked, .target = 1});
    QVERIFY(size(influence.completenessError) > 1e-3);
    QVERIFY(largest(influence.completenessError, integrated.completenessError) < 1e-14);
}

void LayerMethodsTest::convergedModeDoublesSteps_data()
{
    QTest::addColumn<QString>("method");
    QTest::newRow("conductance") << "layer_conductance";
    QTest::newRow("influence") << "internal_influence";
    QTest::newRow("neuron conductance") << "neuron_conductance";
    QTest::newRow("integrated gradients") << "integrated_gradients";
}

void LayerMethodsTest::convergedModeDoublesSteps()
{
    QFETCH(QString, method);
    const Net net;
    const auto x = 2 * noise({2, 5}, 1);
    Json parameters = path(3, "riemann_left");
    if (method.startsWith("neuron"))
        parameters.update(Json{{"layer", net.after}, {"neuron", {2}}});
    const auto once = [&](int steps) {
        parameters["n_steps"] = steps;
        return attributionOf(net.model, method.toUtf8().constData(), {x},
                             {.parameters = parameters,
                              .target = 1,
                              .site = method == "layer_conductance"    ? net.before
                                      : method == "internal_influence" ? net.after
                                                                       : ""});
    };
    const auto coarse = once(3);
    const double worst = size(coarse.completenessError);
    QVERIFY(worst > 1e-6);
    parameters["tolerance"] = worst / 5;
    const auto fine = once(3);
    QVERIFY(fine.details.at("converged").get<bool>());
    QVERIFY(size(fine.completenessError) <= worst / 5);
    const int steps = fine.details.at("steps").get<int>();
    QVERIFY(steps > 3 && steps % 3 == 0 && ((steps / 3) & (steps / 3 - 1)) == 0);
    parameters["tolerance"] = nullptr;
    QVERIFY(at::equal(once(steps).attribution, fine.attribution));
    QVERIFY(size(once(steps / 2).completenessError) > worst / 5);
    parameters["tolerance"] = 1e-300;
    parameters["max_steps"] = 8;
    const auto given = once(3);
    QVERIFY(!given.details.at("converged").get<bool>());
    QCOMPARE(given.details.at("steps").get<int>(), 8);
}

void LayerMethodsTest::batchesOfAnySizeGiveTheSame_data()
{
    convergedModeDoublesSteps_data();
}

void LayerMethodsTest::batchesOfAnySizeGiveTheSame()
{
    QFETCH(QString, method);
    const Net net;
    const auto x = noise({3, 5}, 1);
    Json parameters = path(21, "gausslegendre");
    if (method.startsWith("neuron"))
        parameters.update(Json{{"layer", net.before}, {"neuron", {2}}});
    const auto of = [&](int rows) {
        parameters["internal_batch_size"] = rows;
        return attributionOf(net.model, method.toUtf8().constData(), {x},
                             {.parameters = parameters, .target = 1, .site = method.startsWith("neuron") ? "" : net.before});
    };
    const auto whole = of(1000);
    for (const int rows : {1, 3, 7, 10, 64})
        QVERIFY(largest(of(rows).attribution, whole.attribution) < 1e-14);
}

void LayerMethodsTest::partialResultsEndInTheResult_data()
{
    convergedModeDoublesSteps_data();
}

void LayerMethodsTest::partialResultsEndInTheResult()
{
    QFETCH(QString, method);
    const Net net;
    const auto x = noise({3, 5}, 1);
    Json parameters = path(20, "riemann_middle");
    parameters["internal_batch_size"] = 9;
    if (method.startsWith("neuron"))
        parameters.update(Json{{"layer", net.before}, {"neuron", {2}}});
    std::vector<at::Tensor> shown;
    explain::Control control;
    control.partial = [&](const at::Tensor& partial) { shown.push_back(partial); };
    const auto result = attributionOf(net.model, method.toUtf8().constData(), {x},
                                      {.parameters = parameters, .target = 1, .site = method.startsWith("neuron") ? "" : net.before}, control);
    QCOMPARE(int(shown.size()), 7);
    QVERIFY(largest(shown.back(), result.attribution) < 1e-14);
    QVERIFY(largest(shown.front(), result.attribution) > 1e-6);
    QCOMPARE(shown.front().sizes().vec(), result.attribution.sizes().vec());
}

void LayerMethodsTest::notANumberStaysVisibleAndEnds()
{
    const Net net;
    auto x = noise({2, 5}, 1);
    x[0][2] = std::numeric_limits<double>::quiet_NaN();
    Json parameters = {{"tolerance", 1e-6}, {"max_steps", 1000000}};
    const auto result = attributionOf(net.model, "layer_conductance", {x}, {.parameters = parameters, .target = 1, .site = net.after});
    QVERIFY(at::isnan(result.attribution[0]).all().item<bool>());
    QVERIFY(at::isfinite(result.attribution[1]).all().item<bool>());
    QVERIFY(!result.details.at("converged").get<bool>());
    QCOMPARE(result.details.at("steps").get<int>(), 50);
}

void LayerMethodsTest::transformersGiveFiniteNumbers_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<bool>("ofNeuron");
    for (const char* method : {"layer_activation", "layer_gradient_x_activation", "layer_conductance", "internal_influence", "integrated_gradients"})
        QTest::newRow(method) << method << false;
    for (const char* method : {"neuron_gradient", "neuron_conductance"})
        QTest::newRow(method) << method << true;
}

void LayerMethodsTest::transformersGiveFiniteNumbers()
{
    QFETCH(QString, method);
    QFETCH(bool, ofNeuron);
    const auto gpt = zoo::buildModel("gpt", {{"vocabulary", 11}, {"block_length", 8}, {"layers", 2}, {"heads", 2}, {"width", 8}}, 2);
    const auto tokens = at::tensor(std::vector<std::int64_t>{1, 4, 7, 2, 5, 5, 1, 0}, at::kLong).reshape({2, 4});
    auto vit = zoo::buildModel(
        "vit", {{"image_size", 16}, {"patch_size", 4}, {"layers", 2}, {"heads", 2}, {"width", 8}, {"mlp_width", 8}, {"classes", 5}}, 3);
    vit.weights.set("head.weight", noise({5, 8}, 4).to(at::kFloat));
    const auto image = noise({2, 3, 16, 16}, 5).to(at::kFloat);
    const auto check = [&](const graph::Model& model, const at::Tensor& in, std::vector<std::int64_t> site, std::vector<std::int64_t> input) {
        const auto layer = model.card.canonicalNames.at("blocks.1.resid_pre");
        const Ask ask = ofNeuron ? Ask{.parameters = {{"layer", layer}, {"neuron", {1, 2}}}} : Ask{.site = layer};
        const auto attribution = attributionOf(model, method.toUtf8().constData(), {in}, ask).attribution;
        return attribution.sizes().vec() == (ofNeuron ? input : site) && at::isfinite(attribution).all().item<bool>() && size(attribution) > 0;
    };
    QVERIFY(check(gpt, tokens, {2, 4, 8}, {2, 4, 8}));
    QVERIFY(check(vit, image, {2, 17, 8}, {2, 3, 16, 16}));
}

void LayerMethodsTest::stopsWhenAsked_data()
{
    convergedModeDoublesSteps_data();
    QTest::newRow("activation") << "layer_activation";
    QTest::newRow("gradient x activation") << "layer_gradient_x_activation";
    QTest::newRow("neuron gradient") << "neuron_gradient";
}

void LayerMethodsTest::stopsWhenAsked()
{
    QFETCH(QString, method);
    const Net net;
    Json parameters = Json::object();
    if (method.startsWith("neuron"))
        parameters = {{"layer", net.before}, {"neuron", {2}}};
    if (method.contains("conductance") || method == "internal_influence" || method == "integrated_gradients")
        parameters.update(Json{{"n_steps", 1000}, {"internal_batch_size", 2}});
    std::stop_source source;
    int reports = 0;
    const int limit = parameters.contains("n_steps") ? 5 : 1;
    explain::Control control;
    control.stop = source.get_token();
    control.progress = [&](double, double, const char*) {
        if (++reports == limit)
            source.request_stop();
    };
    QVERIFY_THROWS_EXCEPTION(core::Cancelled,
                             attributionOf(net.model, method.toUtf8().constData(), {noise({2, 5}, 3)}, {.parameters = parameters}, control));
    QCOMPARE(reports, limit);
}

QTEST_APPLESS_MAIN(LayerMethodsTest)
#include "layer_methods_test.moc"
