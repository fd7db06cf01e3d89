// A change is planted at one node of one of two models; the comparison has to name that node.
#include <core/debug/divergence.h>
#include <core/debug/export_check.h>

#include <ATen/Parallel.h>

#include <QtTest>

#include <core/base/text.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>

#include "../graph/sample_graphs.h"

using namespace orrery;
using namespace orrery::debug;
using graph::Builder;
using graph::Model;

namespace {

struct Variant {
    std::string gelu = "none", firstName = "fc1";
    double eps = 1e-5;
    bool extra = false;
};

/// norm -> fc1 -> gelu -> fc2 -> add, three times.
Model network(const Variant& variant = {})
{
    Builder builder("network");
    auto x = builder.input("x", "float32", {"batch", "8"}, "table");
    for (int i = 0; i < 3; ++i) {
        const Builder::Scope scope = builder.module("blocks." + std::to_string(i), "Block");
        const bool here = i == 1;
        const auto normed = builder.layerNorm("norm", x, 8, here ? variant.eps : 1e-5);
        auto h = builder.gelu(builder.linear(here ? variant.firstName : "fc1", normed, 8, 16), here ? variant.gelu : "none");
        if (here && variant.extra)
            h = builder.op("aten::abs", {h}, "extra");
        x = builder.add(x, builder.linear("fc2", h, 16, 8));
    }
    Model model = builder.finish({{"out", x}});
    model.weights = graph::initialize(*model.graph, 1);
    return model;
}

RunSide sideOf(const Model& model, const at::Tensor& x)
{
    return {std::make_shared<graph::Executor>(model.graph), model.weights, {x}, 1, 0};
}

at::Tensor input()
{
    return at::randn({5, 8}, at::detail::createCPUGenerator(3), at::TensorOptions());
}

Divergence compared(const Model& a, const Model& b, DivergenceOptions options = {})
{
    return compareRuns(sideOf(a, input()), sideOf(b, input()), options);
}

Model fixture(const std::string& name)
{
    models::OpenOptions options;
    options.foreignFiles = models::OpenOptions::ForeignFiles::ThisProcess;
    return models::openModel(std::string(ORRERY_TEST_DATA "/") + name, options);
}

/// A model as one exporter wrote it against another's, on the inputs of the fixture beside the second.
Divergence exported(const Model& a, const Model& b, const std::string& inputs, const DivergenceOptions& options)
{
    const auto held = models::loadTensors(std::string(ORRERY_TEST_DATA "/") + inputs + ".safetensors");
    RunSide sides[] = {sideOf(a, {}), sideOf(b, {})};
    for (auto& side : sides) {
        side.inputs.clear();
        for (int i = 0; held.find(fmt::format("input.{}", i)); ++i)
            side.inputs.emplace_back(held.at(fmt::format("input.{}", i)).clone());
    }
    return compareRuns(sides[0], sides[1], options);
}

std::string partnerOf(const Divergence& result, const std::string& name)
{
    for (const auto& value : result.values)
        if (value.a == name)
            return value.b;
    return "none";
}

std::string firstOf(const Divergence& result)
{
    return result.first ? result.values[*result.first].a : "none";
}

}  // namespace

class DivergenceTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void equalRunsDoNotDiffer()
    {
        const Divergence result = compared(network(), network());
        QVERIFY(!result.first);
        QVERIFY(result.sameGraph);
        QCOMPARE(result.values.size(), network().graph->nodes().size());
        for (const auto& value : result.values)
            QCOMPARE(value.maxAbsolute, 0.0);
    }

    void aPlantedChangeIsFoundAtItsNode_data()
    {
        QTest::addColumn<int>("change");
        QTest::addColumn<QString>("node");
        QTest::newRow("weight") << 0 << "blocks.1.fc2.linear";
        QTest::newRow("bias") << 1 << "blocks.2.norm.layer_norm";
        QTest::newRow("gelu") << 2 << "blocks.1.gelu";
        QTest::newRow("eps") << 3 << "blocks.1.norm.layer_norm";
    }
    void aPlantedChangeIsFoundAtItsNode()
    {
        QFETCH(int, change);
        QFETCH(QString, node);
        Variant variant;
        if (change == 2)
            variant.gelu = "tanh";
        if (change == 3)
            variant.eps = 1e-3;
        Model changed = network(variant);
        for (const auto& name : {"blocks.1.fc2.weight", "blocks.2.norm.bias"}) {
            if ((change == 0) != (std::string(name) == "blocks.1.fc2.weight") || change > 1)
                continue;
            at::Tensor tensor = changed.weights.at(name).clone();
            tensor.view(-1)[3] += 0.01;
            changed.weights.set(name, tensor);
        }
        const Divergence result = compared(network(), changed);
        QCOMPARE(QString::fromStdString(firstOf(result)), node);
        QCOMPARE(result.values.size(), *result.first + 1);  // ends there
        DivergenceOptions options;
        options.all = true;
        const Divergence all = compared(network(), changed, options);
        QCOMPARE(QString::fromStdString(firstOf(all)), node);
        QCOMPARE(all.values.size(), network().graph->nodes().size());
        QVERIFY(!all.values.back().isWithin());
    }

    void theWorstElementIsNamed()
    {
        const at::Tensor a = at::tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}).reshape({2, 3});
        at::Tensor b = a.clone();
        b[1][0] = 4.5f;
        b[0][2] = 3.25f;
        const ValueDifference difference = compareValues(a, b, {0.01, 0.1, false});
        QCOMPARE(difference.beyond, std::int64_t(2));
        QCOMPARE(difference.worst, (std::vector<std::int64_t>{1, 0}));
        QCOMPARE(difference.maxAbsolute, 0.5);
        QCOMPARE(difference.maxRelative, 0.5 / 4.5);
        QCOMPARE(difference.valueA, 4.0);
        QCOMPARE(difference.valueB, 4.5);
        QCOMPARE(difference.rmsDifference, std::sqrt((0.25 + 0.0625) / 6));
        QCOMPARE(difference.relativeRms(), (a - b).to(at::kDouble).norm().item<double>() / b.to(at::kDouble).norm().item<double>());
        // What has no distance is not left out.
        a[0][0] = NAN;
        QVERIFY(std::isinf(compareValues(a, b).relativeRms()) && std::isinf(compareValues(b, a).relativeRms()));
        QCOMPARE(compareValues(a, a, {0.0, 0.0, true}).relativeRms(), 0.0);
        QVERIFY(std::isinf(compareValues(b, at::zeros({2, 3})).relativeRms()));
    }

    void theToleranceIsThatOfAllclose()
    {
        // Oracle: torch's own isclose.
        const at::Tensor b = at::tensor({1.0, -1.0, 100.0, 0.0, INFINITY, INFINITY, std::nan(""), std::nan(""), -INFINITY});
        const at::Tensor a = at::tensor({1.1, -1.1000001, 110.05, 0.05, INFINITY, -INFINITY, std::nan(""), 1.0, 3.0});
        for (const bool equalNan : {false, true}) {
            const ValueDifference difference = compareValues(a, b, {0.1, 0.04, equalNan});
            const auto expected = at::isclose(a, b, 0.1, 0.04, equalNan).logical_not().sum().item<std::int64_t>();
            QCOMPARE(difference.beyond, expected);
            QVERIFY(std::isinf(difference.maxAbsolute));
        }
        QCOMPARE(compareValues(a, b).relative, 1e-7);
        QCOMPARE(compareValues(a, b.to(at::kBFloat16)).relative, 1.6e-2);
        QVERIFY(compareValues(at::tensor({1, 2}), at::tensor({1, 2})).isWithin());
        QVERIFY(!compareValues(at::tensor({1, 2}), at::tensor({1, 3})).isWithin());
    }

    void whatCannotBeComparedSaysWhy()
    {
        QCOMPARE(compareValues(at::zeros({2, 3}), at::zeros({3, 2})).problem, std::string("shapes [2, 3] and [3, 2]"));
        QCOMPARE(compareValues(at::zeros({2}), c10::IValue(3)).problem, std::string("Tensor in one run, Int in the other"));
        QCOMPARE(compareValues(c10::IValue(4), c10::IValue(3)).problem, std::string("4 in one run, 3 in the other"));
        QVERIFY(compareValues(c10::IValue(3), c10::IValue(3)).isWithin());
        QVERIFY(compareValues(at::zeros({0, 3}), at::zeros({0, 3})).isWithin());
    }

    void renamedNodesAreMatchedByStructure()
    {
        Variant renamed;
        renamed.firstName = "dense";
        Model other = network(renamed);
        other.weights.set("blocks.1.dense.weight", network().weights.at("blocks.1.fc1.weight"));
        other.weights.set("blocks.1.dense.bias", network().weights.at("blocks.1.fc1.bias"));
        const Divergence result = compared(network(), other);
        QVERIFY2(!result.first, firstOf(result).c_str());
        QVERIFY(!result.sameGraph);
        QCOMPARE(result.byStructure, std::size_t(1));
        QVERIFY(result.onlyA.empty() && result.onlyB.empty());
    }

    void linesWithoutCommonNamesAreMatchedByWhatTheyRead()
    {
        // Three branches of the same operator and shape, written in another order under other names: matched by operator alone, values of different branches would meet.
        const auto branches = [](const std::vector<std::string>& names, const std::vector<int>& order) {
            Builder builder("branches");
            const auto x = builder.input("x", "float32", {"batch", "8"}, "table");
            const auto half = builder.op("aten::mul.Scalar", {x, 0.5}, names[0]);
            const Builder::Var sources[] = {x, half};
            Builder::Var made[2];
            for (const int which : order)
                made[which] = builder.op("aten::tanh", {sources[which]}, names[std::size_t(1 + which)]);
            return builder.finish({{"out", builder.op("aten::add.Tensor", {made[0], made[1], 1}, names[3])}});
        };
        const Divergence result = compared(branches({"half", "tanh", "tanh_half", "sum"}, {0, 1}), branches({"h", "a", "b", "c"}, {1, 0}));
        QVERIFY2(!result.first, firstOf(result).c_str());
        QCOMPARE(result.byStructure, std::size_t(4));
        for (const auto& value : result.values)
            QVERIFY(value.a != "tanh" || value.b == "a");
    }

    void linesOfOtherShapesAreLeftWithoutAPartner()
    {
        const auto chain = [](const std::vector<std::int64_t>& widths, const std::string& name) {
            Builder builder("chain");
            auto x = builder.input("x", "float32", {"batch", "8"}, "table");
            for (std::size_t i = 1; i < widths.size(); ++i)
                x = builder.linear(name + std::to_string(i), x, widths[i - 1], widths[i]);
            Model model = builder.finish({{"out", x}});
            model.weights = graph::initialize(*model.graph, 1);
            return model;
        };
        DivergenceOptions all;
        all.all = true;
        const Divergence result = compared(chain({8, 6, 4}, "a"), chain({8, 5, 4}, "b"), all);
        QCOMPARE(result.onlyA, std::vector<std::string>{"a1.linear"});
        QCOMPARE(result.onlyB, std::vector<std::string>{"b1.linear"});
        QCOMPARE(result.values.size(), std::size_t(1));
        QVERIFY(result.values[0].problem.empty());
    }

    void anInsertedNodeIsNamedAndTheRestIsMatched()
    {
        Variant more;
        more.extra = true;
        const Divergence result = compared(network(), network(more));
        QCOMPARE(result.onlyB, std::vector<std::string>{"blocks.1.extra"});
        QVERIFY(result.onlyA.empty());
        QCOMPARE(firstOf(result), std::string("blocks.1.fc2.linear"));
    }

    // Written by PyTorch's own exporters from one module: torch.export, TorchScript, and both ONNX exporters, which fold batch norms into convolutions and write linear
    // maps, activations and norms in pieces.
    void exportsOfOneModuleDoNotDiffer_data()
    {
        QTest::addColumn<QString>("a");
        QTest::addColumn<QString>("b");
        QTest::addColumn<QString>("value");
        QTest::addColumn<QString>("partner");
        const auto row = [](const char* a, const char* b, const char* value, const char* partner) {
            QTest::addRow("%s %s", a, b) << QString(a) << QString(b) << QString(value) << QString(partner);
        };
        row("pt2/cnn.pt2", "onnx/cnn-ts.onnx", "bn1.batch_norm", "conv1.Conv");
        row("pt2/cnn.pt2", "onnx/cnn.onnx", "bn2.batch_norm", "node_Conv_33");
        row("pt2/cnn-core.pt2", "onnx/cnn-ts.onnx", "bn2.native_batch_norm_legit_no_training", "conv2.Conv");
        row("torchscript2/cnn-traced.pt", "onnx/cnn-ts.onnx", "silu", "Mul");
        row("pt2/cnn.pt2", "pt2/cnn-core.pt2", "conv1.conv2d", "conv1.convolution");
        row("pt2/mlp.pt2", "onnx/mlp-ts.onnx", "net.1.gelu", "net.net.1.Mul_1");
        row("pt2/mlp.pt2", "onnx/mlp.onnx", "softmax", "node_softmax");
        row("torchscript2/layer-traced.pt", "onnx/layer-ts.onnx", "mlp.1.gelu", "mlp.mlp.1.Mul_5");
        row("pt2/layer.pt2", "onnx/layer.onnx", "attn.proj.linear", "node_linear_1");
        row("pt2/gpt.pt2", "onnx/gpt.onnx", "blocks.1.mlp.1.gelu", "node_gelu_1");
        row("pt2/gpt-core.pt2", "onnx/gpt.onnx", "blocks.0.attn.qkv.addmm", "node_linear");
        row("torchscript2/gpt-scripted.pt", "pt2/gpt-core.pt2", "head.linear", "head.mm");
        row("pt2/encoder.pt2", "onnx/encoder-ts.onnx", "encoder.layers.1.linear2.linear", "encoder.layers.1.linear2.Add");
        row("pt2/masked.pt2", "onnx/masked.onnx", "mha.softmax", "node_softmax");
    }
    void exportsOfOneModuleDoNotDiffer()
    {
        QFETCH(QString, a);
        QFETCH(QString, b);
        QFETCH(QString, value);
        QFETCH(QString, partner);
        const Model first = fixture(a.toStdString()), second = fixture(b.toStdString());
        const std::string inputs = b.section('.', 0, 0).toStdString();
        DivergenceOptions all;
        all.all = true;
        for (const bool turned : {false, true}) {
            const Divergence result = turned ? exported(second, first, inputs, all) : exported(first, second, inputs, all);
            QVERIFY2(!result.first, firstOf(result).c_str());
            const auto& [from, to] = turned ? std::pair(partner, value) : std::pair(value, partner);
            QCOMPARE(QString::fromStdString(partnerOf(result, from.toStdString())), to);
            // Every number that a counterpart is missing for is listed.
            QVERIFY(result.onlyA.size() + result.byName + result.byStructure >= (turned ? second : first).graph->nodes().size());
            // The output, or the map that it is another shape of.
            const graph::Graph& graph = *(turned ? second : first).graph;
            const auto output = graph.data().body.outputs[0].value;
            const graph::Node* made = graph.producer(output);
            QVERIFY(partnerOf(result, graph.value(output).name) != "none" || partnerOf(result, graph.value(made->inputs[0].value).name) != "none");
        }
    }

    void faultsInExportsAreFoundAtTheirNode_data()
    {
        QTest::addColumn<QString>("a");
        QTest::addColumn<QString>("b");
        QTest::addColumn<QString>("weight");
        QTest::addColumn<QString>("node");
        const auto row = [](const char* a, const char* b, const char* weight, const char* node) {
            QTest::addRow("%s of %s", weight, a) << QString(a) << QString(b) << QString(weight) << QString(node);
        };
        row("pt2/cnn.pt2", "onnx/cnn-ts.onnx", "conv1.weight", "bn1.batch_norm");
        row("pt2/cnn.pt2", "onnx/cnn-ts.onnx", "bn2.running_var", "bn2.batch_norm");
        row("pt2/cnn.pt2", "onnx/cnn-ts.onnx", "bn2.bias", "bn2.batch_norm");
        row("pt2/cnn.pt2", "pt2/cnn-core.pt2", "conv2.weight", "conv2.conv2d");
        row("pt2/cnn.pt2", "onnx/cnn.onnx", "head.weight", "head.linear");
        row("pt2/layer.pt2", "onnx/layer.onnx", "attn.qkv.bias", "attn.qkv.linear");
        row("pt2/layer.pt2", "onnx/layer.onnx", "norm2.weight", "norm2.layer_norm");
        row("pt2/gpt.pt2", "onnx/gpt.onnx", "blocks.1.mlp.2.weight", "blocks.1.mlp.2.linear");
    }
    void faultsInExportsAreFoundAtTheirNode()
    {
        QFETCH(QString, a);
        QFETCH(QString, b);
        QFETCH(QString, weight);
        QFETCH(QString, node);
        Model first = fixture(a.toStdString());
        const Model second = fixture(b.toStdString());
        at::Tensor changed = first.weights.at(weight.toStdString()).detach().clone();
        changed.view(-1)[1] += 0.05;
        first.weights.set(weight.toStdString(), changed);
        const Divergence result = exported(first, second, b.section('.', 0, 0).toStdString(), {});
        QCOMPARE(QString::fromStdString(firstOf(result)), node);
    }

    void aNormThatIsMissingIsNoFold()
    {
        const auto network = [](bool norm, const std::string& prefix) {
            Builder builder("convolutions");
            auto x = builder.input("x", "float32", {"batch", "3", "6", "6"}, "image");
            x = builder.conv2d(prefix + "conv", x, 3, 4, 3);
            if (norm)
                x = builder.batchNorm(prefix + "bn", x, 4);
            x = builder.op("aten::relu", {x}, prefix + "relu");
            Model model = builder.finish({{"out", builder.op("aten::mul.Scalar", {x, 2.0}, prefix + "twice")}});
            model.weights = graph::initialize(*model.graph, 1);
            if (norm)
                model.weights.set(prefix + "bn.running_var", at::full({4}, 3.0));
            return model;
        };
        const Model with = network(true, "a."), without = network(false, "b.");
        auto plain = without;
        for (const char* name : {"weight", "bias"})
            if (const auto* tensor = with.weights.find(std::string("a.conv.") + name))
                plain.weights.set(std::string("b.conv.") + name, *tensor);
        const at::Tensor x = at::randn({2, 3, 6, 6}, at::detail::createCPUGenerator(3), at::TensorOptions());
        const Divergence result = compareRuns(sideOf(with, x), sideOf(plain, x), {});
        QCOMPARE(QString::fromStdString(partnerOf(result, "a.conv.conv2d")), QString("b.conv.conv2d"));
        QCOMPARE(result.onlyA, std::vector<std::string>{"a.bn.batch_norm"});
        QCOMPARE(QString::fromStdString(firstOf(result)), QString("a.relu"));
    }

    void masksOfMinusInfinityAndOfTheLowestNumberAreEqual()
    {
        const float low = std::numeric_limits<float>::lowest();
        const at::Tensor a = at::tensor({-INFINITY, low, 1.f}), b = at::tensor({low, -INFINITY, 1.f});
        QVERIFY(compareValues(a, b).isWithin());
        QVERIFY(compareValues(b, a).isWithin());
        QVERIFY(!compareValues(a, at::tensor({-1e30f, -INFINITY, 1.f})).isWithin());
        QVERIFY(!compareValues(at::tensor({INFINITY}), at::tensor({low})).isWithin());
    }

    void dtypesAreComparedWithTheCoarserTolerance()
    {
        const Model model = network();
        RunSide half = sideOf(model, input().to(at::kBFloat16));
        half.executor = std::make_shared<graph::Executor>(graph::moved(model.graph, at::kCPU, at::kBFloat16));
        half.weights = model.weights.to(at::kCPU, at::kBFloat16);
        DivergenceOptions options;
        options.all = true;
        const Divergence result = compareRuns(sideOf(model, input()), half, options);
        QVERIFY(result.sameGraph);  // moved to another dtype, it is the same program
        QCOMPARE(result.values.front().relative, 1.6e-2);
        QVERIFY(result.values.back().maxAbsolute > 1e-4);
        options.tolerance = {0.2, 0.2, false};
        QVERIFY(!compareRuns(sideOf(model, input()), half, options).first);
    }

    void littleMemoryGivesTheSameAnswer()
    {
        Variant tanh;
        tanh.gelu = "tanh";
        DivergenceOptions options;
        options.keepBytes = 0;
        options.all = true;
        const Divergence scarce = compared(network(), network(tanh), options);
        options.keepBytes = std::int64_t(64) << 20;
        const Divergence ample = compared(network(), network(tanh), options);
        QVERIFY(scarce.toJson() == ample.toJson());
    }

    void aRunThatFailsIsComparedUpToThere()
    {
        Model broken = network();
        broken.weights.set("blocks.1.fc2.weight", at::zeros({8, 15}));
        const Divergence result = compared(network(), broken);
        QVERIFY(result.failureA.empty());
        QVERIFY2(result.failureB.find("blocks.1.fc2.linear (aten::linear) failed") == 0, result.failureB.c_str());
        QCOMPARE(result.values.back().a, std::string("blocks.1.gelu"));
        QVERIFY(!result.first);
    }

    void cancellingIsNoError()
    {
        std::stop_source source;
        source.request_stop();
        bool cancelled = false;
        try {
            compareRuns(sideOf(network(), input()), sideOf(network(), input()), {}, source.get_token());
        } catch (const core::Cancelled&) {
            cancelled = true;
        }
        QVERIFY(cancelled);
    }

    // The same check must not agree with a file in which one number is another one, or one tensor is missing.
    void exportsAreComparedWithTheModel()
    {
        const QTemporaryDir folder;
        const auto file = std::filesystem::path(folder.path().toStdString()) / "model.safetensors";
        const Model model = network();
        models::saveModel(file, model);
        const auto same = checkExport(model, "orrery", file, {input()});
        QVERIFY(same.agrees() && same.values.size() == 1 && same.values[0].a == "out" && same.values[0].elements == 40);
        QVERIFY2(checkExport(model, "orrery", file).agrees(), "the card's example");
        Model changed = model;
        at::Tensor weight = model.weights.at("blocks.1.fc2.weight").clone();
        weight[3][5] += 0.5;
        changed.weights.set("blocks.1.fc2.weight", weight);
        models::saveModel(file, changed);
        const auto other = checkExport(model, "orrery", file, {input()});
        QVERIFY(!other.agrees() && other.values[0].beyond > 0);
        QVERIFY2(other.text().starts_with("the file does not agree with the model: out: "), other.text().c_str());
        graph::Weights alone = changed.weights;
        models::saveWeights(file, alone);
        const auto tensors = checkExport(model, "safetensors", file);
        QCOMPARE(tensors.what, std::string("tensors"));
        QCOMPARE(std::count_if(tensors.values.begin(), tensors.values.end(), [](const auto& value) { return !value.isWithin(); }), 1);
        QVERIFY2(tensors.text().starts_with("the file does not agree with the model: blocks.1.fc2.weight: 1 of 128 elements"),
                 tensors.text().c_str());
        models::saveWeights(file, graph::Weights({{"blocks.1.fc2.weight", weight}}));
        QVERIFY(checkExport(model, "safetensors", file).text().ends_with("is not in the file"));
    }
};

QTEST_APPLESS_MAIN(DivergenceTest)
#include "divergence_test.moc"
