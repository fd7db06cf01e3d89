#include "executor.h"

#include <ATen/core/Dict.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/version.h>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "flops.h"
#include "program.h"

namespace orrery::graph {
namespace {

using c10::IValue;
using torch::jit::Stack;

struct StopRun {};  // a Stop probe was reached

// libtorch reports allocations of the thread to this while a node is profiled.
class AllocationCounter : public c10::MemoryReportingInfoBase {
public:
    bool memoryProfilingEnabled() const override { return true; }
#if TORCH_VERSION_MAJOR >= 2
    void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device) override
#else
    void reportMemoryUsage(void*, std::int64_t bytes, std::int64_t, std::int64_t, c10::Device) override
#endif
    {
        if (bytes > 0)
            m_bytes += bytes;
    }
    std::int64_t take()
    {
        return std::exchange(m_bytes, 0);
    }

private:
    std::int64_t m_bytes = 0;
};

/// What is asked of one value: probes with the loop step they are meant for, and whether it is kept.
struct Request {
    struct Item {
        const Probe* probe = nullptr;  // null: keep
        std::string steps;             // "[3]", "[*]", or empty for all
    };
    std::vector<Item> items;
};

bool stepsMatch(const std::string& pattern, const std::vector<std::int64_t>& steps)
{
    if (pattern.empty())
        return true;
    std::string actual;
    for (const auto step : steps)
        actual += fmt::format("[{}]", step);
    return core::matchesGlob(pattern, actual);
}

// The loop steps that both patterns mean: "[3]" and "[*]" meet, "[3]" and "[4]" do not.
bool stepsOverlap(const std::string& a, const std::string& b)
{
    if (a.empty() || b.empty())
        return true;
    const auto left = core::split(a, ']'), right = core::split(b, ']');
    if (left.size() != right.size())
        return false;
    for (std::size_t i = 0; i < left.size(); ++i)
        if (left[i] != right[i] && left[i] != "[*" && right[i] != "[*")
            return false;
    return true;
}

bool writesValue(Probe::Kind kind)
{
    return kind == Probe::Kind::Set || kind == Probe::Kind::Replace;
}

void refuseConflicts(const std::string& value, const Request& request)
{
    const auto conflict = [&](const auto& writes) {
        for (std::size_t i = 0; i < request.items.size(); ++i)
            for (std::size_t k = 0; k < i; ++k) {
                const auto &a = request.items[i], &b = request.items[k];
                if (a.probe && b.probe && writes(a.probe->kind) && writes(b.probe->kind) && stepsOverlap(a.steps, b.steps))
                    return true;
            }
        return false;
    };
    if (conflict(writesValue))
        throw core::InputError(fmt::format("value {}: two probes replace it; expected at most one Set or Replace", value));
    if (conflict([](Probe::Kind kind) { return kind == Probe::Kind::ReplaceGradient; }))
        throw core::InputError(fmt::format("value {}: two probes replace its gradient; expected at most one", value));
}

std::string contentOf(const at::Tensor& tensor)
{
    const auto plain = tensor.detach().to(c10::kCPU).contiguous();
    return dtypeName(plain.scalar_type()) + core::formatShape(plain.sizes()) +
           std::string(static_cast<const char*>(plain.data_ptr()), plain.nbytes());
}

// Sums of floats depend on their order, so Adds go by label, and by content where labels are equal: the order of the request does not matter.
bool comesBefore(const Request::Item& a, const Request::Item& b)
{
    const std::string none;
    const auto &left = a.probe ? a.probe->label : none, &right = b.probe ? b.probe->label : none;
    if (left != right)
        return left < right;
    const auto adds = [](const Request::Item& item) { return item.probe && item.probe->kind == Probe::Kind::Add; };
    if (adds(a) != adds(b))
        return adds(a);
    return adds(a) && contentOf(a.probe->tensor) < contentOf(b.probe->tensor);
}

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

std::int64_t bytesOf(const IValue& value)
{
    if (value.isTensor() && value.toTensor().defined())
        return std::int64_t(value.toTensor().nbytes());
    if (!value.isTensorList())
        return 0;
    std::int64_t sum = 0;
    for (const auto& item : value.toListRef())
        sum += bytesOf(item);
    return sum;
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

}  // namespace

/// One run: its slots and what it collects.
class Run {
public:
    Run(const Executor::Program& program, const Weights& weights, const RunRequest& request)
        : m_program(program), m_weights(weights), m_request(request), m_data(program.graph->data())
    {
    }
    RunResult go();

private:
    void collectRequests();
    void addRequest(const std::string& pattern, const Probe* probe);
    void makePlan();
    void bind();
    void bindInput(std::size_t index);
    void bindParameter(const Parameter& parameter);
    void runEntries();
    void giveValue(ValueId id);
    void runStep(const Step& step, const PlanEntry* entry);
    void runNested(const CompiledBlock& block);
    void callOperator(const Step& step);
    void callNorm(const Step& step);
    void makeList(const Step& step);
    void makeDict(const Step& step);
    void unpackTop(const Step& step);
    void runIf(const Step& step);
    void runLoop(const Step& step);
    void finishOutputs(const Step& step, std::size_t base);
    void profileStep(const Step& step, const PlanEntry* entry);
    void commitStatistics(const Step& step);
    void act(ValueId id);
    void transform(ValueId id, const std::string& name, const Request& request);
    void watch(ValueId id, const std::string& name, const Request& request);
    void hookGradients(ValueId id, const std::string& name, const Request& request);
    void keep(ValueId id, const std::string& name);
    std::string runtimeName(const std::string& name) const;
    IValue& slot(Slot slot) { return m_slots[std::size_t(slot)]; }
    const IValue& read(Slot slot) const { return slot >= 0 ? m_slots[std::size_t(slot)] : m_program.literals[std::size_t(~slot)]; }
    void push(const Step& step, const PlanEntry* entry);
    [[noreturn]] void fail(const std::string& reason) const;
    void collectOutputs();

