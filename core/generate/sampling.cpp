#include "sampling.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <set>

#include <core/base/rng.h>

namespace orrery::generation {
namespace {

std::vector<double> flatNumbers(const at::Tensor& tensor)
{
    const auto flat = tensor.to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

/// The `count` most probable tokens, by falling probability; of equals the smaller number first.
std::vector<std::int64_t> mostProbable(const std::vector<double>& probabilities, std::size_t count)
{
    std::vector<std::int64_t> order(probabilities.size());
    std::iota(order.begin(), order.end(), 0);
    count = std::min(count, order.size());
    std::partial_sort(order.begin(), order.begin() + std::ptrdiff_t(count), order.end(), [&](auto a, auto b) {
        const double left = probabilities[std::size_t(a)], right = probabilities[std::size_t(b)];
        return left != right ? left > right : a < b;
    });
    order.resize(count);
    return order;
}

double massOf(const std::vector<double>& probabilities, const std::vector<std::int64_t>& tokens)
{
    double sum = 0;
    for (const auto token : tokens)
        sum += probabilities[std::size_t(token)];
    return sum;
}

/// The tokens that top_k and top_p leave, by falling probability.
std::vector<std::int64_t> candidates(const std::vector<double>& probabilities, const SamplingOptions& options)
{
    auto order = mostProbable(probabilities, options.topK > 0 ? std::size_t(options.topK) : probabilities.size());
    const double total = massOf(probabilities, order);
    std::size_t kept = 0;
    for (double sum = 0; kept < order.size() && (kept == 0 || sum < options.topP * total); ++kept)
        sum += probabilities[std::size_t(order[kept])];
    order.resize(kept);
    return order;
}

at::Tensor penalised(const at::Tensor& logits, double penalty, std::span<const std::int64_t> text)
{
    if (penalty == 1 || text.empty())
        return logits;
    at::Tensor changed = logits.to(at::kCPU, at::kDouble).clone();
    double* values = changed.data_ptr<double>();
    for (const std::int64_t token : std::set<std::int64_t>(text.begin(), text.end()))
        if (token >= 0 && token < changed.numel())
            values[token] = values[token] > 0 ? values[token] / penalty : values[token] * penalty;
    return changed;
}

}  // namespace

std::int64_t chooseToken(const at::Tensor& logits, const SamplingOptions& options, std::int64_t step, std::span<const std::int64_t> text)
{
    const at::Tensor used = penalised(logits, options.repetitionPenalty, text);
    if (!options.sample)
        return used.argmax(-1).item<std::int64_t>();
    const auto probabilities = flatNumbers(at::softmax(used.to(at::kDouble) / options.temperature, -1));
    const auto tokens = candidates(probabilities, options);
    double rest = core::SplitMix64(core::deriveSeed(options.seed, std::uint64_t(step), "generate")).uniform() * massOf(probabilities, tokens);
    for (const auto token : tokens)
        if ((rest -= probabilities[std::size_t(token)]) < 0)
            return token;
    return tokens.back();
}

GeneratedToken describedToken(const at::Tensor& logits, std::int64_t token, std::size_t alternatives)
{
    const auto probabilities = flatNumbers(at::softmax(logits.to(at::kDouble), -1));
    GeneratedToken result{token, probabilities[std::size_t(token)], {}};
    for (const auto each : mostProbable(probabilities, alternatives))
        result.alternatives.emplace_back(each, probabilities[std::size_t(each)]);
    return result;
}

core::Schema samplingSchema()
{
    return {
        core::integer("max_new_tokens", 20, "Tokens that are written at most.").range(1, 100'000),
        core::boolean("do_sample", false, "Draw the next token by its probability; off takes the most probable."),
        core::real("temperature", 1.0, "Divides the logits: below 1 sharper, above 1 flatter.").above(0).range(1e-6, 1000).when("do_sample", {true}),
        core::integer("top_k", 50, "Draw only among the k most probable tokens; 0: all.").range(0, 10'000'000).when("do_sample", {true}),
        core::real("top_p", 1.0, "Draw only among the most probable tokens that together reach this probability.")
            .range(0, 1)
            .when("do_sample", {true}),
    };
}

void readSampling(const core::Json& resolved, SamplingOptions& options)
{
    options.sample = resolved.at("do_sample").get<bool>();
    options.temperature = resolved.value("temperature", options.temperature);
    options.topK = resolved.value("top_k", options.topK);
    options.topP = resolved.value("top_p", options.topP);
}

}  // namespace orrery::generation
