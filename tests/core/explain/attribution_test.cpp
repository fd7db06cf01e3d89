#include <ATen/Parallel.h>

#include <core/base/error.h>
#include <core/explain/attribution.h>
#include <core/graph/builder.h>
#include <core/zoo/zoo.h>

#include <QTest>

#include "../message_of.h"

using namespace orrery;
using explain::AttributionRequest;
using explain::AttributionResult;
using graph::Builder;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kDouble));
}

/// y = W x + b with weights of the caller's, in double.
struct Linear {
    at::Tensor weight = noise({3, 4}, 1), bias = noise({3}, 2);
    graph::Model model;
    std::unique_ptr<graph::Executor> executor;
    Linear()
    {
        Builder builder("linear");
        const auto x = builder.input("x", "float64", {"batch", "4"});
        model = builder.finish({{"y", builder.linear("fc", x, 4, 3)}});
        model.weights = graph::Weights({{"fc.weight", weight}, {"fc.bias", bias}});
        executor = std::make_unique<graph::Executor>(model.graph);
    }
};

/// f(x) = sum over features of x^power, one output a sample.
graph::Model powerModel(std::int64_t features, double power)
{
    Builder builder("power");
    const auto x = builder.input("x", "float64", {"batch", std::to_string(features)});
    const auto y = builder.op("aten::pow.Tensor_Scalar", {x, power});
    return builder.finish({{"y", builder.op("aten::sum.dim_IntList", {y, std::vector<std::int64_t>{1}})}});
}

AttributionResult run(const graph::Model& model, const char* method, const at::Tensor& x, core::Json parameters = core::Json::object(),
                      std::optional<std::int64_t> target = {}, const std::string& site = {})
{
    AttributionRequest request;
    request.inputs = {x};
    request.parameters = std::move(parameters);
    request.target = target;
    request.site = site;
    return explain::attribute(graph::Executor(model.graph), model.weights, method, request);
}

double largest(const at::Tensor& a, const at::Tensor& b)
{
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace

class AttributionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void saliencyOfALinearModelIsItsWeights();
    void inputXGradientOfALinearModelIsWeightTimesInput();
    void integratedGradientsOfALinearModelAreExactForEveryRule_data();
    void integratedGradientsOfALinearModelAreExactForEveryRule();
    void gaussLegendreIntegratesPolynomialsExactly();
    void leftAndRightRulesErrAsTheirFormulasSay();
    void convergedModeDoublesStepsUntilTheErrorIsSmall();
    void integratedGradientsAreTheSameInBatchesOfAnySize();
    void copiesSharedOutAmongThreadsGiveTheSame_data();
    void copiesSharedOutAmongThreadsGiveTheSame();
    void completenessHoldsOnAConvolutionalNetwork();
    void gradientsAgreeWithCentralDifferences();
    void occlusionEqualsBruteForce_data();
    void occlusionEqualsBruteForce();
    void occlusionOfALinearModelIsWeightTimesInput();
    void aTokenModelIsAttributedAtItsEmbedding();
    void innerValuesCanBeAttributedTo();
    void theDefaultTargetIsThePredictedClass();
    void badRequestsSayWhatWasExpected();
    void stopsWhenAsked();
};

void AttributionTest::saliencyOfALinearModelIsItsWeights()
{
    const Linear linear;
    const auto x = noise({2, 4}, 3);
    QCOMPARE(largest(run(linear.model, "saliency", x, {{"abs", false}}, 1).attribution, linear.weight[1].expand({2, 4})), 0.0);
    QCOMPARE(largest(run(linear.model, "saliency", x, {}, 1).attribution, linear.weight[1].abs().expand({2, 4})), 0.0);
}

void AttributionTest::inputXGradientOfALinearModelIsWeightTimesInput()
{
    const Linear linear;
    const auto x = noise({2, 4}, 3);
    QCOMPARE(largest(run(linear.model, "input_x_gradient", x, {}, 2).attribution, linear.weight[2] * x), 0.0);
}