    const Executor::Program& m_program;
    const Weights& m_weights;
    const RunRequest& m_request;
    const GraphData& m_data;
    std::map<ValueId, Request> m_requests;
    std::vector<const Request*> m_requestOf;  // per value, empty if nothing is asked
    std::map<ValueId, IValue> m_given;
    Plan m_ownPlan;
    const Plan* m_plan = nullptr;
    std::vector<IValue> m_slots;
    Stack m_stack;
    std::size_t m_base = 0;  // where the current node's arguments begin on the stack
    const Step* m_current = nullptr;
    std::vector<std::int64_t> m_loopSteps;
    std::shared_ptr<AllocationCounter> m_allocations;
    RunResult m_result;
};

void Run::addRequest(const std::string& pattern, const Probe* probe)
{
    const auto [base, steps] = splitStep(pattern);
    for (const auto id : m_program.graph->resolve(base))
        m_requests[id].items.push_back({probe, std::string(steps)});
}

void Run::collectRequests()
{
    for (const auto& probe : m_request.probes)
        addRequest(probe.pattern, &probe);
    for (const auto& pattern : m_request.keep)
        addRequest(pattern, nullptr);
    if (m_requests.empty())
        return;
    m_requestOf.assign(m_data.values.size(), nullptr);
    for (auto& [id, request] : m_requests) {
        refuseConflicts(m_data.values[std::size_t(id)].name, request);
        std::stable_sort(request.items.begin(), request.items.end(), comesBefore);
        m_requestOf[std::size_t(id)] = &request;
    }
}

void Run::makePlan()
{
    const auto& graph = *m_program.graph;
    const bool plain = m_requests.empty() && m_request.targets.empty() && m_request.changed.empty() && !m_request.resumeFrom;
    if (plain) {
        m_plan = &m_program.whole;
        return;
    }
    std::set<ValueId> changed, given, also;
    std::set<int> mustRun;
    for (const auto& [name, value] : m_request.changed) {
        const auto id = graph.findValue(name);
        if (!id)
            throw core::InputError(fmt::format("changed value \"{}\": no such value", name));
        if (m_program.nested[std::size_t(*id)])
            throw core::InputError(fmt::format("changed value \"{}\" is made inside a loop or branch; use a Set probe", name));
        changed.insert(*id);
        m_given[*id] = value;
    }
    bool stops = false;
    for (const auto& [id, request] : m_requests) {
        const bool nested = m_program.nested[std::size_t(id)];
        if (nested)
            mustRun.insert(m_program.rootStep[std::size_t(id)]);
        else
            also.insert(id);
        for (const auto& item : request.items) {
            if (!item.probe)
                continue;
            stops = stops || item.probe->kind == Probe::Kind::Stop;
            if (item.probe->kind == Probe::Kind::Set && !nested)
                m_given[id] = item.probe->tensor;
            if (item.probe->kind != Probe::Kind::Observe && item.probe->kind != Probe::Kind::ObserveGradient && item.probe->kind != Probe::Kind::Stop)
                changed.insert(id);
        }
    }
    for (const auto& [id, value] : m_given)
        given.insert(id);
    if (m_request.resumeFrom) {
        const auto dirty = m_program.cone(changed);
        for (const auto& [name, value] : *m_request.resumeFrom) {
            const auto id = graph.findValue(name);
            if (!id || m_program.nested[std::size_t(*id)] || m_program.rootStep[std::size_t(*id)] < 0 || given.count(*id))
                continue;
            if (dirty[std::size_t(*id)] && !changed.count(*id))
                continue;
            // A value that is itself transformed (added to, replaced) starts from its kept form, if nothing before it changed.
            if (changed.count(*id)) {
                auto before = changed;
                before.erase(*id);
                if (m_program.cone(before)[std::size_t(*id)])
                    continue;
            }
            given.insert(*id);
            m_given[*id] = m_program.mutates ? copied(value) : value;
        }
    }
    std::vector<Slot> outputs;
    if (m_request.targets.empty() && !stops) {
        outputs = m_program.body.outputs;
        if (m_request.training)
            for (const auto& update : m_data.bufferUpdates)
                also.insert(update.value);
    }
    for (const auto& target : m_request.targets)
        for (const auto id : graph.resolve(target)) {
            if (m_program.nested[std::size_t(id)])
                throw core::InputError(fmt::format("target \"{}\" is made inside a loop or branch; keep it instead", target));
            outputs.push_back(id);
        }
    m_ownPlan = m_program.plan(outputs, given, mustRun, also);
    m_plan = &m_ownPlan;
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
        throw core::InputError(fmt::format("input \"{}\" is missing: expected {} input(s) ({}), got {}", input.name, names.size(),
                                           core::join(names, ", "), m_request.inputs.size() + m_request.namedInputs.size()));
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
        throw core::InputError(fmt::format("expected {} input(s), got {}", m_data.inputs.size(), m_request.inputs.size()));
    if (m_data.training)
        slot(*m_data.training) = m_request.training;
    for (std::size_t i = 0; i < m_data.inputs.size(); ++i)
        if (m_plan->needed[std::size_t(m_data.inputs[i].value)])
            bindInput(i);
    for (const auto& parameter : m_data.parameters)
        if (m_plan->needed[std::size_t(parameter.value)])
            bindParameter(parameter);
}

void Run::push(const Step& step, const PlanEntry* entry)
{
    m_base = m_stack.size();
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
        const auto index = step.inputs[i];
        if (entry && entry->moves[i])
            m_stack.push_back(std::move(slot(index)));
        else
            m_stack.push_back(read(index));
    }
    if (step.vararg)
        m_stack.emplace_back(std::int64_t(step.inputs.size()));
}

