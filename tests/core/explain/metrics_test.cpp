// Metrics of attributions against closed forms on linear models, and against chance on a small trained network.
#include <ATen/ATen.h>

#include <cmath>

#include <core/base/error.h>
#include <core/explain/blur.h>
#include <core/explain/metrics/metric.h>
#include <core/explain/metrics/rank.h>
#include <core/graph/builder.h>
#include <core/zoo/zoo.h>

#include <QTest>

#include "../message_of.h"
#include "planted_patch.h"
#include "trained_digits.h"

using namespace orrery;
using core::Json;
using explain::AttributionRequest;
using explain::AttributionResult;
using explain::MetricResult;
using graph::Builder;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kDouble));
}

at::Tensor numbers(std::vector<double> values, std::vector<std::int64_t> shape)
{
    return at::tensor(values, at::kDouble).reshape(shape);
}

/// y = W x + b over four features.
struct Linear {
    at::Tensor weight = numbers({4, -1, 2, 0.5, 1, 1, -3, 2}, {2, 4}), bias = numbers({0.25, -1}, {2});
    graph::Model model;
    Linear()
    {
        Builder builder("linear");
        const auto x = builder.input("x", "float64", {"batch", "4"});
        model = builder.finish({{"y", builder.linear("fc", x, 4, 2)}});
        model.weights = graph::Weights({{"fc.weight", weight}, {"fc.bias", bias}});
    }
};

struct Question {
    const graph::Model& model;
    std::string method = "input_x_gradient";
    Json methodParameters = Json::object();
    std::optional<std::int64_t> target = 0;
    std::uint64_t seed = 3;
};

MetricResult measured(const Question& question, const at::Tensor& x, const std::string& metric, Json parameters = Json::object(),
                      const explain::Control& control = {}, const std::function<void(AttributionResult&)>& change = {})
{
    const graph::Executor executor(question.model.graph);
    AttributionRequest request;
    request.inputs = {x};
    request.parameters = question.methodParameters;
    request.target = question.target;
    request.seed = question.seed;
    auto result = explain::attribute(executor, question.model.weights, question.method, request);
    if (change)
        change(result);
    return explain::measure(executor, question.model.weights, question.method, request, result, {{metric, std::move(parameters)}}, control)
        .at(0)
        .result;
}

double only(const MetricResult& result)
{
    return result.value.item<double>();
}

void setRandom(AttributionResult& result, std::uint64_t seed)
{
    result.attribution = at::rand(result.attribution.sizes(), at::detail::createCPUGenerator(seed), result.attribution.options());
}

}  // namespace

class MetricsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void infidelityOfExactSharesOfALinearModelIsZero();
    void infidelityIsTheMeanSquaredMiss();
    void normalisingFindsTheBestScale();
    void sensitivityOfAConstantGradientIsZero();
    void sensitivityOfSharesStaysWithinItsBound();
    void deletionOfALinearModelIsASumOfItsShares();
    void insertionRunsTheOtherWay();
    void randomRankingsMeetHalfWay();
    void probabilityIsTheSoftmaxOfAllClasses();
    void rankingByTheAttributionBeatsChance();
    void onTrainedDigitsAttributionsBeatChance();
    void blurKeepsWhatIsConstantAndIsAGaussian();
    void pointingFindsBoxesAndMasks();
    void pointingAtThePlantedPatchBeatsTheCentre();
    void ranksShareTies();
    void rankCorrelationAgreesWithItsFormula();
    void attributionsWithoutWeightsSurviveRandomisation();
    void saliencyDoesNotSurviveRandomisation();
    void everySampleIsMeasuredByItself();
    void badRequestsSayWhatWasExpected();
    void stopsWhenAsked();
    void resultsBecomeDocuments();
};

