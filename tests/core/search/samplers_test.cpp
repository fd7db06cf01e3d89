#include <QtTest>

#include <ATen/ATen.h>
#include <cmath>
#include <set>

#include <core/base/rng.h>
#include <core/search/sampler.h>
#include <core/search/samplers/sobol.h>

#include "../message_of.h"

using namespace orrery;
using namespace orrery::search;
using core::Json;

namespace {

Dimension realRange(const char* path, double low, double high, bool isLog = false)
{
    Dimension dimension;
    dimension.path = path;
    dimension.low = low;
    dimension.high = high;
    dimension.isLog = isLog;
    return dimension;
}

Dimension integerRange(const char* path, double low, double high, bool isLog = false)
{
    Dimension dimension = realRange(path, low, high, isLog);
    dimension.isInteger = true;
    return dimension;
}

Dimension choiceOf(const char* path, std::vector<Json> choices)
{
    Dimension dimension;
    dimension.path = path;
    dimension.choices = std::move(choices);
    return dimension;
}

std::vector<Json> valuesOf(const Space& space, const Sampler& sampler, std::int64_t trial)
{
    std::vector<Json> values;
    const Place place = sampler.place(trial, {});
    for (std::size_t i = 0; i < space.size(); ++i)
        values.push_back(space[i].valueAt(place[i]));
    return values;
}

/// Smallest loss after so many trials of a sampler on f(x, y) = (x - 0.7)^2 + (y - 0.2)^2 over [0, 1]^2.
double bestOnQuadratic(const char* id, std::uint64_t seed, std::int64_t trials)
{
    const Space space{realRange("x", 0, 1), realRange("y", 0, 1)};
    const auto sampler = makeSampler(space, Json{{"id", id}}, seed);
    std::vector<Outcome> all;
    double best = INFINITY;
    for (std::int64_t trial = 0; trial < trials; ++trial) {
        const Place place = sampler->place(trial, std::span(all).first(std::size_t(sampler->waitsFor(trial))));
        const double loss = std::pow(place[0] - 0.7, 2) + std::pow(place[1] - 0.2, 2);
        best = std::min(best, loss);
        all.push_back({trial, place, loss});
    }
    return best;
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return (values[values.size() / 2] + values[(values.size() - 1) / 2]) / 2;
}

}  // namespace

class SamplersTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void aRangeMeetsItsEndsAndAChoiceHasEqualParts()
    {
        const Dimension rate = realRange("lr", 1e-4, 1e-1, true);
        QCOMPARE(rate.valueAt(0).get<double>(), 1e-4);
        QCOMPARE(rate.valueAt(1).get<double>(), 1e-1);
        QCOMPARE(rate.valueAt(1.0 / 3).get<double>(), 1e-3);
        QCOMPARE(realRange("x", -2, 2).valueAt(0.75).get<double>(), 1.0);
        const Dimension width = choiceOf("w", {64, "wide", nullptr});
        QVERIFY(width.valueAt(0) == 64 && width.valueAt(0.34) == "wide" && width.valueAt(0.99).is_null() && width.valueAt(1).is_null());
        // Whole numbers: each as likely as the next.
        const Dimension layers = integerRange("n", 1, 4);
        std::map<std::int64_t, int> counts;
        for (int i = 0; i < 4000; ++i)
            ++counts[layers.valueAt((i + 0.5) / 4000).get<std::int64_t>()];
        QCOMPARE(counts, (std::map<std::int64_t, int>{{1, 1000}, {2, 1000}, {3, 1000}, {4, 1000}}));
        QVERIFY(layers.valueAt(0) == 1 && layers.valueAt(1) == 4);
        const Dimension logLayers = integerRange("n", 1, 64, true);
        QVERIFY(logLayers.valueAt(0) == 1 && logLayers.valueAt(1) == 64);
        QVERIFY(logLayers.valueAt(0.5).get<int>() < 10);
    }

    void aGridIsCompleteAndOrdered()
    {
        Space space{choiceOf("a", {"x", "y"}), realRange("lr", 0.01, 1, true), integerRange("n", 1, 2)};
        space[1].points = 3;
        const auto sampler = makeSampler(space, Json{{"id", "grid"}, {"points", 5}}, 0);
        // Of the whole numbers there are only two, however many points are asked for.
        QCOMPARE(sampler->trials({}), std::int64_t(12));
        QCOMPARE(sampler->trials(5), std::int64_t(5));
        QCOMPARE(sampler->trials(500), std::int64_t(12));
        std::vector<std::vector<Json>> expected, found;
        for (const char* a : {"x", "y"})
            for (const double lr : {0.01, 0.1, 1.0})
                for (const int n : {1, 2})
                    expected.push_back({a, lr, n});
        for (int trial = 0; trial < 12; ++trial)
            found.push_back(valuesOf(space, *sampler, trial));
        QVERIFY(found == expected);
        QVERIFY2(messageOf([] {
                     makeSampler(Space(9, realRange("x", 0, 1)), Json{{"id", "grid"}, {"points", 10}}, 0);
                 }).find("at most 100000 combinations") != std::string::npos,
                 "a grid without end is refused");
    }

    void theFirstSobolPointsAreThePublishedOnes()
    {
        // The first ten points of new-joe-kuo-6 in three dimensions, as in the authors' own notes.
        const std::vector<std::vector<double>> published = {{0, 0, 0},
                                                            {0.5, 0.5, 0.5},
                                                            {0.75, 0.25, 0.25},
                                                            {0.25, 0.75, 0.75},
                                                            {0.375, 0.375, 0.625},
                                                            {0.875, 0.875, 0.125},
                                                            {0.625, 0.125, 0.875},
                                                            {0.125, 0.625, 0.375},
                                                            {0.1875, 0.3125, 0.9375},
                                                            {0.6875, 0.8125, 0.4375}};
        for (std::size_t i = 0; i < published.size(); ++i)
            QCOMPARE(sobolPoint(3, std::uint32_t(i)), published[i]);
    }

    void allDimensionsAgreeWithAnotherImplementation()
    {
        // libtorch carries the same direction numbers (30 bits of them) in its own engine.
        const auto dimensions = std::int64_t(kMostSobolDimensions);
        auto state = at::zeros({dimensions, 30}, at::kLong);
        at::_sobol_engine_initialize_state_(state, dimensions);
        auto quasi = at::zeros({dimensions}, at::kLong);
        const auto [points, next] = at::_sobol_engine_draw(quasi, 256, state, dimensions, 0, at::kDouble);
        for (std::int64_t i = 0; i < points.size(0); ++i) {
            // Its engine leaves out the origin.
            const auto mine = sobolPoint(kMostSobolDimensions, std::uint32_t(i + 1));
            for (std::int64_t d = 0; d < dimensions; ++d)
                QCOMPARE(mine[std::size_t(d)], points[i][d].item<double>());
        }
        QVERIFY(messageOf([] { sobolPoint(kMostSobolDimensions + 1, 0); }).find("at most 32 parameters") != std::string::npos);
    }

    void sobolTrialsFillEachPartOfARangeOnce()
    {
        for (const std::uint64_t seed : {0u, 1u, 2u}) {
            const auto sampler = makeSampler(Space(20, realRange("x", 0, 1)), Json{{"id", "sobol"}}, seed);
            for (std::size_t d = 0; d < 20; ++d) {
                std::set<int> parts;
                for (int trial = 0; trial < 64; ++trial)
                    parts.insert(int(sampler->place(trial, {})[d] * 64));
                QCOMPARE(parts.size(), std::size_t(64));
            }
        }
    }

    void placesFollowFromSeedAndNumber_data()
    {
        QTest::addColumn<QString>("id");
        for (const auto& id : samplers().ids())
            QTest::newRow(id.c_str()) << QString::fromStdString(id);
    }
    void placesFollowFromSeedAndNumber()
    {
        QFETCH(QString, id);
        const Space space{realRange("x", 0, 1), choiceOf("c", {1, 2, 3})};
        const auto make = [&](std::uint64_t seed) { return makeSampler(space, Json{{"id", id.toStdString()}}, seed); };
        const auto first = make(3), again = make(3), other = make(4);
        std::vector<Outcome> outcomes;
        bool differs = false;
        for (std::int64_t trial = 0; trial < 9; ++trial) {
            const auto before = std::span<const Outcome>(outcomes).first(std::size_t(first->waitsFor(trial)));
            const Place place = first->place(trial, before);
            QCOMPARE(again->place(trial, before), place);
            differs |= other->place(trial, before) != place;
            for (const double coordinate : place)
                QVERIFY(coordinate >= 0 && coordinate <= 1);
            outcomes.push_back({trial, place, 1.0});
        }
        // A grid draws nothing.
        QCOMPARE(differs, id != "grid");
    }

    void tpeBeatsRandomSearchInTheMedian()
    {
        std::vector<double> tpe, random;
        int wins = 0;
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            tpe.push_back(bestOnQuadratic("tpe", seed, 50));
            random.push_back(bestOnQuadratic("random", seed, 50));
            wins += tpe.back() < random.back();
        }
        qInfo("median best of 50 trials: TPE %.2e, random %.2e; TPE better %d times of 20", median(tpe), median(random), wins);
        QVERIFY(median(tpe) < 0.5 * median(random));
        QVERIFY(wins >= 14);
    }

    void tpeFindsTheGoodChoiceAndBearsFailures()
    {
        const Space space{choiceOf("c", {0, 1, 2, 3}), realRange("x", 0, 1)};
        const auto sampler = makeSampler(space, Json{{"id", "tpe"}, {"startup", 8}}, 5);
        std::vector<Outcome> outcomes;
        int good = 0;
        for (std::int64_t trial = 0; trial < 40; ++trial) {
            const Place place = sampler->place(trial, std::span(outcomes).first(std::size_t(sampler->waitsFor(trial))));
            const int choice = space[0].valueAt(place[0]).get<int>();
            // Choice 3 always fails, choice 2 is by far the best.
            outcomes.push_back({trial, place, choice == 3 ? std::nullopt : std::optional(choice == 2 ? place[1] : 10 + place[1])});
            good += trial >= 20 && choice == 2;
        }
        QVERIFY2(good >= 15, std::to_string(good).c_str());
        // Where everything failed it goes on at random.
        std::vector<Outcome> failures;
        for (std::int64_t trial = 0; trial < 8; ++trial)
            failures.push_back({trial, {0.5, 0.5}, {}});
        QCOMPARE(sampler->place(8, failures), randomPlace(2, 5, 8));
    }

    void rungsAreThePublishedOnes_data()
    {
        QTest::addColumn<int>("trials");
        QTest::addColumn<int>("length");
        QTest::addColumn<int>("minimum");
        QTest::addColumn<QList<int>>("sizes");
        QTest::addColumn<QList<int>>("lengths");
        // Table 1 of Li et al. (2018): R = 81, eta = 3, brackets s = 4, 3, 2, 1, 0.
        QTest::newRow("s=4") << 81 << 81 << 1 << QList<int>{81, 27, 9, 3, 1} << QList<int>{1, 3, 9, 27, 81};
        QTest::newRow("s=3") << 27 << 81 << 1 << QList<int>{27, 9, 3, 1} << QList<int>{3, 9, 27, 81};
        QTest::newRow("s=2") << 9 << 81 << 1 << QList<int>{9, 3, 1} << QList<int>{9, 27, 81};
        QTest::newRow("s=1") << 6 << 81 << 1 << QList<int>{6, 2} << QList<int>{27, 81};
        QTest::newRow("s=0") << 2 << 81 << 1 << QList<int>{2} << QList<int>{81};
        QTest::newRow("bounded below") << 81 << 81 << 9 << QList<int>{81, 27, 9} << QList<int>{9, 27, 81};
        QTest::newRow("too short to halve") << 81 << 2 << 1 << QList<int>{81} << QList<int>{2};
    }
    void rungsAreThePublishedOnes()
    {
        QFETCH(int, trials);
        QFETCH(int, length);
        QFETCH(int, minimum);
        QFETCH(QList<int>, sizes);
        QFETCH(QList<int>, lengths);
        const auto sampler = makeSampler({realRange("x", 0, 1)}, Json{{"id", "successive_halving"}, {"min_steps", minimum}}, 0);
        QList<int> foundSizes, foundLengths;
        for (const Rung& rung : sampler->rungs(trials, length)) {
            foundSizes.push_back(int(rung.trials));
            foundLengths.push_back(int(std::lround(rung.part * length)));
        }
        QCOMPARE(foundSizes, sizes);
        QCOMPARE(foundLengths, lengths);
    }

    void halvingByTwoKeepsTheFloorOfHalf()
    {
        // Jamieson & Talwalkar (2016), figure 1: |S_{k+1}| = floor(|S_k| / 2).
        const auto sampler = makeSampler({realRange("x", 0, 1)}, Json{{"id", "successive_halving"}, {"eta", 2}}, 0);
        std::int64_t expected = 37;
        for (const Rung& rung : sampler->rungs(37, 1000)) {
            QCOMPARE(rung.trials, expected);
            expected /= 2;
        }
        QCOMPARE(expected, std::int64_t(0));
    }
};

QTEST_APPLESS_MAIN(SamplersTest)
#include "samplers_test.moc"
