// States read in another context: identity where nothing is changed, the model's own prediction at its last layer, and a model built by hand that is known to say what it holds.
#include <ATen/ATen.h>

#include <QTest>

#include <core/intervene/generate.h>
#include <core/intervene/transplant.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"
#include "hand_built.h"

using namespace orrery;
using namespace orrery::intervene;

namespace {

const char* const kGpt = "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=8";

at::Tensor tokens(std::initializer_list<std::int64_t> numbers)
{
    return at::tensor(std::vector<std::int64_t>(numbers), at::kLong).unsqueeze(0);
}

/// Large weights: predictions that differ from position to position.
graph::Model lively(std::uint64_t seed)
{
    graph::Model model = zoo::openZoo(kGpt, seed);
    for (const auto& [name, tensor] : std::map(model.weights.tensors().begin(), model.weights.tensors().end()))
        if (tensor.dim() == 2)
            model.weights.set(name, tensor * 12);
    return model;
}

}  // namespace

class TransplantTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void oneAheadAtTheLastLayerIsTheModel()
    {
        const graph::Model model = lively(1);
        const graph::Executor executor(model.graph);
        const at::Tensor text = tokens({3, 7, 1, 19, 4, 4, 12, 0, 8});
        const Transplant made = transplant({executor, model}, text, tokens({5, 2, 9}), {1, 20});
        QCOMPARE(made.grid.finalDifference, 0.0);
        const at::Tensor logits = executor.forward(model.weights, {text})[0];
        QVERIFY(at::equal(made.tokens[2].squeeze(1), logits.argmax(-1)));
        QVERIFY(at::equal(made.grid.topTokens[2].select(1, 0), logits.argmax(-1)));
        QVERIFY(std::get<0>(at::unique_dim(made.tokens[2], 0)).size(0) > 2);  // and it does not say the same everywhere
        QVERIFY(made.grid.divergence[2].max().item<double>() < 1e-12);
        QVERIFY(made.grid.divergence[0].max().item<double>() > 1e-3);
    }

    /// The state of the last position put back where it was, at every layer: what `generate` writes, token by token.
    void whereItCameFromNothingChanges()
    {
        const graph::Model model = lively(2);
        const graph::Executor executor(model.graph);
        const at::Tensor text = tokens({3, 7, 1, 19, 4});
        const Transplant made = transplant({executor, model}, text, text, {6, 5});
        GenerationOptions options;
        options.maxNewTokens = 6;
        const auto written = generate(executor, model.weights, model.card, text, options);
        for (std::int64_t place = 0; place < 3; ++place)
            for (std::int64_t step = 0; step < 6; ++step) {
                QCOMPARE(made.tokens[place][4][step].item<std::int64_t>(), written.tokens[std::size_t(step)].token);
                QVERIFY(std::abs(made.probabilities[place][4][step].item<double>() - written.tokens[std::size_t(step)].probability) < 1e-6);
            }
        // The states of the positions before it are from elsewhere.
        QVERIFY(!at::equal(made.tokens[0][0], made.tokens[0][4]) || !at::equal(made.tokens[1][0], made.tokens[1][4]));
    }

    /// Against a run of the whole that is written out: the context's values up to the place, the state put in, everything after it computed anew.
    void theRestOfTheModelRunsInTheOtherContext()
    {
        const graph::Model model = lively(3);
        const graph::Executor executor(model.graph);
        const at::Tensor text = tokens({3, 7, 1, 19}), context = tokens({11, 6});
        const Transplant made = transplant({executor, model}, text, context, {2, 20});
        const auto places = residualPlaces(model.card);
        const StreamRun own = runStream({executor, model}, text, places, {}), around = runStream({executor, model}, context, places, {});
        for (std::size_t place = 0; place < places.size(); ++place) {
            at::Tensor state = around.states[place].clone();
            state[0][1].copy_(own.states[place][0][2]);
            graph::RunRequest request;
            request.inputs = {context};
            request.changed[places[place].value] = state;
            const at::Tensor logits = executor.run(model.weights, request).tensor()[0][1];
            QCOMPARE(made.tokens[std::int64_t(place)][2][0].item<std::int64_t>(), logits.argmax().item<std::int64_t>());
            QVERIFY(std::abs(made.probabilities[std::int64_t(place)][2][0].item<double>() - logits.to(at::kDouble).softmax(0).max().item<double>()) <
                    1e-6);
        }
    }

    /// The copying model answers with the token its stream holds as copied: from layer 1 on that is the text's first, whatever the context says.
    void aStateSaysWhatItHolds()
    {
        const graph::Model model = copyingModel();
        const graph::Executor executor(model.graph);
        const Transplant made = transplant({executor, model}, tokens({4, 0, 1, 2}), tokens({3, 1}), {1, 2});
        for (std::int64_t position = 0; position < 4; ++position) {
            QCOMPARE(made.tokens[0][position][0].item<std::int64_t>(), 3);  // nothing copied yet: the context's first token is
            QCOMPARE(made.tokens[1][position][0].item<std::int64_t>(), 4);
            QCOMPARE(made.tokens[2][position][0].item<std::int64_t>(), 4);
        }
        // In a context of one token the state itself stands at position 0 and is what is copied.
        const Transplant alone = transplant({executor, model}, tokens({4, 0, 1, 2}), tokens({3}), {2, 2});
        QCOMPARE(alone.tokens[0][0][0].item<std::int64_t>(), 4);
        QCOMPARE(alone.tokens[0][0][1].item<std::int64_t>(), 4);  // and still there for the token after it
        const FutureLensScore score = scoreTransplant({executor, model}, tokens({4, 0, 4, 4}), tokens({3, 1}), 1);
        QCOMPARE(score.predictions, 3);
        QCOMPARE(score.accuracy[0], 0.0);
        QCOMPARE(score.accuracy[2], 2.0 / 3);
        QCOMPARE(score.modelAccuracy, 2.0 / 3);
        const double likely = -std::log(std::exp(kCopyLogit) / (std::exp(kCopyLogit) + 5)), unlikely = -std::log(1 / (std::exp(kCopyLogit) + 5));
        QVERIFY(std::abs(score.surprisal[2] - (unlikely + 2 * likely) / 3) < 1e-6);
    }

    void aScoreIsTheGridsOwn()
    {
        const graph::Model model = lively(4);
        const graph::Executor executor(model.graph);
        const at::Tensor text = tokens({3, 7, 1, 19, 4, 4, 12, 0, 8, 2}), context = tokens({11, 6});
        const Transplant made = transplant({executor, model}, text, context, {3, 5});
        const FutureLensScore score = scoreTransplant({executor, model}, text, context, 3);
        QCOMPARE(score.predictions, 7);
        for (std::int64_t place = 0; place < 3; ++place) {
            const double right = made.grid.targetRank[place].slice(0, 0, 7).eq(1).sum().item<double>();
            QCOMPARE(score.accuracy[std::size_t(place)], right / 7);
            const double mean = -made.grid.targetProbability[place].slice(0, 0, 7).log().mean().item<double>();
            QVERIFY(std::abs(score.surprisal[std::size_t(place)] - mean) < 1e-6);
        }
    }

    void badRequestsAreNamed()
    {
        const graph::Model model = zoo::openZoo(kGpt, 1);
        const graph::Executor executor(model.graph);
        const LensSubject subject{executor, model};
        const at::Tensor text = tokens({1, 2, 3});
        QVERIFY(saidBy([&] { transplant(subject, text, text, {0, 1}); }).contains("offset 0"));
        QVERIFY(saidBy([&] { transplant(subject, text, text, {11, 1}); }).contains("expected an offset up to 10"));
        QCOMPARE(transplant(subject, text, text, {10, 1}).tokens.size(2), 10);
        QVERIFY(saidBy([&] { transplant(subject, text, tokens({20}), {1, 1}); }).contains("from 0 to 19"));
        QVERIFY(saidBy([&] { transplant(subject, text, at::empty({1, 0}, at::kLong), {1, 1}); }).contains("at least one"));
        QVERIFY(saidBy([&] { transplant(subject, at::zeros({2, 3}, at::kLong), text, {1, 1}); }).contains("one sequence"));
        QVERIFY(saidBy([&] { scoreTransplant(subject, text, text, 3); }).contains("from 1 to 2"));
        graph::Model broken = model;
        broken.weights.set("ln_f.weight", at::full({8}, std::nan("")));
        QVERIFY(saidBy([&] { transplant({executor, broken}, text, text, {1, 1}); }).contains("NaN"));
    }

    void aStopEndsIt()
    {
        const graph::Model model = zoo::openZoo(kGpt, 1);
        const graph::Executor executor(model.graph);
        std::stop_source source;
        Control control;
        control.stop = source.get_token();
        control.progress = [&](double done, double, const char*) {
            if (done >= 1)
                source.request_stop();
        };
        QVERIFY_EXCEPTION_THROWN(transplant({executor, model}, tokens({1, 2, 3}), tokens({1}), {2, 1}, control), core::Cancelled);
    }
};

QTEST_APPLESS_MAIN(TransplantTest)
#include "transplant_test.moc"
