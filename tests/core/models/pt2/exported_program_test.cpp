#include <QtTest>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/graph/executor.h>
#include <core/graph/inspect.h>
#include <core/io/zip.h>
#include <core/models/model_file.h>
#include <core/models/pt2/exported_program.h>

using namespace orrery;

// Fixtures: programs that PyTorch 2.11 exported, with inputs, outputs and gradients as that PyTorch computed them (tests/data/pt2/generate.py).
namespace {

std::filesystem::path fixturePath(const std::string& name)
{
    return std::filesystem::path(ORRERY_TEST_DATA "/pt2") / name;
}

models::ImportedModel opened(const std::string& name)
{
    return models::importExportedProgram(fixturePath(name + ".pt2"));
}

graph::Weights expectedOf(const std::string& name)
{
    return models::loadTensors(fixturePath(name + ".safetensors"));
}

std::vector<c10::IValue> inputsOf(const graph::Weights& expected)
{
    std::vector<c10::IValue> inputs;
    for (int i = 0; const auto* tensor = expected.find(fmt::format("input.{}", i)); ++i)
        inputs.emplace_back(tensor->clone());
    return inputs;
}

double farthest(const at::Tensor& ours, const at::Tensor& theirs)
{
    if (ours.sizes() != theirs.sizes() || ours.scalar_type() != theirs.scalar_type())
        return std::numeric_limits<double>::infinity();
    return ours.numel() ? (ours.to(at::kDouble) - theirs.to(at::kDouble)).abs().max().item<double>() : 0.0;
}

bool anyNote(const models::ImportedModel& imported, const std::string& part)
{
    return std::any_of(imported.notes.begin(), imported.notes.end(), [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

/// An archive with some entries replaced.
std::string changedArchive(const std::string& name, const std::function<void(io::ZipEntry&)>& change)
{
    auto entries = io::parseZip(core::readFile(fixturePath(name + ".pt2")), name, 1 << 26);
    for (auto& entry : entries)
        change(entry);
    return io::zipBytes(entries);
}

std::string replaced(std::string text, const std::string& from, const std::string& to)
{
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    return text;
}

QString faultOf(const std::string& bytes)
{
    QTemporaryDir folder;
    const auto file = std::filesystem::path(folder.path().toStdString()) / "x.pt2";
    core::writeFileAtomically(file, bytes);
    try {
        models::importExportedProgram(file);
    } catch (const core::FormatError& error) {
        return QString::fromStdString(error.what());
    }
    return {};
}

}  // namespace

class ExportedProgramTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void outputsAndGradientsAreThoseOfPyTorch2_data();
    void outputsAndGradientsAreThoseOfPyTorch2();
    void sizesThatWereSymbolsStayFree();
    void namesFollowTheModules();
    void outputsKeepTheirNames();
    void buffersAreWrittenByATrainingStep();
    void tiedWeightsAreStoredOnce();
    void branchesStayBranches();
    void weightsAreMapped();
    void olderLayoutsHoldTheSameProgram_data();
    void olderLayoutsHoldTheSameProgram();
    void theSampleInputsBecomeTheExample();
    void anUnknownOperatorIsNamedAndStructureRemains();
    void damagedArchivesAreRefused_data();
    void damagedArchivesAreRefused();
    void everyCutIsRefused();
};

void ExportedProgramTest::outputsAndGradientsAreThoseOfPyTorch2_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<bool>("training");
    for (const char* name : {"branch", "cnn", "cnn-core", "counter", "dictionary", "encoder", "gpt", "gpt-core", "layer", "masked", "mlp",
                             "recurrent", "recurrent-core", "shapes"})
        QTest::addRow("%s", name) << name << false;
    QTest::addRow("cnn-training") << "cnn-training" << true;
}

void ExportedProgramTest::outputsAndGradientsAreThoseOfPyTorch2()
{
    QFETCH(QString, name);
    QFETCH(bool, training);
    const auto key = name.toStdString();
    const auto imported = opened(key);
    const auto expected = expectedOf(key);
    auto weights = imported.model.weights.clone();
    for (const auto& parameter : imported.model.graph->data().parameters)
        if (parameter.kind == graph::Parameter::Kind::Parameter)
            weights.set(parameter.name, weights.at(parameter.name).detach().requires_grad_());
    graph::RunRequest request;
    request.inputs = inputsOf(expected);
    request.gradients = graph::Gradients::Parameters;
    request.training = training;
    const auto result = graph::Executor(imported.model.graph).run(weights, request);
    std::size_t outputs = 0;
    for (; const auto* theirs = expected.find(fmt::format("output.{}", outputs)); ++outputs) {
        QVERIFY(outputs < result.outputs.size());
        auto ours = result.tensor(outputs).detach();
        // PyTorch 2.11's decomposition of an LSTM keeps an axis of one in the last states, which the module itself does not; the file says so, too.
        if (key == "recurrent-core" && ours.dim() == 4 && ours.size(1) == 1)
            ours = ours.squeeze(1);
        const double error = farthest(ours, *theirs);
        QVERIFY2(error < 5e-6, fmt::format("output {} differs by {}\n{}", outputs, error, imported.model.graph->print()).c_str());
    }
    QCOMPARE(result.outputs.size(), outputs);
    const auto first = result.tensor(0);
    if (!first.requires_grad())
        return;
    (first * first).sum().backward();
    int compared = 0;
    for (const auto& [tensor, theirs] : expected.tensors()) {
        if (tensor.rfind("grad.", 0) != 0)
            continue;
        const auto* parameter = imported.model.graph->findParameter(tensor.substr(5));
        QVERIFY2(parameter, tensor.c_str());
        const auto ours = weights.at(parameter->name).grad();
        if (!ours.defined()) {  // the branch that was not taken
            QVERIFY2(theirs.eq(0).all().item<bool>(), tensor.c_str());
            continue;
        }
        const double scale = std::max(1.0, theirs.abs().max().item<double>());
        QVERIFY2(farthest(ours, theirs) < 5e-5 * scale, fmt::format("{} differs by {}", tensor, farthest(ours, theirs)).c_str());
        ++compared;
    }
    QVERIFY(compared > 0);
}

void ExportedProgramTest::sizesThatWereSymbolsStayFree()
{
    for (const char* name : {"gpt", "gpt-core"}) {
        const auto imported = opened(name);
        const auto& input = imported.model.card.inputs.at(0);
        QCOMPARE(input.name, std::string("ids"));
        QCOMPARE(input.kind, std::string("tokens"));
        QCOMPARE(input.dtype, std::string("int64"));
        QCOMPARE(input.shape, (std::vector<std::string>{"batch", "size2"}));
        const graph::Executor executor(imported.model.graph);
        const auto ids = at::arange(15, at::kLong).view({3, 5});
        const auto together = executor.forward(imported.model.weights, {ids});
        QCOMPARE(together.sizes().vec(), (std::vector<std::int64_t>{3, 5, 40}));
        for (std::int64_t i = 0; i < 3; ++i)
            QVERIFY(farthest(executor.forward(imported.model.weights, {ids.slice(0, i, i + 1)}), together.slice(0, i, i + 1)) < 1e-5);
        const auto shorter = executor.forward(imported.model.weights, {ids.slice(1, 0, 3)});  // later tokens change nothing before them
        QVERIFY(farthest(shorter, together.slice(1, 0, 3)) < 1e-5);
    }
}

void ExportedProgramTest::namesFollowTheModules()
{
    const auto imported = opened("gpt");
    const auto& graph = *imported.model.graph;
    QCOMPARE(graph.data().name, std::string("Gpt"));
    for (const char* name : {"wte.embedding", "blocks.0.norm1.layer_norm", "blocks.1.attn.softmax", "blocks.1.mlp.1.gelu", "norm.rms_norm"})
        QVERIFY2(graph.findValue(name), graph.print().c_str());
    QVERIFY(graph.findParameter("blocks.1.attn.qkv.weight"));
    QVERIFY(std::any_of(graph.data().modules.begin(), graph.data().modules.end(),
                        [](const graph::Module& module) { return module.path == "blocks.0.attn" && module.type == "Attention"; }));
    const auto* node = graph.producer(*graph.findValue("blocks.1.mlp.1.gelu"));
    QCOMPARE(node->source, std::string("activation.py:816"));
}

void ExportedProgramTest::outputsKeepTheirNames()
{
    QCOMPARE(opened("dictionary").model.graph->data().outputNames, (std::vector<std::string>{"logits", "pair.0", "pair.1"}));
    QCOMPARE(opened("mlp").model.graph->data().outputNames, std::vector<std::string>{"output"});
    QCOMPARE(opened("recurrent").model.graph->data().outputNames, (std::vector<std::string>{"output.0", "output.1", "output.2", "output.3"}));
    QCOMPARE(opened("dictionary").model.graph->data().inputs.size(), std::size_t(1));  // the other was None when it was exported
}

void ExportedProgramTest::buffersAreWrittenByATrainingStep()
{
    const auto imported = opened("counter");
    graph::RunRequest request;
    request.inputs = inputsOf(expectedOf("counter"));
    request.training = true;
    const auto result = graph::Executor(imported.model.graph).run(imported.model.weights, request);
    QCOMPARE(result.bufferUpdates.at("count").item<float>(), 1.0f);
    QVERIFY(farthest(result.bufferUpdates.at("mean"), 0.1 * request.inputs[0].toTensor().mean(0)) < 1e-7);
    QCOMPARE(imported.model.weights.at("count").item<float>(), 0.0f);  // what was opened is not written
}

void ExportedProgramTest::tiedWeightsAreStoredOnce()
{
    const auto imported = opened("gpt");
    QCOMPARE(imported.model.graph->data().aliases.size(), std::size_t(1));
    QVERIFY(imported.model.graph->findParameter("head.weight") == imported.model.graph->findParameter("wte.weight"));
}

void ExportedProgramTest::branchesStayBranches()
{
    const auto imported = opened("branch");
    const auto& graph = *imported.model.graph;
    QVERIFY2(std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const graph::Node& node) { return node.op == "prim::If"; }),
             graph.print().c_str());
    const graph::Executor executor(imported.model.graph);
    const auto& weights = imported.model.weights;
    const auto x = at::ones({2, 4});
    QVERIFY(farthest(executor.forward(weights, {x}), at::relu(at::linear(x, weights.at("a.weight"), weights.at("a.bias")))) == 0);
    QVERIFY(farthest(executor.forward(weights, {-x}), at::tanh(at::linear(-x, weights.at("b.weight"), weights.at("b.bias")))) == 0);
}

