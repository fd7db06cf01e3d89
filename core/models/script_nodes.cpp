// One node of a TorchScript program: what is followed here, what is computed here, and what becomes a node of the graph.
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <core/base/error.h>
#include <core/base/stop.h>
#include <core/base/text.h>

#include "script_converter.h"
#include "script_program.h"

namespace orrery::models {
namespace {

using c10::Symbol;

// Flags of operators that a trace freezes.
const std::map<std::string, std::string> kTrainingArguments = {{"aten::dropout", "train"},
                                                               {"aten::dropout_", "train"},
                                                               {"aten::feature_dropout", "train"},
                                                               {"aten::feature_dropout_", "train"},
                                                               {"aten::alpha_dropout", "train"},
                                                               {"aten::alpha_dropout_", "train"},
                                                               {"aten::feature_alpha_dropout", "train"},
                                                               {"aten::feature_alpha_dropout_", "train"},
                                                               {"aten::native_dropout", "train"},
                                                               {"aten::batch_norm", "training"},
                                                               {"aten::native_batch_norm", "training"},
                                                               {"aten::lstm", "train"},
                                                               {"aten::gru", "train"},
                                                               {"aten::rnn_tanh", "train"},
                                                               {"aten::rnn_relu", "train"},
                                                               {"aten::rrelu", "training"}};

// Their inside would have to be taken apart before a probe can see it.
const std::set<std::string> kFused = {"aten::_transformer_encoder_layer_fwd",
                                      "aten::_native_multi_head_attention",
                                      "aten::scaled_dot_product_attention",
                                      "aten::_transform_bias_rescale_qkv",
                                      "aten::_transformer_decoder_only_layer_fwd",
                                      "aten::lstm",
                                      "aten::gru",
                                      "aten::rnn_tanh",
                                      "aten::rnn_relu"};

bool holdsTensor(const c10::TypePtr& type)
{
    if (type->isSubtypeOf(*c10::TensorType::get()) || type->kind() == c10::TypeKind::AnyType)
        return true;
    const auto inner = type->containedTypes();
    return std::any_of(inner.begin(), inner.end(), [](const c10::TypePtr& part) { return holdsTensor(part); });
}

bool canBeNone(const std::string& type)
{
    return type.rfind("Optional[", 0) == 0 || type == "NoneType" || type == "Any" || type.rfind("Union[", 0) == 0;
}

}  // namespace

std::string ScriptConverter::place(const ts::Node& node) const
{
    std::string text = m_module.empty() ? "in the root module" : "in module " + m_module;
    if (const auto where = node.sourceRange().file_line_col())
        text += fmt::format(" ({} line {})", std::get<0>(*where), std::get<1>(*where));
    return text;
}

Binding ScriptConverter::get(const ts::Value* value, Frame& frame)
{
    const auto found = frame.values.find(value);
    if (found == frame.values.end())
        throw core::FormatError(fmt::format("{}: value {} is used before it is made", place(*value->node()), value->debugName()));
    return found->second;
}

std::vector<Operand> ScriptConverter::readInputs(const ts::Node& node, Frame& frame)
{
    std::vector<Operand> operands;
    for (const auto* input : node.inputs())
        operands.push_back(read(get(input, frame)));
    return operands;
}

void ScriptConverter::convertBlock(const ts::Block& block, Frame& frame)
{
    for (const auto* node : block.nodes())
        convertNode(*node, frame);
}

void ScriptConverter::convertNode(const ts::Node& node, Frame& frame)
{
    core::throwIfStopped();
    m_source.clear();
    if (const auto where = node.sourceRange().file_line_col())
        m_source = fmt::format("{}:{}", std::get<0>(*where), std::get<1>(*where));
    readMarks(node, frame);
    if (convertOwn(node, frame) || convertWrite(node, frame))
        return;
    convertOperator(node, frame);
}

// A program made in memory (see ScriptProgram) has no calls; its nodes tell which module they belong to.
void ScriptConverter::readMarks(const ts::Node& node, Frame& frame)
{
    if (!node.hasAttribute(kModuleMark))
        return;
    m_module = node.s(kModuleMark);
    frame.moduleType = node.hasAttribute(kTypeMark) ? node.s(kTypeMark) : std::string();
    frame.trainingAttribute = true;
    if (node.hasAttribute(kSourceMark))
        m_source = node.s(kSourceMark);
}

// Stays a node that nothing can run.
void ScriptConverter::convertUnknown(const ts::Node& node, Frame& frame)
{
    graph::Node made;
    made.op = node.kind().toQualString();
    made.overload = node.s(kUnknownMark);
    made.module = m_module;
    made.source = m_source;
    made.inputs = readInputs(node, frame);
    for (const auto* output : node.outputs())
        made.outputs.push_back(newValue(baseName(made.op), output->type()->annotation_str()));
    const auto outputs = made.outputs;
    m_block->nodes.push_back(std::move(made));
    for (std::size_t i = 0; i < outputs.size(); ++i)
        frame.values[node.outputs()[i]] = bindResult(Operand::of(outputs[i]), node.outputs()[i]->type(), true);
}

// Kinds that have no libtorch operator, or whose operator only matters to TorchScript's own interpreter.
bool ScriptConverter::convertOwn(const ts::Node& node, Frame& frame)
{
    const auto kind = node.kind();
    if (kind == c10::prim::If)
        return convertIf(node, frame), true;
    if (kind == c10::prim::Loop)
        return convertLoop(node, frame), true;
    if (kind == c10::prim::CallMethod || kind == c10::prim::CallFunction || kind == c10::prim::fork)
        return convertCall(node, frame), true;
    if (kind == c10::prim::TupleConstruct || kind == c10::prim::TupleUnpack || kind == c10::prim::TupleIndex || kind == c10::prim::TupleSlice)
        return convertTuple(node, frame), true;
    if (kind == c10::prim::ListConstruct || kind == c10::prim::DictConstruct || kind == c10::prim::ListUnpack)
        return convertContainer(node, frame), true;
    if (kind == c10::prim::SetAttr)
        return setAttribute(node, frame), true;
    if (kind == c10::prim::Print || kind == c10::aten::warn)
        return true;
    Binding result;
    if (kind == c10::prim::GetAttr) {
        result = getAttribute(node, frame);
    } else if (kind == c10::prim::CreateObject) {
        result = newObject(node.output()->type());
    } else if (kind == c10::prim::Uninitialized) {
        result = uninitialized(node.output()->type());
    } else if (kind == c10::prim::Constant) {
        if (const auto function = node.output()->type()->cast<c10::FunctionType>()) {
            result.kind = Binding::Kind::Function;
            result.function = function->function();
        } else {
            const auto value = ts::toIValue(node.output());
            if (!value)
                throw core::FormatError(fmt::format("{}: a constant of type {}", place(node), node.output()->type()->annotation_str()));
            const std::string name = "constant";
            result = bindObject(*value, m_module.empty() ? name : m_module + "." + name);
        }
    } else if (kind == c10::prim::unchecked_cast || kind == c10::prim::unchecked_unwrap_optional || kind == c10::aten::_unwrap_optional ||
               kind == c10::aten::wait) {
        result = get(node.input(0), frame);
        const auto& type = node.output()->type();
        if (result.kind == Binding::Kind::Cell && type->cast<c10::TupleType>())
            result = bindResult(read(result), type, true);
        else if (result.kind == Binding::Kind::Cell && canBeNone(m_variables.cells[std::size_t(result.cell)].type))
            m_variables.cells[std::size_t(result.cell)].type = type->annotation_str();
    } else {
        return kind == c10::aten::__getitem__ ? foldGetItem(node, frame) : foldNoneCheck(node, frame);
    }
    frame.values[node.output()] = result;
    return true;
}

// An object of an own class lives only while importing: its attributes are followed by name.
Binding ScriptConverter::newObject(const c10::TypePtr& type)
{
    Binding binding;
    binding.kind = Binding::Kind::Object;
    binding.path = kObjectPrefix + std::to_string(m_objects++);
    const auto classType = type->expect<c10::ClassType>();
    binding.object = c10::ivalue::Object::create(c10::StrongTypePtr(m_root._ivalue()->compilation_unit(), classType), classType->numAttributes());
    return binding;
}

// Stands where a branch never reads it.
Binding ScriptConverter::uninitialized(const c10::TypePtr& type)
{
    const auto tuple = type->cast<c10::TupleType>();
    if (!tuple)
        return cellBinding(Operand::literal({}), "NoneType");
    Binding binding;
    binding.kind = Binding::Kind::Tuple;
    binding.type = type;
    for (const auto& element : tuple->elements())
        binding.items.push_back(uninitialized(element));
    return binding;
}

// `x is None` and isinstance, where the static type decides.
bool ScriptConverter::foldNoneCheck(const ts::Node& node, Frame& frame)
{
    std::optional<bool> known;
    if (node.kind() == c10::prim::isinstance) {
        const auto& type = *node.input(0)->type();
        bool possible = false, certain = false;
        for (const auto& candidate : node.tys(c10::attr::types)) {
            certain = certain || type.isSubtypeOf(*candidate);
            possible = possible || candidate->isSubtypeOf(type);
        }
        if (!certain && possible) {
            const Binding value = get(node.input(0), frame);
            if (value.kind != Binding::Kind::Cell || !read(value).isConstant())
                throw core::FormatError(
                    fmt::format("{}: isinstance on a value of type {}, which is not known before the run", place(node), type.annotation_str()));
            for (const auto& candidate : node.tys(c10::attr::types))
                certain = certain || read(value).constant.type()->isSubtypeOf(*candidate);
        }
        known = certain;
    } else if (node.kind() == c10::aten::__is__ || node.kind() == c10::aten::__isnot__) {
        const Binding a = get(node.input(0), frame), b = get(node.input(1), frame);
        const auto isNone = [&](const Binding& value) -> std::optional<bool> {
            if (value.kind != Binding::Kind::Cell)
                return false;
            const auto& cell = m_variables.cells[std::size_t(value.cell)];
            if (cell.current.isConstant())
                return cell.current.constant.isNone();
            return canBeNone(cell.type) ? std::nullopt : std::optional<bool>(false);
        };
        const auto first = isNone(a), second = isNone(b);
        if (!first || !second || (!*first && !*second))
            return false;
        known = (*first == *second) == (node.kind() == c10::aten::__is__);
    } else {
        return false;
    }
    frame.values[node.output()] = cellBinding(Operand::literal(*known), "bool");
    return true;
}

// An item of a list or dict whose contents are known.
bool ScriptConverter::foldGetItem(const ts::Node& node, Frame& frame)
{
    const Binding owner = get(node.input(0), frame);
    if (owner.kind != Binding::Kind::Cell || !m_variables.cells[std::size_t(owner.cell)].items)
        return false;
    const auto items = *m_variables.cells[std::size_t(owner.cell)].items;
    const Operand key = read(get(node.input(1), frame));
    if (!key.isConstant())
        return false;
    const bool isList = node.input(0)->type()->kind() == c10::TypeKind::ListType;
    if (isList && key.constant.isInt()) {
        const auto count = std::int64_t(items.size()), index = key.constant.toInt() + (key.constant.toInt() < 0 ? count : 0);
        if (index < 0 || index >= count)
            return false;
        frame.values[node.output()] = items[std::size_t(index)].second;
        return true;
    }
    for (const auto& [itemKey, item] : items)
        if (!isList && sameLiteral(itemKey, key.constant))
            return frame.values[node.output()] = item, true;
    return false;
}

void ScriptConverter::convertTuple(const ts::Node& node, Frame& frame)
{
    if (node.kind() == c10::prim::TupleConstruct) {
        Binding tuple;
        tuple.kind = Binding::Kind::Tuple;
        tuple.type = node.output()->type();
        for (const auto* input : node.inputs())
            tuple.items.push_back(get(input, frame));
        frame.values[node.output()] = tuple;
        return;
    }
    const Binding tuple = get(node.input(0), frame);
    if (tuple.kind != Binding::Kind::Tuple)
        throw core::FormatError(fmt::format("{}: expected a tuple of known length, found {}", place(node), node.input(0)->type()->annotation_str()));
    const auto count = std::int64_t(tuple.items.size());
    if (node.kind() == c10::prim::TupleUnpack) {
        for (std::size_t i = 0; i < node.outputs().size(); ++i)
            frame.values[node.outputs()[i]] = tuple.items.at(i);
    } else if (node.kind() == c10::prim::TupleIndex) {
        const Operand index = read(get(node.input(1), frame));
        if (!index.isConstant())
            throw core::FormatError(fmt::format("{}: a tuple's index is not known before the run", place(node)));
        frame.values[node.output()] =
            tuple.items.at(std::size_t(index.constant.toInt() < 0 ? index.constant.toInt() + count : index.constant.toInt()));
    } else {
        Binding part = tuple;
        part.type = node.output()->type();
        part.items.assign(tuple.items.begin() + node.i(c10::attr::beg), tuple.items.begin() + node.i(c10::attr::end));
        frame.values[node.output()] = part;
    }
}

void ScriptConverter::convertContainer(const ts::Node& node, Frame& frame)
{
    if (node.kind() == c10::prim::ListUnpack) {
        const Binding list = get(node.input(), frame);
        const auto items = list.kind == Binding::Kind::Cell ? m_variables.cells[std::size_t(list.cell)].items : std::nullopt;
        if (items && items->size() == node.outputs().size()) {
            for (std::size_t i = 0; i < items->size(); ++i)
                frame.values[node.outputs()[i]] = (*items)[i].second;
            return;
        }
        const auto& made = emitNode(node, {read(list)});
        const auto outputs = made.outputs;
        for (std::size_t i = 0; i < outputs.size(); ++i)
            frame.values[node.outputs()[i]] = bindResult(Operand::of(outputs[i]), node.outputs()[i]->type(), true);
        return;
    }
    const bool isList = node.kind() == c10::prim::ListConstruct;
    for (const auto* input : node.inputs())
        markEscaped(get(input, frame));
    const auto operands = readInputs(node, frame);
    const auto& type = node.output()->type();
    std::vector<std::pair<c10::IValue, Binding>> items;
    bool keysKnown = true;
    for (std::size_t i = 0; i < operands.size(); i += isList ? 1 : 2) {
        const auto item = get(node.inputs()[isList ? i : i + 1], frame);
        keysKnown = keysKnown && (isList || operands[i].isConstant());
        items.emplace_back(isList ? c10::IValue() : operands[i].constant, item);
    }
    Binding result;
    const auto isKnown = [](const Operand& operand) { return operand.isConstant(); };
    if (isList && !holdsTensor(type) && std::all_of(operands.begin(), operands.end(), isKnown)) {
        c10::impl::GenericList list(type->expect<c10::ListType>()->getElementType());
        for (const auto& operand : operands)
            list.push_back(operand.constant);
        result = cellBinding(Operand::literal(list), type->annotation_str());
    } else {
        result = cellBinding(Operand::of(emitNode(node, operands).outputs[0]), type->annotation_str());
    }
    if (keysKnown)
        m_variables.cells[std::size_t(result.cell)].items = items;
    frame.values[node.output()] = result;
}

void ScriptConverter::convertCall(const ts::Node& node, Frame& frame)
{
    std::vector<Binding> arguments;
    for (const auto* input : node.inputs())
        arguments.push_back(get(input, frame));
    if (node.kind() == c10::prim::fork) {  // run at once: the result is the same
        Frame inner = frame;
        const auto body = node.g(c10::attr::Subgraph);
        for (std::size_t i = 0; i < arguments.size(); ++i)
            inner.values[body->inputs()[i]] = arguments[i];
        convertBlock(*body->block(), inner);
        frame.values[node.output()] = get(body->outputs().at(0), inner);
        return;
    }
    if (node.kind() == c10::prim::CallFunction) {
        if (arguments.at(0).kind != Binding::Kind::Function)
            throw core::FormatError(fmt::format("{}: calls a function that is not known before the run", place(node)));
        auto* function = arguments[0].function;
        arguments.erase(arguments.begin());
        frame.values[node.output()] = call(*function, arguments, frame.module, &frame);
        return;
    }
    const Binding& owner = arguments.at(0);
    const auto& method = node.s(c10::attr::name);
    if (owner.kind != Binding::Kind::Object)
        throw core::FormatError(fmt::format("{}: calls {} of an object that is not known before the run", place(node), method));
    const auto type = owner.object.toObjectRef().type();
    auto* function = type->findMethod(method);
    if (!function)
        throw core::FormatError(fmt::format("{}: class {} has no method {}", place(node), shortTypeName(*type), method));
    frame.values[node.output()] = call(*function, arguments, type->is_module() ? owner.path : frame.module, &frame);
}

// All that depends on literals alone is computed here; nothing that makes a tensor is.
bool ScriptConverter::fold(const ts::Node& node, const std::vector<Operand>& inputs, Frame& frame)
{
    if (node.outputs().empty() || !std::all_of(inputs.begin(), inputs.end(), [](const Operand& input) { return input.isConstant(); }))
        return false;
    const auto outputs = node.outputs();
    if (std::any_of(outputs.begin(), outputs.end(), [](const ts::Value* output) { return holdsTensor(output->type()); }) || node.hasSideEffects())
        return false;
    ts::Stack stack;
    for (const auto& input : inputs)
        stack.push_back(input.constant.deepcopy());
    try {
        node.getOperation()(stack);
    } catch (const std::exception&) {
        return false;  // it fails when it is run, if it is run
    }
    if (stack.size() != outputs.size() || !std::all_of(stack.begin(), stack.end(), isLiteral))
        return false;
    for (std::size_t i = 0; i < outputs.size(); ++i)
        frame.values[outputs[i]] = bindObject(stack[i], "");
    return true;
}

// A trace has written down the flag of the mode it ran in. A `False` is always such a flag (no one writes a dropout that never drops); a `True` only inside the
// module types that pass their own mode.
void ScriptConverter::followTraining(const ts::Node& node, std::vector<Operand>& inputs, const Frame& frame)
{
    const std::string op = node.kind().toQualString();
    const auto argument = kTrainingArguments.find(op);
    if (argument == kTrainingArguments.end() || frame.readsTraining)
        return;
    const auto index = node.schema().argumentIndexWithName(argument->second);
    if (!index || !inputs[std::size_t(*index)].isConstant() || !inputs[std::size_t(*index)].constant.isBool())
        return;
    const bool flag = inputs[std::size_t(*index)].constant.toBool();
    const bool ownMode = frame.moduleType.find("Dropout") != std::string::npos || frame.moduleType.find("BatchNorm") != std::string::npos;
    if (flag && !(frame.trainingAttribute && ownMode))
        return;
    if (op == "aten::batch_norm" && inputs.at(3).isConstant())  // no running statistics: always those of the batch
        return;
    if (!m_data.training)
        m_data.training = newValue("training", "bool");
    inputs[std::size_t(*index)] = Operand::of(*m_data.training);
    m_notes.insert(fmt::format("{}: {}={} of {} was frozen by tracing and now follows the run's mode", m_module.empty() ? "root" : m_module,
                               argument->second, flag ? "True" : "False", op));
}

void ScriptConverter::noteOperator(const ts::Node& node)
{
    const std::string op = node.kind().toQualString();
    if (kFused.count(op))
        m_notes.insert(fmt::format("{}: {} is one fused operator; values inside it cannot be seen", m_module.empty() ? "root" : m_module, op));
}

void ScriptConverter::convertOperator(const ts::Node& node, Frame& frame)
{
    if (node.kind() == c10::prim::PythonOp)
        throw core::FormatError(fmt::format("{}: calls a Python function (prim::PythonOp); expected TorchScript operators alone", place(node)));
    if (node.hasAttribute(kUnknownMark))
        return convertUnknown(node, frame);
    if (!node.maybeSchema() || !node.blocks().empty())
        throw core::FormatError(fmt::format("{}: {} is not supported here", place(node), node.kind().toQualString()));
    auto inputs = readInputs(node, frame);
    followTraining(node, inputs, frame);
    if (fold(node, inputs, frame) || convertAttention(node, frame))
        return;
    noteOperator(node);
    const auto outputs = emitNode(node, inputs).outputs;
    const auto& returns = node.schema().returns();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const bool aliases = i < returns.size() && returns[i].alias_info();
        const Binding result = bindResult(Operand::of(outputs[i]), node.outputs()[i]->type(), false);
        frame.values[node.outputs()[i]] = result;
        if (aliases)
            linkView(node, frame, i, result);
    }
}

}  // namespace orrery::models
