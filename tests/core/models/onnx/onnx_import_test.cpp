// ONNX files as exporters write them: outputs against the runtime that wrote them, gradients against PyTorch's own, names, folding, and structure-only opening.
#include <QTemporaryDir>
#include <QtTest>

#include <core/models/importer.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>

#include "onnx_testing.h"

using namespace orrery;
using namespace orrery::tests;

namespace {

std::filesystem::path fixture(const std::string& name)
{
    return std::filesystem::path(ORRERY_TEST_DATA) / "onnx" / name;
}

/// Inputs in the order of the graph; what the fixture holds as `input.N`.
std::vector<c10::IValue> inputsOf(const graph::Weights& expected)
{
    std::vector<c10::IValue> inputs;
    for (int i = 0; expected.find(fmt::format("input.{}", i)); ++i)
        inputs.emplace_back(expected.at(fmt::format("input.{}", i)).clone());
    return inputs;
}

std::vector<std::string> operatorsOf(const graph::Graph& graph)
{
    std::vector<std::string> ops;
    for (const auto* node : graph.allNodes())
        ops.push_back(node->op);
    return ops;
}

bool usesOp(const graph::Graph& graph, const std::string& op)
{
    const auto ops = operatorsOf(graph);
    return std::find(ops.begin(), ops.end(), op) != ops.end();
}

io::OnnxValueInfo declared(const std::string& name, std::vector<std::int64_t> shape)
{
    io::OnnxValueInfo info;
    info.name = name;
    info.kind = io::OnnxValueInfo::Kind::Tensor;
    info.elementType = 1;
    info.shape.emplace();
    for (const auto size : shape)
        info.shape->push_back({size, ""});
    return info;
}

io::OnnxNode node(const std::string& op, std::vector<std::string> inputs, std::vector<std::string> outputs, const std::string& name = {})
{
    io::OnnxNode made;
    made.op = op;
    made.name = name;
    made.inputs = std::move(inputs);
    made.outputs = std::move(outputs);
    return made;
}

io::OnnxModel modelOf(std::vector<io::OnnxNode> nodes)
{
    io::OnnxModel model;
    model.irVersion = 8;
    model.opsets[""] = 17;
    model.graph.name = "made";
    model.graph.inputs = {declared("x", {2, 3})};
    model.graph.outputs = {declared("y", {2, 3})};
    model.graph.nodes = std::move(nodes);
    return model;
}

}  // namespace

class OnnxImportTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void outputsEqualTheRuntimes_data();
    void outputsEqualTheRuntimes();
    void gradientsEqualPyTorchs_data();
    void gradientsEqualPyTorchs();
    void weightGradientsEqualPyTorchsOfTheNewExporter_data();
    void weightGradientsEqualPyTorchsOfTheNewExporter();
    void batchSizeIsNotFixed();
    void slashesBecomeModules();
    void initialisersKeepTheirNames();
    void arithmeticOnShapesLeavesSizes();
    void anUnknownOperatorOpensStructureOnly();
    void nodesKeepWhatTheFileSaysOfThem();
    void whatBecomesManyNodesIsAModule();
    void savedAndReadAgainItIsTheSame();
    void formatIsRecognisedByContent();
    void faultsAreNamed_data();
    void faultsAreNamed();
    void cutFilesAreRefused();
    void flippedBitsNeverCrash();
    void externalDataStaysInItsFolder_data();
    void externalDataStaysInItsFolder();

private:
    std::filesystem::path written(const io::OnnxModel& model, const std::string& name = "model.onnx")
    {
        const std::filesystem::path file = m_folder.filePath(QString::fromStdString(name)).toStdString();
        core::writeFileAtomically(file, io::onnxBytes(model));
        return file;
    }
    std::string messageFor(const std::filesystem::path& file)
    {
        try {
            models::importOnnx(file);
        } catch (const core::Error& error) {
            return error.what();
        }
        return "no error";
    }
    QTemporaryDir m_folder;
};

