#include <algorithm>

#include <core/base/text.h>

#include "stepper.h"

namespace orrery::debug {

/// The frame ends with the module calls that go on from the place before: calls that begin here have not been entered.
void Stepper::moveTo(Position position)
{
    m_position = position;
    std::vector<std::string> before;
    if (position.inner > 0 && position.inner <= int(m_visits.size()))
        before = m_visits[std::size_t(position.inner - 1)].levels;
    else if (position.inner == 0)
        before = m_lines.line(position.line).levels;
    else if (position.line > 0)
        before = m_lines.line(position.line - 1).levels;
    m_frame = commonLevels(before, levels());
}

Stop Stepper::arrive(StopReason reason, std::string text)
{
    if (atEnd() && (reason == StopReason::Step || reason == StopReason::Cursor))
        reason = StopReason::End;
    m_stop = {reason, {}, {}, std::move(text)};
    return m_stop;
}

Stop Stepper::hitStop(const Hit& hit)
{
    for (auto& breakpoint : m_breakpoints)
        if (breakpoint.id == hit.breakpoint)
            ++breakpoint.hits;
    m_stop = {hit.value.empty() ? StopReason::Breakpoint : StopReason::Condition, hit.breakpoint, hit.value, hit.text};
    return m_stop;
}

Stop Stepper::failed(const graph::NodeError& error)
{
    return arrive(StopReason::Failed, error.what());
}

Stop Stepper::advance(int to, bool breakpoints, std::stop_token stop, StopReason arrived)
{
    const std::vector<int> marks = breakpoints ? breakpointLines() : std::vector<int>();
    try {
        while (m_position.line < to) {
            if (m_position.inner >= 0) {
                if (const auto ended = advanceInside(int(m_visits.size()), breakpoints, stop))
                    return *ended;
            } else {
                const auto mark = std::upper_bound(marks.begin(), marks.end(), m_position.line);
                int end = mark == marks.end() ? to : std::min(to, *mark);
                for (int line = m_position.line; breakpoints && line < end; ++line)
                    if (needsInside(line))
                        end = line;
                if (end == m_position.line)
                    enterBlock(stop);
                else if (const auto hit = runLines(m_position.line, end, breakpoints, stop))
                    return hitStop(*hit);
            }
            const Breakpoint* here = breakpoints ? breakpointHere() : nullptr;
            if (here)
                return hitStop({m_position.line, here->id, {}, {}});
        }
    } catch (const graph::NodeError& error) {
        return failed(error);
    }
    return arrive(arrived);
}

const Breakpoint* Stepper::breakpointHere() const
{
    if (atEnd())
        return nullptr;
    if (m_position.inner < 0)
        return breakpointAt(m_position.line);
    return m_position.inner < int(m_visits.size()) ? breakpointAt(m_visits[std::size_t(m_position.inner)]) : nullptr;
}

void Stepper::enterBlock(std::stop_token stop)
{
    if (m_visitsOf != m_position.line)
        record(m_position.line, stop);
    moveTo({m_position.line, 0});
}

/// Shows recorded steps up to `inner`, and leaves the block where they end. @return Why the run stops, if it does before.
std::optional<Stop> Stepper::advanceInside(int inner, bool breakpoints, std::stop_token stop)
{
    while (m_position.inner < inner) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const Visit& visit = m_visits[std::size_t(m_position.inner)];
        moveTo({m_position.line, m_position.inner + 1});
        if (breakpoints)
            for (const auto& [name, value] : visit.values)
                if (const auto hit = checkConditions(m_position.line, name, identify(name).first, value))
                    return hitStop(*hit);
        const Breakpoint* here = breakpoints && m_position.inner < inner ? breakpointHere() : nullptr;
        if (here)
            return hitStop({m_position.line, here->id, {}, {}});
    }
    return m_position.inner >= int(m_visits.size()) ? leaveBlock(breakpoints) : std::nullopt;
}

std::optional<Stop> Stepper::leaveBlock(bool breakpoints)
{
    if (!m_blockError.empty())
        return arrive(StopReason::Failed, m_blockError);
    const int line = m_position.line;
    moveTo({line + 1, -1});
    if (breakpoints)
        for (const auto output : m_lines.line(line).node->outputs)
            if (const auto* value = m_store.find(graph()->value(output).name))
                if (const auto hit = checkConditions(line, graph()->value(output).name, output, *value))
                    return hitStop(*hit);
    trim();
    return std::nullopt;
}

Stop Stepper::stepNode(std::stop_token stop)
{
    leaveBackward();
    if (atEnd())
        return arrive(StopReason::End);
    const bool hasBlocks = !m_lines.line(m_position.line).node->blocks.empty();
    if (m_position.inner < 0 && !hasBlocks)
        return advance(m_position.line + 1, true, stop, StopReason::Step);
    if (m_position.inner < 0) {
        enterBlock(stop);
        const auto ended = m_visits.empty() ? leaveBlock(true) : std::nullopt;
        return ended ? *ended : arrive(StopReason::Step);
    }
    const auto ended = advanceInside(std::min(m_position.inner + 1, int(m_visits.size())), true, stop);
    return ended ? *ended : arrive(StopReason::Step);
}

/// Where the call that begins here, seen from the current frame, has been left.
Position Stepper::overEnd(std::size_t depth) const
{
    const auto here = levels();
    const auto same = [&](const std::vector<std::string>& other) { return commonLevels(here, other) >= depth; };
    if (m_position.inner >= 0) {
        int inner = m_position.inner;
        while (inner < int(m_visits.size()) && same(m_visits[std::size_t(inner)].levels))
            ++inner;
        if (inner < int(m_visits.size()))
            return {m_position.line, inner};
        return {m_position.line + 1, -1};
    }
    int line = m_position.line;
    while (line < m_lines.count() && same(m_lines.line(line).levels))
        ++line;
    return {line, -1};
}