void ExportedProgramTest::weightsAreMapped()
{
    const auto file = core::readFile(fixturePath("mlp.pt2"));
    const auto imported = opened("mlp");
    for (const auto& [name, tensor] : imported.model.weights.tensors())
        QVERIFY2(file.find(std::string(static_cast<const char*>(tensor.data_ptr()), std::size_t(tensor.nbytes()))) != std::string::npos,
                 name.c_str());
}

void ExportedProgramTest::olderLayoutsHoldTheSameProgram_data()
{
    QTest::addColumn<QString>("name");
    QTest::newRow("PyTorch 2.1 to 2.7") << "mlp-old";
    QTest::newRow("PyTorch 2.8") << "mlp-dictionary";
}

void ExportedProgramTest::olderLayoutsHoldTheSameProgram()
{
    QFETCH(QString, name);
    const auto now = opened("mlp"), old = opened(name.toStdString());
    QCOMPARE(old.model.graph->hash(), now.model.graph->hash());
    for (const auto& [parameter, tensor] : now.model.weights.tensors())
        QVERIFY2(at::equal(old.model.weights.at(parameter), tensor), parameter.c_str());
    const auto x = graph::exampleInputs(old.model).at(0).toTensor();
    QVERIFY(farthest(x, at::arange(18, at::kFloat).reshape({3, 6}) / 10) == 0);
}

