// Our graphs as ONNX: written, opened again, the same outputs, whatever the size of the batch.
#include <ATen/CPUGeneratorImpl.h>

#include <QTemporaryDir>
#include <QtTest>

#include <core/graph/builder.h>
#include <core/graph/inspect.h>
#include <core/models/exporter.h>
#include <core/zoo/zoo.h>

#include "../../message_of.h"
#include "../families/checkpoint_cases.h"
#include "../scripted_models.h"
#include "onnx_testing.h"

using namespace orrery;
using namespace orrery::tests;

namespace {

std::vector<c10::IValue> randomInputs(const graph::Model& model, std::int64_t batch)
{
    std::vector<c10::IValue> inputs;
    std::uint64_t seed = 7;
    for (const auto& example : graph::exampleInputs(model)) {
        const auto tensor = example.toTensor();
        auto shape = tensor.sizes().vec();
        shape.at(0) = batch;
        auto generator = at::make_generator<at::CPUGeneratorImpl>(seed++);
        inputs.emplace_back(tensor.is_floating_point() ? at::randn(shape, generator) : at::randint(1, 20, shape, generator, at::kLong));
    }
    return inputs;
}

graph::Model inFloat(graph::Model model)
{
    model.graph = graph::moved(model.graph, at::kCPU, at::kFloat);
    model.weights = model.weights.to(at::kCPU, at::kFloat);
    return model;
}

std::vector<c10::IValue> storedInputs(const std::filesystem::path& file)
{
    const auto stored = models::loadTensors(file);
    std::vector<c10::IValue> inputs;
    for (int i = 0; const auto* tensor = stored.find(fmt::format("input.{}", i)); ++i)
        inputs.emplace_back(*tensor);
    return inputs;
}

}  // namespace

class OnnxExportTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { m_folder.setAutoRemove(!qEnvironmentVariableIsSet("ORRERY_KEEP_FILES")); }  // for a look by another runtime
    void writtenAndOpenedAgainGivesTheSame_data();
    void writtenAndOpenedAgainGivesTheSame();
    void checkpointsAreTheSameForEveryLength_data();
    void checkpointsAreTheSameForEveryLength();
    void programsOfOthersAreTheSame_data();
    void programsOfOthersAreTheSame();
    void aSizeThatIsCutOffAtALimitStaysComputed();
    void whatOtherRuntimesRefuseIsNotWritten();
    void namesAndModulesStay();
    void theCardStays();
    void tiedWeightsAreWrittenOnce();
    void whatHasNoFormIsNamed();
    void loopsTakeAsManyStepsAsTheyShould_data();
    void loopsTakeAsManyStepsAsTheyShould();
    void loopsOfOnnxAreWrittenAgain_data();
    void loopsOfOnnxAreWrittenAgain();
    void partsOfComputedSizesAreCut();
    void bothBranchesAreWritten();
    void bytesReadAsTheSameModel();

private:
    graph::Model again(const graph::Model& model, std::int64_t opset = 17, std::vector<c10::IValue> example = {})
    {
        const std::filesystem::path file = m_folder.filePath("model.onnx").toStdString();
        models::ExportOptions options;
        options.parameters = {{"opset", opset}};
        options.example = std::move(example);
        models::exportModel(file, model, "onnx", options);
        auto imported = models::importOnnx(file);
        if (!imported.notes.empty())
            throw core::InputError(imported.notes[0]);
        return std::move(imported.model);
    }
    /// Empty if the written model gives what the model gives.
    static std::string differenceOf(const graph::Model& model, const graph::Model& written, const std::vector<c10::IValue>& inputs)
    {
        graph::RunRequest request;
        request.inputs = inputs;
        const auto expected = graph::Executor(model.graph).run(model.weights, request).outputs;
        const auto found = graph::Executor(written.graph).run(written.weights, request).outputs;
        if (found.size() != expected.size())
            return "another number of outputs";
        for (std::size_t i = 0; i < found.size(); ++i)
            if (const auto text = difference(found[i], expected[i], 1e-5, 1e-5); !text.empty())
                return text;
        return "";
    }
    std::string messageFor(const graph::Model& model)
    {
        try {
            again(model);
        } catch (const core::Error& error) {
            return error.what();
        }
        return "no error";
    }
    QTemporaryDir m_folder;
};

