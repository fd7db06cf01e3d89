// orrery-cli scaling coord-check and count: numbers that a person can check, plots, and every fault with its sentence.
#include <algorithm>
#include <csignal>

#include "cli_process.h"
#include "cli_runner.h"

using namespace orrery;
using core::Json;

class CliWidthTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

private Q_SLOTS:
    void initTestCase()
    {
        m_cli.write(
            "flat.yaml",
            "model: {id: mlp, hidden: [16], parametrisation: mup, base_width: 16}\ndata: digit_rows\ntrain: {optimizer: {id: sgd, lr: 0.1}}\n");
        m_cli.write("broken.yaml", "model: [\n");
    }

    void aCheckTellsMupFromTheStandardOne()
    {
        const auto exponent = [&](const char* parametrisation) {
            const Json check = m_cli.json({"scaling", "coord-check", "zoo:mlp?hidden=64,64", "--widths", "64,128,256", "--parametrisation",
                                           parametrisation, "--lr", "0.002", "--seeds", "1", "--steps", "3"});
            for (const Json& slope : check["slopes"])
                if (slope["layer"] == "fc2" && slope["step"] == 3)
                    return slope["change"].get<double>();
            return std::nan("");
        };
        QVERIFY(std::abs(exponent("mup")) < 0.15);
        QVERIFY(exponent("standard") > 0.5);
    }

    void aCheckIsATableAndAPlot()
    {
        const auto answer =
            m_cli.compute({"scaling", "coord-check", "flat.yaml", "--widths", "16,32", "--seeds", "1", "--steps", "2", "--plot", "flat.svg"});
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.out.startsWith("mlp mup, mean |change| after 2 steps, 1 seeds"), qPrintable(answer.out));
        QVERIFY(answer.out.contains("fc1") && answer.out.contains("written to flat.svg"));
        QVERIFY(m_cli.read("flat.svg").starts_with("<svg") || m_cli.read("flat.svg").starts_with("<?xml"));
    }

    void ratesGiveALossAtEachWidth()
    {
        const Json sweep =
            m_cli.json({"scaling", "coord-check", "flat.yaml", "--widths", "16,32", "--seeds", "1", "--steps", "3", "--rates", "0.01,0.5,1e20"});
        QCOMPARE(sweep["widths"].size(), std::size_t(2));
        QCOMPARE(sweep["widths"][0]["best_rate"].get<double>(), 0.5);
        QVERIFY(sweep["widths"][1]["loss"][2].is_null() || sweep["widths"][1]["loss"][2].get<double>() > sweep["widths"][1]["loss"][1].get<double>());
    }

    void modelsOfSeveralBudgetsAreTrainedAndTabled()
    {
        m_cli.write("small.yaml", "model: {id: mlp, hidden: [8]}\ndata: {id: iris}\ntrain: {batch_size: 16}\n");
        m_cli.write("wide.yaml", "model: {id: mlp, hidden: [32]}\ndata: {id: iris}\ntrain: {batch_size: 16}\n");
        const Json rows = m_cli.json({"scaling", "equal-compute", "small.yaml", "wide.yaml", "--budget-seconds", "0.02,0.06", "--measure-seconds",
                                      "0.1", "--train", "--out", "rows.csv", "--workspace", "w"})["rows"];
        QCOMPARE(rows.size(), std::size_t(4));
        for (std::size_t i = 0; i < 4; ++i) {
            const double budget = i % 2 ? 0.06 : 0.02, step = rows[i]["step_seconds"].get<double>();
            QVERIFY(rows[i]["compute"].get<double>() <= budget && rows[i]["compute"].get<double>() > budget - step);
            QCOMPARE(step, rows[i - i % 2]["step_seconds"].get<double>());  // measured once
            const Json run = m_cli.json({"runs", "show", QString::number(i + 1), "--workspace", "w"});
            QCOMPARE(run["metrics"]["test/loss"].get<double>(), rows[i]["loss"].get<double>());
            QVERIFY(run["document"]["train"]["steps"] == rows[i]["steps"]);
            const Json again = m_cli.json({"evaluate", QString("run:%1").arg(i + 1), "--workspace", "w"});
            QVERIFY(std::abs(again["metrics"]["loss"].get<double>() - rows[i]["loss"].get<double>()) < 1e-6);
        }
        QVERIFY(m_cli.read("rows.csv").starts_with("model,N,D,compute,flops,steps,step_seconds,loss\n"));
        // Two of one architecture are two models: each by its document's name.
        QVERIFY(rows[0]["model"] == "small" && rows[3]["model"] == "wide" && !m_cli.has("rows-mlp.csv"));
        for (const char* const file : {"rows-small.csv", "rows-wide.csv"}) {
            const std::string table = m_cli.read(file);
            QCOMPARE(std::count(table.begin(), table.end(), '\n'), std::ptrdiff_t(3));
        }
        VERIFY_REFUSED(m_cli.compute({"scaling", "equal-compute", "small.yaml", "--budget-seconds", "0.02,-1"}), 2, "budget-seconds");
    }

    void countsAreThoseOfTheFormula()
    {
        const Json mlp = m_cli.json({"scaling", "count", "zoo:mlp?features=4&hidden=8&classes=2", "--batch", "3"});
        QCOMPARE(mlp["parameters"].get<std::int64_t>(), std::int64_t(4 * 8 + 8 + 8 * 2 + 2));
        QCOMPARE(mlp["forward"].get<std::int64_t>(), std::int64_t(3 * (8 * (2 * 4 + 1) + 8 + 2 * (2 * 8 + 1))));
        QVERIFY(mlp["forward_formula"] == mlp["forward"]);
        const Json gpt = m_cli.json({"scaling", "count", "zoo:gpt?vocabulary=16&block_length=8&layers=1&heads=2&width=16", "--batch", "2", "--length",
                                     "4", "--budget-seconds", "10", "--measure-seconds", "0"});
        QCOMPARE(gpt["tokens"].get<std::int64_t>(), std::int64_t(8));
        QCOMPARE(gpt["embedding_parameters"].get<std::int64_t>(), std::int64_t(16 * 16 + 8 * 16));
        const Json& speed = gpt["throughput"];
        // A budget in tokens is throughput times time, to a whole step.
        QVERIFY(std::abs(speed["budget_tokens"].get<double>() - 10 * speed["tokens_per_second"].get<double>()) <= 8);
        QCOMPARE(speed["budget_tokens"].get<std::int64_t>(), speed["budget_steps"].get<std::int64_t>() * 8);
    }

    void faults_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<int>("status");
        QTest::addColumn<QString>("sentence");
        const QStringList check{"scaling", "coord-check"}, count{"scaling", "count"};
        QTest::newRow("no model") << check << 2 << "MODEL is required";
        QTest::newRow("no such file") << check + QStringList{"nowhere.yaml"} << 2 << "nowhere.yaml";
        QTest::newRow("damaged document") << check + QStringList{"broken.yaml"} << 2 << "broken.yaml";
        QTest::newRow("architecture without a width")
            << check + QStringList{"zoo:lenet"} << 2 << "expected an architecture with a width (mlp, gpt, vit, lstm)";
        QTest::newRow("one width") << check + QStringList{"zoo:mlp", "--widths", "64"} << 2 << "expected at least two different ones";
        QTest::newRow("width that is no number") << check + QStringList{"zoo:mlp", "--widths", "64,wide"} << 2 << "wide";
        QTest::newRow("unknown parametrisation") << check + QStringList{"zoo:mlp", "--parametrisation", "mpu"} << 2
                                                 << "expected one of standard, mup, ntk, mean_field, got \"mpu\"";
        QTest::newRow("kernel with Adam") << check + QStringList{"zoo:mlp", "--parametrisation", "ntk"} << 2
                                          << "expected sgd with the parametrisation ntk";
        QTest::newRow("heads that do not divide") << check + QStringList{"zoo:gpt?heads=5&width=20&layers=1", "--widths", "32,64"} << 2 << "5 heads";
        QTest::newRow("negative rate") << check + QStringList{"zoo:mlp", "--rates", "-1"} << 2 << "expected numbers above 0, got -1";
        QTest::newRow("a training that diverges") << check + QStringList{"zoo:mlp", "--widths", "16,32", "--optimizer", "sgd", "--lr", "1e30"} << 1
                                                  << "take a smaller learning rate";
        QTest::newRow("folder that is not there") << check + QStringList{"flat.yaml", "--widths", "16,32",  "--seeds",    "1",
                                                                         "--steps",   "1",        "--plot", "no/plot.svg"}
                                                  << 1 << "no/plot.svg";
        QTest::newRow("plot of another kind") << check + QStringList{"flat.yaml", "--plot", "plot.png"} << 2 << "expected a file ending in .svg";
        QTest::newRow("count: no such model") << count + QStringList{"zoo:nothing"} << 2 << "nothing";
        QTest::newRow("count: too long") << count + QStringList{"zoo:gpt?layers=1&heads=1&width=8&block_length=8", "--length", "9"} << 2
                                         << "expected at most 8";
        const QStringList equal{"scaling", "equal-compute"};
        QTest::newRow("equal compute: no such document")
            << equal + QStringList{"nowhere.yaml", "--budget-seconds", "1"} << 2 << "nowhere.yaml: no such file";
        QTest::newRow("equal compute: no step fits") << equal + QStringList{"flat.yaml", "--budget-seconds", "1e-9", "--measure-seconds", "0"} << 2
                                                     << "mlp: expected a budget of at least one training step (";
        QTest::newRow("equal compute: endless") << equal + QStringList{"flat.yaml", "--budget-seconds", "inf"} << 2
                                                << "expected a finite number above 0, got \"inf\"";
        QTest::newRow("equal compute: nowhere to write")
            << equal + QStringList{"flat.yaml", "--budget-seconds", "1", "--out", "no/rows.csv"} << 1 << "no/rows.csv: cannot be written";
        QTest::newRow("equal compute: a training that diverges")
            << equal + QStringList{"flat.yaml", "--budget-seconds", "1", "--set", "train.optimizer.lr=1e30"} << 1 << "not finite";
        QTest::newRow("count: budget of nothing") << count + QStringList{"zoo:mlp", "--budget-seconds", "0"} << 2 << "budget-seconds";
    }
    void faults()
    {
        QFETCH(QStringList, arguments);
        QFETCH(int, status);
        QFETCH(QString, sentence);
        const auto answer = m_cli.compute(arguments);
        VERIFY_REFUSED(answer, status, sentence);
    }

    void aCheckIsInterrupted()
    {
        QProcess process;
        m_cli.start(process,
                    {"scaling", "coord-check", "flat.yaml", "--widths", "16,32", "--steps", "90000", "--threads", "1", "--plot", "late.svg"});
        QTRY_VERIFY_WITH_TIMEOUT(test::computedSeconds(process.processId()) > 1.5, 60'000);
        ::kill(pid_t(process.processId()), SIGINT);
        QVERIFY(process.waitForFinished(20'000));
        QCOMPARE(process.exitCode(), 130);
        QVERIFY(!m_cli.has("late.svg"));
    }
};

QTEST_GUILESS_MAIN(CliWidthTest)
#include "cli_width_test.moc"
