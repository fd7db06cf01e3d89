// Random sequences that repeat: what they hold, that they are the same each time, and what is refused.
#include <QTest>

#include <map>
#include <set>

#include <core/base/error.h>
#include <core/data/dataset.h>

using namespace orrery;
using namespace orrery::data;

namespace {

DataSetPtr open(core::Json more = core::Json::object())
{
    core::Json document{{"id", "repeated_sequences"}};
    document.update(more);
    return openData(document);
}

Batch fetch(const DataSet& set, std::vector<std::int64_t> indices)
{
    return set.fetch(indices);
}

}  // namespace

class RepeatedSequencesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void tokensWithoutAVocabularyAreShownAsNumbers()
    {
        const auto data = data::openData({{"id", "repeated_sequences"}, {"samples", 20}});
        QVERIFY(!data->vocabulary());
        const auto batch = data->fetch(std::vector<std::int64_t>{3});
        QVERIFY(data->targetText(3).starts_with(std::to_string(batch.inputs[0][0][0].item<std::int64_t>()) + " "));
    }

    void theSecondHalfRepeatsTheFirst()
    {
        const auto set = open({{"vocabulary", 10}, {"length", 7}, {"samples", 50}});
        const Batch batch = fetch(*set, {0, 13, 49});
        QCOMPARE(batch.inputs[0].sizes().vec(), (std::vector<std::int64_t>{3, 14}));
        QVERIFY(at::equal(batch.inputs[0].slice(1, 0, 7), batch.inputs[0].slice(1, 7, 14)));
        // Targets are the inputs one further; behind the end the sequence begins again.
        QVERIFY(at::equal(batch.targets.slice(1, 0, 13), batch.inputs[0].slice(1, 1, 14)));
        QVERIFY(at::equal(batch.targets.select(1, 13), batch.inputs[0].select(1, 0)));
    }

    void eachSampleHasItsOwnPeriod()
    {
        const auto set = open({{"vocabulary", 1000}, {"length", 9}, {"shortest", 4}, {"block_length", 30}, {"samples", 600}});
        std::map<std::int64_t, int> periods;
        for (std::int64_t sample = 0; sample < 600; ++sample) {
            const at::Tensor row = fetch(*set, {sample}).inputs[0][0];
            std::int64_t period = 1;
            while (!at::equal(row.slice(0, period, 30), row.slice(0, 0, 30 - period)))
                ++period;
            ++periods[period];
        }
        QCOMPARE(periods.begin()->first, 4);
        QCOMPARE(periods.rbegin()->first, 9);
        QCOMPARE(periods.size(), std::size_t(6));
        for (const auto& [period, count] : periods)
            QVERIFY2(count > 60 && count < 140, qPrintable(QString("%1: %2").arg(period).arg(count)));  // 100 each, standard deviation 9
    }

    void tokensAreUniform()
    {
        const auto set = open({{"vocabulary", 5}, {"length", 20}, {"samples", 500}});
        std::vector<std::int64_t> all(500);
        std::iota(all.begin(), all.end(), 0);
        const at::Tensor counts = fetch(*set, all).inputs[0].slice(1, 0, 20).reshape(-1).bincount();
        QCOMPARE(counts.numel(), 5);
        for (int token = 0; token < 5; ++token)  // 2000 each, standard deviation 40
            QVERIFY2(std::abs(counts[token].item<std::int64_t>() - 2000) < 200, qPrintable(QString::number(counts[token].item<std::int64_t>())));
    }

    void theSameEachTime()
    {
        const auto a = open({{"samples", 100}}), b = open({{"samples", 100}}), other = open({{"samples", 100}, {"seed", 1}});
        QVERIFY(at::equal(fetch(*a, {5, 99}).inputs[0], fetch(*b, {5, 99}).inputs[0]));
        QVERIFY(at::equal(fetch(*a, {5, 99}).inputs[0][1], fetch(*b, {99}).inputs[0][0]));
        QVERIFY(!at::equal(fetch(*a, {5}).inputs[0], fetch(*other, {5}).inputs[0]));
        QCOMPARE(a->contentHash(), b->contentHash());
        QVERIFY(a->contentHash() != other->contentHash());
        QVERIFY(a->contentHash() != open({{"samples", 100}, {"vocabulary", 63}})->contentHash());
    }

    void partsAndLimit()
    {
        const auto set = open({{"samples", 1000}});
        QCOMPARE(set->split(Split::Train).size(), std::size_t(900));
        QCOMPARE(set->split(Split::Val).size(), std::size_t(50));
        QCOMPARE(set->split(Split::Test).size(), std::size_t(50));
        QCOMPARE(open({{"samples", 1000}, {"limit", 100}})->split(Split::Train).size(), std::size_t(90));
        QCOMPARE(set->info().vocabularySize, 64);
        QCOMPARE(set->info().outputSize, 64);
        QCOMPARE(set->info().inputShape, (std::vector<std::int64_t>{48}));
        QVERIFY(set->info().task == Task::NextToken);
    }

    void badParametersAreNamed_data()
    {
        QTest::addColumn<QString>("parameters");
        QTest::addColumn<QString>("said");
        QTest::newRow("nothing repeats") << R"({"length": 8, "block_length": 8})"
                                         << "expected more than the length 8";
        QTest::newRow("shortest above longest") << R"({"length": 8, "shortest": 9})"
                                                << "expected at most the length 8, got 9";
        QTest::newRow("one token") << R"({"vocabulary": 1})"
                                   << "vocabulary";
        QTest::newRow("none") << R"({"samples": 0})"
                              << "samples";
        QTest::newRow("no training part") << R"({"split": {"test": 0.6, "val": 0.5}})"
                                          << "split";
        QTest::newRow("unknown key") << R"({"lenght": 5})"
                                     << "did you mean \"length\"?";
    }
    void badParametersAreNamed()
    {
        QFETCH(QString, parameters);
        QFETCH(QString, said);
        try {
            open(core::Json::parse(parameters.toStdString()));
            QFAIL("nothing was said");
        } catch (const core::InputError& error) {
            QVERIFY2(QString(error.what()).contains(said), error.what());
        }
    }
};

QTEST_APPLESS_MAIN(RepeatedSequencesTest)
#include "repeated_sequences_test.moc"
