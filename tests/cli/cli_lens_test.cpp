// orrery-cli lens: the transformer built by hand must be found out, a trained run looked at along its checkpoints, bad input refused in one sentence.
#include <ATen/ATen.h>

#include <core/models/model_file.h>
#include <core/store/workspace.h>
#include <core/zoo/zoo.h>

#include "../core/intervene/hand_built.h"
#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

const char* const kTraining = R"(name: small
seed: 3
model: {id: gpt, layers: 2, heads: 2, width: 16, mlp: false}
data: {id: repeated_sequences, vocabulary: 12, length: 6, shortest: 3, samples: 400}
train:
  steps: 12
  batch_size: 16
  threads: 1
  evaluate_every: 4
  checkpoint: {every: 4, keep: 10, use: last}
)";

}  // namespace

class CliLensTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    at::Tensor array(const char* name = "l.npy") const { return m_cli.array(name); }
private Q_SLOTS:
    void initTestCase()
    {
        models::saveModel(m_cli.path("induction.safetensors"), intervene::inductionModel());
        models::saveModel(m_cli.path("copying.safetensors"), intervene::copyingModel());
        auto table = zoo::buildModel("mlp", {{"features", 3}, {"classes", 2}}, 0);
        models::saveModel(m_cli.path("table.safetensors"), table);
        auto broken = zoo::buildModel("gpt", {{"vocabulary", 8}, {"block_length", 8}, {"layers", 1}, {"heads", 1}, {"width", 4}}, 0);
        broken.weights.set("ln_f.weight", at::full({4}, std::nan("")));
        models::saveModel(m_cli.path("nan.safetensors"), broken);
        m_cli.writeArray("tokens.npy", at::tensor({1, 2, 3}, at::kLong).unsqueeze(0));
        m_cli.writeArray("outside.npy", at::tensor({1, 200}, at::kLong).unsqueeze(0));
        m_cli.writeArray("flat.npy", at::tensor({1, 2}, at::kLong));
        m_cli.write("small.yaml", kTraining);
        QCOMPARE(m_cli.json({"train", "small.yaml", "--workspace", "w"}).at("status").get<std::string>(), std::string("finished"));
    }

    void theInductionHeadIsFound()
    {
        const auto document = m_cli.json({"lens", "induction.safetensors", "--kind", "induction", "--out", "l.npy"});
        QCOMPARE(document.at("length").get<int>(), 8);
        QVERIFY(document.at("induction_heads") == Json::array({{{"head", "1.0"}, {"score", 1.0}}}));
        QCOMPARE(document.at("second_half").at("accuracy").get<double>(), 1.0);
        QCOMPARE(array().sizes().vec(), (std::vector<std::int64_t>{2, 1, 5}));
        QCOMPARE(array()[1][0][2].item<double>(), 1.0);
        const auto text = m_cli.compute({"lens", "induction.safetensors", "--kind", "induction"});
        QCOMPARE(text.status, 0);
        QVERIFY2(text.out.contains("induction heads      1.0 (1.000)"), qPrintable(text.out));
        const auto without = m_cli.json({"lens", "induction.safetensors", "--kind", "induction", "--ablate", "1.0"});
        QVERIFY(without.at("second_half").at("accuracy").get<double>() < 0.5);
    }

    void theLensSeesTheCopyArrive()
    {
        const auto document = m_cli.json({"lens", "copying.safetensors", "--text", "eabcd", "--top", "2", "--out", "l.npy"});
        QVERIFY(document.at("token_names") == Json({"e", "a", "b", "c", "d"}));
        QCOMPARE(document.at("rows").size(), std::size_t(3));
        QCOMPARE(document.at("final_difference").get<double>(), 0.0);
        for (const int row : {1, 2}) {
            const auto& top = document.at("rows")[std::size_t(row)].at("cells")[4].at("top");
            QCOMPARE(top.size(), std::size_t(2));
            QCOMPARE(top[0].at("name").get<std::string>(), std::string("e"));
        }
        QVERIFY(document.at("rows")[0].at("cells")[4].at("target_rank").is_null());
        QCOMPARE(array().sizes().vec(), (std::vector<std::int64_t>{3, 5, 6}));
        QCOMPARE(array()[2][4][0].item<double>(), 4.0);
        const auto text = m_cli.compute({"lens", "copying.safetensors", "--text", "eabcd"});
        QVERIFY2(text.out.contains("block 1") && text.out.contains("embedding"), qPrintable(text.out));
    }

    void theLogitIsTakenApart()
    {
        const auto document = m_cli.json({"lens", "copying.safetensors", "--text", "eabcd", "--kind", "direct_logit_attribution", "--target", "e",
                                          "--contrast", "a", "--position", "-2"});
        QCOMPARE(document.at("position").get<int>(), 3);
        QCOMPARE(document.at("target").get<int>(), 4);
        QCOMPARE(document.at("logit").get<double>(), intervene::kCopyLogit);
        QCOMPARE(document.at("error").get<double>(), 0.0);
        for (const auto& part : document.at("contributions"))
            QCOMPARE(part.at("value").get<double>(), part.at("label") == "head 0.0" ? intervene::kCopyLogit : 0.0);
    }

    void patternsAreWritten()
    {
        const auto document = m_cli.json(
            {"lens", "induction.safetensors", "--input", "tokens.npy", "--kind", "attention", "--layer", "0", "--head", "0", "--out", "l.npy"});
        QVERIFY(at::equal(array(), at::tensor({1.f, 0.f, 0.f, 1.f, 0.f, 0.f, 0.f, 1.f, 0.f}).reshape({3, 3})));
        QCOMPARE(document.at("scores").at("previous_token")[0][0].get<double>(), 1.0);
        QCOMPARE(document.at("pattern")[2][1].get<double>(), 1.0);
    }

    void aRunIsLookedAtAlongItsTraining()
    {
        const auto document = m_cli.json({"lens", "run:1", "--kind", "induction", "--checkpoints", "all", "--workspace", "w", "--out", "l.npy"});
        const auto& points = document.at("checkpoints");
        QCOMPARE(points.size(), std::size_t(3));
        for (std::size_t i = 0; i < 3; ++i) {
            QCOMPARE(points[i].at("step").get<int>(), 4 * (int(i) + 1));
            QCOMPARE(points[i].at("loss").get<double>(), points[i].at("logged_loss").get<double>());
            QCOMPARE(points[i].at("scores").at("induction").size(), std::size_t(2));
        }
        QCOMPARE(array().sizes().vec(), (std::vector<std::int64_t>{3, 2, 2, 5}));
        const auto one = m_cli.json({"lens", "run:1@8", "--kind", "induction", "--workspace", "w", "--out", "one.npy"});
        QVERIFY(at::equal(array()[1], array("one.npy")));
        const auto some = m_cli.json({"lens", "run:1", "--sample", "2", "--checkpoints", "4,12", "--workspace", "w", "--out", "l.npy"});
        QCOMPARE(some.at("checkpoints").size(), std::size_t(2));
        QCOMPARE(some.at("checkpoints")[1].at("final_difference").get<double>(), 0.0);
        QCOMPARE(array().sizes().vec(), (std::vector<std::int64_t>{2, 3, 12, 6}));
        const auto text = m_cli.compute({"lens", "run:1", "--kind", "induction", "--checkpoints", "all", "--workspace", "w"});
        QVERIFY2(text.out.contains("step       8") && text.out.contains("best head"), qPrintable(text.out));
    }

    void theFutureIsReadFromTheRunsData()
    {
        const auto document = m_cli.json({"lens", "run:1", "--sample", "0", "--kind", "future", "--offset", "2", "--set", "fit_samples=50", "--set",
                                          "held_out_samples=10", "--workspace", "w"});
        QCOMPARE(document.at("offset").get<int>(), 2);
        QCOMPARE(document.at("fitted_on").at("states").get<int>(), 50 * 11);
        QCOMPARE(document.at("held_out").at("predictions").get<int>(), 10 * 10);
        QCOMPARE(document.at("held_out").at("places").size(), std::size_t(3));
        const auto exact = m_cli.json({"lens", "run:1", "--sample", "0", "--kind", "future", "--offset", "1", "--set", "fit_samples=50", "--set",
                                       "held_out_samples=0", "--workspace", "w"});
        QCOMPARE(exact.at("final_difference").get<double>(), 0.0);
    }

    void theFutureIsReadInAnotherContext()
    {
        // From layer 1 on the state holds that "e" comes; before it the context's own first letter is copied.
        const auto document =
            m_cli.json({"lens", "copying.safetensors", "--text", "eabc", "--kind", "transplant", "--context", "db", "--offset", "2"});
        QVERIFY(document.at("context_names") == Json({"d", "b"}));
        const auto written = [&](std::size_t row) { return document.at("rows")[row].at("cells")[2].at("written_names"); };
        QVERIFY(written(0) == Json({"d", "d"}));
        QVERIFY(written(1) == Json({"e", "d"}));  // what comes after is read where nothing was put
        QVERIFY(!document.contains("held_out"));
        const auto one = m_cli.json({"lens", "copying.safetensors", "--text", "eabc", "--kind", "transplant", "--offset", "1", "--out", "l.npy"});
        QCOMPARE(one.at("final_difference").get<double>(), 0.0);
        QVERIFY(one.at("context_names") == Json({"e"}));
        QCOMPARE(array().sizes().vec(), (std::vector<std::int64_t>{3, 4, 6}));
        const auto scored = m_cli.json({"lens", "run:1", "--sample", "0", "--kind", "transplant", "--context", "3,5", "--offset", "2", "--set",
                                        "held_out_samples=10", "--workspace", "w"});
        QCOMPARE(scored.at("held_out").at("predictions").get<int>(), 10 * 10);
        QVERIFY(scored.at("held_out").at("bigram_accuracy").is_null());
        const auto learned = m_cli.json({"lens", "run:1", "--sample", "0", "--kind", "transplant", "--offset", "2", "--set", "held_out_samples=10",
                                         "--set", "prompt_length=3", "--set", "prompt_steps=20", "--workspace", "w"});
        QCOMPARE(learned.at("learned_prompt").at("places").size(), learned.at("rows").size());
        const Json& first = learned.at("learned_prompt").at("places")[0];
        QVERIFY(first.at("after").get<double>() < first.at("before").get<double>());
        QVERIFY(learned.at("context").empty() && learned.at("held_out").at("predictions") == 100);
        const auto text =
            m_cli.compute({"lens", "copying.safetensors", "--text", "eabc", "--kind", "transplant", "--context", "db", "--offset", "2"});
        QVERIFY2(text.out.contains("ed"), qPrintable(text.out));
    }

    void whatIsKnownByHeartIsCountedAlongTheTraining()
    {
        const QStringList memorisation{"lens", "run:1", "--kind", "memorisation", "--set", "samples=40", "--workspace", "w"};
        const auto document = m_cli.json(memorisation + QStringList{"--out", "l.npy"});
        QCOMPARE(document.at("sequences").get<int>(), 40);
        QCOMPARE(document.at("prompt").get<int>(), 6);
        QCOMPARE(document.at("continuation").get<int>(), 6);
        QCOMPARE(array().sizes().vec(), (std::vector<std::int64_t>{40}));
        QCOMPARE(document.at("extractable").get<int>(), array().eq(6).sum().item<int>());
        QVERIFY(document.contains("analysis"));
        const auto along =
            m_cli.json(memorisation + QStringList{"--checkpoints", "all", "--set", "prompt=3", "--set", "continuation=1", "--out", "l.npy"});
        QCOMPARE(along.at("checkpoints").size(), std::size_t(3));
        QCOMPARE(array().sizes().vec(), (std::vector<std::int64_t>{3, 40}));
        QCOMPARE(along.at("checkpoints")[2].at("loss").get<double>(), along.at("checkpoints")[2].at("logged_loss").get<double>());
        for (int i = 0; i < 3; ++i)
            QCOMPARE(along.at("checkpoints")[std::size_t(i)].at("extractable").get<int>(), array()[i].eq(1).sum().item<int>());
        const auto text = m_cli.compute(memorisation);
        QVERIFY2(text.out.contains("of 40 sequences by heart"), qPrintable(text.out));
    }

    void resultsAreKeptWithTheRun()
    {
        const auto document = m_cli.json({"lens", "run:1", "--sample", "1", "--workspace", "w"});
        const auto shared = store::Workspace::open(m_cli.path("w"), store::OpenMode::ReadOnly);
        const auto analysis = shared->analysis(document.at("analysis").get<std::int64_t>());
        QCOMPARE(analysis.method, std::string("logit_lens"));
        QCOMPARE(analysis.run.value(), 1);
        QCOMPARE(analysis.inputs.at("sample").get<int>(), 1);
        QCOMPARE(analysis.artifacts.size(), std::size_t(2));
        QCOMPARE(analysis.artifacts[0].name, std::string("lens"));
        // The most probable token of each cell in words, row by row: reports write them into the grid.
        const auto names = Json::parse(shared->readArtifact(analysis.artifacts[1]));
        std::vector<std::string> expected;
        for (const auto& row : document.at("rows"))
            for (const auto& cell : row.at("cells"))
                expected.push_back(cell.at("top").at(0).at("name").get<std::string>());
        QCOMPARE(names.get<std::vector<std::string>>(), expected);
        QVERIFY(!m_cli.json({"lens", "copying.safetensors", "--text", "ea", "--workspace", "w"}).contains("analysis"));
    }

    void badInputIsRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("said");
        QTest::newRow("unknown kind") << QStringList{"copying.safetensors", "--text", "a", "--kind", "logit_len"} << "did you mean \"logit_lens\"?";
        QTest::newRow("no input") << QStringList{"copying.safetensors"} << "expected one of --text, --input, --sample";
        QTest::newRow("two inputs") << QStringList{"copying.safetensors", "--text", "a", "--input", "tokens.npy"}
                                    << "expected one of --text, --input, --sample";
        QTest::newRow("not in the vocabulary") << QStringList{"copying.safetensors", "--text", "xyz"} << "U+0078";
        QTest::newRow("too long") << QStringList{"copying.safetensors", "--text", "abcabc"} << "at most 5 tokens";
        QTest::newRow("token outside") << QStringList{"copying.safetensors", "--input", "outside.npy"} << "from 0 to 5, got 200";
        QTest::newRow("one axis") << QStringList{"copying.safetensors", "--input", "flat.npy"} << "[2]";
        QTest::newRow("no transformer") << QStringList{"table.safetensors", "--kind", "induction"} << "reads tokens";
        QTest::newRow("NaN") << QStringList{"nan.safetensors", "--input", "tokens.npy"} << "NaN";
        QTest::newRow("NaN, induction") << QStringList{"nan.safetensors", "--kind", "induction"} << "NaN";
        QTest::newRow("parameter of another kind") << QStringList{"copying.safetensors", "--text", "a", "--layer", "1"} << "layer";
        QTest::newRow("out of range") << QStringList{"copying.safetensors", "--text", "a", "--top", "0"} << "top";
        QTest::newRow("no such layer") << QStringList{"copying.safetensors", "--text", "a", "--kind", "attention", "--layer", "2"}
                                       << "layer 2: expected one from 0 to 1";
        QTest::newRow("no such head") << QStringList{"induction.safetensors", "--kind", "induction", "--ablate", "0.1"} << "no head 0.1";
        QTest::newRow("head in another form") << QStringList{"induction.safetensors", "--kind", "induction", "--ablate", "zero"} << "LAYER.HEAD";
        QTest::newRow("two tokens") << QStringList{"copying.safetensors", "--text", "ab", "--kind", "direct_logit_attribution", "--target", "ab"}
                                    << "one token";
        QTest::newRow("no such position") << QStringList{"copying.safetensors",      "--text",     "ab", "--kind",
                                                         "direct_logit_attribution", "--position", "2"}
                                          << "position 2";
        QTest::newRow("tokens for induction") << QStringList{"induction.safetensors", "--kind", "induction", "--text", "ab"}
                                              << "makes its own tokens";
        QTest::newRow("nothing learned from") << QStringList{"copying.safetensors", "--kind", "memorisation"} << "the data the model was trained on";
        QTest::newRow("prompt too long") << QStringList{"run:1", "--kind", "memorisation", "--set", "prompt=12", "--workspace", "w"}
                                         << "prompt 12: expected one from 1 to 11";
        QTest::newRow("continuation too long") << QStringList{"run:1", "--kind",         "memorisation", "--set", "prompt=8",
                                                              "--set", "continuation=5", "--workspace",  "w"}
                                               << "continuation 5: expected one from 1 to 4";
        QTest::newRow("nothing to fit on") << QStringList{"copying.safetensors", "--text", "ab", "--kind", "future"} << "expected data to fit on";
        QTest::newRow("no room behind the context")
            << QStringList{"copying.safetensors", "--text", "ab", "--kind", "transplant", "--context", "abcd", "--offset", "3"}
            << "expected an offset up to 2";
        QTest::newRow("context of another kind") << QStringList{"copying.safetensors", "--text", "ab", "--context", "a"} << "context";
        QTest::newRow("unknown letter in the context")
            << QStringList{"copying.safetensors", "--text", "ab", "--kind", "transplant", "--context", "axb"} << "U+0078";
        QTest::newRow("a context and a learned prompt")
            << QStringList{"copying.safetensors", "--text", "ab", "--kind", "transplant", "--context", "ab", "--set", "prompt_length=2"}
            << "got both";
        QTest::newRow("no data to learn on") << QStringList{"copying.safetensors", "--text", "ab", "--kind", "transplant", "--set", "prompt_length=2"}
                                             << "data to learn the prompt on";
        QTest::newRow("no data to score on") << QStringList{"copying.safetensors", "--text",   "ab", "--kind", "transplant", "--set",
                                                            "held_out_samples=5",  "--offset", "1"}
                                             << "expected data to be scored on";
        QTest::newRow("checkpoints of a file") << QStringList{"copying.safetensors", "--text", "ab", "--checkpoints", "all"}
                                               << "expected a model run:ID";
        QTest::newRow("no such checkpoint") << QStringList{"run:1", "--sample", "0", "--checkpoints", "4,5", "--workspace", "w"}
                                            << "no checkpoint of step \"5\": expected all, or some of 4, 8, 12";
        QTest::newRow("no such step") << QStringList{"run:1@5", "--sample", "0", "--workspace", "w"} << "4, 8, 12";
        QTest::newRow("no such sample") << QStringList{"run:1", "--sample", "1000", "--workspace", "w"} << "sample 1000";
        QTest::newRow("odd file") << QStringList{"copying.safetensors", "--text", "ab", "--out", "x.txt"} << ".npy";
    }
    void badInputIsRefused()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, said);
        const auto answer = m_cli.compute(QStringList{"lens"} + arguments);
        VERIFY_REFUSED(answer, 2, said);
        QVERIFY(answer.out.isEmpty());
    }

    void helpListsTheKinds()
    {
        const auto answer = m_cli.run({"lens", "--help"});
        QCOMPARE(answer.status, 0);
        for (const char* word :
             {"logit_lens", "future", "transplant", "direct_logit_attribution", "attention", "induction", "--checkpoints", "fit_samples"})
            QVERIFY2(answer.out.contains(word), word);
    }

    void anInterruptEndsIt()
    {
        // Before the program has its handler a signal ends it as any other: then once more, later.
        int status = 0;
        for (const int later : {1000, 4000, 16000}) {
            QProcess process;
            m_cli.start(process, {"lens", "induction.safetensors", "--kind", "induction", "--set", "sequences=100000", "--threads", "1"});
            QVERIFY(process.waitForStarted());
            QVERIFY(!process.waitForFinished(later));
            QProcess::execute("kill", {"-INT", QString::number(process.processId())});
            status = test::answerOf(process).status;
            if (status == 130)
                break;
        }
        QCOMPARE(status, 130);
    }
};

QTEST_GUILESS_MAIN(CliLensTest)
#include "cli_lens_test.moc"
