#include <QtTest>

#include <dlfcn.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include <ATen/Parallel.h>

#include <core/base/rng.h>

namespace {

using Sgemm = void (*)(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*, const float*, const int*,
                       const float*, float*, const int*);

struct Case {
    char transA, transB;
    int m, n, k;
    float alpha, beta;
    int padding;  ///< rows added to every leading dimension
};

std::vector<float> randomMatrix(std::size_t size, std::uint64_t seed)
{
    orrery::core::SplitMix64 random(seed);
    std::vector<float> out(size);
    for (float& value : out)
        value = float(2 * random.uniform() - 1);
    return out;
}

bool isPlain(char trans)
{
    return trans == 'N' || trans == 'n';
}

}  // namespace

/// The product that libtorch's calls end in, against the definition in double precision.
class GemmTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void productEqualsDefinition_data();
    void productEqualsDefinition();
    void vectorsDoNotDependOnThreads();
    void betaZeroOverwritesNan();
    void emptyInnerSizeScalesOnly();
    void rowsBetweenColumnsStayUntouched();
    void libtorchUsesTheShim();

private:
    Sgemm m_sgemm = nullptr;
};

void GemmTest::initTestCase()
{
    m_sgemm = reinterpret_cast<Sgemm>(dlsym(RTLD_DEFAULT, "sgemm_"));
    if (!m_sgemm)
        QSKIP("libtorch brings its own matrix product: no sgemm_ in this process");
}

void GemmTest::productEqualsDefinition_data()
{
    QTest::addColumn<Case>("c");
    const char letters[] = {'N', 'T', 'C', 'n', 't', 'c'};
    for (const char a : letters)
        for (const char b : letters)
            QTest::addRow("op %c%c, odd sizes, padded", a, b) << Case{a, b, 17, 13, 29, 1.5f, -0.5f, 3};
    QTest::newRow("one number") << Case{'N', 'N', 1, 1, 1, 2, 0, 0};
    QTest::newRow("row times matrix") << Case{'N', 'N', 1, 65, 33, 1, 0, 0};
    QTest::newRow("matrix times column") << Case{'T', 'N', 65, 1, 33, 1, 1, 1};
    for (const char a : {'N', 'T'})
        for (const char b : {'N', 'T'}) {
            QTest::addRow("matrix times vector, %c%c, many parts", a, b) << Case{a, b, 517, 1, 771, 1.5f, -0.5f, 3};
            QTest::addRow("vector times matrix, %c%c, many parts", a, b) << Case{a, b, 1, 517, 771, 0.5f, 2, 1};
            QTest::addRow("tall matrix times vector, %c%c", a, b) << Case{a, b, 5003, 1, 19, 1, 0, 0};
            QTest::addRow("vector times wide matrix, %c%c", a, b) << Case{a, b, 1, 3, 9001, 1, 1, 0};
        }
    QTest::newRow("outer product") << Case{'N', 'T', 31, 37, 1, 1, 1, 0};
    QTest::newRow("long sum") << Case{'N', 'N', 3, 5, 4097, 1, 0, 0};
    QTest::newRow("blocks and rest") << Case{'T', 'T', 129, 257, 65, -1, 2, 7};
    QTest::newRow("alpha zero") << Case{'N', 'N', 4, 5, 6, 0, 3, 2};
    QTest::newRow("no rows") << Case{'N', 'N', 0, 5, 6, 1, 0, 1};
    QTest::newRow("no columns") << Case{'N', 'N', 4, 0, 6, 1, 0, 1};
}

void GemmTest::productEqualsDefinition()
{
    QFETCH(Case, c);
    const int lda = std::max(1, isPlain(c.transA) ? c.m : c.k) + c.padding, ldb = std::max(1, isPlain(c.transB) ? c.k : c.n) + c.padding;
    const int ldc = std::max(1, c.m) + c.padding;
    const auto a = randomMatrix(std::size_t(lda) * std::size_t(isPlain(c.transA) ? c.k : c.m), 1);
    const auto b = randomMatrix(std::size_t(ldb) * std::size_t(isPlain(c.transB) ? c.n : c.k), 2);
    const auto before = randomMatrix(std::size_t(ldc) * std::size_t(c.n), 3);
    auto result = before;
    m_sgemm(&c.transA, &c.transB, &c.m, &c.n, &c.k, &c.alpha, a.data(), &lda, b.data(), &ldb, &c.beta, result.data(), &ldc);
    for (int column = 0; column < c.n; ++column)
        for (int row = 0; row < c.m; ++row) {
            double sum = 0, size = 0;
            for (int i = 0; i < c.k; ++i) {
                const double left = a[std::size_t(isPlain(c.transA) ? i * lda + row : row * lda + i)];
                const double right = b[std::size_t(isPlain(c.transB) ? column * ldb + i : i * ldb + column)];
                sum += left * right;
                size += std::abs(left * right);
            }
            const std::size_t at = std::size_t(column * ldc + row);
            const double expected = double(c.alpha) * sum + double(c.beta) * double(before[at]);
            // A float sum of k products is off by at most about k half-units of the sum of their sizes.
            const double bound = 6e-8 * (c.k + 4) * (std::abs(double(c.alpha)) * size + std::abs(double(c.beta)) + 1e-3);
            QVERIFY2(std::abs(double(result[at]) - expected) <= bound,
                     qPrintable(QString("at %1, %2: expected %3, got %4").arg(row).arg(column).arg(expected).arg(double(result[at]))));
        }
}

