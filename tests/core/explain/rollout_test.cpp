// Attention rollout against matrix products written out by hand.
#include <ATen/ATen.h>

#include <core/base/error.h>
#include <core/explain/attribution.h>
#include <core/graph/builder.h>
#include <core/zoo/zoo.h>

#include <QTest>

#include "../message_of.h"

using namespace orrery;
using core::Json;
using explain::AttributionRequest;
using explain::AttributionResult;
using graph::Builder;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kDouble));
}

/// Two layers whose patterns are softmax(scores of the layer) whatever the input: [1, 2 heads, 3, 3] each. One output a sample.
struct HandMade {
    std::vector<at::Tensor> scores = {noise({1, 2, 3, 3}, 1), noise({1, 2, 3, 3}, 2)};
    graph::Model model;
    HandMade()
    {
        Builder builder("patterns");
        const auto x = builder.input("x", "float64", {"batch", "3"});
        auto zero = builder.op("aten::mul.Scalar", {builder.op("aten::sum", {x, nullptr}), 0.0});
        auto total = builder.op("aten::sum.dim_IntList", {x, std::vector<std::int64_t>{1}, true});
        for (int i = 0; i < 2; ++i) {
            const Builder::Scope blocks = builder.module("blocks", "ModuleList"), block = builder.module(std::to_string(i), "Block");
            const Builder::Scope attn = builder.module("attn", "Attention");
            const auto raw = builder.parameter("raw", {1, 2, 3, 3}, nullptr, graph::Parameter::Kind::Parameter, at::kDouble);
            const auto pattern = builder.softmax(builder.op("aten::add.Tensor", {raw, zero}), -1);
            total = builder.op("aten::add.Tensor", {total, builder.op("aten::sum", {pattern, nullptr})}, "total");
        }
        model = builder.finish({{"y", total}});
        model.weights = graph::Weights({{"blocks.0.attn.raw", scores[0]}, {"blocks.1.attn.raw", scores[1]}});
    }
};

AttributionResult rollout(const graph::Model& model, const at::Tensor& x, Json parameters = Json::object(), std::optional<std::int64_t> position = {},
                          const explain::Control& control = {})
{
    AttributionRequest request;
    request.inputs = {x};
    request.parameters = std::move(parameters);
    if (position)
        request.positions = {*position};
    return explain::attribute(graph::Executor(model.graph), model.weights, "attention_rollout", request, control);
}

std::vector<at::Tensor> patternsOf(const graph::Model& model, const at::Tensor& x)
{
    graph::RunRequest request;
    request.inputs = {x};
    request.keep = {"blocks.*.attn.softmax"};
    const auto result = graph::Executor(model.graph).run(model.weights, request);
    std::vector<at::Tensor> patterns;
    for (std::size_t i = 0; i < result.values.size(); ++i)
        patterns.push_back(result.value("blocks." + std::to_string(i) + ".attn.softmax").to(at::kDouble));
    return patterns;
}

/// Products of loops, entry by entry.
std::vector<std::vector<double>> byHand(const std::vector<at::Tensor>& patterns, std::int64_t sample, double residual)
{
    const auto n = std::size_t(patterns[0].size(2));
    std::vector<std::vector<double>> joint(n, std::vector<double>(n, 0));
    for (std::size_t i = 0; i < n; ++i)
        joint[i][i] = 1;
    for (const auto& pattern : patterns) {
        std::vector<std::vector<double>> next(n, std::vector<double>(n, 0));
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t k = 0; k < n; ++k) {
                double link = i == k ? residual : 0;
                for (std::int64_t h = 0; h < pattern.size(1); ++h)
                    link += (1 - residual) * pattern[sample][h][std::int64_t(i)][std::int64_t(k)].item<double>() / double(pattern.size(1));
                for (std::size_t j = 0; j < n; ++j)
                    next[i][j] += link * joint[k][j];
            }
        joint = next;
    }
    return joint;
}

double miss(const at::Tensor& row, const std::vector<double>& expected)
{
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i)
        worst = std::max(worst, std::abs(row[std::int64_t(i)].item<double>() - expected[i]));
    return worst;
}