void MetricsTest::infidelityOfExactSharesOfALinearModelIsZero()
{
    const Linear linear;
    const auto x = noise({3, 4}, 1);
    for (const char* perturbation : {"noisy_baseline", "gaussian"}) {
        for (const double baseline : {0.0, 0.5}) {
            const Json parameters = {{"perturbation", perturbation}, {"baseline", baseline}};
            // Shares are slope times (x - baseline): input x gradient has baseline 0.
            if (baseline == 0)
                QVERIFY(measured({linear.model}, x, "infidelity", parameters).value.abs().max().item<double>() < 1e-24);
            QVERIFY(measured({linear.model, "saliency", {{"abs", false}}}, x, "infidelity", parameters).value.abs().max().item<double>() < 1e-24);
        }
    }
}

// All attributions zero: what is missed is F(x) - F(x - I), whose mean square is known for a Gaussian I: sigma^2 |w|^2.
void MetricsTest::infidelityIsTheMeanSquaredMiss()
{
    const Linear linear;
    const auto zero = [](AttributionResult& result) { result.attribution.zero_(); };
    const auto result = measured({linear.model}, noise({1, 4}, 1), "infidelity",
                                 {{"perturbation", "gaussian"}, {"sigma", 0.5}, {"n_perturb_samples", 4000}}, {}, zero);
    const double expected = 0.25 * linear.weight[0].square().sum().item<double>();
    const double error = result.details.at("standard_error").get<double>();
    QVERIFY2(std::abs(only(result) - expected) < 4 * error && error < 0.05 * expected, qPrintable(QString("%1 %2").arg(only(result)).arg(expected)));
}

void MetricsTest::normalisingFindsTheBestScale()
{
    const Linear linear;
    const auto threefold = [](AttributionResult& result) { result.attribution = 3 * result.attribution; };
    const auto x = noise({2, 4}, 1);
    QVERIFY(measured({linear.model}, x, "infidelity", Json::object(), {}, threefold).value.min().item<double>() > 0.01);
    QVERIFY(measured({linear.model}, x, "infidelity", {{"normalize", true}}, {}, threefold).value.max().item<double>() < 1e-20);
}

void MetricsTest::sensitivityOfAConstantGradientIsZero()
{
    const Linear linear;
    QCOMPARE(measured({linear.model, "saliency"}, noise({2, 4}, 1), "sensitivity_max").value.max().item<double>(), 0.0);
}

// Of input x gradient on a linear model: |w * noise| / |w * x|, at most radius |w| / |w * x|, and near it with many draws.
void MetricsTest::sensitivityOfSharesStaysWithinItsBound()
{
    const Linear linear;
    const auto x = numbers({1, 2, -1, 3}, {1, 4});
    const double bound = 0.1 * (linear.weight[0].norm() / (linear.weight[0] * x[0]).norm()).item<double>();
    const auto result = measured({linear.model}, x, "sensitivity_max", {{"perturb_radius", 0.1}, {"n_perturb_samples", 500}});
    QVERIFY(only(result) <= bound);
    QVERIFY(only(result) > 0.8 * bound);
    QVERIFY(result.details.at("mean").get<double>() < only(result));
}

// x = 1: shares 4, -1, 2, 0.5 and bias 0.25. Deleting in the order 4, 2, 0.5, -1 leaves 5.75, 1.75, -0.25, -0.75, 0.25.
void MetricsTest::deletionOfALinearModelIsASumOfItsShares()
{
    const Linear linear;
    const auto result = measured({linear.model}, at::ones({1, 4}, at::kDouble), "deletion", {{"score", "output"}});
    QVERIFY(at::allclose(result.curveY, numbers({5.75, 1.75, -0.25, -0.75, 0.25}, {1, 5}), 0, 1e-12));
    QVERIFY(at::allclose(result.curveX, numbers({0, 0.25, 0.5, 0.75, 1}, {5}), 0, 0));
    QVERIFY(std::abs(only(result) - (5.75 / 2 + 1.75 - 0.25 - 0.75 + 0.25 / 2) / 4) < 1e-12);
    // In two steps: two units at a time.
    const auto coarse = measured({linear.model}, at::ones({1, 4}, at::kDouble), "deletion", {{"score", "output"}, {"steps", 2}});
    QVERIFY(at::allclose(coarse.curveY, numbers({5.75, -0.25, 0.25}, {1, 3}), 0, 1e-12));
}

