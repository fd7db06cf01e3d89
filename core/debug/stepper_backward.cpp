#include <algorithm>

#include <core/base/text.h>

#include "stepper.h"

namespace orrery::debug {

Stop Stepper::backward(std::vector<std::string> keep, std::function<at::Tensor(const graph::RunResult&)> scalar, std::stop_token stop)
{
    GradientRequest request;
    request.inputs = m_options.inputs;
    request.seed = m_options.seed;
    request.step = m_options.step;
    request.training = m_options.training;
    request.keep = std::move(keep);
    request.scalar = std::move(scalar);
    request.keepBytes = m_options.keepBytes;
    for (const auto& [name, value] : m_edits) {
        const auto [id, steps] = identify(name);
        if (m_lines.isNested(id))
            request.probes.push_back(graph::Probe::setting(name, value.toTensor()));
        else if (m_lines.lineOf(id) >= 0)
            request.changed[name] = value;
    }
    m_gradients = traceGradients(*m_executor, m_weights, request, stop);
    m_gradientRequest = std::move(request);
    m_gradientPosition = 0;
    if (!m_backward)
        m_forwardStop = m_stop;
    m_backward = true;
    return arrive(StopReason::Start);
}

void Stepper::leaveBackward()
{
    if (m_backward)
        m_stop = m_forwardStop;
    m_backward = false;
}

Stop Stepper::nextGradient(int count)
{
    m_gradientPosition = std::min(m_gradients.size(), m_gradientPosition + std::size_t(std::max(count, 0)));
    return arrive(m_gradientPosition == m_gradients.size() ? StopReason::End : StopReason::Step);
}

Stop Stepper::resumeBackward(std::stop_token stop)
{
    while (m_gradientPosition < m_gradients.size()) {
        const std::string name = m_gradients[m_gradientPosition].name;
        ++m_gradientPosition;
        const graph::ValueId id = identify(name).first;
        for (const auto& breakpoint : m_breakpoints) {
            const Resolved& resolved = m_resolved.at(breakpoint.id);
            if (!breakpoint.enabled || !(resolved.every || resolved.values.count(id)))
                continue;
            if (!breakpoint.condition)
                return hitStop({-1, breakpoint.id, {}, {}});
            if (!breakpoint.condition->ofGradient)
                continue;
            if (const auto text = fulfilled(*breakpoint.condition, gradient(name, stop)))
                return hitStop({-1, breakpoint.id, name, "gradient: " + *text});
        }
    }
    return arrive(StopReason::End);
}

at::Tensor Stepper::gradient(const std::string& name, std::stop_token stop)
{
    const auto found = std::find_if(m_gradients.begin(), m_gradients.end(), [&](const auto& each) { return each.name == name; });
    if (found == m_gradients.end()) {
        std::vector<std::string> names;
        for (const auto& each : m_gradients)
            names.push_back(each.name);
        throw core::InputError(names.empty() ? "there are no gradients yet: run backward first"
                                             : fmt::format("there is no gradient at \"{}\"{}", name, core::didYouMean(name, names)));
    }
    if (found->gradient.defined())
        return found->gradient;
    GradientRequest request = m_gradientRequest;
    request.only = name;
    const auto again = traceGradients(*m_executor, m_weights, request, stop);
    if (again.empty())
        throw core::InputError(fmt::format("there is no gradient at \"{}\"", name));
    return again.front().gradient;
}

}  // namespace orrery::debug
