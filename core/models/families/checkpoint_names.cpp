#include "checkpoint_names.h"

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/models/model_file.h>

#include "experts.h"

namespace orrery::models::families {
namespace {

constexpr std::size_t kNamesShown = 8;

std::string modernName(const std::string& name)
{
    for (const auto& [old, now] :
         {std::pair<std::string_view, std::string_view>{"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}})
        if (name.ends_with(old))
            return name.substr(0, name.size() - old.size()) + std::string(now);
    return name;
}

bool isParameter(const graph::Graph& graph, const std::string& name)
{
    return graph.findParameter(name) != nullptr;
}

bool carriesNothing(const Family& family, const std::string& name)
{
    const auto prefix = family.basePrefix.empty() ? "" : family.basePrefix + ".";
    const std::string bare = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    return std::any_of(family.ignored.begin(), family.ignored.end(),
                       [&](const std::string& pattern) { return core::matchesGlob(pattern, bare) || core::matchesGlob(pattern, name); });
}

std::string shortList(std::vector<std::string> names)
{
    const auto count = names.size();
    names.resize(std::min(count, kNamesShown));
    return core::join(names, ", ") + (count > kNamesShown ? fmt::format(" and {} more", count - kNamesShown) : std::string());
}

}  // namespace

NamedTensors namedForGraph(const graph::Graph& graph, const graph::Weights& given, const Family& family)
{
    const auto& parameters = graph.data().parameters;
    const bool mixtralNames =
        std::any_of(parameters.begin(), parameters.end(), [](const auto& each) { return each.name.find(".block_sparse_moe.") != std::string::npos; });
    const graph::Weights file = hasFusedExperts(given) ? withSingleExperts(given, mixtralNames) : given;
    NamedTensors named;
    const auto prefix = family.basePrefix.empty() ? "" : family.basePrefix + ".";
    for (const auto& [fileName, tensor] : file.tensors()) {
        const std::string name = modernName(fileName);
        if (!isParameter(graph, name) && carriesNothing(family, name)) {
            named.ignored.push_back(fileName);
            continue;
        }
        std::string used = name;
        if (!isParameter(graph, name) && !prefix.empty()) {
            const std::string other = name.starts_with(prefix) ? name.substr(prefix.size()) : prefix + name;
            if (isParameter(graph, other) && !file.find(other)) {
                used = other;
                named.prefix = prefix;
            }
        }
        named.tensors.set(used, tensor);
    }
    return named;
}

graph::Weights weightsFor(const graph::Graph& graph, const graph::Weights& file, const Family& family, const std::string& origin,
                          std::vector<std::string>& notes)
{
    const NamedTensors named = namedForGraph(graph, file, family);
    auto loaded = fitWeights(graph, named.tensors, origin);
    if (!loaded.missing.empty())
        throw core::InputError(fmt::format("{}: expected all parameters of {}, missing {}{}", origin, family.title, shortList(loaded.missing),
                                           loaded.extra.empty() ? std::string() : "; unexpected " + shortList(loaded.extra)));
    if (!named.prefix.empty())
        notes.push_back(fmt::format("names with and without the prefix {} were taken for each other", named.prefix));
    if (!named.ignored.empty())
        notes.push_back(fmt::format("left out, since they carry no weights: {}", shortList(named.ignored)));
    if (!loaded.extra.empty())
        notes.push_back(fmt::format("tensors that the architecture does not have were left out: {}", shortList(loaded.extra)));
    return std::move(loaded.weights);
}

graph::GraphPtr withDtypesOf(const graph::GraphPtr& graph, const graph::Weights& weights)
{
    graph::GraphData data = graph->data();
    bool differs = false;
    for (auto& parameter : data.parameters)
        if (const auto* tensor = weights.find(parameter.name); tensor && tensor->scalar_type() != parameter.dtype) {
            parameter.dtype = tensor->scalar_type();
            differs = true;
        }
    return differs ? std::make_shared<const graph::Graph>(std::move(data)) : graph;
}

}  // namespace orrery::models::families