void OnnxImportTest::outputsEqualTheRuntimes_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<double>("tolerance");
    for (const char* name : {"branch", "cnn", "cnn-ts", "mlp", "mlp-ts", "recurrent", "recurrent-ts", "shapes", "shapes-ts", "masked", "masked-ts",
                             "layer", "layer-ts", "dictionary", "gpt", "encoder-ts", "external/mlp", "traps"})
        QTest::newRow(name) << QString(name) << 1e-5;
    QTest::newRow("mlp-half") << QString("mlp-half") << 2e-3;  // written in float16: eleven bits
    // A step of the output's scale: a value that lies between two integers may be rounded either way.
    for (const char* name : {"cnn-qdq", "cnn-qoperator", "mlp-dynamic", "mlp-qdq", "mlp-qoperator"})
        QTest::newRow(name) << QString(name) << 1.2e-2;
}

void OnnxImportTest::outputsEqualTheRuntimes()
{
    QFETCH(QString, name);
    QFETCH(double, tolerance);
    const auto imported = models::importOnnx(fixture(name.toStdString() + ".onnx"));
    QVERIFY2(imported.notes.empty(), imported.notes.empty() ? "" : imported.notes[0].c_str());
    const auto expected = models::loadTensors(fixture(name.toStdString() + ".safetensors"));
    // libtorch 1.13 has no products of float16 on processors: such a model is computed in float32, as --dtype float32 does.
    const bool isHalf = name == "mlp-half";
    auto graph = imported.model.graph;
    auto weights = imported.model.weights;
    graph::RunRequest request;
    request.inputs = inputsOf(expected);
    request.inputs.resize(graph->data().inputs.size());
    if (isHalf) {
        graph = graph::moved(graph, c10::kCPU, at::kFloat);
        weights = weights.to(c10::kCPU, at::kFloat);
        request.inputs[0] = request.inputs[0].toTensor().to(at::kFloat);
    }
    const auto result = graph::Executor(graph).run(weights, request);
    QVERIFY(!result.outputs.empty());
    for (std::size_t i = 0; i < result.outputs.size(); ++i) {
        const auto& wanted = expected.at(fmt::format("output.{}", i));
        const auto text = difference(result.outputs[i], isHalf ? wanted.to(at::kFloat) : wanted, tolerance, tolerance);
        QVERIFY2(text.empty(), fmt::format("output {}: {}", i, text).c_str());
    }
}

void OnnxImportTest::gradientsEqualPyTorchs_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"cnn-1.13", "lstm-1.13", "layer-1.13"})
        QTest::newRow(name) << QString(name);
}

void OnnxImportTest::gradientsEqualPyTorchs()
{
    QFETCH(QString, name);
    const auto imported = models::importOnnx(fixture(name.toStdString() + ".onnx"));
    const auto expected = models::loadTensors(fixture(name.toStdString() + ".npz"));
    auto weights = imported.model.weights.clone();
    for (const auto& parameter : imported.model.graph->data().parameters)
        if (parameter.kind == graph::Parameter::Kind::Parameter)
            weights.set(parameter.name, weights.at(parameter.name).detach().requires_grad_());
    graph::RunRequest request;
    request.inputs = {expected.at("input.0")};
    request.gradients = graph::Gradients::All;
    const auto result = graph::Executor(imported.model.graph).run(weights, request);
    for (std::size_t i = 0; i < result.outputs.size(); ++i) {
        const auto text = difference(result.outputs[i], expected.at(fmt::format("output.{}", i)), 1e-6, 1e-6);
        QVERIFY2(text.empty(), fmt::format("output {}: {}", i, text).c_str());
    }
    result.tensor().square().sum().backward();
    const auto text = difference(result.value("x").grad(), expected.at("inputgrad.0"), 1e-5, 1e-5);
    QVERIFY2(text.empty(), ("input: " + text).c_str());
    int compared = 0;
    for (const auto& [key, gradient] : expected.tensors()) {
        const auto* weight = key.rfind("grad.", 0) == 0 ? weights.find(key.substr(5)) : nullptr;
        if (!weight || !weight->requires_grad())
            continue;
        ++compared;
        auto wanted = gradient;
        const auto twin = "grad.norm2" + key.substr(std::min(key.size(), std::string("grad.norm1").size()));
        if (key.rfind("grad.norm1", 0) == 0 && !weights.find(twin.substr(5)))  // equal at first, the exporter wrote both as one
            wanted = wanted + expected.at(twin);
        const auto difference_ = difference(weight->grad(), wanted, 1e-5, 1e-5);
        QVERIFY2(difference_.empty(), (key + ": " + difference_).c_str());
    }
    QVERIFY(compared >= 2);
}

