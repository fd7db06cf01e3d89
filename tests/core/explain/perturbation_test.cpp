#include <core/zoo/zoo.h>

#include <QTest>

#include "../message_of.h"
#include "explain_test_support.h"

using namespace orrery;
using namespace orrery::explain;

class PerturbationTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void limeOfALinearModelRecoversTheWeights_data();
    void limeOfALinearModelRecoversTheWeights();
    void limeWeighsNearCopiesAsTheKernelSays();
    void ablationOfALinearModelIsWeightTimesDifferenceByGroup();
    void ablationOnAConvolutionalNetworkEqualsBruteForce();
    void manyRowsThroughANetworkWithNormsGiveWhatFewRowsGive();
    void riseRanksThePlantedPatchFirst();
    void riseOfALinearModelHasTheExpectationOfItsFormula();
    void riseWithWholeCellsEqualsItsFormula();
    void theStandardErrorIsTheSpreadOverSeeds_data();
    void theStandardErrorIsTheSpreadOverSeeds();
    void batchesOfAnySizeGiveTheSameNumbers_data();
    void batchesOfAnySizeGiveTheSameNumbers();
    void samplesOfABatchAreExplainedForTheirOwnTargets_data();
    void samplesOfABatchAreExplainedForTheirOwnTargets();
    void theSeedDecides();
    void tokenModelsHaveOneFeatureAPosition_data();
    void tokenModelsHaveOneFeatureAPosition();
    void partialResultsEndAtTheResult_data();
    void partialResultsEndAtTheResult();
    void stopsBetweenBatches_data();
    void stopsBetweenBatches();
    void badParametersSayWhatWasExpected_data();
    void badParametersSayWhatWasExpected();
    void notANumberIsRefused_data();
    void notANumberIsRefused();

private:
    static void allMethods();
};

void PerturbationTest::limeOfALinearModelRecoversTheWeights_data()
{
    QTest::addColumn<QString>("model");
    QTest::addColumn<QString>("distance");
    QTest::newRow("linear, cosine") << "linear"
                                    << "cosine";
    QTest::newRow("linear, euclidean") << "linear"
                                       << "euclidean";
    QTest::newRow("ridge without penalty") << "ridge"
                                           << "cosine";
    QTest::newRow("lasso without penalty") << "lasso"
                                           << "euclidean";
}

void PerturbationTest::limeOfALinearModelRecoversTheWeights()
{
    QFETCH(QString, model);
    QFETCH(QString, distance);
    const auto weight = noise({3, 5}, 20), x = noise({2, 5}, 21);
    core::Json parameters = {{"n_samples", 60},
                             {"interpretable_model", model.toStdString()},
                             {"distance_mode", distance.toStdString()},
                             {"kernel_width", 3},
                             {"baseline", -0.5}};
    if (model != "linear")
        parameters["alpha"] = 0;
    const auto result = explained(linearModel(weight, noise({3}, 22)), "lime", {x, parameters, 1});
    QVERIFY(largest(result.attribution, weight[1] * (x + 0.5)) < 1e-7);
    QVERIFY(std::abs(result.details.at("score")[0].get<double>() - 1) < 1e-10);
    QVERIFY(result.standardError.max().item<double>() < 1e-7);
}

