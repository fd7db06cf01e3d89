#include <algorithm>

#include <core/base/text.h>

#include "kinds.h"

namespace orrery::intervene {
namespace {

bool isInside(const std::string& module, const std::string& path)
{
    return module == path || module.starts_with(path + ".");
}

/// The first tensor made outside of a module that something inside of it reads: its input.
std::string moduleInput(const graph::Graph& graph, const std::string& path)
{
    for (const auto* node : graph.allNodes()) {
        if (!isInside(node->module, path))
            continue;
        for (const auto& operand : node->inputs) {
            if (operand.isConstant() || graph.parameterOf(operand.value) || graph.value(operand.value).type != "Tensor")
                continue;
            const auto* producer = graph.producer(operand.value);
            if (!producer || !isInside(producer->module, path))
                return graph.value(operand.value).name;
        }
    }
    return {};
}

Prepared prepareSkip(const core::Json&, const KindContext& context)
{
    Prepared prepared;
    prepared.floatingOnly = false;
    prepared.observed = moduleInput(context.graph, context.at);
    if (prepared.observed.empty())
        throw core::InputError(fmt::format("{}: module \"{}\" has no input that could become its output", context.place, context.at));
    prepared.apply = [module = context.at](const Situation& s) {
        if (s.other.sizes() != s.whole.sizes())
            throw core::ShapeError(fmt::format("{}: module \"{}\" cannot be skipped: its input is {}, its output {}", s.place, module,
                                               core::formatShape(s.other.sizes()), core::formatShape(s.whole.sizes())));
        return s.other;
    };
    return prepared;
}

}  // namespace

void addSkipModule(KindRegistry& registry)
{
    core::Component component{
        "skip_module", "Skip module", "Gives a module's input as its output; the place is a module, or a glob over modules.", "", {}, {}, {}};
    InterventionKind kind;
    kind.onModules = true;
    kind.prepare = prepareSkip;
    registry.add(std::move(component), std::move(kind));
}

}  // namespace orrery::intervene
