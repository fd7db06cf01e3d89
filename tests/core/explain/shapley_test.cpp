#include <QTest>
#include <numeric>

#include <core/explain/stored.h>

#include "explain_test_support.h"

using namespace orrery;
using namespace orrery::explain;
using graph::Builder;

namespace {

double factorial(std::int64_t n)
{
    return n < 2 ? 1 : double(n) * factorial(n - 1);
}

/// The definition, coalition by coalition: sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S)).
at::Tensor shapleyByCoalitions(const std::vector<double>& v, std::int64_t count)
{
    auto phi = at::zeros({count}, at::kDouble);
    for (std::int64_t i = 0; i < count; ++i) {
        double sum = 0;
        for (std::size_t bits = 0; bits < v.size(); ++bits) {
            if (bits >> i & 1)
                continue;
            const auto size = std::int64_t(std::popcount(bits));
            sum += factorial(size) * factorial(count - size - 1) / factorial(count) * (v[bits | std::size_t(1) << i] - v[bits]);
        }
        phi[i] = sum;
    }
    return phi;
}

/// The average over all orders in which players can join.
at::Tensor shapleyByPermutations(const std::vector<double>& v, std::int64_t count)
{
    std::vector<std::size_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::vector<double> sum(order.size(), 0);
    double orders = 0;
    do {
        std::size_t coalition = 0;
        for (const auto player : order) {
            sum[player] += v[coalition | std::size_t(1) << player] - v[coalition];
            coalition |= std::size_t(1) << player;
        }
        ++orders;
    } while (std::next_permutation(order.begin(), order.end()));
    return at::tensor(sum, at::kDouble) / orders;
}

/// Worth of gloves: player 0 has a left one, players 1 and 2 right ones; a pair is worth 1. [batch, 3] of 0 and 1 -> [batch].
graph::Model gloveGame()
{
    Builder builder("gloves");
    const auto x = builder.input("x", "float64", {"batch", "3"});
    const auto left = builder.op("aten::select.int", {x, 1, 0});
    const auto right = builder.op("aten::amax", {builder.op("aten::slice.Tensor", {x, 1, 1, 3, 1}), std::vector<std::int64_t>{1}});
    return builder.finish({{"worth", builder.op("aten::mul.Tensor", {left, right})}});
}

/// Cost of a runway that is long enough for every plane that lands: the largest of the present costs. [batch, n] -> [batch].
graph::Model airportGame(std::int64_t planes)
{
    Builder builder("airport");
    const auto x = builder.input("x", "float64", {"batch", std::to_string(planes)});
    return builder.finish({{"cost", builder.op("aten::amax", {x, std::vector<std::int64_t>{1}})}});
}

}  // namespace

class ShapleyTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void gamesWithKnownShapleyValues_data();
    void gamesWithKnownShapleyValues();
    void exactShapleyEqualsBruteForce_data();
    void exactShapleyEqualsBruteForce();
    void shapleyAxiomsHold_data();
    void shapleyAxiomsHold();
    void sampledShapleyIsWithinItsStandardError();
    void manyPermutationsApproachTheExactValues();
    void kernelShapWithAllCoalitionsIsExact_data();
    void kernelShapWithAllCoalitionsIsExact();
    void sampledKernelShapIsWithinItsStandardError();
    void kernelShapOfAnAdditiveModelNeedsFewSamples();
    void tooFewSamplesForTheRegressionAreSaid();
    void sumsCountAFeatureOnce_data();
    void sumsCountAFeatureOnce();
};

void ShapleyTest::gamesWithKnownShapleyValues_data()
{
    QTest::addColumn<QString>("method");
    for (const char* method : {"shapley_values", "kernel_shap"})
        QTest::newRow(method) << method;
}

void ShapleyTest::gamesWithKnownShapleyValues()
{
    QFETCH(QString, method);
    const auto name = method.toStdString();
    const core::Json parameters = name == "kernel_shap" ? core::Json{{"n_samples", 16}} : core::Json::object();
    // Gloves: the left one completes a pair unless its owner comes first (1/3 of the orders); a right one only as the first right after the left.
    const auto gloves = explained(gloveGame(), name.c_str(), {at::ones({1, 3}, at::kDouble), parameters});
    QVERIFY(largest(gloves.attribution, numbers({2.0 / 3, 1.0 / 6, 1.0 / 6}).unsqueeze(0)) < 1e-14);
    // Airport: each stretch of runway is paid by those who need it, in equal parts (Littlechild & Owen 1973).
    const auto airport = explained(airportGame(4), name.c_str(), {numbers({1, 2, 4, 7}).unsqueeze(0), parameters});
    QVERIFY(largest(airport.attribution, numbers({0.25, 0.25 + 1.0 / 3, 0.25 + 1.0 / 3 + 1, 0.25 + 1.0 / 3 + 1 + 3}).unsqueeze(0)) < 1e-13);
}

