#include <core/base/error.h>
#include <core/explain/quadrature.h>

#include <QElapsedTimer>
#include <QTest>

using namespace orrery;
using explain::quadrature;

class QuadratureTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void gaussLegendreIsExactToDegreeTwoNMinusOne_data();
    void gaussLegendreIsExactToDegreeTwoNMinusOne();
    void gaussLegendreHasPublishedNodes();
    void manyPointsAreAsExactAndFast_data();
    void manyPointsAreAsExactAndFast();
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

void QuadratureTest::manyPointsAreAsExactAndFast_data()
{
    QTest::addColumn<int>("n");
    for (const int n : {201, 400, 1001, 20000, 100000, 100001})
        QTest::addRow("%d points", n) << n;
}

// Rules of many points take another way to their nodes. What is asked of them does not know it: each node is a zero of the recurrence's polynomial (the next
// neighbours of double precision lie on either side), each weight follows from its slope there, and integrals known in closed form come out.
void QuadratureTest::manyPointsAreAsExactAndFast()
{
    QFETCH(int, n);
    QElapsedTimer clock;
    clock.start();
    const auto rule = quadrature("gausslegendre", n);
    QVERIFY2(clock.elapsed() < 3000, qPrintable(QString::number(clock.elapsed())));
    long double total = 0, wave = 0, high = 0;
    for (std::size_t i = 0; i < rule.nodes.size(); ++i) {
        total += rule.weights[i];
        wave += rule.weights[i] * std::cos(150.0L * rule.nodes[i]);
        high += rule.weights[i] * std::pow((long double)(rule.nodes[i]), 390);
    }
    QVERIFY(std::abs(double(total - 1)) < 1e-14);
    QVERIFY(std::abs(double(wave - std::sin(150.0L) / 150)) < 1e-14);
    QVERIFY(std::abs(double(high - 1.0L / 391)) < 1e-14);
    QVERIFY(std::is_sorted(rule.nodes.begin(), rule.nodes.end()));
    for (const int i : {0, 1, 29, 30, 31, 60, n / 4, n / 3, n / 2 - 1}) {
        const long double x = 1 - 2 * (long double)(rule.nodes[std::size_t(i)]);
        long double p = 1, previous = 0;
        for (int k = 1; k <= n; ++k) {
            const long double before = previous;
            previous = p;
            p = ((2 * k - 1) * x * previous - (k - 1) * before) / k;
        }
        const long double slope = n * (x * p - previous) / (x * x - 1);
        const double weight = double(1 / ((1 - x * x) * slope * slope));
        QVERIFY2(std::abs(double(p / slope)) < 3e-16, qPrintable(QString("node %1: off by %2").arg(i).arg(double(p / slope))));
        // The comparison's own x is rounded beside 1: that counts in units of the distance to the end, about (i / n) squared.
        const double rounding = 1e-13 + 1e-19 * std::pow(double(n) / (i + 1), 2);
        QVERIFY2(std::abs(rule.weights[std::size_t(i)] / weight - 1) < rounding,
                 qPrintable(QString("weight %1: %2 against %3").arg(i).arg(rule.weights[std::size_t(i)], 0, 'g', 17).arg(weight, 0, 'g', 17)));
    }
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
