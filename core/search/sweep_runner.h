#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <core/jobs/engine.h>
#include <core/jobs/job.h>

#include "sweep_store.h"

namespace orrery::search {

enum class TrialStatus {
    Waiting,  ///< not begun, or not as far as its rung yet
    Stopped,  ///< ended early: others of its rung went on
    Finished,
    Failed,  ///< its training failed, its settings contradict each other, or its metric is no number: it counts as worst
};
/// "waiting", "stopped", "finished", "failed".
std::string_view statusName(TrialStatus status);

struct Trial {
    std::int64_t trial = 0;
    core::Json parameters = core::Json::object();  ///< path: value; empty before it is known
    std::optional<store::RunId> run;
    TrialStatus status = TrialStatus::Waiting;
    std::optional<double> value;  ///< of the metric, at the end of its last rung
    std::size_t rung = 0;         ///< the last one it ended
    std::string message;          ///< why it failed
};

struct SweepOutcome {
    std::vector<Trial> trials;
    std::optional<std::size_t> best;  ///< of those that went farthest, the first with the best value
    std::size_t failed = 0;
};

struct SweepOptions {
    int jobs = 1;                             ///< trials side by side
    std::shared_ptr<jobs::Engine> engine;     ///< null: a thread of this process
    bool retriesFailed = false;               ///< failed trainings are tried again from their last checkpoint
    std::function<void(const Trial&)> ended;  ///< a trial has ended a rung, in the caller's thread
};

/// Runs what is left of a sweep. Trials run through a queue of their own; the caller's thread chooses them and waits.
/// What was stored decides alone what is left: a sweep that was killed at any moment goes on with the same trials, their trainings from their last checkpoints.
/// A trial that fails counts as worst and does not end the sweep. Reports progress in trials, or in whole trainings where trials are stopped early.
/// @throws core::Cancelled if asked to stop (trainings save a checkpoint first), core::StorageError if another process works on one of its runs.
SweepOutcome runSweep(const std::shared_ptr<store::Workspace>& workspace, const StoredSweep& stored, jobs::Context& context,
                      const SweepOptions& options);

/// How a sweep stands, without running anything.
SweepOutcome sweepOutcome(const store::Workspace& workspace, const StoredSweep& stored);

}  // namespace orrery::search
