// Similarity of representations: against centring matrices and sums over tuples written out, and by what must not change it.
#include <ATen/ATen.h>

#include <QTest>

#include <core/base/error.h>
#include <core/intervene/similarity.h>

using namespace orrery;
using namespace orrery::intervene;
using core::Json;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    auto generator = at::detail::createCPUGenerator(seed);
    return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble));
}

at::Tensor rotation(std::int64_t size, std::uint64_t seed)
{
    return std::get<0>(at::linalg_qr(noise({size, size}, seed)));
}

/// tr(K H L H) / (n - 1)^2 with H as a matrix.
double hsicByMatrices(const at::Tensor& k, const at::Tensor& l)
{
    const auto n = k.size(0);
    const at::Tensor h = at::eye(n, at::kDouble) - at::ones({n, n}, at::kDouble) / double(n);
    return at::matmul(at::matmul(at::matmul(k, h), l), h).trace().item<double>() / double((n - 1) * (n - 1));
}

/// The U-statistic over all tuples of four different samples.
double hsicByTuples(const at::Tensor& k, const at::Tensor& l)
{
    const auto n = int(k.size(0));
    const auto a = k.accessor<double, 2>(), b = l.accessor<double, 2>();
    double sum = 0, count = 0;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
            for (int q = 0; q < n; ++q)
                for (int r = 0; r < n; ++r) {
                    if (i == j || i == q || i == r || j == q || j == r || q == r)
                        continue;
                    sum += a[i][j] * (b[i][j] + b[q][r] - 2 * b[i][q]);
                    ++count;
                }
    return sum / count;
}

at::Tensor gaussian(const at::Tensor& x, double threshold)
{
    const auto n = x.size(0);
    at::Tensor distances = at::zeros({n, n}, at::kDouble);
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j)
            distances[i][j] = (x[i] - x[j]).square().sum();
    return (-distances / (2 * threshold * threshold * distances.median())).exp();
}

double ckaByMatrices(const at::Tensor& k, const at::Tensor& l)
{
    return hsicByMatrices(k, l) / std::sqrt(hsicByMatrices(k, k) * hsicByMatrices(l, l));
}

}  // namespace

class SimilarityTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void linearCkaEqualsCentringMatrices_data();
    void linearCkaEqualsCentringMatrices();
    void unbiasedHsicEqualsTheSumOverTuples();
    void rbfCkaEqualsCentringMatrices();
    void nothingChangesByRotationScaleAndShift_data();
    void nothingChangesByRotationScaleAndShift();
    void independentRepresentationsAreNearZeroWithoutBias();
    void linearMapsChangeCkaButNotSvcca();
    void svccaGivesTheKnownCorrelation();
    void pwccaWeighsTheKnownCorrelations();
    void pwccaEqualsItsDefinition();
    void pwccaIsOneForLinearMapsAndForgetsRotationsOfTheOtherSide();
    void pwccaDoesNotCountRoundingAsDirections();
    void aMatrixComparesEachWithEach();
    void aConstantRepresentationHasNoSimilarity();
    void aStopIsHeard();
    void badInputIsRefused();
};

void SimilarityTest::linearCkaEqualsCentringMatrices_data()
{
    QTest::addColumn<int>("first");
    QTest::addColumn<int>("second");
    QTest::newRow("few features each") << 5 << 8;
    QTest::newRow("more features than samples") << 70 << 90;
    QTest::newRow("one of each") << 6 << 90;
    QTest::newRow("the other way") << 90 << 6;
}

