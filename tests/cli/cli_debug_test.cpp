// orrery-cli debug and diff-run: sessions from scripts, pipes and --command; what two runs differ in.
#include <core/graph/executor.h>
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "../core/graph/sample_graphs.h"
#include "cli_runner.h"

using namespace orrery;
using core::Json;

class CliDebugTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
    graph::Model m_model;
    at::Tensor m_x;

    /// A session on the small network with commands one after the other.
    QStringList session(const QStringList& commands) const
    {
        QStringList words{"debug", "mlp.safetensors", "--input", "x.npy"};
        for (const auto& command : commands)
            words << "--command" << command;
        return words;
    }
private Q_SLOTS:
    void initTestCase()
    {
        m_model = zoo::buildModel("mlp", {{"features", 6}, {"hidden", {8, 5}}, {"classes", 3}}, 3);
        models::saveModel(m_cli.path("mlp.safetensors"), m_model);
        m_x = at::randn({2, 6}, at::detail::createCPUGenerator(1), at::TensorOptions());
        m_cli.writeArray("x.npy", m_x);
        auto changed = m_model;
        changed.weights = m_model.weights.clone();
        changed.weights.at("fc2.bias")[1] += 0.05;
        models::saveModel(m_cli.path("changed.safetensors"), changed);
        auto broken = m_model;
        broken.weights = m_model.weights.clone();
        broken.weights.at("fc2.weight")[0][0] = std::nan("");
        models::saveModel(m_cli.path("nan.safetensors"), broken);
        models::saveModel(m_cli.path("loop.safetensors"), graph::loopModel(3));
        m_cli.writeArray("rows.npy", at::randn({3, 4}, at::detail::createCPUGenerator(2), at::TensorOptions()));
        m_cli.writeArray("h0.npy", at::zeros({4}));
        m_cli.writeArray("two.npy", at::zeros({2, 4}));
    }

    void steppingAndPrinting()
    {
        const auto document = m_cli.json(session({"next", "until op:relu", "next", "print relu", "continue", "print out.linear[1, 2]"}));
        const auto& stops = document.at("stops");
        QCOMPARE(stops.size(), std::size_t(4));
        QCOMPARE(stops[0].at("command").get<std::string>(), std::string("next"));
        QCOMPARE(stops[0].at("node").get<std::string>(), std::string("relu"));
        QCOMPARE(stops[3].at("reason").get<std::string>(), std::string("end"));
        QVERIFY(stops[3].at("at_end").get<bool>());
        const at::Tensor hidden = at::relu(at::linear(m_x, m_model.weights.at("fc1.weight"), m_model.weights.at("fc1.bias")));
        const auto& printed = document.at("printed");
        QCOMPARE(printed[0].at("shape").get<std::vector<std::int64_t>>(), (std::vector<std::int64_t>{2, 8}));
        for (int i = 0; i < 2; ++i)
            for (int k = 0; k < 8; ++k)
                QCOMPARE(printed[0].at("values")[i][k].get<double>(), hidden[i][k].item<double>());
        const double logit = graph::Executor(m_model.graph).forward(m_model.weights, {m_x})[1][2].item<double>();
        QCOMPARE(printed[1].at("values").get<double>(), logit);
    }

    void aScriptBreaksWatchesAndEdits()
    {
        m_cli.write("script.txt", "# a session\nbreak op:relu\nwatch max(fc1.linear)\ncontinue\nset fc1.linear = 1\ncontinue\nprint relu\n"
                                  "save fc2.linear[0] part.npy\nunset fc1.linear\ndelete\ncontinue\nprint mean(out.linear)\nquit\nnever reached\n");
        const auto answer = m_cli.compute({"debug", "mlp.safetensors", "--input", "x.npy", "--script", "script.txt"});
        QVERIFY2(answer.status == 0, qPrintable(answer.error));
        QVERIFY2(answer.out.contains("breakpoint 1: op:relu"), qPrintable(answer.out));
        QVERIFY2(answer.out.contains("watch max(fc1.linear) = float64 [] [1]"), qPrintable(answer.out));
        const at::Tensor expected = at::linear(at::ones({1, 8}), m_model.weights.at("fc2.weight"), m_model.weights.at("fc2.bias"))[0];
        QVERIFY(at::allclose(m_cli.array("part.npy"), expected, 1e-5, 1e-6));
        const double mean = graph::Executor(m_model.graph).forward(m_model.weights, {m_x}).to(at::kDouble).mean().item<double>();
        QVERIFY2(answer.out.contains(QString::number(mean, 'g', 5)), qPrintable(answer.out));
    }

    void standardInputIsReadToo()
    {
        QProcess process;
        m_cli.start(process, {"debug", "mlp.safetensors", "--input", "x.npy", "--break-if", "max > -1000"});
        QVERIFY(process.waitForStarted());
        process.write("continue\n\n\ninfo breakpoints\n");
        process.closeWriteChannel();
        const auto answer = test::answerOf(process);
        QVERIFY2(answer.status == 0, qPrintable(answer.error));
        QCOMPARE(answer.out.count("breakpoint 1: "), 3);  // an empty line repeats
        QVERIFY2(answer.out.contains("any value if max>-1000, hit 3 times"), qPrintable(answer.out));
    }

    void nanIsFoundWhereItBegins()
    {
        const auto document = m_cli.json({"debug", "nan.safetensors", "--input", "x.npy", "--break-if", "nan", "--command", "continue"});
        QCOMPARE(document.at("stops")[0].at("reason").get<std::string>(), std::string("condition"));
        QCOMPARE(document.at("stops")[0].at("value").get<std::string>(), std::string("fc2.linear"));
        QCOMPARE(document.at("stops")[0].at("text").get<std::string>(), std::string("2 NaN in 10 elements"));
    }

    void loopsAndGradients()
    {
        const auto document =
            m_cli.json({"debug",     "loop.safetensors", "--input",   "x=rows.npy",       "--input",          "h0=h0.npy",    "--break",
                        "cell[1]",   "--command",        "continue",  "--command",        "print cell[0][2]", "--command",    "delete",
                        "--command", "continue",         "--command", "backward last[0]", "--command",        "print grad(x)"});
        QCOMPARE(document.at("stops")[0].at("node").get<std::string>(), std::string("cell[1]"));
        const at::Tensor rows = m_cli.array("rows.npy");
        QVERIFY(std::abs(document.at("printed")[0].at("values").get<double>() - std::tanh(rows[0][2].item<double>())) < 1e-6);
        // h3 = tanh(x2 + tanh(x1 + tanh(x0))); only column 0 depends on column 0.
        at::Tensor leaf = rows.clone().requires_grad_(true), h = at::zeros({4});
        for (int i = 0; i < 3; ++i)
            h = at::tanh(leaf[i] + h);
        h[0].backward();
        for (int i = 0; i < 3; ++i)
            for (int k = 0; k < 4; ++k)
                QVERIFY(std::abs(document.at("printed")[1].at("values")[i][k].get<double>() - leaf.grad()[i][k].item<double>()) < 1e-6);
    }

    void badSessionsAreRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        const QStringList open{"debug", "mlp.safetensors", "--input", "x.npy"};
        QTest::newRow("command") << open + QStringList{"--command", "nexxt"} << "unknown command \"nexxt\"; did you mean \"next\"?";
        QTest::newRow("break") << open + QStringList{"--break", "fc9"} << "no value fits \"fc9\"";
        QTest::newRow("condition") << open + QStringList{"--break-if", "maxx > 3"} << "no statistic \"maxx\"";
        QTest::newRow("script") << open + QStringList{"--script", "missing.txt"} << "missing.txt: expected a script";
        QTest::newRow("input") << QStringList{"debug", "mlp.safetensors", "--command", "next"} << "expected one of --input FILE, --sample N";
        QTest::newRow("place") << open + QStringList{"--command", "info everything"} << "--command: info: no \"everything\"";
    }
    void badSessionsAreRefused()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        VERIFY_REFUSED(m_cli.compute(arguments), 2, message);
    }

    void valuesMayHaveNumbersForNames()
    {
        const QString file = QStringLiteral(ORRERY_SOURCE_DIR "/tests/data/onnx/mlp-qdq.onnx");
        const auto document = m_cli.json({"debug", file, "--example", "--command", "continue", "--command", "print 15_DequantizeLinear"});
        QVERIFY(!document.at("printed")[0].at("values").empty());
        // What is rounded has no gradient; the value itself is found.
        VERIFY_REFUSED(m_cli.compute({"debug", file, "--example", "--command", "backward"}), 2, "what is differentiated does not depend on an input");
    }

    void aPersonMayMistype()
    {
        // At a terminal a mistake is told, and the session goes on.
        QProcess process;
        auto environment = QProcessEnvironment::systemEnvironment();
        environment.remove("ORRERY_WORKSPACE");
        process.setProcessEnvironment(environment);
        process.setWorkingDirectory(QString::fromStdString(m_cli.path().string()));
        process.start("script", {"-qec", QStringLiteral("'%1' debug mlp.safetensors --input x.npy --threads 1").arg(ORRERY_CLI), "/dev/null"});
        if (!process.waitForStarted())
            QSKIP("no program script(1) here, which makes a terminal");
        process.write("nexxt\nprint out.linear\nnext x\nnext\nset fc1.linear[9] = 3\nprint fc1.linear ** 2\nquit now\ninfo run\nquit\n");
        const auto answer = test::answerOf(process);
        qsizetype at = 0;
        for (const char* said :
             {"unknown command \"nexxt\"; did you mean \"next\"?", "is not computed yet", "expected a whole number of at least 1", "line 2 of 5",
              "index 9 is out of range", "\"fc1.linear ** 2\", column 13", "expected nothing behind it, got \"now\"", "1 of 5 lines done"}) {
            at = answer.out.indexOf(QLatin1String(said), at);
            QVERIFY2(at >= 0, qPrintable(QString(said) + "\nin: " + answer.out));
        }
        QCOMPARE(answer.status, 0);
    }

    void aNodeThatFailsEndsWithStatusOne()
    {
        const auto answer = m_cli.compute({"debug", "loop.safetensors", "--input", "x=two.npy", "--input", "h0=h0.npy", "--command", "continue"});
        QCOMPARE(answer.status, 1);
        QVERIFY2(answer.out.contains("failed: ") && answer.out.contains("row[2]"), qPrintable(answer.out));
    }

    void helpNamesEveryCommand()
    {
        const auto answer = m_cli.compute(session({"help", "help break"}));
        for (const char* word : {"next", "step", "finish", "continue", "until", "back", "watch", "print", "set", "backward", "quit"})
            QVERIFY2(answer.out.contains(QString("\n") + word) || answer.out.startsWith(word), word);
        QVERIFY(answer.out.contains("short: b"));
        QVERIFY(m_cli.run({"debug", "--help"}).out.contains("--break-if"));
    }

    void twoRunsAreEqualOrNamedWhereTheyDiffer()
    {
        const auto same = m_cli.json({"diff-run", "mlp.safetensors", "mlp.safetensors", "--input", "x.npy"});
        QVERIFY(same.at("first").is_null());
        QVERIFY(same.at("same_graph").get<bool>());
        const auto answer = m_cli.compute({"diff-run", "mlp.safetensors", "changed.safetensors", "--input", "x.npy"});
        QCOMPARE(answer.status, 1);
        QVERIFY2(answer.out.startsWith("first difference at fc2.linear (aten::linear)"), qPrintable(answer.out));
        const auto loose = m_cli.compute({"diff-run", "mlp.safetensors", "changed.safetensors", "--input", "x.npy", "--atol", "1"});
        QCOMPARE(loose.status, 0);
        // Models that have nothing in common are not "equal in 0 values".
        const auto apart = m_cli.compute({"diff-run", "zoo:resnet", "zoo:gpt", "--example"});
        QCOMPARE(apart.status, 1);
        QVERIFY2(apart.out.startsWith("nothing was compared: no value of one run has a counterpart"), qPrintable(apart.out));
        const auto json = m_cli.compute({"diff-run", "mlp.safetensors", "changed.safetensors", "--input", "x.npy", "--all", "--json"}).json();
        QCOMPARE(json.at("first").at("a").get<std::string>(), std::string("fc2.linear"));
        QCOMPARE(json.at("values").size(), m_model.graph->nodes().size());
        QCOMPARE(json.at("first").at("worst")[1].get<int>(), 1);  // the output that the changed row feeds
    }

    void randomGraphsAgree()
    {
        const auto document = m_cli.json({"check-graphs", "--count", "8", "--seed", "5"});
        QCOMPARE(document.at("graphs").get<int>(), 8);
        QVERIFY(document.at("disagreements").empty());
        VERIFY_REFUSED(m_cli.compute({"check-graphs", "--count", "0"}), 2, "count");
        // A planted bug is found, and the model that shows it opens.
        const auto broken =
            m_cli.compute({"check-graphs", "--count", "8", "--path", "none", "--break", "aten::tanh", "--out-dir", "broken", "--json"});
        QCOMPARE(broken.status, 1);
        const auto found = broken.json().at("disagreements");
        QVERIFY(!found.empty());
        const auto inspected = m_cli.json({"inspect", QString::fromStdString(found[0].at("file").get<std::string>())});
        QVERIFY(!inspected.at("nodes").empty());
        const auto rules = m_cli.json({"check-graphs", "--learn-rules", "20"});
        QVERIFY(rules.at("recorded").at("rejected").get<double>() >= 0.9 * rules.at("recorded").at("invalid").get<double>());
    }

    void dtypesAndThreadsAreCompared()
    {
        const auto half = m_cli.json({"diff-run", "mlp.safetensors", "mlp.safetensors", "--input", "x.npy", "--dtype-b", "float64", "--all"});
        QCOMPARE(half.at("values")[0].at("dtype_b").get<std::string>(), std::string("float64"));
        QVERIFY(half.at("values")[0].at("max_absolute").get<double>() > 0);
        QVERIFY(m_cli.json({"diff-run", "mlp.safetensors", "mlp.safetensors", "--input", "x.npy", "--threads-b", "2"}).at("first").is_null());
        VERIFY_REFUSED(m_cli.compute({"diff-run", "mlp.safetensors", "mlp.safetensors", "--input", "x.npy", "--rtol", "-1"}), 2, "rtol");
        VERIFY_REFUSED(m_cli.compute({"diff-run", "mlp.safetensors", "absent.safetensors", "--input", "x.npy"}), 2, "absent.safetensors");
    }
};

QTEST_APPLESS_MAIN(CliDebugTest)
#include "cli_debug_test.moc"