void ExportedProgramTest::theSampleInputsBecomeTheExample()
{
    const auto imported = opened("masked");
    const auto expected = expectedOf("masked");
    const auto inputs = graph::exampleInputs(imported.model);
    QCOMPARE(inputs.size(), std::size_t(2));
    for (std::size_t i = 0; i < 2; ++i)
        QVERIFY(farthest(inputs[i].toTensor(), expected.at(fmt::format("input.{}", i))) == 0);
}

void ExportedProgramTest::anUnknownOperatorIsNamedAndStructureRemains()
{
    const auto bytes = changedArchive("mlp", [](io::ZipEntry& entry) {
        if (entry.name.ends_with("model.json"))
            entry.content = replaced(entry.content, "torch.ops.aten.gelu.default", "torch.ops.mylib.wobble.default");
    });
    QTemporaryDir folder;
    const auto file = std::filesystem::path(folder.path().toStdString()) / "x.pt2";
    core::writeFileAtomically(file, bytes);
    const auto imported = models::importExportedProgram(file);
    QVERIFY2(anyNote(imported, "libtorch has no mylib::wobble"), imported.model.graph->print().c_str());
    QVERIFY(imported.model.graph->findValue("net.1.wobble"));
    QVERIFY(imported.model.graph->findValue("net.3.linear"));
    QCOMPARE(imported.model.weights.tensors().size(), std::size_t(4));
}

