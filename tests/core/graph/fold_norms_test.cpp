#include <core/graph/fold_norms.h>
#include <core/graph/memory_format.h>
#include <core/zoo/zoo.h>

#include <QTest>

#include "sample_graphs.h"

using namespace orrery;
using namespace orrery::graph;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed, at::ScalarType dtype = at::kDouble)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(dtype));
}

/// Weights and statistics that are not the ones of a fresh network, so that every term of a batch norm counts.
Weights trainedLike(const Graph& graph, at::ScalarType dtype)
{
    Weights weights;
    std::uint64_t seed = 1;
    for (const auto& parameter : graph.data().parameters) {
        if (!at::isFloatingType(parameter.dtype)) {
            weights.set(parameter.name, at::zeros(parameter.shape, parameter.dtype));
            continue;
        }
        auto tensor = noise(parameter.shape, seed++, dtype) * (parameter.shape.size() == 4 ? 0.2 : 1);
        weights.set(parameter.name, parameter.name.ends_with("running_var") ? tensor.abs() + 0.3 : tensor);
    }
    return weights;
}

double largest(const at::Tensor& a, const at::Tensor& b)
{
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

Model moved(Model model, at::ScalarType dtype)
{
    model.graph = graph::moved(model.graph, c10::kCPU, dtype);
    model.weights = trainedLike(*model.graph, dtype);
    return model;
}

int count(const Graph& graph, const char* op)
{
    int found = 0;
    for (const auto* node : graph.allNodes())
        found += node->op == op;
    return found;
}

/// conv, norm, and what `after` makes of both.
Model convolutionAndNorm(bool bias, const std::function<Builder::Var(Builder&, Builder::Var convolved, Builder::Var normed)>& after)
{
    Builder builder("pair");
    const auto x = builder.input("x", "float64", {"batch", "3", "5", "5"});
    const auto convolved = builder.conv2d("conv", x, 3, 4, 3, 1, 1, bias);
    const auto normed = builder.batchNorm("bn", convolved, 4);
    return moved(builder.finish({{"y", after(builder, convolved, normed)}}), at::kDouble);
}

}  // namespace

class FoldNormsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void aFoldedPairEqualsThePlainOne_data();
    void aFoldedPairEqualsThePlainOne();
    void aConvolutionThatOthersReadIsKept();
    void aWholeNetworkKeepsItsFunctionAndItsNames();
    void gradientsAreTheSame();
    void graphsWithoutNormsStayAsTheyAre();
    void sharedKernelsAreFoldedEachForItself();
    void channelsLastGivesTheSameNumbers();
    void viewsForbidChannelsLast();
};

void FoldNormsTest::aFoldedPairEqualsThePlainOne_data()
{
    QTest::addColumn<bool>("bias");
    QTest::newRow("convolution with bias") << true;
    QTest::newRow("convolution without bias") << false;
}

void FoldNormsTest::aFoldedPairEqualsThePlainOne()
{
    QFETCH(bool, bias);
    const auto model = convolutionAndNorm(bias, [](Builder& builder, auto, auto normed) { return builder.relu(normed); });
    const auto folded = foldNorms(model.graph, model.weights);
    QCOMPARE(folded.folded, 1);
    QCOMPARE(count(*folded.graph, "aten::batch_norm"), 0);
    const auto x = noise({2, 3, 5, 5}, 50);
    QVERIFY(largest(Executor(folded.graph).forward(folded.weights, {x}), Executor(model.graph).forward(model.weights, {x})) < 1e-12);
}

void FoldNormsTest::aConvolutionThatOthersReadIsKept()
{
    const auto read = convolutionAndNorm(true, [](Builder& builder, auto convolved, auto normed) { return builder.add(convolved, normed); });
    QCOMPARE(foldNorms(read.graph, read.weights).folded, 0);
    const auto given = convolutionAndNorm(true, [](Builder&, auto convolved, auto) { return convolved; });
    QCOMPARE(foldNorms(given.graph, given.weights).folded, 0);
}

