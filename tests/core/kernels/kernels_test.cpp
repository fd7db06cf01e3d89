#include <QtTest>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include <core/kernels/kernels.h>
#include <core/kernels/parallel.h>

using namespace orrery;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

at::Tensor randomTensor(at::IntArrayRef sizes, std::uint64_t seed, double scale = 1)
{
    return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed)) * scale;
}

/// The largest error as a share of the larger of 1 and the expected value; infinity if NaN or an infinity is not where it is expected.
double errorOf(const at::Tensor& actual, const at::Tensor& expected)
{
    if (actual.sizes() != expected.sizes())
        return kInfinity;
    if (actual.numel() == 0)
        return 0;
    const at::Tensor wide = actual.to(at::kDouble);
    if (!at::equal(wide.isnan(), expected.isnan()) || !at::equal(wide.isinf(), expected.isinf()))
        return kInfinity;
    const at::Tensor error = ((wide - expected).abs() / expected.abs().clamp_min(1)).nan_to_num(0, 0, 0);
    return error.max().item<double>();
}

at::Tensor geluInDouble(const at::Tensor& x)
{
    const at::Tensor wide = x.to(at::kDouble);
    return 0.5 * wide * (1 + at::tanh(std::sqrt(2 / M_PI) * (wide + 0.044715 * wide.pow(3))));
}

/// The definition, element by element.
at::Tensor productInDouble(const at::Tensor& a, const at::Tensor& b)
{
    const at::Tensor left = a.to(at::kDouble), right = b.to(at::kDouble);
    at::Tensor out = at::zeros({a.size(0), a.size(1), b.size(2)}, at::kDouble);
    for (std::int64_t i = 0; i < a.size(2); ++i)
        out += left.select(2, i).unsqueeze(2) * right.select(1, i).unsqueeze(1);
    return out;
}

/// [batch, rows, columns] in one of four memory layouts.
at::Tensor laidOut(const char* layout, std::int64_t batch, std::int64_t rows, std::int64_t columns, std::uint64_t seed)
{
    const QByteArray name(layout);
    if (name == "transposed")
        return randomTensor({batch, columns, rows}, seed).transpose(1, 2);
    if (name == "part")
        return randomTensor({batch, rows, columns + 3}, seed).slice(2, 1, columns + 1);
    if (name == "heads")
        return randomTensor({rows, batch, columns}, seed).transpose(0, 1);
    if (name == "repeated")
        return randomTensor({1, rows, columns}, seed).expand({batch, rows, columns});
    if (name == "strided")
        return randomTensor({batch, rows, 2 * columns}, seed).slice(2, 0, 2 * columns, 2);
    return randomTensor({batch, rows, columns}, seed);
}

}  // namespace

/// Kernels that take the place of libtorch's, against definitions in double precision. They are called by libtorch's names: what is tested is what runs.
class KernelsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void geluEqualsDefinition_data();
    void geluEqualsDefinition();
    void geluGradientEqualsCentralDifferences();
    void geluOfExtremeValues();
    void softmaxEqualsDefinition_data();
    void softmaxEqualsDefinition();
    void softmaxGradientEqualsDefinition();
    void softmaxOfMaskedAndBrokenRows();
    void productEqualsDefinition_data();
    void productEqualsDefinition();
    void sumWithProductScalesAndBroadcasts();
    void betaZeroIgnoresNan();
    void emptyProducts();
    void wrongShapesAreStillRefused();
    void resultsDoNotDependOnThreads();
    void otherTypesGoToLibtorch();
    void saysWhatItReplaces();
    void loopsRunOnAllThreadsAtOnce();
    void stretchesCoverTheRangeOnce_data();
    void stretchesCoverTheRangeOnce();
    void whatALoopThrowsIsThrownAgain();
};

void KernelsTest::geluEqualsDefinition_data()
{
    QTest::addColumn<int>("count");
    for (const int count : {0, 1, 15, 16, 17, 1000, 40000})
        QTest::addRow("%d values", count) << count;
}

void KernelsTest::geluEqualsDefinition()
{
    QFETCH(int, count);
    const at::Tensor x = randomTensor({count}, 1, 3);
    QVERIFY(errorOf(at::gelu(x, "tanh"), geluInDouble(x)) < 5e-7);
    QVERIFY(errorOf(kernels::geluTanh(x), geluInDouble(x)) < 5e-7);
}

