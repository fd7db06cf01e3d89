// Random valid graphs: predicted shapes, agreement of all ways to run them, a planted bug that is found and cut down, inputs without NaN.
#include <core/debug/operator_rules.h>
#include <core/debug/output_bounds.h>
#include <core/debug/random_graphs.h>
#include <core/debug/rule_graphs.h>
#include <core/debug/weight_compression.h>

#include <ATen/Parallel.h>

#include <QtTest>

#include <algorithm>
#include <cmath>

#include <core/debug/profile.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/graph/flops.h>
#include <core/graph/low_rank.h>

#include "../message_of.h"

using namespace orrery;
using namespace orrery::debug;

namespace {

/// A rewrite with a bug: every tanh of the graph becomes a sigmoid.
graph::GraphPtr wrongTanh(const graph::GraphPtr& source)
{
    graph::GraphData data = source->data();
    for (auto& node : data.body.nodes)
        if (node.op == "aten::tanh")
            node.op = "aten::sigmoid";
    return std::make_shared<const graph::Graph>(std::move(data));
}

/// Of the linear layers of a graph with one input.
std::int64_t flopsOfLayers(const graph::GraphPtr& graph, const graph::Weights& weights, const at::Tensor& input)
{
    graph::RunRequest request;
    request.inputs = {input};
    request.keep = {"**"};
    const auto values = graph::Executor(graph).run(weights, request).values;
    std::int64_t sum = 0;
    for (const auto& node : graph->nodes()) {
        if (node.op != "aten::linear")
            continue;
        const auto before = values.find(graph->value(node.inputs[0].value).name);
        const std::vector<c10::IValue> inputs{
            before == values.end() ? c10::IValue(input) : before->second, weights.at(graph->parameterOf(node.inputs[1].value)->name), {}},
            outputs{values.at(node.name)};
        sum += graph::flopsOf(node, inputs, outputs);
    }
    return sum;
}

/// A rewrite that swaps the operands of additions: correct.
graph::GraphPtr swappedAdds(const graph::GraphPtr& source)
{
    graph::GraphData data = source->data();
    for (auto& node : data.body.nodes)
        if (node.op == "aten::add" && node.overload == "Tensor")
            std::swap(node.inputs[0], node.inputs[1]);
    return std::make_shared<const graph::Graph>(std::move(data));
}

std::string textOf(const RandomGraphReport& report)
{
    return report.disagreements.empty() ? std::string() : report.toJson()["disagreements"].dump();
}

}  // namespace

class RandomGraphsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void twoHundredGraphsRunAsPredictedAndAgree()
    {
        const RandomGraphReport report = checkRandomGraphs(200, 1);
        QCOMPARE(report.graphs, 200);
        QVERIFY2(report.disagreements.empty(), textOf(report).c_str());
        QVERIFY(report.nodes > 2000);
        for (const char* op : {"aten::matmul", "aten::conv1d", "aten::softmax.int", "aten::cat", "aten::layer_norm", "aten::log", "aten::div.Tensor"})
            QVERIFY2(report.operators.count(op), op);
        QVERIFY2(report.unsearchable < 20, std::to_string(report.unsearchable).c_str());
    }

    void theSameSeedGivesTheSameGraph()
    {
        QCOMPARE(randomGraph(5).model.graph->hash(), randomGraph(5).model.graph->hash());
        QVERIFY(randomGraph(5).model.graph->hash() != randomGraph(6).model.graph->hash());
        QVERIFY(at::equal(randomGraph(5).inputs[0].toTensor(), randomGraph(5).inputs[0].toTensor()));
    }

    void aPlantedBugIsFoundAndCutDown()
    {
        const RandomGraphReport report = checkRandomGraphs(60, 1, {{"wrong", wrongTanh}, {"swapped", swappedAdds}});
        QVERIFY(!report.disagreements.empty());
        for (const auto& found : report.disagreements) {
            QCOMPARE(found.check, std::string("wrong"));
            // What is left ends in the node that differs, and still differs by itself.
            const graph::Graph& cut = *found.shrunk.graph;
            QCOMPARE(cut.nodes().back().op, std::string("aten::tanh"));
            QVERIFY(cut.nodes().size() <= randomGraph(found.seed, 4 + int(found.seed % 20)).model.graph->nodes().size());
            const at::Tensor right = graph::Executor(found.shrunk.graph).forward(found.shrunk.weights, found.inputs);
            const at::Tensor wrong = graph::Executor(wrongTanh(found.shrunk.graph)).forward(found.shrunk.weights, found.inputs);
            QVERIFY(!at::allclose(right, wrong, 1e-4, 1e-5));
        }
    }

    void anOperatorBrokenOnPurposeIsCaught()
    {
        for (const char* op : {"aten::tanh", "aten::matmul", "aten::softmax"}) {
            const RandomGraphReport report = checkRandomGraphs(40, 3, {brokenOperator(op)});
            QVERIFY2(!report.disagreements.empty(), op);
            for (const auto& found : report.disagreements) {
                QCOMPARE(found.check, "broken " + std::string(op));
                const auto& nodes = found.shrunk.graph->nodes();
                QVERIFY(std::any_of(nodes.begin(), nodes.end(), [&](const auto& node) { return node.op == op; }));
            }
        }
        QVERIFY(saidBy([] { brokenOperator("tanh"); }).contains("such as aten::tanh"));
    }

    void graphsGoThroughFilesAndCompilers()
    {
        const RandomGraphReport report = checkRandomGraphs(40, 500, {}, {}, {}, graphPaths(13));
        QVERIFY2(report.disagreements.empty(), textOf(report).c_str());
        for (const char* name : {"file", "onnx", "torchscript"})
            QVERIFY2(report.paths.count(name) && report.paths.at(name).taken > 20, (report.toJson()["paths"].dump() + name).c_str());
        QCOMPARE(report.paths.at("file").refused, 0);
    }

    void aPathThatComputesSomethingElseIsFoundAndShrunk()
    {
        const GraphPath wrong{"wrong", [](const graph::Model& model, const std::vector<c10::IValue>& inputs, const std::filesystem::path&) {
                                  graph::RunRequest request;
                                  request.inputs = inputs;
                                  std::vector<at::Tensor> outputs;
                                  for (const auto& output : graph::Executor(wrongTanh(model.graph)).run(model.weights, request).outputs)
                                      outputs.push_back(output.toTensor());
                                  return outputs;
                              }};
        const GraphPath failing{"failing", [](const auto&, const auto&, const auto&) -> std::vector<at::Tensor> { throw core::Error("fell over"); }};
        const GraphPath refusing{"refusing", [](const auto&, const auto&, const auto&) -> std::vector<at::Tensor> {
                                     throw core::InputError("node x: aten::y is not held");
                                 }};
        const RandomGraphReport report = checkRandomGraphs(20, 1, {}, {}, {}, {wrong, failing, refusing});
        int wrongs = 0, failures = 0;
        for (const auto& found : report.disagreements) {
            wrongs += found.check == "wrong";
            failures += found.check == "failing";
            QVERIFY(found.check != "refusing");
            if (found.check == "wrong")
                QCOMPARE(found.shrunk.graph->nodes().back().op, std::string("aten::tanh"));
        }
        QVERIFY(wrongs > 0);
        QCOMPARE(failures, report.paths.at("failing").taken);
        QCOMPARE(report.paths.at("refusing").taken, 0);
        QCOMPARE(report.paths.at("refusing").reasons.begin()->first, std::string("aten::y is not held"));
    }

    void compressedGraphsComputeWhatTheirWeightsStandFor()
    {
        const RandomGraphReport report = checkRandomGraphs(40, 900, {}, {}, {}, compressedPaths());
        QVERIFY2(report.disagreements.empty(), textOf(report).c_str());
        for (const char* name : {"float16", "bfloat16", "int8", "pruned", "masked", "low-rank", "int8-onnx", "pruned-onnx", "low-rank-onnx", "npz"})
            QVERIFY2(report.paths.count(name) && report.paths.at(name).taken > 20, (report.toJson()["paths"].dump() + name).c_str());
        for (const char* name : {"float16", "bfloat16", "int8", "pruned", "low-rank"})
            QVERIFY2(report.paths.at(name).bounds.size() >= 8, (report.toJson()["paths"].dump() + name).c_str());
        const auto median = [&](const char* name) { return medianOf(report.paths.at(name).changes); };
        QCOMPARE(median("masked"), 0.0);
        const auto& lowRank = report.paths.at("low-rank").changes;
        QVERIFY2(std::count_if(lowRank.begin(), lowRank.end(), [](double change) { return change > 0.01; }) >= 5,
                 report.toJson()["paths"].dump().c_str());
        QVERIFY2(median("float16") > 0 && median("float16") < median("bfloat16") && median("bfloat16") < median("pruned"),
                 report.toJson()["paths"].dump().c_str());
    }

    void outputsStayWithinTheirBounds()
    {
        // y = relu(A x + a), z = B y: |dz| <= |B| |dA| |x| + |dB| |y|, written out.
        graph::Builder builder("chain");
        const auto x = builder.input("x", "float64", {"batch", "5"}, "table");
        graph::Model model = builder.finish({{"out", builder.linear("b", builder.relu(builder.linear("a", x, 5, 7)), 7, 3, false)}});
        model.weights = graph::initialize(*model.graph, 2).to(at::kCPU, at::kDouble);
        model.graph = graph::moved(model.graph, at::kCPU, at::kDouble);
        graph::Weights changed = model.weights.clone();
        changed.at("a.weight").view(-1)[4] += 0.25;
        changed.at("b.weight").mul_(1.5);
        const at::Tensor input = at::randn({2, 5}, at::detail::createCPUGenerator(4), at::TensorOptions(at::kDouble));
        const auto bounds = outputBounds(model, changed, {input});
        QVERIFY(bounds.outputs.at(0) && bounds.without.empty());
        const auto &A = model.weights.at("a.weight"), &B = model.weights.at("b.weight");
        const at::Tensor dA = (changed.at("a.weight") - A).abs(), dB = (changed.at("b.weight") - B).abs();
        const at::Tensor y = at::relu(at::linear(input, A, model.weights.at("a.bias"))), dy = at::matmul(input.abs(), dA.t());
        const at::Tensor expected = at::matmul(y + dy, dB.t()) + at::matmul(dy, B.abs().t());
        QVERIFY(at::allclose(*bounds.outputs[0], expected, 1e-12, 1e-12));
        const OutputChange change = outputChange(model, changed, {input});
        QVERIFY(change.exceeded.empty() && change.bound && change.change > 0 && change.change <= *change.bound);
        // One weight alone, with one sign: the bound is what happens.
        graph::Weights one = model.weights.clone();
        one.at("b.weight")[1][3] += 0.5;
        const OutputChange exact = outputChange(model, one, {input});
        QVERIFY(std::abs(exact.change - *exact.bound) < 1e-12);
        // Bounds of a smaller change are exceeded by a larger one.
        const at::Tensor after = at::linear(at::relu(at::linear(input, changed.at("a.weight"), model.weights.at("a.bias"))), changed.at("b.weight"));
        const at::Tensor before = at::linear(y, B);
        QVERIFY(exceeding(bounds, {before}, {after}).empty());
        QVERIFY(QString::fromStdString(exceeding(outputBounds(model, one, {input}), {before}, {after})).contains("expected at most"));
        // What is no number before says nothing; what becomes none is found.
        at::Tensor none = before.clone();
        none[0][0] = std::nan("");
        QVERIFY(exceeding(bounds, {none}, {after}).empty());
        QVERIFY(!exceeding(bounds, {before}, {none}).empty());
    }

    void operatorsWithoutABoundAreNamed()
    {
        graph::Builder builder("exponential");
        const auto x = builder.input("x", "float32", {"batch", "4"}, "table");
        graph::Model model = builder.finish({{"out", builder.op("aten::exp", {builder.linear("a", x, 4, 4)})}});
        model.weights = graph::initialize(*model.graph, 2);
        graph::Weights changed = model.weights.clone();
        const at::Tensor input = at::randn({2, 4}, at::detail::createCPUGenerator(4), at::TensorOptions());
        QVERIFY(outputBounds(model, changed, {input}).without.empty());  // nothing moves
        changed.at("a.bias").add_(1);
        QCOMPARE(outputBounds(model, changed, {input}).without, std::string("aten::exp"));
        QVERIFY(!outputChange(model, changed, {input}).bound);
    }

    void weightsAreRoundedAsTheFormatsSay_data()
    {
        QTest::addColumn<int>("form");
        QTest::addColumn<double>("number");
        QTest::addColumn<double>("meant");
        const int half = int(WeightForm::Float16), brain = int(WeightForm::BFloat16);
        QTest::newRow("a third in float16, 0x3555") << half << 1.0 / 3 << 0.333251953125;
        QTest::newRow("a tenth in float16, 0x2e66") << half << 0.1 << 0.0999755859375;
        QTest::newRow("the largest of float16") << half << 65504.0 << 65504.0;
        QTest::newRow("a tie goes to the even one below") << half << 1 + std::ldexp(1, -11) << 1.0;
        QTest::newRow("a tie goes to the even one above") << half << 1 + std::ldexp(3, -11) << 1 + std::ldexp(1, -9);
        QTest::newRow("the smallest of float16") << half << std::ldexp(1, -24) << std::ldexp(1, -24);
        QTest::newRow("half of the smallest") << half << std::ldexp(-1, -25) << 0.0;
        QTest::newRow("one and a half of the smallest") << half << std::ldexp(3, -25) << std::ldexp(1, -23);
        QTest::newRow("a third in bfloat16, 0x3eab") << brain << 1.0 / 3 << 0.333984375;
        QTest::newRow("-pi in bfloat16, 0xc049") << brain << -3.14159274101257324 << -3.140625;
    }
    void weightsAreRoundedAsTheFormatsSay()
    {
        QFETCH(int, form);
        QFETCH(double, number);
        QFETCH(double, meant);
        graph::Model model;
        model.weights.set("w", at::full({1}, number, at::TensorOptions(at::kFloat)));
        QCOMPARE(weightsMeant(model, WeightForm(form)).at("w").item<double>(), meant);
        QCOMPARE(compressed(model, WeightForm(form)).weights.at("w").to(at::kFloat).item<double>(), meant);
    }

    /// The oracle: singular values as roots of the eigenvalues of W W^T.
    void aWeightOfLowRankIsTheNearest()
    {
        graph::Builder builder("layers");
        const auto x = builder.input("x", "float32", {"batch", "12"}, "table");
        graph::Model model = builder.finish({{"out", builder.linear("a", x, 12, 9)}});
        model.weights = graph::initialize(*model.graph, 3);
        const at::Tensor weight = model.weights.at("a.weight").to(at::kDouble);
        const at::Tensor squares = at::linalg_eigvalsh(weight.matmul(weight.t()));  // rising
        const auto made = graph::lowRank(model.graph, model.weights, {1, 3});
        QCOMPARE(made.factors.size(), std::size_t(1));
        QCOMPARE(made.factors[0].rank, std::int64_t(3));
        const double dropped = std::sqrt(squares.slice(0, 0, 6).sum().item<double>());
        QVERIFY(std::abs(made.factors[0].dropped - dropped) < 1e-9);
        QVERIFY(std::abs(made.factors[0].norm - weight.norm().item<double>()) < 1e-9);
        const at::Tensor in = made.weights.at("a.weight_in"), out = made.weights.at("a.weight_out");
        QCOMPARE(in.sizes(), at::IntArrayRef({3, 12}));
        QCOMPARE(out.sizes(), at::IntArrayRef({9, 3}));
        const at::Tensor product = out.to(at::kDouble).matmul(in.to(at::kDouble));
        QVERIFY(std::abs((product - weight).norm().item<double>() - dropped) < 1e-6);
        const at::Tensor input = at::randn({5, 12}, at::TensorOptions(at::kFloat));
        const at::Tensor expected = at::linear(input.to(at::kDouble), product, model.weights.at("a.bias").to(at::kDouble));
        QVERIFY((graph::Executor(made.graph).forward(made.weights, {input}) - expected).abs().max().item<double>() < 1e-5);
        // Multiplications and additions: 2 * 5 * 3 * (12 + 9) in place of 2 * 5 * 12 * 9.
        QCOMPARE(flopsOfLayers(made.graph, made.weights, input), std::int64_t(630));
        QCOMPARE(flopsOfLayers(model.graph, model.weights, input), std::int64_t(1080));
    }

    void flopsOfWholeOperatorsFollowTheirParts()
    {
        const auto count = [](const char* op, std::vector<c10::IValue> inputs, std::vector<std::int64_t> output) {
            graph::Node node;
            node.op = op;
            const std::vector<c10::IValue> outputs{at::ones(output)};
            return graph::flopsOf(node, inputs, outputs);
        };
        // 12 positions of width 16 in four heads: three projections, scores, softmax, sums of values, the projection behind.
        const at::Tensor x = at::ones({2, 6, 16});
        const std::int64_t attention = 12 * 3 * (2 * 256 + 16) + 72 * 2 * 16 + 4 * 72 * 5 + 72 * 2 * 16 + 12 * (2 * 256 + 16);
        QCOMPARE(count("aten::_native_multi_head_attention", {x, x, x, 16, 4}, {2, 6, 16}), attention);
        std::vector<c10::IValue> layer(18);
        layer[0] = x;
        layer[2] = 4;
        layer[14] = at::ones({40, 16});
        layer[16] = at::ones({16, 40});
        const std::int64_t perceptron = 12 * (2 * 16 * 40 + 40 + 40 + 2 * 40 * 16 + 16), around = 2 * 12 * 16 + 2 * 5 * 12 * 16;
        QCOMPARE(count("aten::_transformer_encoder_layer_fwd", layer, {2, 6, 16}), attention + perceptron + around);
        QCOMPARE(count("aten::bilinear", {at::ones({3, 16}), at::ones({3, 16}), at::ones({12, 16, 16}), {}}, {3, 12}), std::int64_t(36 * 2 * 256));
        const c10::List<at::Tensor> products({at::ones({2, 6, 16}), at::ones({2, 16, 6})}), open({at::ones({5, 2, 3}), at::ones({3, 4})});
        QCOMPARE(count("aten::einsum", {"bij, bjk -> bik", products}, {2, 6, 6}), std::int64_t(72 * 2 * 16));
        QCOMPARE(count("aten::einsum", {"...ij,jk->...ik", open}, {5, 2, 4}), std::int64_t(40 * 2 * 3));
        const std::vector<std::int64_t> three{3}, fives{5, 5}, two{2};
        QCOMPARE(count("aten::max_pool2d", {at::ones({1, 4, 10, 10}), three, std::vector<std::int64_t>{1}}, {1, 4, 10, 10}), std::int64_t(3600));
        QCOMPARE(count("aten::avg_pool2d", {at::ones({1, 4, 10, 10}), fives}, {1, 4, 10, 10}), std::int64_t(10'000));
        QCOMPARE(count("aten::max_pool1d", {at::ones({1, 4, 10}), two}, {1, 4, 5}), std::int64_t(40));
        QCOMPARE(count("orrery::onnx_average_pool", {at::ones({1, 4, 10, 10}), fives}, {1, 4, 6, 6}), std::int64_t(3600));
        QCOMPARE(count("aten::std", {at::ones({7, 3})}, {}), std::int64_t(84));
        QCOMPARE(count("orrery::onnx_layer_norm", {at::ones({7, 3})}, {7, 3}), std::int64_t(105));
        QCOMPARE(count("orrery::onnx_slice", {at::ones({7, 3})}, {7, 3}), std::int64_t(0));
        // Two layers of units: 15 x 4 and 15 x 5, then twice 15 x 5.
        const c10::List<at::Tensor> weights({at::ones({15, 4}), at::ones({15, 5}), at::ones({15, 5}), at::ones({15, 5})});
        QCOMPARE(count("aten::gru", {at::ones({3, 2, 4}), at::ones({2, 2, 5}), weights, false, 2}, {3, 2, 5}),
                 std::int64_t(6 * 2 * 15 * (4 + 5 + 5 + 5) + 2 * 8 * 30));
    }

    void energyChoosesTheRank_data()
    {
        QTest::addColumn<double>("energy");
        QTest::addColumn<int>("rank");  // 0: the weight stays
        // Squares 16, 4, 1 of 21.
        QTest::newRow("less than the first") << 0.5 << 1;
        QTest::newRow("as much as the first") << 0.761 << 1;
        QTest::newRow("more than the first") << 0.763 << 2;
        QTest::newRow("more than two") << 0.953 << 3;
        QTest::newRow("everything, by ten products") << 1.0 << 0;
    }
    void energyChoosesTheRank()
    {
        QFETCH(double, energy);
        QFETCH(int, rank);
        graph::Builder builder("layers");
        const auto x = builder.input("x", "float32", {"batch", "10"}, "table");
        graph::Model model = builder.finish({{"out", builder.linear("a", x, 10, 10)}});
        model.weights = graph::initialize(*model.graph, 3);
        at::Tensor weight = at::zeros({10, 10}, at::TensorOptions(at::kFloat));
        for (int i = 0; i < 3; ++i)
            weight[i][9 - i] = 4.0 / (1 << i);
        model.weights.set("a.weight", weight);
        const auto made = graph::lowRank(model.graph, model.weights, {energy, 0});
        QCOMPARE(made.factors.empty() ? 0 : int(made.factors[0].rank), rank);
        if (rank == 0)
            QCOMPARE(made.graph->hash(), model.graph->hash());
    }

    void convolutionsAndTurnedMatricesAreTakenApart()
    {
        graph::Builder builder("layers");
        const auto x = builder.input("x", "float32", {"batch", "6", "9", "9"}, "image");
        const auto parameter = [&](const char* name, std::vector<std::int64_t> shape) {
            return builder.parameter(name, std::move(shape), core::Json{{"kind", "normal"}, {"std", 0.3}});
        };
        const std::vector<std::int64_t> strides{2, 1}, pads{1, 2}, dilations{1, 2};
        const auto map =
            builder.op("aten::conv2d", {x, parameter("filters", {8, 6, 3, 3}), parameter("shift", {8}), strides, pads, dilations, 1}, "map");
        const auto grouped = builder.op("aten::conv2d", {map, parameter("grouped", {8, 4, 3, 3}), nullptr, strides, pads, dilations, 2}, "parts");
        const auto mean = builder.op("aten::mean.dim", {grouped, std::vector<std::int64_t>{2, 3}}, "mean");
        const auto turned = builder.op("aten::t", {parameter("in_out", {8, 7})});
        const auto out = builder.op("aten::linear", {mean, turned, nullptr}, "out");
        const auto shared = parameter("shared", {7, 7});
        graph::Model model =
            builder.finish({{"out", builder.op("aten::linear", {out, shared, nullptr}, "last")}, {"table", builder.op("aten::relu", {shared})}});
        model.weights = graph::initialize(*model.graph, 3);
        const auto made = graph::lowRank(model.graph, model.weights, {1, 2});
        std::vector<std::string> names;
        graph::Weights meant = model.weights;
        for (const auto& factor : made.factors) {
            names.push_back(factor.name);
            const at::Tensor in = made.weights.at(factor.name + "_in"), thin = made.weights.at(factor.name + "_out");
            const at::Tensor product = thin.reshape({thin.size(0), -1}).matmul(in.reshape({in.size(0), -1}));
            const at::Tensor& before = model.weights.at(factor.name);
            meant.set(factor.name, factor.name == "in_out" ? product.t().contiguous() : product.reshape(before.sizes()));
            QVERIFY(std::abs((meant.at(factor.name) - before).norm().item<double>() - factor.dropped) < 1e-5);
        }
        QCOMPARE(names, std::vector<std::string>({"filters", "in_out"}));  // not grouped ones, not what others read, too
        const at::Tensor picture = at::randn({2, 6, 9, 9}, at::TensorOptions(at::kFloat));
        const at::Tensor found = graph::Executor(made.graph).forward(made.weights, {picture}),
                         expected = graph::Executor(model.graph).forward(meant, {picture});
        QVERIFY((found - expected).abs().max().item<double>() < 1e-4);
        QVERIFY((expected - graph::Executor(model.graph).forward(model.weights, {picture})).abs().max().item<double>() > 1e-2);
        model.weights.at("filters").select(0, 0).fill_(std::nan(""));
        QVERIFY(saidBy([&] { graph::lowRank(model.graph, model.weights, {1, 2}); }).contains("filters: holds a number that is not finite"));
        QVERIFY(saidBy([&] {
                    graph::lowRank(model.graph, model.weights, {0, 2});
                }).contains("energy: expected a share above 0 and at most 1, got 0"));
    }

    void whatAFormCannotHoldIsRefused()
    {
        graph::Model model;
        model.weights.set("w", at::full({1}, 70000.0, at::TensorOptions(at::kFloat)));
        QVERIFY(saidBy([&] { compressed(model, WeightForm::Float16); }).contains("w: holds a number beyond the range of float16"));
    }

    void aCompressorThatLosesMoreIsFound()
    {
        auto paths = compressedPaths();
        GraphPath wrong = paths[1];  // bfloat16 in place of
        wrong.name = "wrong";
        wrong.meant = paths[0].meant;  // float16
        const RandomGraphReport report = checkRandomGraphs(20, 900, {}, {}, {}, {wrong});
        QVERIFY(report.disagreements.size() >= 5);
        for (const auto& found : report.disagreements)
            QCOMPARE(found.check, std::string("wrong"));
    }

    void graphsThatLearnedRulesDrawAreValid()
    {
        const OperatorRules rules = OperatorRules::learn(recordCalls(150, 1));
        const DrawnShares shares = compareDrawn(rules, 60, 1);
        QVERIFY2(shares.validWith >= 0.9 * shares.graphs, shares.toJson().dump().c_str());
        QVERIFY2(shares.validWithout <= 0.3 * shares.graphs, shares.toJson().dump().c_str());
        QVERIFY2(shares.nodesWith >= 8 * shares.graphs, shares.toJson().dump().c_str());
        QCOMPARE(drawGraph(rules, 3, 8, Preconditions::Obeyed).model.graph->hash(),
                 drawGraph(rules, 3, 8, Preconditions::Obeyed).model.graph->hash());
        // Those that run are checked in all ways; the operators are those that were learned.
        const RandomGraphReport report = checkRandomGraphs(60, 1, {}, {}, {}, graphPaths(29), drawnBy(rules));
        QVERIFY2(report.disagreements.empty(), textOf(report).c_str());
        QCOMPARE(report.graphs, shares.validWith);
        for (const char* op : {"aten::matmul", "aten::conv2d", "aten::max_pool2d", "aten::reshape", "aten::cat", "aten::unfold", "aten::layer_norm"})
            QVERIFY2(report.operators.count(op), op);
    }

    void rulesOfWrongRecordsDrawGraphsThatFail()
    {
        auto calls = recordCalls(60, 1);
        std::erase_if(calls, [](const auto& call) { return !call.valid; });  // nothing is known of what cannot be
        const DrawnShares shares = compareDrawn(OperatorRules::learn(calls), 40, 1);
        QVERIFY2(shares.validWith <= 0.6 * shares.graphs, shares.toJson().dump().c_str());
    }

    void learnedRulesRejectInvalidCalls()
    {
        const auto recorded = recordCalls(90, 1), others = recordCalls(25, 2);
        const OperatorRules rules = OperatorRules::learn(recorded);
        const RuleQuality seen = judgeRules(rules, recorded), fresh = judgeRules(rules, others);
        QVERIFY(seen.valid > 400 && seen.invalid > 600);
        QCOMPARE(seen.accepted, seen.valid);
        QVERIFY2(seen.rejected >= 0.97 * seen.invalid, seen.toJson().dump().c_str());
        QVERIFY2(fresh.rejected >= 0.9 * fresh.invalid, fresh.toJson().dump().c_str());
        QVERIFY2(fresh.accepted >= 0.8 * fresh.valid, fresh.toJson().dump().c_str());
        QVERIFY2(fresh.rightShapes >= 0.9 * fresh.shapes && fresh.shapes > 0, fresh.toJson().dump().c_str());
        // What everybody knows of a batched product.
        OperatorCall call{
            "bmm", "bmm x3 y3", {{"x.0", 2}, {"x.1", 3}, {"x.2", 4}, {"x.numel", 24}, {"y.0", 2}, {"y.1", 4}, {"y.2", 5}, {"y.numel", 40}}, true, {}};
        QCOMPARE(rules.objection(call), std::string());
        QCOMPARE(rules.outputShape(call).value(), (std::vector<std::int64_t>{2, 3, 5}));
        call.symbols["y.1"] = 3;
        QVERIFY(!rules.objection(call).empty());
        call.form = "bmm x2 y3";
        QVERIFY(rules.objection(call).find("never seen valid") != std::string::npos);
        QCOMPARE(OperatorRules::learn(others).texts(), OperatorRules::learn(recordCalls(25, 2)).texts());
    }

    void wrongPredictionsAreReported()
    {
        RandomGraph graph = randomGraph(7);
        auto& shape = graph.shapes.begin()->second;
        shape.back() += 1;
        const auto found = checkGraph(graph, 7);
        QCOMPARE(found.size(), std::size_t(1));
        QCOMPARE(found[0].check, std::string("shapes"));
        QVERIFY2(found[0].text.find(": predicted [") != std::string::npos, found[0].text.c_str());
    }

    void theSearchRemovesNaN()
    {
        int searched = 0, solved = 0;
        for (std::uint64_t seed = 1; seed <= 150; ++seed) {
            RandomGraph graph = randomGraph(seed, 10);
            const auto finite = [&] {
                graph::RunRequest request;
                request.inputs = graph.inputs;
                const auto outputs = graph::Executor(graph.model.graph).run(graph.model.weights, request).outputs;
                return std::all_of(outputs.begin(), outputs.end(),
                                   [](const auto& out) { return out.toTensor().isfinite().all().template item<bool>(); });
            };
            if (finite())
                continue;
            ++searched;
            if (searchFiniteInputs(graph)) {
                QVERIFY(finite());
                ++solved;
            }
        }
        QVERIFY2(searched >= 10 && solved * 2 >= searched, std::to_string(searched).append(" ").append(std::to_string(solved)).c_str());
    }

    void aPartKeepsWhatItsValueNeeds()
    {
        const RandomGraph graph = randomGraph(11, 20);
        const std::string name = graph.model.graph->nodes()[graph.model.graph->nodes().size() / 2].name;
        graph::RunRequest request;
        request.inputs = graph.inputs;
        request.keep = {name};
        const auto whole = graph::Executor(graph.model.graph).run(graph.model.weights, request);
        if (!whole.values.at(name).isTensor())
            return;
        const graph::Model cut = cutTo(graph.model, name);
        QVERIFY(cut.graph->nodes().size() < graph.model.graph->nodes().size());
        QVERIFY(at::equal(graph::Executor(cut.graph).forward(cut.weights, graph.inputs).nan_to_num(), whole.value(name).nan_to_num()));
        QVERIFY(saidBy([&] { cutTo(graph.model, "nothing"); }).contains("no value \"nothing\""));
    }
};

QTEST_APPLESS_MAIN(RandomGraphsTest)
#include "random_graphs_test.moc"
