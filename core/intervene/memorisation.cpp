#include "memorisation.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace orrery::intervene {
namespace {

constexpr std::int64_t kRecallBatch = 16;

void checkLengths(std::int64_t prompt, std::int64_t continuation, std::int64_t length)
{
    if (prompt < 1 || prompt >= length)
        throw core::InputError(fmt::format("prompt {}: expected one from 1 to {} for sequences of {} tokens", prompt, length - 1, length));
    if (continuation < 1 || prompt + continuation > length)
        throw core::InputError(fmt::format("continuation {}: expected one from 1 to {} behind a prompt of {} in sequences of {} tokens", continuation,
                                           length - prompt, prompt, length));
}

}  // namespace

std::int64_t Memorisation::extractable() const
{
    return matched.eq(continuation).sum().item<std::int64_t>();
}

double Memorisation::meanMatched() const
{
    return matched.to(at::kDouble).mean().item<double>();
}

Memorisation memorisation(const LensSubject& subject, const at::Tensor& sequences, const MemorisationSettings& settings, const Control& control)
{
    const at::Tensor tokens = checkedTokens(subject.model, sequences);
    const std::int64_t length = tokens.size(1), count = tokens.size(0);
    Memorisation made;
    made.prompt = settings.prompt.value_or(std::max<std::int64_t>(1, length / 2));
    made.continuation = settings.continuation.value_or(length - made.prompt);
    checkLengths(made.prompt, made.continuation, length);
    const std::int64_t end = made.prompt + made.continuation;
    std::vector<at::Tensor> matched;
    for (std::int64_t from = 0; from < count; from += kRecallBatch) {
        control.report(double(from), double(count), "sequences");
        const at::Tensor batch = tokens.slice(0, from, std::min(count, from + kRecallBatch)).slice(1, 0, end);
        const at::Tensor logits = runStream(subject, batch, {}, control).logits;
        const at::Tensor isRight = logits.slice(1, made.prompt - 1, end - 1).argmax(-1).eq(batch.slice(1, made.prompt, end));
        matched.push_back(isRight.to(at::kLong).cumprod(1).sum(1).to(at::kCPU));
    }
    made.matched = at::cat(matched);
    control.report(double(count), double(count), "sequences");
    return made;
}

}  // namespace orrery::intervene