void KernelsTest::geluGradientEqualsCentralDifferences()
{
    const at::Tensor x = at::linspace(-9, 9, 1003), gradient = randomTensor({1003}, 2);
    const at::Tensor wide = x.to(at::kDouble);
    const at::Tensor slope = (geluInDouble(wide + 1e-5) - geluInDouble(wide - 1e-5)) / 2e-5;
    QVERIFY(errorOf(at::gelu_backward(gradient, x, "tanh"), slope * gradient.to(at::kDouble)) < 2e-6);
    const at::Tensor leaf = x.clone().requires_grad_(true);
    const at::Tensor found = torch::autograd::grad({at::gelu(leaf, "tanh")}, {leaf}, {gradient})[0];
    QVERIFY(errorOf(found, slope * gradient.to(at::kDouble)) < 2e-6);
}

void KernelsTest::geluOfExtremeValues()
{
    const at::Tensor y = kernels::geluTanh(at::tensor({kInfinity, kNan, -1e30f, 1e30f, -100.0f, 0.0f, 1e-30f}));
    const auto values = y.data_ptr<float>();
    QCOMPARE(values[0], kInfinity);
    QVERIFY(std::isnan(values[1]));
    QCOMPARE(values[2], 0.0f);
    QCOMPARE(values[3], 1e30f);
    QCOMPARE(values[4], 0.0f);
    QCOMPARE(values[5], 0.0f);
    QCOMPARE(values[6], 5e-31f);
}

void KernelsTest::softmaxEqualsDefinition_data()
{
    QTest::addColumn<int>("rows");
    QTest::addColumn<int>("width");
    for (const auto& [rows, width] : {std::pair{3, 1}, {1, 15}, {5, 16}, {7, 17}, {300, 128}, {2, 1001}, {0, 8}, {4, 0}})
        QTest::addRow("%d x %d", rows, width) << rows << width;
}

void KernelsTest::softmaxEqualsDefinition()
{
    QFETCH(int, rows);
    QFETCH(int, width);
    const at::Tensor x = randomTensor({rows, width}, 3, 5);
    const at::Tensor expected = at::softmax(x.to(at::kDouble), -1);
    QVERIFY(errorOf(at::softmax(x, -1), expected) < 3e-7);
    QVERIFY(errorOf(kernels::softmaxLastAxis(x), expected) < 3e-7);
}

void KernelsTest::softmaxGradientEqualsDefinition()
{
    for (const int width : {1, 16, 21, 128}) {
        const at::Tensor y = at::softmax(randomTensor({9, width}, 4), -1), gradient = randomTensor({9, width}, 5);
        const at::Tensor wide = y.to(at::kDouble), g = gradient.to(at::kDouble);
        QVERIFY(errorOf(at::_softmax_backward_data(gradient, y, -1, at::kFloat), (g - (g * wide).sum(-1, true)) * wide) < 1e-6);
        // A gradient that is not contiguous is one all the same.
        const at::Tensor turned = gradient.t().contiguous().t();
        QVERIFY(at::equal(at::_softmax_backward_data(turned, y, -1, at::kFloat), at::_softmax_backward_data(gradient, y, -1, at::kFloat)));
    }
}

void KernelsTest::softmaxOfMaskedAndBrokenRows()
{
    const at::Tensor x = at::zeros({4, 20});
    x[0].slice(0, 2, 20).fill_(-kInfinity);
    x[1].fill_(-kInfinity);
    x[2][19] = kNan;
    x[3][0] = 1000;
    const at::Tensor y = kernels::softmaxLastAxis(x);
    QVERIFY(at::equal(y[0].slice(0, 0, 2), at::full({2}, 0.5f)));
    QVERIFY(at::equal(y[0].slice(0, 2, 20), at::zeros({18})));
    QVERIFY(y[1].isnan().all().item<bool>());
    QVERIFY(y[2].isnan().all().item<bool>());
    QCOMPARE(y[3][0].item<float>(), 1.0f);
}

void KernelsTest::productEqualsDefinition_data()
{
    QTest::addColumn<QByteArray>("left");
    QTest::addColumn<QByteArray>("right");
    for (const char* const left : {"plain", "transposed", "part", "heads", "repeated", "strided"})
        for (const char* const right : {"plain", "transposed", "part", "heads"})
            QTest::addRow("%s x %s", left, right) << QByteArray(left) << QByteArray(right);
}

