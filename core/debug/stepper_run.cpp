#include <algorithm>

#include <core/base/text.h>

#include "stepper.h"

namespace orrery::debug {

using c10::IValue;
namespace {

/// Lines run at once: few enough that what they make fits beside the kept values, many enough that planning a run does not count.
constexpr int kChunk = 64;

}  // namespace

/// Ends a run from within a probe; passes through the executor as a cancellation does.
struct Stepper::Pause : core::Cancelled {};

graph::RunRequest Stepper::baseRequest(std::stop_token stop) const
{
    graph::RunRequest request;
    request.inputs = m_options.inputs;
    request.seed = m_options.seed;
    request.step = m_options.step;
    request.training = m_options.training;
    request.resumeFrom = &m_store.values();
    request.stop = stop;
    return request;
}

void Stepper::addNestedEdits(graph::RunRequest& request, int from, int to) const
{
    for (const auto& [name, value] : m_edits) {
        const auto [id, steps] = identify(name);
        if (m_lines.isNested(id) && m_lines.lineOf(id) >= from && m_lines.lineOf(id) < to)
            request.probes.push_back(graph::Probe::setting(name, value.toTensor()));
    }
}

void Stepper::remember(int, const std::string& name, const IValue& value)
{
    if (!m_edits.count(name))
        m_store.put(name, value);
    if (value.isTensor() && value.toTensor().defined())
        m_shapes[name] = value.toTensor().sizes().vec();
}

/// Runs lines one chunk after the other and moves the position along.
std::optional<Stepper::Hit> Stepper::runLines(int from, int to, bool breakpoints, std::stop_token stop)
{
    while (from < to) {
        // A chunk ends early where memory asks for it: the position says how far it came.
        const auto hit = runChunk(from, std::min(to, from + kChunk), breakpoints, stop);
        from = m_position.line;
        trim();
        if (hit)
            return hit;
    }
    return std::nullopt;
}

/// One run of the executor over a few lines.
struct Stepper::Recording {
    int completed;                    // lines up to this one have been done
    std::map<int, std::size_t> seen;  // outputs seen of lines that have several
    std::int64_t bytesBefore;
    std::optional<Hit> hit;
};

std::optional<Stepper::Hit> Stepper::runChunk(int from, int to, bool breakpoints, std::stop_token stop)
{
    Recording recording{from - 1, {}, m_store.bytes(), {}};
    graph::RunRequest request = baseRequest(stop);
    addNestedEdits(request, from, to);
    const auto observe = [&](const std::string& name, const IValue& value) {
        const graph::ValueId id = *graph()->findValue(name);
        const int line = m_lines.lineOf(id);
        remember(line, name, value);
        if (breakpoints && !recording.hit)
            recording.hit = checkConditions(line, name, id, value);
        if (++recording.seen[line] < m_lines.line(line).node->outputs.size())
            return;
        recording.completed = line;
        if (recording.hit || m_store.bytes() - recording.bytesBefore > std::max<std::int64_t>(m_options.keepBytes / 4, 0))
            throw Pause();
    };
    for (int line = from; line < to; ++line) {
        std::vector<std::string> names;
        for (const auto output : m_lines.line(line).node->outputs)
            names.push_back(graph()->value(output).name);
        for (const auto& name : names)
            request.probes.push_back(graph::Probe::onValue(name, observe));
        if (!names.empty())
            request.targets = names;  // of the last line that makes something: nothing behind it is run
    }
    int reached = to;
    try {
        if (!request.targets.empty())
            m_nodesRun += m_executor->run(m_weights, request).nodesRun;
    } catch (const Pause&) {
        m_nodesRun += recording.completed - from + 1;
        reached = recording.completed + 1;
    } catch (const core::Cancelled&) {
        moveTo({recording.completed + 1, -1});
        throw;
    } catch (const graph::NodeError&) {
        moveTo({recording.completed + 1, -1});
        throw;
    }
    moveTo({reached, -1});
    return recording.hit;
}

/// Drops what nothing ahead reads, the oldest first, until the kept values are within the limit; then what lies farthest ahead.
void Stepper::trim()
{
    const auto pinned = [&](int line) {
        return std::any_of(m_edits.begin(), m_edits.end(), [&](const auto& edit) { return m_lines.lineOf(identify(edit.first).first) == line; });
    };
    const auto drop = [&](int line, bool ahead) {
        for (const auto output : m_lines.line(line).node->outputs)
            if ((ahead || m_lines.lastUse(output) < m_position.line) && !pinned(line))
                m_store.erase(graph()->value(output).name);
    };
    for (int line = 0; line < m_position.line && m_store.bytes() > m_options.keepBytes; ++line)
        drop(line, false);
    for (int line = m_lines.count() - 1; line >= m_position.line && m_store.bytes() > m_options.keepBytes; --line)
        drop(line, true);
}

namespace {

/// Who makes the values inside the blocks of a node; for a block's own inputs the loop.
void collectOwners(const graph::Node& node, std::map<graph::ValueId, const graph::Node*>& owners)
{
    for (const auto& block : node.blocks) {
        for (const auto input : block.inputs)
            owners[input] = &node;
        for (const auto& inner : block.nodes) {
            for (const auto output : inner.outputs)
                owners[output] = &inner;
            collectOwners(inner, owners);
        }
    }
}

bool isBlockInput(const graph::Node& owner, graph::ValueId id)
{
    return std::find(owner.outputs.begin(), owner.outputs.end(), id) == owner.outputs.end();
}

std::int64_t tensorBytes(const IValue& value)
{
    return value.isTensor() && value.toTensor().defined() ? std::int64_t(value.toTensor().nbytes()) : 0;
}

}  // namespace

/// Runs the blocks of a line once and writes down each of their steps.
void Stepper::record(int line, std::stop_token stop)
{
    const graph::Node& root = *m_lines.line(line).node;
    std::map<graph::ValueId, const graph::Node*> owners;
    collectOwners(root, owners);
    std::vector<Visit> visits;
    std::int64_t bytes = 0;
    graph::RunRequest request = baseRequest(stop);
    addNestedEdits(request, line, line + 1);
    const auto observe = [&](const std::string& name, const IValue& value) {
        const auto [id, steps] = identify(name);
        const graph::Node* owner = owners.at(id);
        const std::string place = (isBlockInput(*owner, id) ? owner->name : graph()->value(owner->outputs[0]).name) + steps;
        if (visits.empty() || visits.back().name != place || visits.back().node != owner)
            visits.push_back({owner, place, visitLevels(line, *owner, steps), {}, true});
        Visit& visit = visits.back();
        bytes += tensorBytes(value);
        visit.kept = visit.kept && bytes <= m_options.keepBytes;
        visit.values.emplace_back(name, visit.kept ? value : IValue());
        if (value.isTensor() && value.toTensor().defined())
            m_shapes[name] = value.toTensor().sizes().vec();
    };
    for (const auto& [id, owner] : owners)
        request.probes.push_back(graph::Probe::onValue(graph()->value(id).name, observe));
    for (const auto output : root.outputs) {
        const std::string name = graph()->value(output).name;
        request.targets.push_back(name);
        m_store.erase(name);  // else it would be given, and the block not run
    }
    request.keep = request.targets;
    m_blockError.clear();
    try {
        const graph::RunResult result = m_executor->run(m_weights, request);
        m_nodesRun += result.nodesRun;
        for (const auto& [name, value] : result.values)
            remember(line, name, value);
    } catch (const graph::NodeError& error) {
        m_blockError = error.what();
    }
    m_visits = std::move(visits);
    m_visitsOf = line;
}

std::vector<std::string> Stepper::visitLevels(int line, const graph::Node& node, const std::string& steps) const
{
    const auto& outer = m_lines.line(line).levels;
    std::vector<std::string> levels = outer;
    const std::string& root = m_lines.line(line).node->name;
    if (steps.empty())
        levels.push_back(root);
    for (auto end = steps.find(']'); end != std::string::npos; end = steps.find(']', end + 1))
        levels.push_back(root + steps.substr(0, end + 1));
    const std::vector<std::string> modules = m_lines.levelsOf(node);
    for (std::size_t i = commonLevels(outer, modules); i < modules.size(); ++i)
        levels.push_back(modules[i]);
    return levels;
}

}  // namespace orrery::debug
