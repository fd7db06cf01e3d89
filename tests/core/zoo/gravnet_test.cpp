// GravNetNorm against its definition by loops in double, and what must hold of any graph between points. Training: the learned graph beside nearest neighbours.
#include <ATen/ATen.h>

#include <QtTest>
#include <cmath>

#include <core/base/error.h>
#include <core/graph/executor.h>
#include <core/graph/inspect.h>
#include <core/train/trainer.h>
#include <core/zoo/zoo.h>

using namespace orrery;

namespace {

graph::RunResult runKeeping(const graph::Model& model, const at::Tensor& input, const std::vector<std::string>& names)
{
    graph::RunRequest request;
    request.inputs = {input};
    for (const auto& name : names)
        request.keep.push_back(model.card.canonicalNames.at(name));
    return graph::Executor(model.graph).run(model.weights, request);
}

at::Tensor kept(const graph::Model& model, const graph::RunResult& result, const std::string& name)
{
    return result.value(model.card.canonicalNames.at(name));
}

struct NoSink : train::RunSink {
    void metric(const std::string&, std::int64_t, double) override {}
    void artifact(const std::string&, const std::string&, std::optional<std::int64_t>, const std::string&) override {}
    void removeArtifact(const std::string&) override {}
};

double testAccuracy(const std::string& model)
{
    const core::Json document = {
        {"name", "points"},
        {"seed", 0},
        {"model", model},
        {"data", "digits"},
        {"train", {{"epochs", 15}, {"batch_size", 32}, {"optimizer", {{"id", "adamw"}, {"lr", 0.004}}}, {"schedule", {{"id", "cosine"}}}}}};
    NoSink sink;
    jobs::DirectContext context;
    return train::trainExperiment(train::resolveExperiment(document), context, sink).metrics.at("test/accuracy");
}

}  // namespace

class GravNetTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void theGraphIsTheSoftmaxOfDistancesOnTheSphere()
    {
        const auto model = zoo::openZoo("zoo:gravnet?input=points&point_features=5&layers=1&width=6&space=3&reach=0.7", 3);
        const auto points = at::randn({2, 9, 5});
        const auto result = runKeeping(model, points, {"graph.0"});
        const auto& weights = model.weights;
        const auto layer = [&](const at::Tensor& x, const std::string& name) {
            return at::relu(at::linear(x, weights.at(name + ".weight").to(at::kDouble), weights.at(name + ".bias").to(at::kDouble)));
        };
        const auto embedded = layer(layer(points.to(at::kDouble), "embed.1"), "embed.2");
        const auto space =
            at::linear(embedded, weights.at("layers.0.space.weight").to(at::kDouble), weights.at("layers.0.space.bias").to(at::kDouble));
        const auto places = space.accessor<double, 3>();
        const auto graph = kept(model, result, "graph.0");
        for (int b = 0; b < 2; ++b)
            for (int i = 0; i < 9; ++i) {
                const auto unit = [&](int p, int k) {
                    double sum = 0;
                    for (int c = 0; c < 3; ++c)
                        sum += places[b][p][c] * places[b][p][c];
                    return places[b][p][k] / std::sqrt(sum);
                };
                std::vector<double> expected(9);
                double total = 0;
                for (int j = 0; j < 9; ++j) {
                    double distance = 0;
                    for (int k = 0; k < 3; ++k)
                        distance += std::pow(unit(i, k) - unit(j, k), 2);
                    total += expected[std::size_t(j)] = std::exp(-distance / 0.49);
                }
                for (int j = 0; j < 9; ++j)
                    QVERIFY(std::abs(graph[b][i][j].item<double>() - expected[std::size_t(j)] / total) < 1e-6);
            }
    }

    void theOrderOfThePointsDoesNotMatter_data()
    {
        QTest::addColumn<QString>("graph");
        QTest::newRow("learned") << "learned";
        QTest::newRow("nearest") << "nearest";
    }
    void theOrderOfThePointsDoesNotMatter()
    {
        QFETCH(QString, graph);
        const auto model = zoo::openZoo("zoo:gravnet?input=points&point_features=4&graph=" + graph.toStdString(), 1);
        const auto points = at::randn({3, 40, 4});
        const graph::Executor executor(model.graph);
        const auto first = executor.forward(model.weights, {points});
        const auto second = executor.forward(model.weights, {points.index_select(1, at::randperm(40))});
        QVERIFY((first - second).abs().max().item<double>() < 1e-6 * std::max(1.0, first.abs().max().item<double>()));
        QVERIFY(first.std().item<double>() > 1e-3);
    }

    void withAnEndlessReachAllAreHeardAlike()
    {
        const auto model = zoo::openZoo("zoo:gravnet?input=points&layers=1&reach=1e9", 1);
        const auto result = runKeeping(model, at::randn({2, 17, 3}), {"graph.0"});
        QVERIFY(at::equal(kept(model, result, "graph.0"), at::full({2, 17, 17}, 1.f / 17)));
    }

    void nearestNeighboursAreThoseOfABruteForce()
    {
        const auto model = zoo::openZoo("zoo:gravnet?input=points&point_features=3&coordinates=2&layers=1&graph=nearest&neighbours=4", 1);
        const auto points = at::randn({1, 25, 3});
        const auto graph = kept(model, runKeeping(model, points, {"graph.0"}), "graph.0")[0];
        for (int i = 0; i < 25; ++i) {
            std::vector<std::pair<double, int>> order;
            for (int j = 0; j < 25; ++j)
                order.emplace_back((points[0][i] - points[0][j]).narrow(0, 0, 2).to(at::kDouble).square().sum().item<double>(), j);
            std::sort(order.begin(), order.end());
            for (int n = 0; n < 25; ++n)
                QCOMPARE(graph[i][order[std::size_t(n)].second].item<float>(), n < 4 ? 0.25f : 0.f);
        }
    }

    void pixelsArePointsWithTheirPlaces()
    {
        const auto model = zoo::openZoo("zoo:gravnet?image_size=4&channels=2", 1);
        const auto image = at::randn({2, 2, 4, 4});
        const auto points = kept(model, runKeeping(model, image, {"points"}), "points");
        QCOMPARE(points.sizes().vec(), (std::vector<std::int64_t>{2, 16, 4}));
        for (int row = 0; row < 4; ++row)
            for (int column = 0; column < 4; ++column) {
                const auto point = points[1][4 * row + column];
                QVERIFY(std::abs(point[0].item<double>() - (-0.75 + 0.5 * row)) < 1e-6);
                QVERIFY(std::abs(point[1].item<double>() - (-0.75 + 0.5 * column)) < 1e-6);
                QVERIFY(at::equal(point.narrow(0, 2, 2), image.select(0, 1).select(1, row).select(1, column)));
            }
    }

    void contradictionsAreRefused_data()
    {
        QTest::addColumn<QString>("reference");
        QTest::addColumn<QString>("message");
        QTest::newRow("coordinates") << "zoo:gravnet?input=points&point_features=2"
                                     << "expected at most as many coordinates as a point has features, 2, got 3";
        QTest::newRow("neighbours") << "zoo:gravnet?image_size=4&graph=nearest&neighbours=17"
                                    << "expected at most 16 neighbours";
        QTest::newRow("reach") << "zoo:gravnet?reach=0"
                               << "reach: expected a number > 0";
    }
    void contradictionsAreRefused()
    {
        QFETCH(QString, reference);
        QFETCH(QString, message);
        try {
            zoo::openZoo(reference.toStdString(), 0);
            QFAIL("no error");
        } catch (const core::Error& error) {
            QVERIFY2(QString(error.what()).contains(message), error.what());
        }
    }

    void onDigitsTheLearnedGraphIsAboutAsGoodAsNearestNeighbours()
    {
        const double learned = testAccuracy("zoo:gravnet"), nearest = testAccuracy("zoo:gravnet?graph=nearest");
        qInfo("accuracy on the test part of the digits: learned graph %.4f, nearest neighbours %.4f", learned, nearest);
        QVERIFY(learned > 0.6);
        QVERIFY(learned > nearest - 0.05);
    }
};

QTEST_GUILESS_MAIN(GravNetTest)
#include "gravnet_test.moc"
