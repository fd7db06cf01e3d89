#include "layout.h"

#include <algorithm>
#include <array>
#include <utility>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::intervene {
namespace {

using Axes = std::vector<Axis>;

std::string_view lastPart(std::string_view name)
{
    const auto dot = name.rfind('.');
    return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

const Axes* canonicalAxes(std::string_view part)
{
    static const Axes kResidual = {Axis::Batch, Axis::Position, Axis::Feature}, kHeads = {Axis::Batch, Axis::Head, Axis::Position, Axis::Feature},
                      kPattern = {Axis::Batch, Axis::Head, Axis::Query, Axis::Key}, kLogits = {Axis::Batch, Axis::Position, Axis::Class};
    static const std::vector<std::pair<std::string_view, const Axes*>> kTable = {{"resid_pre", &kResidual},
                                                                                 {"resid_mid", &kResidual},
                                                                                 {"resid_post", &kResidual},
                                                                                 {"attn_out", &kResidual},
                                                                                 {"mlp_out", &kResidual},
                                                                                 {"embed", &kResidual},
                                                                                 {"ln_final", &kResidual},
                                                                                 {"pre", &kResidual},
                                                                                 {"post", &kResidual},
                                                                                 {"q", &kHeads},
                                                                                 {"k", &kHeads},
                                                                                 {"v", &kHeads},
                                                                                 {"z", &kHeads},
                                                                                 {"scores", &kPattern},
                                                                                 {"pattern", &kPattern},
                                                                                 {"logits", &kLogits}};
    const auto it = std::find_if(kTable.begin(), kTable.end(), [&](const auto& row) { return row.first == part; });
    return it == kTable.end() ? nullptr : it->second;
}

bool isInAttention(const graph::Graph& graph, std::string_view value)
{
    const auto id = graph.findValue(value);
    const auto* node = id ? graph.producer(*id) : nullptr;
    if (!node)
        return false;
    const auto& modules = graph.data().modules;
    const auto it = std::find_if(modules.begin(), modules.end(), [&](const auto& module) { return module.path == node->module; });
    return it != modules.end() && it->type.find("Attention") != std::string::npos;
}

Axes axesByRank(std::size_t rank)
{
    switch (rank) {
    case 2: return {Axis::Batch, Axis::Feature};
    case 3: return {Axis::Batch, Axis::Position, Axis::Feature};
    case 4: return {Axis::Batch, Axis::Channel, Axis::Height, Axis::Width};
    default: break;
    }
    Axes axes(rank, Axis::Other);
    if (rank > 0)
        axes[0] = Axis::Batch;
    return axes;
}

std::string withoutHook(const std::string& place)
{
    const auto last = lastPart(place);
    if (!last.starts_with("hook_"))
        return place;
    return place.substr(0, place.size() - last.size()) + std::string(last.substr(5));
}

std::vector<std::string> canonicalMatches(const graph::ModelCard& card, const std::string& place)
{
    std::vector<std::string> found;
    for (const auto& [canonical, value] : card.canonicalNames)
        if (core::matchesGlob(place, canonical) && std::find(found.begin(), found.end(), value) == found.end())
            found.push_back(value);
    return found;
}

// In the order of computation: the card's map sorts blocks.10 before blocks.2.
void sortByGraph(const graph::Graph& graph, std::vector<std::string>& values)
{
    std::sort(values.begin(), values.end(), [&](const auto& a, const auto& b) { return graph.findValue(a) < graph.findValue(b); });
}

}  // namespace

std::string_view axisName(Axis axis)
{
    static constexpr std::array<std::string_view, 11> kNames = {"batch",  "position", "head",    "query", "key",  "channel",
                                                                "height", "width",    "feature", "class", "other"};
    return kNames[std::size_t(axis)];
}

std::vector<Axis> axesOf(const graph::Graph& graph, const graph::ModelCard& card, std::string_view value, std::size_t rank)
{
    if (const auto canonical = canonicalNameOf(card, value))
        if (const auto* axes = canonicalAxes(lastPart(*canonical)); axes && axes->size() == rank)
            return *axes;
    if (rank >= 3 && isInAttention(graph, value)) {
        Axes axes(rank, Axis::Other);
        axes[0] = Axis::Batch;
        return axes;
    }
    return axesByRank(rank);
}

std::optional<std::size_t> findAxis(const std::vector<Axis>& axes, Axis wanted)
{
    auto it = std::find(axes.begin(), axes.end(), wanted);
    if (it == axes.end() && wanted == Axis::Position)
        it = std::find(axes.begin(), axes.end(), Axis::Query);
    if (it == axes.end())
        return std::nullopt;
    return std::size_t(it - axes.begin());
}

std::vector<std::string> resolvePlace(const graph::Graph& graph, const graph::ModelCard& card, const std::string& place)
{
    const auto plain = withoutHook(place);
    auto found = graph.findValue(place) ? std::vector<std::string>{place} : canonicalMatches(card, plain);
    if (!found.empty()) {
        sortByGraph(graph, found);
        return found;
    }
    try {
        for (const auto id : graph.resolve(place))
            found.push_back(graph.value(id).name);
    } catch (const core::InputError& error) {
        std::vector<std::string> names;
        for (const auto& [canonical, value] : card.canonicalNames)
            names.push_back(canonical);
        const auto hint = core::didYouMean(plain, names);
        const std::string said = error.what();
        throw core::InputError(hint.empty() || said.ends_with(hint) ? said : said + " (canonical names" + hint + ")");
    }
    return found;
}

std::string resolveOne(const graph::Graph& graph, const graph::ModelCard& card, const std::string& place)
{
    const auto found = resolvePlace(graph, card, place);
    if (found.size() != 1) {
        const std::vector<std::string> first(found.begin(), found.begin() + std::ptrdiff_t(std::min<std::size_t>(found.size(), 5)));
        throw core::InputError(fmt::format("\"{}\": expected one value, it names {}: {}{}", place, found.size(), core::join(first, ", "),
                                           found.size() > 5 ? ", ..." : ""));
    }
    return found[0];
}

std::optional<std::string> canonicalNameOf(const graph::ModelCard& card, std::string_view value)
{
    for (const auto& [canonical, path] : card.canonicalNames)
        if (path == value)
            return canonical;
    return std::nullopt;
}

int blockCount(const graph::ModelCard& card)
{
    int count = 0;
    while (card.canonicalNames.contains(fmt::format("blocks.{}.resid_post", count)))
        ++count;
    return count;
}

std::string canonicalValue(const graph::ModelCard& card, const std::string& canonical, std::string_view neededFor)
{
    const auto it = card.canonicalNames.find(canonical);
    if (it == card.canonicalNames.end())
        throw core::InputError(fmt::format("{} needs a value with the canonical name \"{}\"; the model card names {}", neededFor, canonical,
                                           card.canonicalNames.empty() ? "none (is it a transformer?)" : "others"));
    return it->second;
}

}  // namespace orrery::intervene
