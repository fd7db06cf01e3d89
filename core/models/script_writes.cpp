// Versions of cells, views, and writes in place.
#include <torch/csrc/jit/runtime/operator.h>

#include <core/base/error.h>

#include "script_converter.h"

namespace orrery::models {
namespace {

const std::set<std::string> kMaybeViews = {"aten::reshape", "aten::reshape_as", "aten::contiguous",        "aten::to",
                                           "aten::flatten", "aten::ravel",      "aten::expand_as_or_self", "aten::type_as"};
// Change the tensor's own shape or storage instead of its contents.
const std::set<std::string> kMetadataWrites = {"aten::resize_",    "aten::resize_as_", "aten::set_",       "aten::requires_grad_",
                                               "aten::detach_",    "aten::squeeze_",   "aten::unsqueeze_", "aten::t_",
                                               "aten::transpose_", "aten::swapaxes_",  "aten::swapdims_",  "aten::as_strided_"};
constexpr std::size_t kMaxRebuiltItems = 256;

bool canInvert(const ViewRecipe& recipe)
{
    static const std::set<std::string> kInvertible = {"aten::select",    "aten::slice",     "aten::diagonal", "aten::transpose", "aten::t",
                                                      "aten::permute",   "aten::unsqueeze", "aten::squeeze",  "aten::view",      "aten::view_as",
                                                      "aten::unflatten", "aten::swapaxes",  "aten::swapdims"};
    if (!recipe.certain || !kInvertible.count(recipe.op) || recipe.overload == "dtype" || recipe.overload == "Dimname")
        return false;
    return recipe.op != "aten::permute" || (recipe.inputs.at(1).isConstant() && recipe.inputs[1].constant.isIntList());
}

std::vector<std::int64_t> inversePermutation(const std::vector<std::int64_t>& dims)
{
    std::vector<std::int64_t> inverse(dims.size());
    for (std::size_t i = 0; i < dims.size(); ++i)
        inverse.at(std::size_t(dims[i] < 0 ? dims[i] + std::int64_t(dims.size()) : dims[i])) = std::int64_t(i);
    return inverse;
}

// aten::add_.Tensor -> aten::add.Tensor, if that has the same arguments and no write.
bool hasFunctionalForm(const c10::FunctionSchema& schema, const std::string& functional)
{
    const auto found = ts::findOperatorFor(c10::OperatorName(functional, schema.overload_name()));
    if (!found || found->schema().arguments().size() != schema.arguments().size() || found->schema().is_mutable())
        return false;
    for (std::size_t i = 0; i < schema.arguments().size(); ++i)
        if (*found->schema().arguments()[i].type() != *schema.arguments()[i].type())
            return false;
    return true;
}

}  // namespace

std::string ScriptConverter::baseName(const std::string& op) const
{
    return m_module.empty() ? shortOpName(op) : m_module + "." + shortOpName(op);
}

ValueId ScriptConverter::newValue(std::string base, std::string type, ValueId versionOf)
{
    m_data.values.push_back({"", std::move(type)});
    m_valueNotes.push_back({std::move(base), versionOf});
    return ValueId(m_data.values.size()) - 1;
}

ValueId ScriptConverter::emit(const std::string& op, const std::string& overload, std::vector<Operand> inputs, const std::string& type,
                              ValueId versionOf)
{
    graph::Node node;
    node.op = op;
    node.overload = overload;
    node.module = m_module;
    node.source = m_source;
    node.inputs = std::move(inputs);
    node.outputs = {newValue(baseName(op), type, versionOf)};
    m_block->nodes.push_back(std::move(node));
    return m_block->nodes.back().outputs[0];
}

graph::Node ScriptConverter::emitNode(const ts::Node& source, std::vector<Operand> inputs, ValueId versionOf)
{
    graph::Node node;
    node.op = source.kind().toQualString();
    if (const auto* schema = source.maybeSchema(); schema && node.op.rfind("prim::ListUnpack", 0) != 0)
        node.overload = schema->overload_name();
    node.module = m_module;
    node.source = m_source;
    node.inputs = std::move(inputs);
    for (const auto* output : source.outputs())
        node.outputs.push_back(newValue(baseName(node.op), output->type()->annotation_str(), node.outputs.empty() ? versionOf : -1));
    m_block->nodes.push_back(node);
    return node;
}

int ScriptConverter::newCell(Operand current, std::string type)
{
    Cell cell;
    cell.current = std::move(current);
    cell.type = std::move(type);
    m_variables.cells.push_back(std::move(cell));
    return int(m_variables.cells.size()) - 1;
}

Binding ScriptConverter::cellBinding(Operand current, std::string type)
{
    Binding binding;
    binding.cell = newCell(std::move(current), std::move(type));
    return binding;
}

Binding ScriptConverter::bindResult(Operand value, const c10::TypePtr& type, bool mayAlias)
{
    const auto tuple = type->cast<c10::TupleType>();
    if (!tuple) {
        const Binding binding = cellBinding(std::move(value), type->annotation_str());
        m_variables.cells[std::size_t(binding.cell)].mayAlias = mayAlias;
        return binding;
    }
    graph::Node node;
    node.op = "prim::TupleUnpack";
    node.module = m_module;
    node.source = m_source;
    node.inputs = {std::move(value)};
    for (const auto& element : tuple->elements())
        node.outputs.push_back(newValue(baseName(node.op), element->annotation_str()));
    const auto outputs = node.outputs;
    m_block->nodes.push_back(std::move(node));
    Binding binding;
    binding.kind = Binding::Kind::Tuple;
    binding.type = type;
    for (std::size_t i = 0; i < outputs.size(); ++i)
        binding.items.push_back(bindResult(Operand::of(outputs[i]), tuple->elements()[i], mayAlias));
    return binding;
}

Operand ScriptConverter::read(const Binding& binding)
{
    if (binding.kind == Binding::Kind::Cell)
        return readCell(binding.cell);
    if (binding.kind != Binding::Kind::Tuple)
        throw core::FormatError(fmt::format("module {}: a module or function is used as a value; expected tensors, numbers, lists, dicts or tuples",
                                            m_module.empty() ? "(root)" : m_module));
    std::vector<Operand> items;
    std::vector<c10::IValue> literals;
    for (const auto& item : binding.items) {
        markEscaped(item);
        items.push_back(read(item));
        if (items.back().isConstant())
            literals.push_back(items.back().constant);
    }
    if (literals.size() == items.size())
        return Operand::literal(c10::ivalue::Tuple::create(literals));
    return Operand::of(emit("prim::TupleConstruct", "", items, binding.type ? binding.type->annotation_str() : "Any"));
}

// A view whose base was written is taken anew from the base's newest version.
Operand ScriptConverter::readCell(int index)
{
    if (!m_variables.cells[std::size_t(index)].stale)
        return m_variables.cells[std::size_t(index)].current;
    auto recipe = m_variables.cells[std::size_t(index)].recipe;
    recipe.inputs[0] = readCell(m_variables.cells[std::size_t(index)].base);
    if (recipe.op == "aten::view" && recipe.overload.empty())  // a new version may lie in memory in another order
        recipe.op = "aten::reshape";
    const auto module = std::exchange(m_module, recipe.module);
    const ValueId value = emit(recipe.op, recipe.overload, recipe.inputs, "Tensor", m_variables.cells[std::size_t(index)].current.value);
    m_module = module;
    auto& cell = m_variables.cells[std::size_t(index)];
    cell.current = Operand::of(value);
    cell.stale = false;
    return cell.current;
}

int ScriptConverter::familyRoot(int cell) const
{
    while (m_variables.cells[std::size_t(cell)].base >= 0)
        cell = m_variables.cells[std::size_t(cell)].base;
    return cell;
}

void ScriptConverter::markEscaped(const Binding& binding)
{
    if (binding.kind == Binding::Kind::Cell) {
        auto& root = m_variables.cells[std::size_t(familyRoot(binding.cell))];
        root.escaped = true;
        for (int i = binding.cell; root.apart && m_variables.cells[std::size_t(i)].base >= 0; i = m_variables.cells[std::size_t(i)].base)
            m_variables.cells[std::size_t(i)].stale = true;  // what is held has to share memory with its base again
    }
    for (const auto& item : binding.items)
        markEscaped(item);
}

void ScriptConverter::makeStale(int root, const std::set<int>& except)
{
    for (std::size_t i = 0; i < m_variables.cells.size(); ++i)
        if (int(i) != root && !except.count(int(i)) && familyRoot(int(i)) == root)
            m_variables.cells[i].stale = true;
}

void ScriptConverter::linkView(const ts::Node& node, Frame& frame, std::size_t output, const Binding& result)
{
    if (result.kind != Binding::Kind::Cell)
        return markEscaped(result);
    auto& cell = m_variables.cells[std::size_t(result.cell)];
    cell.mayAlias = true;
    const auto& schema = node.schema();
    const auto& sets = schema.returns()[output].alias_info()->beforeSets();
    for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
        const auto* alias = schema.arguments()[i].alias_info();
        if (!alias || std::none_of(sets.begin(), sets.end(), [&](const auto& set) { return alias->beforeSets().count(set) > 0; }))
            continue;
        const Binding source = get(node.inputs()[i], frame);
        const bool tensors =
            node.inputs()[i]->type()->isSubtypeOf(*c10::TensorType::get()) && node.outputs()[output]->type()->isSubtypeOf(*c10::TensorType::get());
        if (!tensors || i != 0 || source.kind != Binding::Kind::Cell) {
            markEscaped(source);
            continue;
        }
        cell.mayAlias = false;
        cell.base = source.cell;
        cell.recipe.op = node.kind().toQualString();
        cell.recipe.overload = schema.overload_name();
        cell.recipe.module = m_module;
        cell.recipe.certain = !kMaybeViews.count(cell.recipe.op);
        std::vector<Operand> inputs;
        for (const auto* input : node.inputs()) {
            const auto binding = get(input, frame);
            inputs.push_back(binding.kind == Binding::Kind::Cell ? m_variables.cells[std::size_t(binding.cell)].current : Operand::literal({}));
        }
        m_variables.cells[std::size_t(result.cell)].recipe.inputs = inputs;
    }
}