void GemmTest::vectorsDoNotDependOnThreads()
{
    const int m = 700, n = 1, k = 900;
    const float one = 1, zero = 0;
    const auto a = randomMatrix(std::size_t(m * k), 7), x = randomMatrix(std::size_t(k), 8);
    const auto product = [&](const char* trans) {
        std::vector<float> y(std::size_t(m), 0.0f);
        m_sgemm(trans, "N", &m, &n, &k, &one, a.data(), trans[0] == 'N' ? &m : &k, x.data(), &k, &zero, y.data(), &m);
        return y;
    };
    for (const char* trans : {"N", "T"}) {
        at::set_num_threads(1);
        const auto alone = product(trans);
        at::set_num_threads(4);
        for (int round = 0; round < 50; ++round)
            QCOMPARE(product(trans), alone);
        // Several threads at a time: one of them has the helpers, the others do without.
        std::vector<std::thread> threads;
        std::atomic<int> wrong = 0;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                at::set_num_threads(2);
                for (int round = 0; round < 50; ++round)
                    wrong += product(trans) != alone;
            });
        for (auto& thread : threads)
            thread.join();
        QCOMPARE(wrong.load(), 0);
    }
    at::set_num_threads(1);
}

void GemmTest::betaZeroOverwritesNan()
{
    const int size = 9;
    const float one = 1, zero = 0;
    const auto a = randomMatrix(81, 4);
    for (const int k : {9, 0}) {
        std::vector<float> c(81, std::numeric_limits<float>::quiet_NaN());
        m_sgemm("N", "N", &size, &size, &k, &one, a.data(), &size, a.data(), &size, &zero, c.data(), &size);
        for (const float value : c)
            QVERIFY(k == 0 ? value == 0 : std::isfinite(value));
    }
}

void GemmTest::emptyInnerSizeScalesOnly()
{
    const int size = 3, k = 0;
    const float one = 1, half = 0.5f;
    std::vector<float> c(9, 4.0f);
    const float none = 0;
    m_sgemm("N", "T", &size, &size, &k, &one, &none, &size, &none, &size, &half, c.data(), &size);
    QCOMPARE(c, std::vector<float>(9, 2.0f));
}

void GemmTest::rowsBetweenColumnsStayUntouched()
{
    const int m = 5, n = 4, k = 6, ldc = 8;
    const float one = 1, zero = 0;
    const auto a = randomMatrix(30, 5), b = randomMatrix(24, 6);
    std::vector<float> c(std::size_t(ldc * n), -7.0f);
    m_sgemm("N", "N", &m, &n, &k, &one, a.data(), &m, b.data(), &k, &zero, c.data(), &ldc);
    for (int column = 0; column < n; ++column)
        for (int row = m; row < ldc; ++row)
            QCOMPARE(c[std::size_t(column * ldc + row)], -7.0f);
}

void GemmTest::libtorchUsesTheShim()
{
    if (!ORRERY_GEMM_SHIM)
        QSKIP("built without the shim");
    // The address that the dynamic linker gives to libtorch: the first definition in load order.
    Dl_info info{};
    QVERIFY(dladdr(reinterpret_cast<void*>(m_sgemm), &info) != 0);
    QVERIFY2(QByteArray(info.dli_fname).contains("liborrery_gemm"), info.dli_fname);
    // A product through libtorch is right, too (row-major, so operands are swapped on the way).
    const at::Tensor left = at::arange(6, at::kFloat).reshape({2, 3}), right = at::arange(12, at::kFloat).reshape({3, 4});
    const at::Tensor expected = at::matmul(left.to(at::kDouble), right.to(at::kDouble)).to(at::kFloat);
    QVERIFY(at::equal(at::matmul(left, right), expected));
}

QTEST_APPLESS_MAIN(GemmTest)
#include "gemm_test.moc"
