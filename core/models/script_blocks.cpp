// Branches and loops: what they write becomes outputs of the block.
#include <core/base/error.h>
#include <core/base/text.h>

#include "script_converter.h"

namespace orrery::models {
namespace {

// The rest of such a block is never run.
bool onlyRaises(const ts::Block& block)
{
    for (const auto* node : block.nodes()) {
        if (node->kind() == c10::prim::RaiseException)
            return true;
        if (node->kind() == c10::prim::If && onlyRaises(*node->blocks()[0]) && onlyRaises(*node->blocks()[1]))
            return true;
    }
    return false;
}

// "y3.11" -> "y3"
std::string plainName(const ts::Value& value)
{
    const auto name = value.hasDebugName() ? value.debugNameBase() : std::string("value");
    return name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) ? "value" : name;
}

bool isTrue(const Operand& operand)
{
    return operand.isConstant() && operand.constant.isBool() && operand.constant.toBool();
}
bool isFalse(const Operand& operand)
{
    return operand.isConstant() && operand.constant.isBool() && !operand.constant.toBool();
}

}  // namespace

ScriptConverter::Branch ScriptConverter::convertBranch(const ts::Block& block, Frame& frame)
{
    Branch branch;
    const Variables before = m_variables;
    auto* outer = std::exchange(m_block, &branch.block);
    convertBlock(block, frame);
    for (const auto* output : block.outputs())
        branch.outputs.push_back(get(output, frame));
    m_block = outer;
    branch.after = std::exchange(m_variables, before);
    return branch;
}

void ScriptConverter::convertIf(const ts::Node& node, Frame& frame)
{
    const Operand condition = read(get(node.input(), frame));
    const auto blocks = node.blocks();
    const ts::Block* taken = nullptr;
    if (condition.isConstant()) {
        taken = condition.constant.toBool() ? blocks[0] : blocks[1];
    } else if (onlyRaises(*blocks[0]) || onlyRaises(*blocks[1])) {
        taken = onlyRaises(*blocks[0]) ? blocks[1] : blocks[0];
        ++m_removedChecks;
    }
    if (taken) {
        convertBlock(*taken, frame);
        for (std::size_t i = 0; i < node.outputs().size(); ++i)
            frame.values[node.outputs()[i]] = get(taken->outputs()[i], frame);
        return;
    }
    Merge merge;
    const auto source = m_source;
    merge.condition = condition;
    merge.cellsBefore = m_variables.cells.size();
    merge.objectsBefore = m_objects;
    merge.first = convertBranch(*blocks[0], frame);
    merge.second = convertBranch(*blocks[1], frame);
    m_source = source;
    merge.node.op = "prim::If";
    merge.node.module = m_module;
    merge.node.source = m_source;
    merge.node.inputs = {condition};
    std::vector<Binding> results;
    for (std::size_t i = 0; i < node.outputs().size(); ++i)
        results.push_back(mergeBindings(merge, merge.first.outputs[i], merge.second.outputs[i], node.outputs()[i]->type()));
    mergeAttributes(merge);
    mergeCells(merge);
    merge.node.blocks = {std::move(merge.first.block), std::move(merge.second.block)};
    m_block->nodes.push_back(std::move(merge.node));
    for (std::size_t i = 0; i < results.size(); ++i)
        frame.values[node.outputs()[i]] = results[i].kind == Binding::Kind::Cell && node.outputs()[i]->type()->cast<c10::TupleType>()
                                              ? bindResult(read(results[i]), node.outputs()[i]->type(), true)
                                              : results[i];
}

// Reading may make a view anew: inside the branch.
Operand ScriptConverter::readIn(Branch& branch, const Binding& binding)
{
    auto* outer = std::exchange(m_block, &branch.block);
    std::swap(m_variables, branch.after);
    const Operand operand = read(binding);
    std::swap(m_variables, branch.after);
    m_block = outer;
    return operand;
}

bool ScriptConverter::isOuter(const Branch& branch, const Binding& binding, std::size_t cellsBefore) const
{
    if (binding.kind != Binding::Kind::Cell)
        return true;
    const auto& cells = branch.after.cells;
    int cell = binding.cell;
    while (cells[std::size_t(cell)].base >= 0)
        cell = cells[std::size_t(cell)].base;
    const auto& root = cells[std::size_t(cell)];
    return std::size_t(cell) < cellsBefore || root.mayAlias || root.escaped || !root.leaf.empty();
}

