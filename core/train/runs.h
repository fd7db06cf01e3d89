#pragma once
#include <memory>
#include <optional>

#include <core/jobs/job.h>
#include <core/store/workspace.h>

#include "trainer.h"

namespace orrery::train {

/// Training runs in a workspace: created, started, resumed, opened as models.

/// Adds a run (status queued) for a resolved experiment.
store::RunId createRun(store::Workspace& workspace, const Experiment& experiment, std::optional<store::RunId> parent = {});

/// The experiment of a stored run, resolved again: the data must be the same. @throws core::DocumentError if it is not.
Experiment experimentOfRun(const store::Workspace& workspace, store::RunId run);

/// The last checkpoint of a run that can be read; a damaged one is skipped. Nothing if there is none.
std::optional<Checkpoint> lastCheckpoint(const store::Workspace& workspace, store::RunId run);

/// Steps of the checkpoints a run has, ascending: what `run:ID@STEP` may name. Empty for a run without.
std::vector<std::int64_t> checkpointSteps(const store::Workspace& workspace, store::RunId run);

/// Trains a run: a queued one from its start, any other from its last checkpoint (metrics and artifacts after it are dropped). Takes the lease, keeps the status
/// (running, finished, failed with its message, cancelled), metrics, log and artifacts. A run that had finished is refused.
/// @throws core::StorageError if another process works on it; what trainExperiment throws (the run is marked then).
TrainResult trainRun(const std::shared_ptr<store::Workspace>& workspace, store::RunId run, jobs::Context& context, TrainOptions options = {});

/// The same as a job; its result is a TrainResult.
jobs::JobSpec trainJob(std::shared_ptr<store::Workspace> workspace, store::RunId run, int threads, TrainOptions options = {});

/// The trained model of a run: with its final weights, or those of the checkpoint after `step`; a run that goes on gives its last checkpoint.
/// @throws core::InputError if there are no such weights: the message lists the steps there are.
graph::Model modelOfRun(const store::Workspace& workspace, store::RunId run, std::optional<std::int64_t> step = {}, const TrainOptions& options = {});

/// What stands behind `run:`: `ID` or `ID@STEP`. @throws core::InputError if it is neither, and as `modelOfRun`.
graph::Model modelOfReference(const store::Workspace& workspace, const std::string& reference);

/// The same for what stands behind `run:` in a MODEL text: "3" or "3@1200". @throws core::InputError for another form as well.
graph::Model modelOfRunReference(const store::Workspace& workspace, const std::string& reference);

/// Versions, device, threads and folder that a run depends on; git commit of the folder, if it is in a repository.
core::Json environmentOf(const Experiment& experiment, int threads);

}  // namespace orrery::train
