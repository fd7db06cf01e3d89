// Linear probes: against Newton's method and closed forms; intervals against published ones; control tasks; probes on disk.
#include <ATen/ATen.h>

#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <map>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/intervene/control_task.h>
#include <core/intervene/lbfgs.h>
#include <core/intervene/linear_probe.h>

using namespace orrery;
using namespace orrery::intervene;
using core::Json;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    auto generator = at::detail::createCPUGenerator(seed);
    return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble));
}

at::Tensor randomLabels(std::int64_t rows, std::int64_t classes, std::uint64_t seed)
{
    auto generator = at::detail::createCPUGenerator(seed);
    return at::randint(classes, {rows}, generator, at::TensorOptions().dtype(at::kLong));
}

Json parameters(const Json& changes = Json::object())
{
    return probeSchema().resolve(changes, "probe");
}

/// Rows of one value.
Activations rows(const at::Tensor& features, const at::Tensor& labels, std::int64_t classes)
{
    Activations out;
    out.values = {"value"};
    out.features = {features.to(at::kFloat)};
    out.labels = labels;
    out.classes = classes;
    for (std::int64_t i = 0; i < features.size(0); ++i) {
        out.samples.push_back(i);
        out.positions.push_back(-1);
    }
    return out;
}

/// The same minimum by Newton's method with the Hessian written out. [class, feature + 1], the last column the bias.
at::Tensor byNewton(const at::Tensor& x, const at::Tensor& labels, std::int64_t classes, double l2)
{
    const auto n = x.size(0), f = x.size(1) + 1;
    const at::Tensor z = at::cat({(x - x.mean(0)) / x.var(0, false).sqrt(), at::ones({n, 1}, at::kDouble)}, 1);
    const at::Tensor hot = at::zeros({n, classes}, at::kDouble).scatter_(1, labels.unsqueeze(1), 1.0);
    at::Tensor penalty = at::full({f}, l2, at::kDouble);
    penalty[f - 1] = 0;
    at::Tensor w = at::zeros({classes, f}, at::kDouble);
    for (int round = 0; round < 50; ++round) {
        const at::Tensor share = at::matmul(z, w.t()).softmax(1);
        const at::Tensor gradient = at::matmul((share - hot).t(), z) / double(n) + w * penalty;
        at::Tensor hessian = at::zeros({classes * f, classes * f}, at::kDouble);
        for (std::int64_t a = 0; a < classes; ++a)
            for (std::int64_t b = 0; b < classes; ++b) {
                const at::Tensor weight = share.select(1, a) * ((a == b ? 1.0 : 0.0) - share.select(1, b)) / double(n);
                hessian.slice(0, a * f, (a + 1) * f).slice(1, b * f, (b + 1) * f).copy_(at::matmul((z * weight.unsqueeze(1)).t(), z));
            }
        // All biases alike move nothing: a trace of penalty there keeps the matrix regular and the sum of the biases at 0.
        hessian += at::diag(penalty.repeat({classes})) + 1e-12 * at::eye(classes * f, at::kDouble);
        w = w - at::linalg_solve(hessian, gradient.reshape({-1, 1})).view({classes, f});
    }
    return w;
}

QString said(const std::function<void()>& call)
{
    try {
        call();
    } catch (const core::Error& error) {
        return QString::fromStdString(error.what());
    }
    return {};
}

}  // namespace

class LinearProbeTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void lbfgsFindsKnownMinima();
    void logisticEqualsNewton_data();
    void logisticEqualsNewton();
    void aBinaryFeatureGivesTheLogOdds();
    void ridgeEqualsTheNormalEquations_data();
    void ridgeEqualsTheNormalEquations();
    void wilsonGivesPublishedIntervals_data();
    void wilsonGivesPublishedIntervals();
    void onlyTrainingRowsScale();
    void determinationIsOneMinusTheShareOfError();
    void controlLabelsBelongToTypes();
    void selectivityTellsMemorisingFromKnowing();
    void clustersStandInForWords();
    void kMeansFindsSeparateGroups();
    void probesSurviveAFile();
    void damagedFilesAreRefused();
    void aStopIsHeard();
    void badInputIsRefused();
};

