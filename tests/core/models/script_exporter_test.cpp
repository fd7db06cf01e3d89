#include "scripted_models.h"

#include <core/base/files.h>
#include <core/base/process.h>
#include <core/graph/inspect.h>
#include <core/models/exporter.h>
#include <core/models/model_file.h>
#include <core/models/pt2/exported_program.h>
#include <core/zoo/zoo.h>

using namespace orrery;
using namespace orrery::tests;

namespace {

std::vector<at::Tensor> ownOutputs(const graph::Model& model, const std::vector<c10::IValue>& inputs, bool training = false,
                                   std::map<std::string, at::Tensor>* updates = nullptr)
{
    graph::RunRequest request;
    for (const auto& input : inputs)
        request.inputs.push_back(input.isTensor() ? c10::IValue(input.toTensor().clone()) : input);
    request.training = training;
    const auto result = graph::Executor(model.graph).run(model.weights.clone(), request);
    if (updates)
        *updates = result.bufferUpdates;
    return collected(result.outputs);
}

std::string compared(const std::vector<at::Tensor>& ours, const std::vector<at::Tensor>& theirs)
{
    if (ours.size() != theirs.size())
        return fmt::format("{} outputs, expected {}", theirs.size(), ours.size());
    for (std::size_t i = 0; i < ours.size(); ++i)
        if (!identical(ours[i], theirs[i]))
            return fmt::format("output {} differs", i);
    return {};
}

bool pythonHasTorch()
{
    const auto result = core::runProcess({"/usr/bin/python3", "-c", "import torch"}, std::chrono::seconds(60));
    return result && result->exitStatus == 0;
}

}  // namespace

class ScriptExporterTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;
    std::string path(const std::string& name) const { return m_folder.path().toStdString() + "/" + name; }

private Q_SLOTS:
    void initTestCase() { torch::jit::setGraphExecutorOptimize(false); }
    void builtInModelsAreEqualToTheLastBit_data();
    void builtInModelsAreEqualToTheLastBit();
    void whatWasImportedGoesOutAgain_data();
    void whatWasImportedGoesOutAgain();
    void exportedProgramsBecomeTorchScript_data();
    void exportedProgramsBecomeTorchScript();
    void runningStatisticsAreKeptByATrainingStep();
    void namesAndModulesStay();
    void tiedWeightsStayTied();
    void ownOperatorsAreRefusedByName();
    void pythonReadsIt();
};

void ScriptExporterTest::builtInModelsAreEqualToTheLastBit_data()
{
    QTest::addColumn<QString>("reference");
    QTest::addColumn<bool>("training");
    for (const char* reference : {"zoo:mlp?features=6&hidden=[8,5]&classes=3", "zoo:lenet?image_size=8&kernel=3&padding=1", "zoo:resnet?depth=8",
                                  "zoo:vit", "zoo:gpt", "zoo:seq2seq"})
        QTest::addRow("%s", reference) << reference << false;
    QTest::addRow("resnet in training") << "zoo:resnet?depth=8" << true;
}

void ScriptExporterTest::builtInModelsAreEqualToTheLastBit()
{
    QFETCH(QString, reference);
    QFETCH(bool, training);
    const auto model = zoo::openZoo(reference.toStdString(), 3);
    const auto file = path("zoo.pt");
    models::exportModel(file, model, "torchscript");
    auto inputs = graph::exampleInputs(model);
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i].toTensor().is_floating_point())
            inputs[i] = numbers(inputs[i].toTensor().sizes().vec(), 5 + i);
        else if (inputs[i].toTensor().scalar_type() == at::kLong)
            inputs[i] = at::ones_like(inputs[i].toTensor());  // no padding: a row of nothing else has no mean
    auto module = torch::jit::load(file);
    module.train(training);
    std::map<std::string, at::Tensor> updates;
    const auto ours = ownOutputs(model, inputs, training, &updates);
    QVERIFY(!ours.empty());
    const auto fault = compared(ours, collected({module.forward(inputs)}));
    QVERIFY2(fault.empty(), fault.c_str());
    for (const auto& buffer : module.named_buffers())
        if (const auto found = updates.find(buffer.name); training && found != updates.end())
            QVERIFY2(identical(found->second, buffer.value), buffer.name.c_str());
    const auto again = models::importTorchScript(file);
    const auto second = compared(ours, ownOutputs(again.model, inputs, training));
    QVERIFY2(second.empty(), second.c_str());
}

void ScriptExporterTest::whatWasImportedGoesOutAgain_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"mlp_scripted", "cnn_scripted", "cnn_traced", "rnn_loop", "branch", "containers", "tuple_out", "in_place", "twice",
                             "tied", "buffers", "lstm", "lstm_traced", "gpt", "gpt_traced", "dict_state", "views", "own_class", "early"})
        QTest::addRow("%s", name) << name;
}

void ScriptExporterTest::whatWasImportedGoesOutAgain()
{
    QFETCH(QString, name);
    const auto key = name.toStdString();
    const auto imported = models::importTorchScript(fixture(key));
    const auto file = path(key + ".pt");
    models::exportModel(file, imported.model, "torchscript");
    auto module = torch::jit::load(file);
    module.eval();
    const auto ours = ownOutputs(imported.model, inputsOf(key));
    const auto fault = compared(ours, collected({module.forward(ownInputs(key))}));
    QVERIFY2(fault.empty(), (fault + "\n" + imported.model.graph->print()).c_str());
    const auto again = compared(ours, ownOutputs(models::importTorchScript(file).model, inputsOf(key)));
    QVERIFY2(again.empty(), again.c_str());
}

