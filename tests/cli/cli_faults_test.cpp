// Faults as a person meets them: the program killed, the disk full, files damaged. A clear message, the right exit status, nothing lost.
#include <csignal>
#include <random>

#include <ATen/ATen.h>
#include <QRegularExpression>
#include <sys/mount.h>
#include <unistd.h>

#include <core/io/image.h>
#include <core/models/model_file.h>
#include <core/store/workspace.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;

namespace {

double now()
{
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void verifyMetricsUpTo(const store::Workspace& workspace, store::RunId run, double killed)
{
    const auto series = workspace.metricSeries(run, "train/loss", INT64_MIN, INT64_MAX, 1'000'000);
    for (std::size_t i = 0; i < series.buckets.size(); ++i)
        QCOMPARE(series.buckets[i].firstStep, std::int64_t(i) + 1);
    QVERIFY2(killed - series.buckets.back().firstTime < 1.3,
             qPrintable(QString("%1 s of metrics are missing").arg(killed - series.buckets.back().firstTime)));
    for (const auto& artifact : workspace.artifacts(run))
        if (artifact.step)
            QVERIFY(*artifact.step <= std::int64_t(series.buckets.size()));
}

std::string csv(const char* oddRow)
{
    std::string text = "a,b,kind\n";
    for (int i = 0; i < 60; ++i)
        text += i == 33 ? oddRow : fmt::format("{},{},{}\n", i * 0.25, 7 - i * 0.5, i % 2 ? "left" : "right");
    return text;
}

}  // namespace

class CliFaultsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void killedTwentyTimesItEndsTheSame()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        const QStringList fresh = {"train", "small.yaml",  "--set", "train.epochs=250", "--set", "train.checkpoint.every=20", "--threads",
                                   "1",     "--workspace", "w"};
        cli.json(fresh);  // run 1: never killed
        std::mt19937 random(20);
        int run = 1, kills = 0;
        bool finished = true;
        while (kills < 20 || !finished) {
            QProcess process;
            cli.start(process, finished ? fresh : QStringList{"train", "--resume", QString::number(run), "--threads", "1", "--workspace", "w"});
            const double started = now();
            run += finished;
            finished = false;
            // Most are killed while they train, one in five while they start.
            QString said;
            while (kills % 5 != 0 && !said.contains("info: run ") && process.state() != QProcess::NotRunning) {
                process.waitForReadyRead(100);
                said += QString::fromUtf8(process.readAllStandardError());
            }
            if (kills == 20 || process.waitForFinished(100 + int(random() % 400))) {
                const auto answer = test::answerOf(process);
                QVERIFY2(answer.status == 0, qPrintable(said + answer.error));
                finished = true;
                continue;
            }
            const double killed = now();
            ::kill(pid_t(process.processId()), SIGKILL);
            process.waitForFinished();
            ++kills;
            const auto workspace = store::Workspace::open(cli.path("w"));
            QVERIFY(workspace->check().empty());
            if (!workspace->findRun(run)) {  // killed before the run was made
                --run;
                finished = true;
                continue;
            }
            const auto status = workspace->findRun(run)->status;
            QVERIFY(status == store::RunStatus::Interrupted || status == store::RunStatus::Queued || status == store::RunStatus::Finished);
            finished = status == store::RunStatus::Finished;
            const auto series = workspace->metricSeries(run, "train/loss", INT64_MIN, INT64_MAX, 1'000'000);
            if (!finished && !series.buckets.empty() && series.buckets.back().firstTime > started)
                verifyMetricsUpTo(*workspace, run, killed);
        }
        QVERIFY(kills == 20 && run >= 2);
        cli.json({"runs", "export", "1", "--workspace", "w", "--out", "whole.safetensors"});
        for (int each = 2; each <= run; ++each) {
            cli.json({"runs", "export", QString::number(each), "--workspace", "w", "--out", "killed.safetensors"});
            QVERIFY(cli.read("killed.safetensors") == cli.read("whole.safetensors"));
            for (const core::Json compared = cli.json({"runs", "compare", "1", QString::number(each), "--workspace", "w"});
                 const auto& [name, values] : compared.at("metrics").items())
                QVERIFY2(values[0] == values[1], name.c_str());
        }
    }

    void aFullDiskStopsTheTrainingAndNothingElse()
    {
        const test::Cli cli;
        std::filesystem::create_directories(cli.path("disk"));
        if (::geteuid() != 0 || ::mount("tmpfs", cli.path("disk").c_str(), "tmpfs", 0, "size=1500k") != 0)
            QSKIP("SKIP: needs root, to mount a small file system");
        struct Unmount {
            std::filesystem::path folder;
            ~Unmount() { ::umount2(folder.c_str(), MNT_DETACH); }
        } unmount{cli.path("disk")};
        cli.write("small.yaml", test::kSmallTraining);
        const QStringList train = {"train", "small.yaml", "--set", "train.epochs=60", "--set", "train.checkpoint.keep=1000"};
        const auto answer = cli.compute(train + QStringList{"--workspace", "disk/w", "--json"});
        QVERIFY2(answer.error.contains("the disk is full; nothing is damaged") || answer.error.contains("No space left on device"),
                 qPrintable(answer.error));
        QCOMPARE(answer.status, 1);
        QVERIFY(answer.json().at("error").at("message").is_string());
        QCOMPARE(::mount("tmpfs", cli.path("disk").c_str(), "tmpfs", MS_REMOUNT, "size=50m"), 0);
        QVERIFY(store::Workspace::open(cli.path("disk/w"))->check().empty());
        const auto status = cli.json({"runs", "show", "1", "--workspace", "disk/w"}).at("status").get<std::string>();
        QVERIFY2(status == "failed" || status == "interrupted", status.c_str());
        QVERIFY(cli.json({"train", "--resume", "1", "--workspace", "disk/w"}).at("status") == "finished");
        cli.json(train + QStringList{"--workspace", "w"});
        cli.json({"runs", "export", "1", "--workspace", "disk/w", "--out", "resumed.safetensors"});
        cli.json({"runs", "export", "1", "--workspace", "w", "--out", "whole.safetensors"});
        QVERIFY(cli.read("resumed.safetensors") == cli.read("whole.safetensors"));
    }

    void aFolderWithoutPermissionIsReadButNotWritten()
    {
        if (::geteuid() != 0)
            QSKIP("SKIP: needs root, to become another user");
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        cli.json({"train", "small.yaml", "--set", "train.epochs=1", "--workspace", "w"});
        std::filesystem::permissions(cli.path(), std::filesystem::perms(0755));
        const auto asNobody = [&](const QStringList& arguments) {
            QProcess process;
            process.setChildProcessModifier([] {
                if (::setgid(65534) != 0 || ::setuid(65534) != 0)
                    ::_exit(99);
            });
            cli.start(process, arguments);
            return test::answerOf(process);
        };
        if (asNobody({"--version"}).status != 0)
            QSKIP("SKIP: the user nobody cannot run the program here");
        const auto before = cli.read("w/orrery.db");
        const auto listed = asNobody({"runs", "list", "--workspace", "w", "--json"});
        QVERIFY2(listed.status == 0, qPrintable(listed.error));
        QCOMPARE(listed.json().at("runs").size(), std::size_t(1));
        QCOMPARE(asNobody({"evaluate", "run:1", "--data", "digits", "--workspace", "w", "--threads", "1"}).status, 0);
        VERIFY_REFUSED(asNobody({"train", "small.yaml", "--workspace", "w"}), 1, "cannot be written (Permission denied)");
        VERIFY_REFUSED(asNobody({"train", "small.yaml", "--workspace", "new"}), 1, "the workspace folder cannot be created: Permission denied");
        VERIFY_REFUSED(asNobody({"runs", "tag", "1", "a", "--workspace", "w"}), 1, "cannot be written (Permission denied)");
        VERIFY_REFUSED(asNobody({"report", "1", "--out", "r.html", "--workspace", "w"}), 1, "r.html: cannot be written: Permission denied");
        QVERIFY(cli.read("w/orrery.db") == before);
        QVERIFY(!cli.has("new") && !cli.has("r.html"));
    }

    void damagedDatabasesAreNamedAndLeftAlone_data()
    {
        QTest::addColumn<QString>("kind");
        QTest::addColumn<int>("status");
        QTest::addColumn<QString>("message");
        QTest::newRow("cut short") << "cut" << 1 << "orrery.db: the database is damaged";
        QTest::newRow("of a newer program") << "newer" << 2 << "version 99: it was written by a newer Orrery";
        QTest::newRow("something else") << "letter" << 2 << "expected an Orrery database, found a file of another kind";
    }
    void damagedDatabasesAreNamedAndLeftAlone()
    {
        QFETCH(QString, kind);
        QFETCH(int, status);
        QFETCH(QString, message);
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        cli.json({"train", "small.yaml", "--set", "train.epochs=1", "--workspace", "w"});
        auto bytes = cli.read("w/orrery.db");
        if (kind == "cut")
            bytes.resize(bytes.size() / 2);
        else if (kind == "newer")
            bytes.replace(60, 4, std::string("\0\0\0\x63", 4));
        else
            bytes = "This is a letter and not a database. " + std::string(1000, '.');
        cli.write("w/orrery.db", bytes);
        for (const QStringList& arguments : {QStringList{"runs", "list"}, QStringList{"train", "small.yaml"}, QStringList{"inspect", "run:1"}}) {
            VERIFY_REFUSED(cli.compute(arguments + QStringList{"--workspace", "w"}), status, message);
            QVERIFY(cli.read("w/orrery.db") == bytes);
        }
    }

    void badDataIsNamed_data()
    {
        QTest::addColumn<QString>("data");
        QTest::addColumn<QString>("more");
        QTest::addColumn<QString>("message");
        QTest::newRow("missing file") << "{id: csv, path: none.csv}"
                                      << ""
                                      << "csv: expected a file at ";
        QTest::newRow("missing folder") << "{id: image_folder, path: none}"
                                        << ""
                                        << "image_folder: expected a folder at ";
        QTest::newRow("known set that is not there") << "{id: cifar10}"
                                                     << ""
                                                     << "found none. Get \"CIFAR-10 binary version\" from ";
        QTest::newRow("ragged rows") << "{id: csv, path: ragged.csv}"
                                     << ""
                                     << "ragged.csv: line 35: expected 3 fields, got 2";
        QTest::newRow("NaN") << "{id: csv, path: nan.csv}"
                             << ""
                             << "nan.csv";
        QTest::newRow("missing value") << "{id: csv, path: hole.csv}"
                                       << ""
                                       << "hole.csv";
        QTest::newRow("infinite value in an array") << "{id: npy, inputs: inputs.npy, targets: targets.npy}"
                                                    << ""
                                                    << "inputs.npy";
        QTest::newRow("broken picture") << "{id: image_folder, path: pictures, size: 8}"
                                        << ""
                                        << "pictures/b/broken.png";
        QTest::newRow("batch larger than the data") << "{id: csv, path: good.csv}"
                                                    << "train.batch_size=500"
                                                    << "expected a batch size of at most the ";
        QTest::newRow("cut model file") << "{id: csv, path: good.csv}"
                                        << "model=cut.safetensors"
                                        << "cut.safetensors";
        QTest::newRow("missing model file") << "{id: csv, path: good.csv}"
                                            << "model=none.safetensors"
                                            << "none.safetensors";
    }
    void badDataIsNamed()
    {
        QFETCH(QString, data);
        QFETCH(QString, more);
        QFETCH(QString, message);
        const test::Cli cli;
        cli.write("good.csv", csv("1,2,left\n"));
        cli.write("ragged.csv", csv("1,2\n"));
        cli.write("nan.csv", csv("1,nan,left\n"));
        cli.write("hole.csv", csv("1,,left\n"));
        auto inputs = at::rand({40, 3});
        inputs[7][1] = std::numeric_limits<float>::infinity();
        cli.writeArray("inputs.npy", inputs);
        cli.writeArray("targets.npy", at::arange(40, at::kLong).remainder(2));
        io::Image image;
        image.width = image.height = 8;
        image.channels = 3;
        image.pixels.assign(8 * 8 * 3, 100);
        for (const char* kind : {"a", "b"}) {
            std::filesystem::create_directories(cli.path("pictures") / kind);
            for (int i = 0; i < 10; ++i)
                io::writePng(cli.path("pictures") / kind / fmt::format("{}.png", i), image);
        }
        const auto whole = cli.read("pictures/a/0.png");
        cli.write("pictures/b/broken.png", std::string_view(whole).substr(0, whole.size() - 20));
        models::saveModel(cli.path("whole.safetensors"), zoo::buildModel("mlp", {{"features", 2}, {"classes", 2}}, 0));
        const auto model = cli.read("whole.safetensors");
        cli.write("cut.safetensors", std::string_view(model).substr(0, model.size() - 40));
        const bool pictures = data.contains("image_folder") || data.contains("cifar");
        cli.write("odd.yaml", fmt::format("name: odd\nmodel: {{id: {}}}\ndata: {}\ntrain: {{epochs: 1, batch_size: 8}}\n",
                                          pictures ? "lenet, kernel: 3, padding: 1" : "mlp, hidden: [4]", data.toStdString()));
        auto arguments = QStringList{"train", "odd.yaml", "--workspace", "w", "--json"};
        if (!more.isEmpty())
            arguments += {"--set", more};
        const auto answer = cli.compute(arguments);
        VERIFY_REFUSED(answer, 2, message);
        QVERIFY(QString::fromStdString(answer.json().at("error").at("message").get<std::string>()).contains(message));
        if (!cli.has("w/orrery.db"))
            return;
        // A run that failed says why, in the workspace, too.
        for (const core::Json listed = cli.json({"runs", "list", "--workspace", "w"}); const auto& run : listed.at("runs")) {
            QVERIFY(run.at("status") == "failed");
            QVERIFY(QString::fromStdString(run.at("error").get<std::string>()).contains(message));
        }
    }

    void aNanStopsTheTrainingAndNamesNodeAndStep()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        const auto answer = cli.compute({"train", "small.yaml", "--workspace", "w", "--set", "train.optimizer={\"id\": \"sgd\", \"lr\": 1e30}",
                                         "--set", "train.schedule=constant", "--json"});
        QCOMPARE(answer.status, 1);
        QVERIFY2(QRegularExpression("orrery-cli: .*step [23]\\b").match(answer.error).hasMatch(), qPrintable(answer.error));
        QVERIFY2(answer.error.contains("NaN") || answer.error.contains("infinit"), qPrintable(answer.error));
        const auto run = cli.json({"runs", "show", "1", "--workspace", "w"});
        QVERIFY(run.at("status") == "failed");
        QVERIFY(answer.error.contains(QString::fromStdString(run.at("error").get<std::string>())));
    }

    void twoProcessesDoNotTrainOneRun()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        QProcess process;
        cli.start(process, {"train", "small.yaml", "--workspace", "w", "--set", test::kEndless, "--threads", "1", "--quiet"});
        QVERIFY(QTest::qWaitFor(
            [&] {
                return cli.run({"runs", "list", "--workspace", "w", "--status", "running", "--json"}).out.contains("\"running\"");
            },
            20'000));
        VERIFY_REFUSED(cli.compute({"train", "--resume", "1", "--workspace", "w"}), 1,
                       QString("run 1 is being worked on by process %1").arg(process.processId()));
        VERIFY_REFUSED(cli.compute({"runs", "delete", "1", "--yes", "--workspace", "w"}), 1, "is being worked on");
        // Others may still work in the workspace, while it trains.
        QVERIFY(cli.json({"train", "small.yaml", "--set", "train.epochs=1", "--workspace", "w"}).at("run") == 2);
        ::kill(pid_t(process.processId()), SIGTERM);
        QCOMPARE(test::answerOf(process).status, 130);
    }
};

QTEST_GUILESS_MAIN(CliFaultsTest)
#include "cli_faults_test.moc"
