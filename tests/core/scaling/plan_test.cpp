// Planning: closed form against a search, crossings, isoFLOP profiles of known laws.
#include <QTest>

#include "../message_of.h"
#include "scaling_test_support.h"

#include <core/scaling/isoflop.h>

using namespace orrery;
using namespace orrery::scaling;
using core::Json;
using Kind = Objective::Kind;

class PlanTest : public QObject {
    Q_OBJECT
    jobs::DirectContext m_context{{}, 2};

    // N and loss for each budget, sizes spread about a factor of 10 around the optimum of the published law.
    static Points profiles(const std::vector<double>& budgets, int sizes, double noise = 0, bool data = false)
    {
        const auto law = makeLaw("chinchilla");
        std::vector<std::vector<double>> inputs(2), pairs(2);
        for (const double budget : budgets) {
            const auto plan = planCompute(*law, kPublished, budget);
            for (const double N : logPlaces(plan.N / 3, plan.N * 3, sizes)) {
                inputs[0].push_back(N);
                inputs[1].push_back(budget);
                pairs[0].push_back(N);
                pairs[1].push_back(budget / (6 * N));
            }
        }
        auto points = pointsOfLaw(*law, kPublished, pairs, noise, 9);
        if (!data) {
            points.inputNames = {"N", "C"};
            points.inputs = inputs;
        }
        return points;
    }
private Q_SLOTS:
    // Hoffmann et al. (2022), equation 4: N = G (C/6)^(beta/(alpha+beta)), G = (alpha A / (beta B))^(1/(alpha+beta)).
    void chinchillaIsPlannedInClosedForm()
    {
        const auto law = makeLaw("chinchilla");
        const Json own{{"id", "expression"}, {"text", "E + A / N ^ alpha + B / D ^ beta"}};
        const auto expression = makeLaw(own, {"N", "D"});
        const std::vector<double> sorted = {406.4, 410.7, 1.69, 0.34, 0.28};
        for (const double budget : {1e15, 1e18, 5.76e23}) {
            const auto plan = planCompute(*law, kPublished, budget);
            const double G = std::pow(0.34 * 406.4 / (0.28 * 410.7), 1 / 0.62);
            QVERIFY(relativeError(plan.N, G * std::pow(budget / 6, 0.28 / 0.62)) < 1e-12);
            QVERIFY(relativeError(plan.D, std::pow(budget / 6, 0.34 / 0.62) / G) < 1e-12);
            QVERIFY(relativeError(6 * plan.N * plan.D, budget) < 1e-12);
            QVERIFY(plan.closedForm);
            // No other split is better, and the search on the same formula finds the same one.
            for (const double factor : {0.5, 0.9, 0.99, 1.01, 1.1, 2.0})
                QVERIFY(law->at(kPublished, std::vector{plan.N * factor, plan.D / factor}) > plan.loss);
            const auto searched = planCompute(*expression, sorted, budget);
            QVERIFY(!searched.closedForm);
            QVERIFY2(relativeError(searched.N, plan.N) < 1e-6, qPrintable(QString("%1 %2").arg(searched.N).arg(plan.N)));
            QVERIFY(relativeError(searched.loss, plan.loss) < 1e-12);
        }
        QVERIFY(relativeError(planCompute(*law, kPublished, 1e20, 12).N, planCompute(*law, kPublished, 5e19, 6).N) < 1e-12);
    }

    void badPlansAreRefused()
    {
        const auto law = makeLaw("chinchilla"), one = makeLaw("power_law");
        QVERIFY(saidBy([&] { planCompute(*one, std::vector{1.0, 0.5}, 1e20); }).contains("expected a law of N and D, a x^-b takes x"));
        QVERIFY(saidBy([&] { planCompute(*law, kPublished, -1); }).contains("budget: expected a finite number > 0, got -1"));
        QVERIFY(saidBy([&] { planCompute(*law, kPublished, 3); }).contains("budget: expected more than 6 FLOPs, got 3"));
        QVERIFY(saidBy([&] { planCompute(*law, std::vector{1.0, 1.0, 1.0, -0.1, 0.5}, 1e20); }).contains("expected alpha and beta > 0"));
        const auto falling = makeLaw({{"id", "expression"}, {"text", "A / N ^ b / D ^ 0.1"}}, {"N", "D"});
        QVERIFY(saidBy([&] { planCompute(*falling, std::vector{1.0, 0.5}, 1e20); }).contains("the best size lies on the edge"));
    }

