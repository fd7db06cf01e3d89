// What can go wrong with the commands that look inside a model (attribute, patch, lens, probe, intervene, compare-representations), item by item: each says it in one
// sentence, and nothing half done is left.
#include <ATen/ATen.h>
#include <QDir>
#include <QRegularExpression>
#include <csignal>

#include <core/models/model_file.h>
#include <core/store/workspace.h>
#include <core/zoo/zoo.h>

#include "../core/intervene/hand_built.h"
#include "cli_process.h"
#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

const char* const kTraining = R"(name: small
seed: 3
model: {id: gpt, layers: 2, heads: 2, width: 16, mlp: false}
data: {id: repeated_sequences, vocabulary: 12, length: 6, shortest: 3, samples: 200}
train: {steps: 4, batch_size: 16, threads: 1, evaluate_every: 4}
)";

/// A model so large that every command below works for minutes.
const char* const kLarge = "zoo:gpt?layers=8&heads=8&width=512&vocabulary=256&block_length=512";

}  // namespace

class CliInsideFaultsTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    /// One call of each command on a model of tokens.
    std::vector<std::pair<QString, QStringList>> everyCommand(const QString& model) const
    {
        const QString data = R"({"id": "repeated_sequences", "vocabulary": 6, "length": 2, "shortest": 2, "samples": 60})";
        return {{"attribute", {"attribute", model, "--method", "saliency", "--input", "good.npy"}},
                {"patch", {"patch", model, "--clean", "good.npy", "--corrupted", "other.npy"}},
                {"lens", {"lens", model, "--input", "good.npy"}},
                {"probe", {"probe", model, "--at", "blocks.0.resid_post", "--label", "token", "--data", data}},
                {"intervene", {"intervene", model, "--input", "good.npy", "--at", "blocks.0.resid_post", "--do", "zero"}},
                {"compare-representations", {"compare-representations", model, "--data", data}}};
    }
    QStringList files() const
    {
        return QDir(QString::fromStdString(m_cli.path().string())).entryList(QDir::AllEntries | QDir::Hidden | QDir::NoDotAndDotDot);
    }

