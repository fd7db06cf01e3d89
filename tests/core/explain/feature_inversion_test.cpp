// Feature inversion: an invertible layer gives its input back, and kept channels of a trained network are found again.
#include <core/catalogue.h>

#include <QTest>

#include <core/explain/metrics/metric.h>

#include "../message_of.h"
#include "explain_bench.h"
#include "trained_digits.h"

using namespace orrery;
using namespace orrery::test;
using core::Json;

namespace {

const Json kTanh = {{"features", 5}, {"hidden", {8}}, {"classes", 3}, {"activation", "tanh"}};

double roughness(const at::Tensor& x)
{
    return (x.diff(1, 2).square().mean() + x.diff(1, 3).square().mean()).item<double>();
}

}  // namespace

class FeatureInversionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void anInvertibleLayerGivesItsInputBack();
    void keptChannelsOfATrainedNetworkAreFoundAgain();
    void channelsThatAreNotKeptAreFree();
    void aShareOfTheChannelsIsChosenByTheMask();
    void thePriorMakesSmootherPictures();
    void theSeedDecidesTheStart();
    void inputsArriveWhileTheyGrowAndStop();
    void badRequestsSayWhatWasExpected();
};

// Eight sums of five features have one solution: the input itself.
void FeatureInversionTest::anInvertibleLayerGivesItsInputBack()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({2, 5}, 1);
    const auto result = attributionOf(model, "feature_inversion", {x}, {.parameters = {{"max_iter", 2000}}, .site = "fc1"});
    QCOMPARE(result.site, std::string("table"));
    QCOMPARE(result.attribution.sizes().vec(), x.sizes().vec());
    QVERIFY2(largest(result.attribution, x) < 1e-3, qPrintable(QString::number(largest(result.attribution, x))));
    for (int i = 0; i < 2; ++i)
        QVERIFY(result.details.at("feature_error")[std::size_t(i)].get<double>() < 1e-6);
}

// The input found from one digit's features has features that are nearer to that digit's than any other test picture's are.
void FeatureInversionTest::keptChannelsOfATrainedNetworkAreFoundAgain()
{
    const TrainedDigits digits;
    const graph::Executor executor(digits.model.graph);
    const auto x = digits.images.narrow(0, 3, 1);
    const auto found = attributionOf(digits.model, "feature_inversion", {x}, {.site = "conv2"});
    const auto featuresOf = [&](const at::Tensor& pictures) {
        graph::RunRequest request;
        request.inputs = {pictures};
        request.keep = {"conv2.conv2d"};
        return executor.run(digits.model.weights, request).value("conv2.conv2d");
    };
    const auto wanted = featuresOf(x);
    const auto distance = [&](const at::Tensor& pictures) {
        return (featuresOf(pictures) - wanted).square().flatten(1).sum(1) / wanted.square().sum();
    };
    const double error = found.details.at("feature_error")[0].get<double>();
    QVERIFY(std::abs(distance(found.attribution).item<double>() - error) < 1e-5);
    QVERIFY2(error < 0.05 && error < found.details.at("start_error")[0].get<double>() / 10, qPrintable(QString::number(error)));
    const auto others = at::cat({digits.images.narrow(0, 0, 3), digits.images.narrow(0, 4, 200)});
    QVERIFY(error < distance(others).min().item<double>());
    // The picture comes back, too, as far as pooling lets it: pixel by pixel it is nearer than most other digits.
    const double away = (found.attribution - x).square().mean().item<double>();
    QVERIFY((others - x).square().mean({1, 2, 3}).lt(away).to(at::kDouble).mean().item<double>() < 0.25);
}

void FeatureInversionTest::channelsThatAreNotKeptAreFree()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({1, 5}, 1);
    const auto result = attributionOf(model, "feature_inversion", {x}, {.parameters = {{"channels", {1, 6}}, {"max_iter", 2000}}, .site = "fc1"});
    const auto features = [&](const at::Tensor& at) { return at::linear(at, model.weights.at("fc1.weight"), model.weights.at("fc1.bias")); };
    const auto off = (features(result.attribution) - features(x)).abs()[0];
    QVERIFY(off[1].item<double>() < 1e-3 && off[6].item<double>() < 1e-3);
    QVERIFY(size(off) > 0.05);  // two sums leave three directions open
    QVERIFY(result.details.at("kept")[0] == Json(std::vector<double>{0, 1, 0, 0, 0, 0, 1, 0}));
}

