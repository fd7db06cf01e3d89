// Learned prompts: the loss against one written out run by run, its gradient against central differences, and what learning is for.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <QTest>

#include <core/graph/random_operators.h>
#include <core/intervene/soft_prompt.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"

using namespace orrery;
using namespace orrery::intervene;

namespace {

const char* const kGpt = "zoo:gpt?vocabulary=20&block_length=12&layers=2&heads=2&width=8";

/// Large weights: predictions that differ from position to position.
graph::Model lively(std::uint64_t seed, at::ScalarType type = at::kFloat)
{
    graph::Model model = zoo::openZoo(kGpt, seed);
    for (const auto& [name, tensor] : std::map(model.weights.tensors().begin(), model.weights.tensors().end()))
        model.weights.set(name, (tensor.dim() == 2 ? tensor * 12 : tensor).to(type));
    return model;
}

at::Tensor sequences(std::int64_t count, std::uint64_t seed)
{
    return at::randint(0, 20, {count, 10}, graph::makeGenerator(at::kCPU, seed), at::TensorOptions().dtype(at::kLong));
}

/// KL(own || transplanted), written out: the prompt alone is run up to the place, the state put in, the rest run on it.
double writtenOut(const graph::Executor& executor, const graph::Model& model, const SoftPrompts& learned, std::size_t place, const at::Tensor& texts)
{
    const auto places = residualPlaces(model.card);
    const at::Tensor& prompt = learned.context.prompts[place];
    const StreamRun own = runStream({executor, model}, texts, places, {});
    double sum = 0;
    for (std::int64_t s = 0; s < texts.size(0); ++s)
        for (std::int64_t t = 0; t + 1 < texts.size(1); ++t) {
            const at::Tensor text = at::cat({at::zeros({prompt.size(0)}, at::kLong), texts[s].slice(0, t + 1, t + 2)}).unsqueeze(0);
            graph::RunRequest request;
            request.inputs = {text};
            request.keep = {places[0].value, places[place].value};
            at::Tensor first = executor.run(model.weights, request).value(places[0].value).clone();
            first[0].slice(0, 0, prompt.size(0)).copy_(prompt);
            request.changed[places[0].value] = first;
            at::Tensor state = place == 0 ? first.clone() : executor.run(model.weights, request).value(places[place].value).clone();
            state[0][prompt.size(0) - 1].copy_(own.states[place][s][t]);
            graph::RunRequest rest;
            rest.inputs = {text};
            rest.changed[places[place].value] = state;
            const at::Tensor said = executor.run(model.weights, rest).tensor()[0][prompt.size(0)].to(at::kDouble).log_softmax(0);
            const at::Tensor expected = own.logits[s][t + 1].to(at::kDouble).log_softmax(0);
            sum += (expected.exp() * (expected - said)).sum().item<double>();
        }
    return sum / double(texts.size(0) * (texts.size(1) - 1));
}

}  // namespace

class SoftPromptTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void theLossIsTheOneWrittenOut()
    {
        const graph::Model model = lively(1);
        const graph::Executor executor(model.graph);
        const at::Tensor texts = sequences(3, 5);
        SoftPromptSettings settings;
        settings.length = 4;
        settings.offset = 2;
        settings.steps = 5;
        const SoftPrompts learned = learnPrompts({executor, model}, texts, settings);
        QCOMPARE(learned.states, 27);
        for (std::size_t place = 0; place < 3; ++place)
            QVERIFY(std::abs(learned.after[place] - writtenOut(executor, model, learned, place, texts)) < 1e-4 * learned.after[place] + 1e-6);
    }

    void theGradientIsTheDifferenceQuotient()
    {
        const graph::Model model = lively(2, at::kDouble);
        const graph::Executor executor(model.graph);
        const auto places = residualPlaces(model.card);
        const auto generator = graph::makeGenerator(at::kCPU, 3);
        const auto options = at::TensorOptions().dtype(at::kDouble);
        const at::Tensor prompt = at::randn({3, 8}, generator, options), states = at::randn({2, 8}, generator, options);
        const at::Tensor weights = at::randn({2, 20}, generator, options), text = at::tensor({0, 0, 0, 5, 0, 0, 0, 9}, at::kLong).view({2, 4});
        for (std::size_t place = 0; place < 2; ++place) {
            const auto value = [&](const at::Tensor& at) {
                return (transplantedLogits({executor, model}, places[place], at, states, 2, text, {}) * weights).sum();
            };
            at::Tensor gradient;
            {
                const at::AutoGradMode enable(true);
                const at::Tensor leaf = prompt.clone().requires_grad_(true);
                gradient = torch::autograd::grad({value(leaf)}, {leaf})[0];
            }
            QVERIFY(gradient[1].abs().max().item<double>() > 1e-3);
            for (std::int64_t i = 0; i < prompt.numel(); ++i) {
                at::Tensor up = prompt.clone(), down = prompt.clone();
                up.view(-1)[i] += 1e-5;
                down.view(-1)[i] -= 1e-5;
                const double quotient = (value(up) - value(down)).item<double>() / 2e-5;
                QVERIFY(std::abs(gradient.view(-1)[i].item<double>() - quotient) < 1e-5 * std::max(1.0, std::abs(quotient)));
            }
            // The state stands where the prompt's last vector stood.
            QVERIFY(place > 0 || gradient[2].abs().max().item<double>() == 0);
        }
    }

    void learningReadsBetterThanAContext()
    {
        const graph::Model model = lively(3);
        const graph::Executor executor(model.graph);
        const LensSubject subject{executor, model};
        SoftPromptSettings settings;
        settings.length = 4;
        settings.steps = 150;
        const SoftPrompts learned = learnPrompts(subject, sequences(60, 7), settings);
        // Behind the last place there is nothing that looks at the prompt: the reading is the model's own.
        QVERIFY(learned.before[2] < 1e-6 && learned.after[2] < 1e-6);
        const at::Tensor heldOut = sequences(40, 8);
        for (std::size_t place = 0; place < 2; ++place) {
            QVERIFY2(learned.after[place] < 0.9 * learned.before[place],
                     qPrintable(QStringLiteral("%1: %2, %3").arg(place).arg(learned.before[place]).arg(learned.after[place])));
            double divergence[2] = {};
            for (std::int64_t s = 0; s < heldOut.size(0); ++s) {
                const at::Tensor text = heldOut.slice(0, s, s + 1);
                divergence[0] += transplant(subject, text, learned.context, {1, 5}).grid.divergence[std::int64_t(place)].mean().item<double>();
                divergence[1] += transplant(subject, text, text.slice(1, 0, 1), {1, 5}).grid.divergence[std::int64_t(place)].mean().item<double>();
            }
            QVERIFY2(divergence[0] < divergence[1], qPrintable(QStringLiteral("%1: %2, %3").arg(place).arg(divergence[0]).arg(divergence[1])));
        }
    }

    void theSeedDecides()
    {
        const graph::Model model = lively(4);
        const graph::Executor executor(model.graph);
        const at::Tensor texts = sequences(30, 9);
        SoftPromptSettings settings;
        settings.length = 2;
        settings.steps = 3;
        settings.batch = 16;
        const auto learned = [&] { return learnPrompts({executor, model}, texts, settings).context.prompts[1]; };
        const at::Tensor first = learned();
        QVERIFY(at::equal(first, learned()));
        settings.seed = 1;
        QVERIFY(!at::equal(first, learned()));
    }

    void badRequestsAreNamed()
    {
        const graph::Model model = zoo::openZoo(kGpt, 1);
        const graph::Executor executor(model.graph);
        const LensSubject subject{executor, model};
        const at::Tensor texts = sequences(2, 1);
        SoftPromptSettings settings;
        settings.offset = 10;
        QVERIFY(saidBy([&] { learnPrompts(subject, texts, settings); }).contains("from 1 to 9"));
        settings.offset = 4;
        QVERIFY(saidBy([&] { learnPrompts(subject, texts, settings); }).contains("a prompt of at most 9"));
        settings.offset = 1;
        settings.length = 0;
        QVERIFY(saidBy([&] { learnPrompts(subject, texts, settings); }).contains("above 0"));
        settings.length = 2;
        std::stop_source source;
        Control control;
        control.stop = source.get_token();
        control.progress = [&](double done, double, const char*) {
            if (done >= 3)
                source.request_stop();
        };
        QVERIFY_EXCEPTION_THROWN(learnPrompts(subject, texts, settings, control), core::Cancelled);
    }
};

QTEST_APPLESS_MAIN(SoftPromptTest)
#include "soft_prompt_test.moc"
