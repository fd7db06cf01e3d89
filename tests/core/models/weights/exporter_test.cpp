#include <QTemporaryDir>
#include <QtTest>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/io/npy.h>
#include <core/models/exporter.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/zoo/zoo.h>

#include "../../message_of.h"

using namespace orrery;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> namesIn(const fs::path& folder)
{
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
        names.push_back(entry.path().filename().string());
    return names;
}

graph::Model tiedModel()
{
    graph::Builder builder("tied");
    const auto x = builder.input("x", "float32", {"batch", "3"}, "table");
    const auto weight = builder.parameter("a.weight", {3, 3}, {{"kind", "normal"}});
    builder.tied("b.weight", weight);
    auto model = builder.finish({{"y", builder.op("aten::matmul", {x, weight})}});
    model.weights = graph::initialize(*model.graph, 3);
    return model;
}

}  // namespace

class ExporterTest : public QObject {
    Q_OBJECT

    fs::path path(const std::string& name) const { return fs::path(m_folder.path().toStdString()) / name; }
    QTemporaryDir m_folder;

private Q_SLOTS:
    void aRoundTripGivesEqualOutputs_data()
    {
        QTest::addColumn<QString>("format");
        QTest::addColumn<QString>("architecture");
        QTest::newRow("own file") << "orrery"
                                  << "";
        QTest::newRow("safetensors") << "safetensors"
                                     << "mlp?features=5&hidden=8";
        QTest::newRow("npz") << "npz"
                             << "mlp?features=5&hidden=8";
    }
    void aRoundTripGivesEqualOutputs()
    {
        QFETCH(QString, format);
        QFETCH(QString, architecture);
        const auto model = zoo::openZoo("zoo:mlp?features=5&hidden=8", 11);
        const auto file = path("model" + models::exporterRegistry().factory(format.toStdString()).ending);
        models::exportModel(file, model, format.toStdString());
        const auto opened = models::openModel(file.string(), {.architecture = architecture.toStdString()});
        QCOMPARE(opened.graph->hash(), model.graph->hash());
        const auto x = at::linspace(-1, 1, 20).reshape({4, 5});
        QVERIFY(graph::Executor(opened.graph).forward(opened.weights, {x}).equal(graph::Executor(model.graph).forward(model.weights, {x})));
        for (const auto& name : namesIn(path("")))
            QVERIFY2(!name.starts_with('.'), name.c_str());
    }

    void tiedTensorsAreWrittenOnceOrTwice()
    {
        const auto model = tiedModel();
        models::exportModel(path("once.safetensors"), model, "safetensors");
        models::exportModel(path("twice.npz"), model, "npz", {.parameters = {{"tied_twice", true}}});
        QCOMPARE(models::loadTensors(path("once.safetensors")).tensors().size(), std::size_t(1));
        const auto twice = models::loadTensors(path("twice.npz"));
        QCOMPARE(twice.tensors().size(), std::size_t(2));
        QVERIFY(twice.at("a.weight").equal(twice.at("b.weight")));
    }

    void bfloat16IsWidenedForNumPyAndSaid()
    {
        auto model = tiedModel();
        model.weights = model.weights.to(at::kCPU, at::kBFloat16);
        std::string said;
        models::exportModel(path("brain.npz"), model, "npz", {.parameters = {}, .note = [&](const std::string& note) { said += note; }});
        QVERIFY2(said.find("bfloat16") != std::string::npos, said.c_str());
        const auto read = models::loadTensors(path("brain.npz")).at("a.weight");
        QVERIFY(read.scalar_type() == at::kFloat);
        QVERIFY(read.equal(model.weights.at("a.weight").to(at::kFloat)));
    }

    void whatCannotBeWrittenLeavesTheOldFile()
    {
        core::writeFileAtomically(path("old.npz"), "old");
        auto model = tiedModel();
        model.weights = graph::Weights();
        const auto missing = messageOf([&] { models::exportModel(path("old.npz"), model, "npz"); });
        QVERIFY2(missing.find("a.weight: missing") != std::string::npos, missing.c_str());
        const auto parameters = messageOf([&] { models::exportModel(path("old.npz"), tiedModel(), "npz", {.parameters = {{"tied", 3}}}); });
        QVERIFY2(parameters.find("tied") != std::string::npos, parameters.c_str());
        QCOMPARE(core::readFile(path("old.npz")), std::string("old"));
    }

    void wrongTargetsAreRefused()
    {
        const auto model = tiedModel();
        const auto unknown = messageOf([&] { models::exportModel(path("x"), model, "safetensor"); });
        QVERIFY2(unknown.find("did you mean \"safetensors\"?") != std::string::npos, unknown.c_str());
        const auto folder = messageOf([&] { models::exportModel(path(""), model, "npz"); });
        QVERIFY2(folder.find("expected the name of a file, found a folder") != std::string::npos, folder.c_str());
        const auto nowhere = messageOf([&] { models::exportModel(path("no/where.npz"), model, "npz"); });
        QVERIFY2(nowhere.find("expected a folder to write into") != std::string::npos, nowhere.c_str());
    }
};

QTEST_APPLESS_MAIN(ExporterTest)
#include "exporter_test.moc"