void KernelsTest::productEqualsDefinition()
{
    QFETCH(QByteArray, left);
    QFETCH(QByteArray, right);
    struct Sizes {
        std::int64_t batch, m, k, n;
    };
    for (const Sizes size : {Sizes{1, 1, 1, 1}, {2, 3, 5, 7}, {5, 1, 4, 9}, {3, 17, 1, 16}, {4, 9, 33, 1}, {64, 31, 32, 33}}) {
        const at::Tensor a = laidOut(left.constData(), size.batch, size.m, size.k, 6), b = laidOut(right.constData(), size.batch, size.k, size.n, 7);
        QVERIFY(errorOf(at::bmm(a, b), productInDouble(a, b)) < 1e-5);
        QVERIFY(at::bmm(a, b).is_contiguous());
    }
}

void KernelsTest::sumWithProductScalesAndBroadcasts()
{
    const at::Tensor a = randomTensor({6, 5, 4}, 8), b = randomTensor({6, 4, 3}, 9), product = productInDouble(a, b);
    for (const auto& addend :
         {randomTensor({6, 5, 3}, 10), randomTensor({5, 3}, 11), randomTensor({1, 3}, 12), randomTensor({6, 1, 1}, 13), randomTensor({3, 5}, 14).t()})
        QVERIFY(errorOf(at::baddbmm(addend, a, b, 0.5, -2), 0.5 * addend.to(at::kDouble).expand({6, 5, 3}) - 2 * product) < 1e-5);
    const at::Tensor mask = at::full({5, 3}, -kInfinity).triu(1);
    QVERIFY(errorOf(at::baddbmm(mask, a, b, 1, 0.3), mask.to(at::kDouble) + 0.3 * product) < 1e-5);
}

void KernelsTest::betaZeroIgnoresNan()
{
    const at::Tensor a = randomTensor({3, 4, 5}, 15), b = randomTensor({3, 5, 6}, 16);
    QVERIFY(errorOf(at::baddbmm(at::full({3, 4, 6}, kNan), a, b, 0, 1), productInDouble(a, b)) < 1e-5);
    QVERIFY(at::baddbmm(at::full({3, 4, 6}, kNan), a, b, 1, 1).isnan().all().item<bool>());
}

void KernelsTest::emptyProducts()
{
    QCOMPARE(at::bmm(at::zeros({0, 2, 3}), at::zeros({0, 3, 4})).sizes(), at::IntArrayRef({0, 2, 4}));
    QCOMPARE(at::bmm(at::zeros({2, 0, 3}), at::zeros({2, 3, 4})).sizes(), at::IntArrayRef({2, 0, 4}));
    QVERIFY(at::equal(at::bmm(at::zeros({2, 3, 0}), at::zeros({2, 0, 4})), at::zeros({2, 3, 4})));
    QVERIFY(at::equal(at::baddbmm(at::ones({2, 3, 4}), at::zeros({2, 3, 0}), at::zeros({2, 0, 4}), 3, 1), at::full({2, 3, 4}, 3.0f)));
}

void KernelsTest::wrongShapesAreStillRefused()
{
    QVERIFY_THROWS_EXCEPTION(c10::Error, at::bmm(at::zeros({2, 3, 4}), at::zeros({2, 5, 6})));
    QVERIFY_THROWS_EXCEPTION(c10::Error, at::bmm(at::zeros({2, 3, 4}), at::zeros({3, 4, 6})));
    QVERIFY_THROWS_EXCEPTION(c10::Error, at::baddbmm(at::zeros({2, 2}), at::zeros({2, 3, 4}), at::zeros({2, 4, 6})));
    QVERIFY_THROWS_EXCEPTION(c10::Error, at::gelu(at::zeros({2}), "cubic"));
}

void KernelsTest::resultsDoNotDependOnThreads()
{
    const at::Tensor x = randomTensor({64, 37, 129}, 17), gradient = randomTensor({64, 37, 129}, 18), b = randomTensor({64, 129, 21}, 19);
    const auto all = [&] {
        const at::Tensor y = at::softmax(x, -1);
        return std::vector<at::Tensor>{at::gelu(x, "tanh"), at::gelu_backward(gradient, x, "tanh"), y,
                                       at::_softmax_backward_data(gradient, y, -1, at::kFloat), at::bmm(x, b)};
    };
    at::set_num_threads(1);
    const auto alone = all();
    at::set_num_threads(3);
    const auto together = all();
    for (std::size_t i = 0; i < alone.size(); ++i)
        QVERIFY(at::equal(alone[i], together[i]));
}

