#include "scripted_models.h"

#include <core/graph/probe.h>

using namespace orrery;
using namespace orrery::tests;

namespace {

graph::RunResult run(const models::ImportedModel& imported, const std::string& name, bool training, graph::Gradients gradients,
                     graph::Weights* leaves = nullptr)
{
    graph::Weights weights = imported.model.weights.clone();
    if (leaves) {
        for (const auto& parameter : imported.model.graph->data().parameters)
            if (parameter.kind == graph::Parameter::Kind::Parameter)
                weights.set(parameter.name, weights.at(parameter.name).detach().requires_grad_());
        *leaves = weights;
    }
    graph::RunRequest request;
    request.inputs = ownInputs(name);
    request.training = training;
    request.gradients = gradients;
    return graph::Executor(imported.model.graph).run(weights, request);
}

std::string difference(const std::vector<at::Tensor>& ours, const std::vector<at::Tensor>& theirs)
{
    if (ours.size() != theirs.size())
        return fmt::format("{} outputs, expected {}", ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i)
        if (!identical(ours[i], theirs[i]))
            return fmt::format("output {} differs by {}", i,
                               ours[i].sizes() == theirs[i].sizes() ? (ours[i].to(at::kDouble) - theirs[i].to(at::kDouble)).abs().max().item<double>()
                                                                    : -1.0);
    return {};
}

std::vector<std::string> nodeNames(const graph::Graph& graph)
{
    std::vector<std::string> names;
    for (const auto* node : graph.allNodes())
        names.push_back(node->name);
    return names;
}

bool hasNode(const graph::Graph& graph, const std::string& name)
{
    const auto names = nodeNames(graph);
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool hasNote(const models::ImportedModel& imported, const std::string& part)
{
    return std::any_of(imported.notes.begin(), imported.notes.end(), [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

bool usesOp(const graph::Graph& graph, const std::string& op)
{
    return std::any_of(graph.allNodes().begin(), graph.allNodes().end(), [&](const graph::Node* node) { return node->op == op; });
}

}  // namespace

class TorchScriptTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { torch::jit::setGraphExecutorOptimize(false); }
    void outputsAndGradientsEqualLibtorch_data();
    void outputsAndGradientsEqualLibtorch();
    void bufferUpdatesEqualLibtorch_data();
    void bufferUpdatesEqualLibtorch();
    void namesFollowTheModules();
    void loopStepsCanBeProbed();
    void constantBranchesLeaveNoTrace();
    void aTraceFollowsTheRunsMode();
    void writesInPlaceBecomeValues();
    void tiedParametersAreStoredOnce();
    void inputsWithDefaultsAreBoundUnlessKept();
    void outputsAreFlattenedAndNamed();
    void fusedOperatorsAreNamed();
    void sizesStayFree();
    void operatorsOfNewerFilesRun();
};

void TorchScriptTest::outputsAndGradientsEqualLibtorch_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<bool>("training");
    for (const char* name : {"mlp_scripted", "mlp_train",  "cnn_scripted",  "cnn_traced", "rnn_loop",  "branch",      "containers", "tuple_out",
                             "in_place",     "twice",      "tied",          "buffers",    "lstm",      "lstm_traced", "gpt",        "gpt_train",
                             "gpt_traced",   "dict_state", "encoder_layer", "views",      "own_class", "early"}) {
        QTest::addRow("%s eval", name) << name << false;
        const std::string text = name;
        if (text != "mlp_scripted" && text != "gpt" && text.find("traced") == std::string::npos)  // those drop at random, or have no mode
            QTest::addRow("%s training", name) << name << true;
    }
}

void TorchScriptTest::outputsAndGradientsEqualLibtorch()
{
    QFETCH(QString, name);
    QFETCH(bool, training);
    const auto key = name.toStdString();
    auto module = torch::jit::load(fixture(key));
    module.train(training);
    const auto imported = models::importTorchScript(fixture(key));
    const auto expected = collected({module.forward(ownInputs(key))});
    graph::Weights leaves;
    const auto result = run(imported, key, training, graph::Gradients::Parameters, &leaves);
    const auto ours = collected(result.outputs);
    const auto text = difference(ours, expected) + "\n" + imported.model.graph->print();
    QVERIFY2(text[0] == '\n', text.c_str());
    const auto loss = lossOf(expected);
    if (!loss.requires_grad())
        return;
    loss.backward();
    lossOf(ours).backward();
    for (const auto& parameter : module.named_parameters()) {
        const auto alias = imported.model.graph->data().aliases.find(parameter.name);
        const auto& leaf = leaves.at(alias == imported.model.graph->data().aliases.end() ? parameter.name : alias->second);
        if (parameter.value.grad().defined() != leaf.grad().defined())
            QFAIL(("gradient of " + parameter.name + (leaf.grad().defined() ? " unexpected" : " missing")).c_str());
        if (leaf.grad().defined() && !identical(parameter.value.grad(), leaf.grad()))
            QFAIL(("gradient of " + parameter.name + " differs").c_str());
    }
}

void TorchScriptTest::bufferUpdatesEqualLibtorch_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"mlp_train", "cnn_scripted", "buffers"})
        QTest::addRow("%s", name) << name;
}

