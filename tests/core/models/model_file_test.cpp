#include "scripted_models.h"

#include <fstream>

#include <QTemporaryDir>

#include <core/base/files.h>
#include <core/graph/builder.h>
#include <core/io/npy.h>
#include <core/io/safetensors.h>
#include <core/io/tensors.h>
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

using namespace orrery;
using namespace orrery::tests;

namespace {

graph::Model smallModel()
{
    graph::Builder builder("small");
    const auto x = builder.input("x", "float32", {"batch", "3"}, "table");
    const auto logits = builder.linear("fc2", builder.relu(builder.linear("fc1", x, 3, 5)), 5, 2);
    auto model = builder.finish({{"logits", logits}});
    model.card.title = "small";
    model.card.classNames = {"no", "yes"};
    model.weights = graph::initialize(*model.graph, 7);
    return model;
}

at::Tensor answer(const graph::Model& model, const std::vector<c10::IValue>& inputs)
{
    graph::RunRequest request;
    request.inputs = inputs;
    return collected(graph::Executor(model.graph).run(model.weights, request).outputs).at(0);
}

/// The file that is mapped at an address, if any: `/proc/self/maps`.
std::string mappedFileAt(const void* address)
{
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0, end = 0;
        if (std::sscanf(line.c_str(), "%zx-%zx", &begin, &end) == 2 && begin <= std::uintptr_t(address) && std::uintptr_t(address) < end)
            return line.find('/') == std::string::npos ? "" : line.substr(line.find('/'));
    }
    return {};
}

template <class Error>
std::string messageOf(const std::function<void()>& call)
{
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

std::vector<io::SafetensorsItem> itemsOf(const graph::Weights& weights)
{
    std::vector<io::SafetensorsItem> items;
    for (const auto& [name, tensor] : weights.tensors())
        items.push_back({name,
                         io::toElementType(tensor.scalar_type()),
                         tensor.sizes().vec(),
                         {static_cast<const char*>(tensor.data_ptr()), std::size_t(tensor.nbytes())}});
    return items;
}

}  // namespace

class ModelFileTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() { QVERIFY(m_folder.isValid()); }
    void savedModelsAreTheSame_data();
    void savedModelsAreTheSame();
    void sameModelSameBytes();
    void weightsAreMappedPrivately();
    void tiedWeightsAreStoredOnce();
    void oldVersionsAreMigrated();
    void brokenFilesAreRefused_data();
    void brokenFilesAreRefused();
    void damagedFilesNeverCrash();
    void weightsAloneFitByName();
    void sharedPrefixesAreTakenOff();
    void wrongShapesAreNamed();
    void readsNpz();

private:
    std::string path(const std::string& name) const { return m_folder.filePath(QString::fromStdString(name)).toStdString(); }
    QTemporaryDir m_folder;
};

void ModelFileTest::savedModelsAreTheSame_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name :
         {"mlp_scripted", "cnn_traced", "rnn_loop", "branch", "containers", "in_place", "tied", "buffers", "lstm", "gpt", "dict_state"})
        QTest::addRow("%s", name) << name;
}

void ModelFileTest::savedModelsAreTheSame()
{
    QFETCH(QString, name);
    const auto key = name.toStdString();
    const auto original = models::importTorchScript(fixture(key)).model;
    models::saveModel(path("m.safetensors"), original);
    const auto loaded = models::loadModel(path("m.safetensors"));
    QCOMPARE(loaded.graph->hash(), original.graph->hash());
    QCOMPARE(graph::structuralDifferences(*loaded.graph, *original.graph).size(), std::size_t(0));
    QCOMPARE(loaded.card.toJson().dump(), original.card.toJson().dump());
    QVERIFY(identical(answer(loaded, ownInputs(key)), answer(original, ownInputs(key))));
    for (const auto& [weight, tensor] : original.weights.tensors())
        QVERIFY2(identical(tensor, loaded.weights.at(weight)), weight.c_str());
}

void ModelFileTest::sameModelSameBytes()
{
    models::saveModel(path("a.safetensors"), smallModel());
    models::saveModel(path("b.safetensors"), models::loadModel(path("a.safetensors")));
    QCOMPARE(core::readFile(path("a.safetensors")), core::readFile(path("b.safetensors")));
}

