#include <core/explain/features.h>
#include <core/explain/linear_fit.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

#include <QTemporaryDir>
#include <QTest>

#include "../message_of.h"
#include "explain_test_support.h"

using namespace orrery;
using namespace orrery::explain;

namespace {

using Sizes = std::vector<std::int64_t>;

Features featuresOf(const at::Tensor& value, const core::Json& mask, const core::Json& baseline = 0)
{
    return {value, {{"feature_mask", mask}, {"baseline", baseline}}, "test"};
}

at::Tensor integers(std::vector<std::int64_t> numbers, Sizes shape)
{
    return at::tensor(numbers, at::kLong).reshape(shape);
}

}  // namespace

class FeaturesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void withoutAMaskFeaturesFollowTheShape_data();
    void withoutAMaskFeaturesFollowTheShape();
    void patchesCutAtTheEdgeAreFeaturesOfTheirOwn();
    void aGivenMaskBroadcastsAndMayHaveGaps();
    void masksAndBaselinesComeFromFiles();
    void maskedInputsEqualOnesMadeElementByElement();
    void spreadAndSumsAreTransposes();
    void badMasksAndBaselinesSayWhatWasExpected_data();
    void badMasksAndBaselinesSayWhatWasExpected();
    void leastSquaresMeetTheNormalEquations();
    void ridgeAndLassoMeetTheirOptimalityConditions();
    void lassoOnAnOrthogonalDesignIsSoftThresholding();
    void theJackknifeOfAMeanIsItsStandardError();

private:
    QTemporaryDir m_folder;
};

void FeaturesTest::withoutAMaskFeaturesFollowTheShape_data()
{
    QTest::addColumn<QList<int>>("sample");
    QTest::addColumn<int>("patch");  // 0: none
    QTest::addColumn<int>("count");
    QTest::newRow("table") << QList<int>{7} << 0 << 7;
    QTest::newRow("table by threes") << QList<int>{7} << 3 << 3;
    QTest::newRow("positions of a sequence") << QList<int>{5, 16} << 0 << 5;
    QTest::newRow("pairs of positions") << QList<int>{5, 16} << 2 << 3;
    QTest::newRow("pixels") << QList<int>{3, 4, 5} << 0 << 20;
    QTest::newRow("patches") << QList<int>{3, 32, 32} << 8 << 16;
    QTest::newRow("patches over the edge") << QList<int>{3, 4, 5} << 2 << 6;
    QTest::newRow("one number a sample") << QList<int>{} << 0 << 1;
    QTest::newRow("a volume") << QList<int>{2, 2, 3, 2} << 0 << 24;
}

void FeaturesTest::withoutAMaskFeaturesFollowTheShape()
{
    QFETCH(QList<int>, sample);
    QFETCH(int, patch);
    QFETCH(int, count);
    Sizes shape = {2};
    shape.insert(shape.end(), sample.begin(), sample.end());
    const auto features = featuresOf(noise(shape, 1), patch ? core::Json(patch) : core::Json());
    QCOMPARE(features.count(), count);
    // Every number from 0 to count - 1 occurs, and switching all of them off leaves the baseline alone.
    QCOMPARE(std::get<0>(at::_unique(features.mask())).numel(), std::int64_t(count));
    QCOMPARE(features.masked(at::zeros({1, count}, at::kBool)).abs().max().item<double>(), 0.0);
}

void FeaturesTest::patchesCutAtTheEdgeAreFeaturesOfTheirOwn()
{
    const auto features = featuresOf(noise({1, 1, 3, 5}, 1), 2);
    QVERIFY(features.mask().reshape({3, 5}).equal(integers({0, 0, 1, 1, 2, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5}, {3, 5})));
}

void FeaturesTest::aGivenMaskBroadcastsAndMayHaveGaps()
{
    const auto x = noise({2, 3, 2, 2}, 2);
    const auto features = featuresOf(x, {{5, 5}, {9, 40}});
    QCOMPARE(features.count(), 3);
    QVERIFY(features.mask().equal(integers({0, 0, 1, 2}, {2, 2})));
    const auto masked = features.masked(at::tensor(std::vector<std::int64_t>{0, 1, 1}).to(at::kBool).unsqueeze(0));
    QCOMPARE(masked.select(2, 0).abs().max().item<double>(), 0.0);
    QVERIFY(masked.select(2, 1).equal(x.select(2, 1)));
}

