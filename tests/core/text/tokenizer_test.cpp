#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <QTest>
#include <core/data/dataset.h>
#include <core/data/vocabulary.h>
#include <core/text/card_tokenizer.h>
#include <core/text/comparison.h>
#include <core/text/tokenizer_files.h>
#include <core/text/training.h>
#include <random>
#include <thread>

#include "../message_of.h"
#include "cases.h"

using namespace orrery;
using namespace orrery::text;

namespace {

std::filesystem::path dataFolder(const std::string& name)
{
    return std::filesystem::path(ORRERY_TEST_DATA "/text") / name;
}

/// A document with one part replaced.
QString errorOf(const std::string& document)
{
    return saidBy([&] { tokenizerFromJson(document, "t.json"); });
}

}  // namespace

class TokenizerTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void aVocabularyOfAQuarterOfAMillionPiecesOpens()
    {
        // All words of one to three letters and more of four, each merged from the one that is a letter shorter.
        std::vector<std::string> pieces;
        for (char letter = 'a'; letter <= 'z'; ++letter)
            pieces.emplace_back(1, letter);
        std::string vocabulary, merges;
        for (std::size_t i = 0; pieces.size() < 250'000; ++i)
            for (char letter = 'a'; letter <= 'z' && pieces.size() < 250'000; ++letter) {
                merges += std::string(merges.empty() ? "" : ",") + "[\"" + pieces[i] + "\",\"" + letter + "\"]";
                pieces.push_back(pieces[i] + letter);
            }
        for (std::size_t i = 0; i < pieces.size(); ++i)
            vocabulary += std::string(i ? "," : "") + "\"" + pieces[i] + "\":" + std::to_string(i);
        const auto tokenizer = tokenizerFromJson(R"({"model":{"type":"BPE","vocab":{)" + vocabulary + R"(},"merges":[)" + merges + "]}}", "t.json");
        QCOMPARE(tokenizer->size(), std::int64_t(250'000));
        // Pairs of letters come before words of three: ab, cd, then cdz.
        QCOMPARE(tokenizer->ids("abcdz"), (std::vector<std::int64_t>{26 + 1, 26 + 26 * 26 + 2 * 26 * 26 + 3 * 26 + 25}));
        QCOMPARE(*tokenizer->idOf("zzz"), std::int64_t(26 + 26 * 26 + 26 * 26 * 26 - 1));
    }

    void stepsThatMakeATextExplodeAreRefused()
    {
        std::string steps;
        for (int i = 0; i < 40; ++i)
            steps += std::string(i ? "," : "") + R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
        const auto tokenizer = tokenizerFromJson(R"({"normalizer":{"type":"Sequence","normalizers":[)" + steps +
                                                     R"(]},"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}})",
                                                 "t.json");
        const auto said = saidBy([&] { tokenizer->encode("banana"); });
        QVERIFY2(said.startsWith("the tokenizer's steps make ") && said.contains("of a text of 6: expected at most 16777600"), qPrintable(said));
        QCOMPARE(tokenizer->ids("bbb"), std::vector<std::int64_t>{0});
    }

    void piecesOfAUnigramModelAreTheBestOfAll()
    {
        static const std::vector<std::string> kLetters = {"a", "b", "\xc3\xa9"};
        std::mt19937 random(5);
        const auto word = [&](std::size_t longest) {
            std::string text;
            for (std::size_t n = 1 + random() % longest; n > 0; --n)
                text += kLetters[random() % 3];
            return text;
        };
        for (int round = 0; round < 20; ++round) {
            std::map<std::string, double> scores;
            for (const auto& letter : kLetters)
                scores[letter] = -8 - double(random() % 1000) / 500;
            for (int i = 0; i < 150; ++i)
                scores[word(i % 10 == 0 ? 12 : 5)] = -1 - double(random() % 100'000) / 10'000;
            std::vector<std::pair<std::string, double>> pieces(scores.begin(), scores.end());
            std::string list;
            for (const auto& [piece, score] : pieces)
                list += std::string(list.empty() ? "" : ",") + "[\"" + piece + "\"," + std::to_string(score) + "]";
            const auto tokenizer = tokenizerFromJson(R"({"model":{"type":"Unigram","vocab":[)" + list + "]}}", "t.json");
            const std::string text = word(40);
            std::vector<double> best(text.size() + 1, -1e300);
            best[0] = 0;
            for (std::size_t begin = 0; begin < text.size(); ++begin)
                for (std::size_t end = begin + 1; end <= text.size() && best[begin] > -1e299; ++end)
                    if (const auto found = scores.find(text.substr(begin, end - begin)); found != scores.end())
                        best[end] = std::max(best[end], best[begin] + found->second);
            double sum = 0;
            std::string joined;
            for (const auto id : tokenizer->ids(text)) {
                sum += pieces[std::size_t(id)].second;
                joined += pieces[std::size_t(id)].first;
            }
            QCOMPARE(joined, text);
            QVERIFY2(std::abs(sum - best.back()) < 1e-4, qPrintable(QString("%1 against %2").arg(sum).arg(best.back())));
        }
    }

    void byteLevelVocabulariesTakeAnyBytes_data()
    {
        QTest::addColumn<QString>("name");
        QTest::newRow("GPT-2") << "gpt2";
        QTest::newRow("RoBERTa") << "roberta";
    }

    void byteLevelVocabulariesTakeAnyBytes()
    {
        QFETCH(QString, name);
        const auto tokenizer = tokenizerIn(dataFolder(name.toStdString()));
        std::mt19937 random(17);
        for (int i = 0; i < 500; ++i) {
            std::string bytes;
            for (int j = 0, n = int(random() % 60); j < n; ++j)
                bytes += random() % 3 ? std::string(1, char(random() & 0xff)) : std::string(" \xe0\xa4\xa8 word ");
            const auto encoding = tokenizer->encode(bytes, {.addSpecialTokens = false});
            QCOMPARE(tokenizer->decode(encoding.ids), bytes);
            // The pieces lie side by side over the whole text.
            std::uint32_t reached = 0;
            for (const auto& span : encoding.offsets) {
                QVERIFY(span.begin <= span.end && span.end <= bytes.size());
                reached = std::max(reached, span.end);
            }
            QVERIFY(bytes.empty() || reached > 0);
        }
    }

    void scriptsComeBackWithoutUnknownTokens()
    {
        const auto tokenizer = tokenizerIn(dataFolder("gpt2"));
        for (const char* text : {"यह वाक्य पहले नहीं देखा गया", "এই বাক্যটি আগে দেখা যায়নি", "இந்த வாக்கியம் முன்பு பார்க்கப்படவில்லை",
                                 "Η πρόταση αυτή είναι καινούργια", "هذه الجملة جديدة", "👩🏿‍🚀🏳️‍🌈"}) {
            const auto counts = countPieces(*tokenizer, text);
            QVERIFY(counts.comesBack);
            QCOMPARE(counts.all.unknown, std::size_t(0));
        }
    }

    void invalidBytesBecomeTheReplacementCharacterElsewhere()
    {
        const auto tokenizer = tokenizerIn(dataFolder("bert-uncased"));
        const auto broken = tokenizer->encode("the \xff fox"), replaced = tokenizer->encode("the \xef\xbf\xbd fox");
        QCOMPARE(broken.ids, replaced.ids);
        QCOMPARE(broken.offsets.back(), Span());
        QVERIFY((broken.offsets[broken.size() - 2] == Span{7, 8} || broken.offsets[broken.size() - 2].end == 9));
    }

    void trimmedOffsetsStayInsideBrokenBytes()
    {
        // A byte that begins a sequence of three stands alone before the blank.
        auto document = core::Json::parse(dataFile(dataFolder("gpt2") / "tokenizer.json.gz"));
        document["pre_tokenizer"]["add_prefix_space"] = true;
        document["post_processor"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
        const auto tokenizer = tokenizerFromJson(document.dump(), "gpt2");
        for (const std::string text : {"\xe2 ", " \xe2", "\xe2", "\xf0\x9f \xf0", " \x82 \x82 "})
            for (const auto& span : tokenizer->encode(text).offsets)
                QVERIFY(span.begin <= span.end && span.end <= text.size());
    }

    void aVocabularyFileIsTheSameAsTheDocument()
    {
        QTemporaryDir folder;
        const std::filesystem::path path = folder.path().toStdString();
        core::writeFileAtomically(path / "vocab.txt", dataFile(dataFolder("bert-uncased") / "vocab.txt.gz"));
        const auto own = openTokenizer(path), wanted = tokenizerIn(dataFolder("bert-uncased"));
        QCOMPARE(own->kind(), std::string("WordPiece"));
        for (const auto cases = core::Json::parse(dataFile(dataFolder("bert-uncased") / "cases.json.gz")); const auto& entry : cases.at("cases")) {
            const auto text = entry["text"].get<std::string>();
            QCOMPARE(own->encode(text).ids, wanted->encode(text).ids);
            QCOMPARE(own->encode(text, {.pair = "pair"}).typeIds, wanted->encode(text, {.pair = "pair"}).typeIds);
        }
        core::writeFileAtomically(path / "tokenizer_config.json", R"({"do_lower_case": false})");
        QCOMPARE(openTokenizer(path / "vocab.txt")->encode("THE").tokens[1], std::string("[UNK]"));
        QCOMPARE(openTokenizer(path / "vocab.txt")->specialIds().size(), std::size_t(5));
    }

    void vocabularyAndMergesAreTheSameAsTheDocument()
    {
        QTemporaryDir folder;
        const std::filesystem::path path = folder.path().toStdString();
        for (const std::string name : {"gpt2", "roberta"}) {
            const auto document = core::Json::parse(dataFile(dataFolder(name) / "tokenizer.json.gz"));
            auto vocabulary = document["model"]["vocab"];
            for (const auto& token : document["added_tokens"])
                vocabulary[token["content"].get<std::string>()] = token["id"];
            std::string merges = "#version: 0.2\n";
            for (const auto& pair : document["model"]["merges"])
                merges += (pair.is_string() ? pair.get<std::string>() : pair[0].get<std::string>() + " " + pair[1].get<std::string>()) + "\n";
            core::writeFileAtomically(path / "vocab.json", vocabulary.dump());
            core::writeFileAtomically(path / "merges.txt", merges);
            const auto own = openTokenizer(path), wanted = tokenizerIn(dataFolder(name));
            for (const auto cases = core::Json::parse(dataFile(dataFolder(name) / "cases.json.gz")); const auto& entry : cases.at("cases")) {
                const auto text = entry["text"].get<std::string>();
                QCOMPARE(own->encode(text).ids, wanted->encode(text).ids);
                QCOMPARE(own->decode(own->ids(text)), wanted->decode(wanted->ids(text)));
            }
        }
        std::filesystem::remove(path / "merges.txt");
        QVERIFY(saidBy([&] { openTokenizer(path / "vocab.json"); }).endsWith("vocab.json: expected merges.txt beside it, found none"));
        QVERIFY(saidBy([&] { openTokenizer(path); })
                    .endsWith("expected a folder with tokenizer.json, vocab.txt, vocab.json and merges.txt, tokenizer.model or spiece.model, found "
                              "none of them"));
        QVERIFY(!holdsTokenizer(path));
        QVERIFY(folderTokenizerCard(path).is_null());
    }

    void brokenDocumentsAreRefusedWithTheirPlace_data()
    {
        QTest::addColumn<QString>("document");
        QTest::addColumn<QString>("wanted");
        const auto row = [](const char* name, const char* document, const char* wanted) { QTest::newRow(name) << document << wanted; };
        row("no JSON", "{", "t.json: expected JSON");
        row("no model", "{}", "t.json: expected \"model\", found none");
        row("a list", "[1]", "t.json: expected an object, got a list of 1");
        row("unknown model", R"({"model": {"type": "Magic", "vocab": {}}})",
            "t.json.model.type: expected BPE, WordPiece, Unigram or WordLevel, got \"Magic\"");
        row("vocabulary of texts", R"({"model": {"type": "WordLevel", "vocab": {"a": "b"}}})",
            "t.json.model.vocab[\"a\"]: expected a whole number from 0 to");
        row("negative number", R"({"model": {"type": "WordLevel", "vocab": {"a": -1}}})",
            "t.json.model.vocab[\"a\"]: expected a whole number from 0 to");
        row("huge number", R"({"model": {"type": "WordLevel", "vocab": {"a": 4000000000}}})",
            "t.json.model.vocab[\"a\"]: expected a whole number from 0 to");
        row("unknown merge", R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})",
            "t.json.model.merges[0]: expected pieces of the vocabulary, got \"b\"");
        row("merge of three", R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a a"]}})", "t.json.model.merges[0]: expected two pieces");
        row("merges of a number", R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": 3}})", "t.json.model.merges: expected a list, got 3");
        row("unknown piece number", R"({"model": {"type": "Unigram", "vocab": [["a", -1]], "unk_id": 1}})",
            "t.json.model.unk_id: expected a whole number from 0 to 0, got 1");
        row("score that is a text", R"({"model": {"type": "Unigram", "vocab": [["a", "b"]]}})",
            "t.json.model.vocab[0][1]: expected a number, got \"b\"");
        row("unknown normaliser", R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": {"type": "X"}})",
            "t.json.normalizer.type: expected a normalizer that is known (BertNormalizer");
        row("broken expression",
            R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "*a"}, "behavior": "Removed"}})",
            "t.json.pre_tokenizer.pattern: expected a regular expression, got \"*a\"");
        row("unknown behaviour",
            R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}, "pre_tokenizer": {"type": "Split", "pattern": {"String": "x"}, "behavior": "Lost"}})",
            "t.json.pre_tokenizer.behavior: expected Contiguous, Isolated, MergedWithNext, MergedWithPrevious, Removed, got \"Lost\"");
        row("template of nothing",
            R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "q", "type_id": 0}}]}})",
            "t.json.post_processor.single[0].SpecialToken.id: expected a name of \"special_tokens\", got \"q\"");
        row("padding of gigabytes", R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}, "padding": {"strategy": {"Fixed": 2000000000}}})",
            "t.json.padding.strategy.Fixed: expected a whole number from 0 to 4194304, got 2000000000");
    }

    void brokenDocumentsAreRefusedWithTheirPlace()
    {
        QFETCH(QString, document);
        QFETCH(QString, wanted);
        const QString found = errorOf(document.toStdString());
        QVERIFY2(found.startsWith(wanted), qPrintable(found));
    }

    void sequencesInsideSequencesEnd()
    {
        std::string inner = R"({"type": "NFC"})";
        for (int i = 0; i < 40; ++i)
            inner = R"({"type": "Sequence", "normalizers": [)" + inner + "]}";
        const QString found = errorOf(R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": )" + inner + "}");
        QVERIFY2(found.contains("expected at most 16 sequences inside each other"), qPrintable(found));
    }

    void blanksArePutInFrontAsTheSchemeSays_data()
    {
        QTest::addColumn<QString>("scheme");
        QTest::addColumn<std::vector<std::int64_t>>("start");
        QTest::addColumn<std::vector<std::int64_t>>("behindToken");
        QTest::addColumn<QString>("blankAndWord");
        using Ids = std::vector<std::int64_t>;
        QTest::newRow("always") << "always" << Ids{2, 0} << Ids{5, 2, 0} << "b";
        QTest::newRow("first") << "first" << Ids{2, 0} << Ids{5, 1, 0} << "b";
        QTest::newRow("never") << "never" << Ids{1, 0} << Ids{5, 1, 0} << " b";
    }
    /// Metaspace, worked out by hand: "a b" at the start of a text and behind an added token; the blank of " b" comes back only where none was put in front.
    void blanksArePutInFrontAsTheSchemeSays()
    {
        QFETCH(QString, scheme);
        QFETCH(std::vector<std::int64_t>, start);
        QFETCH(std::vector<std::int64_t>, behindToken);
        QFETCH(QString, blankAndWord);
        const core::Json metaspace = {{"type", "Metaspace"}, {"replacement", "▁"}, {"split", true}, {"prepend_scheme", scheme.toStdString()}};
        const core::Json token = {{"id", 5},         {"content", "[X]"},    {"single_word", false}, {"lstrip", false},
                                  {"rstrip", false}, {"normalized", false}, {"special", true}};
        const core::Json model = {{"type", "WordLevel"}, {"vocab", {{"▁b", 0}, {"a", 1}, {"▁a", 2}, {"b", 3}, {"[UNK]", 4}}}, {"unk_token", "[UNK]"}};
        const core::Json document = {
            {"added_tokens", core::Json::array({token})}, {"pre_tokenizer", metaspace}, {"decoder", metaspace}, {"model", model}};
        const auto tokenizer = tokenizerFromJson(document.dump(), "t.json");
        QCOMPARE(tokenizer->ids("a b"), start);
        QCOMPARE(tokenizer->ids("[X]a b"), behindToken);
        QCOMPARE(tokenizer->decode(start), std::string("a b"));
        QCOMPARE(tokenizer->ids(" b"), std::vector<std::int64_t>{0});
        QCOMPARE(QString::fromStdString(tokenizer->decode(std::vector<std::int64_t>{0})), blankAndWord);
    }

    /// Worked out by hand: a character that no piece holds becomes its bytes, or unknown where one of them is no piece; bytes that are no character come back as U+FFFD each.
    void charactersWithoutAPieceBecomeBytes()
    {
        const core::Json model = {
            {"type", "BPE"},    {"byte_fallback", true},         {"unk_token", "<unk>"},
            {"fuse_unk", true}, {"merges", core::Json::array()}, {"vocab", {{"<unk>", 0}, {"a", 1}, {"<0xE2>", 2}, {"<0x82>", 3}, {"<0xAC>", 4}}}};
        const core::Json decoders = core::Json::array({core::Json{{"type", "ByteFallback"}}, core::Json{{"type", "Fuse"}}});
        const core::Json document = {{"decoder", {{"type", "Sequence"}, {"decoders", decoders}}}, {"model", model}};
        const auto tokenizer = tokenizerFromJson(document.dump(), "t.json");
        using Ids = std::vector<std::int64_t>;
        QCOMPARE(tokenizer->ids("a€"), (Ids{1, 2, 3, 4}));
        QCOMPARE(tokenizer->decode(Ids{1, 2, 3, 4}), std::string("a€"));
        QCOMPARE(tokenizer->ids("éa"), (Ids{0, 1}));
        QCOMPARE(tokenizer->decode(Ids{1, 2, 3}), std::string("a\uFFFD\uFFFD"));
    }

    void aWordThatCannotBeSaidIsNamed()
    {
        const auto tokenizer = tokenizerFromJson(R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}})", "t.json");
        QCOMPARE(saidBy([&] { tokenizer->encode("b"); }),
                 QStringLiteral("word \"b\": expected a word of the vocabulary, which has no unknown token \"<unk>\""));
        QCOMPARE(saidBy([&] { tokenizer->decode(std::vector<std::int64_t>{5}); }), QStringLiteral("expected tokens from 0 to 0, got 5"));
    }

    void cardsGiveTheirTokenizers()
    {
        graph::ModelCard card;
        QVERIFY(!tokenizerOf(card));
        QCOMPARE(saidBy([&] { requiredTokenizer(card); }), QStringLiteral("the model takes no text: its card has no tokenizer"));
        card.tokenizer = {{"kind", "bytes"}};
        QCOMPARE(tokenizerOf(card)->tokenText(0xe2), std::string("\\xe2"));
        QCOMPARE(tokenizerOf(card)->tokenText('\n'), std::string("\\n"));
        QCOMPARE(tokenizerOf(card)->tokenText(300), std::string("300"));
        card.tokenizer = {{"kind", "characters"}, {"characters", "abé"}};
        QCOMPARE(requiredTokenizer(card)->ids("éa"), (std::vector<std::int64_t>{2, 0}));
        QVERIFY((requiredTokenizer(card)->encode("éa").offsets[1] == Span{2, 3}));
        card.tokenizer = tokenizerIn(dataFolder("gpt2"))->toJson();
        const auto gpt = requiredTokenizer(card);
        QCOMPARE(gpt->decode(gpt->ids("Hello\n")), std::string("Hello\n"));
        QCOMPARE(gpt->tokenText(*gpt->idOf("Ċ")), std::string("\\n"));
        QCOMPARE(gpt->tokenText(*gpt->idOf("Ġ")), std::string(" "));
        card.tokenizer = {{"kind", "unheard"}};
        QVERIFY(saidBy([&] { tokenizerOf(card); }).startsWith("tokenizer: expected"));
    }

    void bytesAndCharactersAreWrittenAsATokenizerJson_data()
    {
        QTest::addColumn<QByteArray>("card");
        for (const char* card :
             {R"({"kind": "bytes"})", R"({"kind": "bytes", "mask": true})", R"({"kind": "characters", "characters": "\t\n 1GMaSAKerß[]öκ🎈"})",
              R"({"kind": "characters", "characters": "\t\n 1GMaSAKerß[]öκ🎈", "mask": true})"})
            QTest::newRow(card) << QByteArray(card);
    }
    void bytesAndCharactersAreWrittenAsATokenizerJson()
    {
        QFETCH(QByteArray, card);
        const auto own = tokenizerFromCard(core::Json::parse(card.toStdString()));
        const auto again = tokenizerFromJson(tokenizerDocument(core::Json::parse(card.toStdString())).value(), "written");
        QCOMPARE(again->size(), own->size());
        QVERIFY(again->specialIds() == own->specialIds());
        for (const std::string text : {"GrößeSe\n\tκ 1 1  🎈", "[MASK]a[MASK]e[[MASK", "", "a"}) {
            const auto ids = own->ids(text);
            QVERIFY2(again->ids(text) == ids, text.c_str());
            QCOMPARE(again->decode(ids), own->decode(ids));
        }
    }
    void otherTokenizersAreWrittenAsTheyAre()
    {
        const auto gpt = tokenizerIn(dataFolder("gpt2"))->toJson();
        QCOMPARE(tokenizerDocument(gpt).value(), gpt["json"].get<std::string>());
        QVERIFY(!tokenizerDocument({{"kind", "dictionary"}, {"words", {"a"}}}) && !tokenizerDocument(nullptr));
    }

    void severalThreadsUseOneTokenizer()
    {
        const auto tokenizer = tokenizerIn(dataFolder("gpt4-like"));
        const auto wanted = tokenizer->ids("Hello, world! κόσμε 123");
        std::atomic<int> wrong = 0;
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                for (int j = 0; j < 50; ++j)
                    wrong += tokenizer->ids("Hello, world! κόσμε 123") != wanted;
            });
        for (auto& thread : threads)
            thread.join();
        QCOMPARE(wrong.load(), 0);
    }

    void charactersWithoutAPieceAreDropped()
    {
        // A byte pair vocabulary without an unknown token says nothing about what it does not know.
        const auto letters =
            tokenizerFromJson(R"({"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, " ": 2}, "merges": []}})", "letters");
        const std::string text = "a ö漢b ?";
        const auto counts = countPieces(*letters, text);
        QCOMPARE(counts.all.pieces, std::size_t(4));
        QCOMPARE(counts.all.unknown, std::size_t(0));
        QCOMPARE(counts.all.dropped, std::size_t(3));
        QVERIFY(!counts.comesBack);
        const auto parts = droppedParts(letters->encode(text), text);
        QCOMPARE(parts.size(), std::size_t(2));
        QCOMPARE(text.substr(parts[0].begin, parts[0].end - parts[0].begin), std::string("ö漢"));
        QCOMPARE(text.substr(parts[1].begin, parts[1].end - parts[1].begin), std::string("?"));
        // Bytes know everything; accents and case that are taken off leave a letter that a piece stands for.
        QCOMPARE(countPieces(*vocabularyTokenizer({{"kind", "bytes"}}), text).all.dropped, std::size_t(0));
    }

    void piecesAreCountedByWordAndScript()
    {
        const auto bytes = vocabularyTokenizer({{"kind", "bytes"}});
        const auto counts = countPieces(*bytes, " ab κό 12 ");
        QCOMPARE(counts.all.words, std::size_t(3));
        QCOMPARE(counts.all.characters, std::size_t(6));
        QCOMPARE(counts.all.pieces, std::size_t(12));
        QCOMPARE(counts.all.splitWords, std::size_t(3));
        QVERIFY(counts.comesBack);
        QCOMPARE(counts.scripts.size(), std::size_t(3));
        for (const auto& script : counts.scripts)
            QCOMPARE(script.counts.pieces, std::size_t(script.script == "Greek" ? 5 : 3));  // with the blank before
    }

    void aDataSetIsCutIntoPieces()
    {
        QTemporaryDir folder;
        const std::filesystem::path path = folder.path().toStdString();
        core::writeFileAtomically(path / "tokenizer.json", dataFile(dataFolder("gpt2") / "tokenizer.json.gz"));
        std::string text;
        for (int i = 0; i < 40; ++i)
            text += "the quick brown fox jumps over the lazy dog. ";
        core::writeFileAtomically(path / "t.txt", text);
        const auto set = data::openData({{"id", "text_file"}, {"path", "t.txt"}, {"tokenizer", "tokenizer.json"}, {"block_length", 8}}, path);
        QCOMPARE(set->info().vocabularySize, std::int64_t(700));
        const auto ids = tokenizerIn(dataFolder("gpt2"))->ids(text);
        const std::int64_t first = 0;
        const auto tokens = set->fetch({&first, 1}).inputs[0].toType(at::kLong).contiguous();
        QCOMPARE((std::vector<std::int64_t>(tokens.data_ptr<std::int64_t>(), tokens.data_ptr<std::int64_t>() + 8)),
                 (std::vector<std::int64_t>(ids.begin(), ids.begin() + 8)));
        QCOMPARE(set->vocabulary()->decode(ids), text);
        QCOMPARE(tokenizerFromCard(set->vocabulary()->toJson())->ids("the fox"), set->vocabulary()->encode("the fox"));
        QVERIFY(saidBy([&] { data::openData({{"id", "text_file"}, {"path", "t.txt"}, {"tokenizer", "nowhere"}}, path); }).contains("nowhere"));
    }

    void aVocabularyOfTheDomainNeedsFewerPieces()
    {
        // Two halves of two kinds of text; each vocabulary is measured on what it has not seen.
        const std::string medical = [] {
            std::string text;
            for (const char* stem : {"cardio", "gastro", "neuro", "hepato", "nephro", "derma"})
                for (const char* end : {"logy", "pathy", "genesis", "itis", "logist", "pathic"})
                    text += std::string(stem) + end + " of the " + stem + "vascular system ";
            return text;
        }();
        const std::string general =
            "the old man went to the sea and the boy went to the market with the fish that the old man had caught in the morning "
            "and the people of the village were happy with what they had and they sang songs in the evening ";
        MergeTraining training;
        training.vocabulary = 340;
        const auto own = trainTokenizer(TrainedKind::BytePairs, medical, training), other = trainTokenizer(TrainedKind::BytePairs, general, training);
        const std::string heldOut = "neuropathic hepatologist nephritis dermatogenesis cardiopathy";
        QVERIFY(countPieces(*own, heldOut).all.perWord() < countPieces(*other, heldOut).all.perWord());
        QVERIFY(countPieces(*own, heldOut).comesBack);
        const auto pieces = trainTokenizer(TrainedKind::WordPiece, medical, training);
        QCOMPARE(pieces->kind(), std::string("WordPiece"));
        QCOMPARE(pieces->encode("Cardiology").tokens.front(), std::string("[CLS]"));
        QCOMPARE(countPieces(*pieces, "cardiology").all.unknown, std::size_t(0));
        // The same again, byte by byte.
        QVERIFY(trainTokenizer(TrainedKind::BytePairs, medical, training)->toJson() == own->toJson());
    }
};

QTEST_APPLESS_MAIN(TokenizerTest)
#include "tokenizer_test.moc"
