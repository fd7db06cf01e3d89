// noise_tunnel and gradient_shap: the same noise added by hand, closed forms, baselines from a file.
#include <core/base/files.h>
#include <core/base/rng.h>
#include <core/catalogue.h>
#include <core/explain/samples.h>
#include <core/graph/random_operators.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

#include <QTemporaryDir>
#include <QTest>

#include "../message_of.h"
#include "explain_bench.h"

using namespace orrery;
using namespace orrery::test;
using core::Json;

namespace {

const Json kTanh = {{"features", 5}, {"hidden", {6}}, {"classes", 3}, {"activation", "tanh"}};

// The noise of copy k, drawn by itself.
at::Tensor noiseOf(const at::Tensor& x, std::uint64_t seed, std::uint64_t k, const char* name)
{
    return at::randn(x.sizes(), graph::makeGenerator(c10::kCPU, core::deriveSeed(seed, k, name)), at::TensorOptions().dtype(at::kDouble));
}

// [samples, batch, ...]: a method at each noisy copy, one call a copy.
at::Tensor oneByOne(const graph::Model& model, const char* method, const at::Tensor& x, int samples, double deviation, const Ask& ask)
{
    std::vector<at::Tensor> all;
    for (int k = 0; k < samples; ++k)
        all.push_back(attributionOf(model, method, {x + deviation * noiseOf(x, ask.seed, std::uint64_t(k), "noise_tunnel")}, ask).attribution);
    return at::stack(all);
}

Json tunnel(const Json& method, const char* type, int samples, double deviation)
{
    return {{"method", method}, {"nt_type", type}, {"nt_samples", samples}, {"stdevs", deviation}};
}

}  // namespace

class NoiseTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void momentsEqualTheirFormulas();
    void withoutNoiseTheTunnelIsTheMethod_data();
    void withoutNoiseTheTunnelIsTheMethod();
    void aggregatesEqualBruteForceWithTheSameNoise_data();
    void aggregatesEqualBruteForceWithTheSameNoise();
    void varianceOfALinearModelIsZero();
    void noiseIsTheSameForBatchesOfAnySize();
    void aSamplingMethodIsTheSameForBatchesOfAnySize_data();
    void aSamplingMethodIsTheSameForBatchesOfAnySize();
    void noiseFollowsTheSeedAlone();
    void noiseReachesALayerThroughTheModel();
    void targetsAreThoseOfTheCleanSamples();
    void tokensAreDisturbedAtTheirEmbedding();
    void tunnelShowsPartialResultsAndProgress();
    void badTunnelsAreRefused_data();
    void badTunnelsAreRefused();
    void gradientShapOfALinearModelIsExact();
    void gradientShapEqualsItsFormula();
    void gradientShapApproachesIntegratedGradients();
    void gradientShapDrawsBaselinesFromAFile();
    void gradientShapGoesOnUntilItIsComplete();
    void gradientShapIsTheSameInBatchesOfAnySize();
    void badBaselinesAreRefused();
    void stopsWhenAsked_data();
    void stopsWhenAsked();
};

void NoiseTest::momentsEqualTheirFormulas()
{
    const auto rows = noise({40, 3}, 4) + 5;
    explain::Moments moments;
    moments.add(rows.narrow(0, 0, 1));
    QVERIFY(!moments.errorOfMean().defined());
    moments.add(rows.narrow(0, 1, 15));
    moments.add(rows.narrow(0, 16, 24));
    QCOMPARE(moments.count(), 40);
    const auto square = rows.square(), centred = rows - rows.mean(0);
    QVERIFY(largest(moments.mean(), rows.mean(0)) < 1e-13);
    QVERIFY(largest(moments.meanOfSquares(), square.mean(0)) < 1e-12);
    QVERIFY(largest(moments.variance(), centred.square().mean(0)) < 1e-12);
    QVERIFY(largest(moments.errorOfMean(), rows.std(0, true) / std::sqrt(40.0)) < 1e-12);
    QVERIFY(largest(moments.errorOfMeanOfSquares(), square.std(0, true) / std::sqrt(40.0)) < 1e-10);
    QVERIFY(largest(moments.errorOfVariance(), ((centred.pow(4).mean(0) - centred.square().mean(0).square()) / 40).sqrt()) < 1e-11);
}

