// Induction scores: 1 where a transformer built by hand has its induction head, brute force on any other.
#include <QTest>

#include <cmath>
#include <set>

#include <core/intervene/induction.h>
#include <core/zoo/zoo.h>

#include "hand_built.h"

using namespace orrery;
using namespace orrery::intervene;

class InductionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void tokensRepeatAndDiffer()
    {
        const at::Tensor tokens = repeatedTokens(5, 7, 9, 3);
        QCOMPARE(tokens.sizes().vec(), (std::vector<std::int64_t>{5, 14}));
        QVERIFY(at::equal(tokens.slice(1, 0, 7), tokens.slice(1, 7, 14)));
        for (int row = 0; row < 5; ++row) {
            std::set<std::int64_t> seen;
            for (int k = 0; k < 7; ++k)
                seen.insert(tokens[row][k].item<std::int64_t>());
            QCOMPARE(seen.size(), std::size_t(7));
            QVERIFY(*seen.begin() >= 0 && *seen.rbegin() < 9);
        }
        QVERIFY(at::equal(tokens, repeatedTokens(5, 7, 9, 3)));
        QVERIFY(!at::equal(tokens, repeatedTokens(5, 7, 9, 4)));
        QVERIFY(!at::equal(tokens[0], tokens[1]));
        QVERIFY(repeatedTokens(1, 5, 2, 0).max().item<std::int64_t>() == 1);  // more tokens than there are: used again
    }

    void handBuiltInductionHeadScoresOne()
    {
        const graph::Model model = inductionModel(8, 16);
        const graph::Executor executor(model.graph);
        const auto found = inductionScores({executor, model}, {20, 8, 1, {}});
        QCOMPARE(found.scores.induction[1][0].item<double>(), 1.0);
        QVERIFY(found.scores.induction[0][0].item<double>() < 0.01);
        QCOMPARE(found.scores.previousToken[0][0].item<double>(), 1.0);
        QCOMPARE(found.scores.duplicateToken[1][0].item<double>(), 0.0);
        QCOMPARE(found.inductionHeads.size(), std::size_t(1));
        QVERIFY(found.inductionHeads[0] == (HeadPlace{1, 0}));
        QCOMPARE(found.secondAccuracy, 1.0);
        // The answer's logit is 10, the others' 0: loss log(e^10 + 7) - 10.
        QVERIFY(std::abs(found.secondLoss - (std::log(std::exp(kInductionLogit) + 7) - kInductionLogit)) < 1e-6);
        QVERIFY(found.firstAccuracy < 0.5);
    }

    void ablatingTheHeadBreaksIt()
    {
        const graph::Model model = inductionModel(8, 16);
        const graph::Executor executor(model.graph);
        const auto without = inductionScores({executor, model}, {20, 8, 1, {{1, 0}}});
        QVERIFY(std::abs(without.secondLoss - std::log(8.0)) < 1e-6);  // every token as likely as any other
        const auto noPrevious = inductionScores({executor, model}, {20, 8, 1, {{0, 0}}});
        QVERIFY(noPrevious.scores.induction[1][0].item<double>() < 0.2);  // it found its key by what the first layer wrote
        const auto both = inductionScores({executor, model}, {20, 8, 1, {{0, 0}, {1, 0}}});
        QVERIFY(std::abs(both.secondLoss - std::log(8.0)) < 1e-6);
    }

    void scoresEqualBruteForce()
    {
        const graph::Model model = zoo::openZoo("zoo:gpt?vocabulary=11&block_length=20&layers=2&heads=3&width=12&mlp=false", 5);
        const graph::Executor executor(model.graph);
        constexpr std::int64_t kLength = 6, kSequences = 11;  // more than one batch
        const auto found = inductionScores({executor, model}, {kSequences, kLength, 9, {}});
        const at::Tensor tokens = repeatedTokens(kSequences, kLength, 11, 9);
        graph::RunRequest request;
        request.inputs = {tokens};
        request.keep = {model.card.canonicalNames.at("blocks.0.attn.pattern"), model.card.canonicalNames.at("blocks.1.attn.pattern")};
        const auto run = executor.run(model.weights, request);
        for (std::int64_t block = 0; block < 2; ++block)
            for (std::int64_t head = 0; head < 3; ++head) {
                const auto pattern = run.value(request.keep[std::size_t(block)]);
                double induction = 0, duplicate = 0, previous = 0;
                for (std::int64_t s = 0; s < kSequences; ++s)
                    for (std::int64_t q = 1; q < 2 * kLength; ++q) {
                        previous += pattern[s][head][q][q - 1].item<float>();
                        if (q < kLength)
                            continue;
                        induction += pattern[s][head][q][q - kLength + 1].item<float>();
                        duplicate += pattern[s][head][q][q - kLength].item<float>();
                    }
                QVERIFY(std::abs(found.scores.induction[block][head].item<double>() - induction / double(kSequences * kLength)) < 1e-9);
                QVERIFY(std::abs(found.scores.duplicateToken[block][head].item<double>() - duplicate / double(kSequences * kLength)) < 1e-9);
                QVERIFY(std::abs(found.scores.previousToken[block][head].item<double>() - previous / double(kSequences * (2 * kLength - 1))) < 1e-9);
            }
        const at::Tensor logP = run.tensor().to(at::kDouble).log_softmax(-1);
        double second = 0, right = 0;
        for (std::int64_t s = 0; s < kSequences; ++s)
            for (std::int64_t i = kLength; i < 2 * kLength - 1; ++i) {
                const auto next = tokens[s][i + 1].item<std::int64_t>();
                second -= logP[s][i][next].item<double>();
                right += logP[s][i].argmax().item<std::int64_t>() == next;
            }
        QVERIFY(std::abs(found.secondLoss - second / double(kSequences * (kLength - 1))) < 1e-9);
        QVERIFY(std::abs(found.secondAccuracy - right / double(kSequences * (kLength - 1))) < 1e-12);
        QCOMPARE(found.loss.size(0), 2 * kLength - 1);
    }

    void badSettingsAreNamed_data()
    {
        QTest::addColumn<int>("length");
        QTest::addColumn<int>("block");
        QTest::addColumn<int>("head");
        QTest::addColumn<QString>("said");
        QTest::newRow("too long") << 9 << 0 << 0 << "18 tokens, and the model takes at most 16";
        QTest::newRow("too short") << 1 << 0 << 0 << "length of at least 2";
        QTest::newRow("no such layer") << 8 << 2 << 0 << "no head 2.0: the model has blocks 0 to 1 with heads 0 to 0";
        QTest::newRow("no such head") << 8 << 1 << 1 << "no head 1.1";
    }
    void badSettingsAreNamed()
    {
        QFETCH(int, length);
        QFETCH(int, block);
        QFETCH(int, head);
        QFETCH(QString, said);
        const graph::Model model = inductionModel(8, 16);
        const graph::Executor executor(model.graph);
        try {
            inductionScores({executor, model}, {2, length, 0, {{block, head}}});
            QFAIL("nothing was said");
        } catch (const core::InputError& error) {
            QVERIFY2(QString(error.what()).contains(said), error.what());
        }
    }

    void headsAreReadFromText()
    {
        QVERIFY(headPlace("1.3") == (HeadPlace{1, 3}));
        for (const char* text : {"", "1", "1.", ".3", "1.3.2", "a.b", "-1.0", "1.-2"})
            QVERIFY_EXCEPTION_THROWN(headPlace(text), core::InputError);
    }

    void usualLengthFitsTheModel()
    {
        const graph::Model model = inductionModel(8, 16);
        const graph::Executor executor(model.graph);
        QCOMPARE(inductionScores({executor, model}, {1, 0, 0, {}}).length, 8);
    }

    void aStopEndsItBetweenBatches()
    {
        const graph::Model model = inductionModel(8, 16);
        const graph::Executor executor(model.graph);
        std::stop_source source;
        Control control;
        control.stop = source.get_token();
        double done = 0;
        control.progress = [&](double now, double, const char*) {
            done = now;
            if (now > 0)
                source.request_stop();
        };
        QVERIFY_EXCEPTION_THROWN(inductionScores({executor, model}, {1000, 8, 0, {}}, control), core::Cancelled);
        QVERIFY(done > 0 && done < 100);
    }
};

QTEST_APPLESS_MAIN(InductionTest)
#include "induction_test.moc"
