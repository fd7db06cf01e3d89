// The main thread of the workbench on the command line: train, evaluate, predict, attribute, report, compare, keep, throw away, break off and go on.
#include <csignal>

#include <ATen/ATen.h>
#include <QRegularExpression>
#include <unistd.h>

#include <core/store/workspace.h>

#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;
using core::Json;

class CliRunsTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    Json workspace(const QStringList& arguments) const { return m_cli.json(arguments + QStringList{"--workspace", "w"}); }
    test::Answer refused(const QStringList& arguments) const { return m_cli.compute(arguments + QStringList{"--workspace", "w"}); }
private Q_SLOTS:
    void initTestCase()
    {
        m_cli.write("small.yaml", test::kSmallTraining);
        const auto first = workspace({"train", "small.yaml"});
        QVERIFY(first.at("run") == 1 && first.at("status") == "finished");
        QCOMPARE(workspace({"train", "small.yaml", "--set", "train.optimizer.lr=0.02", "--set", "name=faster"}).at("run").get<int>(), 2);
    }

    void trainPrintsRunStatusAndMetricsAlone()
    {
        const auto answer = refused({"train", "small.yaml", "--set", "train.epochs=1", "--json"});
        QCOMPARE(answer.status, 0);
        const auto document = answer.json();
        QStringList keys;
        for (const auto& [key, value] : document.items())
            keys << QString::fromStdString(key);
        QCOMPARE(keys, (QStringList{"run", "status", "metrics"}));
        const double accuracy = document.at("metrics").at("test/accuracy");
        QVERIFY(accuracy >= 0 && accuracy <= 1);
        QVERIFY(document.at("metrics").contains("train/loss") && document.at("metrics").contains("val/accuracy"));
        QVERIFY2(answer.error.contains("info: run "), qPrintable(answer.error));
        QCOMPARE(refused({"train", "small.yaml", "--set", "train.epochs=1", "--quiet"}).error, QString());
    }

    void runsListHasTheShapeOthersRelyOn()
    {
        const auto document = workspace({"runs", "list"});
        QCOMPARE(document.size(), std::size_t(1));
        const auto& run = document.at("runs").at(0);
        QVERIFY(run.at("id").is_number_integer() && run.at("id") == 1);
        QVERIFY(run.at("name") == "small" && run.at("status") == "finished" && run.at("tags") == Json({"small"}));
        QVERIFY(QRegularExpression("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$")
                    .match(QString::fromStdString(run.at("created").get<std::string>()))
                    .hasMatch());
        QVERIFY(run.at("metrics").at("test/accuracy").is_number());
        QCOMPARE(workspace({"runs", "list", "--filter", "faster"}).at("runs").size(), std::size_t(1));
        QCOMPARE(workspace({"runs", "list", "--status", "failed", "--tag", "small"}).at("runs").size(), std::size_t(0));
        QCOMPARE(workspace({"runs", "list", "--order", "id", "--descending", "--limit", "1"}).at("runs").size(), std::size_t(1));
        QVERIFY(refused({"runs", "list"}).out.contains("faster"));
    }

    void theWorkspaceMayComeFromTheEnvironment()
    {
        QProcess process;
        auto environment = QProcessEnvironment::systemEnvironment();
        environment.insert("ORRERY_WORKSPACE", QString::fromStdString(m_cli.path("w").string()));
        process.setProcessEnvironment(environment);
        process.start(ORRERY_CLI, {"runs", "show", "2", "--json"});
        QVERIFY(test::answerOf(process).json().at("name") == "faster");
    }

    // Row a63: the same document again gives the same bits; an edited one has another hash.
    void aStoredRunIsReproducedToTheLastBit()
    {
        const auto again = workspace({"train", "run:1"});
        const auto id = QString::number(again.at("run").get<int>());
        const auto compared = workspace({"runs", "compare", "1", id});
        QCOMPARE(compared.at("differences").size(), std::size_t(0));
        for (const auto& [name, values] : compared.at("metrics").items())
            QVERIFY2(values[0] == values[1], name.c_str());
        workspace({"runs", "export", "1", "--out", "first.safetensors"});
        workspace({"runs", "export", id, "--out", "again.safetensors"});
        QVERIFY(m_cli.read("first.safetensors") == m_cli.read("again.safetensors"));
        const auto hash = [&](const QString& run) { return workspace({"runs", "show", run}).at("document_hash"); };
        QVERIFY(hash("1") == hash(id));
        const auto edited = workspace({"train", "run:1", "--set", "train.optimizer.lr=0.011", "--set", "train.epochs=1"});
        QVERIFY(hash("1") != hash(QString::number(edited.at("run").get<int>())));
        VERIFY_REFUSED(refused({"train", "run:1", "--set", "train.optimizer.lrr=1"}), 2, "train.optimizer.lrr: unknown key; did you mean \"lr\"?");
        VERIFY_REFUSED(refused({"train", "run:99"}), 2, "there is no run 99");
        VERIFY_REFUSED(refused({"train", "run:one"}), 2, "expected run:ID");
    }

    void checkPrintsTheResolvedDocument()
    {
        const auto document = m_cli.json({"train", "small.yaml", "--check"});
        QVERIFY(document.at("train").at("optimizer").at("betas") == Json({0.9, 0.999}));
        QCOMPARE(document.at("model").at("classes").get<int>(), 10);
        m_cli.write("resolved.json", document.dump());
        QVERIFY(m_cli.json({"train", "resolved.json", "--check"}) == document);
        QVERIFY(!m_cli.has("orrery-workspace"));
    }

    void wrongDocumentsNameTheKey_data()
    {
        QTest::addColumn<QString>("setting");
        QTest::addColumn<QString>("message");
        QTest::newRow("unknown key") << "train.epohcs=1"
                                     << "small.yaml: train.epohcs: unknown key; did you mean \"epochs\"?";
        QTest::newRow("unknown key at the top") << "modle=1"
                                                << "small.yaml: modle: unknown key; did you mean \"model\"?";
        QTest::newRow("unknown key of a component") << "train.optimizer.momentun=1"
                                                    << "train.optimizer.momentun: unknown key";
        QTest::newRow("wrong type") << "train.optimizer.lr=fast"
                                    << "small.yaml: train.optimizer.lr: expected a number > 0, got \"fast\"";
        QTest::newRow("out of range") << "train.batch_size=0"
                                      << "train.batch_size: expected an integer";
        QTest::newRow("unknown component") << "train.optimizer.id=adamm"
                                           << "adam";
        QTest::newRow("sizes that contradict the data") << "model.classes=7"
                                                        << "model.classes: ";
        QTest::newRow("unknown data set") << "data.id=digts"
                                          << "did you mean \"digits\"?";
        QTest::newRow("setting without value") << "train.epochs"
                                               << "train.epochs";
        QTest::newRow("images into a model of tokens") << R"(model={"id": "gpt"})"
                                                       << "model: \"image\" gives float, but \"tokens\" takes token_id";
        QTest::newRow("images into a model of tables")
            << R"(model={"id": "mlp"})"
            << "model: \"image\" gives axes [batch, channel, height, width], but \"table\" takes [batch, feature]";
        QTest::newRow("classes into a loss of numbers") << "train.loss=mse"
                                                        << "train.loss: \"class\" gives class_index, but \"target\" takes float";
    }
    void wrongDocumentsNameTheKey()
    {
        QFETCH(QString, setting);
        QFETCH(QString, message);
        const auto before = workspace({"runs", "list"}).at("runs").size();
        const auto answer = refused({"train", "small.yaml", "--set", setting, "--json"});
        VERIFY_REFUSED(answer, 2, message);
        QVERIFY(answer.json().at("error").at("message").is_string());
        QCOMPARE(workspace({"runs", "list"}).at("runs").size(), before);
    }

    void aTrainedRunIsEvaluatedExplainedAndReported()
    {
        const double accuracy = workspace({"runs", "show", "1"}).at("metrics").at("test/accuracy");
        const auto evaluated = workspace({"evaluate", "run:1", "--data", R"({"id": "digits", "limit": 300})"});
        QCOMPARE(evaluated.at("metrics").at("accuracy").get<double>(), accuracy);
        m_cli.writeArray("digit.npy", at::zeros({1, 1, 8, 8}).fill_(0.25));
        QVERIFY(workspace({"predict", "run:1", "--input", "digit.npy"}).at("predictions")[0].at("classes")[0].at("probability").get<double>() > 0.1);
        const auto attributed =
            workspace({"attribute", "run:1", "--input", "digit.npy", "--method", "integrated_gradients", "--target", "3", "--out", "a.npy"});
        for (const char* key : {"method", "target", "parameters", "completeness_error", "standard_error"})
            QVERIFY2(attributed.contains(key), key);
        QVERIFY(attributed.at("target") == 3 && attributed.at("parameters").is_object() && attributed.at("completeness_error").is_number() &&
                attributed.at("standard_error").is_null());
        QVERIFY(m_cli.array("a.npy").sizes() == at::IntArrayRef({1, 1, 8, 8}));
        const auto early = workspace({"evaluate", "run:1@25", "--data", "digits"});
        QCOMPARE(early.at("samples").get<int>(), 359);
        workspace({"report", "1", "2", "--out", "r.html", "--no-date"});
        const auto html = m_cli.read("r.html");
        QVERIFY(html.find("<svg") != std::string::npos && html.find("faster") != std::string::npos && html.find("<script") == std::string::npos);
        workspace({"report", "1", "2", "--out", "again.html", "--no-date"});
        QVERIFY(m_cli.read("again.html") == html);
    }

    void runsAreKeptAndThrownAway()
    {
        QVERIFY(workspace({"runs", "tag", "2", "good", "kept"}).at("tags").size() == 3);
        QVERIFY(workspace({"runs", "tag", "2", "good", "--remove"}).at("tags") == Json({"small", "kept"}) ||
                workspace({"runs", "show", "2"}).at("tags") == Json({"kept", "small"}));
        QVERIFY(workspace({"runs", "note", "2", "learns faster"}).at("notes") == "learns faster");
        const auto compared = workspace({"runs", "compare", "1", "2"});
        QVERIFY(compared.at("runs") == Json({1, 2}));
        bool found = false;
        for (const auto& difference : compared.at("differences"))
            if (difference.at("path") == "train.optimizer.lr")
                found = difference.at("values") == Json({0.01, 0.02});
        QVERIFY(found);
        workspace({"runs", "export", "1", "2", "--out", "both.orrery"});
        const auto elsewhere = m_cli.json({"runs", "import", "both.orrery", "--workspace", "other"});
        QCOMPARE(elsewhere.at("runs").size(), std::size_t(2));
        const auto id = QString::number(elsewhere.at("runs")[1].get<int>());
        QVERIFY(m_cli.json({"runs", "show", id, "--workspace", "other"}).at("notes") == "learns faster");
        m_cli.json({"runs", "export", id, "--workspace", "other", "--out", "moved.safetensors"});
        workspace({"runs", "export", "2", "--out", "here.safetensors"});
        QVERIFY(m_cli.read("moved.safetensors") == m_cli.read("here.safetensors"));
        const auto unsure = m_cli.compute({"runs", "delete", id, "--workspace", "other"});
        VERIFY_REFUSED(unsure, 2, "deleting runs cannot be undone; add --yes");
        QVERIFY(m_cli.json({"runs", "delete", id, "--yes", "--workspace", "other"}).at("deleted").size() == 1);
        VERIFY_REFUSED(m_cli.compute({"runs", "show", id, "--workspace", "other"}), 2, "there is no run " + id);
    }

    void badRequestsAreStatusTwo_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        QTest::newRow("missing workspace") << QStringList{"runs", "list", "--workspace", "none"}
                                           << "none: expected a workspace folder, there is none";
        QTest::newRow("no workspace named") << QStringList{"runs", "list"} << "orrery-workspace: expected a workspace folder, there is none";
        QTest::newRow("folder that is none") << QStringList{"runs", "list", "--workspace", "."}
                                             << ".: expected a workspace, found no orrery.db in it";
        QTest::newRow("unknown run") << QStringList{"runs", "show", "99", "--workspace", "w"} << "there is no run 99";
        QTest::newRow("run that is no number") << QStringList{"runs", "show", "x", "--workspace", "w"} << "run";
        QTest::newRow("unknown run to compare") << QStringList{"runs", "compare", "1", "99", "--workspace", "w"} << "there is no run 99";
        QTest::newRow("unknown run to tag") << QStringList{"runs", "tag", "99", "a", "--workspace", "w"} << "there is no run 99";
        QTest::newRow("fewer than no runs") << QStringList{"runs", "list", "--limit", "-1", "--workspace", "w"}
                                            << "expected a number of at least 0, got \"-1\"";
        QTest::newRow("empty tag") << QStringList{"runs", "tag", "1", "  ", "--workspace", "w"}
                                   << "tag: expected one line of 1 to 200 bytes, got none";
        QTest::newRow("long tag") << QStringList{"runs", "tag", "1", QString(201, 'x'), "--workspace", "w"} << "bytes, got 201";
        QTest::newRow("tag of two lines") << QStringList{"runs", "tag", "1", "a\nb", "--workspace", "w"}
                                          << "got line breaks or other control characters";
        QTest::newRow("unknown run to delete") << QStringList{"runs", "delete", "1", "99", "--yes", "--workspace", "w"} << "there is no run 99";
        QTest::newRow("unknown run to report") << QStringList{"report", "99", "--out", "r.html", "--workspace", "w"} << "there is no run 99";
        QTest::newRow("unknown run as model") << QStringList{"inspect", "run:99", "--workspace", "w"} << "there is no run 99";
        QTest::newRow("unknown step") << QStringList{"inspect", "run:1@4", "--workspace", "w"}
                                      << "run 1 has no weights of step 4: expected one of the steps 2";
        QTest::newRow("run as text") << QStringList{"inspect", "run:first", "--workspace", "w"} << "run:first: expected run:ID or run:ID@STEP";
        QTest::newRow("unknown status") << QStringList{"runs", "list", "--status", "done", "--workspace", "w"}
                                        << "expected a status (queued, running";
        QTest::newRow("report of another kind") << QStringList{"report", "1", "--out", "r.pdf", "--workspace", "w"}
                                                << "r.pdf: expected a file ending in .html";
        QTest::newRow("weights of two runs") << QStringList{"runs", "export", "1", "2", "--out", "f.safetensors", "--workspace", "w"}
                                             << "weights are exported of one run at a time";
        QTest::newRow("import of nothing") << QStringList{"runs", "import", "none.orrery", "--workspace", "v"}
                                           << "none.orrery: expected a file of exported runs, or TensorBoard event files, there is none";
        QTest::newRow("import of something else") << QStringList{"runs", "import", "small.yaml", "--workspace", "v"}
                                                  << "small.yaml: expected an Orrery database";
        QTest::newRow("resume of a finished run") << QStringList{"train", "--resume", "1", "--workspace", "w"}
                                                  << "run 1 has finished: expected a run that can go on";
        QTest::newRow("resume of an unknown run") << QStringList{"train", "--resume", "99", "--workspace", "w"} << "there is no run 99";
        QTest::newRow("resume and document") << QStringList{"train", "small.yaml", "--resume", "1", "--workspace", "w"}
                                             << "an EXPERIMENT or --resume RUN, not both";
        QTest::newRow("resume with changes") << QStringList{"train", "--resume", "1", "--set", "seed=2", "--workspace", "w"}
                                             << "--resume goes on with the stored document as it is; to change it: train run:1 --set";
        QTest::newRow("missing document") << QStringList{"train", "none.yaml"} << "none.yaml: no such file; expected an experiment document";
    }
    void badRequestsAreStatusTwo()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(arguments);
        VERIFY_REFUSED(answer, 2, message);
        QCOMPARE(answer.out, QString());
        QVERIFY(!m_cli.has("none") && !m_cli.has("orrery-workspace") && !m_cli.has("r.html.tmp"));
        QCOMPARE(workspace({"runs", "list"}).at("runs")[0].at("status").get<std::string>(), std::string("finished"));
    }

    // Ctrl+C again and again; the end is that of a run that was never broken off.
    void interruptedRunGoesOnToTheSameEnd()
    {
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        const QStringList length = {"--set", "train.epochs=60", "--threads", "1", "--workspace", "w"};
        QProcess process;
        cli.start(process, QStringList{"train", "small.yaml", "--json"} + length);
        int interruptions = 0;
        for (; interruptions < 3; ++interruptions) {
            QVERIFY(process.waitForStarted());
            const auto stepsBefore = interruptions * 30;
            const auto reached = QTest::qWaitFor(
                [&] {
                    if (process.state() == QProcess::NotRunning)
                        return true;
                    if (!store::Workspace::isWorkspace(cli.path("w")))
                        return false;
                    try {
                        const auto workspace = store::Workspace::open(cli.path("w"), store::OpenMode::ReadOnly);
                        return workspace->runs().matching == 1 && workspace->metricSeries(1, "train/loss").points > stepsBefore + 20;
                    } catch (const core::Error&) {
                        return false;
                    }
                },
                20'000);
            QVERIFY(reached);
            if (process.state() == QProcess::NotRunning)
                break;
            ::kill(pid_t(process.processId()), SIGINT);
            const auto answer = test::answerOf(process);
            if (answer.status == 0)
                break;
            QVERIFY2(answer.error.contains("run 1 was interrupted; go on with: orrery-cli train --resume 1 --workspace w"), qPrintable(answer.error));
            QCOMPARE(answer.status, 130);
            QVERIFY(answer.json().at("status") == "cancelled" && answer.json().at("run") == 1);
            cli.start(process, {"train", "--resume", "1", "--json", "--threads", "1", "--workspace", "w"});
        }
        QVERIFY(interruptions > 0);
        if (process.state() != QProcess::NotRunning) {
            const auto last = test::answerOf(process);
            QVERIFY2(last.status == 0, qPrintable(last.error));
            QVERIFY(last.json().at("status") == "finished");
        }
        QCOMPARE(cli.json(QStringList{"train", "small.yaml"} + length).at("run").get<int>(), 2);
        cli.json({"runs", "export", "1", "--workspace", "w", "--out", "broken_off.safetensors"});
        cli.json({"runs", "export", "2", "--workspace", "w", "--out", "whole.safetensors"});
        QVERIFY(cli.read("broken_off.safetensors") == cli.read("whole.safetensors"));
        const auto compared = cli.json({"runs", "compare", "1", "2", "--workspace", "w"});
        for (const auto& [name, values] : compared.at("metrics").items())
            QVERIFY2(values[0] == values[1], name.c_str());
    }

    void anInterruptionWorksElsewhereToo()
    {
        QProcess process;
        m_cli.writeArray("images.npy", at::rand({64, 1, 8, 8}));
        m_cli.start(process, {"attribute", "run:1", "--workspace", "w", "--input", "images.npy", "--method", "integrated_gradients", "--set",
                              "n_steps=100000", "--set", "method=riemann_middle", "--threads", "1", "--json"});
        QVERIFY(process.waitForStarted());
        QTest::qWait(1500);
        ::kill(pid_t(process.processId()), SIGINT);
        const auto answer = test::answerOf(process);
        QCOMPARE(answer.status, 130);
        QVERIFY(answer.error.contains("orrery-cli: interrupted"));
        QVERIFY(answer.json().at("error").at("kind") == "interrupted");
    }
};

QTEST_GUILESS_MAIN(CliRunsTest)
#include "cli_runs_test.moc"