void Run::callNorm(const Step& step)
{
    const auto& norm = *step.norm;
    const bool trains = norm.flag >= 0 && m_stack[m_base + std::size_t(norm.flag)].toBool();
    for (const int index : {norm.mean, norm.variance}) {
        if (!trains || index < 0 || !m_stack[m_base + std::size_t(index)].isTensor())
            continue;
        auto copy = m_stack[m_base + std::size_t(index)].toTensor().clone();
        if (const auto source = step.inputs[std::size_t(index)]; source >= 0)
            if (const auto* buffer = m_program.graph->parameterOf(source)) {
                // A second call of the same module goes on from what the first one wrote.
                if (const auto earlier = m_result.bufferUpdates.find(buffer->name); earlier != m_result.bufferUpdates.end())
                    copy = earlier->second;
                m_result.bufferUpdates[buffer->name] = copy;
            }
        m_stack[m_base + std::size_t(index)] = copy;
    }
    step.call(m_stack);
}

void Run::callOperator(const Step& step)
{
    if (step.norm)
        return callNorm(step);
    if (!step.seeded)
        return step.call(m_stack);
    c10::Device device(c10::kCPU);
    for (std::size_t i = m_base; i < m_stack.size(); ++i) {
        if (m_stack[i].isTensor() && m_stack[i].toTensor().defined())
            device = m_stack[i].toTensor().device();
        else if (m_stack[i].isDevice())
            device = m_stack[i].toDevice();
    }
    (*step.seeded)(m_stack, makeGenerator(device, core::deriveSeed(m_request.seed, m_request.step, runtimeName(step.node->name))));
}

