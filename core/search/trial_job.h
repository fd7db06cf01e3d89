#pragma once
#include <memory>
#include <optional>

#include <core/jobs/job.h>
#include <core/jobs/kinds.h>
#include <core/store/workspace.h>
#include <core/train/runs.h>

namespace orrery::search {

/// Trains a run of a sweep: from where it stands up to step `lastStep` (nothing: to its end). Stopped there, the run is marked cancelled, keeps a checkpoint
/// of that step, and can go on as if it had not been stopped.
/// @throws what train::trainRun throws, core::Cancelled if the context was asked to stop before.
void trainTrial(const std::shared_ptr<store::Workspace>& workspace, store::RunId run, std::optional<std::int64_t> lastStep, jobs::Context& context);

/// The same as a job of the kind "trial".
jobs::JobSpec trialJob(std::shared_ptr<store::Workspace> workspace, store::RunId run, std::optional<std::int64_t> lastStep, int threads);

/// The kind "trial" for other processes.
jobs::Kind trialKind();

}  // namespace orrery::search