void LinearProbeTest::lbfgsFindsKnownMinima()
{
    // Rosenbrock's valley: the minimum is (1, 1).
    const auto valley = [](const at::Tensor& p) {
        const double x = p[0].item<double>(), y = p[1].item<double>();
        const at::Tensor gradient = at::tensor({-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)}, at::kDouble);
        return std::pair((1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x), gradient);
    };
    const auto found = minimise(valley, at::tensor({-1.2, 1.0}, at::kDouble), {200, 1e-9, 10});
    QVERIFY(found.converged);
    QVERIFY((found.x - 1).abs().max().item<double>() < 1e-8);
    QVERIFY2(found.iterations < 60, qPrintable(QString::number(found.iterations)));
    const auto few = minimise(valley, at::tensor({-1.2, 1.0}, at::kDouble), {3, 1e-9, 10});
    QVERIFY(!few.converged && few.iterations == 3);
    // A quadratic of condition 1e4.
    const at::Tensor scales = at::logspace(0, 4, 30, 10.0, at::kDouble), target = noise({30}, 1);
    const auto bowl = [&](const at::Tensor& p) {
        return std::pair(((p - target).square() * scales).sum().item<double>() / 2, (p - target) * scales);
    };
    QVERIFY((minimise(bowl, at::zeros({30}, at::kDouble), {1000, 1e-8, 10}).x - target).abs().max().item<double>() < 1e-7);
}

void LinearProbeTest::logisticEqualsNewton_data()
{
    QTest::addColumn<int>("classes");
    QTest::addColumn<double>("l2");
    QTest::newRow("two classes") << 2 << 0.01;
    QTest::newRow("four classes") << 4 << 0.001;
    QTest::newRow("strong penalty") << 3 << 1.0;
}

void LinearProbeTest::logisticEqualsNewton()
{
    QFETCH(int, classes);
    QFETCH(double, l2);
    const at::Tensor x = noise({60, 4}, 1) * at::tensor({1.0, 10.0, 0.1, 3.0}, at::kDouble) + 7;
    const at::Tensor labels = (randomLabels(60, classes, 2) + (x.select(1, 0) > 7).to(at::kLong)).remainder(classes);
    const auto probe = fitLogistic(x, labels, classes, parameters({{"l2", l2}, {"tolerance", 1e-10}}));
    const at::Tensor expected = byNewton(x, labels, classes, l2);
    QVERIFY(probe.converged && probe.gradient <= 1e-10);
    QVERIFY((probe.weight - expected.slice(1, 0, 4)).abs().max().item<double>() < 1e-7);
    const at::Tensor bias = expected.select(1, 4) - expected.select(1, 4).mean();
    QVERIFY((probe.bias - bias).abs().max().item<double>() < 1e-7);
    const auto again = fitLogistic(x, labels, classes, parameters({{"l2", l2}, {"tolerance", 1e-10}}));
    QVERIFY(at::equal(again.weight, probe.weight));
}

void LinearProbeTest::aBinaryFeatureGivesTheLogOdds()
{
    // 10 rows with x = 0, 3 of them class 1; 20 with x = 1, 16 of them class 1: without penalty the shares are met exactly.
    at::Tensor x = at::zeros({30, 1}, at::kDouble), labels = at::zeros({30}, at::kLong);
    x.slice(0, 10).fill_(1);
    labels.slice(0, 0, 3).fill_(1);
    labels.slice(0, 10, 26).fill_(1);
    const auto probe = fitLogistic(x, labels, 2, parameters({{"l2", 1e-12}, {"tolerance", 1e-11}}));
    const at::Tensor odds = probe.apply(at::tensor({0.0, 1.0}, at::kDouble).unsqueeze(1));
    const at::Tensor difference = odds.select(1, 1) - odds.select(1, 0);
    QVERIFY(std::abs(difference[0].item<double>() - std::log(3.0 / 7)) < 1e-8);
    QVERIFY(std::abs(difference[1].item<double>() - std::log(16.0 / 4)) < 1e-8);
}