void ExportedProgramTest::damagedArchivesAreRefused_data()
{
    QTest::addColumn<QString>("from");
    QTest::addColumn<QString>("to");
    QTest::addColumn<QString>("fault");
    QTest::newRow("no program") << "\"graph_module\""
                                << "\"graph_modul\""
                                << "expected a field graph_module";
    QTest::newRow("another version") << "\"major\": 8"
                                     << "\"major\": 12"
                                     << "expected version 5 to 8, found 12.17";
    QTest::newRow("a value nobody makes") << R"({"as_tensor": {"name": "linear"}}, "kind": 1})"
                                          << R"({"as_tensor": {"name": "nothing"}}, "kind": 1})"
                                          << "value nothing is used before it is made";
    QTest::newRow("a value made twice") << R"("outputs": [{"as_tensor": {"name": "gelu"}}])"
                                        << R"("outputs": [{"as_tensor": {"name": "linear"}}])"
                                        << "value linear is made twice";
    QTest::newRow("a negative size") << R"("sizes": [{"as_int": 12}, {"as_int": 6}])"
                                     << R"("sizes": [{"as_int": -12}, {"as_int": 6}])"
                                     << "expected a size of at least 0, found -12";
    QTest::newRow("a size beyond the entry") << R"("sizes": [{"as_int": 12}, {"as_int": 6}])"
                                             << R"("sizes": [{"as_int": 12}, {"as_int": 600}])"
                                             << "tensor net.0.weight: expected at least 666 elements in weight_0, found 72";
    QTest::newRow("sizes whose product is too large") << R"("sizes": [{"as_int": 12}, {"as_int": 6}])"
                                                      << R"("sizes": [{"as_int": 1200000000000}, {"as_int": 6000000000000}])"
                                                      << "is too large";
    QTest::newRow("an offset beyond the entry") << R"("storage_offset": {"as_int": 0})"
                                                << R"("storage_offset": {"as_int": 99999})"
                                                << "expected at least";
    QTest::newRow("an entry outside") << "\"path_name\": \"weight_0\""
                                      << "\"path_name\": \"../weight_0\""
                                      << "expected the name of an entry, found ../weight_0";
    QTest::newRow("an entry that is not there") << "\"path_name\": \"weight_0\""
                                                << "\"path_name\": \"weight_77\""
                                                << "expected an entry data/weights/weight_77, found none";
    QTest::newRow("a kind of argument of the future") << "\"as_float\""
                                                      << "\"as_dream\""
                                                      << "as_dream: a kind of argument that is not known here";
}

void ExportedProgramTest::damagedArchivesAreRefused()
{
    QFETCH(QString, from);
    QFETCH(QString, to);
    QFETCH(QString, fault);
    bool changed = false;
    const auto bytes = changedArchive("mlp", [&](io::ZipEntry& entry) {
        if (!entry.name.ends_with(".json"))
            return;
        const auto content = replaced(entry.content, from.toStdString(), to.toStdString());
        changed |= content != entry.content;
        entry.content = content;
    });
    QVERIFY(changed);
    const auto message = faultOf(bytes);
    QVERIFY2(message.contains(fault), qPrintable(message));
    QVERIFY2(message.contains("x.pt2"), qPrintable(message));
}

void ExportedProgramTest::everyCutIsRefused()
{
    const auto bytes = core::readFile(fixturePath("branch.pt2"));
    for (std::size_t length = 0; length < bytes.size(); length += 97)
        QVERIFY2(!faultOf(bytes.substr(0, length)).isEmpty(), std::to_string(length).c_str());
    auto flipped = bytes;
    flipped[bytes.size() / 3] ^= 4;
    QVERIFY(faultOf(flipped).contains("checksum") || faultOf(flipped).contains("damaged"));
}

QTEST_APPLESS_MAIN(ExportedProgramTest)
#include "exported_program_test.moc"