void MetricsTest::insertionRunsTheOtherWay()
{
    const Linear linear;
    const auto result = measured({linear.model}, at::ones({1, 4}, at::kDouble), "insertion", {{"score", "output"}, {"baseline", 2}});
    // From x = 2 (output 11.25) each unit goes back to 1: minus its weight.
    QVERIFY(at::allclose(result.curveY, numbers({11.25, 7.25, 5.25, 4.75, 5.75}, {1, 5}), 0, 1e-12));
}

// On a linear model each order of units is as likely as its reverse, and the two areas add up to F(x) + F(0): the mean is their middle.
void MetricsTest::randomRankingsMeetHalfWay()
{
    const Linear linear;
    const auto x = noise({2, 4}, 9);
    const auto result = measured({linear.model}, x, "deletion", {{"score", "output"}, {"random_rankings", 1000}});
    const auto middle = 0.5 * (at::linear(x, linear.weight, linear.bias).select(1, 0) + linear.bias[0]);
    // The spread of one ranking's area: shares times positions, whose standard deviation is below a third.
    const auto bound = 4 * 0.33 * (linear.weight[0] * x).norm(2, {1}) / std::sqrt(1000.0);
    QVERIFY((result.referenceValue - middle).abs().lt(bound).all().item<bool>());
    QVERIFY(at::allclose(result.referenceY.select(1, 0), result.curveY.select(1, 0), 0, 1e-12));
    QVERIFY(at::allclose(result.referenceY.select(1, 4), linear.bias[0].expand({2}), 0, 1e-12));
    QVERIFY(result.value.lt(result.referenceValue).all().item<bool>());
    // Equal shares: every ranking gives the same curve.
    auto equal = linear.model;
    equal.weights.set("fc.weight", at::ones({2, 4}, at::kDouble));
    const auto same = measured({equal}, at::ones({1, 4}, at::kDouble), "insertion", {{"score", "output"}});
    QVERIFY(at::allclose(same.referenceY, same.curveY, 0, 1e-12));
    QVERIFY(!measured({linear.model}, x, "deletion", {{"random_rankings", 0}}).referenceY.defined());
    const auto document = explain::toJson(explain::ofSample({"deletion", Json::object(), result, 0}, 1));
    QCOMPARE(document.at("reference").at("name").get<std::string>(), std::string("random ranking"));
    QCOMPARE(document.at("reference").at("value").get<double>(), result.referenceValue[1].item<double>());
    QCOMPARE(document.at("curve").at("y").size(), std::size_t(5));
}

void MetricsTest::probabilityIsTheSoftmaxOfAllClasses()
{
    const Linear linear;
    const auto x = noise({2, 4}, 9);
    const auto result = measured({linear.model}, x, "deletion");
    const auto whole = at::linear(x, linear.weight, linear.bias).softmax(1).select(1, 0);
    QVERIFY(at::allclose(result.curveY.select(1, 0), whole, 0, 1e-12));
    QVERIFY(at::allclose(result.curveY.select(1, 4), linear.bias.softmax(0)[0].expand({2}), 0, 1e-12));
}

