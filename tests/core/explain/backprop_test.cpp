// Methods with a changed backward pass, against passes written by hand with plain tensors, hand-worked numbers and summation to delta.
#include <core/explain/rescale.h>

#include <QTest>

#include "../graph/sample_graphs.h"
#include "../message_of.h"
#include "lenet_by_hand.h"

using namespace orrery;
using namespace orrery::test;
using core::Json;
using graph::Builder;

namespace {

// out = fc2(relu(fc1(relu(x)))) with one relu module; every number by hand below.
struct TwoCalls {
    graph::Model model;
    TwoCalls()
    {
        Builder builder("two calls");
        const auto x = builder.input("x", "float64", {"batch", "2"});
        const auto relu = [&](Builder::Var v) {
            const auto scope = builder.module("act", "ReLU");
            return builder.relu(v);
        };
        const auto h = relu(builder.linear("fc1", relu(x), 2, 2));
        model = builder.finish({{"y", builder.linear("fc2", h, 2, 1)}});
        const auto tensor = [](std::vector<double> v) { return at::tensor(v, at::kDouble); };
        model.weights = graph::Weights({{"fc1.weight", tensor({1, -1, 2, 1}).reshape({2, 2})},
                                        {"fc1.bias", tensor({0.5, -3})},
                                        {"fc2.weight", tensor({4, -2}).reshape({1, 2})},
                                        {"fc2.bias", tensor({0})}});
    }
};

// x -> conv, batch norm, activation, max pool with overlapping windows, conv, relu, pool, linear; running statistics are not those of a fresh model.
graph::Model convolutional()
{
    Builder builder("cnn");
    auto x = builder.input("x", "float32", {"batch", "2", "9", "9"}, "image");
    x = builder.relu(builder.batchNorm("bn1", builder.conv2d("conv1", x, 2, 4, 3, 1, 1), 4));
    x = builder.maxPool2d(x, 3, 2, 1);
    x = builder.relu(builder.batchNorm("bn2", builder.conv2d("conv2", x, 4, 5, 3), 5));
    x = builder.maxPool2d(x, 2, 1);
    auto model = finished(builder, builder.linear("fc", builder.flatten(x), 20, 3), 4);
    std::uint64_t seed = 20;
    for (const auto& parameter : model.graph->data().parameters)
        if (parameter.name.find("bn") == 0 && parameter.dtype != at::kLong)
            model.weights.set(parameter.name, noise(parameter.shape, ++seed).abs() + 0.2);
    return model;
}

// x -> linear -> op -> linear.
graph::Model around(const std::function<Builder::Var(Builder&, Builder::Var)>& op, std::uint64_t seed = 3)
{
    Builder builder("around");
    const auto x = builder.input("x", "float32", {"batch", "5"});
    const auto h = op(builder, builder.linear("fc1", x, 5, 7));
    return finished(builder, builder.linear("fc2", h, 7, 3), seed);
}

double change(const graph::Model& model, const at::Tensor& x, const at::Tensor& baseline, std::int64_t row, std::int64_t target)
{
    const graph::Executor executor(model.graph);
    return (executor.forward(model.weights, {x}) - executor.forward(model.weights, {baseline}))[row][target].item<double>();
}

}  // namespace

class BackpropTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void rectifiersEqualABackwardPassByHand_data();
    void rectifiersEqualABackwardPassByHand();
    void rectifiersWorkOnAModuleCalledTwice();
    void withoutRectifiersTheGradientIsPlain();
    void deepLiftOfALinearModelIsWeightTimesChange();
    void deepLiftOfAModuleCalledTwiceEqualsTheHandWorkedNumbers();
    void deepLiftUsesTheDerivativeWhereAnInputDoesNotChange();
    void deepLiftSumsToTheChangeOnAConvolutionalNetwork();
    void deepLiftSumsToTheChangeForEveryActivation_data();
    void deepLiftSumsToTheChangeForEveryActivation();
    void everyRescaledOperatorIsTested();
    void maximumGoesToTheGreaterSide();
    void softmaxIsNormalizedAsTheFormulaSays();
    void decomposedSoftmaxSumsToTheChange_data();
    void decomposedSoftmaxSumsToTheChange();
    void maskedSoftmaxStaysFinite();
    void baselineAtTheInputFollowsToTheLayer();
    void samplesOfABatchDoNotTouchEachOther();
    void nonlinearitiesInLoopsAndBranchesAreRefused();
    void transformersGiveFiniteNumbers();
    void stopsWhenAsked_data();
    void stopsWhenAsked();
};

