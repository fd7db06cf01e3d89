// Beam search against exhaustive search, and sequence-to-sequence training from end to end.
#include <ATen/ATen.h>
#include <QTest>

#include <cmath>
#include <map>

#include <core/base/rng.h>
#include <core/data/vocabulary.h>
#include <core/intervene/beam_search.h>
#include <core/train/document_file.h>
#include <core/zoo/zoo.h>

#include "../train/training_fixture.h"

using namespace orrery;
using intervene::BeamOptions;

namespace {

using Tokens = std::vector<std::int64_t>;
constexpr std::int64_t kSymbols = 4, kEnd = 3;

/// A toy language of four symbols: the next symbol's distribution is drawn from the whole prefix.
std::vector<double> distribution(const Tokens& prefix)
{
    std::uint64_t seed = 17;
    for (const auto token : prefix)
        seed = core::deriveSeed(seed, std::uint64_t(token), "toy");
    core::SplitMix64 random(seed);
    std::vector<double> weights(kSymbols);
    double sum = 0;
    for (double& weight : weights)
        sum += weight = 0.05 + random.uniform();
    for (double& weight : weights)
        weight = std::log(weight / sum);
    return weights;
}

at::Tensor toyNext(const std::vector<Tokens>& prefixes)
{
    at::Tensor rows = at::empty({std::int64_t(prefixes.size()), kSymbols}, at::kDouble);
    for (std::size_t i = 0; i < prefixes.size(); ++i)
        rows[std::int64_t(i)] = at::tensor(distribution(prefixes[i]), at::kDouble);
    return rows;
}

/// Every sequence that ends with the end symbol or has the full length, with its log probability.
void enumerate(const Tokens& prefix, double logProbability, std::int64_t length, std::map<Tokens, double>& found)
{
    const auto next = distribution(prefix);
    for (std::int64_t symbol = 0; symbol < kSymbols; ++symbol) {
        Tokens longer = prefix;
        longer.push_back(symbol);
        const double sum = logProbability + next[std::size_t(symbol)];
        if (symbol == kEnd || std::int64_t(longer.size()) == length)
            found[longer] = sum;
        else
            enumerate(longer, sum, length, found);
    }
}

at::Tensor row(const Tokens& tokens)
{
    return at::tensor(tokens, at::kLong).unsqueeze(0);
}

BeamOptions toyOptions(int beams, double penalty)
{
    BeamOptions options;
    options.beams = beams;
    options.maxLength = 5;
    options.lengthPenalty = penalty;
    options.end = kEnd;
    return options;
}

}  // namespace

class BeamSearchTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void aFullWidthBeamIsExhaustive_data()
    {
        QTest::addColumn<double>("penalty");
        QTest::newRow("no penalty") << 0.0;
        QTest::newRow("by length") << 1.0;
        QTest::newRow("half") << 0.5;
    }
    void aFullWidthBeamIsExhaustive()
    {
        QFETCH(double, penalty);
        std::map<Tokens, double> all;
        enumerate({}, 0, 5, all);
        std::vector<std::pair<double, Tokens>> ranked;
        for (const auto& [tokens, logProbability] : all)
            ranked.push_back({-logProbability / std::pow(double(tokens.size()), penalty), tokens});
        std::sort(ranked.begin(), ranked.end());
        const auto result = intervene::beamSearch(toyNext, toyOptions(1024, penalty));
        if (penalty > 0)
            QCOMPARE(result.hypotheses.size(), all.size());
        for (std::size_t i = 0; i < std::min<std::size_t>(20, result.hypotheses.size()); ++i) {
            QVERIFY(result.hypotheses[i].tokens == ranked[i].second);
            QVERIFY(std::abs(result.hypotheses[i].score + ranked[i].first) < 1e-12);
            QVERIFY(std::abs(result.hypotheses[i].logProbability - all.at(ranked[i].second)) < 1e-12);
        }
    }

    void oneBeamIsGreedy()
    {
        Tokens greedy;
        while (greedy.size() < 5 && (greedy.empty() || greedy.back() != kEnd)) {
            const auto next = distribution(greedy);
            greedy.push_back(std::max_element(next.begin(), next.end()) - next.begin());
        }
        const auto result = intervene::beamSearch(toyNext, toyOptions(1, 1));
        QCOMPARE(result.hypotheses.size(), std::size_t(1));
        QVERIFY(result.hypotheses[0].tokens == greedy);
    }

    void stepsLeadToTheHypotheses()
    {
        const auto result = intervene::beamSearch(toyNext, toyOptions(3, 1));
        QVERIFY(result.steps.size() <= 5);
        for (const auto& nodes : result.steps)
            QVERIFY(nodes.size() <= 3);
        for (const auto& hypothesis : result.hypotheses) {
            const auto path = result.pathOf(hypothesis);
            QCOMPARE(path.size(), hypothesis.tokens.size());
            for (std::size_t step = 0; step < path.size(); ++step)
                QCOMPARE(result.steps[step][std::size_t(path[step])].token, hypothesis.tokens[step]);
            QCOMPARE(result.steps[path.size() - 1][std::size_t(path.back())].logProbability, hypothesis.logProbability);
        }
    }

    void excludedTokensAreNeverChosen()
    {
        auto options = toyOptions(64, 1);
        options.excluded = {1};
        for (const auto& hypothesis : intervene::beamSearch(toyNext, options).hypotheses)
            QVERIFY(std::find(hypothesis.tokens.begin(), hypothesis.tokens.end(), 1) == hypothesis.tokens.end());
    }

    void refusesNonsenseAndStopsWhenAsked()
    {
        QVERIFY_THROWS_EXCEPTION(core::InputError, intervene::beamSearch(toyNext, toyOptions(0, 1)));
        std::stop_source source;
        source.request_stop();
        QVERIFY_THROWS_EXCEPTION(core::Cancelled, intervene::beamSearch(toyNext, toyOptions(2, 1), source.get_token()));
    }

    void paddingOfTheSourceChangesNothing()
    {
        const auto model = zoo::buildModel("seq2seq", {{"vocabulary", 9}, {"block_length", 12}, {"width", 16}, {"heads", 2}}, 3);
        const graph::Executor executor(model.graph);
        const auto source = row({4, 5, 6}), target = row({1, 6, 5});
        const auto padded = at::cat({source, at::zeros({1, 4}, at::kLong)}, 1);
        const auto plain = executor.forward(model.weights, {source, target}), longer = executor.forward(model.weights, {padded, target});
        QVERIFY((plain - longer).abs().max().item<double>() < 1e-5);
        // And a token that is no padding does change it.
        const auto other = executor.forward(model.weights, {at::cat({source, row({7})}, 1), target});
        QVERIFY((plain - other).abs().max().item<double>() > 1e-4);
    }

    void theDecoderSeesNoLaterToken()
    {
        const auto model = zoo::buildModel("seq2seq", {{"vocabulary", 9}, {"block_length", 12}, {"width", 16}, {"heads", 2}}, 3);
        const graph::Executor executor(model.graph);
        const auto source = row({4, 5, 6});
        const auto a = executor.forward(model.weights, {source, row({1, 6, 5})}), b = executor.forward(model.weights, {source, row({1, 6, 8})});
        QVERIFY((a - b).slice(1, 0, 2).abs().max().item<double>() < 1e-6);
        QVERIFY((a - b).select(1, 2).abs().max().item<double>() > 1e-4);
    }

    void reversalIsLearned()
    {
        const auto experiment = train::readExperiment(ORRERY_SOURCE_DIR "/projects/reversal/experiment.yaml");
        jobs::DirectContext context;
        test::MemorySink sink;
        const auto result = train::trainExperiment(experiment, context, sink);
        const double accuracy = result.metrics.at("test/sequence_accuracy");
        QVERIFY2(accuracy >= 0.95, qPrintable(QString::number(accuracy)));
        // Translated freely, without the true tokens before: strings of the test part come out backwards.
        const auto& test = experiment.data->split(data::Split::Test);
        int right = 0;
        for (std::size_t i = 0; i < 40; ++i) {
            const auto batch = experiment.data->fetch({&test[i], 1});
            const auto tokens = batch.inputs[0][0].contiguous();
            const auto text = experiment.data->vocabulary()->decode({tokens.data_ptr<std::int64_t>(), std::size_t(tokens.numel())});
            BeamOptions options;
            options.maxLength = 20;
            const auto best = intervene::searchText(result.model, text, options).hypotheses.at(0);
            Tokens produced(best.tokens.begin(), best.tokens.end() - (best.ended ? 1 : 0));
            right += experiment.data->vocabulary()->decode(produced) == std::string(text.rbegin(), text.rend());
        }
        QVERIFY2(right >= 36, qPrintable(QString::number(right)));
    }
};

QTEST_APPLESS_MAIN(BeamSearchTest)
#include "beam_search_test.moc"