void FeatureInversionTest::aShareOfTheChannelsIsChosenByTheMask()
{
    const TrainedDigits digits;
    const auto x = digits.images.narrow(0, 3, 1);
    const auto mask =
        attributionOf(digits.model, "extremal_perturbation", {x}, {.parameters = {{"areas", {0.25}}, {"mask", "channels"}}, .site = "conv2"});
    const auto result = attributionOf(digits.model, "feature_inversion", {x}, {.parameters = {{"area", 0.25}, {"max_iter", 100}}, .site = "conv2"});
    const auto kept = result.details.at("kept")[0].get<std::vector<double>>();
    QCOMPARE(kept.size(), std::size_t(16));
    QVERIFY(largest(at::tensor(kept, at::kDouble), mask.attribution[0].select(2, 0).select(1, 0)) < 1e-6);
}

void FeatureInversionTest::thePriorMakesSmootherPictures()
{
    const TrainedDigits digits;
    const auto x = digits.images.narrow(0, 3, 1);
    const auto of = [&](double weight) {
        return attributionOf(digits.model, "feature_inversion", {x}, {.parameters = {{"tv_weight", weight}}, .site = "conv2"}).attribution;
    };
    QVERIFY(roughness(of(1)) < 0.5 * roughness(of(0)));
}

void FeatureInversionTest::theSeedDecidesTheStart()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto of = [&](std::uint64_t seed) {
        return attributionOf(model, "feature_inversion", {noise({1, 5}, 1)},
                             {.parameters = {{"channels", {2}}, {"max_iter", 20}}, .site = "fc1", .seed = seed})
            .attribution;
    };
    QCOMPARE(largest(of(4), of(4)), 0.0);
    QVERIFY(largest(of(4), of(5)) > 1e-3);
}

void FeatureInversionTest::inputsArriveWhileTheyGrowAndStop()
{
    const auto model = zooModel("mlp", kTanh, 8);
    std::stop_source source;
    int partials = 0;
    explain::Control control;
    control.stop = source.get_token();
    control.partial = [&](const at::Tensor& x) {
        QCOMPARE(x.sizes().vec(), (std::vector<std::int64_t>{1, 5}));
        if (++partials == 3)
            source.request_stop();
    };
    QVERIFY_THROWS_EXCEPTION(core::Cancelled, attributionOf(model, "feature_inversion", {noise({1, 5}, 3)}, {.site = "fc1"}, control));
    QCOMPARE(partials, 3);
}

void FeatureInversionTest::badRequestsSayWhatWasExpected()
{
    const auto model = zooModel("mlp", kTanh, 8);
    const auto x = noise({1, 5}, 1);
    const auto said = [&](const at::Tensor& input, const Json& parameters, const char* site) {
        return saidBy([&] { attributionOf(model, "feature_inversion", {input}, {.parameters = parameters, .site = site}); });
    };
    QVERIFY(said(x, Json::object(), "").contains("choose an inner value"));
    QCOMPARE(said(x, {{"channels", {8}}}, "fc1"), QString("feature_inversion.channels: expected 0..7 (\"fc1.linear\" is [1, 8]), got 8"));
    QCOMPARE(said(x, {{"channels", {1}}, {"area", 0.5}}, "fc1"), QString("feature_inversion: expected channels or area, got both"));
    QVERIFY(said(x * std::nan(""), Json::object(), "fc1").contains("NaN"));
    QVERIFY(said(x, {{"channels", {-1}}}, "fc1").contains("channels"));
    QVERIFY(said(x, {{"max_iter", 0}}, "fc1").contains("max_iter"));
    // What was found is no attribution, and says so where somebody wants to measure it.
    explain::AttributionRequest request;
    request.inputs = {x};
    request.site = "fc1";
    request.parameters = {{"max_iter", 1}};
    const graph::Executor executor(model.graph);
    const auto found = explain::attribute(executor, model.weights, "feature_inversion", request);
    QVERIFY(saidBy([&] {
                explain::measure(executor, model.weights, "feature_inversion", request, found, {{"deletion"}});
            }).contains("metrics of attributions do not fit it"));
}

QTEST_APPLESS_MAIN(FeatureInversionTest)
#include "feature_inversion_test.moc"