void BackpropTest::rectifiersEqualABackwardPassByHand_data()
{
    QTest::addColumn<QString>("method");
    QTest::newRow("guided") << "guided_backprop";
    QTest::newRow("deconvolution") << "deconvolution";
}

void BackpropTest::rectifiersEqualABackwardPassByHand()
{
    QFETCH(QString, method);
    const auto model = zooModel("lenet", kLenet, 5);
    const auto x = noise({3, 1, 8, 8}, 6);
    const auto result = attributionOf(model, method.toUtf8().constData(), {x}, {.target = 4});
    const auto expected = backwardByHand(model, x, 4, method == "deconvolution" ? deconvolved : guided);
    QVERIFY(size(expected) > 1e-3);
    QVERIFY(largest(result.attribution, expected) < 1e-13);
    QCOMPARE(result.details.at("rectifiers").get<int>(), 3);
    // And it is another thing than the gradient.
    QVERIFY(largest(result.attribution, attributionOf(model, "saliency", {x}, {.parameters = {{"abs", false}}, .target = 4}).attribution) > 1e-3);
}

void BackpropTest::rectifiersWorkOnAModuleCalledTwice()
{
    // x = (3, -2): relu (3, 0); fc1 (3.5, 3), both positive; fc2 hands back (4, -2), of which guided keeps (4, 0); fc1 gives (4, -4); the first relu keeps (4, 0)
    // because x1 = 3 is positive. With x = (-3, 2): relu (0, 2); fc1 (-1.5, -1): guided keeps nothing, deconvolution (4, 0) -> (4, -4) -> (4, 0).
    const TwoCalls net;
    const auto x = at::tensor(std::vector<double>{3, -2, -3, 2}, at::kDouble).reshape({2, 2});
    const auto expected = at::tensor(std::vector<double>{4, 0, 0, 0}, at::kDouble).reshape({2, 2});
    QVERIFY(at::equal(attributionOf(net.model, "guided_backprop", {x}).attribution, expected));
    const auto all = at::tensor(std::vector<double>{4, 0, 4, 0}, at::kDouble).reshape({2, 2});
    QVERIFY(at::equal(attributionOf(net.model, "deconvolution", {x}).attribution, all));
}

void BackpropTest::withoutRectifiersTheGradientIsPlain()
{
    const auto model = zooModel("mlp", {{"features", 5}, {"hidden", {7}}, {"classes", 4}, {"activation", "tanh"}}, 6);
    const auto x = noise({2, 5}, 9);
    const auto plain = attributionOf(model, "saliency", {x}, {.parameters = {{"abs", false}}}).attribution;
    for (const char* method : {"guided_backprop", "deconvolution"}) {
        const auto result = attributionOf(model, method, {x});
        QVERIFY(largest(result.attribution, plain) < 1e-15);
        QCOMPARE(result.details.at("rectifiers").get<int>(), 0);
    }
}

void BackpropTest::deepLiftOfALinearModelIsWeightTimesChange()
{
    const auto model = zooModel("mlp", {{"features", 5}, {"hidden", Json::array()}, {"classes", 3}}, 2);
    const auto x = noise({4, 5}, 1);
    const auto result = attributionOf(model, "deep_lift", {x}, {.parameters = {{"baseline", 0.75}}, .target = 1});
    QVERIFY(largest(result.attribution, model.weights.at("out.weight")[1] * (x - 0.75)) < 1e-14);
    QVERIFY(size(result.completenessError) < 1e-14);
}

void BackpropTest::deepLiftOfAModuleCalledTwiceEqualsTheHandWorkedNumbers()
{
    // Baseline (0, 0): relu (0, 0); fc1 (0.5, -3); relu (0.5, 0); y = 2. Input (3, -2): relu (3, 0), multipliers (1, 0); fc1 (3.5, 3), changes (3, 6);
    // relu (3.5, 3), changes (3, 3), multipliers (1, 1/2); y = 14 - 6 = 8, change 6.
    // Back: fc2 (4, -2) * (1, 1/2) = (4, -1); fc1: (4 - 2, -4 - 1) = (2, -5); first relu (2, 0); times the change (3, -2): (6, 0).
    const TwoCalls net;
    const auto x = at::tensor(std::vector<double>{3, -2}, at::kDouble).reshape({1, 2});
    const auto result = attributionOf(net.model, "deep_lift", {x});
    QVERIFY(at::equal(result.attribution, at::tensor(std::vector<double>{6, 0}, at::kDouble).reshape({1, 2})));
    QCOMPARE(result.completenessError.item<double>(), 0.0);
    QCOMPARE(result.details.at("rescaled_nodes").get<int>(), 2);
    // The gradient alone would have missed it: (4 - 4, ...) * 3 = 0.
    QCOMPARE(attributionOf(net.model, "input_x_gradient", {x}).attribution.sum().item<double>(), 0.0);
}

