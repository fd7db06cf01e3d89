#include <QTest>
#include <core/text/charsmap.h>
#include <core/text/dictionary.h>
#include <core/text/gpt_words.h>
#include <core/text/normal_forms.h>
#include <core/text/pattern.h>
#include <core/text/training.h>
#include <core/text/unicode.h>
#include <map>
#include <random>

#include "../message_of.h"
#include "cases.h"

using namespace orrery;
using namespace orrery::text;

namespace {

std::string textOf(const std::vector<Change>& changes)
{
    std::string text;
    for (const auto& change : changes)
        text += utf8Of(change.point);
    return text;
}

/// Text of code points that meet each other in real texts and of any others.
std::string randomText(std::mt19937& random, int length)
{
    static const std::u32string kCommon =
        U"abcXYZ  "
        U"\n\t'sdtlm019.,-_"
        U"é\u0301\u0300\u0323ñ\u00df\u03a3\u03c2я你好\u0e01\u0e34\u0e48क\u093fا\u064e한\u1100\u1161\u11a8ﬁ①½\u00a0\u3000👋\U0001f3fd\u200d";
    std::string text;
    for (int i = 0; i < length; ++i) {
        char32_t point = kCommon[random() % kCommon.size()];
        if (random() % 4 == 0) {
            point = random() % (random() % 2 ? 0x800 : 0x2fa20);
            // Neither half of a pair, nor newer than Qt's tables.
            if ((point >= 0xd800 && point < 0xe000) || QChar::category(point) == QChar::Other_NotAssigned)
                point = U'x';
        }
        text += utf8Of(point);
    }
    return text;
}

std::string randomBytes(std::mt19937& random, int length)
{
    std::string bytes;
    for (int i = 0; i < length; ++i)
        bytes += char(random() & 0xff);
    return bytes;
}

/// The fewest unknown characters, then the fewest parts, by trying every cut.
std::pair<int, int> bestCost(const std::vector<std::string>& words, std::string_view text, bool unknownBefore = false)
{
    if (text.empty())
        return {0, 0};
    // One more unknown character, which begins a part unless one is open.
    const auto own = sequenceAt(text, 0).first;
    auto best = bestCost(words, text.substr(own), true);
    best.first += 1;
    best.second += unknownBefore ? 0 : 1;
    for (const auto& word : words)
        if (text.starts_with(word)) {
            auto rest = bestCost(words, text.substr(word.size()), false);
            rest.second += 1;
            best = std::min(best, rest);
        }
    return best;
}

}  // namespace

class TextPartsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void brokenBytesAreReplacedAsPythonDoes_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("wanted");
        // b"...".decode("utf-8", "replace")
        QTest::newRow("good") << QByteArray("a\xc3\xa9") << QStringLiteral("aé");
        QTest::newRow("lone continuation") << QByteArray("a\x80z") << QStringLiteral("a\ufffdz");
        QTest::newRow("cut short") << QByteArray("a\xe2\x82") << QStringLiteral("a\ufffd");
        QTest::newRow("cut in the middle") << QByteArray("\xe2\x82z") << QStringLiteral("\ufffdz");
        QTest::newRow("overlong") << QByteArray("\xc0\xaf") << QStringLiteral("\ufffd\ufffd");
        QTest::newRow("surrogate") << QByteArray("\xed\xa0\x80") << QStringLiteral("\ufffd\ufffd\ufffd");
        QTest::newRow("too large") << QByteArray("\xf4\x90\x80\x80") << QStringLiteral("\ufffd\ufffd\ufffd\ufffd");
        QTest::newRow("four bytes cut") << QByteArray("\xf0\x9f\x91x") << QStringLiteral("\ufffdx");
    }

    void brokenBytesAreReplacedAsPythonDoes()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, wanted);
        QCOMPARE(QString::fromStdString(withReplacements({bytes.data(), std::size_t(bytes.size())})), wanted);
    }

    void offsetsOfReplacedBytesAreThoseOfTheGivenOnes()
    {
        const auto text = AlignedText::ofBytes("a\xe2\x82z\xff", AlignedText::Invalid::Replace);
        QCOMPARE(QString::fromStdString(text.text()), QStringLiteral("a\ufffdz\ufffd"));
        QVERIFY((text.spanOf(1, 4) == Span{1, 3}));
        QVERIFY((text.spanOf(4, 5) == Span{3, 4}));
        QVERIFY((text.spanOf(5, 8) == Span{4, 5}));
    }

    void escapedBytesComeBack()
    {
        std::mt19937 random(7);
        for (int i = 0; i < 300; ++i) {
            const auto bytes = randomBytes(random, int(random() % 40));
            auto text = AlignedText::ofBytes(bytes, AlignedText::Invalid::Escape);
            text.mapBytes();
            std::string back;
            for (const char32_t point : pointsOf(text.text()))
                back += char(characterByte(point));
            QCOMPARE(back, bytes);
        }
    }

    void changesKeepOffsets()
    {
        auto text = AlignedText::ofBytes("h\xc3\xa9llo", AlignedText::Invalid::Replace);
        text.transform(normalForm(text.text(), NormalForm::Nfd));
        QCOMPARE(QString::fromStdString(text.text()), QStringLiteral("he\u0301llo"));
        QVERIFY((text.spanOf(1, 4) == Span{1, 3}));
        text.filter([](char32_t point) { return !isNonSpacingMark(point); });
        QCOMPARE(text.text(), std::string("hello"));
        QVERIFY((text.spanOf(1, 2) == Span{1, 3}));
        QVERIFY((text.spanOf(2, 5) == Span{3, 6}));
        text.prepend("_");
        QVERIFY((text.spanOf(0, 1) == Span{0, 1}));
        text.replace(literalText("ll")->find(text.text()), "L");
        QCOMPARE(text.text(), std::string("_heLo"));
        QVERIFY((text.spanOf(3, 4) == Span{4, 5}));  // the last of what was replaced
        QVERIFY((text.slice(3, 5).spanOf(0, 2) == Span{4, 6}));
    }

    void normalFormsAreThoseOfQt()
    {
        // Qt carries its own tables and algorithm.
        std::mt19937 random(11);
        const std::pair<NormalForm, QString::NormalizationForm> forms[] = {{NormalForm::Nfc, QString::NormalizationForm_C},
                                                                           {NormalForm::Nfd, QString::NormalizationForm_D},
                                                                           {NormalForm::Nfkc, QString::NormalizationForm_KC},
                                                                           {NormalForm::Nfkd, QString::NormalizationForm_KD}};
        for (int i = 0; i < 3000; ++i) {
            const auto text = randomText(random, 1 + int(random() % 30));
            for (const auto& [own, theirs] : forms)
                QCOMPARE(QString::fromStdString(textOf(normalForm(text, own))), QString::fromStdString(text).normalized(theirs));
        }
    }

    void gptWordsAreTheRegularExpressions()
    {
        const auto slow = plainRegularExpression(kGptWords, "test");
        const auto fast = regularExpression(kGptWords, "test");
        QVERIFY(dynamic_cast<const void*>(fast.get()) != dynamic_cast<const void*>(slow.get()));
        std::mt19937 random(5);
        for (int i = 0; i < 4000; ++i) {
            const auto text = randomText(random, int(random() % 60));
            QCOMPARE(splitAt(fast->find(text), SplitBehaviour::Isolated), splitAt(slow->find(text), SplitBehaviour::Isolated));
        }
    }

    void aSplitKeepsWhatItSays_data()
    {
        QTest::addColumn<int>("behaviour");
        QTest::addColumn<QStringList>("wanted");
        // The example of the library's own documentation.
        QTest::newRow("removed") << int(SplitBehaviour::Removed) << QStringList{"the", "final", "countdown"};
        QTest::newRow("isolated") << int(SplitBehaviour::Isolated) << QStringList{"the", "-", "final", "-", "-", "countdown"};
        QTest::newRow("previous") << int(SplitBehaviour::MergedWithPrevious) << QStringList{"the-", "final-", "-", "countdown"};
        QTest::newRow("next") << int(SplitBehaviour::MergedWithNext) << QStringList{"the", "-final", "-", "-countdown"};
        QTest::newRow("contiguous") << int(SplitBehaviour::Contiguous) << QStringList{"the", "-", "final", "--", "countdown"};
    }

    void aSplitKeepsWhatItSays()
    {
        QFETCH(int, behaviour);
        QFETCH(QStringList, wanted);
        const std::string text = "the-final--countdown";
        QStringList found;
        for (const auto& [first, last] : splitAt(literalText("-")->find(text), SplitBehaviour(behaviour)))
            found << QString::fromStdString(text.substr(first, last - first));
        QCOMPARE(found, wanted);
    }

    void aRegularExpressionThatTriesEverythingGivesUp()
    {
        const auto pattern = regularExpression("(a*)*(b*)*(a+)+c", "p");
        const QString message = saidBy([&] { pattern->find(std::string(2000, 'a')); });
        QVERIFY2(message.contains("gives up on a text of 2000 bytes"), qPrintable(message));
    }

    void aBrokenRegularExpressionIsNamed()
    {
        QCOMPARE(saidBy([] { regularExpression("a(b", "x.json: pre_tokenizer"); }).left(64),
                 QStringLiteral("x.json: pre_tokenizer: expected a regular expression, got \"a(b\" "));
    }

    void base64IsRead()
    {
        // RFC 4648, section 10.
        for (const auto& [text, wanted] : std::map<std::string, std::string>{
                 {"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"}})
            QCOMPARE(decodeBase64(text, "x"), wanted);
        QCOMPARE(saidBy([] { decodeBase64("Zm9*", "x"); }), QStringLiteral("x: expected Base64, got the byte 0x2a at position 3"));
        QCOMPARE(saidBy([] { decodeBase64("Zm9vY", "x"); }), QStringLiteral("x: expected Base64, got a text that ends in the middle"));
    }

    void aCharsmapThatDoesNotFitIsRefused()
    {
        QVERIFY(saidBy([] { Charsmap(std::string("\xff\xff\xff\x0f tiny", 9), "m"); }).startsWith("m: expected a table of characters"));
        QVERIFY(saidBy([] { Charsmap("", "m"); }).startsWith("m: expected a table of characters"));
        // Offsets that lead out of the table find nothing.
        std::string wild(4 + 256, '\xff');
        wild[0] = '\0', wild[1] = '\1', wild[2] = wild[3] = '\0';
        QVERIFY(!Charsmap(wild, "m").replacement("abc"));
    }

    void theDictionaryCutIsTheBestOfAll()
    {
        // Fifty words of two to four Thai characters, made of few letters so that they overlap.
        std::mt19937 random(3);
        const std::u32string letters = U"กขคงจ";
        std::vector<std::string> words;
        while (words.size() < 50) {
            std::string word;
            for (int i = 0, n = 1 + int(random() % 4); i < n; ++i)
                word += utf8Of(letters[random() % letters.size()]);
            words.push_back(word);
        }
        const Lexicon lexicon(words);
        for (int round = 0; round < 300; ++round) {
            std::string text;
            for (int i = 0, n = int(random() % 10); i < n; ++i)
                text += random() % 8 == 0 ? "x" : utf8Of(letters[random() % letters.size()]);
            std::string joined;
            std::pair<int, int> cost{0, 0};
            for (const auto& part : lexicon.cut(text)) {
                const auto piece = text.substr(part.begin, part.end - part.begin);
                joined += piece;
                cost.second += 1;
                cost.first += part.word < 0 ? int(countPoints(piece)) : 0;
                if (part.word >= 0)
                    QCOMPARE(lexicon.words()[std::size_t(part.word)], piece);
            }
            QCOMPARE(joined, text);
            QCOMPARE(cost, bestCost(lexicon.words(), text));
        }
    }

    void aPartNeverBeginsWithAVowelSign()
    {
        // "กิน" without its vowel sign is no word's end: the sign stays with its consonant.
        const Lexicon lexicon({"ก", "น", "กิน"});
        const auto parts = lexicon.cut("กินกิ");
        QCOMPARE(parts.size(), std::size_t(2));
        QCOMPARE(parts[0].word, std::int64_t(1));
        QCOMPARE(parts[1].word, std::int64_t(-1));
        QCOMPARE(parts[1].end - parts[1].begin, std::size_t(6));
    }

    void aDictionaryTokenizerLosesNothing()
    {
        const auto tokenizer = tokenizerFromCard({{"kind", "dictionary"}, {"words", {"สวัสดี", "ชาว", "โลก"}}});
        QCOMPARE(tokenizer->kind(), std::string("dictionary"));
        const std::string text = "สวัสดีชาวโลกxyz \xff สวัสดี";
        const auto encoding = tokenizer->encode(text);
        QCOMPARE(tokenizer->decode(encoding.ids), text);
        QCOMPARE(tokenizer->tokenText(encoding.ids[0]), std::string("สวัสดี"));
        QCOMPARE(encoding.wordIds[2], std::int64_t(2));
        QCOMPARE(tokenizer->toJson()["words"].size(), std::size_t(3));
        QCOMPARE(*tokenizer->idOf("โลก"), *tokenizerFromCard(tokenizer->toJson())->idOf("โลก"));
    }

    void mergesAreThoseOfTheLibrarysTrainer()
    {
        const auto wanted = core::Json::parse(dataFile(ORRERY_TEST_DATA "/text/bpe_training.json.gz"));
        std::map<std::string, std::int64_t> words;
        const auto text = wanted["text"].get<std::string>();
        for (const auto& [first, last] : splitAt(characters(isWhiteSpace)->find(text), SplitBehaviour::Removed))
            ++words[text.substr(first, last - first)];
        MergeTraining training;
        training.vocabulary = 30000;
        training.minimumCount = 0;
        const auto trained = trainMerges(words, training);
        QCOMPARE(trained.pieces, wanted["vocab"].get<std::vector<std::string>>());
        QCOMPARE(trained.merges.size(), wanted["merges"].size());
        for (std::size_t i = 0; i < trained.merges.size(); ++i)
            QCOMPARE((std::vector<std::string>{trained.merges[i].first, trained.merges[i].second}),
                     wanted["merges"][i].get<std::vector<std::string>>());
    }

    void wordPieceTrainingMergesTheMostFrequentPair()
    {
        // By hand: (a, ##b) twice as often as (##b, ##c).
        MergeTraining training;
        training.continuation = "##";
        training.special = {"[UNK]"};
        training.vocabulary = 8;
        training.minimumCount = 1;
        const auto trained = trainMerges({{"ab", 3}, {"abc", 2}}, training);
        QCOMPARE(trained.pieces, (std::vector<std::string>{"[UNK]", "a", "b", "c", "##a", "##b", "##c", "ab"}));
        QCOMPARE(saidBy([&] {
                     training.vocabulary = 6;
                     trainMerges({{"abc", 1}}, training);
                 }),
                 QStringLiteral("vocabulary: expected at least 7 pieces for the special tokens and characters alone, got 6"));
    }
};

QTEST_APPLESS_MAIN(TextPartsTest)
#include "text_parts_test.moc"
