// SentencePiece models: the library's own numbers and texts, and what is refused.
#include <QTemporaryDir>
#include <QTest>

#include <core/base/error.h>
#include <core/io/protobuf.h>
#include <core/text/card_tokenizer.h>
#include <core/text/sentencepiece.h>
#include <core/text/tokenizer_files.h>

#include "../message_of.h"
#include "cases.h"

using namespace orrery;
using core::Json;

namespace {

std::filesystem::path modelsFolder()
{
    return std::filesystem::path(ORRERY_TEST_DATA) / "text" / "sentencepiece";
}

std::string modelBytes(const std::string& name)
{
    return text::dataFile(modelsFolder() / (name + ".model.gz"));
}

text::TokenizerPtr openedModel(const std::string& name)
{
    const auto tree = text::tokenizerTree(text::parseSentencePiece(modelBytes(name), name), {}, name);
    return text::tokenizerFromJson(tree.dump(), name);
}

std::string entry(const std::string& piece, float score, int type)
{
    io::ProtobufWriter writer;
    writer.bytes(1, piece);
    writer.real(2, score);
    writer.number(3, type);
    return writer.text();
}

/// A model of a few pieces with settings of the trainer and the normaliser.
std::string smallModel(const std::vector<std::string>& entries, std::pair<int, int> trainer = {3, 1}, std::pair<int, int> normaliser = {3, 1})
{
    io::ProtobufWriter writer, trainerSpec, normaliserSpec;
    for (const auto& each : entries)
        writer.bytes(1, each);
    trainerSpec.number(std::uint32_t(trainer.first), trainer.second);
    normaliserSpec.number(std::uint32_t(normaliser.first), normaliser.second);
    writer.bytes(2, trainerSpec.text());
    writer.bytes(3, normaliserSpec.text());
    return writer.text();
}

QString reasonFor(const std::string& bytes)
{
    return saidBy([&] { text::tokenizerTree(text::parseSentencePiece(bytes, "m"), {}, "m"); });
}

}  // namespace

class SentencePieceTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void numbersAndTextsAreTheLibrarys_data()
    {
        QTest::addColumn<QString>("name");
        for (const char* name : {"unigram", "unigram-bytes", "bpe", "bpe-bytes"})
            QTest::newRow(name) << QString(name);
    }
    void numbersAndTextsAreTheLibrarys()
    {
        QFETCH(QString, name);
        const auto tokenizer = openedModel(name.toStdString());
        const Json document = Json::parse(text::dataFile(modelsFolder() / (name.toStdString() + ".json.gz")));
        QVERIFY(document.at("cases").size() > 15);
        for (const auto& each : document.at("cases")) {
            const auto given = each.at("text").get<std::string>();
            const auto ids = each.at("ids").get<std::vector<std::int64_t>>();
            const auto found = tokenizer->ids(given);
            QVERIFY2(found == ids, qPrintable(QString("\"%1\": %2 against %3")
                                                  .arg(QString::fromStdString(given), QString::fromStdString(Json(found).dump()),
                                                       QString::fromStdString(Json(ids).dump()))));
            const auto decoded = each.at("decoded").get<std::string>();
            QVERIFY2(
                tokenizer->decode(ids, true) == decoded,
                qPrintable(
                    QString("\"%1\" comes back as \"%2\"").arg(QString::fromStdString(given), QString::fromStdString(tokenizer->decode(ids, true)))));
        }
    }

    void bytesAreNeverMatchedInTexts()
    {
        // A text that spells a byte piece is that text, whatever its pieces are.
        const auto tokenizer = openedModel("unigram-bytes");
        const auto byte = tokenizer->idOf("<0x41>").value();
        const auto ids = tokenizer->ids("<0x41>");
        QVERIFY(std::find(ids.begin(), ids.end(), byte) == ids.end());
        QCOMPARE(tokenizer->decode(ids, true), "<0x41>");
        QCOMPARE(tokenizer->decode(tokenizer->ids("日本語"), true), "日本語");
    }

    void aFolderSaysWhatStandsAroundATextAndACardKeepsIt()
    {
        const QTemporaryDir folder;
        const auto root = std::filesystem::path(folder.path().toStdString());
        core::writeFileAtomically(root / "tokenizer.model", modelBytes("bpe-bytes"));
        QVERIFY(text::holdsTokenizer(root));
        const auto opened = text::openTokenizer(root);
        const auto begin = opened->idOf("<s>").value(), end = opened->idOf("</s>").value();
        QCOMPARE(opened->ids("In the beginning", true).front(), begin);
        QVERIFY(opened->ids("In the beginning", true).back() != end);
        QVERIFY(opened->isSpecial(begin) && opened->isSpecial(end));
        const auto again = text::tokenizerFromCard(text::folderTokenizerCard(root));
        QCOMPARE(again->ids("In the beginning", true), opened->ids("In the beginning", true));
        core::writeFileAtomically(root / "tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
        const auto changed = text::openTokenizer(root)->ids("In the beginning", true);
        QVERIFY(changed.front() != begin && changed.back() == end);
        core::writeFileAtomically(root / "other.model", modelBytes("unigram"));
        QCOMPARE(text::openTokenizer(root / "other.model")->kind(), "Unigram");
    }

    void whatIsNoSuchModelIsRefused_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("reason");
        const auto row = [](const char* name, const std::string& bytes, const char* reason) {
            QTest::newRow(name) << QByteArray(bytes.data(), qsizetype(bytes.size())) << QString(reason);
        };
        const std::string unknown = entry("<unk>", 0, 2), plain = entry("a", -1, 1);
        row("nothing", "", "expected a SentencePiece model");
        row("text", "{\"model\": 1}", "expected a SentencePiece model");
        row("cut off", smallModel({unknown, plain}).substr(0, 20), "m: ");
        row("words", smallModel({unknown, plain}, {3, 3}), "expected a Unigram or BPE model (type 1 or 2), found type 3");
        row("suffix", smallModel({unknown, plain}, {24, 1}), "treat_whitespace_as_suffix");
        row("plain blanks", smallModel({unknown, plain}, {3, 1}, {5, 0}), "escape_whitespaces");
        row("type", smallModel({unknown, entry("a", 0, 7)}), "a piece of type 1 to 6 at number 1, found type 7");
        row("score", smallModel({unknown, entry("a", std::numeric_limits<float>::infinity(), 1)}), "a finite score at number 1");
        row("no text", smallModel({unknown, entry("\xff", 0, 1)}), "pieces of 1 to 4096 bytes of UTF-8, found another at number 1");
        row("empty piece", smallModel({unknown, entry("", 0, 1)}), "found another at number 1");
        row("twice", smallModel({unknown, plain, plain}), "each piece once, found \"a\" again at number 2");
        row("no unknown piece", smallModel({plain}), "expected an unknown piece, found none");
    }
    void whatIsNoSuchModelIsRefused()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, reason);
        const QString found = reasonFor(bytes.toStdString());
        QVERIFY2(found.contains(reason), qPrintable(found));
    }

    void scoresDecideHowAWordIsCut()
    {
        // "ab" + "c" costs 3, "a" + "bc" 2.5, one by one 6.
        const std::string bytes =
            smallModel({entry("<unk>", 0, 2), entry("a", -1, 1), entry("b", -3, 1), entry("c", -2, 1), entry("ab", -1, 1), entry("bc", -1.5F, 1)},
                       {3, 1}, {3, 0});
        const auto tokenizer = text::tokenizerFromJson(text::tokenizerTree(text::parseSentencePiece(bytes, "m"), {}, "m").dump(), "m");
        QCOMPARE(tokenizer->ids("abc"), (std::vector<std::int64_t>{1, 5}));
        // Merged by score instead: "ab" comes before "bc".
        const std::string merged = smallModel(
            {entry("<unk>", 0, 2), entry("a", 0, 1), entry("b", 0, 1), entry("c", 0, 1), entry("ab", -1, 1), entry("bc", -1.5F, 1)}, {3, 2}, {3, 0});
        const auto pairs = text::tokenizerFromJson(text::tokenizerTree(text::parseSentencePiece(merged, "m"), {}, "m").dump(), "m");
        QCOMPARE(pairs->ids("abc"), (std::vector<std::int64_t>{4, 3}));
    }
};

QTEST_APPLESS_MAIN(SentencePieceTest)
#include "sentencepiece_test.moc"