void MetricsTest::rankingByTheAttributionBeatsChance()
{
    const test::PlantedPatch patch;
    double deleted = 0, deletedByChance = 0, inserted = 0, insertedByChance = 0;
    for (std::uint64_t i = 0; i < 5; ++i) {
        const auto random = [i](AttributionResult& result) { setRandom(result, 100 + i); };
        const auto x = patch.image(test::PlantedPatch::placeOf(i), i);
        const Question question{patch.model, "input_x_gradient", Json::object(), 0};
        const Json output = {{"score", "output"}};
        deleted += only(measured(question, x, "deletion", output));
        deletedByChance += only(measured(question, x, "deletion", output, {}, random));
        inserted += only(measured(question, x, "insertion", output));
        insertedByChance += only(measured(question, x, "insertion", output, {}, random));
    }
    QVERIFY2(deleted < 0.7 * deletedByChance, qPrintable(QString("%1 %2").arg(deleted).arg(deletedByChance)));
    QVERIFY2(inserted > 1.2 * insertedByChance, qPrintable(QString("%1 %2").arg(inserted).arg(insertedByChance)));
}

void MetricsTest::onTrainedDigitsAttributionsBeatChance()
{
    const test::TrainedDigits digits;
    QVERIFY2(digits.accuracy > 0.9, qPrintable(QString::number(digits.accuracy)));
    const auto rows = digits.images.narrow(0, 0, 16);
    const Json parameters = {{"baseline", rows.min().item<double>()}};
    const auto mean = [&](const char* metric, const std::function<void(AttributionResult&)>& change) {
        return measured({digits.model, "lrp", {{"rule", "composite"}}, {}}, rows, metric, parameters, {}, change).value.mean().item<double>();
    };
    const auto random = [](AttributionResult& result) { setRandom(result, 5); };
    QVERIFY2(mean("deletion", {}) < mean("deletion", random), qPrintable(QString("%1 %2").arg(mean("deletion", {})).arg(mean("deletion", random))));
    QVERIFY2(mean("insertion", {}) > mean("insertion", random),
             qPrintable(QString("%1 %2").arg(mean("insertion", {})).arg(mean("insertion", random))));
}

void MetricsTest::blurKeepsWhatIsConstantAndIsAGaussian()
{
    const auto flat = at::full({1, 3, 5, 7}, 2.5, at::kDouble);
    QVERIFY(at::allclose(explain::gaussianBlur(flat, 2), flat, 0, 1e-12));
    QVERIFY(at::equal(explain::gaussianBlur(flat, 0), flat));
    auto point = at::zeros({1, 1, 41, 41}, at::kDouble);
    point[0][0][20][20] = 1;
    const auto spot = explain::gaussianBlur(point, 2)[0][0];
    QVERIFY(std::abs(spot.sum().item<double>() - 1) < 1e-12);
    QVERIFY(std::abs((spot[20][23] / spot[20][20]).item<double>() - std::exp(-9.0 / 8)) < 1e-12);
    QVERIFY(std::abs((spot[17][23] / spot[20][20]).item<double>() - std::exp(-18.0 / 8)) < 1e-12);
}

void MetricsTest::pointingFindsBoxesAndMasks()
{
    const Linear linear;  // the largest share of x = 1 is the first
    const auto x = at::ones({1, 4}, at::kDouble);
    QCOMPARE(only(measured({linear.model}, x, "pointing_game", {{"box", {0, 0, 1, 1}}})), 1.0);
    QCOMPARE(only(measured({linear.model}, x, "pointing_game", {{"box", {1, 0, 4, 1}}})), 0.0);
    QCOMPARE(only(measured({linear.model}, x, "pointing_game", {{"box", {1, 0, 4, 1}}, {"tolerance", 1}})), 1.0);
    QCOMPARE(only(measured({linear.model}, x, "pointing_game", {{"mask", {1, 0, 0, 1}}})), 1.0);
    QCOMPARE(only(measured({linear.model}, x, "pointing_game", {{"mask", {0, 0, 0, 1}}})), 0.0);
}

