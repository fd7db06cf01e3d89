#include <QtTest>

#include <core/graph/builder.h>
#include <core/intervene/alignment.h>

#include "../message_of.h"

using namespace orrery;
using core::Json;
using graph::Builder;

namespace {

/// Sums of three digits 0..3 with the partial sum a + b hidden along one direction of a rotated hidden layer: h = Q (a + b, c, 0, 0), and the class is the
/// number nearest to a + b + c: logit k = 2 (2 k s - k^2).
struct SumNetwork {
    at::Tensor rotation, base, source, labels;
    graph::Model model;
    SumNetwork()
    {
        const auto generator = at::detail::createCPUGenerator(3);
        rotation = std::get<0>(at::linalg_qr(at::randn({4, 4}, generator, at::TensorOptions().dtype(at::kDouble))));
        Builder builder("sum");
        const auto x = builder.input("x", "float32", {"batch", "3"});
        const auto hidden = builder.linear("hidden", x, 3, 4, false);
        model = builder.finish({{"logits", builder.linear("out", hidden, 4, 10)}});
        const auto parts = at::tensor({1., 1., 0., 0., 0., 1., 0., 0., 0., 0., 0., 0.}, at::kDouble).reshape({4, 3});
        const auto number = at::arange(10, at::kDouble);
        const auto sum = at::tensor({1., 1., 0., 0.}, at::kDouble).unsqueeze(0).matmul(rotation.t());
        model.weights = graph::Weights({{"hidden.weight", rotation.matmul(parts).to(at::kFloat)},
                                        {"out.weight", (4 * number.unsqueeze(1) * sum).to(at::kFloat)},
                                        {"out.bias", (-2 * number * number).to(at::kFloat)}});
        base = at::randint(0, 4, {300, 3}, generator, at::kFloat);
        source = at::randint(0, 4, {300, 3}, generator, at::kFloat);
        labels = (source.select(1, 0) + source.select(1, 1) + base.select(1, 2)).to(at::kLong);
    }
    intervene::AlignmentPairs pairs() const { return {{base}, {source}, labels}; }
    intervene::AlignmentResult find(const Json& parameters, const intervene::AlignmentPairs& given, const explain::Control& control = {}) const
    {
        return intervene::findAlignment(graph::Executor(model.graph), model.weights, model.card, given, "hidden", nullptr, parameters, 1, control);
    }
};

}  // namespace

class AlignmentTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void findsTheHiddenDirection()
    {
        const SumNetwork net;
        const auto result = net.find({{"steps", 300}, {"lr", 0.05}}, net.pairs());
        QVERIFY2(result.accuracyBefore < 0.8, qPrintable(QString::number(result.accuracyBefore)));
        QCOMPARE(result.accuracy, 1.0);
        const auto cosine = result.directions[0].dot(net.rotation.select(1, 0)).abs().item<double>();
        QVERIFY2(cosine > 0.99, qPrintable(QString::number(cosine)));
        QVERIFY(std::abs(result.directions.norm().item<double>() - 1) < 1e-12);
        QVERIFY(result.losses.back() < result.losses.front());
        // The document does the same to new pairs.
        intervene::InterventionRequest request;
        request.inputs = {at::tensor({3.F, 0.F, 1.F}).unsqueeze(0)};
        request.sources = {{"source", {at::tensor({2.F, 2.F, 3.F}).unsqueeze(0)}}};
        const auto changed = intervene::runIntervened(graph::Executor(net.model.graph), net.model.weights, net.model.card,
                                                      intervene::InterventionDocument::fromJson(result.document), request);
        QCOMPARE(changed.plain.argmax().item<std::int64_t>(), std::int64_t(4));
        QCOMPARE(changed.intervened.argmax().item<std::int64_t>(), std::int64_t(5));
    }

    void theSameSeedFindsTheSame()
    {
        const SumNetwork net;
        QVERIFY(at::equal(net.find({{"steps", 5}}, net.pairs()).directions, net.find({{"steps", 5}}, net.pairs()).directions));
    }

    void faultsAreNamed()
    {
        const SumNetwork net;
        auto message = saidBy([&] { net.find({{"dimensions", 5}}, net.pairs()); });
        QVERIFY2(message.contains("at most the 4 features"), qPrintable(message));
        auto pairs = net.pairs();
        pairs.labels = pairs.labels + 9;
        message = saidBy([&] { net.find({}, pairs); });
        QVERIFY2(message.contains("labels: expected 0..9"), qPrintable(message));
        pairs.labels = net.labels.narrow(0, 0, 5);
        message = saidBy([&] { net.find({}, pairs); });
        QVERIFY2(message.contains("expected one class number a pair, [300], got [5]"), qPrintable(message));
        message = saidBy([&] { net.find({{"lr", 0}}, net.pairs()); });
        QVERIFY2(message.contains("align.lr"), qPrintable(message));
    }

    void aSearchIsCancelled()
    {
        const SumNetwork net;
        std::stop_source stop;
        explain::Control control;
        control.stop = stop.get_token();
        control.progress = [&](double done, double, const char* unit) {
            if (std::string_view(unit) == "steps" && done == 3)
                stop.request_stop();
        };
        QVERIFY_EXCEPTION_THROWN(net.find({}, net.pairs(), control), core::Cancelled);
    }
};

QTEST_APPLESS_MAIN(AlignmentTest)
#include "alignment_test.moc"