void LinearProbeTest::ridgeEqualsTheNormalEquations_data()
{
    QTest::addColumn<int>("features");
    QTest::newRow("fewer features than rows") << 5;
    QTest::newRow("more features than rows") << 60;
}

void LinearProbeTest::ridgeEqualsTheNormalEquations()
{
    QFETCH(int, features);
    const at::Tensor x = noise({40, features}, 1) * 3 + 2,
                     y = at::stack({x.select(1, 0) * 2 - 1, x.select(1, 1).square()}, 1) + 0.1 * noise({40, 2}, 2);
    const auto probe = fitRidge(x, y, parameters({{"l2", 0.05}}));
    const at::Tensor z = (x - x.mean(0)) / x.var(0, false).sqrt();
    const at::Tensor left = at::matmul(z.t(), z) / 40.0 + 0.05 * at::eye(features, at::kDouble);
    const at::Tensor expected = at::linalg_solve(left, at::matmul(z.t(), y - y.mean(0)) / 40.0);
    QVERIFY((probe.weight.t() - expected).abs().max().item<double>() < 1e-10);
    QVERIFY((probe.apply(x) - (at::matmul(z, expected) + y.mean(0))).abs().max().item<double>() < 1e-9);
}

void LinearProbeTest::wilsonGivesPublishedIntervals_data()
{
    // Newcombe (1998), "Two-sided confidence intervals for the single proportion: comparison of seven methods", table I, method 3.
    QTest::addColumn<double>("successes");
    QTest::addColumn<double>("trials");
    QTest::addColumn<double>("low");
    QTest::addColumn<double>("high");
    QTest::newRow("81 of 263") << 81.0 << 263.0 << 0.2553 << 0.3662;
    QTest::newRow("15 of 148") << 15.0 << 148.0 << 0.0624 << 0.1605;
    QTest::newRow("0 of 20") << 0.0 << 20.0 << 0.0 << 0.1611;
    QTest::newRow("1 of 29") << 1.0 << 29.0 << 0.0061 << 0.1718;
}

void LinearProbeTest::wilsonGivesPublishedIntervals()
{
    QFETCH(double, successes);
    QFETCH(double, trials);
    QFETCH(double, low);
    QFETCH(double, high);
    const auto interval = wilsonInterval(successes, trials);
    QVERIFY(std::abs(interval.low - low) < 5e-5 && std::abs(interval.high - high) < 5e-5);
    const auto other = wilsonInterval(trials - successes, trials);
    QVERIFY(std::abs(other.low - (1 - interval.high)) < 1e-12 && std::abs(other.high - (1 - interval.low)) < 1e-12);
}

void LinearProbeTest::onlyTrainingRowsScale()
{
    const at::Tensor x = noise({50, 3}, 1), labels = (x.select(1, 0) > 0).to(at::kLong);
    const auto train = rows(x, labels, 2);
    const auto near = probeValues(train, rows(noise({20, 3}, 2), labels.slice(0, 0, 20), 2), Json::object(), 0);
    const auto far = probeValues(train, rows(noise({20, 3}, 2) * 100 + 50, labels.slice(0, 0, 20), 2), Json::object(), 0);
    QVERIFY(at::equal(near[0].probe.weight, far[0].probe.weight));
    QVERIFY((near[0].probe.mean - x.to(at::kFloat).to(at::kDouble).mean(0)).abs().max().item<double>() < 1e-12);
    QVERIFY(near[0].train > 0.9);
    QCOMPARE(near[0].testRows, 20);
    // A constant feature is left as it is.
    at::Tensor constant = x.clone();
    constant.select(1, 1).fill_(0.3);
    QCOMPARE(probeValues(rows(constant, labels, 2), train, Json::object(), 0)[0].probe.scale[1].item<double>(), 1.0);
}