void NoiseTest::withoutNoiseTheTunnelIsTheMethod_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<QString>("parameters");
    QTest::addColumn<QString>("site");
    QTest::newRow("saliency") << "saliency"
                              << R"({"abs": false})"
                              << "";
    QTest::newRow("integrated gradients") << "integrated_gradients"
                                          << R"({"n_steps": 7, "baseline": 0.5})"
                                          << "";
    QTest::newRow("deep lift") << "deep_lift"
                               << "{}"
                               << "";
    QTest::newRow("occlusion") << "occlusion"
                               << "{}"
                               << "";
    QTest::newRow("conductance of a layer") << "layer_conductance"
                                            << R"({"n_steps": 5})"
                                            << "fc1";
    QTest::newRow("gradient of a neuron") << "neuron_gradient"
                                          << R"({"layer": "fc1", "neuron": [2]})"
                                          << "";
}

void NoiseTest::withoutNoiseTheTunnelIsTheMethod()
{
    QFETCH(QString, method);
    QFETCH(QString, parameters);
    QFETCH(QString, site);
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({3, 5}, 1);
    auto nested = Json::parse(parameters.toStdString());
    const auto plain = attributionOf(model, method.toUtf8().constData(), {x}, {.parameters = nested, .site = site.toStdString()});
    nested["id"] = method.toStdString();
    const auto quiet = attributionOf(model, "noise_tunnel", {x}, {.parameters = tunnel(nested, "smoothgrad", 4, 0), .site = site.toStdString()});
    QVERIFY(largest(quiet.attribution, plain.attribution) < 1e-14);
    QVERIFY(size(quiet.standardError) < 1e-14);
    QCOMPARE(quiet.site, plain.site);
    QVERIFY(at::equal(quiet.value, plain.value));
}

void NoiseTest::aggregatesEqualBruteForceWithTheSameNoise_data()
{
    QTest::addColumn<QString>("type");
    for (const char* type : {"smoothgrad", "smoothgrad_sq", "vargrad"})
        QTest::newRow(type) << type;
}

void NoiseTest::aggregatesEqualBruteForceWithTheSameNoise()
{
    QFETCH(QString, type);
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const Json nested = {{"id", "saliency"}, {"abs", false}};
    const auto result =
        attributionOf(model, "noise_tunnel", {x}, {.parameters = tunnel(nested, type.toUtf8().constData(), 12, 0.4), .target = 1, .seed = 77});
    const auto all = oneByOne(model, "saliency", x, 12, 0.4, {.parameters = {{"abs", false}}, .target = 1, .seed = 77});
    const auto mean = all.mean(0), variance = all.square().mean(0) - mean.square();
    const auto expected = type == "smoothgrad" ? mean : type == "smoothgrad_sq" ? all.square().mean(0) : variance;
    QVERIFY(size(variance) > 1e-4);
    QVERIFY(largest(result.attribution, expected) < 1e-14);
    const auto error = type == "smoothgrad"      ? all.std(0, true) / std::sqrt(12.0)
                       : type == "smoothgrad_sq" ? all.square().std(0, true) / std::sqrt(12.0)
                                                 : (((all - mean).pow(4).mean(0) - variance.square()) / 12).sqrt();
    QVERIFY(largest(result.standardError, error) < 1e-13);
}

void NoiseTest::varianceOfALinearModelIsZero()
{
    const auto model = zooModel("mlp", {{"features", 5}, {"hidden", Json::array()}, {"classes", 3}}, 2);
    const Json nested = {{"id", "saliency"}, {"abs", false}};
    const auto result = attributionOf(model, "noise_tunnel", {noise({2, 5}, 1)}, {.parameters = tunnel(nested, "vargrad", 20, 2), .target = 0});
    QVERIFY(at::equal(result.attribution, at::zeros({2, 5}, at::kDouble)));
}

void NoiseTest::noiseIsTheSameForBatchesOfAnySize()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const auto of = [&](int rows) {
        auto parameters = tunnel("saliency", "smoothgrad", 11, 1);
        parameters["internal_batch_size"] = rows;
        return attributionOf(model, "noise_tunnel", {x}, {.parameters = parameters, .target = 1}).attribution;
    };
    const auto whole = of(1000);
    for (const int rows : {1, 2, 6, 9})
        QVERIFY(largest(of(rows), whole) < 1e-15);
}

