#include <ATen/ATen.h>

#include <core/base/text.h>

#include "kinds.h"
#include "selection.h"

namespace orrery::intervene {
namespace {

// A growing text would change the mean at every step; positions of the prompt are the reference then.
at::Tensor meanOverPositions(const Situation& s, const at::Tensor& reference, bool isOwn)
{
    if (!s.positionAxis)
        throw core::InputError(fmt::format("{}.do.over: \"{}\" has no axis of positions; expected \"batch\" or \"data\"", s.place, s.value));
    const auto axis = std::int64_t(*s.positionAxis);
    const auto part = isOwn && s.promptLength ? reference.narrow(axis, 0, *s.promptLength) : reference;
    return part.mean(axis, /*keepdim=*/true);
}

at::Tensor applied(const Situation& s, const std::string& over)
{
    const bool isOwn = !s.sourceWhole.defined();
    auto reference = isOwn ? s.whole : s.sourceWhole;
    if (over == "position" || over == "batch_and_position")
        reference = meanOverPositions(s, reference, isOwn);
    if (over != "position" && reference.dim() > 0)
        reference = reference.mean(0, /*keepdim=*/true);
    return s.selection->gather(stretched(reference, s.whole.sizes(), fmt::format("{}: mean of \"{}\"", s.place, s.value)), s.place);
}

}  // namespace

void addMean(KindRegistry& registry)
{
    core::Component component{
        "mean",
        "Mean",
        "Sets the unit to its mean over a reference (mean ablation); with a source the mean is the source's.",
        "Wang et al. (2022), \"Interpretability in the Wild\", arXiv:2211.00593, section 2.2",
        {core::choice(
            "over", {"batch", "position", "batch_and_position", "data"}, "batch",
            "batch: over samples, each position its own mean; position: over positions, each sample its own; data: over all samples of the source, "
            "which may be many.")},
        {},
        {}};
    InterventionKind kind;
    kind.usesSource = true;
    kind.prepare = [](const core::Json& parameters, const KindContext&) {
        const auto over = parameters.at("over").get<std::string>();
        Prepared prepared;
        prepared.needsSource = prepared.sourceMean = over == "data";
        prepared.wholeSource = true;
        prepared.apply = [over](const Situation& s) { return applied(s, over); };
        return prepared;
    };
    registry.add(std::move(component), std::move(kind));
}

}  // namespace orrery::intervene
