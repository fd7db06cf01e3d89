#include "stepper.h"

#include <algorithm>

#include <core/base/plural.h>
#include <core/base/text.h>

namespace orrery::debug {

using c10::IValue;

std::string Breakpoint::toText() const
{
    std::string text = fmt::format("{}: {}", id, pattern.empty() ? "any value" : pattern);
    if (condition)
        text += " if " + condition->text;
    if (!enabled)
        text += " (off)";
    if (hits > 0)
        text += fmt::format(", hit {} time{}", hits, hits == 1 ? "" : "s");
    return text;
}

const char* stopReasonName(StopReason reason)
{
    switch (reason) {
    case StopReason::Start: return "start";
    case StopReason::Step: return "step";
    case StopReason::Breakpoint: return "breakpoint";
    case StopReason::Condition: return "condition";
    case StopReason::Cursor: return "cursor";
    case StopReason::End: return "end";
    case StopReason::Failed: return "failed";
    }
    return "";
}

Stepper::Stepper(std::shared_ptr<const graph::Executor> executor, graph::Weights weights, StepperOptions options)
    : m_executor(std::move(executor)), m_weights(std::move(weights)), m_options(std::move(options)), m_lines(m_executor->graph())
{
    const auto& inputs = graph()->data().inputs;
    if (m_options.inputs.size() != inputs.size()) {
        std::vector<std::string> names;
        for (const auto& input : inputs)
            names.push_back(input.name);
        throw core::InputError(fmt::format("expected {} ({}), got {}", core::counted(std::int64_t(names.size()), "input"), core::join(names, ", "),
                                           m_options.inputs.size()));
    }
    m_stop = {StopReason::Start, {}, {}, {}};
}

Stepper::~Stepper() = default;

std::vector<std::string> Stepper::levels() const
{
    if (m_position.inner >= 0 && m_position.inner < int(m_visits.size()))
        return m_visits[std::size_t(m_position.inner)].levels;
    return atEnd() ? std::vector<std::string>() : m_lines.line(m_position.line).levels;
}

const graph::Node* Stepper::node() const
{
    if (atEnd())
        return nullptr;
    if (m_position.inner >= 0 && m_position.inner < int(m_visits.size()))
        return m_visits[std::size_t(m_position.inner)].node;
    return m_lines.line(m_position.line).node;
}

std::string Stepper::placeName() const
{
    if (atEnd())
        return "end";
    if (m_position.inner >= 0 && m_position.inner < int(m_visits.size()))
        return m_visits[std::size_t(m_position.inner)].name;
    return m_lines.line(m_position.line).node->name;
}

std::pair<graph::ValueId, std::string> Stepper::identify(const std::string& name) const
{
    if (const auto id = graph()->findValue(name))
        return {*id, {}};
    const auto [base, steps] = graph::splitStep(name);
    if (const auto id = graph()->findValue(base); id && m_lines.isNested(*id))
        return {*id, std::string(steps)};
    std::vector<std::string> names;
    for (const auto& value : graph()->data().values)
        names.push_back(value.name);
    throw core::InputError(fmt::format("there is no value \"{}\"{}", name, core::didYouMean(name, names)));
}

bool Stepper::isKnown(const std::string& name) const
{
    const auto [id, steps] = identify(name);
    const int line = m_lines.lineOf(id);
    if (line < m_position.line)
        return true;
    if (line > m_position.line || m_position.inner < 0 || !m_lines.isNested(id))
        return false;
    for (int i = 0; i < m_position.inner && i < int(m_visits.size()); ++i)
        for (const auto& [at, value] : m_visits[std::size_t(i)].values)
            if (at == name)
                return true;
    return false;
}

const IValue* Stepper::keptValue(const std::string& name) const
{
    const auto& data = graph()->data();
    for (std::size_t i = 0; i < data.inputs.size(); ++i)
        if (data.inputs[i].name == name)
            return &m_options.inputs[i];
    if (const IValue* found = m_store.find(name))
        return found;
    for (const Visit& visit : m_visits)
        for (const auto& [at, value] : visit.values)
            if (at == name && visit.kept)
                return &value;
    return nullptr;
}

IValue Stepper::value(const std::string& name, std::stop_token stop)
{
    const auto [id, steps] = identify(name);
    if (const auto* parameter = graph()->parameterOf(id))
        return m_weights.at(parameter->name);
    if (!isKnown(name))
        throw core::InputError(fmt::format("\"{}\" is not computed yet: the run stands in front of {}", name, placeName()));
    if (const IValue* kept = keptValue(name))
        return *kept;
    return computed(name, id, stop);
}

IValue Stepper::computed(const std::string& name, graph::ValueId id, std::stop_token stop)
{
    graph::RunRequest request = baseRequest(stop);
    request.keep = {name};
    request.probes.push_back(graph::Probe::stopAfter(name));
    addNestedEdits(request, m_lines.lineOf(id), m_lines.lineOf(id) + 1);
    const graph::RunResult result = m_executor->run(m_weights, request);
    m_nodesRun += result.nodesRun;
    const auto found = result.values.find(name);
    if (found == result.values.end())
        throw core::InputError(fmt::format("there is no value \"{}\" in this run{}", name,
                                           m_lines.loopDepth(id) > 0 ? ": expected a step that the loop reached, as in cell[0]" : ""));
    return found->second;
}

std::vector<std::string> Stepper::knownValues() const
{
    std::vector<std::string> names;
    for (const auto& input : graph()->data().inputs)
        names.push_back(input.name);
    for (int i = 0; i < m_position.line && i < m_lines.count(); ++i)
        for (const auto output : m_lines.line(i).node->outputs)
            names.push_back(graph()->value(output).name);
    for (int i = 0; i < m_position.inner && i < int(m_visits.size()); ++i)
        for (const auto& [name, value] : m_visits[std::size_t(i)].values)
            names.push_back(name);
    return names;
}

Stop Stepper::restart()
{
    m_backward = false;
    moveTo({});
    return arrive(StopReason::Start);
}

Stop Stepper::restart(std::vector<IValue> inputs)
{
    if (inputs.size() != m_options.inputs.size())
        throw core::InputError(fmt::format("expected {}, got {}", core::counted(std::int64_t(m_options.inputs.size()), "input"), inputs.size()));
    while (!m_edits.empty())
        unsetValue(m_edits.begin()->first);
    m_options.inputs = std::move(inputs);
    m_store.clear();
    m_visits.clear();
    m_visitsOf = -1;
    m_gradients.clear();
    m_shapesBefore = std::exchange(m_shapes, {});
    return restart();
}

void Stepper::takeOver(const Stepper& before)
{
    for (const auto& breakpoint : before.m_breakpoints)
        try {
            enableBreakpoint(addBreakpoint(breakpoint.pattern, breakpoint.condition), breakpoint.enabled);
        } catch (const core::InputError&) {
            // The graph has other inputs now, and this is none of its values.
        }
    m_shapesBefore = before.m_shapes;
}

// ---- breakpoints

Stepper::Resolved Stepper::resolve(const std::string& pattern, bool condition) const
{
    Resolved resolved;
    if (pattern.empty()) {
        resolved.every = true;
        return resolved;
    }
    if (!condition && !graph()->findValue(pattern))
        for (const int line : m_lines.entries(pattern))
            resolved.lines.insert(line);
    if (!resolved.lines.empty())
        return resolved;
    const auto [base, steps] = graph()->findValue(pattern) ? std::pair<std::string_view, std::string_view>(pattern, "") : graph::splitStep(pattern);
    resolved.steps = std::string(steps);
    for (const auto id : graph()->resolve(base)) {
        if (m_lines.lineOf(id) < 0)
            continue;
        resolved.values.insert(id);
        if (!m_lines.isNested(id))
            resolved.lines.insert(m_lines.lineOf(id));
    }
    if (resolved.values.empty())
        throw core::InputError(fmt::format("\"{}\" names inputs or parameters; expected a value that a node computes", pattern));
    return resolved;
}

int Stepper::addBreakpoint(const std::string& pattern, std::optional<Condition> condition)
{
    if (pattern.empty() && !condition)
        throw core::InputError("a breakpoint without a condition needs a place: a value, module, glob or op:NAME");
    Resolved resolved = resolve(pattern, condition.has_value());
    Breakpoint breakpoint;
    breakpoint.id = m_nextBreakpoint++;
    breakpoint.pattern = pattern;
    breakpoint.condition = std::move(condition);
    m_resolved[breakpoint.id] = std::move(resolved);
    m_breakpoints.push_back(std::move(breakpoint));
    return m_breakpoints.back().id;
}

bool Stepper::removeBreakpoint(int id)
{
    m_resolved.erase(id);
    return std::erase_if(m_breakpoints, [&](const auto& each) { return each.id == id; }) > 0;
}

bool Stepper::enableBreakpoint(int id, bool enabled)
{
    for (auto& breakpoint : m_breakpoints)
        if (breakpoint.id == id) {
            breakpoint.enabled = enabled;
            return true;
        }
    return false;
}

std::vector<int> Stepper::breakpointLines() const
{
    std::set<int> lines;
    for (const auto& breakpoint : m_breakpoints)
        if (breakpoint.enabled && !breakpoint.condition)
            lines.insert(m_resolved.at(breakpoint.id).lines.begin(), m_resolved.at(breakpoint.id).lines.end());
    return {lines.begin(), lines.end()};
}

const Breakpoint* Stepper::breakpointAt(int line) const
{
    for (const auto& breakpoint : m_breakpoints)
        if (breakpoint.enabled && !breakpoint.condition && m_resolved.at(breakpoint.id).lines.count(line))
            return &breakpoint;
    return nullptr;
}

bool Stepper::nodeFits(const Visit& visit, const Resolved& resolved) const
{
    if (!visit.node || visit.node->outputs.empty() || !graph()->findValue(graph::splitStep(visit.name).first))
        return false;
    const bool named = std::any_of(visit.node->outputs.begin(), visit.node->outputs.end(), [&](auto id) { return resolved.values.count(id) > 0; });
    const std::string steps(graph::splitStep(visit.name).second);
    return named && (resolved.steps.empty() || core::matchesGlob(resolved.steps, steps));
}

const Breakpoint* Stepper::breakpointAt(const Visit& visit) const
{
    // The beginning of a loop step carries the loop's own node, which stands outside.
    if (!visit.node || visit.node == m_lines.line(m_position.line).node)
        return nullptr;
    for (const auto& breakpoint : m_breakpoints)
        if (breakpoint.enabled && !breakpoint.condition && nodeFits(visit, m_resolved.at(breakpoint.id)))
            return &breakpoint;
    return nullptr;
}

std::vector<int> Stepper::breakpointSteps() const
{
    std::vector<int> steps;
    for (int i = 0; m_position.inner >= 0 && i < int(m_visits.size()); ++i)
        if (breakpointAt(m_visits[std::size_t(i)]))
            steps.push_back(i);
    return steps;
}

bool Stepper::needsInside(int line) const
{
    if (m_lines.line(line).node->blocks.empty())
        return false;
    return std::any_of(m_breakpoints.begin(), m_breakpoints.end(), [&](const auto& breakpoint) {
        const Resolved& resolved = m_resolved.at(breakpoint.id);
        const bool inside =
            std::any_of(resolved.values.begin(), resolved.values.end(), [&](auto id) { return m_lines.isNested(id) && m_lines.lineOf(id) == line; });
        return breakpoint.enabled && (resolved.every || inside) && !(breakpoint.condition && breakpoint.condition->ofGradient);
    });
}

std::optional<Stepper::Hit> Stepper::checkConditions(int line, const std::string& name, graph::ValueId id, const IValue& value)
{
    const std::string steps(m_lines.isNested(id) ? graph::splitStep(name).second : std::string_view());
    for (auto& breakpoint : m_breakpoints) {
        if (!breakpoint.enabled || !breakpoint.condition || breakpoint.condition->ofGradient)
            continue;
        const Resolved& resolved = m_resolved.at(breakpoint.id);
        if (!resolved.every && !resolved.values.count(id))
            continue;
        if (!resolved.steps.empty() && !core::matchesGlob(resolved.steps, steps))
            continue;
        const auto before = m_shapesBefore.find(name);
        if (const auto text = fulfilled(*breakpoint.condition, value, before == m_shapesBefore.end() ? nullptr : &before->second))
            return Hit{line, breakpoint.id, name, *text};
    }
    return std::nullopt;
}

// ---- edits

void Stepper::forgetDependents(graph::ValueId id)
{
    for (const int line : m_lines.dependents(id)) {
        for (const auto output : m_lines.line(line).node->outputs)
            if (const std::string& name = graph()->value(output).name; !m_edits.count(name))
                m_store.erase(name);
        if (line == m_visitsOf && m_position.inner < 0) {
            m_visits.clear();
            m_visitsOf = -1;
        }
    }
    m_gradients.clear();
    m_backward = false;
}

Stop Stepper::setValue(const std::string& name, const at::Tensor& tensor)
{
    const auto [id, steps] = identify(name);
    const IValue before = value(name);
    if (!before.isTensor())
        throw core::InputError(fmt::format("\"{}\" is a {}; only tensors are edited", name, before.tagKind()));
    if (tensor.sizes() != before.toTensor().sizes() || tensor.scalar_type() != before.toTensor().scalar_type())
        throw core::ShapeError(fmt::format("value \"{}\": expected {} {}, got {} {}", name, graph::dtypeName(before.toTensor().scalar_type()),
                                           core::formatShape(before.toTensor().sizes()), graph::dtypeName(tensor.scalar_type()),
                                           core::formatShape(tensor.sizes())));
    m_originals.try_emplace(name, before);
    m_edits[name] = tensor;
    applyEdit(name, id, tensor);
    // A condition that held for the numbers before says nothing about these.
    return m_stop.reason == StopReason::Condition ? arrive(StopReason::Step) : m_stop;
}

void Stepper::applyEdit(const std::string& name, graph::ValueId id, const at::Tensor& tensor)
{
    const auto& data = graph()->data();
    if (const auto* parameter = graph()->parameterOf(id))
        m_weights.set(parameter->name, tensor);
    for (std::size_t i = 0; i < data.inputs.size(); ++i)
        if (data.inputs[i].value == id)
            m_options.inputs[i] = tensor;
    forgetDependents(id);
    if (m_lines.lineOf(id) >= 0 && !m_lines.isNested(id))
        m_store.put(name, tensor);
    else if (m_lines.lineOf(id) >= 0)
        for (const auto output : m_lines.line(m_lines.lineOf(id)).node->outputs)
            m_store.erase(graph()->value(output).name);
    recordAfterEdit(id);
}

/// Steps that were recorded with the old value are recorded again.
void Stepper::recordAfterEdit(graph::ValueId id)
{
    const auto dependents = m_lines.dependents(id);
    const bool isInIt = m_lines.isNested(id) && m_lines.lineOf(id) == m_position.line;
    if (m_position.inner < 0 || (!isInIt && std::find(dependents.begin(), dependents.end(), m_position.line) == dependents.end()))
        return;
    record(m_position.line, {});
    // A loop that has become shorter: the run stands at its end.
    if (m_position.inner > int(m_visits.size()))
        moveTo({m_position.line, int(m_visits.size())});
}

bool Stepper::unsetValue(const std::string& name)
{
    const auto original = m_originals.find(name);
    if (original == m_originals.end())
        return false;
    const auto [id, steps] = identify(name);
    const at::Tensor tensor = original->second.toTensor();
    m_edits.erase(name);
    m_originals.erase(original);
    applyEdit(name, id, tensor);
    if (!m_lines.isNested(id))
        m_store.erase(name);  // Values before it may have been edited since: it is computed again.
    return true;
}

}  // namespace orrery::debug
