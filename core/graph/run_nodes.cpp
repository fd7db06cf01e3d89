#include <ATen/core/Dict.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/version.h>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "flops.h"
#include "run.h"

namespace orrery::graph {

using c10::IValue;

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
    void add(std::int64_t bytes)
    {
        m_bytes += bytes;
    }

private:
    std::int64_t m_bytes = 0;
};

namespace {

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

}  // namespace

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
        m_request.profile ? profileStep(step, nullptr) : runStep(step, nullptr);
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
    const std::int64_t outside = m_allocations->take();
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
    if (!m_loopSteps.empty() || !entry)  // what is allocated inside a loop or branch counts for that, too
        m_allocations->add(outside + profile.allocatedBytes);
    std::vector<IValue> outputs;
    for (const auto index : step.outputs)
        outputs.push_back(read(index));
    for (const auto& output : outputs)
        profile.outputBytes += bytesOf(output);
    profile.flops = flopsOf(*step.node, inputs, outputs);
    m_result.profile.push_back(std::move(profile));
}

}  // namespace orrery::graph
