#pragma once
#include "sweep_runner.h"

namespace orrery::search {

/// What the store knows of a sweep's trials, rung by rung. Not thread-safe.
class SweepState {
public:
    SweepState(const store::Workspace& workspace, const StoredSweep& stored);

    std::vector<Trial>& trials() { return m_trials; }
    Trial& trial(std::int64_t index) { return m_trials[std::size_t(index)]; }

    /// The trials of a rung, in the order of their numbers: all, or the best of the rung before.
    std::vector<std::int64_t> members(std::size_t rung) const;
    /// Where trial `index` lies. @pre all trials it waits for have ended.
    const Place& place(std::int64_t index);
    /// True if all trials that the place of this one waits for have ended.
    bool isPlaceKnown(std::int64_t index) const;
    /// The experiment of a trial. @throws core::InputError if its settings contradict each other.
    train::Experiment experiment(std::int64_t index);
    /// Reads from the store how far the trial's run has come: true if it has ended the rung, well or not.
    /// @param lastStep     Of the rung, see lastStepIn.
    /// @param failedCount  A failed training counts as ended.
    bool hasEnded(std::int64_t index, std::size_t rung, std::optional<std::int64_t> lastStep, bool failedCount);
    void markFailed(std::int64_t index, std::size_t rung, const std::string& message);
    SweepOutcome outcome() const;

private:
    void readValue(Trial& trial, std::size_t rung, std::optional<std::int64_t> lastStep);
    double lossOf(std::int64_t index) const;

    const store::Workspace& m_workspace;
    const StoredSweep& m_stored;
    const Sweep& m_sweep;
    std::vector<Trial> m_trials;
    std::vector<std::optional<Place>> m_places;
    std::vector<std::vector<std::optional<double>>> m_losses;  ///< by rung and trial; of those that ended it
    std::vector<std::vector<bool>> m_ended;
};

}  // namespace orrery::search