void OnnxExportTest::writtenAndOpenedAgainGivesTheSame_data()
{
    QTest::addColumn<QString>("reference");
    QTest::addColumn<int>("opset");
    for (const char* reference : {"zoo:mlp?hidden=16,16", "zoo:lenet", "zoo:resnet?depth=8&width=8",
                                  "zoo:vit?image_size=16&patch_size=8&layers=2&width=32&heads=2&mlp_width=64",
                                  "zoo:gpt?layers=2&width=32&heads=2&vocabulary=40&block_length=16", "zoo:seq2seq"})
        for (const int opset : {17, 20})
            QTest::addRow("%s, %d", reference, opset) << QString(reference) << opset;
}

void OnnxExportTest::writtenAndOpenedAgainGivesTheSame()
{
    QFETCH(QString, reference);
    QFETCH(int, opset);
    const auto model = zoo::openZoo(reference.toStdString(), 3);
    const auto opened = again(model, opset);
    for (const std::int64_t batch : {1, 3}) {
        const auto text = differenceOf(model, opened, randomInputs(model, batch));
        QVERIFY2(text.empty(), text.c_str());
    }
}

void OnnxExportTest::checkpointsAreTheSameForEveryLength_data()
{
    QTest::addColumn<QString>("name");
    for (const auto& entry : std::filesystem::directory_iterator(checkpointRoot()))
        if (entry.is_directory())
            QTest::newRow(entry.path().filename().c_str()) << QString::fromStdString(entry.path().filename().string());
}

void OnnxExportTest::checkpointsAreTheSameForEveryLength()
{
    QFETCH(QString, name);
    const auto made = openCase(checkpointRoot() / name.toStdString());
    const auto written = again(made.model);
    for (const std::int64_t shorter : {0, 1, 3}) {
        std::vector<c10::IValue> inputs;
        for (const auto& input : made.model.graph->data().inputs) {
            const auto& tensor = made.expected.at(input.name);
            const auto rows = tensor.dim() == 2 || tensor.dim() == 3 ? tensor.slice(0, 0, 1 + shorter % 2) : tensor;
            inputs.emplace_back(tensor.dim() == 2 ? rows.slice(1, 0, tensor.size(1) - shorter) : rows);
        }
        if (made.model.graph->data().inputs.size() > 1 && shorter > 0 && inputs[1].toTensor().dim() == 4)
            inputs[1] = inputs[1].toTensor().slice(0, 0, 1 + shorter % 2);
        const auto text = differenceOf(made.model, written, inputs);
        QVERIFY2(text.empty(), text.c_str());
    }
}

void OnnxExportTest::programsOfOthersAreTheSame_data()
{
    QTest::addColumn<QString>("file");
    const std::filesystem::path data(ORRERY_TEST_DATA);
    for (const char* folder : {"pt2", "torchscript2", "onnx"})
        for (const auto& entry : std::filesystem::directory_iterator(data / folder)) {
            const auto& path = entry.path();
            if (path.extension() != ".safetensors" && std::filesystem::exists(std::filesystem::path(path).replace_extension(".safetensors")))
                QTest::newRow(fmt::format("{}/{}", folder, path.filename().string()).c_str()) << QString::fromStdString(path.string());
        }
}

void OnnxExportTest::programsOfOthersAreTheSame()
{
    QFETCH(QString, file);
    const std::filesystem::path path(file.toStdString());
    const auto inputs = storedInputs(std::filesystem::path(path).replace_extension(".safetensors"));
    const auto model = models::openModel(path.string());
    const std::int64_t opset = path.filename() == "traps.onnx" ? 19 : 17;  // dilated means came with it
    const auto written = again(model, opset, inputs);
    const bool isHalf = path.filename() == "mlp-half.onnx";  // this libtorch has no product of halves: both are compared in float32
    const auto text =
        isHalf ? differenceOf(inFloat(model), inFloat(written), {inputs.at(0).toTensor().to(at::kFloat)}) : differenceOf(model, written, inputs);
    QVERIFY2(text.empty(), text.c_str());
    if (isHalf)
        QCOMPARE(written.card.inputs.at(0).dtype, std::string("float16"));
}

