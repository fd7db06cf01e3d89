#include <QtTest>

#include <cmath>

#include <core/base/expression.h>
#include <core/graph/builder.h>
#include <core/intervene/intervention.h>
#include <core/intervene/kinds.h>
#include <core/intervene/results.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/train/document_file.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"

using namespace orrery;
using core::Json;
using graph::Builder;
using intervene::InterventionDocument;
using intervene::InterventionRequest;
using intervene::InterventionResult;
using intervene::SourceInputs;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kDouble));
}

/// hidden = relu(W1 x + b1), y = W2 hidden + b2, in double: what `byHand` recomputes with a hidden value of its own.
struct TwoLayers {
    at::Tensor w1 = noise({5, 4}, 1), b1 = noise({5}, 2), w2 = noise({3, 5}, 3), b2 = noise({3}, 4);
    at::Tensor x = noise({2, 4}, 5), other = noise({2, 4}, 6);
    graph::Model model;
    TwoLayers()
    {
        Builder builder("two_layers");
        const auto input = builder.input("x", "float64", {"batch", "4"});
        const auto hidden = builder.relu(builder.linear("fc1", input, 4, 5));
        model = builder.finish({{"y", builder.linear("fc2", hidden, 5, 3)}});
        model.weights = graph::Weights({{"fc1.weight", w1}, {"fc1.bias", b1}, {"fc2.weight", w2}, {"fc2.bias", b2}});
    }
    at::Tensor hidden(const at::Tensor& input) const { return at::relu(input.matmul(w1.t()) + b1); }
    at::Tensor output(const at::Tensor& hidden) const { return hidden.matmul(w2.t()) + b2; }
};

const std::string kTinyGpt = "zoo:gpt?vocabulary=11&block_length=12&layers=3&heads=2&width=8";

graph::Model tinyGpt()
{
    auto model = zoo::openZoo(kTinyGpt, 3);
    graph::Weights larger;  // initial weights are small: scaled up, so that every head and neuron matters
    for (const auto& [name, tensor] : model.weights.tensors())
        larger.set(name, name.find("ln_") == std::string::npos ? tensor * 12 : tensor);
    model.weights = larger;
    return model;
}

at::Tensor tokens(std::vector<std::int64_t> numbers, std::int64_t batch = 1)
{
    const auto length = std::int64_t(numbers.size()) / batch;
    return at::tensor(numbers, at::kLong).reshape({batch, length});
}

InterventionResult run(const graph::Model& model, const Json& list, const at::Tensor& input, const SourceInputs& sources = {},
                       std::vector<std::string> probes = {}, std::uint64_t seed = 0)
{
    InterventionRequest request;
    request.inputs = {input};
    request.sources = sources;
    request.probes = std::move(probes);
    request.seed = seed;
    return intervene::runIntervened(graph::Executor(model.graph), model.weights, model.card, InterventionDocument::fromJson(list), request);
}

double largest(const at::Tensor& a, const at::Tensor& b)
{
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

Json one(Json at, Json doing, Json unit = nullptr, const std::string& source = {})
{
    return Json::array({{{"at", at}, {"do", doing}, {"unit", unit}, {"source", source}}});
}

}  // namespace

class InterventionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void emptyDocumentIsThePlainRunToTheLastBit()
    {
        const auto model = tinyGpt();
        const auto input = tokens({1, 2, 3, 4, 5, 6});
        auto disabled = one("blocks.1.attn.z", "zero");
        disabled[0]["enabled"] = false;
        const auto plain = graph::Executor(model.graph).forward(model.weights, {input});
        for (const auto& document : {Json(), Json::object(), Json{{"interventions", Json::array()}}, disabled}) {
            const auto result = run(model, document, input);
            QVERIFY(at::equal(result.intervened, plain) && at::equal(result.plain, plain));
            QCOMPARE(result.divergence.abs().max().item<double>(), 0.0);
            QVERIFY(result.changed.empty());
        }
    }

    void writingValuesBackUnchangedIsBitIdentical_data()
    {
        QTest::addColumn<QString>("place");
        for (const char* place : {"blocks.*.resid_pre", "blocks.*.attn.*", "blocks.*.mlp.*", "embed", "logits", "blocks.1.hook_resid_mid"})
            QTest::newRow(place) << place;
    }
    void writingValuesBackUnchangedIsBitIdentical()
    {
        QFETCH(QString, place);
        const auto model = tinyGpt();
        const auto input = tokens({1, 2, 3, 4, 5, 6, 7, 8}, 2);
        for (const auto& doing : {Json("interchange"), Json{{"id", "expression"}, {"formula", "x"}}, Json{{"id", "scale"}, {"factor", 1}}}) {
            const auto result = run(model, one(place.toStdString(), doing, nullptr, "same"), input, {{"same", {input}}});
            QVERIFY(at::equal(result.intervened, result.plain));
            QVERIFY(!result.changed.empty());
        }
    }

    void restoringTheCleanResidualStreamRecoversTheCleanOutput()
    {
        const auto model = tinyGpt();
        const auto clean = tokens({1, 2, 3, 4, 5, 6}), corrupted = tokens({1, 9, 3, 10, 5, 6});
        for (const char* place : {"blocks.0.resid_pre", "blocks.1.resid_mid", "blocks.2.resid_post"}) {
            const auto result = run(model, one(place, "interchange", nullptr, "clean"), corrupted, {{"clean", {clean}}});
            const auto wanted = graph::Executor(model.graph).forward(model.weights, {clean});
            QVERIFY(largest(result.plain, wanted) > 0.1);
            QVERIFY(at::equal(result.intervened, wanted));
        }
    }

    void zeroAblationOfAHeadEqualsEditedWeights()
    {
        const auto model = tinyGpt();
        const auto input = tokens({1, 2, 3, 4, 5, 6});
        auto edited = model.weights.clone();
        auto projection = edited.at("blocks.1.attn.proj.weight").clone();
        projection.slice(1, 4, 8).zero_();  // what head 1 writes
        edited.set("blocks.1.attn.proj.weight", projection);
        const auto expected = graph::Executor(model.graph).forward(edited, {input});
        const auto result = run(model, one("blocks.1.attn.z", "zero", {{"head", 1}}), input);
        QVERIFY(largest(result.plain, expected) > 1e-2);
        QVERIFY(largest(result.intervened, expected) < 1e-5);
    }

    void kindsChangeTheUnitAsTheirFormulaSays_data()
    {
        QTest::addColumn<QString>("doing");
        QTest::addColumn<QString>("formula");  // of the old value x, the source s and the feature's number f, for features 1 and 3
        QTest::newRow("zero") << R"("zero")"
                              << "0";
        QTest::newRow("constant") << R"({"id": "constant", "value": 2.5})"
                                  << "2.5";
        QTest::newRow("constant list") << R"({"id": "constant", "value": [1, 3]})"
                                       << "f";
        QTest::newRow("add") << R"({"id": "add", "value": 0.25})"
                             << "x + 0.25";
        QTest::newRow("add vector") << R"({"id": "add", "value": [1, 3], "factor": -2})"
                                    << "x - 2 * f";
        QTest::newRow("scale") << R"({"id": "scale", "factor": -3})"
                               << "-3 * x";
        QTest::newRow("clamp") << R"({"id": "clamp", "min": 0.2, "max": 0.4})"
                               << "clamp(x, 0.2, 0.4)";
        QTest::newRow("clamp below") << R"({"id": "clamp", "min": 0.2, "max": null})"
                                     << "max(x, 0.2)";
        QTest::newRow("interchange") << R"("interchange")"
                                     << "s";
        QTest::newRow("expression") << R"j({"id": "expression", "formula": "tanh(x) * feature - source ^ 2 / (1 + abs(x))"})j"
                                    << "tanh(x) * f - s ^ 2 / (1 + abs(x))";
        QTest::newRow("functions") << R"j({"id": "expression", "formula": "max(sigmoid(x), log(exp(x)), 0.1) + sqrt(relu(source)) - sign(x - 1)"})j"
                                   << "max(sigmoid(x), log(exp(x)), 0.1) + sqrt(relu(s)) - sign(x - 1)";
    }
    void kindsChangeTheUnitAsTheirFormulaSays()
    {
        QFETCH(QString, doing);
        QFETCH(QString, formula);
        const TwoLayers net;
        const auto document = one("relu", Json::parse(doing.toStdString()), {{"feature", {1, -2}}}, "other");
        const auto result = run(net.model, document, net.x, {{"other", {net.other}}}, {"relu"});
        auto hidden = net.hidden(net.x);
        const auto source = net.hidden(net.other);
        const auto expression = core::parseExpression(formula.toStdString());
        for (int row = 0; row < 2; ++row)
            for (const int feature : {1, 3})
                hidden[row][feature] = core::evaluate(
                    expression, {{"x", hidden[row][feature].item<double>()}, {"s", source[row][feature].item<double>()}, {"f", double(feature)}});
        QVERIFY(largest(result.values.at("relu").second, hidden) < 1e-12);
        QVERIFY(largest(result.intervened, net.output(hidden)) < 1e-12);
        for (const int feature : {0, 2, 4})
            QVERIFY(at::equal(result.values.at("relu").first.select(1, feature), result.values.at("relu").second.select(1, feature)));
    }

    // A model that ends in softmax says what its logits say, and has no logits to show.
    void probabilitiesAreComparedAsSuch()
    {
        const auto weight = noise({3, 4}, 5), x = noise({2, 4}, 6);
        const auto modelWith = [&](bool isShare) {
            graph::Builder builder("classes");
            const auto input = builder.input("x", "float64", {"batch", "4"});
            const auto logits = builder.linear("fc", input, 4, 3);
            auto model = builder.finish({{"output", isShare ? builder.softmax(logits, 1) : logits}});
            model.weights = graph::Weights({{"fc.weight", weight}, {"fc.bias", at::zeros({3}, at::kDouble)}});
            return model;
        };
        const auto plain = modelWith(false), share = modelWith(true);
        const auto document = one("fc", {{"id", "scale"}, {"factor", 2}});
        const auto expected = run(plain, document, x), got = run(share, document, x);
        QVERIFY(largest(got.divergence, expected.divergence) < 1e-12);
        const auto logits = at::matmul(x, weight.t());
        for (std::int64_t row = 0; row < 2; ++row) {
            const auto change = intervene::describeResult(got, share.card, 3)["samples"][std::size_t(row)]["changes"][0];
            const auto index = change["class"].get<std::int64_t>();
            double before = 0, after = 0;
            for (int i = 0; i < 3; ++i) {
                before += std::exp(logits[row][i].item<double>());
                after += std::exp(2 * logits[row][i].item<double>());
            }
            before = std::exp(logits[row][index].item<double>()) / before;
            after = std::exp(2 * logits[row][index].item<double>()) / after;
            QVERIFY(std::abs(change["before"].get<double>() - before) < 1e-12 && std::abs(change["after"].get<double>() - after) < 1e-12);
            QVERIFY(std::abs(change["log_probability_before"].get<double>() - std::log(before)) < 1e-12);
            QVERIFY(!change.contains("logit_before"));
        }
        QVERIFY(intervene::describeResult(expected, plain.card, 3)["samples"][0]["changes"][0].contains("logit_before"));
    }

    void severalOnOneValueActInTheDocumentsOrder()
    {
        const TwoLayers net;
        const Json add = {{"at", "relu"}, {"do", {{"id", "add"}, {"value", 1}}}}, twice = {{"at", "fc1"}, {"do", {{"id", "scale"}, {"factor", 2}}}},
                   scale = {{"at", "relu"}, {"do", {{"id", "scale"}, {"factor", 2}}}};
        const auto hidden = net.hidden(net.x);
        QVERIFY(largest(run(net.model, Json::array({add, scale}), net.x).intervened, net.output(2 * (hidden + 1))) < 1e-12);
        QVERIFY(largest(run(net.model, Json::array({scale, add}), net.x).intervened, net.output(2 * hidden + 1)) < 1e-12);
        // relu(2 z) = 2 relu(z): interventions on two values, and a module's name for its output.
        const auto both = run(net.model, Json::array({add, twice}), net.x);
        QVERIFY(largest(both.intervened, net.output(2 * hidden + 1)) < 1e-12);
        QCOMPARE(both.changed.size(), std::size_t(2));
    }

    void unitsNameElementsInSeveralWays()
    {
        const TwoLayers net;
        const auto changed = [&](const Json& unit) {
            const auto values = run(net.model, one("fc1", {{"id", "constant"}, {"value", 99}}, unit), net.x, {}, {"fc1"}).values.at("fc1.linear");
            return at::nonzero(values.second == 99);
        };
        QVERIFY(at::equal(changed({{"index", Json::array({{0, 1}, {1, -1}})}}), at::tensor({0, 1, 1, 4}, at::kLong).reshape({2, 2})));
        QVERIFY(at::equal(changed({{"index", Json::array({Json::array({2})})}}), at::tensor({0, 2, 1, 2}, at::kLong).reshape({2, 2})));
        QVERIFY(at::equal(changed({{"axis", -1}, {"index", 3}}), at::tensor({0, 3, 1, 3}, at::kLong).reshape({2, 2})));
        QVERIFY(at::equal(changed({{"batch", "last"}, {"feature", {{"from", 3}}}}), at::tensor({1, 3, 1, 4}, at::kLong).reshape({2, 2})));
        QCOMPARE(changed(nullptr).size(0), 10);
    }

    void handBuiltSumNetworkGivesEveryCounterfactual()
    {
        // h = (a + b, c), y = h0 + h1: swapping h0 answers "what if a + b had been the source's".
        Builder builder("sum");
        const auto x = builder.input("x", "float32", {"batch", "3"});
        auto model = builder.finish({{"y", builder.linear("out", builder.linear("parts", x, 3, 2, false), 2, 1, false)}});
        model.weights =
            graph::Weights({{"parts.weight", at::tensor({1.F, 1.F, 0.F, 0.F, 0.F, 1.F}).reshape({2, 3})}, {"out.weight", at::ones({1, 2})}});
        std::vector<float> numbers;
        for (int i = 0; i < 64; ++i)
            for (const int digit : {i % 4, i / 4 % 4, i / 16})
                numbers.push_back(float(digit));
        const auto all = at::tensor(numbers).reshape({64, 3});
        int right = 0, total = 0;
        for (std::int64_t s = 0; s < 64; ++s) {
            const auto source = all.narrow(0, s, 1);  // a batch of one serves all 64 samples
            const auto result = run(model, one("parts", "interchange", {{"feature", 0}}, "other"), all, {{"other", {source}}});
            const auto wanted = source[0][0] + source[0][1] + all.select(1, 2);
            right += int((result.intervened.squeeze(1) == wanted).sum().item<std::int64_t>());
            total += 64;
        }
        QCOMPARE(right, total);
    }

    void fullRotatedSubspaceSwapEqualsFullSwap()
    {
        const TwoLayers net;
        const auto rotation = std::get<0>(at::linalg_qr(noise({5, 5}, 9)));
        Json rows = Json::array();
        for (int i = 0; i < 5; ++i) {
            const auto row = rotation[i].contiguous();
            rows.push_back(std::vector<double>(row.data_ptr<double>(), row.data_ptr<double>() + 5));
        }
        const SourceInputs sources = {{"other", {net.other}}};
        const auto swap = [&](const Json& doing) { return run(net.model, one("relu", doing, nullptr, "other"), net.x, sources).intervened; };
        const auto full = swap("interchange");
        QVERIFY(largest(swap({{"id", "subspace_interchange"}, {"directions", rows}}), full) < 1e-12);
        QVERIFY(at::equal(swap({{"id", "subspace_interchange"}, {"coordinates", {0, 1, 2, 3, 4}}}), full));
        // One direction u: x + ((s - x) . u) u.
        const auto u = rotation[2];
        const auto x = net.hidden(net.x), s = net.hidden(net.other);
        const auto expected = x + (s - x).matmul(u).unsqueeze(1) * u;
        QVERIFY(largest(swap({{"id", "subspace_interchange"}, {"directions", rows[2]}}), net.output(expected)) < 1e-12);
        QVERIFY(largest(swap({{"id", "subspace_interchange"}, {"directions", Json::array({{0, 3, 0, 0, 0}})}, {"orthonormalize", true}}),
                        swap({{"id", "subspace_interchange"}, {"coordinates", {1}}})) < 1e-12);
    }

    void meansAreThoseOfTheirReference()
    {
        const auto model = tinyGpt();
        const auto input = tokens({1, 2, 3, 4, 5, 6, 7, 8}, 2);
        const std::string place = "blocks.1.resid_pre";
        const auto mean = [&](const Json& doing, const std::string& source, const SourceInputs& sources) {
            const auto result = run(model, one(place, doing, {{"position", 2}}, source), input, sources, {place});
            const auto& [before, after] = result.values.begin()->second;
            return std::pair(before, after.select(1, 2));
        };
        {
            const auto [x, got] = mean({{"id", "mean"}, {"over", "batch"}}, "", {});
            QVERIFY(largest(got, ((x[0][2] + x[1][2]) / 2).expand({2, 8})) < 1e-6);
        }
        {
            const auto [x, got] = mean({{"id", "mean"}, {"over", "position"}}, "", {});
            QVERIFY(largest(got[1], (x[1][0] + x[1][1] + x[1][2] + x[1][3]) / 4) < 1e-6);
        }
        {
            const auto [x, got] = mean({{"id", "mean"}, {"over", "batch_and_position"}}, "", {});
            QVERIFY(largest(got[0], x.reshape({8, 8}).mean(0)) < 1e-6);
        }
        // Many samples go through in batches; the mean is that of all.
        const auto data = at::randint(0, 11, {150, 4}, at::detail::createCPUGenerator(4), at::kLong);
        graph::RunRequest request;
        request.inputs = {data};
        const auto name = intervene::resolveOne(*model.graph, model.card, place);
        request.keep = {name};
        const auto all = graph::Executor(model.graph).run(model.weights, request).value(name);
        const auto [x, got] = mean({{"id", "mean"}, {"over", "data"}}, "data", {{"data", {data}}});
        QVERIFY(largest(got[1], all.select(1, 2).to(at::kDouble).mean(0)) < 1e-5);
    }

    void skippedBlockIsAModelWithoutIt()
    {
        const auto model = tinyGpt();
        const auto input = tokens({1, 2, 3, 4, 5, 6});
        const auto shorter = zoo::openZoo("zoo:gpt?vocabulary=11&block_length=12&layers=2&heads=2&width=8", 3);
        graph::Weights weights;
        for (const auto& [name, tensor] : shorter.weights.tensors())
            weights.set(name, model.weights.at(name));
        const auto expected = graph::Executor(shorter.graph).forward(weights, {input});
        const auto result = run(model, one("blocks.2", "skip_module"), input);
        QVERIFY(largest(result.plain, expected) > 1e-2);
        QVERIFY(at::equal(result.intervened, expected));
        QCOMPARE(run(model, one("blocks.*.mlp", "skip_module"), input).changed.size(), std::size_t(3));
    }

    void knockedOutEdgesCarryNothing()
    {
        const auto model = tinyGpt();
        const auto input = tokens({1, 2, 3, 4, 5, 6});
        const std::string pattern = "blocks.1.attn.pattern";
        // Named by any place of the block's attention.
        for (const char* place : {"blocks.1.attn.scores", "blocks.1.attn.pattern"}) {
            const auto result = run(model, one(place, "attention_knockout", {{"query", {4, 5}}, {"key", {{"from", 1}, {"to", 2}}}, {"head", 0}}),
                                    input, {}, {pattern});
            const auto& [before, after] = result.values.begin()->second;
            for (int head = 0; head < 2; ++head)
                for (int query = 0; query < 6; ++query) {
                    const auto row = before[0][head][query].to(at::kDouble);
                    auto wanted = row.clone();
                    if (head == 0 && query >= 4) {
                        wanted.slice(0, 1, 3).zero_();
                        wanted = wanted / wanted.sum();
                    }
                    QVERIFY(largest(after[0][head][query], wanted) < 1e-6);
                }
        }
        const auto message = saidBy([&] { run(model, one("blocks.1.attn.scores", "attention_knockout", {{"key", 0}}), input); });
        QVERIFY2(message.contains("query position 0 of head 0 has no key left"), qPrintable(message));
    }

    void sourcePositionsAreMapped()
    {
        const auto model = tinyGpt();
        const auto input = tokens({1, 2, 3, 4, 5, 6}), longer = tokens({7, 8, 9, 10, 1, 2, 3, 4});
        const Json doing = {{"id", "interchange"}, {"source_position", {6, -1}}};
        const std::string place = "blocks.1.resid_mid";
        const auto result = run(model, one(place, doing, {{"position", {0, 3}}}, "longer"), input, {{"longer", {longer}}}, {place});
        const auto source = run(model, Json(), longer, {}, {place}).values.begin()->second.first;
        const auto& [before, after] = result.values.begin()->second;
        QVERIFY(at::equal(after[0][0], source[0][6]) && at::equal(after[0][3], source[0][7]) && at::equal(after[0][1], before[0][1]));
    }

    void noiseIsSeededAndHasItsDeviation()
    {
        const auto model = tinyGpt();
        const auto input = at::randint(0, 11, {50, 12}, at::detail::createCPUGenerator(4), at::kLong);
        const auto drawn = [&](std::uint64_t seed, double std) {
            const auto values = run(model, one("embed", {{"id", "noise"}, {"std", std}}), input, {}, {"embed"}, seed).values.begin()->second;
            return (values.second - values.first).to(at::kDouble);
        };
        const auto first = drawn(1, 3.0);
        QVERIFY(at::equal(first, drawn(1, 3.0)));
        QVERIFY(largest(first, drawn(2, 3.0)) > 1);
        QCOMPARE(drawn(1, 0).abs().max().item<double>(), 0.0);
        // 4800 draws: mean within 5 standard errors, deviation within 5 %.
        QVERIFY(std::abs(first.mean().item<double>()) < 5 * 3.0 / std::sqrt(4800.0));
        QVERIFY(std::abs(first.std().item<double>() - 3.0) < 0.15);
    }

    void stepsOfALoopAreNamedByTheirNumber()
    {
        // h = tanh(x_i + h) for three rows; the second step's value is set.
        graph::GraphData data;
        const auto value = [&](const char* name, const char* type = "Tensor") {
            data.values.push_back({name, type});
            return graph::ValueId(data.values.size() - 1);
        };
        const auto x = value("x"), h0 = value("h0"), last = value("last"), i = value("i", "int"), h = value("h"), row = value("row"),
                   cell = value("cell");
        data.inputs = {{"x", x}, {"h0", h0}};
        const auto of = [](graph::ValueId id) { return graph::Operand::of(id); };
        const auto literal = [](c10::IValue content) { return graph::Operand::literal(std::move(content)); };
        graph::Block step;
        step.inputs = {i, h};
        step.nodes = {{"row", "aten::select", "int", "", {of(x), literal(std::int64_t(0)), of(i)}, {row}, {}, ""},
                      {"cell", "aten::add", "Tensor", "", {of(row), of(h), literal(std::int64_t(1))}, {cell}, {}, ""}};
        step.outputs = {literal(true), of(cell)};
        data.body.nodes = {{"last", "prim::Loop", "", "", {literal(std::int64_t(3)), literal(true), of(h0)}, {last}, {step}, ""}};
        data.body.outputs = {of(last)};
        data.outputNames = {"last"};
        graph::Model model;
        model.graph = std::make_shared<const graph::Graph>(data);
        InterventionRequest request;
        request.inputs = {at::tensor({1.F, 10.F, 100.F}).reshape({3, 1}), at::zeros({1})};
        const auto result = intervene::runIntervened(graph::Executor(model.graph), model.weights, model.card,
                                                     InterventionDocument::fromJson(one("cell[1]", {{"id", "constant"}, {"value", 5}})), request);
        QCOMPARE(result.plain.item<float>(), 111.F);
        QCOMPARE(result.intervened.item<float>(), 105.F);
    }

    void filesGiveVectors()
    {
        const TwoLayers net;
        const QTemporaryDir folder;
        io::writeNpy(folder.filePath("direction.npy").toStdString(), io::toArray(at::tensor({1.0, 2.0, 3.0, 4.0, 5.0}, at::kDouble)));
        InterventionRequest request;
        request.inputs = {net.x};
        request.folder = folder.path().toStdString();
        const auto document = InterventionDocument::fromJson(one("relu", {{"id", "add"}, {"value", "direction.npy"}, {"factor", 0.5}}));
        const auto result = intervene::runIntervened(graph::Executor(net.model.graph), net.model.weights, net.model.card, document, request);
        const auto direction = at::tensor({1.0, 2.0, 3.0, 4.0, 5.0}, at::kDouble);
        QVERIFY(largest(result.intervened, net.output(net.hidden(net.x) + 0.5 * direction)) < 1e-12);
    }

    void divergenceIsTheSumOverClasses()
    {
        const auto p = noise({2, 6}, 1), q = noise({2, 6}, 2) * 3;
        const auto got = intervene::outputDivergence(p, q);
        for (int row = 0; row < 2; ++row) {
            double sp = 0, sq = 0, expected = 0;
            for (int i = 0; i < 6; ++i)
                sp += std::exp(p[row][i].item<double>()), sq += std::exp(q[row][i].item<double>());
            for (int i = 0; i < 6; ++i) {
                const double a = std::exp(p[row][i].item<double>()) / sp, b = std::exp(q[row][i].item<double>()) / sq;
                expected += a * std::log(a / b);
            }
            QVERIFY(std::abs(got[row].item<double>() - expected) < 1e-12);
        }
        const auto changes = intervene::topChanges(at::tensor({0.0, 5.0, 1.0}), at::tensor({5.0, 0.0, 1.0}), 2);
        QCOMPARE(changes.size(), std::size_t(2));
        QCOMPARE(changes[0].index + changes[1].index, std::int64_t(1));
        QCOMPARE(changes[0].logitBefore + changes[1].logitBefore, 5.0);
    }

    void documentsReadBackToThemselves()
    {
        const auto list = Json::parse(R"([{"at": "blocks.*.attn.z", "unit": {"head": [0, 1], "position": {"from": 1, "to": -1}},
            "do": {"id": "interchange", "source_position": [1, 2]}, "source": "clean", "when": [0, 3], "label": "heads", "enabled": false},
            {"at": "op:relu", "do": "zero"}, {"at": "fc", "do": {"id": "clamp", "min": null}, "when": "new"}])");
        const auto document = InterventionDocument::fromJson(list);
        const auto json = document.toJson();
        QCOMPARE(InterventionDocument::fromJson(json).toJson().dump(), json.dump());
        QCOMPARE(InterventionDocument::fromJson({{"interventions", list}}).toJson().dump(), json.dump());
        QCOMPARE(InterventionDocument::fromJson(train::parseYamlDocument(train::toYaml(json), "document")).toJson().dump(), json.dump());
        QCOMPARE(json["interventions"][2]["do"]["max"], Json(1.0));
        QCOMPARE(document.sources().size(), std::size_t(0));  // the one that needs it is off
    }

    void faultsOfDocumentsAreNamed_data()
    {
        QTest::addColumn<QString>("document");
        QTest::addColumn<QString>("part");
        QTest::newRow("no object") << "3"
                                   << "expected an object with \"interventions\"";
        QTest::newRow("unknown key") << R"({"intervention": []})"
                                     << "unknown key; expected \"interventions\"";
        QTest::newRow("no place") << R"([{"do": "zero"}])"
                                  << "interventions[0].at";
        QTest::newRow("blank place") << R"([{"at": " ", "do": "zero"}])"
                                     << "interventions[0].at: expected a place";
        QTest::newRow("nothing to do") << R"([{"at": "fc"}])"
                                       << "interventions[0].do";
        QTest::newRow("unknown kind") << R"([{"at": "fc", "do": "zeros"}])"
                                      << "unknown intervention \"zeros\"; did you mean \"zero\"?";
        QTest::newRow("unknown parameter") << R"([{"at": "fc", "do": {"id": "noise", "sdt": 1}}])"
                                           << "interventions[0].do.sdt";
        QTest::newRow("out of range") << R"([{"at": "fc", "do": {"id": "noise", "std": -1}}])"
                                      << "interventions[0].do.std";
        QTest::newRow("axis") << R"([{"at": "fc", "do": "zero", "unit": {"haed": 1}}])"
                              << "unknown axis \"haed\"; did you mean \"head\"?";
        QTest::newRow("index") << R"([{"at": "fc", "do": "zero", "unit": {"head": "third"}}])"
                               << "interventions[0].unit.head: expected a number";
        QTest::newRow("no index") << R"([{"at": "fc", "do": "zero", "unit": {"head": []}}])"
                                  << "expected at least one index";
        QTest::newRow("elements") << R"([{"at": "fc", "do": "zero", "unit": {"index": [1, 2]}}])"
                                  << "expected a list of element indices";
        QTest::newRow("when") << R"([{"at": "fc", "do": "zero", "when": "later"}])"
                              << "interventions[0].when: expected \"always\", \"prompt\", \"new\"";
        QTest::newRow("when negative") << R"([{"at": "fc", "do": "zero", "when": [-1]}])"
                                       << "interventions[0].when";
    }
    void faultsOfDocumentsAreNamed()
    {
        QFETCH(QString, document);
        QFETCH(QString, part);
        const auto message = saidBy([&] { InterventionDocument::fromJson(Json::parse(document.toStdString())); });
        QVERIFY2(message.contains(part), qPrintable(message));
    }

    void faultsOfRunsAreNamed_data()
    {
        QTest::addColumn<QString>("entry");
        QTest::addColumn<QString>("part");
        QTest::newRow("place") << R"({"at": "blocks.1.attn.sores", "do": "zero"})"
                               << "did you mean \"blocks.1.attn.scores\"?";
        QTest::newRow("canonical") << R"({"at": "blocks.0.resid_prr", "do": "zero"})"
                                   << "canonical names; did you mean \"blocks.0.resid_pre\"?";
        QTest::newRow("position") << R"({"at": "embed", "do": "zero", "unit": {"position": 6}})"
                                  << "interventions[0].unit.position: index 6: expected -6..5, the axis has size 6";
        QTest::newRow("head") << R"({"at": "blocks.0.attn.z", "do": "zero", "unit": {"head": -3}})"
                              << "unit.head: index -3: expected -2..1, the axis has size 2";
        QTest::newRow("no axis") << R"({"at": "embed", "do": "zero", "unit": {"head": 0}})"
                                 << "the value has no axis \"head\", its axes are [batch, position, feature]";
        QTest::newRow("range") << R"({"at": "embed", "do": "zero", "unit": {"position": {"from": 4, "to": 2}}})"
                               << "expected from <= to";
        QTest::newRow("vector") << R"({"at": "embed", "do": {"id": "add", "value": [1, 2, 3]}})"
                                << "expected a shape that broadcasts to [1, 6, 8], got [3]";
        QTest::newRow("ragged") << R"({"at": "embed", "do": {"id": "add", "value": [[1, 2], [3]]}})"
                                << "expected lists of equal length";
        QTest::newRow("text") << R"({"at": "embed", "do": {"id": "add", "value": "nowhere.npy"}})"
                              << "nowhere.npy";
        QTest::newRow("no source") << R"({"at": "embed", "do": "interchange"})"
                                   << "interventions[0].source: interchange takes values from a source run";
        QTest::newRow("other source")
            << R"({"at": "embed", "do": "interchange", "source": "shrt"})"
            << "source \"shrt\": the document names it, but no such input is given; given are empty, pair, short; did you mean \"short\"?";
        QTest::newRow("source length") << R"({"at": "embed", "do": "interchange", "source": "short"})"
                                       << "expected [1, 6, 8], got [1, 4, 8]";
        QTest::newRow("source position") << R"({"at": "embed", "do": "interchange", "source": "short", "unit": {"position": 5}})"
                                         << "index 5 along axis 1 lies outside [1, 4, 8]";
        QTest::newRow("source batch") << R"({"at": "embed", "do": "interchange", "source": "pair"})"
                                      << "expected [1, 6, 8], got [2, 6, 8]";
        QTest::newRow("empty source") << R"({"at": "embed", "do": "interchange", "source": "empty"})"
                                      << "source \"empty\": expected at least one sample, got [0, 6]";
        QTest::newRow("tokens") << R"({"at": "tokens", "do": {"id": "scale", "factor": 2}})"
                                << "holds int64; scale expects floating-point numbers";
        QTest::newRow("module") << R"({"at": "blocks.0.mpl", "do": "skip_module"})"
                                << "expected a module, \"blocks.0.mpl\" is none; did you mean \"blocks.0.mlp\"?";
        QTest::newRow("skipped shape") << R"({"at": "blocks.0.mlp.fc", "do": "skip_module"})"
                                       << "its input is [1, 6, 8], its output [1, 6, 32]";
        QTest::newRow("knockout") << R"({"at": "embed", "do": "attention_knockout"})"
                                  << "acts on attention scores";
        QTest::newRow("formula") << R"({"at": "embed", "do": {"id": "expression", "formula": "x + sorce"}})"
                                 << "interventions[0].do.formula: expression \"x + sorce\", column 5: unknown name";
        QTest::newRow("formula axis") << R"({"at": "embed", "do": {"id": "expression", "formula": "head"}})"
                                      << "has no axis \"head\"";
        QTest::newRow("directions")
            << R"({"at": "embed", "source": "short", "do": {"id": "subspace_interchange", "directions": [[1, 1, 0, 0, 0, 0, 0, 0]]}})"
            << "expected orthonormal rows";
        QTest::newRow("direction size")
            << R"({"at": "embed", "unit": {"position": 0}, "source": "short", "do": {"id": "subspace_interchange", "directions": [[1, 0]]}})"
            << "expected [directions, 8] for";
        QTest::newRow("neither") << R"({"at": "embed", "source": "short", "do": "subspace_interchange"})"
                                 << "expected either directions or coordinates";
        QTest::newRow("clamp") << R"({"at": "embed", "do": {"id": "clamp", "min": 2, "max": 1}})"
                               << "expected min <= max, got 2 and 1";
        QTest::newRow("mean") << R"({"at": "embed", "do": {"id": "mean", "over": "data"}})"
                              << "mean takes values from a source run";
    }
    void faultsOfRunsAreNamed()
    {
        QFETCH(QString, entry);
        QFETCH(QString, part);
        const auto model = tinyGpt();
        const SourceInputs sources = {{"short", {tokens({1, 2, 3, 4})}},
                                      {"pair", {tokens({1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}, 2)}},
                                      {"empty", {at::zeros({0, 6}, at::kLong)}}};
        const auto message = saidBy([&] { run(model, Json::array({Json::parse(entry.toStdString())}), tokens({1, 2, 3, 4, 5, 6}), sources); });
        QVERIFY2(message.contains(part), qPrintable(message));
    }

    void nanInAFileIsRefused()
    {
        const TwoLayers net;
        const QTemporaryDir folder;
        const auto file = folder.filePath("nan.npy").toStdString();
        io::writeNpy(file, io::toArray(at::full({5}, std::nan(""), at::kDouble)));
        const auto message = saidBy([&] { run(net.model, one("relu", {{"id", "add"}, {"value", file}}), net.x); });
        QVERIFY2(message.contains("holds NaN"), qPrintable(message));
    }

    void cancelledRunsStop()
    {
        const auto model = tinyGpt();
        InterventionRequest request;
        request.inputs = {tokens({1, 2, 3})};
        std::stop_source stop;
        explain::Control control;
        control.stop = stop.get_token();
        control.progress = [&](double, double, const char*) { stop.request_stop(); };
        QVERIFY_EXCEPTION_THROWN(intervene::runIntervened(graph::Executor(model.graph), model.weights, model.card,
                                                          InterventionDocument::fromJson(one("embed", "zero")), request, control),
                                 core::Cancelled);
    }

    void everyKindIsListedWithASentence()
    {
        const auto ids = intervene::interventionRegistry().ids();
        for (const char* id : {"zero", "mean", "constant", "add", "scale", "noise", "clamp", "interchange", "subspace_interchange", "skip_module",
                               "attention_knockout", "expression"})
            QVERIFY2(std::find(ids.begin(), ids.end(), id) != ids.end(), id);
        for (const auto& component : intervene::interventionRegistry().components())
            QVERIFY2(!component.summary.empty(), component.id.c_str());
    }
};

QTEST_APPLESS_MAIN(InterventionTest)
#include "intervention_test.moc"