// `if c: True else: False` is c; equal results need no output.
Operand ScriptConverter::mergeOperands(Merge& merge, Operand a, Operand b, const std::string& type)
{
    if (sameOperand(a, b))
        return a;
    if (sameOperand(a, merge.condition))
        a = Operand::literal(true);
    if (sameOperand(b, merge.condition))
        b = Operand::literal(false);
    if (isTrue(a) && isFalse(b))
        return merge.condition;
    if (isFalse(a) && isTrue(b))
        return Operand::of(emit("aten::__not__", "", {merge.condition}, "bool"));
    for (std::size_t i = 0; i < merge.node.outputs.size(); ++i)  // the same pair twice
        if (sameOperand(merge.first.block.outputs[i], a) && sameOperand(merge.second.block.outputs[i], b))
            return Operand::of(merge.node.outputs[i]);
    merge.first.block.outputs.push_back(a);
    merge.second.block.outputs.push_back(b);
    merge.node.outputs.push_back(newValue(baseName("prim::If"), type));
    return Operand::of(merge.node.outputs.back());
}

Binding ScriptConverter::mergeBindings(Merge& merge, const Binding& a, const Binding& b, const c10::TypePtr& type)
{
    const auto isBefore = [&](const Binding& binding) {
        return binding.kind != Binding::Kind::Cell || std::size_t(binding.cell) < merge.cellsBefore;
    };
    if (a.kind != Binding::Kind::Tuple && a == b && isBefore(a))
        return a;
    if (a.kind == Binding::Kind::Tuple && b.kind == Binding::Kind::Tuple && a.items.size() == b.items.size()) {
        Binding merged = a;
        for (std::size_t i = 0; i < a.items.size(); ++i) {
            const auto tuple = type->cast<c10::TupleType>();
            merged.items[i] = mergeBindings(merge, a.items[i], b.items[i],
                                            tuple && i < tuple->elements().size() ? tuple->elements()[i] : a.type->containedTypes().at(i));
        }
        return merged;
    }
    for (const auto* side : {&a, &b})
        if (side->kind == Binding::Kind::Object || side->kind == Binding::Kind::Function)
            throw core::FormatError(
                fmt::format("module {}: an if chooses between objects of class {}; expected tensors, numbers, lists, dicts or tuples", m_module,
                            shortTypeName(*type)));
    const Operand merged = mergeOperands(merge, readIn(merge.first, a), readIn(merge.second, b), type->annotation_str());
    Binding result = cellBinding(merged, type->annotation_str());
    m_variables.cells[std::size_t(result.cell)].mayAlias = isOuter(merge.first, a, merge.cellsBefore) || isOuter(merge.second, b, merge.cellsBefore);
    return result;
}

void ScriptConverter::mergeCells(Merge& merge)
{
    for (std::size_t i = 0; i < merge.cellsBefore; ++i) {
        const Cell a = merge.first.after.cells[i], b = merge.second.after.cells[i];
        m_variables.cells[i].escaped |= a.escaped || b.escaped;
        m_variables.cells[i].mayAlias |= a.mayAlias || b.mayAlias;
        const Operand before = m_variables.cells[i].current;
        if (sameOperand(a.current, before) && sameOperand(b.current, before)) {
            m_variables.cells[i].stale |= a.stale || b.stale;
            continue;
        }
        if (a.base >= 0) {
            m_variables.cells[i].stale = true;
            continue;
        }
        const Operand merged = mergeOperands(merge, a.current, b.current, a.type);
        m_variables.cells[i].current = merged;
        m_variables.cells[i].items.reset();
        makeStale(int(i), {});
    }
}

bool ScriptConverter::isLocal(const std::string& path, int objectsBefore)
{
    return path.rfind(kObjectPrefix, 0) == 0 && std::stoi(path.substr(kObjectPrefix.size())) >= objectsBefore;
}

