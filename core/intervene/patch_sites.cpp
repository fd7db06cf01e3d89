#include "patch_sites.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include <core/base/error.h>
#include <core/base/text.h>

#include "output_metric.h"

namespace orrery::intervene {
namespace {

// Inside attention and the MLP the canonical names have a folder more.
std::string canonicalOf(std::int64_t layer, const std::string& component)
{
    static const std::vector<std::string> kAttention = {"q", "k", "v", "scores", "pattern", "z"};
    const bool attention = std::find(kAttention.begin(), kAttention.end(), component) != kAttention.end();
    return fmt::format("blocks.{}.{}{}", layer, attention ? "attn." : "", component);
}

bool isCanonical(const std::string& component)
{
    const auto& all = patchComponents();
    return std::find(all.begin(), all.end(), component) != all.end();
}

std::vector<std::int64_t> chosenLayers(const graph::ModelCard& card, const std::vector<std::int64_t>& layers, const std::string& component)
{
    const int count = blockCount(card);
    if (count == 0)
        throw core::InputError(
            fmt::format("component \"{}\" needs a transformer whose card names blocks.N.{}; name values of this model instead, such as "
                        "a path or a pattern (see `orrery-cli inspect`)",
                        component, component));
    std::vector<std::int64_t> chosen = layers;
    if (chosen.empty()) {
        chosen.resize(std::size_t(count));
        std::iota(chosen.begin(), chosen.end(), 0);
    }
    for (auto& layer : chosen) {
        if (layer < -count || layer >= count)
            throw core::InputError(fmt::format("layer {}: expected {}..{}", layer, -count, count - 1));
        layer = layer < 0 ? layer + count : layer;
    }
    return chosen;
}

void addCanonical(std::vector<PatchSite>& sites, const graph::ModelCard& card, const std::string& component, const std::vector<std::int64_t>& layers)
{
    for (const auto layer : chosenLayers(card, layers, component)) {
        PatchSite site;
        site.component = component;
        site.label = std::to_string(layer);
        site.value = canonicalValue(card, canonicalOf(layer, component), "patching");
        sites.push_back(std::move(site));
    }
}

void addPlace(std::vector<PatchSite>& sites, const graph::Graph& graph, const graph::ModelCard& card, const std::string& place)
{
    const auto before = sites.size();
    for (const auto& value : resolvePlace(graph, card, place)) {
        const auto id = *graph.findValue(value);
        if (graph.parameterOf(id) || graph.value(id).type != "Tensor")
            continue;  // a pattern over a module's path names its weights, too
        PatchSite site;
        site.component = place;
        site.value = site.label = value;
        sites.push_back(std::move(site));
    }
    if (sites.size() == before)
        throw core::InputError(fmt::format("component \"{}\" names weights or sizes alone; expected values that are computed from the input", place));
}

std::optional<std::size_t> unitAxisOf(const std::vector<Axis>& axes)
{
    for (const auto wanted : {Axis::Position, Axis::Channel, Axis::Feature, Axis::Class})
        if (const auto axis = findAxis(axes, wanted))
            return axis;
    return std::nullopt;
}

}  // namespace

const std::vector<std::string>& patchComponents()
{
    static const std::vector<std::string> kComponents = {"resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "q",
                                                         "k",         "v",        "pattern",   "z",       "mlp.pre",    "mlp.post"};
    return kComponents;
}

std::vector<std::string> patchComponents(const graph::ModelCard& card)
{
    std::vector<std::string> known;
    for (const auto& component : patchComponents())
        if (card.canonicalNames.contains(canonicalOf(0, component)))
            known.push_back(component);
    return known;
}

std::vector<PatchSite> sitesOf(const graph::Graph& graph, const graph::ModelCard& card, const std::vector<std::string>& components,
                               const std::vector<std::int64_t>& layers)
{
    if (components.empty())
        throw core::InputError("components: expected at least one, got none");
    if (!layers.empty() && std::none_of(components.begin(), components.end(), isCanonical))
        throw core::InputError(fmt::format("layers: expected none, since {} names values by itself; layers choose among those of {}",
                                           components.front(), core::join(patchComponents(), ", ")));
    std::vector<PatchSite> sites;
    for (const auto& component : components)
        if (isCanonical(component))
            addCanonical(sites, card, component, layers);
        else
            addPlace(sites, graph, card, component);
    return sites;
}

void layOut(PatchSite& site, const graph::Graph& graph, const graph::ModelCard& card, at::IntArrayRef shape, bool byHead, bool byUnit,
            const std::vector<std::int64_t>& units)
{
    if (shape.empty() || shape[0] != 1)
        throw core::InputError(fmt::format("value {} is {}; expected one row for the sample, [1, ...]: it has no batch axis and cannot be patched",
                                           site.value, core::formatShape(shape)));
    const auto axes = axesOf(graph, card, site.value, shape.size());
    site.shape = shape.vec();
    site.units = {-1};
    if (byHead)
        site.headAxis = findAxis(axes, Axis::Head);
    if (site.headAxis)
        site.heads = shape[*site.headAxis];
    const auto axis = unitAxisOf(axes);
    if (!byUnit || !axis)
        return;
    site.unitAxis = axis;
    site.unit = axes[*axis] == Axis::Query ? Axis::Position : axes[*axis];
    const auto length = shape[*axis];
    site.units.resize(std::size_t(length));
    std::iota(site.units.begin(), site.units.end(), 0);
    if (units.empty())
        return;
    site.units.clear();
    for (const auto unit : units) {
        if (unit < -length || unit >= length)
            throw core::InputError(fmt::format("{} {} of {}: expected {}..{}", axisName(site.unit), unit, site.value, -length, length - 1));
        site.units.push_back(unit < 0 ? unit + length : unit);
    }
}

at::Tensor patchedPart(const PatchSite& site, const at::Tensor& value, std::int64_t row, std::int64_t head, std::int64_t unit)
{
    at::Tensor part = value.narrow(0, row, 1);
    if (site.headAxis)
        part = part.narrow(std::int64_t(*site.headAxis), head, 1);
    if (site.unitAxis && unit >= 0)
        part = part.narrow(std::int64_t(*site.unitAxis), unit, 1);
    return part;
}

}  // namespace orrery::intervene