void BackpropTest::deepLiftUsesTheDerivativeWhereAnInputDoesNotChange()
{
    // One unit sees x1 - x2, which is the same at (1, 1) as at (0, 0): tanh passes its derivative at the bias.
    Builder builder("still");
    const auto x = builder.input("x", "float64", {"batch", "2"});
    const auto h = builder.op("aten::tanh", {builder.linear("fc1", x, 2, 1)});
    auto model = builder.finish({{"y", builder.linear("fc2", h, 1, 1)}});
    model.weights = graph::Weights({{"fc1.weight", at::tensor(std::vector<double>{1, -1}, at::kDouble).reshape({1, 2})},
                                    {"fc1.bias", at::full({1}, 0.5, at::kDouble)},
                                    {"fc2.weight", at::full({1, 1}, 3.0, at::kDouble)},
                                    {"fc2.bias", at::zeros({1}, at::kDouble)}});
    const auto result = attributionOf(model, "deep_lift", {at::ones({1, 2}, at::kDouble)});
    const double slope = 3 * (1 - std::pow(std::tanh(0.5), 2));
    QVERIFY(largest(result.attribution, at::tensor(std::vector<double>{slope, -slope}, at::kDouble).reshape({1, 2})) < 1e-15);
}

void BackpropTest::deepLiftSumsToTheChangeOnAConvolutionalNetwork()
{
    const auto model = convolutional();
    const auto x = noise({3, 2, 9, 9}, 11);
    const auto result = attributionOf(model, "deep_lift", {x}, {.parameters = {{"baseline", 0.2}}, .target = 2});
    for (std::int64_t i = 0; i < 3; ++i) {
        const double delta = change(model, x, at::full_like(x, 0.2), i, 2);
        QVERIFY(std::abs(delta) > 1e-3);
        QVERIFY(std::abs(result.attribution[i].sum().item<double>() - delta) < 1e-12);
        QVERIFY(std::abs(result.completenessError[i].item<double>()) < 1e-12);
    }
    // The gradient does not sum to it.
    const auto plain = attributionOf(model, "input_x_gradient", {x}, {.target = 2});
    QVERIFY(std::abs(plain.attribution[0].sum().item<double>() - change(model, x, at::zeros_like(x), 0, 2)) > 1e-3);
}

void BackpropTest::deepLiftSumsToTheChangeForEveryActivation_data()
{
    QTest::addColumn<QString>("op");
    for (const auto& op : explain::rescaledOperators())
        if (op.find("softmax") == std::string_view::npos && op != "aten::max_pool2d" && op != "aten::prelu")
            QTest::newRow(op.data() + 6) << QString::fromUtf8(op.data(), int(op.size()));
    QTest::newRow("relu_") << "aten::relu_";
}

void BackpropTest::deepLiftSumsToTheChangeForEveryActivation()
{
    QFETCH(QString, op);
    const auto model = around([&](Builder& builder, Builder::Var h) { return builder.op(op.toStdString(), {h}); });
    const auto x = 2 * noise({4, 5}, 8);
    const auto result = attributionOf(model, "deep_lift", {x}, {.parameters = {{"baseline", -0.5}}, .target = 1});
    QCOMPARE(result.details.at("rescaled_nodes").get<int>(), 1);
    for (std::int64_t i = 0; i < 4; ++i)
        QVERIFY(std::abs(result.attribution[i].sum().item<double>() - change(model, x, at::full_like(x, -0.5), i, 1)) < 1e-13);
    // By hand: multipliers of the hidden units are change over change.
    const auto hidden = [&](const at::Tensor& in) { return at::linear(in, model.weights.at("fc1.weight"), model.weights.at("fc1.bias")); };
    const auto place = model.graph->value(model.graph->resolve("op:" + op.toStdString()).at(0)).name;
    const auto after = [&](const at::Tensor& in) {
        graph::RunRequest request;
        request.inputs = {in};
        request.keep = {place};
        return graph::Executor(model.graph).run(model.weights, request).value(place);
    };
    const auto baseline = at::full_like(x, -0.5);
    const auto multiplier = (after(x) - after(baseline)) / (hidden(x) - hidden(baseline));
    const auto expected = at::matmul(multiplier * model.weights.at("fc2.weight")[1], model.weights.at("fc1.weight")) * (x - baseline);
    QVERIFY(largest(result.attribution, expected) < 1e-12);
}