void SimilarityTest::linearCkaEqualsCentringMatrices()
{
    QFETCH(int, first);
    QFETCH(int, second);
    const at::Tensor base = noise({40, 4}, 1);
    const at::Tensor x = at::matmul(base, noise({4, first}, 2)) + noise({40, first}, 3) + 5;
    const at::Tensor y = at::matmul(base, noise({4, second}, 4)) + noise({40, second}, 5);
    const at::Tensor k = at::matmul(x, x.t()), l = at::matmul(y, y.t());
    QVERIFY(std::abs(similarity("cka", x, y) - ckaByMatrices(k, l)) < 1e-12);
    QVERIFY(std::abs(hsic(k, l, Estimator::Biased) / hsicByMatrices(k, l) - 1) < 1e-12);
    const double debiased = hsic(k, l, Estimator::Unbiased) / std::sqrt(hsic(k, k, Estimator::Unbiased) * hsic(l, l, Estimator::Unbiased));
    QVERIFY(std::abs(similarity("cka", x, y, {{"debiased", true}}) - debiased) < 1e-11);
}

void SimilarityTest::unbiasedHsicEqualsTheSumOverTuples()
{
    const at::Tensor x = noise({8, 3}, 1), y = noise({8, 2}, 2) + x.slice(1, 0, 2);
    const at::Tensor k = at::matmul(x, x.t()), l = at::matmul(y, y.t());
    QVERIFY(std::abs(hsic(k, l, Estimator::Unbiased) - hsicByTuples(k, l)) < 1e-12);
    const at::Tensor g = gaussian(x, 1), h = gaussian(y, 1);
    QVERIFY(std::abs(hsic(g, h, Estimator::Unbiased) - hsicByTuples(g, h)) < 1e-13);
    const double expected = hsicByTuples(g, h) / std::sqrt(hsicByTuples(g, g) * hsicByTuples(h, h));
    QVERIFY(std::abs(similarity("rbf_cka", x, y, {{"debiased", true}}) - expected) < 1e-10);
}

void SimilarityTest::rbfCkaEqualsCentringMatrices()
{
    const at::Tensor x = noise({30, 4}, 1), y = x.slice(1, 0, 2) + 0.5 * noise({30, 2}, 2);
    for (const double threshold : {0.4, 1.0, 2.0})
        QVERIFY(std::abs(similarity("rbf_cka", x, y, {{"threshold", threshold}}) - ckaByMatrices(gaussian(x, threshold), gaussian(y, threshold))) <
                1e-11);
}

void SimilarityTest::nothingChangesByRotationScaleAndShift_data()
{
    QTest::addColumn<QString>("measure");
    QTest::addColumn<QString>("parameters");
    QTest::newRow("cka") << "cka"
                         << "{}";
    QTest::newRow("cka debiased") << "cka"
                                  << R"({"debiased": true})";
    QTest::newRow("rbf cka") << "rbf_cka"
                             << R"({"threshold": 0.7})";
    QTest::newRow("rbf cka debiased") << "rbf_cka"
                                      << R"({"debiased": true})";
    QTest::newRow("svcca") << "svcca"
                           << R"({"variance": 0.9})";
}

void SimilarityTest::nothingChangesByRotationScaleAndShift()
{
    QFETCH(QString, measure);
    QFETCH(QString, parameters);
    const Json document = Json::parse(parameters.toStdString());
    const at::Tensor x = noise({60, 12}, 1) * at::arange(1, 13, at::kDouble), y = x.slice(1, 4, 10).square() + noise({60, 6}, 2);
    const double plain = similarity(measure.toStdString(), x, y, document);
    QVERIFY(plain > 0.01 && plain < 0.999);
    const at::Tensor turned = at::matmul(x, rotation(12, 3)) * 17.5 + 3, other = at::matmul(y, rotation(6, 4)) * 0.02 - 1;
    QVERIFY(std::abs(similarity(measure.toStdString(), turned, other, document) - plain) < 1e-10);
    QVERIFY(std::abs(similarity(measure.toStdString(), y, x, document) - plain) < 1e-12);
    QVERIFY(std::abs(similarity(measure.toStdString(), x, x, document) - 1) < 1e-12);
    QVERIFY(std::abs(similarity(measure.toStdString(), x, turned, document) - 1) < 1e-10);
}

