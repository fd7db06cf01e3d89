#include "soft_prompt.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <numeric>

#include <core/base/rng.h>
#include <core/graph/sequence_limit.h>
#include <core/train/catalogue.h>

#include "layout.h"

namespace orrery::intervene {
namespace {

constexpr std::int64_t kMostStates = 4096, kSequencesARun = 16;
constexpr std::int64_t kTargetBytes = 128 << 20;  ///< that the distributions of all states may take

void checkPromptSettings(const LensSubject& subject, const SoftPromptSettings& settings, const at::Tensor& sequences)
{
    if (settings.length < 1 || settings.steps < 1 || settings.batch < 1 || !(settings.rate > 0))
        throw core::InputError("learned prompt: expected a length, a number of steps, a batch and a rate above 0");
    if (settings.offset < 1 || settings.offset >= sequences.size(1))
        throw core::InputError(fmt::format("offset {}: expected one from 1 to {} for sequences of {} tokens", settings.offset, sequences.size(1) - 1,
                                           sequences.size(1)));
    const std::int64_t needed = std::max(settings.length + settings.offset - 1, settings.length);
    const auto longest = graph::longestSequence(*subject.model.graph, subject.model.card);
    if (longest && needed > *longest)
        throw core::InputError(
            fmt::format("a learned prompt of {} and {} tokens behind it: the model reads at most {}; expected a prompt of at most {}",
                        settings.length, settings.offset - 1, *longest, *longest - settings.offset + 1));
}

/// States of all places, what the model said `offset` ahead of them, and the tokens between. Rows on the weights' device.
struct Lessons {
    std::vector<at::Tensor> states;  ///< one a place, [row, feature]
    at::Tensor logP;                 ///< [row, token]
    at::Tensor between;              ///< [row, offset - 1]
    at::Tensor start;                ///< [position, feature]: mean of the first place
    double spread = 0;               ///< standard deviation of the first place
};

/// `count` of the numbers below `all`, in order, each with the same chance.
std::vector<std::int64_t> drawn(std::int64_t all, std::int64_t count, std::uint64_t seed)
{
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(all));
    std::iota(numbers.begin(), numbers.end(), std::int64_t(0));
    core::SplitMix64 random(seed);
    for (std::int64_t i = 0; i < std::min(all, count); ++i)
        std::swap(numbers[std::size_t(i)], numbers[std::size_t(i + std::int64_t(random.next() % std::uint64_t(all - i)))]);
    numbers.resize(std::size_t(std::min(all, count)));
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

Lessons lessonsFrom(const LensSubject& subject, const at::Tensor& sequences, const std::vector<StreamPlace>& places,
                    const SoftPromptSettings& settings, const Control& control)
{
    const std::int64_t count = sequences.size(0), positions = sequences.size(1) - settings.offset + 1, shift = settings.offset - 1;
    const std::int64_t each = vocabularySize(subject.model).value_or(1) * std::int64_t(sizeof(float));
    const std::int64_t most = std::clamp<std::int64_t>(kTargetBytes / each, 1, kMostStates);
    const auto chosen = drawn(count * positions, most, core::deriveSeed(settings.seed, 0, "learned prompt"));
    std::vector<std::vector<at::Tensor>> states(places.size());
    std::vector<at::Tensor> logP, between;
    at::Tensor sum, squares;
    auto next = chosen.begin();
    for (std::int64_t from = 0; from < count; from += kSequencesARun) {
        const std::int64_t to = std::min(count, from + kSequencesARun);
        const at::Tensor batch = sequences.slice(0, from, to);
        const StreamRun run = runStream(subject, batch, places, control);
        const at::Tensor first = run.states.front().to(at::kDouble);
        sum = sum.defined() ? sum + first.sum(0) : first.sum(0);
        squares = squares.defined() ? squares + first.square().sum(0) : first.square().sum(0);
        std::vector<std::int64_t> here;
        for (; next != chosen.end() && *next < to * positions; ++next)
            here.push_back(*next - from * positions);
        if (here.empty())
            continue;
        const at::Tensor rows = at::tensor(here, batch.options());
        const auto pick = [&](const at::Tensor& values) {  // [sequence, position, ..]
            return values.slice(1, 0, positions).flatten(0, 1).index_select(0, rows);
        };
        for (std::size_t i = 0; i < places.size(); ++i)
            states[i].push_back(pick(run.states[i]));
        logP.push_back(pick(run.logits.slice(1, shift)).log_softmax(-1));
        if (shift > 0)
            between.push_back(batch.slice(1, 1).unfold(1, shift, 1).slice(1, 0, positions).flatten(0, 1).index_select(0, rows));
    }
    Lessons lessons;
    for (auto& list : states)
        lessons.states.push_back(at::cat(list));
    lessons.logP = at::cat(logP);
    lessons.between = shift > 0 ? at::cat(between) : at::empty({lessons.logP.size(0), 0}, sequences.options());
    const at::Tensor mean = sum / double(count);
    lessons.spread = (squares / double(count) - mean.square()).clamp_min(0).mean().sqrt().item<double>();
    if (!(lessons.spread > 0))
        lessons.spread = 1;
    const at::Tensor last = mean.slice(0, mean.size(0) - 1);
    lessons.start = at::cat({mean, last.expand({std::max<std::int64_t>(0, settings.length - mean.size(0)), -1})}).slice(0, 0, settings.length);
    lessons.start = lessons.start.to(lessons.states.front().scalar_type());
    return lessons;
}

/// Mean over the rows of KL(own || transplanted), nats.
at::Tensor lossOf(const LensSubject& subject, const Lessons& lessons, const StreamPlace& place, const at::Tensor& states, const at::Tensor& prompt,
                  const at::Tensor& rows, const Control& control)
{
    const at::Tensor between = lessons.between.index_select(0, rows);
    const at::Tensor text = at::cat({at::zeros({rows.size(0), prompt.size(0)}, between.options()), between}, 1);
    const at::Tensor said =
        transplantedLogits(subject, place, prompt, states.index_select(0, rows), prompt.size(0) - 1, text, control).log_softmax(-1);
    const at::Tensor own = lessons.logP.index_select(0, rows);
    return (own.exp() * (own - said)).nan_to_num(0, 0, 0).sum(-1).mean();
}

double meanLoss(const LensSubject& subject, const Lessons& lessons, const StreamPlace& place, const at::Tensor& states, const at::Tensor& prompt,
                std::int64_t batch, const Control& control)
{
    double sum = 0;
    const std::int64_t count = states.size(0);
    for (std::int64_t from = 0; from < count; from += batch) {
        const at::Tensor rows = at::arange(from, std::min(count, from + batch), lessons.between.options());
        sum += lossOf(subject, lessons, place, states, prompt, rows, control).item<double>() * double(rows.size(0));
    }
    return sum / double(count);
}

}  // namespace

SoftPrompts learnPrompts(const LensSubject& subject, const at::Tensor& sequences, const SoftPromptSettings& settings, const Control& control)
{
    const auto places = residualPlaces(subject.model.card);
    const at::Tensor tokens = checkedTokens(subject.model, sequences);
    checkPromptSettings(subject, settings, tokens);
    const Lessons lessons = lessonsFrom(subject, tokens, places, settings, control);
    SoftPrompts learned{{at::zeros({1, settings.length}, tokens.options())}, {}, {}, lessons.logP.size(0)};
    for (std::size_t i = 0; i < places.size(); ++i) {
        at::Tensor prompt = lessons.start.clone();
        learned.before.push_back(meanLoss(subject, lessons, places[i], lessons.states[i], prompt, settings.batch, control));
        const auto adam = train::makeOptimizer({{"id", "adam"}}, {{"prompt", prompt}});
        for (std::int64_t step = 0; step < settings.steps; ++step) {
            control.report(double(std::int64_t(i) * settings.steps + step), double(std::int64_t(places.size()) * settings.steps), "steps");
            const at::Tensor rows = at::tensor(
                drawn(learned.states, settings.batch, core::deriveSeed(settings.seed, std::uint64_t(step + 1), "learned prompt")), tokens.options());
            at::Tensor gradient;
            {
                const at::AutoGradMode enable(true);
                const at::Tensor leaf = prompt.detach().clone().requires_grad_(true);
                const at::Tensor loss = lossOf(subject, lessons, places[i], lessons.states[i], leaf, rows, control);
                gradient = torch::autograd::grad({loss}, {leaf}, {}, {}, false, true)[0];
            }
            if (!gradient.defined())  // nothing behind this place looks at the prompt
                break;
            adam->step(std::vector<at::Tensor>{gradient.detach().contiguous()}, settings.rate * lessons.spread);
        }
        learned.after.push_back(meanLoss(subject, lessons, places[i], lessons.states[i], prompt, settings.batch, control));
        learned.context.prompts.push_back(prompt);
    }
    return learned;
}

}  // namespace orrery::intervene
