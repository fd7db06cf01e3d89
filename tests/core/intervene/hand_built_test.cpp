#include "hand_built.h"

#include <QTest>

using namespace orrery;

namespace {

at::Tensor tokens(std::vector<std::int64_t> ids)
{
    return at::tensor(ids).unsqueeze(0);
}

at::Tensor logitsOf(const graph::Model& model, const at::Tensor& x)
{
    return graph::Executor(model.graph).forward(model.weights, {x})[0];
}

at::Tensor valueOf(const graph::Model& model, const at::Tensor& x, const std::string& canonical)
{
    graph::RunRequest request;
    request.inputs = {x};
    const auto& name = model.card.canonicalNames.at(canonical);
    request.keep = {name};
    return graph::Executor(model.graph).run(model.weights, request).value(name);
}

}  // namespace

class HandBuiltTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void copyingModelAnswersWithTheFirstToken();
    void previousTokenHeadAttendsOneBack();
    void inductionModelCompletesARepeatedPair_data();
    void inductionModelCompletesARepeatedPair();
    void inductionHeadAttendsBehindTheEarlierOccurrence();
};

void HandBuiltTest::copyingModelAnswersWithTheFirstToken()
{
    const auto logits = logitsOf(intervene::copyingModel(), tokens({3, 0, 1, 2, 5}));
    for (std::int64_t position = 0; position < 5; ++position)
        for (std::int64_t token = 0; token < 6; ++token)
            QCOMPARE(logits[position][token].item<double>(), token == 3 ? intervene::kCopyLogit : 0.0);
}

void HandBuiltTest::previousTokenHeadAttendsOneBack()
{
    const auto pattern = valueOf(intervene::inductionModel(), tokens({4, 1, 2, 0, 7}), "blocks.0.attn.pattern")[0][0];
    for (std::int64_t query = 0; query < 5; ++query)
        for (std::int64_t key = 0; key < 5; ++key)
            QCOMPARE(pattern[query][key].item<double>(), key == std::max<std::int64_t>(query - 1, 0) ? 1.0 : 0.0);
}

void HandBuiltTest::inductionModelCompletesARepeatedPair_data()
{
    QTest::addColumn<QList<int>>("sequence");
    QTest::addColumn<int>("expected");
    QTest::newRow("A B x A") << QList<int>{1, 2, 0, 1} << 2;
    QTest::newRow("x A B x y A") << QList<int>{0, 5, 7, 3, 4, 5} << 7;
    QTest::newRow("A at the start and nowhere else") << QList<int>{6, 1, 2, 3, 6} << 1;
    QTest::newRow("adjacent repeat A A") << QList<int>{1, 6, 6} << 6;
}

void HandBuiltTest::inductionModelCompletesARepeatedPair()
{
    QFETCH(QList<int>, sequence);
    QFETCH(int, expected);
    const std::vector<std::int64_t> ids(sequence.begin(), sequence.end());
    const auto last = logitsOf(intervene::inductionModel(), tokens(ids))[-1];
    for (std::int64_t token = 0; token < 8; ++token)
        QCOMPARE(last[token].item<double>(), token == expected ? intervene::kInductionLogit : 0.0);
}

void HandBuiltTest::inductionHeadAttendsBehindTheEarlierOccurrence()
{
    // A repeated random sequence: in its second half, position i attends to i - length + 1.
    const std::vector<std::int64_t> half = {3, 0, 6, 1, 5};
    auto twice = half;
    twice.insert(twice.end(), half.begin(), half.end());
    const auto pattern = valueOf(intervene::inductionModel(), tokens(twice), "blocks.1.attn.pattern")[0][0];
    for (std::int64_t query = 5; query < 10; ++query)
        QCOMPARE(pattern[query][query - 4].item<double>(), 1.0);
}

QTEST_APPLESS_MAIN(HandBuiltTest)
#include "hand_built_test.moc"