void BackpropTest::everyRescaledOperatorIsTested()
{
    // prelu takes its slope from a parameter; the others are rows above or tests of their own.
    Builder builder("prelu");
    const auto x = builder.input("x", "float32", {"batch", "5"});
    const auto slope = builder.parameter("slope", {1}, {{"kind", "constant"}, {"value", 0.3}});
    const auto h = builder.op("aten::prelu", {builder.linear("fc1", x, 5, 7), slope});
    const auto model = finished(builder, builder.linear("fc2", h, 7, 3), 3);
    const auto input = noise({2, 5}, 8);
    const auto result = attributionOf(model, "deep_lift", {input}, {.target = 0});
    for (std::int64_t i = 0; i < 2; ++i)
        QVERIFY(std::abs(result.attribution[i].sum().item<double>() - change(model, input, at::zeros_like(input), i, 0)) < 1e-13);
    for (const char* named : {"relu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "sigmoid", "tanh", "softplus", "hardtanh", "hardswish",
                              "softmax", "log_softmax", "max_pool2d"})
        QVERIFY2(explain::rescaledOperators().count(std::string("aten::") + named), named);
}

void BackpropTest::maximumGoesToTheGreaterSide()
{
    // One window of four pixels. Baseline maximum 2 at pixel 0.
    //   (1, 5, 0, 0): 5 > 2, the change 3 belongs to pixel 1, which changed from 1 by 4.
    //   (0, 1, 0, 0): 1 < 2, the change -1 belongs to pixel 0, which changed by -2.
    Builder builder("pool");
    const auto x = builder.input("x", "float64", {"batch", "1", "2", "2"}, "image");
    const auto model = builder.finish({{"y", builder.flatten(builder.maxPool2d(x, 2))}});
    graph::Executor executor(model.graph);
    const auto reference = at::tensor(std::vector<double>{2, 1, 0, 0}, at::kDouble).reshape({1, 1, 2, 2});
    const auto value = at::tensor(std::vector<double>{1, 5, 0, 0, 0, 1, 0, 0}, at::kDouble).reshape({2, 1, 2, 2});
    const auto leaf = value.clone().requires_grad_(true);
    const auto nodes = explain::dependentNodes(executor, "x", explain::rescaledOperators(), "test");
    QCOMPARE(int(nodes.size()), 1);
    graph::RunRequest request;
    request.inputs = {leaf};
    request.gradients = graph::Gradients::Inputs;
    request.probes = explain::surrogateProbes(*model.graph, nodes, [&](const explain::NodeCall& call) {
        return explain::rescaled({}, call, reference.expand({2, 1, 2, 2}), at::full({2, 1, 1, 1}, 2.0, at::kDouble));
    });
    const auto out = executor.run(model.weights, request).tensor();
    QVERIFY(at::equal(out.detach(), at::tensor(std::vector<double>{5, 1}, at::kDouble).reshape({2, 1})));
    out.sum().backward();
    QVERIFY(at::equal(leaf.grad().reshape({2, 4}), at::tensor(std::vector<double>{0, 0.75, 0, 0, 0.5, 0, 0, 0}, at::kDouble).reshape({2, 4})));
}

void BackpropTest::softmaxIsNormalizedAsTheFormulaSays()
{
    Builder builder("softmax");
    const auto in = builder.input("x", "float32", {"batch", "5"});
    const auto model = finished(builder, builder.softmax(builder.linear("fc", in, 5, 4), -1), 7);
    const auto x = noise({3, 5}, 2);
    const auto result = attributionOf(model, "deep_lift", {x}, {.target = 2});
    const auto weight = model.weights.at("fc.weight"), bias = model.weights.at("fc.bias");
    for (std::int64_t i = 0; i < 3; ++i) {
        const auto z = at::matmul(weight, x[i]) + bias;
        auto multiplier = at::zeros({4}, at::kDouble);
        multiplier[2] = (z.softmax(0)[2] - bias.softmax(0)[2]) / (z[2] - bias[2]);
        multiplier = multiplier - multiplier.mean();
        QVERIFY(largest(result.attribution[i], at::matmul(multiplier, weight) * x[i]) < 1e-14);
        // That sum is not the change, and the result says by how much.
        const double error = result.attribution[i].sum().item<double>() - change(model, x, at::zeros_like(x), i, 2);
        QVERIFY(std::abs(error) > 1e-4);
        QVERIFY(std::abs(result.completenessError[i].item<double>() - error) < 1e-14);
    }
}