private Q_SLOTS:
    void initTestCase()
    {
        const auto copying = intervene::copyingModel();
        models::saveModel(m_cli.path("copying.safetensors"), copying);
        auto broken = copying;
        broken.weights.set("wte.weight", at::full({6, 17}, std::nanf("")));
        models::saveModel(m_cli.path("nan.safetensors"), broken);
        const auto whole = m_cli.read("copying.safetensors");
        m_cli.write("cut.safetensors", whole.substr(0, whole.size() - 100));
        m_cli.write("noise.safetensors", std::string(300, '\x7f'));
        m_cli.writeArray("good.npy", at::tensor({3, 0, 1}, at::kLong).unsqueeze(0));
        m_cli.writeArray("other.npy", at::tensor({2, 0, 1}, at::kLong).unsqueeze(0));
        m_cli.writeArray("empty.npy", at::empty({1, 0}, at::kLong));
        m_cli.writeArray("deep.npy", at::zeros({1, 2, 3}, at::kLong));
        m_cli.writeArray("outside.npy", at::tensor({3, 77, 1}, at::kLong).unsqueeze(0));
        m_cli.writeArray("long_a.npy", at::randint(256, {1, 512}, at::detail::createCPUGenerator(1), at::TensorOptions().dtype(at::kLong)));
        m_cli.writeArray("long_b.npy", at::randint(256, {1, 512}, at::detail::createCPUGenerator(2), at::TensorOptions().dtype(at::kLong)));
        m_cli.writeArray("no_samples.npy", at::empty({0, 3}, at::kLong));
        m_cli.writeArray("nan.npy", at::tensor({3.0f, std::nanf(""), 1.0f}).unsqueeze(0));
        m_cli.writeArray("between.npy", at::tensor({3.0f, 0.5f, 1.0f}).unsqueeze(0));
        m_cli.writeArray("complex.npy", at::zeros({1, 3}, at::kComplexFloat));
        m_cli.writeArray("below.npy", at::tensor({3, -1, 1}, at::kLong).unsqueeze(0));
        m_cli.writeArray("row.npy", at::tensor({5.0f, 3.0f, 1.0f, 0.5f}).unsqueeze(0));
        m_cli.writeArray("whole_row.npy", at::tensor({5, 3, 1, 0}, at::kLong).unsqueeze(0));
        m_cli.writeArray("nan_row.npy", at::tensor({5.0f, std::nanf(""), 1.0f, 0.5f}).unsqueeze(0));
        const auto array = m_cli.read("good.npy");
        m_cli.write("cut.npy", array.substr(0, array.size() - 5));
        m_cli.write("header.csv", "a,b,c,d,target\n");
        m_cli.write("small.yaml", kTraining);
        QCOMPARE(m_cli.json({"train", "small.yaml", "--workspace", "w"}).at("status").get<std::string>(), std::string("finished"));
    }

    void aSoundCallWorks()
    {
        for (const auto& [name, call] : everyCommand("copying.safetensors")) {
            const auto answer = m_cli.compute(call);
            QVERIFY2(answer.status == 0, qPrintable(name + ": " + answer.error));
        }
    }

    void aModelThatCannotBeUsedIsNamed_data()
    {
        QTest::addColumn<QStringList>("call");
        QTest::addColumn<QString>("said");
        for (const auto& [model, said] : {std::pair{"nowhere.safetensors", "nowhere.safetensors: no such file"},
                                          {"noise.safetensors", "noise.safetensors: expected one of"},
                                          {"cut.safetensors", "cut.safetensors"},
                                          {"nan.safetensors", "NaN|not finite"},
                                          {"run:1", "workspace"},
                                          {"zoo:gptt", "did you mean"}})
            for (const auto& [name, call] : everyCommand(model))
                QTest::addRow("%s, %s", qPrintable(name), model) << call << said;
        for (const auto& [name, call] : everyCommand("copying.safetensors"))
            QTest::addRow("%s, none", qPrintable(name)) << QStringList{call[0]} << "required";
    }
    void aModelThatCannotBeUsedIsNamed()
    {
        QFETCH(QStringList, call);
        QFETCH(QString, said);
        const auto answer = m_cli.compute(call);
        QVERIFY2(answer.error.contains(QRegularExpression(said)), qPrintable(answer.error));
        QVERIFY2(answer.status == 1 || answer.status == 2, qPrintable(QString::number(answer.status)));
        QCOMPARE(answer.out, QString());
    }

    void anInputThatCannotBeUsedIsNamed_data()
    {
        QTest::addColumn<QStringList>("call");
        QTest::addColumn<QString>("said");
        for (const auto& [file, said] : {std::pair{"cut.npy", "cut.npy"},
                                         {"empty.npy", "at least one|expected the same shape twice"},
                                         {"no_samples.npy", "at least one|expected the same shape twice"},
                                         {"deep.npy", "\\[1, 2, 3\\]"},
                                         {"outside.npy", "expected tokens from 0 to 5, got 77"},
                                         {"below.npy", "expected tokens from 0 to 5, got -1"},
                                         {"nan.npy", "nan.npy: expected whole numbers for the model's input \"tokens\", got nan"},
                                         {"between.npy", "between.npy: expected whole numbers for the model's input \"tokens\", got 0.5"},
                                         {"complex.npy", "complex.npy: expected whole numbers for the model's input \"tokens\", got complex64"},
                                         {"nowhere.npy", "nowhere.npy: no such file"}})
            for (const auto& [name, call] : everyCommand("copying.safetensors"))
                if (const auto input = call.indexOf("good.npy"); input >= 0) {
                    auto changed = call;
                    changed[input] = file;
                    QTest::addRow("%s, %s", qPrintable(name), file) << changed << said;
                }
        for (const auto& [name, call] : everyCommand("copying.safetensors"))
            QTest::addRow("%s, folder that is not there", qPrintable(name))
                << call + QStringList{"--out", name == "probe" ? "nowhere/x.safetensors" : "nowhere/x.npy"} << "there is no folder nowhere";
        const QString mlp = "zoo:mlp?features=4&classes=3";
        const QStringList attributed{"attribute", mlp, "--input", "row.npy", "--method"},
            intervened{"intervene", mlp, "--input", "row.npy", "--at", "fc1"};
        QTest::newRow("attribute, position without positions") << attributed + QStringList{"saliency", "--position", "0"} << "has no positions";
        QTest::newRow("attribute, baseline that is no number") << attributed + QStringList{"feature_ablation", "--set", "baseline=nan"}
                                                               << "feature_ablation.baseline: expected .*; there is no file \"nan\"";
        QTest::newRow("attribute, baselines that are not there") << attributed + QStringList{"gradient_shap", "--set", "baselines=b.npy"}
                                                                 << "gradient_shap.baselines: expected .*; there is no file \"b.npy\"";
        QTest::newRow("intervene, value that is no number")
            << intervened + QStringList{"--do", "constant", "--set", "value=nan"} << "do.value: expected .*; there is no file \"nan\"";
        QTest::newRow("intervene, NaN in a source")
            << intervened + QStringList{"--do", "interchange", "--source", "a=nan_row.npy"} << "source \"a\": its value of \"fc1.linear\" holds NaN";
        QTest::newRow("intervene, shape of a source")
            << intervened + QStringList{"--do", "interchange", "--source", "a=good.npy"} << "--source a good.npy: expected \\[batch, 4\\]";
        QTest::newRow("intervene, file as folder") << intervened + QStringList{"--do", "zero", "--probe", "relu", "--out-dir", "row.npy"}
                                                   << "--out-dir row.npy: expected a folder";
        QTest::newRow("intervene, unknown canonical name")
            << QStringList{"intervene", "copying.safetensors", "--input", "good.npy", "--at", "blocks.9.attn.z", "--do", "zero"}
            << "no value fits \"blocks.9.attn.z\"; did you mean \"blocks.0.attn.z\"\\?\n$";
        const QStringList patched{"patch", mlp, "--clean", "row.npy", "--corrupted", "whole_row.npy", "--components", "fc1"};
        QTest::newRow("patch, layers of values") << patched + QStringList{"--layers", "0"} << "layers: expected none, since fc1 names values";
        QTest::newRow("patch, position without positions") << patched + QStringList{"--metric-set", "position=1"} << "has no positions";
        QTest::newRow("patch, shape of the second input")
            << QStringList{"patch", mlp, "--clean", "row.npy", "--corrupted", "good.npy", "--components", "fc1"} << "--corrupted good.npy: expected";
        QTest::newRow("probe, no rows") << QStringList{"probe", mlp, "--at", "fc1", "--data", "header.csv"}
                                        << "header.csv: expected a table with rows";
        QTest::newRow("compare, no rows") << QStringList{"compare-representations", mlp, "--data", "header.csv"}
                                          << "header.csv: expected a table with rows";
        QTest::newRow("compare, other shapes") << QStringList{"compare-representations", mlp, "zoo:mlp?features=5&classes=3", "--data", "iris"}
                                               << "does not take the data \"iris\"";
        QTest::newRow("compare, damaged second model")
            << QStringList{"compare-representations", mlp, "noise.safetensors", "--data", "iris"} << "noise.safetensors: expected one of";
        QTest::newRow("compare, out of range")
            << QStringList{"compare-representations", mlp, "--data", "iris", "--metric", "pwcca", "--set", "variance=2"}
            << "pwcca.variance: expected a number > 0 and <= 1, got 2";
        QTest::newRow("compare, unknown side") << QStringList{"compare-representations", mlp, "--data", "iris", "--metric", "pwcca", "--set",
                                                              "weighted_by=left"}
                                               << "pwcca.weighted_by: expected one of";
        QTest::newRow("compare, too few rows")
            << QStringList{"compare-representations", mlp, "--data", "iris", "--metric", "pwcca", "--limit", "8", "--at", "fc1"} << "pwcca: ";
        QTest::newRow("probe, damaged probes") << QStringList{"probe", "copying.safetensors", "--apply", "noise.safetensors", "--text", "ab"}
                                               << "noise.safetensors";
    }
    void anInputThatCannotBeUsedIsNamed()
    {
        QFETCH(QStringList, call);
        QFETCH(QString, said);
        const auto answer = m_cli.compute(call);
        QVERIFY2(answer.error.contains(QRegularExpression(said)), qPrintable(answer.error));
        QCOMPARE(answer.status, 2);
        QCOMPARE(answer.out, QString());
    }

    void wholeNumbersAreReadAsTheModelReadsThem()
    {
        m_cli.writeArray("same_row.npy", at::tensor({5.0f, 3.0f, 1.0f, 0.0f}).unsqueeze(0));
        const QStringList call{"attribute", "zoo:mlp?features=4&classes=3", "--method", "saliency", "--input"};
        QCOMPARE(m_cli.json(call + QStringList{"whole_row.npy"}).at("sum").get<double>(),
                 m_cli.json(call + QStringList{"same_row.npy"}).at("sum").get<double>());
    }

    void anAnswerThatIsNotFiniteIsSaid()
    {
        const auto answer = m_cli.compute(
            {"intervene", "zoo:mlp?features=4&classes=3", "--input", "row.npy", "--at", "fc1", "--do", "scale", "--set", "factor=1e300"});
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.out.contains("the changed answer is not finite"), qPrintable(answer.out));
    }

    /// Every command on run 1: each would store what it finds.
    QList<std::pair<QString, QStringList>> everyStoring(const QString& workspace) const
    {
        QList<std::pair<QString, QStringList>> calls;
        for (const QStringList& call : {QStringList{"attribute", "run:1", "--method", "saliency", "--sample", "0"},
                                        {"patch", "run:1", "--clean", "sample:0", "--corrupted", "sample:1"},
                                        {"lens", "run:1", "--sample", "0"},
                                        {"probe", "run:1", "--at", "blocks.0.resid_post"},
                                        {"intervene", "run:1", "--sample", "0", "--at", "blocks.0.resid_post", "--do", "zero"},
                                        {"compare-representations", "run:1"}})
            calls.append({call[0], call + QStringList{"--workspace", workspace}});
        return calls;
    }

    void aDamagedWorkspaceIsNamed()
    {
        std::filesystem::copy(m_cli.path("w"), m_cli.path("broken"), std::filesystem::copy_options::recursive);
        m_cli.write("broken/orrery.db", std::string(4096, '\x7f'));
        for (const auto& [name, call] : everyStoring("broken")) {
            const auto answer = m_cli.compute(call);
            VERIFY_REFUSED(answer, 2, "orrery.db: expected an Orrery database");
            QCOMPARE(answer.out, QString());
        }
        QCOMPARE(m_cli.read("broken/orrery.db"), std::string(4096, '\x7f'));
    }

    // A folder in which nothing can be written: what was computed is printed all the same.
    void whatCannotBeStoredIsPrinted()
    {
        if (::geteuid() == 0 && QProcess::execute("setpriv", {"--reuid", "nobody", "--clear-groups", "true"}) != 0)
            QSKIP("needs setpriv to drop the rights of root");
        std::filesystem::copy(m_cli.path("w"), m_cli.path("closed"), std::filesystem::copy_options::recursive);
        QProcess::execute("chmod", {"-R", "a+rX,a-w", QString::fromStdString(m_cli.path("closed").string())});
        QProcess::execute("chmod", {"a+rX", QString::fromStdString(m_cli.path().string())});
        for (const auto& [name, call] : everyStoring("closed")) {
            QProcess process;
            process.setWorkingDirectory(QString::fromStdString(m_cli.path().string()));
            QStringList words = call + QStringList{"--json", "--threads", "1"};
            if (::geteuid() == 0) {
                words = QStringList{"--reuid", "nobody", "--clear-groups", ORRERY_CLI} + words;
                process.start("setpriv", words);
            } else {
                process.start(ORRERY_CLI, words);
            }
            const auto answer = test::answerOf(process);
            QVERIFY2(answer.error.contains("the result is printed, but could not be stored: "), qPrintable(name + ": " + answer.error));
            QCOMPARE(answer.status, 1);
            const auto document = answer.json();
            QVERIFY2(document.at("not_stored").get<std::string>().find("cannot be written") != std::string::npos, document.dump().c_str());
            QVERIFY(!document.contains("analysis") && !document.contains("analyses"));
        }
        QProcess::execute("chmod", {"-R", "u+w", QString::fromStdString(m_cli.path("closed").string())});
    }

    void anEndInTheMiddleLeavesNothing_data()
    {
        QTest::addColumn<QStringList>("call");
        QTest::addColumn<int>("signal");
        const QString data = R"({"id": "kjv", "block_length": 512})";
        const std::vector<std::pair<const char*, QStringList>> calls{
            {"patch", {"patch", kLarge, "--clean", "long_a.npy", "--corrupted", "long_b.npy"}},
            {"lens", {"lens", "run:1", "--workspace", "w", "--kind", "induction", "--set", "sequences=100000"}},
            {"transplant", {"lens", kLarge, "--input", "long_a.npy", "--kind", "transplant", "--offset", "64"}},
            {"attribute",
             {"attribute", kLarge, "--input", "long_a.npy", "--method", "integrated_gradients", "--set", "n_steps=100000", "--set",
              "internal_batch_size=1"}},
            {"probe", {"probe", kLarge, "--data", data, "--at", "blocks.*.resid_post", "--limit", "60000"}},
            {"intervene", {"intervene", kLarge, "--input", "good.npy", "--at", "embed", "--do", "zero", "--generate", "500"}},
            {"compare-representations", {"compare-representations", kLarge, "--data", data, "--limit", "60000", "--at", "blocks.*.resid_post"}}};
        for (const auto& [name, call] : calls)
            for (const auto& [title, signal] : {std::pair{"interrupted", SIGINT}, {"killed", SIGKILL}})
                QTest::addRow("%s, %s", name, title) << call + QStringList{"--threads", "1"} << signal;
    }
    void anEndInTheMiddleLeavesNothing()
    {
        QFETCH(QStringList, call);
        QFETCH(int, signal);
        const QStringList before = files();
        QProcess process;
        const bool writes = call[0] != "probe";
        m_cli.start(process, writes ? call + QStringList{"--out", "never.npy"} : call + QStringList{"--out", "never.safetensors"});
        QVERIFY(process.waitForStarted());
        // Loading takes half a second of computing; beyond two it is in the middle of its work.
        QTRY_VERIFY2_WITH_TIMEOUT(test::computedSeconds(process.processId()) > 2 || process.state() != QProcess::Running, "starts", 120000);
        QVERIFY2(process.state() == QProcess::Running, qPrintable(QString::fromUtf8(process.readAllStandardError())));
        ::kill(pid_t(process.processId()), signal);
        const auto answer = test::answerOf(process);
        QCOMPARE(answer.status, signal == SIGINT ? 130 : -SIGKILL);
        QCOMPARE(answer.out, QString());
        QCOMPARE(files(), before);
        const auto workspace = store::Workspace::open(m_cli.path("w"), store::OpenMode::ReadOnly);
        QCOMPARE(workspace->run(1).status, store::RunStatus::Finished);
        QVERIFY(workspace->analyses(1).empty());
    }

    void afterAllOfThatTheWorkspaceWorks() { QVERIFY(m_cli.json({"lens", "run:1", "--workspace", "w", "--kind", "induction"}).contains("analysis")); }
};

QTEST_GUILESS_MAIN(CliInsideFaultsTest)
#include "cli_inside_faults_test.moc"
