// Differences of weights against values by hand and against libtorch in double.
#include <QTest>
#include <cmath>

#include <core/compare/checkpoint_sequence.h>
#include <core/compare/weight_difference.h>

#include "../graph/sample_graphs.h"

using namespace orrery;
using namespace orrery::compare;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool near(double a, double b, double tolerance = 1e-12)
{
    return std::abs(a - b) <= tolerance * std::max({1.0, std::abs(a), std::abs(b)});
}

}  // namespace

class WeightDifferenceTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void valuesByHand();
    void equalsLibtorchInDouble_data();
    void equalsLibtorchInDouble();
    void toleranceDecidesWhatDiffers();
    void oddValues_data();
    void oddValues();
    void tensorsWithoutPartnersAreNamed();
    void partnersMayHaveOtherNames();
    void jsonWritesInfinityAsText();
    void sequencesEqualDirectNorms();
    void sequencesLeaveOutWhatChangesItsShape();
    void refusesOtherShapesAndNoSteps();
    void stopsWhenAsked();
};

void WeightDifferenceTest::valuesByHand()
{
    const auto d = compareTensors(at::tensor({3.0, 4.0, 0.0}), at::tensor({3.0, 2.0, 1.0}), {0, 3});
    QCOMPARE(d.count, std::int64_t(3));
    QCOMPARE(d.differing, std::int64_t(2));
    QCOMPARE(d.largest, 2.0);
    QCOMPARE(d.mean, 1.0);
    QVERIFY(near(d.relative, std::sqrt(5.0) / 5));
    QVERIFY(near(d.cosine, 17 / (5 * std::sqrt(14.0))));
    QCOMPARE(d.low, -1.0);
    QCOMPARE(d.high, 2.0);
    QCOMPARE(d.histogram, (std::vector<std::int64_t>{1, 1, 1}));
    QCOMPARE(d.change, Change::Changed);
}

void WeightDifferenceTest::equalsLibtorchInDouble_data()
{
    QTest::addColumn<int>("dtype");
    QTest::addColumn<qint64>("elements");
    QTest::newRow("float32") << int(at::kFloat) << qint64(5000);
    QTest::newRow("float16") << int(at::kHalf) << qint64(700);
    QTest::newRow("bfloat16") << int(at::kBFloat16) << qint64(700);
    QTest::newRow("float64") << int(at::kDouble) << qint64(5000);
    QTest::newRow("int64") << int(at::kLong) << qint64(300);
    QTest::newRow("more than one piece") << int(at::kFloat) << qint64((1 << 20) + 77);
}

void WeightDifferenceTest::equalsLibtorchInDouble()
{
    QFETCH(int, dtype);
    QFETCH(qint64, elements);
    auto generator = at::detail::createCPUGenerator(7);
    const auto a = (at::randn({elements}, generator, at::kDouble) * 10).to(at::ScalarType(dtype)),
               b = (at::randn({elements}, generator, at::kDouble) * 10).to(at::ScalarType(dtype));
    const auto found = compareTensors(a, b);
    const auto x = a.to(at::kDouble), y = b.to(at::kDouble), d = x - y;
    QCOMPARE(found.largest, d.abs().max().item<double>());
    QVERIFY(near(found.mean, d.abs().mean().item<double>()));
    QVERIFY(near(found.relative, (d.norm() / x.norm()).item<double>(), 1e-10));
    QVERIFY(near(found.cosine, (at::dot(x, y) / x.norm() / y.norm()).item<double>(), 1e-10));
    QCOMPARE(found.differing, (d != 0).sum().item<std::int64_t>());
    const auto bins = at::histc(d, 64, d.min().item<double>(), d.max().item<double>());
    std::int64_t total = 0;
    for (std::size_t i = 0; i < found.histogram.size(); ++i) {
        total += found.histogram[i];
        QVERIFY(std::abs(double(found.histogram[i]) - bins[std::int64_t(i)].item<double>()) <= 1);  // a value on an edge
    }
    QCOMPARE(total, std::int64_t(elements));
}

