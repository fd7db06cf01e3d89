// What Gaussians are like, in numbers that are known.
#include <QTest>
#include <cmath>
#include <limits>
#include <numeric>

#include <core/base/error.h>
#include <core/scene/splat/statistics.h>

#include "scenes.h"

using namespace orrery;
using namespace orrery::scene;

namespace {

float logitOf(double p)
{
    return float(std::log(p / (1 - p)));
}

/// Opacities 0.15, 0.55, 0.95, 0.001, in the middle of bins; largest deviations 0.01, 0.1, 1, 10.
Splats four()
{
    Splats splats;
    splats.resize(4, 1);
    const double opacities[] = {0.15, 0.55, 0.95, 0.001};
    for (std::size_t i = 0; i < 4; ++i) {
        splats.means[3 * i] = float(i);
        splats.means[3 * i + 2] = -2 * float(i);
        for (std::size_t k = 0; k < 3; ++k)
            splats.scales[3 * i + k] = float(std::log(std::pow(10, double(i) - 2)) - double(k));
        splats.rotations[4 * i + 1] = 3;
        splats.opacities[i] = logitOf(opacities[i]);
        splats.harmonics[12 * i + 2] = 1;
    }
    return splats;
}

}  // namespace

class SplatStatisticsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void countsBoundsAndMediansAreTheClosedForm()
    {
        const auto found = splatStatistics(four(), 10);
        QCOMPARE(found.count, std::size_t(4));
        QCOMPARE(found.degree, 1);
        QVERIFY((found.box == std::array<double, 6>{0, 0, -6, 3, 0, 0}));
        QCOMPARE(found.faint, std::size_t(1));
        QVERIFY(std::abs(found.medianOpacity - 0.55) < 1e-6);
        QVERIFY(std::abs(found.medianSize - 1) < 1e-5);
        QCOMPARE(found.opacity.counts, (std::vector<std::size_t>{1, 1, 0, 0, 0, 1, 0, 0, 0, 1}));
        QVERIFY(std::abs(found.size.low + 2) < 1e-6 && std::abs(found.size.high - 1) < 1e-6);
        QCOMPARE(found.size.counts[0] + found.size.counts[9], std::size_t(2));
        QCOMPARE(found.bytes, sizeof(float) * 4 * (3 + 3 + 4 + 1 + 12));
    }

    void oneGaussianIsInUnitsThatPeopleRead()
    {
        const auto values = gaussianValues(four(), 2);
        QVERIFY((values.centre == std::array<double, 3>{2, 0, -4}));
        QVERIFY(std::abs(values.deviations[0] - 1) < 1e-6 && std::abs(values.deviations[1] - std::exp(-1)) < 1e-6);
        QVERIFY((values.rotation == std::array<double, 4>{0, 1, 0, 0}));
        QVERIFY(std::abs(values.opacity - 0.95) < 1e-6);
        QVERIFY(std::abs(values.colour[0] - 0.5) < 1e-9 && std::abs(values.colour[2] - 0.78209479) < 1e-6);
        QCOMPARE(values.harmonics.size(), std::size_t(12));
        QVERIFY_EXCEPTION_THROWN(gaussianValues(four(), 4), core::InputError);
    }

    void nothingAndWhatIsNotFiniteCountInNoHistogram()
    {
        QCOMPARE(splatStatistics({}).count, std::size_t(0));
        QVERIFY(splatStatistics({}).opacity.counts.empty());
        auto splats = four();
        splats.opacities[1] = std::numeric_limits<float>::quiet_NaN();
        splats.scales[0] = std::numeric_limits<float>::infinity();
        const auto found = splatStatistics(splats, 5);
        QCOMPARE(std::accumulate(found.opacity.counts.begin(), found.opacity.counts.end(), std::size_t(0)), std::size_t(3));
        QCOMPARE(std::accumulate(found.size.counts.begin(), found.size.counts.end(), std::size_t(0)), std::size_t(3));
    }
};

QTEST_APPLESS_MAIN(SplatStatisticsTest)
#include "splat_statistics_test.moc"