void TorchScriptTest::bufferUpdatesEqualLibtorch()
{
    QFETCH(QString, name);
    const auto key = name.toStdString();
    auto module = torch::jit::load(fixture(key));
    module.train(true);
    const auto imported = models::importTorchScript(fixture(key));
    module.forward(ownInputs(key));
    const auto result = run(imported, key, true, graph::Gradients::None);
    int compared = 0;
    for (const auto& buffer : module.named_buffers()) {
        const auto found = result.bufferUpdates.find(buffer.name);
        QVERIFY2(found != result.bufferUpdates.end(), buffer.name.c_str());
        QVERIFY2(identical(found->second, buffer.value), buffer.name.c_str());
        ++compared;
    }
    QVERIFY(compared > 0);
    const auto evaluated = run(imported, key, false, graph::Gradients::None);
    for (const auto& [buffer, value] : evaluated.bufferUpdates)
        QVERIFY2(identical(value, imported.model.weights.at(buffer)), buffer.c_str());
}

void TorchScriptTest::namesFollowTheModules()
{
    const auto gpt = models::importTorchScript(fixture("gpt"));
    const auto& graph = *gpt.model.graph;
    const auto print = graph.print();
    for (const char* name :
         {"wte.embedding", "blocks.0.attn.softmax", "blocks.1.attn.proj.linear", "blocks.1.mlp.1.gelu", "ln.layer_norm", "head.linear"})
        QVERIFY2(hasNode(graph, name), print.c_str());
    QVERIFY(graph.findParameter("blocks.1.attn.qkv.weight"));
    QVERIFY(std::any_of(graph.data().modules.begin(), graph.data().modules.end(),
                        [](const auto& module) { return module.path == "blocks.0.attn" && module.type == "Attention"; }));
    const auto mask = graph.findParameter("blocks.0.attn.mask");
    QVERIFY(mask && mask->kind == graph::Parameter::Kind::Buffer);
    const auto twice = models::importTorchScript(fixture("twice"));
    QVERIFY(hasNode(*twice.model.graph, "act.relu") && hasNode(*twice.model.graph, "act.relu#2") && hasNode(*twice.model.graph, "fc.linear#2"));
    const auto lstm = models::importTorchScript(fixture("lstm"));
    QVERIFY2(lstm.model.graph->findValue("lstm.lstm:1"), lstm.model.graph->print().c_str());
    QVERIFY2(lstm.model.graph->findParameter("lstm.weight_hh_l1"), lstm.model.graph->print().c_str());
}