void OnnxExportTest::aSizeThatIsCutOffAtALimitStaysComputed()
{
    graph::Builder builder("cut");
    const auto x = builder.input("x", "float32", {"batch", "position"});
    const auto first = builder.op("aten::slice.Tensor", {x, 1, 0, 4, 1}, "first");
    const auto size = builder.op("aten::size.int", {first, 1}, "size");
    const auto model = builder.finish({{"y", builder.op("aten::mul.Scalar", {x, size}, "scaled")}});
    const auto written = again(model);
    for (const std::int64_t length : {2, 3, 4, 9}) {
        const auto text = differenceOf(model, written, {at::ones({2, length})});
        QVERIFY2(text.empty(), text.c_str());
    }
}

/// Squeeze takes no axis of another size than one, AveragePool no dilations before operator set 19; an input has the type that an example has.
void OnnxExportTest::whatOtherRuntimesRefuseIsNotWritten()
{
    graph::Builder builder("squeezed");
    const auto x = builder.input("x", "float32", {"batch", "4", "1", "6"});
    const auto long4 = builder.op("aten::squeeze.dim", {x, 1}, "stays"), one = builder.op("aten::squeeze.dim", {long4, 2}, "goes");
    const std::vector<std::int64_t> two = {2}, unit = {1}, none = {0, 0};
    const auto pooled = builder.op("orrery::onnx_average_pool", {one, two, two, unit, none, false, "NOTSET", false}, "pooled");
    const auto model = builder.finish({{"y", builder.op("aten::logical_not", {pooled}, "inverted")}});
    const std::filesystem::path file = m_folder.filePath("squeezed.onnx").toStdString();
    models::ExportOptions options;
    options.parameters = {{"opset", 17}};
    options.example = {at::ones({2, 4, 1, 6}, at::kDouble)};
    models::exportModel(file, model, "onnx", options);
    const auto bytes = core::readFile(file);
    const auto written = io::parseOnnx(bytes, "model").graph;
    const auto count = [&](const std::string& op) {
        return std::count_if(written.nodes.begin(), written.nodes.end(), [&](const auto& node) { return node.op == op; });
    };
    QCOMPARE(count("Squeeze"), 1);
    QCOMPARE(count("AveragePool"), 1);
    for (const auto& node : written.nodes)
        for (const auto& attribute : node.attributes)
            QVERIFY2(attribute.name != "dilations", node.name.c_str());
    QCOMPARE(written.inputs.at(0).elementType, 11);  // double
}

void OnnxExportTest::namesAndModulesStay()
{
    const auto model = zoo::openZoo("zoo:vit?image_size=16&patch_size=8&layers=2&width=32&heads=2&mlp_width=64", 3);
    const auto opened = again(model);
    for (const auto& parameter : model.graph->data().parameters)
        QVERIFY2(opened.graph->findParameter(parameter.name), parameter.name.c_str());
    for (const char* name : {"blocks.0.attn.softmax", "blocks.1.resid_post", "blocks.0.mlp.gelu"})
        QVERIFY2(opened.graph->findValue(name), name);
    QCOMPARE(opened.graph->producer(*opened.graph->findValue("blocks.0.attn.softmax"))->module, std::string("blocks.0.attn"));
    QCOMPARE(opened.graph->data().outputNames, model.graph->data().outputNames);
}

void OnnxExportTest::theCardStays()
{
    auto model = zoo::openZoo("zoo:mlp?hidden=8", 3);
    model.card.classNames = {"cat", "dog"};
    const auto opened = again(model);
    QCOMPARE(opened.card.classNames, model.card.classNames);
    QCOMPARE(opened.card.inputs.at(0).shape, model.card.inputs.at(0).shape);
}

