#include <core/scene/cloud/levels.h>

#include <QTest>
#include <cmath>
#include <set>

#include <core/base/error.h>
#include <core/base/rng.h>

using namespace orrery;
using namespace orrery::scene;

namespace {

// Points on a wavy sheet, one half of it sampled ten times as densely as the other.
std::vector<float> sheet(std::size_t count)
{
    core::SplitMix64 random(5);
    std::vector<float> positions;
    for (std::size_t i = 0; i < count; ++i) {
        const double x = i % 11 == 0 ? random.uniform() : 1 + random.uniform();
        const double y = 2 * random.uniform();
        positions.insert(positions.end(), {float(x), float(y), float(0.1 * std::sin(5 * x))});
    }
    return positions;
}

std::array<int, 3> cellOf(const std::vector<float>& positions, std::uint32_t point, int level)
{
    // The sheet's bounding cube is [0, 2]^3 up to rounding; its z begins at -0.1.
    const auto cell = [&](std::size_t k, double low) { return int(std::floor((positions[3 * point + k] - low) / 2.0 * std::pow(2.0, level))); };
    return {cell(0, 0), cell(1, 0), cell(2, -0.1)};
}

}  // namespace

class LevelsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void theOrderIsAPermutation()
    {
        const auto positions = sheet(5000);
        const auto levels = makeLevels(positions);
        QCOMPARE(levels.order.size(), std::size_t(5000));
        QCOMPARE(std::set<std::uint32_t>(levels.order.begin(), levels.order.end()).size(), std::size_t(5000));
        QCOMPARE(levels.ends.front(), std::size_t(1));
        QCOMPARE(levels.ends.back(), std::size_t(5000));
        QVERIFY(std::is_sorted(levels.ends.begin(), levels.ends.end()));
    }

    void eachLevelHasOnePointForEachOccupiedCell()
    {
        // Corners fix the bounding cube, so that cells can be counted by hand.
        std::vector<float> positions = {0, 0, 0, 1, 1, 1};
        core::SplitMix64 random(1);
        for (int i = 0; i < 3 * 4000; ++i)
            positions.push_back(float(random.uniform()));
        const auto levels = makeLevels(positions);
        for (int level = 0; level < 6; ++level) {
            std::set<std::array<int, 3>> all, drawn;
            const auto cell = [&](std::uint32_t point) {
                std::array<int, 3> out{};
                for (std::size_t k = 0; k < 3; ++k)
                    out[k] = std::min(int(positions[3 * point + k] * float(1 << level)), (1 << level) - 1);
                return out;
            };
            for (std::uint32_t i = 0; i < positions.size() / 3; ++i)
                all.insert(cell(i));
            for (std::size_t i = 0; i < levels.ends[std::size_t(level)]; ++i)
                drawn.insert(cell(levels.order[i]));
            QCOMPARE(drawn.size(), all.size());
            QCOMPARE(levels.ends[std::size_t(level)], all.size());
        }
    }

    void anyPrefixIsSpreadEvenly()
    {
        // The sparse half of the sheet holds one point in eleven; a budget still shows both halves alike.
        const auto positions = sheet(60000);
        const auto levels = makeLevels(positions);
        for (const std::size_t budget : {700, 1000, 1500, 3000}) {
            std::size_t sparse = 0;
            std::set<std::array<int, 3>> cells;
            for (std::size_t i = 0; i < budget; ++i) {
                sparse += positions[3 * levels.order[i]] < 1;
                cells.insert(cellOf(positions, levels.order[i], 3));
            }
            const double share = double(sparse) / double(budget);
            QVERIFY2(share > 0.38 && share < 0.62, qPrintable(QString::number(share)));
            QVERIFY(cells.size() >= 60);  // of the 64 columns of cells over the sheet
        }
    }

    void equalPointsAndSmallCloudsAreFine()
    {
        QVERIFY(makeLevels({}).order.empty());
        const std::vector<float> one = {3, 4, 5};
        QCOMPARE(makeLevels(one).order, std::vector<std::uint32_t>{0});
        const std::vector<float> equal(3 * 100, 7.0f);
        const auto levels = makeLevels(equal);
        QCOMPARE(std::set<std::uint32_t>(levels.order.begin(), levels.order.end()).size(), std::size_t(100));
        const std::vector<float> wide = {-3e38f, 0, 0, 3e38f, 1, 1};
        QCOMPARE(makeLevels(wide).order.size(), std::size_t(2));
    }

    void stopsWhenAsked()
    {
        std::stop_source source;
        source.request_stop();
        QVERIFY_THROWS_EXCEPTION(core::Cancelled, makeLevels(sheet(100), source.get_token()));
    }

    void picksTheNearestPointInTheCone()
    {
        const std::vector<float> positions = {0, 0, 5, 0, 0, 3, 0, 0, -1, 0.5f, 0, 1};
        PickCone cone{{0, 0, 0}, {0, 0, 1}, 0, 0.01, {}};
        const auto picked = pickPoint(positions, cone);
        QVERIFY(picked);
        QCOMPARE(picked->point, 1u);
        QCOMPARE(picked->depth, 3.0);
        QCOMPARE(picked->distance, 0.0);
        cone.slope = 0.6;  // wide enough for the point at the side
        QCOMPARE(pickPoint(positions, cone)->point, 3u);
        cone.box = {{{-1, -1, 4}, {1, 1, 9}}};  // a clip box hides what is outside
        QCOMPARE(pickPoint(positions, cone)->point, 0u);
        cone.box = {{{8, 8, 8}, {9, 9, 9}}};
        QVERIFY(!pickPoint(positions, cone));
    }

    void aParallelViewPicksWithinARadius()
    {
        const std::vector<float> positions = {1, 0.2f, 10, 1, 0.05f, 20};
        const PickCone cone{{1, 0, 0}, {0, 0, 1}, 0.1, 0, {}};
        QCOMPARE(pickPoint(positions, cone)->point, 1u);
    }
};

QTEST_GUILESS_MAIN(LevelsTest)
#include "levels_test.moc"
