#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>

#include "autocast.h"
#include "graph.h"
#include "operators.h"

namespace orrery::graph {
namespace {

// TorchScript keeps dtypes as plain numbers; only the schema tells that an argument is one.
bool isDtypeArgument(const c10::Argument& argument)
{
    if (argument.name() != "dtype")
        return false;
    const auto kind = argument.type()->kind();
    return kind == c10::TypeKind::IntType || kind == c10::TypeKind::OptionalType;
}

// An operator that makes a tensor out of none (arange, zeros, rand) does so on the CPU unless told where.
bool makesTensors(const c10::FunctionSchema& schema)
{
    const auto isTensor = [](const c10::Argument& argument) { return argument.type()->str().find("Tensor") != std::string::npos; };
    return std::none_of(schema.arguments().begin(), schema.arguments().end(), isTensor) &&
           std::any_of(schema.returns().begin(), schema.returns().end(), isTensor);
}

/// What literals become. Without `from` all floating dtypes do.
struct Move {
    c10::Device device;
    std::optional<at::ScalarType> dtype, from;
    bool concerns(at::ScalarType literal) const { return from ? literal == *from : at::isFloatingType(literal); }
};

void moveBlock(Block& block, const Move& move)
{
    for (auto& node : block.nodes) {
        const auto found = ownOperator(node.op) == OwnOperator::None ? findOperator(node.op, node.overload) : nullptr;
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            auto& input = node.inputs[i];
            if (!input.isConstant())
                continue;
            const c10::Argument* const argument = found && i < found->schema().arguments().size() ? &found->schema().arguments()[i] : nullptr;
            const bool isPlace = argument && argument->name() == "device" && makesTensors(found->schema());
            if (input.constant.isDevice() || (isPlace && input.constant.isNone() && !move.device.is_cpu()))
                input.constant = move.device;
            const bool typed = argument && isDtypeArgument(*argument);
            if (move.dtype && typed && input.constant.isInt() && move.concerns(at::ScalarType(input.constant.toInt())))
                input.constant = std::int64_t(*move.dtype);
        }
        for (auto& inner : node.blocks)
            moveBlock(inner, move);
    }
}

GraphPtr moved(const GraphPtr& graph, const Move& move)
{
    auto data = graph->data();
    moveBlock(data.body, move);
    if (move.dtype)
        for (auto& parameter : data.parameters)
            if (move.concerns(parameter.dtype))
                parameter.dtype = *move.dtype;
    return std::make_shared<const Graph>(std::move(data));
}

}  // namespace

GraphPtr moved(const GraphPtr& graph, c10::Device device, std::optional<at::ScalarType> dtype)
{
    return moved(graph, Move{device, dtype, {}});
}

GraphPtr withDtype(const GraphPtr& graph, at::ScalarType from, at::ScalarType to)
{
    return moved(graph, Move{at::kCPU, to, from});
}

}  // namespace orrery::graph