void OnnxExportTest::tiedWeightsAreWrittenOnce()
{
    const auto model = zoo::openZoo("zoo:gpt?layers=1&width=32&heads=2&vocabulary=40&block_length=16", 3);
    const auto opened = again(model);
    QCOMPARE(opened.graph->data().parameters.size() >= model.graph->data().parameters.size(), true);
    QCOMPARE(graph::parameterCount(*opened.graph), graph::parameterCount(*model.graph));
}

void OnnxExportTest::whatHasNoFormIsNamed()
{
    graph::Builder builder("strange");
    const auto x = builder.input("x", "float32", {"batch", "4"});
    const auto y = builder.op("aten::igamma", {x, x}, "gamma");
    const auto text = QString::fromStdString(messageFor(builder.finish({{"y", y}})));
    QVERIFY2(text.contains("node gamma") && text.contains("aten::igamma") && text.contains("ONNX"), qPrintable(text));
}

namespace {

graph::Model programOf(const std::string& source, const std::filesystem::path& file)
{
    torch::jit::Module module("Program");
    module.define(source);
    module.save(file.string());
    return models::importTorchScript(file.string()).model;
}

/// Numbers of a program are vectors of one in ONNX.
c10::IValue asWritten(const c10::IValue& value)
{
    if (value.isInt())
        return at::full({1}, value.toInt(), at::kLong);
    if (value.isBool())
        return at::full({1}, value.toBool(), at::kBool);
    return value.isDouble() ? c10::IValue(at::full({1}, value.toDouble(), at::kDouble)) : value;
}

const std::map<QString, std::string>& loops()
{
    static const std::map<QString, std::string> kLoops = {
        {"lists that are read inside", R"(def forward(self, x, n: int):
    rows = [x]
    for i in range(n):
        rows.append(rows[-1] * 2 + rows[0] * len(rows))
    return torch.cat(rows), rows[-1], len(rows), torch.stack(rows, 1)
)"},
        {"lists of tensors of several sizes", R"(def forward(self, x, n: int):
    parts = []
    for i in range(n):
        parts.append(x[:, : i + 1] * (i + 1))
    return torch.cat(parts, 1), parts[0], len(parts)
)"},
        {"lists that two loops make longer", R"(def forward(self, x, n: int):
    rows = [x]
    for i in range(n):
        rows.append(x * i)
    for i in range(n):
        rows.append(x - i)
    return torch.cat(rows), torch.stack(rows)
)"},
        {"lists that grow by two", R"(def forward(self, x, n: int):
    rows = [x]
    for i in range(n):
        rows += [x * i, x + i]
    return torch.cat(rows), len(rows)
)"},
        {"lists that grow", R"(def forward(self, x, n: int):
    rows = [x]
    only = []
    total = x * 0
    for i in range(n):
        total = total + x * (i + 1)
        rows.append(total)
        only.append(total.sum(1))
    return torch.cat(rows, 1), torch.cat(rows, 0), torch.stack(rows, -1), rows[-1], len(rows), torch.stack(only, 1), torch.cat(only)
)"},
        {"a condition", R"(def forward(self, x, n: int):
    steps = 0
    while bool(x.abs().sum() < 100) and steps < n:
        x = x * 2 + 1
        steps += 1
    return x, steps
)"},
        {"numbers", R"(def forward(self, x, n: int):
    f = 1.0
    odd = False
    for i in range(n):
        f = f * 0.5 + i
        odd = not odd
    if odd:
        x = -x
    return x * f, f
)"},
        {"a loop in a loop", R"(def forward(self, x, n: int):
    for i in range(n):
        for j in range(i):
            x = x + x[i % x.size(0)] * j
    return x
)"},
        {"a branch in a loop", R"(def forward(self, x, n: int):
    for i in range(n):
        if bool(x.sum() > 0):
            x = x - 1
        else:
            x = x * 2 + 3
    return x
)"},
        {"cells", R"(def forward(self, x, n: int):
    w = torch.linspace(-1.0, 1.0, 36).reshape(12, 3)
    b = torch.linspace(0.5, -0.5, 12)
    h = x
    c = x * 2
    g = x
    r = x
    for i in range(n):
        h, c = torch.lstm_cell(x + i, (h, c), w, w * 0.5, b, b * 2)
        g = torch.gru_cell(x + i, g, w[:9], w[3:], b[:9], b[3:])
        r = torch.rnn_tanh_cell(x + i, r, w[:3], w[6:9]) + torch.rnn_relu_cell(x, r, w[:3], w[6:9], b[:3], b[3:6])
    return h, c, g, r
)"},
        {"tuples", R"(def forward(self, x, n: int):
    state = (x, x * 2)
    counted = (0, (x, 1.5))
    for i in range(n):
        h, c = state
        if bool(h.sum() > 20):
            state = (h - c, c)
        else:
            state = (h + c * i, h)
        counted = (counted[0] + i, (counted[1][0] - h, counted[1][1] * 0.5))
    return state[0], state[1], counted[0], counted[1][0], counted[1][1]
)"},
        {"recurrent layers of computed weights", R"(def forward(self, x, n: int):
    w = torch.linspace(-1.0, 1.0, 108).reshape(12, 9) * x.sum()
    b = torch.linspace(0.5, -0.5, 12) + x[0, 0]
    g = [w[:9, :3], w[:9, 3:6], b[:9], b[3:], w[3:, :3], w[3:, 3:6], b[:9], b[3:], w[:9, :6], w[:9, 6:], b[:9], b[3:], w[3:, 3:], w[3:, 3:6], b[3:], b[:9]]
    h = torch.stack([x, x * 2, x * 3, x * 4])
    inputs = torch.stack([x, x + 1, x * 2])
    grus, last = torch.gru(inputs, h * n, g, True, 2, 0.0, False, True, False)
    lstms, h_n, c_n = torch.lstm(inputs, [h[:1], h[1:2]], [w[:, :3], w[:, 3:6], b, b * 2], True, 1, 0.0, False, False, False)
    for i in range(n):
        lstms = lstms + i
    return grus, last, lstms, h_n, c_n
)"},
        {"early ends", R"(def forward(self, x, n: int):
    for i in range(n):
        if i == 2:
            continue
        if bool(x.sum() > 50):
            break
        x = x * 2 + i
    return x
)"},
        {"a size that grows", R"(def forward(self, x, n: int):
    while x.size(0) < n:
        x = torch.cat([x, x[:1] + 1])
    return x
)"},
    };
    return kLoops;
}

}  // namespace

