#include <core/base/text.h>

#include "run.h"

namespace orrery::graph {

using c10::IValue;
namespace {

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

}  // namespace

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
    std::set<ValueId> changed, given, also, seen;
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
            seen.insert(id);
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
    m_ownPlan = m_program.plan(outputs, given, mustRun, also, seen);
    m_plan = &m_ownPlan;
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

}  // namespace orrery::graph
