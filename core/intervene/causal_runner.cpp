#include "causal_runner.h"

#include <ATen/ATen.h>

#include <core/base/error.h>

#include "frontier.h"

namespace orrery::intervene {
namespace {

constexpr std::int64_t kTails = 8;  ///< round positions: more would save little, and each takes a few runs to prepare

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
    : m_base(std::move(base)), m_parts(std::move(parts)), m_step(m_parts.step), m_inputs(m_base.model, m_parts), m_stop(std::move(stop))
{
    const graph::Executor whole(m_base.model.graph);
    graph::RunRequest request;
    request.inputs = {m_base.tokens};
    request.targets = m_parts.cached;
    request.stop = m_stop;
    for (const auto& value : whole.run(m_base.model.weights, request).outputs)
        m_cached.push_back(value.toTensor().detach());
    m_inputs.makeTables(m_base.tokens.size(1));
}

bool CausalRunner::holds(const std::string& value) const
{
    const auto id = m_parts.step->findValue(value);
    return id && m_parts.step->producer(*id);
}

/// Buffers have memory of their own in each row: what is computed is written behind what the base run holds. Those that nothing reads are left out.
std::vector<c10::IValue> CausalRunner::inputs(const Tail& tail, std::int64_t rows, const std::vector<bool>& used) const
{
    const auto total = m_base.tokens.size(1);
    auto values = m_inputs.values(m_base.tokens.narrow(1, tail.first, total - tail.first).expand({rows, -1}), tail.first, total);
    for (std::size_t i = 0; i < m_cached.size(); ++i) {
        const auto& base = m_cached[i];
        if (!used.empty() && !used[i]) {
            values.emplace_back(base);
            continue;
        }
        const at::Tensor buffer = at::empty({rows, base.size(1), total, base.size(3)}, base.options());
        buffer.narrow(2, 0, tail.first).copy_(base.narrow(2, 0, tail.first));
        values.emplace_back(buffer);
    }
    return values;
}

graph::RunResult CausalRunner::run(const Tail& tail, const graph::Executor& executor, std::int64_t rows, graph::RunRequest request) const
{
    request.inputs = inputs(tail, rows, {});
    request.stop = m_stop;
    return executor.run(m_base.model.weights, request);
}

/// Behind the last block only the last position counts.
void CausalRunner::narrow(Tail& tail) const
{
    graph::Shapes one, two;
    for (auto [rows, shapes] : {std::pair(1, &one), std::pair(2, &two)}) {
        graph::RunRequest request;
        request.probes = {graph::shapeProbe(*m_parts.step, *shapes)};
        run(tail, m_step, rows, request);
    }
    const auto length = m_base.tokens.size(1) - tail.first;
    auto narrowed = graph::narrowed(m_parts.step, 0, graph::Range{1, length - 1, 1}, one, two);
    tail.executor = std::make_unique<graph::Executor>(narrowed.values.empty() ? m_parts.step : narrowed.graph);
    tail.parts = std::move(narrowed.values);
}

/// Keeps what patched runs read and do not compute.
void CausalRunner::keep(Tail& tail) const
{
    std::vector<std::string> patched;
    for (const auto& value : m_base.values)
        if (holds(value))
            patched.push_back(value);
    graph::RunRequest request;
    request.keep = frontierOf(*tail.executor, patched);
    const auto one = run(tail, *tail.executor, 1, request), two = run(tail, *tail.executor, 2, request);
    for (const auto& [name, value] : one.values) {
        const auto& twice = two.values.at(name);
        if (!value.isTensor() || !twice.isTensor() || value.toTensor().dim() == 0)
            continue;
        const auto &a = value.toTensor(), &b = twice.toTensor();
        if (a.sizes() == b.sizes())
            tail.shared[name] = a;
        else if (a.size(0) == 1 && b.size(0) == 2 && a.sizes().slice(1) == b.sizes().slice(1))
            tail.rowed[name] = a;
    }
    const auto& graph = *tail.executor->graph();
    const std::size_t before = graph.data().inputs.size() - m_cached.size();
    for (const auto& value : patched) {
        std::set<graph::ValueId> reads;
        for (const auto* node : coneOf(*tail.executor, value))
            addReads(*node, reads);
        auto& used = tail.bufferUsed[value];
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
    if (!tail) {
        auto made = std::make_unique<Tail>();
        made->first = begin(first);
        narrow(*made);
        keep(*made);
        tail = std::move(made);
    }
    return *tail;
}

at::Tensor CausalRunner::logits(const std::string& value, const at::Tensor& patched, std::int64_t axis, std::int64_t first, std::stop_token stop)
{
    const Tail& tail = tailFrom(first);
    const auto rows = patched.size(0);
    graph::KeptValues kept;
    for (const auto& [name, tensor] : tail.shared)
        kept[name] = tensor;
    for (const auto& [name, tensor] : tail.rowed) {
        auto sizes = tensor.sizes().vec();
        sizes[0] = rows;
        kept[name] = tensor.expand(sizes);
    }
    at::Tensor changed = patched.narrow(axis, tail.first, patched.size(axis) - tail.first);
    if (const auto part = tail.parts.find(value); part != tail.parts.end())
        changed = changed.narrow(part->second.axis, part->second.begin, part->second.length);
    graph::RunRequest request;
    request.inputs = inputs(tail, rows, tail.bufferUsed.at(value));
    request.resumeFrom = &kept;
    request.changed[value] = changed;
    request.targets = {tail.executor->graph()->value(tail.executor->graph()->data().body.outputs.at(0).value).name};
    request.stop = std::move(stop);
    const at::Tensor output = tail.executor->run(m_base.model.weights, request).tensor(0);
    return output.select(1, output.size(1) - 1);
}

}  // namespace orrery::intervene