graph::Model tinyGpt()
{
    return zoo::buildModel("gpt", {{"vocabulary", 11}, {"block_length", 8}, {"layers", 3}, {"heads", 2}, {"width", 8}}, 5);
}

graph::Model tinyVit()
{
    return zoo::buildModel(
        "vit", {{"image_size", 8}, {"channels", 2}, {"patch_size", 4}, {"layers", 2}, {"heads", 2}, {"width", 8}, {"mlp_width", 16}, {"classes", 3}},
        6);
}

}  // namespace

class RolloutTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void handMadePatternsMultiply();
    void headsFuseAsAsked();
    void withoutResidualItIsTheProductOfPatterns();
    void weakLinksAreCut();
    void textIsReadFromTheExplainedPosition();
    void patchesLieOverTheirImage();
    void laterStartsLeaveLayersOut();
    void badRequestsSayWhatWasExpected();
    void stopsWhenAsked();
};

void RolloutTest::handMadePatternsMultiply()
{
    const HandMade net;
    const std::vector<at::Tensor> patterns = {net.scores[0].softmax(-1), net.scores[1].softmax(-1)};
    const auto expected = byHand(patterns, 0, 0.5);
    for (int query = 0; query < 3; ++query) {
        const auto row = rollout(net.model, at::ones({1, 3}, at::kDouble), {{"query", query}}).attribution[0];
        QVERIFY(miss(row, expected[std::size_t(query)]) < 1e-6);
        QVERIFY(std::abs(row.sum().item<double>() - 1) < 1e-6);
    }
}

void RolloutTest::headsFuseAsAsked()
{
    const HandMade net;
    for (const char* fusion : {"max", "min"}) {
        std::vector<at::Tensor> patterns;
        for (const auto& scores : net.scores) {
            const auto pattern = scores.softmax(-1);
            auto one = std::string(fusion) == "max" ? at::maximum(pattern.select(1, 0), pattern.select(1, 1))
                                                    : at::minimum(pattern.select(1, 0), pattern.select(1, 1));
            patterns.push_back((one / one.sum(-1, true)).unsqueeze(1));
        }
        const auto row = rollout(net.model, at::ones({1, 3}, at::kDouble), {{"head_fusion", fusion}}).attribution[0];
        QVERIFY(miss(row, byHand(patterns, 0, 0.5)[0]) < 1e-6);
    }
}

void RolloutTest::withoutResidualItIsTheProductOfPatterns()
{
    const HandMade net;
    const auto mean = [](const at::Tensor& scores) { return scores.softmax(-1).mean({1})[0]; };
    const auto expected = at::matmul(mean(net.scores[1]), mean(net.scores[0]))[0];
    const auto row = rollout(net.model, at::ones({1, 3}, at::kDouble), {{"residual", 0}}).attribution[0];
    QVERIFY(at::allclose(row.to(at::kDouble), expected, 0, 1e-6));
    const auto stays = rollout(net.model, at::ones({1, 3}, at::kDouble), {{"residual", 1}, {"query", 2}}).attribution[0];
    QVERIFY(miss(stays, {0, 0, 1}) < 1e-12);
}

void RolloutTest::weakLinksAreCut()
{
    const HandMade net;
    // A third of nine links: the three weakest of each layer.
    std::vector<at::Tensor> patterns;
    for (const auto& scores : net.scores) {
        auto one = scores.softmax(-1).mean({1})[0].clone();
        const auto limit = std::get<0>(one.flatten().sort())[2].item<double>();
        one = at::where(one.le(limit), at::zeros_like(one), one);
        patterns.push_back((one / one.sum(-1, true)).unsqueeze(0).unsqueeze(0));
    }
    const auto row = rollout(net.model, at::ones({1, 3}, at::kDouble), {{"discard_ratio", 0.34}}).attribution[0];
    QVERIFY(miss(row, byHand(patterns, 0, 0.5)[0]) < 1e-6);
}

