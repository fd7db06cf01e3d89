// Arguments as the schemas of libtorch want them.
#include <ATen/core/jit_type.h>
#include <torch/version.h>

#include <core/base/error.h>

#include "program_builder.h"

namespace orrery::models {
namespace {

using io::ExportedArgument;
using Kind = ExportedArgument::Kind;

// torch._export.serde.schema counts from 1 and has its own order; libtorch's numbers are those of c10.
std::optional<std::int64_t> scalarTypeNumber(std::int64_t exported)
{
    if (exported >= 1 && exported <= 12)
        return exported - 1;
    if (exported == 13)
        return std::int64_t(at::kBFloat16);
    return std::nullopt;
}

std::int64_t memoryFormatNumber(std::int64_t exported)
{
    switch (exported) {
    case 2: return std::int64_t(at::MemoryFormat::ChannelsLast);
    case 3: return std::int64_t(at::MemoryFormat::ChannelsLast3d);
    case 4: return std::int64_t(at::MemoryFormat::Preserve);
    default: return std::int64_t(at::MemoryFormat::Contiguous);
    }
}

c10::IValue literalOf(const ExportedArgument& argument)
{
    switch (argument.kind) {
    case Kind::Int: return argument.integer;
    case Kind::Bool: return argument.integer != 0;
    case Kind::Float: return argument.number;
    case Kind::String: return argument.text;
    case Kind::Complex: return c10::complex<double>(argument.number, argument.imaginary);
    case Kind::MemoryFormat: return memoryFormatNumber(argument.integer);
    case Kind::Layout:
        if (argument.integer != 7)
            throw core::FormatError(fmt::format("expected dense tensors, found layout {}", argument.integer));
        return std::int64_t(at::kStrided);
    case Kind::ScalarType:
        if (const auto number = scalarTypeNumber(argument.integer))
            return *number;
        throw core::FormatError(fmt::format("libtorch {} has no type for number {} of torch.export's ScalarType", TORCH_VERSION, argument.integer));
    case Kind::Device: return c10::Device(c10::kCPU);
    default: return {};
    }
}

bool isInt(const ExportedArgument& argument)
{
    return argument.kind == Kind::Int || argument.kind == Kind::SymInt;
}

bool isNumber(const ExportedArgument& argument)
{
    return isInt(argument) || argument.kind == Kind::Float || argument.kind == Kind::SymFloat || argument.kind == Kind::Bool ||
           argument.kind == Kind::SymBool;
}

c10::TypePtr elementType(Kind kind)
{
    switch (kind) {
    case Kind::Int: return c10::IntType::get();
    case Kind::Float: return c10::FloatType::get();
    case Kind::Bool: return c10::BoolType::get();
    case Kind::String: return c10::StringType::get();
    default: return c10::TensorType::get();
    }
}

}  // namespace

c10::TypePtr ProgramBuilder::typeOf(const ExportedArgument& argument)
{
    switch (argument.kind) {
    case Kind::SymInt: return c10::IntType::get();
    case Kind::SymFloat: return c10::FloatType::get();
    case Kind::SymBool: return c10::BoolType::get();
    case Kind::List: return c10::ListType::create(elementType(argument.itemKind));
    case Kind::None: return c10::NoneType::get();
    default: return c10::TensorType::get();
    }
}

ts::Value* ProgramBuilder::value(const ExportedArgument& argument, const Values& values)
{
    if (!argument.isValue())
        return plain(argument, values);
    const auto found = values.find(argument.text);
    if (found == values.end())
        throw core::FormatError(fmt::format("value {} is not known here", argument.text));
    return found->second;
}

// Where no schema says what is wanted.
ts::Value* ProgramBuilder::plain(const ExportedArgument& argument, const Values& values)
{
    if (argument.isValue())
        return value(argument, values);
    if (argument.kind == Kind::List)
        return fittedList(argument,
                          elementType(argument.items.empty() || !argument.items[0].isValue() ? argument.itemKind
                                      : argument.items[0].kind == Kind::SymInt               ? Kind::Int
                                                                                             : argument.itemKind),
                          values);
    if (argument.kind == Kind::Device && !argument.text.starts_with("cpu"))
        m_notes.insert(fmt::format("constants of device {} are on the CPU now", argument.text));
    return m_script.graph().insertConstant(literalOf(argument));
}

ts::Value* ProgramBuilder::fittedList(const ExportedArgument& argument, const c10::TypePtr& element, const Values& values)
{
    std::vector<ts::Value*> items;
    for (const auto& item : argument.items) {
        items.push_back(fitted(item, element, values));
        if (!items.back())
            return nullptr;
    }
    auto& graph = m_script.graph();
    auto* list = graph.insertNode(graph.createList(element, items));
    ScriptProgram::mark(*list, m_module, m_moduleType, m_node ? m_node->source : std::string());
    return list->output();
}

// Null if the argument is no such thing. A number where a tensor is wanted is none: another overload takes it, or it becomes a tensor.
ts::Value* ProgramBuilder::fitted(const ExportedArgument& argument, const c10::TypePtr& type, const Values& values)
{
    if (const auto optional = type->cast<c10::OptionalType>())
        return argument.kind == Kind::None ? plain(argument, values) : fitted(argument, optional->getElementType(), values);
    auto& graph = m_script.graph();
    switch (type->kind()) {
    case c10::TypeKind::ListType:
        if (argument.kind == Kind::List)
            return fittedList(argument, type->expectRef<c10::ListType>().getElementType(), values);
        if (isInt(argument) && type->expectRef<c10::ListType>().getElementType()->kind() == c10::TypeKind::IntType) {
            ExportedArgument list;  // one number for all dimensions
            list.kind = Kind::List;
            list.items = {argument};
            return fittedList(list, c10::IntType::get(), values);
        }
        return nullptr;
    case c10::TypeKind::TensorType: return argument.kind == Kind::Tensor ? value(argument, values) : nullptr;
    case c10::TypeKind::FloatType:
        if (argument.kind == Kind::Int)
            return graph.insertConstant(double(argument.integer));
        if (argument.kind == Kind::SymInt)
            return insertOne("aten::Float", {value(argument, values)}, c10::FloatType::get());
        return argument.kind == Kind::Float || argument.kind == Kind::SymFloat ? plain(argument, values) : nullptr;
    case c10::TypeKind::IntType:
        if (argument.kind == Kind::Float && argument.number == std::trunc(argument.number) && std::abs(argument.number) < 1e9)
            return graph.insertConstant(std::int64_t(argument.number));  // a Scalar where older schemas have an int: correction=1.0
        return isInt(argument) || argument.kind == Kind::ScalarType || argument.kind == Kind::MemoryFormat || argument.kind == Kind::Layout
                   ? plain(argument, values)
                   : nullptr;
    case c10::TypeKind::BoolType: return argument.kind == Kind::Bool || argument.kind == Kind::SymBool ? plain(argument, values) : nullptr;
    case c10::TypeKind::NumberType:
        if (argument.kind == Kind::Bool)  // TorchScript's numbers are no truth values
            return graph.insertConstant(std::int64_t(argument.integer));
        if (argument.kind == Kind::SymBool)
            return insertOne("aten::Int", {value(argument, values)}, c10::IntType::get());
        return isNumber(argument) || argument.kind == Kind::Complex ? plain(argument, values) : nullptr;
    case c10::TypeKind::StringType: return argument.kind == Kind::String ? plain(argument, values) : nullptr;
    case c10::TypeKind::DeviceObjType: return argument.kind == Kind::Device ? plain(argument, values) : nullptr;
    case c10::TypeKind::NoneType: return argument.kind == Kind::None ? plain(argument, values) : nullptr;
    default: return nullptr;
    }
}

// By name; a name that an older schema does not know counts by its position.
std::optional<std::vector<ts::Value*>> ProgramBuilder::arguments(const io::ExportedNode& node, const c10::FunctionSchema& schema,
                                                                 const Values& values)
{
    const auto& wanted = schema.arguments();
    std::vector<const ExportedArgument*> given(wanted.size(), nullptr);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        auto index = schema.argumentIndexWithName(node.inputs[i].name);
        if (!index && i < wanted.size() && !wanted[i].kwarg_only())
            index = int(i);
        if (!index) {
            if (node.inputs[i].value.kind != Kind::None)
                return std::nullopt;
            continue;
        }
        if (given[std::size_t(*index)])
            return std::nullopt;
        given[std::size_t(*index)] = &node.inputs[i].value;
    }
    std::vector<ts::Value*> inputs;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (!given[i] && !wanted[i].default_value())
            return std::nullopt;
        inputs.push_back(given[i] ? fitted(*given[i], wanted[i].type(), values) : m_script.literal(*wanted[i].default_value()));
        if (!inputs.back())
            return std::nullopt;
    }
    return inputs;
}

}  // namespace orrery::models
