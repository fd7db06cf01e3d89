// `orrery-cli diff`: two models against each other, and the checkpoints of a run, as a person calls it.
#include <ATen/ATen.h>

#include <cmath>

#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

const QString kMlp = "zoo:mlp?features=3&hidden=[4,5]&classes=2";

}  // namespace

class CliDiffTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
private Q_SLOTS:
    void initTestCase()
    {
        auto model = zoo::buildModel("mlp", {{"features", 3}, {"hidden", {4, 5}}, {"classes", 2}}, 0);
        models::saveModel(m_cli.path("first.safetensors"), model);
        auto changed = model.weights.at("fc1.weight").clone();
        changed[0][0] += 0.5;
        changed[1][2] -= 2;
        model.weights.set("fc1.weight", changed);
        models::saveModel(m_cli.path("second.safetensors"), model);
    }

    void equalModelsAreEqual()
    {
        const auto json = m_cli.json({"diff", kMlp, kMlp, "--weights"});
        QVERIFY(json["graph"]["equal"].get<bool>() && json["weights"]["equal"].get<bool>());
        QCOMPARE(json["graph"]["nodes"].size(), std::size_t(0));
        const auto answer = m_cli.compute({"diff", kMlp, kMlp, "--weights"});
        QVERIFY(answer.out.contains("0 changed, 0 added, 0 removed"));
        QVERIFY(answer.out.contains("same, 0 changed, 0 added, 0 removed"));
    }

    void weightsAreComparedNumberByNumber()
    {
        const auto json = m_cli.json({"diff", "first.safetensors", "second.safetensors", "--weights"});
        QVERIFY(json["graph"]["equal"].get<bool>());
        QVERIFY(!json["weights"]["equal"].get<bool>());
        int changed = 0;
        for (const auto& tensor : json["weights"]["tensors"]) {
            if (tensor["change"] == "same")
                continue;
            ++changed;
            QVERIFY(tensor["first"] == "fc1.weight");
            QCOMPARE(tensor["differing"].get<int>(), 2);
            QVERIFY(std::abs(tensor["max_abs"].get<double>() - 2) < 1e-6);
            const auto a = models::openModel(m_cli.path("first.safetensors").string()).weights.at("fc1.weight").to(at::kDouble),
                       b = models::openModel(m_cli.path("second.safetensors").string()).weights.at("fc1.weight").to(at::kDouble);
            QVERIFY(std::abs(tensor["relative"].get<double>() - ((a - b).norm() / a.norm()).item<double>()) < 1e-12);
        }
        QCOMPARE(changed, 1);
        const auto answer = m_cli.compute({"diff", "first.safetensors", "second.safetensors", "--weights", "--top", "1"});
        QVERIFY(answer.out.contains("same, 1 changed, 0 added, 0 removed") && answer.out.contains("fc1.weight"));
        QVERIFY(m_cli.json({"diff", "first.safetensors", "second.safetensors", "--weights", "--tolerance", "3"})["weights"]["equal"].get<bool>());
    }

    void nodesAreNamedWithWhatChanged()
    {
        const auto answer = m_cli.compute({"diff", kMlp, kMlp + "&activation=tanh"});
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.out.contains("operator aten::relu became aten::tanh"), qPrintable(answer.out));
        const auto json = m_cli.json({"diff", "zoo:resnet?depth=20", "zoo:resnet?depth=32"});
        QVERIFY(json["graph"]["added"].get<int>() > 0);
        QCOMPARE(json["graph"]["removed"].get<int>(), 0);
        QVERIFY(!json.contains("weights"));
    }

    void checkpointsAreASequence()
    {
        m_cli.write("train.yaml", "name: steps\nmodel: {id: mlp, hidden: [8]}\ndata: {id: iris}\n"
                                  "train: {epochs: 3, optimizer: {id: adamw, lr: 0.01}, checkpoint: {every: 4, keep: 10}}\n");
        const auto trained = m_cli.compute({"train", "train.yaml", "--workspace", "W", "--quiet"});
        QVERIFY2(trained.status == 0, qPrintable(trained.error));
        const auto json = m_cli.json({"diff", "run:1", "--checkpoints", "--workspace", "W"});
        const auto& points = json["total"]["points"];
        QVERIFY(points.size() >= 2);
        QCOMPARE(points[0]["from_first"].get<double>(), 0.0);
        QVERIFY(points[1]["from_first"].get<double>() > 0);
        // Against the comparison of the two checkpoints themselves.
        const auto step = [&](std::size_t i) { return QString("run:1@%1").arg(points[i]["step"].get<int>()); };
        const auto pair = m_cli.json({"diff", step(0), step(points.size() - 1), "--weights", "--workspace", "W"});
        double squares = 0;
        for (const auto& tensor : pair["weights"]["tensors"])
            squares += std::pow(tensor["relative"].get<double>() * tensor["norm"].get<double>(), 2);
        QVERIFY(std::abs(std::sqrt(squares) - points.back()["from_first"].get<double>()) < 1e-9);
        const auto answer = m_cli.compute({"diff", "run:1", "--checkpoints", "--workspace", "W"});
        QVERIFY(answer.out.contains("from first"));
        VERIFY_REFUSED(m_cli.run({"diff", "run:9", "--checkpoints", "--workspace", "W"}), 2, "9");
    }

    void badInputIsStatusTwo_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        QTest::newRow("one model") << QStringList{"diff", kMlp} << "expected two models to compare, got one";
        QTest::newRow("no model") << QStringList{"diff"} << "first is required";
        QTest::newRow("missing file") << QStringList{"diff", kMlp, "none.pt"} << "none.pt: no such file";
        QTest::newRow("negative tolerance") << QStringList{"diff", kMlp, kMlp, "--tolerance", "-1"} << "--tolerance";
        QTest::newRow("checkpoints of a file") << QStringList{"diff", kMlp, "--checkpoints"} << "expected a model run:ID of a workspace";
        QTest::newRow("checkpoints without a workspace")
            << QStringList{"diff", "run:1", "--checkpoints"} << "expected a workspace folder, there is none";
    }

    void badInputIsStatusTwo()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        VERIFY_REFUSED(m_cli.run(arguments), 2, message);
    }
};

QTEST_APPLESS_MAIN(CliDiffTest)
#include "cli_diff_test.moc"
