#include <QTest>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <core/base/error.h>
#include <core/store/points.h>

using namespace orrery;
using namespace orrery::store;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

bool sameBits(const std::vector<double>& a, const std::vector<double>& b)
{
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

}  // namespace

class PointsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void readsBackWhatItWrote_data()
    {
        QTest::addColumn<QList<qint64>>("steps");
        QTest::addColumn<QList<double>>("values");
        QTest::newRow("empty") << QList<qint64>{} << QList<double>{};
        QTest::newRow("one") << QList<qint64>{7} << QList<double>{0.5};
        QTest::newRow("not finite") << QList<qint64>{1, 2, 3} << QList<double>{kNaN, kInf, -kInf};
        QTest::newRow("backwards") << QList<qint64>{5, 3, -100} << QList<double>{1, 2, 3};
        QTest::newRow("extreme steps") << QList<qint64>{INT64_MIN, INT64_MAX, 0, INT64_MAX, INT64_MIN} << QList<double>{1, -0.0, 5e-324, 1.7e308, 3};
    }
    void readsBackWhatItWrote()
    {
        QFETCH(QList<qint64>, steps);
        QFETCH(QList<double>, values);
        Points points;
        for (qsizetype i = 0; i < steps.size(); ++i)
            points.add(steps[i], values[i], 1700000000000 + i);
        Points back;
        decode(encode(points, 0, points.size()), back);
        QVERIFY(back.steps == points.steps);
        QVERIFY(back.times == points.times);
        QVERIFY(sameBits(back.values, points.values));
    }

    void ordinaryPointsTakeTenBytes()
    {
        Points points;
        for (int i = 0; i < 4096; ++i)
            points.add(i, 1.0 / (i + 1), 1700000000000 + i / 3);
        QVERIFY(encode(points, 0, points.size()).size() < 4096 * 10 + 64);
    }

    void damagedBytesAreRefused()
    {
        Points points;
        for (int i = 0; i < 100; ++i)
            points.add(i, i, i);
        const std::string good = encode(points, 0, points.size());
        for (std::size_t length = 0; length < good.size(); ++length) {
            Points back;
            QVERIFY_THROWS_EXCEPTION(core::StorageError, decode(std::string_view(good).substr(0, length), back));
        }
        QVERIFY_THROWS_EXCEPTION(core::StorageError, decodeBuckets(""));
        QVERIFY_THROWS_EXCEPTION(core::StorageError, decodeBuckets("\1abc"));
    }

    void bucketIgnoresNaNButNotInfinity()
    {
        Points points;
        for (const double value : {kNaN, 2.0, -kInf, 5.0, 5.0, kNaN})
            points.add(std::int64_t(points.size()) + 10, value, 1000 * std::int64_t(points.size()));
        const MetricBucket bucket = bucketOf(points, 0, points.size());
        QCOMPARE(bucket.points, 6);
        QCOMPARE(bucket.nans, 2);
        QCOMPARE(bucket.minimum, -kInf);
        QCOMPARE(bucket.minimumStep, 12);
        QCOMPARE(bucket.maximum, 5.0);
        QCOMPARE(bucket.maximumStep, 13);
        QCOMPARE(bucket.firstStep, 10);
        QCOMPARE(bucket.lastStep, 15);
        QCOMPARE(bucket.lastTime, 5.0);
        const MetricBucket onlyNaN = bucketOf(points, 5, 6);
        QVERIFY(std::isnan(onlyNaN.minimum) && std::isnan(onlyNaN.maximum) && std::isnan(onlyNaN.mean));
    }

    void mergedBucketsEqualOneBucketOfAll()
    {
        std::mt19937 random(1);
        std::normal_distribution<double> normal;
        Points points;
        for (int i = 0; i < 1000; ++i)
            points.add(i, random() % 7 ? normal(random) : kNaN, i);
        for (const std::size_t cut : {1, 300, 999}) {
            MetricBucket merged = bucketOf(points, 0, cut);
            merge(merged, bucketOf(points, cut, 1000));
            const MetricBucket whole = bucketOf(points, 0, 1000);
            QCOMPARE(merged.points, whole.points);
            QCOMPARE(merged.nans, whole.nans);
            QCOMPARE(merged.minimum, whole.minimum);
            QCOMPARE(merged.maximum, whole.maximum);
            QCOMPARE(merged.minimumStep, whole.minimumStep);
            QCOMPARE(merged.maximumStep, whole.maximumStep);
            QVERIFY(std::abs(merged.mean - whole.mean) < 1e-12);
        }
    }

    void bucketsReadBack()
    {
        Points points;
        for (int i = 0; i < 128; ++i)
            points.add(i, i == 3 ? kNaN : i * 0.5, i);
        const std::vector<MetricBucket> buckets{bucketOf(points, 0, 64), bucketOf(points, 64, 128)};
        const auto back = decodeBuckets(encode(buckets));
        QCOMPARE(back.size(), std::size_t(2));
        QCOMPARE(back[0].nans, 1);
        QCOMPARE(back[1].firstStep, 64);
        QCOMPARE(back[1].maximum, 63.5);
        QCOMPARE(back[1].mean, buckets[1].mean);
    }
};

QTEST_APPLESS_MAIN(PointsTest)
#include "points_test.moc"