void ShapleyTest::exactShapleyEqualsBruteForce_data()
{
    QTest::addColumn<int>("players");
    for (const int players : {1, 2, 5, 7, 12})
        QTest::addRow("%d players", players) << players;
}

void ShapleyTest::exactShapleyEqualsBruteForce()
{
    QFETCH(int, players);
    const auto model = tanhModel(players, 1);
    const auto x = noise({2, players}, 2);
    const auto result = explained(model, "shapley_values", {x, {{"baseline", 0.25}}, 1});
    for (std::int64_t sample = 0; sample < 2; ++sample) {
        const auto v = game(model, x[sample], 0.25, 1);
        QVERIFY(largest(result.attribution[sample], shapleyByCoalitions(v, players)) < 1e-12);
        if (players <= 7)
            QVERIFY(largest(result.attribution[sample], shapleyByPermutations(v, players)) < 1e-12);
    }
    QVERIFY(result.completenessError.abs().max().item<double>() < 1e-12);
}

void ShapleyTest::shapleyAxiomsHold_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<int>("samples");
    QTest::newRow("exact") << "shapley_values" << 0;
    QTest::newRow("kernel, enumerated") << "kernel_shap" << 64;
    QTest::newRow("permutations") << "shapley_value_sampling" << 20;
    QTest::newRow("kernel, sampled") << "kernel_shap" << 30;
}

void ShapleyTest::shapleyAxiomsHold()
{
    QFETCH(QString, method);
    QFETCH(int, samples);
    auto model = tanhModel(6, 5);
    auto weight = model.weights.at("fc1.weight").clone();
    weight.select(1, 4).zero_();                     // a dummy
    weight.select(1, 2).copy_(weight.select(1, 1));  // two that are alike
    model.weights.set("fc1.weight", weight);
    auto x = noise({1, 6}, 6);
    x[0][2] = x[0][1];
    const core::Json parameters = samples ? core::Json{{"n_samples", samples}} : core::Json::object();
    const auto result = explained(model, method.toLatin1(), {x, parameters, 0, 3});
    // Efficiency holds for every method, however few samples.
    const graph::Executor executor(model.graph);
    const auto gain = executor.forward(model.weights, {x})[0][0] - executor.forward(model.weights, {at::zeros_like(x)})[0][0];
    QVERIFY(std::abs((result.attribution.sum() - gain).item<double>()) < 1e-12);
    QVERIFY(result.completenessError.abs().max().item<double>() < 1e-12);
    if (method == "shapley_value_sampling")
        QVERIFY(std::abs(result.attribution[0][4].item<double>()) < 1e-12);  // no order gives a dummy anything
    if (samples == 0 || samples == 64) {
        QVERIFY(std::abs(result.attribution[0][4].item<double>()) < 1e-10);
        QVERIFY(std::abs((result.attribution[0][1] - result.attribution[0][2]).item<double>()) < 1e-10);
    }
}

void ShapleyTest::sampledShapleyIsWithinItsStandardError()
{
    const auto model = tanhModel(9, 7);
    const auto x = noise({2, 9}, 8);
    const auto exact = explained(model, "shapley_values", {x, {}, 0});
    const auto sampled = explained(model, "shapley_value_sampling", {x, {{"n_samples", 400}}, 0, 1});
    const auto deviation = (sampled.attribution - exact.attribution) / sampled.standardError;
    QVERIFY(deviation.abs().max().item<double>() < 4);
    QVERIFY(deviation.square().mean().sqrt().item<double>() < 2);
    QVERIFY(deviation.square().mean().sqrt().item<double>() > 0.3);  // and the error is not stated far too large
}

void ShapleyTest::manyPermutationsApproachTheExactValues()
{
    const auto model = tanhModel(8, 9);
    const auto x = noise({1, 8}, 10);
    const auto exact = explained(model, "shapley_values", {x, {}, 1});
    const auto sampled = explained(model, "shapley_value_sampling", {x, {{"n_samples", 20000}}, 1});
    QVERIFY(largest(sampled.attribution, exact.attribution) < 0.02 * exact.attribution.abs().max().item<double>());
    // There are only 256 coalitions, and each is evaluated once.
    QVERIFY(sampled.details.at("evaluations").get<int>() <= 256);
}