void MetricsTest::pointingAtThePlantedPatchBeatsTheCentre()
{
    const test::PlantedPatch patch;
    int hits = 0, centre = 0;
    for (std::uint64_t i = 0; i < 8; ++i) {
        const auto place = test::PlantedPatch::placeOf(i);
        const Json box = {place.second, place.first, place.second + 3, place.first + 3};
        const auto x = patch.image(place, i);
        hits += only(measured({patch.model}, x, "pointing_game", {{"box", box}})) == 1;
        centre += only(measured({patch.model}, x, "pointing_game", {{"box", box}}, {}, [](AttributionResult& result) {
                      result.attribution.zero_();
                      result.attribution[0][0][6][6] = 1;
                  })) == 1;
    }
    QVERIFY2(hits == 8, qPrintable(QString::number(hits)));
    QVERIFY(centre <= 1);
}

void MetricsTest::ranksShareTies()
{
    QVERIFY(at::equal(explain::ranks(numbers({3, 1, 3, 2, 3}, {5})), numbers({4, 1, 4, 2, 4}, {5})));
    QVERIFY(at::equal(explain::ranks(at::ones({4})), at::full({4}, 2.5, at::kDouble)));
}

void MetricsTest::rankCorrelationAgreesWithItsFormula()
{
    // Without ties: 1 - 6 sum d^2 / (n (n^2 - 1)).
    const auto a = numbers({1, 2, 3, 4, 5}, {5}), b = numbers({20, 10, 50, 30, 40}, {5});
    QVERIFY(std::abs(explain::rankCorrelation(a, b) - (1 - 6.0 * (1 + 1 + 4 + 1 + 1) / (5 * 24))) < 1e-12);
    QCOMPARE(explain::rankCorrelation(a, 3 * a.pow(3)), 1.0);
    QVERIFY(std::abs(explain::rankCorrelation(a, -a) + 1) < 1e-12);
    QCOMPARE(explain::rankCorrelation(a, at::ones({5})), 0.0);
    QCOMPARE(explain::rankCorrelation(at::ones({5}), at::zeros({5})), 1.0);
}

void MetricsTest::attributionsWithoutWeightsSurviveRandomisation()
{
    const auto model = zoo::buildModel("lenet", {{"image_size", 16}, {"kernel", 3}}, 1);
    const graph::Executor executor(model.graph);
    AttributionRequest request;
    request.inputs = {noise({1, 1, 16, 16}, 2).to(at::kFloat)};
    request.target = 1;
    const explain::Control control;
    const explain::ScalarFunction function(executor, model.weights, request, control);
    const auto edges = [](const explain::ScalarFunction& other) {
        AttributionResult result;
        result.site = other.site();
        result.attribution = other.value().diff(1, 3).abs();
        return result;
    };
    const auto attribution = edges(function);
    const explain::MetricSubject subject{edges, "edges", Json::object(), attribution, function, control};
    const auto& registry = explain::attributionMetricRegistry();
    const auto parameters = registry.at("parameter_randomisation").schema.resolve(Json::object());
    const auto result = registry.factory("parameter_randomisation")(subject, parameters, 5);
    QCOMPARE(result.value.item<double>(), 1.0);
    QVERIFY(result.details.at("layers") == Json({"fc3", "fc2", "fc1", "conv2", "conv1"}));
}

void MetricsTest::saliencyDoesNotSurviveRandomisation()
{
    const auto model = zoo::buildModel("mlp", {{"features", 200}, {"hidden", {64}}, {"classes", 5}}, 1);
    const auto x = noise({2, 200}, 2).to(at::kFloat);
    const auto result = measured({model, "saliency", Json::object(), {}}, x, "parameter_randomisation");
    QCOMPARE(result.curveY.sizes().vec(), (std::vector<std::int64_t>{2, 2}));
    // Of 200 unrelated numbers the rank correlation has a standard deviation of 0.07.
    QVERIFY2(result.value.abs().max().item<double>() < 0.25, qPrintable(QString::number(result.value.abs().max().item<double>())));
    // The last layer alone leaves the first layer's weights, which all gradients share.
    const auto alone = measured({model, "saliency", Json::object(), {}}, x, "parameter_randomisation", {{"mode", "independent"}});
    QVERIFY(at::allclose(alone.curveY.select(1, 0), result.curveY.select(1, 0)));
    QVERIFY(at::allclose(alone.value, alone.curveY.mean(1)));
}

