#include <ATen/ATen.h>

#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/graph/narrow.h>
#include <core/zoo/zoo.h>

#include <QTest>

using namespace orrery;
using graph::Builder;
using graph::Range;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions());
}

graph::Shapes shapesOf(const graph::Executor& executor, const graph::Weights& weights, const at::Tensor& x)
{
    graph::Shapes shapes;
    graph::RunRequest request;
    request.inputs = {x};
    request.probes = {graph::shapeProbe(*executor.graph(), shapes)};
    executor.run(weights, request);
    return shapes;
}

graph::Narrowed narrowedFor(const graph::Model& model, const at::Tensor& x, const std::optional<Range>& range)
{
    const graph::Executor executor(model.graph);
    const auto one = shapesOf(executor, model.weights, x);
    std::vector<std::int64_t> twice(std::size_t(x.dim()), 1);
    twice[0] = 2;
    return graph::narrowed(model.graph, 0, range, one, shapesOf(executor, model.weights, x.repeat(twice)));
}

/// Largest difference of the narrowed graph's output from the part of the whole one, for a batch of three.
double worst(const graph::Model& model, const at::Tensor& one, const at::Tensor& three, const Range& range)
{
    const auto made = narrowedFor(model, one, range);
    const auto whole = graph::Executor(model.graph).forward(model.weights, {three}).narrow(range.axis, range.begin, range.length);
    const auto part = graph::Executor(made.graph).forward(model.weights, {three});
    return part.sizes() == whole.sizes() ? (part - whole).abs().max().item<double>() : 1e9;
}

graph::Model gpt()
{
    return zoo::buildModel("gpt", {{"layers", 2}, {"heads", 2}, {"width", 16}, {"vocabulary", 11}, {"block_length", 9}}, 3);
}

at::Tensor tokens(std::int64_t rows, std::int64_t positions = 9)
{
    return at::arange(rows * positions, at::kLong).mul(7).remainder(11).reshape({rows, positions});
}

/// Every operator that has a rule, in one chain; [batch, 5, 6] -> [batch, 5, 6].
graph::Model chain()
{
    Builder builder("chain");
    auto x = builder.input("x", "float32", {"batch", "5", "6"});
    const auto batch = builder.size(x, 0);
    x = builder.relu(builder.linear("fc", builder.layerNorm("norm", x, 6), 6, 6));
    const auto heads = builder.transpose(builder.reshape(x, {batch, 5, 2, 3}), 1, 2);
    const auto pattern = builder.softmax(builder.matmul(heads, builder.transpose(heads, -2, -1)), -1);
    const auto mixed = builder.op("aten::permute", {builder.matmul(pattern, heads), std::vector<std::int64_t>{0, 2, 1, 3}});
    x = builder.add(x, builder.flatten(mixed, 2, 3));
    const auto bias = builder.parameter("bias", {5, 1}, {{"kind", "uniform"}, {"bound", 1.0}});
    x = builder.op("aten::mul.Tensor", {builder.op("aten::tanh", {x}), bias});
    auto model = builder.finish({{"y", x}});
    model.weights = graph::initialize(*model.graph, 2);
    return model;
}

}  // namespace

class NarrowTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void partOfTheOutputStaysTheSame_data();
    void partOfTheOutputStaysTheSame();
    void countedFromTheEndItHoldsForOtherLengths();
    void lastBlockWorksOnOnePosition();
    void selectionsOfTheGraphItselfAreFollowed();
    void operatorsWithoutARuleAreComputedWhole();
    void valuesReadTwiceInDifferentWaysStayWhole();
    void graphsThatWriteInPlaceStayAsTheyAre();
};

void NarrowTest::partOfTheOutputStaysTheSame_data()
{
    QTest::addColumn<bool>("isChain");
    QTest::addColumn<int>("axis");
    QTest::addColumn<int>("begin");
    QTest::addColumn<int>("length");
    QTest::newRow("gpt, last position") << false << 1 << 8 << 1;
    QTest::newRow("gpt, first position") << false << 1 << 0 << 1;
    QTest::newRow("gpt, some positions") << false << 1 << 3 << 4;
    QTest::newRow("gpt, some tokens") << false << 2 << 2 << 5;
    QTest::newRow("gpt, last position from the end") << false << 1 << -1 << 1;
    QTest::newRow("gpt, positions from the end") << false << 1 << -4 << 2;
    QTest::newRow("chain, from the end") << true << 1 << -2 << 2;
    QTest::newRow("chain, one position") << true << 1 << 2 << 1;
    QTest::newRow("chain, two positions") << true << 1 << 3 << 2;
    QTest::newRow("chain, last axis") << true << 2 << 1 << 3;
}

void NarrowTest::partOfTheOutputStaysTheSame()
{
    QFETCH(bool, isChain);
    QFETCH(int, axis);
    QFETCH(int, begin);
    QFETCH(int, length);
    const Range range{axis, begin, length};
    QVERIFY((isChain ? worst(chain(), noise({1, 5, 6}, 1), noise({3, 5, 6}, 2), range) : worst(gpt(), tokens(1), tokens(3), range)) < 1e-5);
}