void Run::makeList(const Step& step)
{
    c10::impl::GenericList list(step.type->expect<c10::ListType>()->getElementType());
    list.reserve(step.inputs.size());
    for (std::size_t i = m_base; i < m_stack.size(); ++i)
        list.push_back(std::move(m_stack[i]));
    m_stack.resize(m_base);
    m_stack.emplace_back(std::move(list));
}

void Run::makeDict(const Step& step)
{
    const auto type = step.type->expect<c10::DictType>();
    c10::impl::GenericDict dict(type->getKeyType(), type->getValueType());
    for (std::size_t i = m_base; i + 1 < m_stack.size(); i += 2)
        dict.insert_or_assign(m_stack[i], m_stack[i + 1]);
    m_stack.resize(m_base);
    m_stack.emplace_back(std::move(dict));
}

void Run::unpackTop(const Step& step)
{
    const auto packed = std::move(m_stack.back());
    m_stack.pop_back();
    const auto items = packed.isTuple() ? packed.toTupleRef().elements().vec() : packed.toListRef().vec();
    if (items.size() != step.outputs.size())
        throw core::ShapeError(fmt::format("expected {} items to unpack, got {}", step.outputs.size(), items.size()));
    for (const auto& item : items)
        m_stack.push_back(item);
}

void Run::runNested(const CompiledBlock& block)
{
    for (const auto& step : block.steps) {
        runStep(step, nullptr);
        for (const auto released : step.releaseInBlock)
            slot(released) = IValue();
    }
}

void Run::runIf(const Step& step)
{
    const auto& block = step.blocks.at(read(step.inputs.at(0)).toBool() ? 0 : 1);
    runNested(block);
    for (std::size_t i = 0; i < step.outputs.size(); ++i)
        slot(step.outputs[i]) = read(block.outputs.at(i));
    for (const auto defined : block.defined)
        slot(defined) = IValue();
}