void MetricsTest::everySampleIsMeasuredByItself()
{
    const Linear linear;
    const auto x = noise({3, 4}, 1);
    for (const char* metric : {"deletion", "insertion"}) {
        const auto all = measured({linear.model}, x, metric);
        for (int i = 0; i < 3; ++i)
            QVERIFY(std::abs(only(measured({linear.model}, x.narrow(0, i, 1), metric)) - all.value[i].item<double>()) < 1e-12);
    }
}

void MetricsTest::badRequestsSayWhatWasExpected()
{
    const Linear linear;
    const auto x = at::ones({1, 4}, at::kDouble);
    const auto message = [&](const char* metric, Json parameters) {
        return saidBy([&] { measured({linear.model}, x, metric, std::move(parameters)); });
    };
    QVERIFY(message("infidelty", Json::object()).contains("did you mean \"infidelity\"?"));
    QVERIFY(message("infidelity", {{"n_perturb_samples", 0}}).contains("infidelity.n_perturb_samples: expected an integer in 1.."));
    QVERIFY(message("deletion", {{"substrate", "blur"}}).contains("expected an image [batch, channel, height, width], got [1, 4]"));
    QVERIFY(message("pointing_game", Json::object()).contains("expected one of box and mask"));
    QVERIFY(message("pointing_game", {{"box", {0, 0, 5, 1}}}).contains("left < right <= 4"));
    QVERIFY(message("pointing_game", {{"mask", {0, 1}}}).contains("1 list of 4 numbers"));
    QVERIFY(message("pointing_game", {{"mask", {0, 0, 0, 0}}}).contains("at least one element that is not 0"));
    const auto wrongShape = [](AttributionResult& result) { result.attribution = at::zeros({1, 3}); };
    QVERIFY(saidBy([&] { measured({linear.model}, x, "deletion", Json::object(), {}, wrongShape); }).contains("[1, 4], got [1, 3]"));
}

void MetricsTest::stopsWhenAsked()
{
    const Linear linear;
    for (const char* metric : {"infidelity", "sensitivity_max", "deletion", "insertion", "parameter_randomisation"}) {
        std::stop_source source;
        explain::Control control;
        control.stop = source.get_token();
        control.progress = [&](double, double, const char*) { source.request_stop(); };
        bool cancelled = false;
        try {
            measured({linear.model}, at::ones({1, 4}, at::kDouble), metric, Json::object(), control);
        } catch (const core::Cancelled&) {
            cancelled = true;
        }
        QVERIFY2(cancelled, metric);
    }
}

void MetricsTest::resultsBecomeDocuments()
{
    explain::MeasuredMetric metric{"deletion", {{"steps", 1}}, {}, 0.5};
    metric.result.value = at::ones({1}, at::kDouble);
    metric.result.curveX = numbers({0, 1}, {2});
    metric.result.curveY = numbers({2, 0}, {1, 2});
    metric.result.details = {{"units", 4}};
    auto document = explain::toJson(metric);
    QVERIFY(document.at("value") == Json(1.0));
    QVERIFY(document.at("curve").at("y") == Json({2.0, 0.0}));
    metric.result.value = at::ones({2}, at::kDouble);
    metric.result.curveY = numbers({2, 0, 3, 1}, {2, 2});
    document = explain::toJson(metric);
    QVERIFY(document.at("value") == Json({1.0, 1.0}));
    QVERIFY((document.at("curve").at("y") == Json::array({Json({2.0, 0.0}), Json({3.0, 1.0})})));
}

QTEST_GUILESS_MAIN(MetricsTest)
#include "metrics_test.moc"