void OnnxImportTest::weightGradientsEqualPyTorchsOfTheNewExporter_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"mlp", "layer", "gpt"})  // in cnn the exporter has multiplied the batch norms into the convolutions
        QTest::newRow(name) << QString(name);
}

void OnnxImportTest::weightGradientsEqualPyTorchsOfTheNewExporter()
{
    QFETCH(QString, name);
    const auto imported = models::importOnnx(fixture(name.toStdString() + ".onnx"));
    const auto expected = models::loadTensors(fixture(name.toStdString() + "-gradients.safetensors"));
    auto weights = imported.model.weights.clone();
    for (const auto& parameter : imported.model.graph->data().parameters)
        if (parameter.kind == graph::Parameter::Kind::Parameter)
            weights.set(parameter.name, weights.at(parameter.name).detach().requires_grad_());
    graph::RunRequest request;
    request.inputs = inputsOf(expected);
    request.gradients = graph::Gradients::Parameters;
    const auto result = graph::Executor(imported.model.graph).run(weights, request);
    result.tensor().square().sum().backward();
    int compared = 0;
    for (const auto& [key, gradient] : expected.tensors()) {
        const auto* weight = key.rfind("grad.", 0) == 0 ? weights.find(key.substr(5)) : nullptr;
        if (!weight || !weight->grad().defined() || weight->sizes() != gradient.sizes())
            continue;
        ++compared;
        const auto text = difference(weight->grad(), gradient, 1e-4, 1e-5);
        QVERIFY2(text.empty(), (key + ": " + text).c_str());
    }
    QVERIFY2(compared >= 2, std::to_string(compared).c_str());
}

void OnnxImportTest::batchSizeIsNotFixed()
{
    for (const char* name : {"cnn-1.13", "layer-1.13"}) {
        const auto imported = models::importOnnx(fixture(std::string(name) + ".onnx"));
        const auto expected = models::loadTensors(fixture(std::string(name) + ".npz"));
        const auto x = expected.at("input.0");
        const graph::Executor executor(imported.model.graph);
        const auto tripled = executor.forward(imported.model.weights, {at::cat({x, x, x})});
        const auto text = difference(tripled.narrow(0, x.size(0), x.size(0)), expected.at("output.0"), 1e-5, 1e-5);
        QVERIFY2(text.empty(), text.c_str());
    }
}

void OnnxImportTest::slashesBecomeModules()
{
    const auto file = written(modelOf({node("Relu", {"x"}, {"a"}, "/layers.0/act/Relu"), node("Exp", {"a"}, {"b"}, "/layers.0/act/Exp"),
                                       node("Neg", {"b"}, {"c"}), node("Neg", {"c"}, {"y"})}));
    const auto imported = models::importOnnx(file);
    const auto& graph = *imported.model.graph;
    QVERIFY(graph.findValue("layers.0.act.Relu"));
    QCOMPARE(graph.producer(*graph.findValue("layers.0.act.Exp"))->module, std::string("layers.0.act"));
    QVERIFY(graph.findValue("Neg") && graph.findValue("Neg#2"));
    QCOMPARE(graph.moduleOutputs("layers.0").size(), std::size_t(1));
    QCOMPARE(graph.data().outputNames, std::vector<std::string>{"y"});
}

void OnnxImportTest::initialisersKeepTheirNames()
{
    const auto imported = models::importOnnx(fixture("cnn-1.13.onnx"));
    for (const char* name : {"conv1.weight", "conv1.bias", "bn1.weight", "fc.bias"})
        QVERIFY2(imported.model.graph->findParameter(name), name);
    QCOMPARE(int(imported.model.graph->findParameter("bn1.running_mean")->kind), int(graph::Parameter::Kind::Buffer));
    QCOMPARE(imported.model.card.inputs.at(0).shape, (std::vector<std::string>{"batch", "3", "16", "16"}));
    QCOMPARE(imported.model.card.inputs.at(0).kind, std::string("image"));
}