void FeaturesTest::masksAndBaselinesComeFromFiles()
{
    const auto path = [&](const char* name) { return m_folder.filePath(name).toStdString(); };
    io::writeNpy(path("mask.npy"), io::toArray(integers({1, 0, 1}, {3}).to(at::kInt)));
    io::writeNpy(path("baseline.npy"), io::toArray(at::tensor(std::vector<double>{0.5, 1, 2}).to(at::kFloat)));
    const auto x = noise({2, 3}, 3);
    const auto features = featuresOf(x, path("mask.npy"), path("baseline.npy"));
    QCOMPARE(features.count(), 2);
    const auto masked = features.masked(at::tensor(std::vector<std::int64_t>{0, 1}).to(at::kBool).unsqueeze(0));
    for (std::int64_t sample = 0; sample < 2; ++sample) {
        QCOMPARE(masked[sample][0].item<double>(), x[sample][0].item<double>());
        QCOMPARE(masked[sample][1].item<double>(), 1.0);
        QCOMPARE(masked[sample][2].item<double>(), x[sample][2].item<double>());
    }
    QVERIFY(saidBy([&] { featuresOf(x, path("none.npy")); }).contains("none.npy"));
    io::writeNpy(path("wrong.npy"), io::toArray(at::zeros({4}, at::kLong)));
    QCOMPARE(saidBy([&] { featuresOf(x, path("wrong.npy")); }),
             QString("test.feature_mask: expected an array that broadcasts to a sample [3], got [4]"));
}

void FeaturesTest::maskedInputsEqualOnesMadeElementByElement()
{
    const auto x = noise({2, 3, 4, 4}, 4), baseline = noise({3, 4, 4}, 5);
    std::vector<std::vector<std::vector<double>>> nested;
    for (std::int64_t c = 0; c < 3; ++c) {
        nested.emplace_back();
        for (std::int64_t h = 0; h < 4; ++h) {
            nested.back().emplace_back();
            for (std::int64_t w = 0; w < 4; ++w)
                nested.back().back().push_back(baseline[c][h][w].item<double>());
        }
    }
    const auto features = featuresOf(x, 2, nested);
    const auto on = noise({5, 4}, 6).gt(0);
    const auto masked = features.masked(on);
    QCOMPARE(masked.sizes().vec(), (Sizes{10, 3, 4, 4}));
    for (std::int64_t row = 0; row < 5; ++row)
        for (std::int64_t sample = 0; sample < 2; ++sample)
            for (std::int64_t c = 0; c < 3; ++c)
                for (std::int64_t h = 0; h < 4; ++h)
                    for (std::int64_t w = 0; w < 4; ++w) {
                        const bool isOn = on[row][h / 2 * 2 + w / 2].item<bool>();
                        const auto expected = isOn ? x[sample][c][h][w] : baseline[c][h][w];
                        QCOMPARE(masked[row * 2 + sample][c][h][w].item<double>(), expected.item<double>());
                    }
}

void FeaturesTest::spreadAndSumsAreTransposes()
{
    // <spread(a), b> = <a, sums(b)> for every a and b.
    const auto x = noise({2, 3, 5, 4}, 7);
    const auto features = featuresOf(x, 3);
    const auto a = noise({2, features.count()}, 8), b = noise({2, 3, 5, 4}, 9);
    QCOMPARE(features.spread(a).sizes().vec(), x.sizes().vec());
    QVERIFY(std::abs((features.spread(a) * b).sum().item<double>() - (a * features.sums(b)).sum().item<double>()) < 1e-12);
}

void FeaturesTest::badMasksAndBaselinesSayWhatWasExpected_data()
{
    QTest::addColumn<QString>("mask");
    QTest::addColumn<QString>("baseline");
    QTest::addColumn<QString>("message");
    const char* nothing = "null";
    QTest::newRow("patch of 0") << "0"
                                << "0"
                                << "test.feature_mask: expected a patch size from 1 to 3 (a sample is [3]), got 0";
    QTest::newRow("patch too large") << "4"
                                     << "0"
                                     << "test.feature_mask: expected a patch size from 1 to 3 (a sample is [3]), got 4";
    QTest::newRow("fraction") << "1.5"
                              << "0"
                              << "test.feature_mask: expected none, a patch size, a nested list or the path of an .npy file, got 1.5";
    QTest::newRow("fractions inside") << "[0, 0.5, 1]"
                                      << "0"
                                      << "test.feature_mask: expected whole numbers";
    QTest::newRow("negative") << "[0, -1, 1]"
                              << "0"
                              << "test.feature_mask: expected whole numbers of at least 0";
    QTest::newRow("text inside") << "[0, \"a\", 1]"
                                 << "0"
                                 << "test.feature_mask: expected numbers in nested lists, got \"a\"";
    QTest::newRow("ragged") << "[[0, 1], [2]]"
                            << "0"
                            << "test.feature_mask: lists of different length or depth";
    QTest::newRow("mixed depth") << "[[0, 1], 2]"
                                 << "0"
                                 << "test.feature_mask: lists of different depth";
    QTest::newRow("too long") << "[0, 1, 2, 3]"
                              << "0"
                              << "test.feature_mask: expected an array that broadcasts to a sample [3], got [4]";
    QTest::newRow("too deep") << "[[0, 1, 2]]"
                              << "0"
                              << "test.feature_mask: expected an array that broadcasts to a sample [3], got [1, 3]";
    QTest::newRow("baseline of another length") << nothing << "[1, 2]"
                                                << "test.baseline: expected an array that broadcasts to a sample [3], got [2]";
    QTest::newRow("no baseline") << nothing << "null"
                                 << "test.baseline: expected a number, a nested list or the path of an .npy file, got null";
    QTest::newRow("empty list") << nothing << "[]"
                                << "test.baseline: expected numbers in nested lists, got []";
}