void SimilarityTest::independentRepresentationsAreNearZeroWithoutBias()
{
    const at::Tensor x = noise({100, 400}, 1), y = noise({100, 400}, 2);
    QVERIFY(similarity("cka", x, y) > 0.6);  // the bias of many features
    const double debiased = similarity("cka", x, y, {{"debiased", true}});
    QVERIFY2(std::abs(debiased) < 0.05, qPrintable(QString::number(debiased)));
}

void SimilarityTest::linearMapsChangeCkaButNotSvcca()
{
    const at::Tensor x = noise({80, 4}, 1), map = noise({4, 4}, 2) + 2 * at::eye(4, at::kDouble);
    const at::Tensor y = at::matmul(x, map);
    QVERIFY(similarity("cka", x, y) < 0.99);
    QVERIFY(std::abs(similarity("svcca", x, y, {{"variance", 1.0}}) - 1) < 1e-10);
}

void SimilarityTest::svccaGivesTheKnownCorrelation()
{
    // Orthonormal columns without mean: one direction shared, one turned by 60 degrees.
    at::Tensor basis = noise({50, 6}, 1);
    basis = std::get<0>(at::linalg_qr(basis - basis.mean(0)));
    const at::Tensor x = at::stack({basis.select(1, 0), basis.select(1, 1)}, 1);
    const at::Tensor y = at::stack({basis.select(1, 0), 0.5 * basis.select(1, 1) + std::sqrt(0.75) * basis.select(1, 2)}, 1);
    QVERIFY(std::abs(similarity("svcca", x, y, {{"variance", 1.0}}) - 0.75) < 1e-12);
    // The weaker direction holds 1 / 101 of the variance: it is left out at 0.99.
    const at::Tensor weak = x * at::tensor({10.0, 1.0}, at::kDouble);
    QVERIFY(std::abs(similarity("svcca", weak, y.slice(1, 1, 2), {{"variance", 0.99}})) < 1e-12);
    QVERIFY(std::abs(similarity("svcca", weak, y.slice(1, 1, 2), {{"variance", 1.0}}) - 0.5) < 1e-12);
}

void SimilarityTest::pwccaWeighsTheKnownCorrelations()
{
    // As above, correlations 1 and 1/2: the features of x lie 10 to 1 along the two directions, those of y 1 to 1.
    at::Tensor basis = noise({50, 6}, 1);
    basis = std::get<0>(at::linalg_qr(basis - basis.mean(0)));
    const at::Tensor x = at::stack({10 * basis.select(1, 0), basis.select(1, 1)}, 1);
    const at::Tensor y = at::stack({basis.select(1, 0), 0.5 * basis.select(1, 1) + std::sqrt(0.75) * basis.select(1, 2)}, 1);
    QVERIFY(std::abs(similarity("pwcca", x, y) - 10.5 / 11) < 1e-12);
    QVERIFY(std::abs(similarity("pwcca", y, x) - 0.75) < 1e-12);
    QVERIFY(std::abs(similarity("pwcca", x, y, {{"weighted_by", "columns"}}) - 0.75) < 1e-12);
}

/// By the covariances: the canonical directions of x are Cxx^(-1/2) times the eigenvectors of Cxx^(-1/2) Cxy Cyy^(-1) Cyx Cxx^(-1/2).
void SimilarityTest::pwccaEqualsItsDefinition()
{
    const at::Tensor rawX = noise({60, 5}, 1) * at::arange(1, 6, at::kDouble), rawY = rawX.slice(1, 2, 5).square() + 3 * noise({60, 3}, 2);
    const at::Tensor x = rawX - rawX.mean(0), y = rawY - rawY.mean(0), cxx = at::matmul(x.t(), x), cyy = at::matmul(y.t(), y);
    const auto [values, vectors] = at::linalg_eigh(cxx);
    const at::Tensor root = at::matmul(vectors / values.sqrt(), vectors.t()), cross = at::matmul(root, at::matmul(x.t(), y));
    const auto [squares, turned] = at::linalg_eigh(at::matmul(cross, at::matmul(at::linalg_inv(cyy), cross.t())));
    double sum = 0, total = 0;
    for (std::int64_t i = 2; i < 5; ++i) {  // ascending: the three that y has
        const at::Tensor h = at::matmul(x, at::matmul(root, turned.select(1, i)));
        const double weight = at::matmul(h, x).abs().sum().item<double>();
        sum += weight * std::sqrt(squares[i].item<double>());
        total += weight;
    }
    QVERIFY(sum / total < 0.9);
    QVERIFY(std::abs(similarity("pwcca", rawX, rawY) - sum / total) < 1e-10);
}

