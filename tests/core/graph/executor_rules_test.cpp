#include "sample_graphs.h"

#include <ATen/Parallel.h>

#include <QtTest>

#include <core/base/text.h>
#include <core/graph/flops.h>

using namespace orrery;
using namespace orrery::graph;

namespace {

RunRequest withGradients(Gradients gradients)
{
    RunRequest request;
    request.gradients = gradients;
    return request;
}

Model withLeaves(Model model)
{
    model.weights = model.weights.clone();
    for (const auto& [name, tensor] : model.weights.tensors())
        tensor.requires_grad_(true);
    return model;
}

Model doubled(Model model)
{
    model.weights = model.weights.to(c10::kCPU, at::kDouble);
    return model;
}

std::int64_t flopsOfNode(const RunResult& run, const std::string& node)
{
    for (const NodeProfile& profile : run.profile)
        if (profile.node == node)
            return profile.flops;
    return -1;
}

struct Failure {
    const char* name;
    const char* message;
    std::function<void(const Model&)> run;
};

std::vector<Failure> failures()
{
    const at::Tensor good = at::zeros({2, 6});
    return {
        {"wrong shape", "blocks.0.norm.layer_norm (aten::layer_norm) failed on float32 [2, 5], [6], float32 [6], float32 [6], ",
         [](const Model& model) {
             runOn(model, {at::zeros({2, 5})});
         }},
        {"wrong dtype", "blocks.0.norm.layer_norm (aten::layer_norm) failed on float64 [2, 6], ",
         [](const Model& model) {
             runOn(model, {at::zeros({2, 6}, at::kDouble)});
         }},
        {"no input", "input \"x\" is missing: expected 1 input (x), got 0", [](const Model& model) { runOn(model, {}); }},
        {"too many inputs", "expected 1 input, got 2",
         [=](const Model& model) {
             runOn(model, {good, good});
         }},
        {"unknown input", "the model has no input \"y\"",
         [=](const Model& model) {
             RunRequest request;
             request.namedInputs["y"] = good;
             runOn(model, {good}, request);
         }},
        {"unknown target", "no value fits \"blocks.0.tahn\"; did you mean \"blocks.0.tanh\"?",
         [=](const Model& model) {
             RunRequest request;
             request.targets = {"blocks.0.tahn"};
             runOn(model, {good}, request);
         }},
        {"unknown probe", "no value fits \"blocks.9.*\"",
         [=](const Model& model) {
             RunRequest request;
             request.probes = {Probe::stopAfter("blocks.9.*")};
             runOn(model, {good}, request);
         }},
        {"unknown change", "changed value \"blocks.0.tahn\": no such value",
         [=](const Model& model) {
             RunRequest request;
             request.changed["blocks.0.tahn"] = good;
             runOn(model, {good}, request);
         }},
        {"weight missing", "weights hold no tensor \"head.bias\" (expected float32 [4])",
         [=](const Model& model) {
             Model broken = model;
             auto tensors = model.weights.tensors();
             tensors.erase("head.bias");
             broken.weights = Weights(tensors);
             runOn(broken, {good});
         }},
        {"probe of a wrong shape", "blocks.1.tanh",
         [=](const Model& model) {
             RunRequest request;
             request.probes = {Probe::adding("blocks.1.tanh", at::ones({7}))};
             runOn(model, {good}, request);
         }},
        {"value that was not kept", "value \"blocks.1.tanh\" was not kept", [=](const Model& model) { runOn(model, {good}).value("blocks.1.tanh"); }},
    };
}

}  // namespace

class ExecutorRulesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void noGradientsMeansNoAutogradAndNoInferenceMode()
    {
        const Model model = withLeaves(residualModel());
        RunRequest request;
        request.keep = {"blocks.1"};
        const RunResult run = runOn(model, {at::randn({3, 6})}, request);
        const at::Tensor kept = run.value("blocks.1.add");
        QVERIFY(!run.tensor().requires_grad() && !kept.requires_grad() && !kept.is_inference());
        // A kept value may take part in a later backward.
        const at::Tensor scale = at::ones({6}).requires_grad_(true);
        (kept * scale).sum().backward();
        QVERIFY(at::allclose(scale.grad(), kept.sum(0)));
    }

    void gradientsOfParametersEqualAutogradByHand()
    {
        const Model model = withLeaves(residualModel());
        const at::Tensor x = at::randn({3, 6});
        const RunResult run = runOn(model, {x}, withGradients(Gradients::Parameters));
        run.tensor().pow(2).sum().backward();
        at::Tensor h = x;
        std::map<std::string, at::Tensor> leaves;
        for (const auto& [name, tensor] : model.weights.tensors())
            leaves[name] = tensor.detach().clone().requires_grad_(true);
        for (const std::string block : {"blocks.0.", "blocks.1.", "blocks.2."})
            h = h + at::linear(at::tanh(at::layer_norm(h, {6}, leaves[block + "norm.weight"], leaves[block + "norm.bias"], 1e-5)),
                               leaves[block + "fc.weight"], leaves[block + "fc.bias"]);
        at::linear(h, leaves["head.weight"], leaves["head.bias"]).pow(2).sum().backward();
        for (const auto& [name, leaf] : leaves)
            QVERIFY2(at::equal(model.weights.at(name).grad(), leaf.grad()), name.c_str());
        QVERIFY(!x.requires_grad());
    }

    void gradientsOfInputsAskNothingOfWeights()
    {
        const Model model = withLeaves(residualModel());
        const at::Tensor x = at::randn({3, 6});
        const RunResult run = runOn(model, {x}, withGradients(Gradients::Inputs));
        run.tensor().sum().backward();
        const at::Tensor leaf = run.value("x");
        QVERIFY(leaf.grad().defined() && leaf.grad().abs().sum().item<double>() > 0);
        QVERIFY2(!x.requires_grad(), "the caller's tensor stays as it is");
        for (const auto& [name, tensor] : model.weights.tensors())
            QVERIFY2(!tensor.grad().defined(), name.c_str());
    }

    void allGradientsComeTogether()
    {
        const Model model = withLeaves(residualModel());
        const RunResult run = runOn(model, {at::randn({3, 6})}, withGradients(Gradients::All));
        run.tensor().sum().backward();
        QVERIFY(run.value("x").grad().defined());
        QVERIFY(model.weights.at("blocks.0.fc.weight").grad().defined());
    }

    void gradientsFlowThroughInPlaceOperators()
    {
        Builder builder("in place");
        const auto x = builder.input("x", "float32", {"batch", "6"});
        const auto h = builder.op("aten::relu_", {builder.linear("fc", x, 6, 6)});
        const Model model = withLeaves(withWeights(builder.finish({{"y", builder.linear("head", h, 6, 2)}})));
        const at::Tensor input = at::randn({3, 6});
        RunRequest request = withGradients(Gradients::All);
        request.keep = {"fc.linear"};
        const RunResult run = runOn(model, {input}, request);
        run.tensor().pow(2).sum().backward();
        const at::Tensor weight = model.weights.at("fc.weight").detach().clone().requires_grad_(true),
                         before = at::linear(input, weight, model.weights.at("fc.bias").detach());
        at::linear(at::relu(before), model.weights.at("head.weight").detach(), model.weights.at("head.bias").detach()).pow(2).sum().backward();
        QVERIFY(at::equal(model.weights.at("fc.weight").grad(), weight.grad()));
        QVERIFY2(at::equal(run.value("fc.linear"), before), "kept as it was before it was written");
    }

    void frozenWeightsGetNoGradients()
    {
        Model model = withLeaves(residualModel());
        model.weights.set("head.weight", model.weights.at("head.weight").detach());
        runOn(model, {at::randn({3, 6})}, withGradients(Gradients::Parameters)).tensor().sum().backward();
        QVERIFY(!model.weights.at("head.weight").grad().defined());
        QVERIFY(model.weights.at("head.bias").grad().defined());
    }

    void tokensAreNoLeaves()
    {
        Builder builder("embedding");
        const auto tokens = builder.input("tokens", "int64", {"n"});
        const Model model = withLeaves(withWeights(builder.finish({{"y", builder.embedding("wte", tokens, 5, 3)}})));
        const RunResult run = runOn(model, {at::zeros({2}, at::kLong)}, withGradients(Gradients::All));
        QVERIFY(run.values.empty());
        run.tensor().sum().backward();
        QVERIFY(model.weights.at("wte.weight").grad().defined());
    }

    void gradientThroughAnAddedProbeEqualsCentralDifferences()
    {
        const Model model = doubled(residualModel());
        at::manual_seed(8);
        const at::Tensor x = at::randn({2, 6}, at::kDouble), weights = at::randn({2, 4}, at::kDouble);
        const auto loss = [&](const at::Tensor& offset, Gradients gradients) {
            RunRequest request = withGradients(gradients);
            request.probes = {Probe::adding("blocks.1.tanh", offset)};
            return (runOn(model, {x}, request).tensor() * weights).sum();
        };
        const at::Tensor offset = at::zeros({2, 6}, at::kDouble).requires_grad_(true);
        loss(offset, Gradients::Inputs).backward();
        constexpr double kStep = 1e-5;
        for (std::int64_t i = 0; i < 12; ++i) {
            const at::Tensor shift = at::zeros({12}, at::kDouble);
            shift[i] = kStep;
            const double up = loss(shift.reshape({2, 6}), Gradients::None).item<double>(),
                         down = loss(-shift.reshape({2, 6}), Gradients::None).item<double>();
            const double expected = (up - down) / (2 * kStep), found = offset.grad().reshape({12})[i].item<double>();
            QVERIFY2(std::abs(found - expected) < 1e-8 * std::max(1.0, std::abs(expected)),
                     qPrintable(QString("%1: %2 and %3").arg(i).arg(found).arg(expected)));
        }
    }

    void inputsGoByName()
    {
        const Model model = residualModel();
        const at::Tensor x = at::randn({3, 6});
        RunRequest request;
        request.namedInputs["x"] = x;
        QVERIFY(at::equal(runOn(model, {}, request).tensor(), runOn(model, {x}).tensor()));
    }

    void nothingIsSpecialisedToABatchSize()
    {
        const Model model = residualModel();
        const Executor executor(model.graph);
        const at::Tensor x = at::randn({9, 6}), all = executor.forward(model.weights, {x});
        for (const std::int64_t rows : {0, 1, 4, 9})
            QVERIFY(at::allclose(executor.forward(model.weights, {x.narrow(0, 0, rows)}), all.narrow(0, 0, rows), 1e-5, 1e-6));
    }

    void targetsRunOnlyWhatTheyNeed()
    {
        const Model model = residualModel();
        RunRequest request;
        request.targets = {"blocks.0.add", "blocks.1.tanh"};
        const RunResult run = runOn(model, {at::randn({3, 6})}, request);
        QCOMPARE(run.outputs.size(), std::size_t(2));
        QCOMPARE(run.nodesRun, std::int64_t(6));  // a block of four nodes, norm and tanh of the next
        request.keep = {"blocks.0.add", "blocks.1.tanh"};
        const RunResult kept = runOn(model, {at::ones({3, 6})}, request);
        QVERIFY(at::equal(kept.tensor(0), kept.value("blocks.0.add")));
        QVERIFY(at::equal(kept.tensor(1), kept.value("blocks.1.tanh")));
        // A stretch: from a given value to a target. The input is not needed.
        RunRequest stretch;
        stretch.targets = {"head"};
        stretch.changed["blocks.1.add"] = kept.tensor(0);
        const RunResult last = Executor(model.graph).run(model.weights, stretch);
        QCOMPARE(last.nodesRun, std::int64_t(5));
    }

    void profileCountsEveryNodeByFormula()
    {
        Builder builder("counted");
        const auto image = builder.input("image", "float32", {"batch", "3", "8", "8"}, "image");
        const auto hidden = builder.relu(builder.conv2d("conv", image, 3, 4, 3, 1, 1));
        const auto out = builder.linear("fc", builder.flatten(hidden), 4 * 64, 10);
        const Model model = withWeights(builder.finish({{"out", out}}));
        RunRequest request;
        request.profile = true;
        const RunResult run = runOn(model, {at::randn({2, 3, 8, 8})}, request);
        QCOMPARE(run.profile.size(), std::size_t(run.nodesRun));
        QCOMPARE(flopsOfNode(run, "conv.conv2d"), std::int64_t(2 * 4 * 64 * (2 * 27 + 1)));
        QCOMPARE(flopsOfNode(run, "fc.linear"), std::int64_t(2 * 10 * (2 * 256 + 1)));
        QCOMPARE(flopsOfNode(run, "relu"), std::int64_t(2 * 4 * 64));
        QCOMPARE(flopsOfNode(run, "flatten"), std::int64_t(0));
        double seconds = 0;
        for (const NodeProfile& node : run.profile) {
            QVERIFY(node.seconds > 0);
            seconds += node.seconds;
            if (node.node == "relu")
                QCOMPARE(node.allocatedBytes, std::int64_t(2 * 4 * 64 * 4));
            if (node.node == "flatten")
                QCOMPARE(node.allocatedBytes, std::int64_t(0));
            QCOMPARE(node.outputBytes, std::int64_t(node.node == "fc.linear" ? 2 * 10 * 4 : 2 * 4 * 64 * 4));
        }
        QVERIFY(seconds < 60);
        QVERIFY(runOn(model, {at::randn({2, 3, 8, 8})}).profile.empty());
    }

    void flopsOfProductsFollowTheirFormula()
    {
        Builder builder("products");
        const auto a = builder.input("a", "float32", {"b", "n", "k"}), b = builder.input("b", "float32", {"b", "k", "m"}),
                   c = builder.input("c", "float32", {"n", "m"});
        const auto mm = builder.matmul(a, b), bmm = builder.op("aten::bmm", {a, b}), baddbmm = builder.op("aten::baddbmm", {c, a, b});
        const Model model = builder.finish({{"mm", mm}, {"bmm", bmm}, {"baddbmm", baddbmm}, {"softmax", builder.softmax(mm, -1)}});
        RunRequest request;
        request.profile = true;
        const RunResult run = runOn(model, {at::ones({2, 3, 5}), at::ones({2, 5, 7}), at::ones({3, 7})}, request);
        QCOMPARE(flopsOfNode(run, "matmul"), std::int64_t(2 * 3 * 7 * 2 * 5));
        QCOMPARE(flopsOfNode(run, "bmm"), std::int64_t(2 * 3 * 7 * 2 * 5));
        QCOMPARE(flopsOfNode(run, "baddbmm"), std::int64_t(2 * 3 * 7 * (2 * 5 + 1)));
        QCOMPARE(flopsOfNode(run, "softmax"), std::int64_t(2 * 3 * 7 * 5));
    }

    void flopsOfRecurrentLayersFollowTheirFormula()
    {
        constexpr std::int64_t kSteps = 3, kBatch = 2, kIn = 4, kUnits = 5, kWeights = 15 * (kIn + kUnits), kBiases = 2 * 15;
        const c10::List<at::Tensor> parameters({at::ones({15, kIn}), at::ones({15, kUnits}), at::ones({15}), at::ones({15})});
        Node layer, cell;
        layer.op = "aten::gru";
        cell.op = "aten::gru_cell";
        const std::vector<c10::IValue> inputs{at::ones({kSteps, kBatch, kIn}), at::ones({1, kBatch, kUnits}), parameters},
            outputs{at::ones({kSteps, kBatch, kUnits})};
        const std::vector<c10::IValue> stepInputs{
            at::ones({kBatch, kIn}), at::ones({kBatch, kUnits}), at::ones({15, kIn}), at::ones({15, kUnits}), at::ones({15}), at::ones({15})},
            stepOutputs{at::ones({kBatch, kUnits})};
        const std::int64_t oneStep = kBatch * (2 * kWeights + kBiases) + 8 * kBatch * kUnits;
        QCOMPARE(flopsOf(cell, stepInputs, stepOutputs), oneStep);
        QCOMPARE(flopsOf(layer, inputs, outputs), kSteps * oneStep);
    }

    void stopTokenEndsTheRunBetweenNodes()
    {
        const Model model = residualModel();
        std::stop_source source;
        std::vector<std::string> seen;
        RunRequest request;
        request.stop = source.get_token();
        request.probes = {Probe::onValue("blocks.*.add", [&](const std::string& name, const c10::IValue&) {
            seen.push_back(name);
            if (name == "blocks.1.add")
                source.request_stop();
        })};
        QVERIFY_EXCEPTION_THROWN(runOn(model, {at::randn({2, 6})}, request), core::Cancelled);
        QCOMPARE(seen, (std::vector<std::string>{"blocks.0.add", "blocks.1.add"}));
        request.probes.clear();
        QVERIFY_EXCEPTION_THROWN(runOn(model, {at::randn({2, 6})}, request), core::Cancelled);
    }

    void errorsAreOneSentenceWithThePlace_data()
    {
        QTest::addColumn<int>("index");
        int index = 0;
        for (const Failure& failure : failures())
            QTest::newRow(failure.name) << index++;
    }
    void errorsAreOneSentenceWithThePlace()
    {
        QFETCH(int, index);
        const Failure failure = failures()[std::size_t(index)];
        const Model model = residualModel();
        const std::string message = messageOf([&] { failure.run(model); });
        QVERIFY2(message.find(failure.message) != std::string::npos, message.c_str());
        QVERIFY2(message.find('\n') == std::string::npos && message.find("frame #") == std::string::npos, message.c_str());
    }

    void errorsInLoopsNameTheStep()
    {
        const Model model = loopModel(4);
        try {
            runOn(model, {at::randn({2, 3}), at::zeros({3})});
            QFAIL("expected a NodeError");
        } catch (const NodeError& error) {
            QCOMPARE(error.node(), std::string("row[2]"));
            QVERIFY2(std::string(error.what()).starts_with("row[2] (aten::select.int) failed on float32 [2, 3], 0, 2: "), error.what());
        }
    }

    void unknownOperatorsAreRefusedBeforeTheyRun()
    {
        GraphData data = residualModel().graph->data();
        data.body.nodes[1].op = "aten::tanhh";
        QCOMPARE(messageOf([&] { Executor(std::make_shared<const Graph>(data)); }),
                 std::string("node blocks.0.tanh: libtorch has no operator aten::tanhh"));
        data.body.nodes[1].op = "aten::softmax";
        const std::string overloads = messageOf([&] { Executor(std::make_shared<const Graph>(data)); });
        QVERIFY2(overloads.find("\"int\"") != std::string::npos, overloads.c_str());
        data.body.nodes[1].overload = "int";
        const std::string arguments = messageOf([&] { Executor(std::make_shared<const Graph>(data)); });
        QVERIFY2(arguments.find("node blocks.0.tanh: aten::softmax.int takes 3 arguments, got 1") == 0, arguments.c_str());
        Builder builder("unknown");
        const std::string inBuilder = messageOf([&] { builder.op("aten::tahn", {1}); });
        QVERIFY2(inBuilder.find("libtorch has no operator aten::tahn") == 0, inBuilder.c_str());
        const std::string missing = messageOf([&] { builder.op("aten::softmax.int", {builder.input("x", "float32", {"n"})}); });
        QVERIFY2(missing.find("argument 1 (\"dim\") is missing") != std::string::npos, missing.c_str());
    }
};

QTEST_APPLESS_MAIN(ExecutorRulesTest)
#include "executor_rules_test.moc"