void ScriptExporterTest::exportedProgramsBecomeTorchScript_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"branch", "cnn-core", "gpt", "masked", "recurrent", "shapes"})
        QTest::addRow("%s", name) << name;
}

void ScriptExporterTest::exportedProgramsBecomeTorchScript()
{
    QFETCH(QString, name);
    const auto base = std::string(ORRERY_TEST_DATA "/pt2/") + name.toStdString();
    const auto imported = models::importExportedProgram(base + ".pt2");
    const auto expected = models::loadTensors(base + ".safetensors");
    std::vector<c10::IValue> inputs;
    for (int i = 0; const auto* tensor = expected.find(fmt::format("input.{}", i)); ++i)
        inputs.emplace_back(tensor->clone());
    const auto file = path("program.pt");
    models::exportModel(file, imported.model, "torchscript");
    auto module = torch::jit::load(file);
    module.eval();
    const auto fault = compared(ownOutputs(imported.model, inputs), collected({module.forward(inputs)}));
    QVERIFY2(fault.empty(), fault.c_str());
}

void ScriptExporterTest::runningStatisticsAreKeptByATrainingStep()
{
    const auto imported = models::importTorchScript(fixture("buffers"));
    models::exportModel(path("buffers.pt"), imported.model, "torchscript");
    auto original = torch::jit::load(fixture("buffers")), written = torch::jit::load(path("buffers.pt"));
    for (auto* module : {&original, &written}) {
        module->train(true);
        module->forward(ownInputs("buffers"));
        module->eval();
        module->forward(ownInputs("buffers"));
    }
    QVERIFY(identical(original.attr("mean").toTensor(), written.attr("mean").toTensor()));
    QCOMPARE(written.attr("count").toTensor().item<std::int64_t>(), std::int64_t(1));
}

void ScriptExporterTest::namesAndModulesStay()
{
    const auto imported = models::importTorchScript(fixture("gpt"));
    models::exportModel(path("names.pt"), imported.model, "torchscript");
    const auto again = models::importTorchScript(path("names.pt"));
    QCOMPARE(again.model.graph->data().name, std::string("Gpt"));
    for (const auto& parameter : imported.model.graph->data().parameters)
        if (parameter.kind != graph::Parameter::Kind::Constant) {
            const auto* same = again.model.graph->findParameter(parameter.name);
            QVERIFY2(same && same->kind == parameter.kind && same->shape == parameter.shape, parameter.name.c_str());
            QVERIFY(identical(again.model.weights.at(same->name), imported.model.weights.at(parameter.name)));
        }
    QVERIFY(std::any_of(again.model.graph->data().modules.begin(), again.model.graph->data().modules.end(),
                        [](const graph::Module& module) { return module.path == "blocks.0.attn" && module.type == "Attention"; }));
}

void ScriptExporterTest::tiedWeightsStayTied()
{
    const auto imported = models::importTorchScript(fixture("tied"));
    models::exportModel(path("tied.pt"), imported.model, "torchscript");
    const auto again = models::importTorchScript(path("tied.pt"));
    QCOMPARE(again.model.graph->data().aliases, imported.model.graph->data().aliases);
    QCOMPARE(graph::parameterCount(*again.model.graph), graph::parameterCount(*imported.model.graph));
}

void ScriptExporterTest::ownOperatorsAreRefusedByName()
{
    const auto model = zoo::openZoo("zoo:hash_field", 0);
    try {
        models::exportModel(path("field.pt"), model, "torchscript");
        QFAIL("no error");
    } catch (const core::InputError& error) {
        QVERIFY2(std::string(error.what()).find("is no operator that PyTorch has") != std::string::npos, error.what());
    }
    QVERIFY(!QFile::exists(QString::fromStdString(path("field.pt"))));
}

void ScriptExporterTest::pythonReadsIt()
{
    if (!pythonHasTorch())
        QSKIP("/usr/bin/python3 has no torch");
    const auto model = zoo::openZoo("zoo:gpt", 1);
    models::exportModel(path("gpt.pt"), model, "torchscript");
    auto inputs = graph::exampleInputs(model);
    inputs[0] = tokens(inputs[0].toTensor().sizes().vec(), 60, 3);
    const auto ours = ownOutputs(model, inputs).at(0);
    const auto script = fmt::format("import torch; m = torch.jit.load('{}').eval(); y = m(torch.tensor({})); print(y.double().sum().item(), "
                                    "list(y.shape), len(list(m.named_parameters())))",
                                    path("gpt.pt"), [&] {
                                        std::string rows = "[";
                                        const auto ids = inputs[0].toTensor();
                                        for (std::int64_t i = 0; i < ids.size(0); ++i) {
                                            rows += "[";
                                            for (std::int64_t j = 0; j < ids.size(1); ++j)
                                                rows += std::to_string(ids[i][j].item<std::int64_t>()) + ",";
                                            rows += "],";
                                        }
                                        return rows + "]";
                                    }());
    const auto result = core::runProcess({"/usr/bin/python3", "-c", script}, std::chrono::seconds(120));
    QVERIFY(result && result->exitStatus == 0);
    const double sum = std::stod(result->output);
    const double expected = ours.to(at::kDouble).sum().item<double>();
    QVERIFY2(std::abs(sum - expected) < 1e-3 * std::max(1.0, std::abs(expected)), result->output.c_str());
}

QTEST_APPLESS_MAIN(ScriptExporterTest)
#include "script_exporter_test.moc"