void ModelFileTest::weightsAreMappedPrivately()
{
    const auto file = path("mapped.safetensors");
    models::saveModel(file, smallModel());
    const auto before = core::readFile(file);
    at::Tensor weight;
    {
        const auto model = models::loadModel(file);
        for (const auto& [name, tensor] : model.weights.tensors())
            QCOMPARE(mappedFileAt(tensor.data_ptr()), std::filesystem::canonical(file).string());
        weight = model.weights.at("fc1.weight");
    }
    weight.zero_();  // the mapping lives as long as the tensor, and is ours alone
    QCOMPARE(weight.abs().sum().item<float>(), 0.0f);
    QCOMPARE(core::readFile(file), before);
}

void ModelFileTest::tiedWeightsAreStoredOnce()
{
    models::saveModel(path("tied.safetensors"), models::importTorchScript(fixture("tied")).model);
    const auto bytes = core::readFile(path("tied.safetensors"));
    QCOMPARE(io::parseSafetensors(bytes, "tied").entries.size(), std::size_t(1));
}

// version_0.safetensors: the graph of smallModel() as version 0 wrote it: no card, no version and no output names in the graph.
void ModelFileTest::oldVersionsAreMigrated()
{
    const auto old = models::loadModel(ORRERY_TEST_DATA "/models/version_0.safetensors");
    QCOMPARE(old.graph->data().outputNames, std::vector<std::string>{"output"});
    QCOMPARE(old.card.inputs.at(0).name, std::string("x"));
    const auto x = numbers({4, 3}, 1);
    QVERIFY(identical(answer(old, {x}), answer(smallModel(), {x})));
    models::saveModel(path("new.safetensors"), old);
    const auto bytes = core::readFile(path("new.safetensors"));
    QCOMPARE(*io::parseSafetensors(bytes, "new").findMetadata("orrery.version"), std::to_string(models::kModelFileVersion));
}

void ModelFileTest::brokenFilesAreRefused_data()
{
    QTest::addColumn<QString>("version");
    QTest::addColumn<QString>("graph");
    QTest::addColumn<QString>("card");
    QTest::addColumn<bool>("dropTensor");
    QTest::addColumn<QString>("message");
    const auto model = smallModel();
    const auto graph = QString::fromStdString(graph::toJson(*model.graph).dump()), card = QString::fromStdString(model.card.toJson().dump());
    QTest::newRow("newer version") << "7" << graph << card << false << "found version 7";
    QTest::newRow("no version") << "x" << graph << card << false << "version number";
    QTest::newRow("no graph") << "1"
                              << "" << card << false << "found weights alone";
    QTest::newRow("graph is no JSON") << "1"
                                      << "{\"values\":" << card << false << "metadata orrery.graph: expected JSON";
    QTest::newRow("graph of a newer version") << "1"
                                              << "{\"version\": 99}" << card << false << "version 99";
    QTest::newRow("graph is a list") << "1"
                                     << "[]" << card << false << "";
    QTest::newRow("card of wrong types") << "1" << graph << "{\"inputs\": 3}" << false << "card";
    QTest::newRow("no card") << "1" << graph << "" << false << "expected a model card";
    QTest::newRow("tensor missing") << "1" << graph << card << true << "missing fc1.bias";
}

void ModelFileTest::brokenFilesAreRefused()
{
    QFETCH(QString, version);
    QFETCH(QString, graph);
    QFETCH(QString, card);
    QFETCH(bool, dropTensor);
    QFETCH(QString, message);
    auto model = smallModel();
    auto tensors = model.weights.tensors();
    if (dropTensor)
        tensors.erase("fc1.bias");
    io::SafetensorsMetadata metadata = {{"orrery.version", version.toStdString()}};
    if (!graph.isEmpty())
        metadata.emplace_back("orrery.graph", graph.toStdString());
    if (!card.isEmpty())
        metadata.emplace_back("orrery.card", card.toStdString());
    io::writeSafetensors(path("broken.safetensors"), itemsOf(graph::Weights(tensors)), metadata);
    const auto text = messageOf<core::FormatError>([&] { models::loadModel(path("broken.safetensors")); });
    QVERIFY2(contains(text, "broken.safetensors"), text.c_str());
    QVERIFY2(contains(text, message.toStdString()), text.c_str());
}

