// PCA against the covariance matrix; UMAP step by step against its formulas, and on the bundled digits; trustworthiness by its definition.
#include <ATen/ATen.h>

#include <QTest>

#include <cmath>
#include <numeric>

#include <core/base/error.h>
#include <core/data/dataset.h>
#include <core/intervene/neighbours.h>
#include <core/intervene/pca.h>
#include <core/intervene/projection.h>
#include <core/intervene/umap.h>

using namespace orrery;
using namespace orrery::intervene;
using core::Json;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    auto generator = at::detail::createCPUGenerator(seed);
    return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble));
}

QString said(const std::function<void()>& call)
{
    try {
        call();
    } catch (const core::Error& error) {
        return QString::fromStdString(error.what());
    }
    return {};
}

/// Pixels and classes of all digits.
std::pair<at::Tensor, at::Tensor> digits(std::int64_t count)
{
    const auto data = data::openData("digits");
    std::vector<std::int64_t> all(std::size_t(std::min(count, data->size())));
    std::iota(all.begin(), all.end(), 0);
    const auto batch = data->fetch(all);
    return {batch.inputs[0].flatten(1), batch.targets};
}

/// By the definition, all pairs.
double trustworthinessByDefinition(const at::Tensor& x, const at::Tensor& y, int k)
{
    const auto n = int(x.size(0));
    const auto order = [n](const at::Tensor& rows, int i) {
        std::vector<int> others;
        for (int j = 0; j < n; ++j)
            if (j != i)
                others.push_back(j);
        std::stable_sort(others.begin(), others.end(), [&](int a, int b) {
            return (rows[i] - rows[a]).square().sum().item<double>() < (rows[i] - rows[b]).square().sum().item<double>();
        });
        return others;
    };
    double sum = 0;
    for (int i = 0; i < n; ++i) {
        const auto inX = order(x, i), inY = order(y, i);
        for (int j = 0; j < k; ++j) {
            const int rank = int(std::find(inX.begin(), inX.end(), inY[std::size_t(j)]) - inX.begin()) + 1;
            sum += std::max(0, rank - k);
        }
    }
    return 1 - 2.0 / (n * k * (2.0 * n - 3 * k - 1)) * sum;
}

}  // namespace

class ProjectionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void pcaEqualsTheCovariancesEigenvectors_data();
    void pcaEqualsTheCovariancesEigenvectors();
    void allComponentsRebuildTheRows();
    void pcaSignsAreFixed();
    void neighboursAreExact();
    void trustworthinessFollowsItsDefinition();
    void umapsCurveIsThePublishedOne();
    void umapsWidthsGiveTheWantedSum();
    void umapsGraphIsTheFuzzyUnion();
    void umapKeepsNeighboursOfTheDigits();
    void umapRepeatsForASeedAndStreams();
    void umapTakesOtherStartsAndMetrics_data();
    void umapTakesOtherStartsAndMetrics();
    void aStopIsHeard();
    void badInputIsRefused();
};

void ProjectionTest::pcaEqualsTheCovariancesEigenvectors_data()
{
    QTest::addColumn<int>("rows");
    QTest::addColumn<int>("features");
    QTest::newRow("tall") << 50 << 8;
    QTest::newRow("wide") << 20 << 60;
    QTest::newRow("large and tall: by the product") << 620 << 520;
    QTest::newRow("large and wide: by the product") << 515 << 530;
}

void ProjectionTest::pcaEqualsTheCovariancesEigenvectors()
{
    QFETCH(int, rows);
    QFETCH(int, features);
    // A few strong directions, so that the first components are apart from each other.
    const at::Tensor x = at::matmul(noise({rows, 5}, 1) * at::tensor({9.0, 7.0, 5.0, 4.0, 3.0}, at::kDouble), noise({5, features}, 2)) +
                         0.1 * noise({rows, features}, 3) + 2;
    const Pca pca = fitPca(x, 4);
    const at::Tensor centred = x - x.mean(0), covariance = at::matmul(centred.t(), centred) / (rows - 1);
    const auto [values, vectors] = at::linalg_eigh(covariance, "L");
    const at::Tensor top = values.flip(0).slice(0, 0, 4), directions = vectors.flip(1).slice(1, 0, 4).t();
    QVERIFY(((pca.explainedVariance - top) / top).abs().max().item<double>() < 1e-10);
    QVERIFY((pca.explainedVarianceRatio - top / values.sum()).abs().max().item<double>() < 1e-10);
    QVERIFY(((pca.components * directions).sum(1).abs() - 1).abs().max().item<double>() < 1e-9);
    QVERIFY((at::matmul(pca.components, pca.components.t()) - at::eye(4, at::kDouble)).abs().max().item<double>() < 1e-9);
    const at::Tensor points = pca.transform(x);
    QVERIFY(((points.var(0, true) - pca.explainedVariance) / top).abs().max().item<double>() < 1e-9);
}