void LinearProbeTest::determinationIsOneMinusTheShareOfError()
{
    const at::Tensor x = noise({80, 3}, 1), y = (2 * x.select(1, 0) + 0.5 * noise({80}, 2)).unsqueeze(1);
    const auto train = rows(x.slice(0, 0, 60), y.slice(0, 0, 60), 0), test = rows(x.slice(0, 60), y.slice(0, 60), 0);
    const auto result = probeValues(train, test, Json::object(), 0).at(0);
    QCOMPARE(result.probe.kind, std::string("ridge"));
    const at::Tensor held = test.labels, error = (result.probe.apply(test.features[0]) - held).square().sum();
    const double expected = 1 - (error / (held - held.mean()).square().sum()).item<double>();
    QVERIFY(std::abs(result.test - expected) < 1e-12);
    QVERIFY(result.test > 0.8 && result.test < 1 && !result.interval);
    QVERIFY(result.toJson().contains("r2") && !result.toJson().contains("accuracy"));
}

void LinearProbeTest::controlLabelsBelongToTypes()
{
    auto train = rows(noise({400, 2}, 1), (randomLabels(400, 4, 2) * 2).remainder(3), 3), test = rows(noise({100, 2}, 3), randomLabels(100, 3, 4), 3);
    train.types = randomLabels(400, 60, 5);
    test.types = randomLabels(100, 90, 6);  // some are never seen in training
    const auto [a, b] = controlLabels(train, test, 0, 7);
    std::map<std::int64_t, std::int64_t> labelOf;
    std::map<std::int64_t, int> count;
    const auto look = [&](const at::Tensor& types, const at::Tensor& labels) {
        for (std::int64_t i = 0; i < types.size(0); ++i) {
            const auto label = labels[i].item<std::int64_t>();
            QCOMPARE(labelOf.try_emplace(types[i].item<std::int64_t>(), label).first->second, label);
        }
    };
    look(train.types, a);
    look(test.types, b);
    for (const auto& [type, label] : labelOf)
        ++count[label];
    QVERIFY(count.size() == 3 && count[1] > 5);
    const auto [again, same] = controlLabels(train, test, 0, 7);
    QVERIFY(at::equal(a, again) && at::equal(b, same));
    QVERIFY(!at::equal(a, controlLabels(train, test, 0, 8).first));
}

void LinearProbeTest::selectivityTellsMemorisingFromKnowing()
{
    // 40 types, each with one of two labels. A representation that names the type can memorise anything; one that holds the label alone cannot.
    const at::Tensor labelOfType = randomLabels(40, 2, 1), trainTypes = randomLabels(600, 40, 2), testTypes = randomLabels(300, 40, 3);
    const auto activations = [&](const at::Tensor& types, bool names, std::uint64_t seed) {
        const at::Tensor labels = labelOfType.index_select(0, types);
        const at::Tensor x =
            names ? at::eye(40, at::kDouble).index_select(0, types) : labels.to(at::kDouble).unsqueeze(1) + 0.05 * noise({types.size(0), 1}, seed);
        auto out = rows(x, labels, 2);
        out.types = types;
        return out;
    };
    const Json control{{"control", true}};
    const auto knows = probeValues(activations(trainTypes, false, 4), activations(testTypes, false, 5), control, 3).at(0);
    const auto memorises = probeValues(activations(trainTypes, true, 4), activations(testTypes, true, 5), control, 3).at(0);
    QVERIFY(knows.test > 0.99 && memorises.test > 0.99);
    QVERIFY2(*knows.selectivity() > 0.25, qPrintable(QString::number(*knows.selectivity())));
    QVERIFY2(std::abs(*memorises.selectivity()) < 0.02, qPrintable(QString::number(*memorises.selectivity())));
    QVERIFY(knows.controlInterval->low <= *knows.control && *knows.control <= knows.controlInterval->high);
    const Json json = knows.toJson();
    QCOMPARE(json.at("selectivity").get<double>(), json.at("accuracy").get<double>() - json.at("control_accuracy").get<double>());
}

