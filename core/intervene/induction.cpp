#include "induction.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include <core/base/rng.h>
#include <core/base/text.h>
#include <core/graph/sequence_limit.h>

#include "layout.h"

namespace orrery::intervene {
namespace {

constexpr std::int64_t kUsualLength = 50, kRepeatedBatch = 8;

/// Sums over sequences, to be divided by their number.
struct Sums {
    at::Tensor induction, duplicate, previous, first, entropy, loss, right;
};

void addTo(at::Tensor& sum, const at::Tensor& value)
{
    sum = sum.defined() ? sum + value : value;
}

/// Mean over the second half's queries of the attention `back` positions back; [sequence, head].
at::Tensor attentionBack(const at::Tensor& pattern, std::int64_t length, std::int64_t back)
{
    return pattern.diagonal(-back, -2, -1).slice(-1, length - back, 2 * length - back).mean(-1);
}

/// Patterns of one batch, one a block: [sequence, head, query, key].
void addPatterns(Sums& sums, const std::vector<at::Tensor>& patterns, std::int64_t length)
{
    std::vector<at::Tensor> induction, duplicate, previous, first, entropy;
    for (const at::Tensor& given : patterns) {
        const at::Tensor pattern = given.to(at::kCPU, at::kDouble);
        induction.push_back(attentionBack(pattern, length, length - 1).sum(0));
        duplicate.push_back(attentionBack(pattern, length, length).sum(0));
        previous.push_back(previousTokenScore(pattern).sum(0));
        first.push_back(firstTokenScore(pattern).sum(0));
        entropy.push_back(attentionEntropy(pattern).sum(0));
    }
    addTo(sums.induction, at::stack(induction));
    addTo(sums.duplicate, at::stack(duplicate));
    addTo(sums.previous, at::stack(previous));
    addTo(sums.first, at::stack(first));
    addTo(sums.entropy, at::stack(entropy));
}

void addPredictions(Sums& sums, const at::Tensor& logits, const at::Tensor& tokens)
{
    if (logits.isnan().any().item<bool>())
        throw core::InputError("the model's logits hold NaN: its weights are broken (a training that diverged?)");
    const std::int64_t length = tokens.size(1);
    const at::Tensor known = logits.slice(1, 0, length - 1).to(at::kCPU, at::kDouble), next = tokens.slice(1, 1, length).to(at::kCPU);
    addTo(sums.loss, -known.log_softmax(-1).gather(2, next.unsqueeze(2)).squeeze(2).sum(0));
    addTo(sums.right, known.argmax(-1).eq(next).to(at::kDouble).sum(0));
}

void checkHeads(const std::vector<HeadPlace>& heads, const graph::Model& model, std::int64_t blocks, std::int64_t perBlock)
{
    for (const HeadPlace& place : heads) {
        if (place.block < 0 || place.block >= blocks || place.head < 0 || place.head >= perBlock)
            throw core::InputError(
                fmt::format("no head {}: the model has blocks 0 to {} with heads 0 to {}", place.text(), blocks - 1, perBlock - 1));
        canonicalValue(model.card, fmt::format("blocks.{}.attn.z", place.block), "ablating a head");
    }
}

std::vector<graph::Probe> ablations(const LensSubject& subject, const std::vector<HeadPlace>& heads)
{
    std::map<std::string, std::vector<std::int64_t>> byValue;
    for (const HeadPlace& place : heads)
        byValue[canonicalValue(subject.model.card, fmt::format("blocks.{}.attn.z", place.block), "ablating a head")].push_back(place.head);
    std::vector<graph::Probe> probes;
    for (const auto& [value, numbers] : byValue)
        probes.push_back(graph::Probe::replacing(value, [numbers](const std::string&, const c10::IValue& z) -> c10::IValue {
            const at::Tensor changed = z.toTensor().clone();
            for (const std::int64_t head : numbers)
                changed.select(1, head).zero_();
            return changed;
        }));
    return probes;
}

std::int64_t chosenLength(const graph::Model& model, std::int64_t wanted)
{
    const auto longest = graph::longestSequence(*model.graph, model.card);
    const std::int64_t length = wanted > 0 ? wanted : std::min(kUsualLength, longest ? *longest / 2 : kUsualLength);
    if (longest && 2 * length > *longest)
        throw core::InputError(fmt::format("length {}: repeated it has {} tokens, and the model takes at most {}", length, 2 * length, *longest));
    if (length < 2)
        throw core::InputError(fmt::format("expected a length of at least 2, got {}", length));
    return length;
}

std::vector<HeadPlace> headsAbove(const at::Tensor& scores, double threshold)
{
    std::vector<std::pair<double, HeadPlace>> found;
    for (int block = 0; block < scores.size(0); ++block)
        for (int head = 0; head < scores.size(1); ++head)
            if (const double score = scores[block][head].item<double>(); score >= threshold)
                found.emplace_back(score, HeadPlace{block, head});
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<HeadPlace> heads;
    for (const auto& [score, place] : found)
        heads.push_back(place);
    return heads;
}

void finish(InductionScores& made, const Sums& sums)
{
    const double count = double(made.sequences);
    made.scores = {sums.previous / count, sums.duplicate / count, sums.induction / count, sums.first / count, sums.entropy / count};
    made.loss = sums.loss / count;
    const at::Tensor accuracy = sums.right / count;
    const auto mean = [&](const at::Tensor& values, std::int64_t from, std::int64_t to) { return values.slice(0, from, to).mean().item<double>(); };
    made.firstLoss = mean(made.loss, 0, made.length - 1);
    made.secondLoss = mean(made.loss, made.length, 2 * made.length - 1);
    made.firstAccuracy = mean(accuracy, 0, made.length - 1);
    made.secondAccuracy = mean(accuracy, made.length, 2 * made.length - 1);
    made.inductionHeads = headsAbove(made.scores.induction, kInductionThreshold);
}

}  // namespace

HeadPlace headPlace(const std::string& text)
{
    HeadPlace place;
    const char* const end = text.data() + text.size();
    const auto block = std::from_chars(text.data(), end, place.block);
    const bool hasDot = block.ec == std::errc() && block.ptr != end && *block.ptr == '.';
    const auto head = hasDot ? std::from_chars(block.ptr + 1, end, place.head) : block;
    if (!hasDot || head.ec != std::errc() || head.ptr != end || place.block < 0 || place.head < 0)
        throw core::InputError(fmt::format("expected a head as LAYER.HEAD, such as 1.3, got \"{}\"", text));
    return place;
}

at::Tensor repeatedTokens(std::int64_t sequences, std::int64_t length, std::int64_t vocabulary, std::uint64_t seed)
{
    if (sequences < 1 || length < 1 || vocabulary < 2)
        throw core::InputError(
            fmt::format("expected at least 1 sequence of 1 token out of 2, got {} of {} out of {}", sequences, length, vocabulary));
    const at::Tensor half = at::empty({sequences, length}, at::kLong);
    std::vector<std::int64_t> order(std::size_t(vocabulary), 0);
    for (std::int64_t i = 0; i < sequences; ++i) {
        core::SplitMix64 random(core::deriveSeed(seed, std::uint64_t(i), "induction"));
        std::iota(order.begin(), order.end(), 0);
        std::int64_t* row = half.data_ptr<std::int64_t>() + i * length;
        for (std::int64_t k = 0; k < length; ++k) {
            // Drawn without putting back, until all are used up.
            const std::int64_t at = k % vocabulary;
            std::swap(order[std::size_t(at)], order[std::size_t(at) + random.below(std::uint64_t(vocabulary - at))]);
            row[k] = order[std::size_t(at)];
        }
    }
    return at::cat({half, half}, 1);
}

InductionScores inductionScores(const LensSubject& subject, const InductionSettings& settings, const Control& control)
{
    const auto vocabulary = vocabularySize(subject.model);
    if (!vocabulary)
        throw core::InputError("induction scores need a model that reads tokens (canonical name \"embed\" on an embedding)");
    InductionScores made;
    made.vocabulary = *vocabulary;
    made.sequences = settings.sequences;
    made.length = chosenLength(subject.model, settings.length);
    const at::Tensor tokens = checkedTokens(subject.model, repeatedTokens(made.sequences, made.length, *vocabulary, settings.seed));
    graph::RunRequest request;
    request.keep = patternValues(subject.model.card);
    request.targets = {canonicalValue(subject.model.card, "logits", "the induction score")};
    request.stop = control.stop;
    const auto patterns = request.keep;
    Sums sums;
    for (std::int64_t from = 0; from < made.sequences; from += kRepeatedBatch) {
        control.report(double(from), double(made.sequences), "sequences");
        const at::Tensor some = tokens.slice(0, from, std::min(made.sequences, from + kRepeatedBatch));
        request.inputs = {some};
        if (from == 0 && !settings.ablated.empty()) {
            graph::RunRequest first = request;
            first.targets = {patterns.front()};
            first.inputs = {some.slice(0, 0, 1)};
            checkHeads(settings.ablated, subject.model, std::int64_t(patterns.size()),
                       subject.executor.run(subject.model.weights, first).tensor().size(1));
            request.probes = ablations(subject, settings.ablated);
        }
        const auto result = subject.executor.run(subject.model.weights, request);
        std::vector<at::Tensor> values;
        for (const std::string& value : patterns)
            values.push_back(result.value(value));
        addPatterns(sums, values, made.length);
        addPredictions(sums, result.tensor(), some);
    }
    finish(made, sums);
    control.report(double(made.sequences), double(made.sequences), "sequences");
    return made;
}

}  // namespace orrery::intervene