void AttributionTest::integratedGradientsOfALinearModelAreExactForEveryRule_data()
{
    QTest::addColumn<QString>("rule");
    QTest::addColumn<double>("share");  // of the weights' sum: Captum's trapezoid has (n - 1) / n
    QTest::newRow("left") << "riemann_left" << 1.0;
    QTest::newRow("right") << "riemann_right" << 1.0;
    QTest::newRow("middle") << "riemann_middle" << 1.0;
    QTest::newRow("trapezoid") << "riemann_trapezoid" << 9.0 / 10;
    QTest::newRow("gausslegendre") << "gausslegendre" << 1.0;
}

void AttributionTest::integratedGradientsOfALinearModelAreExactForEveryRule()
{
    QFETCH(QString, rule);
    QFETCH(double, share);
    const Linear linear;
    const auto x = noise({3, 4}, 4);
    const auto result = run(linear.model, "integrated_gradients", x, {{"n_steps", 10}, {"method", rule.toStdString()}, {"baseline", 0.5}}, 0);
    const auto exact = linear.weight[0] * (x - 0.5);
    QVERIFY(largest(result.attribution, exact * share) < 1e-14);
    QVERIFY(largest(result.completenessError, exact.sum(1) * (share - 1)) < 1e-13);
}

void AttributionTest::gaussLegendreIntegratesPolynomialsExactly()
{
    // d/dx x^6 = 6 x^5, a polynomial of degree 5 along the path: three points are enough, two are not.
    const auto model = powerModel(3, 6);
    const auto x = noise({2, 3}, 5);
    const auto three = run(model, "integrated_gradients", x, {{"n_steps", 3}});
    QVERIFY(largest(three.attribution, x.pow(6)) < 1e-12 * x.pow(6).max().item<double>());
    QVERIFY(three.completenessError.abs().max().item<double>() < 1e-12 * x.pow(6).sum().item<double>());
    QVERIFY(run(model, "integrated_gradients", x, {{"n_steps", 2}}).completenessError.abs().max().item<double>() > 1e-4);
}

void AttributionTest::leftAndRightRulesErrAsTheirFormulasSay()
{
    // f = x^2 on [0, 1]: the left sum of 2t over n points is 1 - 1/n, the right one 1 + 1/n.
    const auto model = powerModel(1, 2);
    const auto x = at::ones({1, 1}, at::kDouble);
    QVERIFY(std::abs(run(model, "integrated_gradients", x, {{"n_steps", 8}, {"method", "riemann_left"}}).completenessError.item<double>() + 1.0 / 8) <
            1e-15);
    QVERIFY(std::abs(run(model, "integrated_gradients", x, {{"n_steps", 8}, {"method", "riemann_right"}}).completenessError.item<double>() -
                     1.0 / 8) < 1e-15);
}

void AttributionTest::convergedModeDoublesStepsUntilTheErrorIsSmall()
{
    const auto model = powerModel(1, 2);
    const auto x = at::ones({1, 1}, at::kDouble);
    const auto result = run(model, "integrated_gradients", x, {{"n_steps", 4}, {"method", "riemann_left"}, {"tolerance", 0.01}});
    QCOMPARE(result.details.at("steps").get<int>(), 128);  // 1/64 is too much, 1/128 is not
    QVERIFY(result.details.at("converged").get<bool>());
    const auto given = run(model, "integrated_gradients", x, {{"n_steps", 4}, {"method", "riemann_left"}, {"tolerance", 0.01}, {"max_steps", 20}});
    QCOMPARE(given.details.at("steps").get<int>(), 20);
    QVERIFY(!given.details.at("converged").get<bool>());
}