Binding ScriptConverter::attributeBefore(const std::string& path)
{
    if (const auto set = m_variables.attributes.find(path); set != m_variables.attributes.end())
        return set->second;
    if (const auto cell = m_leafCells.find(path); cell != m_leafCells.end()) {
        Binding binding;
        binding.cell = cell->second;
        return binding;
    }
    if (path.rfind(kObjectPrefix, 0) == 0)
        return uninitialized(c10::NoneType::get());
    c10::IValue object = m_root._ivalue();
    for (const auto& part : core::split(path, '.'))
        object = object.toObjectRef().getAttr(part);
    return bindObject(object, path);
}

void ScriptConverter::mergeAttributes(Merge& merge)
{
    std::set<std::string> paths;
    for (const auto* branch : {&merge.first, &merge.second})
        for (const auto& [path, binding] : branch->after.attributes)
            if (!isLocal(path, merge.objectsBefore))
                paths.insert(path);
    for (const auto& path : paths) {
        const auto side = [&](const Branch& branch) {
            const auto found = branch.after.attributes.find(path);
            return found != branch.after.attributes.end() ? found->second : attributeBefore(path);
        };
        const Binding a = side(merge.first), b = side(merge.second);
        const auto typeOf = [](const Branch& branch, const Binding& binding) {
            return binding.kind == Binding::Kind::Cell && std::size_t(binding.cell) < branch.after.cells.size()
                       ? branch.after.cells[std::size_t(binding.cell)].type
                       : std::string();
        };
        if (a == b && std::size_t(std::max(a.cell, 0)) < merge.cellsBefore) {
            m_variables.attributes[path] = a;
            continue;
        }
        if (a.kind != Binding::Kind::Cell || b.kind != Binding::Kind::Cell)
            throw core::FormatError(fmt::format("attribute {}: set to tuples or objects in a branch; expected tensors or numbers", path));
        const auto type = typeOf(merge.first, a).empty() ? typeOf(merge.second, b) : typeOf(merge.first, a);
        const bool aBefore = !merge.first.after.attributes.count(path), bBefore = !merge.second.after.attributes.count(path);
        const Operand left = aBefore ? read(a) : readIn(merge.first, a), right = bBefore ? read(b) : readIn(merge.second, b);
        m_variables.attributes[path] = cellBinding(mergeOperands(merge, left, right, type.empty() ? "Tensor" : type), type.empty() ? "Tensor" : type);
    }
}

Binding ScriptConverter::freshValues(const c10::TypePtr& type, const std::string& name, std::vector<ValueId>& ids)
{
    if (const auto tuple = type->cast<c10::TupleType>()) {
        Binding binding;
        binding.kind = Binding::Kind::Tuple;
        binding.type = type;
        for (std::size_t i = 0; i < tuple->elements().size(); ++i)
            binding.items.push_back(freshValues(tuple->elements()[i], fmt::format("{}.{}", name, i), ids));
        return binding;
    }
    ids.push_back(newValue(name, type->annotation_str()));
    const Binding binding = cellBinding(Operand::of(ids.back()), type->annotation_str());
    m_variables.cells[std::size_t(binding.cell)].mayAlias = true;
    return binding;
}

void ScriptConverter::flattenInto(const Binding& binding, const c10::TypePtr& type, std::vector<Operand>& operands)
{
    const auto tuple = type->cast<c10::TupleType>();
    if (!tuple || binding.kind != Binding::Kind::Tuple) {
        markEscaped(binding);
        operands.push_back(read(binding));
        return;
    }
    for (std::size_t i = 0; i < binding.items.size(); ++i)
        flattenInto(binding.items[i], tuple->elements()[i], operands);
}

// The body is walked once for nothing, to learn which outer objects it writes.
ScriptConverter::Carried ScriptConverter::whatLoopWrites(const ts::Node& node, Frame& frame)
{
    const Variables before = m_variables;
    const int checks = m_removedChecks, objects = m_objects;
    graph::Block scratch;
    auto* outer = std::exchange(m_block, &scratch);
    bindLoopParameters(node, frame, {}, scratch);
    convertBlock(*node.blocks()[0], frame);
    m_block = outer;
    const Variables after = std::exchange(m_variables, before);
    m_removedChecks = checks;
    Carried carried;
    for (std::size_t i = 0; i < before.cells.size(); ++i) {
        auto& cell = m_variables.cells[i];
        cell.escaped |= after.cells[i].escaped;
        if (cell.base < 0 && !sameOperand(cell.current, after.cells[i].current))
            carried.cells.push_back(int(i));
    }
    for (const auto& [path, binding] : after.attributes) {
        const auto old = before.attributes.find(path);
        if (!isLocal(path, objects) && (old == before.attributes.end() || !(old->second == binding)))
            carried.attributes.push_back(path);
    }
    return carried;
}

