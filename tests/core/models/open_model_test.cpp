#include "scripted_models.h"

#include <fstream>

#include <QDir>
#include <QTemporaryDir>

#include <core/base/files.h>
#include <core/base/stop.h>
#include <core/io/safetensors.h>
#include <core/io/zip.h>
#include <core/models/file_properties.h>
#include <core/models/importer.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/zoo/zoo.h>

using namespace orrery;
using namespace orrery::tests;

namespace {

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

}  // namespace

class OpenModelTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void formatsAreRecognisedByContent();
    void zooModelsAreBuilt();
    void runsNeedAWorkspace();
    void weightsAloneNeedAnArchitecture();
    void unknownFilesSayWhatWasFound_data();
    void unknownFilesSayWhatWasFound();
    void openingStops_data();
    void openingStops();
    void notesAreHandedOn();
    void damagedTorchScriptIsRefused_data();
    void damagedTorchScriptIsRefused();
    void foreignTorchScriptIsRefused();
    void filesSayWhatTheyAre();

private:
    std::string path(const std::string& name) const { return m_folder.filePath(QString::fromStdString(name)).toStdString(); }
    QTemporaryDir m_folder;
};

void OpenModelTest::formatsAreRecognisedByContent()
{
    core::writeFileAtomically(path("renamed.bin"), core::readFile(fixture("twice")));
    const auto scripted = models::openModel(path("renamed.bin"));
    QCOMPARE(scripted.origin, path("renamed.bin"));
    models::saveModel(path("ours.dat"), scripted);
    const auto ours = models::openModel(path("ours.dat"));
    QCOMPARE(ours.graph->hash(), scripted.graph->hash());
    // A file with a graph goes before weights alone, which take what nobody else knows.
    const auto ids = models::importerRegistry().ids();
    QCOMPARE(ids.front(), std::string("orrery"));
    QCOMPARE(ids.back(), std::string("state_dict"));
}

void OpenModelTest::filesSayWhatTheyAre()
{
    const auto said = [](const std::string& argument) {
        std::map<std::string, std::string> found;
        for (const auto& [name, value] : models::fileProperties(argument))
            found[name] = value;
        return found;
    };
    const std::string data = ORRERY_TEST_DATA;
    // The exporter of PyTorch 1.13 writes itself, IR version 7 and operator set 13 or later.
    auto found = said(data + "/onnx/cnn-1.13.onnx");
    QCOMPARE(found["format"].substr(0, 4), std::string("ONNX"));
    QVERIFY2(found["producer"].starts_with("pytorch 1.13"), found["producer"].c_str());
    QVERIFY(std::stoi(found["operator set ai.onnx"]) >= 7 && !found["IR version"].empty() && !found["size"].empty());
    found = said(data + "/weights/llama.gguf");
    QCOMPARE(found["general.architecture"], std::string("llama"));
    QVERIFY(!found["llama.block_count"].empty());
    // How the tensors are stored: seven matrices in each of the two blocks, and five norms, the embedding and the head as they were.
    const auto stored = said(data + "/weights/llama_q8.gguf")["tensors"];
    QVERIFY2(stored.starts_with("7 as F32 (") && stored.find(", 14 as Q8_0 (") != std::string::npos, stored.c_str());
    // A checkpoint folder and safetensors: what was written is what is said; long texts are cut between characters, our own graph is no property.
    const QTemporaryDir folder;
    const auto path = std::filesystem::path(folder.path().toStdString());
    std::string text = "a";
    while (text.size() < 1000)
        text += "ä";
    const std::vector<float> values(4, 1.F);
    const io::SafetensorsItem item{"weight", io::ElementType::Float32, {4}, {reinterpret_cast<const char*>(values.data()), 16}};
    io::writeSafetensors(path / "model.safetensors", {item}, {{"license", "mit"}, {"description", text}, {"orrery.card", "{}"}});
    found = said((path / "model.safetensors").string());
    QCOMPARE(found["metadata license"], std::string("mit"));
    QCOMPARE(found["metadata description"], text.substr(0, 299) + "... (1001 bytes)");
    QVERIFY(!found.contains("metadata orrery.card"));
    std::ofstream(path / "config.json") << R"({"model_type": "gpt2", "n_layer": 2, "none": null, "nested": {"a": 1}})";
    found = said(path.string());
    QCOMPARE(found["config model_type"], std::string("gpt2"));
    QCOMPARE(found["config n_layer"], std::string("2"));
    QCOMPARE(found["weights"], std::string("model.safetensors"));
    QVERIFY(!found.contains("config none") && !found.contains("config nested"));
    // Nothing is said of what is no file, and of a damaged one what could be read.
    QVERIFY(said("zoo:mlp").empty() && said("run:1").empty() && said((path / "none").string()).empty());
    std::ofstream(path / "cut.gguf") << core::readFile(data + "/weights/llama.gguf").substr(0, 100);
    QVERIFY(!said((path / "cut.gguf").string()).contains("general.architecture"));
}

