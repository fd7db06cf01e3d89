#include "operators.h"

#include <ATen/core/interned_strings.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <core/base/text.h>

namespace orrery::graph {

OwnOperator ownOperator(const std::string& op)
{
    static const std::unordered_map<std::string, OwnOperator> kOwn = {
        {"prim::ListConstruct", OwnOperator::ListConstruct},
        {"prim::ListUnpack", OwnOperator::ListUnpack},
        {"prim::TupleConstruct", OwnOperator::TupleConstruct},
        {"prim::TupleUnpack", OwnOperator::TupleUnpack},
        {"prim::TupleIndex", OwnOperator::TupleIndex},
        {"prim::DictConstruct", OwnOperator::DictConstruct},
        {"prim::If", OwnOperator::If},
        {"prim::Loop", OwnOperator::Loop},
    };
    const auto it = kOwn.find(op);
    return it == kOwn.end() ? OwnOperator::None : it->second;
}

std::shared_ptr<torch::jit::Operator> findOperator(const std::string& op, const std::string& overload)
{
    return torch::jit::findOperatorFor(c10::OperatorName(op, overload));
}

std::string knownOverloads(const std::string& op)
{
    std::vector<std::string> names;
    if (op.find("::") != std::string::npos)
        for (const auto& candidate : torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(op)))
            names.push_back('"' + candidate->schema().overload_name() + '"');
    return core::join(names, ", ");
}

std::pair<std::string, std::string> splitQualifiedOp(const std::string& qualifiedOp)
{
    const auto dot = qualifiedOp.find('.', std::max<std::size_t>(qualifiedOp.rfind("::"), 1));
    if (dot == std::string::npos)
        return {qualifiedOp, ""};
    return {qualifiedOp.substr(0, dot), qualifiedOp.substr(dot + 1)};
}

bool writesArgument(const c10::FunctionSchema& schema, std::size_t index)
{
    if (index >= schema.arguments().size())
        return false;
    const auto* alias = schema.arguments()[index].alias_info();
    return alias && alias->isWrite();
}

bool writesAny(const c10::FunctionSchema& schema)
{
    for (std::size_t i = 0; i < schema.arguments().size(); ++i)
        if (writesArgument(schema, i))
            return true;
    return false;
}

int argumentIndex(const c10::FunctionSchema& schema, std::string_view name)
{
    for (std::size_t i = 0; i < schema.arguments().size(); ++i)
        if (schema.arguments()[i].name() == name)
            return int(i);
    return -1;
}

}  // namespace orrery::graph
