// orrery-cli patch on transformers whose weights are set by hand: it is known which cell carries the answer.
#include <csignal>

#include <core/models/model_file.h>
#include <core/train/runs.h>
#include <core/zoo/zoo.h>

#include "../core/intervene/hand_built.h"
#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;
using core::Json;

class CliPatchTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    /// The copying model answers with the first character: d or c.
    QStringList copying(const QStringList& more = {}) const
    {
        return QStringList{"patch", "copying.safetensors", "--clean", "text:dabef", "--corrupted", "text:cabef"} + more;
    }
private Q_SLOTS:
    void initTestCase()
    {
        models::saveModel(m_cli.path("copying.safetensors"), intervene::copyingModel());
        auto pictures = zoo::buildModel("lenet", Json::object(), 3);
        models::saveModel(m_cli.path("lenet.safetensors"), pictures);
        std::vector<std::int64_t> shape = {1};
        for (std::size_t i = 1; i < pictures.card.inputs[0].shape.size(); ++i)
            shape.push_back(std::stoll(pictures.card.inputs[0].shape[i]));
        m_cli.writeArray("a.npy", at::randn(shape, at::detail::createCPUGenerator(1), at::TensorOptions()));
        m_cli.writeArray("b.npy", at::randn(shape, at::detail::createCPUGenerator(2), at::TensorOptions()));
        m_cli.writeArray("nan.npy", at::full(shape, std::nan("")));
        m_cli.writeArray("two.npy", at::zeros({2, shape[1], shape[2], shape[3]}));
    }

    void theCarryingCellIsFound()
    {
        const auto document = m_cli.json(copying({"--out", "map.npy"}));
        QCOMPARE(document.at("patches").get<int>(), 10);
        QCOMPARE(document.at("clean").get<double>(), intervene::kCopyLogit);
        QCOMPARE(document.at("corrupted").get<double>(), -intervene::kCopyLogit);
        QCOMPARE(document.at("settings").at("metric").at("answer").get<int>(), 3);
        QCOMPARE(document.at("settings").at("metric").at("wrong").get<int>(), 2);
        const auto& map = document.at("maps").at(0);
        QVERIFY(map.at("cells") == Json({{1.0, 0.0, 0.0, 0.0, 0.0}, {0.0, 0.0, 0.0, 0.0, 1.0}}));
        QCOMPARE(map.at("labels").at(0).get<std::string>(), std::string("d \u2192 c"));
        QCOMPARE(map.at("labels").at(1).get<std::string>(), std::string("a"));
        QVERIFY(at::equal(m_cli.array("map.npy"), at::tensor({1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0}).to(at::kDouble).reshape({2, 5})));
        QCOMPARE(document.at("strongest").at("metric").get<double>(), 1.0);
        QCOMPARE(document.at("strongest").at("output").at(0).at("name").get<std::string>(), std::string("d"));
    }

    void noiseTakesItAway()
    {
        const auto document = m_cli.json(copying({"--direction", "noise", "--layers", "-1", "--positions", "0,-1"}));
        QVERIFY(document.at("maps").at(0).at("cells") == Json({{1.0, 0.0}}));
        QCOMPARE(document.at("strongest").at("metric").get<double>(), 0.0);
        QCOMPARE(document.at("strongest").at("output").at(0).at("name").get<std::string>(), std::string("c"));
    }

    void headsAndSeveralComponents()
    {
        const auto document = m_cli.json(copying({"--components", "z,v", "--heads", "--positions", "together", "--out", "heads.npy"}));
        QVERIFY(document.at("maps").at(0).at("cells") == Json({{{1.0}, {0.0}}, {{0.0}, {0.0}}}));
        QVERIFY(document.at("maps").at(1).at("cells") == Json({{{1.0}, {0.0}}, {{0.0}, {0.0}}}));
        QCOMPARE(m_cli.array("heads.npy").sizes().vec(), (std::vector<std::int64_t>{2, 2, 2, 1}));
    }

    void metricsTakeTheirParameters()
    {
        const auto probability = m_cli.json(copying({"--metric", "probability", "--answer", "c", "--metric-set", "normalised=false"}));
        const double other = 1 / (std::exp(intervene::kCopyLogit) + 5), same = std::exp(intervene::kCopyLogit) * other;
        QVERIFY(std::abs(probability.at("clean").get<double>() - other) < 1e-9);
        QVERIFY(std::abs(probability.at("maps").at(0).at("cells").at(0).at(1).get<double>() - same) < 1e-9);
        const auto formula =
            m_cli.json(copying({"--metric", "expression", "--metric-set", "expression=logit[3] - 2 * logit[2]", "--metric-set", "normalised=false"}));
        QCOMPARE(formula.at("maps").at(0).at("cells").at(0).at(0).get<double>(), intervene::kCopyLogit);
        QCOMPARE(formula.at("maps").at(0).at("cells").at(0).at(1).get<double>(), -2 * intervene::kCopyLogit);
    }

    void channelsOfAConvolution()
    {
        const auto document = m_cli.json({"patch", "lenet.safetensors", "--clean", "a.npy", "--corrupted", "b.npy", "--components", "op:conv2d",
                                          "--metric", "kl", "--out", "channels.csv"});
        const auto& map = document.at("maps").at(0);
        QCOMPARE(map.at("unit").get<std::string>(), std::string("channel"));
        QCOMPARE(map.at("sites").size(), std::size_t(2));
        QVERIFY(m_cli.has("channels.csv"));
    }

    void textIsATable()
    {
        const auto answer = m_cli.compute(copying());
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.out.contains("layer 0") && answer.out.contains("position 0 d \u2192 c") && answer.out.contains("1.000"),
                 qPrintable(answer.out));
        QVERIFY2(answer.out.contains("answer  3 \"d\""), qPrintable(answer.out));
        QVERIFY2(answer.out.contains("10 patches in "), qPrintable(answer.out));
    }

    void helpNamesEveryMetric()
    {
        const auto answer = m_cli.run({"patch", "--help"});
        QCOMPARE(answer.status, 0);
        for (const char* word : {"logit_difference", "log_probability", "expression", "memory_limit", "--direction"})
            QVERIFY2(answer.out.contains(word), word);
    }

    void aRunsMapIsStored()
    {
        m_cli.write("small.yaml", test::kSmallTraining);
        const auto trained = m_cli.json({"train", "small.yaml", "--workspace", "w", "--set", "train.epochs=1"});
        const QString model = QString("run:%1").arg(trained.at("run").get<int>());
        const auto document =
            m_cli.json({"patch", model, "--workspace", "w", "--clean", "sample:0", "--corrupted", "sample:1", "--components", "op:relu"});
        const auto workspace = store::Workspace::open(m_cli.path("w"), store::OpenMode::ReadOnly);
        const auto analyses = workspace->analyses(trained.at("run").get<std::int64_t>(), "patching");
        QCOMPARE(analyses.size(), std::size_t(1));
        QCOMPARE(analyses[0].id, document.at("analysis").get<std::int64_t>());
        QCOMPARE(analyses[0].inputs.at("clean").at("sample").get<int>(), 0);
        const auto map = io::toTensor(io::parseNpy(workspace->readArtifact(analyses[0].artifacts.at(0)), "map"));
        const auto& cells = document.at("maps").at(0).at("cells");
        QCOMPARE(map[0][0][1].item<double>(), cells.at(0).at(1).get<double>());
    }

    void wrongRequestsAreStatusTwo_data()
    {
        QTest::addColumn<QStringList>("call");
        QTest::addColumn<QString>("message");
        const QStringList picture = {"patch", "lenet.safetensors", "--corrupted", "b.npy", "--components", "op:conv2d", "--clean"};
        QTest::newRow("no corrupted input") << QStringList{"patch", "copying.safetensors", "--clean", "text:ab"} << "--corrupted is required";
        QTest::newRow("texts of two lengths") << QStringList{"patch", "copying.safetensors", "--clean", "text:dab", "--corrupted", "text:ca"}
                                              << "got clean [1, 3] and corrupted [1, 2]";
        QTest::newRow("the same text twice") << QStringList{"patch", "copying.safetensors", "--clean", "text:dab", "--corrupted", "text:dab"}
                                             << "nothing to normalise by";
        QTest::newRow("empty text") << QStringList{"patch", "copying.safetensors", "--clean", "text:", "--corrupted", "text:ca"} << "text";
        QTest::newRow("character outside the vocabulary")
            << QStringList{"patch", "copying.safetensors", "--clean", "text:dz", "--corrupted", "text:ca"} << "U+007A";
        QTest::newRow("unknown component") << copying({"--components", "resid_prae"}) << "resid_prae";
        QTest::newRow("component of another model") << picture + QStringList{"a.npy", "--components", "z"} << "component \"z\" needs a transformer";
        QTest::newRow("unknown metric") << copying({"--metric", "kll"}) << "did you mean \"kl\"?";
        QTest::newRow("unknown parameter") << copying({"--metric-set", "answr=1"}) << "answr";
        QTest::newRow("answer of several tokens") << copying({"--answer", "ab"}) << "expected one token";
        QTest::newRow("layers") << copying({"--layers", "0;1"}) << "expected whole numbers";
        QTest::newRow("layer that is not there") << copying({"--layers", "7"}) << "layer 7: expected -2..1";
        QTest::newRow("position that is not there") << copying({"--positions", "9"}) << "expected -5..4";
        QTest::newRow("direction") << copying({"--direction", "up"}) << "direction: expected one of";
        QTest::newRow("NaN") << picture + QStringList{"nan.npy"} << "clean run holds NaN";
        QTest::newRow("two samples") << picture + QStringList{"two.npy"} << "got clean [2, ";
        QTest::newRow("no such file") << picture + QStringList{"c.npy"} << "c.npy";
        QTest::newRow("sample without data") << picture + QStringList{"sample:0"} << "expected --data";
        QTest::newRow("no such sample") << picture + QStringList{"sample:99999", "--data", "digits"} << "sample 99999";
        QTest::newRow("unknown ending") << copying({"--out", "a.gif"}) << "a.gif: expected a file ending in";
    }
    void wrongRequestsAreStatusTwo()
    {
        QFETCH(QStringList, call);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(call);
        VERIFY_REFUSED(answer, 2, message);
        QCOMPARE(answer.out, QString());
    }

    void interruptEndsIt()
    {
        for (const char* name : {"long_a.npy", "long_b.npy"})
            m_cli.writeArray(
                name, at::randint(256, {1, 256}, at::detail::createCPUGenerator(std::uint64_t(name[5])), at::TensorOptions().dtype(at::kLong)));
        // Before the program has its handler a signal ends it as any other: then once more, later.
        int status = 0;
        for (const int later : {1500, 5000, 20000}) {
            QProcess process;
            m_cli.start(process, {"patch", "zoo:gpt?layers=12&heads=12&width=384&vocabulary=256&block_length=256", "--clean", "long_a.npy",
                                  "--corrupted", "long_b.npy", "--components", "resid_pre,attn_out,mlp_out,resid_mid,resid_post", "--threads", "1"});
            QVERIFY(process.waitForStarted());
            QVERIFY(!process.waitForFinished(later));  // in the middle of a sweep of minutes
            ::kill(pid_t(process.processId()), SIGINT);
            status = test::answerOf(process).status;
            if (status == 130 || status == -SIGSEGV || status == -SIGABRT)
                break;
        }
        QCOMPARE(status, 130);
    }
};

QTEST_GUILESS_MAIN(CliPatchTest)
#include "cli_patch_test.moc"