void KernelsTest::otherTypesGoToLibtorch()
{
    const at::Tensor x = randomTensor({4, 6, 6}, 20).to(at::kDouble);
    QVERIFY(errorOf(at::bmm(x, x), productInDouble(x, x)) < 1e-12);
    QVERIFY(errorOf(at::gelu(x, "tanh"), geluInDouble(x)) < 1e-12);
    QVERIFY(errorOf(at::softmax(x.to(at::kFloat), 1), at::softmax(x, 1)) < 1e-6);
    QVERIFY(errorOf(at::softmax(x.to(at::kFloat).transpose(1, 2), -1), at::softmax(x.transpose(1, 2), -1)) < 1e-6);
    const at::Tensor whole = at::ones({2, 3, 3}, at::kLong);
    QVERIFY(at::equal(at::bmm(whole, whole), whole * 3));
    const at::Tensor exact = 0.5 * x * (1 + at::erf(x / std::sqrt(2.0)));
    QVERIFY(errorOf(at::gelu(x.to(at::kFloat)), exact) < 1e-6);
}

void KernelsTest::saysWhatItReplaces()
{
    const auto& names = kernels::replacedOperators();
    QCOMPARE(std::count(names.begin(), names.end(), "gelu"), std::ptrdiff_t(TORCH_VERSION_MAJOR < 2 ? 1 : 0));
}

void KernelsTest::loopsRunOnAllThreadsAtOnce()
{
    at::set_num_threads(2);
    std::mutex mutex;
    std::set<std::thread::id> threads;
    std::atomic<int> inside = 0, together = 0, nested = 0;
    kernels::parallelFor(0, 2, 1, [&](std::int64_t, std::int64_t) {
        {
            const std::scoped_lock lock(mutex);
            threads.insert(std::this_thread::get_id());
        }
        ++inside;
        // The other one comes while this one waits, if it comes at all.
        for (const auto begin = std::chrono::steady_clock::now(); inside < 2 && std::chrono::steady_clock::now() - begin < std::chrono::seconds(20);)
            std::this_thread::yield();
        together += inside == 2;
        kernels::parallelFor(0, 100, 1, [&](std::int64_t from, std::int64_t to) { nested += from == 0 && to == 100; });
    });
    QCOMPARE(int(threads.size()), 2);
    QCOMPARE(int(together), 2);
    QCOMPARE(int(nested), 2);  // a loop inside a loop is one stretch
}

void KernelsTest::stretchesCoverTheRangeOnce_data()
{
    QTest::addColumn<int>("threads");
    QTest::addColumn<qlonglong>("begin");
    QTest::addColumn<qlonglong>("end");
    QTest::addColumn<qlonglong>("grain");
    QTest::newRow("even") << 2 << 0LL << 1000LL << 1LL;
    QTest::newRow("odd, not from 0") << 3 << 7LL << 1008LL << 10LL;
    QTest::newRow("more threads than elements") << 4 << 0LL << 3LL << 1LL;
    QTest::newRow("one stretch") << 4 << 0LL << 100LL << 100LL;
    QTest::newRow("grain 0") << 2 << 0LL << 5LL << 0LL;
    QTest::newRow("empty") << 2 << 5LL << 5LL << 1LL;
    QTest::newRow("inside out") << 2 << 5LL << 4LL << 1LL;
    QTest::newRow("one thread") << 1 << 0LL << 1000LL << 1LL;
}

void KernelsTest::stretchesCoverTheRangeOnce()
{
    QFETCH(int, threads);
    QFETCH(qlonglong, begin);
    QFETCH(qlonglong, end);
    QFETCH(qlonglong, grain);
    at::set_num_threads(threads);
    std::vector<std::atomic<int>> visits(2000);
    std::atomic<int> calls = 0, narrow = 0;
    kernels::parallelFor(begin, end, grain, [&](std::int64_t from, std::int64_t to) {
        ++calls;
        narrow += to - from < grain && to != end;
        for (std::int64_t i = from; i < to; ++i)
            ++visits[std::size_t(i)];
    });
    for (std::int64_t i = 0; i < std::int64_t(visits.size()); ++i)
        QCOMPARE(int(visits[std::size_t(i)]), int(i >= begin && i < end));
    QVERIFY(calls <= threads);
    QCOMPARE(int(narrow), 0);
}

void KernelsTest::whatALoopThrowsIsThrownAgain()
{
    at::set_num_threads(2);
    std::atomic<int> ended = 0;
    try {
        kernels::parallelFor(0, 2, 1, [&](std::int64_t from, std::int64_t) {
            if (from == 1)
                throw std::runtime_error("of the second");
            ++ended;
        });
        QFAIL("nothing was thrown");
    } catch (const std::runtime_error& error) {
        QCOMPARE(error.what(), "of the second");
    }
    QCOMPARE(int(ended), 1);
}

QTEST_APPLESS_MAIN(KernelsTest)
#include "kernels_test.moc"
