#include "runnable.h"

#include <core/base/error.h>
#include <core/base/mapped_files.h>

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

void requireAsOpened(const Weights& weights)
{
    if (core::mappedFilesAreAsOpened())
        return;
    for (const auto& [name, tensor] : weights.tensors())
        requireAsOpened(tensor);
}

void requireAsOpened(const at::Tensor& tensor)
{
    if (!core::mappedFilesAreAsOpened() && tensor.defined() && tensor.is_cpu() && tensor.layout() == at::kStrided && tensor.numel() > 0)
        core::requireAsOpened(tensor.data_ptr());
}

}  // namespace orrery::graph
