// What can go wrong with the commands that open a model (inspect, forward, predict, debug, profile, evaluate, generate, tokenize, diff, diff-run, export), item by item: each says it in
// one sentence, and nothing half done is left. What the parsers refuse is shown beside them in tests/core; what it costs in hostile_memory_test.
#include <ATen/ATen.h>
#include <QDir>
#include <QRegularExpression>
#include <csignal>
#include <sys/stat.h>
#include <unistd.h>

#include <core/io/safetensors.h>
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "cli_process.h"
#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

const char* const kMlp = "zoo:mlp?features=4&hidden=6&classes=3";
/// A model so large that each command below works for a while.
const char* const kLarge = "zoo:gpt?layers=8&heads=8&width=512&vocabulary=256&block_length=512";

}  // namespace

class CliModelFaultsTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    /// The sound model's file with its graph or card changed.
    void writeChanged(const std::string& name, const std::function<void(Json& graph, Json& card)>& change) const
    {
        const auto whole = m_cli.read("mlp.safetensors");
        const auto header = io::parseSafetensors(whole, "mlp.safetensors");
        Json graph = Json::parse(*header.findMetadata("orrery.graph")), card = Json::parse(*header.findMetadata("orrery.card"));
        change(graph, card);
        auto metadata = header.metadata;
        for (auto& [key, value] : metadata)
            value = key == "orrery.graph" ? graph.dump() : key == "orrery.card" ? card.dump() : value;
        std::vector<io::SafetensorsItem> items;
        for (const auto& entry : header.entries)
            items.push_back({entry.name, entry.type, entry.shape, std::string_view(whole).substr(entry.begin, entry.end - entry.begin)});
        io::writeSafetensors(m_cli.path(name), items, metadata);
    }
    QStringList files() const
    {
        return QDir(QString::fromStdString(m_cli.path().string())).entryList(QDir::AllEntries | QDir::Hidden | QDir::System | QDir::NoDotAndDotDot);
    }