void ScriptConverter::bindLoopParameters(const ts::Node& node, Frame& frame, const Carried& carried, graph::Block& block)
{
    const auto& body = *node.blocks()[0];
    const auto prefix = baseName("prim::Loop") + ".";
    for (std::size_t i = 0; i < body.inputs().size(); ++i) {
        const auto* input = body.inputs()[i];
        frame.values[input] = freshValues(input->type(), prefix + (i == 0 ? "step" : plainName(*input)), block.inputs);
    }
    for (const int cell : carried.cells) {
        block.inputs.push_back(newValue(prefix + "carried", m_variables.cells[std::size_t(cell)].type));
        m_variables.cells[std::size_t(cell)].current = Operand::of(block.inputs.back());
        m_variables.cells[std::size_t(cell)].items.reset();
        makeStale(cell, {});
    }
    for (const auto& path : carried.attributes) {
        const Binding old = attributeBefore(path);
        if (old.kind != Binding::Kind::Cell)
            throw core::FormatError(fmt::format("attribute {}: set to a tuple or object in a loop; expected tensors or numbers", path));
        const auto type = m_variables.cells[std::size_t(old.cell)].type;
        block.inputs.push_back(newValue(prefix + "carried", type));
        m_variables.attributes[path] = cellBinding(Operand::of(block.inputs.back()), type);
    }
}

void ScriptConverter::convertLoop(const ts::Node& node, Frame& frame)
{
    const auto source = m_source;
    graph::Node made;
    made.op = "prim::Loop";
    made.module = m_module;
    made.source = source;
    made.inputs = {read(get(node.inputs()[0], frame)), read(get(node.inputs()[1], frame))};
    for (std::size_t i = 2; i < node.inputs().size(); ++i)
        flattenInto(get(node.inputs()[i], frame), node.blocks()[0]->inputs()[i - 1]->type(), made.inputs);
    const Carried carried = whatLoopWrites(node, frame);
    for (const int cell : carried.cells)
        made.inputs.push_back(readCell(cell));
    for (const auto& path : carried.attributes)
        made.inputs.push_back(read(attributeBefore(path)));
    const Variables before = m_variables;
    graph::Block block;
    auto* outer = std::exchange(m_block, &block);
    bindLoopParameters(node, frame, carried, block);
    convertBlock(*node.blocks()[0], frame);
    const auto results = node.blocks()[0]->outputs();
    block.outputs.push_back(read(get(results[0], frame)));
    for (std::size_t i = 1; i < results.size(); ++i)
        flattenInto(get(results[i], frame), node.blocks()[0]->inputs()[i]->type(), block.outputs);
    for (const int cell : carried.cells)
        block.outputs.push_back(readCell(cell));
    for (const auto& path : carried.attributes)
        block.outputs.push_back(read(m_variables.attributes.at(path)));
    m_block = outer;
    m_variables = before;
    m_source = source;
    made.blocks.push_back(std::move(block));
    finishLoop(node, frame, carried, std::move(made));
}

void ScriptConverter::finishLoop(const ts::Node& node, Frame& frame, const Carried& carried, graph::Node made)
{
    const auto name = baseName("prim::Loop");
    for (const auto* output : node.outputs())
        frame.values[output] = freshValues(output->type(), name, made.outputs);
    for (const int cell : carried.cells) {
        auto& target = m_variables.cells[std::size_t(cell)];
        made.outputs.push_back(newValue(name, target.type));
        target.current = Operand::of(made.outputs.back());
        target.items.reset();
        makeStale(cell, {});
    }
    for (const auto& path : carried.attributes) {
        const auto type = m_data.values[std::size_t(made.blocks[0].inputs[1 + made.outputs.size()])].type;
        made.outputs.push_back(newValue(name, type));
        m_variables.attributes[path] = cellBinding(Operand::of(made.outputs.back()), type);
    }
    m_block->nodes.push_back(std::move(made));
}

}  // namespace orrery::models