// True if every alias of the cell is known and a write can be carried to all of them.
bool ScriptConverter::isFunctional(int index) const
{
    const int root = familyRoot(index);
    if (m_variables.cells[std::size_t(root)].escaped)
        return false;
    for (int i = index; i >= 0; i = m_variables.cells[std::size_t(i)].base) {
        const auto& cell = m_variables.cells[std::size_t(i)];
        if (cell.mayAlias || (cell.base >= 0 && !canInvert(cell.recipe)))
            return false;
    }
    for (std::size_t i = 0; i < m_variables.cells.size(); ++i)
        if (m_variables.cells[i].base >= 0 && !m_variables.cells[i].recipe.certain && familyRoot(int(i)) == root)
            return false;
    return true;
}

bool ScriptConverter::convertWrite(const ts::Node& node, Frame& frame)
{
    const auto* schema = node.maybeSchema();
    if (!schema || !node.blocks().empty() || !schema->is_mutable())
        return false;
    std::size_t written = 0;
    while (!(schema->arguments()[written].alias_info() && schema->arguments()[written].alias_info()->isWrite()))
        ++written;
    const Binding target = get(node.inputs()[written], frame);
    if (target.kind != Binding::Kind::Cell)
        throw core::FormatError(fmt::format("{}: {} writes into a tuple or module", place(node), node.kind().toQualString()));
    const bool isTensor = node.inputs()[written]->type()->isSubtypeOf(*c10::TensorType::get());
    const bool isForeach = std::string(node.kind().toQualString()).rfind("aten::_foreach", 0) == 0;
    if (!isTensor && !isForeach)
        writeContainer(node, frame, target.cell);
    else if (isForeach || written != 0 || !writeTensor(node, frame, target.cell))
        writeInPlace(node, frame, target.cell);
    return true;
}

