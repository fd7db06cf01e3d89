#include <QtTest>

#include <cmath>

#include <core/graph/sequence_limit.h>
#include <core/intervene/generate.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"

using namespace orrery;
using core::Json;
using intervene::GenerationOptions;
using intervene::InterventionDocument;
using intervene::InterventionProgram;

namespace {

constexpr std::int64_t kVocabulary = 13, kWidth = 8, kHeads = 2, kLayers = 2, kBlock = 16;

graph::Model tinyGpt()
{
    auto model =
        zoo::buildModel("gpt", {{"vocabulary", kVocabulary}, {"block_length", kBlock}, {"layers", kLayers}, {"heads", kHeads}, {"width", kWidth}}, 5);
    graph::Weights larger;
    for (const auto& [name, tensor] : model.weights.tensors())
        larger.set(name, name.find("ln_") == std::string::npos ? tensor * 12 : tensor);
    model.weights = larger;
    return model;
}

/// What a hook gets: the value's canonical name, its content in this pass [positions of the pass, ...] and the number of the pass's first position.
using Hook = std::function<void(const std::string& name, at::Tensor& value, std::int64_t first)>;

/// GPT-2 written out once more, in double, with a cache of keys and values: a pass computes only the positions it is given.
class CachedGpt {
public:
    CachedGpt(const graph::Model& model, Hook hook) : m_hook(std::move(hook))
    {
        for (const auto& [name, tensor] : model.weights.tensors())
            m_weights[name] = tensor.to(at::kDouble);
        m_keys.resize(kLayers);
        m_values.resize(kLayers);
    }

    /// Logits of the pass's last position.
    at::Tensor pass(const std::vector<std::int64_t>& tokens)
    {
        const auto count = std::int64_t(tokens.size());
        auto x = w("wte.weight").index_select(0, at::tensor(tokens, at::kLong)) + w("wpe.weight").slice(0, m_length, m_length + count);
        for (int layer = 0; layer < kLayers; ++layer)
            x = block(layer, x, count);
        m_length += count;
        return norm("ln_f", x).matmul(w("wte.weight").t())[count - 1];
    }

private:
    const at::Tensor& w(const std::string& name) const { return m_weights.at(name); }
    at::Tensor norm(const std::string& name, const at::Tensor& x) const
    {
        const auto centred = x - x.mean(-1, true);
        return centred / (centred.pow(2).mean(-1, true) + 1e-5).sqrt() * w(name + ".weight") + w(name + ".bias");
    }
    at::Tensor linear(const std::string& name, const at::Tensor& x) const { return x.matmul(w(name + ".weight").t()) + w(name + ".bias"); }
    at::Tensor hooked(const std::string& name, at::Tensor value)
    {
        value = value.clone();
        m_hook(name, value, m_length);
        return value;
    }

    at::Tensor attention(int layer, const std::string& path, const at::Tensor& x, std::int64_t count)
    {
        const auto size = kWidth / kHeads;
        const auto qkv = linear(path + ".attn.qkv", x).reshape({count, 3, kHeads, size});
        const auto q = hooked(path + ".attn.q", qkv.select(1, 0)), k = hooked(path + ".attn.k", qkv.select(1, 1)),
                   v = hooked(path + ".attn.v", qkv.select(1, 2));
        m_keys[std::size_t(layer)].push_back(k);
        m_values[std::size_t(layer)].push_back(v);
        const auto keys = at::cat(m_keys[std::size_t(layer)]), values = at::cat(m_values[std::size_t(layer)]);
        auto scores = at::einsum("qhd,khd->qhk", {q, keys}) / std::sqrt(double(size));
        for (std::int64_t row = 0; row < count; ++row)
            for (std::int64_t key = m_length + row + 1; key < keys.size(0); ++key)
                scores.select(0, row).select(1, key).fill_(-INFINITY);
        const auto pattern = at::softmax(hooked(path + ".attn.scores", scores), -1);
        const auto z = hooked(path + ".attn.z", at::einsum("qhk,khd->qhd", {pattern, values}));
        return linear(path + ".attn.proj", z.reshape({count, kWidth}));
    }