void OnnxImportTest::arithmeticOnShapesLeavesSizes()
{
    const auto imported = models::importOnnx(fixture("layer-1.13.onnx"));
    const auto ops = operatorsOf(*imported.model.graph);
    QVERIFY(usesOp(*imported.model.graph, "aten::size"));
    QVERIFY2(!usesOp(*imported.model.graph, "orrery::onnx_ints"), imported.model.graph->print().c_str());
    QVERIFY(!usesOp(*imported.model.graph, "aten::_shape_as_tensor"));
}

void OnnxImportTest::anUnknownOperatorOpensStructureOnly()
{
    auto strange = node("FlyToTheMoon", {"a"}, {"b"}, "/engine/Fly");
    io::OnnxAttribute speed;
    speed.name = "speed";
    speed.integer = 3;
    strange.attributes.push_back(speed);
    const auto imported = models::importOnnx(written(modelOf({node("Relu", {"x"}, {"a"}), strange, node("Neg", {"b"}, {"y"})})));
    QCOMPARE(imported.notes.size(), std::size_t(1));
    QVERIFY2(QString::fromStdString(imported.notes[0]).contains("FlyToTheMoon") && QString::fromStdString(imported.notes[0]).contains("engine.Fly"),
             imported.notes[0].c_str());
    const auto* unknown = imported.model.graph->producer(*imported.model.graph->findValue("engine.Fly"));
    QCOMPARE(unknown->op, std::string("onnx::FlyToTheMoon"));
    QCOMPARE(unknown->inputs.back().constant.toStringRef(), std::string("speed=3"));
    try {
        graph::Executor(imported.model.graph).forward(imported.model.weights, {at::zeros({2, 3})});
        QFAIL("it ran");
    } catch (const core::Error& error) {
        QVERIFY2(QString(error.what()).contains("FlyToTheMoon") && QString(error.what()).contains("engine.Fly"), error.what());
    }
}

void OnnxImportTest::nodesKeepWhatTheFileSaysOfThem()
{
    auto softmax = node("Softmax", {"x"}, {"y"}, "/head/Softmax");
    io::OnnxAttribute axis;
    axis.name = "axis";
    axis.integer = 1;
    softmax.attributes = {axis};
    softmax.doc = "model.py(12): forward";
    const auto docOf = [](const io::OnnxNode& made) {
        const auto bytes = io::onnxBytes(modelOf({made}));
        return io::parseOnnx(bytes, "made.onnx").graph.nodes.at(0).doc;
    };
    const auto imported = models::importOnnx(written(modelOf({softmax})));
    QCOMPARE(imported.model.graph->nodes().back().source, std::string("ONNX Softmax \"/head/Softmax\": axis=1; model.py(12): forward"));
    softmax.doc = std::string(398, 'a') + "\u00e4\u00e4";  // cut between characters
    QCOMPARE(docOf(softmax), std::string(398, 'a') + "\u00e4");
    softmax.doc = std::string(399, 'a') + "\u00e4";
    QCOMPARE(docOf(softmax), std::string(399, 'a'));
    softmax.doc = "\xff\xfe";  // a remark that is no text is none
    QCOMPARE(docOf(softmax), std::string());
}

void OnnxImportTest::whatBecomesManyNodesIsAModule()
{
    const auto model = models::openModel(fixture("recurrent.onnx").string());
    int layers = 0;
    for (const auto& module : model.graph->data().modules)
        layers += module.type == "LSTM" || module.type == "GRU";
    QCOMPARE(layers, 3);
    for (const auto& each : model.graph->nodes())
        if (!each.module.empty())
            QVERIFY2(each.name.starts_with(each.module), each.name.c_str());
}

void OnnxImportTest::savedAndReadAgainItIsTheSame()
{
    const auto imported = models::importOnnx(fixture("layer-1.13.onnx"));
    const std::filesystem::path file = m_folder.filePath("saved.safetensors").toStdString();
    models::saveModel(file, imported.model);
    const auto again = models::loadModel(file);
    QCOMPARE(again.graph->hash(), imported.model.graph->hash());
    const auto x = models::loadTensors(fixture("layer-1.13.npz")).at("input.0");
    QVERIFY(
        graph::Executor(again.graph).forward(again.weights, {x}).equal(graph::Executor(imported.model.graph).forward(imported.model.weights, {x})));
}

