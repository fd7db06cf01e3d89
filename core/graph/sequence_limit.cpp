#include "sequence_limit.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>

namespace orrery::graph {
namespace {

/// Rows of a position table before that of the first position: a slice from there on (OPT), or numbers counted from there on (RoBERTa: position + offset, and padding at the offset itself).
std::int64_t rowsBefore(const Graph& graph, const Node& node)
{
    if (node.op == "aten::slice" && node.inputs.size() > 2 && node.inputs[2].isConstant() && node.inputs[2].constant.isInt())
        return node.inputs[2].constant.toInt();
    const Node* index = node.op == "aten::embedding" && !node.inputs[1].isConstant() ? graph.producer(node.inputs[1].value) : nullptr;
    const bool isShifted = index && index->op == "aten::add" && index->overload == "Scalar" && index->inputs[1].constant.isInt();
    return isShifted ? index->inputs[1].constant.toInt() + 1 : 0;
}

std::optional<std::int64_t> rowsOfTable(const Graph& graph, const Node& node)
{
    const Parameter* table = node.inputs[0].isConstant() ? nullptr : graph.parameterOf(node.inputs[0].value);
    return table && table->shape.size() == 2 ? std::optional(table->shape[0]) : std::nullopt;
}

const Node* producerOf(const Graph& graph, const Operand& operand)
{
    return operand.isConstant() ? nullptr : graph.producer(operand.value);
}

bool isInteger(const Operand& operand, std::int64_t number)
{
    return operand.isConstant() && operand.constant.isInt() && operand.constant.toInt() == number;
}

/// True for the last axis of an input: `ids.size(1)` or `ids.size(-1)`.
bool isLengthOfInput(const Graph& graph, const Operand& operand)
{
    const Node* size = producerOf(graph, operand);
    if (!size || size->op != "aten::size" || size->inputs.size() != 2 || size->inputs[0].isConstant())
        return false;
    const auto& inputs = graph.data().inputs;
    const bool ofInput = std::any_of(inputs.begin(), inputs.end(), [&](const Input& input) { return input.value == size->inputs[0].value; });
    return ofInput && (isInteger(size->inputs[1], 1) || isInteger(size->inputs[1], -1));
}

/// True for 0, 1, ... up to the length of an input, with further axes perhaps.
bool countsPositions(const Graph& graph, const Operand& operand)
{
    const Node* node = producerOf(graph, operand);
    while (node && (node->op == "aten::unsqueeze" || node->op == "aten::expand" || node->op == "aten::to" || node->op == "aten::view"))
        node = producerOf(graph, node->inputs[0]);
    if (!node || node->op != "aten::arange")
        return false;
    return node->overload == "start" ? isInteger(node->inputs[0], 0) && isLengthOfInput(graph, node->inputs[1])
                                     : node->overload.empty() && isLengthOfInput(graph, node->inputs[0]);
}

std::optional<std::int64_t> rowsOfCountedTable(const Graph& graph)
{
    for (const auto& node : graph.nodes())
        if (node.op == "aten::embedding" && countsPositions(graph, node.inputs[1]))
            if (const auto rows = rowsOfTable(graph, node))
                return rows;
    return std::nullopt;
}

void checkTokens(const Model& model, const at::Tensor& tokens, std::size_t input)
{
    const auto size = vocabularySize(*model.graph, model.card, input);
    if (size && !at::isIntegralType(tokens.scalar_type(), /*includeBool=*/false))
        throw core::InputError(fmt::format("expected tokens as whole numbers, got {}", dtypeName(tokens.scalar_type())));
    if (tokens.sizes().back() == 0)
        throw core::InputError("expected at least one token, got none");
    if (tokens.numel() == 0)
        return;
    const auto low = tokens.min().item<std::int64_t>(), high = tokens.max().item<std::int64_t>();
    if (size && (low < 0 || high >= *size))
        throw core::InputError(fmt::format("expected tokens from 0 to {}, got {}", *size - 1, low < 0 ? low : high));
}

}  // namespace

std::optional<std::int64_t> longestSequence(const Graph& graph, const ModelCard& card)
{
    const auto named = card.canonicalNames.find("pos_embed");
    const auto id = named == card.canonicalNames.end() ? std::nullopt : graph.findValue(named->second);
    if (const Node* node = id ? graph.producer(*id) : nullptr)
        for (const auto& operand : node->inputs)
            if (const Parameter* table = operand.isConstant() ? nullptr : graph.parameterOf(operand.value); table && table->shape.size() == 2)
                return table->shape[0] - rowsBefore(graph, *node);
    return id ? std::nullopt : rowsOfCountedTable(graph);
}

void checkSequenceLength(const Graph& graph, const ModelCard& card, std::int64_t length)
{
    if (const auto longest = longestSequence(graph, card); longest && length > *longest)
        throw core::InputError(fmt::format("expected at most {} tokens (the model's longest sequence), got {}", *longest, length));
}

std::optional<std::int64_t> vocabularySize(const Graph& graph, const ModelCard& card, std::size_t input)
{
    const auto& inputs = graph.data().inputs;
    if (input < inputs.size())
        for (const auto& node : graph.nodes())
            if (node.op == "aten::embedding" && !node.inputs[1].isConstant() && node.inputs[1].value == inputs[input].value)
                if (const auto rows = rowsOfTable(graph, node))
                    return rows;
    // Looked up behind a view or a cast: the card knows the place.
    const auto named = card.canonicalNames.find("embed");
    const auto id = inputs.size() != 1 || named == card.canonicalNames.end() ? std::nullopt : graph.findValue(named->second);
    const Node* node = id ? graph.producer(*id) : nullptr;
    return node && node->op == "aten::embedding" ? rowsOfTable(graph, *node) : std::nullopt;
}

void checkTokenInputs(const Model& model, const std::vector<c10::IValue>& inputs)
{
    for (std::size_t i = 0; i < std::min(inputs.size(), model.card.inputs.size()); ++i)
        if (model.card.inputs[i].kind == "tokens" && inputs[i].isTensor() && inputs[i].toTensor().dim() > 0) {
            checkSequenceLength(*model.graph, model.card, inputs[i].toTensor().sizes().back());
            checkTokens(model, inputs[i].toTensor(), i);
        }
}

}  // namespace orrery::graph