void PerturbationTest::limeWeighsNearCopiesAsTheKernelSays()
{
    // With so many draws that all coalitions come equally often nearly, the fit is the weighted regression over all of them.
    const auto model = tanhModel(4, 23);
    const auto x = noise({1, 4}, 24);
    const auto v = game(model, x[0], 0, 0);
    auto design = at::ones({16, 5}, at::kDouble), weights = at::zeros({16}, at::kDouble);
    for (std::int64_t bits = 0; bits < 16; ++bits) {
        auto copy = at::zeros({4}, at::kDouble);
        for (std::int64_t i = 0; i < 4; ++i) {
            design[bits][i] = double(bits >> i & 1);
            if (bits >> i & 1)
                copy[i] = x[0][i];
        }
        const double norm = copy.norm().item<double>() * x.norm().item<double>();
        const double distance = 1 - (norm > 0 ? copy.dot(x[0]).item<double>() / norm : 0);
        weights[bits] = std::exp(-distance * distance / (2 * 0.3 * 0.3));
    }
    const auto weighted = design * weights.unsqueeze(1);
    const auto exact = at::linalg_solve(weighted.t().matmul(design), weighted.t().mv(numbers(v)), true);
    const auto result = explained(model, "lime", {x, {{"n_samples", 20000}, {"interpretable_model", "linear"}, {"kernel_width", 0.3}}, 0});
    const auto deviation = (result.attribution[0] - exact.slice(0, 0, 4)) / result.standardError[0];
    QVERIFY(deviation.abs().max().item<double>() < 4);
    QVERIFY(largest(result.attribution[0], exact.slice(0, 0, 4)) < 0.05 * exact.abs().max().item<double>());
}

void PerturbationTest::ablationOfALinearModelIsWeightTimesDifferenceByGroup()
{
    const auto weight = noise({3, 5}, 25), x = noise({4, 5}, 26), baseline = noise({5}, 27);
    core::Json list = core::Json::array();
    for (std::int64_t i = 0; i < 5; ++i)
        list.push_back(baseline[i].item<double>());
    const auto model = linearModel(weight, noise({3}, 28));
    const auto single = explained(model, "feature_ablation", {x, {{"baseline", list}}, 2});
    QVERIFY(largest(single.attribution, weight[2] * (x - baseline)) < 1e-13);
    const auto grouped = explained(model, "feature_ablation", {x, {{"baseline", list}, {"feature_mask", {0, 1, 0, 1, 1}}}, 2});
    const auto each = weight[2] * (x - baseline);
    const auto even = each.select(1, 0) + each.select(1, 2), odd = each.select(1, 1) + each.select(1, 3) + each.select(1, 4);
    QVERIFY(largest(grouped.attribution, at::stack({even, odd, even, odd, odd}, 1)) < 1e-13);
}

void PerturbationTest::ablationOnAConvolutionalNetworkEqualsBruteForce()
{
    const auto model = zoo::buildModel("lenet", {{"image_size", 8}, {"maps", {4, 8}}, {"kernel", 3}, {"padding", 1}, {"hidden", {16}}}, 4);
    const graph::Executor executor(model.graph);
    const auto x = noise({2, 1, 8, 8}, 29).to(at::kFloat);
    const auto result = explained(model, "feature_ablation", {x, {{"feature_mask", 3}, {"baseline", 0.25}, {"perturbations_per_eval", 4}}, 3});
    const auto plain = executor.forward(model.weights, {x}).select(1, 3);
    auto expected = at::zeros_like(x);
    for (std::int64_t top = 0; top < 8; top += 3)
        for (std::int64_t left = 0; left < 8; left += 3) {
            auto covered = x.clone();
            covered.slice(2, top, top + 3).slice(3, left, left + 3).fill_(0.25);
            const auto drop = plain - executor.forward(model.weights, {covered}).select(1, 3);
            expected.slice(2, top, top + 3)
                .slice(3, left, left + 3)
                .copy_(drop.reshape({2, 1, 1, 1}).expand({2, 1, std::min<std::int64_t>(3, 8 - top), std::min<std::int64_t>(3, 8 - left)}));
        }
    QVERIFY(largest(result.attribution, expected) < 1e-5);
    QCOMPARE(result.details.at("features").get<int>(), 9);
}

