// TorchScript files read by a process of their own, and what orrery_export.py writes.
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "scripted_models.h"

#include <core/base/files.h>
#include <core/base/process.h>
#include <core/io/zip.h>
#include <core/jobs/worker_program.h>
#include <core/models/isolated_reading.h>
#include <core/models/open_model.h>

using namespace orrery;
using namespace orrery::tests;

namespace {

std::vector<at::Tensor> outputsOf(const graph::Model& model, const std::string& name)
{
    graph::RunRequest request;
    request.inputs = ownInputs(name);
    return collected(graph::Executor(model.graph).run(model.weights.clone(), request).outputs);
}

template <class Call>
QString faultOf(const Call& call)
{
    try {
        call();
    } catch (const core::Error& error) {
        return QString::fromStdString(error.what());
    }
    return {};
}

/// By what the system says of each process: "PID (NAME) STATE PARENT ...".
std::vector<pid_t> childrenOfThisProcess()
{
    std::vector<pid_t> children;
    std::error_code error;
    for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
        const pid_t number = std::atoi(process.path().filename().c_str());
        std::string line;
        if (number <= 0 || !std::getline(std::ifstream(process.path() / "stat"), line) || line.rfind(')') == std::string::npos)
            continue;
        char state = 0;
        pid_t parent = 0;
        std::istringstream(line.substr(line.rfind(')') + 1)) >> state >> parent;
        if (parent == ::getpid() && state != 'Z')
            children.push_back(number);
    }
    return children;
}

}  // namespace

class IsolatedReadingTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;
    std::filesystem::path path(const std::string& name) const { return std::filesystem::path(m_folder.path().toStdString()) / name; }
    int cached() const
    {
        int count = 0;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(models::modelCacheFolder(), error))
            count += entry.is_directory();
        return count;
    }

private Q_SLOTS:
    void init()
    {
        if (!jobs::findWorkerProgram())
            QSKIP("orrery-cli has not been built");
        qputenv("XDG_CACHE_HOME", QByteArray::fromStdString(path("cache").string()));
        std::filesystem::remove_all(path("cache"));
    }
    void theProcessHandsBackTheSameModel_data();
    void theProcessHandsBackTheSameModel();
    void theSecondOpeningTakesWhatWasKept();
    void aDamagedCacheIsReadAnew();
    void faultsOfTheFileAreThoseOfTheReader();
    void aProcessThatTakesTooLongIsEnded();
    void aProcessThatTakesTooMuchIsEnded();
    void aProcessThatDiesBySignalIsADamagedFile_data();
    void aProcessThatDiesBySignalIsADamagedFile();
    void otherMethodsCanBeOpened();
    void unknownOperatorsAreNamedAndStructureRemains();
    void theExampleOfTheClientIsChecked();
    void aChangedExampleIsTold();
};

void IsolatedReadingTest::theProcessHandsBackTheSameModel_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"mlp_scripted", "cnn_traced", "rnn_loop", "lstm", "gpt", "dict_state", "tied"})
        QTest::addRow("%s", name) << name;
}

