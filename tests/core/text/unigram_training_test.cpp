// Unigram vocabularies: expectations against every way of cutting a word, and what training leaves.
#include <QTest>

#include <cmath>
#include <set>

#include <core/base/error.h>
#include <core/text/comparison.h>
#include <core/text/training.h>
#include <core/text/unigram_training.h>

#include "../message_of.h"

using namespace orrery;
using text::UnigramPieces;
using Words = std::map<std::string, std::int64_t>;

namespace {

/// Every way to cut a word: its probability and its pieces, written out.
struct AllCuts {
    double probability = 0;
    std::vector<double> uses;  ///< of each piece, weighted by the probability of the cut
};

void cutOn(const UnigramPieces& pieces, std::string_view rest, double probability, std::vector<std::size_t>& taken, AllCuts& out)
{
    if (rest.empty()) {
        out.probability += probability;
        for (const auto piece : taken)
            out.uses[piece] += probability;
        return;
    }
    for (std::size_t i = 0; i < pieces.pieces.size(); ++i)
        if (rest.starts_with(pieces.pieces[i])) {
            taken.push_back(i);
            cutOn(pieces, rest.substr(pieces.pieces[i].size()), probability * std::exp(pieces.scores[i]), taken, out);
            taken.pop_back();
        }
}

AllCuts allCuts(const UnigramPieces& pieces, std::string_view word)
{
    AllCuts out;
    out.uses.resize(pieces.pieces.size());
    std::vector<std::size_t> taken;
    cutOn(pieces, word, 1, taken, out);
    return out;
}

/// All substrings of up to three letters of a small alphabet, with uneven probabilities.
UnigramPieces smallPieces()
{
    UnigramPieces pieces;
    std::vector<double> counts;
    for (const char* piece : {"a", "b", "c", "ab", "bc", "ca", "abc", "bca", "aa", "\xce\xbb", "a\xce\xbb"}) {
        pieces.pieces.push_back(piece);
        counts.push_back(1 + double(counts.size() * counts.size() % 7));
    }
    pieces.scores = text::mostProbableScores(counts);
    return pieces;
}

Words someWords()
{
    return {{"abcab", 3},
            {"aab", 1},
            {"bcaabcaabc", 2},
            {"a\xce\xbb"
             "ca",
             5},
            {"c", 4}};
}

std::string manyWords()
{
    std::string out;
    for (int i = 0; i < 60; ++i)
        out += "the lighthouse keeper lights the light\nlightly the house keeps the lighter " + std::string(1, char('a' + i % 20)) + "\n";
    return out;
}

}  // namespace

class UnigramTrainingTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void expectationsAreThoseOfAllCuts()
    {
        const UnigramPieces pieces = smallPieces();
        const Words words = someWords();
        std::vector<double> counts(pieces.pieces.size());
        double likelihood = 0;
        for (const auto& [word, count] : words) {
            const AllCuts cuts = allCuts(pieces, word);
            likelihood += double(count) * std::log(cuts.probability);
            for (std::size_t i = 0; i < counts.size(); ++i)
                counts[i] += double(count) * cuts.uses[i] / cuts.probability;
        }
        const auto found = text::expectedCounts(pieces, words);
        QVERIFY(std::abs(found.logLikelihood - likelihood) < 1e-9);
        for (std::size_t i = 0; i < counts.size(); ++i)
            QVERIFY2(std::abs(found.counts[i] - counts[i]) < 1e-9, pieces.pieces[i].c_str());
        QCOMPARE(messageOf([&] { text::expectedCounts(pieces, {{"abd", 1}}); }), "the word \"abd\" cannot be cut into the pieces");
    }

    void eachStepMakesTheWordsMoreProbable()
    {
        UnigramPieces pieces = smallPieces();
        double before = -1e300;
        for (int step = 0; step < 40; ++step) {
            const auto found = text::expectedCounts(pieces, someWords());
            QVERIFY(found.logLikelihood >= before - 1e-9);
            before = found.logLikelihood;
            pieces.scores = text::mostProbableScores(found.counts);
        }
        // At the end nothing changes any more: no other scores on a grid around these are better.
        const auto best = text::expectedCounts(pieces, someWords()).logLikelihood;
        for (std::size_t i = 0; i < pieces.scores.size(); ++i)
            for (const double factor : {0.9, 1.1}) {
                std::vector<double> shares;
                for (std::size_t j = 0; j < pieces.scores.size(); ++j)
                    shares.push_back(std::exp(pieces.scores[j]) * (i == j ? factor : 1));
                UnigramPieces other{pieces.pieces, text::mostProbableScores(shares)};
                QVERIFY(text::expectedCounts(other, someWords()).logLikelihood <= best + 1e-6);
            }
    }

    void trainingLeavesWholeWordsAndEveryCharacter()
    {
        const Words words{{"lighthouse", 40}, {"light", 60}, {"house", 30}, {"keeper", 25}, {"qx", 1}};
        text::UnigramTraining training;
        training.vocabulary = 24;
        const UnigramPieces found = text::trainUnigram(words, training);
        QVERIFY(found.pieces.size() <= 24);
        const std::set<std::string> pieces(found.pieces.begin(), found.pieces.end());
        for (const char* piece : {"light", "house", "keeper"})
            QVERIFY2(pieces.contains(piece), piece);
        for (const char character : std::string("lighthouskeperqx"))
            QVERIFY(pieces.contains(std::string(1, character)));
        double sum = 0;
        for (const double score : found.scores)
            sum += std::exp(score);
        QVERIFY(std::abs(sum - 1) < 1e-9);
        QVERIFY(std::is_sorted(found.scores.rbegin(), found.scores.rend()));
        // The same words give the same pieces.
        const UnigramPieces again = text::trainUnigram(words, training);
        QVERIFY(again.pieces == found.pieces && again.scores == found.scores);
        training.vocabulary = 5;
        QVERIFY(
            saidBy([&] { text::trainUnigram(words, training); }).contains("expected room for the 14 characters of the text, got a vocabulary of 5"));
    }

    void aLargerVocabularyIsNoWorse()
    {
        text::MergeTraining training;
        std::size_t before = std::size_t(-1);
        for (const std::size_t size : {34, 40, 60}) {
            training.vocabulary = size;
            const auto tokenizer = text::trainTokenizer(text::TrainedKind::Unigram, manyWords(), training);
            QCOMPARE(tokenizer->kind(), "Unigram");
            QVERIFY(tokenizer->size() <= std::int64_t(size));
            const auto pieces = text::countPieces(*tokenizer, manyWords()).all.pieces;
            QVERIFY(pieces <= before);
            before = pieces;
            QCOMPARE(tokenizer->decode(tokenizer->ids("the lighthouse keeps")), "the lighthouse keeps");
        }
        training.special = {"<mask>"};
        QVERIFY(text::trainTokenizer(text::TrainedKind::Unigram, manyWords(), training)->idOf("<mask>") == 1);
        training.vocabulary = 2;
        QVERIFY(saidBy([&] { text::trainTokenizer(text::TrainedKind::Unigram, manyWords(), training); }).contains("more than the 2 special tokens"));
    }

    void trainingStops()
    {
        std::stop_source stop;
        stop.request_stop();
        text::UnigramTraining training;
        training.stop = stop.get_token();
        QVERIFY_EXCEPTION_THROWN(text::trainUnigram(someWords(), training), core::Cancelled);
    }
};

QTEST_APPLESS_MAIN(UnigramTrainingTest)
#include "unigram_training_test.moc"
