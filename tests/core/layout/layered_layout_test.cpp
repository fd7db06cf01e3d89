// The layered drawing: what must hold of every picture, and its crossings against the best that brute force finds.
#include <QTest>
#include <algorithm>
#include <numeric>
#include <random>

#include <core/base/error.h>
#include <core/layout/layered.h>
#include <core/layout/layers.h>

#include "../message_of.h"

using namespace orrery;
using namespace orrery::layout;

namespace {

/// A graph whose links lead from lower to higher numbers, boxes of different sizes.
LayeredProblem randomProblem(unsigned seed, int boxes, int links)
{
    std::mt19937 random(seed);
    const auto below = [&](int limit) { return int(random() % unsigned(limit)); };
    LayeredProblem problem;
    for (int i = 0; i < boxes; ++i)
        problem.boxes.push_back({20.0 + below(120), 16.0 + below(60)});
    for (int i = 0; i < links; ++i) {
        const int from = below(boxes - 1), to = from + 1 + below(std::min(boxes - 1 - from, 12));
        problem.links.push_back({from, to, 0, 0, from});
    }
    return problem;
}

struct Rect {
    double left, top, right, bottom;
    bool touches(const Rect& other) const
    {
        constexpr double kSlack = 1e-6;
        return left < other.right - kSlack && other.left < right - kSlack && top < other.bottom - kSlack && other.top < bottom - kSlack;
    }
};

Rect rectOf(const LayeredProblem& problem, const LayeredPicture& picture, std::size_t box)
{
    const auto size = problem.boxes[box];
    const auto centre = picture.centres[box];
    return {centre.x - size.width / 2, centre.y - size.height / 2, centre.x + size.width / 2, centre.y + size.height / 2};
}

/// A stretch of a route against the inside of a box, sampled closely.
bool runsThrough(Point a, Point b, const Rect& box)
{
    for (int i = 0; i <= 400; ++i) {
        const double share = i / 400.0, x = a.x + (b.x - a.x) * share, y = a.y + (b.y - a.y) * share;
        if (x > box.left + 0.01 && x < box.right - 0.01 && y > box.top + 0.01 && y < box.bottom - 0.01)
            return true;
    }
    return false;
}

QString overlapIn(const LayeredProblem& problem, const LayeredPicture& picture)
{
    for (std::size_t a = 0; a < problem.boxes.size(); ++a)
        for (std::size_t b = a + 1; b < problem.boxes.size(); ++b)
            if (rectOf(problem, picture, a).touches(rectOf(problem, picture, b)))
                return QString("boxes %1 and %2 overlap").arg(a).arg(b);
    return {};
}

/// The fewest crossings that any order of the layers has.
std::int64_t fewest(Layers layers, std::size_t layer = 0)
{
    if (layer == layers.order.size())
        return allCrossings(layers);
    auto order = layers.order[layer];
    std::sort(order.begin(), order.end());
    std::int64_t best = std::numeric_limits<std::int64_t>::max();
    do {
        layers.setOrder(layer, order);
        best = std::min(best, fewest(layers, layer + 1));
    } while (std::next_permutation(order.begin(), order.end()));
    return best;
}

/// Crossings counted pair by pair.
std::int64_t slowCrossings(const Layers& layers)
{
    std::int64_t crossings = 0;
    for (std::size_t i = 0; i < layers.stretches.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
            const auto &a = layers.stretches[i], &b = layers.stretches[j];
            if (layers.rank[std::size_t(a.upper)] != layers.rank[std::size_t(b.upper)])
                continue;
            const double upper = layers.position[std::size_t(a.upper)] + a.upperShare - layers.position[std::size_t(b.upper)] - b.upperShare;
            const double lower = layers.position[std::size_t(a.lower)] + a.lowerShare - layers.position[std::size_t(b.lower)] - b.lowerShare;
            crossings += upper * lower < 0;
        }
    return crossings;
}

}  // namespace

class LayeredLayoutTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void boxesDoNotOverlapAndLinesLeadDown_data();
    void boxesDoNotOverlapAndLinesLeadDown();
    void linesRunThroughNoBox();
    void crossingsAreCountedAsPairByPair();
    void crossingsAreNearTheFewest();
    void theSameProblemGivesTheSamePicture();
    void cyclesAreBrokenAtTheLinesThatLeadBack();
    void chainsStandStraight();
    void longLinesRunStraight();
    void portsStandAtTheEdges();
    void boxesWithoutLinksStandInRows();
    void linksOfOneBundleShareTheirWay();
    void refusesLinksToNothing();
    void emptyProblemsGiveEmptyPictures();
    void stopsWhenAsked();
};