private Q_SLOTS:
    void initTestCase()
    {
        const auto mlp = zoo::openZoo(kMlp, 0);
        models::saveModel(m_cli.path("mlp.safetensors"), mlp);
        models::saveWeights(m_cli.path("weights.safetensors"), mlp.weights);
        auto broken = mlp;
        broken.weights.set("fc1.bias", at::full({6}, std::nanf("")));
        models::saveModel(m_cli.path("nan.safetensors"), broken);
        const auto whole = m_cli.read("mlp.safetensors");
        m_cli.write("cut.safetensors", whole.substr(0, whole.size() - 40));
        writeChanged("cyclic.safetensors", [](Json& graph, Json&) { graph["body"]["nodes"][0]["inputs"][0] = graph["body"]["outputs"][0]; });
        writeChanged("odd_shape.safetensors", [](Json&, Json& card) { card["inputs"][0]["shape"] = {"batch", "-4"}; });
        writeChanged("odd_name.safetensors", [](Json& graph, Json&) {
            graph["values"][3] = "a\nb\"\x1b[31m";
            graph["body"]["nodes"][0]["name"] = "a\nb\"\x1b[31m";
        });
        m_cli.writeArray("x.npy", at::ones({2, 4}));
        m_cli.writeArray("none.npy", at::ones({0, 4}));
        m_cli.writeArray("tokens.npy", at::ones({1, 3}, at::kLong));
        m_cli.writeArray("no_tokens.npy", at::ones({1, 0}, at::kLong));
        QCOMPARE(::mkfifo(m_cli.path("pipe").c_str(), 0600), 0);
        QCOMPARE(::mkfifo(m_cli.path("pipe.npy").c_str(), 0600), 0);
        // A download that broke off: links to files that never came.
        std::filesystem::create_directories(m_cli.path("broken_off"));
        m_cli.write("broken_off/config.json", R"({"model_type": "gpt2"})");
        std::filesystem::create_symlink("../blobs/0123", m_cli.path("broken_off/model.safetensors"));
        std::filesystem::create_directories(m_cli.path("no_words"));
        std::filesystem::create_symlink("../blobs/4567", m_cli.path("no_words/tokenizer.json"));
    }

    void everyCommandNamesADamagedModel()
    {
        const QString cut = "cut.safetensors";
        const QStringList before = files();
        for (const QStringList& call : {QStringList{"inspect", cut},
                                        {"forward", cut, "--input", "x.npy"},
                                        {"predict", cut, "--input", "x.npy"},
                                        {"debug", cut, "--input", "x.npy", "--command", "continue"},
                                        {"profile", cut, "--input", "x.npy", "--no-peaks"},
                                        {"evaluate", cut, "--data", "iris"},
                                        {"generate", cut, "--tokens", "1"},
                                        {"tokenize", cut, "--text", "a"},
                                        {"diff", kMlp, cut},
                                        {"diff-run", kMlp, cut, "--input", "x.npy"},
                                        {"export", cut, "--to", "npz", "--out", "never.npz"}}) {
            const auto answer = m_cli.compute(call);
            QVERIFY2(answer.error.startsWith("orrery-cli: ") && answer.error.contains(cut), qPrintable(call[0] + ": " + answer.error));
            QCOMPARE(answer.status, 2);
            QCOMPARE(answer.out, QString());
        }
        QCOMPARE(files(), before);
    }

    void faultsAreNamed_data()
    {
        QTest::addColumn<QStringList>("call");
        QTest::addColumn<int>("status");
        QTest::addColumn<QString>("said");
        QTest::newRow("pipe for a model") << QStringList{"inspect", "pipe"} << 2
                                          << "model pipe: expected a file or a folder, found a pipe or a device";
        QTest::newRow("pipe for an input") << QStringList{"forward", kMlp, "--input", "pipe.npy"} << 2 << "pipe.npy: expected an NPY file";
        QTest::newRow("pipe for a script") << QStringList{"debug", kMlp, "--input", "x.npy", "--script", "pipe"} << 0 << "";
        QTest::newRow("folder for a script") << QStringList{"debug", kMlp, "--input", "x.npy", "--script", "no_words"} << 2
                                             << "no_words: expected a script of the debugger";
        QTest::newRow("cyclic graph") << QStringList{"inspect", "cyclic.safetensors"} << 2
                                      << "cyclic.safetensors: the graph is damaged: .* is used before it is defined";
        QTest::newRow("weights that never came") << QStringList{"generate", "broken_off", "--tokens", "1"} << 1
                                                 << "broken_off/model.safetensors: cannot be opened: No such file";
        QTest::newRow("tokenizer that never came") << QStringList{"tokenize", "no_words", "--text", "a"} << 1
                                                   << "no_words/tokenizer.json: cannot be opened: No such file";
        QTest::newRow("no tokens") << QStringList{"forward", "zoo:gpt?layers=1&heads=1&width=8&vocabulary=12&block_length=8", "--input",
                                                  "no_tokens.npy"}
                                   << 2 << "expected at least one token, got none";
        QTest::newRow("no samples") << QStringList{"predict", kMlp, "--input", "none.npy"} << 2 << "expected at least one sample, got \\[0, 4\\]";
        QTest::newRow("NaN in the weights, run") << QStringList{"forward", "nan.safetensors", "--input", "x.npy"} << 0
                                                 << "warning: output logits: 6 of 6 values are NaN or infinite";
        QTest::newRow("NaN in the weights, asked") << QStringList{"predict", "nan.safetensors", "--input", "x.npy"} << 0
                                                   << "warning: the model's answer: 6 of 6 values are NaN or infinite";
        for (const char* format : {"onnx", "torchscript", "c"})
            QTest::addRow("weights alone, to %s", format) << QStringList{"export", "weights.safetensors", "--to", format, "--out", "never"} << 2
                                                          << "holds weights and no architecture, so there is nothing to run";
        QTest::newRow("model over itself") << QStringList{"export", "mlp.safetensors", "--to", "npz", "--out", "./mlp.safetensors"} << 2
                                           << "expected another name than that of the model, which would be lost";
    }
    void faultsAreNamed()
    {
        QFETCH(QStringList, call);
        QFETCH(int, status);
        QFETCH(QString, said);
        const QStringList before = files();
        const auto model = m_cli.read("mlp.safetensors");
        const auto answer = m_cli.compute(call);
        QVERIFY2(answer.error.contains(QRegularExpression(said)), qPrintable(answer.error));
        QCOMPARE(answer.status, status);
        QCOMPARE(files(), before);
        QVERIFY(m_cli.read("mlp.safetensors") == model);
    }

    void anExampleThatDoesNotSuitLeavesTheStructure()
    {
        const auto answer = m_cli.json({"inspect", "odd_shape.safetensors"});
        QVERIFY(!answer.at("was_run").get<bool>());
        QCOMPARE(answer.at("nodes").size(), std::size_t(3));
        const auto note = QString::fromStdString(answer.at("notes").at(0).get<std::string>());
        QVERIFY2(note.contains("without what a run shows: fc1.linear"), qPrintable(note));
    }

    void namesDoNotReachTheTerminalAsTheyAre()
    {
        const auto answer = m_cli.compute({"inspect", "odd_name.safetensors"});
        QVERIFY2(answer.out.contains("a\\nb\"\\x1b[31m") && !answer.out.contains('\x1b'), qPrintable(answer.out));
        QVERIFY(!m_cli.compute({"inspect", "no\x1b[31m.pt"}).error.contains('\x1b'));
    }

    void aFileWithoutPermissionIsNamed()
    {
        if (::geteuid() != 0)
            QSKIP("SKIP: needs root, to become another user");
        std::filesystem::copy(m_cli.path("mlp.safetensors"), m_cli.path("closed.safetensors"));
        std::filesystem::permissions(m_cli.path("closed.safetensors"), std::filesystem::perms(0600));
        std::filesystem::permissions(m_cli.path(), std::filesystem::perms(0755));
        QProcess process;
        process.setChildProcessModifier([] {
            if (::setgid(65534) != 0 || ::setuid(65534) != 0)
                ::_exit(99);
        });
        m_cli.start(process, {"inspect", "closed.safetensors"});
        const auto answer = test::answerOf(process);
        if (answer.status == 99 || answer.status < 0)
            QSKIP("SKIP: the user nobody cannot run the program here");
        VERIFY_REFUSED(answer, 1, "closed.safetensors: cannot be opened: Permission denied");
        std::filesystem::remove(m_cli.path("closed.safetensors"));
    }

    // As a program does it that saves in place: it cuts the file first.
    void aFileCutWhileItIsOpenIsNamed()
    {
        std::filesystem::copy(m_cli.path("mlp.safetensors"), m_cli.path("changing.safetensors"));
        QProcess process;
        m_cli.start(process, {"debug", "changing.safetensors", "--input", "x.npy", "--threads", "1"});
        process.write("next\n");
        QVERIFY(process.waitForReadyRead(60'000));
        QByteArray out = process.readAllStandardOutput();
        QVERIFY2(out.contains("fc1.linear = float32 [2, 6]"), out.constData());
        std::filesystem::resize_file(m_cli.path("changing.safetensors"), 100);
        process.write("continue\n");
        process.closeWriteChannel();
        const auto answer = test::answerOf(process);
        VERIFY_REFUSED(answer, 1, "changing.safetensors: the file was cut short while it was open here");
        std::filesystem::remove(m_cli.path("changing.safetensors"));
    }

    void anInterruptLeavesNothing_data()
    {
        QTest::addColumn<QStringList>("call");
        QTest::newRow("evaluate") << QStringList{"evaluate", kLarge, "--data", R"({"id": "kjv", "block_length": 512})", "--batch-size", "1"};
        QTest::newRow("profile") << QStringList{"profile", kLarge, "--input", "tokens.npy", "--no-peaks", "--runs", "100000", "--svg", "never.svg"};
    }
    void anInterruptLeavesNothing()
    {
        QFETCH(QStringList, call);
        const QStringList before = files();
        QProcess process;
        m_cli.start(process, call + QStringList{"--threads", "1"});
        QVERIFY(process.waitForStarted());
        // Loading and drawing the weights take less; beyond it the command is in the middle of its work.
        QTRY_VERIFY2_WITH_TIMEOUT(test::computedSeconds(process.processId()) > 1.5 || process.state() != QProcess::Running, "starts", 120000);
        QVERIFY2(process.state() == QProcess::Running, qPrintable(QString::fromUtf8(process.readAllStandardError())));
        ::kill(pid_t(process.processId()), SIGINT);
        const auto answer = test::answerOf(process);
        QCOMPARE(answer.status, 130);
        QCOMPARE(answer.out, QString());
        QCOMPARE(files(), before);
    }
};

QTEST_GUILESS_MAIN(CliModelFaultsTest)
#include "cli_model_faults_test.moc"