void AttributionTest::integratedGradientsAreTheSameInBatchesOfAnySize()
{
    auto model = zoo::buildModel("mlp", {{"features", 6}, {"hidden", {8}}, {"classes", 3}, {"activation", "tanh"}}, 3);
    model.weights = model.weights.to(c10::kCPU, at::kDouble);
    model.graph = graph::moved(model.graph, c10::kCPU, at::kDouble);
    const auto x = noise({3, 6}, 7);
    const auto whole = run(model, "integrated_gradients", x, {{"n_steps", 21}, {"internal_batch_size", 1000}}, 1);
    for (const int size : {1, 3, 7, 10})
        QVERIFY(largest(run(model, "integrated_gradients", x, {{"n_steps", 21}, {"internal_batch_size", size}}, 1).attribution, whole.attribution) <
                1e-14);
}

void AttributionTest::copiesSharedOutAmongThreadsGiveTheSame_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<QString>("parameters");
    QTest::addColumn<int>("threads");
    for (const int threads : {2, 3}) {
        QTest::addRow("gradients, %d threads", threads) << "integrated_gradients"
                                                        << R"({"n_steps": 23, "internal_batch_size": 1000})" << threads;
        QTest::addRow("outputs, %d threads", threads) << "occlusion"
                                                      << R"({"window": [1], "perturbations_per_eval": 1000})" << threads;
    }
}

// Three samples of three classes in uneven shares: a row in another's place would have another target and another input.
void AttributionTest::copiesSharedOutAmongThreadsGiveTheSame()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    QFETCH(int, threads);
    const auto model = zoo::buildModel("mlp", {{"features", 23}, {"hidden", {8}}, {"classes", 5}, {"activation", "tanh"}}, 3);
    const auto x = noise({3, 23}, 4).to(at::kFloat) * 3;
    const auto attribution = [&](int count) {
        at::set_num_threads(count);
        return run(model, method.toUtf8().constData(), x, core::Json::parse(parameters.toStdString())).attribution;
    };
    const int before = at::get_num_threads();
    const auto alone = attribution(1), shared = attribution(threads);
    at::set_num_threads(before);
    QVERIFY(largest(alone, shared) < 1e-5);
    QVERIFY(largest(alone[0], alone[1]) > 1e-2);
}

void AttributionTest::completenessHoldsOnAConvolutionalNetwork()
{
    const auto model = zoo::buildModel("resnet", {{"depth", 8}}, 5);
    const auto x = noise({1, 3, 32, 32}, 8).to(at::kFloat);
    const auto result = run(model, "integrated_gradients", x, {{"n_steps", 400}});
    const double sum = result.attribution.to(at::kDouble).sum().item<double>();
    const graph::Executor executor(model.graph);
    const auto target = result.targets.at(0);
    const auto output = executor.forward(model.weights, {x})[0][target].item<double>(),
               baseline = executor.forward(model.weights, {at::zeros_like(x)})[0][target].item<double>();
    QVERIFY(std::abs(sum - (output - baseline) - result.completenessError.item<double>()) < 1e-4);
    QVERIFY(std::abs(result.completenessError.item<double>()) < 0.02 * std::abs(output - baseline) + 1e-3);
}

void AttributionTest::gradientsAgreeWithCentralDifferences()
{
    auto model = zoo::buildModel("mlp", {{"features", 5}, {"hidden", {7}}, {"classes", 4}, {"activation", "gelu"}}, 6);
    model.weights = model.weights.to(c10::kCPU, at::kDouble);
    model.graph = graph::moved(model.graph, c10::kCPU, at::kDouble);
    const graph::Executor executor(model.graph);
    const auto x = noise({1, 5}, 9);
    const auto gradient = run(model, "saliency", x, {{"abs", false}}, 2).attribution;
    for (std::int64_t i = 0; i < 5; ++i) {
        const double step = 1e-6;
        auto up = x.clone(), down = x.clone();
        up[0][i] += step;
        down[0][i] -= step;
        const double slope =
            (executor.forward(model.weights, {up})[0][2].item<double>() - executor.forward(model.weights, {down})[0][2].item<double>()) / (2 * step);
        QVERIFY(std::abs(slope - gradient[0][i].item<double>()) < 1e-8);
    }
}

