// Our graphs as ONNX: written, opened again, the same outputs, whatever the size of the batch.
#include <ATen/CPUGeneratorImpl.h>

#include <QTemporaryDir>
#include <QtTest>

#include <core/graph/builder.h>
#include <core/graph/inspect.h>
#include <core/models/exporter.h>
#include <core/zoo/zoo.h>

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

}  // namespace

class OnnxExportTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void writtenAndOpenedAgainGivesTheSame_data();
    void writtenAndOpenedAgainGivesTheSame();
    void namesAndModulesStay();
    void theCardStays();
    void tiedWeightsAreWrittenOnce();
    void whatHasNoFormIsNamed();
    void controlFlowIsNamed();
    void bytesReadAsTheSameModel();

private:
    graph::Model again(const graph::Model& model, std::int64_t opset = 17)
    {
        const std::filesystem::path file = m_folder.filePath("model.onnx").toStdString();
        models::ExportOptions options;
        options.parameters = {{"opset", opset}};
        models::exportModel(file, model, "onnx", options);
        auto imported = models::importOnnx(file);
        if (!imported.notes.empty())
            throw core::InputError(imported.notes[0]);
        return std::move(imported.model);
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
    const graph::Executor ours(model.graph), theirs(opened.graph);
    for (const std::int64_t batch : {1, 3}) {
        const auto inputs = randomInputs(model.card, batch);
        graph::RunRequest request;
        request.inputs = inputs;
        const auto expected = ours.run(model.weights, request).outputs, found = theirs.run(opened.weights, request).outputs;
        QCOMPARE(found.size(), expected.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
            const auto text = difference(found[i], expected[i], 1e-5, 1e-6);
            QVERIFY2(text.empty(), text.c_str());
        }
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

void OnnxExportTest::controlFlowIsNamed()
{
    const auto imported = models::importOnnx(std::filesystem::path(ORRERY_TEST_DATA) / "onnx" / "branch.onnx");
    const auto text = QString::fromStdString(messageFor(imported.model));
    QVERIFY2(text.contains("prim::If") || text.contains("cannot be written as ONNX"), qPrintable(text));
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