void NoiseTest::aSamplingMethodIsTheSameForBatchesOfAnySize_data()
{
    QTest::addColumn<QString>("method");
    for (const char* method : {"gradient_shap", "shapley_value_sampling", "kernel_shap", "lime", "noise_tunnel"})
        QTest::newRow(method) << method;
}

// Copy k is the method alone at the noise of copy k, with the seed derived from k.
void NoiseTest::aSamplingMethodIsTheSameForBatchesOfAnySize()
{
    QFETCH(QString, method);
    const auto id = method.toStdString();
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const auto of = [&](int rows) {
        auto parameters = tunnel({{"id", id}}, "smoothgrad", 4, 0.3);
        parameters["internal_batch_size"] = rows;
        return attributionOf(model, "noise_tunnel", {x}, {.parameters = parameters, .target = 1, .seed = 6}).attribution;
    };
    auto mean = at::zeros({2, 5}, at::kDouble);
    for (std::uint64_t k = 0; k < 4; ++k)
        mean += attributionOf(model, id.c_str(), {x + 0.3 * noiseOf(x, 6, k, "noise_tunnel")},
                              {.target = 1, .seed = core::deriveSeed(6, k, "noise_tunnel.method")})
                    .attribution /
                4;
    const auto whole = of(1000);
    QVERIFY(size(whole) > 1e-3);
    QVERIFY(largest(whole, mean) < 1e-12);
    for (const int rows : {1, 4, 6})
        QVERIFY(largest(of(rows), whole) < 1e-12);
}

void NoiseTest::noiseFollowsTheSeedAlone()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const auto of = [&](std::uint64_t seed) {
        return attributionOf(model, "noise_tunnel", {x}, {.parameters = tunnel("saliency", "smoothgrad", 5, 1), .target = 1, .seed = seed})
            .attribution;
    };
    at::manual_seed(1);
    const auto first = of(3);
    at::manual_seed(2);
    QVERIFY(at::equal(of(3), first));
    QVERIFY(largest(of(4), first) > 1e-3);
}

void NoiseTest::noiseReachesALayerThroughTheModel()
{
    // Noise is added to the model's input, so a method at a layer, and one whose path starts at the input, sees noisy inputs.
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    for (const char* method : {"layer_activation", "layer_conductance", "layer_gradient_x_activation", "integrated_gradients"}) {
        const Ask ask{.target = 1, .site = "fc1", .seed = 5};
        const auto result =
            attributionOf(model, "noise_tunnel", {x}, {.parameters = tunnel(method, "smoothgrad", 6, 0.5), .target = 1, .site = "fc1", .seed = 5});
        QVERIFY2(largest(result.attribution, oneByOne(model, method, x, 6, 0.5, ask).mean(0)) < 1e-14, method);
        QVERIFY(largest(result.attribution, attributionOf(model, method, {x}, ask).attribution) > 1e-4);
    }
}

void NoiseTest::targetsAreThoseOfTheCleanSamples()
{
    // Much noise would change the predicted class; the explained one stays.
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({1, 5}, 1);
    const auto result = attributionOf(model, "noise_tunnel", {x}, {.parameters = tunnel("saliency", "smoothgrad", 9, 5)});
    const auto all = oneByOne(model, "saliency", x, 9, 5, {.target = result.targets.at(0)});
    QVERIFY(largest(result.attribution, all.mean(0)) < 1e-14);
    QVERIFY(largest(oneByOne(model, "saliency", x, 9, 5, {}).mean(0), all.mean(0)) > 1e-4);
}

