#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"

using namespace orrery;
using namespace orrery::test;

namespace {

const QString kModel = "zoo:mlp?features=3&hidden=4,5&classes=2";

/// Largest memory, in bytes, that one call takes. Python starts it: a child inherits the peak of who starts it, and this test is as large as the program.
std::int64_t peakOf(const Cli& cli, const QStringList& arguments)
{
    constexpr const char* kScript = "import resource, subprocess, sys\n"
                                    "status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
                                    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if status == 0 else -1)";
    QProcess process;
    process.setWorkingDirectory(QString::fromStdString(cli.path().string()));
    process.start("python3", QStringList{"-c", kScript, ORRERY_CLI} + arguments + QStringList{"--threads", "1", "--quiet"});
    const auto answer = answerOf(process);
    return answer.out.trimmed().toLongLong() * 1024;
}

}  // namespace

class CliExportTest : public QObject {
    Q_OBJECT

    Cli m_cli;

private Q_SLOTS:
    void loadingTakesNoMoreMemoryThanTheFile()
    {
        constexpr std::int64_t kBytes = std::int64_t(256) << 20;
        const auto half = at::ones({kBytes / 8});
        models::saveWeights(m_cli.path("small.safetensors"), graph::Weights({{"a", at::ones({4})}}));
        models::saveWeights(m_cli.path("large.safetensors"), graph::Weights({{"a", half}, {"b", half}}));
        const auto copied = [](const QString& file) { return QStringList{"export", file, "--to", "safetensors", "--out", "copy.safetensors"}; };
        const auto without = peakOf(m_cli, copied("small.safetensors"));
        const auto looking = peakOf(m_cli, {"inspect", "large.safetensors"}) - without, all = peakOf(m_cli, copied("large.safetensors")) - without;
        qInfo("above a tiny file: inspect %.1f MiB, all tensors %.1f MiB of %.1f MiB", double(looking) / (1 << 20), double(all) / (1 << 20),
              double(kBytes) / (1 << 20));
        QVERIFY(without > 0);
        QVERIFY2(looking < kBytes / 10, qPrintable(QString::number(looking)));  // nothing of the weights is read
        QVERIFY2(double(all) <= 1.1 * double(kBytes), qPrintable(QString::number(all)));
        QVERIFY(all > kBytes / 2);  // they were read
        std::filesystem::remove(m_cli.path("large.safetensors"));
        std::filesystem::remove(m_cli.path("copy.safetensors"));
    }