void RolloutTest::textIsReadFromTheExplainedPosition()
{
    const auto model = tinyGpt();
    const auto x = at::tensor({1, 5, 3, 7, 2, 2, 0, 4}, at::kLong).reshape({2, 4});
    const auto patterns = patternsOf(model, x);
    QCOMPARE(patterns.size(), std::size_t(3));
    const auto last = rollout(model, x), second = rollout(model, x, Json::object(), 1);
    QCOMPARE(last.site, std::string("tokens"));
    QCOMPARE(last.attribution.sizes().vec(), (std::vector<std::int64_t>{2, 4}));
    for (int sample = 0; sample < 2; ++sample) {
        const auto expected = byHand(patterns, sample, 0.5);
        QVERIFY(miss(last.attribution[sample], expected[3]) < 1e-6);
        QVERIFY(miss(second.attribution[sample], expected[1]) < 1e-6);
    }
    // What comes later cannot have been read.
    QCOMPARE(second.attribution.narrow(1, 2, 2).abs().max().item<double>(), 0.0);
}

void RolloutTest::patchesLieOverTheirImage()
{
    const auto model = tinyVit();
    const auto x = noise({1, 2, 8, 8}, 3).to(at::kFloat);
    const auto expected = byHand(patternsOf(model, x), 0, 0.5)[0];
    const auto row = rollout(model, x, {{"layout", "positions"}}).attribution[0];
    QVERIFY(miss(row, expected) < 1e-6);
    const auto image = rollout(model, x);
    QCOMPARE(image.attribution.sizes().vec(), x.sizes().vec());
    for (int i = 0; i < 8; ++i)
        for (int k = 0; k < 8; ++k)
            QVERIFY(std::abs(image.attribution[0][1][i][k].item<double>() - expected[std::size_t(1 + i / 4 * 2 + k / 4)]) < 1e-6);
    QVERIFY(std::abs(image.details.at("class_token_share").get<double>() - expected[0]) < 1e-6);
}

void RolloutTest::laterStartsLeaveLayersOut()
{
    const HandMade net;
    const auto row = rollout(net.model, at::ones({1, 3}, at::kDouble), {{"start", 1}}).attribution[0];
    QVERIFY(miss(row, byHand({net.scores[1].softmax(-1)}, 0, 0.5)[0]) < 1e-6);
}

void RolloutTest::badRequestsSayWhatWasExpected()
{
    const HandMade net;
    const auto x = at::ones({1, 3}, at::kDouble);
    QVERIFY(saidBy([&] { rollout(net.model, x, {{"start", 2}}); }).contains("start: expected 0..1 (2 attention patterns fit"));
    QVERIFY(saidBy([&] { rollout(net.model, x, {{"query", 3}}); }).contains("query: expected 0..2, got 3"));
    QVERIFY(saidBy([&] { rollout(net.model, x, {{"residual", 2}}); }).contains("residual"));
    QVERIFY(saidBy([&] {
                rollout(net.model, x, {{"attention", "x"}});
            }).contains("expected an attention pattern [batch, head, position, position], got [1, 3]"));
    const auto mlp = zoo::buildModel("mlp", {{"features", 3}}, 1);
    QVERIFY(saidBy([&] { rollout(mlp, at::ones({1, 3})); }).contains("blocks.*.attn.softmax"));
    const auto nan = saidBy([&] { rollout(tinyVit(), at::full({1, 2, 8, 8}, std::nanf(""))); });
    QVERIFY2(nan.contains("not finite"), qPrintable(nan));
}

void RolloutTest::stopsWhenAsked()
{
    const HandMade net;
    std::stop_source source;
    explain::Control control;
    control.stop = source.get_token();
    control.progress = [&](double, double, const char*) { source.request_stop(); };
    bool cancelled = false;
    try {
        rollout(net.model, at::ones({1, 3}, at::kDouble), Json::object(), {}, control);
    } catch (const core::Cancelled&) {
        cancelled = true;
    }
    QVERIFY(cancelled);
}

QTEST_GUILESS_MAIN(RolloutTest)
#include "rollout_test.moc"
