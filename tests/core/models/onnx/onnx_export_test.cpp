// Our graphs as ONNX: written, opened again, the same outputs, whatever the size of the batch.
#include <ATen/CPUGeneratorImpl.h>

#include <QTemporaryDir>
#include <QtTest>

#include <core/graph/builder.h>
#include <core/graph/inspect.h>
#include <core/models/exporter.h>
#include <core/zoo/zoo.h>

#include "../families/checkpoint_cases.h"
#include "onnx_testing.h"

using namespace orrery;
using namespace orrery::tests;

namespace {

std::vector<c10::IValue> randomInputs(const graph::ModelCard& card, std::int64_t batch)
{
    std::vector<c10::IValue> inputs;
    std::uint64_t seed = 7;
    for (const auto& example : graph::exampleInputs(card)) {
        const auto tensor = example.toTensor();
        auto shape = tensor.sizes().vec();
        shape.at(0) = batch;
        auto generator = at::make_generator<at::CPUGeneratorImpl>(seed++);
        inputs.emplace_back(tensor.is_floating_point() ? at::randn(shape, generator) : at::randint(1, 20, shape, generator, at::kLong));
    }
    return inputs;
}

/// What cannot be written, each with what its message names.
const std::map<QString, QString>& unwritable()
{
    static const std::map<QString, QString> kReasons = {
        {"mlp-half.onnx", "the number of dimensions is not known"},  // this processor has no product of halves, so the example does not run
        {"shapes-scripted.pt", "argument 1 is computed while it runs"},
        {"shapes-traced.pt", "argument 1 is computed while it runs"},
    };
    return kReasons;
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
    void writtenAndOpenedAgainGivesTheSame_data();
    void writtenAndOpenedAgainGivesTheSame();
    void checkpointsAreTheSameForEveryLength_data();
    void checkpointsAreTheSameForEveryLength();
    void programsOfOthersAreTheSame_data();
    void programsOfOthersAreTheSame();
    void aSizeThatIsCutOffAtALimitStaysComputed();
    void namesAndModulesStay();
    void theCardStays();
    void tiedWeightsAreWrittenOnce();
    void whatHasNoFormIsNamed();
    void loopsAreNamed();
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
        const auto text = differenceOf(model, opened, randomInputs(model.card, batch));
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
            inputs.emplace_back(tensor.dim() == 2 ? tensor.slice(1, 0, tensor.size(1) - shorter).slice(0, 0, 1 + shorter % 2) : tensor);
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
    const auto reason = unwritable().find(QString::fromStdString(path.filename().string()));
    graph::Model written;
    try {
        written = again(model, 17, inputs);
    } catch (const core::InputError& error) {
        QVERIFY2(reason != unwritable().end() && QString(error.what()).contains(reason->second), error.what());
        return;
    }
    QVERIFY2(reason == unwritable().end(), "is written after all");
    const auto text = differenceOf(model, written, inputs);
    QVERIFY2(text.empty(), text.c_str());
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

void OnnxExportTest::loopsAreNamed()
{
    const auto opened = models::openModel((std::filesystem::path(ORRERY_TEST_DATA) / "torchscript" / "own_class.pt").string());
    const auto text = QString::fromStdString(messageFor(opened));
    QVERIFY2(text.contains("node loop: prim::Loop cannot be written as ONNX: loops are not written"), qPrintable(text));
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