void NoiseTest::tokensAreDisturbedAtTheirEmbedding()
{
    const auto model = zooModel("gpt", {{"vocabulary", 11}, {"block_length", 8}, {"layers", 1}, {"heads", 2}, {"width", 8}}, 2);
    const auto tokens = at::tensor(std::vector<std::int64_t>{1, 4, 7, 2}, at::kLong).unsqueeze(0);
    const Json nested = {{"id", "saliency"}, {"abs", false}};
    const auto result = attributionOf(model, "noise_tunnel", {tokens}, {.parameters = tunnel(nested, "smoothgrad", 3, 0.02), .target = 6, .seed = 9});
    QCOMPARE(result.details.at("noise_at").get<std::string>(), result.site);
    // By hand: the embedding's value set to itself plus noise.
    graph::RunRequest plain;
    plain.inputs = {tokens};
    plain.keep = {result.site};
    const graph::Executor executor(model.graph);
    const auto embedding = executor.run(model.weights, plain).value(result.site);
    QVERIFY(at::equal(result.value, embedding));
    auto sum = at::zeros_like(embedding);
    for (std::uint64_t k = 0; k < 3; ++k) {
        graph::RunRequest moved;
        moved.inputs = {tokens};
        const auto leaf = (embedding + 0.02 * noiseOf(embedding, 9, k, "noise_tunnel")).requires_grad_(true);
        moved.changed[result.site] = leaf;
        moved.gradients = graph::Gradients::Inputs;
        executor.run(model.weights, moved).tensor()[0][3][6].backward();
        sum += leaf.grad() / 3;
    }
    QVERIFY(size(sum) > 1e-6);
    QVERIFY(largest(result.attribution, sum) < 1e-13);
    // Paths of layer methods start there, too.
    const auto layer = model.card.canonicalNames.at("blocks.0.resid_post");
    const auto quiet = attributionOf(model, "noise_tunnel", {tokens}, {.parameters = tunnel("layer_conductance", "smoothgrad", 2, 0), .site = layer});
    QVERIFY(largest(quiet.attribution, attributionOf(model, "layer_conductance", {tokens}, {.site = layer}).attribution) < 1e-13);
    const auto loud = attributionOf(model, "noise_tunnel", {tokens}, {.parameters = tunnel("layer_conductance", "smoothgrad", 2, 1), .site = layer});
    QVERIFY(largest(quiet.attribution, loud.attribution) > 1e-6);
}

void NoiseTest::tunnelShowsPartialResultsAndProgress()
{
    const auto model = zooModel("mlp", kTanh, 8);
    auto parameters = tunnel({{"id", "integrated_gradients"}, {"internal_batch_size", 10}}, "smoothgrad", 5, 1);
    parameters["internal_batch_size"] = 2;
    std::vector<at::Tensor> shown;
    std::vector<double> done;
    explain::Control control;
    control.partial = [&](const at::Tensor& partial) { shown.push_back(partial); };
    control.progress = [&](double at, double total, const char* unit) {
        QCOMPARE(total, 5.0);
        QCOMPARE(unit, "samples");
        done.push_back(at);
    };
    const auto result = attributionOf(model, "noise_tunnel", {noise({1, 5}, 1)}, {.parameters = parameters}, control);
    QCOMPARE(int(shown.size()), 3);
    QVERIFY(at::equal(shown.back(), result.attribution));
    QVERIFY(std::is_sorted(done.begin(), done.end()));
    QCOMPARE(done.back(), 5.0);
    QVERIFY(done.size() > 15);
}

void NoiseTest::badTunnelsAreRefused_data()
{
    QTest::addColumn<QString>("parameters");
    QTest::addColumn<QString>("message");
    QTest::newRow("unknown method") << R"({"method": "salience"})"
                                    << "noise_tunnel.method: unknown attribution \"salience\"; did you mean \"saliency\"?";
    QTest::newRow("unknown nested parameter") << R"({"method": {"id": "integrated_gradients", "steps": 3}})"
                                              << "noise_tunnel.method.steps: unknown key";
    QTest::newRow("nested out of range") << R"({"method": {"id": "integrated_gradients", "n_steps": 0}})"
                                         << "noise_tunnel.method.n_steps: expected an integer in 1..";
    QTest::newRow("no samples") << R"({"nt_samples": 0})"
                                << "noise_tunnel.nt_samples: expected an integer in 1..";
    QTest::newRow("negative deviation") << R"({"stdevs": -1})"
                                        << "noise_tunnel.stdevs: expected a number >= 0, got -1";
    QTest::newRow("unknown type") << R"({"nt_type": "smooth"})"
                                  << "noise_tunnel.nt_type: expected one of";
}

