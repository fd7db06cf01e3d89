#include <QTest>
#include <core/text/greeklish.h>
#include <core/text/tag_schemes.h>
#include <random>

#include "../message_of.h"

using namespace orrery;
using namespace orrery::text;

namespace {

using Tags = std::vector<std::string>;

}  // namespace

class LanguageRulesTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void greekWordsAreWrittenBySound()
    {
        // Transcribed by hand by the table of ISO 843.
        const std::pair<const char*, const char*> words[] = {{"καλημέρα", "kalimera"},
                                                             {"ευχαριστώ", "efcharisto"},
                                                             {"Αθήνα", "Athina"},
                                                             {"αύριο", "avrio"},
                                                             {"αυτοκίνητο", "aftokinito"},
                                                             {"εύκολος", "efkolos"},
                                                             {"ευαγγέλιο", "evangelio"},
                                                             {"ουρανός", "ouranos"},
                                                             {"άγγελος", "angelos"},
                                                             {"μπαμπάς", "bampas"},
                                                             {"λάμπα", "lampa"},
                                                             {"Θεσσαλονίκη", "Thessaloniki"},
                                                             {"ψυχή", "psychi"},
                                                             {"ξένος", "xenos"},
                                                             {"χαρά", "chara"},
                                                             {"ελευθερία", "eleftheria"},
                                                             {"γλώσσα", "glossa"},
                                                             {"φως", "fos"},
                                                             {"ημέρα", "imera"},
                                                             {"νύχτα", "nychta"},
                                                             {"ποίηση", "poiisi"},
                                                             {"άυλος", "aylos"},
                                                             {"αϋπνία", "aypnia"},
                                                             {"σφίγγα", "sfinga"},
                                                             {"έλεγχος", "elenchos"},
                                                             {"λάρυγγας", "laryngas"},
                                                             {"ΨΥΧΗ", "PSYCHI"},
                                                             {"ΑΘΗΝΑ", "ATHINA"},
                                                             {"Ψυχή", "Psychi"},
                                                             {"Χίος", "Chios"},
                                                             {"ΟΥΖΟ", "OUZO"},
                                                             {"Ούζο", "Ouzo"},
                                                             {"γκολ", "gkol"},
                                                             {"ναύτης", "naftis"},
                                                             {"κόσμε, 12 café!", "kosme, 12 café!"}};
        for (const auto& [greek, latin] : words)
            QCOMPARE(greeklish(greek), std::string(latin));
        QCOMPARE(greeklish(""), std::string());
        // Decomposed accents say the same; what is no Greek stays byte by byte.
        QCOMPARE(greeklish("καλημε\u0301ρα"), std::string("kalimera"));
        QCOMPARE(greeklish("e\u0301 你好"), std::string("e\u0301 你好"));
    }

    void tagsComeBackThroughEveryScheme()
    {
        const Tags bio = {"O", "B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-ORG", "I-ORG", "I-ORG"};
        const Tags bioes = {"O", "B-PER", "E-PER", "S-PER", "O", "S-LOC", "B-ORG", "I-ORG", "E-ORG"};
        QCOMPARE(convertTags(bio, TagScheme::Bio, TagScheme::Bioes), bioes);
        QCOMPARE(convertTags(bioes, TagScheme::Bioes, TagScheme::Bio), bio);
        QCOMPARE(convertTags(bio, TagScheme::Bio, TagScheme::Io), (Tags{"O", "I-PER", "I-PER", "I-PER", "O", "I-LOC", "I-ORG", "I-ORG", "I-ORG"}));
    }

    void randomSpansComeBack()
    {
        std::mt19937 random(9);
        for (int round = 0; round < 500; ++round) {
            const std::size_t tokens = random() % 20;
            std::vector<TaggedSpan> spans;
            for (std::size_t at = random() % 3; at < tokens;) {
                const auto end = std::min(tokens, at + 1 + random() % 4);
                spans.push_back({at, end, random() % 2 ? "A" : "B-C"});
                at = end + random() % 3;
            }
            for (const auto scheme : {TagScheme::Bio, TagScheme::Bioes})
                QCOMPARE(spansOfTags(tagsOfSpans(spans, tokens, scheme), scheme), spans);
        }
    }

    void tagsThatDoNotFitTogetherMeanSomething()
    {
        // A span that goes on without a beginning begins there.
        QCOMPARE(spansOfTags({"I-A", "I-B", "I-B", "O", "I-A"}, TagScheme::Bio), (std::vector<TaggedSpan>{{0, 1, "A"}, {1, 3, "B"}, {4, 5, "A"}}));
        QCOMPARE(spansOfTags({"E-A", "I-A", "S-A"}, TagScheme::Bioes), (std::vector<TaggedSpan>{{0, 1, "A"}, {1, 2, "A"}, {2, 3, "A"}}));
        QCOMPARE(saidBy([] {
                     spansOfTags({"O", "S-A"}, TagScheme::Bio);
                 }),
                 QStringLiteral("tag 1: expected O, or one of BI with - and a type, got \"S-A\""));
        QCOMPARE(saidBy([] {
                     tagsOfSpans({{0, 2, "A"}, {1, 3, "B"}}, 3, TagScheme::Bio);
                 }),
                 QStringLiteral("span 1-3: expected spans that do not overlap, token 1 has \"I-A\""));
        QCOMPARE(saidBy([] { tagsOfSpans({{1, 1, "A"}}, 3, TagScheme::Bio); }), QStringLiteral("span 1-1: expected a stretch of the 3 tokens"));
    }
};

QTEST_APPLESS_MAIN(LanguageRulesTest)
#include "language_rules_test.moc"