void OnnxImportTest::formatIsRecognisedByContent()
{
    const std::filesystem::path file = m_folder.filePath("renamed.bin").toStdString();
    core::writeFileAtomically(file, core::readFile(fixture("mlp-ts.onnx")));
    std::vector<std::string> notes;
    models::OpenOptions options;
    options.note = [&](const std::string& note) { notes.push_back(note); };
    const auto model = models::openModel(file.string(), options);
    QCOMPARE(model.origin, file.string());
    QVERIFY(notes.empty());
    QVERIFY(io::looksLikeOnnx(core::readFile(fixture("gpt.onnx"))));
    QVERIFY(!io::looksLikeOnnx(core::readFile(fixture("gpt.safetensors"))));
    QVERIFY(!io::looksLikeOnnx(core::readFile(fixture("cnn-1.13.npz"))));
    QVERIFY(!io::looksLikeOnnx(""));
}

void OnnxImportTest::faultsAreNamed_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QString>("sentence");
    const auto row = [](const char* name, const io::OnnxModel& model, const char* sentence) {
        const auto bytes = io::onnxBytes(model);
        QTest::newRow(name) << QByteArray(bytes.data(), qsizetype(bytes.size())) << QString(sentence);
    };
    row("cycle", modelOf({node("Add", {"x", "b"}, {"a"}, "first"), node("Relu", {"a"}, {"b"}), node("Neg", {"b"}, {"y"})}),
        "node first (Add): input \"b\" is given by no input, initialiser or earlier node");
    row("missing initialiser", modelOf({node("MatMul", {"x", "weight"}, {"y"}, "product")}), "input \"weight\" is given by no input");
    row("defined twice", modelOf({node("Relu", {"x"}, {"y"}), node("Neg", {"x"}, {"y"}, "second")}), "value \"y\" is defined twice");
    row("no such output", modelOf({node("Relu", {"x"}, {"z"})}), "output \"y\": expected a value that a node, an input or an initialiser gives");
    row("missing input", modelOf({node("Add", {"x"}, {"y"}, "sum")}), "node sum (Add): expected input 1, found none");
    auto opset = modelOf({node("Relu", {"x"}, {"y"})});
    opset.opsets[""] = 99;
    row("unknown operator set", opset, "expected operator set 1 to 23 of ai.onnx, found 99");
    auto negative = modelOf({node("Add", {"x", "w"}, {"y"})});
    io::OnnxTensor weight;
    weight.name = "w";
    weight.shape = {2, -3};
    negative.graph.initialisers.push_back(weight);
    row("negative size", negative, "expected sizes of at least 0");
    weight.shape = {std::int64_t(1) << 40, std::int64_t(1) << 40};
    negative.graph.initialisers[0] = weight;
    row("size beyond all bounds", negative, "is too large");
    weight.shape = {1000, 1000, 1000};
    weight.decoded = "abcd";
    negative.graph.initialisers[0] = weight;
    row("fewer bytes than its shape", negative, "expected 4000000000 bytes for its shape, found 4");
    io::OnnxTensor text;
    text.name = "w";
    text.isText = true;
    text.shape = {1};
    text.strings = {"word"};
    negative.graph.initialisers[0] = text;
    row("text", negative, "expected numbers, found text");
    auto perm = node("Transpose", {"x"}, {"y"}, "turn");
    io::OnnxAttribute order;
    order.name = "perm";
    order.integers = {0, 7, 1};
    perm.attributes.push_back(order);
    auto constant = modelOf({perm});
    constant.graph.initialisers.push_back([] {
        io::OnnxTensor t;
        t.name = "c";
        t.type = io::ElementType::Int64;
        t.shape = {2};
        t.decoded = std::string(16, '\0');
        return t;
    }());
    constant.graph.nodes[0].inputs = {"c"};
    row("impossible while folding", constant, "node turn (Transpose):");
    QByteArray longName("\x08\x08\x3a\x8a\x80\x80\x80\x08\x12\x84\x80\x80\x80\x08", 14);  // a graph whose name claims 2 GiB
    QTest::newRow("a name of 2 GB") << longName << QString("before the end");
    row("a name that is no text", modelOf({node("Relu", {"x"}, {"y"}, "a\xff")}), "the name at byte");
    const auto bytes = io::onnxBytes(modelOf({node(std::string(100000, 'n'), {"x"}, {"y"})}));
    QTest::newRow("a long name") << QByteArray(bytes.data(), qsizetype(bytes.size()))
                                 << QString("expected a name of at most 65536 bytes, found 100000");
}

