// Logit lens, direct logit attribution and attention patterns against the model itself, sums by hand and brute force.
#include <QTest>

#include <cmath>
#include <set>

#include <core/intervene/attention.h>
#include <core/intervene/direct_logit_attribution.h>
#include <core/intervene/lens.h>
#include <core/intervene/lens_methods.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"
#include "hand_built.h"

using namespace orrery;
using namespace orrery::intervene;

namespace {

const char* const kGpt = "zoo:gpt?vocabulary=20&block_length=12&layers=3&heads=2&width=16";

/// Weights drawn once more, wide: a fresh gpt is so close to zero that nothing would differ.
graph::Model wild(const std::string& reference, at::ScalarType dtype = at::kFloat)
{
    graph::Model model = zoo::openZoo(reference, 3);
    for (const auto& [name, tensor] : std::map(model.weights.tensors()))
        model.weights.set(name, tensor + (at::arange(tensor.numel(), at::kDouble) * 12.9898 + double(name.size()))
                                             .sin()
                                             .mul(0.3)
                                             .reshape(tensor.sizes())
                                             .to(tensor.scalar_type()));
    if (dtype != at::kFloat) {
        model.graph = graph::moved(model.graph, c10::kCPU, dtype);
        model.weights = model.weights.to(c10::kCPU, dtype);
    }
    return model;
}

at::Tensor someTokens(std::int64_t length, std::int64_t vocabulary = 20)
{
    return (at::arange(length, at::kLong) * 7 + 3).remainder(vocabulary).unsqueeze(0);
}

/// The call fails with a message that contains `part`.
#define VERIFY_SAYS(call, part)                                                                                                                      \
    do {                                                                                                                                             \
        const QString said = saidBy([&] { call; });                                                                                                  \
        QVERIFY2(said.contains(part), qPrintable("said: " + said));                                                                                  \
    } while (false)

}  // namespace

class LensTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void lastRowIsTheModelItself_data()
    {
        QTest::addColumn<QString>("model");
        QTest::newRow("gpt") << kGpt;
        QTest::newRow("attention only") << "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=16&mlp=false";
        QTest::newRow("attention only, no norm") << "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=16&mlp=false&norm=false";
        QTest::newRow("untied head") << "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=16&tied_head=false&bias=false";
    }
    void lastRowIsTheModelItself()
    {
        QFETCH(QString, model);
        const graph::Model opened = wild(model.toStdString());
        const graph::Executor executor(opened.graph);
        const at::Tensor tokens = someTokens(9);
        const LensGrid grid = logitLens({executor, opened}, tokens, {20, false});
        QCOMPARE(grid.finalDifference, 0.0);
        const at::Tensor probabilities = executor.forward(opened.weights, {tokens})[0].to(at::kDouble).softmax(-1);
        const std::int64_t last = std::int64_t(grid.places.size()) - 1;
        for (std::int64_t position = 0; position < 9; ++position) {
            QCOMPARE(grid.topTokens[last][position][0].item<std::int64_t>(), probabilities[position].argmax().item<std::int64_t>());
            for (std::int64_t k = 0; k < 20; ++k)
                QCOMPARE(grid.topProbabilities[last][position][k].item<double>(),
                         probabilities[position][grid.topTokens[last][position][k].item<std::int64_t>()].item<double>());
            QVERIFY(grid.divergence[last][position].item<double>() < 1e-12);
        }
    }

    /// The same by hand: layer norm and head written out on each residual stream.
    void everyRowEqualsNormAndHeadWrittenOut()
    {
        const graph::Model model = wild(kGpt, at::kDouble);
        const graph::Executor executor(model.graph);
        const at::Tensor tokens = someTokens(10);
        const LensGrid grid = logitLens({executor, model}, tokens, {3, true});
        QCOMPARE(grid.places.size(), std::size_t(7));  // embedding, then two a block
        graph::RunRequest request;
        request.inputs = {tokens};
        request.keep = {"**"};
        const auto run = executor.run(model.weights, request);
        const at::Tensor own = run.tensor()[0].softmax(-1);
        for (std::size_t row = 0; row < grid.places.size(); ++row) {
            const at::Tensor x = run.value(grid.places[row].value)[0], centred = x - x.mean(-1, true);
            const at::Tensor normed =
                centred / (centred.pow(2).mean(-1, true) + 1e-5).sqrt() * model.weights.at("ln_f.weight") + model.weights.at("ln_f.bias");
            const at::Tensor p = at::matmul(normed, model.weights.at("wte.weight").t()).softmax(-1);
            for (std::int64_t t = 0; t < 10; ++t) {
                double entropy = 0, divergence = 0;
                std::int64_t above = 1;
                const bool known = t + 1 < 10;
                const std::int64_t target = known ? tokens[0][t + 1].item<std::int64_t>() : 0;
                for (std::int64_t v = 0; v < 20; ++v) {
                    const double q = p[t][v].item<double>(), o = own[t][v].item<double>();
                    entropy -= q * std::log(q);
                    divergence += o * std::log(o / q);
                    above += q > p[t][target].item<double>();
                }
                const auto at = std::int64_t(row);
                QVERIFY(std::abs(grid.entropy[at][t].item<double>() - entropy) < 1e-10);
                QVERIFY(std::abs(grid.divergence[at][t].item<double>() - divergence) < 1e-10);
                QVERIFY(std::abs(grid.topProbabilities[at][t][0].item<double>() - p[t].max().item<double>()) < 1e-12);
                QCOMPARE(grid.targets[t].item<std::int64_t>(), known ? target : -1);
                QCOMPARE(grid.targetRank[at][t].item<std::int64_t>(), known ? above : 0);
                QCOMPARE(std::isnan(grid.targetProbability[at][t].item<double>()), !known);
                if (known)
                    QVERIFY(std::abs(grid.targetProbability[at][t].item<double>() - p[t][target].item<double>()) < 1e-12);
            }
        }
    }

    void logitsAreTakenApartExactly_data()
    {
        QTest::addColumn<QString>("model");
        QTest::addColumn<int>("parts");
        QTest::newRow("gpt") << kGpt << 2 + 3 * (2 + 1 + 1) + 1;
        QTest::newRow("attention only") << "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=4&width=16&mlp=false" << 2 + 2 * (4 + 1) + 1;
        QTest::newRow("no norm, no bias") << "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=16&mlp=false&norm=false&bias=false"
                                          << 2 + 2 * 2;
        QTest::newRow("with dropout nodes") << "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=16&dropout=0.3&tied_head=false"
                                            << 2 + 2 * 4 + 1;
    }
    void logitsAreTakenApartExactly()
    {
        QFETCH(QString, model);
        QFETCH(int, parts);
        const graph::Model opened = wild(model.toStdString(), at::kDouble);
        const graph::Executor executor(opened.graph);
        const at::Tensor tokens = someTokens(9), logits = executor.forward(opened.weights, {tokens});
        for (const std::int64_t position : {0, 4, 8})
            for (const std::int64_t target : {0, 7, 19}) {
                const auto made = directLogitAttribution({executor, opened}, tokens, {position, target, {}});
                QCOMPARE(int(made.parts.size()), parts);
                QCOMPARE(made.logit, logits[0][position][target].item<double>());
                QVERIFY2(std::abs(made.error) < 1e-12, qPrintable(QString::number(made.error)));
                const auto difference = directLogitAttribution({executor, opened}, tokens, {position - 9, target, 5});
                QCOMPARE(difference.position, position);
                QVERIFY(std::abs(difference.sum - (logits[0][position][target] - logits[0][position][5]).item<double>()) < 1e-12);
            }
    }

    /// A head's part against what the logit loses when the norm's scale is held and its z is set to zero: central idea, other path.
    void aHeadsPartIsWhatItWrites()
    {
        const graph::Model model = wild("zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=16&mlp=false&norm=false", at::kDouble);
        const graph::Executor executor(model.graph);
        const at::Tensor tokens = someTokens(8), whole = executor.forward(model.weights, {tokens});
        const auto made = directLogitAttribution({executor, model}, tokens, {7, 3, {}});
        for (std::int64_t head = 0; head < 2; ++head) {
            // In the last layer nothing reads what a head writes but the head of the model.
            graph::RunRequest request;
            request.inputs = {tokens};
            request.probes = {graph::Probe::replacing(model.card.canonicalNames.at("blocks.1.attn.z"),
                                                      [head](const std::string&, const c10::IValue& z) -> c10::IValue {
                                                          const at::Tensor changed = z.toTensor().clone();
                                                          changed.select(1, head).zero_();
                                                          return changed;
                                                      })};
            const double lost = (whole - executor.run(model.weights, request).tensor())[0][7][3].item<double>();
            QVERIFY(std::abs(made.heads[1][head].item<double>() - lost) < 1e-12);
            QVERIFY(std::abs(lost) > 1e-6);
        }
    }

    void handBuiltCopyingIsWrittenByItsHead()
    {
        const graph::Model model = copyingModel();
        const graph::Executor executor(model.graph);
        const at::Tensor tokens = at::tensor({4, 1, 0, 2, 3}, at::kLong).unsqueeze(0);
        const auto made = directLogitAttribution({executor, model}, tokens, {});
        QCOMPARE(made.target, 4);
        QCOMPARE(made.logit, kCopyLogit);
        QCOMPARE(made.error, 0.0);
        for (const Contribution& part : made.parts)
            QCOMPARE(part.value, part.label == "head 0.0" ? kCopyLogit : 0.0);
        // The lens sees it arrive: nothing behind the embedding, everything behind block 0.
        const LensGrid grid = logitLens({executor, model}, tokens, {});
        QCOMPARE(grid.places[0].label(), std::string("embedding"));
        QVERIFY(std::abs(grid.entropy[0][4].item<double>() - std::log(6.0)) < 1e-12);
        const double sharp = std::exp(kCopyLogit) / (std::exp(kCopyLogit) + 5);
        for (const int row : {1, 2}) {
            QCOMPARE(grid.topTokens[row][4][0].item<std::int64_t>(), 4);
            QVERIFY(std::abs(grid.topProbabilities[row][4][0].item<double>() - sharp) < 1e-12);
        }
    }

    void headScoresEqualBruteForce()
    {
        const graph::Model model = wild(kGpt);
        const graph::Executor executor(model.graph);
        const at::Tensor tokens = at::tensor({5, 2, 5, 5, 7, 2, 1, 5, 9, 2, 7, 3}, at::kLong).unsqueeze(0);
        const auto made = attentionPatterns({executor, model}, tokens);
        QCOMPARE(made.patterns.size(), std::size_t(3));
        const std::int64_t* token = made.tokens.data_ptr<std::int64_t>();
        for (std::size_t block = 0; block < 3; ++block)
            for (std::int64_t head = 0; head < 2; ++head) {
                double previous = 0, duplicate = 0, induction = 0, first = 0, entropy = 0;
                std::set<std::int64_t> duplicateQueries, inductionQueries;
                for (std::int64_t q = 0; q < 12; ++q)
                    for (std::int64_t k = 0; k <= q; ++k) {
                        const double a = made.patterns[block][head][q][k].item<float>();
                        entropy -= a > 0 ? a * std::log(a) : 0;
                        previous += k == q - 1 ? a : 0;
                        first += k == 0 && q > 0 ? a : 0;
                        if (k < q && token[k] == token[q])
                            duplicate += a, duplicateQueries.insert(q);
                        if (k > 0 && k < q && token[k - 1] == token[q])
                            induction += a, inductionQueries.insert(q);
                    }
                const auto near = [&](const at::Tensor& found, double wanted) {
                    return std::abs(found[std::int64_t(block)][head].item<double>() - wanted) < 1e-9;
                };
                QVERIFY(near(made.scores.previousToken, previous / 11));
                QVERIFY(near(made.scores.firstToken, first / 11));
                QVERIFY(near(made.scores.duplicateToken, duplicate / double(duplicateQueries.size())));
                QVERIFY(near(made.scores.induction, induction / double(inductionQueries.size())));
                QVERIFY(near(made.scores.entropy, entropy / 12));
            }
    }

    void scoresWithoutAnyQueryAreUnknown()
    {
        const graph::Model model = wild(kGpt);
        const graph::Executor executor(model.graph);
        const auto made = attentionPatterns({executor, model}, at::tensor({1}, at::kLong).unsqueeze(0));
        QVERIFY(made.scores.previousToken.isnan().all().item<bool>());
        QVERIFY(made.scores.induction.isnan().all().item<bool>());
        QCOMPARE(made.scores.entropy.abs().max().item<double>(), 0.0);
    }

    void badInputIsNamed()
    {
        const graph::Model model = wild(kGpt), table = zoo::openZoo("zoo:mlp?features=3&classes=2", 0);
        const graph::Executor executor(model.graph), other(table.graph);
        const LensSubject gpt{executor, model};
        VERIFY_SAYS(logitLens({other, table}, someTokens(3), {}), "blocks.0.resid_pre");
        VERIFY_SAYS(attentionPatterns({other, table}, someTokens(3)), "attn.pattern");
        VERIFY_SAYS(directLogitAttribution({other, table}, someTokens(3), {}), "canonical name");
        VERIFY_SAYS(logitLens(gpt, someTokens(13), {}), "at most 12 tokens");
        VERIFY_SAYS(logitLens(gpt, at::zeros({1, 0}, at::kLong), {}), "got [1, 0]");
        VERIFY_SAYS(logitLens(gpt, at::zeros({2, 3}, at::kLong), {}), "one sequence, got 2");
        VERIFY_SAYS(logitLens(gpt, at::full({1, 3}, std::nan("")), {}), "float32");
        VERIFY_SAYS(logitLens(gpt, at::full({1, 3}, 20, at::kLong), {}), "from 0 to 19, got 20");
        VERIFY_SAYS(logitLens(gpt, at::full({1, 3}, -1, at::kLong), {}), "got -1");
        VERIFY_SAYS(directLogitAttribution(gpt, someTokens(4), {4, {}, {}}), "position 4: expected one from 0 to 3");
        VERIFY_SAYS(directLogitAttribution(gpt, someTokens(4), {{}, 20, {}}), "target 20");
        VERIFY_SAYS(directLogitAttribution(gpt, someTokens(4), {{}, 2, -1}), "contrast -1");
        graph::Model broken = model;
        broken.weights.set("ln_f.weight", at::full({16}, std::nan("")));
        VERIFY_SAYS(logitLens({executor, broken}, someTokens(4), {}), "NaN");
        VERIFY_SAYS(directLogitAttribution({executor, broken}, someTokens(4), {}), "NaN");
    }

    void methodsCheckTheirParameters()
    {
        const graph::Model model = wild(kGpt);
        const graph::Executor executor(model.graph);
        const LensSubject gpt{executor, model};
        const auto run = [&](const char* kind, const core::Json& parameters) { return runLens(gpt, kind, {someTokens(6), {}, parameters}); };
        VERIFY_SAYS(run("logit_len", {}), "did you mean \"logit_lens\"");
        VERIFY_SAYS(run("logit_lens", {{"top", 0}}), "top");
        VERIFY_SAYS(run("logit_lens", {{"topp", 3}}), "topp");
        VERIFY_SAYS(run("attention", {{"layer", 3}}), "layer 3: expected one from 0 to 2");
        VERIFY_SAYS(run("attention", {{"layer", 0}, {"head", 2}}), "head 2: expected one from 0 to 1");
        VERIFY_SAYS(run("future", core::Json::object()), "expected data to fit on");
        VERIFY_SAYS(runLens(gpt, "logit_lens", {}), "expected tokens");
        const auto grid = run("logit_lens", core::Json::object());
        QCOMPARE(grid.array.sizes().vec(), (std::vector<std::int64_t>{4, 6, 6}));
        QCOMPARE(grid.document["rows"][3]["place"].get<std::string>(), std::string("blocks.2.resid_post"));
        QCOMPARE(run("attention", {{"layer", 1}, {"head", 1}}).array.sizes().vec(), (std::vector<std::int64_t>{6, 6}));
        const auto named = runLens(gpt, "direct_logit_attribution", {someTokens(6), {}, {{"target", "11"}}});
        QCOMPARE(named.document["target"].get<int>(), 11);
    }

    void aStopEndsItBetweenLayers()
    {
        const graph::Model model = wild(kGpt);
        const graph::Executor executor(model.graph);
        std::stop_source source;
        Control control;
        control.stop = source.get_token();
        int reports = 0;
        control.progress = [&](double, double, const char*) {
            if (++reports == 2)
                source.request_stop();
        };
        QVERIFY_EXCEPTION_THROWN(logitLens({executor, model}, someTokens(6), {}, control), core::Cancelled);
        QCOMPARE(reports, 2);
    }
};

QTEST_APPLESS_MAIN(LensTest)
#include "lens_test.moc"