// Cut at many places, and with single bits turned: refused with a reason, or (in the weights, where nothing can tell) opened.
void ModelFileTest::damagedFilesNeverCrash()
{
    models::saveModel(path("whole.safetensors"), smallModel());
    const auto whole = core::readFile(path("whole.safetensors"));
    const auto tryOpen = [&](const std::string& bytes) {
        std::ofstream(path("damaged.safetensors"), std::ios::binary) << bytes;
        try {
            models::loadModel(path("damaged.safetensors"));
            return true;
        } catch (const core::FormatError&) {
            return false;
        }
    };
    for (std::size_t length = 0; length < whole.size(); length += 13)
        QVERIFY(!tryOpen(whole.substr(0, length)));
    int refused = 0;
    for (std::size_t i = 0; i < whole.size() * 8; i += 37) {
        auto damaged = whole;
        damaged[i / 8] = char(damaged[i / 8] ^ (1 << (i % 8)));
        refused += tryOpen(damaged) ? 0 : 1;
    }
    QVERIFY(refused > 100);
}

void ModelFileTest::weightsAloneFitByName()
{
    const auto model = smallModel();
    auto tensors = model.weights.tensors();
    tensors.erase("fc2.bias");
    tensors["other.weight"] = at::ones({2});
    models::saveWeights(path("weights.safetensors"), graph::Weights(tensors));
    const auto loaded = models::loadWeights(*model.graph, path("weights.safetensors"));
    QCOMPARE(loaded.missing, std::vector<std::string>{"fc2.bias"});
    QCOMPARE(loaded.extra, std::vector<std::string>{"other.weight"});
    QVERIFY(identical(loaded.weights.at("fc1.weight"), model.weights.at("fc1.weight")));
    // A tied pair may come under either name.
    const auto tied = models::importTorchScript(fixture("tied")).model;
    const auto& [alias, stored] = *tied.graph->data().aliases.begin();
    models::saveWeights(path("alias.safetensors"), graph::Weights({{alias, tied.weights.at(stored)}}));
    const auto byAlias = models::loadWeights(*tied.graph, path("alias.safetensors"));
    QVERIFY(byAlias.missing.empty() && byAlias.extra.empty());
}

void ModelFileTest::sharedPrefixesAreTakenOff()
{
    const auto model = smallModel();
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [name, tensor] : model.weights.tensors())
        tensors["module." + name] = tensor;
    models::saveWeights(path("prefixed.safetensors"), graph::Weights(tensors));
    const auto loaded = models::loadWeights(*model.graph, path("prefixed.safetensors"));
    QCOMPARE(loaded.prefix, std::string("module."));
    QVERIFY(loaded.missing.empty() && loaded.extra.empty());
}

void ModelFileTest::wrongShapesAreNamed()
{
    const auto model = smallModel();
    auto tensors = model.weights.tensors();
    tensors["fc1.weight"] = at::zeros({5, 4});
    models::saveWeights(path("shapes.safetensors"), graph::Weights(tensors));
    const auto text = messageOf<core::ShapeError>([&] { models::loadWeights(*model.graph, path("shapes.safetensors")); });
    QVERIFY2(contains(text, "fc1.weight: expected shape [5, 3], found [5, 4]"), text.c_str());
    auto broken = model;
    broken.weights = graph::Weights(tensors);
    QVERIFY(!messageOf<core::ShapeError>([&] { models::saveModel(path("never.safetensors"), broken); }).empty());
    QVERIFY(!std::filesystem::exists(path("never.safetensors")));
}

void ModelFileTest::readsNpz()
{
    const auto model = smallModel();
    std::vector<std::pair<std::string, io::Array>> arrays;
    for (const auto& [name, tensor] : model.weights.tensors())
        arrays.emplace_back(name, io::toArray(tensor));
    core::writeFileAtomically(path("weights.npz"), io::npzBytes(arrays));
    const auto loaded = models::loadWeights(*model.graph, path("weights.npz"));
    QVERIFY(loaded.missing.empty() && loaded.extra.empty());
    QVERIFY(identical(loaded.weights.at("fc2.weight"), model.weights.at("fc2.weight")));
}

QTEST_APPLESS_MAIN(ModelFileTest)
#include "model_file_test.moc"
