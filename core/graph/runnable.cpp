#include "runnable.h"

#include <core/base/error.h>

namespace orrery::graph {

bool isWeightsAlone(const Graph& graph)
{
    const auto& data = graph.data();
    return data.inputs.empty() && data.body.nodes.empty() && data.body.outputs.empty();
}

void requireProgram(const Graph& graph)
{
    if (isWeightsAlone(graph))
        throw core::InputError(fmt::format("{}: holds weights and no architecture, so there is nothing to run; give one with --arch NAME?key=value "
                                           "(`orrery-cli list model` shows them)",
                                           graph.data().name));
}

}  // namespace orrery::graph
