#pragma once
#include <ATen/core/function_schema.h>
#include <ATen/core/stack.h>

#include <memory>
#include <string>

#include "graph.h"

namespace torch::jit {
struct Operator;
}

/// Internal to core/graph: how nodes meet libtorch's operators.
namespace orrery::graph {

/// Kinds of nodes the executor runs itself; everything else is one call of a libtorch operator.
enum class OwnOperator { None, ListConstruct, ListUnpack, TupleConstruct, TupleUnpack, TupleIndex, DictConstruct, If, Loop };
OwnOperator ownOperator(const std::string& op);

/// libtorch's operator "aten::softmax", "int". Null if there is none. Includes TorchScript's list, int, dict and string operators.
std::shared_ptr<torch::jit::Operator> findOperator(const std::string& op, const std::string& overload);
/// The names of the overloads of `op` that exist, for messages.
std::string knownOverloads(const std::string& op);
/// "aten::add.Tensor" -> {"aten::add", "Tensor"}.
std::pair<std::string, std::string> splitQualifiedOp(const std::string& qualifiedOp);
/// True if the schema says that argument `index` is written.
bool writesArgument(const c10::FunctionSchema& schema, std::size_t index);
bool writesAny(const c10::FunctionSchema& schema);
/// Index of the argument of that name, or -1.
int argumentIndex(const c10::FunctionSchema& schema, std::string_view name);

}  // namespace orrery::graph