void LinearProbeTest::clustersStandInForWords()
{
    // Six groups of inputs far from each other: a group is a type.
    const at::Tensor groups = randomLabels(200, 6, 1), held = randomLabels(60, 6, 2);
    const auto inputs = [](const at::Tensor& numbers, std::uint64_t seed) {
        return (numbers.to(at::kDouble).unsqueeze(1) * 10 + noise({numbers.size(0), 2}, seed) * 0.1).to(at::kFloat);
    };
    auto train = rows(noise({200, 2}, 3), groups.remainder(2), 2), test = rows(noise({60, 2}, 4), held.remainder(2), 2);
    train.inputs = inputs(groups, 5);
    test.inputs = inputs(held, 6);
    const auto [a, b] = controlLabels(train, test, 6, 7);
    std::map<std::int64_t, std::int64_t> labelOf;
    for (std::int64_t i = 0; i < 200; ++i)
        QCOMPARE(labelOf.try_emplace(groups[i].item<std::int64_t>(), a[i].item<std::int64_t>()).first->second, a[i].item<std::int64_t>());
    for (std::int64_t i = 0; i < 60; ++i)
        QCOMPARE(b[i].item<std::int64_t>(), labelOf.at(held[i].item<std::int64_t>()));
}

void LinearProbeTest::kMeansFindsSeparateGroups()
{
    const at::Tensor groups = randomLabels(120, 4, 1), x = (groups.unsqueeze(1) * 20 + noise({120, 3}, 2)).to(at::kFloat);
    const at::Tensor centres = kMeans(x, 4, 3), nearest = nearestCentre(x, centres);
    for (int i = 1; i < 120; ++i)
        for (int j = 0; j < i; ++j)
            QCOMPARE(nearest[i].equal(nearest[j]), groups[i].equal(groups[j]));
    QVERIFY(at::equal(centres, kMeans(x, 4, 3)));
    QCOMPARE(kMeans(at::ones({5, 2}), 3, 1).size(0), 1);  // all rows alike: one centre
}

void LinearProbeTest::probesSurviveAFile()
{
    QTemporaryDir folder;
    const std::filesystem::path file = folder.filePath("p.safetensors").toStdString();
    const at::Tensor x = noise({40, 3}, 1);
    auto first = fitLogistic(x, (x.select(1, 0) > 0).to(at::kLong), 2, parameters()), second = fitRidge(x, x.slice(1, 0, 2), parameters());
    first.value = "blocks.0.resid_post";
    first.pooling = "last";
    first.label = "target";
    first.classNames = {"no", "yes"};
    saveProbes(file, {first, second});
    const auto back = loadProbes(file);
    QCOMPARE(back.size(), std::size_t(2));
    QCOMPARE(back[0].value, first.value);
    QCOMPARE(back[0].classNames, first.classNames);
    QCOMPARE(back[0].pooling, std::string("last"));
    QVERIFY(at::equal(back[0].apply(x), first.apply(x)));
    QVERIFY(at::equal(back[1].apply(x), second.apply(x)));
    QCOMPARE(back[0].iterations, first.iterations);
}