void LayeredLayoutTest::boxesDoNotOverlapAndLinesLeadDown_data()
{
    QTest::addColumn<int>("boxes");
    QTest::addColumn<int>("links");
    QTest::addColumn<unsigned>("seed");
    for (const auto& [boxes, links] : {std::pair(2, 1), {10, 12}, {40, 60}, {120, 200}, {300, 330}, {60, 400}})
        for (unsigned seed = 1; seed <= 4; ++seed)
            QTest::newRow(qPrintable(QString("%1 boxes, %2 links, seed %3").arg(boxes).arg(links).arg(seed))) << boxes << links << seed;
}

void LayeredLayoutTest::boxesDoNotOverlapAndLinesLeadDown()
{
    QFETCH(int, boxes);
    QFETCH(int, links);
    QFETCH(unsigned, seed);
    const auto problem = randomProblem(seed, boxes, links);
    const auto picture = layoutLayered(problem);
    QCOMPARE(overlapIn(problem, picture), QString());
    for (std::size_t i = 0; i < problem.links.size(); ++i) {
        const auto& points = picture.routes[i];
        QVERIFY(!picture.upward[i] && points.size() >= 2);
        for (std::size_t k = 1; k < points.size(); ++k)
            QVERIFY(points[k].y >= points[k - 1].y);
        QVERIFY(points.back().y > points.front().y);
        const auto from = rectOf(problem, picture, std::size_t(problem.links[i].from)),
                   to = rectOf(problem, picture, std::size_t(problem.links[i].to));
        QCOMPARE(points.front().y, from.bottom);
        QCOMPARE(points.back().y, to.top);
    }
    for (std::size_t box = 0; box < problem.boxes.size(); ++box) {
        const auto rect = rectOf(problem, picture, box);
        QVERIFY(rect.left >= -1e-6 && rect.top >= -1e-6 && rect.right <= picture.size.width + 1e-6 && rect.bottom <= picture.size.height + 1e-6);
    }
}

void LayeredLayoutTest::linesRunThroughNoBox()
{
    for (unsigned seed = 1; seed <= 6; ++seed) {
        const auto problem = randomProblem(seed, 40, 60);
        const auto picture = layoutLayered(problem);
        for (std::size_t i = 0; i < problem.links.size(); ++i)
            for (std::size_t box = 0; box < problem.boxes.size(); ++box)
                for (std::size_t k = 1; k < picture.routes[i].size(); ++k)
                    QVERIFY2(!runsThrough(picture.routes[i][k - 1], picture.routes[i][k], rectOf(problem, picture, box)),
                             qPrintable(QString("seed %1: link %2 runs through box %3").arg(seed).arg(i).arg(box)));
    }
}

void LayeredLayoutTest::crossingsAreCountedAsPairByPair()
{
    for (unsigned seed = 1; seed <= 20; ++seed) {
        auto layers = makeLayers(randomProblem(seed, 30, 70));
        QCOMPARE(allCrossings(layers), slowCrossings(layers));
        orderLayers(layers, {});
        QCOMPARE(allCrossings(layers), slowCrossings(layers));
    }
}

void LayeredLayoutTest::crossingsAreNearTheFewest()
{
    std::int64_t ours = 0, best = 0;
    for (unsigned seed = 1; seed <= 60; ++seed) {
        std::mt19937 random(seed);
        LayeredProblem problem;
        for (int i = 0; i < 12; ++i)  // three layers of four
            problem.boxes.push_back({30, 20});
        for (int i = 0; i < 14; ++i) {
            const int layer = int(random() % 2);
            problem.links.push_back({layer * 4 + int(random() % 4), layer * 4 + 4 + int(random() % 4), 0, 0, i});
        }
        auto layers = makeLayers(problem);
        const auto least = fewest(layers);
        orderLayers(layers, {});
        const auto found = allCrossings(layers);
        QVERIFY(found >= least);
        QVERIFY2(found <= least + 2 + least / 2, qPrintable(QString("seed %1: %2 crossings, the fewest are %3").arg(seed).arg(found).arg(least)));
        ours += found;
        best += least;
    }
    QVERIFY2(best >= 20, qPrintable(QString("hardly anything crosses: %1").arg(best)));
    QVERIFY2(double(ours) <= 1.1 * double(best), qPrintable(QString("%1 crossings, the fewest are %2").arg(ours).arg(best)));
}

void LayeredLayoutTest::theSameProblemGivesTheSamePicture()
{
    const auto problem = randomProblem(5, 80, 150);
    const auto a = layoutLayered(problem), b = layoutLayered(problem);
    QVERIFY(a.centres == b.centres && a.routes == b.routes && a.size == b.size);
}