void OnnxExportTest::loopsTakeAsManyStepsAsTheyShould_data()
{
    QTest::addColumn<QString>("name");
    QTest::newRow("a recurrent network") << "";
    for (const auto& [name, source] : loops())
        QTest::newRow(qPrintable(name)) << name;
}

// Written from an example of three steps, run with others.
void OnnxExportTest::loopsTakeAsManyStepsAsTheyShould()
{
    QFETCH(QString, name);
    const bool isRecurrent = name.isEmpty();
    const auto model =
        isRecurrent ? models::importTorchScript(fixture("rnn_loop")).model : programOf(loops().at(name), m_folder.filePath("loop.pt").toStdString());
    const auto x = isRecurrent ? numbers({6, 2, 3}, 3) : numbers({2, 3}, 3);
    const auto written = again(model, 17, {x, std::int64_t(3)});
    const auto nodes = written.graph->allNodes();
    QVERIFY(std::any_of(nodes.begin(), nodes.end(), [](const auto* node) { return node->op == "prim::Loop"; }));
    for (const std::int64_t steps : {1, 2, 3, 4, 6}) {
        graph::RunRequest own, other;
        own.inputs = {x, steps};
        other.inputs = {x, asWritten(steps)};
        const auto expected = graph::Executor(model.graph).run(model.weights, own).outputs;
        const auto found = graph::Executor(written.graph).run(written.weights, other).outputs;
        QCOMPARE(found.size(), expected.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
            const auto text = difference(asWritten(found[i]), asWritten(expected[i]), 1e-5, 1e-5);
            QVERIFY2(text.empty(), fmt::format("{} steps, output {}: {}", steps, i, text).c_str());
        }
    }
}