void IsolatedReadingTest::theProcessHandsBackTheSameModel()
{
    QFETCH(QString, name);
    const auto key = name.toStdString();
    const auto here = models::importTorchScript(fixture(key));
    const auto apart = models::readIsolated(fixture(key), {});
    QCOMPARE(apart.model.graph->hash(), here.model.graph->hash());
    QCOMPARE(apart.notes, here.notes);
    QCOMPARE(apart.model.card.toJson().dump(), here.model.card.toJson().dump());
    const auto a = outputsOf(here.model, key), b = outputsOf(apart.model, key);
    QCOMPARE(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
        QVERIFY(identical(a[i], b[i]));
}

void IsolatedReadingTest::theSecondOpeningTakesWhatWasKept()
{
    models::readIsolated(fixture("twice"), {});
    QCOMPARE(cached(), 1);
    std::filesystem::copy_file(fixture("twice"), path("renamed.pt"), std::filesystem::copy_options::overwrite_existing);
    const auto again = models::readIsolated(path("renamed.pt"), {}, {.memory = 0, .seconds = 0});  // a process would be ended at once
    QCOMPARE(again.model.card.title, std::string("renamed"));
    QCOMPARE(cached(), 1);
    models::readIsolated(fixture("lstm"), {});
    QCOMPARE(cached(), 2);
    models::readIsolated(fixture("lstm"), {.keepInputs = {"state"}, .method = "forward"});  // another question, another answer
    QCOMPARE(cached(), 3);
}

void IsolatedReadingTest::aDamagedCacheIsReadAnew()
{
    models::readIsolated(fixture("twice"), {});
    for (const auto& entry : std::filesystem::directory_iterator(models::modelCacheFolder()))
        std::filesystem::resize_file(entry.path() / "model.safetensors", 100);
    const auto again = models::readIsolated(fixture("twice"), {});
    QCOMPARE(outputsOf(again.model, "twice").size(), std::size_t(1));
}

void IsolatedReadingTest::faultsOfTheFileAreThoseOfTheReader()
{
    const auto bytes = core::readFile(fixture("mlp_scripted"));
    core::writeFileAtomically(path("cut.pt"), bytes.substr(0, bytes.size() / 2));
    auto flipped = bytes;
    flipped[bytes.size() / 2] ^= 1;
    core::writeFileAtomically(path("flipped.pt"), flipped);
    for (const char* name : {"cut.pt", "flipped.pt"}) {
        const auto here = faultOf([&] { models::importTorchScript(path(name)); });
        const auto apart = faultOf([&] { models::readIsolated(path(name), {}); });
        QVERIFY(!here.isEmpty());
        QCOMPARE(apart, here);
    }
    QCOMPARE(cached(), 0);
}

void IsolatedReadingTest::aProcessThatTakesTooLongIsEnded()
{
    const auto fault = faultOf([] { models::readIsolated(fixture("gpt"), {}, {.memory = std::uint64_t(1) << 32, .seconds = 0.05}); });
    QVERIFY2(fault.contains("damaged file, or too large: reading it took longer than"), qPrintable(fault));
    QCOMPARE(cached(), 0);
}

void IsolatedReadingTest::aProcessThatTakesTooMuchIsEnded()
{
    const auto fault = faultOf([] { models::readIsolated(fixture("gpt"), {}, {.memory = 1 << 20, .seconds = 60}); });
    QVERIFY2(fault.contains("damaged file, or too large: reading it took more than"), qPrintable(fault));
}

void IsolatedReadingTest::aProcessThatDiesBySignalIsADamagedFile_data()
{
    QTest::addColumn<int>("number");
    QTest::newRow("segmentation fault") << SIGSEGV;
    QTest::newRow("abort") << SIGABRT;
    QTest::newRow("killed") << SIGKILL;  // as the kernel does it where memory ends
}

/// libtorch's reader dies on some broken files; which ones is a matter of chance, so the process gets the signal from here, while it starts.
void IsolatedReadingTest::aProcessThatDiesBySignalIsADamagedFile()
{
    QFETCH(int, number);
    const auto before = childrenOfThisProcess();
    QString fault;
    std::thread reader([&] { fault = faultOf([] { models::readIsolated(fixture("gpt"), {}); }); });
    bool sent = false;
    for (int look = 0; look < 20'000 && !sent; ++look) {
        for (const auto child : childrenOfThisProcess())
            sent |= std::find(before.begin(), before.end(), child) == before.end() && ::kill(child, number) == 0;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    reader.join();
    QVERIFY(sent);
    const auto expected = QString("gpt.pt: damaged file: the process that read it died (signal %1, %2)").arg(number).arg(::strsignal(number));
    QVERIFY2(fault.endsWith(expected), qPrintable(fault));
    QCOMPARE(cached(), 0);  // nothing half-written is left or taken for the model
    QCOMPARE(models::readIsolated(fixture("gpt"), {}).notes.size(), models::importTorchScript(fixture("gpt")).notes.size());
}

void IsolatedReadingTest::otherMethodsCanBeOpened()
{
    torch::jit::Module module("Two");
    module.register_parameter("weight", at::full({2}, 3.0), false);
    module.define("def forward(self, x):\n    return x * self.weight\ndef encode(self, x, times: int = 2):\n    return self.forward(x) + times\n");
    module.save(path("two.pt").string());
    models::OpenOptions options;
    const auto forward = models::openModel(path("two.pt").string(), options);
    options.method = "encode";
    const auto encode = models::openModel(path("two.pt").string(), options);
    const auto x = at::ones({2});
    QVERIFY(at::equal(graph::Executor(forward.graph).forward(forward.weights, {x}), at::full({2}, 3.0)));
    QVERIFY(at::equal(graph::Executor(encode.graph).forward(encode.weights, {x}), at::full({2}, 5.0)));
    options.method = "decode";
    const auto fault = faultOf([&] { models::openModel(path("two.pt").string(), options); });
    QVERIFY2(fault.contains("expected a module with a method decode, found class Two with forward, encode"), qPrintable(fault));
}

void IsolatedReadingTest::unknownOperatorsAreNamedAndStructureRemains()
{
    // As if it had been written by a PyTorch with two more operators.
    auto entries = io::parseZip(core::readFile(fixture("twice")), "twice", 1 << 24);
    for (auto& entry : entries)
        for (const auto& [from, to] : {std::pair<std::string, std::string>("torch.relu(", "torch.wobble("),
                                       std::pair<std::string, std::string>("torch.linear(", "ops.mylib.rumble(")})
            for (auto at = entry.content.find(from); entry.name.ends_with(".py") && at != std::string::npos; at = entry.content.find(from, at + 1))
                entry.content.replace(at, from.size(), to);
    core::writeFileAtomically(path("odd.pt"), io::zipBytes(entries));
    const auto imported = models::readIsolated(path("odd.pt"), {});
    QVERIFY2(!imported.notes.empty() && imported.notes.back() == "structure only, it cannot be run: libtorch has no aten::wobble, mylib::rumble",
             imported.notes.empty() ? "no notes" : imported.notes.back().c_str());
    QVERIFY2(imported.model.graph->findValue("act.wobble") && imported.model.graph->findValue("fc.rumble#2"), imported.model.graph->print().c_str());
    QVERIFY(imported.model.graph->findParameter("fc.weight"));
    const auto fault = faultOf([&] { graph::Executor executor(imported.model.graph); });
    QVERIFY2(fault.contains("libtorch has no operator"), qPrintable(fault));  // the stand-ins ended with the process that read the file
}

void IsolatedReadingTest::theExampleOfTheClientIsChecked()
{
    const auto client = core::resourceFolder() / "clients";
    QVERIFY(std::filesystem::exists(client / "orrery_export.py"));
    const auto script = fmt::format(R"(import sys; sys.path.insert(0, '{}')
import torch
from orrery_export import orrery_export
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
for name, script in (('traced.pt', False), ('scripted.pt', True)):
    orrery_export(model, (torch.randn(3, 4),), '{}/' + name, title='Small', class_names=['cat', 'dog'], preprocessing={{'mean': [0.5], 'std': [2.0]}}, script=script)
try:
    orrery_export(model, (torch.randn(3, 4),), '{}/x.onnx')
except ValueError as error:
    print(error)
)",
                                    client.string(), m_folder.path().toStdString(), m_folder.path().toStdString());
    const auto hasTorch = core::runProcess({"/usr/bin/python3", "-c", "import torch"}, std::chrono::seconds(60));
    if (!hasTorch || hasTorch->exitStatus != 0)
        QSKIP("/usr/bin/python3 has no torch");
    const auto result = core::runProcess({"/usr/bin/python3", "-c", script}, std::chrono::seconds(120), {"PYTHONDONTWRITEBYTECODE=1"});
    QVERIFY(result && result->exitStatus == 0);
    QVERIFY2(result->output.find("expected a path that ends in .pt2 or .pt") != std::string::npos, result->output.c_str());
    for (const char* name : {"traced.pt", "scripted.pt"}) {
        std::vector<std::string> notes;
        models::OpenOptions options;
        options.note = [&](const std::string& note) { notes.push_back(note); };
        const auto model = models::openModel(path(name).string(), options);
        QCOMPARE(model.card.classNames, (std::vector<std::string>{"cat", "dog"}));
        QCOMPARE(model.card.task, std::string("classification"));
        QCOMPARE(model.card.inputs.at(0).preprocessing.dump(), std::string(R"({"mean":[0.5],"std":[2.0]})"));
        QVERIFY(model.card.example.is_object() && model.card.example.size() == 1);
        const bool isChecked =
            std::any_of(notes.begin(), notes.end(), [](const std::string& note) { return note.starts_with("output of the example: equal to "); });
        QVERIFY2(isChecked, notes.empty() ? "no notes" : notes.back().c_str());
    }
}

void IsolatedReadingTest::aChangedExampleIsTold()
{
    torch::jit::Module module("Double");
    module.define("def forward(self, x):\n    return x * 2\n");
    const auto write = [&](const std::string& document) { module.save(path("double.pt").string(), {{"orrery.json", document}}); };
    const auto noteOf = [&] {
        const auto imported = models::importTorchScript(path("double.pt"));
        return imported.notes.empty() ? std::string("none") : imported.notes.back();
    };
    const std::string inputs = R"("inputs": [{"name": "x", "shape": [2], "dtype": "float32", "values": [1, 2]}])";
    write(R"({"version": 1, "example": {)" + inputs + R"(, "outputs": [{"shape": [2], "values": [2, 4]}]}})");
    QCOMPARE(noteOf(), std::string("output of the example: equal to 0"));
    write(R"({"version": 1, "example": {)" + inputs + R"(, "outputs": [{"shape": [2], "values": [2, 5]}]}})");
    QCOMPARE(noteOf(), std::string("output of the example: differs by 0.2 of its largest value from what the model gave in Python"));
    write(R"({"version": 1, "example": {)" + inputs + R"(, "outputs": [{"shape": [3], "values": [2, 5]}]}})");
    QVERIFY2(noteOf().find("expected 3 numbers for shape [3], found 2") != std::string::npos, noteOf().c_str());
    write("{");
    QVERIFY2(noteOf().find("orrery.json in the archive is broken") != std::string::npos, noteOf().c_str());
}

QTEST_APPLESS_MAIN(IsolatedReadingTest)
#include "isolated_reading_test.moc"