void OnnxImportTest::faultsAreNamed()
{
    QFETCH(QByteArray, bytes);
    QFETCH(QString, sentence);
    const std::filesystem::path file = m_folder.filePath("fault.onnx").toStdString();
    core::writeFileAtomically(file, std::string_view(bytes.data(), std::size_t(bytes.size())));
    const auto text = QString::fromStdString(messageFor(file));
    QVERIFY2(text.contains(sentence) && text.startsWith(QString::fromStdString(file.string())), qPrintable(text));
}

void OnnxImportTest::cutFilesAreRefused()
{
    const auto whole = core::readFile(fixture("cnn-1.13.onnx"));
    const std::filesystem::path file = m_folder.filePath("cut.onnx").toStdString();
    for (std::size_t size = 0; size + 20 < whole.size(); size += 37) {
        core::writeFileAtomically(file, std::string_view(whole).substr(0, size));
        const auto text = messageFor(file);
        QVERIFY2(text.find("cut.onnx: ") != std::string::npos, text.c_str());
    }
}

void OnnxImportTest::flippedBitsNeverCrash()
{
    const auto whole = core::readFile(fixture("shapes-ts.onnx"));
    const std::filesystem::path file = m_folder.filePath("flipped.onnx").toStdString();
    int opened = 0, refused = 0;
    for (std::size_t at = 0; at < whole.size(); at += 7) {
        auto damaged = whole;
        damaged[at] = char(damaged[at] ^ (1 << (at % 8)));
        core::writeFileAtomically(file, damaged);
        messageFor(file) == "no error" ? ++opened : ++refused;
    }
    QVERIFY(opened > 0 && refused > 0);
}

void OnnxImportTest::externalDataStaysInItsFolder_data()
{
    QTest::addColumn<QString>("location");
    QTest::addColumn<QString>("sentence");
    QTest::newRow("upwards") << QString("../outside.data") << QString("expected external data inside the model's folder, found \"../outside.data\"");
    QTest::newRow("absolute") << QString("/etc/passwd") << QString("expected external data inside the model's folder, found \"/etc/passwd\"");
    QTest::newRow("by a link") << QString("link.data") << QString("expected external data inside the model's folder, found \"link.data\"");
    QTest::newRow("not there") << QString("nowhere.data") << QString("its external data file \"nowhere.data\" is not there");
    QTest::newRow("too short") << QString("short.data") << QString("expected 24 bytes at 0 in \"short.data\"");
}

void OnnxImportTest::externalDataStaysInItsFolder()
{
    QFETCH(QString, location);
    QFETCH(QString, sentence);
    auto model = modelOf({node("Add", {"x", "w"}, {"y"})});
    io::OnnxTensor weight;
    weight.name = "w";
    weight.shape = {2, 3};
    weight.external = io::OnnxTensor::External{location.toStdString(), 0, {}};
    model.graph.initialisers.push_back(weight);
    QDir(m_folder.path()).mkdir("inside");
    core::writeFileAtomically(m_folder.filePath("outside.data").toStdString(), std::string(24, 'x'));
    core::writeFileAtomically(m_folder.filePath("inside/short.data").toStdString(), std::string(5, 'x'));
    QFile::remove(m_folder.filePath("inside/link.data"));
    QFile::link(m_folder.filePath("outside.data"), m_folder.filePath("inside/link.data"));
    const auto text = QString::fromStdString(messageFor(written(model, "inside/model.onnx")));
    QVERIFY2(text.contains(sentence), qPrintable(text));
}

QTEST_APPLESS_MAIN(OnnxImportTest)
#include "onnx_import_test.moc"