void PerturbationTest::manyRowsThroughANetworkWithNormsGiveWhatFewRowsGive()
{
    // Sixteen rows and more go through folded batch norms and channels last, fewer through the graph as it is.
    auto model = zoo::buildModel("resnet", {{"depth", 8}}, 9);
    std::uint64_t seed = 60;
    const auto fresh = model.weights;
    for (const auto& [name, tensor] : fresh.tensors())
        if (name.ends_with("running_mean"))
            model.weights.set(name, noise(tensor.sizes().vec(), seed++).to(at::kFloat) * 0.1);
        else if (name.ends_with("running_var"))
            model.weights.set(name, noise(tensor.sizes().vec(), seed++).to(at::kFloat).abs() + 0.5);
    const auto x = noise({20, 3, 32, 32}, 59).to(at::kFloat);
    const auto together = explained(model, "saliency", {x, {{"abs", false}}, 4});
    QVERIFY(together.attribution.is_contiguous());
    const double scale = together.attribution.abs().max().item<double>();
    for (const std::int64_t i : {0, 7, 19})
        QVERIFY(largest(explained(model, "saliency", {x.narrow(0, i, 1), {{"abs", false}}, 4}).attribution, together.attribution.narrow(0, i, 1)) <
                1e-4 * scale);
    // An ablation is a difference of two outputs: it is as exact as they are.
    const auto pair = x.narrow(0, 0, 2);
    const auto whole = explained(model, "feature_ablation", {pair, {{"feature_mask", 8}}, 4});
    const auto single = explained(model, "feature_ablation", {pair, {{"feature_mask", 8}, {"perturbations_per_eval", 1}}, 4});
    const double error = largest(whole.attribution, single.attribution), size = single.outputs.abs().max().item<double>();
    QVERIFY2(error < 1e-5 * size, qPrintable(QString("%1 of outputs of %2").arg(error).arg(size)));
    QVERIFY(single.attribution.abs().max().item<double>() > 10 * error);
}

void PerturbationTest::riseRanksThePlantedPatchFirst()
{
    // Only one 4 x 4 patch counts.
    auto weight = at::zeros({2, 16, 16}, at::kDouble);
    weight.slice(1, 8, 12).slice(2, 4, 8).fill_(1);
    const auto x = noise({1, 2, 16, 16}, 30).abs() + 0.5;
    const auto result = explained(weightedSumModel(weight), "rise", {x, {{"n_samples", 2000}, {"cells", 5}}});
    const auto map = result.attribution[0][0];
    const auto inside = map.slice(0, 8, 12).slice(1, 4, 8);
    const auto best = map.argmax().item<std::int64_t>();
    QVERIFY(best / 16 >= 8 && best / 16 < 12 && best % 16 >= 4 && best % 16 < 8);
    QVERIFY(inside.min().item<double>() > map.slice(0, 0, 4).max().item<double>());
    QVERIFY(inside.min().item<double>() > map.slice(1, 12, 16).max().item<double>());
    QVERIFY(largest(map, result.attribution[0][1]) == 0);
}

void PerturbationTest::riseOfALinearModelHasTheExpectationOfItsFormula()
{
    // A table: independent masks. E[w·(m x + (1-m) b) m_i] / p = f(b) + p sum_k d_k + (1 - p) d_i with d = w (x - b).
    const auto weight = noise({1, 6}, 31), bias = noise({1}, 32), x = noise({2, 6}, 33);
    const double p = 0.3, baseline = 0.5;
    const auto result = explained(linearModel(weight, bias), "rise", {x, {{"n_samples", 20000}, {"probability", p}, {"baseline", baseline}}, 0, 4});
    const auto d = weight * (x - baseline);
    const auto expected = (weight.sum() * baseline + bias) + p * d.sum(1, true) + (1 - p) * d;
    const auto deviation = (result.attribution - expected) / result.standardError;
    QVERIFY(deviation.abs().max().item<double>() < 4);
    QVERIFY(result.standardError.max().item<double>() < 0.05);
}

