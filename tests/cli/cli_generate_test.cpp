// generate and predict on checkpoint folders: texts, probabilities, masks, bad input, an interrupt.
#include <ATen/ATen.h>

#include <QRegularExpression>
#include <csignal>

#include <core/models/checkpoint_folder.h>
#include <core/models/families/family.h>
#include <core/models/model_file.h>
#include <core/train/predict.h>

#include "../core/models/families/checkpoint_cases.h"
#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

/// A checkpoint folder of a case with the weights of its maker.
void writeFolder(const test::Cli& cli, const std::string& name, const std::string& as)
{
    const auto source = tests::checkpointRoot() / name;
    const auto made = tests::openCase(source);
    const auto folder = cli.path(as);
    std::filesystem::create_directories(folder);
    for (const char* file : {"config.json", "generation_config.json"})
        if (std::filesystem::exists(source / file))
            std::filesystem::copy_file(source / file, folder / file);
    models::saveWeights(folder / "model.safetensors", made.model.weights);
}

std::vector<std::int64_t> tokensOf(const Json& answer)
{
    std::vector<std::int64_t> tokens;
    for (const auto& token : answer.at("tokens"))
        tokens.push_back(token.at("token").get<std::int64_t>());
    return tokens;
}

/// A vocabulary of 97 words for BERT's case.
std::string vocabulary()
{
    std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\nsat\non\nmat\n";
    for (int i = 10; i < 97; ++i)
        text += fmt::format("word{}\n", i);
    return text;
}

}  // namespace

class CliGenerateTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
private Q_SLOTS:
    void initTestCase()
    {
        writeFolder(m_cli, "gpt2", "gpt2");
        writeFolder(m_cli, "t5", "t5");
        writeFolder(m_cli, "whisper", "whisper");
        writeFolder(m_cli, "bert-masked", "bert");
        m_cli.write("bert/vocab.txt", vocabulary());
        m_cli.write("bert/tokenizer_config.json", R"({"do_lower_case": true, "tokenizer_class": "BertTokenizer"})");
        std::filesystem::create_directories(m_cli.path("unknown"));
        m_cli.write("unknown/config.json", R"({"model_type": "mammoth"})");
    }

    void greedyTextsAreTheLibrarys()
    {
        const auto expected = models::loadTensors(tests::checkpointRoot() / "gpt2" / "expect.safetensors").at("generated").slice(1, 7).reshape({-1});
        for (const QStringList& more : {QStringList{}, QStringList{"--no-cache"}}) {
            const auto answer =
                m_cli.json(QStringList{"generate", "gpt2", "--tokens", "5,17,3,44,96,8,21", "--max-tokens", "8", "--ignore-end"} + more);
            const auto tokens = tokensOf(answer);
            QCOMPARE(tokens.size(), std::size_t(expected.numel()));
            for (std::size_t i = 0; i < tokens.size(); ++i)
                QCOMPARE(tokens[i], expected[std::int64_t(i)].item<std::int64_t>());
            QCOMPARE(answer.at("cached").get<bool>(), more.isEmpty());
            QCOMPARE(QString::fromStdString(answer.at("ended_by").get<std::string>()), QString("length"));
            QCOMPARE(answer.at("tokens")[0].at("alternatives").size(), std::size_t(5));
            QVERIFY(answer.at("tokens")[0].at("alternatives")[0].at("token") == answer.at("tokens")[0].at("token"));
        }
    }

    void encoderDecodersAnswer()
    {
        const auto expected = models::loadTensors(tests::checkpointRoot() / "t5" / "expect.safetensors").at("generated").slice(1, 1).reshape({-1});
        const auto answer = m_cli.json({"generate", "t5", "--tokens", "5,17,3,44,96,8,21", "--max-tokens", "6", "--ignore-end"});
        const auto tokens = tokensOf(answer);
        for (std::size_t i = 0; i < tokens.size(); ++i)
            QCOMPARE(tokens[i], expected[std::int64_t(i)].item<std::int64_t>());
        QVERIFY(answer.at("prompt") == Json::array({0}));
    }

    /// A sound's features are the source; the answer starts with the model's own token, or with those that are given.
    void soundsAreAnswered()
    {
        const auto stored = models::loadTensors(tests::checkpointRoot() / "whisper" / "expect.safetensors");
        const auto features = stored.at("input_features").slice(0, 0, 1).contiguous();
        graph::Weights sound;
        sound.set("features", features);
        models::saveWeights(m_cli.path("sound.safetensors"), sound);
        const auto expected = stored.at("generated").slice(1, 1).reshape({-1});
        const QStringList call{"generate", "whisper", "--source", "sound.safetensors", "--max-tokens", "6", "--ignore-end"};
        const auto tokens = tokensOf(m_cli.json(call));
        QCOMPARE(tokens.size(), std::size_t(expected.numel()));
        for (std::size_t i = 0; i < tokens.size(); ++i)
            QCOMPARE(tokens[i], expected[std::int64_t(i)].item<std::int64_t>());
        const auto begun = tokensOf(m_cli.json(call + QStringList{"--tokens", QString("2,%1").arg(tokens[0])}));
        QCOMPARE(begun[0], tokens[1]);
        QVERIFY(m_cli.run({"generate", "whisper", "--tokens", "1"}).error.contains("expected an array of shape [batch, 8, 24] as its source"));
        QVERIFY(m_cli.run({"generate", "gpt2", "--source", "sound.safetensors", "--tokens", "1"}).error.contains("takes tokens alone"));
    }

    void drawsOfASeedAreRepeatable()
    {
        const QStringList call{"generate", "gpt2", "--tokens", "5,17", "--max-tokens", "10", "--temperature", "2", "--ignore-end"};
        const auto first = tokensOf(m_cli.json(call + QStringList{"--seed", "3"}));
        QCOMPARE(tokensOf(m_cli.json(call + QStringList{"--seed", "3"})), first);
        QVERIFY(tokensOf(m_cli.json(call + QStringList{"--seed", "4"})) != first);
    }

    void tablesShowProbabilities()
    {
        const auto answer = m_cli.compute({"generate", "gpt2", "--tokens", "5,17", "--max-tokens", "3", "--show-probabilities"});
        QCOMPARE(answer.status, 0);
        QCOMPARE(answer.out.split('\n', Qt::SkipEmptyParts).size(), 3);
        QVERIFY2(QRegularExpression("^\\d+ +0\\.\\d{4}").match(answer.out).hasMatch(), qPrintable(answer.out));
    }

    void masksAreFilled()
    {
        const auto answer = m_cli.json({"predict", "bert", "--text", "The cat [MASK] on the [MASK]", "--top", "3"});
        const auto& predictions = answer.at("predictions");
        QCOMPARE(predictions.size(), std::size_t(2));
        QCOMPARE(predictions[0].at("position").get<int>(), 3);
        QCOMPARE(predictions[1].at("position").get<int>(), 6);
        // [CLS] the cat [MASK] on the [MASK] [SEP], by the same model opened here.
        const auto model = models::openModel(m_cli.path("bert").string());
        const at::Tensor logits = graph::Executor(model.graph).forward(model.weights, {at::tensor({2, 5, 6, 4, 8, 5, 4, 3}, at::kLong).unsqueeze(0)});
        const auto [values, order] = at::topk(logits[0][3].softmax(-1), 3);
        for (int i = 0; i < 3; ++i) {
            const auto& each = predictions[0].at("classes")[std::size_t(i)];
            QCOMPARE(each.at("class").get<std::int64_t>(), order[i].item<std::int64_t>());
            QVERIFY(std::abs(each.at("probability").get<double>() - values[i].item<double>()) < 1e-5);
            const auto number = each.at("class").get<int>();
            if (number >= 10)
                QCOMPARE(QString::fromStdString(each.at("name").get<std::string>()), QString("word%1").arg(number));
        }
        const auto text = m_cli.compute({"predict", "bert", "--text", "The cat [MASK] on the mat"});
        QVERIFY2(text.out.startsWith("position 3 [MASK]\n"), qPrintable(text.out));
    }

    void badInputIsStatusTwo_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        QTest::newRow("nothing to go on from") << QStringList{"generate", "gpt2"} << "expected one of --prompt and --tokens";
        QTest::newRow("text without tokenizer") << QStringList{"generate", "gpt2", "--prompt", "a"} << "its card has no tokenizer";
        QTest::newRow("no number") << QStringList{"generate", "gpt2", "--tokens", "1,x"} << "expected numbers such as 3,14,15, got \"x\"";
        QTest::newRow("unknown token") << QStringList{"generate", "gpt2", "--tokens", "99"} << "expected tokens from 0 to 96, got 99";
        QTest::newRow("no mask") << QStringList{"predict", "bert", "--text", "the cat"} << "expected at least one [MASK] in the text";
        QTest::newRow("an unknown architecture cannot write") << QStringList{"generate", "unknown", "--tokens", "1"} << "unknown";
        QTest::newRow("a model of pictures") << QStringList{"generate", "zoo:lenet", "--tokens", "1"} << "takes tokens alone";
        QTest::newRow("too long") << QStringList{"generate", "gpt2", "--tokens", "1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6"}
                                  << "expected at most 32 tokens";
    }
    void badInputIsStatusTwo()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(arguments);
        VERIFY_REFUSED(answer, 2, message);
    }

    void anInterruptEndsTheText()
    {
        QProcess process;
        m_cli.start(process,
                    {"generate", "zoo:gpt?layers=12&width=512&heads=8&vocabulary=5000&block_length=4096", "--tokens", "1,2", "--max-tokens", "4000"});
        QVERIFY(process.waitForReadyRead(60'000));
        ::kill(pid_t(process.processId()), SIGINT);
        const auto answer = test::answerOf(process);
        QCOMPARE(answer.status, 130);
    }

    void aCheckpointFolderIsWrittenAgain()
    {
        const auto answer = m_cli.compute({"export", "gpt2", "--to", "checkpoint", "--out", "copy"});
        QVERIFY2(answer.status == 0, qPrintable(answer.error));
        const QStringList call{"--tokens", "5,17,3", "--max-tokens", "6"};
        QCOMPARE(tokensOf(m_cli.json(QStringList{"generate", "copy"} + call)), tokensOf(m_cli.json(QStringList{"generate", "gpt2"} + call)));
        // With what ends its texts.
        std::filesystem::copy(m_cli.path("gpt2"), m_cli.path("ending"));
        m_cli.write("ending/generation_config.json", R"({"eos_token_id": [3, 7], "temperature": 0.7})");
        QCOMPARE(m_cli.compute({"export", "ending", "--to", "checkpoint", "--out", "ending_copy"}).status, 0);
        QVERIFY(Json::parse(m_cli.read("ending_copy/generation_config.json")) == Json::parse(m_cli.read("ending/generation_config.json")));
        const auto refused = m_cli.compute({"export", "zoo:lenet", "--to", "checkpoint", "--out", "lenet"});
        VERIFY_REFUSED(refused, 2, "there is no config.json to write");
    }
};

QTEST_APPLESS_MAIN(CliGenerateTest)
#include "cli_generate_test.moc"
