#include <QTemporaryDir>
#include <QtTest>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/graph/executor.h>
#include <core/graph/runnable.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/models/checkpoint_folder.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/zoo/zoo.h>

#include "../../message_of.h"

using namespace orrery;
namespace fs = std::filesystem;

namespace {

/// A fresh folder to put files into.
class Folder {
public:
    fs::path path(const std::string& name = {}) const { return fs::path(m_folder.path().toStdString()) / name; }
    void write(const std::string& name, std::string_view text) const { core::writeFileAtomically(path(name), text); }
    void save(const std::string& name, std::map<std::string, at::Tensor> tensors) const
    {
        models::saveWeights(path(name), graph::Weights(std::move(tensors)));
    }

private:
    QTemporaryDir m_folder;
};

constexpr const char* kIndex =
    R"({"metadata": {"total_size": 20}, "weight_map": {"a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors"}})";

}  // namespace

class CheckpointFolderTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void configAndOneFileAreRead()
    {
        const Folder folder;
        folder.write("config.json", R"({"model_type": "llama", "hidden_size": 8})");
        folder.save("model.safetensors", {{"a.weight", at::arange(6).reshape({2, 3}).to(at::kHalf)}});
        const auto read = models::readCheckpointFolder(folder.path());
        QCOMPARE(read.modelType(), std::string("llama"));
        QCOMPARE(models::checkpointModelType(folder.path()), std::string("llama"));
        QCOMPARE(read.config.at("hidden_size").get<int>(), 8);
        QCOMPARE(read.weightFiles, std::vector<fs::path>{folder.path("model.safetensors")});
        const auto weights = models::loadFolderTensors(read);
        QVERIFY(weights.at("a.weight").equal(at::arange(6).reshape({2, 3}).to(at::kHalf)));
    }

    void shardsAreReadAsTheIndexSays()
    {
        const Folder folder;
        folder.write("model.safetensors.index.json", kIndex);
        folder.save("model-1.safetensors", {{"a.weight", at::ones({2})}});
        folder.save("model-2.safetensors", {{"b.weight", at::zeros({3})}});
        folder.save("other.safetensors", {{"c.weight", at::zeros({3})}});
        const auto read = models::readCheckpointFolder(folder.path());
        QVERIFY(read.config.is_null());
        QCOMPARE(read.modelType(), std::string());
        QCOMPARE(read.weightFiles, (std::vector<fs::path>{folder.path("model-1.safetensors"), folder.path("model-2.safetensors")}));
        const auto weights = models::loadFolderTensors(read);
        QCOMPARE(weights.tensors().size(), std::size_t(2));
        QVERIFY(weights.at("b.weight").equal(at::zeros({3})));
    }

    void oneFileGoesBeforeShardsAndOtherNames()
    {
        const Folder folder;
        folder.write("model.safetensors.index.json", kIndex);
        folder.save("zzz.safetensors", {{"z", at::ones({1})}});
        folder.save("model.safetensors", {{"w", at::ones({1})}});
        QCOMPARE(models::readCheckpointFolder(folder.path()).weightFiles, std::vector<fs::path>{folder.path("model.safetensors")});
    }

    void aSingleFileOfAnotherNameIsFound()
    {
        const Folder folder;
        folder.save("adapter.safetensors", {{"w", at::ones({1})}});
        QCOMPARE(models::readCheckpointFolder(folder.path()).weightFiles, std::vector<fs::path>{folder.path("adapter.safetensors")});
        folder.save("second.safetensors", {{"w", at::ones({1})}});
        QVERIFY(!models::isCheckpointFolder(folder.path()));
    }

    void wrongFoldersAreRefused_data()
    {
        QTest::addColumn<QString>("config");
        QTest::addColumn<QString>("index");
        QTest::addColumn<QString>("message");
        const auto map = [](const QString& text) { return QStringLiteral(R"({"weight_map": %1})").arg(text); };
        QTest::newRow("cut config") << R"({"model_type": "gpt2")" << QString() << "config.json:1:22: expected JSON";
        QTest::newRow("config of another form") << "[1, 2]" << QString() << "config.json: expected an object, found array";
        QTest::newRow("config nested too deep") << QString(100, '[') << QString() << "config.json: ";
        QTest::newRow("key twice") << R"({"a": 1, "a": 2})" << QString() << "key \"a\" is given twice";
        QTest::newRow("no weight map") << "{}"
                                       << R"({"metadata": {}})"
                                       << "expected an object \"weight_map\", found none";
        QTest::newRow("map of numbers") << "{}" << map(R"({"a": 3})") << "tensor a: expected the name of a file in the same folder, found 3";
        QTest::newRow("shard above") << "{}" << map(R"({"a": "../secret.safetensors"})") << "found \"../secret.safetensors\"";
        QTest::newRow("absolute shard") << "{}" << map(R"({"a": "/etc/passwd"})") << "found \"/etc/passwd\"";
        QTest::newRow("shard missing") << "{}" << map(R"({"a": "model-9.safetensors"})")
                                       << "expected the file model-9.safetensors beside it, found none";
    }
    void wrongFoldersAreRefused()
    {
        QFETCH(QString, config);
        QFETCH(QString, index);
        QFETCH(QString, message);
        const Folder folder;
        folder.write("config.json", config.toStdString());
        if (!index.isEmpty())
            folder.write("model.safetensors.index.json", index.toStdString());
        const auto said = messageOf([&] { models::readCheckpointFolder(folder.path()); });
        QVERIFY2(said.find(message.toStdString()) != std::string::npos, said.c_str());
    }

    void aBrokenConfigHasNoModelType()
    {
        const Folder folder;
        folder.write("config.json", "{");
        QCOMPARE(models::checkpointModelType(folder.path()), std::string());
        QCOMPARE(models::checkpointModelType(folder.path("none")), std::string());
    }

    void shardsThatDisagreeAreRefused()
    {
        const Folder twice;
        twice.write("model.safetensors.index.json", kIndex);
        twice.save("model-1.safetensors", {{"a.weight", at::ones({2})}});
        twice.save("model-2.safetensors", {{"b.weight", at::ones({2})}, {"a.weight", at::ones({2})}});
        auto said = messageOf([&] { models::loadFolderTensors(models::readCheckpointFolder(twice.path())); });
        QVERIFY2(said.find("tensor a.weight is in model-1.safetensors and in model-2.safetensors") != std::string::npos, said.c_str());
        const Folder missing;
        missing.write("model.safetensors.index.json", kIndex);
        missing.save("model-1.safetensors", {{"a.weight", at::ones({2})}, {"b.weight", at::ones({2})}});
        missing.save("model-2.safetensors", {{"c.weight", at::ones({2})}});
        said = messageOf([&] { models::loadFolderTensors(models::readCheckpointFolder(missing.path())); });
        QVERIFY2(said.find("expected tensor b.weight in model-2.safetensors, found it in model-1.safetensors") != std::string::npos, said.c_str());
    }

    void foldersWithoutWeightsSaySo()
    {
        const Folder folder;
        folder.write("config.json", "{}");
        const auto said = messageOf([&] { models::openModel(folder.path().string()); });
        QVERIFY2(said.find("expected a file of weights") != std::string::npos, said.c_str());
        const auto none = messageOf([&] { models::readCheckpointFolder(folder.path("config.json")); });
        QVERIFY2(none.find("found no folder") != std::string::npos, none.c_str());
    }

    void aFolderOpensWithAnArchitecture()
    {
        const Folder folder;
        const auto model = zoo::openZoo("zoo:mlp?hidden=8", 5);
        models::saveWeights(folder.path("model.safetensors"), model.weights);
        const auto opened = models::openModel(folder.path().string(), {.architecture = "mlp?hidden=8"});
        QCOMPARE(opened.graph->hash(), model.graph->hash());
        for (const auto& [name, tensor] : model.weights.tensors())
            QVERIFY(tensor.equal(opened.weights.at(name)));
    }

    void unknownArchitecturesOpenAsTensorsToLookAt()
    {
        const Folder folder;
        folder.write("config.json", R"({"model_type": "nobody_knows"})");
        folder.save("model.safetensors", {{"net.0.weight", at::ones({3, 2})},
                                          {"net.0.bias", at::zeros({3})},
                                          {"net.1.running_mean", at::zeros({3})},
                                          {"steps", at::zeros({}, at::kLong)}});
        std::vector<std::string> notes;
        models::OpenOptions options;
        options.note = [&](const std::string& note) { notes.push_back(note); };
        const auto model = models::openModel(folder.path().string(), options);
        QVERIFY(graph::isWeightsAlone(*model.graph));
        QCOMPARE(graph::parameterCount(*model.graph), std::int64_t(9));
        QVERIFY(model.graph->findParameter("net.1.running_mean")->kind == graph::Parameter::Kind::Buffer);
        QVERIFY(model.graph->findParameter("steps")->kind == graph::Parameter::Kind::Buffer);
        std::vector<std::string> paths;
        for (const auto& module : model.graph->data().modules)
            paths.push_back(module.path);
        QCOMPARE(paths, (std::vector<std::string>{"", "net", "net.0", "net.1"}));
        QVERIFY(std::any_of(notes.begin(), notes.end(), [](const auto& note) { return note.find("\"nobody_knows\"") != std::string::npos; }));
        const auto said = messageOf([&] { graph::Executor(model.graph).run(model.weights, {}); });
        QVERIFY2(said.find("nothing to run") != std::string::npos && said.find("--arch") != std::string::npos, said.c_str());
        // It is a model like any other: it can be saved and opened again.
        models::saveModel(folder.path("saved.orrery"), model);
        QCOMPARE(models::openModel(folder.path("saved.orrery").string()).graph->hash(), model.graph->hash());
    }
};

QTEST_APPLESS_MAIN(CheckpointFolderTest)
#include "checkpoint_folder_test.moc"
