#include "script_converter.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <core/base/error.h>
#include <core/base/plural.h>

namespace orrery::models {
namespace {

constexpr int kMaxCallDepth = 400;

// Two names with equal identities are one tensor: tied parameters, or a list attribute that holds parameters.
std::string identityOf(const at::Tensor& tensor)
{
    if (!tensor.has_storage() || !tensor.storage().data())
        return fmt::format("{}", fmt::ptr(tensor.unsafeGetTensorImpl()));
    return fmt::format("{} {} {} {} {}", fmt::ptr(tensor.storage().data()), tensor.storage_offset(), fmt::join(tensor.sizes(), ","),
                       fmt::join(tensor.strides(), ","), int(tensor.scalar_type()));
}

std::string joined(const std::string& path, const std::string& name)
{
    return path.empty() ? name : path + "." + name;
}

bool asksForTraining(const ts::Block& block)
{
    for (const auto* node : block.nodes()) {
        if (node->kind() == c10::prim::GetAttr && node->s(c10::attr::name) == "training")
            return true;
        for (const auto* inner : node->blocks())
            if (asksForTraining(*inner))
                return true;
    }
    return false;
}

}  // namespace

graph::GraphData ScriptConverter::convert()
{
    m_data.name = shortTypeName(*m_root.type());
    m_block = &m_data.body;
    registerModules();
    registerWeights();
    auto& forward = m_root.get_method(m_options.method).function();
    auto arguments = bindInputs(forward);
    const Binding result = call(forward, arguments, "", nullptr);
    flattenOutput(result, "output");
    addBufferUpdates();
    finishGraph(m_data, m_valueNotes);
    return std::move(m_data);
}

std::vector<std::string> ScriptConverter::notes() const
{
    std::vector<std::string> notes(m_notes.begin(), m_notes.end());
    if (m_removedChecks > 0)
        notes.push_back(fmt::format("{} that only {} an error {} left out", core::counted(m_removedChecks, "branch", "branches"),
                                    m_removedChecks == 1 ? "raises" : "raise", m_removedChecks == 1 ? "was" : "were"));
    return notes;
}

void ScriptConverter::registerModules()
{
    for (const auto& item : m_root.named_modules())
        m_data.modules.push_back({item.name, shortTypeName(*item.value.type())});
}

void ScriptConverter::registerWeights()
{
    for (const auto& item : m_root.named_parameters())
        registerLeaf(item.name, item.value, graph::Parameter::Kind::Parameter);
    for (const auto& item : m_root.named_buffers())
        registerLeaf(item.name, item.value, graph::Parameter::Kind::Buffer);
}

void ScriptConverter::registerLeaf(const std::string& name, const at::Tensor& tensor, graph::Parameter::Kind kind)
{
    if (!tensor.defined())
        return;
    if (tensor.is_quantized() || tensor.layout() != at::kStrided)
        throw core::FormatError(fmt::format("parameter {}: expected a dense tensor of a plain type, found {}", name, tensor.toString()));
    const auto [known, isNew] = m_leafByIdentity.try_emplace(identityOf(tensor), name);
    if (!isNew) {
        m_data.aliases[name] = known->second;
        return;
    }
    const ValueId value = newValue(name, "Tensor");
    m_data.parameters.push_back({name, value, kind, tensor.sizes().vec(), tensor.scalar_type(), {}});
    m_tensors[name] = tensor.detach();
    m_leafValues[name] = value;
    if (kind == graph::Parameter::Kind::Constant)
        return;
    const int cell = newCell(Operand::of(value), "Tensor");
    m_variables.cells[std::size_t(cell)].leaf = name;
    m_leafCells[name] = cell;
}

// Parameters and buffers have one cell from the start; a literal tensor gets a cell each time it is met, for cells made in a branch end with it.
Binding ScriptConverter::leaf(const at::Tensor& tensor, const std::string& nameIfNew)
{
    const auto known = m_leafByIdentity.find(identityOf(tensor));
    if (known == m_leafByIdentity.end()) {
        auto name = nameIfNew;
        for (int i = 2; m_leafValues.count(name); ++i)
            name = nameIfNew + "#" + std::to_string(i);
        registerLeaf(name, tensor, graph::Parameter::Kind::Constant);
        return cellBinding(Operand::of(m_leafValues.at(name)), "Tensor");
    }
    if (const auto cell = m_leafCells.find(known->second); cell != m_leafCells.end()) {
        Binding binding;
        binding.cell = cell->second;
        return binding;
    }
    return cellBinding(Operand::of(m_leafValues.at(known->second)), "Tensor");
}

Binding ScriptConverter::inputOf(const std::string& name, const c10::TypePtr& type)
{
    if (const auto tuple = type->cast<c10::TupleType>()) {
        Binding binding;
        binding.kind = Binding::Kind::Tuple;
        binding.type = type;
        for (std::size_t i = 0; i < tuple->elements().size(); ++i)
            binding.items.push_back(inputOf(fmt::format("{}.{}", name, i), tuple->elements()[i]));
        return binding;
    }
    if (type->cast<c10::ClassType>() || type->kind() == c10::TypeKind::InterfaceType)
        throw core::FormatError(
            fmt::format("input {}: expected tensors, numbers, lists or dicts, found an object of class {}", name, shortTypeName(*type)));
    const ValueId value = newValue(name, type->annotation_str());
    m_data.inputs.push_back({name, value});
    Binding binding = cellBinding(Operand::of(value), type->annotation_str());
    return binding;
}

std::vector<Binding> ScriptConverter::bindInputs(const ts::Function& forward)
{
    Binding self;
    self.kind = Binding::Kind::Object;
    self.object = m_root._ivalue();
    std::vector<Binding> arguments = {self};
    const auto& declared = forward.getSchema().arguments();
    for (std::size_t i = 1; i < declared.size(); ++i) {
        const auto& argument = declared[i];
        if (argument.default_value() && isLiteral(*argument.default_value()) && !m_options.keepInputs.count(argument.name())) {
            m_notes.insert(fmt::format("input {} is bound to its default", argument.name()));
            arguments.push_back(cellBinding(Operand::literal(*argument.default_value()), argument.type()->annotation_str()));
        } else {
            arguments.push_back(inputOf(argument.name(), argument.type()));
        }
    }
    return arguments;
}

void ScriptConverter::flattenOutput(const Binding& result, const std::string& name)
{
    const std::string prefix = name == "output" ? "" : name + ".";
    if (result.kind == Binding::Kind::Tuple) {
        for (std::size_t i = 0; i < result.items.size(); ++i)
            flattenOutput(result.items[i], fmt::format("{}.{}", name, i));
        return;
    }
    const auto items = result.kind == Binding::Kind::Cell ? m_variables.cells[std::size_t(result.cell)].items : std::nullopt;
    if (items) {
        for (std::size_t i = 0; i < items->size(); ++i) {
            const auto& key = (*items)[i].first;
            const auto keyText = key.isString() ? key.toStringRef() : key.isInt() ? std::to_string(key.toInt()) : std::to_string(i);
            flattenOutput((*items)[i].second, key.isNone() ? fmt::format("{}.{}", name, i) : prefix + keyText);
        }
        return;
    }
    const Operand operand = read(result);
    if (operand.isConstant() && operand.constant.isNone())
        return;
    m_data.body.outputs.push_back(operand);
    m_data.outputNames.push_back(name);
}

void ScriptConverter::addBufferUpdates()
{
    for (const auto& [name, cell] : m_leafCells) {
        const auto attribute = m_variables.attributes.find(name);
        Operand now = attribute != m_variables.attributes.end() && attribute->second.kind == Binding::Kind::Cell ? readCell(attribute->second.cell)
                                                                                                                 : readCell(cell);
        if (!now.isConstant() && now.value != m_leafValues.at(name))
            m_data.bufferUpdates.push_back({name, now.value});
    }
    for (const auto& [path, binding] : m_variables.attributes)
        if (!m_leafCells.count(path) && !m_data.aliases.count(path) && path.rfind(kObjectPrefix, 0) != 0)
            m_notes.insert(
                fmt::format("{} changes attribute {}, which is no buffer: its new value is not kept for the next run", m_options.method, path));
}

Binding ScriptConverter::call(ts::Function& function, const std::vector<Binding>& arguments, const std::string& module, const Frame* caller)
{
    auto* body = ts::tryToGraphFunction(function);
    if (!body)
        throw core::FormatError(fmt::format("module {}: function {} has no TorchScript body", module.empty() ? "(root)" : module, function.name()));
    if (m_depth >= kMaxCallDepth)
        throw core::FormatError(fmt::format("function {} calls itself, or calls are nested more than {} deep", function.name(), kMaxCallDepth));
    const auto graph = body->graph();
    if (graph->inputs().size() != arguments.size())
        throw core::FormatError(
            fmt::format("function {}: expected {} arguments, found {}", function.name(), graph->inputs().size(), arguments.size()));
    Frame frame;
    frame.module = module;
    const bool isMethod = !arguments.empty() && arguments[0].kind == Binding::Kind::Object;
    frame.readsTraining = (!isMethod && caller && caller->readsTraining) || asksForTraining(*graph->block());
    if (isMethod) {
        frame.moduleType = shortTypeName(*arguments[0].object.type());
        const auto& object = arguments[0].object.toObjectRef();
        const auto slot = object.type()->findAttributeSlot("training");
        frame.trainingAttribute = slot && object.getSlot(*slot).isBool() && object.getSlot(*slot).toBool();
    }
    for (std::size_t i = 0; i < arguments.size(); ++i)
        frame.values[graph->inputs()[i]] = arguments[i];
    const auto outer = std::exchange(m_module, module);
    ++m_depth;
    convertBlock(*graph->block(), frame);
    --m_depth;
    m_module = outer;
    return get(graph->outputs().at(0), frame);
}

Binding ScriptConverter::bindObject(const c10::IValue& value, const std::string& path)
{
    if (value.isTensor())
        return leaf(value.toTensor(), path);
    Binding binding;
    if (value.isObject()) {
        binding.kind = Binding::Kind::Object;
        binding.object = value;
        binding.path = path;
        return binding;
    }
    if (value.isTuple()) {
        binding.kind = Binding::Kind::Tuple;
        binding.type = value.type();
        for (const auto& item : value.toTupleRef().elements())
            binding.items.push_back(bindObject(item, fmt::format("{}.{}", path, binding.items.size())));
        return binding;
    }
    if (isLiteral(value))
        return cellBinding(Operand::literal(value), value.type()->annotation_str());
    std::vector<std::pair<c10::IValue, Binding>> items;
    std::vector<Operand> operands;
    if (value.isList()) {
        for (const auto& item : value.toList().vec())
            items.emplace_back(c10::IValue(), bindObject(item, fmt::format("{}.{}", path, items.size())));
    } else if (value.isGenericDict()) {
        for (const auto& entry : value.toGenericDict())
            items.emplace_back(entry.key(), bindObject(entry.value(), fmt::format("{}.{}", path, items.size())));
    } else {
        throw core::FormatError(
            fmt::format("attribute {}: expected tensors, numbers, text or containers of them, found {}", path, value.type()->annotation_str()));
    }
    for (const auto& [key, item] : items) {
        if (!value.isList())
            operands.push_back(Operand::literal(key));
        operands.push_back(read(item));
        markEscaped(item);
    }
    const ValueId list = emit(value.isList() ? "prim::ListConstruct" : "prim::DictConstruct", "", operands, value.type()->annotation_str());
    binding = cellBinding(Operand::of(list), value.type()->annotation_str());
    m_variables.cells[std::size_t(binding.cell)].items = items;
    return binding;
}

Binding ScriptConverter::getAttribute(const ts::Node& node, Frame& frame)
{
    const Binding owner = get(node.input(0), frame);
    const auto& name = node.s(c10::attr::name);
    if (owner.kind != Binding::Kind::Object)
        throw core::FormatError(fmt::format("{}: attribute {} of an object that is not known before the run", place(node), name));
    const std::string path = joined(owner.path, name);
    if (const auto set = m_variables.attributes.find(path); set != m_variables.attributes.end())
        return set->second;
    const bool isModule = owner.object.type()->cast<c10::ClassType>() && owner.object.type()->expect<c10::ClassType>()->is_module();
    const auto value = owner.object.toObjectRef().getAttr(name);
    if (isModule && name == "training" && value.isBool()) {
        if (!m_data.training)
            m_data.training = newValue("training", "bool");
        return cellBinding(Operand::of(*m_data.training), "bool");
    }
    if (value.isTensor()) {
        const auto alias = m_data.aliases.find(path);
        const auto cell = m_leafCells.find(alias == m_data.aliases.end() ? path : alias->second);
        if (cell != m_leafCells.end()) {
            Binding binding;
            binding.cell = cell->second;
            return binding;
        }
    }
    return bindObject(value, path);
}

void ScriptConverter::setAttribute(const ts::Node& node, Frame& frame)
{
    const Binding owner = get(node.input(0), frame);
    if (owner.kind != Binding::Kind::Object)
        throw core::FormatError(
            fmt::format("{}: sets attribute {} of an object that is not known before the run", place(node), node.s(c10::attr::name)));
    m_variables.attributes[joined(owner.path, node.s(c10::attr::name))] = get(node.input(1), frame);
}

}  // namespace orrery::models