bool ScriptConverter::writeTensor(const ts::Node& node, Frame& frame, int index)
{
    if (!isFunctional(index) || node.outputs().size() > 1)
        return false;
    readCell(index);
    const auto value = functionalWrite(node, frame, index);
    if (!value)
        return false;
    noteOperator(node);
    const bool scattersOnly = node.kind() == c10::aten::copy_ && m_variables.cells[std::size_t(index)].base >= 0;
    const ValueId old = m_variables.cells[std::size_t(index)].current.value;
    m_variables.cells[std::size_t(index)].current = Operand::of(*value);
    m_variables.cells[std::size_t(familyRoot(index))].apart |= m_variables.cells[std::size_t(index)].base >= 0;
    scatterBack(index);
    std::set<int> chain;
    for (int i = index; i >= 0; i = m_variables.cells[std::size_t(i)].base)
        chain.insert(i);
    makeStale(familyRoot(index), chain);
    if (scattersOnly) {  // what was copied may share memory with the source
        m_variables.cells[std::size_t(index)].current = Operand::of(old);
        m_variables.cells[std::size_t(index)].stale = true;
    }
    if (!node.outputs().empty()) {
        Binding self;
        self.cell = index;
        frame.values[node.outputs()[0]] = self;
    }
    return true;
}