    at::Tensor block(int layer, at::Tensor x, std::int64_t count)
    {
        const auto path = "blocks." + std::to_string(layer);
        x = hooked(path + ".resid_pre", x);
        x = x + attention(layer, path, norm(path + ".ln_1", x), count);
        const auto up = linear(path + ".mlp.fc", norm(path + ".ln_2", x));
        const auto active = hooked(path + ".mlp.post", 0.5 * up * (1 + at::tanh(std::sqrt(2 / M_PI) * (up + 0.044715 * up.pow(3)))));
        return hooked(path + ".resid_post", x + linear(path + ".mlp.proj", active));
    }

    std::map<std::string, at::Tensor> m_weights;
    std::vector<std::vector<at::Tensor>> m_keys, m_values;
    Hook m_hook;
    std::int64_t m_length = 0;
};

/// Greedy text and the probability of each token, with hooks and a cache.
std::pair<std::vector<std::int64_t>, std::vector<double>> generatedByHand(const graph::Model& model, std::vector<std::int64_t> prompt, int count,
                                                                          Hook hook)
{
    CachedGpt gpt(model, std::move(hook));
    std::pair<std::vector<std::int64_t>, std::vector<double>> result;
    auto pass = std::move(prompt);
    for (int i = 0; i < count; ++i) {
        const auto logits = gpt.pass(pass);
        const auto token = logits.argmax().item<std::int64_t>();
        result.first.push_back(token);
        result.second.push_back(at::softmax(logits, -1)[token].item<double>());
        pass = {token};
    }
    return result;
}

const std::vector<std::int64_t> kPrompt = {3, 1, 4, 1, 5};

at::Tensor promptTensor()
{
    return at::tensor(kPrompt, at::kLong).unsqueeze(0);
}

intervene::GenerationResult generated(const graph::Model& model, const Json& document, GenerationOptions options,
                                      const intervene::SourceInputs& sources = {})
{
    const graph::Executor executor(model.graph);
    const InterventionProgram program(executor, model.weights, model.card, InterventionDocument::fromJson(document), sources, {});
    return intervene::generate(executor, model.weights, model.card, promptTensor(), options, &program);
}

GenerationOptions greedy(std::int64_t count)
{
    GenerationOptions options;
    options.maxNewTokens = count;
    return options;
}

}  // namespace

class GenerateTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void textEqualsARunWithACacheAndHooks_data()
    {
        QTest::addColumn<QString>("document");
        QTest::addColumn<int>("hook");
        QTest::newRow("none") << "[]" << 0;
        QTest::newRow("always") << R"([{"at": "blocks.0.resid_pre", "do": {"id": "add", "value": 1.5}, "unit": {"feature": [0, 2]}}])" << 1;
        QTest::newRow("prompt") << R"([{"at": "blocks.1.resid_pre", "do": {"id": "scale", "factor": -1}, "when": "prompt"}])" << 2;
        QTest::newRow("new") << R"([{"at": "blocks.0.resid_post", "do": {"id": "add", "value": [3, -3, 0, 0, 2, 0, 0, 1]}, "when": "new"}])" << 3;
        QTest::newRow("steps") << R"([{"at": "blocks.0.mlp.post", "do": {"id": "scale", "factor": 4}, "when": [0, 2, 5]}])" << 4;
        QTest::newRow("last") << R"([{"at": "blocks.1.attn.z", "do": "zero", "unit": {"position": "last", "head": 1}}])" << 5;
        QTest::newRow("position within the new")
            << R"([{"at": "blocks.0.attn.v", "do": {"id": "scale", "factor": -2}, "unit": {"position": [1, 6]}}])" << 6;
        QTest::newRow("knockout")
            << R"([{"at": "blocks.1.attn.scores", "do": "attention_knockout", "unit": {"query": {"from": 4}, "key": [0, 5], "head": 0}, "when": "new"}])"
            << 7;
    }
    void textEqualsARunWithACacheAndHooks()
    {
        QFETCH(QString, document);
        QFETCH(int, hook);
        const auto model = tinyGpt();
        const auto P = std::int64_t(kPrompt.size());
        // Every position of a pass, by its number in the text.
        const auto each = [](at::Tensor& value, std::int64_t first, const std::function<void(std::int64_t, at::Tensor)>& act) {
            for (std::int64_t row = 0; row < value.size(0); ++row)
                act(first + row, value[row]);
        };
        const std::vector<Hook> hooks = {[](const std::string&, at::Tensor&, std::int64_t) {},
                                         [&](const std::string& name, at::Tensor& value, std::int64_t) {
                                             if (name == "blocks.0.resid_pre")
                                                 for (const int feature : {0, 2})
                                                     value.select(1, feature).add_(1.5);
                                         },
                                         [&](const std::string& name, at::Tensor& value, std::int64_t first) {
                                             if (name == "blocks.1.resid_pre" && first == 0)
                                                 value.mul_(-1);
                                         },
                                         [&](const std::string& name, at::Tensor& value, std::int64_t first) {
                                             if (name == "blocks.0.resid_post" && first > 0)
                                                 value.add_(at::tensor({3., -3., 0., 0., 2., 0., 0., 1.}, at::kDouble));
                                         },
                                         [&](const std::string& name, at::Tensor& value, std::int64_t first) {
                                             if (name == "blocks.0.mlp.post")
                                                 each(value, first, [&](std::int64_t position, at::Tensor row) {
                                                     if (position == P - 1 || position == P + 1 || position == P + 4)
                                                         row.mul_(4);
                                                 });
                                         },
                                         [&](const std::string& name, at::Tensor& value, std::int64_t) {
                                             if (name == "blocks.1.attn.z")
                                                 value[value.size(0) - 1][1].zero_();
                                         },
                                         [&](const std::string& name, at::Tensor& value, std::int64_t first) {
                                             if (name == "blocks.0.attn.v")
                                                 each(value, first, [&](std::int64_t position, at::Tensor row) {
                                                     if (position == 1 || position == 6)
                                                         row.mul_(-2);
                                                 });
                                         },
                                         [&](const std::string& name, at::Tensor& value, std::int64_t first) {
                                             if (name == "blocks.1.attn.scores" && first > 0)
                                                 for (const std::int64_t key : {0, 5})
                                                     if (key < value.size(2))
                                                         value[0][0][key].fill_(-INFINITY);
                                         }};
        const int count = 8;
        const auto [tokens, probabilities] = generatedByHand(model, kPrompt, count, hooks.at(std::size_t(hook)));
        const auto result = generated(model, Json::parse(document.toStdString()), greedy(count));
        QCOMPARE(result.newTokens(), tokens);
        for (int i = 0; i < count; ++i)
            QVERIFY2(std::abs(result.tokens[std::size_t(i)].probability - probabilities[std::size_t(i)]) < 1e-5, QTest::toString(i));
        if (hook != 0) {
            const auto plain = generatedByHand(model, kPrompt, count, hooks[0]);
            double difference = 0;
            for (std::size_t i = 0; i < probabilities.size(); ++i)
                difference = std::max(difference, std::abs(plain.second[i] - probabilities[i]));
            QVERIFY(difference > 1e-3);  // the intervention matters, so the comparison above can fail
        }
    }

    void sourceValuesAreTakenAtThePromptsPositions()
    {
        const auto model = tinyGpt();
        const std::vector<std::int64_t> other = {2, 7, 1, 8, 2};
        at::Tensor source;
        generatedByHand(model, other, 1, [&](const std::string& name, at::Tensor& value, std::int64_t) {
            if (name == "blocks.0.resid_post")
                source = value.clone();
        });
        const auto [tokens, probabilities] = generatedByHand(model, kPrompt, 6, [&](const std::string& name, at::Tensor& value, std::int64_t first) {
            if (name == "blocks.0.resid_post" && first == 0)
                value[4].copy_(source[4]);
        });
        const auto document =
            Json::parse(R"([{"at": "blocks.0.resid_post", "do": "interchange", "unit": {"position": 4}, "source": "other", "when": "prompt"}])");
        const auto result = generated(model, document, greedy(6), {{"other", {at::tensor(other, at::kLong).unsqueeze(0)}}});
        QCOMPARE(result.newTokens(), tokens);
        QVERIFY(std::abs(result.tokens[5].probability - probabilities[5]) < 1e-5);
    }

    void positionsMeanAndNoiseStayAsTheTextGrows()
    {
        // Both are what they were for the prompt: the first token's probability is the same however much is written.
        const auto model = tinyGpt();
        for (const char* doing : {R"({"id": "noise", "std": 2})", R"({"id": "mean", "over": "position"})"}) {
            const Json document = Json::array({{{"at", "blocks.0.resid_post"}, {"do", Json::parse(doing)}, {"when", "prompt"}}});
            const graph::Executor executor(model.graph);
            const InterventionProgram program(executor, model.weights, model.card, InterventionDocument::fromJson(document), {}, {});
            graph::RunRequest request;
            request.keep = {intervene::resolveOne(*model.graph, model.card, "blocks.0.resid_post")};
            request.inputs = {promptTensor()};
            const auto shorter = program.run(request, 5).value(request.keep[0]);
            request.inputs = {at::cat({promptTensor(), at::full({1, 4}, 2, at::kLong)}, 1)};
            const auto longer = program.run(request, 5).value(request.keep[0]);
            QVERIFY((shorter - longer.narrow(1, 0, 5)).abs().max().item<float>() < 1e-5F);
            QVERIFY((shorter - executor.run(model.weights, request).value(request.keep[0]).narrow(1, 0, 5)).abs().max().item<float>() > 0.1F);
        }
    }

    void drawsFollowTheRenormalisedDistribution()
    {
        const auto logits = at::tensor({0.0, 2.0, 1.0, -1.0, 1.5}, at::kDouble);
        GenerationOptions options;
        options.sample = true;
        options.temperature = 0.7;
        options.topK = 4;
        options.topP = 0.9;
        // By hand: divide, softmax, the four largest, then the fewest that reach 0.9 of them.
        std::vector<double> p = {0.0, 2.0, 1.0, -1.0, 1.5};
        double total = 0;
        for (auto& x : p)
            total += x = std::exp(x / 0.7);
        for (auto& x : p)
            x /= total;
        const std::vector<int> order = {1, 4, 2, 0};
        const double four = p[1] + p[4] + p[2] + p[0];
        std::map<std::int64_t, double> expected;
        double sum = 0;
        for (const int token : order) {
            if (sum >= 0.9 * four)
                break;
            expected[token] = p[std::size_t(token)];
            sum += p[std::size_t(token)];
        }
        QCOMPARE(expected.size(), std::size_t(3));
        std::map<std::int64_t, int> counts;
        const int draws = 20000;
        for (int i = 0; i < draws; ++i)
            ++counts[intervene::chooseToken(logits, options, i)];
        QCOMPARE(counts.size(), expected.size());
        for (const auto& [token, probability] : expected) {
            const double share = probability / sum, error = std::sqrt(share * (1 - share) / draws);
            QVERIFY(std::abs(counts[token] / double(draws) - share) < 5 * error);
        }
        QCOMPARE(intervene::chooseToken(logits, options, 7), intervene::chooseToken(logits, options, 7));
        options.topK = 1;
        QCOMPARE(intervene::chooseToken(logits, options, 3), std::int64_t(1));
        options.topK = 0;
        options.topP = 0;
        QCOMPARE(intervene::chooseToken(logits, options, 3), std::int64_t(1));
    }

    void seedsMakeTextsRepeatable()
    {
        const auto model = tinyGpt();
        auto options = greedy(10);
        options.sample = true;
        options.temperature = 3;
        options.seed = 1;
        const auto first = generated(model, Json(), options).newTokens();
        QCOMPARE(generated(model, Json(), options).newTokens(), first);
        options.seed = 2;
        QVERIFY(generated(model, Json(), options).newTokens() != first);
    }

    void stopTokenEndsTheText()
    {
        const auto model = tinyGpt();
        const auto all = generated(model, Json(), greedy(8));
        auto options = greedy(8);
        options.stopToken = all.tokens[3].token;
        const auto result = generated(model, Json(), options);
        QVERIFY(result.stopped);
        const auto numbers = all.newTokens();
        const auto first = std::find(numbers.begin(), numbers.end(), *options.stopToken) - numbers.begin();
        QCOMPARE(std::ptrdiff_t(result.tokens.size()), first + 1);
        QVERIFY(!all.stopped);
        QCOMPARE(all.tokens[0].alternatives.size(), std::size_t(5));
        QCOMPARE(all.tokens[0].alternatives[0].first, all.tokens[0].token);
    }

    void limitsAndFaultsAreNamed()
    {
        const auto model = tinyGpt();
        const graph::Executor executor(model.graph);
        QCOMPARE(graph::longestSequence(*model.graph, model.card), std::optional<std::int64_t>(kBlock));
        // 5 + 12 - 1 positions are read: the longest text.
        QCOMPARE(generated(model, Json(), greedy(12)).tokens.size(), std::size_t(12));
        auto message = saidBy([&] { generated(model, Json(), greedy(13)); });
        QVERIFY2(message.contains("at most 16 tokens") && message.contains("got 5 and 13"), qPrintable(message));
        message = saidBy([&] { intervene::generate(executor, model.weights, model.card, at::zeros({2, 3}, at::kLong), greedy(2)); });
        QVERIFY2(message.contains("expected tokens [1, position], got int64 [2, 3]"), qPrintable(message));
        const auto mlp = zoo::buildModel("mlp", {{"features", 4}}, 1);
        message = saidBy([&] { intervene::generate(graph::Executor(mlp.graph), mlp.weights, mlp.card, promptTensor(), greedy(2)); });
        QVERIFY2(message.contains("takes tokens alone"), qPrintable(message));
        message = saidBy([&] {
            generated(model, Json::parse(R"([{"at": "blocks.0.attn.scores", "do": "attention_knockout", "unit": {"query": 4, "key": -2}}])"),
                      greedy(2));
        });
        QVERIFY2(message.contains("keys are counted from 0"), qPrintable(message));
        message = saidBy([&] {
            generated(model, Json::parse(R"j([{"at": "blocks.0.mlp.post", "do": {"id": "expression", "formula": "log(-1 - abs(x))"}}])j"), greedy(2));
        });
        QVERIFY2(message.contains("the logits hold NaN"), qPrintable(message));
        message = saidBy([&] { intervene::generationOptions({{"do_sample", true}, {"temperature", 0}}, 0); });
        QVERIFY2(message.contains("generate.temperature"), qPrintable(message));
    }

    void cancelEndsBetweenTokens()
    {
        const auto model = tinyGpt();
        std::stop_source stop;
        explain::Control control;
        control.stop = stop.get_token();
        int steps = 0;
        control.progress = [&](double, double, const char*) {
            if (++steps == 3)
                stop.request_stop();
        };
        QVERIFY_EXCEPTION_THROWN(
            intervene::generate(graph::Executor(model.graph), model.weights, model.card, promptTensor(), greedy(8), nullptr, control),
            core::Cancelled);
        QCOMPARE(steps, 3);
    }
};

QTEST_APPLESS_MAIN(GenerateTest)
#include "generate_test.moc"