void ProjectionTest::allComponentsRebuildTheRows()
{
    const at::Tensor x = noise({30, 6}, 1) + 4;
    const Pca pca = fitPca(x, 6);
    QVERIFY((pca.inverse(pca.transform(x)) - x).abs().max().item<double>() < 1e-12);
    QVERIFY(std::abs(pca.explainedVarianceRatio.sum().item<double>() - 1) < 1e-12);
    // What is lost with fewer is the variance of the rest.
    const Pca few = fitPca(x, 2);
    const double lost = (few.inverse(few.transform(x)) - x).square().sum().item<double>() / 29;
    QVERIFY(std::abs(lost - pca.explainedVariance.slice(0, 2).sum().item<double>()) < 1e-11);
}

void ProjectionTest::pcaSignsAreFixed()
{
    const at::Tensor x = noise({30, 6}, 1);
    const Pca a = fitPca(x, 3), b = fitPca(-x, 3);
    QVERIFY((a.components - b.components).abs().max().item<double>() < 1e-10);
    for (int i = 0; i < 3; ++i)
        QVERIFY(a.components[i][a.components[i].abs().argmax()].item<double>() > 0);
}

void ProjectionTest::neighboursAreExact()
{
    const at::Tensor x = noise({300, 7}, 1).to(at::kFloat) + 100;
    const auto found = nearestNeighbours(x, 5);
    const at::Tensor exact = x.to(at::kDouble);
    for (const int row : {0, 17, 255, 256, 299}) {
        at::Tensor distances = (exact - exact[row]).square().sum(1).sqrt();
        distances[row] = 1e9;
        const auto [sorted, order] = distances.sort();
        QVERIFY(at::equal(found.indices[row], order.slice(0, 0, 5)));
        QVERIFY((found.distances[row] - sorted.slice(0, 0, 5)).abs().max().item<double>() < 1e-5);
    }
}

void ProjectionTest::trustworthinessFollowsItsDefinition()
{
    const at::Tensor x = noise({40, 5}, 1), y = x.slice(1, 0, 2) + 0.2 * noise({40, 2}, 2);
    QCOMPARE(trustworthiness(x, x, 5), 1.0);
    for (const int k : {1, 4, 10})
        QVERIFY(std::abs(trustworthiness(x, y, k) - trustworthinessByDefinition(x, y, k)) < 1e-12);
    QVERIFY(trustworthiness(noise({400, 5}, 3), noise({400, 2}, 4), 10) < 0.6);
}

void ProjectionTest::umapsCurveIsThePublishedOne()
{
    const auto [a, b] = umapCurve(0.1, 1);
    QVERIFY2(std::abs(a - 1.577) < 1e-3 && std::abs(b - 0.895) < 1e-3, qPrintable(QString("%1 %2").arg(a).arg(b)));
    // umap-learn's documented values for min_dist 0.001 are 1.929 and 0.7915.
    const auto [c, d] = umapCurve(0.001, 1);
    QVERIFY2(std::abs(c - 1.929) < 2e-3 && std::abs(d - 0.7915) < 1e-3, qPrintable(QString("%1 %2").arg(c).arg(d)));
}

void ProjectionTest::umapsWidthsGiveTheWantedSum()
{
    const auto neighbours = nearestNeighbours(noise({200, 4}, 1), 14);
    const auto smooth = smoothDistances(neighbours, 15);
    for (int row = 0; row < 200; ++row) {
        QCOMPARE(smooth.rho[std::size_t(row)], neighbours.distances[row][0].item<double>());
        const at::Tensor beyond = (neighbours.distances[row] - smooth.rho[std::size_t(row)]).clamp_min(0);
        QVERIFY(std::abs((-beyond / smooth.sigma[std::size_t(row)]).exp().sum().item<double>() - std::log2(15.0)) < 1e-4);
    }
}

void ProjectionTest::umapsGraphIsTheFuzzyUnion()
{
    const auto neighbours = nearestNeighbours(noise({30, 3}, 1), 4);
    const auto smooth = smoothDistances(neighbours, 5);
    at::Tensor one = at::zeros({30, 30}, at::kDouble);
    for (int row = 0; row < 30; ++row)
        for (int i = 0; i < 4; ++i)
            one[row][neighbours.indices[row][i].item<std::int64_t>()] =
                std::exp(-std::max(0.0, neighbours.distances[row][i].item<double>() - smooth.rho[std::size_t(row)]) / smooth.sigma[std::size_t(row)]);
    const at::Tensor expected = one + one.t() - one * one.t();
    at::Tensor found = at::zeros({30, 30}, at::kDouble);
    for (const auto& edge : fuzzyUnion(neighbours, smooth))
        found[edge.from][edge.to] = double(edge.weight);
    QVERIFY((found - expected).abs().max().item<double>() < 1e-6);
}