void NarrowTest::countedFromTheEndItHoldsForOtherLengths()
{
    const auto model = gpt();
    const auto five = narrowedFor(model, tokens(1, 5), Range{1, -1, 1}), seven = narrowedFor(model, tokens(1, 7), Range{1, -1, 1});
    QCOMPARE(five.graph->hash(), seven.graph->hash());
    QCOMPARE(five.values.at("blocks.1.attn.scores"), (Range{2, -1, 1}));
    for (const std::int64_t length : {1, 4, 9}) {
        const auto whole = graph::Executor(model.graph).forward(model.weights, {tokens(3, length)}).narrow(1, length - 1, 1);
        const auto part = graph::Executor(five.graph).forward(model.weights, {tokens(3, length)});
        QCOMPARE(part.sizes().vec(), whole.sizes().vec());
        QVERIFY((part - whole).abs().max().item<double>() < 1e-5);
    }
    // Counted from the front it is another graph for each length.
    QVERIFY(narrowedFor(model, tokens(1, 5), Range{1, 4, 1}).graph->hash() != narrowedFor(model, tokens(1, 7), Range{1, 6, 1}).graph->hash());
}

void NarrowTest::lastBlockWorksOnOnePosition()
{
    const auto model = gpt();
    const auto made = narrowedFor(model, tokens(1), Range{1, 8, 1});
    const auto shapes = shapesOf(graph::Executor(made.graph), model.weights, tokens(2));
    const auto shape = [&](const char* name) { return shapes[std::size_t(*made.graph->findValue(name))]; };
    using Shape = std::vector<std::int64_t>;
    QCOMPARE(shape("blocks.1.mlp.fc.linear"), (Shape{2, 1, 64}));
    QCOMPARE(shape("blocks.1.attn.scores"), (Shape{2, 2, 1, 9}));
    QCOMPARE(shape("blocks.1.attn.k"), (Shape{2, 2, 9, 8}));
    QCOMPARE(shape("blocks.0.mlp.fc.linear"), (Shape{2, 9, 64}));
    QCOMPARE(made.values.at("blocks.1.attn.scores"), (Range{2, 8, 1}));
    QVERIFY(!made.values.contains("blocks.0.resid_post"));
}

void NarrowTest::selectionsOfTheGraphItselfAreFollowed()
{
    auto model = zoo::buildModel(
        "vit", {{"image_size", 8}, {"channels", 1}, {"patch_size", 4}, {"layers", 2}, {"heads", 2}, {"width", 16}, {"mlp_width", 24}, {"classes", 5}},
        4);
    model.weights.set("head.weight", noise({5, 16}, 9));
    const auto made = narrowedFor(model, noise({1, 1, 8, 8}, 1), {});
    const auto x = noise({3, 1, 8, 8}, 2);
    const auto shapes = shapesOf(graph::Executor(made.graph), model.weights, x);
    QCOMPARE(shapes[std::size_t(*made.graph->findValue("blocks.1.mlp.gelu"))], (std::vector<std::int64_t>{3, 1, 24}));
    const auto difference = graph::Executor(made.graph).forward(model.weights, {x}) - graph::Executor(model.graph).forward(model.weights, {x});
    QVERIFY(difference.abs().max().item<double>() < 1e-5);
}

void NarrowTest::operatorsWithoutARuleAreComputedWhole()
{
    Builder builder("sums");
    const auto x = builder.input("x", "float32", {"batch", "5", "6"});
    const auto sums = builder.op("aten::cumsum", {x, 1, nullptr});
    auto model = builder.finish({{"y", builder.relu(sums)}});
    const auto made = narrowedFor(model, noise({1, 5, 6}, 1), Range{1, 4, 1});
    QVERIFY(!made.values.contains("cumsum"));
    QVERIFY(made.values.contains("relu"));
    QCOMPARE(worst(model, noise({1, 5, 6}, 1), noise({3, 5, 6}, 2), {1, 4, 1}), 0.0);
}

void NarrowTest::valuesReadTwiceInDifferentWaysStayWhole()
{
    Builder builder("twice");
    const auto x = builder.input("x", "float32", {"batch", "5", "6"});
    const auto active = builder.relu(x);
    const auto total = builder.op("aten::sum.dim_IntList", {active, std::vector<std::int64_t>{1}, true});
    auto model = builder.finish({{"y", builder.op("aten::div.Tensor", {active, total})}});
    const auto made = narrowedFor(model, noise({1, 5, 6}, 1), Range{1, 2, 1});
    QVERIFY(!made.values.contains("relu"));
    QCOMPARE(worst(model, noise({1, 5, 6}, 1), noise({3, 5, 6}, 2), {1, 2, 1}), 0.0);
}

void NarrowTest::graphsThatWriteInPlaceStayAsTheyAre()
{
    Builder builder("written");
    const auto x = builder.input("x", "float32", {"batch", "5", "6"});
    const auto copy = builder.op("aten::clone", {x, nullptr});
    auto model = builder.finish({{"y", builder.op("aten::relu_", {copy})}});
    QCOMPARE(narrowedFor(model, noise({1, 5, 6}, 1), Range{1, 2, 1}).graph, model.graph);
}

QTEST_APPLESS_MAIN(NarrowTest)
#include "narrow_test.moc"
