// orrery-cli predict --leave-out: ablation by hand on a linear model where every answer is known; attribute --metrics kept in a workspace.
#include <ATen/ATen.h>

#include <csignal>

#include <core/explain/stored.h>
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;
using core::Json;

class CliLeaveOutTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    Json predict(const QStringList& more) const { return m_cli.json(QStringList{"predict", "linear.safetensors", "--input", "x.npy"} + more); }
    const Json& classes(const Json& document, std::size_t sample = 0) const { return document.at("predictions")[sample].at("classes"); }
private Q_SLOTS:
    void initTestCase()
    {
        // y0 = 2 a - b + c, y1 = 0.
        auto linear = zoo::buildModel("mlp", {{"features", 3}, {"hidden", Json::array()}, {"classes", 2}}, 0);
        linear.weights.set("out.weight", at::tensor({2.f, -1.f, 1.f, 0.f, 0.f, 0.f}).reshape({2, 3}));
        linear.weights.set("out.bias", at::zeros({2}));
        models::saveModel(m_cli.path("linear.safetensors"), linear);
        m_cli.writeArray("x.npy", at::tensor({1.f, 2.f, 0.5f}).unsqueeze(0));
    }

    // y0 = 0.5 before; without a and c it is -2, and with both set to 1 it is 1.
    void theAnswerWithoutIsThatOfTheSum()
    {
        const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
        const auto probability = [&](const Json& document, const char* key) {
            for (const auto& score : classes(document))
                if (score.at("class") == 0)
                    return score.at(key).get<double>();
            return std::nan("");
        };
        const auto without = predict({"--leave-out", "0,2"});
        QVERIFY(without.at("left_out") == Json({{"site", "table"}, {"elements", {0, 2}}, {"set_to", 0.0}}));
        QVERIFY(std::abs(probability(without, "probability") - sigmoid(-2)) < 1e-6);
        QVERIFY(std::abs(probability(without, "before") - sigmoid(0.5)) < 1e-6);
        QVERIFY(std::abs(probability(without, "change") - (sigmoid(-2) - sigmoid(0.5))) < 1e-6);
        const auto set = predict({"--leave-out", "0-0,2", "--set-to", "1"});
        QVERIFY(std::abs(probability(set, "probability") - sigmoid(1)) < 1e-6);
        const auto plain = predict({});
        QVERIFY(!plain.contains("left_out") && !classes(plain)[0].contains("before"));
        QVERIFY(std::abs(probability(plain, "probability") - sigmoid(0.5)) < 1e-6);
        QVERIFY(
            m_cli.compute({"predict", "linear.safetensors", "--input", "x.npy", "--leave-out", "0,2"}).out.contains("before 0.6225  change -0.5033"));
    }

    void rangesNameManyElements()
    {
        m_cli.writeArray("image.npy", at::arange(64, at::kFloat).reshape({1, 1, 8, 8}).sin());
        const char* model = "zoo:lenet?image_size=8&maps=3,4&kernel=3&padding=1&hidden=8";
        const auto document = m_cli.json({"predict", model, "--input", "image.npy", "--leave-out", "10-12,63", "--out", "y.npy"});
        QVERIFY(document.at("left_out").at("elements") == Json({10, 11, 12, 63}));
        auto image = at::arange(64, at::kFloat).sin();
        for (int i : {10, 11, 12, 63})
            image[i] = 0;
        m_cli.writeArray("by_hand.npy", image.reshape({1, 1, 8, 8}));
        m_cli.json({"forward", model, "--input", "by_hand.npy", "--out", "z.npy"});
        QVERIFY(at::equal(m_cli.array("y.npy"), m_cli.array("z.npy")));
    }

    void wrongRequestsAreStatusTwo_data()
    {
        QTest::addColumn<QStringList>("options");
        QTest::addColumn<QString>("message");
        QTest::newRow("outside") << QStringList{"--leave-out", "3"} << "element: expected 0..2 (\"table\" is [1, 3]), got 3";
        QTest::newRow("no number") << QStringList{"--leave-out", "1,two"}
                                   << "--leave-out 1,two: expected numbers and ranges from 0, such as 3,10-14, got \"two\"";
        QTest::newRow("range the wrong way") << QStringList{"--leave-out", "2-1"} << "got \"2-1\"";
        QTest::newRow("negative") << QStringList{"--leave-out=-1"} << "got \"-1\"";
        QTest::newRow("endless range") << QStringList{"--leave-out", "0-999999999999"} << "got \"0-999999999999\"";
        QTest::newRow("set to without leaving out") << QStringList{"--set-to", "1"} << "--leave-out";
    }
    void wrongRequestsAreStatusTwo()
    {
        QFETCH(QStringList, options);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(QStringList{"predict", "linear.safetensors", "--input", "x.npy"} + options);
        VERIFY_REFUSED(answer, 2, message);
        QCOMPARE(answer.out, QString());
    }

    // Each sample's metrics lie with its own analysis, the same numbers as printed.
    void metricsAreKeptWithTheirAnalysis()
    {
        m_cli.write("small.yaml", test::kSmallTraining);
        m_cli.json({"train", "small.yaml", "--set", "train.epochs=1", "--threads", "1", "--workspace", "w"});
        const auto document = m_cli.json({"attribute", "run:1", "--workspace", "w", "--sample", "0", "--sample", "3", "--split", "test", "--method",
                                          "input_x_gradient", "--metrics", "deletion,sensitivity_max", "--metric-set", "deletion.steps=8"});
        const auto& metrics = document.at("metrics");
        QCOMPARE(document.at("analyses").size(), std::size_t(2));
        const auto workspace = store::Workspace::open(m_cli.path("w"));
        for (std::size_t i = 0; i < 2; ++i) {
            const auto stored = explain::readAttribution(*workspace, document.at("analyses")[i].get<std::int64_t>());
            QCOMPARE(stored.metrics.size(), std::size_t(2));
            QVERIFY(stored.metrics.at("deletion").at("value") == metrics.at("deletion").at("value")[i]);
            QVERIFY(stored.metrics.at("deletion").at("curve").at("y") == metrics.at("deletion").at("curve").at("y")[i]);
            QVERIFY(stored.metrics.at("deletion").at("reference").at("y") == metrics.at("deletion").at("reference").at("y")[i]);
            QVERIFY(stored.metrics.at("sensitivity_max").at("value") == metrics.at("sensitivity_max").at("value")[i]);
            QCOMPARE(stored.attribution.sizes().vec(), (std::vector<std::int64_t>{1, 8, 8}));
            QCOMPARE(stored.analysis.inputs.at("sample").get<int>(), i == 0 ? 0 : 3);
        }
        // A damaged file is said to be one.
        const auto id = document.at("analyses")[0].get<std::int64_t>();
        workspace->addAnalysisArtifact(id, {"metrics", "application/json", {}}, "{cut");
        try {
            explain::readAttribution(*workspace, id);
            QFAIL("a damaged file was read");
        } catch (const core::FormatError& error) {
            QVERIFY(QString(error.what()).contains("metrics: expected a JSON object"));
        }
        // Measured again, it is whole again.
        explain::MeasuredMetric again;
        again.id = "infidelity";
        again.result.value = at::tensor({0.5}, at::kDouble);
        explain::storeMetrics(*workspace, id, {again});
        const auto mended = explain::readAttribution(*workspace, id).metrics;
        QVERIFY(mended.size() == 1 && mended.at("infidelity").at("value") == 0.5);
    }

    // Ended while it measures: the attribution and the metric before are there, the one that was interrupted is not, and the workspace is whole.
    void endedWhileMeasuringWhatWasKnownIsKept_data()
    {
        QTest::addColumn<int>("signal");
        QTest::newRow("killed") << SIGKILL;
        QTest::newRow("interrupted") << SIGINT;
    }
    void endedWhileMeasuringWhatWasKnownIsKept()
    {
        QFETCH(int, signal);
        const test::Cli cli;
        cli.write("small.yaml", test::kSmallTraining);
        cli.json({"train", "small.yaml", "--set", "train.epochs=1", "--threads", "1", "--workspace", "w"});
        QProcess process;
        cli.start(process, {"attribute", "run:1", "--workspace", "w", "--sample", "0", "--split", "test", "--threads", "1", "--method", "saliency",
                            "--metrics", "deletion,sensitivity_max", "--metric-set", "sensitivity_max.n_perturb_samples=1000000"});
        const auto workspace = store::Workspace::open(cli.path("w"));
        const auto isMeasured = [&] {
            const auto analyses = workspace->analyses(1);
            return !analyses.empty() && analyses[0].artifacts.size() == 3;
        };
        QTRY_VERIFY_WITH_TIMEOUT(isMeasured(), 60000);
        ::kill(pid_t(process.processId()), signal);
        QVERIFY(process.waitForFinished(20'000));
        if (signal == SIGINT)
            QCOMPARE(process.exitCode(), 130);
        QVERIFY(workspace->check().empty());
        const auto stored = explain::readAttribution(*workspace, workspace->analyses(1).at(0).id);
        QCOMPARE(stored.metrics.size(), std::size_t(1));
        QVERIFY(stored.metrics.contains("deletion"));
    }
};

QTEST_GUILESS_MAIN(CliLeaveOutTest)
#include "cli_leave_out_test.moc"
