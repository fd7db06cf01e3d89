#include "patch_runner.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <set>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/kernels/parallel.h>

#include "frontier.h"
#include "output_metric.h"

namespace orrery::intervene {
namespace {

using graph::ValueId;

c10::IValue repeated(const c10::IValue& value, std::int64_t rows)
{
    if (!value.isTensor() || value.toTensor().dim() == 0 || value.toTensor().size(0) == rows)
        return value;
    auto sizes = value.toTensor().sizes().vec();
    sizes[0] = rows;
    return value.toTensor().expand(sizes);
}

void checkSameShape(const graph::Graph& graph, const PatchRunner::Inputs& inputs)
{
    if (inputs.clean.size() != inputs.corrupted.size())
        throw core::InputError(
            fmt::format("clean and corrupted: expected as many inputs of each, got {} and {}", inputs.clean.size(), inputs.corrupted.size()));
    for (std::size_t i = 0; i < inputs.clean.size(); ++i) {
        if (!inputs.clean[i].isTensor() || !inputs.corrupted[i].isTensor())
            throw core::InputError("clean and corrupted: expected tensors");
        const auto &a = inputs.clean[i].toTensor(), &b = inputs.corrupted[i].toTensor();
        const std::string name = i < graph.data().inputs.size() ? graph.data().inputs[i].name : std::to_string(i);
        if (a.sizes() != b.sizes())
            throw core::ShapeError(
                fmt::format("input \"{}\": expected the same shape twice (texts: the same number of tokens), got clean {} and corrupted {}", name,
                            core::formatShape(a.sizes()), core::formatShape(b.sizes())));
        if (a.dim() == 0 || a.size(0) != 1)
            throw core::ShapeError(fmt::format("input \"{}\": expected one sample, [1, ...], got {}", name, core::formatShape(a.sizes())));
    }
}

/// Two pieces of work, at the same time where each gets a thread: what is run here is small, and its operators then do not wait for each other's threads. With more threads the
/// operators use them all.
template <class First, class Second>
void together(const First& first, const Second& second)
{
    if (at::get_num_threads() > 2 || at::in_parallel_region()) {
        first();
        return second();
    }
    kernels::parallelFor(0, 2, 1, [&](std::int64_t from, std::int64_t to) {
        at::NoGradGuard noGradients;
        for (auto i = from; i < to; ++i)
            i == 0 ? first() : second();
    });
}

bool isClose(const at::Tensor& a, const at::Tensor& b, double tolerance = 1e-3)
{
    const double scale = std::max(1e-6, b.abs().max().item<double>());
    return a.sizes() == b.sizes() && (a - b).abs().max().item<double>() <= tolerance * scale;
}

}  // namespace

PatchRunner::PatchRunner(const graph::Executor& executor, const graph::Weights& weights, Inputs inputs, std::stop_token stop)
    : m_executor(&executor), m_weights(&weights), m_inputs(std::move(inputs)), m_stop(std::move(stop))
{
    checkSameShape(*executor.graph(), m_inputs);
    at::Tensor pair;
    together(
        [&] {
            m_sourceLogits = runOne(source(), m_inputs.baseIsClean ? "corrupted" : "clean", nullptr, m_sourceValues);
            m_baseLogits = runOne(base(), m_inputs.baseIsClean ? "clean" : "corrupted", &m_one, m_baseValues);
        },
        [&] { pair = runPair(); });
    // Whether the rows of a batch are treated apart is tried, not believed.
    m_batches = pair.defined() && pair.size(0) == 2 && isClose(pair[0], m_baseLogits) && isClose(pair[1], m_sourceLogits);
}

void PatchRunner::prepare(const graph::ModelCard& card, const std::vector<std::string>& positionValues)
{
    std::unique_ptr<CausalRunner> causal;
    together(
        [&] {
            if (m_batches)
                narrow();
            keepFrontier();
        },
        [&] {
            if (m_batches && !positionValues.empty() && readsLastPosition())
                causal = causalRunner(card);
        });
    if (causal)
        tryCausality(card, std::move(causal), positionValues);
}

at::Tensor PatchRunner::runOne(const std::vector<c10::IValue>& inputs, const char* which, graph::Shapes* shapes,
                               std::map<std::string, at::Tensor>& values)
{
    graph::RunRequest request;
    request.inputs = inputs;
    request.keep = m_inputs.values;
    if (shapes)
        request.probes = {graph::shapeProbe(*m_executor->graph(), *shapes)};
    request.stop = m_stop;
    const auto result = m_executor->run(*m_weights, request);
    for (const auto& name : m_inputs.values)
        values[name] = result.value(name).detach();
    const at::Tensor output = result.tensor(m_inputs.output);
    m_outputRank = output.dim();
    const at::Tensor logits = logitsAt(output, m_inputs.position)[0].to(at::kCPU, at::kDouble);
    if (logits.isnan().any().item<bool>())
        throw core::InputError(fmt::format("the output of the {} run holds NaN: check the input and the weights", which));
    return logits;
}

/// The logits of both inputs as one batch; undefined if the model does not take it.
at::Tensor PatchRunner::runPair()
{
    std::vector<c10::IValue> pair;
    for (std::size_t i = 0; i < base().size(); ++i)
        pair.emplace_back(at::cat({base()[i].toTensor(), source()[i].toTensor()}));
    graph::RunRequest request;
    request.inputs = pair;
    request.probes = {graph::shapeProbe(*m_executor->graph(), m_two)};
    request.stop = m_stop;
    try {
        return logitsAt(m_executor->run(*m_weights, request).tensor(m_inputs.output), m_inputs.position).to(at::kCPU, at::kDouble);
    } catch (const core::Error&) {
        return {};
    }
}

void PatchRunner::narrow()
{
    const auto& graph = m_executor->graph();
    std::optional<graph::Range> range;
    if (m_outputRank == 3) {
        const auto& output = graph->data().body.outputs.at(m_inputs.output);
        const auto positions = output.isConstant() ? 0 : m_one[std::size_t(output.value)].at(1);
        range = graph::Range{1, positionIndex(m_inputs.position, positions), 1};
    }
    auto made = graph::narrowed(graph, m_inputs.output, range, m_one, m_two);
    if (made.values.empty())
        return;
    m_narrowed = std::make_unique<graph::Executor>(made.graph);
    m_parts = std::move(made.values);
}

void PatchRunner::keepFrontier()
{
    const auto names = frontierOf(runner(), m_inputs.values);
    const auto run = [&](std::int64_t rows) {
        graph::RunRequest request;
        for (const auto& input : base())
            request.inputs.push_back(repeated(input, rows));
        request.keep = names;
        request.profile = rows == 1;  // of the whole run
        if (rows > 1)
            request.targets = names;
        request.stop = m_stop;
        return runner().run(*m_weights, request);
    };
    const auto one = run(1);
    for (const auto& profile : one.profile)
        m_bytes[profile.node] = profile.outputBytes;
    const auto two = m_batches && !names.empty() ? run(2) : one;
    for (const auto& name : names) {
        const auto &a = one.values.at(name), &b = two.values.at(name);
        if (!a.isTensor() || !b.isTensor())
            continue;
        const auto single = a.toTensor().sizes().vec();
        auto twice = single;
        if (!twice.empty())
            twice[0] *= 2;
        if (b.toTensor().sizes() == a.toTensor().sizes())
            m_shared[name] = a.toTensor();
        else if (single[0] == 1 && b.toTensor().sizes() == twice)
            m_rowed[name] = a.toTensor();
    }
    if (m_narrowed && m_outputRank == 3)
        m_positionInOutput = 0;
    else
        m_positionInOutput = m_inputs.position;
}

std::int64_t PatchRunner::bytesPerRow(const std::string& value) const
{
    const auto cone = coneOf(runner(), value);
    std::map<ValueId, std::size_t> lastUse;
    std::set<ValueId> reads;
    for (std::size_t i = 0; i < cone.size(); ++i) {
        reads.clear();
        addReads(*cone[i], reads);
        for (const auto id : reads)
            lastUse[id] = i;
    }
    std::int64_t alive = std::int64_t(m_baseValues.at(value).nbytes()), peak = alive;
    std::map<std::size_t, std::int64_t> freed;
    for (std::size_t i = 0; i < cone.size(); ++i) {
        const auto bytes = m_bytes.count(cone[i]->name) ? m_bytes.at(cone[i]->name) : 0;
        std::size_t last = i;
        for (const auto id : cone[i]->outputs)
            if (const auto use = lastUse.find(id); use != lastUse.end())
                last = std::max(last, use->second);
        alive += bytes;
        freed[last] += bytes;
        peak = std::max(peak, alive);
        alive -= freed[i];
    }
    return std::max<std::int64_t>(peak, 1);
}

graph::KeptValues PatchRunner::keptFor(std::int64_t rows, bool copied) const
{
    graph::KeptValues kept;
    for (const auto& [name, tensor] : m_shared)
        kept[name] = tensor;
    for (const auto& [name, tensor] : m_rowed) {
        const at::Tensor expanded = repeated(tensor, rows).toTensor();
        kept[name] = copied ? expanded.contiguous() : expanded;
    }
    return kept;
}

graph::RunResult PatchRunner::runRows(const std::string& value, const at::Tensor& patched, bool copied, std::stop_token stop) const
{
    const auto rows = patched.size(0);
    const auto kept = keptFor(rows, copied);
    graph::RunRequest request;
    for (const auto& input : base())
        request.inputs.push_back(repeated(input, rows));
    request.resumeFrom = &kept;
    const auto part = m_parts.find(value);
    request.changed[value] = part == m_parts.end() ? patched : patched.narrow(part->second.axis, part->second.begin, part->second.length);
    request.targets = {runner().graph()->value(runner().graph()->data().body.outputs.at(m_inputs.output).value).name};
    request.stop = std::move(stop);
    return runner().run(*m_weights, request);
}

bool PatchRunner::readsLastPosition() const
{
    if (m_outputRank != 3 || base().size() != 1 || !base()[0].isTensor() || base()[0].toTensor().dim() != 2)
        return false;
    const auto positions = base()[0].toTensor().size(1);
    return positionIndex(m_inputs.position, positions) == positions - 1;
}

// Everything from the middle on: were earlier positions to read it, the output would be another one.
bool PatchRunner::agrees(CausalRunner& causal, const std::string& value, std::int64_t axis) const
{
    const auto total = baseValue(value).size(axis), first = total / 2;
    const at::Tensor patched = baseValue(value).clone();
    patched.narrow(axis, first, total - first).copy_(sourceValue(value).narrow(axis, first, total - first));
    at::Tensor tail, whole;
    try {
        together([&] { tail = causal.run(value, patched, axis, first, true, m_stop).logits; },
                 [&] { whole = runWhole(value, patched, m_stop).logits; });
    } catch (const core::Error&) {
        return false;  // whole sequences can be run all the same
    }
    return isClose(tail.to(at::kDouble), whole.to(at::kDouble), 3e-5);
}

std::unique_ptr<CausalRunner> PatchRunner::causalRunner(const graph::ModelCard& card) const
{
    return CausalRunner::make({m_executor, {m_executor->graph(), *m_weights, card, {}}, base()[0].toTensor(), m_inputs.values, m_inputs.output},
                              m_stop);
}

void PatchRunner::tryCausality(const graph::ModelCard& card, std::unique_ptr<CausalRunner> causal, const std::vector<std::string>& values)
{
    for (const auto& value : values) {
        if (!causal->holds(value))
            continue;
        const auto axis = findAxis(axesOf(*m_executor->graph(), card, value, std::size_t(baseValue(value).dim())), Axis::Position);
        if (!axis || baseValue(value).size(std::int64_t(*axis)) != base()[0].toTensor().size(1))
            continue;
        if (agrees(*causal, value, std::int64_t(*axis)))
            m_causal = std::move(causal);
        return;
    }
}

std::int64_t PatchRunner::begin(const std::string& value, std::int64_t first) const
{
    return m_causal && m_causal->holds(value) ? m_causal->begin(first) : 0;
}

PatchRunner::Batch PatchRunner::run(const std::string& value, const at::Tensor& patched, std::stop_token stop, std::optional<Beginning> from) const
{
    if (from && begin(value, from->first) > 0) {
        for (const bool copied : {false, true}) {
            if (!copied && m_tailCopies)
                continue;
            try {
                const auto tail = m_causal->run(value, patched, from->axis, from->first, copied, stop);
                m_tailCopies = m_tailCopies || copied;
                return {tail.logits, tail.nodes, true};
            } catch (const graph::NodeError&) {
                // An operator of it wants rows with memory of their own, or other shapes.
            }
        }
    }
    return runWhole(value, patched, std::move(stop));
}

PatchRunner::Batch PatchRunner::runWhole(const std::string& value, const at::Tensor& patched, std::stop_token stop) const
{
    const auto batch = [&](const graph::RunResult& result) { return Batch{logitsAt(result.tensor(0), m_positionInOutput), result.nodesRun, false}; };
    if (!m_copies) {
        try {
            return batch(runRows(value, patched, false, stop));
        } catch (const graph::NodeError&) {
            // Some operators (views of imported models) want rows with memory of their own.
            if (patched.size(0) == 1)
                throw;
        }
    }
    const auto made = batch(runRows(value, patched, true, stop));
    m_copies = true;
    return made;
}

}  // namespace orrery::intervene