Stop Stepper::goTo(Position position, bool breakpoints, std::stop_token stop, StopReason arrived)
{
    if (position.inner < 0)
        return advance(position.line, breakpoints, stop, arrived);
    const auto ended = advanceInside(position.inner, breakpoints, stop);
    return ended ? *ended : arrive(arrived);
}

Stop Stepper::stepOver(std::stop_token stop)
{
    leaveBackward();
    if (atEnd())
        return arrive(StopReason::End);
    if (levels().size() > m_frame)
        return goTo(overEnd(m_frame + 1), true, stop, StopReason::Step);
    if (m_position.inner < 0)
        return advance(m_position.line + 1, true, stop, StopReason::Step);
    return stepNode(stop);
}

Stop Stepper::stepInto(std::stop_token stop)
{
    leaveBackward();
    if (levels().size() > m_frame) {
        ++m_frame;
        return arrive(StopReason::Step);
    }
    return stepNode(stop);
}

Stop Stepper::stepOut(std::stop_token stop)
{
    leaveBackward();
    if (atEnd())
        return arrive(StopReason::End);
    const std::size_t outside = m_position.inner >= 0 ? m_lines.line(m_position.line).levels.size() : 0;
    if (m_frame > outside)
        return goTo(overEnd(m_frame), true, stop, StopReason::Step);
    return advance(m_position.inner >= 0 ? m_position.line + 1 : m_lines.count(), true, stop, StopReason::Step);
}

Stop Stepper::resume(std::stop_token stop)
{
    leaveBackward();
    return advance(m_lines.count(), true, stop, StopReason::End);
}

Stop Stepper::runToLine(int line, std::stop_token stop, bool breakpoints)
{
    leaveBackward();
    if (line < m_position.line || (line == m_position.line && m_position.inner >= 0)) {
        moveTo({std::max(line, 0), -1});
        return arrive(StopReason::Cursor);
    }
    return advance(std::min(line, m_lines.count()), breakpoints, stop, StopReason::Cursor);
}

Stop Stepper::runToStep(int inner, std::stop_token stop)
{
    if (m_position.inner < 0 || inner < 0 || inner >= int(m_visits.size()))
        throw core::InputError(fmt::format("expected a step of the loop or branch that the run is in (there are {}), got {}",
                                           m_position.inner < 0 ? 0 : m_visits.size(), inner));
    leaveBackward();
    if (inner > m_position.inner)
        return goTo({m_position.line, inner}, true, stop, StopReason::Cursor);
    moveTo({m_position.line, inner});
    return arrive(StopReason::Cursor);
}

Stop Stepper::runTo(const std::string& pattern, std::stop_token stop)
{
    const int id = addBreakpoint(pattern);
    m_nextBreakpoint = id;  // it goes away again: the next one of the user's has the next number
    const Resolved resolved = m_resolved.at(id);
    const bool inside = std::any_of(resolved.values.begin(), resolved.values.end(), [&](auto value) { return m_lines.isNested(value); });
    if (!inside && !resolved.lines.empty() && *resolved.lines.rbegin() <= m_position.line) {
        removeBreakpoint(id);
        throw core::InputError(fmt::format("\"{}\" is not ahead: the run stands in front of {}; go back or restart first", pattern, placeName()));
    }
    Stop ended;
    try {
        ended = resume(stop);
    } catch (...) {
        removeBreakpoint(id);
        throw;
    }
    removeBreakpoint(id);
    if (ended.breakpoint == id)
        return arrive(StopReason::Cursor);
    return ended;
}

Stop Stepper::back(int nodes)
{
    if (m_backward) {
        m_gradientPosition -= std::min(m_gradientPosition, std::size_t(std::max(nodes, 0)));
        return arrive(StopReason::Step);
    }
    Position position = m_position;
    for (int i = 0; i < nodes && position != Position{}; ++i) {
        if (position.inner > 0)
            --position.inner;
        else if (position.inner == 0)
            position.inner = -1;
        else
            --position.line;
    }
    moveTo(position);
    return arrive(position == Position{} ? StopReason::Start : StopReason::Step);
}

Stop Stepper::reverse(std::stop_token stop)
{
    if (m_backward) {
        m_gradientPosition = 0;
        return arrive(StopReason::Start);
    }
    while (m_position != Position{}) {
        back(1);
        if (stop.stop_requested())
            throw core::Cancelled();
        if (const Breakpoint* here = breakpointHere())
            return hitStop({m_position.line, here->id, {}, {}});
        if (const auto hit = conditionBefore(stop))
            return hitStop(*hit);
    }
    return arrive(StopReason::Start);
}

/// A condition that holds for what the node before the position made.
std::optional<Stepper::Hit> Stepper::conditionBefore(std::stop_token stop)
{
    const bool any = std::any_of(m_breakpoints.begin(), m_breakpoints.end(), [](const auto& each) { return each.enabled && each.condition; });
    if (!any || m_position.inner >= 0 || m_position.line == 0)
        return std::nullopt;
    const int line = m_position.line - 1;
    for (const auto output : m_lines.line(line).node->outputs) {
        const std::string& name = graph()->value(output).name;
        if (const auto hit = checkConditions(line, name, output, value(name, stop)))
            return hit;
    }
    return std::nullopt;
}

}  // namespace orrery::debug
