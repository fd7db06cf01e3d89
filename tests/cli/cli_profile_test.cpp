// orrery-cli profile: tables and JSON add up, pictures are written, wrong arguments are refused.
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

class CliProfileTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
private Q_SLOTS:
    void initTestCase()
    {
        models::saveModel(m_cli.path("mlp.safetensors"), zoo::buildModel("mlp", {{"features", 16}, {"hidden", {32}}, {"classes", 4}}, 3));
        m_cli.writeArray("x.npy", at::ones({8, 16}));
    }

    void costsAreCountedAndAddUp()
    {
        const auto document = m_cli.json({"profile", "mlp.safetensors", "--input", "x.npy", "--runs", "3"});
        // linear 16 -> 32, relu, linear 32 -> 4 on 8 rows.
        const std::int64_t first = 8 * 32 * (2 * 16 + 1), relu = 8 * 32, second = 8 * 4 * (2 * 32 + 1);
        QCOMPARE(document.at("flops").get<std::int64_t>(), first + relu + second);
        const std::int64_t bytes = 4 * ((8 * 16 + 16 * 32 + 32 + 8 * 32) + 2 * 8 * 32 + (8 * 32 + 32 * 4 + 4 + 8 * 4));
        QCOMPARE(document.at("bytes").get<std::int64_t>(), bytes);
        QCOMPARE(document.at("runs").get<int>(), 3);
        QCOMPARE(document.at("nodes").size(), std::size_t(3));
        QCOMPARE(document.at("modules")[0].at("flops").get<std::int64_t>(), first + relu + second);
        QVERIFY(document.at("peaks").at("gbytes_per_second").get<double>() > 0.1);
        QCOMPARE(document.at("fusion")[0].at("pattern").get<std::string>(), std::string("linear + relu"));
        QCOMPARE(document.at("fusion")[0].at("saved_bytes").get<std::int64_t>(), std::int64_t(2 * 4 * 8 * 32));
        for (const auto& node : document.at("nodes"))
            QVERIFY(node.at("seconds").get<double>() > 0);
    }

    void tablesAndPictures()
    {
        const auto answer = m_cli.compute({"profile", "mlp.safetensors", "--input", "x.npy", "--runs", "2", "--by", "node", "--sort", "time", "--svg",
                                           "flame.svg", "--roofline", "roof.svg"});
        QVERIFY2(answer.status == 0, qPrintable(answer.error));
        for (const char* text : {"fc1.linear", "relu", "out.linear", "median of 2", "GFLOP/s (product)", "linear + relu"})
            QVERIFY2(answer.out.contains(text), qPrintable(answer.out));
        const std::string flame = m_cli.read("flame.svg"), roof = m_cli.read("roof.svg");
        QVERIFY(flame.starts_with("<?xml") && flame.find("Flame chart") != std::string::npos && flame.find("fc1") != std::string::npos);
        QVERIFY(roof.find("FLOPs a byte") != std::string::npos);
        const auto byOperator = m_cli.compute({"profile", "mlp.safetensors", "--runs", "1", "--by", "operator", "--no-peaks", "--top", "1"});
        QVERIFY2(byOperator.out.contains("... and 1 more"), qPrintable(byOperator.out));
    }

    void wrongArgumentsAreRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        QTest::newRow("runs") << QStringList{"--runs", "0"} << "runs";
        QTest::newRow("by") << QStringList{"--by", "layer"} << "layer";
        QTest::newRow("svg") << QStringList{"--svg", "flame.png"} << "flame.png: expected a file ending in .svg";
        QTest::newRow("shape") << QStringList{"--input", "bad.npy"} << "bad.npy";
        QTest::newRow("roofline") << QStringList{"--no-peaks", "--roofline", "r.svg"} << "needs the measured peaks";
    }
    void wrongArgumentsAreRefused()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        m_cli.writeArray("bad.npy", at::ones({8, 15}));
        VERIFY_REFUSED(m_cli.compute(QStringList{"profile", "mlp.safetensors"} + arguments), 2, message);
    }
};

QTEST_APPLESS_MAIN(CliProfileTest)
#include "cli_profile_test.moc"