void FeaturesTest::badMasksAndBaselinesSayWhatWasExpected()
{
    QFETCH(QString, mask);
    QFETCH(QString, baseline);
    QFETCH(QString, message);
    QCOMPARE(saidBy([&] {
                 featuresOf(noise({2, 3}, 1), core::Json::parse(mask.toStdString()), core::Json::parse(baseline.toStdString()));
             }),
             message);
}

void FeaturesTest::leastSquaresMeetTheNormalEquations()
{
    for (const std::int64_t rows : {12, 5}) {
        const auto a = noise({rows, 8}, 10), b = noise({rows, 3}, 11);
        const auto x = shortestLeastSquares(a, b);
        QVERIFY(a.t().matmul(a.matmul(x) - b).abs().max().item<double>() < 1e-10);
        // The shortest solution lies in the row space: what a full QR of the rows leaves out is empty.
        const auto basis = std::get<0>(at::linalg_qr(a.t()));
        QVERIFY(largest(basis.matmul(basis.t().matmul(x)), x) < 1e-10);
    }
    const auto x = noise({40, 3}, 12), weights = noise({40}, 13).square();
    const auto y = x.mv(at::tensor(std::vector<double>{1, -2, 3})) + 4;
    const auto fit = fitLinear(x, y, weights, Penalty::None, 0);
    QVERIFY(largest(fit.coefficients, at::tensor(std::vector<double>{1, -2, 3})) < 1e-10);
    QVERIFY(std::abs(fit.intercept - 4) < 1e-10);
    QVERIFY(std::abs(fit.score - 1) < 1e-12);
}

void FeaturesTest::ridgeAndLassoMeetTheirOptimalityConditions()
{
    const auto x = noise({30, 6}, 14), y = noise({30}, 15), weights = noise({30}, 16).square();
    const double alpha = 0.1;
    const auto ridge = fitLinear(x, y, weights, Penalty::Ridge, alpha);
    auto residual = y - ridge.intercept - x.mv(ridge.coefficients);
    QVERIFY(std::abs(weights.dot(residual).item<double>()) < 1e-10);  // derivative by the intercept
    QVERIFY(largest(x.t().mv(weights * residual), alpha * ridge.coefficients) < 1e-10);
    const auto lasso = fitLinear(x, y, weights, Penalty::Lasso, alpha);
    residual = y - lasso.intercept - x.mv(lasso.coefficients);
    QVERIFY(std::abs(weights.dot(residual).item<double>()) < 1e-10);
    const auto slope = x.t().mv(weights * residual) / weights.sum();
    int zeros = 0;
    for (std::int64_t i = 0; i < 6; ++i) {
        const double b = lasso.coefficients[i].item<double>(), s = slope[i].item<double>();
        zeros += b == 0;
        QVERIFY(b == 0 ? std::abs(s) <= alpha : std::abs(s - std::copysign(alpha, b)) < 1e-8);
    }
    QVERIFY(zeros > 0 && zeros < 6);
}

void FeaturesTest::lassoOnAnOrthogonalDesignIsSoftThresholding()
{
    // Two columns of +-1, orthogonal and centred: the coefficient is the plain one, moved towards 0 by alpha.
    const auto x = at::tensor(std::vector<double>{1, 1, 1, -1, -1, 1, -1, -1}).reshape({4, 2});
    const auto y = x.mv(at::tensor(std::vector<double>{2, -0.3}));
    const auto fit = fitLinear(x, y, at::ones({4}, at::kDouble), Penalty::Lasso, 0.5);
    QVERIFY(largest(fit.coefficients, at::tensor(std::vector<double>{1.5, 0})) < 1e-12);
}

void FeaturesTest::theJackknifeOfAMeanIsItsStandardError()
{
    const auto x = noise({15}, 17);  // fewer rows than groups: each is left out once
    const auto error = jackknifeError(15, [&](const at::Tensor& used) { return x.index_select(0, used).mean(); });
    QVERIFY(std::abs(error.item<double>() - x.std(true).item<double>() / std::sqrt(15.0)) < 1e-12);
    QVERIFY(!jackknifeError(1, [&](const at::Tensor&) { return x; }).defined());
}

QTEST_APPLESS_MAIN(FeaturesTest)
#include "features_test.moc"
