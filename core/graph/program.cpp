#include "program.h"

#include <torch/csrc/jit/frontend/script_type_parser.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <core/base/stop.h>
#include <core/base/text.h>

namespace orrery::graph {
namespace {

c10::TypePtr parsedType(const std::string& type, const Node& node)
{
    try {
        // Not c10::parseType: its list types are dynamic ones, which IValues of lists do not take.
        return torch::jit::ScriptTypeParser().parseType(type);
    } catch (const std::exception&) {
        throw core::FormatError(fmt::format("node {}: \"{}\" is not a type TorchScript knows", node.name, type));
    }
}

std::optional<NormStatistics> normStatistics(const Node& node, const c10::FunctionSchema& schema)
{
    const bool known = node.op == "aten::batch_norm" || node.op == "aten::instance_norm" || node.op == "aten::native_batch_norm" ||
                       node.op == "aten::cudnn_batch_norm";
    if (!known)
        return std::nullopt;
    NormStatistics norm;
    norm.count = schema.arguments().size();
    norm.mean = argumentIndex(schema, "running_mean");
    norm.variance = argumentIndex(schema, "running_var");
    norm.flag = std::max(argumentIndex(schema, "training"), argumentIndex(schema, "use_input_stats"));
    return norm;
}

class Compiler {
public:
    explicit Compiler(Executor::Program& program);
    void compileBody();

private:
    CompiledBlock compileBlock(const Block& block, int rootStep);
    Step compileNode(const Node& node, int rootStep);
    void bindOperator(Step& step);
    Slot slotOf(const Operand& operand);
    void joinAliases(const Node& node, const c10::FunctionSchema& schema);
    ValueId rootOf(ValueId id);
    void join(ValueId a, ValueId b) { m_alias[std::size_t(rootOf(a))] = rootOf(b); }
    void markWrittenWeights();
    Executor::Program& m_program;
    std::vector<ValueId> m_alias;    // union-find: values that may share memory
    std::vector<ValueId> m_written;  // values that some operator writes
};

Compiler::Compiler(Executor::Program& program) : m_program(program)
{
    const auto count = program.graph->data().values.size();
    program.rootStep.assign(count, -1);
    program.nested.assign(count, false);
    m_alias.resize(count);
    for (std::size_t i = 0; i < count; ++i)
        m_alias[i] = ValueId(i);
}

ValueId Compiler::rootOf(ValueId id)
{
    while (m_alias[std::size_t(id)] != id)
        id = m_alias[std::size_t(id)] = m_alias[std::size_t(m_alias[std::size_t(id)])];
    return id;
}

Slot Compiler::slotOf(const Operand& operand)
{
    if (!operand.isConstant())
        return operand.value;
    m_program.literals.push_back(operand.constant);
    return ~Slot(m_program.literals.size() - 1);
}

// Lists and tuples share memory with what they hold; views say so in the schema.
void Compiler::joinAliases(const Node& node, const c10::FunctionSchema& schema)
{
    for (std::size_t i = 0; i < node.inputs.size() && i < schema.arguments().size(); ++i) {
        if (node.inputs[i].isConstant())
            continue;
        if (writesArgument(schema, i))
            m_written.push_back(node.inputs[i].value);
        if (!schema.arguments()[i].alias_info())
            continue;
        for (const auto output : node.outputs)
            join(node.inputs[i].value, output);
    }
}

void Compiler::bindOperator(Step& step)
{
    const auto& node = *step.node;
    const auto found = findOperator(node.op, node.overload);
    if (!found) {
        const auto overloads = knownOverloads(node.op);
        throw core::FormatError(fmt::format("node {}: libtorch has no operator {}{}", node.name, node.qualifiedOp(),
                                            overloads.empty() ? std::string() : "; known overloads: " + overloads));
    }
    const auto& schema = found->schema();
    step.vararg = schema.is_vararg();
    if (!step.vararg && node.inputs.size() != schema.arguments().size())
        throw core::FormatError(
            fmt::format("node {}: {} takes {} arguments, got {}", node.name, node.qualifiedOp(), schema.arguments().size(), node.inputs.size()));
    step.call = [operation = found->getOperation()](torch::jit::Stack& stack) mutable { operation(stack); };
    step.seeded = seededOperator(node, schema, step.call);
    step.norm = normStatistics(node, schema);
    m_program.mutates = m_program.mutates || writesAny(schema);
    joinAliases(node, schema);
}

Step Compiler::compileNode(const Node& node, int rootStep)
{
    core::throwIfStopped();
    Step step;
    step.node = &node;
    step.own = ownOperator(node.op);
    for (const auto& input : node.inputs)
        step.inputs.push_back(slotOf(input));
    step.outputs.assign(node.outputs.begin(), node.outputs.end());
    for (const auto output : node.outputs)
        m_program.rootStep[std::size_t(output)] = rootStep;
    std::set<Slot> reads;
    for (const auto slot : step.inputs)
        if (slot >= 0)
            reads.insert(slot);
    for (const auto& block : node.blocks) {
        step.blocks.push_back(compileBlock(block, rootStep));
        const auto& compiled = step.blocks.back();
        std::set<Slot> inner(compiled.defined.begin(), compiled.defined.end());
        for (const auto& innerStep : compiled.steps)
            for (const auto slot : innerStep.reads)
                if (!inner.count(slot))
                    reads.insert(slot);
        for (const auto slot : compiled.outputs)
            if (slot >= 0 && !inner.count(slot))
                reads.insert(slot);
    }
    step.reads.assign(reads.begin(), reads.end());
    if (step.own == OwnOperator::None)
        bindOperator(step);
    else if (step.own == OwnOperator::ListConstruct || step.own == OwnOperator::DictConstruct)
        step.type = parsedType(m_program.graph->value(node.outputs.at(0)).type, node);
    if (step.own != OwnOperator::None)
        for (const auto slot : step.reads)
            for (const auto output : node.outputs)
                join(slot, output);
    return step;
}

CompiledBlock Compiler::compileBlock(const Block& block, int rootStep)
{
    CompiledBlock compiled;
    compiled.inputs.assign(block.inputs.begin(), block.inputs.end());
    compiled.defined = compiled.inputs;
    for (const auto& node : block.nodes) {
        compiled.steps.push_back(compileNode(node, rootStep));
        for (const auto output : node.outputs)
            compiled.defined.push_back(output);
    }
    for (const auto& output : block.outputs)
        compiled.outputs.push_back(slotOf(output));
    for (const auto slot : compiled.defined) {
        m_program.rootStep[std::size_t(slot)] = rootStep;
        m_program.nested[std::size_t(slot)] = true;
    }
    // Free what is made in here after its last use in here; outputs and untouched values go when the block ends.
    std::set<Slot> live(compiled.outputs.begin(), compiled.outputs.end());
    const std::set<Slot> inner(compiled.defined.begin(), compiled.defined.end());
    for (auto step = compiled.steps.rbegin(); step != compiled.steps.rend(); ++step)
        for (const auto slot : step->reads)
            if (inner.count(slot) && live.insert(slot).second)
                step->releaseInBlock.push_back(slot);
    return compiled;
}

void Compiler::markWrittenWeights()
{
    const auto& data = m_program.graph->data();
    m_program.writtenWeights.assign(data.values.size(), false);
    std::set<ValueId> written;
    for (const auto id : m_written)
        written.insert(rootOf(id));
    for (const auto& parameter : data.parameters)
        m_program.writtenWeights[std::size_t(parameter.value)] = written.count(rootOf(parameter.value)) > 0;
    for (const auto& input : data.inputs)
        m_program.writtenWeights[std::size_t(input.value)] = written.count(rootOf(input.value)) > 0;
}

void Compiler::compileBody()
{
    const auto& body = m_program.graph->data().body;
    for (const auto& node : body.nodes)
        m_program.body.steps.push_back(compileNode(node, int(m_program.body.steps.size())));
    for (const auto& output : body.outputs)
        m_program.body.outputs.push_back(slotOf(output));
    markWrittenWeights();
}

}  // namespace

Executor::Program::Program(GraphPtr source) : graph(std::move(source))
{
    Compiler(*this).compileBody();
    std::set<ValueId> updates;
    for (const auto& update : graph->data().bufferUpdates)
        updates.insert(update.value);
    whole = plan(body.outputs, {}, {}, updates);
}

static PlanEntry entryOf(int index, const Step& step, std::set<Slot>& live)
{
    PlanEntry entry;
    entry.step = index;
    for (const auto slot : step.outputs)
        if (!live.count(slot))
            entry.release.push_back(slot);
    std::set<Slot> last;
    for (const auto slot : step.reads)
        if (live.insert(slot).second)
            last.insert(slot);
    entry.release.insert(entry.release.end(), last.begin(), last.end());
    for (const auto slot : step.inputs)
        entry.moves.push_back(step.blocks.empty() && last.count(slot) && std::count(step.inputs.begin(), step.inputs.end(), slot) == 1);
    return entry;
}

Plan Executor::Program::plan(const std::vector<Slot>& outputs, const std::set<ValueId>& given, const std::set<int>& mustRun,
                             const std::set<ValueId>& alsoNeeded, const std::set<ValueId>& seen) const
{
    Plan plan;
    plan.outputs = outputs;
    plan.needed.assign(rootStep.size(), false);
    const int count = int(body.steps.size());
    std::vector<bool> run(std::size_t(count), false);
    std::vector<Slot> open;
    const auto need = [&](Slot slot) {
        if (slot < 0 || plan.needed[std::size_t(slot)])
            return;
        plan.needed[std::size_t(slot)] = true;
        open.push_back(slot);
    };
    const auto runStep = [&](int step) {
        if (run[std::size_t(step)])
            return;
        run[std::size_t(step)] = true;
        for (const auto slot : body.steps[std::size_t(step)].reads)
            need(slot);
    };
    for (const auto slot : outputs)
        need(slot);
    for (const auto* values : {&alsoNeeded, &seen})
        for (const auto value : *values)
            need(value);
    for (const int step : mustRun)
        runStep(step);
    while (!open.empty()) {
        const auto slot = open.back();
        open.pop_back();
        if (!given.count(slot) && rootStep[std::size_t(slot)] >= 0)
            runStep(rootStep[std::size_t(slot)]);
    }
    // A write in place has no reader of its own; where operators write, everything up to the last needed node runs in order.
    if (mutates) {
        int last = -1;
        for (int i = 0; i < count; ++i)
            if (run[std::size_t(i)])
                last = i;
        for (int i = 0; i <= last; ++i)
            runStep(i);
        while (!open.empty())
            open.pop_back();
    }
    std::set<Slot> live(outputs.begin(), outputs.end());
    for (const auto value : alsoNeeded)
        live.insert(value);
    // Built from the end. A given value stands behind its node, so that it also replaces what the node makes when it runs for another output.
    for (int i = count - 1; i >= 0; --i) {
        const auto& step = body.steps[std::size_t(i)];
        for (const auto slot : step.outputs)
            if (given.count(slot) && plan.needed[std::size_t(slot)])
                plan.entries.push_back(PlanEntry{-1, slot, {}, {}});
        if (run[std::size_t(i)])
            plan.entries.push_back(entryOf(i, step, live));
    }
    std::reverse(plan.entries.begin(), plan.entries.end());
    return plan;
}

std::vector<bool> Executor::Program::cone(const std::set<ValueId>& changed) const
{
    std::vector<bool> dirty(rootStep.size(), false);
    std::set<int> dirtySteps;
    for (const auto id : changed) {
        dirty[std::size_t(id)] = true;
        if (nested[std::size_t(id)])
            dirtySteps.insert(rootStep[std::size_t(id)]);
    }
    for (std::size_t i = 0; i < body.steps.size(); ++i) {
        const auto& step = body.steps[i];
        const bool reached =
            dirtySteps.count(int(i)) || std::any_of(step.reads.begin(), step.reads.end(), [&](Slot slot) { return dirty[std::size_t(slot)]; });
        if (!reached)
            continue;
        for (const auto slot : step.outputs)
            dirty[std::size_t(slot)] = true;
        for (const auto& block : step.blocks)
            for (const auto slot : block.defined)
                dirty[std::size_t(slot)] = true;
    }
    return dirty;
}

}  // namespace orrery::graph