    void everyFormatIsWrittenAndOpenedAgain_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QStringList>("architecture");
        const QStringList arch = {"--arch", "mlp?features=3&hidden=4,5&classes=2"};
        QTest::newRow("orrery") << "model.safetensors" << QStringList();
        QTest::newRow("safetensors") << "weights.safetensors" << arch;
        QTest::newRow("npz") << "weights.npz" << arch;
    }
    void everyFormatIsWrittenAndOpenedAgain()
    {
        QFETCH(QString, file);
        QFETCH(QStringList, architecture);
        const auto written = m_cli.json({"export", kModel, "--seed", "4", "--to", QTest::currentDataTag(), "--out", file});
        QCOMPARE(written.at("bytes").get<std::uintmax_t>(), std::filesystem::file_size(m_cli.path(file.toStdString())));
        m_cli.writeArray("x.npy", at::linspace(-1, 1, 6).reshape({2, 3}));
        QCOMPARE(m_cli.compute({"forward", kModel, "--seed", "4", "--input", "x.npy", "--out", "a.npy"}).status, 0);
        QCOMPARE(m_cli.compute(QStringList{"forward", file, "--input", "x.npy", "--out", "b.npy"} + architecture).status, 0);
        QVERIFY(m_cli.array("a.npy").equal(m_cli.array("b.npy")));
    }

    void whatWasWrittenIsComparedWithTheModel_data()
    {
        QTest::addColumn<QString>("format");
        QTest::addColumn<int>("status");
        QTest::addColumn<QString>("text");
        QTest::newRow("orrery") << "orrery" << 0 << "opened again: 1 output, equal to the last bit";
        QTest::newRow("npz") << "npz" << 0 << "opened again: 6 tensors, equal to the last bit";
        QTest::newRow("torchscript") << "torchscript" << 0 << "opened again: 1 output, equal to the last bit";
        QTest::newRow("onnx") << "onnx" << 0 << "opened again: 1 output, ";
        QTest::newRow("c") << "c" << 1 << "not compared with the model: this format is not read here";
    }
    void whatWasWrittenIsComparedWithTheModel()
    {
        QFETCH(QString, format);
        QFETCH(QString, text);
        const auto answer = m_cli.compute({"export", kModel, "--to", format, "--out", "checked." + format, "--check"});
        QTEST(answer.status, "status");
        QVERIFY2(answer.out.contains(text), qPrintable(answer.out + answer.error));
    }

    void weightsAloneAreLookedAtAndNotRun()
    {
        const QString file = ORRERY_TEST_DATA "/weights/checkpoint.pt";
        const auto answer = m_cli.compute({"inspect", file});
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.out.contains("conv1.weight") && answer.out.contains("[8, 3, 3, 3]") && answer.out.contains("state"), qPrintable(answer.out));
        QVERIFY2(answer.out.contains("the weights are \"model\" of the file") && answer.out.contains("epoch = 3"), qPrintable(answer.out));
        const auto document = m_cli.json({"inspect", file});
        QCOMPARE(document.at("nodes").size(), std::size_t(0));
        QVERIFY(document.at("parameter_list").size() > 5);
        m_cli.writeArray("x.npy", at::ones({1, 3}));
        const auto refused = m_cli.compute({"forward", file, "--input", "x.npy"});
        VERIFY_REFUSED(refused, 2, "there is nothing to run; give one with --arch NAME?key=value");
    }

    void whatAFileAsksToCallIsNamedAndNotCalled()
    {
        for (const char* name : {"calls_system.pt", "calls_system_legacy.pt"}) {
            const auto answer = m_cli.compute({"inspect", QString(ORRERY_TEST_DATA "/weights/") + name});
            VERIFY_REFUSED(answer, 2, "the file asks to call posix.system, which is refused");
        }
        QVERIFY(!m_cli.has("executed_by_orrery"));
    }

    void wrongExportsAreRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<int>("status");
        QTest::addColumn<QString>("message");
        const auto call = [](const QString& format, const QString& out, const QStringList& more = {}) {
            return QStringList{"export", kModel, "--to", format, "--out", out} + more;
        };
        QTest::newRow("unknown format") << call("safetensor", "y.bin") << 2 << "unknown exporter \"safetensor\"; did you mean \"safetensors\"?";
        QTest::newRow("unknown parameter") << call("npz", "y.npz", {"--set", "tied=1"}) << 2 << "tied";
        QTest::newRow("no folder") << call("npz", "no/such/y.npz") << 1 << "no/such: expected a folder to write into, found none";
        QTest::newRow("a folder in the way") << call("npz", ".") << 2 << "expected the name of a file, found a folder";
        QTest::newRow("no target") << QStringList{"export", kModel, "--to", "npz"} << 2 << "--out is required";
        QTest::newRow("ending of another format") << call("onnx", "y.npz") << 2
                                                  << "y.npz: expected a name ending in .onnx, found the ending of another format";
    }
    void wrongExportsAreRefused()
    {
        QFETCH(QStringList, arguments);
        QFETCH(int, status);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(arguments);
        VERIFY_REFUSED(answer, status, message);
        QVERIFY(!m_cli.has("y.npz") && !m_cli.has("y.bin"));
    }

    /// The limit of the size of files stands for a full disk: writing fails in the middle.
    void aFullDiskLeavesNothing_data()
    {
        QTest::addColumn<QString>("file");
        for (const char* const file : {"orrery.safetensors", "npz.npz", "onnx.onnx", "torchscript.pt", "c.c"})
            QTest::newRow(file) << QString(file);
    }
    void aFullDiskLeavesNothing()
    {
        QFETCH(QString, file);
        const QString large = "zoo:mlp?features=30&hidden=100,100&classes=2";
        QProcess process;
        process.setWorkingDirectory(QString::fromStdString(m_cli.path().string()));
        process.start("sh", QStringList{"-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", ORRERY_CLI, "export", large, "--to",
                                        QFileInfo(file).completeBaseName(), "--out", "full/" + file});
        QDir(process.workingDirectory()).mkdir("full");
        process.waitForFinished();
        const QString error = QString::fromUtf8(process.readAllStandardError());
        QVERIFY2(process.exitStatus() == QProcess::NormalExit && process.exitCode() == 1, qPrintable(error));
        QVERIFY2(error.contains("full/" + file + ": "), qPrintable(error));
        QCOMPARE(QDir(process.workingDirectory() + "/full").entryList(QDir::Files | QDir::Hidden), QStringList());
    }

    void helpNamesTheFormats()
    {
        const auto answer = m_cli.run({"export", "--help"});
        QVERIFY(answer.out.contains("safetensors") && answer.out.contains("npz") && answer.out.contains("tied_twice"));
    }
};

QTEST_GUILESS_MAIN(CliExportTest)
#include "cli_export_test.moc"