void Run::runLoop(const Step& step)
{
    const auto& block = step.blocks.at(0);
    const auto limit = read(step.inputs.at(0)).toInt();
    bool goesOn = read(step.inputs.at(1)).toBool();
    std::vector<IValue> carried;
    for (std::size_t i = 2; i < step.inputs.size(); ++i)
        carried.push_back(read(step.inputs[i]));
    m_loopSteps.push_back(0);
    for (std::int64_t i = 0; i < limit && goesOn; ++i) {
        m_loopSteps.back() = i;
        slot(block.inputs.at(0)) = i;
        for (std::size_t k = 0; k < carried.size(); ++k)
            slot(block.inputs.at(k + 1)) = std::move(carried[k]);
        for (const auto input : block.inputs)
            act(input);
        runNested(block);
        goesOn = read(block.outputs.at(0)).toBool();
        for (std::size_t k = 0; k < carried.size(); ++k)
            carried[k] = read(block.outputs.at(k + 1));
        for (const auto defined : block.defined)
            slot(defined) = IValue();
    }
    m_loopSteps.pop_back();
    for (std::size_t k = 0; k < carried.size(); ++k)
        slot(step.outputs.at(k)) = std::move(carried[k]);
}

void Run::finishOutputs(const Step& step, std::size_t base)
{
    const auto made = m_stack.size() - base;
    if (made != step.outputs.size())
        throw core::ShapeError(fmt::format("expected {} outputs, got {}", step.outputs.size(), made));
    for (std::size_t i = 0; i < step.outputs.size(); ++i)
        slot(step.outputs[i]) = std::move(m_stack[base + i]);
    m_stack.resize(base);
}

void Run::runStep(const Step& step, const PlanEntry* entry)
{
    if (m_request.stop.stop_requested())
        throw core::Cancelled();
    m_current = &step;
    if (step.own == OwnOperator::If || step.own == OwnOperator::Loop) {
        step.own == OwnOperator::If ? runIf(step) : runLoop(step);
        m_current = &step;
    } else {
        push(step, entry);
        const auto base = m_base;
        switch (step.own) {
        case OwnOperator::ListConstruct: makeList(step); break;
        case OwnOperator::DictConstruct: makeDict(step); break;
        case OwnOperator::TupleConstruct: {
            std::vector<IValue> items(std::make_move_iterator(m_stack.begin() + std::ptrdiff_t(base)), std::make_move_iterator(m_stack.end()));
            m_stack.resize(base);
            m_stack.emplace_back(c10::ivalue::Tuple::create(std::move(items)));
            break;
        }
        case OwnOperator::ListUnpack:
        case OwnOperator::TupleUnpack: unpackTop(step); break;
        case OwnOperator::TupleIndex: {
            const auto tuple = m_stack[base];
            const auto& items = tuple.toTupleRef().elements();
            const auto index = m_stack[base + 1].toInt(), count = std::int64_t(items.size());
            if (index < -count || index >= count)
                throw core::ShapeError(fmt::format("expected an index below {}, got {}", count, index));
            m_stack.resize(base);
            m_stack.push_back(items[std::size_t(index < 0 ? index + count : index)]);
            break;
        }
        default: callOperator(step);
        }
        finishOutputs(step, base);
    }
    ++m_result.nodesRun;
    if (!m_requestOf.empty())
        for (const auto output : step.outputs)
            act(output);
}

void Run::profileStep(const Step& step, const PlanEntry* entry)
{
    std::vector<IValue> inputs;
    for (const auto index : step.inputs)
        inputs.push_back(read(index));
    if (!m_allocations)
        m_allocations = std::make_shared<AllocationCounter>();
    m_allocations->take();
    const auto start = std::chrono::steady_clock::now();
    {
        c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, m_allocations);
        runStep(step, entry);
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    NodeProfile profile;
    profile.node = step.node->name;
    profile.seconds = seconds.count();
    profile.allocatedBytes = m_allocations->take();
    std::vector<IValue> outputs;
    for (const auto index : step.outputs)
        outputs.push_back(read(index));
    for (const auto& output : outputs)
        profile.outputBytes += bytesOf(output);
    profile.flops = flopsOf(*step.node, inputs, outputs);
    m_result.profile.push_back(std::move(profile));
}