void WeightDifferenceTest::toleranceDecidesWhatDiffers()
{
    const auto a = at::tensor({1.0, 2.0, 3.0}), b = at::tensor({1.0 + 1e-9, 2.0, 3.5});
    QCOMPARE(compareTensors(a, b).differing, std::int64_t(2));
    QCOMPARE(compareTensors(a, b, {1e-6}).differing, std::int64_t(1));
    QCOMPARE(compareTensors(a, b, {0.5}).change, Change::Same);
}

void WeightDifferenceTest::oddValues_data()
{
    QTest::addColumn<QList<double>>("a");
    QTest::addColumn<QList<double>>("b");
    QTest::addColumn<bool>("same");
    QTest::addColumn<int>("notFinite");
    QTest::addColumn<double>("relative");
    QTest::addColumn<double>("cosine");
    QTest::newRow("empty") << QList<double>{} << QList<double>{} << true << 0 << 0.0 << 1.0;
    QTest::newRow("both zero") << QList<double>{0, 0} << QList<double>{0, 0} << true << 0 << 0.0 << 1.0;
    QTest::newRow("first zero") << QList<double>{0, 0} << QList<double>{1, 0} << false << 0 << kInfinity << 0.0;
    QTest::newRow("the same NaN") << QList<double>{kNan, 1} << QList<double>{kNan, 1} << true << 0 << 0.0 << 1.0;
    QTest::newRow("NaN in one") << QList<double>{kNan, 1} << QList<double>{2, 1} << false << 1 << 0.0 << 1.0;
    QTest::newRow("the same infinity") << QList<double>{kInfinity, 1} << QList<double>{kInfinity, 1} << true << 0 << 0.0 << 1.0;
    QTest::newRow("opposite infinities") << QList<double>{kInfinity, 1} << QList<double>{-kInfinity, 1} << false << 1 << 0.0 << 1.0;
    QTest::newRow("opposite") << QList<double>{1, 2} << QList<double>{-1, -2} << false << 0 << 2.0 << -1.0;
}

void WeightDifferenceTest::oddValues()
{
    QFETCH(QList<double>, a);
    QFETCH(QList<double>, b);
    QFETCH(double, relative);
    QFETCH(double, cosine);
    const auto tensor = [](const QList<double>& values) { return at::tensor(std::vector<double>(values.begin(), values.end()), at::kDouble); };
    const auto found = compareTensors(tensor(a), tensor(b));
    QTEST(found.change == Change::Same, "same");
    QTEST(int(found.notFinite), "notFinite");
    QVERIFY(found.relative == relative || near(found.relative, relative));
    QVERIFY(near(found.cosine, cosine));
}

void WeightDifferenceTest::tensorsWithoutPartnersAreNamed()
{
    const graph::Weights a({{"both", at::ones({2})}, {"old", at::ones({2})}, {"shape", at::ones({2})}}),
        b({{"both", at::ones({2})}, {"new", at::ones({2})}, {"shape", at::ones({3})}});
    const auto all = compareWeights(a, b);
    std::map<std::string, Change> changes;
    for (const auto& d : all)
        changes[d.first.empty() ? d.second : d.first] = d.change;
    QCOMPARE(changes,
             (std::map<std::string, Change>{{"both", Change::Same}, {"new", Change::Added}, {"old", Change::Removed}, {"shape", Change::Changed}}));
    for (const auto& d : all)
        if (d.first == "shape")
            QVERIFY(!d.sameShape() && d.count == 0 && d.secondShape == std::vector<std::int64_t>{3});
}

void WeightDifferenceTest::partnersMayHaveOtherNames()
{
    const graph::Weights a({{"fc.weight", at::ones({2})}}), b({{"dense.weight", at::ones({2}) * 2}});
    const auto all = compareWeights(a, b, {{"fc.weight", "dense.weight"}});
    QCOMPARE(all.size(), std::size_t(1));
    QCOMPARE(all[0].second, std::string("dense.weight"));
    QCOMPARE(all[0].largest, 1.0);
}

