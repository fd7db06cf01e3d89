// orrery-cli tokenize: what it prints is what core says, several tokenizers are compared, vocabularies are learned, bad input is refused in one sentence.
#include <core/models/model_file.h>
#include <core/text/tokenizer_files.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

const char* const kText = "The cardiologist examined the cardiovascular system. The gastroenterologist examined the gastric system.\n";

std::string fixture(const std::string& name)
{
    const std::string file = ORRERY_TEST_DATA "/text/" + name + "/tokenizer.json.gz";
    return core::inflateIfGzip(core::readFile(file), file);
}

}  // namespace

class CliTokenizeTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

private Q_SLOTS:
    void initTestCase()
    {
        m_cli.write("gpt2.json", fixture("gpt2"));
        std::filesystem::create_directories(m_cli.path("bert"));
        m_cli.write("bert/tokenizer.json", fixture("bert-uncased"));
        m_cli.write("thai.words", "สวัสดี\nชาว\nโลก\n");
        m_cli.write("broken.json", "{\"model\": {\"type\": \"Magic\"}}");
        m_cli.write("text.txt", kText);
        auto model = zoo::buildModel("gpt", {{"vocabulary", 700}, {"block_length", 32}, {"layers", 1}, {"heads", 1}, {"width", 8}}, 3);
        model.card.tokenizer = text::openTokenizer(m_cli.path("gpt2.json"))->toJson();
        models::saveModel(m_cli.path("gpt.safetensors"), model);
        models::saveModel(m_cli.path("table.safetensors"), zoo::buildModel("mlp", {{"features", 3}, {"classes", 2}}, 0));
    }

    void aTextIsTakenApart()
    {
        const auto document = m_cli.json({"tokenize", "gpt2.json", "--text", "Hello κόσμε"});
        const auto& made = document.at("tokenizers").at(0);
        const auto wanted = text::openTokenizer(m_cli.path("gpt2.json"))->encode("Hello κόσμε");
        QCOMPARE(made.at("ids").get<std::vector<std::int64_t>>(), wanted.ids);
        QCOMPARE(made.at("tokens").size(), wanted.size());
        QCOMPARE(made.at("tokens").back().at("script").get<std::string>(), std::string("Greek"));
        QCOMPARE(made.at("tokens").back().at("end").get<int>(), 16);
        QVERIFY(made.at("comes_back").get<bool>());
        const auto table = m_cli.compute({"tokenize", "gpt2.json", "--text", "Hello κόσμε"});
        QCOMPARE(table.status, 0);
        QVERIFY2(table.out.contains("Greek") && table.out.contains("per word") && table.out.contains("BPE"), qPrintable(table.out));
    }

    void numbersGoThereAndBack()
    {
        const QString text = "line one\n\tline two 👋🏽";
        const auto ids = m_cli.compute({"tokenize", "gpt2.json", "--ids", "--text", text});
        QCOMPARE(ids.status, 0);
        const auto back = m_cli.compute({"tokenize", "gpt2.json", "--decode", ids.out.trimmed().replace(' ', ',')});
        QCOMPARE(back.out, text + "\n");
    }

    void severalTokenizersAreCompared()
    {
        const auto document = m_cli.json({"tokenize", "gpt2.json", "bert", "bytes", "thai.words", "gpt.safetensors", "--text", "สวัสดีชาวโลก abc"});
        const auto& list = document.at("tokenizers");
        QCOMPARE(list.size(), std::size_t(5));
        QCOMPARE(list[2].at("counts").at("pieces").get<int>(), 40);
        QCOMPARE(list[3].at("kind").get<std::string>(), std::string("dictionary"));
        QCOMPARE(list[3].at("counts").at("pieces").get<int>(), 3 + 4);
        QVERIFY(list[4].at("ids") == list[0].at("ids"));  // the model has the same one
        QCOMPARE(list[0].at("scripts").at(0).at("script").get<std::string>(), list[1].at("scripts").at(0).at("script").get<std::string>());
        const auto table = m_cli.compute({"tokenize", "gpt2.json", "bert", "--file", "text.txt"});
        QVERIFY2(table.out.contains("Latin") && table.out.contains("comes back"), qPrintable(table.out));
    }

    void pairsAndSpecialTokens()
    {
        const auto with = m_cli.json({"tokenize", "bert", "--text", "the fox", "--pair", "the dog"}).at("tokenizers").at(0).at("tokens");
        QVERIFY(with.front().at("special").get<bool>() && with.front().at("piece") == "[CLS]");
        QCOMPARE(with.back().at("type").get<int>(), 1);
        const auto plain = m_cli.json({"tokenize", "bert", "--text", "the fox", "--plain"}).at("tokenizers").at(0).at("tokens");
        QVERIFY(!plain.front().at("special").get<bool>());
    }

    void aVocabularyIsLearned()
    {
        for (const char* kind : {"bpe", "wordpiece"}) {
            const auto made = m_cli.json(
                {"tokenize", "train", "--kind", kind, "--vocabulary", "400", "--minimum-count", "1", "--file", "text.txt", "--out", "own.json"});
            QVERIFY(made.at("size").get<int>() <= 400);
            const auto document = m_cli.json({"tokenize", "own.json", "gpt2.json", "--text", "cardiovascular gastroenterologist", "--plain"});
            const auto& list = document.at("tokenizers");
            QVERIFY(list[0].at("counts").at("pieces_per_word").get<double>() < list[1].at("counts").at("pieces_per_word").get<double>());
            QCOMPARE(list[0].at("counts").at("unknown").get<int>(), 0);
            const auto first = m_cli.read("own.json");
            m_cli.json(
                {"tokenize", "train", "--kind", kind, "--vocabulary", "400", "--minimum-count", "1", "--file", "text.txt", "--out", "own.json"});
            QCOMPARE(m_cli.read("own.json"), first);
        }
    }

    void theModelReadsByIt()
    {
        const auto answer = m_cli.json({"predict", "gpt.safetensors", "--text", "Hello world", "--top", "3"});
        const auto tokenizer = text::openTokenizer(m_cli.path("gpt2.json"));
        QCOMPARE(answer.at("shape").at(1).get<std::size_t>(), tokenizer->ids("Hello world").size());
        const auto& first = answer.at("predictions").at(0).at("classes").at(0);
        QCOMPARE(first.at("name").get<std::string>(), tokenizer->tokenText(first.at("class").get<std::int64_t>()));
        QCOMPARE(m_cli.compute({"predict", "gpt.safetensors", "--text", "Hello", "--beam", "2", "--max-length", "3"}).status, 0);
        // Blanks can be seen.
        const auto table =
            m_cli.compute({"generate", "gpt.safetensors", "--prompt", "a", "--max-tokens", "1", "--alternatives", "1000", "--show-probabilities"});
        QVERIFY2(table.out.contains("  ' ' 0."), qPrintable(table.out.left(3000)));
        QCOMPARE(m_cli.compute({"lens", "gpt.safetensors", "--text", "Hello world", "--kind", "attention", "--layer", "0"}).status, 0);
    }

    void badInputIsRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("said");
        const auto row = [](const char* name, const QStringList& arguments, const char* said) { QTest::newRow(name) << arguments << said; };
        row("nothing", {}, "expected a tokenizer");
        row("no text", {"gpt2.json"}, "expected one of --text, --file, --decode");
        row("broken", {"broken.json", "--text", "x"}, "broken.json.model");
        row("no such", {"nowhere.json", "--text", "x"}, "nowhere.json");
        row("no tokenizer", {"table.safetensors", "--text", "x"}, "table.safetensors: expected a model with a tokenizer, found none in its card");
        row("outside", {"gpt2.json", "--decode", "1,99999"}, "expected tokens from 0 to 699, got 99999");
        row("no number", {"gpt2.json", "--decode", "1,x"}, "expected numbers with commas between them, got \"x\"");
        row("too small", {"train", "--vocabulary", "20", "--file", "text.txt", "--out", "x.json"}, "vocabulary: expected at least 257 pieces");
        row("no file", {"train", "--file", "nowhere.txt", "--out", "x.json"}, "nowhere.txt");
        row("unknown kind", {"train", "--kind", "magic", "--file", "text.txt", "--out", "x.json"}, "magic");
    }

    void badInputIsRefused()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, said);
        const auto answer = m_cli.run(QStringList{"tokenize"} + arguments);
        VERIFY_REFUSED(answer, 2, said);
        QVERIFY(!m_cli.has("x.json"));
    }
};

QTEST_APPLESS_MAIN(CliTokenizeTest)
#include "cli_tokenize_test.moc"
