// orrery-cli attribute --metric, on a linear model where every number is known.
#include <ATen/ATen.h>

#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

class CliAttributeMetricsTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    static QStringList command(const QStringList& more)
    {
        return QStringList{"attribute", "linear.safetensors", "--input", "x.npy", "--method", "input_x_gradient", "--target", "0"} + more;
    }
private Q_SLOTS:
    void initTestCase()
    {
        // y0 = 4 a - b + 2 c, y1 = 0; x = 1.
        auto linear = zoo::buildModel("mlp", {{"features", 3}, {"hidden", Json::array()}, {"classes", 2}}, 0);
        linear.weights.set("out.weight", at::tensor({4.f, -1.f, 2.f, 0.f, 0.f, 0.f}).reshape({2, 3}));
        linear.weights.set("out.bias", at::zeros({2}));
        models::saveModel(m_cli.path("linear.safetensors"), linear);
        m_cli.writeArray("x.npy", at::ones({1, 3}));
        m_cli.writeArray("two.npy", at::ones({2, 3}));
    }

    void deletionIsTheSumOfWhatIsLeft()
    {
        const auto document = m_cli.json(command({"--metric", "deletion", "--metric-set", "deletion.score=output"}));
        const auto& deletion = document.at("metrics").at("deletion");
        QVERIFY(deletion.at("curve").at("y") == Json({5.0, 1.0, -1.0, 0.0}));
        QVERIFY(std::abs(deletion.at("value").get<double>() - 2.5 / 3) < 1e-9);
        QCOMPARE(deletion.at("parameters").at("score").get<std::string>(), std::string("output"));
        QCOMPARE(deletion.at("parameters").at("substrate").get<std::string>(), std::string("constant"));
    }

    void severalMetricsStandSideBySide()
    {
        const auto document = m_cli.json(command({"--metric", "infidelity", "--metric", "sensitivity_max", "--metric", "pointing_game", "--metric",
                                                  "parameter_randomisation", "--metric-set", "pointing_game.box=[0,0,1,1]"}));
        const auto& metrics = document.at("metrics");
        QCOMPARE(metrics.size(), std::size_t(4));
        QVERIFY(metrics.at("infidelity").at("value").get<double>() < 1e-9);
        QCOMPARE(metrics.at("pointing_game").at("value").get<double>(), 1.0);
        // |w . noise| / |w x|, at most 0.02.
        QVERIFY(metrics.at("sensitivity_max").at("value").get<double>() <= 0.0201);
        QVERIFY(metrics.at("parameter_randomisation").at("details").at("layers") == Json({"out"}));
    }

    void severalSamplesGiveLists()
    {
        const auto document = m_cli.json({"attribute", "linear.safetensors", "--input", "two.npy", "--method", "saliency", "--target", "0",
                                          "--metric", "infidelity", "--metric", "insertion"});
        QCOMPARE(document.at("metrics").at("infidelity").at("value").size(), std::size_t(2));
        QCOMPARE(document.at("metrics").at("insertion").at("curve").at("y").size(), std::size_t(2));
    }

    void withoutMetricsTheDocumentIsAsBefore() { QVERIFY(!m_cli.json(command({})).contains("metrics")); }

    void textSaysTheSame()
    {
        const auto answer = m_cli.compute(command({"--metric", "deletion", "--metric-set", "deletion.score=output"}));
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.out.contains("deletion            0.8333"), qPrintable(answer.out));
        const auto help = m_cli.run({"attribute", "--help"});
        QVERIFY(help.out.contains("parameter_randomisation:") && help.out.contains("perturb_radius"));
        QVERIFY(m_cli.run({"list", "attribution_metric"}).out.contains("infidelity"));
    }

    void wrongRequestsAreStatusTwo_data()
    {
        QTest::addColumn<QStringList>("options");
        QTest::addColumn<QString>("message");
        QTest::newRow("unknown metric") << QStringList{"--metric", "delection"} << "did you mean \"deletion\"?";
        QTest::newRow("twice") << QStringList{"--metric", "deletion", "--metric", "deletion"} << "--metric deletion: asked for twice";
        QTest::newRow("setting of another metric") << QStringList{"--metric", "deletion", "--metric-set", "insertion.steps=3"}
                                                   << "with ID one of the metrics asked for (deletion)";
        QTest::newRow("setting without a metric") << QStringList{"--metric-set", "insertion.steps=3"} << "none: use --metric";
        QTest::newRow("out of range") << QStringList{"--metric", "deletion", "--metric-set", "deletion.steps=0"}
                                      << "deletion.steps: expected an integer in 1..";
        QTest::newRow("blur of a table") << QStringList{"--metric", "deletion", "--metric-set", "deletion.substrate=blur"} << "expected an image";
        QTest::newRow("nowhere to point") << QStringList{"--metric", "pointing_game"} << "expected one of box and mask";
    }
    void wrongRequestsAreStatusTwo()
    {
        QFETCH(QStringList, options);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(command(options));
        VERIFY_REFUSED(answer, 2, message);
        QCOMPARE(answer.out, QString());
    }
};

QTEST_GUILESS_MAIN(CliAttributeMetricsTest)
#include "cli_attribute_metrics_test.moc"
