#include "attention.h"

#include <ATen/ATen.h>

#include "layout.h"

namespace orrery::intervene {
namespace {

at::Tensor plainPattern(const at::Tensor& pattern)
{
    return pattern.detach().to(at::kCPU, at::kDouble);
}

/// Mean over the queries that `keys` [query, key] gives something to look at. 0 / 0 is NaN: no query counts.
at::Tensor meanOver(const at::Tensor& pattern, const at::Tensor& keys)
{
    const at::Tensor counted = keys.any(-1).sum().to(at::kDouble);
    return (plainPattern(pattern) * keys.to(at::kDouble)).sum({-2, -1}) / counted;
}

/// [query, key]: an earlier position with the same token.
at::Tensor earlierOccurrences(const at::Tensor& tokens)
{
    const at::Tensor row = tokens.to(at::kCPU, at::kLong).reshape(-1);
    return row.unsqueeze(1).eq(row.unsqueeze(0)).tril(-1);
}

}  // namespace

at::Tensor previousTokenScore(const at::Tensor& pattern)
{
    const at::Tensor ones = at::ones({pattern.size(-2), pattern.size(-1)}, at::kBool);
    return meanOver(pattern, ones.tril(-1).logical_and(ones.triu(-1)));
}

at::Tensor duplicateTokenScore(const at::Tensor& pattern, const at::Tensor& tokens)
{
    return meanOver(pattern, earlierOccurrences(tokens));
}

at::Tensor inductionScore(const at::Tensor& pattern, const at::Tensor& tokens)
{
    const at::Tensor earlier = earlierOccurrences(tokens);
    at::Tensor followers = at::zeros_like(earlier);
    const std::int64_t length = earlier.size(1);
    followers.slice(1, 1, length).copy_(earlier.slice(1, 0, length - 1));
    return meanOver(pattern, followers.tril(-1));
}

at::Tensor firstTokenScore(const at::Tensor& pattern)
{
    at::Tensor keys = at::zeros({pattern.size(-2), pattern.size(-1)}, at::kBool);
    keys.slice(0, 1, keys.size(0)).slice(1, 0, 1).fill_(true);
    return meanOver(pattern, keys);
}

at::Tensor attentionEntropy(const at::Tensor& pattern)
{
    const at::Tensor p = plainPattern(pattern);
    return -at::xlogy(p, p).sum(-1).mean(-1);
}

HeadScores headScores(const std::vector<at::Tensor>& patterns, const at::Tensor& tokens)
{
    std::vector<at::Tensor> previous, duplicate, induction, first, entropy;
    for (const at::Tensor& pattern : patterns) {
        previous.push_back(previousTokenScore(pattern));
        duplicate.push_back(duplicateTokenScore(pattern, tokens));
        induction.push_back(inductionScore(pattern, tokens));
        first.push_back(firstTokenScore(pattern));
        entropy.push_back(attentionEntropy(pattern));
    }
    return {at::stack(previous), at::stack(duplicate), at::stack(induction), at::stack(first), at::stack(entropy)};
}

std::vector<std::string> patternValues(const graph::ModelCard& card)
{
    std::vector<std::string> values;
    for (int block = 0; block < std::max(1, blockCount(card)); ++block)
        values.push_back(canonicalValue(card, fmt::format("blocks.{}.attn.pattern", block), "the attention view"));
    return values;
}

AttentionPatterns attentionPatterns(const LensSubject& subject, const at::Tensor& tokens, const Control& control)
{
    graph::RunRequest request;
    request.keep = patternValues(subject.model.card);
    const at::Tensor numbers = checkedTokens(subject.model, tokens);
    if (numbers.size(0) != 1)
        throw core::ShapeError(fmt::format("attention is shown for one sequence, got {}", numbers.size(0)));
    control.report(0, 1, "runs");
    request.inputs = subject.inputsFor(numbers);
    request.stop = control.stop;
    const auto result = subject.executor.run(subject.model.weights, request);
    AttentionPatterns made;
    made.tokens = numbers[0].to(at::kCPU);
    for (const std::string& value : request.keep)
        made.patterns.push_back(result.value(value)[0].to(at::kCPU, at::kFloat).contiguous());
    made.scores = headScores(made.patterns, made.tokens);
    control.report(1, 1, "runs");
    return made;
}

}  // namespace orrery::intervene