void ProjectionTest::umapKeepsNeighboursOfTheDigits()
{
    const auto [pixels, classes] = digits(1797);
    const auto umapped = project("umap", pixels), flat = project("pca", pixels);
    const double ours = trustworthiness(pixels, umapped.points), pca = trustworthiness(pixels, flat.points);
    QVERIFY2(ours >= 0.95, qPrintable(QString::number(ours)));
    QVERIFY2(ours > pca + 0.1, qPrintable(QString::number(pca)));
    // Nearest neighbours on the picture are of the same class: nearly as often as in the pixels, far more often than with PCA.
    const auto agreement = [&classes = classes](const at::Tensor& points) {
        const at::Tensor near = nearestNeighbours(points, 5).indices;
        return classes.index_select(0, near.reshape(-1)).view_as(near).eq(classes.unsqueeze(1)).to(at::kDouble).mean().item<double>();
    };
    QVERIFY2(agreement(umapped.points) > 0.95, qPrintable(QString::number(agreement(umapped.points))));
    QVERIFY(agreement(flat.points) < 0.7);
    qInfo("trustworthiness at k = 15: umap %.4f, pca %.4f; neighbours of the same class: umap %.4f, pca %.4f, pixels %.4f", ours, pca,
          agreement(umapped.points), agreement(flat.points), agreement(pixels));
}

void ProjectionTest::umapRepeatsForASeedAndStreams()
{
    const auto [pixels, classes] = digits(400);
    int partial = 0;
    Control control;
    control.partial = [&](const at::Tensor& points) {
        QCOMPARE(points.sizes().vec(), (std::vector<std::int64_t>{400, 2}));
        ++partial;
    };
    const Json parameters{{"n_epochs", 300}};
    const auto first = project("umap", pixels, parameters, 3, control), again = project("umap", pixels, parameters, 3);
    QVERIFY(at::equal(first.points, again.points));
    QVERIFY(!at::equal(first.points, project("umap", pixels, parameters, 4).points));
    QVERIFY(partial >= 1);
    QVERIFY(std::abs(first.details.at("a").get<double>() - 1.577) < 1e-3);
    QCOMPARE(first.details.at("epochs").get<int>(), 300);
}

void ProjectionTest::umapTakesOtherStartsAndMetrics_data()
{
    QTest::addColumn<QString>("parameters");
    QTest::newRow("pca") << R"({"init": "pca"})";
    QTest::newRow("random") << R"({"init": "random"})";
    QTest::newRow("cosine") << R"({"metric": "cosine"})";
    QTest::newRow("three axes, few neighbours") << R"({"n_components": 3, "n_neighbors": 5})";
}

void ProjectionTest::umapTakesOtherStartsAndMetrics()
{
    QFETCH(QString, parameters);
    const auto [pixels, classes] = digits(500);
    const auto found = project("umap", pixels, Json::parse(parameters.toStdString()));
    QVERIFY(found.points.isfinite().all().item<bool>());
    const double trust = trustworthiness(pixels, found.points);
    QVERIFY2(trust > 0.92, qPrintable(QString::number(trust)));
}

void ProjectionTest::aStopIsHeard()
{
    const auto [pixels, classes] = digits(200);
    std::stop_source source;
    Control control;
    control.stop = source.get_token();
    at::Tensor last;
    control.partial = [&](const at::Tensor& points) { last = points; };
    control.progress = [&](double done, double, const char* unit) {
        if (std::string(unit) == "epochs" && done >= 40)
            source.request_stop();
    };
    QVERIFY_EXCEPTION_THROWN(project("umap", pixels, {{"n_epochs", 100000}}, 0, control), core::Cancelled);
    QVERIFY(last.defined());  // what was streamed before stays with who took it
}

void ProjectionTest::badInputIsRefused()
{
    const at::Tensor x = noise({10, 4}, 1);
    at::Tensor broken = x.clone();
    broken[2][0] = std::numeric_limits<double>::infinity();
    QVERIFY(said([&] { project("pca", broken); }).contains("pca: 1 of 10 rows hold numbers that are not finite"));
    QVERIFY(said([&] { project("pca", x, {{"n_components", 5}}); }).contains("pca.n_components: expected at most 4 (10 rows, 4 features), got 5"));
    QVERIFY(said([&] { project("umap", x); }).contains("umap.n_neighbors: expected at most the number of rows, 10, got 15"));
    QVERIFY(said([&] { project("umap", x, {{"n_neighbors", 5}, {"min_dist", 2}}); }).contains("umap.min_dist: expected at most spread"));
    QVERIFY(said([&] { project("umap", x.slice(1, 0, 1), {{"n_neighbors", 5}, {"init", "pca"}}); }).contains("choose random or spectral"));
    QVERIFY(said([&] { project("umpa", x); }).contains("did you mean \"umap\"?"));
    QVERIFY(said([&] { project("pca", x.slice(0, 0, 2)); }).contains("at least 3 rows"));
    QVERIFY(said([&] { trustworthiness(x, x, 5); }).contains("below half of 10 rows"));
    QVERIFY(said([&] { nearestNeighbours(x, 10); }).contains("expected 1..9 of 10 rows, got 10"));
}

QTEST_GUILESS_MAIN(ProjectionTest)
#include "projection_test.moc"
