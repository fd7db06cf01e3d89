#include "sweep_state.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <core/base/text.h>
#include <core/train/runs.h>

namespace orrery::search {
namespace {

bool isBefore(const std::optional<double>& a, const std::optional<double>& b)
{
    return a && (!b || *a < *b);
}

/// A training in full has no last step to be known: then the data need not be opened.
std::optional<std::int64_t> lastStepOfRun(const store::Workspace& workspace, const Sweep& sweep, std::size_t rung, store::RunId run)
{
    return sweep.rungs[rung].part < 1 ? lastStepIn(sweep, sweep.rungs[rung], train::experimentOfRun(workspace, run)) : std::nullopt;
}

}  // namespace

std::string_view statusName(TrialStatus status)
{
    constexpr std::string_view kNames[] = {"waiting", "stopped", "finished", "failed"};
    return kNames[std::size_t(status)];
}

SweepState::SweepState(const store::Workspace& workspace, const StoredSweep& stored) : m_workspace(workspace), m_stored(stored), m_sweep(stored.sweep)
{
    const auto count = std::size_t(m_sweep.trials);
    m_trials.resize(count);
    m_places.resize(count);
    m_losses.assign(m_sweep.rungs.size(), std::vector<std::optional<double>>(count));
    m_ended.assign(m_sweep.rungs.size(), std::vector<bool>(count, false));
    for (std::size_t i = 0; i < count; ++i)
        m_trials[i].trial = std::int64_t(i);
    for (const auto& [index, run] : trialRuns(workspace, stored.id, m_sweep.space))
        if (index >= 0 && index < m_sweep.trials) {
            Trial& trial = m_trials[std::size_t(index)];
            trial.run = run.id;
            for (const auto& [path, value] : run.columns)
                trial.parameters[path] = value;
        }
}

std::vector<std::int64_t> SweepState::members(std::size_t rung) const
{
    std::vector<std::int64_t> all(m_trials.size());
    std::iota(all.begin(), all.end(), 0);
    if (rung == 0)
        return all;
    const auto& losses = m_losses[rung - 1];
    const auto& ended = m_ended[rung - 1];
    std::erase_if(all, [&](std::int64_t i) { return !ended[std::size_t(i)] || !losses[std::size_t(i)]; });
    std::stable_sort(all.begin(), all.end(),
                     [&](std::int64_t a, std::int64_t b) { return isBefore(losses[std::size_t(a)], losses[std::size_t(b)]); });
    if (std::int64_t(all.size()) > m_sweep.rungs[rung].trials)
        all.resize(std::size_t(m_sweep.rungs[rung].trials));
    std::sort(all.begin(), all.end());
    return all;
}

bool SweepState::isPlaceKnown(std::int64_t index) const
{
    const auto needed = std::size_t(std::min(m_sweep.sampler->waitsFor(index), m_sweep.trials));
    return std::all_of(m_ended[0].begin(), m_ended[0].begin() + std::ptrdiff_t(needed), [](bool ended) { return ended; });
}

const Place& SweepState::place(std::int64_t index)
{
    std::optional<Place>& place = m_places[std::size_t(index)];
    if (place)
        return *place;
    std::vector<Outcome> outcomes;
    for (std::int64_t i = 0; i < m_sweep.sampler->waitsFor(index); ++i)
        outcomes.push_back({i, this->place(i), m_losses[0][std::size_t(i)]});
    place = m_sweep.sampler->place(index, outcomes);
    for (std::size_t i = 0; i < m_sweep.space.size(); ++i)
        trial(index).parameters[m_sweep.space[i].path] = m_sweep.space[i].valueAt((*place)[i]);
    return *place;
}

train::Experiment SweepState::experiment(std::int64_t index)
{
    return train::resolveExperiment(experimentAt(m_sweep, place(index)), m_sweep.folder);
}

void SweepState::markFailed(std::int64_t index, std::size_t rung, const std::string& message)
{
    Trial& failed = trial(index);
    failed.status = TrialStatus::Failed;
    failed.message = message;
    failed.rung = rung;
    failed.value.reset();
    m_losses[rung][std::size_t(index)].reset();
    m_ended[rung][std::size_t(index)] = true;
}

/// The last value of the metric, up to the rung's end: what was recorded later belongs to a longer rung.
void SweepState::readValue(Trial& trial, std::size_t rung, std::optional<std::int64_t> lastStep)
{
    const auto series = m_workspace.metricSeries(*trial.run, m_sweep.metric, std::numeric_limits<std::int64_t>::min(),
                                                 lastStep.value_or(std::numeric_limits<std::int64_t>::max()), std::size_t(1) << 30);
    const double value = series.buckets.empty() ? std::nan("") : series.buckets.back().mean;
    if (!std::isfinite(value))
        return markFailed(trial.trial, rung,
                          series.buckets.empty() ? fmt::format("it recorded no {}", m_sweep.metric)
                                                 : fmt::format("its {} is {}", m_sweep.metric, core::formatNumber(value)));
    trial.value = value;
    trial.rung = rung;
    trial.status = lastStep ? TrialStatus::Stopped : TrialStatus::Finished;
    m_losses[rung][std::size_t(trial.trial)] = m_sweep.lossOf(value);
    m_ended[rung][std::size_t(trial.trial)] = true;
}

bool SweepState::hasEnded(std::int64_t index, std::size_t rung, std::optional<std::int64_t> lastStep, bool failedCount)
{
    Trial& asked = trial(index);
    const auto run = asked.run ? m_workspace.findRun(*asked.run) : std::nullopt;
    if (!run)
        return false;
    const auto isPast = [&] {
        const std::vector<std::int64_t> steps = train::checkpointSteps(m_workspace, *asked.run);
        return lastStep && !steps.empty() && steps.back() >= *lastStep;
    };
    if (run->status == store::RunStatus::Finished || isPast())
        readValue(asked, rung, lastStep);
    else if (run->status == store::RunStatus::Failed && failedCount)
        markFailed(index, rung, run->error);
    else
        return false;
    return true;
}

SweepOutcome SweepState::outcome() const
{
    SweepOutcome outcome{m_trials, {}, 0};
    for (std::size_t i = 0; i < m_trials.size(); ++i) {
        const Trial& trial = m_trials[i];
        outcome.failed += trial.status == TrialStatus::Failed;
        if (!trial.value)
            continue;
        const Trial* const best = outcome.best ? &m_trials[*outcome.best] : nullptr;
        if (!best || trial.rung > best->rung || (trial.rung == best->rung && m_sweep.lossOf(*trial.value) < m_sweep.lossOf(*best->value)))
            outcome.best = i;
    }
    return outcome;
}

SweepOutcome sweepOutcome(const store::Workspace& workspace, const StoredSweep& stored)
{
    SweepState state(workspace, stored);
    for (std::size_t rung = 0; rung < stored.sweep.rungs.size(); ++rung)
        for (const std::int64_t index : state.members(rung))
            if (state.trial(index).run)
                state.hasEnded(index, rung, lastStepOfRun(workspace, stored.sweep, rung, *state.trial(index).run), true);
    return state.outcome();
}

}  // namespace orrery::search