void LinearProbeTest::damagedFilesAreRefused()
{
    QTemporaryDir folder;
    const std::filesystem::path file = folder.filePath("p.safetensors").toStdString();
    const at::Tensor x = noise({40, 3}, 1);
    saveProbes(file, {fitRidge(x, x.slice(1, 0, 1), parameters())});
    const std::string bytes = core::readFile(file);
    core::writeFileAtomically(file, bytes.substr(0, bytes.size() - 9));
    QVERIFY_EXCEPTION_THROWN(loadProbes(file), core::FormatError);
    std::string other = bytes;
    other.replace(other.find("0.weight"), 8, "0.heavy!");
    core::writeFileAtomically(file, other);
    QVERIFY(said([&] { loadProbes(file); }).contains("expected the tensor \"0.weight\" as F64 with 2 axes"));
    other = bytes;
    other.replace(other.find("orrery linear probes 1"), 22, "something else entirel");
    core::writeFileAtomically(file, other);
    QVERIFY(said([&] { loadProbes(file); }).contains("expected a file of linear probes"));
    QVERIFY_EXCEPTION_THROWN(loadProbes(file.string() + ".none"), core::StorageError);
}

void LinearProbeTest::aStopIsHeard()
{
    std::stop_source source;
    Control control;
    control.stop = source.get_token();
    auto train = rows(noise({200, 40}, 1), randomLabels(200, 10, 2), 10);
    train.values = {"a", "b", "c"};
    train.features = {train.features[0], train.features[0], train.features[0]};
    std::vector<std::string> ready;
    QVERIFY_EXCEPTION_THROWN(probeValues(train, train, Json::object(), 0, control,
                                         [&](const ProbeResult& result) {
                                             ready.push_back(result.probe.value);
                                             if (ready.size() == 2)
                                                 source.request_stop();
                                         }),
                             core::Cancelled);
    QCOMPARE(ready, (std::vector<std::string>{"a", "b"}));
}

void LinearProbeTest::badInputIsRefused()
{
    const at::Tensor x = noise({10, 2}, 1), labels = randomLabels(10, 3, 2);
    at::Tensor broken = x.clone();
    broken[3][1] = std::nan("");
    QVERIFY(said([&] {
                probeValues(rows(broken, labels, 3), rows(x, labels, 3), {}, 0);
            }).contains("value \"value\", training rows: 1 of 10 rows hold numbers that are not finite"));
    QVERIFY(said([&] { fitLogistic(x, labels, 1, parameters()); }).contains("at least two classes, got 1"));
    QVERIFY(said([&] { fitLogistic(x, labels + 1, 3, parameters()); }).contains("expected labels 0..2"));
    QVERIFY(said([&] { fitLogistic(x, labels.slice(0, 0, 9), 3, parameters()); }).contains("got [10, 2] and [9]"));
    QVERIFY(said([&] { fitLogistic(x.slice(0, 0, 0), labels.slice(0, 0, 0), 3, parameters()); }).contains("at least one row"));
    QVERIFY(said([&] {
                probeValues(rows(x, labels, 3), rows(noise({10, 3}, 2), labels, 3), {}, 0);
            }).contains("2 features in training rows and 3 in held-out"));
    QVERIFY(said([&] { probeValues(rows(x, {}, 0), rows(x, {}, 0), {}, 0); }).contains("no targets to probe for"));
    QVERIFY(said([&] {
                probeValues(rows(x, labels, 3), rows(x, labels, 3), {{"kind", "ridge"}}, 0);
            }).contains("ridge does not fit labels that are classes"));
    QVERIFY(said([&] { probeValues(rows(x, labels, 3), rows(x, labels, 3), {{"l2", 0}}, 0); }).contains("probe.l2: expected a number > 0"));
    QVERIFY(said([&] {
                probeValues(rows(x, labels, 3), rows(x, labels, 3), {{"control", true}}, 0);
            }).contains("control task: expected the model's inputs"));
    QVERIFY(said([&] { fitRidge(x, x, parameters()).apply(noise({4, 3}, 1)); }).contains("expected [row, 2], got [4, 3]"));
}

QTEST_GUILESS_MAIN(LinearProbeTest)
#include "linear_probe_test.moc"
