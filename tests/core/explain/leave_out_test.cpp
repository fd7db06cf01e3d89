// Ablation by hand: features, pixels and positions against sums written out.
#include <ATen/ATen.h>

#include <core/base/error.h>
#include <core/explain/leave_out.h>
#include <core/graph/builder.h>
#include <core/zoo/zoo.h>

#include <QTest>

#include "../message_of.h"
#include "planted_patch.h"

using namespace orrery;
using explain::LeaveOut;

namespace {

at::Tensor without(const graph::Model& model, const at::Tensor& x, const LeaveOut& what, std::stop_token stop = {})
{
    return explain::outputWithout(graph::Executor(model.graph), model.weights, {x}, what, stop);
}

/// y = W x + b over three features.
graph::Model linear()
{
    graph::Builder builder("linear");
    auto model = builder.finish({{"y", builder.linear("fc", builder.input("x", "float64", {"batch", "3"}), 3, 2)}});
    model.weights = graph::Weights(
        {{"fc.weight", at::tensor({4., -1., 2., 0.5, 1., -3.}, at::kDouble).reshape({2, 3})}, {"fc.bias", at::tensor({0.25, -1.}, at::kDouble)}});
    return model;
}

}  // namespace

class LeaveOutTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void featuresAreSetToTheBaselineInEverySample();
    void nothingLeftOutIsThePlainRun();
    void pixelsCountRowByRow();
    void positionsLoseTheirWholeVector();
    void badRequestsSayWhatWasExpected();
};

void LeaveOutTest::featuresAreSetToTheBaselineInEverySample()
{
    const auto model = linear();
    const auto x = at::tensor({1., 2., 3., -1., 0.5, 2.}, at::kDouble).reshape({2, 3});
    // Without features 0 and 2, set to 10: 4 * 10 - x1 + 2 * 10 + 0.25 and 0.5 * 10 + x1 - 30 - 1.
    const auto found = without(model, x, {"x", {2, 0}, 10});
    QVERIFY(at::allclose(found, at::tensor({58.25, -24., 59.75, -25.5}, at::kDouble).reshape({2, 2}), 0, 1e-12));
    QCOMPARE(x[0][0].item<double>(), 1.0);  // the caller's input stays as it is
}

void LeaveOutTest::nothingLeftOutIsThePlainRun()
{
    const test::PlantedPatch patch;
    const auto x = patch.image({2, 5}, 3);
    QVERIFY(at::equal(without(patch.model, x, {"image", {}, 7}), graph::Executor(patch.model.graph).forward(patch.model.weights, {x})));
}

// A dark corner of the image takes part in nothing; the cross's middle speaks for the cross and against its four corners.
void LeaveOutTest::pixelsCountRowByRow()
{
    const test::PlantedPatch patch;
    auto x = at::zeros({1, 1, 13, 13}, at::kDouble);
    x.slice(2, 4, 7).slice(3, 2, 5).copy_(patch.kernel.clamp_min(0));
    // Five bright pixels match by 5 - 1.5. Without the middle the cross matches by 4 - 1.5, and each of its corners, where two arms meet and the dark
    // corner of the kernel lay on the middle, by 2 - 1.5.
    QCOMPARE(without(patch.model, x, {"image", {}, 0})[0][0].item<double>(), 3.5);
    QCOMPARE(without(patch.model, x, {"image", {5 * 13 + 3}, 0})[0][0].item<double>(), 2.5 + 4 * 0.5);
    QCOMPARE(without(patch.model, x, {"image", {12, 168}, 0})[0][0].item<double>(), 3.5);
    QCOMPARE(explain::elementsOf({1, 3, 13, 7}), std::int64_t(91));
}

void LeaveOutTest::positionsLoseTheirWholeVector()
{
    const auto model = zoo::buildModel("gpt", {{"vocabulary", 11}, {"block_length", 6}, {"layers", 1}, {"heads", 2}, {"width", 8}}, 5);
    const graph::Executor executor(model.graph);
    const auto tokens = at::tensor({3, 1, 4, 1, 5, 9}, at::kLong).unsqueeze(0);
    const auto site = explain::defaultSite(executor, model.weights, {tokens});
    graph::RunRequest request;
    request.inputs = {tokens};
    request.keep = {site};
    auto vectors = executor.run(model.weights, request).value(site).clone();
    QCOMPARE(vectors.size(1), std::int64_t(6));
    vectors.select(1, 2).zero_();
    graph::RunRequest changed;
    changed.inputs = {tokens};
    changed.changed[site] = vectors;
    QVERIFY(at::equal(without(model, tokens, {site, {2}, 0}), executor.run(model.weights, changed).tensor()));
    // Causal: what comes before does not see the change, what comes after does.
    const auto plain = executor.forward(model.weights, {tokens}), found = without(model, tokens, {site, {2}, 0});
    QVERIFY(at::allclose(found.narrow(1, 0, 2), plain.narrow(1, 0, 2), 0, 1e-6));
    QVERIFY(!at::allclose(found.narrow(1, 5, 1), plain.narrow(1, 5, 1), 0, 1e-4));
}

void LeaveOutTest::badRequestsSayWhatWasExpected()
{
    const auto model = linear();
    const auto x = at::ones({1, 3}, at::kDouble);
    QCOMPARE(saidBy([&] { without(model, x, {"x", {3}, 0}); }), QString("element: expected 0..2 (\"x\" is [1, 3]), got 3"));
    QVERIFY(saidBy([&] { without(model, x, {"x", {-1}, 0}); }).contains("got -1"));
    QVERIFY(saidBy([&] { without(model, x, {"xx", {0}, 0}); }).contains("xx"));
    QVERIFY(saidBy([&] { without(model, at::ones({1, 4}, at::kDouble), {"x", {0}, 0}); }) != "no error");
    QVERIFY(saidBy([&] { explain::elementsOf({4}); }).contains("expected a value [batch, element, ...], got [4]"));
    std::stop_source source;
    source.request_stop();
    bool cancelled = false;
    try {
        without(model, x, {"x", {0}, 0}, source.get_token());
    } catch (const core::Cancelled&) {
        cancelled = true;
    }
    QVERIFY(cancelled);
}

QTEST_GUILESS_MAIN(LeaveOutTest)
#include "leave_out_test.moc"