void BackpropTest::decomposedSoftmaxSumsToTheChange_data()
{
    QTest::addColumn<QString>("op");
    QTest::newRow("softmax") << "aten::softmax.int";
    QTest::newRow("log_softmax") << "aten::log_softmax.int";
}

void BackpropTest::decomposedSoftmaxSumsToTheChange()
{
    QFETCH(QString, op);
    const auto model = around([&](Builder& builder, Builder::Var h) { return builder.op(op.toStdString(), {h, -1}); });
    const auto x = noise({3, 5}, 2);
    const auto result = attributionOf(model, "deep_lift", {x}, {.parameters = {{"softmax", "decomposed"}, {"baseline", 0.3}}, .target = 2});
    QVERIFY(size(result.attribution) > 1e-3);
    for (std::int64_t i = 0; i < 3; ++i)
        QVERIFY(std::abs(result.attribution[i].sum().item<double>() - change(model, x, at::full_like(x, 0.3), i, 2)) < 1e-13);
    // Close to the baseline every multiplier is the derivative.
    const auto near = at::full({1, 5}, 0.3, at::kDouble) + 1e-5 * noise({1, 5}, 3);
    const auto small = attributionOf(model, "deep_lift", {near}, {.parameters = {{"softmax", "decomposed"}, {"baseline", 0.3}}, .target = 2});
    const auto gradient = attributionOf(model, "saliency", {near}, {.parameters = {{"abs", false}}, .target = 2}).attribution;
    QVERIFY(largest(small.attribution, gradient * (near - 0.3)) < 1e-4 * size(small.attribution));
}

void BackpropTest::maskedSoftmaxStaysFinite()
{
    // The second of three scores is masked (-inf) in input and baseline: as if it were not there.
    const auto build = [](std::vector<double> mask, std::int64_t units) {
        Builder builder("masked");
        const auto x = builder.input("x", "float64", {"batch", std::to_string(units)});
        const auto masked = builder.op("aten::add.Tensor", {x, builder.parameter("mask", {units}, {{"kind", "zeros"}})});
        auto model = builder.finish({{"y", builder.softmax(masked, -1)}});
        model.weights = graph::Weights({{"mask", at::tensor(mask, at::kDouble)}});
        return model;
    };
    const auto with = build({0.1, -std::numeric_limits<double>::infinity(), 0.2}, 3), without = build({0.1, 0.2}, 2);
    const auto x = at::tensor(std::vector<double>{1, 7, -2}, at::kDouble).reshape({1, 3});
    for (const char* rule : {"normalized", "decomposed"}) {
        const auto masked = attributionOf(with, "deep_lift", {x}, {.parameters = {{"softmax", rule}}, .target = 0}).attribution;
        const auto plain =
            attributionOf(without, "deep_lift", {x.index_select(1, at::tensor({0, 2}))}, {.parameters = {{"softmax", rule}}, .target = 0});
        QVERIFY(largest(masked.index_select(1, at::tensor({0, 2})), plain.attribution) < 1e-15);
        QCOMPARE(masked[0][1].item<double>(), 0.0);
    }
}

void BackpropTest::baselineAtTheInputFollowsToTheLayer()
{
    // At a hidden layer under a linear head the multipliers are the head's weights; only the baseline differs.
    const auto model = zooModel("mlp", {{"features", 5}, {"hidden", {6}}, {"classes", 3}}, 8);
    const auto x = noise({2, 5}, 12);
    const auto hidden = [&](const at::Tensor& in) { return at::linear(in, model.weights.at("fc1.weight"), model.weights.at("fc1.bias")).relu(); };
    const auto head = model.weights.at("out.weight")[1];
    const auto baseline = at::full({2, 5}, 0.4, at::kDouble);
    for (const char* method : {"deep_lift", "integrated_gradients"}) {
        const auto input =
            attributionOf(model, method, {x}, {.parameters = {{"baseline", 0.4}, {"baseline_at", "input"}}, .target = 1, .site = "op:relu"});
        QVERIFY(largest(input.attribution, head * (hidden(x) - hidden(baseline))) < 1e-13);
        QVERIFY(std::abs(input.attribution[1].sum().item<double>() - change(model, x, baseline, 1, 1)) < 1e-13);
        QVERIFY(size(input.completenessError) < 1e-13);
        const auto site = attributionOf(model, method, {x}, {.parameters = {{"baseline", 0.4}}, .target = 1, .site = "op:relu"});
        QVERIFY(largest(site.attribution, head * (hidden(x) - 0.4)) < 1e-13);
    }
}