void OnnxExportTest::loopsOfOnnxAreWrittenAgain_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name :
         {"test_loop11", "test_scan9_sum", "test_range_float_type_positive_delta_expanded", "test_range_int32_type_negative_delta_expanded"})
        QTest::newRow(name) << name;
}

void OnnxExportTest::loopsOfOnnxAreWrittenAgain()
{
    QFETCH(QString, name);
    const auto folder = std::filesystem::path("/usr/share/libonnx-testdata/data/node") / name.toStdString();
    if (!std::filesystem::exists(folder))
        QSKIP("libonnx-testdata is not installed");
    const auto bytes = core::readFile(folder / "model.onnx");
    const auto declared = io::parseOnnx(bytes, "model").graph;
    std::vector<c10::IValue> inputs;
    for (std::size_t i = 0; i < declared.inputs.size(); ++i)
        inputs.push_back(readCaseValue(folder / "test_data_set_0" / fmt::format("input_{}.pb", i), declared.inputs[i]));
    const auto written = again(models::importOnnx(folder / "model.onnx").model, 17, inputs);
    graph::RunRequest request;
    request.inputs = inputs;
    const auto found = graph::Executor(written.graph).run(written.weights, request).outputs;
    for (std::size_t i = 0; i < declared.outputs.size(); ++i) {
        const auto text = difference(found.at(i), readCaseValue(folder / "test_data_set_0" / fmt::format("output_{}.pb", i), declared.outputs[i]));
        QVERIFY2(text.empty(), text.c_str());
    }
}

void OnnxExportTest::partsOfComputedSizesAreCut()
{
    const auto model = programOf(R"(def forward(self, x):
    a, b = torch.split(x, x.size(0) // 2)
    c, d = torch.split(x, [x.size(1) - 1, 1], 1)
    return a * 2, b, c, d
)",
                                 m_folder.filePath("split.pt").toStdString());
    const auto written = again(model, 17, {at::ones({4, 3})});
    for (const std::int64_t size : {2, 4, 8}) {
        const auto text = differenceOf(model, written, {numbers({size, size + 1}, 5)});
        QVERIFY2(text.empty(), text.c_str());
    }
}

// The branch that the example does not take is written, too.
void OnnxExportTest::bothBranchesAreWritten()
{
    const auto path = std::filesystem::path(ORRERY_TEST_DATA) / "onnx" / "branch";
    const auto inputs = storedInputs(std::filesystem::path(path).replace_extension(".safetensors"));
    const auto model = models::openModel(path.string() + ".onnx");
    const auto written = again(model, 17, inputs);
    for (const double sign : {1.0, -1.0}) {
        const auto text = differenceOf(model, written, {inputs.at(0).toTensor() * sign});
        QVERIFY2(text.empty(), text.c_str());
    }
    graph::RunRequest plus, minus;
    plus.inputs = {inputs.at(0).toTensor().abs()};
    minus.inputs = {-inputs.at(0).toTensor().abs()};
    const graph::Executor executor(written.graph);
    QVERIFY(!at::allclose(executor.run(written.weights, plus).tensor(), executor.run(written.weights, minus).tensor()));
}

void OnnxExportTest::bytesReadAsTheSameModel()
{
    for (const char* name : {"branch.onnx", "shapes-ts.onnx", "cnn-qoperator.onnx", "layer.onnx"}) {
        const auto bytes = core::readFile(std::filesystem::path(ORRERY_TEST_DATA) / "onnx" / name);
        const auto once = io::onnxBytes(io::parseOnnx(bytes, "first"));
        QVERIFY(once.size() > 100);
        QVERIFY2(io::onnxBytes(io::parseOnnx(once, "second")) == once, name);
    }
}

QTEST_APPLESS_MAIN(OnnxExportTest)
#include "onnx_export_test.moc"