std::optional<ValueId> ScriptConverter::functionalWrite(const ts::Node& node, Frame& frame, int index)
{
    const std::string op = node.kind().toQualString();
    const auto& schema = node.schema();
    if (kMetadataWrites.count(op) || op.size() < 2 || op.back() != '_' || op[op.size() - 2] == '_')
        return std::nullopt;
    auto inputs = readInputs(node, frame);
    const Operand none = Operand::literal({});
    const bool isScalarFill = (op == "aten::fill_" && schema.overload_name() == "Scalar") ||
                              (op == "aten::copy_" && (schema.overload_name() == "int" || schema.overload_name() == "float"));
    if (op == "aten::zero_")
        return emit("aten::zeros_like", "", {inputs[0], none, none, none, none, none});
    if (isScalarFill)
        return emit("aten::full_like", "", {inputs[0], inputs[1], none, none, none, none, none});
    if (op == "aten::copy_" || (op == "aten::fill_" && schema.overload_name() == "Tensor")) {
        if (m_variables.cells[std::size_t(index)].base >= 0 && op == "aten::copy_")
            return emit("aten::expand_as", "", {inputs[1], inputs[0]});
        const ValueId converted = emit("aten::type_as", "", {inputs[1], inputs[0]});
        const ValueId expanded = emit("aten::expand_as", "", {Operand::of(converted), inputs[0]});
        return emit("aten::clone", "", {Operand::of(expanded), none});
    }
    const auto functional = op.substr(0, op.size() - 1);
    if (!hasFunctionalForm(schema, functional))
        return std::nullopt;
    followTraining(node, inputs, frame);
    return emit(functional, schema.overload_name(), inputs);
}

void ScriptConverter::scatterBack(int index)
{
    while (m_variables.cells[std::size_t(index)].base >= 0) {
        const Cell view = m_variables.cells[std::size_t(index)];
        const int base = view.base;
        const ValueId old = m_variables.cells[std::size_t(base)].current.value;
        m_variables.cells[std::size_t(base)].current = inverseView(view, view.current.value, old);
        m_variables.cells[std::size_t(base)].stale = false;
        index = base;
    }
}

Operand ScriptConverter::inverseView(const Cell& view, ValueId written, ValueId base)
{
    const auto& recipe = view.recipe;
    const auto& in = recipe.inputs;
    const Operand w = Operand::of(written), b = Operand::of(base);
    const auto version = [&](const std::string& op, const std::string& overload, std::vector<Operand> inputs) {
        return Operand::of(emit(op, overload, std::move(inputs), "Tensor", base));
    };
    const auto ordered = [&](Operand turned) {
        return version("aten::contiguous", "", {std::move(turned), Operand::literal(std::int64_t(at::MemoryFormat::Contiguous))});
    };  // `view` may follow
    if (recipe.op == "aten::select")
        return version("aten::select_scatter", "", {b, w, in[1], in[2]});
    if (recipe.op == "aten::slice")
        return version("aten::slice_scatter", "", {b, w, in[1], in[2], in[3], in[4]});
    if (recipe.op == "aten::diagonal")
        return version("aten::diagonal_scatter", "", {b, w, in[1], in[2], in[3]});
    if (recipe.op == "aten::transpose" || recipe.op == "aten::swapaxes" || recipe.op == "aten::swapdims")
        return ordered(Operand::of(emit("aten::transpose", "int", {w, in[1], in[2]})));
    if (recipe.op == "aten::t")
        return ordered(Operand::of(emit("aten::t", "", {w})));
    if (recipe.op == "aten::permute")
        return ordered(Operand::of(emit("aten::permute", "", {w, Operand::literal(inversePermutation(in[1].constant.toIntVector()))})));
    if (recipe.op == "aten::unsqueeze")
        return version("aten::squeeze", "dim", {w, in[1]});
    return version("aten::reshape_as", "", {w, b});
}

void ScriptConverter::writeInPlace(const ts::Node& node, Frame& frame, int index)
{
    if (const int root = familyRoot(index); m_variables.cells[std::size_t(root)].apart) {
        makeStale(root, {});  // from here on all share memory again
        m_variables.cells[std::size_t(root)].apart = false;
    }
    auto inputs = readInputs(node, frame);
    followTraining(node, inputs, frame);
    noteOperator(node);
    const Operand target = readCell(index);
    const auto& schema = node.schema();
    m_notes.insert(fmt::format("{}: {} stays a write in place", m_module.empty() ? "root" : m_module, node.kind().toQualString()));
    const auto outputs = emitNode(node, inputs, target.value).outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto* alias = i < schema.returns().size() ? schema.returns()[i].alias_info() : nullptr;
        if (i == 0 && alias && alias->isWrite() && node.outputs()[i]->type()->isSubtypeOf(*c10::TensorType::get())) {
            m_variables.cells[std::size_t(index)].current = Operand::of(outputs[i]);
            Binding self;
            self.cell = index;
            frame.values[node.outputs()[i]] = self;
        } else {
            frame.values[node.outputs()[i]] = bindResult(Operand::of(outputs[i]), node.outputs()[i]->type(), true);
        }
    }
}

