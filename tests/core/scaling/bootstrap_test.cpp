// The bootstrap: against the closed form of the standard error, coverage of the truth, and by hand.
#include <QTest>

#include "../message_of.h"
#include "scaling_test_support.h"

using namespace orrery;
using namespace orrery::scaling;
using Kind = Objective::Kind;

class BootstrapTest : public QObject {
    Q_OBJECT
    jobs::DirectContext m_context{{}, 2};
private Q_SLOTS:
    void percentilesLieBetweenRanks()
    {
        const auto interval = percentiles({5, 1, 2, 4, 3}, 0.5);
        QCOMPARE(interval.low, 2.0);
        QCOMPARE(interval.high, 4.0);
        const auto wide = percentiles({0, 10}, 0.9);
        QVERIFY(std::abs(wide.low - 0.5) < 1e-12 && std::abs(wide.high - 9.5) < 1e-12);
        QVERIFY(std::isnan(percentiles({}, 0.9).low));
        QCOMPARE(percentiles({7}, 0.9).high, 7.0);
    }

    // Linear regression with random places: the slope's standard error is sqrt(sum u^2 r^2) / sum u^2 to first order.
    void spreadIsTheStandardErrorOfARegression()
    {
        const auto law = makeLaw("power_law");
        const auto points = pointsOfLaw(*law, {5, 0.2}, {logPlaces(10, 1e6, 80)}, 0.1, 11);
        const auto objective = objectiveOf(Kind::LeastSquares);
        const auto fit = fitLaw(*law, points, objective, {}, m_context);
        const auto bootstrap = bootstrapFit(*law, points, objective, fit, {2000, 0.9, 0, 3}, m_context);
        const Rows rows = makeRows(points.inputs);
        double squares = 0, weighted = 0, mean = 0, variance = 0;
        for (std::size_t i = 0; i < points.rows(); ++i) {
            squares += rows.logs[0][i] * rows.logs[0][i];
            weighted += std::pow(rows.logs[0][i] * fit.residuals[i], 2);
        }
        QCOMPARE(bootstrap.parameters.size(), std::size_t(2000));
        for (const auto& parameters : bootstrap.parameters)
            mean += parameters[1] / 2000;
        for (const auto& parameters : bootstrap.parameters)
            variance += std::pow(parameters[1] - mean, 2) / 1999;
        const double error = std::sqrt(weighted) / squares;
        QVERIFY2(relativeError(std::sqrt(variance), error) < 0.06, qPrintable(QString("%1 %2").arg(std::sqrt(variance)).arg(error)));
        QVERIFY(std::abs(mean - fit.parameters[1]) < 0.1 * error);
        // Percentiles of a nearly normal spread: 1.645 standard errors on each side.
        QVERIFY(relativeError(bootstrap.intervals[1].high - bootstrap.intervals[1].low, 2 * 1.645 * error) < 0.08);
    }

    // 80 tables of one truth: an interval of 90 % misses it in about 8 of them; three standard errors of that count and the bootstrap's known shortness are allowed for.
    void intervalsCoverTheTruth()
    {
        const auto law = makeLaw("power_law");
        const auto objective = objectiveOf(Kind::LeastSquares);
        int covered = 0;
        for (std::uint64_t seed = 0; seed < 80; ++seed) {
            const auto points = pointsOfLaw(*law, {5, 0.2}, {logPlaces(10, 1e6, 40)}, 0.1, 1000 + seed);
            const auto interval =
                bootstrapFit(*law, points, objective, fitLaw(*law, points, objective, {}, m_context), {200, 0.9, 0, seed}, m_context).intervals[1];
            covered += interval.low <= 0.2 && 0.2 <= interval.high;
        }
        QVERIFY2(covered >= 62 && covered <= 79, qPrintable(QString::number(covered)));
    }

    void bandsAreThePercentilesOfTheCurves()
    {
        const auto law = makeLaw("power_law_floor");
        const auto points = pointsOfLaw(*law, {8, 0.4, 0.6}, {logPlaces(1, 1e4, 20)}, 0.03, 5);
        const auto fit = fitLaw(*law, points, {}, {}, m_context);
        const auto bootstrap = bootstrapFit(*law, points, {}, fit, {100, 0.8, 1, 2}, m_context);
        const auto band = bandOf(*law, bootstrap, {{10, 1e5}});
        QCOMPARE(band.size(), std::size_t(2));
        std::vector<double> values;
        for (const auto& p : bootstrap.parameters)
            values.push_back(p[0] * std::pow(1e5, -p[1]) + p[2]);
        const auto expected = percentiles(values, 0.8);
        QVERIFY(relativeError(band[1].low, expected.low) < 1e-12 && relativeError(band[1].high, expected.high) < 1e-12);
        // Far from the rows the curve is less certain than among them.
        QVERIFY((band[1].high - band[1].low) / band[1].low > (band[0].high - band[0].low) / band[0].low);
    }

    void seedsRepeatWhateverTheThreads()
    {
        const auto law = makeLaw("power_law_floor");
        const auto points = pointsOfLaw(*law, {8, 0.4, 0.6}, {logPlaces(1, 1e4, 20)}, 0.03, 5);
        const auto fit = fitLaw(*law, points, {}, {}, m_context);
        jobs::DirectContext one({}, 1);
        const auto a = bootstrapFit(*law, points, {}, fit, {30, 0.9, 2, 4}, m_context), b = bootstrapFit(*law, points, {}, fit, {30, 0.9, 2, 4}, one);
        QVERIFY(a.parameters == b.parameters);
        QVERIFY(a.parameters != bootstrapFit(*law, points, {}, fit, {30, 0.9, 2, 5}, one).parameters);
    }

    void resamplesOfTooFewRowsAreCounted()
    {
        const auto law = makeLaw("power_law");
        const auto points = pointsOfLaw(*law, {5, 0.2}, {{1, 100}}, 0.1);
        const auto fit = fitLaw(*law, points, objectiveOf(Kind::LeastSquares), {}, m_context);
        // Of two rows, both are drawn in half of the resamples.
        const auto bootstrap = bootstrapFit(*law, points, objectiveOf(Kind::LeastSquares), fit, {400, 0.9, 0, 1}, m_context);
        QCOMPARE(bootstrap.failed + bootstrap.parameters.size(), std::size_t(400));
        QVERIFY(bootstrap.failed > 150 && bootstrap.failed < 250);
    }

    void badOptionsAreRefused()
    {
        const auto law = makeLaw("power_law");
        const auto points = pointsOfLaw(*law, {5, 0.2}, {{1, 10, 100}});
        const auto fit = fitLaw(*law, points, {}, {}, m_context);
        QVERIFY(saidBy([&] { bootstrapFit(*law, points, {}, fit, {1, 0.9, 0, 0}, m_context); }).contains("at least 2 resamples, got 1"));
        QVERIFY(saidBy([&] { bootstrapFit(*law, points, {}, fit, {10, 1, 0, 0}, m_context); }).contains("a level between 0 and 1, got 1"));
    }
};

QTEST_APPLESS_MAIN(BootstrapTest)
#include "bootstrap_test.moc"