void WeightDifferenceTest::jsonWritesInfinityAsText()
{
    const auto json = compareWeights(graph::Weights({{"w", at::zeros({2})}}), graph::Weights({{"w", at::ones({2})}})).at(0).toJson();
    QVERIFY(json["relative"] == "inf");
    QCOMPARE(core::Json::parse(json.dump())["max_abs"].get<double>(), 1.0);
}

void WeightDifferenceTest::sequencesEqualDirectNorms()
{
    auto generator = at::detail::createCPUGenerator(3);
    std::vector<graph::Weights> all;
    for (int i = 0; i < 4; ++i)
        all.emplace_back(std::map<std::string, at::Tensor>{
            {"w", at::randn({5, 7}, generator, at::kFloat)}, {"b", at::randn({7}, generator, at::kFloat)}, {"steps", at::full({}, i, at::kLong)}});
    std::size_t told = 0;
    const auto sequence = followCheckpoints(
        {10, 20, 30, 40}, [&](std::int64_t step) { return all[std::size_t(step / 10 - 1)]; }, [&](std::size_t done) { told = done; });
    QCOMPARE(told, std::size_t(4));
    QCOMPARE(sequence.tensors.size(), std::size_t(2));  // counters are no weights
    QCOMPARE(sequence.total.elements, std::int64_t(42));
    const auto joined = [&](std::size_t i) { return at::cat({all[i].at("b").reshape(-1), all[i].at("w").reshape(-1)}).to(at::kDouble); };
    for (std::size_t i = 0; i < 4; ++i) {
        const auto& point = sequence.total.points[i];
        QCOMPARE(point.step, std::int64_t(10 * (i + 1)));
        QVERIFY(near(point.norm, joined(i).norm().item<double>()));
        QVERIFY(near(point.fromFirst, (joined(i) - joined(0)).norm().item<double>()));
        QVERIFY(near(point.fromPrevious, (joined(i) - joined(i ? i - 1 : 0)).norm().item<double>()));
        QVERIFY(near(point.cosine, (at::dot(joined(i), joined(0)) / joined(i).norm() / joined(0).norm()).item<double>()));
        QVERIFY(near(sequence.tensors[1].points[i].norm, all[i].at("w").to(at::kDouble).norm().item<double>()));
    }
    QVERIFY(sequence.toJson()["tensors"][0]["name"] == "b");
}

void WeightDifferenceTest::sequencesLeaveOutWhatChangesItsShape()
{
    const auto sequence = followCheckpoints({1, 2}, [](std::int64_t step) {
        return graph::Weights({{"grows", at::ones({step})}, {"stays", at::ones({3})}});
    });
    QCOMPARE(sequence.tensors.size(), std::size_t(1));
    QCOMPARE(sequence.tensors[0].name, std::string("stays"));
}

void WeightDifferenceTest::refusesOtherShapesAndNoSteps()
{
    QCOMPARE(messageOf([] {
                 compareTensors(at::ones({2, 3}), at::ones({3, 2}));
             }),
             std::string("expected two tensors of one shape, got [2, 3] and [3, 2]"));
    QCOMPARE(messageOf([] { followCheckpoints({}, [](std::int64_t) { return graph::Weights(); }); }),
             std::string("expected at least one checkpoint, got none"));
}

void WeightDifferenceTest::stopsWhenAsked()
{
    std::stop_source source;
    source.request_stop();
    bool stopped = false;
    try {
        compareTensors(at::ones({10}), at::ones({10}), {}, source.get_token());
    } catch (const core::Cancelled&) {
        stopped = true;
    }
    QVERIFY(stopped);
}

QTEST_APPLESS_MAIN(WeightDifferenceTest)
#include "weight_difference_test.moc"