void NoiseTest::badTunnelsAreRefused()
{
    QFETCH(QString, parameters);
    QFETCH(QString, message);
    const auto model = zooModel("mlp", kTanh, 8);
    const auto said = saidBy([&] {
        attributionOf(model, "noise_tunnel", {noise({1, 5}, 1)}, {.parameters = Json::parse(parameters.toStdString())});
    });
    QVERIFY2(said.contains(message), qPrintable(said));
}

void NoiseTest::gradientShapOfALinearModelIsExact()
{
    const auto model = zooModel("mlp", {{"features", 5}, {"hidden", Json::array()}, {"classes", 3}}, 2);
    const auto x = noise({4, 5}, 1);
    const auto result = attributionOf(model, "gradient_shap", {x}, {.parameters = {{"baselines", 0.25}}, .target = 1});
    QVERIFY(largest(result.attribution, model.weights.at("out.weight")[1] * (x - 0.25)) < 1e-14);
    QVERIFY(size(result.standardError) < 1e-14);
    QVERIFY(size(result.completenessError) < 1e-14);
}

void NoiseTest::gradientShapEqualsItsFormula()
{
    // One baseline: each draw takes an index and a place on the path from the generator of its copy; noise from another.
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const auto result =
        attributionOf(model, "gradient_shap", {x}, {.parameters = {{"n_samples", 7}, {"stdevs", 0.3}, {"baselines", 0.1}}, .target = 2, .seed = 4});
    const auto w = [&](const char* name) { return model.weights.at(name); };
    auto sum = at::zeros({2, 5}, at::kDouble);
    for (std::uint64_t k = 0; k < 7; ++k) {
        const auto noisy = x + 0.3 * noiseOf(x, 4, k, "gradient_shap.noise");
        core::SplitMix64 random(core::deriveSeed(4, k, "gradient_shap"));
        for (std::int64_t i = 0; i < 2; ++i) {
            random.below(1);
            const double alpha = random.uniform();
            const auto point = 0.1 + alpha * (noisy[i] - 0.1);
            const auto slope = 1 - at::linear(point, w("fc1.weight"), w("fc1.bias")).tanh().square();
            sum[i] += at::matmul(w("out.weight")[2] * slope, w("fc1.weight")) * (noisy[i] - 0.1) / 7;
        }
    }
    QVERIFY(largest(result.attribution, sum) < 1e-14);
}

void NoiseTest::gradientShapApproachesIntegratedGradients()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const auto result = attributionOf(model, "gradient_shap", {x}, {.parameters = {{"n_samples", 4000}}, .target = 2});
    const auto exact = attributionOf(model, "integrated_gradients", {x}, {.target = 2}).attribution;
    QVERIFY(size(result.standardError) > 1e-5);
    QVERIFY(((result.attribution - exact).abs() <= 4.5 * result.standardError + 1e-12).all().item<bool>());
    QVERIFY(size(result.standardError) < 0.01);
}

void NoiseTest::gradientShapDrawsBaselinesFromAFile()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1), baselines = noise({3, 5}, 9);
    const QTemporaryDir folder;
    const auto file = folder.filePath("baselines.npy").toStdString();
    io::writeNpy(file, io::toArray(baselines));
    const auto result = attributionOf(model, "gradient_shap", {x}, {.parameters = {{"n_samples", 6000}, {"baselines", file}}, .target = 2});
    const graph::Executor executor(model.graph);
    const auto mean = executor.forward(model.weights, {baselines}).select(1, 2).mean();
    const auto change = executor.forward(model.weights, {x}).select(1, 2) - mean;
    QVERIFY(largest(result.completenessError, result.attribution.sum(1) - change) < 1e-13);
    QVERIFY(size(result.completenessError) < 0.05);
    QCOMPARE(result.details.at("baselines").get<int>(), 3);
    // In expectation: the mean of integrated gradients from each of the three, which here start at a constant only, so by quadrature.
    auto exact = at::zeros({2, 5}, at::kDouble);
    for (int b = 0; b < 3; ++b)
        for (int k = 0; k < 400; ++k) {
            const auto point = baselines[b] + (k + 0.5) / 400 * (x - baselines[b]);
            const auto slope = 1 - at::linear(point, model.weights.at("fc1.weight"), model.weights.at("fc1.bias")).tanh().square();
            exact += at::matmul(model.weights.at("out.weight")[2] * slope, model.weights.at("fc1.weight")) * (x - baselines[b]) / 1200;
        }
    QVERIFY(((result.attribution - exact).abs() <= 4.5 * result.standardError + 1e-5).all().item<bool>());
    // A float32 file serves as well.
    io::writeNpy(file, io::toArray(baselines.to(at::kFloat)));
    const auto single = attributionOf(model, "gradient_shap", {x}, {.parameters = {{"n_samples", 6000}, {"baselines", file}}, .target = 2});
    QVERIFY(largest(single.attribution, result.attribution) < 1e-5);
}