void Run::transform(ValueId id, const std::string& name, const Request& request)
{
    auto& value = slot(id);
    const auto applies = [&](const Request::Item& item, Probe::Kind kind) {
        return item.probe && item.probe->kind == kind && stepsMatch(item.steps, m_loopSteps);
    };
    for (const auto& item : request.items) {
        if (applies(item, Probe::Kind::Set))
            value = item.probe->tensor;
        if (applies(item, Probe::Kind::Replace))
            value = item.probe->replace(name, value);
    }
    for (const auto& item : request.items)
        if (applies(item, Probe::Kind::Add))
            value = value.toTensor() + item.probe->tensor;
    for (const auto& item : request.items)
        if (applies(item, Probe::Kind::Leaf)) {
            if (m_request.gradients == Gradients::None)
                throw core::InputError(fmt::format("value {}: a leaf probe needs a run with gradients", name));
            value = value.toTensor().detach().requires_grad_(true);
            m_result.values[name] = value;
        }
}

void Run::keep(ValueId id, const std::string& name)
{
    const auto& value = slot(id);
    m_result.values[name] = m_program.mutates ? copied(value) : value;
}

void Run::watch(ValueId id, const std::string& name, const Request& request)
{
    bool stop = false;
    for (const auto& item : request.items) {
        if (!stepsMatch(item.steps, m_loopSteps))
            continue;
        if (!item.probe) {
            keep(id, name);
            continue;
        }
        const auto& probe = *item.probe;
        stop = stop || probe.kind == Probe::Kind::Stop;
        if (probe.kind == Probe::Kind::Observe)
            probe.observe(name, m_program.mutates ? copied(slot(id)) : slot(id));
    }
    hookGradients(id, name, request);
    if (stop)
        throw StopRun();
}

// Hooks run in the order of registration: the replacement comes first, so that every observer sees the same gradient.
void Run::hookGradients(ValueId id, const std::string& name, const Request& request)
{
    for (const auto kind : {Probe::Kind::ReplaceGradient, Probe::Kind::ObserveGradient})
        for (const auto& item : request.items) {
            if (!item.probe || item.probe->kind != kind || !stepsMatch(item.steps, m_loopSteps))
                continue;
            const auto tensor = slot(id).toTensor();
            if (!tensor.requires_grad())
                throw core::InputError(fmt::format("value {}: its gradient was asked for, but nothing before it requires grad (expected a run with "
                                                   "gradients of inputs or parameters)",
                                                   name));
            if (kind == Probe::Kind::ReplaceGradient)
                tensor.register_hook(
                    [replace = item.probe->replace, name](const at::Tensor& gradient) { return replace(name, gradient).toTensor(); });
            else
                tensor.register_hook([observe = item.probe->observe, name](const at::Tensor& gradient) { observe(name, gradient); });
        }
}

void Run::act(ValueId id)
{
    if (m_requestOf.empty() || !m_requestOf[std::size_t(id)])
        return;
    const auto& request = *m_requestOf[std::size_t(id)];
    const auto name = runtimeName(m_data.values[std::size_t(id)].name);
    try {
        transform(id, name, request);
        watch(id, name, request);
    } catch (const c10::Error& error) {
        throw NodeError(name, fmt::format("probe at {} on {}: {}", name, describe(slot(id)), firstSentence(error.what_without_backtrace())));
    }
}

void Run::giveValue(ValueId id)
{
    slot(id) = m_given.at(id);
    act(id);
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

void Run::fail(const std::string& reason) const
{
    if (!m_current)
        throw core::Error(reason);
    std::vector<std::string> parts;
    for (std::size_t i = m_base; i < m_stack.size() && i < m_base + m_current->inputs.size(); ++i)
        parts.push_back(describe(m_stack[i]));
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
        fail(error.what_without_backtrace());
    } catch (const std::exception& error) {
        fail(error.what());
    }
    collectOutputs();
    return std::move(m_result);
}

at::Tensor RunResult::tensor(std::size_t output) const
{
    if (output >= outputs.size())
        throw core::ShapeError(fmt::format("expected output {}, got {} output(s)", output, outputs.size()));
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
    return Run(*m_program, weights, request).go();
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
