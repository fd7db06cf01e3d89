// Filters against brute force, known planes, known clusters; the session with its undo.
#include <core/scene/cloud/cloud_session.h>

#include <QTest>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <core/base/component_text.h>
#include <core/base/error.h>
#include <core/base/rng.h>
#include <core/scene/cloud/kd_tree.h>
#include <core/scene/cloud/points.h>

using namespace orrery;
using namespace orrery::scene;

namespace {

template <class Action>
QString messageOf(Action&& action)
{
    try {
        action();
    } catch (const core::InputError& error) {
        return QString::fromStdString(error.what());
    }
    return "nothing thrown";
}

double gauss(core::SplitMix64& random)
{
    return std::sqrt(-2 * std::log(1 - random.uniform())) * std::cos(6.283185307179586 * random.uniform());
}

PointCloud scattered(std::size_t count, std::uint64_t seed, bool onGrid = false)
{
    core::SplitMix64 random(seed);
    PointCloud cloud;
    for (std::size_t i = 0; i < 3 * count; ++i)
        cloud.positions.push_back(onGrid ? float(random.below(6)) : float(random.uniform()));
    return cloud;
}

double distance(const PointCloud& cloud, std::size_t a, std::size_t b)
{
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) {
        const double d = double(cloud.positions[3 * a + k]) - double(cloud.positions[3 * b + k]);
        sum += d * d;
    }
    return std::sqrt(sum);
}

// All distances from one point, rising; itself first.
std::vector<double> distancesFrom(const PointCloud& cloud, std::size_t point)
{
    std::vector<double> out;
    for (std::size_t i = 0; i < cloud.size(); ++i)
        out.push_back(distance(cloud, point, i));
    std::sort(out.begin(), out.end());
    return out;
}

FilterResult apply(const PointCloud& cloud, const char* text, std::uint64_t seed = 0, int threads = 2)
{
    jobs::DirectContext context({}, threads);
    const auto filter = core::parseComponentText(cloudFilters(), text);
    TriangleMesh mesh;
    mesh.points = cloud;
    return applyFilter(mesh, filter.id, filter.parameters, seed, context);
}

std::set<std::array<float, 3>> pointSet(const PointCloud& cloud)
{
    std::set<std::array<float, 3>> out;
    for (std::size_t i = 0; i < cloud.size(); ++i)
        out.insert({cloud.positions[3 * i], cloud.positions[3 * i + 1], cloud.positions[3 * i + 2]});
    return out;
}

}  // namespace

class CloudFiltersTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void neighboursEqualBruteForce_data()
    {
        QTest::addColumn<bool>("onGrid");
        QTest::newRow("scattered") << false;
        QTest::newRow("many equal points and ties") << true;
    }
    void neighboursEqualBruteForce()
    {
        QFETCH(bool, onGrid);
        const auto cloud = scattered(700, 3, onGrid);
        const KdTree tree(cloud.positions);
        std::vector<Neighbour> found;
        for (std::size_t i = 0; i < cloud.size(); i += 7) {
            std::vector<Neighbour> all;
            for (std::uint32_t j = 0; j < cloud.size(); ++j)
                all.push_back({j, distance(cloud, i, j) * distance(cloud, i, j)});
            std::sort(all.begin(), all.end(), [](const Neighbour& a, const Neighbour& b) {
                return a.squared < b.squared - 1e-12 || (std::abs(a.squared - b.squared) <= 1e-12 && a.point < b.point);
            });
            for (const std::size_t count : {1, 13, 800}) {
                tree.nearest(&cloud.positions[3 * i], count, found);
                QCOMPARE(found.size(), std::min(count, cloud.size()));
                for (std::size_t k = 0; k < found.size(); ++k)
                    QCOMPARE(found[k].point, all[k].point);
            }
            const double radius = onGrid ? 1.5 : 0.2;
            tree.within(&cloud.positions[3 * i], radius, found);
            QCOMPARE(found.size(),
                     std::size_t(std::count_if(all.begin(), all.end(), [&](const Neighbour& each) { return each.squared <= radius * radius; })));
        }
    }

    void voxelsHoldTheMeansOfTheirPoints()
    {
        auto cloud = scattered(4000, 1);
        cloud.fields = {{"value", {}, 7}};
        for (std::size_t i = 0; i < cloud.size(); ++i) {
            cloud.fields[0].values.push_back(float(i));
            for (int k = 0; k < 3; ++k)
                cloud.colours.push_back(std::uint8_t(i % 200));
        }
        std::map<std::array<int, 3>, std::vector<std::size_t>> cells;
        for (std::size_t i = 0; i < cloud.size(); ++i)
            cells[{int(double(cloud.positions[3 * i]) / 0.25), int(double(cloud.positions[3 * i + 1]) / 0.25),
                   int(double(cloud.positions[3 * i + 2]) / 0.25)}]
                .push_back(i);
        const auto result = apply(cloud, "voxel?size=0.25");
        QCOMPARE(result.mesh.points.size(), cells.size());
        QCOMPARE(result.details.at("voxels").get<std::size_t>(), cells.size());
        const auto& out = result.mesh.points;
        for (std::size_t g = 0; g < out.size(); ++g) {
            const auto& members =
                cells.at({int(out.positions[3 * g] / 0.25f), int(out.positions[3 * g + 1] / 0.25f), int(out.positions[3 * g + 2] / 0.25f)});
            double x = 0, value = 0, red = 0;
            for (const auto i : members) {
                x += cloud.positions[3 * i] / double(members.size());
                value += cloud.fields[0].values[i] / double(members.size());
                red += cloud.colours[3 * i] / double(members.size());
            }
            QVERIFY(std::abs(x - double(out.positions[3 * g])) < 1e-6);
            QVERIFY(std::abs(value - double(out.fields[0].values[g])) < 1e-3);
            QVERIFY(std::abs(red - out.colours[3 * g]) <= 0.5);
        }
        QCOMPARE(out.fields[0].offset, 7.0);
        const auto firsts = pointSet(apply(cloud, "voxel?size=0.25&take=first").mesh.points), all = pointSet(cloud);
        QCOMPARE(firsts.size(), cells.size());
        QVERIFY(std::includes(all.begin(), all.end(), firsts.begin(), firsts.end()));
    }

    void voxelsDrawTheTrianglesBetweenThem()
    {
        TriangleMesh mesh;
        mesh.points.positions = {0, 0, 0, 0.1f, 0, 0, 5, 0, 0, 5, 5, 0};
        mesh.triangles = {0, 2, 3, 0, 1, 2, 1, 2, 3};
        mesh.edges = {0, 1, 1, 3};
        jobs::DirectContext context;
        const auto out = applyFilter(mesh, "voxel", {{"size", 1}}, 0, context).mesh;
        QCOMPARE(out.points.size(), std::size_t(3));
        QCOMPARE(out.triangleCount(), std::size_t(2));  // the one within two voxels is gone
        QCOMPARE(out.edgeCount(), std::size_t(1));
    }

    void aRandomChoiceIsFairAndRepeatable()
    {
        const auto cloud = scattered(1000, 2);
        std::vector<int> hits(1000);
        for (std::uint64_t seed = 0; seed < 400; ++seed) {
            const auto out = apply(cloud, "random?count=100", seed).mesh.points;
            QCOMPARE(pointSet(out).size(), std::size_t(100));
            for (std::size_t i = 0, j = 0; i < out.size(); ++i) {  // in the order of the file
                while (cloud.positions[3 * j] != out.positions[3 * i])
                    QVERIFY(++j < 1000);
                ++hits[j];
            }
        }
        // 400 draws of probability 0.1: mean 40, deviation 6.
        QVERIFY(*std::min_element(hits.begin(), hits.end()) > 10 && *std::max_element(hits.begin(), hits.end()) < 75);
        QVERIFY(apply(cloud, "random?fraction=0.5", 4).mesh.points.positions == apply(cloud, "random?fraction=0.5", 4).mesh.points.positions);
        QVERIFY(apply(cloud, "random?fraction=0.5", 4).mesh.points.positions != apply(cloud, "random?fraction=0.5", 5).mesh.points.positions);
        QCOMPARE(apply(cloud, "random?count=5000").mesh.points.size(), std::size_t(1000));
    }

    void outliersEqualBruteForce()
    {
        const auto cloud = scattered(600, 8);
        std::vector<double> means;
        double sum = 0, squares = 0;
        for (std::size_t i = 0; i < cloud.size(); ++i) {
            const auto distances = distancesFrom(cloud, i);
            means.push_back(std::accumulate(distances.begin() + 1, distances.begin() + 9, 0.0) / 8);
            sum += means.back();
        }
        for (const double each : means)
            squares += (each - sum / 600) * (each - sum / 600);
        const double limit = sum / 600 + 1.5 * std::sqrt(squares / 599);
        std::vector<float> kept, dense;
        for (std::size_t i = 0; i < cloud.size(); ++i) {
            if (means[i] <= limit)
                kept.insert(kept.end(), &cloud.positions[3 * i], &cloud.positions[3 * i] + 3);
            if (distancesFrom(cloud, i)[4] <= 0.12)
                dense.insert(dense.end(), &cloud.positions[3 * i], &cloud.positions[3 * i] + 3);
        }
        QVERIFY(kept.size() < cloud.positions.size() && dense.size() < cloud.positions.size() && dense.size() > 300);
        const auto result = apply(cloud, "statistical_outlier?neighbours=8&deviations=1.5");
        QVERIFY(result.mesh.points.positions == kept);
        QVERIFY(std::abs(result.details.at("limit").get<double>() - limit) < 1e-9);
        QVERIFY(apply(cloud, "radius_outlier?radius=0.12&neighbours=4").mesh.points.positions == dense);
        QVERIFY(apply(cloud, "radius_outlier?radius=0.12&neighbours=4", 0, 1).mesh.points.positions == dense);  // whatever the cores
    }

    void normalsOfASphereLookOutwards()
    {
        core::SplitMix64 random(6);
        PointCloud cloud;
        for (int i = 0; i < 4000; ++i) {
            const double x = gauss(random), y = gauss(random), z = gauss(random), r = std::sqrt(x * x + y * y + z * z);
            cloud.positions.insert(cloud.positions.end(), {float(x / r), float(y / r), float(z / r)});
        }
        const auto result = apply(cloud, "normals?neighbours=12").mesh.points;
        for (std::size_t i = 0; i < result.size(); ++i) {
            double cosine = 0;
            for (std::size_t k = 0; k < 3; ++k)
                cosine += double(result.normals[3 * i + k]) * double(cloud.positions[3 * i + k]);
            QVERIFY2(cosine > 0.97, qPrintable(QString::number(cosine)));
        }
        QVERIFY(findField(result, "curvature")->values[0] < 0.05f);
        // Towards a scanner in the middle they look inwards.
        const auto inwards = apply(cloud, "normals?neighbours=12&orient=viewpoint&viewpoint=0,0,0").mesh.points;
        for (std::size_t i = 0; i < inwards.size(); ++i)
            QVERIFY(inwards.normals[3 * i] * cloud.positions[3 * i] + inwards.normals[3 * i + 1] * cloud.positions[3 * i + 1] +
                        inwards.normals[3 * i + 2] * cloud.positions[3 * i + 2] <
                    -0.97f);
    }

    void aNoisyPlaneIsFound()
    {
        core::SplitMix64 random(9);
        PointCloud cloud = scattered(1000, 10);  // clutter in the unit cube
        cloud.origin = {1000, 2000, 3000};
        for (int i = 0; i < 1500; ++i) {  // z = 0.3 + 0.2 x - 0.1 y, noise of 0.003
            const double x = random.uniform(), y = random.uniform();
            cloud.positions.insert(cloud.positions.end(), {float(x), float(y), float(0.3 + 0.2 * x - 0.1 * y + 0.003 * gauss(random))});
        }
        const auto result = apply(cloud, "plane?distance=0.01", 1);
        const auto plane = result.details.at("plane").get<std::vector<double>>();
        const double length = std::sqrt(0.2 * 0.2 + 0.1 * 0.1 + 1);
        const double expected[] = {-0.2 / length, 0.1 / length, 1 / length};
        for (std::size_t k = 0; k < 3; ++k)
            QVERIFY2(std::abs(plane[k] - expected[k]) < 2e-3, qPrintable(QString::number(plane[k])));
        QVERIFY(std::abs(plane[0] * 1000.5 + plane[1] * 2000.5 + plane[2] * 3000.35 + plane[3]) < 2e-3);
        const auto on = result.details.at("inliers").get<std::size_t>();
        QVERIFY(on > 1480 && on < 1550);
        QCOMPARE(result.mesh.points.size(), cloud.size());
        const auto& marks = findField(result.mesh.points, "plane")->values;
        QCOMPARE(std::size_t(std::count(marks.begin(), marks.end(), 1.0f)), on);
        QCOMPARE(apply(cloud, "plane?distance=0.01&keep=plane", 1).mesh.points.size(), on);
        QCOMPARE(apply(cloud, "plane?distance=0.01&keep=rest", 1).mesh.points.size(), cloud.size() - on);
        PointCloud line;
        for (int i = 0; i < 10; ++i)
            line.positions.insert(line.positions.end(), {float(i), float(i), 0});
        QVERIFY(messageOf([&] { apply(line, "plane?distance=0.1&draws=50"); }).contains("no three points span a plane"));
    }

    void clustersEqualTheDefinition()
    {
        // Three blobs, one of them small, and far noise; then the definition by brute force on scattered points.
        core::SplitMix64 random(12);
        PointCloud cloud;
        const std::array<std::array<double, 4>, 3> blobs = {{{0, 0, 0, 200}, {5, 0, 0, 100}, {0, 5, 5, 40}}};
        for (const auto& blob : blobs)
            for (int i = 0; i < int(blob[3]); ++i)
                for (std::size_t k = 0; k < 3; ++k)
                    cloud.positions.push_back(float(blob[k] + 0.3 * (random.uniform() - 0.5)));
        cloud.positions.insert(cloud.positions.end(), {20, 20, 20, -20, 0, 0});
        const auto result = apply(cloud, "clusters?radius=0.3&minimum=5");
        QCOMPARE(result.details.at("clusters").get<int>(), 3);
        QCOMPARE(result.details.at("noise").get<int>(), 2);
        QVERIFY(result.details.at("largest") == core::Json({200, 100, 40}));
        QCOMPARE(findField(result.mesh.points, "cluster")->values[250], 1.0f);
        QCOMPARE(apply(cloud, "clusters?radius=0.3&minimum=5&keep=largest").mesh.points.size(), std::size_t(200));
        QCOMPARE(apply(cloud, "clusters?radius=0.3&minimum=5&keep=clustered").mesh.points.size(), std::size_t(340));

        const auto loose = scattered(400, 13);
        const auto found = apply(loose, "clusters?radius=0.1&minimum=4").mesh.points;
        const auto& label = findField(found, "cluster")->values;
        std::vector<bool> isCore;
        for (std::size_t i = 0; i < loose.size(); ++i)
            isCore.push_back(distancesFrom(loose, i)[3] <= 0.1);
        for (std::size_t i = 0; i < loose.size(); ++i) {
            bool nearCore = false;
            for (std::size_t j = 0; j < loose.size(); ++j) {
                const bool isNear = distance(loose, i, j) <= 0.1;
                nearCore |= isNear && isCore[j];
                QVERIFY(!(isNear && isCore[i] && isCore[j]) || label[i] == label[j]);
            }
            QCOMPARE(label[i] >= 0, nearCore);
        }
    }

    void cropUsesTheFilesCoordinates()
    {
        auto cloud = scattered(1000, 14);
        cloud.origin = {100, 0, 0};
        const auto in = apply(cloud, "crop?low=100.2,0,0&high=100.5,1,0.5").mesh.points,
                   out = apply(cloud, "crop?low=100.2,0,0&high=100.5,1,0.5&outside=true").mesh.points;
        QCOMPARE(in.size() + out.size(), std::size_t(1000));
        QVERIFY(bounds(in)->low[0] >= 100.2 && bounds(in)->high[0] <= 100.5 && bounds(in)->high[2] <= 0.5);
        QCOMPARE(apply(cloud, "crop?high=100.5,9,9").mesh.points.size() + apply(cloud, "crop?low=100.5,-9,-9").mesh.points.size(), std::size_t(1000));
    }

    void wrongRequestsAreRefused_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("unknown") << "voxels?size=1"
                                 << "did you mean \"voxel\"?";
        QTest::newRow("missing") << "voxel"
                                 << "size";
        QTest::newRow("negative") << "voxel?size=-1"
                                  << "size: expected a number > 0";
        QTest::newRow("tiny") << "voxel?size=1e-9"
                              << "is too small for an extent of";
        QTest::newRow("empty") << "crop?low=5,5,5"
                               << "crop: none of the 100 points would be left";
        QTest::newRow("corner") << "crop?low=1,2"
                                << "expected three coordinates of low, got 2";
        QTest::newRow("order") << "crop?low=1,1,1&high=0,2,2"
                               << "expected low <= high, got 1 > 0 of axis x";
        QTest::newRow("viewpoint") << "normals?orient=viewpoint&viewpoint=1"
                                   << "expected three coordinates of viewpoint, got 1";
        QTest::newRow("key") << "random?part=0.5"
                             << "part";
        QTest::newRow("fraction") << "random?fraction=2"
                                  << "fraction";
        QTest::newRow("text") << "random?fraction"
                              << "expected key=value";
    }
    void wrongRequestsAreRefused()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        const auto said = messageOf([&] { apply(scattered(100, 1), qPrintable(text)); });
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void filtersStopWhenAsked()
    {
        std::stop_source source;
        source.request_stop();
        jobs::DirectContext context(source.get_token(), 1);
        TriangleMesh mesh;
        mesh.points = scattered(5000, 1);
        for (const auto& id : cloudFilters().ids()) {
            core::Json parameters = core::Json::object();
            for (const char* name : {"size", "radius", "distance"})
                if (cloudFilters().at(id).schema.find(name))
                    parameters[name] = 0.1;
            QVERIFY_THROWS_EXCEPTION(core::Cancelled, applyFilter(mesh, id, parameters, 0, context));
        }
    }

    void aSessionUndoesRedoesAndReplays()
    {
        jobs::DirectContext context;
        const auto source = std::make_shared<TriangleMesh>();
        source->points = scattered(1000, 15);
        const CloudSession empty(source);
        QVERIFY(!empty.canUndo() && !empty.canRedo());
        auto session = empty.with("voxel", {{"size", 0.2}}, 0, context).with("random", {{"count", 20}}, 7, context);
        QCOMPARE(session.current().points.size(), std::size_t(20));
        QCOMPARE(session.applied()[0].text(), std::string("voxel?size=0.2"));
        QCOMPARE(session.applied()[1].text(), std::string("random?count=20"));
        QCOMPARE(session.applied()[1].points, std::size_t(20));
        const auto document = session.document();
        const auto final = session.current().points.positions;
        session.undo();
        QVERIFY(session.canRedo() && session.current().points.size() > 20);
        session.redo();
        QVERIFY(session.current().points.positions == final);
        session.undo();
        session.undo();
        QVERIFY(&session.current() == source.get() && !session.canUndo());
        const auto other = session.with("crop", {{"high", {0.5, 1, 1}}}, 0, context);
        QVERIFY(!other.canRedo() && session.canRedo());  // what was undone is forgotten in the new one alone
        QVERIFY(CloudSession::replay(source, core::Json::parse(document.dump()), context).current().points.positions == final);
        QVERIFY(messageOf([&] { CloudSession::replay(source, {{"filters", {{{"name", "x"}}}}}, context); }).contains("expected {\"id\""));
    }
};

QTEST_GUILESS_MAIN(CloudFiltersTest)
#include "cloud_filters_test.moc"