void ShapleyTest::kernelShapWithAllCoalitionsIsExact_data()
{
    QTest::addColumn<int>("players");
    for (const int players : {1, 2, 3, 8, 12})
        QTest::addRow("%d players", players) << players;
}

void ShapleyTest::kernelShapWithAllCoalitionsIsExact()
{
    QFETCH(int, players);
    const auto model = tanhModel(players, 11);
    const auto x = noise({2, players}, 12);
    const auto exact = explained(model, "shapley_values", {x, {}, 0});
    const auto kernel = explained(model, "kernel_shap", {x, {{"n_samples", 1 << std::max(players, 2)}}, 0});
    QVERIFY(largest(kernel.attribution, exact.attribution) < 1e-8);
    QVERIFY(players == 1 || kernel.details.at("exact").get<bool>());
    QVERIFY(players == 1 || kernel.standardError.abs().max().item<double>() == 0);
}

void ShapleyTest::sampledKernelShapIsWithinItsStandardError()
{
    const auto model = tanhModel(9, 13);
    const auto x = noise({2, 9}, 14);
    const auto exact = explained(model, "shapley_values", {x, {}, 0});
    const auto sampled = explained(model, "kernel_shap", {x, {{"n_samples", 400}}, 0, 2});
    QVERIFY(!sampled.details.at("exact").get<bool>());
    const auto deviation = (sampled.attribution - exact.attribution) / sampled.standardError;
    QVERIFY(deviation.abs().max().item<double>() < 4);
    QVERIFY(deviation.square().mean().sqrt().item<double>() < 2);
    QVERIFY(deviation.square().mean().sqrt().item<double>() > 0.3);
}

void ShapleyTest::kernelShapOfAnAdditiveModelNeedsFewSamples()
{
    const auto weight = noise({1, 10}, 15), x = noise({2, 10}, 16);
    const auto result = explained(linearModel(weight, noise({1}, 17)), "kernel_shap", {x, {{"n_samples", 60}, {"baseline", 0.5}}, 0});
    QVERIFY(largest(result.attribution, weight * (x - 0.5)) < 1e-10);
    QVERIFY(result.standardError.max().item<double>() < 1e-10);
}

void ShapleyTest::tooFewSamplesForTheRegressionAreSaid()
{
    const auto result = explained(tanhModel(12, 18), "kernel_shap", {noise({1, 12}, 19), {{"n_samples", 8}}, 0});
    QVERIFY(!result.standardError.defined());
    QVERIFY(result.details.at("note").get<std::string>().starts_with("8 samples do not determine 12 features"));
    QVERIFY(result.completenessError.abs().max().item<double>() < 1e-12);
}

void ShapleyTest::sumsCountAFeatureOnce_data()
{
    QTest::addColumn<QString>("method");
    for (const char* method : {"shapley_values", "kernel_shap", "shapley_value_sampling", "feature_ablation"})
        QTest::newRow(method) << method;
}

// A linear model's output less that of zeros, however many elements a feature covers: two samples of four positions of three numbers.
void ShapleyTest::sumsCountAFeatureOnce()
{
    QFETCH(QString, method);
    const auto weight = noise({1, 12}, 31), x = noise({2, 4, 3}, 32);
    Builder builder("positions");
    const auto input = builder.input("x", "float64", {"batch", "4", "3"});
    auto model = builder.finish({{"y", builder.linear("fc", builder.flatten(input), 12, 1)}});
    model.weights = graph::Weights({{"fc.weight", weight}, {"fc.bias", at::zeros({1}, at::kDouble)}});
    const auto result = explained(model, qPrintable(method), {x, core::Json::object(), 0});
    const auto products = x * weight.reshape({4, 3});
    const auto sums = explain::attributionSums(result);
    QCOMPARE(sums.size(), std::size_t(2));
    for (std::int64_t row = 0; row < 2; ++row)
        QVERIFY(std::abs(sums[std::size_t(row)] - products[row].sum().item<double>()) < 1e-10);
    // The file holds a position's value at each of its numbers; their share together is that value.
    QVERIFY(largest(result.attribution, products.sum(-1, true).expand_as(x)) < 1e-10);
    QVERIFY(largest(explain::together(result.attribution, -1, result.details), products.sum(-1)) < 1e-10);
    const auto gradient = explained(model, "input_x_gradient", {x, core::Json::object(), 0});
    QVERIFY(std::abs(explain::attributionSums(gradient)[1] - products[1].sum().item<double>()) < 1e-10);
}

QTEST_APPLESS_MAIN(ShapleyTest)
#include "shapley_test.moc"
