#include "emitter.h"

#include <ATen/ATen.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/operators.h>
#include <core/models/script_values.h>

namespace orrery::models::onnx {
namespace {

using graph::Operand;
using graph::ValueId;

constexpr std::int64_t kMaxFolded = 1 << 16;  // elements that are computed with while converting

// What exporters compute on sizes, masks and scales. Everything else stays a node, whatever it is given: a file must not be able to make the import itself expensive.
bool isFoldable(const std::string& op)
{
    static const std::set<std::string> kFoldable = {"aten::Bool",
                                                    "aten::Float",
                                                    "aten::Int",
                                                    "aten::_shape_as_tensor",
                                                    "aten::abs",
                                                    "aten::add",
                                                    "aten::amax",
                                                    "aten::amin",
                                                    "aten::bitwise_and",
                                                    "aten::cat",
                                                    "aten::ceil",
                                                    "aten::clamp",
                                                    "aten::clamp_max",
                                                    "aten::clamp_min",
                                                    "aten::cumsum",
                                                    "aten::div",
                                                    "aten::eq",
                                                    "aten::exp",
                                                    "aten::floor",
                                                    "aten::floordiv",
                                                    "aten::fmod",
                                                    "aten::full",
                                                    "aten::ge",
                                                    "aten::gt",
                                                    "aten::item",
                                                    "aten::le",
                                                    "aten::len",
                                                    "aten::log",
                                                    "aten::logical_and",
                                                    "aten::logical_not",
                                                    "aten::logical_or",
                                                    "aten::logical_xor",
                                                    "aten::lt",
                                                    "aten::maximum",
                                                    "aten::minimum",
                                                    "aten::mul",
                                                    "aten::neg",
                                                    "aten::nonzero",
                                                    "aten::numel",
                                                    "aten::permute",
                                                    "aten::pow",
                                                    "aten::prod",
                                                    "aten::reciprocal",
                                                    "aten::remainder",
                                                    "aten::reshape",
                                                    "aten::round",
                                                    "aten::select",
                                                    "aten::sign",
                                                    "aten::size",
                                                    "aten::slice",
                                                    "aten::split_with_sizes",
                                                    "aten::sqrt",
                                                    "aten::squeeze",
                                                    "aten::stack",
                                                    "aten::sub",
                                                    "aten::sum",
                                                    "aten::tensor",
                                                    "aten::to",
                                                    "aten::transpose",
                                                    "aten::tril",
                                                    "aten::triu",
                                                    "aten::type_as",
                                                    "aten::unsqueeze",
                                                    "aten::where",
                                                    "orrery::onnx_compress",
                                                    "orrery::onnx_cumsum",
                                                    "orrery::onnx_div",
                                                    "orrery::onnx_expand",
                                                    "orrery::onnx_floats",
                                                    "orrery::onnx_gather",
                                                    "orrery::onnx_gather_elements",
                                                    "orrery::onnx_gather_nd",
                                                    "orrery::onnx_ints",
                                                    "orrery::onnx_range",
                                                    "orrery::onnx_reduce_prod",
                                                    "orrery::onnx_scatter_elements",
                                                    "orrery::onnx_scatter_nd",
                                                    "orrery::onnx_sizes_tensor",
                                                    "orrery::onnx_slice",
                                                    "orrery::onnx_split_equal",
                                                    "orrery::onnx_squeeze",
                                                    "orrery::onnx_target_sizes",
                                                    "orrery::onnx_unsqueeze"};
    return kFoldable.count(op) > 0;
}

// The numbers given to these say how large the result is.
bool grows(const std::string& op)
{
    return op == "aten::full" || op == "orrery::onnx_expand" || op == "orrery::onnx_range" || op == "orrery::onnx_split_equal";
}

bool isSmall(const c10::IValue& value)
{
    const auto magnitude = [](double v) { return std::max(1.0, std::abs(v)); };
    double product = 1;
    if (value.isTensor() && value.toTensor().defined()) {
        const auto& tensor = value.toTensor();
        if (tensor.numel() > 64 || !c10::isIntegralType(tensor.scalar_type(), false))
            return tensor.numel() <= kMaxFolded;
        for (std::int64_t i = 0; i < tensor.numel(); ++i)
            product *= magnitude(tensor.reshape(-1)[i].item().toDouble());
    } else if (value.isIntList()) {
        for (const auto each : value.toIntVector())
            product *= magnitude(double(each));
    } else if (value.isScalar()) {
        product = magnitude(value.toScalar().toDouble());
    }
    return product <= double(kMaxFolded);
}

// A tensor, number or list as it is now; nothing if it depends on the run.
std::optional<c10::IValue> knownValue(const Term& term)
{
    if (term.isValue())
        return {};
    if (term.isConstant())
        return term.foldable && term.constant.numel() <= kMaxFolded ? std::optional<c10::IValue>(term.constant) : std::nullopt;
    if (!term.hasItems)
        return term.operand.constant;
    if (term.isSequence()) {
        c10::List<at::Tensor> list;
        for (const auto& item : term.items) {
            const auto value = knownValue(item);
            if (!value || !value->isTensor())
                return {};
            list.push_back(value->toTensor());
        }
        return c10::IValue(list);
    }
    std::vector<std::int64_t> numbers;
    for (const auto& item : term.items) {
        if (!item.isInt())
            return {};
        numbers.push_back(item.operand.constant.toInt());
    }
    auto tensor = at::tensor(numbers, at::kLong);
    return c10::IValue(term.rank == 0 ? tensor.reshape({}) : tensor);
}

Term termOf(const c10::IValue& value)
{
    if (value.isTensor())
        return constantTerm(value.toTensor());
    if (!value.isTensorList())
        return Term(value);
    Term term;
    term.type = "List[Tensor]";
    term.hasItems = true;
    for (const auto& item : value.toTensorVector())
        term.items.push_back(constantTerm(item));
    return term;
}

}  // namespace

std::string pathOf(const std::string& name)
{
    std::string path;
    for (const auto& part : core::split(name, '/')) {
        if (part.empty())
            continue;
        path += path.empty() ? "" : ".";
        for (const char c : part)
            path += c == '[' || c == ']' || c == '@' || c == '#' || c == '*' || c == '?' || c == ':' || c == ' ' ? '_' : c;
    }
    return path;
}

Emitter::Emitter(std::string graphName)
{
    m_data.name = std::move(graphName);
    m_data.modules.push_back({"", m_data.name});
    m_block = &m_data.body;
}

void Emitter::begin(const std::string& path)
{
    m_path = path;
    const auto dot = path.rfind('.');
    m_module = dot == std::string::npos ? "" : path.substr(0, dot);
    m_firstOfNode = ValueId(m_data.values.size());
    addModule(m_module);
}

void Emitter::addModule(const std::string& path)
{
    if (path.empty() || !m_modulePaths.insert(path).second)
        return;
    const auto dot = path.rfind('.');
    if (dot != std::string::npos)
        addModule(path.substr(0, dot));
    m_data.modules.push_back({path, "Module"});
}

void Emitter::boxNode(const std::string& path, const std::string& type, std::size_t from)
{
    constexpr std::size_t kBoxFrom = 6;
    const auto dot = path.rfind('.');
    const std::string outer = dot == std::string::npos ? "" : path.substr(0, dot);
    if (path.empty() || from + kBoxFrom > m_block->nodes.size() || !m_modulePaths.insert(path).second)
        return;
    for (std::size_t i = from; i < m_block->nodes.size(); ++i)
        if (m_block->nodes[i].module == outer)
            m_block->nodes[i].module = path;
    m_data.modules.push_back({path, type});
}

ValueId Emitter::newValue(std::string base, std::string type)
{
    m_data.values.push_back({base, std::move(type)});
    m_notes.push_back({std::move(base), -1});
    return ValueId(m_data.values.size() - 1);
}

Term Emitter::addInput(const std::string& name, const std::string& type)
{
    const auto value = newValue(name, type);
    m_data.inputs.push_back({name, value});
    return Term(value, type);
}

void Emitter::addOutput(const std::string& name, const Term& term)
{
    m_data.body.outputs.push_back(use(term));
    m_data.outputNames.push_back(name);
}

void Emitter::nameAfterNode(const Term& term, const std::string& suffix)
{
    if (term.isValue() && term.operand.value >= m_firstOfNode && m_notes[std::size_t(term.operand.value)].base.rfind(m_path + ".", 0) == 0)
        m_notes[std::size_t(term.operand.value)].base = m_path + suffix;
}

ValueId Emitter::parameter(const Term& term)
{
    using Kind = graph::Parameter::Kind;
    const auto [known, isNew] = m_known.try_emplace(term.constant.unsafeGetTensorImpl(), -1);
    if (!isNew)
        return known->second;
    auto base = term.name.empty() ? m_path + ".constant" : term.name;
    auto name = base;
    for (int i = 2; m_tensors.count(name); ++i)
        name = fmt::format("{}#{}", base, i);
    const auto value = newValue(name, "Tensor");
    known->second = value;
    const bool isWeight = !term.foldable && term.constant.is_floating_point();
    m_data.parameters.push_back(
        {name, value, isWeight ? Kind::Parameter : Kind::Constant, term.constant.sizes().vec(), term.constant.scalar_type(), {}});
    m_tensors[name] = term.constant;
    return value;
}

void Emitter::markBuffer(const Term& term)
{
    if (!term.isConstant())
        return;
    const auto value = parameter(term);
    for (auto& each : m_data.parameters)
        if (each.value == value)
            each.kind = graph::Parameter::Kind::Buffer;
}

Term Emitter::asTensor(const Term& term)
{
    if (!term.hasItems || term.isSequence())
        return term;
    if (term.rank == 0)
        return emit("aten::tensor.int", {term.items.at(0)});
    Term tensor = emit("orrery::onnx_sizes_tensor", {list(term.items, "int")});
    tensor.rank = 1;
    return tensor;
}

Operand Emitter::use(const Term& term)
{
    if (term.isConstant())
        return Operand::of(parameter(term));
    if (!term.hasItems)
        return term.operand;
    if (term.isSequence())
        return use(emitOpaque("prim::ListConstruct", term.items, 1)[0]);
    return use(asTensor(term));
}

Term Emitter::list(const std::vector<Term>& items, const std::string& elementType)
{
    Term list;
    list.type = "List[" + elementType + "]";
    list.items = items;
    list.hasItems = true;
    if (elementType == "Tensor")
        return list;
    std::vector<std::int64_t> numbers;
    for (const auto& item : items)
        if (item.isInt())
            numbers.push_back(item.operand.constant.toInt());
    if (numbers.size() == items.size())
        return Term(numbers);
    Term made = emitOpaque("prim::ListConstruct", items, 1)[0];
    m_data.values[std::size_t(made.operand.value)].type = made.type = list.type;
    made.items = items;
    return made;
}

std::vector<Term> Emitter::emitOpaque(const std::string& op, const std::vector<Term>& args, std::size_t outputs)
{
    graph::Node node;
    const auto [name, overload] = graph::splitQualifiedOp(op);
    node.op = name;
    node.overload = overload;
    node.module = m_module;
    node.source = m_source;
    for (const auto& arg : args)
        node.inputs.push_back(use(arg));
    std::vector<Term> terms;
    for (std::size_t i = 0; i < outputs; ++i) {
        const std::string type = op == "prim::ListConstruct" ? "List[Tensor]" : "Tensor";
        const auto short_ = shortOpName(name);
        node.outputs.push_back(newValue(m_path.empty() ? short_ : m_path + "." + short_, type));
        terms.emplace_back(node.outputs.back(), type);
    }
    m_block->nodes.push_back(std::move(node));
    return terms;
}

std::vector<Term> Emitter::fold(const std::string& op, const std::string& overload, const std::vector<Term>& args,
                                const std::vector<c10::IValue>& defaults)
{
    if (!isFoldable(op))
        return {};
    torch::jit::Stack stack;
    for (const auto& arg : args) {
        auto value = knownValue(arg);
        if (!value || (grows(op) && !isSmall(*value)))
            return {};
        stack.push_back(std::move(*value));
    }
    stack.insert(stack.end(), defaults.begin(), defaults.end());
    const at::NoGradGuard noGrad;
    auto operation = graph::findOperator(op, overload)->getOperation();
    operation(stack);
    std::vector<Term> results;
    for (const auto& value : stack)
        results.push_back(termOf(value));
    return results;
}

std::vector<Term> Emitter::emitAll(const std::string& qualifiedOp, const std::vector<Term>& args)
{
    const auto [op, overload] = graph::splitQualifiedOp(qualifiedOp);
    const auto found = graph::findOperator(op, overload);
    if (!found)
        throw core::FormatError(fmt::format("{}: libtorch has no operator {}; known overloads: {}", m_path, qualifiedOp, graph::knownOverloads(op)));
    const auto& schema = found->schema();
    std::vector<c10::IValue> defaults;
    for (std::size_t i = args.size(); i < schema.arguments().size(); ++i) {
        if (!schema.arguments()[i].default_value())
            throw core::FormatError(fmt::format("{}: {}: argument \"{}\" is missing", m_path, qualifiedOp, schema.arguments()[i].name()));
        defaults.push_back(*schema.arguments()[i].default_value());
    }
    if (auto folded = fold(op, overload, args, defaults); !folded.empty())
        return folded;
    graph::Node node;
    node.op = op;
    node.overload = overload;
    node.module = m_module;
    node.source = m_source;
    for (const auto& arg : args)
        node.inputs.push_back(use(arg));
    for (auto& value : defaults)
        node.inputs.push_back(Operand::literal(std::move(value)));
    std::vector<Term> results;
    for (const auto& returned : schema.returns()) {
        const auto type = returned.type()->annotation_str();
        const auto base = m_path.empty() ? shortOpName(op) : m_path + "." + shortOpName(op);
        node.outputs.push_back(newValue(base, type));
        results.emplace_back(node.outputs.back(), type);
    }
    inferTypes(op, args, results);
    m_block->nodes.push_back(std::move(node));
    return results;
}

graph::GraphData Emitter::finish()
{
    finishGraph(m_data, m_notes);
    return std::move(m_data);
}

}  // namespace orrery::models::onnx
