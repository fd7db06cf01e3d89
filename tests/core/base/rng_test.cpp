#include <QtTest>

#include <array>
#include <set>

#include <core/base/rng.h>

using namespace orrery::core;

class RngTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void sequenceEqualsThePublishedOne();
    void belowIsUniformAndInRange();
    void uniformLiesInZeroToOne();
    void derivedSeedsDifferByEveryPart();
};

void RngTest::sequenceEqualsThePublishedOne()
{
    // The first five numbers of Vigna's splitmix64.c (https://prng.di.unimi.it/splitmix64.c) from seed 1234567.
    SplitMix64 random(1234567);
    for (const std::uint64_t expected :
         {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u, 16408922859458223821u})
        QCOMPARE(random.next(), expected);
    // Seed 0, as used in the tests of Java's SplittableRandom.
    QCOMPARE(SplitMix64(0).next(), std::uint64_t(0xe220a8397b1dcdaf));
}

void RngTest::belowIsUniformAndInRange()
{
    SplitMix64 random(7);
    std::array<int, 6> counts{};
    constexpr int kDraws = 60000;
    for (int i = 0; i < kDraws; ++i)
        ++counts.at(random.below(6));
    double chiSquare = 0;
    for (const int count : counts)
        chiSquare += (count - kDraws / 6.0) * (count - kDraws / 6.0) / (kDraws / 6.0);
    QVERIFY2(chiSquare < 20.5, qPrintable(QString::number(chiSquare)));  // 99.9 % of five degrees of freedom
    for (int i = 0; i < 100; ++i)
        QCOMPARE(random.below(1), std::uint64_t(0));
    // The worst bound for rejection still ends, and stays below.
    const std::uint64_t huge = (std::uint64_t(1) << 63) + 1;
    for (int i = 0; i < 100; ++i)
        QVERIFY(random.below(huge) < huge);
}

void RngTest::uniformLiesInZeroToOne()
{
    SplitMix64 random(3);
    double sum = 0;
    for (int i = 0; i < 100000; ++i) {
        const double value = random.uniform();
        QVERIFY(value >= 0 && value < 1);
        sum += value;
    }
    QVERIFY(std::abs(sum / 100000 - 0.5) < 0.004);  // more than four standard errors
}

void RngTest::derivedSeedsDifferByEveryPart()
{
    std::set<std::uint64_t> seen;
    for (std::uint64_t seed = 0; seed < 20; ++seed)
        for (std::uint64_t step = 0; step < 20; ++step)
            for (const char* const name : {"dropout", "dropout#2", ""})
                seen.insert(deriveSeed(seed, step, name));
    QCOMPARE(seen.size(), std::size_t(20 * 20 * 3));
    QCOMPARE(deriveSeed(1, 2, "x"), deriveSeed(1, 2, "x"));
}

QTEST_APPLESS_MAIN(RngTest)
#include "rng_test.moc"
