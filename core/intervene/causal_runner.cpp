#include "causal_runner.h"

#include <ATen/ATen.h>

#include <core/base/error.h>

#include "frontier.h"

namespace orrery::intervene {
namespace {

constexpr std::int64_t kTails = 8;  ///< round positions: batches of fewer patches would fill the operators less than they save
constexpr std::int64_t kShort = 5;  ///< positions of a tail that is run to look at: below kTails, and seldom the length of another axis

}  // namespace

std::unique_ptr<CausalRunner> CausalRunner::make(Base base, std::stop_token stop)
{
    if (!base.tokens.defined() || base.tokens.dim() != 2 || base.tokens.size(1) < kTails)
        return nullptr;
    auto parts = generation::cachedGraph(base.model, false);
    if (!parts.step || base.output != 0)
        return nullptr;
    try {
        return std::unique_ptr<CausalRunner>(new CausalRunner(std::move(base), std::move(parts), std::move(stop)));
    } catch (const core::InputError&) {
        return nullptr;  // its tables do not grow with the text
    }
}

CausalRunner::CausalRunner(Base base, generation::CachedGraph parts, std::stop_token stop)
    : m_base(std::move(base)), m_parts(std::move(parts)), m_inputs(m_base.model, m_parts), m_stop(std::move(stop))
{
    graph::RunRequest request;
    request.inputs = {m_base.tokens};
    request.targets = m_parts.cached;
    request.stop = m_stop;
    for (const auto& value : m_base.executor->run(m_base.model.weights, request).outputs)
        m_cached.push_back(value.toTensor().detach());
    m_inputs.makeTables(m_base.tokens.size(1));
    narrow();
    const auto patched = patchedValues();
    findKept(patched);
    findUsedBuffers(patched);
}

/// Buffers have memory of their own in each row: what is computed is written behind what the base run holds. Those that nothing reads are left out.
std::vector<c10::IValue> CausalRunner::inputs(std::int64_t first, std::int64_t rows, const std::vector<bool>& used) const
{
    const auto total = m_base.tokens.size(1);
    auto values = m_inputs.values(m_base.tokens.narrow(1, first, total - first).expand({rows, -1}), first, total);
    for (std::size_t i = 0; i < m_cached.size(); ++i) {
        const auto& base = m_cached[i];
        if (!used.empty() && !used[i]) {
            values.emplace_back(base);
            continue;
        }
        const at::Tensor buffer = at::empty({rows, base.size(1), total, base.size(3)}, base.options());
        buffer.narrow(2, 0, first).copy_(base.narrow(2, 0, first));
        values.emplace_back(buffer);
    }
    return values;
}

graph::RunResult CausalRunner::runTail(std::int64_t first, const graph::Executor& executor, std::int64_t rows, graph::RunRequest request) const
{
    request.inputs = inputs(first, rows, {});
    request.stop = m_stop;
    return executor.run(m_base.model.weights, request);
}

/// Behind the last block only the last position counts. The graph is found by a short tail; that it serves others shows where its output is compared with the whole model's for a
/// tail of another length.
void CausalRunner::narrow()
{
    m_executor = std::make_unique<graph::Executor>(m_parts.step);
    const auto total = m_base.tokens.size(1), length = total / 2 == kShort ? kShort - 2 : kShort;
    graph::Shapes one, two;
    for (auto [rows, shapes] : {std::pair(1, &one), std::pair(2, &two)}) {
        graph::RunRequest request;
        request.probes = {graph::shapeProbe(*m_parts.step, *shapes)};
        runTail(total - length, *m_executor, rows, request);
    }
    auto made = graph::narrowed(m_parts.step, 0, graph::Range{1, -1, 1}, one, two);
    if (made.values.empty())
        return;
    m_executor = std::make_unique<graph::Executor>(made.graph);
    m_partsOf = std::move(made.values);
}

std::vector<std::string> CausalRunner::patchedValues() const
{
    std::vector<std::string> names;
    for (const auto& value : m_base.values)
        if (const auto id = m_executor->graph()->findValue(value); id && m_executor->graph()->producer(*id))
            names.push_back(value);
    return names;
}

/// Which values of a tail are worth keeping, and whether they have a batch axis.
void CausalRunner::findKept(const std::vector<std::string>& patched)
{
    graph::RunRequest request;
    request.keep = request.targets = frontierOf(*m_executor, patched);
    if (request.keep.empty())
        return;
    const auto first = m_base.tokens.size(1) - kShort;
    const auto one = runTail(first, *m_executor, 1, request), two = runTail(first, *m_executor, 2, request);
    for (const auto& [name, value] : one.values) {
        const auto& twice = two.values.at(name);
        if (!value.isTensor() || !twice.isTensor() || value.toTensor().dim() == 0)
            continue;
        const auto &a = value.toTensor(), &b = twice.toTensor();
        if (a.sizes() == b.sizes())
            m_sharedNames.push_back(name);
        else if (a.size(0) == 1 && b.size(0) == 2 && a.sizes().slice(1) == b.sizes().slice(1))
            m_rowedNames.push_back(name);
    }
}

void CausalRunner::findUsedBuffers(const std::vector<std::string>& patched)
{
    const auto& graph = *m_executor->graph();
    const std::size_t before = graph.data().inputs.size() - m_cached.size();
    for (const auto& value : patched) {
        std::set<graph::ValueId> reads;
        for (const auto* node : coneOf(*m_executor, value))
            addReads(*node, reads);
        auto& used = m_bufferUsed[value];
        for (std::size_t i = 0; i < m_cached.size(); ++i)
            used.push_back(reads.contains(graph.data().inputs[before + i].value));
    }
}

std::int64_t CausalRunner::begin(std::int64_t first) const
{
    const auto step = (m_base.tokens.size(1) + kTails - 1) / kTails;
    return first / step * step;
}

const CausalRunner::Tail& CausalRunner::tailFrom(std::int64_t first)
{
    const std::lock_guard lock(m_mutex);
    auto& tail = m_tails[begin(first)];
    if (tail)
        return *tail;
    auto made = std::make_unique<Tail>();
    made->first = begin(first);
    graph::RunRequest request;
    request.keep = m_rowedNames;
    request.keep.insert(request.keep.end(), m_sharedNames.begin(), m_sharedNames.end());
    request.targets = request.keep;
    if (!request.keep.empty()) {
        const auto values = runTail(made->first, *m_executor, 1, request).values;
        for (const auto& name : m_rowedNames)
            made->rowed[name] = values.at(name).toTensor();
        for (const auto& name : m_sharedNames)
            made->shared[name] = values.at(name).toTensor();
    }
    tail = std::move(made);
    return *tail;
}

CausalRunner::Run CausalRunner::run(const std::string& value, const at::Tensor& patched, std::int64_t axis, std::int64_t first, bool copied,
                                    std::stop_token stop)
{
    const Tail& tail = tailFrom(first);
    const auto rows = patched.size(0);
    graph::KeptValues kept;
    for (const auto& [name, tensor] : tail.shared)
        kept[name] = tensor;
    for (const auto& [name, tensor] : tail.rowed) {
        auto sizes = tensor.sizes().vec();
        sizes[0] = rows;
        kept[name] = copied ? tensor.expand(sizes).contiguous() : tensor.expand(sizes);
    }
    at::Tensor changed = patched.narrow(axis, tail.first, patched.size(axis) - tail.first);
    if (const auto part = m_partsOf.find(value); part != m_partsOf.end())
        changed = changed.narrow(part->second.axis, part->second.begin, part->second.length);
    const auto& graph = *m_executor->graph();
    graph::RunRequest request;
    request.inputs = inputs(tail.first, rows, m_bufferUsed.at(value));
    request.resumeFrom = &kept;
    request.changed[value] = changed;
    request.targets = {graph.value(graph.data().body.outputs.at(0).value).name};
    request.stop = std::move(stop);
    const auto result = m_executor->run(m_base.model.weights, request);
    const at::Tensor output = result.tensor(0);
    return {output.select(1, output.size(1) - 1), result.nodesRun};
}

}  // namespace orrery::intervene