/// A layer of 12 units over 5 numbers has 5 directions; in float32, bfloat16 and float16 the other 7 are rounding. The oracle computes in double, where they are none.
void SimilarityTest::pwccaDoesNotCountRoundingAsDirections()
{
    const auto generator = at::detail::createCPUGenerator(11);
    const at::Tensor x = at::randn({80, 5}, generator, at::kFloat), w = at::randn({5, 12}, generator, at::kFloat);
    const at::Tensor low = at::matmul(x, w), other = at::tanh(low).slice(1, 0, 9) + 0.3 * at::randn({80, 9}, generator, at::kFloat);
    const at::Tensor exact = at::matmul(x.to(at::kDouble), w.to(at::kDouble));
    for (const char* side : {"rows", "columns"}) {
        const core::Json parameters = {{"weighted_by", side}, {"variance", 1.0}};
        const double wanted = similarity("pwcca", exact, other.to(at::kDouble), parameters);
        QVERIFY(std::abs(similarity("pwcca", low, other, parameters) - wanted) < 1e-5);
        QVERIFY(std::abs(similarity("pwcca", low.to(at::kBFloat16), other.to(at::kBFloat16), parameters) - wanted) < 0.02);
        QVERIFY(std::abs(similarity("pwcca", low.to(at::kHalf), other.to(at::kHalf), parameters) - wanted) < 0.01);
        QVERIFY(std::abs(similarity("svcca", low, other, {{"variance", 1.0}}) -
                         similarity("svcca", exact, other.to(at::kDouble), {{"variance", 1.0}})) < 1e-5);
    }
}

void SimilarityTest::pwccaIsOneForLinearMapsAndForgetsRotationsOfTheOtherSide()
{
    const at::Tensor x = noise({80, 4}, 1), map = noise({4, 4}, 2) + 2 * at::eye(4, at::kDouble);
    QVERIFY(std::abs(similarity("pwcca", x, at::matmul(x, map) * 3 + 7) - 1) < 1e-10);
    QVERIFY(std::abs(similarity("pwcca", at::matmul(x, map), x) - 1) < 1e-10);
    const at::Tensor y = x.square() + noise({80, 4}, 3), turned = at::matmul(y, rotation(4, 4)) * 0.02 - 1;
    const double plain = similarity("pwcca", x, y);
    QVERIFY(plain < 0.9);
    QVERIFY(std::abs(similarity("pwcca", x, turned) - plain) < 1e-10);
    QVERIFY(std::abs(similarity("pwcca", x, at::matmul(y, map)) - plain) < 1e-10);
    // Weighted by the features of x: another order and sign of them is the same, a rotation of them is not.
    const at::Tensor shuffled = x.index_select(1, at::tensor({2, 0, 3, 1}, at::kLong)) * at::tensor({-1.0, 1.0, 1.0, -1.0}, at::kDouble);
    QVERIFY(std::abs(similarity("pwcca", shuffled, y) - plain) < 1e-10);
    QVERIFY(std::abs(similarity("pwcca", at::matmul(x, rotation(4, 5)), y) - plain) > 1e-6);
    // A matrix of a list with itself holds both directions.
    const auto measure = makeSimilarity("pwcca");
    const std::vector<at::Tensor> both{x, y};
    const at::Tensor matrix = similarityMatrix(*measure, both, both);
    QCOMPARE(matrix[0][1].item<double>(), plain);
    QCOMPARE(matrix[1][0].item<double>(), similarity("pwcca", y, x));
    QVERIFY(std::abs(matrix[1][0].item<double>() - plain) > 1e-6);
}