void AttributionTest::occlusionEqualsBruteForce_data()
{
    QTest::addColumn<int>("window");
    QTest::addColumn<int>("stride");
    QTest::addColumn<int>("together");
    QTest::newRow("tiles") << 2 << 2 << 64;
    QTest::newRow("overlapping") << 3 << 2 << 5;
    QTest::newRow("hanging over the edge") << 3 << 3 << 1;
    QTest::newRow("whole picture") << 8 << 1 << 7;
    QTest::newRow("single pixels") << 1 << 1 << 100;
}

void AttributionTest::occlusionEqualsBruteForce()
{
    QFETCH(int, window);
    QFETCH(int, stride);
    QFETCH(int, together);
    const auto model = zoo::buildModel("lenet", {{"image_size", 8}, {"maps", {4, 8}}, {"kernel", 3}, {"padding", 1}, {"hidden", {16}}}, 4);
    const graph::Executor executor(model.graph);
    const auto x = noise({2, 1, 8, 8}, 10).to(at::kFloat);
    const auto result =
        run(model, "occlusion", x, {{"window", {window}}, {"stride", {stride}}, {"baseline", 0.25}, {"perturbations_per_eval", together}}, 3);
    auto sum = at::zeros({2, 1, 8, 8}, at::kDouble), count = at::zeros({2, 1, 8, 8}, at::kDouble);
    const auto plain = executor.forward(model.weights, {x}).select(1, 3).to(at::kDouble);
    for (int top = 0;; top += stride) {
        for (int left = 0;; left += stride) {
            auto covered = x.clone();
            const int bottom = std::min(top + window, 8), right = std::min(left + window, 8);
            covered.slice(2, top, bottom).slice(3, left, right).fill_(0.25);
            const auto drop = plain - executor.forward(model.weights, {covered}).select(1, 3).to(at::kDouble);
            sum.slice(2, top, bottom).slice(3, left, right).add_(drop.reshape({2, 1, 1, 1}));
            count.slice(2, top, bottom).slice(3, left, right).add_(1);
            if (left + window >= 8)
                break;
        }
        if (top + window >= 8)
            break;
    }
    QVERIFY(largest(result.attribution, sum / count) < 1e-5);
}

void AttributionTest::occlusionOfALinearModelIsWeightTimesInput()
{
    const Linear linear;
    const auto x = noise({3, 4}, 11);
    QVERIFY(largest(run(linear.model, "occlusion", x, {}, 2).attribution, linear.weight[2] * x) < 1e-14);
}

void AttributionTest::aTokenModelIsAttributedAtItsEmbedding()
{
    const auto model = zoo::buildModel("gpt", {{"vocabulary", 11}, {"block_length", 8}, {"layers", 1}, {"heads", 2}, {"width", 8}}, 2);
    const auto tokens = at::tensor(std::vector<std::int64_t>{1, 4, 7, 2}, at::kLong).unsqueeze(0);
    const auto result = run(model, "input_x_gradient", tokens);
    QCOMPARE(result.attribution.sizes().vec(), (std::vector<std::int64_t>{1, 4, 8}));
    QVERIFY(result.attribution.abs().sum().item<double>() > 0);
    QVERIFY(model.graph->producer(*model.graph->findValue(result.site))->op == "aten::embedding");
}