    void crossingsAreSolvedInClosedForm()
    {
        const auto law = makeLaw("power_law"), floor = makeLaw("power_law_floor");
        // 4 x^-0.5 = x^-0.25 at x = 256.
        const auto found = crossings(*law, std::vector{4.0, 0.5}, *law, std::vector{1.0, 0.25}, 1, 1e6);
        QCOMPARE(found.size(), std::size_t(1));
        QVERIFY(relativeError(found[0].x, 256) < 1e-10 && relativeError(found[0].loss, 0.25) < 1e-10);
        QVERIFY(crossings(*law, std::vector{4.0, 0.5}, *law, std::vector{1.0, 0.25}, 1000, 1e6).empty());
        // 3 / x = 1 / x^2 + 2 at x = 1/2 and x = 1.
        const auto two = crossings(*law, std::vector{3.0, 1.0}, *floor, std::vector{1.0, 2.0, 2.0}, 0.1, 10);
        QCOMPARE(two.size(), std::size_t(2));
        QVERIFY(relativeError(two[0].x, 0.5) < 1e-10 && relativeError(two[1].x, 1) < 1e-10);
        QVERIFY(saidBy([&] { crossings(*makeLaw("chinchilla"), kPublished, *law, std::vector{1.0, 1.0}, 1, 2); }).contains("takes N, D"));
        QVERIFY(saidBy([&] {
                    crossings(*law, std::vector{1.0, 1.0}, *law, std::vector{1.0, 1.0}, 2, 1);
                }).contains("expected from < to, got 2 and 1"));
    }

    // Row b94: where two noisy laws cross is found within 5 %.
    void crossingsOfNoisyLawsAreFound()
    {
        const auto law = makeLaw("power_law");
        const double truth = std::pow(9.0 / 4, 1 / 0.15);
        for (std::uint64_t seed = 0; seed < 10; ++seed) {
            const auto a = pointsOfLaw(*law, {9, 0.25}, {logPlaces(1, 1e5, 40)}, 0.005, 2 * seed),
                       b = pointsOfLaw(*law, {4, 0.1}, {logPlaces(1, 1e5, 40)}, 0.005, 2 * seed + 1);
            const auto first = fitLaw(*law, a, {}, {}, m_context), second = fitLaw(*law, b, {}, {}, m_context);
            const auto found = crossings(*law, first.parameters, *law, second.parameters, 1, 1e5);
            QCOMPARE(found.size(), std::size_t(1));
            QVERIFY2(relativeError(found[0].x, truth) < 0.05, qPrintable(QString("%1 %2").arg(found[0].x).arg(truth)));
        }
    }

