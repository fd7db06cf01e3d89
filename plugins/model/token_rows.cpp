#include "token_rows.h"

#include <algorithm>

#include <core/base/error.h>
#include <core/text/card_tokenizer.h>

namespace orrery::plugins {
namespace {

using graph::Graph;
using graph::Node;
using graph::ValueId;

/// Vocabularies are often padded up to a multiple of 128 or 512 rows.
constexpr std::int64_t kMostPadding = 512;

bool isCast(const Node& node)
{
    return node.op == "aten::to" || node.op == "aten::_to_copy" || node.op == "aten::view" || node.op == "aten::reshape" ||
           node.op == "aten::contiguous";
}

/// Is a value the model's first input, perhaps cast or reshaped?
bool isFirstInput(const Graph& graph, ValueId value)
{
    for (const Node* maker = graph.producer(value); maker && isCast(*maker) && !maker->inputs.empty() && !maker->inputs[0].isConstant();
         maker = graph.producer(value))
        value = maker->inputs[0].value;
    return !graph.data().inputs.empty() && graph.data().inputs.front().value == value;
}

bool isOutput(const Graph& graph, ValueId value)
{
    const auto& outputs = graph.data().body.outputs;
    return std::any_of(outputs.begin(), outputs.end(), [&](const auto& output) { return !output.isConstant() && output.value == value; });
}

/// A product whose results stand for the rows of a matrix, or of the matrix that it is the transpose of.
bool isProduct(const Node& node, bool isTransposed)
{
    return isTransposed ? node.op == "aten::matmul" || node.op == "aten::mm" || node.op == "aten::addmm" : node.op == "aten::linear";
}

}  // namespace

bool hasRowsOfTokens(const Graph& graph, const graph::Parameter& parameter)
{
    if (parameter.shape.size() != 2)
        return false;
    std::vector<ValueId> same{parameter.value};  // with its transpose
    for (std::size_t i = 0; i < same.size(); ++i)
        for (const Node* reader : graph.users(same[i])) {
            const bool looksUp = reader->op == "aten::embedding" && reader->inputs.size() > 1 && !reader->inputs[0].isConstant() &&
                                 !reader->inputs[1].isConstant() && reader->inputs[0].value == same[i];
            if (looksUp && isFirstInput(graph, reader->inputs[1].value))
                return true;
            if (isProduct(*reader, i > 0) && isOutput(graph, reader->outputs.front()))
                return true;
            if (i == 0 && (reader->op == "aten::t" || reader->op == "aten::transpose" || reader->op == "aten::permute"))
                same.push_back(reader->outputs.front());
        }
    return false;
}

text::TokenizerPtr tokensOfRows(const graph::Model& model, const graph::Parameter& parameter)
{
    if (model.card.tokenizer.is_null() || !hasRowsOfTokens(*model.graph, parameter))
        return nullptr;
    try {
        auto tokenizer = text::tokenizerOf(model.card);
        const auto left = tokenizer ? parameter.shape[0] - tokenizer->size() : -1;
        return left >= 0 && left < kMostPadding ? tokenizer : nullptr;
    } catch (const core::Error&) {
        return nullptr;  // a service: what is wrong with the tokenizer is said where text is asked for
    }
}

}  // namespace orrery::plugins