void AttributionTest::innerValuesCanBeAttributedTo()
{
    // fc2(relu(fc1(x))): at the hidden layer the attribution of a linear head is weight times activation.
    const auto model = zoo::buildModel("mlp", {{"features", 6}, {"hidden", {5}}, {"classes", 3}}, 8);
    const auto x = noise({2, 6}, 12).to(at::kFloat);
    const auto site = model.graph->value(model.graph->resolve("op:relu").at(0)).name;
    const auto result = run(model, "input_x_gradient", x, {}, 1, site);
    graph::RunRequest request;
    request.inputs = {x};
    request.keep = {site};
    const auto hidden = graph::Executor(model.graph).run(model.weights, request).value(site);
    const graph::Parameter* head = nullptr;
    for (const auto& parameter : model.graph->data().parameters)
        if (parameter.shape == std::vector<std::int64_t>{3, 5})
            head = &parameter;
    QVERIFY(head);
    QVERIFY(largest(result.attribution, hidden * model.weights.at(head->name)[1]) < 1e-6);
    const auto integrated = run(model, "integrated_gradients", x, {{"n_steps", 1}}, 1, site);
    QVERIFY(largest(integrated.attribution, result.attribution) < 1e-6);
}

void AttributionTest::theDefaultTargetIsThePredictedClass()
{
    const Linear linear;
    const auto x = noise({5, 4}, 13);
    const auto result = run(linear.model, "saliency", x, {{"abs", false}});
    const auto best = at::linear(x, linear.weight, linear.bias).argmax(1);
    for (std::int64_t i = 0; i < 5; ++i) {
        QCOMPARE(result.targets[std::size_t(i)], best[i].item<std::int64_t>());
        QCOMPARE(largest(result.attribution[i], linear.weight[best[i].item<std::int64_t>()]), 0.0);
    }
}

void AttributionTest::badRequestsSayWhatWasExpected()
{
    const Linear linear;
    const auto x = noise({2, 4}, 3);
    QCOMPARE(saidBy([&] { run(linear.model, "saliency", x, {}, 3); }), QString("target: expected 0..2, got 3"));
    QCOMPARE(saidBy([&] { run(linear.model, "salience", x); }), QString("unknown attribution \"salience\"; did you mean \"saliency\"?"));
    QVERIFY(saidBy([&] {
                run(linear.model, "integrated_gradients", x, {{"n_step", 3}});
            }).contains("integrated_gradients.n_step: unknown key; did you mean \"n_steps\"?"));
    QVERIFY(saidBy([&] { run(linear.model, "saliency", x, {}, 1, "fcx"); }).startsWith("no value fits \"fcx\""));
    QVERIFY(saidBy([&] { run(linear.model, "saliency", noise({2, 5}, 1), {}, 1); }).contains("aten::linear"));
    QVERIFY(saidBy([&] {
                run(linear.model, "occlusion", x, {{"window", {5}}, {"stride", {6}}});
            }).contains("leaves gaps") ||
            saidBy([&] {
                run(linear.model, "occlusion", x, {{"window", {2}}, {"stride", {3}}});
            }).contains("leaves gaps"));
    QVERIFY(saidBy([&] { run(linear.model, "occlusion", x, {{"window", {1, 2}}}); }).startsWith("occlusion.window: expected 1 or 1 numbers"));
    const auto power = powerModel(2, 2);
    QVERIFY(saidBy([&] { run(power, "saliency", noise({1, 2}, 1), {}, 0); }).contains("has no classes"));
}

void AttributionTest::stopsWhenAsked()
{
    const Linear linear;
    std::stop_source source;
    AttributionRequest request;
    request.inputs = {noise({2, 4}, 3)};
    request.parameters = {{"n_steps", 1000}, {"internal_batch_size", 2}};
    explain::Control control;
    control.stop = source.get_token();
    int reports = 0;
    control.progress = [&](double, double, const char*) {
        if (++reports == 5)
            source.request_stop();
    };
    QVERIFY_THROWS_EXCEPTION(core::Cancelled, explain::attribute(*linear.executor, linear.model.weights, "integrated_gradients", request, control));
    QCOMPARE(reports, 5);
}

QTEST_APPLESS_MAIN(AttributionTest)
#include "attribution_test.moc"
