// orrery-cli profile: tables and JSON add up, pictures are written, wrong arguments are refused.
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "../core/graph/sample_graphs.h"
#include "cli_runner.h"

using namespace orrery;
using core::Json;

class CliProfileTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
private Q_SLOTS:
    void initTestCase()
    {
        qputenv("XDG_CACHE_HOME", QByteArray::fromStdString(m_cli.path("cache").string()));
        models::saveModel(m_cli.path("mlp.safetensors"), zoo::buildModel("mlp", {{"features", 16}, {"hidden", {32}}, {"classes", 4}}, 3));
        models::saveModel(m_cli.path("loops.safetensors"), graph::loopsInLoopModel());
        m_cli.writeArray("x.npy", at::ones({8, 16}));
    }

    void peaksAreKeptAndMeasuredOnDemand()
    {
        const auto measured = m_cli.json({"profile", "--measure-peaks"});
        QVERIFY(measured.at("gbytes_per_second").get<double>() > 0.1 && measured.at("gflops").get<double>() > 0.1);
        // The numbers of the file are those that are taken, and told with their age.
        Json kept = Json::parse(m_cli.read("cache/orrery/machine-peaks.json"));
        QCOMPARE(kept.at("peaks").size(), std::size_t(1));
        QCOMPARE(kept["peaks"][0].at("machine").at("threads").get<int>(), 1);
        kept["peaks"][0].update({{"gflops", 1234.5}, {"gbytes_per_second", 50}, {"date", "2001-02-03T04:05:06.000Z"}, {"rounds", 20}});
        m_cli.write("cache/orrery/machine-peaks.json", kept.dump());
        const auto document = m_cli.json({"profile", "mlp.safetensors", "--input", "x.npy", "--runs", "1"});
        QCOMPARE(document.at("peaks").at("gflops").get<double>(), 1234.5);
        QCOMPARE(document.at("peaks").at("date").get<std::string>(), std::string("2001-02-03T04:05:06.000Z"));
        const auto answer = m_cli.compute({"profile", "mlp.safetensors", "--input", "x.npy", "--runs", "1"});
        QVERIFY2(answer.out.contains("1234 GFLOP/s") || answer.out.contains("1235 GFLOP/s"), qPrintable(answer.out));
        QVERIFY2(answer.out.contains(" days ago"), qPrintable(answer.out));
        // A peak that is too low is noticed.
        kept["peaks"][0].update({{"gflops", 1e-6}});
        m_cli.write("cache/orrery/machine-peaks.json", kept.dump());
        const auto low = m_cli.compute({"profile", "mlp.safetensors", "--input", "x.npy", "--runs", "1"});
        QVERIFY2(low.out.contains("3 nodes ran faster than the measured peak"), qPrintable(low.out));
        VERIFY_REFUSED(m_cli.compute({"profile", "mlp.safetensors", "--measure-peaks", "--no-peaks"}), 2, "no-peaks");
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
        for (const auto& node : document.at("nodes")) {
            const double seconds = node.at("seconds").get<double>();
            QVERIFY(seconds > 0 && node.at("quartiles")[0].get<double>() <= seconds && seconds <= node.at("quartiles")[1].get<double>());
        }
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
        // By itself: modules, or nodes where there are none.
        const auto byModule = m_cli.compute({"profile", "mlp.safetensors", "--runs", "1", "--no-peaks"});
        QVERIFY2(byModule.out.contains("(whole model)") && !byModule.out.contains("aten::linear"), qPrintable(byModule.out));
        const auto byNode = m_cli.compute({"profile", ORRERY_TEST_DATA "/onnx/mlp.onnx", "--runs", "1", "--no-peaks"});
        QVERIFY2(byNode.out.contains("aten::linear") || byNode.out.contains("aten::matmul"), qPrintable(byNode.out + byNode.error));
        const auto byOperator = m_cli.compute({"profile", "mlp.safetensors", "--runs", "1", "--by", "operator", "--no-peaks", "--top", "1"});
        QVERIFY2(byOperator.out.contains("... and 1 more"), qPrintable(byOperator.out));
        // Where nothing can be written nothing is measured.
        const auto nowhere = m_cli.compute({"profile", "mlp.safetensors", "--input", "missing.npy", "--svg", "nowhere/flame.svg"});
        VERIFY_REFUSED(nowhere, 1, "nowhere");
    }

    void loopsAreListedStepByStep()
    {
        const QString rnn = "loops.safetensors";
        const auto document = m_cli.json({"profile", rnn, "--runs", "1", "--no-peaks", "--steps", "steps.svg"});
        QCOMPARE(document.at("loops").size(), std::size_t(2));
        std::map<std::string, Json> nodes;
        for (const auto& node : document.at("nodes"))
            nodes[node.at("name").get<std::string>()] = node;
        for (const auto& loop : document.at("loops")) {
            const auto steps = loop.at("steps").get<std::size_t>();
            QVERIFY(steps > 0);
            QCOMPARE(loop.at("seconds_of_steps").size(), steps);
            std::size_t ofCalls = 0;
            for (const auto& call : loop.at("steps_of_calls"))
                ofCalls += call.get<std::size_t>();
            QCOMPARE(ofCalls, steps);
            double sum = 0;
            for (const auto& seconds : loop.at("seconds_of_steps"))
                sum += seconds.get<double>();
            const auto& node = nodes.at(loop.at("name").get<std::string>());
            QVERIFY(std::abs(sum + node.at("seconds").get<double>() - node.at("inclusive_seconds").get<double>()) < 1e-9);
        }
        QVERIFY(m_cli.read("steps.svg").find("step") != std::string::npos);
        const auto table = m_cli.compute({"profile", rnn, "--runs", "1", "--no-peaks", "--by", "node"});
        QVERIFY2(table.out.contains("ms a step") && table.out.contains("ms/call"), qPrintable(table.out + table.error));
        VERIFY_REFUSED(m_cli.compute({"profile", "mlp.safetensors", "--runs", "1", "--no-peaks", "--steps", "none.svg"}), 2, "needs a loop");
    }

    void aCostModelIsFittedKeptAndUsed()
    {
        const auto none = m_cli.compute({"profile", "mlp.safetensors", "--cost-model", "predict", "--no-peaks"});
        VERIFY_REFUSED(none, 2, "there is no cost model yet");
        const auto fitted = m_cli.json({"profile", "--cost-model", "fit", "--cases", "3"});
        QVERIFY(m_cli.has("cache/orrery/cost-model.json"));
        QVERIFY(fitted.at("held_out").at("rank_correlation").at("model").get<double>() > 0.5);
        QCOMPARE(fitted.at("machine").at("threads").get<int>(), 1);
        const auto profile = m_cli.json({"profile", "mlp.safetensors", "--runs", "2", "--no-peaks"});
        for (const auto& node : profile.at("nodes"))
            QVERIFY(node.at("predicted_seconds").get<double>() > 0);
        QCOMPARE(profile.at("cost_model").at("machine_difference").get<std::string>(), std::string());
        const auto table = m_cli.compute({"profile", "mlp.safetensors", "--runs", "2", "--no-peaks", "--cost-model", "predict", "--by", "type"});
        QVERIFY2(table.out.contains("predicted") && table.out.contains("of FLOPs alone") && table.out.contains("Linear"),
                 qPrintable(table.out + table.error));
        m_cli.write("cache/orrery/cost-model.json", "{\"version\": 1}");
        const auto damaged = m_cli.compute({"profile", "mlp.safetensors", "--cost-model", "predict", "--no-peaks"});
        QVERIFY2(damaged.status == 2 && damaged.error.contains("expected a cost model of version 2"), qPrintable(damaged.error));
        const auto unasked = m_cli.compute({"profile", "mlp.safetensors", "--no-peaks"});
        QVERIFY2(unasked.status == 0 && unasked.error.contains("without predictions"), qPrintable(unasked.error));
    }

    void wrongArgumentsAreRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        QTest::newRow("runs") << QStringList{"--runs", "0"} << "runs";
        QTest::newRow("by") << QStringList{"--by", "layer"} << "layer";
        QTest::newRow("top") << QStringList{"--top", "-1"} << "top";
        QTest::newRow("svg") << QStringList{"--svg", "flame.png"} << "flame.png: expected a file ending in .svg";
        QTest::newRow("shape") << QStringList{"--input", "bad.npy"} << "bad.npy";
        QTest::newRow("roofline") << QStringList{"--no-peaks", "--roofline", "r.svg"} << "leave out --no-peaks";
        QTest::newRow("cases") << QStringList{"--cases", "3"} << "expected --cost-model fit beside it";
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
