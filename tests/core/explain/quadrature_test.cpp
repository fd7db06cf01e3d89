#include <core/base/error.h>
#include <core/explain/quadrature.h>

#include <QTest>

using namespace orrery;
using explain::quadrature;

class QuadratureTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void gaussLegendreIsExactToDegreeTwoNMinusOne_data();
    void gaussLegendreIsExactToDegreeTwoNMinusOne();
    void gaussLegendreHasPublishedNodes();
    void rulesHaveCaptumsNodesAndWeights();
    void refusesUnknownRulesAndTooFewSteps();
};

void QuadratureTest::gaussLegendreIsExactToDegreeTwoNMinusOne_data()
{
    QTest::addColumn<int>("n");
    for (const int n : {1, 2, 3, 5, 8, 20, 50, 51, 200})
        QTest::addRow("%d points", n) << n;
}

void QuadratureTest::gaussLegendreIsExactToDegreeTwoNMinusOne()
{
    QFETCH(int, n);
    const auto rule = quadrature("gausslegendre", n);
    const auto integral = [&](int power) {
        long double sum = 0;
        for (std::size_t i = 0; i < rule.nodes.size(); ++i)
            sum += (long double)(rule.weights[i]) * std::pow((long double)(rule.nodes[i]), power);
        return double(sum);
    };
    for (int power = 0; power <= 2 * n - 1; power += std::max(1, n / 4))
        QVERIFY2(std::abs(integral(power) - 1.0 / (power + 1)) < 1e-15, qPrintable(QString("x^%1").arg(power)));
    // One degree further the rule cannot be exact: its error is (n!)^4 / ((2n+1) ((2n)!)^2) on [0, 1], visible for small n.
    if (n <= 5)
        QVERIFY(std::abs(integral(2 * n) - 1.0 / (2 * n + 1)) > 1e-9);
}

void QuadratureTest::gaussLegendreHasPublishedNodes()
{
    // Abramowitz & Stegun (1964), table 25.4, n = 5, moved from [-1, 1] to [0, 1].
    const auto rule = quadrature("gausslegendre", 5);
    const double x[] = {0.906179845938664, 0.538469310105683, 0}, w[] = {0.236926885056189, 0.478628670499366, 0.568888888888889};
    for (int i = 0; i < 3; ++i) {
        QVERIFY(std::abs(rule.nodes[std::size_t(i)] - (1 - x[i]) / 2) < 1e-15);
        QVERIFY(std::abs(rule.nodes[std::size_t(4 - i)] - (1 + x[i]) / 2) < 1e-15);
        QVERIFY(std::abs(rule.weights[std::size_t(i)] - w[i] / 2) < 1e-15);
    }
    QVERIFY(std::is_sorted(rule.nodes.begin(), rule.nodes.end()));
}

void QuadratureTest::rulesHaveCaptumsNodesAndWeights()
{
    const auto left = quadrature("riemann_left", 4), right = quadrature("riemann_right", 4), middle = quadrature("riemann_middle", 4),
               trapezoid = quadrature("riemann_trapezoid", 5);
    QCOMPARE(left.nodes, (std::vector<double>{0, 0.25, 0.5, 0.75}));
    QCOMPARE(right.nodes, (std::vector<double>{0.25, 0.5, 0.75, 1}));
    QCOMPARE(middle.nodes, (std::vector<double>{0.125, 0.375, 0.625, 0.875}));
    QCOMPARE(trapezoid.nodes, (std::vector<double>{0, 0.25, 0.5, 0.75, 1}));
    QCOMPARE(left.weights, std::vector<double>(4, 0.25));
    QCOMPARE(trapezoid.weights, (std::vector<double>{0.1, 0.2, 0.2, 0.2, 0.1}));
}

void QuadratureTest::refusesUnknownRulesAndTooFewSteps()
{
    const auto message = [](const char* rule, int n) {
        try {
            quadrature(rule, n);
        } catch (const core::InputError& error) {
            return QString::fromUtf8(error.what());
        }
        return QString();
    };
    QCOMPARE(message("riemann_left", 0), QString("riemann_left: expected at least 1 steps, got 0"));
    QCOMPARE(message("riemann_trapezoid", 1), QString("riemann_trapezoid: expected at least 2 steps, got 1"));
    QVERIFY(message("simpson", 4).startsWith("unknown rule \"simpson\"; expected gausslegendre"));
}

QTEST_APPLESS_MAIN(QuadratureTest)
#include "quadrature_test.moc"