    // Losses that are parabolas in ln N, with minima at N = 2 C^0.45: found to the last digits.
    void parabolasAreFoundExactly()
    {
        Points points;
        points.name = "parabolas";
        points.inputNames = {"N", "C"};
        points.inputs.resize(2);
        for (const double budget : {1e18, 3e18, 1e19, 1e20})
            for (const double N : logPlaces(0.2 * std::pow(budget, 0.45), 10 * std::pow(budget, 0.45), 7)) {
                points.inputs[0].push_back(N);
                points.inputs[1].push_back(budget);
                points.loss.push_back(2 + 0.03 * std::pow(std::log(N / (2 * std::pow(budget, 0.45))), 2));
                points.places.push_back("line " + std::to_string(points.loss.size() + 1));
            }
        const auto result = fitIsoflop(points, {}, m_context);
        QCOMPARE(result.profiles.size(), std::size_t(4));
        QCOMPARE(result.used, std::size_t(4));
        for (const auto& profile : result.profiles) {
            QVERIFY(relativeError(profile.N, 2 * std::pow(profile.budget, 0.45)) < 1e-9);
            QVERIFY(relativeError(profile.D, profile.budget / (6 * profile.N)) < 1e-12);
            QVERIFY(std::abs(profile.curvature - 0.03) < 1e-12 && std::abs(profile.loss - 2) < 1e-12 && profile.inside);
        }
        QVERIFY(std::abs(result.N.exponent - 0.45) < 1e-10 && relativeError(result.N.factor, 2) < 1e-8);
        QVERIFY(std::abs(result.D.exponent - 0.55) < 1e-10 && relativeError(result.D.at(1e19), 1e19 / 6 / result.N.at(1e19)) < 1e-9);
    }

    // The law itself is no parabola in ln N: its minima differ from the true optimum by some percent, its exponents by less than a hundredth.
    void profilesOfTheLawGiveItsExponents()
    {
        for (const bool data : {false, true}) {
            const auto result = fitIsoflop(profiles({1e18, 1e19, 1e20, 1e21, 1e22}, 9, 0, data), {}, m_context);
            QVERIFY2(std::abs(result.N.exponent - 0.28 / 0.62) < 0.01, qPrintable(QString::number(result.N.exponent)));
            QVERIFY(std::abs(result.D.exponent - 0.34 / 0.62) < 0.01);
            for (const auto& profile : result.profiles)
                QVERIFY(relativeError(profile.N, planCompute(*makeLaw("chinchilla"), kPublished, profile.budget).N) < 0.05);
        }
        IsoflopOptions options;
        options.resamples = 200;
        const auto noisy = fitIsoflop(profiles({1e18, 1e19, 1e20, 1e21, 1e22}, 15, 0.002), options, m_context);
        QVERIFY(noisy.exponentN->low < noisy.N.exponent && noisy.N.exponent < noisy.exponentN->high);
        QVERIFY(noisy.exponentN->low < 0.4516 && 0.4516 < noisy.exponentN->high);
        QVERIFY(std::abs(noisy.N.exponent - 0.4516) < 0.03);
    }

    void budgetsThatAreNearlyEqualAreOne()
    {
        auto points = profiles({1e18, 1e20}, 7);
        for (std::size_t i = 0; i < points.rows(); ++i)
            points.inputs[1][i] *= 1 + 0.01 * double(i % 3);
        QCOMPARE(fitIsoflop(points, {}, m_context).profiles.size(), std::size_t(2));
        IsoflopOptions exact;
        exact.tolerance = 0;
        const auto said = saidBy([&] { fitIsoflop(points, exact, m_context); });
        QVERIFY2(said.contains("expected at least 3 different N") || said.contains("expected at least 2 budgets"), qPrintable(said));
    }

    void profilesWithoutAMinimumAreRefused()
    {
        auto points = profiles({1e18, 1e20}, 7);
        for (std::size_t i = 0; i < 7; ++i)
            points.loss[i] = 3 - 0.1 * double(i);  // falls all the way
        const auto said = saidBy([&] { fitIsoflop(points, {}, m_context); });
        QVERIFY2(said.contains("expected at least 2 budgets with a minimum inside their sizes, got 1; none inside at 1e+18"), qPrintable(said));
        QVERIFY(saidBy([&] {
                    fitIsoflop(profiles({1e18, 1e20}, 2), {}, m_context);
                }).contains("budget 1e+18: expected at least 3 different N, got 2"));
        points.inputNames = {"N", "x"};
        QVERIFY(saidBy([&] { fitIsoflop(points, {}, m_context); }).contains("expected columns N and C, or N and D, got N, x"));
    }
};

QTEST_APPLESS_MAIN(PlanTest)
#include "plan_test.moc"