void TorchScriptTest::loopStepsCanBeProbed()
{
    const auto imported = models::importTorchScript(fixture("rnn_loop"));
    auto module = torch::jit::load(fixture("rnn_loop"));
    const auto loops = std::count_if(imported.model.graph->nodes().begin(), imported.model.graph->nodes().end(),
                                     [](const graph::Node& node) { return node.op == "prim::Loop"; });
    QCOMPARE(loops, 2);
    graph::RunRequest request;
    request.inputs = ownInputs("rnn_loop");
    std::map<std::string, at::Tensor> seen;
    request.probes.push_back(
        graph::Probe::onValue("cell[*]", [&](const std::string& name, const c10::IValue& value) { seen[name] = value.toTensor(); }));
    graph::Executor(imported.model.graph).run(imported.model.weights, request);
    QCOMPARE(int(seen.size()), 4);
    auto cell = module.attr("cell").toModule();
    at::Tensor h = at::zeros({2, 4});
    for (int t = 0; t < 4; ++t) {
        h = cell.forward({inputsOf("rnn_loop")[0].toTensor()[t], h}).toTensor();
        const auto found =
            std::find_if(seen.begin(), seen.end(), [&](const auto& entry) { return entry.first.find(fmt::format("[{}]", t)) != std::string::npos; });
        QVERIFY2(found != seen.end(), std::to_string(t).c_str());
        QVERIFY(identical(found->second, h));
    }
}

void TorchScriptTest::constantBranchesLeaveNoTrace()
{
    const auto imported = models::importTorchScript(fixture("mlp_scripted"));
    const auto& graph = *imported.model.graph;
    const auto print = graph.print();
    // What is left of the scripted program: the four modules, and the counter of batch norm in training.
    QStringList ops;
    for (const auto& node : graph.nodes())
        ops << QString::fromStdString(node.op);
    QVERIFY2(ops.size() <= 6, print.c_str());
    QVERIFY2(hasNote(imported, "only raise"), print.c_str());
    const auto& data = graph.data();
    QVERIFY(data.training.has_value());
    const auto* norm = graph.producer(*graph.findValue("bn.batch_norm"));
    QVERIFY(norm && norm->inputs[5].value == *data.training);
}

void TorchScriptTest::aTraceFollowsTheRunsMode()
{
    const auto imported = models::importTorchScript(fixture("cnn_traced"));
    QVERIFY(hasNote(imported, "drop: train=False"));
    QVERIFY(hasNote(imported, "features.1: training=False"));
    // The trace of the same architecture in training equals the scripted module in training, dropout apart.
    auto scripted = torch::jit::load(fixture("cnn_scripted"));
    for (const auto& parameter : imported.model.graph->data().parameters)
        if (parameter.kind != graph::Parameter::Kind::Constant)
            for (auto item : scripted.named_parameters())
                if (item.name == parameter.name)
                    item.value.detach().copy_(imported.model.weights.at(parameter.name));
    scripted.train(true);
    graph::RunRequest request;
    request.inputs = ownInputs("cnn_traced");
    request.training = true;
    request.keep = {"block"};
    const auto result = graph::Executor(imported.model.graph).run(imported.model.weights, request);
    auto features = scripted.attr("features").toModule();
    auto block = scripted.attr("block").toModule();
    const auto expected = block.forward({features.forward(ownInputs("cnn_traced"))}).toTensor();
    QVERIFY(!result.values.empty());
    QVERIFY(identical(result.values.begin()->second.toTensor(), expected));
    QVERIFY(result.bufferUpdates.count("features.1.running_mean") == 1);
}

void TorchScriptTest::writesInPlaceBecomeValues()
{
    const auto imported = models::importTorchScript(fixture("in_place"));
    const auto print = imported.model.graph->print();
    QVERIFY2(usesOp(*imported.model.graph, "aten::select_scatter"), print.c_str());
    const auto names = nodeNames(*imported.model.graph);
    QVERIFY2(std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.find("@2") != std::string::npos; }), print.c_str());
    for (const auto* node : imported.model.graph->allNodes())
        QVERIFY2(node->op.back() != '_' || node->op.find("__") != std::string::npos || node->op == "aten::sub_", node->op.c_str());
    // A residual network's `out += x` and its ReLU(inplace) are plain values.
    const auto cnn = models::importTorchScript(fixture("cnn_scripted"));
    QVERIFY2(hasNode(*cnn.model.graph, "features.2.relu") && hasNode(*cnn.model.graph, "add"), cnn.model.graph->print().c_str());
    // The caller's input is never written.
    graph::RunRequest request;
    request.inputs = ownInputs("in_place");
    const auto before = request.inputs[0].toTensor().clone();
    graph::Executor(imported.model.graph).run(imported.model.weights, request);
    QVERIFY(identical(before, request.inputs[0].toTensor()));
}