void PerturbationTest::riseWithWholeCellsEqualsItsFormula()
{
    // One cell for the whole picture is always the same everywhere: masks are 0 or 1, and the map is the mean of F(x) over the ones, divided by p.
    const auto weight = noise({1, 3, 3}, 34), x = noise({1, 1, 3, 3}, 35);
    const auto result = explained(weightedSumModel(weight), "rise", {x, {{"n_samples", 500}, {"cells", 1}}});
    const auto map = result.attribution.reshape(-1);
    QVERIFY(largest(map, map[0].expand({9})) < 1e-5);                                   // masks are interpolated in float
    const double share = map[0].item<double>() / (weight * x[0]).sum().item<double>();  // ones / (p N)
    QVERIFY(std::abs(share - 1) < 0.2);
    QVERIFY(std::abs(share * 250 - std::round(share * 250)) < 1e-3);
}

void PerturbationTest::theStandardErrorIsTheSpreadOverSeeds_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<QString>("parameters");
    QTest::newRow("shapley_value_sampling") << "shapley_value_sampling"
                                            << R"({"n_samples": 40})";
    QTest::newRow("kernel_shap") << "kernel_shap"
                                 << R"({"n_samples": 120})";
    QTest::newRow("lime, linear") << "lime"
                                  << R"({"n_samples": 120, "interpretable_model": "linear"})";
    QTest::newRow("lime, lasso") << "lime"
                                 << R"({"n_samples": 120})";
    QTest::newRow("lime, ridge") << "lime"
                                 << R"({"n_samples": 120, "interpretable_model": "ridge"})";
    QTest::newRow("rise") << "rise"
                          << R"({"n_samples": 100})";
}

void PerturbationTest::theStandardErrorIsTheSpreadOverSeeds()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    const auto model = tanhModel(9, 36);
    const auto x = noise({1, 9}, 37);
    constexpr int kSeeds = 120;
    std::vector<at::Tensor> attributions, variances;
    for (int seed = 0; seed < kSeeds; ++seed) {
        const auto result = explained(model, method.toLatin1(), {x, core::Json::parse(parameters.toStdString()), 0, std::uint64_t(seed)});
        QCOMPARE(result.standardError.sizes().vec(), result.attribution.sizes().vec());
        attributions.push_back(result.attribution[0]);
        variances.push_back(result.standardError[0].square());
    }
    const auto spread = at::stack(attributions).std(0, true), stated = at::stack(variances).mean(0).sqrt();
    // The spread of 120 seeds is known to 1 / sqrt(240) = 6 %; the regressions' formulas hold for many samples.
    const auto ratio = stated / spread;
    QVERIFY2(ratio.min().item<double>() > 0.75, qPrintable(QString::number(ratio.min().item<double>())));
    QVERIFY2(ratio.max().item<double>() < 1.35, qPrintable(QString::number(ratio.max().item<double>())));
}

void PerturbationTest::allMethods()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<QString>("parameters");
    QTest::newRow("shapley_value_sampling") << "shapley_value_sampling"
                                            << R"({"n_samples": 31})";
    QTest::newRow("kernel_shap") << "kernel_shap"
                                 << R"({"n_samples": 45})";
    QTest::newRow("lime") << "lime"
                          << R"({"n_samples": 45, "alpha": 0.001})";
    QTest::newRow("rise") << "rise"
                          << R"({"n_samples": 45})";
    QTest::newRow("feature_ablation") << "feature_ablation"
                                      << "{}";
    QTest::newRow("shapley_values") << "shapley_values"
                                    << "{}";
    QTest::newRow("kernel_shap, enumerated") << "kernel_shap"
                                             << R"({"n_samples": 64})";
}

void PerturbationTest::batchesOfAnySizeGiveTheSameNumbers_data()
{
    allMethods();
}

void PerturbationTest::batchesOfAnySizeGiveTheSameNumbers()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    const auto model = tanhModel(6, 38);
    const auto x = noise({3, 6}, 39);
    auto chosen = core::Json::parse(parameters.toStdString());
    const auto plain = explained(model, method.toLatin1(), {x, chosen, {}, 5});
    for (const int size : {1, 2, 7, 1000}) {
        chosen["perturbations_per_eval"] = size;
        const auto result = explained(model, method.toLatin1(), {x, chosen, {}, 5});
        QVERIFY(largest(result.attribution, plain.attribution) < 1e-12);
        QCOMPARE(result.standardError.defined(), plain.standardError.defined());
        if (plain.standardError.defined())
            QVERIFY(largest(result.standardError, plain.standardError) < 1e-10);
    }
}