void SimilarityTest::aMatrixComparesEachWithEach()
{
    const auto measure = makeSimilarity("cka");
    const std::vector<at::Tensor> a = {noise({30, 3}, 1), noise({30, 40}, 2), noise({30, 5}, 3)}, b = {noise({30, 6}, 4), a[1]};
    std::vector<at::Tensor> seen;
    Control control;
    control.partial = [&](const at::Tensor& matrix) { seen.push_back(matrix); };
    const at::Tensor matrix = similarityMatrix(*measure, a, b, control);
    for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t j = 0; j < b.size(); ++j)
            QCOMPARE(matrix[std::int64_t(i)][std::int64_t(j)].item<double>(), similarity("cka", a[i], b[j]));
    QCOMPARE(seen.size(), a.size());
    QVERIFY(seen[0][0].isfinite().all().item<bool>() && seen[0][1].isnan().all().item<bool>());
    const at::Tensor self = similarityMatrix(*measure, a, a);
    QVERIFY(at::equal(self, self.t()));
    QVERIFY((self.diagonal() - 1).abs().max().item<double>() < 1e-12);
}

void SimilarityTest::aConstantRepresentationHasNoSimilarity()
{
    const at::Tensor x = noise({20, 3}, 1), constant = at::full({20, 4}, 0.1, at::kDouble);
    for (const char* id : {"cka", "rbf_cka", "svcca", "pwcca"})
        QVERIFY2(std::isnan(similarity(id, x, constant)), id);
}

void SimilarityTest::aStopIsHeard()
{
    std::stop_source source;
    Control control;
    control.stop = source.get_token();
    int reports = 0;
    control.progress = [&](double, double, const char*) {
        if (++reports == 3)
            source.request_stop();
    };
    const std::vector<at::Tensor> many(5, noise({20, 3}, 1));
    QVERIFY_EXCEPTION_THROWN(similarityMatrix(*makeSimilarity("cka"), many, many, control), core::Cancelled);
    QCOMPARE(reports, 3);
}

void SimilarityTest::badInputIsRefused()
{
    const at::Tensor x = noise({20, 3}, 1);
    at::Tensor broken = x.clone();
    broken[4][1] = std::nan("");
    const auto said = [](auto call) {
        try {
            call();
        } catch (const core::Error& error) {
            return QString::fromStdString(error.what());
        }
        return QString();
    };
    QVERIFY(said([&] { similarity("cka", x, broken); }).contains("1 of 20 rows hold numbers that are not finite"));
    QVERIFY(said([&] { similarity("cka", x, noise({21, 3}, 2)); }).contains("got 20 and 21 rows"));
    QVERIFY(said([&] { similarity("cka", x.slice(0, 0, 3), x.slice(0, 0, 3), {{"debiased", true}}); }).contains("at least 4 rows"));
    QVERIFY(said([&] { similarity("ckaa", x, x); }).contains("did you mean \"cka\"?"));
    QVERIFY(said([&] { similarity("rbf_cka", x, x, {{"threshold", 0}}); }).contains("rbf_cka.threshold: expected a number > 0"));
    QVERIFY(said([&] { similarity("svcca", noise({10, 8}, 1), noise({10, 8}, 2)); }).contains("expected more than"));
    QVERIFY(said([&] { similarity("cka", x.flatten(), x); }).contains("expected [row, feature], got [60]"));
    QVERIFY(said([&] { hsic(x, x, Estimator::Biased); }).contains("expected two matrices [n, n]"));
}

QTEST_GUILESS_MAIN(SimilarityTest)
#include "similarity_test.moc"
