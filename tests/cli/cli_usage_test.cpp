// Commands that need no model: help, lists, self-test, completion, and how wrong usage is answered.
#include <core/base/registry.h>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

class CliUsageTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
    QString m_help;
private Q_SLOTS:
    void initTestCase()
    {
        m_help = m_cli.run({"--help"}).out;
        const auto script = m_cli.run({"completion"});
        QCOMPARE(script.status, 0);
        m_cli.write("complete.sh", script.out.toStdString());
        m_cli.write("model_file.pt", "");
    }

    void everyCommandHasHelp_data()
    {
        QTest::addColumn<QString>("command");
        for (const char* command : {"devices", "list", "describe", "selftest", "inspect", "forward", "evaluate", "predict", "train", "runs",
                                    "attribute", "report", "bench", "completion"})
            QTest::newRow(command) << command;
    }
    void everyCommandHasHelp()
    {
        QFETCH(QString, command);
        const auto answer = m_cli.run({command, "--help"});
        QCOMPARE(answer.status, 0);
        QVERIFY(answer.out.contains("Usage: orrery-cli " + command));
        QVERIFY(answer.out.contains("--json"));
        QCOMPARE(answer.error, QString());
        QVERIFY(m_help.contains("\n  " + command + " "));
    }

    /// Each option with a value shows its default, or says what holds without it.
    void helpShowsDefaults_data()
    {
        QTest::addColumn<QString>("command");
        QTest::addColumn<QStringList>("shown");
        QTest::newRow("generate") << "generate"
                                  << QStringList{"--temperature FLOAT:FLOAT in [1e-06 - 1000]=1", "--top-k INT:INT in [0 - 10000000]=50",
                                                 "--alternatives UINT:INT in [0 - 1000]=5"};
        QTest::newRow("predict") << "predict"
                                 << QStringList{"--top INT:INT in [1 - 1000]=5", "--threads INT:INT in [0 - 4096]=0", "--device TEXT=auto"};
        QTest::newRow("evaluate") << "evaluate" << QStringList{"--batch-size INT:INT in [1 - 1000000]=256", "--split TEXT=test", "--seed UINT=0"};
        QTest::newRow("patch") << "patch" << QStringList{"--metric TEXT=logit_difference"};
        QTest::newRow("tokenize train") << "tokenize train" << QStringList{"=bpe", "--minimum-count"};
    }
    void helpShowsDefaults()
    {
        QFETCH(QString, command);
        QFETCH(QStringList, shown);
        const auto help = m_cli.run(command.split(' ') + QStringList{"--help"}).out;
        for (const auto& each : shown)
            QVERIFY2(help.contains(each), qPrintable(each + "\n" + help));
        QVERIFY2(!help.contains("=[]") && !help.contains("=\"\""), qPrintable(help));
        // What stands for "not given" inside is no default.
        QVERIFY2(!help.contains("--beam INT:INT in [1 - 10000]=0"), qPrintable(help));
    }

    void aFullDiskUnderStandardOutputIsSaid_data()
    {
        QTest::addColumn<QStringList>("call");
        QTest::newRow("JSON") << QStringList{"describe", "lenet", "--json"};
        QTest::newRow("text") << QStringList{"describe", "lenet"};
        QTest::newRow("help") << QStringList{"--help"};
    }
    void aFullDiskUnderStandardOutputIsSaid()
    {
        if (!QFileInfo::exists("/dev/full"))
            QSKIP("SKIP: no /dev/full here");
        QFETCH(QStringList, call);
        QProcess process;
        process.setStandardOutputFile("/dev/full");
        m_cli.start(process, call);
        const auto answer = test::answerOf(process);
        VERIFY_REFUSED(answer, 1, "standard output cannot be written");
    }

    void helpOfAttributeNamesEveryMethodAndParameter()
    {
        const auto help = m_cli.run({"attribute", "--help"}).out;
        for (const char* text :
             {"integrated_gradients: ", "n_steps", "riemann_trapezoid", "occlusion: ", "window", "saliency: ", "input_x_gradient: "})
            QVERIFY2(help.contains(text), text);
    }

    void wrongUsageIsStatusTwo_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        QTest::newRow("unknown command") << QStringList{"atribute"}
                                         << "unknown command \"atribute\"; did you mean \"attribute\"?; expected one of devices, list";
        QTest::newRow("unknown subcommand") << QStringList{"runs", "lst"} << "unknown command \"lst\"; did you mean \"list\"?";
        QTest::newRow("missing subcommand") << QStringList{"runs"} << "A subcommand is required";
        QTest::newRow("unknown option") << QStringList{"devices", "--treads", "1"} << "unknown option --treads; did you mean \"--threads\"?";
        QTest::newRow("unknown option of a subcommand")
            << QStringList{"runs", "list", "--filer=x"} << "unknown option --filer; did you mean \"--filter\"?";
        QTest::newRow("one word too many") << QStringList{"selftest", "gemm", "again"} << "unexpected argument \"again\"";
        QTest::newRow("argument missing") << QStringList{"describe"} << "id is required";
        QTest::newRow("value missing") << QStringList{"devices", "--threads"} << "--threads";
        QTest::newRow("value of another type") << QStringList{"devices", "--threads", "two"} << "--threads";
        QTest::newRow("value out of range") << QStringList{"devices", "--threads", "-1"} << "not in range 0 to 4096";
        QTest::newRow("value not above 0") << QStringList{"scaling", "count", "zoo:lenet", "--batch", "0"} << "expected a number above 0, got \"0\"";
        QTest::newRow("value below 0") << QStringList{"diff", "a", "b", "--tolerance", "-0.5"} << "expected a number of at least 0, got \"-0.5\"";
        QTest::newRow("seed below 0") << QStringList{"scaling", "count", "zoo:lenet", "--seed", "-1"}
                                      << "--seed: expected a whole number from 0 to 18446744073709551615, got \"-1\"";
        QTest::newRow("seed beyond 64 bits") << QStringList{"devices", "--seed", "18446744073709551616"}
                                             << "expected a whole number from 0 to 18446744073709551615, got \"18446744073709551616\"";
        QTest::newRow("seed in hexadecimals") << QStringList{"devices", "--seed", "0x10"} << "expected a whole number from 0 to";
        QTest::newRow("seed of the second run") << QStringList{"diff-run", "a", "b", "--seed-b", "-3"}
                                                << "--seed-b: expected a whole number from 0 to";
        QTest::newRow("half a number") << QStringList{"attribute", "zoo:mlp", "--target", "1.5"} << "--target: expected a whole number, got \"1.5\"";
        QTest::newRow("not a compute type") << QStringList{"inspect", "zoo:mlp", "--dtype", "int64"}
                                            << "--dtype: expected float32, float64, bfloat16 or float16, got \"int64\"";
        QTest::newRow("not a compute type of a run")
            << QStringList{"diff-run", "a", "b", "--dtype-b", "bool"} << "--dtype-b: expected float32, float64,";
        QTest::newRow("device that is not here") << QStringList{"inspect", "zoo:mlp", "--device", "cuda:99"}
                                                 << "--device: there is no \"cuda:99\" here that can be used; there";
        QTest::newRow("lines of no table") << QStringList{"diff", "a", "b", "--top", "2"} << "--top requires --weights";
        QTest::newRow("length of no search") << QStringList{"predict", "zoo:mlp", "--text", "a", "--max-length", "5"}
                                             << "--max-length requires --beam";
        QTest::newRow("search and leaving out") << QStringList{"predict", "zoo:mlp", "--text", "a", "--beam", "2", "--leave-out", "1"} << "excludes";
        QTest::newRow("nothing to leave out") << QStringList{"predict", "zoo:mlp", "--text", "a", "--leave-out", ""} << "expected numbers and ranges";
        QTest::newRow("left out and set to NaN") << QStringList{"predict", "zoo:mlp", "--text", "a", "--leave-out", "1", "--set-to", "nan"}
                                                 << "--set-to: expected a number, got \"nan\"";
        QTest::newRow("unknown and like none") << QStringList{"inspect", "zoo:qqqqqqqqq"}
                                               << "unknown model \"qqqqqqqqq\"; `orrery-cli list model` names them";
        QTest::newRow("architecture of a model that has one")
            << QStringList{"inspect", "zoo:mlp", "--arch", "lenet"} << "--arch: expected a file, as it does nothing for zoo:mlp";
        QTest::newRow("no positions to patch") << QStringList{"patch", "zoo:mlp", "--clean", "a", "--corrupted", "b", "--positions", ""}
                                               << "--positions: expected positions";
        QTest::newRow("interventions that are not there")
            << QStringList{"intervene", "zoo:mlp", "--input", "x.npy", "--spec", "nosuch.json"} << "nosuch.json: no such file";
        QTest::newRow("option of another kind") << QStringList{"lens", "zoo:gpt", "--text", "ab", "--position", "3"}
                                                << "--position: expected --kind direct_logit_attribution, got logit_lens";
        QTest::newRow("no such tokenizer") << QStringList{"tokenize", "nosuch", "--text", "a"}
                                           << "nosuch: no such file or folder; expected tokenizer.json, vocab.txt";
        QTest::newRow("data that are no JSON") << QStringList{"evaluate", "zoo:mlp", "--data", "{bad"} << "data: expected a JSON object such as";
        QTest::newRow("value is infinite") << QStringList{"scaling", "count", "zoo:lenet", "--budget-seconds", "inf"}
                                           << "expected a finite number above 0, got \"inf\"";
        QTest::newRow("NaN for a range") << QStringList{"generate", "x", "--temperature", "nan"}
                                         << "expected a number from 1e-06 to 1000, got \"nan\"";
        QTest::newRow("value is no number") << QStringList{"scaling", "count", "zoo:lenet", "--batch", "x"} << "expected a number above 0, got \"x\"";
        QTest::newRow("unknown component") << QStringList{"describe", "lenett"} << "unknown component \"lenett\"; did you mean \"lenet\"?";
        QTest::newRow("unknown component of a family") << QStringList{"describe", "metric/acuracy"} << "did you mean \"metric/accuracy\"?";
        QTest::newRow("unknown family") << QStringList{"list", "modl"} << "unknown family \"modl\"; did you mean \"model\"?";
        QTest::newRow("unknown check") << QStringList{"selftest", "nosuch"} << "no check fits \"nosuch\"";
        QTest::newRow("unknown device") << QStringList{"inspect", "zoo:mlp", "--device", "gpu"}
                                        << "--device: expected auto, cpu, cuda or cuda:N, got \"gpu\"";
        QTest::newRow("unknown dtype") << QStringList{"inspect", "zoo:mlp", "--dtype", "float33"}
                                       << "--dtype: expected float32, float64, bfloat16 or float16, got \"float33\"";
        QTest::newRow("unknown model") << QStringList{"inspect", "zoo:lenett"} << "unknown model \"lenett\"; did you mean \"lenet\"?";
        QTest::newRow("unknown parameter of a model")
            << QStringList{"inspect", "zoo:mlp?featres=3"} << "featres: unknown key; did you mean \"features\"?";
        QTest::newRow("parameter out of range") << QStringList{"inspect", "zoo:mlp?features=0"} << "features: expected an integer in 1..";
        QTest::newRow("training without document") << QStringList{"train"} << "expected an EXPERIMENT";
        QTest::newRow("report without file") << QStringList{"report", "1"} << "expected --out FILE.html";
    }
    void wrongUsageIsStatusTwo()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        const auto answer = m_cli.run(arguments + QStringList{"--json"});
        VERIFY_REFUSED(answer, 2, message);
        QVERIFY2(answer.error.startsWith("orrery-cli: "), qPrintable(answer.error));
        QVERIFY(QString::fromStdString(answer.json().at("error").at("message").get<std::string>()).contains(message));
    }

    void withoutJsonErrorsStandOnStandardErrorAlone()
    {
        for (const QStringList& arguments : {QStringList{}, {"lst"}, {"describe", "lenett"}, {"inspect", "none.pt"}}) {
            const auto answer = m_cli.run(arguments);
            QCOMPARE(answer.status, 2);
            QCOMPARE(answer.out, QString());
            QVERIFY(answer.error.startsWith("orrery-cli: "));
        }
    }

    void aMissingValueIsSaid() { VERIFY_REFUSED(m_cli.run({"devices", "--threads"}), 2, "orrery-cli: --threads: expected a value, got none"); }

    void versionIsPrinted()
    {
        const auto answer = m_cli.run({"--version"});
        QCOMPARE(answer.status, 0);
        QVERIFY(answer.out.startsWith("orrery-cli "));
    }

    void devicesSayWhatComputes()
    {
        const auto document = m_cli.json({"devices", "--no-measure"});
        QCOMPARE(document.at("threads").get<int>(), 1);
        QCOMPARE(document.at("devices").at(0).at("id").get<std::string>(), std::string("cpu"));
        QVERIFY(document.at("gemm").at("gflops").is_null());
        QVERIFY(m_cli.json({"devices"}).at("gemm").at("gflops").get<double>() > 0);
        QVERIFY(m_cli.compute({"devices", "--no-measure"}).out.contains("1 threads"));
    }

    void listAndDescribeAgree()
    {
        const auto families = m_cli.json({"list"}).at("families");
        QStringList names;
        for (const auto& family : families)
            names << QString::fromStdString(family.at("family").get<std::string>());
        for (const char* family : {"model", "data", "optimizer", "schedule", "loss", "metric", "attribution", "importer"})
            QVERIFY2(names.contains(family), family);
        const auto attribution = m_cli.json({"list", "attribution"}).at("families");
        QCOMPARE(attribution.size(), std::size_t(1));
        for (const auto& component : attribution[0].at("components")) {
            const auto id = QString::fromStdString(component.at("id").get<std::string>());
            const auto described = m_cli.json({"describe", id});
            QCOMPARE(described.at("family").get<std::string>(), std::string("attribution"));
            QVERIFY(described.at("summary") == component.at("summary"));
            const auto text = m_cli.run({"describe", "attribution/" + id}).out;
            for (const auto& parameter : described.at("parameters"))
                QVERIFY(text.contains(QString::fromStdString(parameter.at("name").get<std::string>())));
        }
        QVERIFY(m_cli.run({"list", "model"}).out.contains("\n  resnet "));
    }

    void selftestPasses()
    {
        const auto document = m_cli.json({"selftest"});
        QCOMPARE(document.at("failed").get<int>(), 0);
        QVERIFY(document.at("passed").get<int>() >= 7);
        int explained = 0;
        for (const auto& check : document.at("checks"))
            explained += check.at("name").get<std::string>().starts_with("explain.");
        QVERIFY(explained >= 2);
        for (const auto& check : document.at("checks"))
            if (check.at("status") == "passed")
                QVERIFY(check.at("error").get<double>() <= check.at("tolerance").get<double>());
        const auto some = m_cli.compute({"selftest", "explain.*"});
        QCOMPARE(some.status, 0);
        QVERIFY(some.out.endsWith(QString("\n%1 passed, 0 failed, 0 skipped\n").arg(explained)));
    }

    void completionCompletes_data()
    {
        QTest::addColumn<QStringList>("words");
        QTest::addColumn<QString>("offered");
        QTest::addColumn<QString>("withheld");
        QTest::newRow("commands") << QStringList{"att"} << "attribute"
                                  << "train";
        QTest::newRow("options") << QStringList{"train", "--res"} << "--resume"
                                 << "--method";
        QTest::newRow("methods") << QStringList{"attribute", "m.pt", "--method", "integ"} << "integrated_gradients"
                                 << "saliency";
        QTest::newRow("method's parameters") << QStringList{"attribute", "m.pt", "--method", "integrated_gradients", "--set", "n_"} << "n_steps="
                                             << "window=";
        QTest::newRow("subcommands") << QStringList{"runs", "com"} << "compare"
                                     << "delete";
        QTest::newRow("families") << QStringList{"list", "opt"} << "optimizer"
                                  << "metric";
        QTest::newRow("components") << QStringList{"describe", "occ"} << "occlusion"
                                    << "saliency";
        QTest::newRow("data sets") << QStringList{"evaluate", "m.pt", "--data", "dig"} << "digits"
                                   << "wine";
        QTest::newRow("devices") << QStringList{"inspect", "m.pt", "--device", "cu"} << "cuda"
                                 << "cpu";
        QTest::newRow("files") << QStringList{"inspect", "model_fi"} << "model_file.pt"
                               << "zoo";
    }
    void completionCompletes()
    {
        QFETCH(QStringList, words);
        QFETCH(QString, offered);
        QFETCH(QString, withheld);
        QProcess bash;
        bash.setWorkingDirectory(QString::fromStdString(m_cli.path().string()));
        bash.start("bash", {"-n", "complete.sh"});
        QCOMPARE(test::answerOf(bash).status, 0);
        // compopt works only while bash itself completes.
        QString program = "compopt() { :; }; source complete.sh; COMP_WORDS=(orrery-cli";
        for (const auto& word : words)
            program += " '" + word + "'";
        program += QString("); COMP_CWORD=%1; _orrery_cli; printf '%s\\n' \"${COMPREPLY[@]}\"; complete -p orrery-cli").arg(words.size());
        QProcess completion;
        completion.setWorkingDirectory(QString::fromStdString(m_cli.path().string()));
        completion.start("bash", {"-c", program});
        const auto answer = test::answerOf(completion);
        QCOMPARE(answer.error, QString());
        const auto lines = answer.out.split('\n');
        QVERIFY2(lines.contains(offered), qPrintable(answer.out));
        QVERIFY2(!lines.contains(withheld), qPrintable(answer.out));
        QVERIFY(answer.out.contains("-F _orrery_cli orrery-cli"));
    }

    void theProgramIsStartedWithThreadsThatSleepSoon_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("value");
        QTest::addColumn<QByteArray>("found");
        QTest::newRow("nothing said") << ""
                                      << "" << QByteArray("GOMP_SPINCOUNT=10000");
        QTest::newRow("their own number") << "GOMP_SPINCOUNT"
                                          << "77" << QByteArray("GOMP_SPINCOUNT=77");
        QTest::newRow("their own policy") << "OMP_WAIT_POLICY"
                                          << "ACTIVE" << QByteArray();
    }
    void theProgramIsStartedWithThreadsThatSleepSoon()
    {
        QFETCH(QString, name);
        QFETCH(QString, value);
        QFETCH(QByteArray, found);
        auto environment = QProcessEnvironment::systemEnvironment();
        for (const char* each : {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"})
            environment.remove(each);
        if (!name.isEmpty())
            environment.insert(name, value);
        const QString program = QFileInfo(ORRERY_CLI).canonicalFilePath();
        QProcess process;
        process.setProcessEnvironment(environment);
        process.start(QDir(QFileInfo(program).path()).filePath("../bin/orrery-cli"), {"worker"});  // waits for a job
        QVERIFY(process.waitForStarted());
        const QString folder = QString("/proc/%1/").arg(process.processId());
        QTRY_COMPARE(QFileInfo(folder + "exe").symLinkTarget(), program);
        QFile file(folder + "environ");
        QVERIFY(file.open(QIODevice::ReadOnly));
        const QByteArray inside = file.readAll();
        process.kill();
        process.waitForFinished();
        QByteArray line;
        for (const auto& each : inside.split('\0'))
            if (each.startsWith("GOMP_SPINCOUNT="))
                line = each;
        QCOMPARE(line, found);
    }

    void theVersionIsSaidAtOnce()
    {
        QProcess start;
        start.start(QDir(QFileInfo(ORRERY_CLI).path()).filePath("../bin/orrery-cli"), {"--version"});
        const auto answer = test::answerOf(start);
        QCOMPARE(answer.status, 0);
        QCOMPARE(answer.out, m_cli.run({"--version"}).out);
    }

    void benchMeasuresOneThing()
    {
        const auto answer = m_cli.run({"bench", "nosuch"});
        QCOMPARE(answer.status, 2);
    }
};

QTEST_GUILESS_MAIN(CliUsageTest)
#include "cli_usage_test.moc"