void PerturbationTest::samplesOfABatchAreExplainedForTheirOwnTargets_data()
{
    allMethods();
}

void PerturbationTest::samplesOfABatchAreExplainedForTheirOwnTargets()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    const auto model = tanhModel(6, 40);
    const auto x = noise({8, 6}, 41);
    const auto chosen = core::Json::parse(parameters.toStdString());
    const auto together = explained(model, method.toLatin1(), {x, chosen, {}, 6});
    QVERIFY(std::count(together.targets.begin(), together.targets.end(), 0) % 8 != 0);  // both classes are predicted
    for (std::int64_t i = 0; i < 8; ++i) {
        const auto alone = explained(model, method.toLatin1(), {x.narrow(0, i, 1), chosen, together.targets[std::size_t(i)], 6});
        QVERIFY(largest(alone.attribution[0], together.attribution[i]) < 1e-12);
    }
}

void PerturbationTest::theSeedDecides()
{
    const auto model = tanhModel(9, 42);
    const auto x = noise({1, 9}, 43);
    for (const char* method : {"shapley_value_sampling", "kernel_shap", "lime", "rise"}) {
        const auto first = explained(model, method, {x, {}, 0, 1}), again = explained(model, method, {x, {}, 0, 1}),
                   other = explained(model, method, {x, {}, 0, 2});
        QVERIFY(first.attribution.equal(again.attribution));
        QVERIFY(largest(first.attribution, other.attribution) > 1e-6);
    }
}

void PerturbationTest::tokenModelsHaveOneFeatureAPosition_data()
{
    allMethods();
}

void PerturbationTest::tokenModelsHaveOneFeatureAPosition()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    const auto model = zoo::buildModel("gpt", {{"vocabulary", 11}, {"block_length", 8}, {"layers", 1}, {"heads", 2}, {"width", 8}}, 2);
    const auto tokens = at::tensor(std::vector<std::int64_t>{1, 4, 7, 2, 5, 4}, at::kLong).unsqueeze(0);
    const auto result = explained(model, method.toLatin1(), {tokens, core::Json::parse(parameters.toStdString())});
    QCOMPARE(result.attribution.sizes().vec(), (std::vector<std::int64_t>{1, 6, 8}));
    QVERIFY(largest(result.attribution, result.attribution.slice(2, 0, 1).expand({1, 6, 8})) == 0);
    QVERIFY(result.attribution.abs().sum().item<double>() > 0);
}

void PerturbationTest::partialResultsEndAtTheResult_data()
{
    allMethods();
}

void PerturbationTest::partialResultsEndAtTheResult()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    auto chosen = core::Json::parse(parameters.toStdString());
    chosen["perturbations_per_eval"] = 3;
    Control control;
    std::vector<at::Tensor> shown;
    std::vector<double> shares;
    control.partial = [&](const at::Tensor& attribution) { shown.push_back(attribution.clone()); };
    control.progress = [&](double done, double total, const char*) { shares.push_back(done / total); };
    const auto result = explained(tanhModel(6, 44), method.toLatin1(), {noise({2, 6}, 45), chosen, 0, 7, {}, control});
    QVERIFY(std::is_sorted(shares.begin(), shares.end()));
    QCOMPARE(shares.back(), 1.0);
    if (method == "shapley_values")  // sums over part of the coalitions mean nothing
        return;
    QVERIFY(!shown.empty());
    for (const auto& each : shown)
        QCOMPARE(each.sizes().vec(), result.attribution.sizes().vec());
    if (method != "kernel_shap")
        QVERIFY(largest(shown.back(), result.attribution) < 1e-12);
}

void PerturbationTest::stopsBetweenBatches_data()
{
    allMethods();
}

