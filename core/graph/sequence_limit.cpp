#include "sequence_limit.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>

namespace orrery::graph {

std::optional<std::int64_t> longestSequence(const Graph& graph, const ModelCard& card)
{
    const auto named = card.canonicalNames.find("pos_embed");
    const auto id = named == card.canonicalNames.end() ? std::nullopt : graph.findValue(named->second);
    if (const Node* node = id ? graph.producer(*id) : nullptr)
        for (const auto& operand : node->inputs)
            if (const Parameter* table = operand.isConstant() ? nullptr : graph.parameterOf(operand.value); table && table->shape.size() == 2)
                return table->shape[0];
    return std::nullopt;
}

void checkSequenceLength(const Graph& graph, const ModelCard& card, std::int64_t length)
{
    if (const auto longest = longestSequence(graph, card); longest && length > *longest)
        throw core::InputError(fmt::format("expected at most {} tokens (the model's longest sequence), got {}", *longest, length));
}

void checkSequenceLengths(const Model& model, const std::vector<c10::IValue>& inputs)
{
    for (std::size_t i = 0; i < std::min(inputs.size(), model.card.inputs.size()); ++i)
        if (model.card.inputs[i].kind == "tokens" && inputs[i].isTensor() && inputs[i].toTensor().dim() > 0)
            checkSequenceLength(*model.graph, model.card, inputs[i].toTensor().sizes().back());
}

}  // namespace orrery::graph