void NoiseTest::gradientShapGoesOnUntilItIsComplete()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = 2 * noise({2, 5}, 1);
    const auto once = [&](int samples) { return attributionOf(model, "gradient_shap", {x}, {.parameters = {{"n_samples", samples}}, .target = 2}); };
    const double wanted = size(once(2).completenessError) / 4;
    const auto result = attributionOf(model, "gradient_shap", {x}, {.parameters = {{"n_samples", 2}, {"tolerance", wanted}}, .target = 2});
    QVERIFY(result.details.at("converged").get<bool>());
    QVERIFY(size(result.completenessError) <= wanted);
    const int samples = result.details.at("samples").get<int>();
    QVERIFY(samples > 2);
    QVERIFY(largest(once(samples).attribution, result.attribution) < 1e-14);
    QVERIFY(size(once(samples / 2).completenessError) > wanted);
    const auto given =
        attributionOf(model, "gradient_shap", {x}, {.parameters = {{"n_samples", 2}, {"tolerance", 1e-12}, {"max_samples", 5}}, .target = 2});
    QVERIFY(!given.details.at("converged").get<bool>());
    QCOMPARE(given.details.at("samples").get<int>(), 5);
}

void NoiseTest::gradientShapIsTheSameInBatchesOfAnySize()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const auto of = [&](int rows) {
        return attributionOf(model, "gradient_shap", {x},
                             {.parameters = {{"n_samples", 9}, {"stdevs", 0.2}, {"internal_batch_size", rows}}, .target = 1})
            .attribution;
    };
    const auto whole = of(1000);
    for (const int rows : {1, 2, 7})
        QVERIFY(largest(of(rows), whole) < 1e-15);
}

void NoiseTest::badBaselinesAreRefused()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const QTemporaryDir folder;
    const auto file = folder.filePath("b.npy").toStdString();
    const auto said = [&](const Json& baselines) {
        return saidBy([&] { attributionOf(model, "gradient_shap", {x}, {.parameters = {{"baselines", baselines}}}); });
    };
    QCOMPARE(said(true), QString("gradient_shap.baselines: expected a number or the path of a .npy array, got true"));
    QVERIFY(said(file).contains("b.npy"));
    io::writeNpy(file, io::toArray(noise({3, 4}, 1)));
    QCOMPARE(said(file), QString("gradient_shap.baselines: expected [count, 5] in %1, got [3, 4]").arg(QString::fromStdString(file)));
    io::writeNpy(file, io::toArray(noise({0, 5}, 1)));
    QVERIFY(said(file).contains("got [0, 5]"));
    core::writeFileAtomically(file, "no array");
    QVERIFY(said(file).contains("b.npy"));
}

void NoiseTest::stopsWhenAsked_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<QString>("samples");
    QTest::newRow("tunnel") << "noise_tunnel"
                            << "nt_samples";
    QTest::newRow("gradient shap") << "gradient_shap"
                                   << "n_samples";
}

void NoiseTest::stopsWhenAsked()
{
    QFETCH(QString, method);
    QFETCH(QString, samples);
    const auto model = zooModel("mlp", kTanh, 8);
    std::stop_source source;
    int partials = 0;
    explain::Control control;
    control.stop = source.get_token();
    control.partial = [&](const at::Tensor&) {
        if (++partials == 3)
            source.request_stop();
    };
    const Json parameters = {{samples.toStdString(), 1000}, {"internal_batch_size", 2}};
    QVERIFY_THROWS_EXCEPTION(core::Cancelled,
                             attributionOf(model, method.toUtf8().constData(), {noise({2, 5}, 3)}, {.parameters = parameters}, control));
    QCOMPARE(partials, 3);
}

QTEST_APPLESS_MAIN(NoiseTest)
#include "noise_test.moc"