void PerturbationTest::stopsBetweenBatches()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    auto chosen = core::Json::parse(parameters.toStdString());
    chosen["perturbations_per_eval"] = 1;
    std::stop_source source;
    int reports = 0;
    Control control;
    control.stop = source.get_token();
    control.progress = [&](double, double, const char*) {
        if (++reports == 4)
            source.request_stop();
    };
    QVERIFY_THROWS_EXCEPTION(core::Cancelled, explained(tanhModel(6, 46), method.toLatin1(), {noise({1, 6}, 47), chosen, 0, 1, {}, control}));
    QCOMPARE(reports, 4);
}

void PerturbationTest::badParametersSayWhatWasExpected_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<QString>("parameters");
    QTest::addColumn<QString>("message");
    QTest::newRow("no samples") << "shapley_value_sampling"
                                << R"({"n_samples": 0})"
                                << "shapley_value_sampling.n_samples";
    QTest::newRow("two samples") << "kernel_shap"
                                 << R"({"n_samples": 2})"
                                 << "kernel_shap.n_samples";
    QTest::newRow("misspelt") << "lime"
                              << R"({"n_sample": 5})"
                              << "did you mean \"n_samples\"?";
    QTest::newRow("negative penalty") << "lime"
                                      << R"({"alpha": -1})"
                                      << "lime.alpha";
    QTest::newRow("unknown surrogate") << "lime"
                                       << R"({"interpretable_model": "laso"})"
                                       << "did you mean \"lasso\"?";
    QTest::newRow("kernel of no width") << "lime"
                                        << R"({"kernel_width": 0})"
                                        << "lime.kernel_width";
    QTest::newRow("kernel too narrow") << "lime"
                                       << R"({"kernel_width": 1e-9, "distance_mode": "euclidean", "n_samples": 2})"
                                       << "lime.kernel_width: every perturbed copy is so far away that its weight is 0";
    QTest::newRow("probability 1") << "rise"
                                   << R"({"probability": 1})"
                                   << "rise.probability";
    QTest::newRow("no cells") << "rise"
                              << R"({"cells": 0})"
                              << "rise.cells";
    QTest::newRow("mask") << "feature_ablation"
                          << R"({"feature_mask": [0, 1]})"
                          << "feature_ablation.feature_mask: expected an array that broadcasts to a sample [24], got [2]";
    QTest::newRow("too many players")
        << "shapley_values"
        << "{}"
        << "shapley_values: 24 features make 2^24 coalitions; expected at most 20 features. Give a feature_mask with fewer "
           "groups (a larger patch size), or use shapley_value_sampling or kernel_shap";
    QTest::newRow("rows a time") << "rise"
                                 << R"({"perturbations_per_eval": 0})"
                                 << "rise.perturbations_per_eval";
}

void PerturbationTest::badParametersSayWhatWasExpected()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    QFETCH(QString, message);
    const auto text = saidBy([&] {
        explained(tanhModel(24, 48), method.toLatin1(), {noise({1, 24}, 49), core::Json::parse(parameters.toStdString()), 0});
    });
    QVERIFY2(text.contains(message), qPrintable(text));
}

void PerturbationTest::notANumberIsRefused_data()
{
    allMethods();
}

void PerturbationTest::notANumberIsRefused()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    auto x = noise({2, 6}, 50);
    x[1][3] = std::nan("");
    const auto chosen = core::Json::parse(parameters.toStdString());
    QCOMPARE(saidBy([&] {
                 explained(tanhModel(6, 51), method.toLatin1(), {x, chosen, 0});
             }),
             method + ": x holds NaN or infinite numbers; expected finite ones");
    QCOMPARE(saidBy([&] {
                 explained(tanhModel(6, 51), method.toLatin1(), {at::zeros({0, 6}, at::kDouble), chosen, 0});
             }),
             method + ": expected at least one sample, got x [0, 6]");
}

QTEST_APPLESS_MAIN(PerturbationTest)
#include "perturbation_test.moc"
