#include <ATen/ATen.h>

#include <limits>

#include <core/base/text.h>

#include "kinds.h"
#include "selection.h"

namespace orrery::intervene {
namespace {

constexpr double kRemoved = -std::numeric_limits<double>::infinity();

// A query without any key left would have no pattern: 0/0.
void checkKeysLeft(const Situation& s)
{
    const auto after = s.selection->scatter(s.whole, at::full_like(s.x, kRemoved));
    const auto emptied = (after == kRemoved).all(-1).nonzero();
    if (emptied.size(0) == 0)
        return;
    const auto first = emptied[0].to(at::kCPU);
    throw core::InputError(
        fmt::format("{}: query position {} of head {} has no key left to attend to; name the keys to remove, and leave one (a causal model's "
                    "first position has only itself)",
                    s.place, first[-1].item<std::int64_t>(), first.numel() > 1 ? first[1].item<std::int64_t>() : 0));
}

Prepared prepareKnockout(const core::Json&, const KindContext&)
{
    Prepared prepared;
    prepared.apply = [](const Situation& s) {
        checkKeysLeft(s);
        return at::full_like(s.x, kRemoved);
    };
    return prepared;
}

}  // namespace

void addAttentionKnockout(KindRegistry& registry)
{
    core::Component component{
        "attention_knockout",
        "Attention knockout",
        "Removes edges of attention: the scores from the unit's queries to its keys become -inf before the softmax.",
        "Geva et al. (2023), \"Dissecting Recall of Factual Associations in Auto-Regressive Language Models\", arXiv:2304.14767, section 5",
        {},
        {},
        {}};
    InterventionKind kind;
    kind.onScores = true;
    kind.prepare = prepareKnockout;
    registry.add(std::move(component), std::move(kind));
}

}  // namespace orrery::intervene