void OpenModelTest::zooModelsAreBuilt()
{
    const auto a = models::openModel("zoo:mlp"), b = models::openModel("zoo:mlp", {.seed = 1});
    QCOMPARE(a.graph->hash(), b.graph->hash());
    const auto& name = a.weights.tensors().begin()->first;
    QVERIFY(!identical(a.weights.at(name), b.weights.at(name)) || a.weights.at(name).eq(a.weights.at(name).flatten()[0]).all().item<bool>());
    const auto text = messageOf<core::InputError>([] { models::openModel("zoo:mpl"); });
    QVERIFY2(contains(text, "mlp"), text.c_str());
}

void OpenModelTest::runsNeedAWorkspace()
{
    const auto text = messageOf<core::InputError>([] { models::openModel("run:3@100"); });
    QVERIFY2(contains(text, "run:3@100") && contains(text, "--workspace"), text.c_str());
    models::OpenOptions options;
    std::string asked;
    options.openRun = [&](const std::string& reference) {
        asked = reference;
        return zoo::openZoo("zoo:mlp", 0);
    };
    QCOMPARE(models::openModel("run:3@100", options).origin, std::string("run:3@100"));
    QCOMPARE(asked, std::string("3@100"));
}

void OpenModelTest::weightsAloneNeedAnArchitecture()
{
    const auto model = zoo::openZoo("zoo:mlp?hidden=8", 5);
    models::saveWeights(path("weights.safetensors"), model.weights);
    const auto browser = models::openModel(path("weights.safetensors"));
    const auto text = messageOf<core::InputError>([&] { graph::Executor(browser.graph).run(browser.weights, {}); });
    QVERIFY2(contains(text, "nothing to run") && contains(text, "--arch"), text.c_str());
    const auto opened = models::openModel(path("weights.safetensors"), {.architecture = "mlp?hidden=8"});
    QCOMPARE(opened.graph->hash(), model.graph->hash());
    for (const auto& [name, tensor] : model.weights.tensors())
        QVERIFY(identical(tensor, opened.weights.at(name)));
    const auto wrong = messageOf<core::Error>([&] { models::openModel(path("weights.safetensors"), {.architecture = "mlp?hidden=9"}); });
    QVERIFY2(contains(wrong, "expected shape"), wrong.c_str());
    const auto deeper = messageOf<core::Error>([&] { models::openModel(path("weights.safetensors"), {.architecture = "mlp?hidden=8,8,8"}); });
    QVERIFY2(contains(deeper, "missing") || contains(deeper, "expected shape"), deeper.c_str());
}

void OpenModelTest::unknownFilesSayWhatWasFound_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QString>("message");
    const auto zip = [](std::vector<io::ZipEntry> entries) { return QByteArray::fromStdString(io::zipBytes(entries)); };
    QTest::newRow("empty") << QByteArray() << "an empty file";
    QTest::newRow("text") << QByteArray("hello world") << "first bytes 68 65 6c 6c 6f 20 77 6f";
    QTest::newRow("other archive") << zip({{"a.txt", "x"}, {"b.txt", "y"}}) << "a ZIP archive with a.txt, b.txt";
}

void OpenModelTest::unknownFilesSayWhatWasFound()
{
    QFETCH(QByteArray, bytes);
    QFETCH(QString, message);
    core::writeFileAtomically(path("unknown"), bytes.toStdString());
    const auto text = messageOf<core::InputError>([&] { models::openModel(path("unknown")); });
    QVERIFY2(contains(text, message.toStdString()), text.c_str());
    QVERIFY2(contains(text, "TorchScript (torch.jit.save)"), text.c_str());
    const auto missing = messageOf<core::InputError>([&] { models::openModel(path("no such file")); });
    QVERIFY2(contains(missing, "no such file; expected a file, a checkpoint folder, zoo:NAME or run:ID"), missing.c_str());
    std::filesystem::create_directory(path("empty"));
    const auto folder = messageOf<core::InputError>([&] { models::openModel(path("empty")); });
    QVERIFY2(contains(folder, "found a folder with neither config.json nor one file of weights"), folder.c_str());
}