void FoldNormsTest::aWholeNetworkKeepsItsFunctionAndItsNames()
{
    const auto model = moved(zoo::buildModel("resnet", {{"depth", 14}, {"shortcut", "B"}}, 0), at::kDouble);
    const auto folded = foldNorms(model.graph, model.weights);
    QCOMPARE(folded.folded, count(*model.graph, "aten::batch_norm"));
    const auto x = noise({2, 3, 32, 32}, 51);
    const auto kept = [&](const GraphPtr& graph, const Weights& weights) {
        RunRequest request;
        request.inputs = {x};
        request.keep = {"op:aten::relu", "op:aten::linear"};
        return Executor(graph).run(weights, request);
    };
    const auto plain = kept(model.graph, model.weights), same = kept(folded.graph, folded.weights);
    QVERIFY(plain.values.size() > 10);
    QCOMPARE(same.values.size(), plain.values.size());
    for (const auto& [name, value] : plain.values) {
        const auto& tensor = value.toTensor();
        QVERIFY(largest(same.value(name), tensor) < 1e-10 * tensor.abs().max().item<double>());
    }
    QVERIFY(largest(same.tensor(), plain.tensor()) < 1e-10 * plain.tensor().abs().max().item<double>());
    for (const auto* node : folded.graph->allNodes())
        QVERIFY(model.graph->findValue(node->name));
}

void FoldNormsTest::gradientsAreTheSame()
{
    const auto model = moved(zoo::buildModel("resnet", {{"depth", 8}}, 0), at::kDouble);
    const auto folded = foldNorms(model.graph, model.weights);
    const auto gradient = [](const GraphPtr& graph, const Weights& weights) {
        at::AutoGradMode enable(true);
        RunRequest request;
        auto leaf = noise({1, 3, 32, 32}, 52).requires_grad_(true);
        request.inputs = {leaf};
        request.gradients = Gradients::Inputs;
        Executor(graph).run(weights, request).tensor().select(1, 3).sum().backward();
        return leaf.grad().clone();
    };
    const auto plain = gradient(model.graph, model.weights);
    QVERIFY(largest(gradient(folded.graph, folded.weights), plain) < 1e-10 * plain.abs().max().item<double>());
}

void FoldNormsTest::graphsWithoutNormsStayAsTheyAre()
{
    const auto model = residualModel();
    const auto folded = foldNorms(model.graph, model.weights);
    QCOMPARE(folded.folded, 0);
    QCOMPARE(folded.graph.get(), model.graph.get());
}

void FoldNormsTest::sharedKernelsAreFoldedEachForItself()
{
    // One kernel in two places, each with a norm of its own.
    Builder builder("shared");
    const auto x = builder.input("x", "float64", {"batch", "4", "5", "5"});
    const auto kernel = builder.parameter("kernel", {4, 4, 3, 3}, {});
    auto y = x;
    for (const char* name : {"bn1", "bn2"}) {
        const std::vector<std::int64_t> ones = {1, 1};
        y = builder.batchNorm(name, builder.op("aten::conv2d", {y, kernel, nullptr, ones, ones, ones, 1}), 4);
    }
    const auto model = moved(builder.finish({{"y", y}}), at::kDouble);
    const auto folded = foldNorms(model.graph, model.weights);
    QCOMPARE(folded.folded, 2);
    const auto input = noise({2, 4, 5, 5}, 53);
    QVERIFY(largest(Executor(folded.graph).forward(folded.weights, {input}), Executor(model.graph).forward(model.weights, {input})) < 1e-11);
}

void FoldNormsTest::channelsLastGivesTheSameNumbers()
{
    for (const char* shortcut : {"A", "B"}) {
        const auto model = zoo::buildModel("resnet", {{"depth", 8}, {"shortcut", shortcut}}, 3);
        QVERIFY(allowsChannelsLast(*model.graph));
        const auto x = noise({4, 3, 32, 32}, 54, at::kFloat);
        const auto other = withChannelsLast(x);
        QVERIFY(!other.is_contiguous() && other.equal(x));
        const Executor executor(model.graph);
        QVERIFY(largest(executor.forward(model.weights, {other}), executor.forward(model.weights, {x})) < 1e-4);
    }
    const auto table = noise({4, 3}, 55);
    QVERIFY(withChannelsLast(table).is_same(table));
}

void FoldNormsTest::viewsForbidChannelsLast()
{
    Builder builder("view");
    const auto x = builder.input("x", "float32", {"batch", "3", "4", "4"});
    const auto y = builder.conv2d("conv", x, 3, 2, 3);
    const auto model = builder.finish({{"y", builder.op("aten::view", {y, std::vector<std::int64_t>{-1, 8}})}});
    QVERIFY(!allowsChannelsLast(*model.graph));
    QVERIFY(!allowsChannelsLast(*residualModel().graph));
}

QTEST_APPLESS_MAIN(FoldNormsTest)
#include "fold_norms_test.moc"