void TorchScriptTest::tiedParametersAreStoredOnce()
{
    const auto imported = models::importTorchScript(fixture("tied"));
    QCOMPARE(imported.model.weights.tensors().size(), std::size_t(1));
    QCOMPARE(imported.model.graph->data().aliases.size(), std::size_t(1));
    QCOMPARE(graph::parameterCount(*imported.model.graph), std::int64_t(28));
}

void TorchScriptTest::inputsWithDefaultsAreBoundUnlessKept()
{
    const auto bound = models::importTorchScript(fixture("lstm"));
    QCOMPARE(bound.model.graph->data().inputs.size(), std::size_t(1));
    QVERIFY(hasNote(bound, "input state is bound to its default"));
    const auto kept = models::importTorchScript(fixture("lstm"), {{"state"}});
    QCOMPARE(kept.model.graph->data().inputs.size(), std::size_t(2));
    const auto h = numbers({2, 2, 4}, 20), c = numbers({2, 2, 4}, 21);
    graph::RunRequest request;
    request.inputs = ownInputs("lstm");
    request.inputs.push_back(c10::ivalue::Tuple::create({h, c}));
    const auto result = graph::Executor(kept.model.graph).run(kept.model.weights, request);
    auto module = torch::jit::load(fixture("lstm"));
    auto expected = ownInputs("lstm");
    expected.push_back(c10::ivalue::Tuple::create({h, c}));
    QCOMPARE(difference(collected(result.outputs), collected({module.forward(expected)})), std::string());
}

void TorchScriptTest::outputsAreFlattenedAndNamed()
{
    const auto tuple = models::importTorchScript(fixture("tuple_out"));
    QCOMPARE(tuple.model.graph->data().outputNames, (std::vector<std::string>{"output.0", "output.1.0", "output.1.1", "output.2.0", "output.2.1"}));
    const auto dict = models::importTorchScript(fixture("containers"));
    QCOMPARE(dict.model.graph->data().outputNames, (std::vector<std::string>{"sum", "parts", "nested"}));
    const auto single = models::importTorchScript(fixture("twice"));
    QCOMPARE(single.model.graph->data().outputNames, (std::vector<std::string>{"output"}));
}

void TorchScriptTest::fusedOperatorsAreNamed()
{
    QVERIFY(hasNote(models::importTorchScript(fixture("encoder_layer")), "_transformer_encoder_layer_fwd is one fused operator"));
}

void TorchScriptTest::sizesStayFree()
{
    const auto imported = models::importTorchScript(fixture("gpt"));
    auto module = torch::jit::load(fixture("gpt"));
    module.eval();
    for (const std::int64_t length : {1, 3, 16}) {
        const auto ids = tokens({3, length}, 11, std::uint64_t(length));
        const auto ours = graph::Executor(imported.model.graph).forward(imported.model.weights, {ids});
        QVERIFY(identical(ours, module.forward({ids}).toTensor()));
    }
}

// A file of PyTorch 2.x calls scaled_dot_product_attention; libtorch 1.13 has it from us, to the documented formula.
void TorchScriptTest::operatorsOfNewerFilesRun()
{
    const auto imported = models::importTorchScript(fixture("sdpa"));
    QVERIFY(hasNode(*imported.model.graph, "softmax"));  // taken apart, so that its pattern can be seen
    const auto q = numbers({2, 3, 4}, 1), k = numbers({2, 3, 4}, 2), v = numbers({2, 3, 5}, 3);
    const auto ours = graph::Executor(imported.model.graph).forward(imported.model.weights, {q, k, v});
    const auto scores = at::matmul(q.to(at::kDouble), k.to(at::kDouble).transpose(1, 2)) / 2.0;
    const auto hidden = at::ones({3, 3}, at::TensorOptions(at::kBool)).tril().logical_not();
    const auto expected = at::matmul(at::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1), v.to(at::kDouble));
    QVERIFY(at::allclose(ours.to(at::kDouble), expected, 1e-6, 1e-6));
    auto module = torch::jit::load(fixture("sdpa"));
    QVERIFY(identical(ours, module.forward({q, k, v}).toTensor()));  // the parts give the very numbers of the whole
}

QTEST_APPLESS_MAIN(TorchScriptTest)
#include "torchscript_test.moc"