void OpenModelTest::openingStops_data()
{
    QTest::addColumn<QString>("model");
    const QString data = ORRERY_TEST_DATA;
    QTest::newRow("zoo") << "zoo:resnet?depth=20";
    QTest::newRow("TorchScript, read by another process") << data + "/torchscript/branch.pt";
    QTest::newRow("ONNX") << data + "/onnx/cnn.onnx";
    QTest::newRow("torch.export") << data + "/pt2/cnn.pt2";
    QDir(m_folder.path()).mkpath("gpt2");
    core::writeFileAtomically(path("gpt2/config.json"),
                              R"({"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 8, "n_positions": 8})");
    QTest::newRow("checkpoint folder") << m_folder.filePath("gpt2");
    QTest::newRow("weights alone") << data + "/pt2/cnn.safetensors";
}

void OpenModelTest::openingStops()
{
    QFETCH(QString, model);
    std::stop_source source;
    const core::StopScope scope(source.get_token());
    models::openModel(model.toStdString());
    source.request_stop();
    QVERIFY_EXCEPTION_THROWN(models::openModel(model.toStdString()), core::Cancelled);
}

void OpenModelTest::notesAreHandedOn()
{
    std::vector<std::string> notes;
    models::OpenOptions options;
    options.note = [&](const std::string& note) { notes.push_back(note); };
    models::openModel(fixture("cnn_traced"), options);
    QVERIFY(!notes.empty());
}

void OpenModelTest::damagedTorchScriptIsRefused_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"branch", "buffers", "tuple_out", "twice"})
        QTest::addRow("%s", name) << name;
}

// libtorch dies by signal on some of these when it is handed the file as it is; the checksums are looked at first.
void OpenModelTest::damagedTorchScriptIsRefused()
{
    QFETCH(QString, name);
    const auto whole = core::readFile(fixture(name.toStdString()));
    const auto message = [&](const std::string& bytes) {
        std::ofstream(path("damaged.pt"), std::ios::binary) << bytes;
        return messageOf<core::FormatError>([&] { models::importTorchScript(path("damaged.pt")); });
    };
    for (std::size_t length = 0; length < whole.size(); length += std::max<std::size_t>(1, whole.size() / 150)) {
        const auto text = message(whole.substr(0, length));
        QVERIFY2(contains(text, "damaged.pt") && contains(text, "expected"), text.c_str());
    }
    int refused = 0;
    constexpr std::size_t kFlips = 750;
    for (std::size_t i = 0; i < kFlips; ++i) {
        const auto bit = (i * 2654435761u) % (whole.size() * 8);
        auto damaged = whole;
        damaged[bit / 8] = char(damaged[bit / 8] ^ (1 << (bit % 8)));
        refused += message(damaged).empty() ? 0 : 1;  // dates and attributes of the archive may differ without harm
    }
    QVERIFY2(refused > int(kFlips / 2), std::to_string(refused).c_str());
}

void OpenModelTest::foreignTorchScriptIsRefused()
{
    // Sums are right, the content is not.
    core::writeFileAtomically(
        path("odd.pt"), io::zipBytes({{"m/data.pkl", "no pickle"}, {"m/code/__torch__.py", "class"}, {"m/constants.pkl", ""}, {"m/version", "3\n"}}));
    const auto text = messageOf<core::FormatError>([&] { models::importTorchScript(path("odd.pt")); });
    QVERIFY2(contains(text, "odd.pt: expected a TorchScript file that this libtorch can read"), text.c_str());
    core::writeFileAtomically(path("zip.pt"), io::zipBytes({{"a.txt", "x"}}));
    const auto other = messageOf<core::FormatError>([&] { models::importTorchScript(path("zip.pt")); });
    QVERIFY2(contains(other, "found a ZIP archive with a.txt"), other.c_str());
}

QTEST_APPLESS_MAIN(OpenModelTest)
#include "open_model_test.moc"