// A list or dict whose items are all known is written down anew.
void ScriptConverter::makeContainer(int index, std::vector<std::pair<c10::IValue, Binding>> items)
{
    const auto type = m_variables.cells[std::size_t(index)].type;
    const bool isDict = type.rfind("Dict[", 0) == 0;
    std::vector<Operand> operands;
    for (const auto& [key, item] : items) {
        if (isDict)
            operands.push_back(Operand::literal(key));
        operands.push_back(read(item));
    }
    const ValueId old = m_variables.cells[std::size_t(index)].current.value;
    const ValueId made = emit(isDict ? "prim::DictConstruct" : "prim::ListConstruct", "", operands, type, old);
    m_variables.cells[std::size_t(index)].current = Operand::of(made);
    m_variables.cells[std::size_t(index)].items = std::move(items);
}

bool ScriptConverter::rebuildContainer(const ts::Node& node, Frame& frame, int index)
{
    auto items = m_variables.cells[std::size_t(index)].items;
    const std::string op = node.kind().toQualString();
    if (!items || items->size() >= kMaxRebuiltItems)
        return false;
    if (op == "aten::append") {
        items->emplace_back(c10::IValue(), get(node.input(1), frame));
    } else if (op == "aten::_set_item") {
        const Operand key = read(get(node.input(1), frame));
        const bool isDict = m_variables.cells[std::size_t(index)].type.rfind("Dict[", 0) == 0;
        if (!key.isConstant() || (!isDict && !key.constant.isInt()))
            return false;
        const Binding item = get(node.input(2), frame);
        if (isDict) {
            const auto found = std::find_if(items->begin(), items->end(), [&](const auto& entry) { return sameLiteral(entry.first, key.constant); });
            if (found == items->end())
                items->emplace_back(key.constant, item);
            else
                found->second = item;
        } else {
            const auto position = key.constant.toInt() + (key.constant.toInt() < 0 ? std::int64_t(items->size()) : 0);
            if (position < 0 || position >= std::int64_t(items->size()))
                return false;
            (*items)[std::size_t(position)].second = item;
        }
    } else {
        return false;
    }
    makeContainer(index, std::move(*items));
    return true;
}

// Lists and dicts: the write goes to a copy, which is the new version.
void ScriptConverter::writeContainer(const ts::Node& node, Frame& frame, int index)
{
    Binding self;
    self.cell = index;
    for (std::size_t i = 1; i < node.inputs().size(); ++i)
        markEscaped(get(node.inputs()[i], frame));
    const std::string op = node.kind().toQualString();
    const auto type = m_variables.cells[std::size_t(index)].type;
    if (!rebuildContainer(node, frame, index)) {
        auto inputs = readInputs(node, frame);
        const bool isDict = type.rfind("Dict[", 0) == 0;
        if (op == "aten::append" || op == "aten::extend" || (op == "aten::add_" && !isDict)) {
            const Operand more = op == "aten::append" ? Operand::of(emit("prim::ListConstruct", "", {inputs[1]}, type)) : inputs[1];
            m_variables.cells[std::size_t(index)].current = Operand::of(emit("aten::add", "t", {inputs[0], more}, type, inputs[0].value));
        } else {
            const auto key = isDict ? "Dict_" + type.substr(5, type.find(',') - 5) : std::string("t");
            const ValueId copy = emit("aten::copy", key, {inputs[0]}, type, inputs[0].value);
            inputs[0] = Operand::of(copy);
            const auto outputs = emitNode(node, inputs).outputs;
            for (std::size_t i = 0; i < outputs.size(); ++i)
                frame.values[node.outputs()[i]] = bindResult(Operand::of(outputs[i]), node.outputs()[i]->type(), true);
            m_variables.cells[std::size_t(index)].current = Operand::of(copy);
        }
        m_variables.cells[std::size_t(index)].items.reset();
    }
    for (const auto* output : node.outputs())
        if (output->type()->annotation_str() == type)
            frame.values[output] = self;
}

}  // namespace orrery::models