void LayeredLayoutTest::cyclesAreBrokenAtTheLinesThatLeadBack()
{
    LayeredProblem problem;
    problem.boxes.assign(4, {40, 20});
    problem.links = {{0, 1}, {1, 2}, {2, 3}, {3, 1}, {2, 2}};
    const auto picture = layoutLayered(problem);
    const std::vector<bool> expected{false, false, false, true, true};
    QVERIFY(picture.upward == expected);
    QCOMPARE(overlapIn(problem, picture), QString());
    QVERIFY(picture.centres[0].y < picture.centres[1].y && picture.centres[1].y < picture.centres[2].y &&
            picture.centres[2].y < picture.centres[3].y);
    QVERIFY(picture.routes[3].front().y > picture.routes[3].back().y);
    QVERIFY(picture.routes[4].empty());
}

void LayeredLayoutTest::chainsStandStraight()
{
    LayeredProblem problem;
    for (int i = 0; i < 8; ++i)
        problem.boxes.push_back({30.0 + 10 * i, 20});
    for (int i = 0; i < 7; ++i)
        problem.links.push_back({i, i + 1});
    const auto picture = layoutLayered(problem);
    for (const auto& centre : picture.centres)
        QVERIFY(std::abs(centre.x - picture.centres[0].x) < 1e-6);
    QCOMPARE(picture.crossings, std::int64_t(0));
}

// A residual connection beside a chain: the long line is upright except at its ends.
void LayeredLayoutTest::longLinesRunStraight()
{
    LayeredProblem problem;
    problem.boxes.assign(6, {80, 20});
    for (int i = 0; i < 5; ++i)
        problem.links.push_back({i, i + 1, 0, 0, i});
    problem.links.push_back({0, 5, 0, 0, 0});
    const auto picture = layoutLayered(problem);
    const auto& points = picture.routes[5];
    QVERIFY(points.size() >= 8);
    for (std::size_t k = 1; k + 1 < points.size(); ++k)
        QVERIFY(std::abs(points[k].x - points[1].x) < 1e-6);
    QCOMPARE(picture.crossings, std::int64_t(0));
}

void LayeredLayoutTest::portsStandAtTheEdges()
{
    LayeredProblem problem;
    problem.boxes = {{60, 20}, {60, 20}, {0, 0}, {0, 0}};
    problem.places = {Place::Free, Place::Free, Place::Top, Place::Bottom};
    problem.links = {{2, 1}, {0, 1}, {0, 3}};
    const auto picture = layoutLayered(problem);
    QCOMPARE(picture.centres[2].y, 0.0);
    QCOMPARE(picture.centres[3].y, picture.size.height);
    QVERIFY(picture.centres[0].y > 0 && picture.centres[1].y > picture.centres[0].y && picture.centres[1].y < picture.size.height);
}

void LayeredLayoutTest::boxesWithoutLinksStandInRows()
{
    LayeredProblem problem;
    problem.boxes.assign(500, {90, 30});
    const auto picture = layoutLayered(problem);
    QCOMPARE(overlapIn(problem, picture), QString());
    QVERIFY2(picture.size.width < 4 * picture.size.height && picture.size.height < 4 * picture.size.width, "neither a row nor a column");
}

void LayeredLayoutTest::linksOfOneBundleShareTheirWay()
{
    LayeredProblem problem;  // one mask that every box of a chain reads
    problem.boxes.assign(41, {60, 20});
    for (int i = 1; i < 40; ++i)
        problem.links.push_back({i, i + 1, 0, 0, i});
    for (int i = 1; i <= 40; ++i)
        problem.links.push_back({0, i, 0, 0, 1000});
    const auto layers = makeLayers(problem);
    QVERIFY2(layers.rank.size() <= 41 + 40, qPrintable(QString::number(layers.rank.size())));
    for (auto& link : problem.links)
        link.bundle = -1;
    QVERIFY(makeLayers(problem).rank.size() > 41 + 500);
}

void LayeredLayoutTest::refusesLinksToNothing()
{
    LayeredProblem problem;
    problem.boxes.assign(2, {10, 10});
    problem.links = {{0, 2}};
    QCOMPARE(messageOf([&] { layoutLayered(problem); }), std::string("layout: expected boxes 0..1 in a link, got 0 and 2"));
    problem.links = {{-1, 0}};
    QVERIFY(messageOf([&] { layoutLayered(problem); }).find("got -1 and 0") != std::string::npos);
}

void LayeredLayoutTest::emptyProblemsGiveEmptyPictures()
{
    const auto picture = layoutLayered({});
    QCOMPARE(picture.size.width, 0.0);
    QVERIFY(picture.centres.empty());
}

void LayeredLayoutTest::stopsWhenAsked()
{
    std::stop_source source;
    source.request_stop();
    bool stopped = false;
    try {
        layoutLayered(randomProblem(1, 40, 60), source.get_token());
    } catch (const core::Cancelled&) {
        stopped = true;
    }
    QVERIFY(stopped);
}

QTEST_APPLESS_MAIN(LayeredLayoutTest)
#include "layered_layout_test.moc"