void BackpropTest::samplesOfABatchDoNotTouchEachOther()
{
    const auto model = convolutional();
    const auto x = noise({3, 2, 9, 9}, 31);
    for (const char* method : {"deep_lift", "guided_backprop", "deconvolution", "grad_cam", "guided_grad_cam"}) {
        const auto all = attributionOf(model, method, {x}, {.target = 1}).attribution;
        for (std::int64_t i = 0; i < 3; ++i)
            QVERIFY2(largest(attributionOf(model, method, {x.narrow(0, i, 1)}, {.target = 1}).attribution, all.narrow(0, i, 1)) < 1e-13, method);
    }
}

void BackpropTest::nonlinearitiesInLoopsAndBranchesAreRefused()
{
    const auto branch = graph::branchModel();
    for (const char* method : {"guided_backprop", "deconvolution", "deep_lift"})
        QCOMPARE(saidBy([&] {
                     attributionOf(branch, method, {noise({3, 2}, 1)});
                 }),
                 QString("%1: node positive (aten::relu) sits inside the branch chosen; expected its kind outside of loops and branches only")
                     .arg(method));
    const auto loop = graph::loopModel(3);
    const std::vector<c10::IValue> inputs = {noise({3, 4}, 1), noise({4}, 2)};
    QVERIFY(saidBy([&] { attributionOf(loop, "deep_lift", inputs); }).contains("node cell (aten::tanh) sits inside the loop last"));
    // No relu there: the rectifiers have nothing to refuse.
    QVERIFY(size(attributionOf(loop, "guided_backprop", inputs).attribution) > 0);
}

void BackpropTest::transformersGiveFiniteNumbers()
{
    const auto gpt = zoo::buildModel("gpt", {{"vocabulary", 11}, {"block_length", 8}, {"layers", 2}, {"heads", 2}, {"width", 8}}, 2);
    const auto tokens = at::tensor(std::vector<std::int64_t>{1, 4, 7, 2, 5, 5, 1, 0}, at::kLong).reshape({2, 4});
    auto vit = zoo::buildModel(
        "vit", {{"image_size", 16}, {"patch_size", 4}, {"layers", 2}, {"heads", 2}, {"width", 8}, {"mlp_width", 8}, {"classes", 5}}, 3);
    vit.weights.set("head.weight", noise({5, 8}, 4).to(at::kFloat));
    const auto image = noise({2, 3, 16, 16}, 5).to(at::kFloat);
    for (const char* method : {"deep_lift", "guided_backprop", "deconvolution"}) {
        const auto text = attributionOf(gpt, method, {tokens}).attribution, picture = attributionOf(vit, method, {image}).attribution;
        QCOMPARE(text.sizes().vec(), (std::vector<std::int64_t>{2, 4, 8}));
        QCOMPARE(picture.sizes().vec(), (std::vector<std::int64_t>{2, 3, 16, 16}));
        for (const auto& attribution : {text, picture})
            QVERIFY2(at::isfinite(attribution).all().item<bool>() && size(attribution) > 0, method);
    }
    const auto map = attributionOf(vit, "guided_grad_cam", {image}).attribution;
    QVERIFY(at::isfinite(map).all().item<bool>());
}

void BackpropTest::stopsWhenAsked_data()
{
    QTest::addColumn<QString>("method");
    for (const char* method : {"deep_lift", "guided_backprop", "deconvolution", "grad_cam", "guided_grad_cam"})
        QTest::newRow(method) << method;
}

void BackpropTest::stopsWhenAsked()
{
    QFETCH(QString, method);
    const auto model = zooModel("lenet", kLenet, 5);
    std::stop_source source;
    explain::Control control;
    control.stop = source.get_token();
    control.progress = [&](double, double, const char*) { source.request_stop(); };
    QVERIFY_THROWS_EXCEPTION(core::Cancelled, attributionOf(model, method.toUtf8().constData(), {noise({1, 1, 8, 8}, 1)}, {}, control));
}

QTEST_APPLESS_MAIN(BackpropTest)
#include "backprop_test.moc"
