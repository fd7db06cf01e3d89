#include "executor.h"

#include <core/base/plain_reason.h>
#include <core/base/plural.h>
#include <core/base/text.h>

#include "run.h"
#include "runnable.h"

namespace orrery::graph {

using c10::IValue;

std::string describe(const IValue& value)
{
    if (value.isTensor()) {
        const auto& tensor = value.toTensor();
        if (!tensor.defined())
            return "undefined tensor";
        return fmt::format("{} {}", dtypeName(tensor.scalar_type()), core::formatShape(tensor.sizes()));
    }
    if (value.isTensorList()) {
        std::vector<std::string> parts;
        for (const auto& item : value.toListRef())
            parts.push_back(describe(item));
        return "(" + core::join(parts, ", ") + ")";
    }
    if (value.isString())
        return '"' + value.toStringRef().substr(0, 60) + '"';
    if (value.isInt() || value.isDouble() || value.isBool() || value.isNone() || value.isIntList())
        return fmt::format("{}", (std::ostringstream() << value).str());
    return value.tagKind();
}

// libtorch's messages carry a backtrace behind the first lines; one sentence is kept.
std::string firstSentence(std::string text)
{
    const auto trace = text.find("Exception raised from");
    if (trace != std::string::npos)
        text.resize(trace);
    std::string line;
    for (const auto& part : core::split(text, '\n')) {
        const auto trimmed = core::trim(part);
        if (trimmed.empty())
            continue;
        if (!line.empty())
            line += "; ";
        line += trimmed;
        if (line.size() > 600)
            break;
    }
    return line;
}

IValue copied(const IValue& value)
{
    if (value.isTensor() && value.toTensor().defined())
        return value.toTensor().clone();
    if (!value.isTensorList())
        return value;
    c10::List<at::Tensor> list;
    for (const auto& item : value.toListRef())
        list.push_back(item.toTensor().clone());
    return list;
}

std::string Run::runtimeName(const std::string& name) const
{
    auto text = name;
    for (const auto step : m_loopSteps)
        text += fmt::format("[{}]", step);
    return text;
}

void Run::bindInput(std::size_t index)
{
    const auto& input = m_data.inputs[index];
    const auto named = m_request.namedInputs.find(input.name);
    const IValue* given = named != m_request.namedInputs.end() ? &named->second
                          : index < m_request.inputs.size()    ? &m_request.inputs[index]
                                                               : nullptr;
    if (const auto it = m_given.find(input.value); it != m_given.end())
        given = &it->second;
    if (!given) {
        std::vector<std::string> names;
        for (const auto& each : m_data.inputs)
            names.push_back(each.name);
        throw core::InputError(fmt::format("input \"{}\" is missing: expected {} ({}), got {}", input.name,
                                           core::counted(std::int64_t(names.size()), "input"), core::join(names, ", "),
                                           m_request.inputs.size() + m_request.namedInputs.size()));
    }
    auto value = *given;
    const bool wantsGrad = m_request.gradients == Gradients::Inputs || m_request.gradients == Gradients::All;
    if (m_program.writtenWeights[std::size_t(input.value)])
        value = copied(value);
    if (wantsGrad && value.isTensor() && at::isFloatingType(value.toTensor().scalar_type())) {
        if (!value.toTensor().requires_grad())
            value = value.toTensor().detach().requires_grad_(true);
        m_result.values[input.name] = value;
    }
    slot(input.value) = std::move(value);
    act(input.value);
}

void Run::bindParameter(const Parameter& parameter)
{
    const auto* tensor = m_weights.find(parameter.name);
    if (!tensor)
        throw core::InputError(fmt::format("weights hold no tensor \"{}\" (expected {} {})", parameter.name, dtypeName(parameter.dtype),
                                           core::formatShape(parameter.shape)));
    const bool wantsGrad = m_request.gradients == Gradients::Parameters || m_request.gradients == Gradients::All;
    const bool isWritten = m_program.writtenWeights[std::size_t(parameter.value)];
    if (const auto it = m_given.find(parameter.value); it != m_given.end())
        slot(parameter.value) = it->second;
    else if (isWritten)
        slot(parameter.value) = tensor->clone();
    else
        slot(parameter.value) = !wantsGrad && tensor->requires_grad() ? tensor->detach() : *tensor;
    act(parameter.value);
}

void Run::bind()
{
    m_slots.resize(m_data.values.size());
    for (const auto& name : m_request.namedInputs) {
        const bool known = std::any_of(m_data.inputs.begin(), m_data.inputs.end(), [&](const auto& input) { return input.name == name.first; });
        if (known)
            continue;
        std::vector<std::string> names;
        for (const auto& input : m_data.inputs)
            names.push_back(input.name);
        throw core::InputError(fmt::format("the model has no input \"{}\"{}; its inputs are {}", name.first, core::didYouMean(name.first, names),
                                           core::join(names, ", ")));
    }
    if (m_request.inputs.size() > m_data.inputs.size())
        throw core::InputError(
            fmt::format("expected {}, got {}", core::counted(std::int64_t(m_data.inputs.size()), "input"), m_request.inputs.size()));
    if (m_data.training)
        slot(*m_data.training) = m_request.training;
    for (std::size_t i = 0; i < m_data.inputs.size(); ++i)
        if (m_plan->needed[std::size_t(m_data.inputs[i].value)])
            bindInput(i);
    for (const auto& parameter : m_data.parameters)
        if (m_plan->needed[std::size_t(parameter.value)])
            bindParameter(parameter);
}

void Run::runEntries()
{
    for (const auto& entry : m_plan->entries) {
        if (entry.given >= 0) {
            giveValue(entry.given);
            continue;
        }
        const auto& step = m_program.body.steps[std::size_t(entry.step)];
        m_request.profile ? profileStep(step, &entry) : runStep(step, &entry);
        for (const auto released : entry.release)
            slot(released) = IValue();
    }
}

/// What a node was called with. The operator takes some arguments off the stack before it refuses them: those are read from where they came from.
IValue Run::argumentOf(const Step& step, std::size_t index) const
{
    const IValue& onStack = m_stack[m_base + index];
    if (!onStack.isNone())
        return onStack;
    const auto source = step.inputs[index];
    if (const IValue& kept = read(source); source < 0 || !kept.isNone())
        return kept;
    const auto* parameter = m_program.graph->parameterOf(source);
    const auto* tensor = parameter ? m_weights.find(parameter->name) : nullptr;
    return tensor ? IValue(*tensor) : onStack;
}

void Run::fail(const std::string& reason) const
{
    if (!m_current)
        throw core::Error(reason);
    std::vector<std::string> parts;
    for (std::size_t i = 0; m_base + i < m_stack.size() && i < m_current->inputs.size(); ++i)
        parts.push_back(describe(argumentOf(*m_current, i)));
    const auto name = runtimeName(m_current->node->name);
    throw NodeError(name, fmt::format("{} ({}) failed on {}: {}", name, m_current->node->qualifiedOp(),
                                      parts.empty() ? "its inputs" : core::join(parts, ", "), firstSentence(reason)));
}

void Run::collectOutputs()
{
    for (const auto output : m_plan->outputs)
        m_result.outputs.push_back(read(output));
    if (!m_request.training)
        return;
    for (const auto& update : m_data.bufferUpdates)
        if (slot(update.value).isTensor())
            m_result.bufferUpdates[update.buffer] = slot(update.value).toTensor();
}

RunResult Run::go()
{
    requireProgram(*m_program.graph);
    at::AutoGradMode gradMode(m_request.gradients != Gradients::None);
    collectRequests();
    makePlan();
    try {
        bind();
        runEntries();
    } catch (const StopRun&) {
        m_result.stoppedByProbe = true;
        return std::move(m_result);
    } catch (const core::Cancelled&) {
        throw;
    } catch (const core::InputError&) {
        throw;
    } catch (const NodeError&) {
        throw;
    } catch (const c10::Error& error) {
        fail(core::withoutCallStack(error.what_without_backtrace()));
    } catch (const std::exception& error) {
        fail(error.what());
    }
    collectOutputs();
    return std::move(m_result);
}

at::Tensor RunResult::tensor(std::size_t output) const
{
    if (output >= outputs.size())
        throw core::ShapeError(fmt::format("expected output {}, got {}", output, core::counted(std::int64_t(outputs.size()), "output")));
    if (!outputs[output].isTensor())
        throw core::ShapeError(fmt::format("output {}: expected a tensor, got {}", output, describe(outputs[output])));
    return outputs[output].toTensor();
}

const at::Tensor RunResult::value(const std::string& name) const
{
    const auto it = values.find(name);
    if (it == values.end())
        throw core::InputError(fmt::format("value \"{}\" was not kept", name));
    if (!it->second.isTensor())
        throw core::InputError(fmt::format("value \"{}\": expected a tensor, got {}", name, describe(it->second)));
    return it->second.toTensor();
}

Executor::Executor(GraphPtr graph) : m_program(std::make_unique<Program>(std::move(graph)))
{
}
Executor::~Executor() = default;
Executor::Executor(Executor&&) noexcept = default;
Executor& Executor::operator=(Executor&&) noexcept = default;

const GraphPtr& Executor::graph() const
{
    return m_program->graph;
}

RunResult Executor::run(const Weights& weights, const RunRequest& request) const
{
    auto result = Run(*m_program, weights, request).go();
    requireAsOpened(weights);
    return result;
}

at::Tensor Executor::forward(const Weights& weights, std::vector<c10::IValue> inputs) const
{
    RunRequest request;
    request.inputs = std::move(inputs);
    return run(weights, request).tensor();
}

std::vector<std::string> Executor::dependencyCone(const std::vector<std::string>& values) const
{
    std::set<ValueId> changed;
    for (const auto& pattern : values)
        for (const auto id : m_program->graph->resolve(pattern))
            changed.insert(id);
    const auto dirty = m_program->cone(changed);
    std::vector<std::string> names;
    for (const auto& entry : m_program->whole.entries) {
        const auto& step = m_program->body.steps[std::size_t(entry.step)];
        const bool reads = std::any_of(step.reads.begin(), step.reads.end(), [&](Slot slot) { return dirty[std::size_t(slot)]; });
        const bool holds = !step.outputs.empty() && dirty[std::size_t(step.outputs[0])] && !changed.count(step.outputs[0]);
        if (reads || holds)
            names.push_back(step.node->name);
    }
    return names;
}

}  // namespace orrery::graph
