// The fused operator against its two parts, forward and backward, and the bytes it saves in a graph.
#include <core/debug/bias_gelu.h>
#include <core/debug/profile.h>

#include <ATen/Parallel.h>

#include <QtTest>

#include "../graph/sample_graphs.h"

using namespace orrery;
using namespace orrery::debug;

namespace {

/// product, bias, GELU as an importer of ONNX sees them.
graph::Model feedForward(std::int64_t width = 12)
{
    graph::Builder builder("ffn");
    const auto x = builder.input("x", "float32", {"rows", "8"}, "float");
    const auto weight = builder.parameter("weight", {8, width}, {{"kind", "normal"}, {"mean", 0}, {"std", 1}});
    const auto bias = builder.parameter("bias", {width}, {{"kind", "normal"}, {"mean", 0}, {"std", 1}});
    const auto product = builder.op("aten::matmul", {x, weight}, "product");
    const auto sum = builder.op("aten::add.Tensor", {product, bias, 1}, "sum");
    return graph::withWeights(builder.finish({{"out", builder.gelu(sum)}}));
}

}  // namespace

class BiasGeluTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(2); }

    void theFusedEqualsItsPartsForwardAndBackward_data()
    {
        QTest::addColumn<QString>("approximate");
        QTest::addColumn<int>("rows");
        for (const char* approximate : {"none", "tanh"})
            for (const int rows : {0, 1, 7, 3000})
                QTest::addRow("%s %d", approximate, rows) << QString(approximate) << rows;
    }
    void theFusedEqualsItsPartsForwardAndBackward()
    {
        QFETCH(QString, approximate);
        QFETCH(int, rows);
        const std::string mode = approximate.toStdString();
        at::manual_seed(2);
        const at::Tensor x = at::randn({rows, 40}), bias = at::randn({40}), weight = at::randn({rows, 40});
        const auto leaf = [](const at::Tensor& tensor) { return tensor.clone().requires_grad_(true); };
        const at::Tensor x1 = leaf(x), b1 = leaf(bias), x2 = leaf(x), b2 = leaf(bias);
        const at::Tensor fused = biasGelu(x1, b1, mode), plain = at::gelu(x2 + b2, mode);
        QVERIFY(at::allclose(fused, plain, 1e-6, 1e-6));
        (fused * weight).sum().backward();
        (plain * weight).sum().backward();
        QVERIFY(at::allclose(x1.grad(), x2.grad(), 1e-6, 1e-6));
        QVERIFY(at::allclose(b1.grad(), b2.grad(), 1e-5, 1e-4));  // a sum of 3000 numbers, in another order
    }

    void gradientsEqualDifferences()
    {
        at::manual_seed(5);
        const at::Tensor x = at::randn({3, 4}, at::kDouble), bias = at::randn({4}, at::kDouble).requires_grad_(true);
        biasGelu(x, bias, "none").sum().backward();
        const double step = 1e-6;
        for (int i = 0; i < 4; ++i) {
            at::Tensor up = bias.detach().clone(), down = bias.detach().clone();
            up[i] += step;
            down[i] -= step;
            const double slope = ((biasGelu(x, up, "none").sum() - biasGelu(x, down, "none").sum()) / (2 * step)).item<double>();
            QVERIFY(std::abs(slope - bias.grad()[i].item<double>()) < 1e-7);
        }
    }

    void aGraphIsFusedAndMovesFewerBytes()
    {
        const graph::Model model = feedForward();
        const FusedGraph fused = fuseBiasGelu(model.graph);
        QCOMPARE(fused.fused, std::vector<std::string>{"gelu"});
        QCOMPARE(fused.graph->nodes().size(), std::size_t(2));
        const at::Tensor x = at::randn({5, 8}, at::detail::createCPUGenerator(3), at::TensorOptions());
        const at::Tensor before = graph::Executor(model.graph).forward(model.weights, {x}),
                         after = graph::Executor(fused.graph).forward(model.weights, {x});
        QVERIFY(at::allclose(before, after, 1e-6, 1e-6));
        ProfileOptions options;
        options.runs = 1;
        const Profile plain = profileModel(graph::Executor(model.graph), model.weights, {x}, options);
        const Profile less = profileModel(graph::Executor(fused.graph), model.weights, {x}, options);
        QCOMPARE(plain.bytes() - less.bytes(), std::int64_t(2 * 4 * 5 * 12));  // the sum is neither written nor read
        QCOMPARE(graph::fromJson(graph::toJson(*fused.graph), "fused")->hash(), fused.graph->hash());
    }

    void whatOthersReadIsLeftAlone()
    {
        graph::Builder builder("shared");
        const auto x = builder.input("x", "float32", {"rows", "8"}, "float");
        const auto bias = builder.parameter("bias", {8}, {{"kind", "zeros"}});
        const auto sum = builder.op("aten::add.Tensor", {x, bias, 1}, "sum");
        const graph::Model model = builder.finish({{"out", builder.gelu(sum)}, {"sum", sum}});
        QVERIFY(fuseBiasGelu(model.graph).fused.empty());
        QVERIFY(fuseBiasGelu(model.graph).graph == model.graph);
    }

    void operandsThatDoNotFitAreRefused()
    {
        QVERIFY_EXCEPTION_THROWN(biasGelu(at::zeros({2, 3}), at::zeros({4}), "none"), c10::Error);
        QVERIFY_EXCEPTION_THROWN(biasGelu(at::zeros({2, 3}), at::zeros({3}, at::kDouble), "none"), c10::Error);
    }
};

QTEST_APPLESS_MAIN(BiasGeluTest)
#include "bias_gelu_test.moc"
