// What torch.export calls operators, in libtorch's words.
#include <torch/csrc/jit/runtime/operator.h>

#include <core/base/error.h>

#include "program_builder.h"

namespace orrery::models {
namespace {

using io::ExportedArgument;
using Kind = ExportedArgument::Kind;

// Python's operators on sizes and conditions.
const std::map<std::string, std::string> kSizeOperators = {{"_operator.add", "aten::add"},      {"_operator.sub", "aten::sub"},
                                                           {"_operator.mul", "aten::mul"},      {"_operator.floordiv", "aten::floordiv"},
                                                           {"_operator.truediv", "aten::div"},  {"_operator.mod", "aten::remainder"},
                                                           {"_operator.pow", "aten::pow"},      {"_operator.neg", "aten::neg"},
                                                           {"_operator.eq", "aten::eq"},        {"_operator.ne", "aten::ne"},
                                                           {"_operator.lt", "aten::lt"},        {"_operator.le", "aten::le"},
                                                           {"_operator.gt", "aten::gt"},        {"_operator.ge", "aten::ge"},
                                                           {"_operator.and_", "aten::__and__"}, {"_operator.or_", "aten::__or__"},
                                                           {"torch.sym_not", "aten::__not__"},  {"torch.sym_int", "aten::Int"},
                                                           {"torch.sym_float", "aten::Float"},  {"torch.sym_max", "prim::max"},
                                                           {"torch.sym_min", "prim::min"},      {"math.trunc", "aten::Int"},
                                                           {"math.ceil", "aten::ceil"},         {"math.floor", "aten::floor"},
                                                           {"math.sqrt", "aten::sqrt"},         {"torch.sym_sqrt", "aten::sqrt"},
                                                           {"torch._sym_sqrt", "aten::sqrt"},   {"builtins.round", "aten::round"},
                                                           {"torch.sym_sum", "aten::sum"}};

// They check or hint and change nothing.
const std::set<std::string> kChecks = {"aten::_assert_scalar",
                                       "aten::_assert_async",
                                       "aten::_assert_tensor_metadata",
                                       "aten::sym_constrain_range",
                                       "aten::sym_constrain_range_for_size",
                                       "aten::_functional_assert_scalar",
                                       "aten::_functional_assert_async",
                                       "aten::_assert_tensor_metadata_fallback",
                                       "profiler::_record_function_enter_new",
                                       "profiler::_record_function_exit"};

// Another name for the same thing, with the same arguments.
const std::map<std::string, std::string> kRenamed = {{"aten::sym_size", "aten::size"},
                                                     {"aten::sym_stride", "aten::stride"},
                                                     {"aten::sym_numel", "aten::numel"},
                                                     {"aten::sym_storage_offset", "aten::storage_offset"},
                                                     {"aten::_unsafe_index", "aten::index"},
                                                     {"aten::_unsafe_index_put", "aten::index_put"},
                                                     {"aten::_unsafe_masked_index", "aten::index"}};

std::pair<std::string, std::string> operatorOf(const std::string& target)
{
    const std::string prefix = "torch.ops.";
    if (!target.starts_with(prefix))
        return {target, ""};
    const auto name = target.substr(prefix.size());
    const auto space = name.find('.'), dot = name.find('.', space + 1);
    if (space == std::string::npos)
        return {target, ""};
    auto overload = dot == std::string::npos ? std::string() : name.substr(dot + 1);
    return {name.substr(0, space) + "::" + name.substr(space + 1, dot == std::string::npos ? dot : dot - space - 1),
            overload == "default" ? "" : overload};
}

std::vector<c10::TypePtr> returnTypes(const c10::FunctionSchema& schema)
{
    std::vector<c10::TypePtr> types;
    for (const auto& result : schema.returns())
        types.push_back(result.type());
    return types;
}

}  // namespace

bool ProgramBuilder::addSizeOperator(const io::ExportedNode& node, Values& values)
{
    if (node.target == "_operator.pos") {
        values[node.outputs.at(0).text] = value(node.inputs.at(0).value, values);
        return true;
    }
    if (node.target == "torch.sym_ite") {
        auto& made = insert("prim::If", {value(node.inputs.at(0).value, values)}, {typeOf(node.outputs.at(0))});
        for (const std::size_t i : {std::size_t(1), std::size_t(2)}) {
            auto* block = made.addBlock();
            const torch::jit::WithInsertPoint guard(block);
            block->registerOutput(value(node.inputs.at(i).value, values));
        }
        values[node.outputs[0].text] = made.output();
        return true;
    }
    const auto found = kSizeOperators.find(node.target);
    if (found == kSizeOperators.end())
        return false;
    std::vector<ts::Value*> inputs;
    for (const auto& input : node.inputs)
        inputs.push_back(value(input.value, values));
    if (node.outputs.size() != 1 || !node.outputs[0].isValue())
        fail(node, "expected one output");
    auto* result = insertOne(found->second, inputs, typeOf(node.outputs[0]));
    if (!result->node()->maybeSchema())
        fail(node, "these arguments are not supported");
    values[node.outputs[0].text] = result;
    return true;
}

void ProgramBuilder::addOperator(const io::ExportedNode& node, Values& values)
{
    auto [op, overload] = operatorOf(node.target);
    if (kChecks.count(op) || (node.outputs.empty() && op.find("assert") != std::string::npos))
        return;
    if (addReplacement(node, op, values))
        return;
    if (const auto renamed = kRenamed.find(op); renamed != kRenamed.end())
        op = renamed->second;
    if (op == "aten::view" && overload.empty() && m_ownLayout)
        op = "aten::reshape";
    if (!addSchemaOperator(node, op, overload, values))
        addUnknown(node, op, overload, values);
}

// Operators whose result is of another kind here, or that have another form.
bool ProgramBuilder::addReplacement(const io::ExportedNode& node, const std::string& op, Values& values)
{
    if (op == "aten::item" || op == "aten::_local_scalar_dense") {
        const auto& output = node.outputs.at(0);
        const char* conversion = output.kind == Kind::SymInt ? "aten::Int" : output.kind == Kind::SymBool ? "aten::Bool" : "aten::Float";
        values[output.text] = insertOne(conversion, {value(node.inputs.at(0).value, values)}, typeOf(output));
        return true;
    }
    if (op == "aten::lift_fresh_copy" || op == "aten::lift_fresh" || op == "aten::lift") {
        values[node.outputs.at(0).text] =
            insertOne("aten::clone", {value(node.inputs.at(0).value, values), m_script.literal({})}, c10::TensorType::get());
        return true;
    }
    if (op == "aten::detach_" || op == "aten::alias") {  // changes nothing but what autograd would do
        values[node.outputs.at(0).text] = value(node.inputs.at(0).value, values);
        return true;
    }
    return false;
}

bool ProgramBuilder::addSchemaOperator(const io::ExportedNode& node, const std::string& op, const std::string& overload, Values& values)
{
    const auto symbol = c10::Symbol::fromQualString(op);
    auto candidates = ts::getAllOperatorsFor(symbol);
    std::stable_sort(candidates.begin(), candidates.end(), [&](const auto& a, const auto& b) {
        return (a->schema().overload_name() == overload) > (b->schema().overload_name() == overload);
    });
    // Numbers in the place of tensors: another overload takes numbers, else they become tensors.
    for (const bool wrapNumbers : {false, true}) {
        io::ExportedNode changed;
        const io::ExportedNode* source = &node;
        if (wrapNumbers) {
            changed = node;
            for (auto& input : changed.inputs)
                if (input.value.kind == Kind::Float || input.value.kind == Kind::Int || input.value.kind == Kind::SymInt) {
                    const auto name = fmt::format("%number{}", values.size());
                    auto* none = m_script.literal({});
                    const bool isFloat = input.value.kind == Kind::Float;
                    values[name] =
                        insertOne("aten::scalar_tensor",
                                  {value(input.value, values), m_script.literal(std::int64_t(isFloat ? at::kFloat : at::kLong)), none, none, none},
                                  c10::TensorType::get());
                    input.value = ExportedArgument();
                    input.value.kind = Kind::Tensor;
                    input.value.text = name;
                }
            source = &changed;
        }
        for (const auto& candidate : candidates) {
            const auto& schema = candidate->schema();
            if (schema.is_vararg() || (wrapNumbers && schema.overload_name() != overload))
                continue;
            const auto inputs = arguments(*source, schema, values);
            if (!inputs)
                continue;
            auto& made = insert(op, *inputs, returnTypes(schema));
            bindOutputs(node, made, values);
            return true;
        }
    }
    return false;
}

// The model opens as structure only; its name is told.
void ProgramBuilder::addUnknown(const io::ExportedNode& node, const std::string& op, const std::string& overload, Values& values)
{
    m_unknown.insert(overload.empty() ? op : op + "." + overload);
    std::vector<ts::Value*> inputs;
    for (const auto& input : node.inputs)
        if (input.value.kind != Kind::Graph && input.value.kind != Kind::Object && input.value.kind != Kind::Operator)
            inputs.push_back(value(input.value, values));
    std::vector<c10::TypePtr> types;
    for (const auto& output : node.outputs)
        types.push_back(typeOf(output));
    auto& made = insert(op.find("::") == std::string::npos ? "unknown::" + asIdentifier(op) : op, inputs, types);
    made.s_(kUnknownMark, overload);
    bindOutputs(node, made, values);
}

}  // namespace orrery::models
